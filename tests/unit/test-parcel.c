/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pack/parcel.h"

#include "tests/unit/packs.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>

static const struct tg_sample TEMPERATURE = {
	.point = "temperature",
	.unit = "Cel",
	.reason = "",
	.value = { .type = TG_VALUE_REAL, .real = 21.5 },
	.boot_us = 5000000,
};

static struct tg_pack pack_of(const struct tg_sample *samples, size_t n)
{
	return (struct tg_pack){ .seq = (UINT64_C(3) << 32) + 7,
				 .device = "boiler",
				 .wall_offset_us = INT64_C(1794000000000000),
				 .clock = TG_CLOCK_SYNCHRONISED,
				 .n_samples = n,
				 .samples = samples };
}

static int try_sample(struct tg_sample s)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL;
	struct tg_pack pack = pack_of(&s, 1);

	return tg_parcel_new(&pack, &p);
}

static void assert_same_value(const struct tg_value *a, const struct tg_value *b)
{
	assert_int_equal(a->type, b->type);
	switch (a->type) {
	case TG_VALUE_NONE:
		break;
	case TG_VALUE_BOOL:
		assert_int_equal(a->b, b->b);
		break;
	case TG_VALUE_INT:
	case TG_VALUE_UINT:
	case TG_VALUE_REAL:
		/* Bit for bit: -0.0 stays -0.0. */
		assert_true(a->u == b->u);
		break;
	case TG_VALUE_TEXT:
		assert_string_equal(a->text, b->text);
		break;
	}
}

static void assert_same_pack(const struct tg_pack *a, const struct tg_pack *b)
{
	assert_true(a->seq == b->seq && a->wall_offset_us == b->wall_offset_us);
	assert_int_equal(a->clock, b->clock);
	assert_string_equal(a->device, b->device);
	assert_memory_equal(a->boot_id, b->boot_id, sizeof(a->boot_id));
	assert_int_equal(a->n_samples, b->n_samples);
	for (size_t i = 0; i < a->n_samples; i++) {
		const struct tg_sample *x = &a->samples[i], *y = &b->samples[i];

		assert_string_equal(x->point, y->point);
		assert_string_equal(x->unit, y->unit);
		assert_string_equal(x->reason, y->reason);
		assert_int_equal(x->quality, y->quality);
		assert_true(x->boot_us == y->boot_us);
		assert_same_value(&x->value, &y->value);
	}
}

static void a_pack_comes_back_as_it_was(void **state)
{
	static struct pack_source src = { .state = 1 };

	(void) state;
	for (int i = 0; i < 500; i++) {
		struct tg_pack pack = pack_random_pack(&src);
		tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL, *q = NULL;
		tg_cleanup(tg_unpacked_done) struct tg_unpacked u = { 0 };

		assert_int_equal(tg_parcel_new(&pack, &p), 0);
		assert_int_equal(tg_parcel_from_bytes(p->bytes, p->len, &q), 0);
		assert_true(q->seq == pack.seq && q->boot_us == pack.samples[0].boot_us);
		assert_string_equal(tg_parcel_device(q), "boiler-7");
		assert_int_equal(tg_parcel_unpack(q, &u), 0);
		assert_same_pack(&pack, &u.pack);
	}
}

static void a_reading_takes_few_bytes(void **state)
{
	struct tg_sample samples[100] = { 0 };
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL;
	struct tg_pack pack = pack_of(samples, 100);

	(void) state;
	for (size_t i = 0; i < 100; i++)
		samples[i] = TEMPERATURE;
	assert_int_equal(tg_parcel_new(&pack, &p), 0);
	assert_true(p->len < 100 * 32);
}

static void the_stored_form_does_not_change(void **state)
{
	/* What an older version wrote must be readable for ever: new forms get a new first byte. */
	static const uint8_t stored[] = {
		1,    2,   1,   0,   7,   0,   0,    0,    3,    0,    0,    0,    0x40, 0x4b,
		0x4c, 0,   0,   0,   0,   0,   0x00, 0x20, 0xba, 0x2c, 0xa2, 0x5f, 0x06, 0,
		0,    0,   0,   0,   0,   0,   0,    0,    0,    0,    0,    0,    0,    0,
		0,    0,   6,   'b', 'o', 'i', 'l',  'e',  'r',  0,    0x04, 0,    11,   't',
		'e',  'm', 'p', 'e', 'r', 'a', 't',  'u',  'r',  'e',  0,    3,    'C',  'e',
		'l',  0,   0,   0,   0,   0,   0,    0x80, 0x35, 0x40,
	};
	struct tg_pack pack = pack_of(&TEMPERATURE, 1);
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL;

	(void) state;
	assert_int_equal(tg_parcel_new(&pack, &p), 0);
	assert_int_equal(p->len, sizeof(stored));
	assert_memory_equal(p->bytes, stored, sizeof(stored));
}

static void every_shortened_parcel_is_refused(void **state)
{
	static struct pack_source src = { .state = 2 };

	(void) state;
	for (int i = 0; i < 10; i++) {
		struct tg_pack pack = pack_random_pack(&src);
		tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL, *q = NULL;

		assert_int_equal(tg_parcel_new(&pack, &p), 0);
		for (uint32_t len = 0; len < p->len; len++) {
			/* A copy of that exact size, so that a read behind it is seen. */
			uint8_t *cut = malloc(len + 1);

			memcpy(cut, p->bytes, len);
			assert_int_equal(tg_parcel_from_bytes(cut, len, &q), -EBADMSG);
			free(cut);
		}
		assert_null(q);
	}
}

static void trailing_bytes_are_refused(void **state)
{
	struct tg_pack pack = pack_of(&TEMPERATURE, 1);
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL, *q = NULL;
	uint8_t longer[256] = { 0 };

	(void) state;
	assert_int_equal(tg_parcel_new(&pack, &p), 0);
	memcpy(longer, p->bytes, p->len);
	assert_int_equal(tg_parcel_from_bytes(longer, p->len, &q), 0);
	q = tg_parcel_unref(q);
	assert_int_equal(tg_parcel_from_bytes(longer, p->len + 1, &q), -EBADMSG);
}

static void a_changed_byte_gives_an_error_or_another_exact_pack(void **state)
{
	static struct pack_source src = { .state = 3 };
	struct tg_pack pack = pack_random_pack(&src);
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL;

	(void) state;
	assert_int_equal(tg_parcel_new(&pack, &p), 0);
	for (uint32_t at = 0; at < p->len && at < 600; at++) {
		for (int flip = 1; flip < 256; flip *= 2) {
			tg_cleanup(tg_parcel_unrefp) struct tg_parcel *q = NULL, *again = NULL;
			tg_cleanup(tg_unpacked_done) struct tg_unpacked u = { 0 };

			p->bytes[at] ^= (uint8_t) flip;
			if (tg_parcel_from_bytes(p->bytes, p->len, &q) == 0) {
				assert_int_equal(tg_parcel_unpack(q, &u), 0);
				assert_int_equal(tg_parcel_new(&u.pack, &again), 0);
				assert_int_equal(again->len, q->len);
				assert_memory_equal(again->bytes, q->bytes, q->len);
			}
			p->bytes[at] ^= (uint8_t) flip;
		}
	}
}

static void a_longer_form_of_the_same_time_is_refused(void **state)
{
	struct tg_sample two[] = { TEMPERATURE, TEMPERATURE };
	struct tg_pack pack = pack_of(two, 2);
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL, *q = NULL;
	uint8_t bytes[256];
	size_t at = 52 + 1; /* the first sample's time: one byte of zero */

	(void) state;
	assert_int_equal(tg_parcel_new(&pack, &p), 0);
	memcpy(bytes, p->bytes, at);
	bytes[at] = 0x80;
	memcpy(bytes + at + 1, p->bytes + at, p->len - at);
	assert_int_equal(tg_parcel_from_bytes(bytes, p->len + 1, &q), -EBADMSG);
}

static void names_and_lengths_are_checked(void **state)
{
	char longest[TG_TEXT_MAX + 2];
	struct tg_sample s = TEMPERATURE;
	struct tg_sample bad = { .point = "x", .unit = "", .reason = "timeout", .quality = TG_BAD };

	(void) state;
	memset(longest, 'a', sizeof(longest));
	assert_int_equal(try_sample(s), 0);
	assert_int_equal(try_sample(bad), 0);

	s.point = "";
	assert_int_equal(try_sample(s), -EINVAL);
	s.point = "a/b";
	assert_int_equal(try_sample(s), -EINVAL);
	s.point = longest + sizeof(longest) - TG_NAME_MAX - 1;
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(try_sample(s), 0);
	s.point--;
	assert_int_equal(try_sample(s), -EINVAL);

	s = TEMPERATURE;
	s.unit = longest + sizeof(longest) - TG_UNIT_MAX - 2;
	assert_int_equal(try_sample(s), -EINVAL);
	s = TEMPERATURE;
	s.value = (struct tg_value){ .type = TG_VALUE_TEXT, .text = longest + 1 };
	assert_int_equal(try_sample(s), 0);
	s.value.text = longest;
	assert_int_equal(try_sample(s), -EINVAL);
	bad.reason = longest + sizeof(longest) - TG_REASON_MAX - 2;
	assert_int_equal(try_sample(bad), -EINVAL);
}

static void values_that_contradict_their_quality_are_refused(void **state)
{
	struct tg_sample s = TEMPERATURE;

	(void) state;
	s.value.real = NAN;
	assert_int_equal(try_sample(s), -EINVAL);
	s.value.real = INFINITY;
	assert_int_equal(try_sample(s), -EINVAL);
	s.value.type = TG_VALUE_NONE;
	assert_int_equal(try_sample(s), -EINVAL);
	s = TEMPERATURE;
	s.quality = TG_BAD;
	assert_int_equal(try_sample(s), -EINVAL);
	s = TEMPERATURE;
	s.reason = "timeout";
	assert_int_equal(try_sample(s), -EINVAL);
	s = TEMPERATURE;
	s.boot_us = UINT64_C(1) << 60;
	assert_int_equal(try_sample(s), -EINVAL);
}

static void sizes_of_packs_are_bounded(void **state)
{
	static struct tg_sample samples[TG_PACK_SAMPLES + 1];
	static char text[TG_TEXT_MAX + 1];
	struct tg_pack pack = pack_of(samples, 0);
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL;

	(void) state;
	for (size_t i = 0; i < TG_PACK_SAMPLES + 1; i++)
		samples[i] = TEMPERATURE;
	assert_int_equal(tg_parcel_new(&pack, &p), -EINVAL);
	pack.n_samples = TG_PACK_SAMPLES + 1;
	assert_int_equal(tg_parcel_new(&pack, &p), -EINVAL);
	pack.n_samples = TG_PACK_SAMPLES;
	pack.seq = UINT64_C(1) << 53;
	assert_int_equal(tg_parcel_new(&pack, &p), -EINVAL);
	pack.seq--;
	assert_int_equal(tg_parcel_new(&pack, &p), 0);
	p = tg_parcel_unref(p);

	memset(text, 'x', TG_TEXT_MAX);
	for (size_t i = 0; i < TG_PACK_SAMPLES; i++)
		samples[i].value = (struct tg_value){ .type = TG_VALUE_TEXT, .text = text };
	assert_int_equal(tg_parcel_new(&pack, &p), -EMSGSIZE);
	assert_null(p);
}

static void *ref_and_unref(void *user)
{
	for (int i = 0; i < 20000; i++)
		(void) tg_parcel_unref(tg_parcel_ref(user));
	return NULL;
}

static void threads_share_a_parcel(void **state)
{
	struct tg_pack pack = pack_of(&TEMPERATURE, 1);
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL;
	pthread_t threads[3];

	(void) state;
	assert_int_equal(tg_parcel_new(&pack, &p), 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ref_and_unref, p), 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(p->refs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pack_comes_back_as_it_was),
		cmocka_unit_test(a_reading_takes_few_bytes),
		cmocka_unit_test(the_stored_form_does_not_change),
		cmocka_unit_test(every_shortened_parcel_is_refused),
		cmocka_unit_test(trailing_bytes_are_refused),
		cmocka_unit_test(a_changed_byte_gives_an_error_or_another_exact_pack),
		cmocka_unit_test(a_longer_form_of_the_same_time_is_refused),
		cmocka_unit_test(names_and_lengths_are_checked),
		cmocka_unit_test(values_that_contradict_their_quality_are_refused),
		cmocka_unit_test(sizes_of_packs_are_bounded),
		cmocka_unit_test(threads_share_a_parcel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
