/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include "agent/control/verbs.h"
#include "agent/fleet.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "config/load.h"
#include "config/specifier.h"
#include "tpm/provider.h"

#include <tidegate/log.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#define NEWS_SLOTS 1024 /* states of every device at once, and more of the rest */
#define TAP_SLOTS 256	/* readings for `read`, `watch` and the last values */
#define TICK_US TG_US_PER_S
#define STATUS_GAP_US (10 * TG_US_PER_S)   /* between two retained status documents */
#define TPM_GAP_US (5 * TG_US_PER_S) /* between two questions to the TPM out of turn */
#define STATUS_EVERY_US (300 * TG_US_PER_S)
#define SPOOL_PATIENCE_US (30 * TG_US_PER_S) /* one commit on a slow card */
#define MQTT_PATIENCE_US (60 * TG_US_PER_S)  /* for a session that the library does not give back */
#define LINK_STOP_US (2500 * TG_US_PER_MS)   /* with the rest below: SIGTERM to exit in five seconds */
#define STOP_US (4700 * TG_US_PER_MS)
#define FLEET_STOP_US (1000 * TG_US_PER_MS)
#define SPOOL_STOP_US (1000 * TG_US_PER_MS) /* at least */
#define WATCH_STOP_US (100 * TG_US_PER_MS)

struct tg_agent {
	const struct tg_agent_options *o;
	int lock; /* fd of STATE/lock, held while we run */
	struct tg_config *cfg;
	struct tg_specifiers spec;
	uint64_t started_us;

	sd_event *loop;
	sd_event_source *tick, *news_io, *tap_io;
	struct tg_mailbox *news, *tap;

	struct tg_tpm *tpm;
	char *tcti; /* as at the start: the link's thread reads it while configurations come and go */
	bool provider_ready; /* the link's thread alone looks at it after the start */
	struct tg_timekeeping *time;
	struct tg_spool *spool;
	struct tg_pipeline *pipeline;
	struct tg_link *link;
	struct tg_tpm_watch *watch;
	struct tg_keeper *keeper;
	struct tg_fleet *fleet;
	struct tg_control *control;
	struct tg_verbs *verbs;

	/* the newest of what was told */
	struct tg_link_report link_report;
	struct tg_spool_state spool_state;
	struct tg_tpm_report tpm_report;
	uint64_t tpm_asked_us; /* out of turn */
	const char *stuck;
	uint64_t status_us;
	bool status_due;
	bool link_due; /* has not got its configuration yet */
	uint64_t lost_us; /* since when Paho has not given a session back; 0: it has */
	char line[200]; /* last told to systemd */
};

struct tg_control *tg_agent_control(struct tg_agent *a)
{
	return a->control;
}

const struct tg_config *tg_agent_config(const struct tg_agent *a)
{
	return tg_fleet_config(a->fleet);
}

struct tg_keeper *tg_agent_keeper(struct tg_agent *a)
{
	return a->keeper;
}

sd_event *tg_agent_loop(struct tg_agent *a)
{
	return a->loop;
}

struct tg_parcel *tg_agent_last(struct tg_agent *a, size_t i)
{
	return tg_fleet_last(a->fleet, i);
}

int tg_agent_poll_now(struct tg_agent *a, size_t i)
{
	return tg_fleet_poll_now(a->fleet, i);
}

void tg_agent_look_at_tpm(struct tg_agent *a)
{
	uint64_t now = tg_clock_boot_us();

	if (now < tg_us_add(a->tpm_asked_us, TPM_GAP_US))
		return;
	a->tpm_asked_us = now;
	tg_tpm_watch_poke(a->watch);
}

void tg_agent_picture(struct tg_agent *a, struct tg_picture *ret)
{
	*ret = (struct tg_picture) {
		.cfg = a->cfg,
		.spec = &a->spec,
		.config_path = a->o->config_path,
		.started_us = a->started_us,
		.now_us = tg_clock_boot_us(),
		.wall_us = tg_clock_wall_us(),
		.clock = tg_timekeeping_now(a->time).trust,
		.floor_s = tg_timekeeping_floor(a->time),
		.link = a->link_report,
		.spool = a->spool_state,
		.tpm = a->tpm_report,
		.fleet = tg_fleet_config(a->fleet),
		.devices = tg_fleet_states(a->fleet),
		.stuck = a->stuck,
	};
	tg_keeper_status(a->keeper, &ret->keeper);
}

/* --- news from the threads --------------------------------------------------------------------------------------- */

static void post(struct tg_agent *a, const struct tg_news *n)
{
	/* Each is a whole state: the next one makes a lost one good. */
	(void) !tg_mailbox_post(a->news, n);
}

static void on_device_state(void *user, const struct tg_device_state *state)
{
	post(user, &(struct tg_news) { .type = TG_NEWS_DEVICE, .device = *state });
}

static void on_fleet(void *user)
{
	struct tg_agent *a = user;

	tg_verbs_reconfigured(a->verbs);
	a->status_due = true;
}

static void on_spool_state(void *user, const struct tg_spool_state *state)
{
	post(user, &(struct tg_news) { .type = TG_NEWS_SPOOL, .spool = *state });
}

static void on_link_report(void *user, const struct tg_link_report *report)
{
	post(user, &(struct tg_news) { .type = TG_NEWS_LINK, .link = *report });
}

static void on_tpm_report(void *user, const struct tg_tpm_report *report)
{
	post(user, &(struct tg_news) { .type = TG_NEWS_TPM, .tpm = *report });
}

static void publish_status(struct tg_agent *a)
{
	tg_autofree char *json = NULL;
	struct tg_picture p;

	tg_agent_picture(a, &p);
	json = tg_status_json(&p, true);
	a->status_due = true;
	if (!json || tg_link_status(a->link, json) < 0)
		return; /* due again at the next tick */
	json = NULL;
	a->status_due = false;
	a->status_us = p.now_us;
}

/* The setup goes out when the configuration or an id has changed. */
static void configure_link(struct tg_agent *a)
{
	struct tg_link_setup setup = { .cfg = tg_config_ref(a->cfg), .spec = a->spec };

	/* Its mailbox is full while a call of a library holds it up: the tick tries again. */
	a->link_due = tg_link_configure(a->link, &setup) < 0;
	if (a->link_due)
		tg_config_unref(setup.cfg);
}

/* Returns whether %i has changed. */
static bool expand_id(struct tg_agent *a)
{
	char id[sizeof(a->spec.id)] = "";
	bool changed;

	if (tg_specifiers_expand(&a->spec, a->cfg->gateway.id, id, sizeof(id), NULL) < 0)
		id[0] = '\0';
	changed = strcmp(id, a->spec.id) != 0;
	memcpy(a->spec.id, id, sizeof(id));
	return changed;
}

static void on_tpm(struct tg_agent *a, const struct tg_tpm_report *r)
{
	bool differs = (r->error < 0) != (a->tpm_report.error < 0);

	a->tpm_report = *r;
	a->status_due |= differs;
	/* What the link has waited for need not wait for the end of its back-off. */
	if (differs && r->error == 0 && a->link_report.cause == TG_MQTT_CAUSE_TPM)
		(void) !tg_link_identity_changed(a->link);
	if (!r->id[0] || strcmp(r->id, a->spec.tpm) == 0)
		return;
	memcpy(a->spec.tpm, r->id, sizeof(a->spec.tpm));
	if (expand_id(a))
		tg_log(LOG_INFO, "agent", "this gateway is '%s'", a->spec.id);
	/* Topics can name the TPM where the id does not. */
	configure_link(a);
}

static void on_link(struct tg_agent *a, const struct tg_link_report *r)
{
	bool promoted = r->promoted, asked = r->wants_status;

	a->link_report = *r;
	tg_timekeeping_raise_floor(a->time, r->peer_not_before);
	if (promoted)
		tg_tpm_watch_poke(a->watch);
	if (r->cause == TG_MQTT_CAUSE_TPM)
		tg_agent_look_at_tpm(a);
	if (asked)
		publish_status(a);
}

static void on_news(struct tg_agent *a, const struct tg_news *n)
{
	switch (n->type) {
	case TG_NEWS_DEVICE:
		a->status_due |= tg_fleet_note(a->fleet, &n->device);
		return;
	case TG_NEWS_SPOOL:
		a->status_due |= (n->spool.error != 0) != (a->spool_state.error != 0);
		a->spool_state = n->spool;
		return;
	case TG_NEWS_LINK:
		on_link(a, &n->link);
		return;
	case TG_NEWS_TPM:
		on_tpm(a, &n->tpm);
		return;
	}
}

static int on_news_io(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct tg_agent *a = user;
	struct tg_news n;

	(void) s;
	(void) fd;
	(void) events;
	while (tg_mailbox_take(a->news, &n))
		on_news(a, &n);
	return 0;
}

static int on_tap_io(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct tg_agent *a = user;
	struct tg_parcel *p;

	(void) s;
	(void) fd;
	(void) events;
	while (tg_mailbox_take(a->tap, &p)) {
		size_t device;

		if (tg_fleet_keep(a->fleet, p, &device) == 0)
			tg_verbs_reading(a->verbs, device, p);
		tg_parcel_unref(p);
	}
	return 0;
}

static void on_identity(void *user)
{
	struct tg_agent *a = user;

	tg_tpm_watch_poke(a->watch);
	if (tg_link_identity_changed(a->link) < 0)
		tg_log(LOG_WARNING, "agent", "the link is busy; it finds the new identity by itself");
	a->status_due = true;
}

/* --- time and watchdog ------------------------------------------------------------------------------------------- */

/* The name of a thread that has shown no progress for longer than it may take, or NULL. */
static const char *find_stuck(struct tg_agent *a, uint64_t now)
{
	if (now > tg_us_add(a->link_report.progress_us, tg_link_patience_us() + a->cfg->tpm.timeout_us))
		return "link";
	/* The link's own thread goes on, but can make no session any more. */
	if (!tg_mqtt_stuck())
		a->lost_us = 0;
	else if (!a->lost_us)
		a->lost_us = now;
	else if (now > tg_us_add(a->lost_us, MQTT_PATIENCE_US))
		return "MQTT library";
	if (now > tg_us_add(a->spool_state.progress_us, SPOOL_PATIENCE_US))
		return "spool";
	return tg_fleet_stuck(a->fleet, now);
}

static void tell_systemd(struct tg_agent *a)
{
	struct tg_picture p;
	char line[sizeof(a->line)];

	tg_agent_picture(a, &p);
	tg_status_line(&p, line, sizeof(line));
	if (strcmp(line, a->line) == 0)
		return;
	memcpy(a->line, line, sizeof(line));
	(void) sd_notifyf(0, "STATUS=%s", line);
}

static void keep_floor(struct tg_agent *a)
{
	struct tg_manifest m;

	if (tg_generation_read(a->o->state_dir, TG_SLOT_CURRENT, &m, NULL) < 0)
		return;
	tg_timekeeping_raise_floor(a->time, m.not_before);
	(void) !tg_link_floor(a->link, tg_timekeeping_floor(a->time));
}

static int on_tick(sd_event_source *s, uint64_t usec, void *user)
{
	struct tg_agent *a = user;
	uint64_t now = tg_clock_boot_us();

	(void) usec;
	a->stuck = find_stuck(a, now);
	/* Fed only while every thread moves: a stuck one gets the whole agent restarted, and the status names it. */
	if (!a->stuck)
		(void) sd_notify(0, "WATCHDOG=1");
	tg_timekeeping_refresh(a->time);
	if (a->link_due)
		configure_link(a);
	if ((a->status_due && now - a->status_us >= STATUS_GAP_US) || now - a->status_us >= STATUS_EVERY_US) {
		keep_floor(a);
		if (a->link_report.state == TG_LINK_ONLINE)
			publish_status(a);
		else
			a->status_us = now;
	}
	tell_systemd(a);
	return sd_event_source_set_time(s, now + TICK_US) < 0 ? -EIO : 0;
}

/* --- configuration ----------------------------------------------------------------------------------------------- */

static char *complaints_text(const struct tg_complaints *c)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(64 * 1024);

	for (size_t i = 0; i < c->n; i++)
		tg_buffer_addf(&b, "%s%s%s", i ? "\n" : "", c->items[i].warning ? "warning: " : "",
			       c->items[i].text);
	if (c->errors + c->warnings > c->n)
		tg_buffer_addf(&b, "\nand %zu more", c->errors + c->warnings - c->n);
	return strdup(tg_buffer_text(&b));
}

static void warn_restart(const struct tg_config *was, const struct tg_config *is)
{
	if (strcmp(was->tpm.tcti, is->tpm.tcti) != 0 || was->tpm.provider != is->tpm.provider)
		tg_log(LOG_WARNING, "agent", "changes in [tpm] take effect at the next start");
}

static void swap_config(struct tg_agent *a, struct tg_config *cfg)
{
	warn_restart(a->cfg, cfg);
	tg_config_unref(a->cfg);
	a->cfg = cfg;
	(void) expand_id(a);
	if (tg_fleet_configure(a->fleet, cfg) < 0)
		tg_log(LOG_ERR, "agent", "out of memory: the buses do not run");
	if (tg_spool_configure(a->spool, cfg) < 0)
		tg_log(LOG_ERR, "agent", "the spool does not take its new limits");
	configure_link(a);
	if (tg_keeper_configure(a->keeper, cfg) < 0)
		tg_log(LOG_ERR, "agent", "enrolment does not take its configuration");
	a->status_due = true;
}

int tg_agent_reload(struct tg_agent *a, char **ret_text)
{
	struct tg_complaints c = { .n = 0 };
	struct tg_config *cfg;
	struct timespec now;
	int r;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	(void) sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
			  (unsigned long long) now.tv_sec * TG_US_PER_S + (unsigned long long) now.tv_nsec / 1000);
	r = tg_config_load(a->o->config_path, &c, &cfg);
	*ret_text = complaints_text(&c);
	tg_complaints_done(&c);
	if (r == 0)
		swap_config(a, cfg);
	else
		tg_event(TG_EV_CONFIG_REFUSED, LOG_ERR, "The new configuration is refused; the old one stays",
			 TG_F_REASON, *ret_text && **ret_text ? *ret_text : strerror(-r), NULL);
	(void) sd_notify(0, "READY=1");
	return r;
}

static int on_hangup(sd_event_source *s, const struct signalfd_siginfo *si, void *user)
{
	tg_autofree char *text = NULL;

	(void) s;
	(void) si;
	if (tg_agent_reload(user, &text) < 0)
		tg_log(LOG_ERR, "config", "%s", text ? text : "out of memory");
	else if (text && *text)
		tg_log(LOG_WARNING, "config", "%s", text);
	return 0;
}

/* --- start and stop ---------------------------------------------------------------------------------------------- */

static int load_first(struct tg_agent *a)
{
	struct tg_complaints c = { .n = 0 };
	int r = tg_config_load(a->o->config_path, &c, &a->cfg);

	for (size_t i = 0; i < c.n; i++)
		tg_log(c.items[i].warning ? LOG_WARNING : LOG_ERR, "config", "%s", c.items[i].text);
	if (r < 0 && c.errors == 0)
		tg_log(LOG_ERR, "config", "%s: %s", a->o->config_path, strerror(-r));
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
	struct tg_tpm_options o = { .tcti = a->cfg->tpm.tcti, .timeout_us = a->cfg->tpm.timeout_us };
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

static int start_data_path(struct tg_agent *a, struct tg_fault *reterr)
{
	uint32_t epoch;
	int r = tg_timekeeping_new(&a->time);

	if (r == 0)
		r = tg_spool_new(a->o->state_dir, a->cfg, on_spool_state, a, &a->spool, reterr);
	/* Behind the spool, which knows numbers of the past even when the file of epochs is gone. */
	if (r == 0)
		r = tg_epoch_raise(a->o->state_dir, (uint32_t) (tg_spool_last_seq(a->spool) >> 32), &epoch,
				   reterr);
	if (r == 0)
		r = tg_pipeline_new(a->cfg, epoch, a->spool, a->tap, tg_timekeeping_now, a->time, &a->pipeline);
	if (r == 0)
		r = tg_link_new(&(struct tg_link_options) { .state_dir = a->o->state_dir,
							    .spool = a->spool,
							    .clock = tg_timekeeping_now,
							    .clock_user = a->time,
							    .report = on_link_report,
							    .prepare = prepare_provider,
							    .user = a },
				&a->link, reterr);
	if (r == 0)
		r = tg_fleet_new(a->loop, a->pipeline, on_device_state, on_fleet, a, &a->fleet);
	return r;
}

static int start_rest(struct tg_agent *a, struct tg_fault *reterr)
{
	struct tg_keeper_options k = { a->o->helper, a->o->config_path, a->o->state_dir };
	char socket[PATH_MAX] = TG_CONTROL_SOCKET;
	int r;

	if (a->o->runtime_dir)
		(void) snprintf(socket, sizeof(socket), "%s/" TG_CONTROL_NAME, a->o->runtime_dir);
	r = tg_keeper_new(a->loop, &k, on_identity, a, &a->keeper);
	if (r == 0)
		r = tg_verbs_new(a, &a->verbs);
	if (r == 0)
		r = tg_control_new(a->loop, socket, a->cfg->control.group, tg_verbs_request, a->verbs,
				   &a->control, reterr);
	if (r == 0)
		r = tg_tpm_watch_new(a->tpm, a->o->state_dir, on_tpm_report, a, &a->watch, reterr);
	if (r < 0)
		return r;
	r = tg_fleet_configure(a->fleet, a->cfg);
	if (r == 0)
		r = tg_keeper_configure(a->keeper, a->cfg);
	/* Before the workers' first news, which the loop has not seen yet, nothing counts as stuck. */
	a->spool_state.progress_us = a->link_report.progress_us = tg_clock_boot_us();
	keep_floor(a);
	configure_link(a);
	return r;
}

static int add_signals(struct tg_agent *a)
{
	static const int ends[] = { SIGTERM, SIGINT };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < TG_ARRAY_SIZE(ends); i++)
		r = sd_event_add_signal(a->loop, NULL, ends[i], NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(a->loop, NULL, SIGHUP, on_hangup, a);
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
		r = tg_mailbox_new(NEWS_SLOTS, sizeof(struct tg_news), NULL, &a->news);
	if (r >= 0)
		r = tg_mailbox_new(TAP_SLOTS, sizeof(struct tg_parcel *), tg_parcel_drop, &a->tap);
	if (r >= 0)
		r = sd_event_add_io(a->loop, &a->news_io, tg_mailbox_fd(a->news), EPOLLIN, on_news_io, a);
	if (r >= 0)
		r = add_source(a->news_io, "news");
	if (r >= 0)
		r = sd_event_add_io(a->loop, &a->tap_io, tg_mailbox_fd(a->tap), EPOLLIN, on_tap_io, a);
	if (r >= 0)
		r = add_source(a->tap_io, "tap");
	if (r >= 0)
		r = sd_event_add_time(a->loop, &a->tick, CLOCK_BOOTTIME, 0, 100 * TG_US_PER_MS, on_tick, a);
	if (r >= 0)
		r = sd_event_source_set_enabled(a->tick, SD_EVENT_ON);
	if (r >= 0)
		r = add_source(a->tick, "tick");
	return r < 0 ? r : 0;
}

static int start(struct tg_agent *a, struct tg_fault *reterr)
{
	int r = take_lock(a, reterr);

	if (r == 0)
		r = tg_generation_recover(a->o->state_dir, reterr);
	/* First of all that could start a thread, as it changes the environment. */
	if (r == 0)
		r = tg_mqtt_global_init(reterr);
	if (r == 0)
		r = start_loop(a);
	if (r == 0)
		r = start_tpm(a, reterr);
	tg_specifiers_system(&a->spec);
	(void) expand_id(a);
	if (r == 0)
		r = start_data_path(a, reterr);
	if (r == 0)
		r = start_rest(a, reterr);
	return r;
}

/*
 * Sources first, sinks last, so that what was read still reaches the disk. Returns whether every thread has ended; one that hangs in
 * a library keeps what it uses.
 */
static bool stop(struct tg_agent *a)
{
	uint64_t until = tg_clock_boot_us() + STOP_US, now;
	bool clean = true;

	(void) sd_notify(0, "STOPPING=1\nSTATUS=stopping: committing what is not acknowledged");
	a->control = tg_control_free(a->control);
	a->verbs = tg_verbs_free(a->verbs);
	a->keeper = tg_keeper_free(a->keeper);
	clean &= tg_fleet_stop(a->fleet, FLEET_STOP_US) == 0;
	if (a->link)
		clean &= tg_link_stop(a->link, LINK_STOP_US) == 0;
	/* What the others left of their time is the spool's: its last commit is what matters. */
	now = tg_clock_boot_us();
	if (a->spool)
		clean &= tg_spool_stop(a->spool, until > now + SPOOL_STOP_US ? until - now : SPOOL_STOP_US) == 0;
	if (a->watch)
		clean &= tg_tpm_watch_stop(a->watch, WATCH_STOP_US) == 0;
	return clean;
}

static void release(struct tg_agent *a)
{
	a->fleet = tg_fleet_free(a->fleet);
	a->watch = tg_tpm_watch_free(a->watch);
	a->link = tg_link_free(a->link);
	a->pipeline = tg_pipeline_free(a->pipeline);
	a->spool = tg_spool_free(a->spool);
	a->time = tg_timekeeping_free(a->time);
	a->tpm = tg_tpm_free(a->tpm);
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
		tg_log(LOG_ERR, "agent", "cannot start: %s", why.text[0] ? why.text : strerror(-r));
		return r == -EOPNOTSUPP ? TG_EXIT_CONFIG : TG_EXIT_FAILED;
	}
	tg_event(TG_EV_STARTED, LOG_NOTICE, "tidegate " TIDEGATE_VERSION " runs", NULL);
	(void) sd_notify(0, "READY=1");
	r = sd_event_loop(a->loop);
	tg_event(TG_EV_STOPPING, LOG_NOTICE, "Stopping", NULL);
	return r < 0 ? TG_EXIT_FAILED : TG_EXIT_OK;
}

int tg_agent_run(const struct tg_agent_options *o, bool *ret_hurry)
{
	struct tg_agent *a = calloc(1, sizeof(*a));
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
	(void) signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of write(), not the end */
	if (load_first(a) < 0) {
		free(a);
		*ret_hurry = false;
		return TG_EXIT_CONFIG;
	}
	code = run(a);
	*ret_hurry = !stop(a);
	if (!*ret_hurry) {
		release(a);
		free(a);
	}
	return code;
}
