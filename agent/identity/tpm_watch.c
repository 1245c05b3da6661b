/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/tpm_watch.h"

#include "base/clock.h"
#include "base/mailbox.h"
#include "identity/generation.h"
#include "identity/tpm_name.h"

#include <tidegate/log.h>

#include <errno.h>
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
	struct tg_tpm_verdict verdict;
	bool identity_due; /* ask for %t: at the start, and when the TPM was away */
};

static int ask_identity(struct tg_tpm_watch *w, struct tg_fault *reterr)
{
	struct tg_fault why = { .text = "" };
	char id[TG_TPM_NAME];
	int r;

	if (!w->identity_due)
		return 0;
	r = tg_tpm_identity(w->tpm, id, reterr);
	if (r < 0)
		return r;
	w->identity_due = false;
	memcpy(w->report.id, id, sizeof(id));
	if (tg_tpm_name_write(w->state_dir, id, NULL, &why) < 0)
		tg_log(LOG_WARNING, "tpm", "cannot keep the TPM's identity: %s", why.text);
	return 0;
}

/* The key that the link needs: the current one, or the first candidate's. 0, -ENOENT without one, or -errno. */
static int find_key(struct tg_tpm_watch *w, struct tg_manifest *m, struct tg_tpm_key **ret,
		    struct tg_fault *reterr)
{
	static const enum tg_slot slots[] = { TG_SLOT_CURRENT, TG_SLOT_CANDIDATE };
	int r = -ENOENT;

	for (size_t i = 0; i < TG_ARRAY_SIZE(slots) && r == -ENOENT; i++) {
		tg_autofree char *pem = NULL;

		r = tg_generation_text(w->state_dir, slots[i], TG_FILE_KEY, &pem, reterr);
		if (r < 0)
			continue;
		/* A manifest that is damaged is the keeper's to tell. */
		if (tg_generation_read(w->state_dir, slots[i], m, NULL) < 0)
			m->tpm[0] = '\0';
		r = tg_tpm_key_from_pem(pem, strlen(pem), ret, reterr);
		/* Not "no key": there is a file, and something else in it. */
		if (r == -ENOENT)
			r = -EBADMSG;
	}
	return r;
}

static int judge(struct tg_tpm_watch *w, const struct tg_tpm_key *key, struct tg_fault *reterr)
{
	int r = tg_tpm_judge_key(w->tpm, key, reterr);

	if (r != TG_TPM_KEY_PARENT_GONE)
		return r;
	tg_log(LOG_WARNING, "tpm",
	       "the storage root key is not at its handle 0x%x any more; putting it back",
	       (unsigned) tg_tpm_key_parent(key));
	r = tg_tpm_ensure_srk(w->tpm, tg_tpm_key_parent(key), reterr);
	return r < 0 ? r : tg_tpm_judge_key(w->tpm, key, reterr);
}

static int ask_key(struct tg_tpm_watch *w, struct tg_tpm_finding *f, struct tg_fault *reterr)
{
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = NULL;
	struct tg_manifest m;
	int r;

	r = find_key(w, &m, &key, reterr);
	w->report.has_key = r != -ENOENT;
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = judge(w, key, reterr);
	w->report.key_ok = r == 0;
	f->lost = r == TG_TPM_KEY_LOST;
	if (!f->lost)
		return r < 0 ? r : 0;
	/* Now it matters which TPM it is, however sure that was a moment ago. */
	w->identity_due = true;
	r = ask_identity(w, reterr);
	f->same_tpm = !m.tpm[0] || strcmp(m.tpm, w->report.id) == 0;
	return r;
}

static void tell(const struct tg_tpm_watch *w, enum tg_tpm_news news)
{
	const char *condition = tg_tpm_condition_name(w->report.condition);

	switch (news) {
	case TG_TPM_NEWS_NONE:
		return;
	case TG_TPM_NEWS_LOST:
		tg_event(TG_EV_TPM_LOST, LOG_ERR, w->report.text, TG_F_REASON, condition, NULL);
		return;
	case TG_TPM_NEWS_BACK:
		tg_event(TG_EV_TPM_BACK, LOG_NOTICE, "The TPM answers again", NULL);
		return;
	case TG_TPM_NEWS_CLEARED:
		tg_event(TG_EV_TPM_CLEARED, LOG_ERR, w->report.text, NULL);
		return;
	case TG_TPM_NEWS_REPLACED:
		tg_event(TG_EV_TPM_REPLACED, LOG_ERR, w->report.text, NULL);
		return;
	}
}

static const char *lost_text(const struct tg_tpm_finding *f)
{
	return f->same_tpm ? "The TPM was cleared: it does not know the key of this gateway's "
			     "identity any more"
			   : "This is another TPM than before: the identity on disk is of no use "
			     "with it";
}

static void ask(struct tg_tpm_watch *w)
{
	struct tg_tpm_finding f = { .same_tpm = true };
	struct tg_fault why = { .text = "" };
	struct tg_tpm_state state;
	enum tg_tpm_news news;

	w->report.has_key = w->report.key_ok = false;
	f.error = tg_tpm_info(w->tpm, &w->report.info, &why);
	if (f.error == 0)
		f.error = ask_identity(w, &why);
	if (f.error == 0)
		f.error = ask_key(w, &f, &why);
	tg_tpm_state(w->tpm, &state);
	f.hung = state.hung;
	f.now_us = tg_clock_boot_us();
	/* Next time it may be another one, or the old one again. */
	if (f.error < 0 || f.lost)
		w->identity_due = true;

	news = tg_tpm_verdict_take(&w->verdict, &f);
	w->report.condition = w->verdict.condition;
	w->report.key_lost = w->verdict.key_lost;
	w->report.error = f.error;
	(void) snprintf(w->report.text, sizeof(w->report.text), "%s",
			f.error < 0 ? why.text
			: f.lost    ? lost_text(&f)
				    : "");
	tell(w, news);
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
		/* What is locked stays so for minutes, and must not be hammered. */
		if (w->report.condition != TG_TPM_OK && w->report.condition != TG_TPM_LOCKED)
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
