/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/mqtt/extract.h"

#include "json/pointer.h"

#include <errno.h>
#include <string.h>

void tg_mqtt_message_done(struct tg_mqtt_message *m)
{
	m->doc = tg_json_free(m->doc);
	m->tried = false;
}

static void good(struct tg_sample *out, struct tg_value value)
{
	out->value = value;
	out->quality = TG_GOOD;
	out->reason = "";
}

static void read_text(const struct tg_text_form *form, const struct tg_json_value *v,
		      struct tg_text_room *room, struct tg_sample *out)
{
	struct tg_text_form as_is = *form;

	/* A member that JSON calls a string is one, unless the point says what it stands for. */
	if (!form->given && !form->on.len)
		as_is.kind = TG_TEXT_AS_IS;
	tg_text_read(&as_is, v->text, v->len, room, out);
}

/* 1 and 0 are the words of a bool in numbers. */
static void read_int(const struct tg_text_form *form, int64_t i, struct tg_text_room *room,
		     struct tg_sample *out)
{
	if (form->kind != TG_TEXT_BOOL)
		good(out, (struct tg_value){ .type = TG_VALUE_INT, .i = i });
	else if (i == 0 || i == 1)
		good(out, (struct tg_value){ .type = TG_VALUE_BOOL, .b = i == 1 });
	else
		tg_text_bad(room, out, "neither on nor off: %lld", (long long) i);
}

static void read_value(const struct tg_text_form *form, const struct tg_json_value *v,
		       struct tg_text_room *room, struct tg_sample *out)
{
	bool number = form->given && form->kind == TG_TEXT_NUMBER;

	switch (v->kind) {
	case TG_JSON_NULL:
		tg_text_bad(room, out, "null");
		return;
	case TG_JSON_OBJECT:
		tg_text_bad(room, out, "an object, not a value");
		return;
	case TG_JSON_ARRAY:
		tg_text_bad(room, out, "an array, not a value");
		return;
	case TG_JSON_BOOL:
		if (form->on.len) {
			tg_text_read(form, v->b ? "true" : "false", v->b ? 4 : 5, room, out);
			return;
		}
		good(out, number ? (struct tg_value){ .type = TG_VALUE_INT, .i = v->b }
				 : (struct tg_value){ .type = TG_VALUE_BOOL, .b = v->b });
		return;
	case TG_JSON_INT:
		read_int(form, v->i, room, out);
		return;
	case TG_JSON_REAL:
		good(out, (struct tg_value){ .type = TG_VALUE_REAL, .real = v->real });
		return;
	case TG_JSON_TEXT:
		read_text(form, v, room, out);
		return;
	}
}

static bool extract_member(const struct tg_mqtt_read *read, struct tg_mqtt_message *m,
			   struct tg_text_room *room, struct tg_sample *out)
{
	struct tg_json_value v;

	if (!m->tried && tg_json_document(m->payload, m->len, m->max, &m->doc, &m->fault) < 0)
		m->doc = NULL;
	m->tried = true;
	if (!m->doc) {
		tg_text_bad(room, out, "%s", m->fault.text);
		return true;
	}
	if (tg_json_pointer(m->doc, read->pointer.at, read->pointer.len, &v) < 0)
		return false;
	read_value(&read->form, &v, room, out);
	return true;
}

static bool extract_level(const struct tg_mqtt_read *read, const struct tg_mqtt_message *m,
			  struct tg_text_room *room, struct tg_sample *out)
{
	const char *at = m->topic;

	for (unsigned level = 1; level < read->level; level++) {
		at = strchr(at, '/');
		if (!at) {
			tg_text_bad(room, out, "the topic has no level %u", read->level);
			return true;
		}
		at++;
	}
	tg_text_read(&read->form, at, strcspn(at, "/"), room, out);
	return true;
}

bool tg_mqtt_extract(const struct tg_config_device *dev, const struct tg_config_point *point,
		     struct tg_mqtt_message *m, struct tg_text_room *room, struct tg_sample *out)
{
	const struct tg_mqtt_read *read = &point->mqtt;

	if (m->retained && dev->mqtt.retained == TG_MQTT_RETAINED_IGNORE)
		return false;
	if (m->retained && dev->mqtt.retained == TG_MQTT_RETAINED_STALE) {
		tg_text_bad(room, out, "retained by the broker, of unknown age");
		out->quality = TG_STALE;
		return true;
	}
	if (m->len > m->max) {
		tg_text_bad(room, out, "a message of %zu bytes is longer than max-payload", m->len);
		return true;
	}
	switch (read->source) {
	case TG_MQTT_POINTER:
		return extract_member(read, m, room, out);
	case TG_MQTT_PAYLOAD:
		tg_text_read(&read->form, m->payload, m->len, room, out);
		return true;
	case TG_MQTT_LEVEL:
		return extract_level(read, m, room, out);
	}
	return false;
}
