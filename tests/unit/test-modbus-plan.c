/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/modbus/plan.h"

#include "agent/bus/modbus/pdu.h"
#include "agent/bus/modbus/value.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

#define MANY 300

static struct tg_config_point points[MANY];
static struct tg_config_device dev = { .name = (char *) (uintptr_t) "dev", .points = points };
static struct tg_modbus_plan *plan;
static uint64_t rnd = 88172645463325252;

static uint64_t next_random(void)
{
	rnd ^= rnd << 13;
	rnd ^= rnd >> 7;
	rnd ^= rnd << 17;
	return rnd;
}

static int set_up(void **state)
{
	(void) state;
	memset(points, 0, sizeof(points));
	dev.n_points = 0;
	dev.modbus.max_gap = 0;
	plan = NULL;
	return 0;
}

static int tear_down(void **state)
{
	(void) state;
	plan = tg_modbus_plan_free(plan);
	return 0;
}

static void add(enum tg_modbus_table table, unsigned address, enum tg_modbus_type type)
{
	points[dev.n_points++] = (struct tg_config_point){
		.name = (char *) (uintptr_t) "p",
		.modbus = { .table = table,
			    .address = (uint16_t) address,
			    .type = type,
			    .bit = -1 },
	};
}

static void make_plan(void)
{
	assert_int_equal(tg_modbus_plan_new(&dev, &plan, NULL), 0);
}

static void expect_block(size_t i, unsigned address, unsigned count, size_t n)
{
	assert_in_range(i, 0, plan->n_blocks - 1);
	assert_int_equal(plan->blocks[i].address, address);
	assert_int_equal(plan->blocks[i].count, count);
	assert_int_equal(plan->blocks[i].n, n);
}

/* What must hold of every plan, whatever was cut: each point in one block, whole, within the
 * limits, no gap too wide. */
static void check_plan(void)
{
	unsigned covered[MANY] = { 0 };
	uint32_t reach[4] = {
		0
	}; /* of each table: registers in use so far, by this block or one before it */

	for (size_t b = 0; b < plan->n_blocks; b++) {
		const struct tg_modbus_block *blk = &plan->blocks[b];
		uint32_t end = blk->address;

		assert_true(blk->n > 0 && blk->count > 0);
		assert_true(blk->count <= (tg_modbus_is_bits(blk->table)
						   ? TG_MODBUS_BITS_MAX
						   : TG_MODBUS_REGISTERS_MAX));
		for (size_t k = blk->first; k < blk->first + blk->n; k++) {
			const struct tg_modbus_read *r = &points[plan->order[k]].modbus;
			uint32_t past =
				r->address +
				(tg_modbus_is_bits(r->table) ? 1u : tg_modbus_read_span(r));

			covered[plan->order[k]]++;
			assert_int_equal(r->table, blk->table);
			assert_true(r->address >= blk->address &&
				    past <= (uint32_t) blk->address + blk->count);
			assert_true(k == blk->first ||
				    r->address <= reach[r->table] + dev.modbus.max_gap);
			reach[r->table] = past > reach[r->table] ? past : reach[r->table];
			end = past > end ? past : end;
		}
		assert_int_equal(end, blk->address + blk->count);
	}
	for (size_t i = 0; i < dev.n_points; i++)
		assert_int_equal(covered[i], 1);
}

static void neighbours_make_one_block_up_to_the_limit(void **state)
{
	(void) state;
	for (unsigned i = 0; i < 130; i++)
		add(TG_MODBUS_HOLDING, 129 - i, TG_MODBUS_UINT16);
	make_plan();
	assert_int_equal(plan->n_blocks, 2);
	expect_block(0, 0, 125, 125);
	expect_block(1, 125, 5, 5);
}

static void values_are_never_split(void **state)
{
	(void) state;
	for (unsigned i = 0; i < 40; i++)
		add(TG_MODBUS_INPUT, 4 * i, TG_MODBUS_FLOAT64);
	make_plan();
	assert_int_equal(plan->n_blocks, 2);
	expect_block(0, 0, 124, 31);
	expect_block(1, 124, 36, 9);
}

static void gaps_are_spanned_as_far_as_allowed(void **state)
{
	(void) state;
	add(TG_MODBUS_HOLDING, 10, TG_MODBUS_FLOAT32);
	add(TG_MODBUS_HOLDING, 16, TG_MODBUS_UINT16);
	add(TG_MODBUS_HOLDING, 22, TG_MODBUS_UINT16);
	dev.modbus.max_gap = 4;
	make_plan();
	assert_int_equal(plan->n_blocks, 2);
	expect_block(0, 10, 7, 2);
	expect_block(1, 22, 1, 1);
}

static void tables_are_kept_apart(void **state)
{
	(void) state;
	add(TG_MODBUS_HOLDING, 10, TG_MODBUS_UINT16);
	add(TG_MODBUS_INPUT, 11, TG_MODBUS_UINT16);
	add(TG_MODBUS_COIL, 10, TG_MODBUS_BOOL);
	add(TG_MODBUS_DISCRETE, 11, TG_MODBUS_BOOL);
	make_plan();
	assert_int_equal(plan->n_blocks, 4);
}

static void coils_are_read_two_thousand_at_a_time(void **state)
{
	(void) state;
	dev.modbus.max_gap = 10;
	for (unsigned i = 0; i < 201; i++)
		add(TG_MODBUS_COIL, 10 * i, TG_MODBUS_BOOL);
	make_plan();
	assert_int_equal(plan->n_blocks, 2);
	expect_block(0, 0, 1991, 200);
}

static void overlapping_points_share_their_registers(void **state)
{
	(void) state;
	add(TG_MODBUS_HOLDING, 10, TG_MODBUS_FLOAT64);
	add(TG_MODBUS_HOLDING, 11, TG_MODBUS_UINT16);
	add(TG_MODBUS_HOLDING, 10, TG_MODBUS_UINT16);
	make_plan();
	assert_int_equal(plan->n_blocks, 1);
	expect_block(0, 10, 4, 3);
}

static void what_no_device_can_have_is_refused(void **state)
{
	(void) state;
	add(TG_MODBUS_HOLDING, 65535, TG_MODBUS_UINT16);
	make_plan();
	plan = tg_modbus_plan_free(plan);
	add(TG_MODBUS_HOLDING, 65535, TG_MODBUS_UINT32);
	assert_int_equal(tg_modbus_plan_new(&dev, &plan, NULL), -ERANGE);
	points[1].modbus.address = 65534;
	points[0].modbus.table = TG_MODBUS_COIL;
	assert_int_equal(tg_modbus_plan_new(&dev, &plan, NULL), -EINVAL);
	points[0].modbus.type = TG_MODBUS_BOOL;
	make_plan();
}

static void random_plans_cover_every_point_once_within_the_limits(void **state)
{
	(void) state;
	for (unsigned round = 0; round < 300; round++) {
		dev.n_points = 0;
		dev.modbus.max_gap = (unsigned) (next_random() % 20);
		for (size_t n = 1 + next_random() % MANY, span = 1 + next_random() % 3000;
		     dev.n_points < n;) {
			enum tg_modbus_table table = (enum tg_modbus_table)(next_random() % 4);
			enum tg_modbus_type type = (enum tg_modbus_type)(next_random() % 9);

			add(table, (unsigned) (next_random() % span),
			    tg_modbus_is_bits(table) ? TG_MODBUS_BOOL : type);
		}
		make_plan();
		check_plan();
		for (unsigned cuts = 0; cuts < 20; cuts++) {
			(void) tg_modbus_plan_split(plan, next_random() % plan->n_blocks);
			check_plan();
		}
		tg_modbus_plan_settle(plan);
		check_plan();
		tg_modbus_plan_forget(plan);
		check_plan();
		assert_false(tg_modbus_plan_is_cut(plan));
		plan = tg_modbus_plan_free(plan);
	}
}

/* --- a device that refuses blocks with a bad address or above its own limit --- */

static bool bad_address[MANY];
static unsigned own_limit;

static bool refuses(const struct tg_modbus_block *b)
{
	for (unsigned a = b->address; a < b->address + (unsigned) b->count; a++) {
		if (bad_address[a])
			return true;
	}
	return b->count > own_limit;
}

/* One poll as the driver does it. Returns the requests that it took. */
static unsigned poll_once(bool good[static MANY])
{
	unsigned requests = 0;

	tg_modbus_plan_settle(plan);
	for (size_t i = 0; i < plan->n_blocks;) {
		const struct tg_modbus_block *b = &plan->blocks[i];
		bool refused = refuses(b);

		requests++;
		if (refused && tg_modbus_plan_split(plan, i))
			continue;
		b = &plan->blocks[i];
		for (size_t k = b->first; k < b->first + b->n; k++)
			good[plan->order[k]] = !refused;
		i++;
	}
	return requests;
}

/* From the first poll on exactly the bad points are bad, and after a few polls no request is
 * refused but theirs. */
static void check_device(unsigned want_requests)
{
	bool good[MANY] = { false };
	unsigned requests = 0;

	for (unsigned polls = 0; polls < 12; polls++) {
		requests = poll_once(good);
		check_plan();
		for (size_t i = 0; i < dev.n_points; i++)
			assert_int_equal(good[i], !bad_address[points[i].modbus.address]);
	}
	if (want_requests > 0)
		assert_int_equal(requests, want_requests);
	for (size_t i = 0; i < plan->n_blocks; i++)
		assert_true(!refuses(&plan->blocks[i]) || plan->blocks[i].n == 1);
}

static void reset_device(void)
{
	memset(bad_address, 0, sizeof(bad_address));
	own_limit = 125;
	set_up(NULL);
}

static void a_bad_address_ends_up_alone_between_two_blocks(void **state)
{
	(void) state;
	for (unsigned bad = 0; bad < 100; bad += 7) {
		reset_device();
		for (unsigned i = 0; i < 100; i++)
			add(TG_MODBUS_HOLDING, i, TG_MODBUS_UINT16);
		bad_address[bad] = true;
		make_plan();
		check_device(bad == 0 ? 2 : 3);
		plan = tg_modbus_plan_free(plan);
	}
}

static void a_hole_between_points_costs_one_more_request(void **state)
{
	(void) state;
	reset_device();
	dev.modbus.max_gap = 10;
	for (unsigned i = 0; i < 60; i++)
		add(TG_MODBUS_HOLDING, i < 23 ? i : i + 5, TG_MODBUS_UINT16);
	bad_address[25] = true;
	make_plan();
	assert_int_equal(plan->n_blocks, 1);
	check_device(2);
}

static void any_pattern_of_bad_addresses_is_found_and_remembered(void **state)
{
	(void) state;
	for (unsigned round = 0; round < 100; round++) {
		reset_device();
		own_limit = 1 + (unsigned) (next_random() % 125);
		dev.modbus.max_gap = (unsigned) (next_random() % 5);
		for (unsigned i = 0; i < MANY; i++) {
			bad_address[i] = next_random() % 20 == 0;
			if (next_random() % 3 > 0)
				add(TG_MODBUS_HOLDING, i, TG_MODBUS_UINT16);
		}
		make_plan();
		check_device(0);
		plan = tg_modbus_plan_free(plan);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(neighbours_make_one_block_up_to_the_limit),
		TEST(values_are_never_split),
		TEST(gaps_are_spanned_as_far_as_allowed),
		TEST(tables_are_kept_apart),
		TEST(coils_are_read_two_thousand_at_a_time),
		TEST(overlapping_points_share_their_registers),
		TEST(what_no_device_can_have_is_refused),
		TEST(random_plans_cover_every_point_once_within_the_limits),
		TEST(a_bad_address_ends_up_alone_between_two_blocks),
		TEST(a_hole_between_points_costs_one_more_request),
		TEST(any_pattern_of_bad_addresses_is_found_and_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
