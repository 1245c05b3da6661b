/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/mqtt_read.h"
#include "config/bus/types.h"
#include "config/rows.h"

#include <errno.h>
#include <string.h>

#define MQTT TG_BUS_BIT(TG_BUS_MQTT)

static const struct tg_word retained[] = {
	{ "accept", TG_MQTT_RETAINED_ACCEPT, NULL },
	{ "ignore", TG_MQTT_RETAINED_IGNORE, NULL },
	{ "stale", TG_MQTT_RETAINED_STALE, NULL },
	{ NULL, 0, NULL },
};

static int parse_read(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	struct tg_config_point *point = base;
	int r = tg_mqtt_read_parse(text, &point->mqtt, reterr);

	(void) key;
	if (r == 0)
		point->read = text;
	return r;
}

static int parse_filter(const struct tg_config_key *key, char *text, void *base,
			struct tg_fault *reterr)
{
	int r = tg_mqtt_filter_check(text, strlen(text), reterr);

	if (r == 0 && strlen(text) > key->hi)
		return tg_fault_set(reterr, -EINVAL, "longer than %u bytes", (unsigned) key->hi);
	if (r == 0)
		*(char **) (void *) ((char *) base + key->offset) = text;
	return r;
}

static const struct tg_config_type tg_type_mqtt_read = { "/POINTER|document|payload|topic:N [FORM] "
							 "[topic=FILTER]",
							 parse_read };
static const struct tg_config_type tg_type_filter = { "FILTER", parse_filter };

static const struct tg_config_key keys[] = {
	BUS("host", host, mqtt.host, "localhost", "the local broker", ONLY(MQTT)),
	BUS("port", u16, mqtt.port, "1883", "its TCP port; with TLS usually 8883", RANGE(1, 65535),
	    ONLY(MQTT)),
	BUS("username", text, mqtt.username, "", "whom to log in as", LENGTH(255), ONLY(MQTT)),
	BUS("password-file", secret, mqtt.password_file, "", "file with the password", ONLY(MQTT)),
	BUS("ca", path, mqtt.ca, "", "certificates that the broker's chain must end in; given: TLS",
	    ONLY(MQTT)),
	BUS("certificate", path, mqtt.certificate, "", "certificate to show to the broker",
	    ONLY(MQTT)),
	BUS("key", path, mqtt.key, "", "its key, in a PEM file", ONLY(MQTT)),
	BUS("client-id", text, mqtt.client_id, "", "MQTT client id; empty: the broker gives one",
	    LENGTH(128), ONLY(MQTT)),
	BUS("clean-session", yes_no, mqtt.clean_session, "yes",
	    "whether the broker keeps nothing while the gateway is away", ONLY(MQTT)),
	BUS("keep-alive", duration, mqtt.keep_alive_us, "15s",
	    "longest silence before the broker is asked whether it is there",
	    RANGE(5 * SECOND, HOUR), ONLY(MQTT)),
	BUS("connect-timeout", duration, mqtt.connect_timeout_us, "5s",
	    "longest time until the broker has accepted", RANGE(100 * MS, 5 * MINUTE), ONLY(MQTT)),
	BUS("max-payload", size, mqtt.max_payload, "256K", "longer messages are dropped",
	    RANGE(64, 4 * MIB), ONLY(MQTT)),

	DEVICE("topic", filter, mqtt.topic, REQUIRED, "topic, or pattern with + and #",
	       LENGTH(1024), ONLY(MQTT)),
	DEVICE("retained", words, mqtt.retained, "ignore",
	       "whether what the broker kept, of unknown age, is a reading", WORDS(retained),
	       ONLY(MQTT)),
	DEVICE("qos", unsigned, mqtt.qos, "0", "MQTT quality of service", RANGE(0, 2), ONLY(MQTT)),
	DEVICE("gather", duration, gather_us, "100ms",
	       "how long readings are collected for one message", RANGE(0, MINUTE), ONLY(MQTT)),
	DEVICE("stale-after", duration, stale_after_us, "0s",
	       "silence after which a reading is stale; 0: never", RANGE(0, 30 * DAY), ONLY(MQTT)),

	POINT("read", mqtt_read, read, REQUIRED,
	      "what is read: /temperature, payload bool, topic:2", ONLY(MQTT)),
};

static void check_bus(const struct tg_loaded *l, const struct tg_section *s,
		      const struct tg_config_bus *bus)
{
	const struct tg_mqtt_bus *b = &bus->mqtt;

	if (!*b->host)
		tg_complain(l->doc.complain, tg_section_place(s, "host"), "host: a host name");
	if (*b->password_file && !*b->username)
		tg_complain(l->doc.complain, tg_section_place(s, "password-file"),
			    "password-file needs username");
	if (!*b->certificate != !*b->key)
		tg_complain(l->doc.complain, tg_section_place(s, *b->key ? "key" : "certificate"),
			    "certificate and key stand together");
	if (*b->certificate && !*b->ca)
		tg_complain(l->doc.complain, tg_section_place(s, "certificate"),
			    "certificate needs ca: without it there is no TLS");
	if (!b->clean_session && !*b->client_id)
		tg_complain(l->doc.complain, tg_section_place(s, "clean-session"),
			    "clean-session = no needs client-id");
}

const struct tg_config_bus_keys tg_config_mqtt_bus_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = MQTT,
	.check_bus = check_bus,
};
