/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pack/stored.h"

#include "tests/unit/packs.h"
#include "tests/unit/test.h"

#include <errno.h>

static struct tg_parcel *parcel_of(const struct tg_pack *pack)
{
	struct tg_parcel *p = NULL;

	assert_int_equal(tg_parcel_new(pack, &p), 0);
	return p;
}

static struct tg_buffer stored_of(const struct tg_parcel *p)
{
	struct tg_buffer b = TG_BUFFER_INIT(TG_STORED_MAX);

	assert_int_equal(tg_stored_write(&b, p), 0);
	return b;
}

static int read_back(const struct tg_buffer *b, size_t len, struct tg_parcel **ret)
{
	/* Exactly so long, so that a sanitizer sees who reads on. */
	uint8_t *copy = malloc(len ? len : 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, b->data, len);
	r = tg_stored_read(copy, len, ret);
	free(copy);
	return r;
}

static void assert_comes_back(const struct tg_parcel *p)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *q = NULL;
	tg_cleanup(tg_buffer_done) struct tg_buffer b = stored_of(p);

	assert_int_equal(read_back(&b, b.len, &q), 0);
	assert_int_equal(q->len, p->len);
	assert_memory_equal(q->bytes, p->bytes, p->len);
}

/* 60 readings of one poll, as a boiler house has them. */
static struct tg_parcel *ordinary(void)
{
	static struct tg_sample samples[60];
	static char names[60][24];
	const struct tg_pack pack = { .seq = (UINT64_C(3) << 32) + 7,
				      .device = "boiler",
				      .wall_offset_us = INT64_C(1794000000000000),
				      .clock = TG_CLOCK_SYNCHRONISED,
				      .n_samples = 60,
				      .samples = samples };

	for (size_t i = 0; i < 60; i++) {
		(void) snprintf(names[i], sizeof(names[i]), "temperature-%zu", i);
		samples[i] = (struct tg_sample){
			.point = names[i],
			.unit = "Cel",
			.reason = "",
			.value = { .type = TG_VALUE_REAL,
				   .real = i % 2 ? (double) (float) (21.7 + (double) i)
						 : (double) (200 + i) / 10 },
			.boot_us = 5000000,
		};
	}
	return parcel_of(&pack);
}

static void every_pack_comes_back_byte_for_byte(void **state)
{
	struct pack_source s = { .state = 20261122 };

	(void) state;
	for (unsigned i = 0; i < 3000; i++) {
		struct tg_pack pack = pack_random_pack(&s);
		tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = parcel_of(&pack);

		assert_comes_back(p);
	}
}

static void every_real_comes_back_bit_for_bit(void **state)
{
	struct pack_source s = { .state = 5 };
	struct tg_sample sample = {
		.point = "p", .unit = "", .reason = "", .value.type = TG_VALUE_REAL
	};
	const struct tg_pack pack = { .seq = 1, .device = "d", .n_samples = 1, .samples = &sample };

	(void) state;
	for (unsigned i = 0; i < 20000; i++) {
		tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL;
		int64_t whole = (int64_t) (pack_random(&s) >> (8 + i % 56));

		sample.value.real = pack_random_real(&s);
		if (i % 4 == 1)
			sample.value.real = (double) (i % 8 == 1 ? whole : -whole) / 1000;
		if (i % 4 == 2)
			sample.value.real = (double) (float) (sample.value.real / 1e300);
		p = parcel_of(&pack);
		assert_comes_back(p);
	}
}

static void an_ordinary_pack_takes_a_third(void **state)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = ordinary();
	tg_cleanup(tg_buffer_done) struct tg_buffer b = stored_of(p);

	(void) state;
	assert_true(b.len * 3 <= p->len);
	assert_comes_back(p);
}

static void a_parcel_of_before_is_still_read(void **state)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = ordinary(), *q = NULL;

	(void) state;
	assert_int_equal(tg_stored_read(p->bytes, p->len, &q), 0);
	assert_memory_equal(q->bytes, p->bytes, p->len);
}

static void every_shortened_or_longer_one_is_refused(void **state)
{
	struct pack_source s = { .state = 77 };

	(void) state;
	for (unsigned i = 0; i < 20; i++) {
		struct tg_pack pack = pack_random_pack(&s);
		tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = parcel_of(&pack), *q = NULL;
		tg_cleanup(tg_buffer_done) struct tg_buffer b = stored_of(p);

		for (size_t len = 0; len < b.len; len++)
			assert_int_equal(read_back(&b, len, &q), -EBADMSG);
		tg_buffer_addc(&b, 0);
		assert_int_equal(read_back(&b, b.len, &q), -EBADMSG);
	}
}

/* The row's checksum is what finds damage; here, nothing may break. */
static void a_changed_byte_gives_an_error_or_some_pack(void **state)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = ordinary();
	tg_cleanup(tg_buffer_done) struct tg_buffer b = stored_of(p);
	unsigned refused = 0;

	(void) state;
	for (size_t at = 0; at < b.len; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			tg_cleanup(tg_parcel_unrefp) struct tg_parcel *q = NULL;
			int r;

			b.data[at] = (char) (b.data[at] ^ 1 << bit);
			r = read_back(&b, b.len, &q);
			b.data[at] = (char) (b.data[at] ^ 1 << bit);
			assert_true(r == 0 || r == -EBADMSG);
			refused += r < 0;
		}
	}
	assert_true(refused > 0);
}

static void a_name_cannot_share_more_than_there_is(void **state)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = ordinary(), *q = NULL;
	tg_cleanup(tg_buffer_done) struct tg_buffer b = stored_of(p);
	char *first = memmem(b.data, b.len, "\x0dtemperature-0", 14);

	(void) state;
	assert_non_null(first);
	first[-1] = 1;
	assert_int_equal(read_back(&b, b.len, &q), -EBADMSG);
}

static void a_name_with_a_nul_inside_is_refused(void **state)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = ordinary(), *q = NULL;
	tg_cleanup(tg_buffer_done) struct tg_buffer b = stored_of(p);
	/* temperature-59 is said as 13 bytes of the name before, and one more. */
	char *last = memmem(b.data, b.len,
			    "\x0d\x01"
			    "9",
			    3);

	(void) state;
	assert_non_null(last);
	last[2] = '\0';
	assert_int_equal(read_back(&b, b.len, &q), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pack_comes_back_byte_for_byte),
		cmocka_unit_test(every_real_comes_back_bit_for_bit),
		cmocka_unit_test(an_ordinary_pack_takes_a_third),
		cmocka_unit_test(a_parcel_of_before_is_still_read),
		cmocka_unit_test(every_shortened_or_longer_one_is_refused),
		cmocka_unit_test(a_changed_byte_gives_an_error_or_some_pack),
		cmocka_unit_test(a_name_cannot_share_more_than_there_is),
		cmocka_unit_test(a_name_with_a_nul_inside_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
