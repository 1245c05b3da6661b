/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include "base/clock.h"
#include "base/file.h"
#include "config/load.h"
#include "identity/claim_file.h"
#include "identity/generation.h"
#include "wallclock/look.h"

#include <tidegate/identity.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>

static int refuse(const char *fmt, ...) TG_PRINTF(1, 2);
static int refuse(const char *fmt, ...)
{
	va_list ap;

	(void) fputs("tidegate: the claim stays: ", stderr);
	va_start(ap, fmt);
	(void) vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void) fputc('\n', stderr);
	return TG_EXIT_FAILED;
}

/* The key of [rotation] that goes back to the claim, or NULL. */
static const char *wanted_by(const struct tg_config *cfg)
{
	if (cfg->rotation.on_expiry == TG_ON_FAILURE_CLAIM)
		return "on-expiry";
	if (cfg->rotation.on_refused == TG_ON_FAILURE_CLAIM)
		return "on-refused";
	return cfg->rotation.on_key_lost == TG_ON_FAILURE_CLAIM ? "on-key-lost" : NULL;
}

/* A gateway that cannot log in any more without its claim would have to be visited. */
static int check_it_may_go(const struct tg_ctl *ctl, const struct tg_config *cfg)
{
	const char *wanted = wanted_by(cfg);
	struct tg_fault why = { .text = "" };
	struct tg_wallclock clock;
	struct tg_manifest m;
	char until[32];
	int r;

	if (wanted)
		return refuse("with [rotation] %s = claim it may be needed again; set that to hold "
			      "first",
			      wanted);
	r = tg_generation_read(ctl->state_dir, TG_SLOT_CURRENT, &m, &why);
	if (r == -EACCES || r == -EPERM)
		return refuse("%s; run this as root", why.text);
	if (r < 0)
		return refuse("the gateway has no certificate of its own in %s yet (%s)",
			      ctl->state_dir, why.text);
	/* A clock that is behind must not make an identity look alive. */
	(void) tg_wallclock_look(&clock, ctl->state_dir, NULL, &why);
	if (m.not_after <= tg_wallclock_believed_s(&clock, tg_wallclock_instant()))
		return refuse("the gateway's own certificate ended %s, and the claim may be needed "
			      "for another",
			      tg_clock_iso(m.not_after * (int64_t) TG_US_PER_S, until));
	return TG_EXIT_OK;
}

static int sync_parent(const char *path, struct tg_fault *reterr)
{
	tg_autofree char *copy = strdup(path);

	return copy ? tg_file_sync_dir(AT_FDCWD, dirname(copy), reterr) : -ENOMEM;
}

/* Returns whether it is gone; adds what was done to @list. */
static bool forget(const struct tg_ctl *ctl, json_t *list, const char *what, const char *path)
{
	static const char *const results[] = { [TG_CLAIM_REMOVED] = "removed",
					       [TG_CLAIM_ABSENT] = "was not there",
					       /* One string, in parentheses: clang would look for a comma. */
					       [TG_CLAIM_UNLINKED] = ("link removed; what it named "
								      "is still there") };
	struct tg_fault why = { .text = "" };
	int r = tg_claim_file_remove(path, &why), synced = 0;
	const char *result;

	if (r == TG_CLAIM_REMOVED || r == TG_CLAIM_UNLINKED)
		synced = sync_parent(path, &why);
	result = r < 0 || synced < 0 ? why.text : results[r];
	if (ctl->json)
		(void) json_array_append_new(
			list, json_pack("{s:s, s:s, s:b, s:s}", "what", what, "file", path, "gone",
					r >= 0 && synced == 0, "result", result));
	else if (r < 0 || synced < 0)
		(void) fprintf(stderr, "tidegate: %s: %s%s\n", what, result,
			       r == -EACCES || r == -EPERM ? "; run this as root" : "");
	else
		(void) printf("%-18s %s: %s\n", what, path, result);
	return r >= 0 && synced == 0;
}

static int forget_both(const struct tg_ctl *ctl, const struct tg_config *cfg)
{
	json_t *list = json_array();
	bool key, certificate;

	key = forget(ctl, list, "claim-key", cfg->enrolment.aws.claim_key);
	certificate = forget(ctl, list, "claim-certificate", cfg->enrolment.aws.claim_certificate);
	if (ctl->json)
		tg_ctl_print_json(list);
	else if (key && certificate)
		(void) puts("Unlinking does not erase flash memory: who reads the chips may still "
			    "find the key.\nWhere that matters, let the cloud forget this claim "
			    "as well.");
	json_decref(list);
	return key && certificate ? TG_EXIT_OK : TG_EXIT_FAILED;
}

static int run(struct tg_ctl *ctl)
{
	tg_cleanup(tg_config_unrefp) struct tg_config *cfg = NULL;
	struct tg_complaints c = { .n = 0 };
	int r = tg_config_load(ctl->config_path, &c, &cfg), code;

	if (r < 0)
		(void) fprintf(stderr, "tidegate: %s%s%s\n", c.n ? "" : ctl->config_path,
			       c.n ? "" : ": ", c.n ? c.items[0].text : strerror(-r));
	tg_complaints_done(&c);
	if (r < 0)
		return TG_EXIT_CONFIG;
	if (!*cfg->enrolment.aws.claim_key && !*cfg->enrolment.aws.claim_certificate)
		return refuse("the configuration names none");
	code = check_it_may_go(ctl, cfg);
	return code == TG_EXIT_OK ? forget_both(ctl, cfg) : code;
}

const struct tg_ctl_verb tg_verb_forget_claim = { "forget-claim", "",
						  "as root: remove the claim's files; needs no "
						  "agent",
						  run };
