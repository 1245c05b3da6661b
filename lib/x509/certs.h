/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A bounded set of certificates: what an authority's answer brought, or a file of trust anchors.
 * Each certificate is in it once, in the order of its first coming. Nothing is said about who
 * signed what: x509/chain.h does that. Pure; no clock. One thread.
 */
#define TG_CERTS_MAX       64 /* in a peer's answer: several roots, each with its cross certificates */
#define TG_CERTS_PEM_BYTES (1024u * 1024)
#define TG_CERT_SHA256     32

struct tg_certs;

/* An empty set for up to @max (> 0) certificates; owned, or NULL without memory. */
struct tg_certs *tg_certs_new(size_t max);
struct tg_certs *tg_certs_free(struct tg_certs *c); /* accepts NULL, returns NULL */
TG_DEFINE_CLEANUP(struct tg_certs *, tg_certs_free)

/* All the certificates of a text; what stands around them is skipped. 0 and an owned set of at most
 * @max, -EBADMSG (none in there, or one that cannot be read), -EFBIG, -ENOMEM. */
int tg_certs_from_pem(const char *pem, size_t len, size_t max, struct tg_certs **ret,
		      struct tg_fault *reterr) TG_CHECKED;

/*
 * Add one; what is in there already is not added again, and that is no error. 0, -EFBIG (full),
 * -EBADMSG (not a certificate, or bytes behind it), -ENOMEM. tg_certs_add() takes a reference of
 * its own.
 */
int tg_certs_add(struct tg_certs *c, X509 *cert, struct tg_fault *reterr) TG_CHECKED;
int tg_certs_add_der(struct tg_certs *c, const uint8_t *der, size_t len,
		     struct tg_fault *reterr) TG_CHECKED;

/* How many; 0 for NULL. Never fails. */
size_t tg_certs_n(const struct tg_certs *c);
/* The one at @i < tg_certs_n(), borrowed from the set. Never fails. */
X509 *tg_certs_get(const struct tg_certs *c, size_t i);
/* The one whose DER has this SHA-256, borrowed, or NULL. */
X509 *tg_certs_find(const struct tg_certs *c, const uint8_t sha256[static TG_CERT_SHA256]);

/* SHA-256 over @cert's DER: 0, or -EIO. */
int tg_cert_sha256(const X509 *cert, uint8_t ret[static TG_CERT_SHA256]) TG_CHECKED;

/* Owned PEM text, newline at the end, "" for an empty set; NULL without memory. */
char *tg_certs_to_pem(const struct tg_certs *c);
