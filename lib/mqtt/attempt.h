/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "mqtt/frame.h"
#include "mqtt/session.h"
#include "tls/peer.h"

#include <openssl/ssl.h>

#include <netinet/in.h>

/*
 * One connection attempt: what it may reach and how its peer is judged, and
 * what was learnt on the way. It is the link between a session (session.c),
 * the calls that Paho makes into the system and OpenSSL (overrides.c), and the
 * text that a human reads when it fails (reason.c).
 *
 * Internal to lib/mqtt. The wishes are constant from tg_mqtt_attempt_begin()
 * on. What is learnt is written and read under Paho's own lock (in its
 * callbacks and in the calls that it makes), the places in the registry under
 * the registry's.
 */
enum tg_mqtt_stage {
	TG_MQTT_STAGE_WAITING,  /* Paho has not asked for the address yet */
	TG_MQTT_STAGE_ANSWERED, /* it has the address */
	TG_MQTT_STAGE_DIALLED,  /* connect() was called */
	TG_MQTT_STAGE_TCP,      /* the TCP connection stands, TLS begins: from here on @peer knows */
};

struct tg_mqtt_attempt {
	char host[254]; /* name or address, without brackets; RFC 1035 allows 253 */
	uint16_t port;
	char address[INET6_ADDRSTRLEN]; /* what the name was resolved to */
	bool remembered;                /* it was not: it is where the broker was last */
	uint8_t alpn[256];              /* as on the wire: a length, then the name */
	unsigned alpn_len;
	unsigned timeout_ms;     /* TCP_USER_TIMEOUT */
	const char *anchors_pem; /* the session's: trusted beside what Paho loads; NULL: none */

	enum tg_mqtt_stage stage;
	int tcp_errno;           /* why the TCP connection was not made; 0: not known */
	struct tg_tls_peer peer; /* how the broker is judged, and what came of it */
	struct tg_mqtt_frame frame; /* what comes from the broker; at fault, it is not read any further */
	uint64_t heard_us;          /* CLOCK_BOOTTIME of the last byte of it; 0: none yet. Under the registry's lock */
	bool ended_by_peer; /* as against a time-out, or an end of our own */
	bool reset;         /* and without an orderly end: as by something on the way that had forgotten the connection */
	int end_errno;      /* how the network broke the connection; 0: it did not */
	bool tpm;           /* a provider's reason began with "TPM" */
	char tls_text[160]; /* OpenSSL's first reason, or the TPM's */

	int fd;      /* Paho's; compared, never used */
	int kill_fd; /* a duplicate of our own, to end the connection behind Paho's back; -1: none
		      */
	uint64_t id;
	struct tg_mqtt_attempt *next;
};

/* Registers @a: from now on Paho's calls for its host are answered. @a stays the caller's. Never
 * fails. */
void tg_mqtt_attempt_begin(struct tg_mqtt_attempt *a);
/* Forgets @a and closes kill_fd. Accepts an attempt that was never begun. Any thread. */
void tg_mqtt_attempt_end(struct tg_mqtt_attempt *a);
/* Shuts the TCP connection down in both directions, if there is one: the broker sees an end without
 * DISCONNECT. Any thread. */
void tg_mqtt_attempt_kill(struct tg_mqtt_attempt *a);
/* When the broker was last heard: CLOCK_BOOTTIME; 0: not yet. Any thread. Never fails. */
uint64_t tg_mqtt_attempt_heard_us(const struct tg_mqtt_attempt *a);
/* Closes kill_fd: the connection is Paho's to close. Any thread. */
void tg_mqtt_attempt_release(struct tg_mqtt_attempt *a);

/*
 * Waits (0.5 s at most) until the threads that Paho ran are gone. MQTTAsync_destroy() of the last
 * session returns when they are about to end; a program that exits then races with them for what
 * OpenSSL keeps for each thread.
 */
void tg_mqtt_overrides_settle(void);
/* How often each override was reached from Paho in this process; for tests. */
struct tg_mqtt_overrides {
	unsigned connect, getaddrinfo, getsockopt, ssl_ctx_new, ssl_read, ssl_write;
};
void tg_mqtt_overrides_count(struct tg_mqtt_overrides *ret);
/* Whether Paho's calls land here. Returns 0, or -ENOTSUP when the dynamic linker has bound them
 * past us. */
int tg_mqtt_overrides_check(struct tg_fault *reterr) TG_CHECKED;

/* Makes @ctx judge the peer as @a wants it and report to @a; with NULL it refuses every peer. Never
 * fails open. */
void tg_mqtt_tls_prepare(SSL_CTX *ctx, struct tg_mqtt_attempt *a);
/* SSL_write() on Paho's @ssl gave @r: if the connection is gone, takes note of the alert that came
 * before its end. */
void tg_mqtt_tls_last_words(SSL *ssl, int r);
/*
 * Loads anchors, chain and key into a scratch context, as Paho and tg_mqtt_tls_prepare() will: Paho's own report of a bad
 * file is "TLS connect failure". @ca or @anchors_pem may be NULL. Returns 0 or -errno with the file and the reason; -EIO with @ret_tpm
 * set when the key's provider blames the TPM.
 */
int tg_mqtt_tls_files(const char *ca, const char *anchors_pem, const char *chain, const char *key, bool *ret_tpm,
		      struct tg_fault *reterr) TG_CHECKED;

/* "host:port", with brackets around an address of IPv6. Returns @out. Never fails. */
#define TG_MQTT_PLACE_MAX (254 + 9)
const char *tg_mqtt_place(const struct tg_mqtt_attempt *a, char out[static TG_MQTT_PLACE_MAX]);
/*
 * Takes note of a line of ERR_print_errors_cb()
 * ("thread:error:code:library::reason:file:line:data"). The first one is kept, as it is the
 * innermost, unless a later one comes from a TPM. Pure.
 */
void tg_mqtt_reason_note(struct tg_mqtt_attempt *a, const char *line, size_t len);
/*
 * Says why the attempt failed. @code is the CONNACK's (> 0) or Paho's (< 0); @timed_out: Paho gave
 * up waiting. Returns the cause, and what, where, why and what to do in @text. Pure; never fails.
 */
enum tg_mqtt_cause tg_mqtt_reason(const struct tg_mqtt_attempt *a, int code, bool timed_out,
				  char *text, size_t size);
/* What the broker said of us; arguments as above. Pure; never fails. */
enum tg_mqtt_word tg_mqtt_word(const struct tg_mqtt_attempt *a, int code, bool timed_out);

/*
 * Looks @host up on a thread of its own and waits for at most @timeout_us. @pick chooses among
 * several addresses, so that a dead one is not tried for ever. A look-up that outlives its deadline
 * ends by itself; -EBUSY when too many do. Returns 0, -ETIMEDOUT, -EHOSTUNREACH (no such name),
 * -EBUSY, -ENOMEM.
 */
int tg_mqtt_resolve(const char *host, uint64_t timeout_us, unsigned pick,
		    char ret_address[static INET6_ADDRSTRLEN], struct tg_fault *reterr) TG_CHECKED;
