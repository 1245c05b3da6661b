/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <stdbool.h>
#include <stddef.h>

/*
 * A text or byte buffer that grows up to a bound given at birth.
 *
 * Errors stick: after the first append that would pass the bound or finds no
 * memory, the buffer keeps what it has, every later append does nothing, and
 * tg_buffer_error() says why. So an encoder appends freely and looks once.
 * Always NUL-terminated behind len. Owned by one thread.
 */
struct tg_buffer {
	char *data; /* NULL until the first append */
	size_t len;
	size_t cap;
	size_t max; /* bytes, without the NUL */
	int error;  /* 0, -EMSGSIZE, -ENOMEM */
};
#define TG_BUFFER_INIT(max_bytes) { .max = (max_bytes) }

void tg_buffer_done(struct tg_buffer *b);
/* Forget the contents and the error, keep the memory. */
void tg_buffer_reset(struct tg_buffer *b);
void tg_buffer_add(struct tg_buffer *b, const void *data, size_t len);
void tg_buffer_addc(struct tg_buffer *b, char c);
void tg_buffer_adds(struct tg_buffer *b, const char *s);
void tg_buffer_addf(struct tg_buffer *b, const char *fmt, ...) TG_PRINTF(2, 3);
/* A JSON string with its quotes (RFC 8259); bytes that are not UTF-8 become U+FFFD. */
void tg_buffer_add_json(struct tg_buffer *b, const char *s);
/*
 * A finite number in its shortest form that reads back as the same double, as JSON wants it, whatever the locale
 * (LC_NUMERIC) is. The caller has dealt with NaN and infinities.
 */
void tg_buffer_add_real(struct tg_buffer *b, double v);
/* 0, or the first failure. */
int tg_buffer_error(const struct tg_buffer *b) TG_CHECKED;
/* The text; "" when nothing was added. Valid until the next append. */
const char *tg_buffer_text(const struct tg_buffer *b);
