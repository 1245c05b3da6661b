/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/types.h>
#include <openssl/x509_vfy.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Who signed what. Two roots of one name are usual while an authority rolls
 * over, and older ones have no key identifiers that would tell them apart: only
 * the signature does. OpenSSL goes by names and identifiers, and by what comes
 * first. Pure; leaves OpenSSL's error queue empty.
 */

/* Whether @issuer signed @cert and may have: names, key identifiers, key usage, signature. Never fails. */
bool tg_issuer_signed(X509 *issuer, X509 *cert);
/*
 * Whether @cert is signed by its own key. One with equal names need not be: NewWithOld and OldWithNew of a rollover are
 * self-issued, but signed by the authority's other key (RFC 5280 section 3.2). Never fails.
 */
bool tg_issuer_self(X509 *cert);

/* The same question for a path builder: X509_STORE_set_check_issued(store, tg_issuer_check). */
int tg_issuer_check(X509_STORE_CTX *ctx, X509 *cert, X509 *issuer);

/*
 * The same for peers that nobody vouches for yet: it is asked of anchors alone, where the name is that of several. An anchor
 * that has the name only, or may not sign, is taken when nobody else there has signed @cert. Whether the signature is right
 * and allowed is for the verification to say.
 */
int tg_issuer_prefer(X509_STORE_CTX *ctx, X509 *cert, X509 *issuer);

/* The subject of @cert as one printable line, RFC 2253 order, cut to @size (> 3); "?" when it cannot be printed. Returns @out. */
const char *tg_issuer_name(X509 *cert, char *out, size_t size);
/* The same of whom it names as its issuer. */
const char *tg_issuer_wanted(X509 *cert, char *out, size_t size);
