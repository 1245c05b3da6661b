/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/clock.h"
#include "provisioning/net/http_login.h"
#include "provisioning/net/http_origin.h"
#include "provisioning/net/http_outgoing.h"
#include "provisioning/net/http_watch.h"

#include <errno.h>
#include <string.h>

/* The small parts of the HTTPS client: where to, what goes out, how long it may take. */

/* --- where to --- */

static void check_origin(const char *url, const char *host, const char *authority)
{
	struct tg_http_origin o;
	struct tg_fault f;

	if (tg_http_origin_parse(url, &o, &f) < 0)
		fail_msg("%s: %s", url, f.text);
	assert_string_equal(o.host, host);
	assert_string_equal(o.authority, authority);
}

static void urls_lead_to_a_host_and_a_port(void **state)
{
	(void) state;
	check_origin("https://est.example", "est.example", "est.example");
	check_origin("https://est.example:443/", "est.example", "est.example");
	check_origin("HTTPS://Est.Example:08443/.well-known/est", "Est.Example",
		     "Est.Example:8443");
	check_origin("https://est.example.?x", "est.example", "est.example");
	check_origin("https://192.0.2.1:9/x:y@z", "192.0.2.1", "192.0.2.1:9");
	check_origin("https://[2001:db8::1]:9/", "2001:db8::1", "[2001:db8::1]:9");
	check_origin("https://[fe80::1%25eth0]/", "fe80::1", "[fe80::1]");
}

static void other_urls_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"https",
		"https://",
		"https:///x",
		"http://est.example",
		"ftp://est.example",
		"https://user@est.example",
		"https://user:password@est.example",
		"https://:8443",
		"https://est.example:",
		"https://est.example:0",
		"https://est.example:65536",
		"https://est.example:x",
		"https://est.example:-1",
		"https://est example",
		"https://est.example/\r\nX: y",
		"https://\xc3\xa4.example",
		"https://est_example|x",
		"https://[2001:db8::1",
		"https://[est.example]",
		"https://[]",
		"https://[::1]x",
		"https://est.example\\@other",
	};
	struct tg_http_origin o;
	char url[TG_HTTP_URL_MAX + 10];
	struct tg_fault f;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++)
		if (tg_http_origin_parse(bad[i], &o, &f) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(tg_http_origin_parse(NULL, &o, &f), -EINVAL);
	memset(url, 'x', sizeof(url));
	memcpy(url, "https://e/", 10);
	url[TG_HTTP_URL_MAX + 1] = '\0';
	assert_int_equal(tg_http_origin_parse(url, &o, &f), -EINVAL);
	url[TG_HTTP_URL_MAX] = '\0';
	assert_int_equal(tg_http_origin_parse(url, &o, &f), 0);
	memset(url, 'x', 300);
	memcpy(url, "https://", 8);
	assert_int_equal(tg_http_origin_parse(url, &o, &f), -EINVAL);
}

static void origins_are_compared_as_names_are(void **state)
{
	struct tg_http_origin a, b;
	struct tg_fault f;

	(void) state;
	assert_int_equal(tg_http_origin_parse("https://a.example/x", &a, &f), 0);
	assert_int_equal(tg_http_origin_parse("https://A.example:443/y", &b, &f), 0);
	assert_true(tg_http_origin_same(&a, &b));
	assert_int_equal(tg_http_origin_parse("https://a.example:444/x", &b, &f), 0);
	assert_false(tg_http_origin_same(&a, &b));
}

/* --- what goes out --- */

struct maker {
	unsigned calls;
	int answer; /* instead of the size; 0: the size */
};

static int make(void *user, const char *binding, char *out, size_t size, struct tg_fault *reterr)
{
	struct maker *m = user;

	m->calls++;
	memset(out, binding[0], size);
	if (m->answer < 0)
		return tg_fault_set(reterr, m->answer, "no");
	return m->answer ? m->answer : (int) size;
}

static void a_given_body_goes_out_as_often_as_it_must(void **state)
{
	const struct tg_http_request q = { .post = true, .body = "abcde", .body_len = 5 };
	struct tg_http_outgoing out = { 0 };
	char got[8] = "";

	(void) state;
	tg_http_outgoing_begin(&out, &q);
	assert_false(tg_http_outgoing_wants(&out));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(tg_http_outgoing_next(&out, got, 3), 3);
		assert_false(tg_http_outgoing_is_gone(&out));
		assert_int_equal(tg_http_outgoing_next(&out, got + 3, 3), 2);
		assert_memory_equal(got, "abcde", 5);
		assert_true(tg_http_outgoing_is_gone(&out));
		assert_int_equal(tg_http_outgoing_next(&out, got, 3), 0);
		tg_http_outgoing_rewind(&out);
	}
	tg_http_outgoing_done(&out);
}

static void a_body_is_made_once_for_each_connection(void **state)
{
	struct maker m = { 0 };
	const struct tg_http_request q = {
		.post = true, .body_len = 4, .make_body = make, .user = &m
	};
	struct tg_http_outgoing out = { 0 };
	struct tg_fault f;
	char got[4];

	(void) state;
	tg_http_outgoing_begin(&out, &q);
	assert_true(tg_http_outgoing_wants(&out));
	assert_int_equal(tg_http_outgoing_next(&out, got, 4), 0); /* nothing before it is made */
	assert_int_equal(tg_http_outgoing_bind(&out, "1st", &f), 0);
	assert_int_equal(tg_http_outgoing_next(&out, got, 2), 2);
	assert_false(tg_http_outgoing_wants(&out)); /* not in the middle */
	tg_http_outgoing_rewind(&out);
	assert_true(tg_http_outgoing_wants(&out));
	assert_int_equal(tg_http_outgoing_bind(&out, "1st", &f), 0);
	assert_int_equal(m.calls, 1);
	assert_int_equal(tg_http_outgoing_bind(&out, "2nd", &f), 0);
	assert_int_equal(m.calls, 2);
	assert_int_equal(tg_http_outgoing_next(&out, got, 4), 4);
	assert_memory_equal(got, "2222", 4);
	tg_http_outgoing_done(&out);
}

static void a_body_of_another_length_is_not_sent(void **state)
{
	static const int answers[] = { 3, 5, -EIO };
	struct maker m = { 0 };
	const struct tg_http_request q = {
		.post = true, .body_len = 4, .make_body = make, .user = &m
	};
	struct tg_http_outgoing out = { 0 };
	struct tg_fault f;
	char got[4];

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(answers); i++) {
		tg_http_outgoing_begin(&out, &q);
		m.answer = 0;
		assert_int_equal(tg_http_outgoing_bind(&out, "1st", &f), 0);
		m.answer = answers[i];
		assert_int_equal(tg_http_outgoing_bind(&out, "2nd", &f),
				 answers[i] < 0 ? answers[i] : -EINVAL);
		/* Nor the one before. */
		assert_int_equal(tg_http_outgoing_next(&out, got, 4), 0);
	}
	tg_http_outgoing_done(&out);
}

/* --- how long it may take --- */

#define S TG_US_PER_S

static void check_watch(struct tg_http_watch *w, uint64_t now_s, size_t bytes, int expected)
{
	struct tg_fault f;

	assert_int_equal(tg_http_watch_look(w, now_s * S, bytes, &f), expected);
}

static void silence_is_borne_for_a_while(void **state)
{
	struct tg_http_watch w = { .answer_us = 60 * S, .stall_us = 20 * S };

	(void) state;
	check_watch(&w, 1000, 0, 0); /* nothing was asked */
	tg_http_watch_asked(&w, 1000 * S, 500);
	check_watch(&w, 1059, 500, 0);
	check_watch(&w, 1060, 500, -ETIMEDOUT);
}

static void every_window_needs_its_bytes(void **state)
{
	struct tg_http_watch w = { .answer_us = 60 * S, .stall_us = 20 * S };

	(void) state;
	tg_http_watch_asked(&w, 1000 * S, 0);
	check_watch(&w, 1050, 10, 0);
	check_watch(&w, 1069, 20, 0);
	check_watch(&w, 1070, 10 + 1280, 0);
	check_watch(&w, 1089, 10 + 1280, 0);
	check_watch(&w, 1090, 10 + 1280 + 1279, -ETIMEDOUT);
}

static void another_request_starts_anew(void **state)
{
	struct tg_http_watch w = { .answer_us = 60 * S, .stall_us = 20 * S };

	(void) state;
	tg_http_watch_asked(&w, 1000 * S, 0);
	check_watch(&w, 1010, 10, 0);
	tg_http_watch_asked(&w, 1040 * S, 10);
	check_watch(&w, 1099, 10, 0);
	check_watch(&w, 1100, 10, -ETIMEDOUT);
}

/* --- who asks --- */

static void names_and_passwords_are_copied_and_bounded(void **state)
{
	char longest[TG_HTTP_LOGIN_MAX + 2];
	struct tg_http_options o = { .username = "Aladdin", .password = "open sesame" };
	struct tg_http_login l = { 0 };
	struct tg_fault f;

	(void) state;
	assert_int_equal(tg_http_login_init(&l, &o, &f), 0);
	assert_string_equal(l.basic, "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="); /* RFC 7617 section 2 */
	tg_http_login_done(&l);
	memset(longest, 'x', sizeof(longest));
	longest[TG_HTTP_LOGIN_MAX + 1] = '\0';
	o.password = longest;
	assert_int_equal(tg_http_login_init(&l, &o, &f), -EINVAL);
	o.username = o.password = longest + 1;
	assert_int_equal(tg_http_login_init(&l, &o, &f), 0);
	tg_http_login_done(&l);
	o = (struct tg_http_options){ .username = "" };
	assert_int_equal(tg_http_login_init(&l, &o, &f), 0);
	assert_string_equal(l.password, "");
	tg_http_login_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_lead_to_a_host_and_a_port),
		cmocka_unit_test(other_urls_are_refused),
		cmocka_unit_test(origins_are_compared_as_names_are),
		cmocka_unit_test(a_given_body_goes_out_as_often_as_it_must),
		cmocka_unit_test(a_body_is_made_once_for_each_connection),
		cmocka_unit_test(a_body_of_another_length_is_not_sent),
		cmocka_unit_test(silence_is_borne_for_a_while),
		cmocka_unit_test(every_window_needs_its_bytes),
		cmocka_unit_test(another_request_starts_anew),
		cmocka_unit_test(names_and_passwords_are_copied_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
