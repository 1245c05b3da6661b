/* SPDX-License-Identifier: Apache-2.0 */
#include "config/loaded.h"
#include "config/source.h"
#include "config/specifier.h"
#include "config/unit.h"

#include <tidegate/sample.h>

#include <string.h>

#define CLAIM_DIR    "/var/lib/tidegate/claim/"
#define PEM_MARK     "-----BEGIN "
#define KEY_MARK     "PRIVATE KEY-----"
#define TSS2_MARK    PEM_MARK "TSS2 " KEY_MARK
#define KEY_FILE_MAX 65536

#define YOUNGEST_PERCENT 10 /* of its life, before which no certificate is renewed */
#define LATE_PERCENT     90 /* after which little of it is left for second tries */

/* AWS IoT Core's limits, which are the lowest of the common brokers. */
#define AWS_TOPIC_BYTES  256
#define AWS_TOPIC_LEVELS 8

static const struct tg_section *only(const struct tg_loaded *l, enum tg_config_kind kind)
{
	return l->doc.kinds[kind].first;
}

/* Where @key of the section of @kind is set, else where that section is, else the file as a whole.
 */
static struct tg_place place_of(const struct tg_loaded *l, enum tg_config_kind kind,
				const char *key)
{
	struct tg_place place = tg_section_place(only(l, kind), key);

	return place.source ? place : (struct tg_place){ .source = l->main };
}

/* Whether @key is not given. One that was given and refused has had its complaint. */
static bool is_missing(const struct tg_loaded *l, enum tg_config_kind kind, const char *key)
{
	const struct tg_setting *set = tg_section_get(only(l, kind), key);

	return !set || !*set->value;
}

/* --- identity -----------------------------------------------------------------------------------
 */

static void check_id(const struct tg_loaded *l)
{
	const char *id = l->config.gateway.id;
	struct tg_place place = place_of(l, TG_KIND_GATEWAY, "id");

	if (strstr(id, "%i"))
		tg_complain(l->doc.complain, place, "id = %s: %%i is the id itself", id);
	if (strpbrk(id, "+#/ "))
		tg_complain(l->doc.complain, place,
			    "id = %s: '+', '#', '/' and blanks have no place in topics and client "
			    "ids",
			    id);
}

static void check_aws(const struct tg_loaded *l)
{
	static const char *const needed[] = { "endpoint", "ca", "claim-certificate", "claim-key",
					      "template" };
	const struct tg_section *section = only(l, TG_KIND_AWS_FLEET);
	struct tg_place place = section ? section->place : place_of(l, TG_KIND_ENROLMENT, "method");

	for (size_t i = 0; i < TG_ARRAY_SIZE(needed); i++)
		if (is_missing(l, TG_KIND_AWS_FLEET, needed[i]))
			tg_complain(l->doc.complain, place,
				    "[enrolment.aws-fleet]: %s is missing, method = aws-fleet "
				    "needs it",
				    needed[i]);
}

/* A key in the TPM and no other beside it: a plain one in the same file would be the one that leaks. */
static bool is_tss2_key(const char *path)
{
	tg_autofree char *data = NULL;
	bool found = false;
	size_t len;
	mode_t mode;

	if (tg_source_read(path, KEY_FILE_MAX, &data, &len, &mode, NULL) < 0)
		return false;
	for (const char *mark = strstr(data, PEM_MARK); mark; mark = strstr(mark + 1, PEM_MARK)) {
		if (strncmp(mark, TSS2_MARK, strlen(TSS2_MARK)) == 0)
			found = true;
		else if (memmem(mark, strcspn(mark, "\n"), KEY_MARK, strlen(KEY_MARK)))
			return false;
	}
	return found;
}

static bool is_in_claim_dir(const char *path)
{
	return strncmp(path, CLAIM_DIR, strlen(CLAIM_DIR)) == 0 && !strstr(path, "/../");
}

/* The first key of [rotation] that goes back to the claim, or NULL. */
static const char *claim_is_wanted(const struct tg_config *c)
{
	if (c->rotation.on_expiry == TG_ON_FAILURE_CLAIM)
		return "on-expiry";
	if (c->rotation.on_refused == TG_ON_FAILURE_CLAIM)
		return "on-refused";
	return c->rotation.on_key_lost == TG_ON_FAILURE_CLAIM ? "on-key-lost" : NULL;
}

/* A claim that is removed cannot be gone back to; one that is kept on purpose should be removable.
 */
static void check_forget_claim(const struct tg_loaded *l)
{
	const struct tg_config *c = &l->config;
	const char *files[] = { c->enrolment.aws.claim_certificate, c->enrolment.aws.claim_key };
	const char *keys[] = { "claim-certificate", "claim-key" };
	const char *wanted = claim_is_wanted(c);

	if (!c->enrolment.aws.forget_claim)
		return;
	if (wanted && *files[1] && !is_tss2_key(files[1]))
		tg_complain(l->doc.complain, place_of(l, TG_KIND_AWS_FLEET, "forget-claim"),
			    "forget-claim = yes with %s = claim: the claim would be gone when it "
			    "is needed "
			    "(only a claim key in the TPM, a TSS2 PEM file, may be named here)",
			    wanted);
	for (size_t i = 0; i < TG_ARRAY_SIZE(files); i++)
		if (*files[i] && !is_in_claim_dir(files[i]))
			tg_warn(l->doc.complain, place_of(l, TG_KIND_AWS_FLEET, keys[i]),
				"%s = %s: outside " CLAIM_DIR " the service's sandbox keeps the "
				"agent from removing it; 'tidegate forget-claim' as root does it",
				keys[i], files[i]);
}

/*
 * Whether @a and @b are one text once the id is put in. The other specifiers stand for themselves: what this machine would make of
 * them is not asked, as the file may be judged on another.
 */
static bool is_same_id(const struct tg_config *c, const char *a, const char *b)
{
	struct tg_specifiers spec = { .tpm = "%t", .machine = "%m", .host = "%H", .board = "%s" };
	char left[1024], right[1024];

	(void) snprintf(spec.id, sizeof(spec.id), "%s", c->gateway.id);
	return tg_specifiers_expand(&spec, a, left, sizeof(left), NULL) == 0 &&
	       tg_specifiers_expand(&spec, b, right, sizeof(right), NULL) == 0 &&
	       strcmp(left, right) == 0;
}

static void check_renewal_id(const struct tg_loaded *l)
{
	const struct tg_config *c = &l->config;
	const char *id = c->enrolment.aws.rotation_client_id;
	struct tg_place place = place_of(l, TG_KIND_AWS_FLEET, "rotation-client-id");

	/* The one that was not left at its default is the one to look at. */
	if (is_missing(l, TG_KIND_AWS_FLEET, "rotation-client-id"))
		place = place_of(l, TG_KIND_MQTT, "client-id");
	if (is_same_id(c, id, c->mqtt.client_id))
		tg_complain(l->doc.complain, place,
			    "rotation-client-id = %s is the client-id of [mqtt]: each renewal would "
			    "break the gateway's own connection, as a broker allows one session a "
			    "client id",
			    id);
}

static void check_rotation(const struct tg_loaded *l)
{
	const struct tg_config *c = &l->config;
	const char *at = is_missing(l, TG_KIND_ROTATION, "renew-at") ? "jitter" : "renew-at";

	if (c->rotation.renew_at - c->rotation.jitter < YOUNGEST_PERCENT)
		tg_warn(l->doc.complain, place_of(l, TG_KIND_ROTATION, at),
			"renew-at = %g%% less jitter = %g%%: no certificate is renewed before %d%% "
			"of its life, so gateways that are due earlier all renew then",
			c->rotation.renew_at, c->rotation.jitter, YOUNGEST_PERCENT);
	if (c->rotation.renew_at > LATE_PERCENT)
		tg_warn(l->doc.complain, place_of(l, TG_KIND_ROTATION, "renew-at"),
			"renew-at = %g%% leaves little time to try again", c->rotation.renew_at);
}

static void check_enrolment(const struct tg_loaded *l)
{
	const struct tg_section *aws = only(l, TG_KIND_AWS_FLEET), *est = only(l, TG_KIND_EST);
	bool fleet = l->config.enrolment.method == TG_ENROL_AWS_FLEET;
	const char *wanted = claim_is_wanted(&l->config);

	if (fleet) {
		check_aws(l);
		check_forget_claim(l);
		check_renewal_id(l);
		check_rotation(l);
	}
	if (aws && aws->settings && !fleet)
		tg_warn(l->doc.complain, aws->place,
			"[enrolment.aws-fleet] has no effect without method = aws-fleet");
	if (est && est->settings)
		tg_warn(l->doc.complain, est->place,
			"[enrolment.est] has no effect, as method 'est' is not in this version");
	if (wanted && !fleet)
		tg_warn(l->doc.complain, place_of(l, TG_KIND_ROTATION, wanted),
			"%s = claim has no effect without method = aws-fleet", wanted);
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
	struct tg_place place = place_of(l, TG_KIND_MQTT, key);
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
	struct tg_place place = place_of(l, TG_KIND_MQTT, "command-topic");
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
		tg_complain(l->doc.complain, place_of(l, TG_KIND_MQTT, "topic"),
			    "topic is the same as status-topic");
}

static void check_mqtt(const struct tg_loaded *l)
{
	const struct tg_config *c = &l->config;
	struct tg_place endpoint = place_of(l, TG_KIND_MQTT, "endpoint");

	if (*c->mqtt.endpoint && is_missing(l, TG_KIND_MQTT, "ca"))
		tg_complain(l->doc.complain, endpoint, "[mqtt]: ca is missing, endpoint needs it");
	if (*c->mqtt.endpoint && c->enrolment.method == TG_ENROL_NONE)
		tg_warn(l->doc.complain, endpoint,
			"the broker wants a certificate, and with [enrolment] method = none there "
			"will be none");
	if (is_missing(l, TG_KIND_MQTT, "endpoint") && c->n_devices)
		tg_warn(l->doc.complain, endpoint,
			"nothing is published, as [mqtt] has no endpoint");
	check_topics(l);
}

/* --- devices and points -------------------------------------------------------------------------
 */

static void check_device(const struct tg_loaded *l, const struct tg_section *s)
{
	const struct tg_config_device *dev = &l->config.devices[s->index];

	if (dev->n_points == 0)
		tg_warn(l->doc.complain, s->place, "[%s] has no points", s->name);
	if (dev->n_points > TG_PACK_SAMPLES)
		tg_complain(l->doc.complain, s->place, "[%s] has %zu points, more than %d", s->name,
			    dev->n_points, TG_PACK_SAMPLES);
	if (would_be(l->config.mqtt.topic, dev->name, l->config.mqtt.status_topic))
		tg_complain(l->doc.complain, s->place,
			    "[%s]: its readings would go to the status topic", s->name);
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
	enum tg_modbus_table table = point->modbus.table;

	if (point->has_min && point->has_max && point->min > point->max)
		tg_complain(l->doc.complain, tg_section_place(s, "min"), "min is greater than max");
	if (!point->write) {
		if (point->has_min || point->has_max)
			tg_warn(l->doc.complain,
				tg_section_place(s, point->has_min ? "min" : "max"),
				"min and max have no effect without write = yes");
		return;
	}
	if (s->buses && table != TG_MODBUS_COIL && table != TG_MODBUS_HOLDING)
		tg_complain(l->doc.complain, tg_section_place(s, "write"),
			    "write = yes: only coils and holding registers can be written");
}

/* `holding 40011` is register 40011; who means the eleventh writes 40011 alone. */
static void check_vendor_address(const struct tg_loaded *l, const struct tg_section *s,
				 const struct tg_config_point *point)
{
	static const unsigned first[] = {
		[TG_MODBUS_COIL] = 0,
		[TG_MODBUS_DISCRETE] = 10001,
		[TG_MODBUS_INPUT] = 30001,
		[TG_MODBUS_HOLDING] = 40001,
	};
	unsigned from = first[point->modbus.table], address = point->modbus.address;
	const struct tg_setting *read = tg_section_get(s, "read");

	if (!from || !read || address < from || address > from + 9998 ||
	    strpbrk(read->value, "chdi") != read->value)
		return;
	tg_warn(l->doc.complain, read->place,
		"read = %s counts from 0; the register that vendors call %u is read by '%u' "
		"without the kind word",
		point->read, address, address);
}

static void check_publishing(const struct tg_loaded *l, const struct tg_section *s,
			     const struct tg_config_point *point)
{
	static const char *const keys[] = { "deadband", "max-silence" };

	for (size_t i = 0; i < TG_ARRAY_SIZE(keys); i++) {
		const struct tg_setting *set = tg_section_get(s, keys[i]);

		if (set && point->publish != TG_PUBLISH_CHANGE)
			tg_warn(l->doc.complain, set->place,
				"%s has no effect without publish = change", keys[i]);
	}
}

static void check_point(const struct tg_loaded *l, const struct tg_section *s)
{
	const struct tg_config_point *point;

	if (!s->parent)
		return; /* its device does not exist, which has been told */
	point = &l->config.devices[s->parent->index].points[s->index];
	check_unit(l, s, point);
	check_writing(l, s, point);
	check_vendor_address(l, s, point);
	check_publishing(l, s, point);
}

/* A key that nothing heeds yet is no error, as the file may be meant for the next version too; silence would be a lie. */
static void check_effect(const struct tg_loaded *l, enum tg_config_kind kind)
{
	for (const struct tg_section *s = only(l, kind); s; s = s->next)
		for (const struct tg_setting *set = s->settings; set; set = set->next)
			if (set->key->later)
				tg_warn(l->doc.complain, set->place,
					"%s has no effect in this version", set->key->name);
}

void tg_config_check(const struct tg_loaded *l)
{
	for (enum tg_config_kind kind = TG_KIND_GATEWAY; kind < TG_KINDS; kind++)
		check_effect(l, kind);
	check_id(l);
	check_enrolment(l);
	check_mqtt(l);
	for (const struct tg_section *s = only(l, TG_KIND_DEVICE); s; s = s->next)
		check_device(l, s);
	for (const struct tg_section *s = only(l, TG_KIND_POINT); s; s = s->next)
		check_point(l, s);
}
