/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/spi_read.h"

#include "base/parse.h"
#include "config/bus/read_words.h"

#include <errno.h>
#include <string.h>

/* `transfer BYTE...`; the word behind is left in w->word. Returns like tg_read_words_next(). */
static int parse_bytes(struct tg_read_words *w, struct tg_spi_transfer *t, struct tg_fault *reterr)
{
	uint8_t byte;
	int r = tg_read_words_next(w, reterr);

	if (r < 0)
		return r;
	if (strcmp(w->word, "transfer") != 0)
		return tg_fault_set(reterr, -EINVAL,
				    "begins with 'transfer', as 'transfer 06 00 00 uint16 at=1'");
	while ((r = tg_read_words_next(w, reterr)) > 0 && tg_read_byte(w->word, &byte)) {
		if (t->n_bytes == TG_SPI_WRITE_MAX)
			return tg_fault_set(reterr, -EINVAL, "more than %d bytes",
					    TG_SPI_WRITE_MAX);
		t->bytes[t->n_bytes++] = byte;
	}
	if (r >= 0 && !t->n_bytes)
		return tg_fault_set(reterr, -EINVAL,
				    "behind 'transfer' come bytes, as 0x1f or 1f%s%s%s",
				    r ? ", not '" : "", w->word, r ? "'" : "");
	return r;
}

/* [delay=DURATION] [read N]; the word behind is left in w->word. */
static int parse_rest(struct tg_read_words *w, struct tg_spi_transfer *t, int r,
		      struct tg_fault *reterr)
{
	const char *delay = tg_read_option(w->word, "delay");
	uint64_t n = 0;

	if (r > 0 && delay) {
		/* What the kernel's struct spi_ioc_transfer holds. */
		if (tg_parse_duration(delay, &n) < 0 || n == 0 || n > UINT16_MAX)
			return tg_fault_set(reterr, -EINVAL,
					    "delay '%s' is not a duration from 1us to 65ms", delay);
		t->delay_us = (uint16_t) n;
		r = tg_read_words_next(w, reterr);
	}
	if (r < 0)
		return r;
	if (strcmp(w->word, "read") != 0)
		return t->delay_us ? tg_fault_set(reterr, -EINVAL, "delay= stands before 'read N'")
				   : r;
	r = tg_read_words_next(w, reterr);
	if (r < 0)
		return r;
	r = tg_read_number("read", w->word, 1, TG_RAW_BYTES_MAX, &n, reterr);
	if (r < 0)
		return r;
	t->n_read = (uint8_t) n;
	return tg_read_words_next(w, reterr);
}

int tg_spi_read_parse(const char *text, struct tg_spi_transfer *ret_transfer,
		      struct tg_raw *ret_raw, struct tg_fault *reterr)
{
	struct tg_read_words w = TG_READ_WORDS_INIT(text);
	struct tg_spi_transfer t = { .n_bytes = 0 };
	struct tg_raw_parse p = { .type = false };
	int r = parse_bytes(&w, &t, reterr);

	if (r > 0)
		r = parse_rest(&w, &t, r, reterr);
	for (; r > 0; r = tg_read_words_next(&w, reterr)) {
		r = tg_raw_word(&p, w.word, reterr);
		if (r < 0)
			return r;
		if (r == 0)
			return tg_raw_unknown(w.word, "delay=, read N", reterr);
	}
	if (r == 0)
		r = tg_raw_finish(&p, tg_spi_answer(&t), ret_raw, reterr);
	if (r == 0)
		*ret_transfer = t;
	return r;
}
