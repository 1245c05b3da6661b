/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/encode/encode.h"

#include <tidegate/cleanup.h>
#include <tidegate/sample.h>

/*
 * How many samples fit into one message of max-payload bytes.
 *
 * Measured with the encoder that will print them, but with room for what is
 * not known until then: the expansion of the base name, the stream, and
 * whether the clock will be suspect. A cheap upper bound spares the encoder
 * for every pack that is far from the limit, which is nearly all.
 */
struct tg_split {
	const struct tg_encoder *encoder;
	size_t max_payload;
	char *base_name; /* as long as it can become */
};

/* Returns 0 or -ENOMEM; tg_split_done() is right after either. */
int tg_split_init(struct tg_split *sp, const struct tg_config *cfg) TG_CHECKED;
void tg_split_done(struct tg_split *sp);
/*
 * Returns how many leading samples of @pack (its seq does not matter) one message can hold; 0 when not even the first fits.
 * Not the largest number, but at least half of it. Allocates up to max-payload while it measures; without memory
 * nothing fits. Any thread, @sp is only read.
 */
size_t tg_split_count(const struct tg_split *sp, const struct tg_pack *pack);
