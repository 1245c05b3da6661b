/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/keeper.h"

#include "base/backoff.h"
#include "base/clock.h"

#include <tidegate/log.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define END_TRIES    10 /* looks at a helper that was told to end; it may sit in a call to the TPM */
#define END_PAUSE_MS 20

extern char **environ;

struct tg_keeper {
	sd_event *loop;
	struct tg_keeper_options o;
	tg_keeper_changed_fn changed;
	void *user;
	sd_event_source *timer, *child;
	pid_t pid; /* 0: no helper runs */
	enum tg_keeper_state state;
	bool method; /* the configuration has one that the helper can run */
	bool anew;   /* asked for, though an identity is there: its key is of no use */
	unsigned attempts, failures;
	uint64_t next_us;
};

uint64_t tg_keeper_pause_us(enum tg_enrol_class class, unsigned failures, uint64_t rnd)
{
	/* What a retry can cure is retried soon; what an operator must cure is asked rarely, so that the service is not worn out. */
	static const struct {
		uint64_t base_us, cap_us;
	} pauses[] = {
		[TG_ENROL_OK] = { 5 * TG_US_PER_S, 60 * TG_US_PER_S },
		[TG_ENROL_RETRY] = { 5 * TG_US_PER_S, 600 * TG_US_PER_S },
		[TG_ENROL_REFUSED] = { 300 * TG_US_PER_S, 6 * 3600 * TG_US_PER_S },
		[TG_ENROL_BAD_ANSWER] = { 60 * TG_US_PER_S, 3600 * TG_US_PER_S },
		[TG_ENROL_LOCAL] = { 5 * TG_US_PER_S, 300 * TG_US_PER_S },
		[TG_ENROL_ID_REFUSED] = { 5 * TG_US_PER_S, 600 * TG_US_PER_S },
	};
	struct tg_backoff b = TG_BACKOFF_INIT(pauses[class].base_us, pauses[class].cap_us);

	b.attempt = failures ? failures - 1 : 0;
	/* Half of it is fixed: a full jitter of nearly nothing would hammer a service that has just refused. */
	return tg_backoff_next(&b, rnd) / 2 + pauses[class].base_us / 2;
}

static bool settled(const struct tg_keeper *k)
{
	struct tg_manifest m;

	if (k->anew)
		return false;
	return tg_generation_read(k->o.state_dir, TG_SLOT_CURRENT, &m, NULL) == 0 ||
	       tg_generation_read(k->o.state_dir, TG_SLOT_CANDIDATE, &m, NULL) == 0;
}

static void plan(struct tg_keeper *k, uint64_t pause_us)
{
	int r;

	k->state = TG_KEEPER_WAITING;
	k->next_us = tg_clock_boot_us() + pause_us;
	r = sd_event_source_set_time(k->timer, k->next_us);
	if (r >= 0)
		r = sd_event_source_set_enabled(k->timer, SD_EVENT_ONESHOT);
	if (r < 0)
		tg_log(LOG_ERR, "enrol", "cannot plan the next attempt: %s", strerror(-r));
}

static void look(struct tg_keeper *k)
{
	if (k->pid)
		return;
	if (settled(k))
		k->state = TG_KEEPER_SETTLED;
	else if (!k->method)
		k->state = TG_KEEPER_OFF;
	else
		plan(k, 0);
}

static void on_failure(struct tg_keeper *k, int status)
{
	struct tg_journal j = { .error_class = TG_ENROL_LOCAL };
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	uint64_t pause;

	k->failures++;
	if (code == TG_EXIT_CONFIG) {
		k->state = TG_KEEPER_STUCK;
		tg_log(LOG_ERR, "enrol",
		       "tidegate-provision refused the configuration; waiting for a reload");
		return;
	}
	/* Without a journal it ended before the first step: files, TPM, memory. */
	if (tg_journal_read(k->o.state_dir, &j, NULL) < 0)
		j.error_class = TG_ENROL_LOCAL;
	explicit_bzero(j.token, sizeof(j.token));
	pause = tg_keeper_pause_us(j.error_class, k->failures, tg_random_u64());
	plan(k, pause);
	tg_event(TG_EV_ENROL_FAILED, LOG_WARNING,
		 j.error_text[0] ? j.error_text : "Enrolment failed", TG_F_STEP,
		 tg_enrol_step_name(j.error_step), TG_F_REASON, tg_enrol_class_name(j.error_class),
		 NULL);
	tg_log(LOG_NOTICE, "enrol", "next attempt in %u s", (unsigned) (pause / TG_US_PER_S));
}

static int on_exit_of_helper(sd_event_source *s, const siginfo_t *si, void *user)
{
	struct tg_keeper *k = user;
	int status = si->si_code == CLD_EXITED ? si->si_status << 8 : si->si_status;

	(void) s;
	k->child = sd_event_source_unref(k->child);
	k->pid = 0;
	if (status == 0)
		k->anew = false;
	if (status == 0 && settled(k)) {
		k->state = TG_KEEPER_SETTLED;
		k->failures = 0;
		tg_event(TG_EV_ENROLLED, LOG_NOTICE,
			 "A new identity is there; trying it with the broker", NULL);
		k->changed(k->user);
		return 0;
	}
	on_failure(k, status);
	return 0;
}

/* The child starts with the signals of a fresh process: the agent blocks some for its loop. */
static int spawn_helper(struct tg_keeper *k)
{
	char *argv[] = { (char *) k->o.helper,
			 (char *) "--config",
			 (char *) k->o.config_path,
			 (char *) "--state-dir",
			 (char *) k->o.state_dir,
			 (char *) "enrol",
			 NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	r = posix_spawnattr_init(&attr);
	if (r)
		return -r;
	r = posix_spawn_file_actions_init(&files);
	if (r) {
		(void) posix_spawnattr_destroy(&attr);
		return -r;
	}
	/* Libraries open some of theirs without O_CLOEXEC. */
	r = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	(void) sigemptyset(&none);
	(void) sigfillset(&all);
	if (!r)
		r = posix_spawnattr_setsigmask(&attr, &none);
	if (!r)
		r = posix_spawnattr_setsigdefault(&attr, &all);
	if (!r)
		r = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (!r)
		r = posix_spawn(&k->pid, k->o.helper, &files, &attr, argv, environ);
	(void) posix_spawn_file_actions_destroy(&files);
	(void) posix_spawnattr_destroy(&attr);
	if (r)
		k->pid = 0;
	return -r;
}

/* One that has not obeyed by now is stopped by force. What the kernel does not let go even then is left to init. */
static void end_helper(struct tg_keeper *k)
{
	for (int i = 0; i < END_TRIES; i++) {
		/* Not its first signal, when it was told to end before. */
		(void) kill(k->pid, i < END_TRIES / 2 ? SIGTERM : SIGKILL);
		if (waitpid(k->pid, NULL, WNOHANG) != 0)
			break;
		(void) poll(NULL, 0, END_PAUSE_MS);
	}
	k->pid = 0;
}

/* Without a source for its end nobody would hear of it: no helper then. */
static int watch_helper(struct tg_keeper *k)
{
	int r = sd_event_add_child(k->loop, &k->child, k->pid, WEXITED, on_exit_of_helper, k);

	if (r >= 0)
		r = sd_event_source_set_exit_on_failure(k->child, true);
	if (r < 0) {
		k->child = sd_event_source_unref(k->child);
		end_helper(k);
		return r;
	}
	(void) sd_event_source_set_description(k->child, "provision");
	return 0;
}

static void run_helper(struct tg_keeper *k)
{
	int r = spawn_helper(k);

	if (r == 0)
		r = watch_helper(k);
	k->attempts++;
	if (r < 0) {
		k->failures++;
		tg_log(LOG_ERR, "enrol", "cannot start %s: %s", k->o.helper, strerror(-r));
		plan(k, tg_keeper_pause_us(TG_ENROL_LOCAL, k->failures, tg_random_u64()));
		return;
	}
	k->state = TG_KEEPER_RUNNING;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *user)
{
	struct tg_keeper *k = user;

	(void) s;
	(void) usec;
	if (k->pid)
		return 0;
	if (!settled(k) && k->method) {
		run_helper(k);
	} else {
		/* What was planned is no longer wanted. */
		look(k);
	}
	return 0;
}

int tg_keeper_new(sd_event *loop, const struct tg_keeper_options *o, tg_keeper_changed_fn changed,
		  void *user, struct tg_keeper **ret)
{
	tg_cleanup(tg_freep) struct tg_keeper *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->loop = loop;
	k->o = *o;
	k->changed = changed;
	k->user = user;
	r = sd_event_add_time(loop, &k->timer, CLOCK_BOOTTIME, UINT64_MAX, TG_US_PER_MS, on_timer,
			      k);
	if (r < 0)
		return r;
	(void) sd_event_source_set_description(k->timer, "enrol");
	r = sd_event_source_set_exit_on_failure(k->timer, true);
	if (r < 0) {
		sd_event_source_unref(k->timer);
		return r;
	}
	*ret = tg_take(k);
	return 0;
}

struct tg_keeper *tg_keeper_free(struct tg_keeper *k)
{
	if (!k)
		return NULL;
	sd_event_source_unref(k->child);
	sd_event_source_unref(k->timer);
	if (k->pid)
		end_helper(k);
	free(k);
	return NULL;
}

int tg_keeper_configure(struct tg_keeper *k, const struct tg_config *cfg)
{
	k->method = cfg->enrolment.method == TG_ENROL_AWS_FLEET;
	k->failures = 0;
	look(k);
	return 0;
}

int tg_keeper_enrol_now(struct tg_keeper *k, bool key_lost)
{
	if (k->pid)
		return -EALREADY;
	if (settled(k) && !key_lost)
		return -EEXIST;
	if (!k->method)
		return -EOPNOTSUPP;
	k->anew = key_lost;
	k->failures = 0;
	plan(k, 0);
	return 0;
}

void tg_keeper_status(struct tg_keeper *k, struct tg_keeper_status *ret)
{
	int current = tg_generation_read(k->o.state_dir, TG_SLOT_CURRENT, &ret->current, NULL);
	int candidate =
		tg_generation_read(k->o.state_dir, TG_SLOT_CANDIDATE, &ret->candidate, NULL);

	ret->state = k->state;
	ret->next_us = k->state == TG_KEEPER_WAITING ? k->next_us : 0;
	ret->attempts = k->attempts;
	ret->has_current = current == 0;
	ret->has_candidate = candidate == 0;
	ret->damaged = current == -EBADMSG || candidate == -EBADMSG;
	ret->has_journal = tg_journal_read(k->o.state_dir, &ret->journal, NULL) == 0;
	if (ret->has_journal)
		explicit_bzero(ret->journal.token, sizeof(ret->journal.token));
}

const char *tg_keeper_state_name(enum tg_keeper_state s)
{
	switch (s) {
	case TG_KEEPER_OFF:
		return "off";
	case TG_KEEPER_SETTLED:
		return "settled";
	case TG_KEEPER_WAITING:
		return "waiting";
	case TG_KEEPER_RUNNING:
		return "running";
	case TG_KEEPER_STUCK:
		return "stuck";
	}
	return "?";
}
