/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrol/est_codec.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

static struct tg_config at(const char *url, const char *label)
{
	struct tg_config c = { 0 };

	c.enrolment.est.url = (char *) url;
	c.enrolment.est.label = (char *) label;
	return c;
}

static void operations_are_where_the_url_and_the_label_say(void **state)
{
	static const struct {
		const char *url, *label, *wanted;
	} cases[] = {
		{ "https://ca", "", "https://ca/.well-known/est/simpleenroll" },
		{ "https://ca:8443/", "", "https://ca:8443/.well-known/est/simpleenroll" },
		{ "https://[::1]:8443", "plant-3",
		  "https://[::1]:8443/.well-known/est/plant-3/simpleenroll" },
		{ "https://ca/.well-known/est", "", "https://ca/.well-known/est/simpleenroll" },
		{ "https://ca/.well-known/est//", "a",
		  "https://ca/.well-known/est/a/simpleenroll" },
		{ "https://ca/pki/est", "", "https://ca/pki/est/simpleenroll" },
	};
	char out[TG_EST_URL_MAX];

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		struct tg_config c = at(cases[i].url, cases[i].label);

		assert_int_equal(tg_est_url(&c, TG_EST_OP_SIMPLEENROLL, out, sizeof(out)), 0);
		assert_string_equal(out, cases[i].wanted);
	}
}

static void a_url_that_does_not_fit_is_not_cut(void **state)
{
	char url[TG_EST_URL_MAX + 16] = "", out[TG_EST_URL_MAX] = "";
	struct tg_config c = at(url, "");

	(void) state;
	memset(url, 'a', sizeof(url) - 1);
	memcpy(url, "https://", 8);
	url[sizeof(url) - 1] = '\0';
	assert_int_equal(tg_est_base(&c, out, sizeof(out)), -ENAMETOOLONG);
	assert_int_equal(tg_est_url(&c, TG_EST_OP_CACERTS, out, sizeof(out)), -ENAMETOOLONG);
	url[TG_EST_URL_MAX - 20] = '\0';
	assert_int_equal(tg_est_url(&c, TG_EST_OP_CACERTS, out, sizeof(out)), -ENAMETOOLONG);
}

static void certificates_have_one_of_their_types_with_or_without_parameters(void **state)
{
	static const char *const good[] = {
		"application/pkcs7-mime",
		"application/pkcs7-mime; smime-type=certs-only",
		"Application/PKCS7-MIME;smime-type=\"certs-only\"; charset=x",
		"application/pkcs7-mime ; smime-type=certs-only",
		"application/x-pkcs7-mime",
		"application/octet-stream",
		"",
	};
	static const char *const bad[] = { "text/plain", "text/html; charset=utf-8",
					   "application/pkcs7-mimes", "application/pkcs7-mim",
					   "application/pkcs8" };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(good); i++)
		assert_true(tg_est_is_certificates(good[i]));
	for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++)
		assert_false(tg_est_is_certificates(bad[i]));
}

static void a_status_says_what_an_answer_means(void **state)
{
	static const struct {
		int status;
		enum tg_enrol_class enrol, cacerts;
	} cases[] = {
		{ 200, TG_ENROL_OK, TG_ENROL_OK },
		{ 202, TG_ENROL_PENDING, TG_ENROL_BAD_ANSWER },
		{ 204, TG_ENROL_BAD_ANSWER, TG_ENROL_OK },
		{ 206, TG_ENROL_BAD_ANSWER, TG_ENROL_BAD_ANSWER },
		{ 301, TG_ENROL_REFUSED, TG_ENROL_REFUSED },
		{ 400, TG_ENROL_REFUSED, TG_ENROL_REFUSED },
		{ 401, TG_ENROL_REFUSED, TG_ENROL_REFUSED },
		{ 404, TG_ENROL_REFUSED, TG_ENROL_REFUSED },
		{ 408, TG_ENROL_RETRY, TG_ENROL_RETRY },
		{ 429, TG_ENROL_RETRY, TG_ENROL_RETRY },
		{ 500, TG_ENROL_RETRY, TG_ENROL_RETRY },
		{ 501, TG_ENROL_REFUSED, TG_ENROL_OK },
		{ 503, TG_ENROL_RETRY, TG_ENROL_RETRY },
		{ 599, TG_ENROL_RETRY, TG_ENROL_RETRY },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		assert_int_equal(tg_est_classify(TG_EST_OP_SIMPLEREENROLL, cases[i].status),
				 cases[i].enrol);
		assert_int_equal(tg_est_classify(TG_EST_OP_CACERTS, cases[i].status),
				 cases[i].cacerts);
	}
}

static void what_a_server_need_not_have_may_be_absent(void **state)
{
	(void) state;
	assert_true(tg_est_is_absent(TG_EST_OP_CSRATTRS, 404));
	assert_true(tg_est_is_absent(TG_EST_OP_CSRATTRS, 204));
	assert_true(tg_est_is_absent(TG_EST_OP_CACERTS, 501));
	assert_false(tg_est_is_absent(TG_EST_OP_CACERTS, 404));
	assert_false(tg_est_is_absent(TG_EST_OP_CSRATTRS, 200));
	assert_false(tg_est_is_absent(TG_EST_OP_SIMPLEREENROLL, 501));
}

static void the_server_says_when_to_ask_again_within_bounds(void **state)
{
	const int64_t now = 1800000000;
	static const struct {
		enum tg_enrol_class class;
		const char *text;
		int64_t wait;
	} cases[] = {
		{ TG_ENROL_PENDING, "3600", 3600 },
		{ TG_ENROL_PENDING, "0", TG_EST_WAIT_MIN_S },
		{ TG_ENROL_PENDING, "604800", TG_EST_WAIT_MAX_S },
		{ TG_ENROL_PENDING, "99999999999999999999", TG_EST_WAIT_MAX_S },
		{ TG_ENROL_PENDING, "", TG_EST_WAIT_UNKNOWN_S },
		{ TG_ENROL_PENDING, "soon", TG_EST_WAIT_UNKNOWN_S },
		{ TG_ENROL_PENDING, "-5", TG_EST_WAIT_UNKNOWN_S },
		{ TG_ENROL_PENDING, "Fri, 15 Jan 2027 08:10:00 GMT", 600 },
		{ TG_ENROL_PENDING, "Friday, 15-Jan-27 08:10:00 GMT", 600 },
		{ TG_ENROL_PENDING, "Fri Jan 15 08:10:00 2027", 600 },
		{ TG_ENROL_PENDING, "Fri, 15 Jan 2021 08:10:00 GMT", TG_EST_WAIT_MIN_S },
		{ TG_ENROL_RETRY, "120", 120 },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++)
		assert_int_equal(tg_est_retry_at(cases[i].class, cases[i].text, 0, now),
				 now + cases[i].wait);
	/* Where it does not say, or it is no matter of time, the gateway has its own plan. */
	assert_int_equal(tg_est_retry_at(TG_ENROL_RETRY, "", 0, now), 0);
	assert_int_equal(tg_est_retry_at(TG_ENROL_RETRY, "soon", 0, now), 0);
	assert_int_equal(tg_est_retry_at(TG_ENROL_REFUSED, "120", 0, now), 0);
	assert_int_equal(tg_est_retry_at(TG_ENROL_BAD_ANSWER, "120", 0, now), 0);
}

static void a_date_to_ask_again_counts_from_the_servers_own(void **state)
{
	const int64_t now = 1800000000;

	(void) state;
	/* Its clock is a year ahead of ours; what it means is ten minutes. */
	assert_int_equal(tg_est_retry_at(TG_ENROL_PENDING, "Sat, 15 Jan 2028 08:10:00 GMT",
					 now + INT64_C(31536000), now),
			 now + 600);
}

static void each_refusal_has_advice(void **state)
{
	static const int known[] = { 302, 400, 401, 403, 404, 405, 422, 501 };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(known); i++)
		assert_true(*tg_est_advice(TG_EST_OP_SIMPLEENROLL, known[i], false));
	assert_string_not_equal(tg_est_advice(TG_EST_OP_SIMPLEENROLL, 401, false),
				tg_est_advice(TG_EST_OP_SIMPLEENROLL, 401, true));
	assert_non_null(strstr(tg_est_advice(TG_EST_OP_SIMPLEREENROLL, 501, false), "renew-by"));
	assert_null(strstr(tg_est_advice(TG_EST_OP_SIMPLEENROLL, 501, false), "renew-by"));
	assert_string_equal(tg_est_advice(TG_EST_OP_SIMPLEENROLL, 418, true), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operations_are_where_the_url_and_the_label_say),
		cmocka_unit_test(a_url_that_does_not_fit_is_not_cut),
		cmocka_unit_test(certificates_have_one_of_their_types_with_or_without_parameters),
		cmocka_unit_test(a_status_says_what_an_answer_means),
		cmocka_unit_test(what_a_server_need_not_have_may_be_absent),
		cmocka_unit_test(the_server_says_when_to_ask_again_within_bounds),
		cmocka_unit_test(a_date_to_ask_again_counts_from_the_servers_own),
		cmocka_unit_test(each_refusal_has_advice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
