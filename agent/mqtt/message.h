/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/pipeline/pipeline.h"
#include "base/buffer.h"
#include "config/specifier.h"

#include <tidegate/error.h>

/*
 * From a stored pack to topic and payload, at the moment of publishing: an id
 * that became known, a repaired clock and a changed format reach packs that
 * were read before. No I/O; blocks nowhere.
 */
struct tg_message {
	char topic[513];
	struct tg_buffer payload; /* reused; make it with TG_BUFFER_INIT(max-payload) */
};

struct tg_message_context {
	const struct tg_config *cfg;
	const struct tg_specifiers *spec; /* without device */
	struct tg_pipeline_clock clock;   /* now */
	uint8_t boot_id[16];              /* this boot's */
};

/*
 * Returns 0, -EMSGSIZE when the payload passes max-payload, -EBADMSG when the parcel is damaged, -EINVAL when the topic cannot be
 * formed, -EAGAIN when an id is not known yet, -ENOMEM.
 */
int tg_message_form(struct tg_message *m, const struct tg_message_context *ctx,
		    const struct tg_parcel *parcel, enum tg_stream stream,
		    struct tg_fault *reterr) TG_CHECKED;
void tg_message_done(struct tg_message *m);

/*
 * Gives @pack the wall clock's present offset when it was made in this boot and the clock can be trusted more now: it was
 * suspect, or nobody had confirmed it and it has been set by a second or more by who synchronises it. Pure.
 */
void tg_message_repair_clock(struct tg_pack *pack, const struct tg_pipeline_clock *now,
			     const uint8_t boot_id[static 16]);
