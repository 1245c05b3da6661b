/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/generation.h"

#include <stdint.h>

/*
 * What is told to the cloud when a certificate follows on another: one JSON
 * object for status-topic + "/events" (doc/messages.md). Pure.
 */
enum tg_certificate_change {
	TG_CERTIFICATE_RENEWED,     /* the broker took the new one; the old one may still be needed */
	TG_CERTIFICATE_RETIRED,     /* it is not: the other side may deactivate it */
	TG_CERTIFICATE_ROLLED_BACK, /* the new one was given up, the old one is used again */
};

struct tg_certificate_event {
	enum tg_certificate_change change;
	const char *gateway; /* %i */
	int64_t wall_us;     /* 0: the clock is not to be believed */
	const struct tg_manifest *old, *new;
	uint64_t probation_us; /* RENEWED */
	const char *reason;    /* ROLLED_BACK */
};

#define TG_CERTIFICATE_EVENT_MAX 8192 /* bytes */

/* Returns owned text, or NULL without memory. */
char *tg_certificate_event_json(const struct tg_certificate_event *e);
