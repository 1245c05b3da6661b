/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <dlfcn.h>
#include <string.h>

/*
 * For programs and preloaded libraries that define functions of the C library themselves: the definition behind theirs.
 */

/*
 * Sets *@function, a pointer to a function, to what @name would have been; NULL when there is nothing. ISO C has no conversion
 * from an object pointer to a function pointer; POSIX promises that the bytes are the same.
 */
static inline void bind_next(void *function, const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	memcpy(function, &found, sizeof(found));
}

/* Declares `next`, found with the first call. Any thread: all of them find the same. */
#define NEXT(type, name, ...)                                                                      \
	static type (*next)(__VA_ARGS__);                                                          \
	if (!next)                                                                                 \
	bind_next(&next, name)
