/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrol/est.h"
#include "provisioning/operator_file.h"
#include "wallclock/look.h"
#include "x509/anchors.h"
#include "x509/key.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

/*
 * Whom we trust. It begins with `ca`, and for a renewal with what the current generation has kept
 * beside that; with neither, the authorities that the server delivers over a connection that proves
 * nothing are searched for the one whose fingerprint the operator has given, and nothing else is
 * done on that connection (RFC 7030 section 4.1.1). From there on every connection is verified, and
 * what the server delivers over it is judged by tg_anchors_update().
 */

TG_DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

/* The operator's file is no bad answer, whatever is wrong with it. */
static int local(int r)
{
	return r == -EBADMSG || r == -EFBIG ? -EINVAL : r;
}

static int read_ca(const char *path, char **ret, size_t *ret_len, struct tg_fault *reterr)
{
	return local(
		tg_operator_file_read("ca", path, TG_ANCHORS_BYTES, ret, ret_len, reterr));
}

static bool digest_add(EVP_MD_CTX *md, const char *text, size_t len)
{
	/* With the NUL, which the text of a file has not: one cannot be taken for two. */
	return EVP_DigestUpdate(md, text, len) == 1 && EVP_DigestUpdate(md, "", 1) == 1;
}

int tg_est_trust_mark(const struct tg_enrolment *e, char out[static TG_TRUST_HEX],
		      struct tg_fault *reterr)
{
	const struct tg_pairs *pins = &e->config->enrolment.est.ca_fingerprints;
	tg_cleanup(EVP_MD_CTX_freep) EVP_MD_CTX *md = EVP_MD_CTX_new();
	tg_autofree char *ca = NULL;
	unsigned char sum[EVP_MAX_MD_SIZE];
	size_t len = 0;
	unsigned n = 0;
	const char *path = e->config->enrolment.est.ca;
	int r = *path ? read_ca(path, &ca, &len, reterr) : 0;
	bool ok;

	if (r < 0)
		return r;
	ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
	     digest_add(md, ca ? ca : "", len);
	for (size_t i = 0; ok && i < pins->n; i++)
		ok = digest_add(md, pins->items[i].value, strlen(pins->items[i].value));
	if (!ok || EVP_DigestFinal_ex(md, sum, &n) != 1 || 2 * n >= TG_TRUST_HEX)
		return tg_x509_fault(reterr, -EIO, "cannot compute a digest");
	for (unsigned i = 0; i < n; i++)
		(void) snprintf(out + (size_t) 2 * i, 3, "%02x", sum[i]);
	return 0;
}

int tg_est_ca_read(const char *path, struct tg_certs **ret, struct tg_fault *reterr)
{
	tg_autofree char *text = NULL;
	size_t len = 0;
	int r = read_ca(path, &text, &len, reterr);

	if (r < 0)
		return r;
	r = tg_certs_from_pem(text, len, TG_ANCHORS_MAX, ret, reterr);
	if (r == -EFBIG)
		(void) tg_fault_set(reterr, r,
				    "more than %d certificates: put the root of this server there, and no "
				    "others",
				    TG_ANCHORS_MAX);
	if (r < 0)
		(void) tg_fault_prefix(reterr, "ca %s", path);
	return local(r);
}

/* What came with the certificate that is to be renewed. It can be asked for again, so its damage is
 * no reason to stop. */
static int add_kept(struct tg_enrolment *e, struct tg_certs *base, struct tg_fault *reterr)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *kept = NULL;
	tg_autofree char *text = NULL;
	struct tg_fault fault;
	int r = tg_generation_text(e->state_dir, TG_SLOT_CURRENT, TG_FILE_ANCHORS, &text, &fault);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = tg_certs_from_pem(text, strlen(text), TG_ANCHORS_MAX, &kept, &fault);
	if (r < 0)
		tg_progress_note(e->progress, "what generation %u trusted is left out: %s", e->base,
				 fault.text);
	for (size_t i = 0; i < tg_certs_n(kept); i++) {
		r = tg_certs_add(base, tg_certs_get(kept, i), reterr);
		if (r < 0)
			return r == -EFBIG ? -EINVAL : r;
	}
	return 0;
}

/* What is trusted before the server is asked; "" when nothing is. */
static int read_base(struct tg_enrolment *e, char **ret, struct tg_fault *reterr)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *base = NULL;
	const char *ca = e->config->enrolment.est.ca;
	int r = *ca ? tg_est_ca_read(ca, &base, reterr) : 0;

	if (r == 0 && !base)
		base = tg_certs_new(TG_ANCHORS_MAX);
	if (r == 0 && base && e->order.kind == TG_ORDER_RENEW)
		r = add_kept(e, base, reterr);
	if (r < 0)
		return r;
	*ret = base ? tg_certs_to_pem(base) : NULL;
	return *ret ? 0 : tg_fault_set(reterr, -ENOMEM, "out of memory");
}

static int update(struct tg_enrolment *e, const struct tg_est *s, const struct tg_certs *delivered,
		  struct tg_anchors *ret, struct tg_fault *reterr)
{
	const struct tg_pairs *configured = &e->config->enrolment.est.ca_fingerprints;
	enum tg_clock_trust trust = tg_wallclock_judge(&e->clock, tg_wallclock_instant());
	const char *pins[TG_CONFIG_PAIRS];
	struct tg_anchors_base base = {
		.trusted_pem = *s->base_pem ? s->base_pem : NULL,
		.trusted_len = strlen(s->base_pem),
		.delivered = delivered,
		.pins = pins,
		.now_s = tg_enrolment_now_s(e),
		.clock_sure = trust == TG_CLOCK_SYNCHRONISED,
	};

	for (base.n_pins = 0; base.n_pins < configured->n && base.n_pins < TG_CONFIG_PAIRS;
	     base.n_pins++)
		pins[base.n_pins] = configured->items[base.n_pins].value;
	return tg_anchors_update(&base, ret, reterr);
}

/* Nothing but this one question goes over the connection, and what comes back counts only by its
 * fingerprint. */
static int search(struct tg_enrolment *e, struct tg_est *s, struct tg_fault *reterr)
{
	tg_cleanup(tg_http_freep) struct tg_http *h = NULL;
	tg_cleanup(tg_http_answer_done) struct tg_http_answer a = { 0 };
	tg_cleanup(tg_certs_freep) struct tg_certs *delivered = NULL;
	tg_cleanup(tg_anchors_done) struct tg_anchors anchors = TG_ANCHORS_NULL;
	const struct tg_http_options o = {
		.url = e->config->enrolment.est.url,
		.unverified = true,
		.proxy = e->config->enrolment.est.proxy,
		.now_s = tg_enrolment_now_s(e),
		.future_s = INT64_MAX,
	};
	struct tg_http_request q = { 0 };
	int r = tg_http_new(&o, &h, reterr);

	if (r == 0)
		r = tg_est_call(e, h, TG_EST_OP_CACERTS, &q, &a, reterr);
	if (r == 0 && tg_est_is_absent(TG_EST_OP_CACERTS, a.status))
		r = tg_fault_set(reterr, -EPERM,
				 "cacerts: the server delivers none (HTTP %d), so ca-fingerprint "
				 "finds nothing: give the CA as a file by ca",
				 a.status);
	if (r == 0)
		r = tg_est_certificates(TG_EST_OP_CACERTS, &a, &delivered, reterr);
	if (r == 0)
		r = update(e, s, delivered, &anchors, reterr);
	/* It is not whom the operator named: for a person to look at. */
	if (r == -ENOENT) {
		(void) tg_fault_prefix(reterr, "ca-fingerprint");
		r = -EPERM;
	}
	if (r < 0)
		return r;
	if (anchors.n_taken)
		tg_progress_note(e->progress, "found the CA by its fingerprint");
	free(s->base_pem);
	s->base_pem = tg_take(anchors.pem);
	return 0;
}

static int bootstrap(struct tg_enrolment *e, struct tg_est *s, struct tg_fault *reterr)
{
	int r = search(e, s, reterr);

	/* Anybody may have said so, and must not keep the gateway from asking again. */
	if (r < 0)
		e->journal.retry_at = 0;
	return r;
}

static void tell_notes(struct tg_enrolment *e, const struct tg_anchors *a)
{
	for (size_t i = 0; i < a->n_notes; i++)
		tg_progress_note(e->progress, "%s", a->notes[i].text);
}

/* What is to be trusted from now on, by what the server delivers over a verified connection. */
static int refresh(struct tg_enrolment *e, struct tg_est *s, struct tg_fault *reterr)
{
	tg_cleanup(tg_http_answer_done) struct tg_http_answer a = { 0 };
	tg_cleanup(tg_certs_freep) struct tg_certs *delivered = NULL;
	tg_cleanup(tg_anchors_done) struct tg_anchors anchors = TG_ANCHORS_NULL;
	struct tg_http_request q = { 0 };
	int r = tg_est_call(e, s->http, TG_EST_OP_CACERTS, &q, &a, reterr);

	if (r == 0 && tg_est_is_absent(TG_EST_OP_CACERTS, a.status))
		tg_progress_note(e->progress,
				 "the server delivers no CA certificates (HTTP %d); going by ca",
				 a.status);
	else if (r == 0)
		r = tg_est_certificates(TG_EST_OP_CACERTS, &a, &delivered, reterr);
	if (r == 0)
		r = update(e, s, delivered, &anchors, reterr);
	if (r < 0)
		return r;
	tell_notes(e, &anchors);
	free(e->anchors_pem);
	e->anchors_pem = tg_take(anchors.pem);
	s->pool = tg_take(anchors.pool);
	return 0;
}

int tg_est_trust_find(struct tg_enrolment *e, struct tg_est *s, struct tg_fault *reterr)
{
	bool pins = e->config->enrolment.est.ca_fingerprints.n > 0, first;
	struct tg_fault fault;
	int r = read_base(e, &s->base_pem, reterr);

	if (r < 0)
		return r;
	first = !*s->base_pem;
	if (first && !pins)
		return tg_fault_set(reterr, -EINVAL,
				    "[enrolment.est] neither ca nor ca-fingerprint says whom to "
				    "trust");
	if (first)
		r = bootstrap(e, s, reterr);
	if (r == 0)
		r = tg_est_connect(e, s, false, reterr);
	if (r == 0)
		r = refresh(e, s, reterr);
	if (r != -ECONNABORTED || first || !pins)
		return r;
	/* A server that has moved to another root, whose fingerprint the operator has given since. */
	if (bootstrap(e, s, &fault) < 0) {
		/* The first failure is the one that is told. */
		e->journal.error_status = 0;
		return r;
	}
	r = tg_est_connect(e, s, false, reterr);
	return r < 0 ? r : refresh(e, s, reterr);
}
