/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "provisioning/net/http.h"
#include "tls/peer.h"

#include <openssl/x509.h>

/*
 * The TLS side of net/http.h: whom we trust, who we are, and what binds a request to its
 * connection. Knows OpenSSL and no HTTP library.
 */
#define TG_HTTP_ANCHORS_MAX 512 /* certificates */
#define TG_HTTP_CHAIN_MAX   10  /* certificates that we show */

struct tg_http_tls {
	X509_STORE *anchors; /* NULL: the server is not verified */
	X509 *leaf;          /* NULL: we show no certificate */
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
	bool tls12_only;
	char host[256];          /* what the server's certificate must be for */
	struct tg_tls_peer peer; /* of the last connection */
	char version[16];        /* of the same; "" until its handshake is complete */
	char reason[256];        /* what OpenSSL broke a handshake off for; "": not known */
	bool key_failed;         /* ... and it was the key that could not sign */
};

/*
 * Reads anchors, certificates and wishes of @o; @t is zeroed before and does not move after. 0,
 * -EINVAL (what is wrong with which text), -EPERM (an identity for a server that is not verified),
 * -ENOMEM.
 */
int tg_http_tls_init(struct tg_http_tls *t, const struct tg_http_options *o,
		     struct tg_fault *reterr) TG_CHECKED;
/* When all connections of it are gone. Also of a zeroed one. */
void tg_http_tls_done(struct tg_http_tls *t);

/* Makes a fresh context do what we want; forgets what was found about earlier connections. 0 or -errno. */
int tg_http_tls_prepare(struct tg_http_tls *t, SSL_CTX *ctx) TG_CHECKED;

/*
 * The channel binding of @ssl, whose handshake is complete, as base64. 0, or -EOPNOTSUPP with the
 * reason: tls-unique binds nothing where the master secret is not made of the whole handshake
 * (RFC 7627).
 */
int tg_http_tls_binding(SSL *ssl, char out[static TG_HTTP_BINDING_13 + 1],
			struct tg_fault *reterr) TG_CHECKED;

/*
 * Why the last handshake failed, or the server gave up later because of our certificate; @hint:
 * OpenSSL's line as the HTTP library has it, or "". Returns the -errno that http.h has for it, with words; 0 when TLS was
 * not the reason.
 */
int tg_http_tls_failure(const struct tg_http_tls *t, const char *hint, struct tg_fault *reterr);
