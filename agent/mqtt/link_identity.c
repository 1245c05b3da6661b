/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/link_internal.h"

#include "agent/mqtt/certificate_event.h"

#include <tidegate/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * The link's identities: what the disk has of them, and the carrying out of what
 * trial.c decides about them.
 */
#define OWED_US (60 * TG_US_PER_S) /* until the disk is asked again to take a verdict */

/* A clock that is wrong must not make history. */
static int64_t now_s(const struct tg_link *l)
{
	return l->o.believed_s(l->o.clock_user);
}

static enum tg_slot slot_of(enum tg_link_identity identity)
{
	switch (identity) {
	case TG_LINK_ON_CANDIDATE:
		return TG_SLOT_CANDIDATE;
	case TG_LINK_ON_PREVIOUS:
		return TG_SLOT_PREVIOUS;
	case TG_LINK_ON_CURRENT:
	case TG_LINK_NO_IDENTITY:
		break;
	}
	return TG_SLOT_CURRENT;
}

static bool read_slot(const struct tg_link *l, enum tg_slot slot, struct tg_manifest *m)
{
	return tg_generation_read(l->o.state_dir, slot, m, NULL) == 0;
}

void tg_link_look(struct tg_link *l)
{
	struct tg_trial_slots s = { 0 };
	struct tg_manifest m;

	l->looked_us = tg_clock_boot_us();
	l->life_s = 0;
	if (read_slot(l, TG_SLOT_CURRENT, &m)) {
		s.current = m.number;
		l->life_s = m.not_after > m.not_before ? m.not_after - m.not_before : 0;
	}
	if (read_slot(l, TG_SLOT_CANDIDATE, &m) && m.number != s.current)
		s.candidate = m.number;
	if (s.current && tg_generation_on_probation(l->o.state_dir, NULL) > 0 &&
	    read_slot(l, TG_SLOT_PREVIOUS, &m))
		s.previous = m.number;
	l->report.on_probation = s.previous != 0;
	/* Once the cloud may have heard that the old one goes, there is no way back to it. */
	if (l->committed == s.current)
		s.previous = 0;
	tg_trial_look(&l->trial, &s);
	l->report.standing = l->trial.standing;
}

bool tg_link_paused(struct tg_link *l, uint64_t now)
{
	uint64_t at;

	/* A notice of a new identity can be lost. */
	if (now >= tg_us_add(l->looked_us, TG_LINK_LOOK_US))
		tg_link_look(l);
	return tg_trial_pick(&l->trial, now, &at) == TG_LINK_NO_IDENTITY && at != TG_US_FOREVER;
}

uint64_t tg_link_paused_until(const struct tg_link *l)
{
	uint64_t now = tg_clock_boot_us(), at;

	if (tg_trial_pick(&l->trial, now, &at) != TG_LINK_NO_IDENTITY || at == TG_US_FOREVER)
		return l->due_us;
	return at > l->due_us ? at : l->due_us;
}

bool tg_link_is_outdated(const struct tg_link *l, uint64_t now)
{
	uint64_t at;
	enum tg_link_identity best = tg_trial_pick(&l->trial, now, &at);

	return best != TG_LINK_NO_IDENTITY && tg_trial_generation(&l->trial, best) != l->generation;
}

int tg_link_choose(struct tg_link *l, char *bundle, size_t size, struct tg_fault *reterr)
{
	struct tg_manifest m;
	struct tg_fault why = { .text = "" };
	uint64_t at;
	int r;

	tg_link_look(l);
	l->report.identity = tg_trial_pick(&l->trial, tg_clock_boot_us(), &at);
	l->generation = l->trial.shown = tg_trial_generation(&l->trial, l->report.identity);
	if (l->report.identity != TG_LINK_NO_IDENTITY)
		return tg_generation_path(l->o.state_dir, slot_of(l->report.identity),
					  TG_FILE_BUNDLE, bundle, size);
	r = tg_generation_read(l->o.state_dir, TG_SLOT_CURRENT, &m, &why);
	if (r < 0 && r != -ENOENT)
		return tg_fault_set(reterr, -ENOENT, "the current identity cannot be used: %s",
				    why.text);
	return tg_fault_set(reterr, -ENOENT, "no identity yet: the link waits for enrolment");
}

/* --- probation --------------------------------------------------------------------------------------------------- */

static uint64_t probation_us(const struct tg_link *l)
{
	uint64_t quarter = (uint64_t) l->life_s * TG_US_PER_S / 4;

	return l->setup.cfg->rotation.probation_us < quarter ? l->setup.cfg->rotation.probation_us
							     : quarter;
}

static void tell_cloud(struct tg_link *l, enum tg_certificate_change change,
		       const struct tg_manifest *old, const struct tg_manifest *new,
		       const char *reason, bool retires)
{
	struct tg_pipeline_clock clock = l->o.clock(l->o.clock_user);
	struct tg_certificate_event e = {
		.change = change,
		.gateway = l->setup.spec.id,
		.wall_us = clock.trust == TG_CLOCK_SUSPECT ? 0 : tg_clock_wall_us(),
		.old = old,
		.new = new,
		.probation_us = probation_us(l),
		.reason = reason,
	};

	tg_link_note(l, tg_certificate_event_json(&e), retires);
}

void tg_link_watch_probation(struct tg_link *l, uint64_t now)
{
	struct tg_manifest old, new;

	if (!l->report.on_probation || l->report.identity != TG_LINK_ON_CURRENT ||
	    l->report.state != TG_LINK_ONLINE || now < l->retire_us)
		return;
	if (!l->probation_since_us)
		l->probation_since_us = now;
	if (now < tg_us_add(l->probation_since_us, probation_us(l)))
		return;
	/* Once until its PUBACK; again when the disk did not let the key go, or the queue had no room. */
	l->retire_us = tg_us_add(now, TG_LINK_RETIRE_AGAIN_US);
	if (tg_link_notes_retire(l) || !read_slot(l, TG_SLOT_PREVIOUS, &old) ||
	    !read_slot(l, TG_SLOT_CURRENT, &new))
		return;
	tell_cloud(l, TG_CERTIFICATE_RETIRED, &old, &new, NULL, true);
}

void tg_link_commit(struct tg_link *l)
{
	l->committed = l->trial.slots.current;
	tg_link_look(l);
}

void tg_link_retire(struct tg_link *l)
{
	struct tg_fault why;

	if (tg_generation_retire(l->o.state_dir, now_s(l), &why) < 0) {
		tg_log(LOG_ERR, "link", "the key of the identity before cannot be removed: %s",
		       why.text);
		return;
	}
	l->report.retirements++;
	tg_log(LOG_NOTICE, "link",
	       "the new certificate has stayed connected; the key of the one before is removed");
	tg_link_look(l);
}

/* --- verdicts ---------------------------------------------------------------------------------------------------- */

/* The one before, which a second renewal finds still waiting for the end of a probation. */
static void retire_early(struct tg_link *l, const struct tg_manifest *current)
{
	struct tg_manifest old;

	if (!l->report.on_probation || tg_link_notes_retire(l) ||
	    !read_slot(l, TG_SLOT_PREVIOUS, &old))
		return;
	tell_cloud(l, TG_CERTIFICATE_RETIRED, &old, current, NULL, false);
	tg_link_retire(l);
}

static int promote(struct tg_link *l)
{
	struct tg_manifest old, new;
	struct tg_fault why = { .text = "" };
	bool renewal = read_slot(l, TG_SLOT_CURRENT, &old);
	char number[16];
	int r;

	if (!read_slot(l, TG_SLOT_CANDIDATE, &new))
		return -ENOENT;
	/* Another than the one that has proved itself. */
	if (new.number != l->generation)
		return -ESTALE;
	if (renewal)
		retire_early(l, &old);
	r = tg_generation_promote(l->o.state_dir, false, &why);
	if (r < 0) {
		tg_log(LOG_ERR, "link", "the new identity works, but cannot be made current: %s",
		       why.text);
		return r;
	}
	l->report.identity = TG_LINK_ON_CURRENT;
	l->report.promotions++;
	l->probation_since_us = tg_clock_boot_us();
	l->retire_us = 0;
	tg_link_look(l);
	(void) snprintf(number, sizeof(number), "%u", new.number);
	tg_event(renewal ? TG_EV_RENEWED : TG_EV_IDENTITY_PROMOTED, LOG_NOTICE,
		 renewal ? "The broker took the new certificate; it is current now, on probation"
			 : "The broker took the certificate; it is current now",
		 TG_F_ENDPOINT, l->report.endpoint, TG_F_GENERATION, number, TG_F_CERT_SERIAL,
		 new.serial, NULL);
	if (renewal)
		tell_cloud(l, TG_CERTIFICATE_RENEWED, &old, &new, NULL, false);
	return 0;
}

static void tell_rolled_back(struct tg_link *l, const struct tg_manifest *kept,
			     const struct tg_manifest *rejected)
{
	char number[16];

	l->report.roll_backs++;
	(void) snprintf(number, sizeof(number), "%u", rejected->number);
	tg_event(TG_EV_IDENTITY_ROLLED_BACK, LOG_WARNING,
		 "The new certificate is given up; going on with the one before", TG_F_REASON,
		 l->report.roll_back_reason, TG_F_GENERATION, number, TG_F_CERT_SERIAL,
		 rejected->serial, NULL);
	tell_cloud(l, TG_CERTIFICATE_ROLLED_BACK, kept, rejected, l->report.roll_back_reason,
		   false);
}

/* Why the new one is given up: the last failure under it, whatever has succeeded since. */
static void keep_reason(struct tg_link *l)
{
	(void) tg_printable(l->report.roll_back_reason, sizeof(l->report.roll_back_reason),
			    l->blame, strlen(l->blame));
}

static int roll_back(struct tg_link *l)
{
	struct tg_manifest kept, rejected;
	struct tg_fault why = { .text = "" };
	bool known = read_slot(l, TG_SLOT_CURRENT, &kept) &&
		     read_slot(l, TG_SLOT_CANDIDATE, &rejected);
	int r = tg_generation_roll_back(l->o.state_dir, l->blame, now_s(l), &why);

	if (r < 0) {
		tg_log(LOG_ERR, "link", "cannot roll back to the current identity: %s", why.text);
		tg_trial_hold(&l->trial, tg_clock_boot_us());
		return r;
	}
	keep_reason(l);
	tg_link_look(l);
	if (known)
		tell_rolled_back(l, &kept, &rejected);
	return 0;
}

static int demote(struct tg_link *l)
{
	struct tg_manifest kept, rejected;
	struct tg_fault why = { .text = "" };
	bool known = read_slot(l, TG_SLOT_PREVIOUS, &kept) &&
		     read_slot(l, TG_SLOT_CURRENT, &rejected);
	int r = tg_generation_demote(l->o.state_dir, l->blame, now_s(l), &why);

	if (r < 0) {
		tg_log(LOG_ERR, "link", "cannot go back to the identity before: %s", why.text);
		return r;
	}
	if (l->report.identity == TG_LINK_ON_PREVIOUS)
		l->report.identity = TG_LINK_ON_CURRENT;
	keep_reason(l);
	l->probation_since_us = 0;
	tg_link_notes_stay(l);
	tg_link_look(l);
	if (known)
		tell_rolled_back(l, &kept, &rejected);
	return 0;
}

static int carry_out(struct tg_link *l, enum tg_trial_act act)
{
	switch (act) {
	case TG_TRIAL_NOTHING:
		return 0;
	case TG_TRIAL_PROMOTE:
		return promote(l);
	case TG_TRIAL_ROLL_BACK:
		return roll_back(l);
	case TG_TRIAL_DEMOTE:
		return demote(l);
	}
	return 0;
}

static void tell_standing(const struct tg_link *l, enum tg_link_standing was)
{
	enum tg_link_standing is = l->trial.standing;

	if (is == was)
		return;
	if (is == TG_LINK_REFUSED)
		tg_event(TG_EV_IDENTITY_REFUSED, LOG_ERR,
			 "The broker refuses the current certificate; trying once an hour",
			 TG_F_REASON, l->report.error, TG_F_ENDPOINT, l->report.endpoint, NULL);
	if (is == TG_LINK_PENDING_ACTIVATION)
		tg_event(TG_EV_IDENTITY_PENDING, LOG_NOTICE,
			 "The broker does not take the first certificate yet; trying again",
			 TG_F_REASON, l->report.error, TG_F_ENDPOINT, l->report.endpoint, NULL);
}

bool tg_link_judge(struct tg_link *l, enum tg_trial_end end)
{
	enum tg_link_standing was;
	enum tg_link_identity used = l->report.identity;
	struct tg_trial_verdict v;
	uint64_t now = tg_clock_boot_us();
	bool on_new;

	/* The helper may have written another candidate since. */
	tg_link_look(l);
	was = l->trial.standing;
	on_new = used == TG_LINK_ON_CANDIDATE ||
		 (used == TG_LINK_ON_CURRENT && l->trial.slots.previous);
	if (end != TG_TRIAL_PROVED && on_new)
		memcpy(l->blame, l->report.error, sizeof(l->blame));
	v = tg_trial_judge(&l->trial, used, end, now, tg_random_u64());
	tell_standing(l, was);
	l->report.standing = l->trial.standing;
	l->owed_us = now;
	return carry_out(l, v.act) == 0 && v.at_once;
}

void tg_link_pay(struct tg_link *l, uint64_t now)
{
	if (l->report.state != TG_LINK_ONLINE || l->report.identity == TG_LINK_ON_CURRENT ||
	    now < tg_us_add(l->owed_us, OWED_US))
		return;
	l->owed_us = now;
	if (l->report.identity == TG_LINK_ON_CANDIDATE)
		(void) !promote(l);
	else if (l->report.identity == TG_LINK_ON_PREVIOUS)
		(void) !demote(l);
}
