/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/spool_news.h"
#include "base/clock.h"
#include "tests/unit/test.h"

#include <string.h>

/*
 * The spool's troubles as the cloud hears of them, second by second.
 */
struct bench {
	struct tg_spool_news news;
	struct tg_spool_state state;
	bool online;
	uint64_t now;
	unsigned told[TG_CLOUD_CLIENT_ID_TAKEN + 1];
	struct tg_cloud_event last;
};

static struct bench bench(void)
{
	return (struct bench){ .state.disk_bytes = 4096, .online = true, .now = 1000 * TG_US_PER_S };
}

static void second(struct bench *b)
{
	struct tg_cloud_event e;

	b->now += TG_US_PER_S;
	if (!tg_spool_news_next(&b->news, &b->state, b->online, b->now, &e))
		return;
	b->told[e.news]++;
	b->last = e;
	tg_spool_news_told(&b->news, &e, &b->state, b->now);
	/* As the spool keeps it. */
	if (e.news == TG_CLOUD_READINGS_DROPPED)
		b->state.dropped_told = e.total;
}

static void seconds(struct bench *b, unsigned n)
{
	while (n--)
		second(b);
}

static unsigned sum(const struct bench *b)
{
	unsigned n = 0;

	for (size_t i = 0; i < TG_ARRAY_SIZE(b->told); i++)
		n += b->told[i];
	return n;
}

static void one_event_tells_a_burst_of_drops(void **state)
{
	struct bench b = bench();

	(void) state;
	seconds(&b, 5);
	for (int i = 0; i < 20; i++) {
		b.state.dropped += 7;
		second(&b);
	}
	assert_int_equal(sum(&b), 0);
	seconds(&b, 30);
	assert_int_equal(b.told[TG_CLOUD_READINGS_DROPPED], 1);
	assert_int_equal(sum(&b), 1);
	assert_int_equal(b.last.packs, 140);
	assert_int_equal(b.last.total, 140);
	assert_in_range(b.last.since_s, 25, 35);
	/* The next one is another event, and not one a minute. */
	for (int i = 0; i < 60; i++) {
		b.state.dropped++;
		seconds(&b, 20);
	}
	assert_in_range(b.told[TG_CLOUD_READINGS_DROPPED], 2, 3);
	seconds(&b, 700);
	assert_int_equal(b.state.dropped_told, 200);
}

static void a_burst_without_end_is_told_after_a_minute(void **state)
{
	struct bench b = bench();

	(void) state;
	second(&b);
	for (int i = 0; i < 3600; i++) {
		b.state.dropped++;
		second(&b);
	}
	assert_in_range(b.told[TG_CLOUD_READINGS_DROPPED], 5, 7);
}

static void an_outage_adds_one_event_however_long_it_is(void **state)
{
	struct bench b = bench();

	(void) state;
	b.online = false;
	for (int i = 0; i < 7 * 24 * 360; i++) {
		b.state.dropped += 3;
		second(&b);
	}
	assert_int_equal(sum(&b), 0);
	b.online = true;
	seconds(&b, 60);
	assert_int_equal(sum(&b), 1);
	assert_int_equal(b.last.packs, b.state.dropped);
}

static void drops_of_an_earlier_start_are_told_and_what_was_told_is_not(void **state)
{
	struct bench b = bench();

	(void) state;
	/* The file is there only later. */
	b.state.disk_bytes = 0;
	seconds(&b, 20);
	b.state.disk_bytes = 4096;
	b.state.dropped = 50;
	b.state.dropped_told = 30;
	b.state.set_aside = 4;
	seconds(&b, 30);
	assert_int_equal(sum(&b), 1);
	assert_int_equal(b.last.news, TG_CLOUD_READINGS_DROPPED);
	assert_int_equal(b.last.packs, 20);
	assert_int_equal(b.last.total, 50);
}

static void what_was_set_aside_is_told_with_its_device(void **state)
{
	struct bench b = bench();

	(void) state;
	b.state.set_aside = 4;
	seconds(&b, 5);
	assert_int_equal(sum(&b), 0);
	b.state.set_aside = 5;
	b.state.aside_seq = 77;
	memcpy(b.state.aside_device, "boiler", 7);
	second(&b);
	assert_int_equal(b.told[TG_CLOUD_PACK_SET_ASIDE], 1);
	assert_int_equal(b.last.packs, 1);
	assert_int_equal(b.last.seq, 77);
	assert_string_equal(b.last.device, "boiler");
	for (int i = 0; i < 300; i++) {
		b.state.set_aside++;
		second(&b);
	}
	assert_int_equal(sum(&b), 1);
	seconds(&b, 600);
	assert_int_equal(b.told[TG_CLOUD_PACK_SET_ASIDE], 2);
	assert_int_equal(b.last.packs, 300);
	assert_int_equal(b.last.total, 305);
}

static void a_refused_device_is_told_once_each_time(void **state)
{
	struct bench b = bench();

	(void) state;
	seconds(&b, 5);
	b.state.refused_devices = 1;
	b.state.refused_total = 1;
	memcpy(b.state.refused_device, "boiler", 7);
	seconds(&b, 30);
	assert_int_equal(sum(&b), 1);
	assert_int_equal(b.told[TG_CLOUD_DEVICE_REFUSED], 1);
	assert_string_equal(b.last.device, "boiler");
	assert_int_equal(b.last.count, 1);
	b.state.refused_devices = 0;
	seconds(&b, 30);
	assert_int_equal(sum(&b), 1);
	b.state.refused_devices = 1;
	b.state.refused_total = 2;
	seconds(&b, 30);
	assert_int_equal(sum(&b), 2);
}

static void a_failure_is_told_when_it_lasts(void **state)
{
	struct bench b = bench();

	(void) state;
	b.state.error = -28;
	b.state.error_since_us = b.now;
	memcpy(b.state.error_text, "disk full", 10);
	seconds(&b, 5);
	b.state.error = 0;
	seconds(&b, 60);
	assert_int_equal(sum(&b), 0);
	b.state.error = -28;
	b.state.error_since_us = b.now;
	seconds(&b, 3000);
	assert_int_equal(b.told[TG_CLOUD_SPOOL_FAILED], 1);
	assert_string_equal(b.last.reason, "disk full");
	assert_int_equal(b.last.since_s, 10);
	/* One that comes and goes is not told each time. */
	for (int i = 0; i < 20; i++) {
		b.state.error = i % 2 ? -28 : 0;
		b.state.error_since_us = b.now;
		seconds(&b, 60);
	}
	assert_in_range(b.told[TG_CLOUD_SPOOL_FAILED], 1, 2);
}

static void a_repair_is_told_at_once(void **state)
{
	struct bench b = bench();

	(void) state;
	seconds(&b, 3);
	b.state.repairs = 1;
	b.state.rescued = 90;
	b.state.lost = 10;
	b.state.dropped = 10;
	memcpy(b.state.aside, "spool.bad-1", 12);
	second(&b);
	assert_int_equal(b.told[TG_CLOUD_SPOOL_DAMAGED], 1);
	assert_int_equal(b.last.rescued, 90);
	assert_int_equal(b.last.lost, 10);
	assert_string_equal(b.last.file, "spool.bad-1");
	seconds(&b, 20);
	assert_int_equal(b.told[TG_CLOUD_SPOOL_DAMAGED], 1);
	assert_int_equal(b.told[TG_CLOUD_READINGS_DROPPED], 1);
}

static void what_could_not_be_told_is_told_later(void **state)
{
	struct bench b = bench();
	struct tg_cloud_event e;

	(void) state;
	seconds(&b, 3);
	b.state.repairs = 1;
	for (int i = 0; i < 5; i++)
		assert_true(tg_spool_news_next(&b.news, &b.state, false, b.now, &e));
	second(&b);
	second(&b);
	assert_int_equal(sum(&b), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_event_tells_a_burst_of_drops),
		cmocka_unit_test(a_burst_without_end_is_told_after_a_minute),
		cmocka_unit_test(an_outage_adds_one_event_however_long_it_is),
		cmocka_unit_test(drops_of_an_earlier_start_are_told_and_what_was_told_is_not),
		cmocka_unit_test(what_was_set_aside_is_told_with_its_device),
		cmocka_unit_test(a_refused_device_is_told_once_each_time),
		cmocka_unit_test(a_failure_is_told_when_it_lasts),
		cmocka_unit_test(a_repair_is_told_at_once),
		cmocka_unit_test(what_could_not_be_told_is_told_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
