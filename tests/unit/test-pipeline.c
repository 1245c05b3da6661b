/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pipeline/pipeline.h"

#include "agent/encode/encode.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* --- a spool that keeps what it gets, and refuses on request --- */

#define KEPT_MAX 20000

static struct {
	pthread_mutex_t lock;
	struct tg_parcel *kept[KEPT_MAX];
	size_t n;
	size_t refuse; /* so many of the next ones */
} spool = { .lock = PTHREAD_MUTEX_INITIALIZER };

int tg_spool_put(struct tg_spool *s, struct tg_parcel *p)
{
	int r = 0;

	assert_ptr_equal(s, &spool);
	(void) pthread_mutex_lock(&spool.lock);
	if (spool.refuse > 0) {
		spool.refuse--;
		r = -EAGAIN;
	} else if (spool.n < KEPT_MAX) {
		spool.kept[spool.n++] = p;
	} else {
		r = -EAGAIN;
	}
	(void) pthread_mutex_unlock(&spool.lock);
	return r;
}

static struct tg_spool *the_spool(void)
{
	return (struct tg_spool *) (void *) &spool;
}

static int empty_spool(void **state)
{
	(void) state;
	for (size_t i = 0; i < spool.n; i++)
		(void) tg_parcel_unref(spool.kept[i]);
	spool.n = 0;
	spool.refuse = 0;
	return 0;
}

/* --- a configuration of two devices with three points, and four more devices for threads --- */

static struct tg_config_point points[] = {
	{ .name = (char[]){ "a" }, .publish = TG_PUBLISH_ALWAYS },
	{ .name = (char[]){ "b" }, .publish = TG_PUBLISH_CHANGE, .max_silence_us = 600000000 },
	{ .name = (char[]){ "c" },
	  .publish = TG_PUBLISH_CHANGE,
	  .deadband = 1,
	  .max_silence_us = 600000000 },
};
static struct tg_config_device devices[] = {
	{ .name = (char[]){ "boiler" }, .points = points, .n_points = 3 },
	{ .name = (char[]){ "meter" }, .points = points + 1, .n_points = 2 },
	{ .name = (char[]){ "t0" }, .points = points, .n_points = 1 },
	{ .name = (char[]){ "t1" }, .points = points, .n_points = 1 },
	{ .name = (char[]){ "t2" }, .points = points, .n_points = 1 },
	{ .name = (char[]){ "t3" }, .points = points, .n_points = 1 },
};

static char base_name[] = "%i:%d:";

static struct tg_config config(void)
{
	return (struct tg_config){
		.mqtt = { .format = TG_FORMAT_SENML_JSON,
			  .base_name = base_name,
			  .max_payload = 128 * 1024 },
		.devices = devices,
		.n_devices = TG_ARRAY_SIZE(devices),
	};
}

static struct tg_pipeline_clock clock_now(void *user)
{
	(void) user;
	return (struct tg_pipeline_clock){ .wall_offset_us = INT64_C(1794000000000000),
					   .trust = TG_CLOCK_UNCONFIRMED };
}

TG_DEFINE_CLEANUP(struct tg_pipeline *, tg_pipeline_free)

static struct tg_pipeline *new_pipeline(const struct tg_config *cfg, struct tg_mailbox *tap)
{
	struct tg_pipeline *p = NULL;

	assert_int_equal(tg_pipeline_new(cfg, 5, the_spool(), tap, clock_now, NULL, &p), 0);
	return p;
}

static struct tg_sample real(const char *point, double v)
{
	return (struct tg_sample){ .point = point,
				   .unit = "Cel",
				   .reason = "",
				   .value = { .type = TG_VALUE_REAL, .real = v },
				   .boot_us = 7000000 };
}

static struct tg_sample text(const char *point, const char *v)
{
	struct tg_sample s = real(point, 0);

	s.value = (struct tg_value){ .type = TG_VALUE_TEXT, .text = v };
	return s;
}

/* The names of the points in the spool's parcel @i, as "a b c". */
static const char *names_in(size_t i)
{
	static char out[256];
	tg_cleanup(tg_unpacked_done) struct tg_unpacked u = { 0 };
	size_t len = 0;

	assert_true(i < spool.n);
	assert_int_equal(tg_parcel_unpack(spool.kept[i], &u), 0);
	out[0] = '\0';
	for (size_t k = 0; k < u.pack.n_samples && len < sizeof(out); k++)
		len += (size_t) snprintf(out + len, sizeof(out) - len, "%s%s", k ? " " : "",
					 u.pack.samples[k].point);
	return out;
}

/* The unsigned value of @point in the spool's parcel @i. */
static uint64_t uint_in(size_t i, const char *point)
{
	tg_cleanup(tg_unpacked_done) struct tg_unpacked u = { 0 };

	assert_true(i < spool.n);
	assert_int_equal(tg_parcel_unpack(spool.kept[i], &u), 0);
	for (size_t k = 0; k < u.pack.n_samples; k++) {
		if (strcmp(u.pack.samples[k].point, point) == 0)
			return u.pack.samples[k].value.u;
	}
	fail_msg("no %s", point);
	return 0;
}

static void submit3(struct tg_pipeline *p, double a, double b, double c)
{
	struct tg_sample s[] = { real("a", a), real("b", b), real("c", c) };

	tg_pipeline_submit(p, 0, s, 3);
}

/* --- rules and stamps --- */

static void a_pack_has_device_clock_boot_and_number(void **state)
{
	struct tg_config cfg = config();
	tg_cleanup(tg_pipeline_freep) struct tg_pipeline *p = new_pipeline(&cfg, NULL);
	tg_cleanup(tg_unpacked_done) struct tg_unpacked u = { 0 };
	const uint8_t none[16] = { 0 };

	(void) state;
	submit3(p, 1, 2, 3);
	assert_int_equal(spool.n, 1);
	assert_int_equal(tg_parcel_unpack(spool.kept[0], &u), 0);
	assert_true(u.pack.seq == UINT64_C(5) << 32);
	assert_string_equal(u.pack.device, "boiler");
	assert_true(u.pack.wall_offset_us == INT64_C(1794000000000000));
	assert_int_equal(u.pack.clock, TG_CLOCK_UNCONFIRMED);
	assert_true(memcmp(u.pack.boot_id, none, sizeof(none)) != 0);
	assert_string_equal(u.pack.samples[0].unit, "Cel");
}

static void only_what_is_due_is_sent(void **state)
{
	struct tg_config cfg = config();
	tg_cleanup(tg_pipeline_freep) struct tg_pipeline *p = new_pipeline(&cfg, NULL);

	(void) state;
	submit3(p, 1, 2, 3);
	submit3(p, 1, 2, 3);
	submit3(p, 1, 0, 3.5);
	submit3(p, 1, 0, 4.5);
	assert_int_equal(spool.n, 4);
	assert_string_equal(names_in(0), "a b c");
	assert_string_equal(names_in(1), "a");
	assert_string_equal(names_in(2), "a b");
	assert_string_equal(names_in(3), "a c");
}

static void a_poll_without_news_makes_no_pack(void **state)
{
	struct tg_config cfg = config();
	tg_cleanup(tg_pipeline_freep) struct tg_pipeline *p = new_pipeline(&cfg, NULL);
	struct tg_sample s[] = { real("b", 1), real("c", 2) };

	(void) state;
	for (int i = 0; i < 10; i++)
		tg_pipeline_submit(p, 1, s, 2);
	tg_pipeline_submit(p, 1, s, 0);
	assert_int_equal(spool.n, 1);
}

static void samples_in_any_order_meet_their_rules(void **state)
{
	struct tg_config cfg = config();
	tg_cleanup(tg_pipeline_freep) struct tg_pipeline *p = new_pipeline(&cfg, NULL);
	struct tg_sample s[] = { real("c", 3), real("stranger", 1), real("b", 2) };

	(void) state;
	submit3(p, 1, 2, 3);
	tg_pipeline_submit(p, 0, s, 3);
	assert_string_equal(names_in(1), "stranger");
}

static void nonsense_from_a_driver_costs_only_its_value(void **state)
{
	struct tg_config cfg = config();
	tg_cleanup(tg_pipeline_freep) struct tg_pipeline *p = new_pipeline(&cfg, NULL);
	tg_cleanup(tg_unpacked_done) struct tg_unpacked u = { 0 };

	(void) state;
	submit3(p, 1, NAN, INFINITY);
	assert_int_equal(tg_parcel_unpack(spool.kept[0], &u), 0);
	assert_int_equal(u.pack.samples[0].quality, TG_GOOD);
	assert_int_equal(u.pack.samples[1].quality, TG_BAD);
	assert_string_equal(u.pack.samples[1].reason, "not a number");
	assert_int_equal(u.pack.samples[2].quality, TG_BAD);
}

/* --- losses --- */

static void a_gap_record_precedes_the_next_pack(void **state)
{
	struct tg_config cfg = config();
	tg_cleanup(tg_pipeline_freep) struct tg_pipeline *p = new_pipeline(&cfg, NULL);
	uint64_t before, first, last;

	(void) state;
	submit3(p, 1, 2, 3);
	before = spool.kept[0]->seq;
	/* The first loss is one attempt; each later one is the attempt at its gap record. */
	spool.refuse = 3;
	for (int i = 0; i < 3; i++)
		submit3(p, 1, 2, 3);
	assert_int_equal(spool.n, 1);
	assert_int_equal(tg_pipeline_packs_lost(p), 3);

	submit3(p, 1, 2, 3);
	submit3(p, 1, 2, 3);
	assert_int_equal(spool.n, 4);
	assert_string_equal(names_in(1), "_gap _gap_first _gap_last");
	first = uint_in(1, "_gap_first");
	last = uint_in(1, "_gap_last");
	assert_int_equal(uint_in(1, "_gap"), 3);
	assert_true(before < first && first < last && last < spool.kept[1]->seq);
	assert_true(spool.kept[1]->seq < spool.kept[2]->seq);
	assert_string_equal(names_in(2), "a");
	assert_string_equal(names_in(3), "a");
}

static void a_gap_is_told_by_the_device_that_has_it(void **state)
{
	struct tg_config cfg = config();
	tg_cleanup(tg_pipeline_freep) struct tg_pipeline *p = new_pipeline(&cfg, NULL);
	struct tg_sample s[] = { real("b", 1), real("c", 2) };

	(void) state;
	spool.refuse = 1;
	submit3(p, 1, 2, 3);
	tg_pipeline_submit(p, 1, s, 2);
	assert_int_equal(spool.n, 1);
	assert_string_equal(tg_parcel_device(spool.kept[0]), "meter");
	assert_string_equal(names_in(0), "b c");
	submit3(p, 1, 2, 3);
	assert_string_equal(tg_parcel_device(spool.kept[1]), "boiler");
	assert_int_equal(uint_in(1, "_gap"), 1);
}

static void what_was_lost_is_due_again(void **state)
{
	struct tg_config cfg = config();
	tg_cleanup(tg_pipeline_freep) struct tg_pipeline *p = new_pipeline(&cfg, NULL);

	(void) state;
	submit3(p, 1, 2, 3);
	spool.refuse = 1;
	submit3(p, 1, 9, 3);
	submit3(p, 1, 9, 3);
	assert_int_equal(spool.n, 3);
	assert_string_equal(names_in(2), "a b");
}

static void a_gap_survives_a_new_configuration(void **state)
{
	struct tg_config cfg = config();
	tg_cleanup(tg_pipeline_freep) struct tg_pipeline *p = new_pipeline(&cfg, NULL);

	(void) state;
	submit3(p, 1, 2, 3);
	spool.refuse = 1;
	submit3(p, 1, 2, 3);
	assert_int_equal(tg_pipeline_configure(p, &cfg), 0);
	submit3(p, 1, 2, 3);
	assert_int_equal(uint_in(1, "_gap"), 1);
	assert_true(uint_in(1, "_gap_first") == (UINT64_C(5) << 32) + 1);
	assert_true(uint_in(1, "_gap_last") == (UINT64_C(5) << 32) + 1);
	/* New rules know of no earlier value. */
	assert_string_equal(names_in(2), "a b c");
	assert_true(spool.kept[0]->seq < spool.kept[1]->seq);
}

/* --- the tap --- */

static void the_tap_sees_every_poll_whole(void **state)
{
	struct tg_config cfg = config();
	tg_cleanup(tg_mailbox_freep) struct tg_mailbox *tap = NULL;
	tg_cleanup(tg_pipeline_freep) struct tg_pipeline *p = NULL;
	tg_cleanup(tg_unpacked_done) struct tg_unpacked u = { 0 };
	struct tg_parcel *seen = NULL;

	(void) state;
	assert_int_equal(tg_mailbox_new(4, sizeof(seen), NULL, &tap), 0);
	p = new_pipeline(&cfg, tap);
	submit3(p, 1, 2, 3);
	submit3(p, 1, 2, 3.25);

	assert_int_equal(tg_mailbox_take(tap, &seen), 1);
	assert_ptr_equal(seen, spool.kept[0]);
	assert_int_equal(seen->refs, 2);
	(void) tg_parcel_unref(seen);
	assert_int_equal(tg_mailbox_take(tap, &seen), 1);
	assert_true(seen->seq == 0);
	assert_int_equal(tg_parcel_unpack(seen, &u), 0);
	assert_int_equal(u.pack.n_samples, 3);
	assert_true(u.pack.samples[2].value.real == 3.25);
	(void) tg_parcel_unref(seen);
	assert_int_equal(tg_mailbox_take(tap, &seen), 0);
}

static void a_full_tap_loses_its_own_copy_only(void **state)
{
	struct tg_config cfg = config();
	tg_cleanup(tg_mailbox_freep) struct tg_mailbox *tap = NULL;
	tg_cleanup(tg_pipeline_freep) struct tg_pipeline *p = NULL;
	struct tg_parcel *seen = NULL;

	(void) state;
	assert_int_equal(tg_mailbox_new(1, sizeof(seen), NULL, &tap), 0);
	p = new_pipeline(&cfg, tap);
	for (int i = 0; i < 3; i++)
		submit3(p, i, 2, 3);
	assert_int_equal(spool.n, 3);
	assert_int_equal(tg_pipeline_taps_lost(p), 2);
	assert_int_equal(tg_pipeline_packs_lost(p), 0);
	assert_int_equal(tg_mailbox_take(tap, &seen), 1);
	(void) tg_parcel_unref(seen);
}

/* --- splitting --- */

static char wide_names[TG_PACK_SAMPLES][24];

/* A device of @n points that are always published. */
static struct tg_config wide_config(struct tg_config_device *dev, struct tg_config_point *wide,
				    size_t n)
{
	struct tg_config cfg = config();

	for (size_t i = 0; i < n; i++) {
		(void) snprintf(wide_names[i], sizeof(wide_names[i]), "p%zu", i);
		wide[i] = (struct tg_config_point){ .name = wide_names[i] };
	}
	*dev = (struct tg_config_device){ .name = devices[0].name, .points = wide, .n_points = n };
	cfg.devices = dev;
	cfg.n_devices = 1;
	return cfg;
}

static size_t payload_of(size_t i, enum tg_format format, enum tg_clock_trust trust)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer out = TG_BUFFER_INIT(64u << 20);
	tg_cleanup(tg_unpacked_done) struct tg_unpacked u = { 0 };

	assert_int_equal(tg_parcel_unpack(spool.kept[i], &u), 0);
	u.pack.clock = trust;
	tg_encoder_get(format)->encode(&u.pack, TG_STREAM_REPLAY,
				       "0123456789abcdef0123456789abcdef:boiler:", &out);
	assert_int_equal(tg_buffer_error(&out), 0);
	return out.len;
}

/* The parts hold samples p0 .. pN once, in order, under rising numbers, each within the limit. */
static void assert_parts(enum tg_format format, size_t n, size_t limit)
{
	size_t next = 0;
	uint64_t seq = 0;

	for (size_t i = 0; i < spool.n; i++) {
		tg_cleanup(tg_unpacked_done) struct tg_unpacked u = { 0 };

		assert_int_equal(tg_parcel_unpack(spool.kept[i], &u), 0);
		assert_true(u.pack.seq > seq);
		seq = u.pack.seq;
		for (size_t k = 0; k < u.pack.n_samples; k++)
			assert_string_equal(u.pack.samples[k].point, wide_names[next++]);
		assert_true(payload_of(i, format, TG_CLOCK_SYNCHRONISED) <= limit);
		assert_true(payload_of(i, format, TG_CLOCK_SUSPECT) <= limit);
	}
	assert_int_equal(next, n);
}

static void try_split(enum tg_format format, size_t n, size_t limit, const char *value)
{
	static struct tg_config_point wide[TG_PACK_SAMPLES];
	static struct tg_sample s[TG_PACK_SAMPLES];
	struct tg_config_device dev;
	struct tg_config cfg = wide_config(&dev, wide, n);
	tg_cleanup(tg_pipeline_freep) struct tg_pipeline *p = NULL;

	cfg.mqtt.format = format;
	cfg.mqtt.max_payload = limit;
	p = new_pipeline(&cfg, NULL);
	for (size_t i = 0; i < n; i++) {
		s[i] = value ? text(wide_names[i], value) : real(wide_names[i], (double) i / 3);
		/* Later by turns or all at once, which is what offsets count from with and without
		 * a date. */
		s[i].boot_us += limit % 1000 ? i * 1000 : (i > 0) * 123456;
	}
	tg_pipeline_submit(p, 0, s, n);
	assert_parts(format, n, limit);
	assert_int_equal(tg_pipeline_packs_lost(p), 0);
}

static void the_parts_of_a_pack_hold_every_sample_once(void **state)
{
	static const size_t limits[] = { 800, 1000, 1024, 2000, 4096, 10000, 50000 };

	for (size_t i = 0; i < TG_ARRAY_SIZE(limits); i++) {
		try_split(TG_FORMAT_SENML_JSON, 300, limits[i], NULL);
		assert_true(spool.n > 1 || limits[i] == 50000);
		(void) empty_spool(state);
		try_split(TG_FORMAT_JSON, 300, limits[i], "\x01\"text");
		(void) empty_spool(state);
	}
}

static void parts_are_not_much_smaller_than_they_must_be(void **state)
{
	size_t total = 0;

	(void) state;
	try_split(TG_FORMAT_SENML_JSON, 1000, 8192, NULL);
	for (size_t i = 0; i < spool.n; i++)
		total += payload_of(i, TG_FORMAT_SENML_JSON, TG_CLOCK_SYNCHRONISED);
	assert_true(spool.n <= 3 * (total / 8192 + 1));
}

static void a_pack_beyond_the_form_of_parcels_is_split_too(void **state)
{
	char longest[TG_TEXT_MAX + 1];

	(void) state;
	memset(longest, 'x', TG_TEXT_MAX);
	longest[TG_TEXT_MAX] = '\0';
	try_split(TG_FORMAT_JSON, 1024, 64 << 20, longest);
	assert_in_range(spool.n, 5, 16);
}

static void a_value_too_long_for_any_message_is_bad_and_told_once(void **state)
{
	struct tg_config cfg = config();
	tg_cleanup(tg_pipeline_freep) struct tg_pipeline *p = NULL;
	tg_cleanup(tg_unpacked_done) struct tg_unpacked u = { 0 };
	char longest[TG_TEXT_MAX + 1];
	struct tg_sample s[] = { text("b", longest), real("c", 1) };

	(void) state;
	memset(longest, 'x', TG_TEXT_MAX);
	longest[TG_TEXT_MAX] = '\0';
	cfg.mqtt.max_payload = 1024;
	p = new_pipeline(&cfg, NULL);
	tg_pipeline_submit(p, 1, s, 2);
	tg_pipeline_submit(p, 1, s, 2);
	assert_int_equal(spool.n, 2);
	assert_string_equal(names_in(0), "b");
	assert_int_equal(tg_parcel_unpack(spool.kept[0], &u), 0);
	assert_int_equal(u.pack.samples[0].quality, TG_BAD);
	assert_string_equal(u.pack.samples[0].reason, "value too long for max-payload");
	assert_string_equal(names_in(1), "c");
}

/* --- threads --- */

#define ROUNDS 500

struct thread {
	pthread_t id;
	struct tg_pipeline *p;
	size_t device;
};

static void *submit_many(void *user)
{
	struct thread *t = user;

	for (int i = 0; i < ROUNDS; i++) {
		struct tg_sample s = real("a", i);

		tg_pipeline_submit(t->p, t->device, &s, 1);
	}
	return NULL;
}

static void numbers_rise_within_each_device_under_threads(void **state)
{
	struct tg_config cfg = config();
	tg_cleanup(tg_mailbox_freep) struct tg_mailbox *tap = NULL;
	tg_cleanup(tg_pipeline_freep) struct tg_pipeline *p = NULL;
	static bool used[4 * ROUNDS * 4];
	uint64_t last[4] = { 0 };
	size_t count[4] = { 0 };
	struct thread threads[4];
	struct tg_parcel *seen;

	(void) state;
	assert_int_equal(tg_mailbox_new(64, sizeof(seen), NULL, &tap), 0);
	p = new_pipeline(&cfg, tap);
	spool.refuse = 100;
	for (size_t i = 0; i < 4; i++) {
		threads[i] = (struct thread){ .p = p, .device = 2 + i };
		assert_int_equal(pthread_create(&threads[i].id, NULL, submit_many, &threads[i]), 0);
	}
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i].id, NULL), 0);

	for (size_t i = 0; i < spool.n; i++) {
		const char *name = tg_parcel_device(spool.kept[i]);
		size_t dev = (size_t) (name[1] - '0');
		uint64_t seq = spool.kept[i]->seq;
		uint32_t n = (uint32_t) seq;

		assert_true(seq >> 32 == 5 && n < sizeof(used) && !used[n]);
		used[n] = true;
		assert_true(count[dev] == 0 || seq > last[dev]);
		last[dev] = seq;
		count[dev] += strcmp(names_in(i), "a") == 0 ? 1 : uint_in(i, "_gap");
	}
	/* Every reading arrived or was counted. */
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(count[i], ROUNDS);
	while (tg_mailbox_take(tap, &seen) == 1)
		(void) tg_parcel_unref(seen);
}

static void numbers_go_on_into_another_epoch(void **state)
{
	struct tg_config cfg = config();
	tg_cleanup(tg_pipeline_freep) struct tg_pipeline *p = new_pipeline(&cfg, NULL);
	struct tg_sample s = real("a", 1);

	(void) state;
	assert_int_equal(tg_pipeline_left(p), UINT64_C(1) << 32);
	tg_pipeline_submit(p, 0, &s, 1);
	assert_int_equal(tg_pipeline_left(p), (UINT64_C(1) << 32) - 1);
	tg_pipeline_extend(p, 6);
	assert_int_equal(tg_pipeline_left(p), (UINT64_C(2) << 32) - 1);
	tg_pipeline_submit(p, 0, &s, 1);
	assert_int_equal(spool.kept[spool.n - 1]->seq, spool.kept[spool.n - 2]->seq + 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, empty_spool)
	const struct CMUnitTest tests[] = {
		TEST(a_pack_has_device_clock_boot_and_number),
		TEST(only_what_is_due_is_sent),
		TEST(a_poll_without_news_makes_no_pack),
		TEST(samples_in_any_order_meet_their_rules),
		TEST(nonsense_from_a_driver_costs_only_its_value),
		TEST(a_gap_record_precedes_the_next_pack),
		TEST(a_gap_is_told_by_the_device_that_has_it),
		TEST(what_was_lost_is_due_again),
		TEST(a_gap_survives_a_new_configuration),
		TEST(the_tap_sees_every_poll_whole),
		TEST(a_full_tap_loses_its_own_copy_only),
		TEST(the_parts_of_a_pack_hold_every_sample_once),
		TEST(parts_are_not_much_smaller_than_they_must_be),
		TEST(a_pack_beyond_the_form_of_parcels_is_split_too),
		TEST(a_value_too_long_for_any_message_is_bad_and_told_once),
		TEST(numbers_rise_within_each_device_under_threads),
		TEST(numbers_go_on_into_another_epoch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
