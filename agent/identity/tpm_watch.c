/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/tpm_watch.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mailbox.h"
#include "identity/generation.h"
#include "identity/tpm_name.h"

#include <tidegate/log.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define ROUND_US        (30 * TG_US_PER_S)
#define ROUND_FAILED_US (5 * TG_US_PER_S) /* a TPM that was away is found again soon */

struct tg_tpm_watch {
	struct tg_tpm *tpm;
	char state_dir[PATH_MAX];
	tg_tpm_report_fn report_fn;
	void *user;
	struct tg_mailbox *pokes;
	pthread_t thread;
	_Atomic bool stop, ended;
	/* the thread's own */
	struct tg_tpm_report report;
	bool identity_due; /* ask for %t: at the start, and when the TPM was away */
};

static int ask_identity(struct tg_tpm_watch *w, struct tg_fault *reterr)
{
	struct tg_fault why = { .text = "" };
	char id[TG_TPM_NAME];
	bool changed = false;
	int r;

	if (!w->identity_due)
		return 0;
	r = tg_tpm_identity(w->tpm, id, reterr);
	if (r < 0)
		return r;
	w->identity_due = false;
	memcpy(w->report.id, id, sizeof(id));
	if (tg_tpm_name_write(w->state_dir, id, &changed, &why) < 0)
		tg_log(LOG_WARNING, "tpm", "cannot keep the TPM's identity: %s", why.text);
	w->report.replaced |= changed;
	if (changed)
		tg_event(TG_EV_TPM_REPLACED, LOG_ERR,
			 "This is another TPM than before: the identity on disk is of no use with "
			 "it",
			 NULL);
	return 0;
}

static int ask_key(struct tg_tpm_watch *w, struct tg_fault *reterr)
{
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = NULL;
	tg_autofree char *pem = NULL;
	char path[PATH_MAX];
	size_t len;
	int r;

	w->report.has_key = w->report.key_ok = false;
	if (tg_generation_path(w->state_dir, TG_SLOT_CURRENT, TG_FILE_KEY, path, sizeof(path)) < 0)
		return 0;
	r = tg_file_read(AT_FDCWD, path, TG_TPM_PEM_MAX, &pem, &len, reterr);
	if (r == -ENOENT)
		return 0;
	w->report.has_key = true;
	if (r == 0)
		r = tg_tpm_key_from_pem(pem, len, &key, reterr);
	if (r == 0)
		r = tg_tpm_check_key(w->tpm, key, reterr);
	w->report.key_ok = r == 0;
	return r;
}

static void ask(struct tg_tpm_watch *w)
{
	struct tg_fault why = { .text = "" };
	struct tg_tpm_state state;
	int before = w->report.error, r;

	r = tg_tpm_info(w->tpm, &w->report.info, &why);
	if (r == 0)
		r = ask_identity(w, &why);
	if (r == 0)
		r = ask_key(w, &why);
	tg_tpm_state(w->tpm, &state);
	w->report.hung = state.hung;
	w->report.error = r;
	w->report.key_ok &= r == 0;
	(void) snprintf(w->report.text, sizeof(w->report.text), "%s", r < 0 ? why.text : "");
	if (r < 0)
		w->identity_due = true;
	if (r < 0 && (before == 0 || !w->report.asked))
		tg_event(TG_EV_TPM_LOST, LOG_ERR, why.text, NULL);
	else if (r == 0 && before < 0)
		tg_event(TG_EV_TPM_BACK, LOG_NOTICE, "The TPM answers again", NULL);
	w->report.asked = true;
}

static void *run(void *arg)
{
	struct tg_tpm_watch *w = arg;
	char poke;

	if (tg_tpm_name_read(w->state_dir, w->report.id, NULL) < 0)
		w->report.id[0] = '\0';
	/* What is known from the disk first: the TPM may take its time. */
	w->report_fn(w->user, &w->report);
	while (!atomic_load(&w->stop)) {
		uint64_t pause = ROUND_US;

		ask(w);
		w->report_fn(w->user, &w->report);
		if (w->report.error < 0)
			pause = ROUND_FAILED_US;
		(void) tg_mailbox_wait(w->pokes, tg_clock_boot_us() + pause);
		while (tg_mailbox_take(w->pokes, &poke))
			;
	}
	atomic_store(&w->ended, true);
	return NULL;
}

int tg_tpm_watch_new(struct tg_tpm *tpm, const char *state_dir, tg_tpm_report_fn report, void *user,
		     struct tg_tpm_watch **ret, struct tg_fault *reterr)
{
	tg_autofree struct tg_tpm_watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	w->tpm = tpm;
	w->report_fn = report;
	w->user = user;
	w->identity_due = true;
	if (snprintf(w->state_dir, sizeof(w->state_dir), "%s", state_dir) >=
	    (int) sizeof(w->state_dir))
		return tg_fault_set(reterr, -ENAMETOOLONG, "state directory path is too long");
	r = tg_mailbox_new(4, 1, NULL, &w->pokes);
	if (r == 0) {
		r = -pthread_create(&w->thread, NULL, run, w);
		if (r < 0)
			w->pokes = tg_mailbox_free(w->pokes);
	}
	if (r < 0)
		return tg_fault_set(reterr, r, "cannot start the TPM watch: %s", strerror(-r));
	(void) pthread_setname_np(w->thread, "tpm-watch");
	*ret = tg_take(w);
	return 0;
}

void tg_tpm_watch_poke(struct tg_tpm_watch *w)
{
	char poke = 0;

	/* A full box means that a round is due anyway. */
	(void) !tg_mailbox_post(w->pokes, &poke);
}

static void ask_stop(struct tg_tpm_watch *w)
{
	atomic_store(&w->stop, true);
	tg_tpm_watch_poke(w);
}

int tg_tpm_watch_stop(struct tg_tpm_watch *w, uint64_t timeout_us)
{
	uint64_t until = tg_clock_boot_us() + timeout_us;

	ask_stop(w);
	while (!atomic_load(&w->ended) && tg_clock_boot_us() < until)
		(void) poll(NULL, 0, 5);
	return atomic_load(&w->ended) ? 0 : -ETIMEDOUT;
}

struct tg_tpm_watch *tg_tpm_watch_free(struct tg_tpm_watch *w)
{
	if (!w)
		return NULL;
	ask_stop(w);
	(void) pthread_join(w->thread, NULL);
	w->pokes = tg_mailbox_free(w->pokes);
	free(w);
	return NULL;
}
