/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/chain_build.h"

#include "base/clock.h"
#include "x509/anchor_store.h"
#include "x509/chain_internal.h"
#include "x509/issuer.h"
#include "x509/key.h"
#include "x509/when.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

/*
 * OpenSSL's builder looks for one issuer at each step, among the anchors first, and does not come
 * back from a dead end: of two certificates for one intermediate authority it may take the one that
 * leads nowhere. Where it ends, what it ended at is taken away and it is asked again. So often; each
 * time may cost a signature for each certificate of a name, and the names are the server's choice.
 */
#define TRIES 8
/* Of all tries together: some keys take a hundred times as long to verify with as others. */
#define SIGNATURES_MAX 128

#define SECURITY_LEVEL 2 /* at least 112 bits */

TG_DEFINE_CLEANUP(X509_STORE_CTX *, X509_STORE_CTX_free)

struct search {
	const struct tg_certs *issued, *pool;
	struct tg_certs *anchors; /* owned */
	X509 *leaf;               /* borrowed, as all certificates here */
	int64_t at;               /* the time that nothing on the path may have ended at */
	X509_STORE *store;        /* owned: anchors that have not ended */
	STACK_OF(X509) * between; /* owned, its elements borrowed: what may still be on the path */
	unsigned signatures;      /* that were verified in the search for issuers */
};

static void search_done(struct search *s)
{
	s->anchors = tg_certs_free(s->anchors);
	X509_STORE_free(s->store);
	sk_X509_free(s->between);
}

/* What can be read and is an authority's; level, purpose and the rest are the judge's. */
static bool may_issue(X509 *cert, int64_t at)
{
	return X509_check_ca(cert) > 0 && !tg_anchor_has_ended(cert, at);
}

static int find_leaf(struct search *s, const EVP_PKEY *key, struct tg_fault *reterr)
{
	for (size_t i = 0; i < tg_certs_n(s->issued); i++) {
		X509 *cert = tg_certs_get(s->issued, i);

		if (!tg_key_same(X509_get0_pubkey(cert), key))
			continue;
		if (s->leaf)
			return tg_fault_set(reterr, -EEXIST,
					    "two different certificates for our key");
		s->leaf = cert;
	}
	ERR_clear_error();
	return s->leaf ? 0 : tg_fault_set(reterr, -ENOENT, "no certificate for our key");
}

static bool push_all(struct search *s, const struct tg_certs *from)
{
	for (size_t i = 0; i < tg_certs_n(from); i++)
		if (tg_certs_get(from, i) != s->leaf &&
		    !sk_X509_push(s->between, tg_certs_get(from, i)))
			return false;
	return true;
}

/* Whether @issuer signed @cert, as far as it may still be asked. */
static bool has_signed(struct search *s, X509 *issuer, X509 *cert)
{
	if (X509_check_issued(issuer, cert) != X509_V_OK || s->signatures >= SIGNATURES_MAX)
		return false;
	s->signatures++;
	return tg_issuer_signed(issuer, cert);
}

static int on_issuer(X509_STORE_CTX *ctx, X509 *cert, X509 *issuer)
{
	return has_signed(X509_STORE_CTX_get_app_data(ctx), issuer, cert);
}

static int begin(struct search *s, const char *pem, size_t len, struct tg_fault *reterr)
{
	int64_t born;
	int r = tg_certs_from_pem(pem, len, TG_ANCHOR_CERTS, &s->anchors, reterr);

	if (r < 0) {
		(void) tg_fault_prefix(reterr, "trust anchors");
		return r == -EFBIG ? -EBADMSG : r;
	}
	/* Who made it lived then, whatever our clock says. */
	if (tg_when(X509_get0_notBefore(s->leaf), &born) == 0 && born > s->at)
		s->at = born;
	s->between = sk_X509_new_null();
	if (!s->between || !push_all(s, s->issued) || !push_all(s, s->pool))
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	r = tg_anchor_store_make(s->anchors, s->between, s->at, &s->store, reterr);
	if (r == 0)
		X509_STORE_set_check_issued(s->store, on_issuer);
	return r;
}

/* What is wrong with the leaf alone is tg_chain_verify()'s to say; what begins later, too. */
static int on_step(int ok, X509_STORE_CTX *ctx)
{
	switch (ok ? X509_V_OK : X509_STORE_CTX_get_error(ctx)) {
	case X509_V_OK:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return 1;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION:
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_MD_TOO_WEAK:
		return X509_STORE_CTX_get_error_depth(ctx) == 0;
	default:
		return 0;
	}
}

static int look(struct search *s, X509_STORE_CTX *ctx, bool *ret_found, struct tg_fault *reterr)
{
	X509_VERIFY_PARAM *param;

	if (!X509_STORE_CTX_init(ctx, s->store, s->leaf, s->between))
		return tg_x509_fault(reterr, -ENOMEM, "cannot look for a path");
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_time(param, tg_clock_time_t(s->at));
	X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
	X509_VERIFY_PARAM_set_depth(param, TG_CHAIN_CERTS);
	if (!X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN))
		return tg_x509_fault(reterr, -ENOMEM, "cannot look for a path");
	X509_STORE_CTX_set_verify_cb(ctx, on_step);
	(void) X509_STORE_CTX_set_app_data(ctx, s);
	*ret_found = X509_verify_cert(ctx) == 1;
	ERR_clear_error();
	return 0;
}

/* --- why there is none ---------------------------------------------------------------------- */

enum dead_end {
	END_MISSING, /* nobody there has signed the last one */
	END_ROOT,    /* the last one has signed itself, and is not trusted */
	END_FAULT,   /* something is wrong with one on the way */
};

static enum dead_end end_of(X509_STORE_CTX *ctx)
{
	switch (X509_STORE_CTX_get_error(ctx)) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return END_MISSING;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return END_ROOT;
	default:
		return END_FAULT;
	}
}

/* The certificate that the path ended at. */
static X509 *culprit(X509_STORE_CTX *ctx)
{
	STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(ctx);
	int last = sk_X509_num(path) - 1;
	int depth = X509_STORE_CTX_get_error_depth(ctx);

	return sk_X509_value(path, end_of(ctx) == END_FAULT && depth < last ? depth : last);
}

static void end_text(const X509 *cert, char out[static 32])
{
	int64_t end = 0;

	if (tg_when(X509_get0_notAfter(cert), &end) < 0)
		end = 0;
	tg_clock_iso(end * (int64_t) TG_US_PER_S, out);
}

static bool is_named(const struct tg_certs *among, const X509_NAME *name)
{
	for (size_t i = 0; i < tg_certs_n(among); i++)
		if (X509_NAME_cmp(X509_get_subject_name(tg_certs_get(among, i)), name) == 0)
			return true;
	return false;
}

static bool is_among(const struct tg_certs *set, const X509 *cert)
{
	uint8_t sha[TG_CERT_SHA256];

	return tg_cert_sha256(cert, sha) == 0 && tg_certs_find(set, sha);
}

static int say_missing(const struct search *s, X509 *last, struct tg_fault *reterr)
{
	char name[160], issuer[160], end[32];
	const X509_NAME *wanted = X509_get_issuer_name(last);
	bool namesake = is_named(s->anchors, wanted) || is_named(s->pool, wanted) ||
			is_named(s->issued, wanted);

	(void) tg_issuer_name(last, name, sizeof(name));
	(void) tg_issuer_wanted(last, issuer, sizeof(issuer));
	for (size_t i = 0; i < tg_certs_n(s->anchors); i++) {
		X509 *anchor = tg_certs_get(s->anchors, i);

		if (!tg_anchor_has_ended(anchor, s->at) || !tg_issuer_signed(anchor, last))
			continue;
		end_text(anchor, end);
		return tg_fault_set(reterr, -EKEYREJECTED, "the trust anchor '%s' of '%s' ended %s",
				    issuer, name, end);
	}
	return tg_fault_set(reterr, -EKEYREJECTED,
			    "the issuer '%s' of '%s' is missing: it neither came with the "
			    "certificate nor is it a trust anchor%s",
			    issuer, name,
			    namesake ? " (one of that name is there, but did not sign it)" : "");
}

static int say_why(const struct search *s, X509_STORE_CTX *ctx, struct tg_fault *reterr)
{
	char name[256], end[32];
	int error = X509_STORE_CTX_get_error(ctx);
	X509 *cert = culprit(ctx);

	if (!cert)
		return tg_fault_set(reterr, -EKEYREJECTED, "%s",
				    X509_verify_cert_error_string(error));
	(void) tg_issuer_name(cert, name, sizeof(name));
	switch (end_of(ctx)) {
	case END_MISSING:
		return say_missing(s, cert, reterr);
	case END_ROOT:
		return tg_fault_set(reterr, -EKEYREJECTED,
				    "the root '%s' that it leads to is not trusted", name);
	case END_FAULT:
		break;
	}
	end_text(cert, end);
	if (error == X509_V_ERR_CERT_HAS_EXPIRED)
		return tg_fault_set(reterr, -EKEYREJECTED, "the %s '%s' ended %s",
				    is_among(s->anchors, cert) ? "trust anchor"
							       : "issuing certificate",
				    name, end);
	return tg_fault_set(reterr, -EKEYREJECTED, "the issuing certificate '%s': %s", name,
			    X509_verify_cert_error_string(error));
}

/* --- the chain ------------------------------------------------------------------------------ */

static bool has(const struct tg_chain *c, const X509 *cert)
{
	for (size_t i = 0; i < c->n; i++)
		if (X509_cmp(c->certs[i], cert) == 0)
			return true;
	return false;
}

static int append(struct tg_chain *c, X509 *cert, struct tg_fault *reterr)
{
	if (c->n == TG_CHAIN_CERTS)
		return tg_fault_set(reterr, -EFBIG, "the path has more than %d certificates",
				    TG_CHAIN_CERTS);
	if (!X509_up_ref(cert))
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	c->certs[c->n++] = cert;
	return 0;
}

static X509 *issuer_among(struct search *s, const struct tg_certs *among, X509 *cert,
			  const struct tg_chain *c)
{
	for (size_t i = 0; i < tg_certs_n(among); i++) {
		X509 *issuer = tg_certs_get(among, i);

		if (may_issue(issuer, s->at) && !has(c, issuer) && has_signed(s, issuer, cert))
			return issuer;
	}
	return NULL;
}

/* An anchor that is no root: who trusts its root only needs what lies between. */
static int lead_on(struct search *s, struct tg_chain *c, struct tg_fault *reterr)
{
	int r = 0;

	while (r == 0) {
		X509 *last = c->certs[c->n - 1];
		X509 *issuer = issuer_among(s, s->anchors, last, c);

		if (!issuer)
			issuer = issuer_among(s, s->pool, last, c);
		if (!issuer || tg_issuer_self(issuer))
			break;
		r = append(c, issuer, reterr);
	}
	return r;
}

/* Whether @cert ties the key of @root to another anchor. */
static bool is_tie(const struct search *s, X509 *cert, X509 *root)
{
	if (X509_NAME_cmp(X509_get_subject_name(cert), X509_get_subject_name(root)) != 0 ||
	    !tg_key_same(X509_get0_pubkey(cert), X509_get0_pubkey(root)) ||
	    !may_issue(cert, s->at) || tg_issuer_self(cert))
		return false;
	for (size_t i = 0; i < tg_certs_n(s->anchors); i++) {
		X509 *anchor = tg_certs_get(s->anchors, i);

		if (!tg_anchor_has_ended(anchor, s->at) && tg_issuer_self(anchor) &&
		    tg_issuer_signed(anchor, cert))
			return true;
	}
	return false;
}

/* Room is no reason to fail: the chain is good without it. */
static int append_tie(const struct search *s, struct tg_chain *c, X509 *root,
		      struct tg_fault *reterr)
{
	for (size_t i = 0; c->n < TG_CHAIN_CERTS && i < tg_certs_n(s->pool); i++) {
		X509 *cert = tg_certs_get(s->pool, i);

		if (!has(c, cert) && is_tie(s, cert, root))
			return append(c, cert, reterr);
	}
	return 0;
}

static int take_path(struct search *s, X509_STORE_CTX *ctx, struct tg_chain **ret,
		     struct tg_fault *reterr)
{
	STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(ctx);
	tg_cleanup(tg_chain_freep) struct tg_chain *c = calloc(1, sizeof(*c));
	int n = sk_X509_num(path), r = 0;
	X509 *top = sk_X509_value(path, n - 1);
	bool root = n > 1 && tg_issuer_self(top);

	if (!c)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	for (int i = 0; i < n - (root ? 1 : 0) && r == 0; i++)
		r = append(c, sk_X509_value(path, i), reterr);
	if (r == 0)
		r = root ? append_tie(s, c, top, reterr) : lead_on(s, c, reterr);
	ERR_clear_error();
	if (r < 0)
		return r;
	*ret = tg_take(c);
	return 0;
}

/* Looks for a path, and takes away what it ended at; the first reason is the one to tell. */
static int search(struct search *s, struct tg_chain **ret, struct tg_fault *reterr)
{
	tg_cleanup(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();

	if (!ctx)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	for (int i = 0; i < TRIES; i++) {
		bool found = false;
		int r = look(s, ctx, &found, i == 0 ? reterr : NULL), at;

		if (r < 0)
			return r;
		if (found)
			return take_path(s, ctx, ret, reterr);
		if (i == 0)
			(void) say_why(s, ctx, reterr);
		at = sk_X509_find(s->between, culprit(ctx));
		if (at < 0)
			break;
		(void) sk_X509_delete(s->between, at);
		X509_STORE_CTX_cleanup(ctx);
	}
	(void) tg_fault_prefix(reterr, "no path to a trust anchor");
	return -EKEYREJECTED;
}

int tg_chain_build(const struct tg_certs *issued, const struct tg_certs *pool,
		   const char *anchors_pem, size_t anchors_len, const EVP_PKEY *key, int64_t now_s,
		   struct tg_chain **ret, struct tg_fault *reterr)
{
	tg_cleanup(search_done) struct search s = { .issued = issued, .pool = pool, .at = now_s };
	int r = find_leaf(&s, key, reterr);

	if (r == 0)
		r = begin(&s, anchors_pem, anchors_len, reterr);
	return r < 0 ? r : search(&s, ret, reterr);
}
