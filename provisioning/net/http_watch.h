/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <stddef.h>
#include <stdint.h>

/*
 * Whether a server that was asked something is getting on with it. Its first byte may take a while,
 * as there may be people or machines behind it; from then on so many bytes must come in each window
 * of time. Pure: the caller has the clock and counts.
 */
#define TG_HTTP_STALL_BYTES 64u /* a second, on average over a window */

struct tg_http_watch {
	uint64_t answer_us; /* until the first byte */
	uint64_t stall_us;  /* a window */
	uint64_t asked_us;  /* 0: nothing was asked yet */
	uint64_t window_us; /* its beginning; 0: no byte has come yet */
	size_t bytes;       /* that had come by the beginning of the window, or when it was asked */
};

/* The request goes out at @now_us; @bytes of earlier answers have come before. Never fails. */
void tg_http_watch_asked(struct tg_http_watch *w, uint64_t now_us, size_t bytes);
/* By @now_us there are @bytes. 0, or -ETIMEDOUT with words. */
int tg_http_watch_look(struct tg_http_watch *w, uint64_t now_us, size_t bytes,
		       struct tg_fault *reterr) TG_CHECKED;
