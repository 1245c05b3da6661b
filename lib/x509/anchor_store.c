/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/anchor_store.h"

#include "x509/issuer.h"
#include "x509/key.h"
#include "x509/when.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#define SECURITY_BITS 112

TG_DEFINE_CLEANUP(X509_STORE *, X509_STORE_free)

bool tg_anchor_has_ended(const X509 *cert, int64_t at)
{
	int64_t end;

	return tg_when(X509_get0_notAfter(cert), &end) < 0 || end <= at;
}

static bool all_have_ended(const struct tg_certs *anchors, int64_t at)
{
	for (size_t i = 0; i < tg_certs_n(anchors); i++)
		if (!tg_anchor_has_ended(tg_certs_get(anchors, i), at))
			return false;
	return true;
}

/* Equal names, no key identifiers that differ: OpenSSL goes by these. */
static bool looks_like_a_root(X509 *cert)
{
	return (X509_get_extension_flags(cert) & EXFLAG_SS) && !tg_issuer_self(cert);
}

static bool has_limits(X509 *cert)
{
	return X509_get_pathlen(cert) >= 0 ||
	       X509_get_ext_by_NID(cert, NID_name_constraints, -1) >= 0;
}

/* Whether @cert may stand for the anchor that has signed it: as an anchor itself its signature is not looked at again. */
static bool stands_for_an_anchor(const struct tg_certs *anchors, X509 *cert, int64_t at)
{
	int bits = 0;

	if (!looks_like_a_root(cert) || X509_check_ca(cert) <= 0 || tg_anchor_has_ended(cert, at) ||
	    !X509_get_signature_info(cert, NULL, NULL, &bits, NULL) || bits < SECURITY_BITS)
		return false;
	for (size_t i = 0; i < tg_certs_n(anchors); i++) {
		X509 *anchor = tg_certs_get(anchors, i);

		if (!tg_anchor_has_ended(anchor, at) && !has_limits(anchor) &&
		    tg_issuer_signed(anchor, cert))
			return true;
	}
	return false;
}

int tg_anchor_store_make(const struct tg_certs *anchors, const STACK_OF(X509) * between, int64_t at,
			 X509_STORE **ret, struct tg_fault *reterr)
{
	tg_cleanup(X509_STORE_freep) X509_STORE *store = X509_STORE_new();
	bool all = all_have_ended(anchors, at), ok = store;

	for (size_t i = 0; ok && i < tg_certs_n(anchors); i++) {
		X509 *anchor = tg_certs_get(anchors, i);

		if (all || !tg_anchor_has_ended(anchor, at))
			ok = X509_STORE_add_cert(store, anchor) == 1;
	}
	for (int i = 0; ok && i < sk_X509_num(between); i++) {
		X509 *cert = sk_X509_value(between, i);

		if (stands_for_an_anchor(anchors, cert, at))
			ok = X509_STORE_add_cert(store, cert) == 1;
	}
	if (!ok)
		return tg_x509_fault(reterr, -ENOMEM, "trust anchors");
	ERR_clear_error();
	/* Those of one name are told apart by what they signed. */
	X509_STORE_set_check_issued(store, tg_issuer_check);
	*ret = tg_take(store);
	return 0;
}
