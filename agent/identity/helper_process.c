/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/helper_process.h"

#include "base/clock.h"

#include <tidegate/log.h>

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define ARGS_MAX     16
#define END_TRIES    10 /* looks at a helper that was told to end; it may sit in a call to the TPM */
#define END_PAUSE_MS 20

extern char **environ;

struct tg_helper_process {
	pid_t pid; /* 0: it has ended */
	sd_event_source *child, *timer;
	tg_helper_ended_fn ended;
	void *user;
	unsigned patience_s;
	unsigned signals; /* that it was sent for taking too long */
};

struct arguments {
	const char *items[ARGS_MAX + 1];
	size_t n;
	char floor[24];
};

static void add(struct arguments *a, const char *text)
{
	assert(a->n < ARGS_MAX);
	a->items[a->n++] = text;
}

static void make_arguments(struct arguments *a, const struct tg_helper_order *o)
{
	bool renew = o->kind == TG_ORDER_RENEW;

	(void) snprintf(a->floor, sizeof(a->floor), "%" PRId64, o->floor_s);
	add(a, o->path);
	add(a, "--config");
	add(a, o->config_path);
	add(a, "--state-dir");
	add(a, o->state_dir);
	if (o->floor_s > 0) {
		add(a, "--time-floor");
		add(a, a->floor);
	}
	if (o->synchronised)
		add(a, "--clock-synchronised");
	/* The first enrolment can only be made by the claim, and has nobody to share a client id with. */
	if (renew) {
		add(a, "--credential");
		add(a, tg_enrol_credential_name(o->credential));
	}
	if (renew && o->own_id) {
		add(a, "--client-id");
		add(a, "own");
	}
	add(a, tg_enrol_kind_name(o->kind));
}

/* The child starts with the signals of a fresh process: the agent blocks some for its loop. */
static int set_signals(posix_spawnattr_t *attr)
{
	sigset_t none, all;
	int r;

	(void) sigemptyset(&none);
	(void) sigfillset(&all);
	r = posix_spawnattr_setsigmask(attr, &none);
	if (!r)
		r = posix_spawnattr_setsigdefault(attr, &all);
	if (!r)
		r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	return -r;
}

static int spawn(struct tg_helper_process *h, const struct tg_helper_order *o)
{
	struct arguments args = { .n = 0 };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int r;

	make_arguments(&args, o);
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
	if (!r)
		r = -set_signals(&attr);
	if (!r)
		r = posix_spawn(&h->pid, o->path, &files, &attr, (char **) args.items, environ);
	(void) posix_spawn_file_actions_destroy(&files);
	(void) posix_spawnattr_destroy(&attr);
	if (r)
		h->pid = 0;
	return -r;
}

/* One that has not obeyed by now is stopped by force. What the kernel does not let go even then is left to init. */
static void end_now(struct tg_helper_process *h)
{
	for (int i = 0; i < END_TRIES; i++) {
		/* Not its first signal, when it was told to end before. */
		(void) kill(h->pid, i < END_TRIES / 2 ? SIGTERM : SIGKILL);
		if (waitpid(h->pid, NULL, WNOHANG) != 0)
			break;
		(void) poll(NULL, 0, END_PAUSE_MS);
	}
	h->pid = 0;
}

static int on_exit_of_child(sd_event_source *s, const siginfo_t *si, void *user)
{
	struct tg_helper_process *h = user;
	enum tg_helper_end end = si->si_code == CLD_EXITED ? TG_HELPER_EXITED : TG_HELPER_KILLED;

	(void) s;
	h->pid = 0;
	/* One that made it in the last moment, or had a reason of its own to fail, has ended by itself. */
	if (h->signals && end == TG_HELPER_KILLED)
		end = TG_HELPER_HUNG;
	h->ended(h->user, end, si->si_status);
	return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *user)
{
	struct tg_helper_process *h = user;
	int r;

	(void) usec;
	if (!h->pid)
		return 0;
	tg_log(LOG_WARNING, "enrol", "tidegate-provision has not ended within %u s: %s",
	       h->patience_s, h->signals ? "killing it" : "told to end");
	(void) kill(h->pid, h->signals++ ? SIGKILL : SIGTERM);
	r = sd_event_source_set_time(s, tg_clock_boot_us() + TG_HELPER_GRACE_US);
	if (r >= 0)
		r = sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	return r < 0 ? r : 0;
}

/* Without a source for its end nobody would hear of it: no helper then. */
static int watch(struct tg_helper_process *h, sd_event *loop, uint64_t patience_us)
{
	int r = sd_event_add_child(loop, &h->child, h->pid, WEXITED, on_exit_of_child, h);

	if (r >= 0)
		r = sd_event_source_set_exit_on_failure(h->child, true);
	if (r >= 0)
		r = sd_event_add_time(loop, &h->timer, CLOCK_BOOTTIME,
				      tg_us_add(tg_clock_boot_us(), patience_us), 0, on_timer, h);
	if (r >= 0)
		r = sd_event_source_set_exit_on_failure(h->timer, true);
	if (r < 0)
		return r;
	(void) sd_event_source_set_description(h->child, "provision");
	(void) sd_event_source_set_description(h->timer, "provision-patience");
	return 0;
}

int tg_helper_process_start(sd_event *loop, const struct tg_helper_order *o,
			    tg_helper_ended_fn ended, void *user, struct tg_helper_process **ret)
{
	struct tg_helper_process *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->ended = ended;
	h->user = user;
	h->patience_s = (unsigned) (o->patience_us / TG_US_PER_S);
	r = spawn(h, o);
	if (r == 0)
		r = watch(h, loop, o->patience_us);
	if (r < 0) {
		(void) tg_helper_process_free(h);
		return r;
	}
	*ret = h;
	return 0;
}

struct tg_helper_process *tg_helper_process_free(struct tg_helper_process *h)
{
	if (!h)
		return NULL;
	sd_event_source_unref(h->child);
	sd_event_source_unref(h->timer);
	if (h->pid)
		end_now(h);
	free(h);
	return NULL;
}
