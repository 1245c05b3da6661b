/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/*
 * Memory that runs out: a program that links alloc-fail.c has malloc(),
 * calloc(), realloc() and free() of its own, which shared libraries (SQLite,
 * jansson, OpenSSL, the C library itself) call as well. While a thread has
 * armed them, the n-th allocation of that thread finds no memory; other threads
 * are left alone. What is behind them is the C library's heap, or that of the
 * sanitizer, which sees every leak as usual.
 */
enum alloc_fail_mode {
	ALLOC_FAIL_ONCE, /* the n-th alone */
	ALLOC_FAIL_ON,   /* the n-th and every one behind it */
};

/* Arms this thread's allocations; @nth counts from 1, 0 only counts. */
void alloc_fail_arm(unsigned long nth, enum alloc_fail_mode mode);

struct alloc_fail_count {
	unsigned long asked;  /* allocations since it was armed */
	unsigned long failed; /* of them */
	long live;            /* blocks taken and not given back: below 0 when older ones were */
};
/* Disarms, and tells what has happened since. */
struct alloc_fail_count alloc_fail_disarm(void);

/*
 * An operation under test. Returns 0 or a failure of its own, and does the same each time; -ENOMEM
 * when it says that memory was short. What it makes it gives back.
 */
typedef int (*alloc_fail_op)(void *user);

/* What an operation may do beside. */
enum alloc_fail_how {
	ALLOC_FAIL_STRICT = 0,
	ALLOC_FAIL_REFUSES =
		1, /* end with another failure: a library does not say that it was memory */
	ALLOC_FAIL_KEEPS =
		2, /* keep blocks that a library gives back at its own time: leaks are for the sanitizer */
};

/*
 * Runs @op with each of its allocations failing in turn, once and for good, until it gets through
 * without meeting the failure. Each time it must end with -ENOMEM or as if nothing had been,
 * give back all that it took, and work at the next try. Anything else fails the test of cmocka.
 * Returns how many times an allocation has failed.
 */
unsigned long alloc_fail_each(const char *name, unsigned how, alloc_fail_op op, void *user);
