/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/chain.h"

#include "base/clock.h"
#include "x509/anchor_store.h"
#include "x509/chain_internal.h"
#include "x509/issuer.h"
#include "x509/key.h"
#include "x509/subject.h"
#include "x509/when.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <time.h>

#define SECURITY_LEVEL 2 /* at least 112 bits: RSA 2048, SHA-224 */
#define SECURITY_BITS  112

TG_DEFINE_CLEANUP(X509_NAME *, X509_NAME_free)
TG_DEFINE_CLEANUP(X509_STORE *, X509_STORE_free)
TG_DEFINE_CLEANUP(X509_STORE_CTX *, X509_STORE_CTX_free)
TG_DEFINE_CLEANUP(STACK_OF(X509) *, sk_X509_free)

/* A verdict is no -errno: the text goes to @reterr, the verdict is returned. */
#define VERDICT(reterr, verdict, ...)                                                              \
	({                                                                                         \
		(void) tg_fault_set(reterr, -EKEYREJECTED, __VA_ARGS__);                           \
		(int) (verdict);                                                                   \
	})

static int check_usage(X509 *leaf, struct tg_fault *reterr)
{
	uint32_t flags = X509_get_extension_flags(leaf);

	if (flags & EXFLAG_INVALID)
		return VERDICT(reterr, TG_CHAIN_USAGE, "its extensions cannot be read");
	if (flags & EXFLAG_CRITICAL)
		return VERDICT(reterr, TG_CHAIN_USAGE,
			       "it has a critical extension that is not known");
	/* The flag as well: OpenSSL's own answer is no when key usage forbids to sign, but others
	 * may not look there. */
	if ((flags & EXFLAG_CA) || X509_check_ca(leaf) != 0)
		return VERDICT(reterr, TG_CHAIN_CA,
			       "it is a certificate authority's, not a device's");
	/* Absent extensions answer UINT32_MAX: everything is allowed. */
	if (!(X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE))
		return VERDICT(reterr, TG_CHAIN_USAGE, "its key usage does not allow signatures");
	if (!(X509_get_extended_key_usage(leaf) & XKU_SSL_CLIENT))
		return VERDICT(reterr, TG_CHAIN_USAGE,
			       "its extended key usage does not allow TLS clients (clientAuth)");
	return TG_CHAIN_OK;
}

static int check_times(X509 *cert, const struct tg_chain_rules *rules, struct tg_fault *reterr)
{
	char from[32], until[32], now[32];
	int64_t not_before, not_after;

	if (tg_when(X509_get0_notBefore(cert), &not_before) < 0 ||
	    tg_when(X509_get0_notAfter(cert), &not_after) < 0)
		return VERDICT(reterr, TG_CHAIN_EXPIRED, "its validity cannot be read");
	tg_clock_iso(not_before * (int64_t) TG_US_PER_S, from);
	tg_clock_iso(not_after * (int64_t) TG_US_PER_S, until);
	tg_clock_iso(rules->now * (int64_t) TG_US_PER_S, now);
	if (not_after < not_before)
		return VERDICT(reterr, TG_CHAIN_EXPIRED, "it is never valid: from %s until %s",
			       from, until);
	if (not_after <= rules->now)
		return VERDICT(reterr, TG_CHAIN_EXPIRED, "it ended %s, and now it is %s", until,
			       now);
	if (not_before > rules->now && not_before - rules->now > rules->skew_s)
		return VERDICT(reterr, TG_CHAIN_NOT_YET_VALID, "it begins %s, and now it is %s",
			       from, now);
	return TG_CHAIN_OK;
}

/* Only of the leaf: what it needs is time to be proved, put to use and renewed. */
static int check_life(X509 *leaf, const struct tg_chain_rules *rules, struct tg_fault *reterr)
{
	int64_t not_before, not_after, begin, left;

	if (tg_when(X509_get0_notBefore(leaf), &not_before) < 0 ||
	    tg_when(X509_get0_notAfter(leaf), &not_after) < 0)
		return VERDICT(reterr, TG_CHAIN_EXPIRED, "its validity cannot be read");
	begin = not_before > rules->now ? not_before : rules->now;
	left = not_after - begin;
	if (left < rules->min_life_s)
		return VERDICT(reterr, TG_CHAIN_SHORT,
			       "%" PRId64 " s are left of its life, and with less than %" PRId64
			       " s it is of no use",
			       left, rules->min_life_s);
	return TG_CHAIN_OK;
}

static int check_like(X509 *leaf, X509 *like, struct tg_fault *reterr)
{
	char name[256];

	if (X509_NAME_cmp(X509_get_subject_name(like), X509_get_subject_name(leaf)) != 0)
		return VERDICT(reterr, TG_CHAIN_SUBJECT, "its subject is not that of before, '%s'",
			       tg_issuer_name(like, name, sizeof(name)));
	return TG_CHAIN_OK;
}

static int check_subject(const X509 *leaf, const char *asked, struct tg_fault *reterr)
{
	tg_cleanup(X509_NAME_freep) X509_NAME *name = NULL;
	int r = tg_subject_parse(asked, &name, reterr);

	if (r < 0)
		return r;
	if (X509_NAME_cmp(name, X509_get_subject_name(leaf)) != 0)
		return VERDICT(reterr, TG_CHAIN_SUBJECT, "its subject is not '%s'", asked);
	return TG_CHAIN_OK;
}

/* Digests, and the signatures along what came with the leaf. */
static int check_signatures(const struct tg_chain *c, struct tg_fault *reterr)
{
	for (size_t i = 0; i < c->n; i++) {
		int bits = 0;

		if (!X509_get_signature_info(c->certs[i], NULL, NULL, &bits, NULL) ||
		    bits < SECURITY_BITS) {
			ERR_clear_error();
			return VERDICT(reterr, TG_CHAIN_WEAK,
				       "certificate %zu is signed with a weak digest", i + 1);
		}
		if (i + 1 < c->n &&
		    X509_verify(c->certs[i], X509_get0_pubkey(c->certs[i + 1])) != 1) {
			ERR_clear_error();
			return VERDICT(reterr, TG_CHAIN_UNTRUSTED,
				       "the signature of certificate %zu is wrong", i + 1);
		}
	}
	return TG_CHAIN_OK;
}

static int load_anchors(const struct tg_chain_rules *rules, struct tg_certs **ret,
			struct tg_fault *reterr)
{
	int r;

	if (rules->anchors_len > TG_ANCHOR_BYTES)
		return tg_fault_set(reterr, -EBADMSG, "trust anchors longer than %u bytes",
				    TG_ANCHOR_BYTES);
	r = tg_certs_from_pem(rules->anchors_pem, rules->anchors_len, TG_ANCHOR_CERTS, ret, reterr);
	if (r < 0)
		(void) tg_fault_prefix(reterr, "trust anchors");
	return r == -EFBIG ? -EBADMSG : r;
}

/*
 * The time to judge the chain at: now, or as late as the latest of its beginnings when the clock
 * was allowed to be behind them.
 */
static int64_t judge_at(const struct tg_chain *c, const struct tg_chain_rules *rules)
{
	int64_t at = rules->now, begin;

	for (size_t i = 0; i < c->n; i++)
		if (tg_when(X509_get0_notBefore(c->certs[i]), &begin) == 0 && begin > at)
			at = begin;
	return at;
}

static int check_anchors(const struct tg_chain *c, const struct tg_chain_rules *rules,
			 struct tg_fault *reterr)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *anchors = NULL;
	tg_cleanup(X509_STORE_freep) X509_STORE *store = NULL;
	tg_cleanup(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	tg_cleanup(sk_X509_freep) STACK_OF(X509) *between = sk_X509_new_null();
	int64_t at = judge_at(c, rules);
	X509_VERIFY_PARAM *param;
	int r = load_anchors(rules, &anchors, reterr);

	if (r < 0)
		return r;
	for (size_t i = 1; i < c->n; i++)
		if (!between || !sk_X509_push(between, c->certs[i]))
			return tg_fault_set(reterr, -ENOMEM, "out of memory");
	if (!ctx || !between)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	r = tg_anchor_store_make(anchors, between, at, &store, reterr);
	if (r < 0)
		return r;
	if (!X509_STORE_CTX_init(ctx, store, c->certs[0], between))
		return tg_x509_fault(reterr, -ENOMEM, "cannot verify");
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_time(param, tg_clock_time_t(at));
	X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
	/* An anchor is what the operator says it is, also when it is an intermediate authority. */
	if (!X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN) ||
	    !X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT))
		return tg_x509_fault(reterr, -ENOMEM, "cannot verify");
	if (X509_verify_cert(ctx) == 1)
		return TG_CHAIN_OK;
	r = X509_STORE_CTX_get_error(ctx);
	ERR_clear_error();
	return VERDICT(reterr, TG_CHAIN_UNTRUSTED, "it does not lead to the configured anchor: %s",
		       X509_verify_cert_error_string(r));
}

int tg_chain_verify(const struct tg_chain *c, const struct tg_chain_rules *rules,
		    struct tg_fault *reterr)
{
	X509 *leaf = c->certs[0];
	int r;

	if (!tg_key_same(X509_get0_pubkey(leaf), rules->key))
		return VERDICT(reterr, TG_CHAIN_NOT_OURS, "it is of another key");
	r = check_usage(leaf, reterr);
	for (size_t i = 0; i < c->n && r == 0; i++) {
		r = check_times(c->certs[i], rules, reterr);
		if (r > 0 && i > 0)
			(void) tg_fault_prefix(reterr, "issuing certificate %zu", i);
	}
	if (r == 0)
		r = check_life(leaf, rules, reterr);
	if (r == 0 && rules->like)
		r = check_like(leaf, rules->like->certs[0], reterr);
	else if (r == 0 && rules->subject && rules->subject[0])
		r = check_subject(leaf, rules->subject, reterr);
	if (r == 0)
		r = check_signatures(c, reterr);
	if (r == 0 && rules->anchors_pem)
		r = check_anchors(c, rules, reterr);
	return r;
}
