/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "tests/cuts/verdict.h"

#include <string.h>

/*
 * The judge of the spool: a clean run passes, and each kind of planted error is found. Device 0 has the packs 1, 3, 5 ... 19,
 * device 1 the others.
 */
#define PACKS 20u
#define CUT   50u

struct bench {
	struct verdict_ledger ledger;
	struct verdict_arrival arrivals[PACKS + 4];
	struct verdict_case c;
	struct verdict_finding findings[8];
	size_t found;
};

static unsigned device_of(uint64_t seq)
{
	return seq % 2 == 0;
}

static struct verdict_arrival arrival(uint64_t seq)
{
	return (struct verdict_arrival){ .seq = seq,
					 .crc = (uint32_t) seq * 7,
					 .device = device_of(seq) };
}

/* All promised before the cut, all came. */
static void setup(struct bench *b)
{
	*b = (struct bench){ .found = 0 };
	for (uint64_t seq = 1; seq <= PACKS; seq++) {
		struct verdict_pack *p = verdict_put(&b->ledger, seq, device_of(seq),
						     (uint32_t) seq * 7, (size_t) seq);

		p->promised = 20 + (size_t) seq;
		b->arrivals[seq - 1] = arrival(seq);
	}
	b->c = (struct verdict_case){ .ledger = &b->ledger,
				      .cut = CUT,
				      .arrivals = b->arrivals,
				      .n = PACKS,
				      .rows = PACKS,
				      .ended = true };
}

static struct verdict_pack *pack(struct bench *b, uint64_t seq)
{
	return verdict_find(&b->ledger, seq);
}

/* Pack @seq does not come. */
static void miss(struct bench *b, uint64_t seq)
{
	size_t at = 0;

	while (b->arrivals[at].seq != seq)
		at++;
	memmove(b->arrivals + at, b->arrivals + at + 1, (--b->c.n - at) * sizeof(*b->arrivals));
	b->c.rows = b->c.n;
}

/* Devices' packs from @first to @last become one gap record. */
static void gap(struct bench *b, uint64_t first, uint64_t last, uint64_t count)
{
	for (uint64_t seq = first; seq <= last; seq += 2) {
		pack(b, seq)->droppable = 40;
		if (seq != last)
			miss(b, seq);
	}
	for (size_t i = 0; i < b->c.n; i++)
		if (b->arrivals[i].seq == last) {
			b->arrivals[i].gap = count;
			b->arrivals[i].gap_first = first;
		}
	b->c.dropped = count;
}

static void judge(struct bench *b)
{
	b->found = verdict_judge(&b->c, b->findings, 8);
	verdict_done(&b->ledger);
}

/* One finding, and this one. */
static void finds(struct bench *b, enum verdict_kind kind, uint64_t seq)
{
	judge(b);
	if (b->found != 1 || b->findings[0].kind != kind || b->findings[0].seq != seq)
		fail_msg("%zu findings, the first is %s of pack %d, not %s", b->found,
			 verdict_name(b->findings[0].kind), (int) b->findings[0].seq,
			 verdict_name(kind));
}

static void finds_nothing(struct bench *b)
{
	judge(b);
	if (b->found != 0)
		fail_msg("%s of pack %d", verdict_name(b->findings[0].kind),
			 (int) b->findings[0].seq);
}

static void passes_what_is_whole(void **state)
{
	struct bench b;

	(void) state;
	setup(&b);
	finds_nothing(&b);
}

static void passes_what_may_be(void **state)
{
	struct bench b;

	(void) state;
	/* Not promised before the cut, or acknowledged: may be missing. */
	setup(&b);
	pack(&b, 20)->promised = CUT + 1;
	pack(&b, 4)->acked = CUT;
	miss(&b, 20);
	miss(&b, 4);
	finds_nothing(&b);
	/* Acknowledged, and deleted after the cut: may come again. */
	setup(&b);
	pack(&b, 4)->acked = 30;
	pack(&b, 4)->settled = CUT + 1;
	finds_nothing(&b);
	/* Set aside. */
	setup(&b);
	pack(&b, 7)->refused = 30;
	pack(&b, 7)->aside = 35;
	b.c.set_aside = 1;
	miss(&b, 7);
	finds_nothing(&b);
	/* Devices need not come in order of one another. */
	setup(&b);
	b.arrivals[0] = arrival(2);
	b.arrivals[1] = arrival(1);
	finds_nothing(&b);
	setup(&b);
	gap(&b, 5, 9, 3);
	finds_nothing(&b);
}

static void finds_a_lost_pack(void **state)
{
	struct bench b;

	(void) state;
	setup(&b);
	miss(&b, 8);
	finds(&b, VERDICT_LOST, 8);
	/* An acknowledgement after the cut excuses nothing. */
	setup(&b);
	pack(&b, 8)->acked = CUT + 1;
	miss(&b, 8);
	finds(&b, VERDICT_LOST, 8);
	/* A drop that no gap record tells of. */
	setup(&b);
	pack(&b, 8)->droppable = 30;
	miss(&b, 8);
	finds(&b, VERDICT_LOST, 8);
}

static void is_not_fooled_by_silence(void **state)
{
	struct bench b;

	(void) state;
	setup(&b);
	b.c.n = b.c.rows = 0;
	judge(&b);
	assert_int_equal(b.found, PACKS);
	/* A gap record of everything, where no limit was reached. */
	setup(&b);
	gap(&b, 1, 19, 10);
	for (uint64_t seq = 1; seq <= 19; seq += 2)
		pack(&b, seq)->droppable = VERDICT_NEVER;
	judge(&b);
	assert_int_equal(b.found, 10 + 1);
	assert_int_equal(b.findings[0].kind, VERDICT_LOST);
	assert_int_equal(b.findings[7].kind, VERDICT_LOST);
}

static void finds_an_invented_pack(void **state)
{
	struct bench b;

	(void) state;
	setup(&b);
	b.arrivals[b.c.n] = arrival(PACKS + 1);
	b.c.rows = ++b.c.n;
	finds(&b, VERDICT_INVENTED, PACKS + 1);
	/* Made after the cut. */
	setup(&b);
	pack(&b, 20)->put = CUT + 1;
	pack(&b, 20)->promised = VERDICT_NEVER;
	finds(&b, VERDICT_INVENTED, 20);
}

static void finds_an_altered_pack(void **state)
{
	struct bench b;

	(void) state;
	setup(&b);
	b.arrivals[11].crc ^= 1;
	finds(&b, VERDICT_ALTERED, 12);
	/* As another device's. */
	setup(&b);
	b.arrivals[19].device = 2;
	finds(&b, VERDICT_ALTERED, 20);
}

static void finds_a_pack_that_comes_twice(void **state)
{
	struct bench b;

	(void) state;
	setup(&b);
	b.arrivals[b.c.n] = arrival(20);
	b.c.rows = ++b.c.n;
	finds(&b, VERDICT_TWICE, 20);
	setup(&b);
	pack(&b, 4)->acked = pack(&b, 4)->settled = 30;
	finds(&b, VERDICT_TWICE, 4);
	setup(&b);
	pack(&b, 4)->refused = pack(&b, 4)->aside = 30;
	b.c.set_aside = 1;
	finds(&b, VERDICT_TWICE, 4);
}

static void finds_disorder_within_a_device(void **state)
{
	struct bench b;

	(void) state;
	setup(&b);
	b.arrivals[4] = arrival(7);
	b.arrivals[6] = arrival(5);
	finds(&b, VERDICT_DISORDER, 5);
}

static void finds_gap_records_that_lie(void **state)
{
	struct bench b;

	(void) state;
	/* Too few, too many. */
	setup(&b);
	gap(&b, 5, 9, 2);
	finds(&b, VERDICT_FALSE_GAP, 9);
	setup(&b);
	gap(&b, 5, 9, 3);
	for (size_t i = 0; i < b.c.n; i++)
		if (b.arrivals[i].gap)
			b.arrivals[i].gap = 4;
	pack(&b, 1)->droppable = 40;
	b.c.dropped = 4;
	finds(&b, VERDICT_FALSE_GAP, 9);
	/* Speaks of what came. */
	setup(&b);
	gap(&b, 5, 9, 3);
	b.arrivals[b.c.n++] = (struct verdict_arrival){
		.seq = 19, .crc = 1, .device = 0, .gap = 1, .gap_first = 19
	};
	b.c.rows = b.c.n;
	pack(&b, 1)->droppable = 40;
	b.c.dropped = 4;
	finds(&b, VERDICT_FALSE_GAP, 19);
}

static void finds_wrong_counts(void **state)
{
	struct bench b;

	(void) state;
	setup(&b);
	b.c.rows++;
	finds(&b, VERDICT_MISCOUNTED, 0);
	setup(&b);
	b.c.dropped = 1;
	finds(&b, VERDICT_MISCOUNTED, 0);
	setup(&b);
	gap(&b, 5, 9, 3);
	b.c.dropped = 2;
	finds(&b, VERDICT_MISCOUNTED, 0);
	setup(&b);
	b.c.set_aside = 1;
	finds(&b, VERDICT_MISCOUNTED, 0);
}

static void finds_a_file_that_needs_repair_or_does_not_drain(void **state)
{
	struct bench b;

	(void) state;
	setup(&b);
	b.c.told = true;
	finds(&b, VERDICT_DAMAGED, 0);
	setup(&b);
	b.c.ended = false;
	finds(&b, VERDICT_STUCK, 0);
	setup(&b);
	b.c.left = 1;
	finds(&b, VERDICT_STUCK, 0);
}

static void wants_losses_of_an_altered_file_told(void **state)
{
	struct bench b;

	(void) state;
	setup(&b);
	b.c.altered = b.c.told = true;
	miss(&b, 3);
	finds_nothing(&b);
	setup(&b);
	b.c.altered = true;
	miss(&b, 3);
	finds(&b, VERDICT_LOST, 3);
	/* Packs that a damaged tree has hidden may come late. */
	setup(&b);
	b.c.altered = b.c.told = true;
	b.arrivals[4] = arrival(7);
	b.arrivals[6] = arrival(5);
	finds_nothing(&b);
	setup(&b);
	b.c.altered = b.c.told = true;
	b.arrivals[b.c.n++] = arrival(20);
	finds_nothing(&b);
	setup(&b);
	b.c.altered = true;
	b.arrivals[4] = arrival(7);
	b.arrivals[6] = arrival(5);
	finds(&b, VERDICT_DISORDER, 5);
	/* But altered bytes are never sent. */
	setup(&b);
	b.c.altered = b.c.told = true;
	b.arrivals[2].crc ^= 1;
	finds(&b, VERDICT_ALTERED, 3);
}

static void freezes_what_held_at_the_cut(void **state)
{
	struct verdict_ledger frozen = { .n = 0 };
	struct bench b;

	(void) state;
	setup(&b);
	pack(&b, 20)->put = CUT + 1;
	pack(&b, 2)->acked = CUT;
	pack(&b, 3)->acked = CUT + 1;
	verdict_freeze(&frozen, &b.ledger, CUT);
	assert_int_equal(frozen.n, PACKS - 1);
	assert_null(verdict_find(&frozen, 20));
	assert_int_equal(verdict_find(&frozen, 1)->promised, 0);
	assert_int_equal(verdict_find(&frozen, 2)->acked, 0);
	assert_true(verdict_find(&frozen, 3)->acked == VERDICT_NEVER);
	verdict_done(&frozen);
	verdict_done(&b.ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passes_what_is_whole),
		cmocka_unit_test(passes_what_may_be),
		cmocka_unit_test(finds_a_lost_pack),
		cmocka_unit_test(is_not_fooled_by_silence),
		cmocka_unit_test(finds_an_invented_pack),
		cmocka_unit_test(finds_an_altered_pack),
		cmocka_unit_test(finds_a_pack_that_comes_twice),
		cmocka_unit_test(finds_disorder_within_a_device),
		cmocka_unit_test(finds_gap_records_that_lie),
		cmocka_unit_test(finds_wrong_counts),
		cmocka_unit_test(finds_a_file_that_needs_repair_or_does_not_drain),
		cmocka_unit_test(wants_losses_of_an_altered_file_told),
		cmocka_unit_test(freezes_what_held_at_the_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
