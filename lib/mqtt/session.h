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

#define TG_MQTT_TOPIC_MAX   512           /* bytes, without the NUL; more than any cloud takes */
/* Bytes; larger ones from the broker are dropped and told, far larger ones without taking room for them (frame.h). */
#define TG_MQTT_MESSAGE_MAX (256u * 1024)

enum tg_mqtt_event_type {
	TG_MQTT_CONNECTED,       /* CONNACK 0 */
	TG_MQTT_CONNECT_FAILED,  /* text says why; the handle is of no more use */
	TG_MQTT_LOST,            /* the connection ended; the handle is of no more use */
	TG_MQTT_SUBSCRIBED,      /* SUBACK; granted says whether the broker agreed */
	TG_MQTT_PUBLISHED,       /* PUBACK of cookie */
	TG_MQTT_PUBLISH_FAILED,  /* of cookie; text */
	TG_MQTT_MESSAGE,         /* owned topic and payload */
	TG_MQTT_MESSAGE_DROPPED, /* code: how many in this session; text: why the last one was */
	TG_MQTT_DISCONNECTED,    /* our DISCONNECT is out */
};

/* Why a connect failed, as far as it can be told: decides back-off and wording. */
enum tg_mqtt_cause {
	TG_MQTT_CAUSE_NONE,
	TG_MQTT_CAUSE_DNS,         /* name not resolved */
	TG_MQTT_CAUSE_TCP,         /* refused, unreachable, timed out */
	TG_MQTT_CAUSE_TLS_PEER,    /* we refused the broker: wrong name, chain, expired ... */
	TG_MQTT_CAUSE_TLS_REFUSED, /* the broker refused us, or closed in the handshake */
	TG_MQTT_CAUSE_TPM,         /* the signature failed */
	TG_MQTT_CAUSE_REFUSED,     /* CONNACK other than 0; code */
	TG_MQTT_CAUSE_CLOSED, /* closed before CONNACK (at AWS, policy or unknown certificate), or answered by what is not MQTT */
	TG_MQTT_CAUSE_LOCAL,  /* our files or memory */
};

/* What a broker said of us when it ended a connection before CONNACK 0. */
enum tg_mqtt_word {
	TG_MQTT_WORD_NONE,    /* nothing: the network, we, or its own trouble */
	TG_MQTT_WORD_CLOSED,  /* closed without a word once it had our certificate */
	TG_MQTT_WORD_REFUSED, /* an alert about our certificate, or a CONNACK about us */
};

struct tg_mqtt_event {
	enum tg_mqtt_event_type type;
	unsigned session; /* the number given in the options: drop events of older ones */
	enum tg_mqtt_cause cause;
	enum tg_mqtt_word word; /* with CONNECT_FAILED */
	bool by_peer;           /* with LOST: the other side ended the connection, not a time-out */
	bool reset;             /* and that by a reset, which whatever is on the way can send as well */
	int code; /* of CONNACK or SUBACK; with CAUSE_TLS_PEER X509_V_ERR_* or 0 */
	/*
	 * Seconds since 1970 that a verified certificate of the broker proves to be past: with
	 * CONNECTED, and with CONNECT_FAILED when the broker was accepted but did not accept us; else 0.
	 */
	int64_t peer_not_before;
	bool granted;
	bool retained, duplicate;
	uint64_t cookie;
	char *topic;      /* MESSAGE: owned, NUL-terminated */
	uint8_t *payload; /* MESSAGE: owned */
	size_t payload_len;
	char text[TG_FAULT_MAX];
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
	/* Which of the name's addresses is tried, of as many as there are: count it up after a TCP failure. */
	unsigned pick;
	const char *host; /* verified against the server's certificate, sent as SNI */
	/* Where it was last, as an address, for when the name cannot be resolved; NULL or "": not known. */
	const char *last_address;
	uint16_t port;
	const char *alpn; /* NULL or "": none */
	const char *client_id;
	/* The only trust anchors: the file's, and those of a text; one of them may be NULL. */
	const char *ca_file;
	const char *anchors_pem;
	const char *bundle_file;           /* chain and key in one PEM; or */
	const char *chain_file, *key_file; /* both, when the key has a file of its own (claim) */
	unsigned version;                  /* 4 or 5 */
	uint64_t keep_alive_us;
	uint64_t connect_timeout_us;
	unsigned in_flight;
	const struct tg_mqtt_will *will; /* QoS 1, retained; NULL: none */
	/*
	 * When and how strictly certificates are judged: tls/peer.h. A broker whose certificate is good in all but that it
	 * begins later, by future_s at most, is accepted: the event's peer_not_before says what it proves.
	 */
	int64_t verify_at; /* seconds since 1970; 0: now, by the clock */
	int64_t future_s;  /* seconds; INT64_MAX while the clock is not known to be right */
};

/*
 * Once a process, before the first session and before any thread, as it changes the environment;
 * providers (tpm/provider.h) may be loaded before or after. Unsets http_proxy, https_proxy and
 * Paho's trace variables, which Paho would obey, and ignores SIGPIPE.
 */
int tg_mqtt_global_init(struct tg_fault *reterr) TG_CHECKED;

/*
 * Everything in @o is copied. Events go to @events (messages of struct tg_mqtt_event), which
 * outlives the session. It should have in_flight + TG_MQTT_MAILBOX_EXTRA slots for each session:
 * messages are dropped when half of the extra ones wait, but when another event finds no room the
 * connection is ended, and the calls below return -EPIPE. Returns 0; -EOPNOTSUPP for version 5;
 * -EINVAL; -EBUSY while Paho has not given a freed session back (tg_mqtt_stuck()).
 */
#define TG_MQTT_MAILBOX_EXTRA 32
int tg_mqtt_new(const struct tg_mqtt_options *o, struct tg_mailbox *events, struct tg_mqtt **ret,
		struct tg_fault *reterr) TG_CHECKED;
/*
 * Looks at the files, resolves the name (bounded by the connect time-out, on a thread of its own,
 * so that Paho never sits in DNS; where last_address is known that is tried instead after TG_MQTT_DNS_US), then connects. Returns 0: CONNECTED or CONNECT_FAILED follows,
 * the latter also for bad files and names (so that every cause comes the same way). <0 only for a
 * second call or when memory is short. The time-out is kept to about 4 s.
 */
#define TG_MQTT_DNS_US (UINT64_C(5) * 1000 * 1000)
int tg_mqtt_connect(struct tg_mqtt *m, struct tg_fault *reterr) TG_CHECKED;
/* The address that is tried, as text; "" before the name is resolved. The session's; constant once it is connected. */
const char *tg_mqtt_address(const struct tg_mqtt *m);
/* QoS 1. SUBSCRIBED follows. */
int tg_mqtt_subscribe(struct tg_mqtt *m, const char *filter, struct tg_fault *reterr) TG_CHECKED;
/*
 * QoS 1. PUBLISHED or PUBLISH_FAILED with @cookie follows, once, and before LOST or DISCONNECTED;
 * @payload is copied. -EAGAIN: too many in flight. -ENOTCONN, -EINVAL (topic), -EMSGSIZE (more than
 * TG_MQTT_MESSAGE_MAX), -ENOMEM.
 */
int tg_mqtt_publish(struct tg_mqtt *m, const char *topic, const void *payload, size_t len,
		    bool retain, uint64_t cookie, struct tg_fault *reterr) TG_CHECKED;
/*
 * When anything was last heard of the broker, CLOCK_BOOTTIME; 0: not yet. One that lives answers pings: it is heard every
 * keep-alive and a little. Any thread. Never fails.
 */
uint64_t tg_mqtt_heard_us(const struct tg_mqtt *m);
/*
 * Sends what is queued, waits for acknowledgements for about @timeout_us, sends DISCONNECT.
 * DISCONNECTED or LOST follows. -ENOTCONN when there is no connection.
 */
int tg_mqtt_disconnect(struct tg_mqtt *m, uint64_t timeout_us) TG_CHECKED;
/*
 * Accepts NULL; drops the connection if it still stands (the broker then publishes the will). No
 * event comes after it. Blocks about 1 s, as Paho's threads end, unless another session is
 * connected; never more than
 * TG_MQTT_FREE_MAX_US: then the handle is left behind, counted.
 */
#define TG_MQTT_FREE_MAX_US (UINT64_C(15) * 1000 * 1000) /* more than the longest TPM signature */
struct tg_mqtt *tg_mqtt_free(struct tg_mqtt *m);
/* No event of @m comes from now on; it is freed later. Does not block. */
void tg_mqtt_mute(struct tg_mqtt *m);
TG_DEFINE_CLEANUP(struct tg_mqtt *, tg_mqtt_free)
/* Sessions that Paho has not given back; no new one is made meanwhile. Any thread. Never fails. */
unsigned tg_mqtt_stuck(void);
