/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <stddef.h>

/*
 * Memory that is given back all at once: everything that one configuration
 * owns. One malloc() a piece, so that sanitizers see every overflow.
 */
struct tg_pool {
	struct tg_pool_piece *last;
};

/* @size zeroed bytes that live as long as the pool, or NULL. */
void *tg_pool_alloc(struct tg_pool *p, size_t size) TG_CHECKED;
char *tg_pool_copy(struct tg_pool *p, const char *s) TG_CHECKED;
char *tg_pool_format(struct tg_pool *p, const char *fmt, ...) TG_PRINTF(2, 3) TG_CHECKED;
void tg_pool_done(struct tg_pool *p);
