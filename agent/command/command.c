/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command/command.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/rfc3339.h"
#include "json/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RESULT_MAX (8 * 1024) /* every byte of it escaped */
/* Seconds since 1970 beyond the year 9999 are milliseconds that somebody took for seconds. */
#define SECONDS_MAX INT64_C(253402300799)

/* --- values --- */

void tg_kept_set(struct tg_kept_value *k, const struct tg_value *v)
{
	struct tg_value copy = *v;

	k->text[0] = '\0';
	if (copy.type == TG_VALUE_TEXT) {
		(void) tg_printable(k->text, sizeof(k->text), copy.text, strlen(copy.text));
		copy.text = NULL;
	}
	k->value = copy;
}

struct tg_value tg_kept_view(const struct tg_kept_value *k)
{
	struct tg_value v = k->value;

	if (v.type == TG_VALUE_TEXT)
		v.text = k->text;
	return v;
}

static void add_value(struct tg_buffer *b, const struct tg_value *v)
{
	switch (v->type) {
	case TG_VALUE_NONE:
		tg_buffer_adds(b, "null");
		return;
	case TG_VALUE_BOOL:
		tg_buffer_adds(b, v->b ? "true" : "false");
		return;
	case TG_VALUE_INT:
		tg_buffer_addf(b, "%" PRId64, v->i);
		return;
	case TG_VALUE_UINT:
		tg_buffer_addf(b, "%" PRIu64, v->u);
		return;
	case TG_VALUE_REAL:
		tg_buffer_add_real(b, v->real);
		return;
	case TG_VALUE_TEXT:
		tg_buffer_add_json(b, v->text);
		return;
	}
}

const char *tg_kept_words(const struct tg_kept_value *k, char *out, size_t size)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(RESULT_MAX);
	const struct tg_value v = tg_kept_view(k);

	if (v.type == TG_VALUE_NONE)
		tg_buffer_adds(&b, "nothing");
	else
		add_value(&b, &v);
	(void) snprintf(out, size, "%s", tg_buffer_text(&b));
	return out;
}

/* --- results --- */

static const char *const statuses[] = {
	[TG_COMMAND_DONE] = "done",
	[TG_COMMAND_REFUSED] = "refused",
	[TG_COMMAND_FAILED] = "failed",
	[TG_COMMAND_UNKNOWN] = "unknown",
};

const char *tg_command_status_name(enum tg_command_status status)
{
	return statuses[status];
}

int tg_command_status_find(const char *name, enum tg_command_status *ret)
{
	for (size_t i = 0; i < TG_ARRAY_SIZE(statuses); i++) {
		if (strcmp(statuses[i], name) != 0)
			continue;
		*ret = (enum tg_command_status) i;
		return 0;
	}
	return -EINVAL;
}

void tg_result_init(struct tg_result *r, const struct tg_command *c)
{
	*r = (struct tg_result){ .local = c->local };
	memcpy(r->id, c->id, sizeof(r->id));
	memcpy(r->device, c->device, sizeof(r->device));
	memcpy(r->point, c->point, sizeof(r->point));
}

struct tg_result *tg_result_set(struct tg_result *r, enum tg_command_status status, const char *fmt,
				...)
{
	char text[TG_FAULT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->status = status;
	(void) tg_printable(r->reason, sizeof(r->reason), text, strlen(text));
	return r;
}

static void add_text(struct tg_buffer *b, const char *key, const char *text)
{
	tg_buffer_addf(b, "\"%s\":", key);
	if (*text)
		tg_buffer_add_json(b, text);
	else
		tg_buffer_adds(b, "null");
}

char *tg_result_json(const struct tg_result *r)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(RESULT_MAX);
	const struct tg_value v = tg_kept_view(&r->value);
	char iso[32] = "";

	tg_buffer_addc(&b, '{');
	add_text(&b, "id", r->id);
	tg_buffer_addc(&b, ',');
	add_text(&b, "point", r->point);
	tg_buffer_addf(&b, ",\"status\":\"%s\",", statuses[r->status]);
	add_text(&b, "reason", r->reason);
	tg_buffer_adds(&b, ",\"value\":");
	add_value(&b, &v);
	tg_buffer_addc(&b, ',');
	add_text(&b, "time", r->wall_us ? tg_clock_iso(r->wall_us, iso) : "");
	tg_buffer_addc(&b, '}');
	return tg_buffer_error(&b) < 0 ? NULL : strdup(tg_buffer_text(&b));
}

/* --- commands --- */

static int parse_expires(const struct json_t *o, struct tg_command *ret, struct tg_fault *reterr)
{
	struct tg_value v = { .type = TG_VALUE_NONE };
	int r = tg_json_value(o, "expires", 64, &v, reterr);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (v.type == TG_VALUE_TEXT)
		r = tg_rfc3339_parse(v.text, &ret->expires_us);
	else if (v.type == TG_VALUE_INT && v.i >= 0 && v.i <= SECONDS_MAX)
		ret->expires_us = v.i * (int64_t) TG_US_PER_S;
	else if (v.type == TG_VALUE_REAL && v.real >= 0 && v.real <= (double) SECONDS_MAX)
		ret->expires_us = (int64_t) (v.real * (double) TG_US_PER_S);
	else
		r = -EINVAL;
	if (r < 0)
		return tg_fault_set(reterr, -EBADMSG,
				    "\"expires\" is neither a time as \"2026-11-21T10:15:10Z\" nor "
				    "seconds since 1970");
	ret->expires = true;
	return 0;
}

static int parse_members(const struct json_t *o, struct tg_command *ret, struct tg_fault *reterr)
{
	static const char *const known[] = { "id", "point", "value", "expires", NULL };
	struct tg_value value = { .type = TG_VALUE_NONE };
	const char *stranger;
	char name[40];
	/* First, so that whatever else is wrong can be answered. */
	int r = tg_json_text(o, "id", ret->id, sizeof(ret->id), reterr);

	if (r == 0 && !ret->id[0])
		r = tg_fault_set(reterr, -EBADMSG, "\"id\" is empty");
	if (r == 0)
		r = tg_json_text(o, "point", ret->point, sizeof(ret->point), reterr);
	if (r == 0)
		r = tg_json_value(o, "value", TG_COMMAND_TEXT_MAX, &value, reterr);
	if (r == 0)
		r = parse_expires(o, ret, reterr);
	stranger = tg_json_stranger(o, known);
	if (r == 0 && stranger)
		r = tg_fault_set(reterr, -EBADMSG, "a command has no member \"%s\"",
				 tg_printable(name, sizeof(name), stranger, strlen(stranger)));
	if (r == 0)
		tg_kept_set(&ret->value, &value);
	return r == -ENOENT ? -EBADMSG : r;
}

int tg_command_parse(const char *device, const void *json, size_t len, struct tg_command *ret,
		     struct tg_fault *reterr)
{
	tg_cleanup(tg_json_freep) struct json_t *o = NULL;
	int r;

	*ret = (struct tg_command){ .expires = false };
	(void) snprintf(ret->device, sizeof(ret->device), "%s", device);
	r = tg_json_object(json, len, TG_COMMAND_JSON_MAX, &o, reterr);
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "the command");
		return r;
	}
	return parse_members(o, ret, reterr);
}

int tg_command_in_time(const struct tg_command *c, const struct tg_command_clock *clock,
		       struct tg_fault *reterr)
{
	int64_t now = clock->trust == TG_CLOCK_SUSPECT || clock->wall_us < clock->floor_us
			      ? clock->floor_us
			      : clock->wall_us;
	char at[32];

	if (!c->expires)
		return 0;
	if (c->expires_us <= now)
		return tg_fault_set(reterr, -ETIME, "it has expired at %s",
				    tg_clock_iso(c->expires_us, at));
	if (clock->trust == TG_CLOCK_SUSPECT)
		return tg_fault_set(reterr, -EAGAIN,
				    "the gateway's clock is not set: it cannot be told whether it "
				    "has expired");
	return 0;
}

int tg_command_topic_device(const char *filter, const char *topic, char out[static TG_NAME_MAX + 1])
{
	const char *plus = strchr(filter, '+');
	size_t before = plus ? (size_t) (plus - filter) : 0, len;

	if (!plus || strncmp(filter, topic, before) != 0)
		return -EINVAL;
	topic += before;
	len = strcspn(topic, "/");
	if (len == 0 || len > TG_NAME_MAX || strcmp(topic + len, plus + 1) != 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		char c = topic[i];

		/* As tg_config_name_ok() has it: what is none is no device, and its result no topic. */
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '.' || c == '_' || c == '-'))
			return -EINVAL;
	}
	memcpy(out, topic, len);
	out[len] = '\0';
	return 0;
}
