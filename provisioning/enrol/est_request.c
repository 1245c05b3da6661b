/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrol/est.h"
#include "provisioning/failure.h"
#include "provisioning/names.h"
#include "provisioning/step_key.h"
#include "wallclock/look.h"
#include "x509/certs_only.h"
#include "x509/chain_build.h"
#include "x509/csr.h"

#include "base/clock.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

/*
 * The operations of EST, one HTTPS request each (RFC 7030 section 4, RFC 8951).
 *
 * What the server wants in the request is asked before one is made. A channel binding (section 3.5)
 * is of the connection that the request goes out on, so that the request is made when that stands:
 * over TLS 1.2, where tls-unique is defined, and only with a server that refuses 1.2 by the exporter
 * of 1.3 (RFC 9266).
 */

/* What a verified server proves of the time. */
static void learn_time(struct tg_enrolment *e, const struct tg_http *h,
		       const struct tg_http_answer *a)
{
	enum tg_clock_trust trust = tg_wallclock_judge(&e->clock, tg_wallclock_instant());
	int64_t begun = tg_http_peer_not_before(h), end = tg_http_peer_not_after(h);

	if (end)
		e->latest_s = end;
	if (begun)
		(void) tg_wallclock_raise(&e->clock, TG_FLOOR_PEER, begun, tg_clock_boot_us());
	/* A clock that is known to be right is not corrected by one that may be wrong, and none by
	 * one that says that the server's own certificate is over. */
	if (a->date && a->date < end && trust != TG_CLOCK_SYNCHRONISED)
		(void) tg_wallclock_raise(&e->clock, TG_FLOOR_HTTPS, a->date, tg_clock_boot_us());
}

static int connect_with(const struct tg_enrolment *e, struct tg_est *s, bool tls12_only,
			struct tg_fault *reterr)
{
	const struct tg_http_options o = {
		.url = e->config->enrolment.est.url,
		.anchors_pem = s->base_pem,
		.anchors_len = strlen(s->base_pem),
		.chain_pem = s->chain_pem,
		.chain_len = s->chain_pem ? strlen(s->chain_pem) : 0,
		.key = s->key,
		.username = s->password ? s->username : NULL,
		.password = s->password,
		.proxy = e->config->enrolment.est.proxy,
		.now_s = tg_enrolment_now_s(e),
		.future_s = tg_enrolment_skew_s(e),
		.tls12_only = tls12_only,
	};

	s->http = tg_http_free(s->http);
	return tg_http_new(&o, &s->http, reterr);
}

int tg_est_connect(struct tg_enrolment *e, struct tg_est *s, bool tls12_only,
		   struct tg_fault *reterr)
{
	int r = tg_est_credential_wake(e, s, reterr);

	return r < 0 ? r : connect_with(e, s, tls12_only, reterr);
}

/* An answer that is not the one we hoped for, with the server's words and what can be done. */
static int refused(struct tg_enrolment *e, enum tg_est_op op, enum tg_enrol_class class,
		   const struct tg_http_answer *a, struct tg_fault *reterr)
{
	const char *advice = tg_est_advice(op, a->status, *e->config->enrolment.est.password_file);
	int r = tg_failure_refused(e, class, a->status, "");
	char when[32];

	e->journal.retry_at =
		tg_est_retry_at(class, a->retry_after, a->date, tg_enrolment_now_s(e));
	if (class == TG_ENROL_PENDING)
		return tg_fault_set(reterr, r,
				    "%s: the server has the request, and somebody has yet to "
				    "approve it (to be "
				    "asked again at %s)%s%s",
				    tg_est_op_name(op),
				    tg_clock_iso(e->journal.retry_at * (int64_t) TG_US_PER_S, when),
				    *a->words ? ": " : "", a->words);
	return tg_fault_set(reterr, r, "%s: the server answered %d%s%s%s%s%s%s", tg_est_op_name(op),
			    a->status, *a->words ? ": " : "", a->words,
			    *a->location ? ", and names " : "", a->location, *advice ? "; " : "",
			    advice);
}

int tg_est_call(struct tg_enrolment *e, struct tg_http *h, enum tg_est_op op,
		struct tg_http_request *q, struct tg_http_answer *ret, struct tg_fault *reterr)
{
	struct tg_http_answer a = { 0 };
	enum tg_enrol_class class;
	char url[TG_EST_URL_MAX];
	int r = tg_est_url(e->config, op, url, sizeof(url));

	if (r < 0)
		return tg_fault_set(reterr, -EINVAL, "[enrolment.est] url and label are too long");
	q->url = url;
	r = tg_http_call(h, q, &a, reterr);
	q->url = NULL;
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "%s", tg_est_op_name(op));
		return r;
	}
	learn_time(e, h, &a);
	class = tg_est_classify(op, a.status);
	if (class != TG_ENROL_OK) {
		r = refused(e, op, class, &a, reterr);
		tg_http_answer_done(&a);
		return r;
	}
	*ret = a;
	return 0;
}

int tg_est_certificates(enum tg_est_op op, const struct tg_http_answer *a, struct tg_certs **ret,
			struct tg_fault *reterr)
{
	char type[64];
	int r;

	if (!tg_est_is_certificates(a->content_type))
		return tg_fault_set(
			reterr, -EPROTO,
			"%s: the answer is %s, not application/pkcs7-mime: is there "
			"an EST server at url?",
			tg_est_op_name(op),
			tg_printable(type, sizeof(type), a->content_type, strlen(a->content_type)));
	r = tg_certs_only_parse(a->body, a->len, ret, reterr);
	if (r < 0)
		(void) tg_fault_prefix(reterr, "%s: the answer", tg_est_op_name(op));
	return r;
}

int tg_est_prepare(struct tg_enrolment *e, struct tg_fault *reterr)
{
	tg_cleanup(tg_http_answer_done) struct tg_http_answer a = { 0 };
	struct tg_est *s = e->session;
	struct tg_http_request q = { .answer_max = TG_CSR_ATTRIBUTES_BYTES };
	int r = tg_est_call(e, s->http, TG_EST_OP_CSRATTRS, &q, &a, reterr);

	tg_est_credential_rest(e, s);
	e->wishes = (struct tg_csr_wishes){ 0 };
	if (r < 0 || tg_est_is_absent(TG_EST_OP_CSRATTRS, a.status))
		return r;
	r = tg_csr_attributes_parse(a.body, a.len, &e->wishes, reterr);
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "csrattrs");
		/* A key that we cannot have is the server's refusal of ours. */
		return r == -EOPNOTSUPP ? tg_failure_refused(e, TG_ENROL_REFUSED, 0, "") : r;
	}
	if (*e->wishes.ignored)
		tg_progress_note(e->progress, "the server also asks for what is left out: %s",
				 e->wishes.ignored);
	if (e->wishes.alternative_names && !e->like_pem && !e->config->enrolment.dns_names.n)
		tg_progress_note(e->progress, "the server asks for alternative names, and there "
					      "is no dns-name under [enrolment]");
	return 0;
}

/* --- the request ------------------------------------------------------------------------------ */

static enum tg_est_op operation(const struct tg_enrolment *e)
{
	return e->credential.which == TG_CREDENTIAL_CURRENT &&
			       e->config->enrolment.est.renew_by == TG_EST_SIMPLEREENROLL
		       ? TG_EST_OP_SIMPLEREENROLL
		       : TG_EST_OP_SIMPLEENROLL;
}

static struct tg_http_request post(void)
{
	return (struct tg_http_request){
		.post = true,
		.accept = "application/pkcs7-mime",
		.content_type = "application/pkcs10",
		.encoding = "base64",
	};
}

static int post_kept(struct tg_enrolment *e, struct tg_http_answer *ret, struct tg_fault *reterr)
{
	struct tg_est *s = e->session;
	struct tg_http_request q = post();
	tg_autofree char *body = NULL;
	int r = tg_csr_body(e->csr_pem, strlen(e->csr_pem), &body, reterr);

	if (r == 0 && !s->http)
		r = tg_est_connect(e, s, false, reterr);
	if (r < 0)
		return r;
	q.body = body;
	q.body_len = strlen(body);
	return tg_est_call(e, s->http, operation(e), &q, ret, reterr);
}

static int bound_names(struct tg_enrolment *e, struct tg_request_names *ret,
		       struct tg_fault *reterr)
{
	int r = tg_request_names_make(e->config, &e->names, ret, reterr);

	if (r == 0) {
		ret->csr.like_pem = e->like_pem;
		ret->csr.wishes = &e->wishes;
	}
	return r;
}

/* As tg_http_make_body. */
static int make_bound(void *user, const char *binding, char *out, size_t size,
		      struct tg_fault *reterr)
{
	struct tg_enrolment *e = user;
	tg_cleanup(tg_request_names_done) struct tg_request_names names = { 0 };
	tg_autofree char *pem = NULL, *body = NULL;
	EVP_PKEY *signer = NULL;
	int r = bound_names(e, &names, reterr);
	size_t len;

	if (r == 0)
		r = tg_step_key_signer(e, &signer, reterr);
	if (r < 0)
		return r;
	names.csr.challenge = binding;
	r = tg_csr_make_sized(signer, &names.csr, size, &pem, reterr);
	EVP_PKEY_free(signer);
	/* Chance, and no matter of the server's. */
	if (r == -EMSGSIZE)
		r = -EAGAIN;
	if (r == 0)
		r = tg_csr_body(pem, strlen(pem), &body, reterr);
	if (r < 0)
		return r;
	len = strlen(body);
	if (len > size)
		return tg_fault_set(reterr, -EMSGSIZE, "the request is longer than announced");
	memcpy(out, body, len);
	return (int) len;
}

static int post_bound(struct tg_enrolment *e, size_t binding_len, struct tg_http_answer *ret,
		      struct tg_fault *reterr)
{
	tg_cleanup(tg_request_names_done) struct tg_request_names names = { 0 };
	struct tg_est *s = e->session;
	struct tg_http_request q = post();
	int r = bound_names(e, &names, reterr);

	if (r == 0)
		r = tg_csr_body_size(e->key, &names.csr, binding_len, &q.body_len, reterr);
	if (r == 0)
		r = tg_est_connect(e, s, binding_len == TG_HTTP_BINDING_12, reterr);
	if (r < 0)
		return r;
	q.make_body = make_bound;
	q.user = e;
	return tg_est_call(e, s->http, operation(e), &q, ret, reterr);
}

static int ask(struct tg_enrolment *e, struct tg_http_answer *ret, struct tg_fault *reterr)
{
	int r;

	/* What was said of the time to ask again has been heeded. */
	e->retry_at = 0;
	if (!e->bound)
		return post_kept(e, ret, reterr);
	r = post_bound(e, TG_HTTP_BINDING_12, ret, reterr);
	/* Its TLS 1.2 is off, or of a kind that binds nothing. */
	if (r == -EPROTONOSUPPORT || r == -EOPNOTSUPP)
		r = post_bound(e, TG_HTTP_BINDING_13, ret, reterr);
	return r == -EOPNOTSUPP ? tg_failure_refused(e, TG_ENROL_REFUSED, 0, "") : r;
}

static int take_chain(struct tg_enrolment *e, const struct tg_http_answer *a,
		      struct tg_fault *reterr)
{
	const struct tg_est *s = e->session;
	tg_cleanup(tg_certs_freep) struct tg_certs *issued = NULL;
	tg_cleanup(tg_chain_freep) struct tg_chain *chain = NULL;
	int r = tg_est_certificates(operation(e), a, &issued, reterr);

	if (r < 0)
		return r;
	r = tg_chain_build(issued, s->pool, e->anchors_pem, strlen(e->anchors_pem), e->key,
			   tg_enrolment_now_s(e), &chain, reterr);
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "%s: the answer", tg_est_op_name(operation(e)));
		return r == -ENOENT || r == -EEXIST || r == -EKEYREJECTED ? -EPROTO : r;
	}
	free(e->chain_pem);
	e->chain_pem = tg_chain_to_pem(chain);
	return e->chain_pem ? 0 : tg_fault_set(reterr, -ENOMEM, "out of memory");
}

int tg_est_issue(struct tg_enrolment *e, struct tg_fault *reterr)
{
	tg_cleanup(tg_http_answer_done) struct tg_http_answer a = { 0 };
	int r = ask(e, &a, reterr);

	/* The next request is made when the server has been asked what it wants in one. */
	if (r == -EPERM)
		e->journal.step = TG_STEP_KEY;
	return r < 0 ? r : take_chain(e, &a, reterr);
}
