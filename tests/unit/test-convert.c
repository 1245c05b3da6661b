/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/convert.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

static struct tg_config_point point(double scale, double offset)
{
	return (struct tg_config_point){ .scale = scale, .offset = offset };
}

static struct tg_value integer(int64_t v)
{
	return (struct tg_value){ .type = TG_VALUE_INT, .i = v };
}

static struct tg_value real(double v)
{
	return (struct tg_value){ .type = TG_VALUE_REAL, .real = v };
}

static struct tg_sample shown(double scale, double offset, struct tg_value raw)
{
	struct tg_config_point p = point(scale, offset);
	struct tg_sample s = { .value = raw, .quality = TG_GOOD, .reason = "", .boot_us = 7 };

	tg_convert(&p, &s);
	assert_int_equal(s.boot_us, 7);
	return s;
}

static void scaling_gives_the_nearest_decimal(void **state)
{
	(void) state;
	assert_true(shown(0.1, 0, integer(3)).value.real ==
		    0.3); /* 3 * 0.1 is 0.30000000000000004 */
	assert_true(shown(0.1, 0, integer(-3)).value.real == -0.3);
	assert_true(shown(0.5, -40, integer(100)).value.real == 10);
	assert_true(shown(-2.5, 1, integer(2)).value.real == -4);
	assert_true(shown(0.001, 0, integer(21687)).value.real == 21.687);
	assert_true(shown(10, 0, real(0.25)).value.real == 2.5);
}

static void integers_stay_integers_where_nothing_is_done_to_them(void **state)
{
	struct tg_sample s =
		shown(1, 0, (struct tg_value){ .type = TG_VALUE_UINT, .u = UINT64_MAX });

	(void) state;
	assert_true(s.value.type == TG_VALUE_UINT && s.value.u == UINT64_MAX);
	s = shown(1, 0, integer(INT64_MIN));
	assert_true(s.value.type == TG_VALUE_INT && s.value.i == INT64_MIN);
	assert_true(shown(1, 1, integer(1)).value.type == TG_VALUE_REAL);
}

static void truth_and_text_are_passed_on(void **state)
{
	struct tg_sample s = shown(10, 5, (struct tg_value){ .type = TG_VALUE_BOOL, .b = true });

	(void) state;
	assert_true(s.value.type == TG_VALUE_BOOL && s.value.b);
	s = shown(10, 5, (struct tg_value){ .type = TG_VALUE_TEXT, .text = "on" });
	assert_string_equal(s.value.text, "on");
}

static void what_is_not_finite_is_bad(void **state)
{
	struct tg_sample s = shown(1, 0, real(NAN));

	(void) state;
	assert_int_equal(s.quality, TG_BAD);
	assert_int_equal(s.value.type, TG_VALUE_NONE);
	assert_string_equal(s.reason, "not a number");
	assert_string_equal(shown(1, 0, real(-INFINITY)).reason, "not a number");
	assert_string_equal(shown(1e300, 0, real(1e10)).reason, "out of range when scaled");
	assert_int_equal(shown(5e-324, 0, real(1e10)).quality, TG_GOOD);
}

static void what_is_not_good_is_left_alone(void **state)
{
	struct tg_config_point p = point(0.1, 0);
	struct tg_sample s = { .quality = TG_STALE, .reason = "stale" };

	(void) state;
	tg_convert(&p, &s);
	assert_true(s.quality == TG_STALE && s.value.type == TG_VALUE_NONE);
	assert_string_equal(s.reason, "stale");
}

static struct tg_value raw_of(double scale, double offset, struct tg_value v)
{
	struct tg_config_point p = point(scale, offset);
	struct tg_value raw;
	struct tg_fault why;

	if (tg_convert_back(&p, &v, &raw, &why) < 0)
		fail_msg("%s", why.text);
	return raw;
}

static void the_way_back_gives_the_raw_value(void **state)
{
	struct tg_value raw = raw_of(0.1, 0, real(21.7));

	(void) state;
	assert_true(raw.type == TG_VALUE_INT && raw.i == 217);
	assert_int_equal(raw_of(0.1, -40, real(-19)).i, 210);
	assert_int_equal(raw_of(0.3, 0, real(0.9)).i, 3);
	assert_true(raw_of(1, 0, real(21.7)).real == 21.7);
	assert_true(raw_of(1, 0, real(1e-12)).real == 1e-12);
	assert_int_equal(raw_of(1, 0, real(5)).i, 5);
	assert_true(raw_of(0.1, 0, real(21.75)).real == 217.5);
	assert_true(raw_of(1, 0, real(DBL_MAX)).real == DBL_MAX);
	assert_true(raw_of(1, 0, integer(INT64_MIN)).i == INT64_MIN);
	assert_true(raw_of(7, 1, (struct tg_value){ .type = TG_VALUE_BOOL, .b = true }).b);
	assert_string_equal(
		raw_of(7, 1, (struct tg_value){ .type = TG_VALUE_TEXT, .text = "x" }).text, "x");
}

/* Every register value, through every scale of that kind, comes back as it was. */
static void there_and_back_is_the_same(void **state)
{
	static const double scales[] = {
		1, 0.1, 0.01, 0.001, 0.5, 0.25, 2, 10, -0.1, 0.3, 1.0 / 3
	};

	(void) state;
	for (size_t k = 0; k < TG_ARRAY_SIZE(scales); k++) {
		for (int64_t raw = -32768; raw < 32768; raw += 7) {
			struct tg_sample s = shown(scales[k], 12.5, integer(raw));
			struct tg_value back = raw_of(scales[k], 12.5, s.value);

			if (back.type != TG_VALUE_INT || back.i != raw)
				fail_msg("scale %g, raw %lld", scales[k], (long long) raw);
		}
	}
}

static void refuses(const struct tg_config_point *p, struct tg_value v, int r, const char *text)
{
	struct tg_value raw = integer(4711);
	struct tg_fault why = { .text = "" };

	assert_int_equal(tg_convert_back(p, &v, &raw, &why), r);
	assert_string_equal(why.text, text);
	assert_int_equal(raw.i, 4711);
}

static void values_outside_the_range_are_refused(void **state)
{
	struct tg_config_point p = point(0.1, 0);

	(void) state;
	p.has_min = p.has_max = true;
	p.min = 5;
	p.max = 80.5;
	refuses(&p, real(4.99), -ERANGE, "4.99 is below min = 5");
	refuses(&p, integer(81), -ERANGE, "81 is above max = 80.5");
	refuses(&p, real(NAN), -ERANGE, "not a number");
	refuses(&p, (struct tg_value){ .type = TG_VALUE_NONE }, -EINVAL, "no value");
	p.has_min = p.has_max = false;
	p.scale = 1e-300;
	refuses(&p, real(1e300), -ERANGE, "out of range when scaled");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scaling_gives_the_nearest_decimal),
		cmocka_unit_test(integers_stay_integers_where_nothing_is_done_to_them),
		cmocka_unit_test(truth_and_text_are_passed_on),
		cmocka_unit_test(what_is_not_finite_is_bad),
		cmocka_unit_test(what_is_not_good_is_left_alone),
		cmocka_unit_test(the_way_back_gives_the_raw_value),
		cmocka_unit_test(there_and_back_is_the_same),
		cmocka_unit_test(values_outside_the_range_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
