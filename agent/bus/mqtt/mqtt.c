/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The driver of `type = mqtt`: devices that others have put on a local broker
 * (zigbee2mqtt, rtl_433, Tasmota, ESPHome and so on).
 *
 * Every filter of devices and points is subscribed once; a message goes to all
 * points whose filter covers its topic. The time of a reading is when its
 * message was read, as MQTT carries none.
 */
#include "agent/bus/drivers.h"
#include "agent/bus/mqtt/client.h"
#include "agent/bus/mqtt/extract.h"
#include "agent/bus/mqtt/parts.h"
#include "agent/bus/table.h"
#include "base/clock.h"
#include "config/bus/mqtt_read.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_US     (4 * TG_US_PER_S)
#define PROBE_TOPICS 100
#define SHOWN_BYTES  80 /* of a topic or payload, in a probe */

/* One point that waits for messages of one subscription. */
struct want {
	const struct tg_config_device *dev;
	size_t point, sub;
};

struct tg_bus {
	const struct tg_config *cfg;
	const struct tg_mqtt_bus *mqtt;
	struct tg_mqtt_client *client;
	struct tg_mqtt_subscription *subs;
	size_t n_subs;
	struct want *wants;
	size_t n_wants;
	const struct tg_bus_ear *ear; /* during listen */
	uint64_t messages, useless, too_long;
	struct tg_text_room room;
};

/* --- messages -----------------------------------------------------------------------------------
 */

static bool hear(struct tg_bus *bus, const struct want *w, struct tg_mqtt_message *m, uint64_t now)
{
	struct tg_sample s = { .boot_us = now, .reason = "" };

	if (!tg_mqtt_extract(w->dev, &w->dev->points[w->point], m, &bus->room, &s))
		return false;
	bus->ear->heard(bus->ear->user, w->dev, w->point, &s);
	return true;
}

static void on_message(void *user, const char *topic, const char *payload, size_t len,
		       bool retained)
{
	struct tg_bus *bus = user;
	struct tg_mqtt_message m = { .topic = topic,
				     .payload = payload,
				     .len = len,
				     .retained = retained,
				     .max = (size_t) bus->mqtt->max_payload };
	uint64_t now = tg_clock_boot_us();
	size_t asked = SIZE_MAX;
	bool covers = false, any = false;

	bus->messages++;
	/* Wants are in the order of their subscriptions. */
	for (size_t i = 0; i < bus->n_wants && bus->ear; i++) {
		const struct want *w = &bus->wants[i];

		if (w->sub != asked)
			covers = tg_mqtt_client_matches(bus->subs[w->sub].filter, topic);
		asked = w->sub;
		if (covers && hear(bus, w, &m, now))
			any = true;
	}
	bus->useless += !any;
	if (len > m.max) {
		bus->too_long++;
		if (bus->ear && bus->ear->dropped)
			bus->ear->dropped(bus->ear->user, 1);
	}
	tg_mqtt_message_done(&m);
}

static int mqtt_listen(struct tg_bus *bus, const struct tg_bus_ear *ear, struct tg_fault *reterr)
{
	int r;

	bus->ear = ear;
	r = tg_mqtt_client_turn(bus->client, reterr);
	bus->ear = NULL;
	return r;
}

static int mqtt_listen_fd(struct tg_bus *bus, uint64_t *ret_wake_us)
{
	return tg_mqtt_client_fd(bus->client, ret_wake_us);
}

static void mqtt_describe(struct tg_bus *bus, struct tg_bus_note *out)
{
	const char *refused = NULL;

	out->requests = bus->messages;
	out->errors = bus->too_long;
	out->text[0] = '\0';
	for (size_t i = 0; i < bus->n_subs && !refused; i++) {
		if (bus->subs[i].refused)
			refused = bus->subs[i].filter;
	}
	if (!tg_mqtt_client_is_up(bus->client))
		return;
	if (refused)
		(void) snprintf(out->text, sizeof(out->text), "the broker refuses '%.60s'",
				refused);
	else if (bus->messages > 0 && bus->useless == bus->messages)
		(void) snprintf(out->text, sizeof(out->text),
				"%" PRIu64 " messages, and no point reads any of them",
				bus->messages);
}

/* --- probe --------------------------------------------------------------------------------------
 */

struct seen {
	char topic[SHOWN_BYTES + 4], payload[SHOWN_BYTES + 4];
	size_t len;
	unsigned n;
};

struct look {
	struct seen seen[PROBE_TOPICS];
	size_t n;
	unsigned more;
};

static void on_seen(void *user, const char *topic, const char *payload, size_t len, bool retained)
{
	struct look *l = user;
	char shown[SHOWN_BYTES + 4];
	size_t i = 0;

	(void) retained;
	(void) tg_printable(shown, sizeof(shown), topic, strlen(topic));
	while (i < l->n && strcmp(l->seen[i].topic, shown) != 0)
		i++;
	if (i == PROBE_TOPICS) {
		l->more++;
		return;
	}
	if (i == l->n) {
		memcpy(l->seen[i].topic, shown, sizeof(shown));
		l->n++;
	}
	l->seen[i].n++;
	l->seen[i].len = len;
	(void) tg_printable(l->seen[i].payload, sizeof(l->seen[i].payload), payload, len);
}

static void tell(const struct look *l, struct tg_table *out)
{
	tg_table_heads(out, (const char *[]){ "topic", "messages", "bytes", "last payload", NULL });
	for (size_t i = 0; i < l->n; i++) {
		const struct seen *s = &l->seen[i];
		char n[16], len[24];

		(void) snprintf(n, sizeof(n), "%u", s->n);
		(void) snprintf(len, sizeof(len), "%zu", s->len);
		tg_table_row(out, (const char *[]){ s->topic, n, len, s->payload });
	}
	if (l->more)
		tg_table_note(out,
			      "%u messages of more topics; narrow it: probe NAME 'zigbee2mqtt/+'",
			      l->more);
}

/* Turns until @done_us, or until the broker has accepted us where @accepted. */
static int turn_until(struct tg_bus *bus, uint64_t done_us, bool accepted, struct tg_fault *reterr)
{
	int r = 0;

	while (tg_clock_boot_us() < done_us && !(accepted && tg_mqtt_client_is_up(bus->client))) {
		uint64_t wake;
		struct pollfd p = { .events = POLLIN };

		p.fd = tg_mqtt_client_fd(bus->client, &wake);
		if (wake > done_us)
			wake = done_us;
		(void) poll(&p, 1, tg_us_to_poll_ms(tg_clock_boot_us(), wake));
		r = tg_mqtt_client_turn(bus->client, reterr);
		if (r < 0 && !accepted)
			return r;
	}
	if (accepted && !tg_mqtt_client_is_up(bus->client))
		return r < 0 ? r : tg_fault_set(reterr, -ETIMEDOUT, "the broker does not answer");
	return 0;
}

static int mqtt_probe(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
		      struct tg_table *out, struct tg_fault *reterr)
{
	const char *filter = *address ? address : dev ? dev->mqtt.topic : "#";
	uint64_t start = tg_clock_boot_us();
	tg_autofree struct look *look = calloc(1, sizeof(*look));
	int r = tg_mqtt_filter_check(filter, strlen(filter), reterr);

	if (!look)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	if (r < 0)
		return r;
	r = turn_until(bus, start + PROBE_US / 2, true, reterr);
	if (r < 0)
		return r;
	r = tg_mqtt_client_look(bus->client, filter, on_seen, look);
	if (r < 0)
		return tg_fault_set(reterr, r, "cannot subscribe: %s", strerror(-r));
	r = turn_until(bus, tg_clock_boot_us() + PROBE_US, false, reterr);
	if (tg_mqtt_client_look(bus->client, filter, NULL, NULL) < 0 && r == 0)
		r = tg_fault_set(reterr, -ENOTCONN, "the connection was lost");
	if (r == 0)
		tell(look, out);
	return r;
}

/* --- birth and death ----------------------------------------------------------------------------
 */

static uint64_t mqtt_patience(struct tg_bus *bus, const struct tg_config_device *dev, void *plan)
{
	(void) dev;
	(void) plan;
	return tg_us_add(tg_broker_patience_us(bus->mqtt->host), TG_US_PER_S);
}

static void mqtt_close(struct tg_bus *bus)
{
	if (!bus)
		return;
	(void) tg_mqtt_client_free(bus->client);
	for (size_t i = 0; i < bus->n_subs; i++)
		free(bus->subs[i].filter);
	free(bus->subs);
	free(bus->wants);
	free(bus);
}

/* The subscription of @len bytes at @filter, made when it is new. Returns its index, or -ENOMEM. */
static ssize_t subscription(struct tg_bus *bus, const char *filter, size_t len, unsigned qos)
{
	struct tg_mqtt_subscription *s;

	for (size_t i = 0; i < bus->n_subs; i++) {
		s = &bus->subs[i];
		if (strlen(s->filter) != len || memcmp(s->filter, filter, len) != 0)
			continue;
		if (s->qos < qos)
			s->qos = qos;
		return (ssize_t) i;
	}
	s = &bus->subs[bus->n_subs];
	s->filter = strndup(filter, len);
	s->qos = qos;
	if (!s->filter)
		return -ENOMEM;
	return (ssize_t) bus->n_subs++;
}

static int add_want(struct tg_bus *bus, const struct tg_config_device *dev, size_t point)
{
	const struct tg_slice *own = &dev->points[point].mqtt.topic;
	ssize_t sub = own->len ? subscription(bus, own->at, own->len, dev->mqtt.qos)
			       : subscription(bus, dev->mqtt.topic, strlen(dev->mqtt.topic),
					      dev->mqtt.qos);

	if (sub < 0)
		return (int) sub;
	bus->wants[bus->n_wants++] =
		(struct want){ .dev = dev, .point = point, .sub = (size_t) sub };
	return 0;
}

static int by_subscription(const void *a, const void *b)
{
	const struct want *x = a, *y = b;

	return (x->sub > y->sub) - (x->sub < y->sub);
}

static int add_wants(struct tg_bus *bus, const struct tg_config *cfg, size_t index)
{
	size_t points = 1;

	for (size_t i = 0; i < cfg->n_devices; i++)
		points += cfg->devices[i].bus == index ? cfg->devices[i].n_points : 0;
	bus->wants = calloc(points, sizeof(*bus->wants));
	bus->subs = calloc(points, sizeof(*bus->subs));
	if (!bus->wants || !bus->subs)
		return -ENOMEM;
	for (size_t i = 0; i < cfg->n_devices; i++) {
		const struct tg_config_device *dev = &cfg->devices[i];

		for (size_t k = 0; dev->bus == index && k < dev->n_points; k++) {
			if (add_want(bus, dev, k) < 0)
				return -ENOMEM;
		}
	}
	qsort(bus->wants, bus->n_wants, sizeof(*bus->wants), by_subscription);
	return 0;
}

static int mqtt_open(const struct tg_config *cfg, size_t index, struct tg_bus **ret,
		     struct tg_fault *reterr)
{
	struct tg_bus *bus = calloc(1, sizeof(*bus));
	int r;

	if (!bus)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	bus->cfg = cfg;
	bus->mqtt = &cfg->buses[index].mqtt;
	r = add_wants(bus, cfg, index);
	if (r < 0)
		(void) tg_fault_set(reterr, r, "out of memory");
	else
		r = tg_mqtt_client_new(bus->mqtt, bus->subs, bus->n_subs, on_message, bus,
				       &bus->client, reterr);
	if (r < 0) {
		mqtt_close(bus);
		return r;
	}
	*ret = bus;
	return 0;
}

const struct tg_bus_driver tg_mqtt_driver = {
	.name = "mqtt",
	.type = TG_BUS_MQTT,
	.open = mqtt_open,
	.patience_us = mqtt_patience,
	.listen_fd = mqtt_listen_fd,
	.listen = mqtt_listen,
	.probe = mqtt_probe,
	.describe = mqtt_describe,
	.close = mqtt_close,
};
