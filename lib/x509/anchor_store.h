/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "x509/certs.h"

#include <openssl/x509_vfy.h>

/*
 * Trust anchors as OpenSSL's path builder needs them to find its way through a
 * rollover. Left alone it stops at the first root of the right name, also when
 * that has ended or is of another key, and takes a cross certificate without
 * key identifiers for a root. Internal to lib/x509. Pure.
 */

/*
 * A store (X509_STORE_free) of those @anchors that have not ended at @at, or of all when all have.
 * With it, of @between (may be NULL), what looks like a root and is none, and was signed by one
 * that is trusted without limits: OpenSSL would not look for its issuer. 0, -EBADMSG, -ENOMEM.
 */
int tg_anchor_store_make(const struct tg_certs *anchors, const STACK_OF(X509) * between, int64_t at,
			 X509_STORE **ret, struct tg_fault *reterr) TG_CHECKED;

/* Whether @cert ended before @at, or its end cannot be read. */
bool tg_anchor_has_ended(const X509 *cert, int64_t at);
