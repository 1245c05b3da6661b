/* SPDX-License-Identifier: Apache-2.0 */
#include "config/pool.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tg_pool_piece {
	struct tg_pool_piece *previous;
	max_align_t data[];
};

void *tg_pool_alloc(struct tg_pool *p, size_t size)
{
	struct tg_pool_piece *piece;

	if (size > SIZE_MAX - sizeof(*piece))
		return NULL;
	piece = calloc(1, sizeof(*piece) + size);
	if (!piece)
		return NULL;
	piece->previous = p->last;
	p->last = piece;
	return piece->data;
}

char *tg_pool_copy(struct tg_pool *p, const char *s)
{
	size_t size = strlen(s) + 1;
	char *copy = tg_pool_alloc(p, size);

	if (copy)
		memcpy(copy, s, size);
	return copy;
}

char *tg_pool_format(struct tg_pool *p, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0)
		text = tg_pool_alloc(p, (size_t) n + 1);
	if (!text)
		return NULL;
	va_start(ap, fmt);
	(void) vsnprintf(text, (size_t) n + 1, fmt, ap);
	va_end(ap);
	return text;
}

void tg_pool_done(struct tg_pool *p)
{
	while (p->last) {
		struct tg_pool_piece *piece = p->last;

		p->last = piece->previous;
		free(piece);
	}
}
