/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/alloc-fail.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define TRIES_MAX 20000ul /* more allocations than any operation makes: it would not end */
#define AGAIN     16ul     /* one failure in so many is followed by another try without */

/* A sanitizer makes some blocks without asking here (strdup()); it counts for itself. */
#ifdef SANITIZED
#define HEAP(name) __interceptor_##name
#define BALANCED   false
#define EACH       20ul
#define STRIDE     31ul
#else
#define HEAP(name) __libc_##name
#define BALANCED   true
#define EACH       50ul
#define STRIDE     31ul
#endif

/* The heap that is really there. */
extern void *HEAP(malloc)(size_t size);
extern void *HEAP(calloc)(size_t n, size_t size);
extern void *HEAP(realloc)(void *p, size_t size);
extern void HEAP(free)(void *p);

static _Thread_local struct {
	bool armed;
	unsigned long nth;
	enum alloc_fail_mode mode;
	struct alloc_fail_count count;
} here;

static bool fails(void)
{
	if (!here.armed)
		return false;
	here.count.asked++;
	if (here.nth == 0 || here.count.asked < here.nth ||
	    (here.mode == ALLOC_FAIL_ONCE && here.count.asked > here.nth))
		return false;
	here.count.failed++;
	errno = ENOMEM;
	return true;
}

static void *taken(void *p)
{
	if (here.armed && p)
		here.count.live++;
	return p;
}

void *malloc(size_t size)
{
	return fails() ? NULL : taken(HEAP(malloc)(size));
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : taken(HEAP(calloc)(n, size));
}

void *realloc(void *p, size_t size)
{
	if (fails())
		return NULL;
	return p ? HEAP(realloc)(p, size) : taken(HEAP(realloc)(p, size));
}

void free(void *p)
{
	if (here.armed && p)
		here.count.live--;
	HEAP(free)(p);
}

void alloc_fail_arm(unsigned long nth, enum alloc_fail_mode mode)
{
	here.nth = nth;
	here.mode = mode;
	here.count = (struct alloc_fail_count){ 0 };
	here.armed = true;
}

struct alloc_fail_count alloc_fail_disarm(void)
{
	here.armed = false;
	return here.count;
}

static int run(alloc_fail_op op, void *user, unsigned long nth, enum alloc_fail_mode mode,
	       struct alloc_fail_count *ret)
{
	int r;

	alloc_fail_arm(nth, mode);
	r = op(user);
	*ret = alloc_fail_disarm();
	return r;
}

/*
 * Each single allocation has its turn. That nothing more is to be had from there on is tried from each of the
 * first, and then from one in STRIDE: what follows the first failure differs less and less.
 */
static unsigned long next(unsigned long nth, enum alloc_fail_mode mode)
{
	return nth + (mode == ALLOC_FAIL_ONCE || nth < EACH ? 1 : STRIDE);
}

static unsigned long exhaust(const char *name, unsigned how, alloc_fail_op op, void *user,
			     enum alloc_fail_mode mode, int wanted, long live)
{
	struct alloc_fail_count count;
	unsigned long failed = 0;

	for (unsigned long nth = 1; nth < TRIES_MAX; nth = next(nth, mode)) {
		int r = run(op, user, nth, mode, &count);

		if (count.failed == 0 && r != wanted)
			fail_msg("%s: %d, and %d without a failure", name, wanted, r);
		if (r != wanted && r != -ENOMEM && !(how & ALLOC_FAIL_REFUSES && r < 0))
			fail_msg("%s: allocation %lu failed, and it gave %d", name, nth, r);
		if (BALANCED && count.live != live && !(how & ALLOC_FAIL_KEEPS))
			fail_msg("%s: allocation %lu failed, and %ld blocks were not given back",
				 name, nth, count.live - live);
		if (count.failed == 0)
			return failed;
		failed++;
		if (nth % AGAIN != 1)
			continue;
		r = run(op, user, 0, mode, &count);
		if (r != wanted)
			fail_msg("%s: after allocation %lu had failed the next try gave %d", name,
				 nth, r);
	}
	fail_msg("%s: still not through after %lu tries", name, TRIES_MAX);
	return 0;
}

unsigned long alloc_fail_each(const char *name, unsigned how, alloc_fail_op op, void *user)
{
	struct alloc_fail_count count;
	unsigned long failed;
	int wanted;

	/* What libraries make once, at their first use, is made before anything counts. */
	(void) run(op, user, 0, ALLOC_FAIL_ONCE, &count);
	wanted = run(op, user, 0, ALLOC_FAIL_ONCE, &count);
	if (wanted == -ENOMEM || count.asked == 0)
		fail_msg("%s: %d after %lu allocations: nothing to fail", name, wanted,
			 count.asked);
	failed = exhaust(name, how, op, user, ALLOC_FAIL_ONCE, wanted, count.live);
	return failed + exhaust(name, how, op, user, ALLOC_FAIL_ON, wanted, count.live);
}
