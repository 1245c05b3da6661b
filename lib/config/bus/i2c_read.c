/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/i2c_read.h"

#include "base/parse.h"
#include "config/bus/read_words.h"

#include <errno.h>
#include <string.h>

#define DELAY_MAX_US UINT64_C(5000000) /* the slowest conversions take a second */

/* Bytes up to the first word that is none, which is left in w->word. Returns like tg_read_words_next(). */
static int parse_bytes(struct tg_read_words *w, uint8_t *bytes, uint8_t *ret_n,
		       struct tg_fault *reterr)
{
	uint8_t n = 0, byte;
	int r;

	while ((r = tg_read_words_next(w, reterr)) > 0 && tg_read_byte(w->word, &byte)) {
		if (n == TG_I2C_WRITE_MAX)
			return tg_fault_set(reterr, -EINVAL, "more than %d bytes are written",
					    TG_I2C_WRITE_MAX);
		bytes[n++] = byte;
	}
	if (r >= 0 && n == 0)
		return tg_fault_set(reterr, -EINVAL,
				    "behind 'write' come bytes, as 0x1f or 1f%s%s%s",
				    r ? ", not '" : "", w->word, r ? "'" : "");
	*ret_n = n;
	return r;
}

static int parse_delay(struct tg_i2c_transfer *t, const char *value, struct tg_fault *reterr)
{
	if (t->split || tg_parse_duration(value, &t->delay_us) < 0 || t->delay_us > DELAY_MAX_US)
		return tg_fault_set(reterr, -EINVAL,
				    "delay '%s' is not a duration from 0s to 5s, given once",
				    value);
	t->split = true;
	return 0;
}

/* Up to and with `read N`. */
static int parse_transfer(struct tg_read_words *w, struct tg_i2c_transfer *t,
			  struct tg_fault *reterr)
{
	const char *delay;
	uint64_t n;
	int r = tg_read_words_next(w, reterr);

	if (r > 0 && strcmp(w->word, "write") == 0)
		r = parse_bytes(w, t->write, &t->n_write, reterr);
	while (r > 0 && (delay = tg_read_option(w->word, "delay"))) {
		r = parse_delay(t, delay, reterr);
		if (r == 0)
			r = tg_read_words_next(w, reterr);
	}
	if (r < 0)
		return r;
	if (strcmp(w->word, "read") != 0)
		return tg_fault_set(reterr, -EINVAL,
				    "'read N' is missing, as in 'write 00 read 2 int16'%s%s%s",
				    r ? "; '" : "", w->word, r ? "' stands there" : "");
	if (t->split && !t->n_write)
		return tg_fault_set(reterr, -EINVAL, "delay= is a pause behind a write");
	r = tg_read_words_next(w, reterr);
	if (r < 0)
		return r;
	r = tg_read_number("read", w->word, 1, TG_RAW_BYTES_MAX, &n, reterr);
	if (r == 0)
		t->n_read = (uint8_t) n;
	return r;
}

static bool parse_check(struct tg_i2c_transfer *t, const char *word)
{
	static const struct {
		const char *word;
		enum tg_i2c_check check;
	} checks[] = {
		{ "crc8", TG_I2C_CRC8 },
		{ "crc8-last", TG_I2C_CRC8_LAST },
		{ "pec", TG_I2C_PEC },
	};

	for (size_t i = 0; i < TG_ARRAY_SIZE(checks); i++) {
		if (t->check != TG_I2C_PLAIN || strcmp(checks[i].word, word) != 0)
			continue;
		t->check = checks[i].check;
		return true;
	}
	return false;
}

static int check_transfer(const struct tg_i2c_transfer *t, struct tg_fault *reterr)
{
	if (t->check == TG_I2C_CRC8 && t->n_read % 3 != 0)
		return tg_fault_set(reterr, -EINVAL,
				    "with crc8 each two bytes have a third for their CRC: read 3, "
				    "6, 9 ...");
	if (tg_i2c_payload(t) == 0)
		return tg_fault_set(reterr, -EINVAL, "the checksum needs a byte that it checks");
	return 0;
}

int tg_i2c_read_parse(const char *text, struct tg_i2c_transfer *ret_transfer,
		      struct tg_raw *ret_raw, struct tg_fault *reterr)
{
	struct tg_read_words w = TG_READ_WORDS_INIT(text);
	struct tg_i2c_transfer t = { .n_write = 0 };
	struct tg_raw_parse p = { .type = false };
	int r = parse_transfer(&w, &t, reterr);

	if (r < 0)
		return r;
	while ((r = tg_read_words_next(&w, reterr)) > 0) {
		if (parse_check(&t, w.word))
			continue;
		r = tg_raw_word(&p, w.word, reterr);
		if (r < 0)
			return r;
		if (r == 0)
			return tg_raw_unknown(w.word, "crc8, crc8-last, pec", reterr);
	}
	if (r == 0)
		r = check_transfer(&t, reterr);
	if (r == 0)
		r = tg_raw_finish(&p, tg_i2c_payload(&t), ret_raw, reterr);
	if (r == 0)
		*ret_transfer = t;
	return r;
}

/* One `write BYTE...`, with an optional comma at the end of its last word. */
static int parse_init(const char *text, size_t len, struct tg_i2c_write *ret,
		      struct tg_fault *reterr)
{
	char part[sizeof "write" + 6 * TG_I2C_WRITE_MAX + 64];
	struct tg_read_words w = TG_READ_WORDS_INIT(part);
	int r;

	if (len >= sizeof(part))
		return tg_fault_set(reterr, -EINVAL, "'%.20s...' is too long", text);
	memcpy(part, text, len);
	part[len] = '\0';
	r = tg_read_words_next(&w, reterr);
	if (r < 0)
		return r;
	if (strcmp(w.word, "write") != 0)
		return tg_fault_set(reterr, -EINVAL, "'%s': begins with 'write', as 'write f4 27'",
				    w.word);
	r = parse_bytes(&w, ret->bytes, &ret->n, reterr);
	return r <= 0 ? r
		      : tg_fault_set(reterr, -EINVAL, "'%s' is not a byte, as 0x1f or 1f", w.word);
}

int tg_i2c_init_parse(const char *text, struct tg_i2c_device *ret, struct tg_fault *reterr)
{
	struct tg_i2c_write init[TG_I2C_INIT_MAX] = { { .n = 0 } };
	unsigned n = 0;

	for (const char *end = *text ? "," : ""; *end; text = end + 1) {
		int r;

		end = text + strcspn(text, ",");
		if (n == TG_I2C_INIT_MAX)
			return tg_fault_set(reterr, -EINVAL, "more than %d writes",
					    TG_I2C_INIT_MAX);
		r = parse_init(text, (size_t) (end - text), &init[n++], reterr);
		if (r < 0)
			return r;
	}
	memcpy(ret->init, init, sizeof(init));
	ret->n_init = n;
	return 0;
}
