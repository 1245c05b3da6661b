/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <openssl/types.h>
#include <stdbool.h>

/*
 * Keys as OpenSSL sees them, and OpenSSL's words as ours. Which kinds of PEM can be read depends on
 * the providers that are loaded: with tpm/provider.h, "TSS2 PRIVATE KEY" too.
 */

/*
 * The first private key in @pem; certificates around it are skipped. Never asks for a passphrase. 0
 * and an owned key (EVP_PKEY_free), -ENOENT (no private key in there), -EACCES (it is encrypted),
 * -EBADMSG (damaged or of an unknown kind), or -ENOMEM. May ask the TPM, and so block as long as a
 * TPM command may.
 */
int tg_key_from_pem(const char *pem, size_t len, EVP_PKEY **ret,
		    struct tg_fault *reterr) TG_CHECKED;

/*
 * For PEM_read_bio_...(), whatever they read: none is given. Without it OpenSSL asks on the terminal,
 * or on standard input, as soon as a text says that it is encrypted, a peer's certificate too.
 */
int tg_key_no_passphrase(char *buf, int size, int rwflag, void *user);

/* Whether both have the same public key; false when either cannot tell. */
bool tg_key_same(const EVP_PKEY *a, const EVP_PKEY *b);

/* The public half of @key as a key of its own, which needs no TPM: 0 and owned, or -EIO, -ENOMEM. */
int tg_key_public(const EVP_PKEY *key, EVP_PKEY **ret, struct tg_fault *reterr) TG_CHECKED;

/*
 * Empties OpenSSL's error queue of this thread into @reterr as "what: reason", the innermost reason
 * first, and returns @r; -ENOMEM when that reason is a failed allocation, so that what could merely not
 * be read now is not taken for damaged.
 */
int tg_x509_fault(struct tg_fault *reterr, int r, const char *what);
