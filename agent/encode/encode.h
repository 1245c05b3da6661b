/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buffer.h"
#include "config/config.h"

#include <tidegate/sample.h>

/*
 * From a pack to the payload of an MQTT message. Pure: no clock, no I/O.
 *
 * Each payload names its seq and stream. Where a consumer would lose digits
 * (integers beyond 2^53) a number is written as a string.
 *
 * SenML JSON is RFC 8428: base name and base time (that of the first sample)
 * in the first record, which is `_seq`; then `_stream`; then the points, with
 * `t` only where it differs from the base. A bad or stale point has no value
 * but a record {"n":"NAME_q","vs":"bad: timeout"}. No field ends in "_".
 *
 * Flat JSON is one object: ts (milliseconds since 1970 of the first sample),
 * seq, stream, device, values by point name, and bad: the reason by point
 * name ("timeout"; for stale ones "stale" or "stale: reason").
 *
 * Wall time is boot_us plus pack->wall_offset_us. A pack whose clock is
 * suspect, or that would be dated before 2^28 s, carries no bt or ts but:
 *	SenML	_clock "suspect", _boot (boot id, 32 hex digits), _boottime in
 *		seconds: the latest sample's, so that every t is <= 0, "before
 *		now" in the words of RFC 8428 section 4.5.3
 *	flat	clock "suspect", boot, boottime in milliseconds, the first sample's
 */
struct tg_encoder {
	const char *name; /* the value of `format` */
	const char *content_type;
	/* Appends the payload of @pack to @out; the caller looks at tg_buffer_error(). @base_name is expanded. */
	void (*encode)(const struct tg_pack *pack, enum tg_stream stream, const char *base_name, struct tg_buffer *out);
};

/* The encoder of @format. Never NULL: a format that has none (senml-cbor) is refused when the configuration is loaded. */
const struct tg_encoder *tg_encoder_get(enum tg_format format);
