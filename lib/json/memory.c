/* SPDX-License-Identifier: Apache-2.0 */
#include "json/memory.h"

#include <errno.h>
#include <jansson.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/*
 * What is left to parse when memory has run out makes values, of which the smallest takes two bytes
 * of text and less than this many of memory for each; and no text that we read needs more than the
 * bound to get to the next value, where the parser notices for itself.
 */
#define RESERVE_FACTOR 64u
#define RESERVE_MAX    (1024u * 1024)
#define ALIGNMENT      (sizeof(max_align_t))

static _Thread_local struct {
	char *reserve; /* NULL: not in the parser */
	size_t size, used;
	unsigned long refused; /* allocations */
} here;

static bool clearing; /* set once, before the first document */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void *take(size_t size)
{
	void *p = malloc(size);

	if (p)
		return p;
	here.refused++;
	size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (!here.reserve || size > here.size - here.used)
		return NULL;
	p = here.reserve + here.used;
	here.used += size;
	return p;
}

static void give(void *p)
{
	if (!p ||
	    (here.reserve && (char *) p >= here.reserve && (char *) p < here.reserve + here.size))
		return;
	if (clearing)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void install(void)
{
	json_set_alloc_funcs(take, give);
}

unsigned long tg_json_refused(void)
{
	(void) pthread_once(&once, install);
	return here.refused;
}

void tg_json_clear_memory(void)
{
	clearing = true;
	(void) pthread_once(&once, install);
}

static int open_reserve(size_t len)
{
	here.size = len < RESERVE_MAX / RESERVE_FACTOR ? (len + 16) * RESERVE_FACTOR : RESERVE_MAX;
	here.used = 0;
	here.reserve = malloc(here.size);
	return here.reserve ? 0 : -ENOMEM;
}

static void close_reserve(void)
{
	if (clearing)
		explicit_bzero(here.reserve, here.used);
	free(here.reserve);
	here.reserve = NULL;
}

static int parse(const char *text, size_t len, size_t flags, json_t **ret, struct tg_fault *reterr)
{
	unsigned long refused = here.refused;
	json_error_t error;
	json_t *doc = json_loadb(text, len, flags, &error);

	if (here.refused != refused) {
		json_decref(doc);
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	}
	if (doc) {
		*ret = doc;
		return 0;
	}
	/* The parser's own text quotes what it found, which may be a secret. */
	return tg_fault_set(
		reterr, json_error_code(&error) == json_error_numeric_overflow ? -ERANGE : -EBADMSG,
		"not JSON: line %d, column %d", error.line, error.column);
}

int tg_json_load(const char *text, size_t len, size_t flags, json_t **ret, struct tg_fault *reterr)
{
	int r;

	(void) pthread_once(&once, install);
	if (tg_json_depth(text, len) > TG_JSON_DEPTH)
		return tg_fault_set(reterr, -EBADMSG, "nested deeper than %d levels",
				    TG_JSON_DEPTH);
	r = open_reserve(len);
	if (r < 0)
		return tg_fault_set(reterr, r, "out of memory");
	r = parse(text, len, flags, ret, reterr);
	close_reserve();
	return r;
}
