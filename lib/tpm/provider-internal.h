/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tpm/key.h"
#include "tpm/provider.h"

#include <openssl/core.h>
#include <openssl/core_dispatch.h>

/*
 * The parts of the built-in provider know each other here. Its keys are struct
 * tg_tpm_key; OpenSSL calls everything from any thread, several at once.
 */
struct tg_provider {
	const OSSL_CORE_HANDLE *core;
	struct tg_tpm *tpm; /* outlives the provider */
	OSSL_FUNC_core_new_error_fn *new_error;
	OSSL_FUNC_core_set_error_debug_fn *set_error_debug;
	OSSL_FUNC_core_vset_error_fn *vset_error;
	OSSL_FUNC_BIO_read_ex_fn *bio_read;
};

/* Reasons of the provider's errors are errno numbers, so that a caller gets the TPM's own answer back out of OpenSSL. */
void tg_provider_raise_at(const struct tg_provider *p, const char *file, int line, const char *func,
			  const struct tg_fault *fault);
#define tg_provider_raise(p, fault) tg_provider_raise_at(p, __FILE__, __LINE__, __func__, fault)

/* The same for a failure that has no fault yet. Returns 0, which is OpenSSL's "failed". */
int tg_provider_fail(const struct tg_provider *p, int r, const char *text);

extern const OSSL_DISPATCH tg_provider_keymgmt[];
extern const OSSL_DISPATCH tg_provider_signature[];
extern const OSSL_DISPATCH tg_provider_decoder[];

/* Export for the decoder: what keymgmt does, for a key that OpenSSL knows only by reference. */
int tg_provider_key_export(void *key, int selection, OSSL_CALLBACK *cb, void *arg);

/* A row of a dispatch table: OpenSSL wants all functions as one type and takes them apart by id. */
#define TG_DISPATCH(id, fn) { OSSL_FUNC_##id, (void (*)(void)) (fn) }
#define TG_DISPATCH_END { 0, NULL }

/* Whether tpm2-openssl of this version has the lock that several threads need: 1.3.0 or later. */
bool tg_provider_version_ok(const char *version);
