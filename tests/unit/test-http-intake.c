/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "provisioning/net/http_intake.h"

#include <errno.h>
#include <string.h>

#define MAX 100

static const char *const none[TG_HTTP_SECRETS_MAX];

static int line(struct tg_http_intake *in, const char *text)
{
	return tg_http_intake_header(in, text, strlen(text));
}

static int lines(struct tg_http_intake *in, const char *const *text)
{
	int r = 0;

	for (; *text && r == 0; text++)
		r = line(in, *text);
	return r;
}

static void fields_are_read_in_any_case_and_layout(void **state)
{
	static const char *const text[] = { "HTTP/1.1 202 Accepted\r\n",
					    "CONTENT-type:application/pkcs7-mime\r\n",
					    "retry-After: \t 120 \r\n",
					    "Location:\r\n",
					    "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
					    "no field\r\n",
					    "\r\n",
					    NULL };
	struct tg_http_intake in;
	struct tg_http_answer a;

	(void) state;
	tg_http_intake_init(&in, MAX);
	in.trusted = true;
	assert_int_equal(lines(&in, text), 0);
	assert_int_equal(tg_http_intake_body(&in, "ab", 2), 0);
	assert_int_equal(tg_http_intake_body(&in, "cd", 2), 0);
	assert_int_equal(tg_http_intake_take(&in, &a), 0);
	assert_string_equal(a.content_type, "application/pkcs7-mime");
	assert_string_equal(a.retry_after, "120");
	assert_string_equal(a.location, "");
	assert_int_equal(a.date, 784111777);
	assert_string_equal(a.body, "abcd");
	assert_int_equal(a.len, 4);
	tg_http_answer_done(&a);
	tg_http_intake_done(&in);
}

static void nobody_tells_the_time_unless_he_is_verified(void **state)
{
	static const char *const text[] = { "HTTP/1.1 200 x", "Date: Sun, 06 Nov 1994 08:49:37 GMT",
					    "", NULL };
	struct tg_http_intake in;

	(void) state;
	tg_http_intake_init(&in, MAX);
	assert_int_equal(lines(&in, text), 0);
	assert_int_equal(in.answer.date, 0);
}

static void an_empty_body_is_a_body(void **state)
{
	struct tg_http_intake in;
	struct tg_http_answer a;

	(void) state;
	tg_http_intake_init(&in, MAX);
	assert_int_equal(tg_http_intake_take(&in, &a), 0);
	assert_string_equal(a.body, "");
	assert_int_equal(a.len, 0);
	tg_http_answer_done(&a);
}

static void a_later_answer_replaces_an_earlier_one(void **state)
{
	static const char *const first[] = { "HTTP/1.1 401 x", "Content-Type: text/plain", "",
					     NULL };
	static const char *const second[] = { "HTTP/1.1 200 x", "", "Content-Type: trailer", NULL };
	struct tg_http_intake in;

	(void) state;
	tg_http_intake_init(&in, MAX);
	assert_int_equal(lines(&in, first), 0);
	assert_int_equal(tg_http_intake_body(&in, "no", 2), 0);
	assert_int_equal(lines(&in, second), 0);
	assert_string_equal(in.answer.content_type, "");
	assert_int_equal(tg_http_intake_body(&in, "yes", 3), 0);
	assert_string_equal(tg_buffer_text(&in.body), "yes");
	/* What has come is counted all the same. */
	assert_int_equal(in.body_bytes, 5);
	tg_http_intake_done(&in);
}

static void what_is_too_long_is_refused_for_good(void **state)
{
	struct tg_http_intake in;
	char much[MAX + 1] = "x";

	(void) state;
	tg_http_intake_init(&in, MAX);
	assert_int_equal(tg_http_intake_body(&in, much, MAX), 0);
	assert_int_equal(tg_http_intake_body(&in, much, 1), -EMSGSIZE);
	assert_int_equal(line(&in, "HTTP/1.1 200 x"), -EMSGSIZE);
	assert_int_equal(tg_http_intake_body(&in, "", 0), -EMSGSIZE);
	tg_http_intake_done(&in);

	tg_http_intake_init(&in, MAX);
	assert_int_equal(line(&in, "HTTP/1.1 200 x"), 0);
	assert_int_equal(line(&in, "Content-Length: 100"), 0);
	assert_int_equal(line(&in, "Content-Length: 101"), -EMSGSIZE);
	tg_http_intake_init(&in, MAX);
	assert_int_equal(line(&in, "HTTP/1.1 200 x"), 0);
	assert_int_equal(line(&in, "Content-Length: 18446744073709551617"), -EMSGSIZE);
}

static void header_lines_of_all_answers_count(void **state)
{
	struct tg_http_intake in;
	unsigned n = 0;

	(void) state;
	tg_http_intake_init(&in, MAX);
	while (line(&in, "HTTP/1.1 103 x\r\n") == 0 && line(&in, "\r\n") == 0)
		n++;
	assert_int_equal(in.error, -EMSGSIZE);
	assert_int_equal(n, TG_HTTP_HEADERS_MAX / 18);
}

static void encodings_that_were_not_asked_for_are_refused(void **state)
{
	static const char *const bad[] = { "Content-Encoding: gzip", "content-encoding: x",
					   "Transfer-Encoding: gzip",
					   "transfer-encoding: chunked, gzip" };
	static const char *const good[] = { "Content-Encoding: identity", "Transfer-Encoding: "
									  "Chunked" };
	struct tg_http_intake in;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++) {
		tg_http_intake_init(&in, MAX);
		assert_int_equal(line(&in, "HTTP/1.1 200 x"), 0);
		assert_int_equal(line(&in, bad[i]), -EPROTO);
	}
	for (size_t i = 0; i < TG_ARRAY_SIZE(good); i++) {
		tg_http_intake_init(&in, MAX);
		assert_int_equal(line(&in, "HTTP/1.1 200 x"), 0);
		assert_int_equal(line(&in, good[i]), 0);
	}
}

static void check_words(const char *type, const char *body, const char *expected)
{
	char out[TG_HTTP_WORDS_MAX + 4];

	assert_string_equal(tg_http_words(type, body, strlen(body), none, out), expected);
}

static void words_are_one_readable_line(void **state)
{
	(void) state;
	check_words("text/plain", " a\r\n\tb  c \n", "a b c");
	check_words("", "\033[2J\a", "?[2J?");
	check_words("text/html; charset=x",
		    "<html><STYLE>p{}</STYLE><p>a</p><!-- > b --><script>c</script>d<br", "a d");
	check_words("text/plain", "if a < b", "if a < b");
	check_words("text/html", "<style>never closed", "");
	check_words("application/problem+json", "{\"title\": \"no\"}", "{\"title\": \"no\"}");
	check_words("application/pkcs7-mime", "MIIB", "");
	check_words("application/octet-stream", "text", "");
}

static void words_with_a_nul_are_none(void **state)
{
	char out[TG_HTTP_WORDS_MAX + 4];

	(void) state;
	assert_string_equal(tg_http_words("", "a\0b", 3, none, out), "");
}

static void words_are_cut(void **state)
{
	char body[10000], out[TG_HTTP_WORDS_MAX + 4];

	(void) state;
	memset(body, 'x', sizeof(body));
	tg_http_words("text/plain", body, sizeof(body), none, out);
	assert_int_equal(strlen(out), TG_HTTP_WORDS_MAX + 3);
	assert_string_equal(out + TG_HTTP_WORDS_MAX, "...");
}

/* The secret @at, with so much before and behind it, as words and as a header field. */
static void check_secret(size_t at, size_t len)
{
	const char *secrets[TG_HTTP_SECRETS_MAX] = { "hunter2hunter2", NULL };
	char body[6000], out[TG_HTTP_WORDS_MAX + 4], field[6100];
	struct tg_http_intake in;

	memset(body, ' ', sizeof(body));
	memcpy(body + at, "hunter2hunter2", 14);
	tg_http_words("text/plain", body, len, secrets, out);
	assert_null(strstr(out, "hun"));
	tg_http_intake_init(&in, MAX);
	in.secrets[0] = secrets[0];
	assert_int_equal(line(&in, "HTTP/1.1 200 x"), 0);
	(void) snprintf(field, sizeof(field), "Location: x%.*s", (int) len, body);
	assert_int_equal(line(&in, field), 0);
	assert_null(strstr(in.answer.location, "hun"));
}

static void secrets_are_hidden_wherever_they_are(void **state)
{
	(void) state;
	check_secret(0, 20);
	check_secret(0, 14);
	/* At the end of what is looked at, so that some of it is beyond. */
	for (size_t at = 4096 - 20; at < 4096 + 3; at++)
		check_secret(at, 6000);
}

static void an_empty_secret_hides_nothing(void **state)
{
	const char *secrets[TG_HTTP_SECRETS_MAX] = { "", "" };
	char out[TG_HTTP_WORDS_MAX + 4];

	(void) state;
	assert_string_equal(tg_http_words("", "text", 4, secrets, out), "text");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_read_in_any_case_and_layout),
		cmocka_unit_test(nobody_tells_the_time_unless_he_is_verified),
		cmocka_unit_test(an_empty_body_is_a_body),
		cmocka_unit_test(a_later_answer_replaces_an_earlier_one),
		cmocka_unit_test(what_is_too_long_is_refused_for_good),
		cmocka_unit_test(header_lines_of_all_answers_count),
		cmocka_unit_test(encodings_that_were_not_asked_for_are_refused),
		cmocka_unit_test(words_are_one_readable_line),
		cmocka_unit_test(words_with_a_nul_are_none),
		cmocka_unit_test(words_are_cut),
		cmocka_unit_test(secrets_are_hidden_wherever_they_are),
		cmocka_unit_test(an_empty_secret_hides_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
