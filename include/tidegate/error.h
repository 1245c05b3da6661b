/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <stddef.h>

/*
 * How functions fail. They return 0, or -errno, or (where their header says
 * so) a positive outcome that the caller must handle. A struct tg_fault says
 * the same for a human: what, where, why, what to do. It is always the last
 * parameter, may be NULL, and is written on failure only.
 *
 * Not a log: the caller that decides what to do about a failure logs it, once.
 * Plain values, no allocation, any thread.
 */
#define TG_FAULT_MAX 512 /* a line in `tidegate status`; longer reasons are cut, marked with "..." */

struct tg_fault {
	int code; /* the -errno that was returned */
	char text[TG_FAULT_MAX];
};

/*
 * Fill @reterr (if not NULL) with @r (a -errno) and the formatted text, and return @r,
 * so that a failure is one statement:
 *	return tg_fault_set(reterr, -EPROTO, "%s: short answer", name);
 * Bytes that are not printable are replaced, as much of the text comes from peers.
 */
int tg_fault_set(struct tg_fault *reterr, int r, const char *fmt, ...) TG_PRINTF(3, 4);

/* Put "text: " in front of what @reterr says already; does nothing on NULL. Returns the fault's code (0 for NULL). */
int tg_fault_prefix(struct tg_fault *reterr, const char *fmt, ...) TG_PRINTF(2, 3);

/*
 * Copy @len bytes from a peer to @out of @size as printable text: control characters, DEL and bytes
 * that are not UTF-8 become '?'; too long text ends in "...". Always terminates @out (@size > 3). Never fails. Returns @out.
 */
const char *tg_printable(char *out, size_t size, const void *from, size_t len);
