/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buffer.h"
#include "config/config.h"

#include <tidegate/sample.h>

/*
 * From a pack to the payload of an MQTT message. Pure: no clock, no I/O.
 *
 * SenML JSON is RFC 8428: base-name and base time in the first record, which
 * is `_seq`; then `_stream`; a bad or stale point has no value but a record
 * NAME_q. Flat JSON is one object. The wall time is boot_us plus
 * pack->wall_offset_us; no absolute time below 2^28 s is written (RFC 8428
 * section 4.5.3 gives those another meaning): such a pack carries `clock`,
 * boot id and boot time instead.
 */
struct tg_encoder {
	const char *name; /* the value of `format` */
	const char *content_type;
	/* Appends the payload of @pack to @out; the caller looks at tg_buffer_error(). @base_name is expanded. */
	void (*encode)(const struct tg_pack *pack, enum tg_stream stream, const char *base_name, struct tg_buffer *out);
};

/* The encoder of @format. Never NULL. */
const struct tg_encoder *tg_encoder_get(enum tg_format format);
