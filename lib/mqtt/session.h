/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/mailbox.h"

#include <tidegate/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One MQTT session over mutually authenticated TLS: the only place with Paho
 * (MQTTAsync), for agent and helper.
 *
 * One handle is one connect: made, connected, used, disconnected, freed (a
 * reconnect on one handle is ten times slower, and Paho's own reconnect and
 * persistence are never used). All functions are called by one thread, which
 * may block in DNS, in a TPM signature or in Paho's lock for seconds; never the
 * loop's. What happens comes back as struct tg_mqtt_event in the mailbox
 * that the caller gave; Paho's callbacks do nothing but post.
 */
struct tg_mqtt;

#define TG_MQTT_TOPIC_MAX 512	      /* bytes, without the NUL; more than any cloud takes */
#define TG_MQTT_MESSAGE_MAX (256u * 1024) /* larger messages from the broker are dropped and told */

enum tg_mqtt_event_type {
	TG_MQTT_CONNECTED,	/* CONNACK 0 */
	TG_MQTT_CONNECT_FAILED, /* text says why; the handle is of no more use */
	TG_MQTT_LOST,		/* the connection ended; the handle is of no more use */
	TG_MQTT_SUBSCRIBED,	/* SUBACK; granted says whether the broker agreed */
	TG_MQTT_PUBLISHED,	/* PUBACK of cookie */
	TG_MQTT_PUBLISH_FAILED, /* of cookie; text */
	TG_MQTT_MESSAGE,	/* owned topic and payload */
	TG_MQTT_DISCONNECTED,	/* our DISCONNECT is out */
};

/* Why a connect failed, as far as it can be told: decides back-off and wording. */
enum tg_mqtt_cause {
	TG_MQTT_CAUSE_NONE,
	TG_MQTT_CAUSE_DNS,	     /* name not resolved */
	TG_MQTT_CAUSE_TCP,	     /* refused, unreachable, timed out */
	TG_MQTT_CAUSE_TLS_PEER,	     /* the broker's certificate was refused by us: wrong name, chain, expired ... */
	TG_MQTT_CAUSE_TLS_REFUSED,   /* the broker refused our certificate, or closed in the handshake */
	TG_MQTT_CAUSE_TPM,	     /* the signature failed */
	TG_MQTT_CAUSE_REFUSED,	     /* CONNACK other than 0; code */
	TG_MQTT_CAUSE_CLOSED,	     /* closed before CONNACK: at AWS, policy or unknown certificate */
	TG_MQTT_CAUSE_LOCAL,	     /* our files or memory */
};

struct tg_mqtt_event {
	enum tg_mqtt_event_type type;
	unsigned session; /* the number given in the options: drop events of older ones */
	enum tg_mqtt_cause cause;
	int code;	  /* CONNACK or SUBACK code where there is one */
	bool granted;
	bool retained, duplicate;
	uint64_t cookie;
	char *topic;	  /* MESSAGE: owned, NUL-terminated */
	uint8_t *payload; /* MESSAGE: owned */
	size_t payload_len;
	char text[256];
};
/* Frees what an event owns. */
void tg_mqtt_event_done(struct tg_mqtt_event *e);
/* For tg_mailbox_new(). */
void tg_mqtt_event_drop(void *event);

struct tg_mqtt_will {
	const char *topic;
	const void *payload;
	size_t len;
};

struct tg_mqtt_options {
	unsigned session;
	const char *host; /* verified against the server's certificate, sent as SNI */
	uint16_t port;
	const char *alpn; /* NULL or "": none */
	const char *client_id;
	const char *ca_file;	 /* the only trust anchors */
	const char *bundle_file; /* chain and key in one PEM; or */
	const char *chain_file, *key_file; /* both, when the key has a file of its own (claim) */
	unsigned version;	 /* 4 or 5 */
	uint64_t keep_alive_us;
	uint64_t connect_timeout_us;
	unsigned in_flight;
	const struct tg_mqtt_will *will; /* QoS 1, retained; NULL: none */
	int64_t verify_at; /* seconds since 1970 at which certificates are judged when the clock is behind it; 0: the clock */
};

/* Once a process, before the first session; providers (tpm/provider.h) are loaded before. */
int tg_mqtt_global_init(struct tg_fault *reterr) TG_CHECKED;

/* Everything in @o is copied. Events go to @events (messages of struct tg_mqtt_event), which outlives the session. */
int tg_mqtt_new(const struct tg_mqtt_options *o, struct tg_mailbox *events, struct tg_mqtt **ret, struct tg_fault *reterr) TG_CHECKED;
/*
 * Resolves the name (bounded by the connect time-out, on a thread of its own, so that Paho never sits in DNS), then connects.
 * Returns 0 when under way: CONNECTED or CONNECT_FAILED follows.
 */
int tg_mqtt_connect(struct tg_mqtt *m, struct tg_fault *reterr) TG_CHECKED;
/* QoS 1. SUBSCRIBED follows. */
int tg_mqtt_subscribe(struct tg_mqtt *m, const char *filter, struct tg_fault *reterr) TG_CHECKED;
/* QoS 1. PUBLISHED or PUBLISH_FAILED with @cookie follows; @payload is copied. -EAGAIN: too many in flight. */
int tg_mqtt_publish(struct tg_mqtt *m, const char *topic, const void *payload, size_t len, bool retain, uint64_t cookie,
		    struct tg_fault *reterr) TG_CHECKED;
/* Sends what is queued, then DISCONNECT, for at most @timeout_us. DISCONNECTED or LOST follows. */
int tg_mqtt_disconnect(struct tg_mqtt *m, uint64_t timeout_us) TG_CHECKED;
/* Accepts NULL; drops the connection if it still stands (the broker then publishes the will). No event comes after it. */
struct tg_mqtt *tg_mqtt_free(struct tg_mqtt *m);
TG_DEFINE_CLEANUP(struct tg_mqtt *, tg_mqtt_free)
