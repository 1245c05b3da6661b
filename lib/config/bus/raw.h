/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/read_words.h"

#include <tidegate/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How a value lies in the bytes that a chip answers, and the bytes that set
 * one: the part of `read` and `set` that i2c and spi have in common. Pure.
 *
 *	TYPE [at=N] [order=ORDER] [mask=MASK] [shift=N] [bit=N]
 *
 * TYPE is bool, int8, uint8, int16, uint16, int24, uint24, int32, uint32,
 * float32, int64, uint64 or float64; bit= makes a bool of an unsigned TYPE,
 * uint8 without one. The value is (bytes & MASK) >> shift; the topmost bit of
 * MASK is the sign of a signed TYPE, so that 12 bits in 16 need no more words.
 */
#define TG_RAW_BYTES_MAX 64 /* that one answer has; SMBus ends at 32, register files rarely at 64 */
#define TG_RAW_SET_MAX   16 /* constant bytes before and behind a value that is set */

enum tg_raw_form { TG_RAW_UNSIGNED, TG_RAW_SIGNED, TG_RAW_FLOAT, TG_RAW_BOOL };
/* Of the bytes as they arrive, for a value whose bytes from most to least significant are A B C D (and on). */
enum tg_raw_order { TG_RAW_ABCD, TG_RAW_DCBA, TG_RAW_CDAB, TG_RAW_BADC };

struct tg_raw {
	enum tg_raw_form form;
	enum tg_raw_order order;
	uint8_t at;    /* of its first byte in the answer */
	uint8_t size;  /* bytes: 1 2 3 4 8 */
	uint8_t shift; /* to the right, behind mask; less than the bits of mask reach */
	uint64_t mask; /* not 0; all ones where no mask was given */
};

/* `set = write 01 value`: constant bytes around the value's own. */
struct tg_raw_set {
	bool given;
	uint8_t n_before, n_after;
	uint8_t before[TG_RAW_SET_MAX], after[TG_RAW_SET_MAX];
};

/* Words that were there once. */
struct tg_raw_parse {
	struct tg_raw raw;
	bool type, order, at, mask, shift, bit;
	uint8_t bit_number;
};

/*
 * Takes w->word if it belongs to a value. Returns 1 when it did, 0 when it is somebody else's, -EINVAL when it is wrong
 * ("unknown word, did you mean 'uint16'?" is left to tg_raw_unknown()).
 */
int tg_raw_word(struct tg_raw_parse *p, const char *word, struct tg_fault *reterr) TG_CHECKED;
/* What to say of a word that nobody knows; @also names what else there is. Returns -EINVAL. */
int tg_raw_unknown(const char *word, const char *also, struct tg_fault *reterr) TG_CHECKED;
/* All words were there; @len bytes are read. Returns 0 and *@ret, or -EINVAL. */
int tg_raw_finish(struct tg_raw_parse *p, size_t len, struct tg_raw *ret,
		  struct tg_fault *reterr) TG_CHECKED;

/*
 * `VERB BYTE... value [BYTE...]`, @verb being the first word. Returns 0, or -EINVAL. "" is none given.
 */
int tg_raw_set_parse(const char *text, const char *verb, struct tg_raw_set *ret,
		     struct tg_fault *reterr) TG_CHECKED;
