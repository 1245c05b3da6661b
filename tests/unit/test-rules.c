/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pipeline/admit.h"
#include "agent/pipeline/rules.h"

#include "tests/unit/test.h"

#include <math.h>
#include <string.h>

#define S 1000000 /* microseconds */

static struct tg_sample real(double v)
{
	return (struct tg_sample){ .point = "p",
				   .unit = "",
				   .reason = "",
				   .value = { .type = TG_VALUE_REAL, .real = v },
				   .boot_us = 100 * (uint64_t) S };
}

static struct tg_sample integer(int64_t v)
{
	struct tg_sample s = real(0);

	s.value = (struct tg_value){ .type = TG_VALUE_INT, .i = v };
	return s;
}

static struct tg_sample text(const char *v)
{
	struct tg_sample s = real(0);

	s.value = (struct tg_value){ .type = TG_VALUE_TEXT, .text = v };
	return s;
}

static struct tg_sample bad(const char *reason)
{
	struct tg_sample s = real(0);

	s.value.type = TG_VALUE_NONE;
	s.quality = TG_BAD;
	s.reason = reason;
	return s;
}

static struct tg_sample at(struct tg_sample s, uint64_t boot_us)
{
	s.boot_us = boot_us;
	return s;
}

static struct tg_rule rule(double deadband, bool percent)
{
	char name[] = "p";
	struct tg_config_point point = { .name = name,
					 .publish = TG_PUBLISH_CHANGE,
					 .deadband = deadband,
					 .deadband_percent = percent,
					 .max_silence_us = 600 * (uint64_t) S };
	struct tg_rule r;

	assert_int_equal(tg_rule_init(&r, &point), 0);
	return r;
}

/* Whether @now is due after @before was published. */
static bool due_after(double deadband, bool percent, struct tg_sample before, struct tg_sample now)
{
	tg_cleanup(tg_rule_done) struct tg_rule r = rule(deadband, percent);

	tg_rule_told(&r, &before);
	return tg_rule_due(&r, &now);
}

static void a_first_value_is_due_even_if_zero_or_bad(void **state)
{
	tg_cleanup(tg_rule_done) struct tg_rule r = rule(5, false);
	struct tg_sample zero = real(0), broken = bad("timeout");

	(void) state;
	assert_true(tg_rule_due(&r, &zero));
	assert_true(tg_rule_due(&r, &broken));
}

static void always_means_every_good_reading(void **state)
{
	tg_cleanup(tg_rule_done) struct tg_rule r = rule(5, false);
	struct tg_sample s = real(1), b = bad("x");

	(void) state;
	r.publish = TG_PUBLISH_ALWAYS;
	tg_rule_told(&r, &s);
	assert_true(tg_rule_due(&r, &s));
	assert_true(tg_rule_due(&r, &b));
	tg_rule_told(&r, &b);
	assert_true(tg_rule_due(&r, &s));
}

/* With both: a device that is dead for a week fills neither disk nor bill. */
static void what_stays_bad_is_told_once_and_repeated_rarely(void **state)
{
	static const enum tg_publish both[] = { TG_PUBLISH_ALWAYS, TG_PUBLISH_CHANGE };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(both); i++) {
		tg_cleanup(tg_rule_done) struct tg_rule r = rule(0, false);
		struct tg_sample b = bad("timeout"), good = real(1);
		unsigned told = 0;

		r.publish = both[i];
		for (uint64_t t = 0; t < 3600; t++) {
			b = at(b, (1000 + t) * (uint64_t) S);
			if (!tg_rule_due(&r, &b))
				continue;
			tg_rule_told(&r, &b);
			told++;
		}
		assert_int_equal(told, 6); /* at once, and each ten minutes */
		good = at(good, 5000 * (uint64_t) S);
		assert_true(tg_rule_due(&r, &good));
		b.quality = TG_STALE;
		assert_true(tg_rule_due(&r, &b));
	}
}

static void the_deadband_decides(void **state)
{
	static const struct {
		double deadband;
		bool percent;
		double before, now;
		bool due;
	} cases[] = {
		/* none: any change, and only a change */
		{ 0, false, 1, 1, false },
		{ 0, false, 1, 1.0000001, true },
		{ 0, false, 0.0, -0.0, false },
		{ 0, false, 5, 0, true },
		/* absolute */
		{ 0.25, false, 20, 20.25, false },
		{ 0.25, false, 20, 19.75, false },
		{ 0.25, false, 20, 20.26, true },
		{ 0.25, false, 20, 19.5, true },
		{ 0.25, false, 0.3, 0, true },
		{ 0.25, false, 0, 0.2, false },
		{ 0.25, false, 0, -0.3, true },
		/* percent of the last published value */
		{ 1, true, 200, 202, false },
		{ 1, true, 200, 202.5, true },
		{ 1, true, -200, -202, false },
		{ 1, true, -200, -197, true },
		{ 1, true, 0, 0, false },
		{ 1, true, 0, 0.0001, true },
		{ 1, true, 0.0001, 0, true },
		{ 100, true, 5, 0, false },
		/* sums that leave the range of doubles */
		{ 1, false, -1.7e308, 1.7e308, true },
		{ 50, true, 1.7e308, 1.6e308, false },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		if (due_after(cases[i].deadband, cases[i].percent, real(cases[i].before),
			      real(cases[i].now)) != cases[i].due)
			fail_msg("case %zu: %g to %g", i, cases[i].before, cases[i].now);
	}
}

static void slow_drift_is_not_missed(void **state)
{
	tg_cleanup(tg_rule_done) struct tg_rule r = rule(1, false);
	struct tg_sample s = real(0);
	int published = 0;

	(void) state;
	for (int i = 0; i <= 100; i++) {
		s.value.real = i * 0.1;
		if (tg_rule_due(&r, &s)) {
			tg_rule_told(&r, &s);
			published++;
		}
	}
	assert_in_range(published, 9, 11);
}

static void integers_keep_all_their_digits(void **state)
{
	const int64_t big = INT64_MAX - 1;

	(void) state;
	assert_false(due_after(0, false, integer(big), integer(big)));
	assert_true(due_after(0, false, integer(big), integer(big + 1)));
	assert_false(due_after(1, false, integer(big), integer(big + 1)));
	assert_true(due_after(1, false, integer(INT64_MIN), integer(INT64_MAX)));
	assert_true(due_after(1, true, integer(INT64_MIN), integer(INT64_MAX)));
	assert_true(due_after(100, false, integer(1), real(1)));
}

static void texts_are_compared_by_content(void **state)
{
	char word[] = "run";
	tg_cleanup(tg_rule_done) struct tg_rule r = rule(0, false);
	struct tg_sample s = text(word);

	(void) state;
	tg_rule_told(&r, &s);
	assert_false(tg_rule_due(&r, &s));
	/* The driver's buffer changes under the rule. */
	word[1] = 'a';
	assert_true(tg_rule_due(&r, &s));
}

static void a_change_of_quality_is_due_at_once_and_once(void **state)
{
	(void) state;
	assert_true(due_after(100, false, real(1), bad("timeout")));
	assert_false(due_after(0, false, bad("timeout"), bad("timeout")));
	assert_false(due_after(0, false, bad("timeout"), bad("refused")));
	assert_true(due_after(100, false, bad("timeout"), real(1)));
}

static void silence_ends_after_max_silence(void **state)
{
	const uint64_t t = 1000 * (uint64_t) S, later = t + 600 * (uint64_t) S;

	(void) state;
	assert_false(due_after(0, false, at(real(1), t), at(real(1), later - 1)));
	assert_true(due_after(0, false, at(real(1), t), at(real(1), later)));
	assert_true(due_after(0, false, at(bad("x"), t), at(bad("x"), later)));
	/* An older reading is not a long silence. */
	assert_false(due_after(0, false, at(real(1), t), at(real(1), 0)));
}

static void a_driver_that_breaks_the_rules_loses_its_value_only(void **state)
{
	static char longest[TG_TEXT_MAX + 2];
	struct tg_sample s = real(NAN);

	(void) state;
	memset(longest, 'x', TG_TEXT_MAX + 1);
	s = tg_sample_admit(&s);
	assert_int_equal(s.quality, TG_BAD);
	assert_int_equal(s.value.type, TG_VALUE_NONE);
	assert_string_equal(s.reason, "not a number");

	s = text(longest);
	s = tg_sample_admit(&s);
	assert_string_equal(s.reason, "text too long");

	s = real(1);
	s.value.type = TG_VALUE_NONE;
	s = tg_sample_admit(&s);
	assert_string_equal(s.reason, "no value");

	s = bad(longest);
	s.value.type = TG_VALUE_REAL;
	s = tg_sample_admit(&s);
	assert_int_equal(s.value.type, TG_VALUE_NONE);
	assert_true(strlen(s.reason) <= TG_REASON_MAX);

	s = real(1);
	s.unit = longest;
	s.reason = "left over";
	s = tg_sample_admit(&s);
	assert_int_equal(s.quality, TG_GOOD);
	assert_string_equal(s.unit, "");
	assert_string_equal(s.reason, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_first_value_is_due_even_if_zero_or_bad),
		cmocka_unit_test(always_means_every_good_reading),
		cmocka_unit_test(what_stays_bad_is_told_once_and_repeated_rarely),
		cmocka_unit_test(the_deadband_decides),
		cmocka_unit_test(slow_drift_is_not_missed),
		cmocka_unit_test(integers_keep_all_their_digits),
		cmocka_unit_test(texts_are_compared_by_content),
		cmocka_unit_test(a_change_of_quality_is_due_at_once_and_once),
		cmocka_unit_test(silence_ends_after_max_silence),
		cmocka_unit_test(a_driver_that_breaks_the_rules_loses_its_value_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
