/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "provisioning/check/advice.h"
#include "provisioning/check/check.h"
#include "provisioning/enrol/method.h"

#include <errno.h>
#include <string.h>

/* --- the identity ---------------------------------------------------------------------- */

/* How much of its life is over, in percent; 100 also behind its end. */
static unsigned age_percent(const struct tg_manifest *m, int64_t now_s)
{
	int64_t life = m->not_after - m->not_before, age = now_s - m->not_before;

	if (life <= 0 || age >= life)
		return 100;
	return age <= 0 ? 0 : (unsigned) (age / (life / 100 + 1));
}

static void tell_current(struct tg_check *c, const struct tg_manifest *m)
{
	unsigned age = age_percent(m, tg_enrolment_now_s(c->e));
	bool by_hand = c->e->config->enrolment.method == TG_ENROL_MANUAL;
	char day[TG_CHECK_DAY];

	tg_check_day(m->not_after, day);
	if (m->not_after <= tg_enrolment_now_s(c->e))
		tg_report(c->report, TG_FINDING_FAIL, "identity",
			  by_hand ? "have a new request signed: --csr"
				  : "see on-expiry of [rotation]: with claim the gateway "
				    "enrols again",
			  "generation %u, %s, ended %s", m->number, m->subject, day);
	else if (by_hand && age > c->e->config->rotation.renew_at)
		tg_report(c->report, TG_FINDING_WARN, "identity",
			  "have a new request signed: --csr",
			  "generation %u, %s, ends %s, and %u%% of its life are over", m->number,
			  m->subject, day, age);
	else
		tg_report(c->report, TG_FINDING_OK, "identity", "", "generation %u, %s, until %s",
			  m->number, m->subject, day);
}

void tg_check_identity(struct tg_check *c)
{
	struct tg_manifest m;
	struct tg_fault fault;
	int r = tg_generation_read(c->e->state_dir, TG_SLOT_CURRENT, &m, &fault);

	if (r == 0)
		tell_current(c, &m);
	else if (r == -ENOENT)
		tg_report(c->report, TG_FINDING_OK, "identity", "", "none yet");
	else
		tg_report(c->report, TG_FINDING_FAIL, "identity",
			  "start the service, which mends what can be mended, and look again", "%s",
			  fault.text);
	if (tg_generation_read(c->e->state_dir, TG_SLOT_CANDIDATE, &m, NULL) == 0)
		tg_report(c->report, TG_FINDING_OK, "candidate", "",
			  "generation %u, %s, waits for the broker's verdict", m.number, m.subject);
}

/* --- the last attempt ------------------------------------------------------------------ */

static void tell_failure(struct tg_check *c, const struct tg_journal *j)
{
	bool pending = j->error_class == TG_ENROL_PENDING;
	char when[32];

	tg_report(c->report, pending ? TG_FINDING_WARN : TG_FINDING_FAIL, "last-attempt",
		  tg_advice(c->e->config->enrolment.method, j), "%s at step %s (%s), %s: %s",
		  pending ? "waiting" : "failed", tg_enrol_step_name(j->error_step),
		  tg_enrol_class_name(j->error_class),
		  tg_clock_iso(j->updated * (int64_t) TG_US_PER_S, when), j->error_text);
}

/* What failed at another place says nothing of the one that is configured. */
static void tell_elsewhere(struct tg_check *c, const struct tg_journal *j, const char *when)
{
	tg_report(c->report, TG_FINDING_WARN, "last-attempt",
		  "the next one begins anew, with the key that is there",
		  "%s at step %s, %s, with another configuration (method = %s, %s)%s%s",
		  j->error_class == TG_ENROL_OK ? "cut" : "failed",
		  tg_enrol_step_name(j->error_class == TG_ENROL_OK ? j->step : j->error_step), when,
		  j->method, j->endpoint, *j->error_text ? ": " : "", j->error_text);
}

void tg_check_last(struct tg_check *c)
{
	struct tg_journal j;
	struct tg_fault fault;
	char when[32];
	int r = tg_journal_read(c->e->state_dir, &j, &fault);

	if (r == -ENOENT) {
		tg_report(c->report, TG_FINDING_OK, "last-attempt", "", "nothing is under way");
		return;
	}
	if (r < 0) {
		tg_report(c->report, TG_FINDING_WARN, "last-attempt",
			  "the next attempt begins anew, with the key that is there", "%s",
			  fault.text);
		return;
	}
	tg_clock_iso(j.updated * (int64_t) TG_US_PER_S, when);
	if (c->e->method && !tg_enrolment_same_place(c->e, &j))
		tell_elsewhere(c, &j, when);
	else if (j.error_class != TG_ENROL_OK)
		tell_failure(c, &j);
	else if (c->e->method && strcmp(j.method, "manual") == 0)
		tg_report(c->report, TG_FINDING_WARN, "last-attempt",
			  "have it signed, and bring the result with --install",
			  "a request waits since %s", when);
	else
		tg_report(c->report, TG_FINDING_OK, "last-attempt", "",
			  "under way or cut, at step %s since %s", tg_enrol_step_name(j.step),
			  when);
	explicit_bzero(j.token, sizeof(j.token));
}
