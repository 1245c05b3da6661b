/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <openssl/types.h>
#include <stddef.h>

/*
 * Whom a connection's server must lead to, from text. An anchor here is a root:
 * an intermediate authority in the text helps to build a chain, and that chain
 * goes on to its root. Pure.
 */
#define TG_TLS_TRUST_BYTES (1024u * 1024)
#define TG_TLS_TRUST_CERTS 512

/*
 * Adds the certificates of @pem to those that @store has; text between them is skipped. 0, -EBADMSG
 * (one cannot be read, or there is none), -EFBIG, -ENOMEM.
 */
int tg_tls_trust(X509_STORE *store, const char *pem, size_t len,
		 struct tg_fault *reterr) TG_CHECKED;
/*
 * Makes @store tell authorities of one name apart by what they signed, as there are two of them
 * while one changes its key. Never fails.
 */
void tg_tls_trust_by_signature(X509_STORE *store);
