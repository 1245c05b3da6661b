/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/net/http_watch.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>

void tg_http_watch_asked(struct tg_http_watch *w, uint64_t now_us, size_t bytes)
{
	w->asked_us = now_us;
	w->window_us = 0;
	w->bytes = bytes;
}

int tg_http_watch_look(struct tg_http_watch *w, uint64_t now_us, size_t bytes,
		       struct tg_fault *reterr)
{
	size_t wanted = TG_HTTP_STALL_BYTES * (size_t) (w->stall_us / TG_US_PER_S);

	if (!w->asked_us)
		return 0;
	if (!w->window_us && bytes == w->bytes) {
		if (now_us - w->asked_us < w->answer_us)
			return 0;
		return tg_fault_set(reterr, -ETIMEDOUT, "the server is silent for %" PRIu64 " s",
				    w->answer_us / TG_US_PER_S);
	}
	if (w->window_us && now_us - w->window_us < w->stall_us)
		return 0;
	if (w->window_us && bytes - w->bytes < wanted)
		return tg_fault_set(reterr, -ETIMEDOUT,
				    "the server sends too slowly: %zu bytes in %" PRIu64 " s",
				    bytes - w->bytes, (now_us - w->window_us) / TG_US_PER_S);
	/* The bytes that open the first window do not count in it. */
	w->window_us = now_us;
	w->bytes = bytes;
	return 0;
}
