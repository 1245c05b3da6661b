/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/quarantine.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

#define NOW   UINT64_C(5000)
#define SOON  (NOW + TG_SUSPECT_DEVICE_GAP_US)
#define AGAIN (NOW + TG_SUSPECT_DEVICE_AGAIN_US)

static void refuse(struct tg_quarantine *q, const char *device, uint64_t now_us)
{
	for (unsigned i = 1; i < TG_SUSPECT_DEVICE; i++)
		assert_false(tg_quarantine_condemned(q, device, now_us));
	assert_true(tg_quarantine_condemned(q, device, now_us));
}

static void three_condemned_in_a_row_make_a_device_refused(void **state)
{
	struct tg_quarantine q = { 0 };

	(void) state;
	refuse(&q, "boiler", NOW);
	assert_true(tg_quarantine_has(&q, "boiler"));
	assert_false(tg_quarantine_has(&q, "meter"));
	assert_int_equal(q.refused, 1);
	assert_string_equal(q.last, "boiler");
	/* Others between them do not matter. */
	assert_false(tg_quarantine_condemned(&q, "meter", NOW));
	assert_false(tg_quarantine_condemned(&q, "pump", NOW));
	assert_false(tg_quarantine_condemned(&q, "meter", NOW));
	assert_true(tg_quarantine_condemned(&q, "meter", NOW));
	assert_int_equal(q.total, 2);
}

static void an_acknowledgement_in_between_begins_anew(void **state)
{
	struct tg_quarantine q = { 0 };

	(void) state;
	for (uint64_t i = 1; i < 20; i++) {
		assert_false(tg_quarantine_condemned(&q, "boiler", NOW));
		assert_false(tg_quarantine_condemned(&q, "boiler", NOW));
		tg_quarantine_handed(&q, i * 2, "boiler", NOW);
		tg_quarantine_handed(&q, i * 2 + 1, "boiler", NOW);
		assert_false(tg_quarantine_acked(&q, i * 2));
	}
	/* One of another device, or one that went in a session before, is none. */
	assert_false(tg_quarantine_condemned(&q, "boiler", NOW));
	assert_false(tg_quarantine_condemned(&q, "boiler", NOW));
	tg_quarantine_handed(&q, 100, "meter", NOW);
	assert_false(tg_quarantine_acked(&q, 100));
	tg_quarantine_handed(&q, 101, "boiler", NOW);
	assert_false(tg_quarantine_down(&q));
	assert_false(tg_quarantine_acked(&q, 101));
	assert_true(tg_quarantine_condemned(&q, "boiler", NOW));
}

static void one_pack_is_tried_an_hour_later(void **state)
{
	struct tg_quarantine q = { 0 };

	(void) state;
	assert_false(tg_quarantine_try(&q, AGAIN));
	refuse(&q, "boiler", NOW);
	assert_false(tg_quarantine_try(&q, AGAIN - 1));
	assert_false(tg_quarantine_row(&q, "boiler", 7));
	assert_true(tg_quarantine_try(&q, AGAIN));
	assert_true(tg_quarantine_tries(&q, "boiler"));
	assert_int_equal(tg_quarantine_index(&q, "meter"), -1);
	assert_in_range(tg_quarantine_index(&q, "boiler"), 0, TG_SUSPECT_DEVICES - 1);
	assert_true(tg_quarantine_newest_first(&q));
	assert_false(tg_quarantine_row(&q, "meter", 6));
	assert_true(tg_quarantine_row(&q, "boiler", 7));
	assert_false(tg_quarantine_row(&q, "boiler", 8));
	tg_quarantine_handed(&q, 7, "boiler", AGAIN);
	/* The broker ends the session: another hour. */
	assert_true(tg_quarantine_down(&q));
	assert_true(tg_quarantine_has(&q, "boiler"));
	assert_false(tg_quarantine_try(&q, AGAIN + TG_SUSPECT_DEVICE_AGAIN_US - 1));
	assert_true(tg_quarantine_try(&q, AGAIN + TG_SUSPECT_DEVICE_AGAIN_US));
	assert_false(tg_quarantine_newest_first(&q));
	/* The session ends before it was sent: nothing is known, and the next one tries. */
	assert_false(tg_quarantine_down(&q));
	assert_true(tg_quarantine_try(&q, AGAIN + TG_SUSPECT_DEVICE_AGAIN_US));
}

static void what_is_acknowledged_frees_the_device(void **state)
{
	struct tg_quarantine q = { 0 };

	(void) state;
	refuse(&q, "boiler", NOW);
	assert_true(tg_quarantine_try(&q, AGAIN));
	tg_quarantine_handed(&q, 7, "boiler", AGAIN);
	assert_false(tg_quarantine_acked(&q, 6));
	assert_true(tg_quarantine_acked(&q, 7));
	assert_false(tg_quarantine_has(&q, "boiler"));
	assert_int_equal(q.refused, 0);
	assert_false(tg_quarantine_try(&q, UINT64_MAX));
	/* It takes as much as before. */
	refuse(&q, "boiler", NOW);
}

static void a_pack_that_cannot_be_published_says_nothing(void **state)
{
	struct tg_quarantine q = { 0 };

	(void) state;
	refuse(&q, "boiler", NOW);
	assert_true(tg_quarantine_try(&q, AGAIN));
	assert_true(tg_quarantine_row(&q, "boiler", 7));
	tg_quarantine_handed(&q, 7, "boiler", AGAIN);
	assert_false(tg_quarantine_gone(&q, 6));
	assert_true(tg_quarantine_gone(&q, 7));
	assert_true(tg_quarantine_row(&q, "boiler", 8));
	assert_false(tg_quarantine_acked(&q, 7));
}

static void a_change_lets_all_be_tried_one_after_the_other(void **state)
{
	struct tg_quarantine q = { 0 };

	(void) state;
	refuse(&q, "boiler", NOW);
	refuse(&q, "meter", NOW);
	tg_quarantine_hurry(&q);
	assert_false(tg_quarantine_try(&q, SOON - 1));
	for (uint64_t i = 1; i <= 2; i++) {
		const char *device;

		assert_true(tg_quarantine_try(&q, SOON));
		assert_false(tg_quarantine_try(&q, SOON));
		device = tg_quarantine_tries(&q, "boiler") ? "boiler" : "meter";
		assert_true(tg_quarantine_tries(&q, device));
		tg_quarantine_handed(&q, i, device, SOON);
		assert_true(tg_quarantine_down(&q));
	}
	assert_false(tg_quarantine_try(&q, AGAIN));
	assert_true(tg_quarantine_try(&q, SOON + TG_SUSPECT_DEVICE_AGAIN_US));
}

static void a_device_without_packs_is_forgotten(void **state)
{
	struct tg_quarantine q = { 0 };

	(void) state;
	refuse(&q, "boiler", NOW);
	tg_quarantine_empty(&q);
	assert_int_equal(q.refused, 1);
	assert_true(tg_quarantine_try(&q, AGAIN));
	tg_quarantine_empty(&q);
	assert_int_equal(q.refused, 0);
	assert_false(tg_quarantine_tries(&q, "boiler"));
}

static void of_more_than_sixteen_the_others_stay_as_they_are(void **state)
{
	struct tg_quarantine q = { 0 };
	char name[16];

	(void) state;
	for (unsigned i = 0; i < TG_SUSPECT_DEVICES; i++) {
		(void) snprintf(name, sizeof(name), "d%u", i);
		refuse(&q, name, NOW);
	}
	for (unsigned i = 0; i < 10; i++)
		assert_false(tg_quarantine_condemned(&q, "boiler", NOW));
	assert_false(tg_quarantine_has(&q, "boiler"));
	assert_int_equal(q.refused, TG_SUSPECT_DEVICES);
	/* A place becomes free. */
	assert_true(tg_quarantine_try(&q, AGAIN));
	tg_quarantine_handed(&q, 7, "d0", AGAIN);
	assert_true(tg_quarantine_acked(&q, 7));
	refuse(&q, "boiler", NOW);
}

/* Many devices with a few bad packs each do not keep one out that is refused. */
static void rows_that_have_begun_give_way_to_longer_ones(void **state)
{
	struct tg_quarantine q = { 0 };
	char name[16];

	(void) state;
	assert_false(tg_quarantine_condemned(&q, "boiler", NOW));
	assert_false(tg_quarantine_condemned(&q, "boiler", NOW));
	for (unsigned i = 0; i < 100; i++) {
		(void) snprintf(name, sizeof(name), "d%u", i);
		assert_false(tg_quarantine_condemned(&q, name, NOW));
	}
	assert_true(tg_quarantine_condemned(&q, "boiler", NOW));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_condemned_in_a_row_make_a_device_refused),
		cmocka_unit_test(an_acknowledgement_in_between_begins_anew),
		cmocka_unit_test(one_pack_is_tried_an_hour_later),
		cmocka_unit_test(what_is_acknowledged_frees_the_device),
		cmocka_unit_test(a_pack_that_cannot_be_published_says_nothing),
		cmocka_unit_test(a_change_lets_all_be_tried_one_after_the_other),
		cmocka_unit_test(a_device_without_packs_is_forgotten),
		cmocka_unit_test(of_more_than_sixteen_the_others_stay_as_they_are),
		cmocka_unit_test(rows_that_have_begun_give_way_to_longer_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
