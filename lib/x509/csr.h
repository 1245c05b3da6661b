/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <openssl/types.h>
#include <stddef.h>

/*
 * Certificate signing requests (PKCS#10) in PEM. The key may be one in the TPM; making a request
 * asks it for one signature and so may block as long as a TPM command may.
 */
#define TG_CSR_MAX       8192 /* bytes of PEM: a P-256 request with every name below is shorter */
#define TG_CSR_DNS_NAMES 16

struct tg_csr_names {
	const char *subject;          /* x509/subject.h; "" for an empty one */
	const char *const *dns_names; /* go to the subject's alternative names */
	size_t n_dns_names;
};

/*
 * Makes and signs a request, reads its text back and verifies its signature, so that a key that
 * signs wrongly is found here and not by the authority. 0 and owned text, -EINVAL (the names), -EIO
 * (the key, the TPM).
 */
int tg_csr_make(EVP_PKEY *key, const struct tg_csr_names *names, char **ret_pem,
		struct tg_fault *reterr) TG_CHECKED;

/*
 * Whether @pem is a request that tg_csr_make() would make for these: 0, -EBADMSG (damaged, or its
 * signature is wrong), -ESTALE (of another key or other names), -EINVAL (the names).
 */
int tg_csr_check(const char *pem, size_t len, const EVP_PKEY *key, const struct tg_csr_names *names,
		 struct tg_fault *reterr) TG_CHECKED;
