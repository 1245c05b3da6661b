/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/total.h"

#include "base/buffer.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static uint64_t step(struct tg_total *t, unsigned bits, uint64_t raw)
{
	tg_total_step(t, bits, raw);
	return t->total;
}

static void what_a_counter_shows_first_is_the_total(void **state)
{
	struct tg_total t = { 0 };

	(void) state;
	assert_int_equal(step(&t, 32, 123456), 123456);
	assert_int_equal(step(&t, 32, 123456), 123456);
	assert_int_equal(step(&t, 32, 123460), 123460);
}

static void a_wrap_goes_on(void **state)
{
	struct tg_total t = { 0 }, wide = { 0 };

	(void) state;
	(void) step(&t, 16, 65530);
	assert_int_equal(step(&t, 16, 5), 65541);
	/* A step of more than half of the range forwards is one, not a restart. */
	assert_int_equal(step(&t, 16, 40005), 105541);
	assert_int_equal(step(&t, 16, 10), 65541 + 65536 + 5);
	(void) step(&wide, 64, UINT64_MAX - 1);
	(void) step(&wide, 64, 3);
	assert_int_equal(wide.total, 3); /* modulo 2^64, and five further */
}

static void a_device_that_starts_over_adds_what_it_has_counted_since(void **state)
{
	struct tg_total t = { 0 };

	(void) state;
	(void) step(&t, 32, 1000);
	assert_int_equal(step(&t, 32, 7), 1007);
	assert_int_equal(step(&t, 32, 9), 1009);
}

static void a_count_since_the_bus_was_opened_is_all_new(void **state)
{
	struct tg_total t = { .begun = true, .fresh = true, .last = 3, .total = 1003 };

	(void) state;
	assert_int_equal(step(&t, 64, 10), 1013);
	assert_int_equal(step(&t, 64, 12), 1015);
}

/* Whatever happens, no more is added than the range, and without wraps and restarts exactly what was counted. */
static void a_million_steps_lose_nothing(void **state)
{
	struct tg_total t = { 0 };
	uint64_t counted = 0, rnd = 88172645463325252;

	(void) state;
	(void) step(&t, 16, 0);
	for (unsigned i = 0; i < 1000000; i++) {
		rnd ^= rnd << 13, rnd ^= rnd >> 7, rnd ^= rnd << 17;
		counted += rnd % 32000; /* less than half of the range between two readings */
		assert_int_equal(step(&t, 16, counted & 0xffff), counted);
	}
}

/* --- the file --- */

static struct {
	char names[4][TG_NAME_MAX + 1];
	uint64_t last[4], total[4];
	size_t n;
} seen;

static void line(void *user, const char *name, uint64_t last, uint64_t total)
{
	(void) user;
	(void) snprintf(seen.names[seen.n], sizeof(seen.names[0]), "%s", name);
	seen.last[seen.n] = last;
	seen.total[seen.n++] = total;
}

static void make(struct tg_buffer *b)
{
	const struct tg_total a = { .last = 5, .total = 65541 },
			      z = { .last = 0, .total = UINT64_MAX };

	tg_totals_put_head(b);
	tg_totals_put(b, "energy", &a);
	tg_totals_put(b, "pulses.2", &z);
	tg_totals_put_tail(b);
	seen.n = 0;
}

static void what_is_written_is_read(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(4096);

	(void) state;
	make(&b);
	assert_int_equal(tg_totals_parse(b.data, b.len, line, NULL), 0);
	assert_int_equal(seen.n, 2);
	assert_string_equal(seen.names[0], "energy");
	assert_true(seen.last[0] == 5 && seen.total[0] == 65541);
	assert_string_equal(seen.names[1], "pulses.2");
	assert_true(seen.total[1] == UINT64_MAX);
}

static void no_damage_passes(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(4096);

	(void) state;
	make(&b);
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(tg_totals_parse(b.data, len, line, NULL), -EBADMSG);
	for (size_t i = 0; i < b.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			b.data[i] = (char) (b.data[i] ^ 1 << bit);
			assert_int_equal(tg_totals_parse(b.data, b.len, line, NULL), -EBADMSG);
			b.data[i] = (char) (b.data[i] ^ 1 << bit);
		}
	}
	assert_int_equal(seen.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_counter_shows_first_is_the_total),
		cmocka_unit_test(a_wrap_goes_on),
		cmocka_unit_test(a_device_that_starts_over_adds_what_it_has_counted_since),
		cmocka_unit_test(a_count_since_the_bus_was_opened_is_all_new),
		cmocka_unit_test(a_million_steps_lose_nothing),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(no_damage_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
