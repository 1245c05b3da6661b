/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/encode/json.h"

#include "base/clock.h"

#include <assert.h>
#include <inttypes.h>

/* RFC 8428 section 4.5.3: numbers below are relative to now. */
#define ABSOLUTE_MIN_US ((INT64_C(1) << 28) * (int64_t) TG_US_PER_S)

int64_t tg_sample_wall_us(const struct tg_pack *pack, const struct tg_sample *s)
{
	return (int64_t) s->boot_us + pack->wall_offset_us;
}

bool tg_pack_dated(const struct tg_pack *pack)
{
	if (pack->clock == TG_CLOCK_SUSPECT)
		return false;
	for (size_t i = 0; i < pack->n_samples; i++) {
		if (tg_sample_wall_us(pack, &pack->samples[i]) < ABSOLUTE_MIN_US)
			return false;
	}
	return true;
}

const char *tg_stream_name(enum tg_stream stream)
{
	return stream == TG_STREAM_LIVE ? "live" : "replay";
}

/* From the last digit to the first, by hand: most records have an offset, and printf() takes as
 * long as all else of one. */
void tg_json_add_seconds(struct tg_buffer *out, int64_t us)
{
	uint64_t abs = us < 0 ? -(uint64_t) us : (uint64_t) us;
	uint64_t whole = abs / TG_US_PER_S, fraction = abs % TG_US_PER_S;
	char text[32]; /* a sign, 14 digits, the point, 6 digits */
	size_t at = sizeof(text);
	int digits = 6;

	if (fraction > 0) {
		for (; fraction % 10 == 0; fraction /= 10)
			digits--;
		for (; digits > 0; digits--, fraction /= 10)
			text[--at] = (char) ('0' + fraction % 10);
		text[--at] = '.';
	}
	do {
		text[--at] = (char) ('0' + whole % 10);
		whole /= 10;
	} while (whole > 0);
	if (us < 0)
		text[--at] = '-';
	tg_buffer_add(out, text + at, sizeof(text) - at);
}

bool tg_json_value_is_text(const struct tg_value *v)
{
	switch (v->type) {
	case TG_VALUE_NONE:
	case TG_VALUE_BOOL:
	case TG_VALUE_REAL:
		return false;
	case TG_VALUE_INT:
		return v->i > (int64_t) TG_JSON_INTEGER_MAX ||
		       v->i < -(int64_t) TG_JSON_INTEGER_MAX;
	case TG_VALUE_UINT:
		return v->u > TG_JSON_INTEGER_MAX;
	case TG_VALUE_TEXT:
		return true;
	}
	return false;
}

void tg_json_add_value(struct tg_buffer *out, const struct tg_value *v)
{
	const char *quote = tg_json_value_is_text(v) ? "\"" : "";

	assert(v->type != TG_VALUE_NONE);
	switch (v->type) {
	case TG_VALUE_NONE:
		break;
	case TG_VALUE_BOOL:
		tg_buffer_adds(out, v->b ? "true" : "false");
		break;
	case TG_VALUE_INT:
		tg_buffer_addf(out, "%s%" PRId64 "%s", quote, v->i, quote);
		break;
	case TG_VALUE_UINT:
		tg_buffer_addf(out, "%s%" PRIu64 "%s", quote, v->u, quote);
		break;
	case TG_VALUE_REAL:
		tg_buffer_add_real(out, v->real);
		break;
	case TG_VALUE_TEXT:
		tg_buffer_add_json(out, v->text);
		break;
	}
}

void tg_json_add_boot_id(struct tg_buffer *out, const uint8_t id[static 16])
{
	tg_buffer_addc(out, '"');
	for (size_t i = 0; i < 16; i++)
		tg_buffer_addf(out, "%02x", id[i]);
	tg_buffer_addc(out, '"');
}
