/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/anchors.h"

#include "base/clock.h"
#include "x509/anchor_store.h"
#include "x509/issuer.h"
#include "x509/key.h"
#include "x509/when.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <string.h>

#define SECURITY_BITS 112
#define SKEW_S        86400 /* how far in the future something may begin by a clock that is right */
#define REASON        160   /* of one thing, with the NUL */

/* What an update works on. */
struct round {
	const struct tg_anchors_base *base;
	struct tg_certs *trusted; /* owned: what is trusted, and roots that were taken */
	struct tg_anchors *out;
	/* Owned, for each one delivered: whether it has signed itself. Asked once, as the keys are the
	 * server's choice, and some take a hundred times as long as others. */
	bool *self;
};

static TG_PRINTF(3, 4) void note(struct tg_anchors *a, enum tg_anchors_news news, const char *fmt, ...)
{
	va_list args;

	a->n_taken += news == TG_ANCHORS_TAKEN;
	a->n_refused += news == TG_ANCHORS_REFUSED;
	a->n_ended += news == TG_ANCHORS_ENDED;
	if (a->n_notes == TG_ANCHORS_NOTES)
		return;
	a->notes[a->n_notes].news = news;
	va_start(args, fmt);
	(void) vsnprintf(a->notes[a->n_notes].text, sizeof(a->notes[0].text), fmt, args);
	va_end(args);
	a->n_notes++;
}

static void fingerprint(const X509 *cert, char out[static TG_FINGERPRINT])
{
	uint8_t sha[TG_CERT_SHA256];

	out[0] = '\0';
	if (tg_cert_sha256(cert, sha) < 0)
		return;
	for (size_t i = 0; i < sizeof(sha); i++)
		(void) snprintf(out + 2 * i, 3, "%02x", sha[i]);
}

/* "root 'CN=...' sha256:..." */
#define LABEL 256
static const char *label(X509 *cert, char out[static LABEL])
{
	char name[160], print[TG_FINGERPRINT];

	fingerprint(cert, print);
	(void) snprintf(out, LABEL, "root '%s' sha256:%s", tg_issuer_name(cert, name, sizeof(name)),
			print);
	return out;
}

static bool is_pinned(const struct round *r, const X509 *cert)
{
	char print[TG_FINGERPRINT];

	fingerprint(cert, print);
	for (size_t i = 0; i < r->base->n_pins && print[0]; i++)
		if (strcmp(print, r->base->pins[i]) == 0)
			return true;
	return false;
}

static bool has_ended(const struct round *r, const X509 *cert)
{
	return tg_anchor_has_ended(cert, r->base->now_s);
}

/* --- what a root must be ---------------------------------------------------------------------- */

/* Whether @cert can be trusted at all, or why not. */
static bool is_fit(const struct round *r, X509 *cert, char why[static REASON])
{
	uint32_t flags = X509_get_extension_flags(cert);
	int64_t begin = 0;
	int ca = X509_check_ca(cert); /* 3: a root of the time before extensions */
	char when[32];

	why[0] = '\0';
	if (flags & (EXFLAG_INVALID | EXFLAG_CRITICAL))
		(void) snprintf(why, REASON, "it has extensions that cannot be read");
	else if ((ca != 1 && ca != 3) || !(X509_get_key_usage(cert) & KU_KEY_CERT_SIGN))
		(void) snprintf(why, REASON,
				"it may not issue certificates (CA:TRUE, keyCertSign)");
	else if (EVP_PKEY_get_security_bits(X509_get0_pubkey(cert)) < SECURITY_BITS)
		(void) snprintf(why, REASON, "its key is weak");
	else if (tg_when(X509_get0_notBefore(cert), &begin) < 0 || has_ended(r, cert))
		(void) snprintf(why, REASON, "it is over");
	else if (r->base->clock_sure && begin > r->base->now_s && begin - r->base->now_s > SKEW_S) {
		tg_clock_iso(begin * (int64_t) TG_US_PER_S, when);
		(void) snprintf(why, REASON, "it begins %s only", when);
	}
	ERR_clear_error();
	return why[0] == '\0';
}

/* --- who vouches for it ----------------------------------------------------------------------- */

static bool same_extension(const X509 *a, const X509 *b, int nid)
{
	int in_a = X509_get_ext_by_NID(a, nid, -1), in_b = X509_get_ext_by_NID(b, nid, -1);

	return in_a < 0 ||
	       (in_b >= 0 && ASN1_STRING_cmp(X509_EXTENSION_get_data(X509_get_ext(a, in_a)),
					     X509_EXTENSION_get_data(X509_get_ext(b, in_b))) == 0);
}

/* Whether @root is held to all that @limited is held to: else trusting it would be trusting it with more. */
static bool keeps_limits(X509 *limited, X509 *root, long allowance)
{
	long of_root = X509_get_pathlen(root);

	return same_extension(limited, root, NID_name_constraints) &&
	       same_extension(limited, root, NID_ext_key_usage) &&
	       (allowance < 0 || (of_root >= 0 && of_root <= allowance));
}

static bool same_name(const X509 *a, const X509 *b)
{
	return X509_NAME_cmp(X509_get_subject_name(a), X509_get_subject_name(b)) == 0;
}

/* Whether @cross, which @voucher has signed, is a word for @root; @why is filled when it is not. */
static bool is_word(const struct round *r, X509 *cross, X509 *voucher, X509 *root,
		    char why[static REASON])
{
	char reason[REASON];
	int bits = 0;

	/* Not by X509_verify_cert(), which takes one without key identifiers for a root. */
	if (!is_fit(r, cross, why))
		return false;
	if (!X509_get_signature_info(cross, NULL, NULL, &bits, NULL) || bits < SECURITY_BITS)
		(void) snprintf(why, REASON, "it is signed with a weak digest");
	else if (!is_fit(r, voucher, reason))
		(void) snprintf(why, REASON, "of the one that signed it: %.100s", reason);
	else if (X509_get_pathlen(voucher) == 0 && !same_name(voucher, cross))
		(void) snprintf(why, REASON,
				"the one that signed it may not have authorities below it");
	else if (!keeps_limits(cross, root, X509_get_pathlen(cross)) ||
		 !keeps_limits(voucher, root, -1))
		(void) snprintf(why, REASON,
				"it is limited (names, usage or path length) in what the root is "
				"not");
	/* Its key can sign a root of its own name, too, and that one would have no end but its own. */
	else if (X509_get_pathlen(cross) == 0 && !same_name(voucher, cross))
		(void) snprintf(why, REASON,
				"it is an issuing authority's (path length 0), not another root's");
	return why[0] == '\0';
}

static bool is_of_root(X509 *cert, X509 *root)
{
	return same_name(cert, root) &&
	       tg_key_same(X509_get0_pubkey(cert), X509_get0_pubkey(root));
}

/* Who among the trusted stands by what @cross says of @root: borrowed, or NULL and why not, if there is more to say than that. */
static X509 *voucher_of(const struct round *r, X509 *cross, X509 *root, char why[static REASON])
{
	for (size_t i = 0; i < tg_certs_n(r->trusted); i++) {
		X509 *anchor = tg_certs_get(r->trusted, i);

		if (!tg_issuer_signed(anchor, cross))
			continue;
		if (!tg_issuer_self(anchor))
			(void) snprintf(why, REASON, "it is signed by an anchor that is no root");
		else if (is_word(r, cross, anchor, root, why))
			return anchor;
	}
	return NULL;
}

/* The same root with a new validity: what it signed itself is signed by the trusted key. */
static X509 *older_self(const struct round *r, X509 *root, char why[static REASON])
{
	for (size_t i = 0; i < tg_certs_n(r->trusted); i++) {
		X509 *anchor = tg_certs_get(r->trusted, i);

		if (!is_of_root(anchor, root) || !tg_issuer_self(anchor))
			continue;
		if (has_ended(r, anchor))
			(void) snprintf(why, REASON,
					"the certificate of its key that is trusted is over");
		else if (!keeps_limits(anchor, root, X509_get_pathlen(anchor)))
			(void) snprintf(why, REASON,
					"the certificate of its key that is trusted is more "
					"limited");
		else
			return anchor;
	}
	return NULL;
}

/* Who vouches for @root: borrowed, or NULL and why the word that there is does not count. */
static X509 *find_voucher(const struct round *r, X509 *root, char why[static REASON])
{
	X509 *voucher = older_self(r, root, why);
	size_t n = tg_certs_n(r->base->delivered);

	for (size_t i = 0; i < n && !voucher; i++) {
		X509 *cross = tg_certs_get(r->base->delivered, i);
		char reason[REASON] = "it is signed by nobody who is trusted";

		if (r->self[i] || !is_of_root(cross, root))
			continue;
		voucher = voucher_of(r, cross, root, reason);
		if (!voucher)
			(void) snprintf(why, REASON, "NewWithOld does not count: %.120s", reason);
	}
	return voucher;
}

/* --- the update ------------------------------------------------------------------------------- */

static bool is_trusted(const struct round *r, const X509 *cert)
{
	uint8_t sha[TG_CERT_SHA256];

	return tg_cert_sha256(cert, sha) == 0 && tg_certs_find(r->trusted, sha);
}

static int take(struct round *r, X509 *root, struct tg_fault *reterr)
{
	int e = tg_certs_add(r->trusted, root, reterr);

	if (e == -EFBIG)
		return tg_fault_set(reterr, e, "more than %d trust anchors", TG_ANCHORS_MAX);
	return e;
}

/* 1 when @root was taken, 0 when not, or -errno. */
static int consider(struct round *r, X509 *root, struct tg_fault *reterr)
{
	char who[LABEL], why[REASON], by[160];
	X509 *voucher;
	int e;

	if (is_trusted(r, root) || !is_fit(r, root, why))
		return 0;
	if (is_pinned(r, root)) {
		e = take(r, root, reterr);
		if (e == 0)
			note(r->out, TG_ANCHORS_TAKEN,
			     "%s is trusted: its fingerprint is configured", label(root, who));
		return e < 0 ? e : 1;
	}
	voucher = find_voucher(r, root, why);
	if (!voucher)
		return 0;
	e = take(r, root, reterr);
	if (e == 0)
		note(r->out, TG_ANCHORS_TAKEN, "%s is trusted: '%.100s' vouches for it",
		     label(root, who), tg_issuer_name(voucher, by, sizeof(by)));
	return e < 0 ? e : 1;
}

static int take_roots(struct round *r, struct tg_fault *reterr)
{
	const struct tg_certs *delivered = r->base->delivered;
	int taken = 1;

	/* Until nobody new is vouched for: one that was taken may vouch for the next. */
	while (taken > 0) {
		taken = 0;
		for (size_t i = 0; i < tg_certs_n(delivered); i++) {
			X509 *cert = tg_certs_get(delivered, i);
			int e = r->self[i] ? consider(r, cert, reterr) : 0;

			if (e < 0)
				return e;
			taken |= e;
		}
	}
	return 0;
}

static void tell_refused(struct round *r, X509 *cert, bool self)
{
	char who[LABEL], why[REASON] = "";

	if (!self) {
		if (is_pinned(r, cert))
			note(r->out, TG_ANCHORS_REFUSED,
			     "'%s' has a configured fingerprint, but is no root (not signed by "
			     "itself)",
			     tg_issuer_name(cert, who, sizeof(who)));
		return;
	}
	(void) label(cert, who);
	if (!is_fit(r, cert, why)) {
		note(r->out, TG_ANCHORS_REFUSED, "%s is not trusted: %s", who, why);
		return;
	}
	(void) find_voucher(r, cert, why);
	if (why[0])
		note(r->out, TG_ANCHORS_REFUSED,
		     "%s is not trusted: %s; add it to ca or ca-fingerprint if it is yours", who,
		     why);
	else
		note(r->out, TG_ANCHORS_REFUSED,
		     "%s is vouched for by nobody; add it to ca or ca-fingerprint if it is yours",
		     who);
}

/* What was delivered and is no anchor: authorities go to the pool, other roots are told of. */
static int sort_rest(struct round *r, struct tg_fault *reterr)
{
	const struct tg_certs *delivered = r->base->delivered;

	for (size_t i = 0; i < tg_certs_n(delivered); i++) {
		X509 *cert = tg_certs_get(delivered, i);
		int e;

		if (is_trusted(r, cert))
			continue;
		tell_refused(r, cert, r->self[i]);
		if (r->self[i] || X509_check_ca(cert) <= 0)
			continue;
		e = tg_certs_add(r->out->pool, cert, reterr);
		if (e < 0)
			return e;
	}
	return 0;
}

/* The one that ends last, if all have ended: something must be there to be told of. */
static X509 *last_to_end(const struct round *r)
{
	X509 *last = NULL;

	for (size_t i = 0; i < tg_certs_n(r->trusted); i++) {
		X509 *cert = tg_certs_get(r->trusted, i);

		if (!has_ended(r, cert))
			return NULL;
		if (!last ||
		    ASN1_TIME_compare(X509_get0_notAfter(cert), X509_get0_notAfter(last)) > 0)
			last = cert;
	}
	return last;
}

/* What stays, as text. */
static int print(struct round *r, struct tg_fault *reterr)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *kept = tg_certs_new(TG_ANCHORS_MAX);
	X509 *last = last_to_end(r);
	char who[LABEL];
	int e = kept ? 0 : tg_fault_set(reterr, -ENOMEM, "out of memory");

	for (size_t i = 0; i < tg_certs_n(r->trusted) && e == 0; i++) {
		X509 *cert = tg_certs_get(r->trusted, i);

		if (r->base->clock_sure && has_ended(r, cert) && cert != last)
			note(r->out, TG_ANCHORS_ENDED, "%s is trusted no more: it is over",
			     label(cert, who));
		else
			e = tg_certs_add(kept, cert, reterr);
	}
	if (e < 0)
		return e;
	r->out->n = tg_certs_n(kept);
	r->out->pem = tg_certs_to_pem(kept);
	if (!r->out->pem)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	if (strlen(r->out->pem) > TG_ANCHORS_BYTES)
		return tg_fault_set(reterr, -EFBIG,
				    "trust anchors longer than %u bytes: name the authority's own "
				    "ones in ca, not a list of all",
				    TG_ANCHORS_BYTES);
	return 0;
}

static int begin(struct round *r, struct tg_fault *reterr)
{
	const struct tg_anchors_base *b = r->base;
	int e;

	r->out->pool = tg_certs_new(TG_CERTS_MAX);
	r->trusted = b->trusted_pem ? NULL : tg_certs_new(TG_ANCHORS_MAX);
	r->self = calloc(tg_certs_n(b->delivered) + 1, sizeof(*r->self));
	if (!r->out->pool || (!b->trusted_pem && !r->trusted) || !r->self)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	for (size_t i = 0; i < tg_certs_n(b->delivered); i++)
		r->self[i] = tg_issuer_self(tg_certs_get(b->delivered, i));
	if (!b->trusted_pem)
		return 0;
	e = tg_certs_from_pem(b->trusted_pem, b->trusted_len, TG_ANCHORS_MAX, &r->trusted, reterr);
	if (e < 0)
		(void) tg_fault_prefix(reterr, "trust anchors");
	return e;
}

/* Nothing is trusted: what has a configured fingerprint and is of no use, or what else there was. */
static int tell_none(const struct round *r, struct tg_fault *reterr)
{
	const struct tg_certs *delivered = r->base->delivered;
	char roots[TG_FAULT_MAX] = "", who[LABEL], why[REASON];
	size_t len = 0;

	for (size_t i = 0; i < tg_certs_n(delivered); i++) {
		X509 *cert = tg_certs_get(delivered, i);
		bool self = r->self[i];

		(void) label(cert, who);
		if (is_pinned(r, cert))
			return tg_fault_set(reterr, -ENOENT,
					    "%s has a configured fingerprint, but %s", who,
					    self && !is_fit(r, cert, why) ? why : "is no root");
		if (self && len < sizeof(roots))
			len += (size_t) snprintf(roots + len, sizeof(roots) - len, "%s%s",
						 len ? "; " : ": ", who);
	}
	return tg_fault_set(reterr, -ENOENT,
			    "none of the %zu certificates that were delivered has a configured "
			    "fingerprint%s",
			    tg_certs_n(delivered), roots);
}

static int update(struct round *r, struct tg_fault *reterr)
{
	int e = begin(r, reterr);

	if (e == 0)
		e = take_roots(r, reterr);
	if (e == 0)
		e = sort_rest(r, reterr);
	if (e < 0)
		return e;
	return tg_certs_n(r->trusted) == 0 ? tell_none(r, reterr) : print(r, reterr);
}

int tg_anchors_update(const struct tg_anchors_base *base, struct tg_anchors *ret,
		      struct tg_fault *reterr)
{
	tg_cleanup(tg_anchors_done) struct tg_anchors out = TG_ANCHORS_NULL;
	struct round r = { .base = base, .out = &out };
	int e = update(&r, reterr);

	r.trusted = tg_certs_free(r.trusted);
	free(r.self);
	ERR_clear_error();
	if (e < 0)
		return e;
	*ret = out;
	out = (struct tg_anchors) TG_ANCHORS_NULL;
	return 0;
}

void tg_anchors_done(struct tg_anchors *a)
{
	free(tg_take(a->pem));
	a->pool = tg_certs_free(a->pool);
}

/* --- what is shown ------------------------------------------------------------------------------ */

static int fill(X509 *cert, struct tg_anchor_info *out, struct tg_fault *reterr)
{
	*out = (struct tg_anchor_info){ .root = tg_issuer_self(cert) };
	(void) tg_issuer_name(cert, out->subject, sizeof(out->subject));
	fingerprint(cert, out->fingerprint);
	if (tg_when(X509_get0_notBefore(cert), &out->not_before) < 0 ||
	    tg_when(X509_get0_notAfter(cert), &out->not_after) < 0)
		return tg_fault_set(reterr, -EBADMSG, "the validity of '%s' cannot be read",
				    out->subject);
	return 0;
}

int tg_anchors_list(const char *pem, size_t len, struct tg_anchor_info *out, size_t max,
		    size_t *ret_n, struct tg_fault *reterr)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *certs = NULL;
	int r = tg_certs_from_pem(pem, len, TG_ANCHORS_MAX, &certs, reterr);

	for (size_t i = 0; r == 0 && i < tg_certs_n(certs) && i < max; i++)
		r = fill(tg_certs_get(certs, i), &out[i], reterr);
	if (r < 0)
		return r;
	*ret_n = tg_certs_n(certs);
	return 0;
}
