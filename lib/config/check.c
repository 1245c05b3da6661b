/* SPDX-License-Identifier: Apache-2.0 */
#include "config/check.h"

#include "config/bus/types.h"
#include "config/unit.h"

#include <tidegate/sample.h>

#include <string.h>

/* AWS IoT Core's limits, which are the lowest of the common brokers. */
#define AWS_TOPIC_BYTES  256
#define AWS_TOPIC_LEVELS 8

const struct tg_section *tg_check_only(const struct tg_loaded *l, enum tg_config_kind kind)
{
	return l->doc.kinds[kind].first;
}

struct tg_place tg_check_place(const struct tg_loaded *l, enum tg_config_kind kind,
			       const char *key)
{
	struct tg_place place = tg_section_place(tg_check_only(l, kind), key);

	return place.source ? place : (struct tg_place){ .source = l->main };
}

bool tg_check_missing(const struct tg_loaded *l, enum tg_config_kind kind, const char *key)
{
	const struct tg_setting *set = tg_section_get(tg_check_only(l, kind), key);

	return !set || !*set->value;
}

/* --- identity -----------------------------------------------------------------------------------
 */

static void check_id(const struct tg_loaded *l)
{
	const char *id = l->config.gateway.id;
	struct tg_place place = tg_check_place(l, TG_KIND_GATEWAY, "id");

	if (strstr(id, "%i"))
		tg_complain(l->doc.complain, place, "id = %s: %%i is the id itself", id);
	if (strpbrk(id, "+#/ "))
		tg_complain(l->doc.complain, place,
			    "id = %s: '+', '#', '/' and blanks have no place in topics and client "
			    "ids",
			    id);
}

/* --- topics -------------------------------------------------------------------------------------
 */

/* How often %d is in @topic; *@ret_whole: whether it is a level by itself each time. */
static unsigned count_device(const char *topic, bool *ret_whole)
{
	unsigned n = 0;

	*ret_whole = true;
	for (const char *p = strchr(topic, '%'); p; p = strchr(p + 2, '%')) {
		if (p[1] != 'd')
			continue;
		n++;
		if ((p > topic && p[-1] != '/') || (p[2] != '\0' && p[2] != '/'))
			*ret_whole = false;
	}
	return n;
}

/* Whether @topic, with @device for %d, is @other. */
static bool would_be(const char *topic, const char *device, const char *other)
{
	size_t len = strlen(device);

	while (*topic && *other) {
		if (topic[0] == '%' && topic[1] == 'd') {
			if (strncmp(other, device, len) != 0)
				return false;
			other += len;
			topic += 2;
		} else if (*topic++ != *other++) {
			return false;
		}
	}
	return !*topic && !*other;
}

static void check_topic_size(const struct tg_loaded *l, const char *key, const char *topic)
{
	struct tg_place place = tg_check_place(l, TG_KIND_MQTT, key);
	size_t levels = 1;

	for (const char *p = strchr(topic, '/'); p; p = strchr(p + 1, '/'))
		levels++;
	if (strlen(topic) > AWS_TOPIC_BYTES)
		tg_warn(l->doc.complain, place,
			"%s is longer than %d bytes, which AWS IoT Core refuses", key,
			AWS_TOPIC_BYTES);
	if (levels > AWS_TOPIC_LEVELS)
		tg_warn(l->doc.complain, place,
			"%s has more than %d levels, which AWS IoT Core refuses", key,
			AWS_TOPIC_LEVELS);
}

static void check_command_topic(const struct tg_loaded *l)
{
	struct tg_place place = tg_check_place(l, TG_KIND_MQTT, "command-topic");
	const char *topic = l->config.mqtt.command_topic;
	bool whole;

	if (count_device(topic, &whole) != 1 || !whole)
		tg_complain(l->doc.complain, place,
			    "command-topic = %s: needs %%d once, as a level of its own", topic);
	if (strcmp(topic, l->config.mqtt.topic) == 0)
		tg_complain(l->doc.complain, place, "command-topic is the same as topic");
}

static void check_topics(const struct tg_loaded *l)
{
	const struct tg_config *c = &l->config;

	check_topic_size(l, "topic", c->mqtt.topic);
	check_topic_size(l, "status-topic", c->mqtt.status_topic);
	check_topic_size(l, "command-topic", c->mqtt.command_topic);
	check_command_topic(l);
	if (c->n_devices == 0 && strcmp(c->mqtt.topic, c->mqtt.status_topic) == 0)
		tg_complain(l->doc.complain, tg_check_place(l, TG_KIND_MQTT, "topic"),
			    "topic is the same as status-topic");
}

/* Whether an enrolment by the method of @c leaves trust anchors in the generation. */
static bool brings_anchors(const struct tg_config *c)
{
	return c->enrolment.method == TG_ENROL_EST || c->enrolment.method == TG_ENROL_MANUAL;
}

static void check_anchors(const struct tg_loaded *l)
{
	const struct tg_config *c = &l->config;
	bool missing = tg_check_missing(l, TG_KIND_MQTT, "ca");

	if (c->mqtt.ca_from_enrolment && !brings_anchors(c)) {
		struct tg_place place = tg_check_place(l, TG_KIND_MQTT, "ca-from-enrolment");

		tg_warn(l->doc.complain, place,
			"ca-from-enrolment has no effect without method = est or manual");
	}
	if (!*c->mqtt.endpoint || !missing || (c->mqtt.ca_from_enrolment && brings_anchors(c)))
		return;
	tg_complain(l->doc.complain, tg_check_place(l, TG_KIND_MQTT, "endpoint"),
		    brings_anchors(c)
			    ? "[mqtt]: ca is missing, endpoint needs it (or ca-from-enrolment = "
			      "yes, where broker and gateway are of one authority)"
			    : "[mqtt]: ca is missing, endpoint needs it");
}

static void check_mqtt(const struct tg_loaded *l)
{
	const struct tg_config *c = &l->config;
	struct tg_place endpoint = tg_check_place(l, TG_KIND_MQTT, "endpoint");

	check_anchors(l);
	if (*c->mqtt.endpoint && c->enrolment.method == TG_ENROL_NONE)
		tg_warn(l->doc.complain, endpoint,
			"the broker wants a certificate, and with [enrolment] method = none there "
			"will be none");
	if (tg_check_missing(l, TG_KIND_MQTT, "endpoint") && c->n_devices)
		tg_warn(l->doc.complain, endpoint,
			"nothing is published, as [mqtt] has no endpoint");
	check_topics(l);
}

/* --- devices and points -------------------------------------------------------------------------
 */

static void check_device(const struct tg_loaded *l, const struct tg_section *s)
{
	const struct tg_config_bus_keys *type = tg_config_bus_keys_of(s->buses);
	const struct tg_config_device *dev = &l->config.devices[s->index];

	if (dev->n_points == 0)
		tg_warn(l->doc.complain, s->place, "[%s] has no points", s->name);
	if (dev->n_points > TG_PACK_SAMPLES)
		tg_complain(l->doc.complain, s->place, "[%s] has %zu points, more than %d", s->name,
			    dev->n_points, TG_PACK_SAMPLES);
	if (would_be(l->config.mqtt.topic, dev->name, l->config.mqtt.status_topic))
		tg_complain(l->doc.complain, s->place,
			    "[%s]: its readings would go to the status topic", s->name);
	if (type && type->check_device)
		type->check_device(l, s, dev);
}

static void check_bus(const struct tg_loaded *l, const struct tg_section *s)
{
	const struct tg_config_bus_keys *type = tg_config_bus_keys_of(s->buses);

	if (type && type->check_bus)
		type->check_bus(l, s, &l->config.buses[s->index]);
}

static void check_unit(const struct tg_loaded *l, const struct tg_section *s,
		       const struct tg_config_point *point)
{
	struct tg_place place = tg_section_place(s, "unit");
	const char *meant;

	if (!*point->unit || tg_unit_known(point->unit))
		return;
	meant = tg_unit_suggest(point->unit);
	if (meant)
		tg_warn(l->doc.complain, place,
			"unit = %s is not in the SenML registry, did you mean '%s'?", point->unit,
			meant);
	else
		tg_warn(l->doc.complain, place, "unit = %s is not in the SenML registry",
			point->unit);
}

static void check_writing(const struct tg_loaded *l, const struct tg_section *s,
			  const struct tg_config_point *point)
{
	if (point->has_min && point->has_max && point->min > point->max)
		tg_complain(l->doc.complain, tg_section_place(s, "min"), "min is greater than max");
	if (!point->write) {
		if (point->has_min || point->has_max)
			tg_warn(l->doc.complain,
				tg_section_place(s, point->has_min ? "min" : "max"),
				"min and max have no effect without write = yes");
		if (point->has_safe)
			tg_warn(l->doc.complain, tg_section_place(s, "safe"),
				"safe has no effect without write = yes");
		return;
	}
	if (point->has_safe && ((point->has_min && point->safe < point->min) ||
				(point->has_max && point->safe > point->max)))
		tg_complain(l->doc.complain, tg_section_place(s, "safe"),
			    "safe is outside min and max");
	if (!point->has_safe && tg_section_get(s, "safe-after"))
		tg_warn(l->doc.complain, tg_section_place(s, "safe-after"),
			"safe-after has no effect without safe");
}

static void check_publishing(const struct tg_loaded *l, const struct tg_section *s,
			     const struct tg_config_point *point)
{
	const struct tg_setting *set = tg_section_get(s, "deadband");

	/* max-silence has an effect without it too: on a point that stays bad. */
	if (set && point->publish != TG_PUBLISH_CHANGE)
		tg_warn(l->doc.complain, set->place,
			"deadband has no effect without publish = change");
}

static void check_point(const struct tg_loaded *l, const struct tg_section *s)
{
	const struct tg_config_bus_keys *type = tg_config_bus_keys_of(s->buses);
	const struct tg_config_point *point;

	if (!s->parent)
		return; /* its device does not exist, which has been told */
	point = &l->config.devices[s->parent->index].points[s->index];
	check_unit(l, s, point);
	check_writing(l, s, point);
	check_publishing(l, s, point);
	if (type && type->check_point)
		type->check_point(l, s, point);
}

void tg_config_check(const struct tg_loaded *l)
{
	check_id(l);
	tg_config_check_enrolment(l);
	check_mqtt(l);
	for (const struct tg_section *s = tg_check_only(l, TG_KIND_BUS); s; s = s->next)
		check_bus(l, s);
	for (const struct tg_section *s = tg_check_only(l, TG_KIND_DEVICE); s; s = s->next)
		check_device(l, s);
	for (const struct tg_section *s = tg_check_only(l, TG_KIND_POINT); s; s = s->next)
		check_point(l, s);
}
