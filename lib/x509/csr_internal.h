/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "x509/csr.h"

#include <openssl/x509.h>

/* What csr_names.c (what is asked for) and csr.c, csr_body.c (key, signature, text) share. */
TG_DEFINE_CLEANUP(BIO *, BIO_free)
TG_DEFINE_CLEANUP(X509_REQ *, X509_REQ_free)

static inline void tg_csr_extensions_freep(STACK_OF(X509_EXTENSION) * *p)
{
	sk_X509_EXTENSION_pop_free(*p, X509_EXTENSION_free);
}

/* A request with these names, but neither key nor signature: 0 and owned, -EINVAL, -EIO, -ENOMEM.
 */
int tg_csr_unsigned(const struct tg_csr_names *n, X509_REQ **ret,
		    struct tg_fault *reterr) TG_CHECKED;
/* The request in @pem, whoever signed it: 0 and owned, or -EBADMSG. */
int tg_csr_read(const char *pem, size_t len, X509_REQ **ret, struct tg_fault *reterr) TG_CHECKED;
