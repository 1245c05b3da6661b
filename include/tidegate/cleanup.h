/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Scope-bound ownership: a variable declared with tg_cleanup() gives up what
 * it owns when it goes out of scope; tg_take() hands it on instead.
 *
 * Foreign types are wrapped once, next to their first use:
 *	TG_DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
 *	tg_cleanup(EVP_PKEY_freep) EVP_PKEY *key = NULL;
 */
#define tg_cleanup(fn) __attribute__((__cleanup__(fn)))

/* A function whose result must not be dropped: every one that can fail. */
#define TG_CHECKED __attribute__((__warn_unused_result__))
#define TG_PRINTF(fmt, args) __attribute__((__format__(__printf__, fmt, args)))

/* Returns the value of @var and leaves NULL behind, so that its cleanup does nothing. */
#define tg_take(var)                                                                               \
	({                                                                                         \
		__typeof__(var) *tg_take_ = &(var);                                                \
		__typeof__(var) tg_taken_ = *tg_take_;                                             \
		*tg_take_ = NULL;                                                                  \
		tg_taken_;                                                                         \
	})

/* The same for a file descriptor: leaves -1 behind. */
#define tg_take_fd(var)                                                                            \
	({                                                                                         \
		int *tg_take_ = &(var);                                                            \
		int tg_taken_ = *tg_take_;                                                         \
		*tg_take_ = -1;                                                                    \
		tg_taken_;                                                                         \
	})

#define TG_DEFINE_CLEANUP(type, fn)                                                                \
	static inline void fn##p(type *p)                                                          \
	{                                                                                          \
		if (*p)                                                                            \
			(void) fn(*p);                                                             \
	}

#define tg_autofree tg_cleanup(tg_freep)
#define tg_autoclose tg_cleanup(tg_closep)

static inline void tg_freep(void *p)
{
	free(*(void **) p);
}

/* For read-only fds and error paths: a writer that cares calls close() itself and looks. */
static inline void tg_closep(const int *fd)
{
	if (*fd >= 0)
		(void) close(*fd);
}

TG_DEFINE_CLEANUP(FILE *, fclose)

#define TG_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
