/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/verdict.h"

#include "provisioning/enrol/method.h"
#include "provisioning/names.h"
#include "x509/chain.h"

#include <errno.h>
#include <string.h>

/*
 * What ends sooner would end on trial: the broker may accept it yet, and the one that works would be
 * given up for it. Not more, as certificates of two minutes are renewed in time.
 */
#define MIN_LIFE_S 10

/* What a person can have changed, where the words of the verdict do not say it. */
static const char *advice_on(enum tg_chain_verdict verdict)
{
	switch (verdict) {
	case TG_CHAIN_EXPIRED:
	case TG_CHAIN_NOT_YET_VALID:
		return "; have another made, if the clocks of gateway and authority are right";
	case TG_CHAIN_SHORT:
		return "; have one made that lives longer";
	case TG_CHAIN_CA:
		return "; have one made with CA:FALSE";
	case TG_CHAIN_USAGE:
		return "; have one made with keyUsage digitalSignature and extendedKeyUsage clientAuth";
	case TG_CHAIN_SUBJECT:
		return "; the authority has to keep the request's, or subject of [enrolment] has to be what "
		       "it makes";
	case TG_CHAIN_WEAK:
		return "; have it signed with SHA-256";
	case TG_CHAIN_OK:
	case TG_CHAIN_NOT_OURS:
	case TG_CHAIN_UNTRUSTED:
		break;
	}
	return "";
}

static int refuse(const struct tg_chain *chain, enum tg_chain_verdict verdict,
		  const struct tg_fault *why, struct tg_fault *reterr)
{
	struct tg_chain_info info = { .subject = "" };
	bool other = verdict == TG_CHAIN_SUBJECT && tg_chain_info(chain, &info, NULL) == 0;

	return tg_fault_set(reterr, -EPROTO, "%s%s%s%s%s", why->text, other ? ", but '" : "",
			    info.subject, other ? "'" : "", advice_on(verdict));
}

/*
 * How far ahead it may begin. What begins when its own service is over is of a clock that is
 * wrong, and by the first certificate of a gateway that gateway then goes.
 */
static int64_t skew_s(const struct tg_enrolment *e)
{
	int64_t skew = tg_enrolment_skew_s(e), ahead = e->latest_s - tg_enrolment_now_s(e);

	if (ahead < TG_CHAIN_SKEW_S)
		ahead = TG_CHAIN_SKEW_S;
	return e->latest_s && ahead < skew ? ahead : skew;
}

static int judge(const struct tg_enrolment *e, const struct tg_chain *chain, const char *subject,
		 const struct tg_chain *like, struct tg_fault *reterr)
{
	const char *anchors = e->anchors_pem;
	const struct tg_chain_rules rules = {
		.key = e->key,
		.anchors_pem = anchors,
		.anchors_len = anchors ? strlen(anchors) : 0,
		.subject = subject,
		.like = like,
		.now = tg_enrolment_now_s(e),
		.skew_s = skew_s(e),
		.min_life_s = MIN_LIFE_S,
	};
	struct tg_fault why = { .text = "" };
	int r = tg_chain_verify(chain, &rules, &why);

	if (r < 0 && reterr)
		*reterr = why;
	/* Its verdicts differ in their words; to the sequence of steps they are one refusal. */
	return r > 0 ? refuse(chain, (enum tg_chain_verdict) r, &why, reterr) : r;
}

/* The names that were asked for: of the configuration, or those that the current certificate has. */
static int judge_names(const struct tg_enrolment *e, const struct tg_chain *chain,
		       struct tg_fault *reterr)
{
	tg_cleanup(tg_request_names_done) struct tg_request_names names = { 0 };
	tg_cleanup(tg_chain_freep) struct tg_chain *like = NULL;
	bool asked = e->method->own_subject && !e->method->own_subject(e->config);
	int r = 0;

	if (asked && e->like_pem)
		r = tg_chain_parse(e->like_pem, strlen(e->like_pem), &like, reterr);
	else if (asked)
		r = tg_request_names_make(e->config, &e->names, &names, reterr);
	return r < 0 ? r : judge(e, chain, names.subject, like, reterr);
}

static void fill(const struct tg_enrolment *e, const struct tg_chain_info *info,
		 struct tg_manifest *m)
{
	*m = (struct tg_manifest){
		.not_before = info->not_before,
		.not_after = info->not_after,
		.made = tg_enrolment_now_s(e),
		.parent = e->config->tpm.parent,
	};
	(void) snprintf(m->method, sizeof(m->method), "%s", e->method->name);
	(void) snprintf(m->subject, sizeof(m->subject), "%s", info->subject);
	(void) snprintf(m->issuer, sizeof(m->issuer), "%s", info->issuer);
	(void) snprintf(m->serial, sizeof(m->serial), "%s", info->serial);
	(void) snprintf(m->fingerprint, sizeof(m->fingerprint), "%s", info->fingerprint);
	(void) snprintf(m->tpm, sizeof(m->tpm), "%s", e->names.tpm);
	(void) snprintf(m->thing, sizeof(m->thing), "%s", e->journal.thing);
	(void) snprintf(m->certificate_id, sizeof(m->certificate_id), "%s",
			e->journal.certificate_id);
}

int tg_verdict(struct tg_enrolment *e, struct tg_manifest *ret, struct tg_fault *reterr)
{
	tg_cleanup(tg_chain_freep) struct tg_chain *chain = NULL;
	struct tg_chain_info info;
	char *ordered;
	int r = tg_chain_parse(e->chain_pem, strlen(e->chain_pem), &chain, reterr);

	if (r == 0)
		r = tg_chain_order(chain, e->key, reterr);
	if (r == -ENOENT || r == -EEXIST)
		r = -EPROTO;
	if (r == 0)
		r = tg_chain_info(chain, &info, reterr);
	if (r == 0 && strcmp(info.fingerprint, e->base_fingerprint) == 0)
		r = tg_fault_set(reterr, -EPROTO, "it is the one that is to be renewed");
	if (r == 0)
		r = judge_names(e, chain, reterr);
	if (r < 0)
		(void) tg_fault_prefix(reterr, "the certificate is refused");
	if (r < 0)
		return r;
	ordered = tg_chain_to_pem(chain);
	if (!ordered)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	free(e->chain_pem);
	e->chain_pem = ordered;
	fill(e, &info, ret);
	return 0;
}
