/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_internal.h"

#include "base/clock.h"
#include "base/file.h"
#include "config/load.h"
#include "identity/generation.h"
#include "identity/journal.h"
#include "tpm/provider.h"

#include <tidegate/log.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#define NEWS_SLOTS 1024 /* states of every device at once, and more of the rest */
#define TAP_SLOTS  256  /* readings for `read` and `watch` */
#define LINK_STOP_US                                                                               \
	(2500 * TG_US_PER_MS) /* with the rest below: SIGTERM to exit in five seconds */
#define STOP_US       (4700 * TG_US_PER_MS)
#define BROKER_STOP_US (1000 * TG_US_PER_MS) /* for what the disk does not take */
#define BROKER_LOOK_US (5 * TG_US_PER_MS)
#define FLEET_STOP_US (1000 * TG_US_PER_MS)
#define SPOOL_STOP_US (1000 * TG_US_PER_MS) /* at least */
#define TIME_STOP_US  (100 * TG_US_PER_MS)
#define WATCH_STOP_US (100 * TG_US_PER_MS)
#define TEXTFILE_STOP_US (100 * TG_US_PER_MS)

static int load_first(struct tg_agent *a)
{
	struct tg_complaints c = { .n = 0 };
	int r = tg_config_load(a->o->config_path, &c, &a->cfg);

	for (size_t i = 0; i < c.n; i++)
		tg_log(c.items[i].warning ? LOG_WARNING : LOG_ERR, "config", "%s", c.items[i].text);
	if (r < 0 && c.errors == 0)
		tg_log(LOG_ERR, "config", "%s: %s", a->o->config_path, strerror(-r));
	/* "systemctl status" shows it as long as the service stays down. */
	if (r < 0)
		(void) sd_notify(0, "STATUS=configuration refused, see \"tidegate check\"");
	tg_complaints_done(&c);
	return r;
}

static int take_lock(struct tg_agent *a, struct tg_fault *reterr)
{
	char path[PATH_MAX];
	int r = tg_file_mkdirs(a->o->state_dir, 0700, reterr);

	if (r < 0)
		return r;
	(void) snprintf(path, sizeof(path), "%s/lock", a->o->state_dir);
	a->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (a->lock < 0)
		return tg_fault_set(reterr, -errno, "cannot open %s: %s", path, strerror(errno));
	if (flock(a->lock, LOCK_EX | LOCK_NB) < 0)
		return tg_fault_set(reterr, -EBUSY, "another agent runs on %s", a->o->state_dir);
	return 0;
}

/* Called on the link's thread before each connect: tpm2-openssl needs the TPM to load, so it may have to wait for it. */
static int prepare_provider(void *user, struct tg_fault *reterr)
{
	struct tg_agent *a = user;
	int r = 0;

	if (!a->provider_ready)
		r = tg_provider_tpm2(a->tcti, reterr);
	a->provider_ready |= r == 0;
	return r;
}

static int start_tpm(struct tg_agent *a, struct tg_fault *reterr)
{
	struct tg_tpm_options o = { .tcti = a->cfg->tpm.tcti,
				    .timeout_us = a->cfg->tpm.timeout_us };
	int r = tg_tpm_new(&o, &a->tpm, reterr);

	a->tcti = strdup(o.tcti);
	if (r < 0 || !a->tcti)
		return r < 0 ? r : -ENOMEM;
	if (a->cfg->tpm.provider == TG_PROVIDER_BUILTIN) {
		r = tg_provider_builtin(a->tpm, reterr);
		a->provider_ready = r == 0;
	} else {
		r = prepare_provider(a, reterr);
		/* Too old stays too old; a TPM that is away may come. */
		if (r != -EOPNOTSUPP && r != -ENOENT)
			r = 0;
	}
	return r;
}

/* --- commands: what the desk and the link have to do with one another --- */

static struct tg_command_clock command_clock(void *user)
{
	const struct tg_pipeline_clock now = tg_timekeeping_now(user);

	return (struct tg_command_clock){
		.wall_us = (int64_t) tg_clock_boot_us() + now.wall_offset_us,
		.floor_us = tg_timekeeping_floor(user) * (int64_t) TG_US_PER_S,
		.trust = now.trust,
	};
}

static void publish_result(void *user, const char *device, const char *id, char *json, bool executed)
{
	struct tg_agent *a = user;

	if (tg_link_result(a->link, device, id, json, executed) == 0)
		return;
	free(json);
	/* In the ledger it stays untold, for the next start. */
	if (executed)
		tg_desk_gone(a->desk, id, false);
}

static void answer_client(void *user, uint64_t client, const char *json, const struct tg_fault *why)
{
	struct tg_agent *a = user;

	if (json)
		tg_control_answer(a->control, client, json, 0);
	else
		tg_control_refuse(a->control, client, TG_EXIT_FAILED, why->text);
}

static int on_command(void *user, const char *device, uint8_t *payload, size_t len)
{
	struct tg_agent *a = user;

	return tg_desk_deliver(a->desk, device, payload, len);
}

static void on_result_gone(void *user, const char *id, bool told)
{
	struct tg_agent *a = user;

	tg_desk_gone(a->desk, id, told);
}

static int start_desk(struct tg_agent *a)
{
	return tg_desk_new(&(struct tg_desk_options){ .loop = a->loop,
						      .state_dir = a->o->state_dir,
						      .fleet = a->fleet,
						      .clock = command_clock,
						      .clock_user = a->time,
						      .publish = publish_result,
						      .answer = answer_client,
						      .user = a },
			   &a->desk);
}

static int start_data_path(struct tg_agent *a, struct tg_fault *reterr)
{
	uint32_t epoch;
	int r = tg_timekeeping_new(a->loop, a->o->state_dir, tg_agent_on_clock, a, &a->time);

	(void) !tg_clock_boot_id(a->boot_id);
	if (r == 0)
		r = tg_spool_new(a->o->state_dir, a->cfg, tg_agent_on_spool_state, a, &a->spool,
				 reterr);
	/* Behind the spool, which knows numbers of the past even when the file of epochs is gone. */
	if (r == 0)
		r = tg_epoch_raise(a->o->state_dir, (uint32_t) (tg_spool_last_seq(a->spool) >> 32),
				   &epoch, reterr);
	if (r == 0)
		r = tg_pipeline_new(a->cfg, epoch, a->spool, a->tap, tg_timekeeping_now, a->time,
				    &a->pipeline);
	if (r == 0)
		r = tg_fleet_new(a->loop,
				 &(struct tg_worker_setup){
					 .pipeline = a->pipeline,
					 .state_dir = a->o->state_dir,
					 .device_changed = tg_agent_on_device_state,
					 .bus_changed = tg_agent_on_bus_state,
					 .user = a },
				 tg_agent_on_fleet, &a->fleet);
	/* Before the link, whose thread hands commands to it. */
	if (r == 0)
		r = start_desk(a);
	if (r == 0)
		r = tg_link_new(&(struct tg_link_options){ .state_dir = a->o->state_dir,
							   .spool = a->spool,
							   .epoch = epoch,
							   .clock = tg_timekeeping_now,
							   .believed_s = tg_timekeeping_believed_s,
							   .clock_user = a->time,
							   .report = tg_agent_on_link_report,
							   .prepare = prepare_provider,
							   .command = on_command,
							   .result_gone = on_result_gone,
							   .user = a },
				&a->link, reterr);
	return r;
}

static int start_rest(struct tg_agent *a, struct tg_fault *reterr)
{
	char socket[PATH_MAX] = TG_CONTROL_SOCKET;
	int r;

	if (a->o->runtime_dir)
		(void) snprintf(socket, sizeof(socket), "%s/" TG_CONTROL_NAME, a->o->runtime_dir);
	r = tg_agent_start_keeper(a);
	if (r == 0)
		r = tg_textfile_new(&a->textfile);
	if (r == 0)
		r = tg_verbs_new(a, &a->verbs);
	if (r == 0)
		r = tg_control_new(a->loop, socket, a->cfg->control.group, tg_verbs_request,
				   a->verbs, &a->control, reterr);
	if (r == 0)
		r = tg_tpm_watch_new(a->tpm, a->o->state_dir, tg_agent_on_tpm_report, a, &a->watch,
				     reterr);
	if (r < 0)
		return r;
	r = tg_fleet_configure(a->fleet, a->cfg);
	if (r == 0)
		r = tg_keeper_configure(a->keeper, a->cfg);
	/* Before the workers' first news, which the loop has not seen yet, nothing counts as stuck. */
	a->spool_state.progress_us = a->link_report.progress_us = tg_clock_boot_us();
	tg_agent_keep_floor(a);
	tg_agent_configure_link(a);
	return r;
}

static int add_signals(struct tg_agent *a)
{
	static const int ends[] = { SIGTERM, SIGINT };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < TG_ARRAY_SIZE(ends); i++)
		r = sd_event_add_signal(a->loop, NULL, ends[i], NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(a->loop, NULL, SIGHUP, tg_agent_on_hangup, a);
	return r;
}

static int add_source(sd_event_source *s, const char *name)
{
	(void) sd_event_source_set_description(s, name);
	return sd_event_source_set_exit_on_failure(s, true);
}

static int start_loop(struct tg_agent *a)
{
	int r = sd_event_new(&a->loop);

	if (r >= 0)
		r = add_signals(a);
	if (r >= 0)
		r = tg_mailbox_new(NEWS_SLOTS, sizeof(struct tg_news), tg_agent_drop_news, &a->news);
	if (r >= 0)
		r = tg_mailbox_new(TAP_SLOTS, sizeof(struct tg_parcel *), tg_parcel_drop, &a->tap);
	if (r >= 0)
		r = sd_event_add_io(a->loop, &a->news_io, tg_mailbox_fd(a->news), EPOLLIN,
				    tg_agent_on_news_io, a);
	if (r >= 0)
		r = add_source(a->news_io, "news");
	if (r >= 0)
		r = sd_event_add_io(a->loop, &a->tap_io, tg_mailbox_fd(a->tap), EPOLLIN,
				    tg_agent_on_tap_io, a);
	if (r >= 0)
		r = add_source(a->tap_io, "tap");
	if (r >= 0)
		r = sd_event_add_time(a->loop, &a->tick, CLOCK_BOOTTIME, 0, 100 * TG_US_PER_MS,
				      tg_agent_on_tick, a);
	if (r >= 0)
		r = sd_event_source_set_enabled(a->tick, SD_EVENT_ON);
	if (r >= 0)
		r = add_source(a->tick, "tick");
	return r < 0 ? r : 0;
}

/*
 * What cannot be used is mended or cleared away by the recovery: the operator shall know what was wrong with it. On a
 * full disk some of it waits for the next start; readings do not.
 */
static int recover(struct tg_agent *a, struct tg_fault *reterr)
{
	struct tg_fault damage = { .text = "" }, why = { .text = "" };
	struct tg_manifest m;
	bool damaged = tg_generation_read(a->o->state_dir, TG_SLOT_CURRENT, &m, &damage) == -EBADMSG;
	int r = tg_generation_recover(a->o->state_dir, &why);

	if (r < 0 && r != -ENOSPC && r != -EDQUOT)
		return tg_fault_set(reterr, r, "%s", why.text);
	if (r < 0)
		tg_log(LOG_ERR, "agent", "the identity is not tidied up: %s", why.text);
	if (damaged && tg_generation_read(a->o->state_dir, TG_SLOT_CURRENT, &m, NULL) == 0) {
		tg_log(LOG_WARNING, "agent", "the current identity was damaged, using generation %u: %s",
		       m.number, damage.text);
	} else if (damaged) {
		memcpy(a->identity_lost, damage.text, sizeof(a->identity_lost));
		tg_log(LOG_ERR, "agent", "the current identity cannot be used: %s", damage.text);
	}
	return 0;
}

/* What a power cut left beside the identity; it does no harm but for the room that it takes. */
static void tidy(struct tg_agent *a)
{
	struct tg_fault why = { .text = "" };
	int r = tg_file_sweep(AT_FDCWD, a->o->state_dir, &why);

	if (r == 0)
		r = tg_journal_settle(a->o->state_dir, &why);
	if (r < 0)
		tg_log(LOG_WARNING, "agent", "leaving what a power cut left: %s", why.text);
}

static int start(struct tg_agent *a, struct tg_fault *reterr)
{
	int r = take_lock(a, reterr);

	if (r == 0)
		r = recover(a, reterr);
	if (r == 0)
		tidy(a);
	/* First of all that could start a thread, as it changes the environment. */
	if (r == 0)
		r = tg_mqtt_global_init(reterr);
	if (r == 0)
		r = start_loop(a);
	if (r == 0)
		r = start_tpm(a, reterr);
	tg_specifiers_system(&a->spec);
	(void) tg_agent_expand_id(a);
	if (r == 0)
		r = start_data_path(a, reterr);
	if (r == 0)
		r = start_rest(a, reterr);
	return r;
}

/* What the disk does not take the broker may: a last chance for packs that would end with the process. */
static void leave_to_broker(struct tg_agent *a)
{
	uint64_t until = tg_clock_boot_us() + BROKER_STOP_US, now;

	if (!a->spool || !a->link || a->link_report.state != TG_LINK_ONLINE || tg_spool_commit(a->spool) < 0)
		return;
	while (tg_spool_stranded(a->spool) > 0 && (now = tg_clock_boot_us()) < until)
		tg_clock_sleep_until(now + BROKER_LOOK_US);
}

/*
 * Sources first, sinks last, so that what was read still reaches the disk; @ret_kept is left alone, or says that it did not. Returns
 * whether every thread has ended; one that hangs in a library keeps what it uses.
 */
static bool stop(struct tg_agent *a, bool *ret_kept)
{
	uint64_t until = tg_clock_boot_us() + STOP_US, link_until, now;
	bool clean = true;

	a->control = tg_control_free(a->control);
	a->verbs = tg_verbs_free(a->verbs);
	a->keeper = tg_keeper_free(a->keeper);
	clean &= tg_fleet_stop(a->fleet, FLEET_STOP_US) == 0;
	link_until = tg_clock_boot_us() + LINK_STOP_US;
	leave_to_broker(a);
	now = tg_clock_boot_us();
	if (a->link)
		clean &= tg_link_stop(a->link, link_until > now ? link_until - now : 0) == 0;
	/* What the others left of their time is the spool's: its last commit is what matters. */
	now = tg_clock_boot_us();
	if (a->spool)
		*ret_kept = tg_spool_stop(a->spool, until > now + SPOOL_STOP_US ? until - now : SPOOL_STOP_US) == 0;
	clean &= *ret_kept;
	if (a->time)
		clean &= tg_timekeeping_stop(a->time, TIME_STOP_US) == 0;
	if (a->watch)
		clean &= tg_tpm_watch_stop(a->watch, WATCH_STOP_US) == 0;
	clean &= tg_textfile_stop(a->textfile, TEXTFILE_STOP_US) == 0;
	return clean;
}

static void release(struct tg_agent *a)
{
	a->fleet = tg_fleet_free(a->fleet);
	a->watch = tg_tpm_watch_free(a->watch);
	a->link = tg_link_free(a->link);
	/* Behind those that hand tasks back and commands in. */
	a->desk = tg_desk_free(a->desk);
	a->pipeline = tg_pipeline_free(a->pipeline);
	a->spool = tg_spool_free(a->spool);
	a->time = tg_timekeeping_free(a->time);
	a->tpm = tg_tpm_free(a->tpm);
	a->textfile = tg_textfile_free(a->textfile);
	sd_event_source_unref(a->tick);
	sd_event_source_unref(a->news_io);
	sd_event_source_unref(a->tap_io);
	a->news = tg_mailbox_free(a->news);
	a->tap = tg_mailbox_free(a->tap);
	sd_event_unref(a->loop);
	tg_config_unref(a->cfg);
	free(a->tcti);
	tg_closep(&a->lock);
}

static int run(struct tg_agent *a)
{
	struct tg_fault why = { .text = "" };
	int r = start(a, &why);

	if (r < 0) {
		const char *reason = why.text[0] ? why.text : strerror(-r);

		tg_log(LOG_ERR, "agent", "cannot start: %s", reason);
		(void) sd_notifyf(0, "STATUS=cannot start: %s", reason);
		/* Neither build nor spool changes by a restart. */
		return r == -EOPNOTSUPP || r == -EPROTONOSUPPORT ? TG_EXIT_CONFIG : TG_EXIT_FAILED;
	}
	tg_event(TG_EV_STARTED, LOG_NOTICE, "tidegate " TIDEGATE_VERSION " runs", NULL);
	(void) sd_notify(0, "READY=1");
	r = sd_event_loop(a->loop);
	(void) sd_notify(0, "STOPPING=1\nSTATUS=stopping: committing what is not acknowledged");
	tg_event(TG_EV_STOPPING, LOG_NOTICE, "Stopping", NULL);
	return r < 0 ? TG_EXIT_FAILED : TG_EXIT_OK;
}

int tg_agent_run(const struct tg_agent_options *o, bool *ret_hurry)
{
	struct tg_agent *a = calloc(1, sizeof(*a));
	bool kept = true;
	sigset_t blocked;
	int code;

	if (!a)
		return TG_EXIT_FAILED;
	a->o = o;
	a->lock = -1;
	a->started_us = tg_clock_boot_us();
	/* Before the first thread, so that all inherit it and signals reach the loop alone. */
	(void) sigemptyset(&blocked);
	(void) sigaddset(&blocked, SIGTERM);
	(void) sigaddset(&blocked, SIGINT);
	(void) sigaddset(&blocked, SIGHUP);
	(void) sigaddset(&blocked, SIGCHLD);
	(void) sigprocmask(SIG_BLOCK, &blocked, NULL);
	(void) signal(SIGPIPE, SIG_IGN);
	(void) signal(SIGXFSZ,
		      SIG_IGN); /* a limit on file sizes is an error of write(), not the end */
	if (load_first(a) < 0) {
		free(a);
		*ret_hurry = false;
		return TG_EXIT_CONFIG;
	}
	code = run(a);
	*ret_hurry = !stop(a, &kept);
	if (!kept)
		code = TG_EXIT_FAILED;
	if (!*ret_hurry) {
		release(a);
		free(a);
		*ret_hurry = tg_tpm_threads() > 0;
	}
	return code;
}
