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

/*
 * The anchors are our own, and few of them have one name; what a peer sends are its own keys, some of which take a hundred
 * times as long to verify with as others.
 */
#define UNTRUSTED_MAX 8

/* By the store's own list, as the builder may hold its lock while it asks. */
static bool is_trusted(const STACK_OF(X509_OBJECT) *anchors, const X509 *cert)
{
	for (int i = 0; i < sk_X509_OBJECT_num(anchors); i++)
		if (X509_OBJECT_get0_X509(sk_X509_OBJECT_value(anchors, i)) == cert)
			return true;
	return false;
}

static bool is_signed_by_trusted(const STACK_OF(X509_OBJECT) *anchors, X509 *cert)
{
	for (int i = 0; i < sk_X509_OBJECT_num(anchors); i++) {
		X509 *anchor = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(anchors, i));

		if (anchor && tg_issuer_signed(anchor, cert))
			return true;
	}
	return false;
}

static bool is_signed_by_untrusted(const STACK_OF(X509) *among, X509 *cert)
{
	int tried = 0;

	for (int i = 0; i < sk_X509_num(among) && tried < UNTRUSTED_MAX; i++) {
		X509 *issuer = sk_X509_value(among, i);

		if (X509_check_issued(issuer, cert) != X509_V_OK)
			continue;
		if (tg_issuer_signed(issuer, cert))
			return true;
		tried++;
	}
	return false;
}

/* By name and identifiers. One that may not sign is told so when the whole chain is looked at; a server's own has no need to. */
static bool is_likely(X509 *issuer, X509 *cert)
{
	int r = X509_check_issued(issuer, cert);

	return r == X509_V_OK || r == X509_V_ERR_KEYUSAGE_NO_CERTSIGN;
}

int tg_issuer_prefer(X509_STORE_CTX *ctx, X509 *cert, X509 *issuer)
{
	X509_STORE *store = X509_STORE_CTX_get0_store(ctx);
	const STACK_OF(X509_OBJECT) *anchors = store ? X509_STORE_get0_objects(store) : NULL;

	if (!is_likely(issuer, cert))
		return 0;
	return !is_trusted(anchors, issuer) || tg_issuer_signed(issuer, cert) ||
	       (!is_signed_by_trusted(anchors, cert) &&
		!is_signed_by_untrusted(X509_STORE_CTX_get0_untrusted(ctx), cert));
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
