/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/encode/encode.h"

#include <stdbool.h>

/*
 * What the JSON formats share: values, times and qualities as text, and the
 * one decision that a payload hangs on, whether the pack can be dated.
 *
 * For the files of this folder only; everybody else takes an encoder from
 * tg_encoder_get(). Pure, locale independent, any thread. Nothing here fails:
 * errors stay in the buffer.
 */
extern const struct tg_encoder tg_encoder_senml_json;
extern const struct tg_encoder tg_encoder_flat_json;

/* The largest magnitude up to which a double, and so JSON in most hands, holds every integer. */
#define TG_JSON_INTEGER_MAX (UINT64_C(1) << 53)

/* Wall time of @s in microseconds since 1970. What a parcel accepts cannot overflow. */
int64_t tg_sample_wall_us(const struct tg_pack *pack, const struct tg_sample *s);
/*
 * Whether @pack may carry absolute times: its clock was past the floor, and no sample would be dated before 2^28 s, which
 * RFC 8428 takes for "relative to now".
 */
bool tg_pack_dated(const struct tg_pack *pack);

const char *tg_stream_name(enum tg_stream stream);
/* @us as seconds with as many decimals as it needs, exact: 1500000 is 1.5. */
void tg_json_add_seconds(struct tg_buffer *out, int64_t us);
/* Whether tg_json_add_value() writes @v as a string: text, and integers beyond 2^53. */
bool tg_json_value_is_text(const struct tg_value *v);
/* A JSON value: true, 5, 21.5, "text"; @v is not TG_VALUE_NONE. */
void tg_json_add_value(struct tg_buffer *out, const struct tg_value *v);
/* The boot id as a JSON string of 32 hexadecimal digits. */
void tg_json_add_boot_id(struct tg_buffer *out, const uint8_t id[static 16]);
