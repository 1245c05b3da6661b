/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/begin.h"

#include "base/clock.h"
#include "identity/generation.h"
#include "provisioning/operator_file.h"
#include "provisioning/step_key.h"
#include "wallclock/look.h"

#include <errno.h>
#include <sys/stat.h>

int tg_begin_owner(const char *state_dir, struct tg_fault *reterr)
{
	struct stat st;

	if (geteuid() != 0 || stat(state_dir, &st) < 0 || st.st_uid == 0)
		return 0;
	return tg_fault_set(reterr, -EACCES,
			    "%s belongs to user %u: run as that user (runuser -u tidegate -- ...), "
			    "not as root",
			    state_dir, (unsigned) st.st_uid);
}

void tg_begin_time(struct tg_enrolment *e, const struct tg_options *o)
{
	struct tg_fault why = { .text = "" };
	struct tg_manifest current;
	bool marked;

	if (tg_wallclock_look(&e->clock, e->state_dir, NULL, &why) < 0)
		tg_progress_note(e->progress, "%s; going on without", why.text);
	if (tg_generation_read(e->state_dir, TG_SLOT_CURRENT, &current, NULL) == 0)
		(void) tg_wallclock_raise(&e->clock, TG_FLOOR_CERTIFICATE, current.not_before,
					  tg_clock_boot_us());
	(void) tg_wallclock_raise(&e->clock, TG_FLOOR_AGENT, o->time_floor_s, tg_clock_boot_us());
	/* The agent knows better than a mark that a clock set by hand leaves behind. */
	marked = !o->time_floor_s && tg_wallclock_timesync_mark(NULL);
	tg_wallclock_synchronise(&e->clock, o->clock_synchronised || marked,
				 tg_wallclock_instant());
}

int tg_begin_tpm(struct tg_enrolment *e, struct tg_fault *reterr)
{
	const struct tg_config *c = e->config;
	char *auth = NULL;
	int r = *c->tpm.owner_auth_file
			? tg_operator_secret_read("owner-auth-file", c->tpm.owner_auth_file, &auth,
						  reterr)
			: 0;
	const struct tg_tpm_options o = {
		.tcti = c->tpm.tcti,
		.timeout_us = c->tpm.timeout_us,
		.owner_auth = auth,
	};

	if (r == 0)
		r = tg_tpm_new(&o, &e->tpm, reterr);
	auth = tg_operator_secret_free(auth);
	return r;
}

int tg_begin_names(struct tg_enrolment *e, struct tg_fault *reterr)
{
	int r;

	tg_specifiers_system(&e->names);
	r = tg_tpm_identity(e->tpm, e->names.tpm, reterr);
	if (r == -ENOSPC && tg_step_key_make_room(e) == 0)
		r = tg_tpm_identity(e->tpm, e->names.tpm, reterr);
	if (r == 0)
		r = tg_specifiers_expand(&e->names, e->config->gateway.id, e->names.id,
					 sizeof(e->names.id), reterr);
	return r;
}
