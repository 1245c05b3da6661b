/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/identity.h"

#include "agent/status/member.h"
#include "base/clock.h"

#include <jansson.h>

#define DAY_S 86400

/* Of the generation that is told: @trial, it is the candidate. */
static const char *identity_state(const struct tg_picture *p, bool trial)
{
	if (trial)
		return "candidate on trial";
	if (p->keeper.has_current)
		return p->keeper.has_candidate ? "current, with a candidate on trial" : "current";
	return p->keeper.damaged ? "damaged" : "none";
}

json_t *tg_status_identity(const struct tg_picture *p)
{
	/* The one that the session uses, so that the document of a session on trial tells the new one. */
	bool trial = p->keeper.has_candidate &&
		     (!p->keeper.has_current || p->link.identity == TG_LINK_ON_CANDIDATE);
	const struct tg_manifest *m = trial ? &p->keeper.candidate : &p->keeper.current;
	int64_t left_s = m->not_after - p->time.believed_s;
	json_t *o = json_object();

	tg_member_put(o, "state", json_string(identity_state(p, trial)));
	if (!p->keeper.has_current && !p->keeper.has_candidate) {
		tg_member_put(o, "error", tg_member_text(p->identity_lost));
		return o;
	}
	tg_member_put(o, "generation", tg_member_number(m->number));
	tg_member_put(o, "method", tg_member_text(m->method));
	tg_member_put(o, "subject", tg_member_text(m->subject));
	tg_member_put(o, "issuer", tg_member_text(m->issuer));
	tg_member_put(o, "serial", tg_member_text(m->serial));
	tg_member_put(o, "fingerprint", tg_member_text(m->fingerprint));
	tg_member_put(o, "certificate_id", tg_member_text(m->certificate_id));
	tg_member_put(o, "thing", tg_member_text(m->thing));
	tg_member_put(o, "not_before", tg_member_date(m->not_before));
	tg_member_put(o, "not_after", tg_member_date(m->not_after));
	tg_member_put(o, "days_left", json_integer(left_s / DAY_S));
	tg_member_put(o, "seconds_left", json_integer(left_s));
	tg_member_put(o, "expired", json_boolean(left_s <= 0));
	tg_member_put(o, "standing", json_string(tg_link_standing_name(p->link.standing)));
	tg_member_put(o, "made", tg_member_date(m->made));
	return o;
}

json_t *tg_status_claim(const struct tg_picture *p)
{
	json_t *o = json_object();

	tg_member_put(o, "state", json_string(tg_claim_state_name(p->claim->state)));
	tg_member_put(o, "error", tg_member_text(p->claim->error));
	return o;
}

/* Of this start of the agent; the helper's journal outlives it, and has the service's own words. */
static json_t *last_error(const struct tg_picture *p)
{
	const struct tg_keeper_attempt *last = &p->keeper.last;
	const struct tg_journal *j = p->keeper.has_journal ? &p->keeper.journal : NULL;
	/* By hand there was no attempt of ours, but the broker's verdict on what came of it. */
	bool told = (last->number || last->rolled_back) && last->class != TG_ENROL_OK;
	json_t *o;

	if (!told && (!j || j->error_class == TG_ENROL_OK || (last->number && !last->running)))
		return json_null();
	/* That is told by itself, and is no error. */
	if ((told ? last->class : j->error_class) == TG_ENROL_PENDING)
		return json_null();
	o = json_object();
	tg_member_put(o, "class",
		      json_string(tg_enrol_class_name(told ? last->class : j->error_class)));
	if (told && last->rolled_back)
		tg_member_put(o, "step", json_string("trial"));
	else
		tg_member_put(o, "step",
			      json_string(tg_enrol_step_name(told ? last->step : j->error_step)));
	/* The journal is of the same failure, unless the helper did not get that far. */
	tg_member_put(o, "status",
		      j && j->error_status && !last->rolled_back ? json_integer(j->error_status)
								 : json_null());
	tg_member_put(o, "code",
		      j && !last->rolled_back ? tg_member_text(j->error_code) : json_null());
	tg_member_put(o, "text", tg_member_text(told ? last->text : j->error_text));
	return o;
}

static json_t *pending(const struct tg_keeper_status *k)
{
	json_t *o;

	if (!k->asked)
		return json_null();
	o = json_object();
	tg_member_put(o, "asked", tg_member_number(k->asked));
	tg_member_put(o, "text", tg_member_text(k->asked_text));
	return o;
}

json_t *tg_status_enrolment(const struct tg_picture *p)
{
	const struct tg_keeper_status *k = &p->keeper;
	bool tried = k->last.number != 0;
	json_t *o = json_object();

	tg_member_put(o, "state", json_string(tg_keeper_state_name(k->state)));
	tg_member_put(o, "kind",
		      tried ? json_string(tg_enrol_kind_name(k->last.kind)) : json_null());
	tg_member_put(o, "credential",
		      tried ? json_string(tg_enrol_credential_name(k->last.credential))
			    : json_null());
	tg_member_put(o, "own_client_id", json_boolean(tried && k->last.own_id));
	tg_member_put(o, "attempts", tg_member_number(k->attempts));
	tg_member_put(o, "failures", tg_member_number(k->failures));
	tg_member_put(o, "next_s",
		      k->next_us ? tg_member_number(k->next_us > p->now_us
							    ? (k->next_us - p->now_us) / TG_US_PER_S
							    : 0)
				 : json_null());
	tg_member_put(o, "next", tg_member_date(k->next_s));
	tg_member_put(o, "reason", tg_member_text(k->reason_text));
	tg_member_put(o, "by_hand", json_boolean(k->by_hand));
	tg_member_put(o, "pending", pending(k));
	tg_member_put(o, "step",
		      k->has_journal ? json_string(tg_enrol_step_name(k->journal.step))
				     : json_null());
	tg_member_put(o, "error", last_error(p));
	return o;
}

json_t *tg_status_rotation(const struct tg_picture *p)
{
	const struct tg_keeper_status *k = &p->keeper;
	json_t *o = json_object();

	tg_member_put(o, "current",
		      k->has_current ? tg_member_number(k->current.number) : json_null());
	tg_member_put(o, "candidate",
		      k->has_candidate ? tg_member_number(k->candidate.number) : json_null());
	tg_member_put(o, "probation", json_boolean(p->link.on_probation));
	tg_member_put(o, "promotions", tg_member_number(p->link.promotions));
	tg_member_put(o, "roll_backs", tg_member_number(p->link.roll_backs));
	tg_member_put(o, "rejected", tg_member_text(p->link.roll_back_reason));
	return o;
}
