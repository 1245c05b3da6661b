/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/issuer.h"

#include "x509/subject.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

bool tg_issuer_signed(X509 *issuer, X509 *cert)
{
	bool is = X509_check_issued(issuer, cert) == X509_V_OK &&
		  X509_verify(cert, X509_get0_pubkey(issuer)) == 1;

	ERR_clear_error();
	return is;
}

bool tg_issuer_self(X509 *cert)
{
	bool is = X509_self_signed(cert, 1) == 1;

	ERR_clear_error();
	return is;
}

int tg_issuer_check(X509_STORE_CTX *ctx, X509 *cert, X509 *issuer)
{
	(void) ctx;
	return tg_issuer_signed(issuer, cert);
}

static const char *name_text(const X509_NAME *name, char *out, size_t size)
{
	if (tg_subject_print(name, out, size, NULL) < 0)
		(void) snprintf(out, size, "?");
	return out;
}

const char *tg_issuer_name(X509 *cert, char *out, size_t size)
{
	return name_text(X509_get_subject_name(cert), out, size);
}

const char *tg_issuer_wanted(X509 *cert, char *out, size_t size)
{
	return name_text(X509_get_issuer_name(cert), out, size);
}
