/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/check/advice.h"
#include "provisioning/check/report.h"

#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

static struct tg_journal failed(enum tg_enrol_step step, enum tg_enrol_class class, int status)
{
	return (struct tg_journal){ .error_step = step,
				    .error_class = class,
				    .error_status = status };
}

static const char *advice(enum tg_enrol_method method, enum tg_enrol_step step,
			  enum tg_enrol_class class, int status)
{
	const struct tg_journal j = failed(step, class, status);

	return tg_advice(method, &j);
}

static void what_has_not_failed_needs_no_advice(void **state)
{
	(void) state;
	assert_string_equal(advice(TG_ENROL_EST, TG_STEP_NONE, TG_ENROL_OK, 0), "");
	assert_string_equal(advice(TG_ENROL_EST, TG_STEP_ISSUED, TG_ENROL_OK, 200), "");
}

/* Classes for which the words of the failure alone may have to do. */
static bool may_be_silent(enum tg_enrol_class class)
{
	return class == TG_ENROL_OK || class == TG_ENROL_LOCAL || class == TG_ENROL_REFUSED;
}

static void every_way_to_fail_that_is_not_local_has_advice(void **state)
{
	static const enum tg_enrol_method methods[] = { TG_ENROL_AWS_FLEET, TG_ENROL_EST,
							TG_ENROL_MANUAL };

	(void) state;
	for (size_t m = 0; m < TG_ARRAY_SIZE(methods); m++)
		for (int s = TG_STEP_KEY; s < TG_STEP_COUNT_; s++)
			for (int c = 0; c < TG_ENROL_CLASS_COUNT_; c++)
				if (!may_be_silent((enum tg_enrol_class) c) &&
				    !*advice(methods[m], (enum tg_enrol_step) s,
					     (enum tg_enrol_class) c, 0))
					fail_msg("no advice: method %d, step %d, class %d",
						 methods[m], s, c);
}

static void the_nearest_row_counts(void **state)
{
	(void) state;
	assert_non_null(strstr(advice(TG_ENROL_EST, TG_STEP_ISSUED, TG_ENROL_RETRY, 503), "overload"
											  "ed"));
	assert_non_null(strstr(advice(TG_ENROL_EST, TG_STEP_REQUEST, TG_ENROL_RETRY, 0), "what is "
											 "named"));
	assert_non_null(strstr(advice(TG_ENROL_EST, TG_STEP_ISSUED, TG_ENROL_PENDING, 202), "approv"
											    "e"));
	assert_non_null(strstr(advice(TG_ENROL_MANUAL, TG_STEP_ISSUED, TG_ENROL_BAD_ANSWER, 0),
			       "--install"));
	assert_non_null(strstr(advice(TG_ENROL_EST, TG_STEP_KEY, TG_ENROL_LOCAL, 0), "TPM"));
	assert_non_null(
		strstr(advice(TG_ENROL_EST, TG_STEP_ISSUED, TG_ENROL_BAD_ANSWER, 0), "url and label"));
	assert_null(
		strstr(advice(TG_ENROL_AWS_FLEET, TG_STEP_REQUEST, TG_ENROL_BAD_ANSWER, 0), "EST"));
}

/* What a report says, and how it ends. */
static char *said(bool json, bool fail, bool *ret_good)
{
	char *text = NULL;
	size_t len = 0;
	struct tg_report r = { .out = open_memstream(&text, &len), .json = json };

	assert_non_null(r.out);
	tg_report(&r, TG_FINDING_OK, "tpm", "", "it answers");
	tg_report(&r, fail ? TG_FINDING_FAIL : TG_FINDING_WARN, "ca", "do this", "%s is \"bad\"",
		  "/ca.pem");
	*ret_good = tg_report_end(&r);
	assert_int_equal(fclose(r.out), 0);
	return text;
}

static void a_report_has_a_line_for_each_finding_and_fails_with_one(void **state)
{
	bool good = false;
	char *text = said(false, false, &good);

	(void) state;
	assert_string_equal(text, "ok    tpm: it answers\n"
				  "warn  ca: /ca.pem is \"bad\"; do this\n"
				  "1 ok, 1 to look at, 0 failed\n");
	assert_true(good);
	free(text);
	text = said(true, true, &good);
	assert_string_equal(text, "{\"check\":\"tpm\",\"state\":\"ok\",\"text\":\"it "
				  "answers\",\"advice\":\"\"}\n"
				  "{\"check\":\"ca\",\"state\":\"fail\",\"text\":\"/ca.pem is "
				  "\\\"bad\\\"\",\"advice\":\"do "
				  "this\"}\n"
				  "{\"result\":\"failed\",\"ok\":1,\"warn\":0,\"fail\":1}\n");
	assert_false(good);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_has_not_failed_needs_no_advice),
		cmocka_unit_test(every_way_to_fail_that_is_not_local_has_advice),
		cmocka_unit_test(the_nearest_row_counts),
		cmocka_unit_test(a_report_has_a_line_for_each_finding_and_fails_with_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
