/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One judge of TLS servers for all connections of ours, whatever library makes
 * them: the same demands, the same words when they are not met.
 *
 * Everything is checked within the handshake, before our certificate is sent
 * and before a TPM signs: chain to the anchors of the context's own store and
 * to nothing else, name or address among the alternative names (never the
 * common name), purpose, extensions, strength, validity at the time that is
 * given. The clock of a gateway can be behind, a server's certificate cannot:
 * one that is good in all but its beginning proves that this time has passed.
 *
 * Plain values, no allocation. A peer is used by the thread that runs the
 * handshake, and read when that is over.
 */
#define TG_TLS_NAME_MAX 128 /* bytes of a name that is shown; longer ones are cut */
/* Certificates that a server may send: to try them with one another costs a signature check for each pair. */
#define TG_TLS_CHAIN_MAX 16
#define TG_TLS_WORDS_MAX 512 /* the longest sentence of tg_tls_peer_words() */

struct tg_tls_peer {
	/* Wishes, constant while the handshake runs. */
	const char *who;  /* borrowed: "broker", for the words; NULL: "server" */
	const char *host; /* borrowed: DNS name, IPv4 or IPv6 address without brackets */
	int64_t now_s;    /* judged at, seconds since 1970; 0: the system's clock */
	/*
	 * How far ahead of now a certificate may begin. INT64_MAX while the clock is not known to be right: then one that
	 * is good in all else is accepted and not_before says what it proves.
	 */
	int64_t future_s;
	/* May be NULL. Called when our side of a handshake is complete; in TLS 1.3 perhaps again for later messages. */
	void (*on_finished)(SSL *ssl, void *user);
	void *user; /* the caller's */

	/* Findings; reset by tg_tls_judge() and by each handshake. */
	bool passed;                /* the server was accepted */
	bool finished;              /* the handshake is complete on our side */
	int error;                  /* X509_V_ERR_*; 0: none */
	int depth;                  /* of the certificate at fault; 0: the server's own */
	bool nameless;              /* it has no alternative names at all */
	char name[TG_TLS_NAME_MAX]; /* whom it is for, printable */
	char detail
		[TG_TLS_NAME_MAX]; /* issuer, extension, key or digest, as the fault wants it; printable */
	int64_t judged_s;          /* the time that was judged at */
	int64_t date_s;            /* the beginning or the end that did not suit */
	/*
	 * Seconds since 1970 that have certainly passed, as an accepted chain proves it; else 0. With a finite future_s a
	 * beginning that is still ahead proves nothing but that its authority's clock is.
	 */
	int64_t not_before;
	int64_t not_after; /* the first end in an accepted chain, at which nothing it says holds; else 0 */
	bool alerted;  /* the server sent a fatal alert ... */
	uint8_t alert; /* ... of this number (RFC 8446 section 6) */
};

/* A synchronised clock and an authority's may differ by so much. */
#define TG_TLS_FUTURE_S INT64_C(86400)

/*
 * TLS 1.2 or 1.3, AEAD with ephemeral elliptic curves, security level 2, no resumption, compression or renegotiation; our
 * chain is sent as it was given. Overrides what a configuration file of OpenSSL or a library has set before. Returns 0, or
 * -ENOTSUP when this OpenSSL cannot: then do not connect.
 */
int tg_tls_harden(SSL_CTX *ctx) TG_CHECKED;
/*
 * Makes @ctx judge whom it connects to as @peer wants it, and report there. @peer outlives all that is made of @ctx, which
 * is to make one connection at a time; NULL: every server is refused. Replaces the context's verification and its info
 * callback. Never fails open.
 */
void tg_tls_judge(SSL_CTX *ctx, struct tg_tls_peer *peer);
/* The peer that @ssl is judged by; NULL: none. Never fails. */
struct tg_tls_peer *tg_tls_peer_of(const SSL *ssl);

/*
 * Why the server was refused, or how it refused us: which certificate, of whom, what is wrong with it, what to do. ""
 * when neither has happened. Returns @out. Never fails.
 */
const char *tg_tls_peer_words(const struct tg_tls_peer *p, char *out, size_t size);
/*
 * The same for any handshake that failed. @reason: OpenSSL's own text, or a longer one that contains it; "" or NULL when
 * the connection ended without. Returns @out. Never fails.
 */
const char *tg_tls_handshake_words(const struct tg_tls_peer *p, const char *reason, char *out,
				   size_t size);
