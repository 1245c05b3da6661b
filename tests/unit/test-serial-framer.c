/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/serial/framer.h"

#include "agent/bus/serial/crc.h"
#include "base/clock.h"
#include "tests/unit/test.h"

#include <string.h>

/* Frames as they came, a bar behind each. */
struct heard {
	char text[4096];
	size_t len;
};

static void hear(void *user, const uint8_t *frame, size_t len)
{
	struct heard *h = user;

	assert_true(h->len + len + 2 < sizeof(h->text));
	memcpy(h->text + h->len, frame, len);
	h->len += len;
	h->text[h->len++] = '|';
	h->text[h->len] = '\0';
}

static struct tg_serial_bus lines(void)
{
	return (struct tg_serial_bus){ .framing = TG_SERIAL_LINES,
				       .delimiter = { "\n", 1 },
				       .max_frame = 32,
				       .checksum_required = true,
				       .frame_gap_us = 100000,
				       .length_size = 1,
				       .length_order = TG_SERIAL_BIG };
}

#define OPENED 1000000
#define GAP    100000

static struct tg_framer framer_of(const struct tg_serial_bus *cfg)
{
	struct tg_framer f;

	assert_int_equal(tg_framer_init(&f, cfg), 0);
	tg_framer_reset(&f, OPENED);
	return f;
}

static void feed(struct tg_framer *f, struct heard *h, uint64_t now, const char *text)
{
	tg_framer_feed(f, (const uint8_t *) text, strlen(text), now, hear, h);
}

static void half_a_line_at_the_start_is_thrown_away(void **state)
{
	struct tg_serial_bus cfg = lines();
	struct tg_framer f = framer_of(&cfg);
	struct heard h = { .len = 0 };

	(void) state;
	feed(&f, &h, OPENED + 10, "1.5\n21.5\r\n22");
	feed(&f, &h, OPENED + 20, ".5\n\n\n");
	assert_string_equal(h.text, "21.5|22.5|");
	tg_framer_done(&f);
}

static void a_line_behind_a_silence_is_whole(void **state)
{
	struct tg_serial_bus cfg = lines();
	struct tg_framer f = framer_of(&cfg);
	struct heard h = { .len = 0 };

	(void) state;
	assert_int_equal(tg_framer_due_us(&f), OPENED + GAP);
	feed(&f, &h, OPENED + GAP, "21.5\n");
	assert_string_equal(h.text, "21.5|");
	assert_true(tg_framer_due_us(&f) == TG_US_FOREVER);
	/* Typed by hand: silence ends no line. */
	feed(&f, &h, OPENED + 2 * GAP, "2");
	assert_true(tg_framer_due_us(&f) == TG_US_FOREVER);
	feed(&f, &h, OPENED + 9 * GAP, "2\n");
	assert_string_equal(h.text, "21.5|22|");
	tg_framer_done(&f);
}

static void a_line_that_is_too_long_costs_itself(void **state)
{
	struct tg_serial_bus cfg = lines();
	struct tg_framer f = framer_of(&cfg);
	struct heard h = { .len = 0 };

	(void) state;
	cfg.delimiter = (struct tg_serial_bytes){ ";;", 2 };
	feed(&f, &h, OPENED + GAP, "a;;");
	for (int i = 0; i < 100; i++)
		feed(&f, &h, OPENED + GAP, "0123456789;");
	feed(&f, &h, OPENED + GAP, ";b;;");
	assert_string_equal(h.text, "a|b|");
	assert_int_equal(f.counts.too_long, 1);
	tg_framer_done(&f);
}

static void sentences_are_checked(void **state)
{
	struct tg_serial_bus cfg = lines();
	struct tg_framer f;
	struct heard h = { .len = 0 };

	(void) state;
	cfg.framing = TG_SERIAL_NMEA;
	cfg.max_frame = 128;
	f = framer_of(&cfg);
	feed(&f, &h, OPENED, "noise$GPGLL,4916.45,N,12311.12,W,225444,A,*1D\r\n");
	assert_string_equal(h.text, "$GPGLL,4916.45,N,12311.12,W,225444,A,|");
	feed(&f, &h, OPENED, "$GPGLL,4916.45,N,12311.12,W,225444,A,*1E\r\n");
	feed(&f, &h, OPENED, "$GPGLL,4916.45,N,12311.12,W,225444,A,\r\n");
	feed(&f, &h, OPENED, "$GPGLL,4916.45,N,12311.12,W,225444,A,*1\r\n");
	assert_int_equal(f.counts.checksum, 3);
	/* Cut by the next, and by a byte that is none of the standard's. */
	feed(&f, &h, OPENED, "$GPGLL,49$GPGLL,4916.45\xff,N\r\n");
	assert_int_equal(f.counts.partial, 2);
	assert_int_equal(f.counts.frames, 1);
	cfg.checksum_required = false;
	feed(&f, &h, OPENED, "$HEHDT,274.07,T\r\n");
	assert_int_equal(f.counts.frames, 2);
	tg_framer_done(&f);
}

static void a_sentence_without_end_is_dropped_and_the_next_is_heard(void **state)
{
	struct tg_serial_bus cfg = lines();
	struct tg_framer f;
	struct heard h = { .len = 0 };

	(void) state;
	cfg.framing = TG_SERIAL_NMEA;
	cfg.checksum_required = false;
	f = framer_of(&cfg);
	feed(&f, &h, OPENED, "$");
	for (int i = 0; i < 50; i++)
		feed(&f, &h, OPENED, "0123456789");
	feed(&f, &h, OPENED, "\r\n$GPZDA\r\n");
	assert_string_equal(h.text, "$GPZDA|");
	assert_int_equal(f.counts.too_long, 1);
	tg_framer_done(&f);
}

/* AA 55, the length of what follows it without the check value, data, CRC-16/MODBUS over all from the length on. */
static struct tg_serial_bus binary(void)
{
	struct tg_serial_bus cfg = lines();

	cfg.framing = TG_SERIAL_SOF;
	cfg.start = (struct tg_serial_bytes){ { 0xaa, 0x55 }, 2 };
	cfg.length_at = 2;
	cfg.length_adds = 5;
	cfg.crc = TG_SERIAL_CRC16_MODBUS;
	cfg.crc_from = 2;
	return cfg;
}

static size_t frame_of(const struct tg_serial_bus *cfg, const char *data, uint8_t *out)
{
	size_t len = strlen(data);

	memcpy(out, "\xaa\x55", 2);
	out[2] = (uint8_t) len;
	memcpy(out + 3, data, len);
	tg_serial_check_bytes(cfg, tg_serial_check(cfg->crc, out + 2, len + 1), out + 3 + len);
	return len + 5;
}

static void a_binary_frame_is_found_in_noise_byte_by_byte(void **state)
{
	struct tg_serial_bus cfg = binary();
	struct tg_framer f = framer_of(&cfg);
	struct heard h = { .len = 0 };
	uint8_t wire[64] = { 0x00, 0xaa, 0xaa };
	size_t n = 3 + frame_of(&cfg, "hello", wire + 3);

	(void) state;
	n += frame_of(&cfg, "you", wire + n);
	for (size_t i = 0; i < n; i++)
		tg_framer_feed(&f, wire + i, 1, OPENED, hear, &h);
	assert_int_equal(f.counts.frames, 2);
	assert_int_equal(f.counts.stray, 3);
	assert_memory_equal(h.text + 3, "hello", 5);
	assert_memory_equal(h.text + 11 + 3, "you", 3);
	tg_framer_done(&f);
}

static void a_frame_with_a_wrong_check_value_is_dropped_and_the_one_inside_is_found(void **state)
{
	struct tg_serial_bus cfg = binary();
	struct tg_framer f = framer_of(&cfg);
	struct heard h = { .len = 0 };
	uint8_t wire[64];
	/* The first lost its tail: its length reaches into the second. */
	size_t n = frame_of(&cfg, "0123456789", wire) - 6;

	(void) state;
	n += frame_of(&cfg, "whole", wire + n);
	tg_framer_feed(&f, wire, n, OPENED, hear, &h);
	assert_int_equal(f.counts.frames, 1);
	assert_int_equal(f.counts.checksum, 1);
	assert_memory_equal(h.text + 3, "whole", 5);
	tg_framer_done(&f);
}

static void silence_ends_half_a_frame(void **state)
{
	struct tg_serial_bus cfg = binary();
	struct tg_framer f = framer_of(&cfg);
	struct heard h = { .len = 0 };
	uint8_t wire[64];
	size_t n = frame_of(&cfg, "hello", wire);

	(void) state;
	tg_framer_feed(&f, wire, 4, OPENED, hear, &h);
	assert_int_equal(tg_framer_due_us(&f), OPENED + GAP);
	tg_framer_tick(&f, OPENED + GAP - 1);
	assert_int_equal(f.counts.partial, 0);
	tg_framer_feed(&f, wire, n, OPENED + GAP, hear, &h);
	assert_int_equal(f.counts.partial, 1);
	assert_int_equal(f.counts.frames, 1);
	tg_framer_done(&f);
}

static void impossible_lengths_are_no_frames(void **state)
{
	struct tg_serial_bus cfg = binary();
	struct tg_framer f = framer_of(&cfg);
	struct heard h = { .len = 0 };
	uint8_t wire[64] = { 0xaa, 0x55, 0xff, 0xaa, 0x55, 0x00 };
	size_t n = 6 + frame_of(&cfg, "ok", wire + 6);

	(void) state;
	tg_framer_feed(&f, wire, n, OPENED, hear, &h);
	/* 255 bytes are more than max-frame; an empty frame may be, but not without its check value. */
	assert_int_equal(f.counts.too_long, 1);
	assert_int_equal(f.counts.checksum, 1);
	assert_int_equal(f.counts.frames, 1);
	tg_framer_done(&f);
}

static void nothing_but_starts_costs_bounded_work(void **state)
{
	struct tg_serial_bus cfg = binary();
	struct tg_framer f;
	struct heard h = { .len = 0 };
	uint8_t wire[4096];

	(void) state;
	cfg.start = (struct tg_serial_bytes){ { 0xaa }, 1 };
	cfg.length_at = 1;
	cfg.max_frame = 4096;
	f = framer_of(&cfg);
	memset(wire, 0xaa, sizeof(wire));
	tg_framer_feed(&f, wire, sizeof(wire), OPENED, hear, &h);
	assert_int_equal(f.counts.frames, 0);
	assert_in_range(f.counts.checksum, 1, 100);
	tg_framer_done(&f);
}

static void fixed_lengths_keep_step_by_silence(void **state)
{
	struct tg_serial_bus cfg = lines();
	struct tg_framer f;
	struct heard h = { .len = 0 };

	(void) state;
	cfg.framing = TG_SERIAL_LENGTH;
	cfg.frame_length = 4;
	cfg.crc = TG_SERIAL_XOR8;
	f = framer_of(&cfg);
	/* Joined in the middle: nothing counts before the first silence. */
	feed(&f, &h, OPENED + 10, "abc`abc`");
	assert_string_equal(h.text, "");
	feed(&f, &h, OPENED + 10 + GAP, "abc`ab");
	feed(&f, &h, OPENED + 20 + GAP, "c`");
	assert_string_equal(h.text, "abc`|abc`|");
	/* One byte is lost: one frame and no more. */
	feed(&f, &h, OPENED + 30 + GAP, "ab`abc`");
	feed(&f, &h, OPENED + 40 + 2 * GAP, "abc`");
	assert_int_equal(f.counts.frames, 3);
	assert_int_equal(f.counts.checksum, 1);
	tg_framer_done(&f);
}

static void check_values_are_those_of_the_catalogue(void **state)
{
	static const struct {
		enum tg_serial_crc crc;
		uint32_t want;
	} cases[] = {
		{ TG_SERIAL_CRC8_SMBUS, 0xf4 },
		{ TG_SERIAL_CRC8_MAXIM, 0xa1 },
		{ TG_SERIAL_CRC16_MODBUS, 0x4b37 },
		{ TG_SERIAL_CRC16_XMODEM, 0x31c3 },
		{ TG_SERIAL_CRC16_IBM_3740, 0x29b1 },
		{ TG_SERIAL_CRC16_KERMIT, 0x2189 },
		{ TG_SERIAL_CRC32, 0xcbf43926 },
		{ TG_SERIAL_SUM8, 0xdd },
		{ TG_SERIAL_XOR8, 0x31 },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++)
		assert_int_equal(tg_serial_check(cases[i].crc, (const uint8_t *) "123456789", 9),
				 cases[i].want);
}

static void check_values_go_on_the_wire_in_their_usual_order_or_another(void **state)
{
	struct tg_serial_bus cfg = { .crc = TG_SERIAL_CRC16_MODBUS };
	uint8_t out[4];

	(void) state;
	tg_serial_check_bytes(&cfg, 0x1234, out);
	assert_memory_equal(out, "\x34\x12", 2);
	cfg.crc_order = TG_SERIAL_BIG;
	tg_serial_check_bytes(&cfg, 0x1234, out);
	assert_memory_equal(out, "\x12\x34", 2);
	cfg = (struct tg_serial_bus){ .crc = TG_SERIAL_CRC16_XMODEM };
	tg_serial_check_bytes(&cfg, 0x1234, out);
	assert_memory_equal(out, "\x12\x34", 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_a_line_at_the_start_is_thrown_away),
		cmocka_unit_test(a_line_behind_a_silence_is_whole),
		cmocka_unit_test(a_line_that_is_too_long_costs_itself),
		cmocka_unit_test(sentences_are_checked),
		cmocka_unit_test(a_sentence_without_end_is_dropped_and_the_next_is_heard),
		cmocka_unit_test(a_binary_frame_is_found_in_noise_byte_by_byte),
		cmocka_unit_test(
			a_frame_with_a_wrong_check_value_is_dropped_and_the_one_inside_is_found),
		cmocka_unit_test(silence_ends_half_a_frame),
		cmocka_unit_test(impossible_lengths_are_no_frames),
		cmocka_unit_test(nothing_but_starts_costs_bounded_work),
		cmocka_unit_test(fixed_lengths_keep_step_by_silence),
		cmocka_unit_test(check_values_are_those_of_the_catalogue),
		cmocka_unit_test(check_values_go_on_the_wire_in_their_usual_order_or_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
