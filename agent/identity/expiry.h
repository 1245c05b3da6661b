/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * When to tell that the certificate runs out while its renewal fails: at a
 * tenth of its life, at a fiftieth, and at its end; each once, however often
 * it is asked, so that an alarm on the event is worth having.
 *
 * Pure: no clock. Times are seconds since 1970; the present is what is believed
 * of it, a lower bound, so nothing is told too early.
 */
enum tg_expiry_level {
	TG_EXPIRY_FINE,
	TG_EXPIRY_SOON,      /* a tenth of its life is left */
	TG_EXPIRY_VERY_SOON, /* a fiftieth */
	TG_EXPIRY_OVER,
};

struct tg_expiry_facts {
	unsigned generation; /* of the current certificate; 0: there is none */
	int64_t not_before, not_after;
	int64_t believed_s;
	bool failing; /* no renewal is going to come by itself, or the last one has failed */
};

struct tg_expiry {
	unsigned generation; /* that was spoken of */
	enum tg_expiry_level told;
};
#define TG_EXPIRY_NULL { 0 }

enum tg_expiry_level tg_expiry_level(const struct tg_expiry_facts *f);
/* The level when it is worse than what was told of this certificate, else FINE. Never fails. */
enum tg_expiry_level tg_expiry_news(struct tg_expiry *e, const struct tg_expiry_facts *f);
