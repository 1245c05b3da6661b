/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_internal.h"

#include "agent/status/metrics.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "config/load.h"

#include <tidegate/log.h>

#include <errno.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#define TICK_US           TG_US_PER_S
#define STATUS_GAP_US     (10 * TG_US_PER_S) /* between two retained status documents */
#define TPM_GAP_US        (2 * TG_US_PER_S)  /* between two questions to the TPM out of turn */
#define STATUS_EVERY_US   (300 * TG_US_PER_S)
#define SPOOL_PATIENCE_US (30 * TG_US_PER_S) /* one commit on a slow card */
#define NUMBERS_LOW       (UINT64_C(1) << 28)  /* numbers left, at which the next epoch is begun */
#define MQTT_PATIENCE_US  (60 * TG_US_PER_S) /* for a session that the library does not give back */

struct tg_control *tg_agent_control(struct tg_agent *a)
{
	return a->control;
}

const struct tg_config *tg_agent_config(const struct tg_agent *a)
{
	return tg_fleet_config(a->fleet);
}

const char *tg_agent_state_dir(const struct tg_agent *a)
{
	return a->o->state_dir;
}

struct tg_keeper *tg_agent_keeper(struct tg_agent *a)
{
	return a->keeper;
}

int tg_agent_list_aside(struct tg_agent *a, tg_client client)
{
	return tg_spool_list_aside(a->spool, client, tg_agent_on_aside);
}

struct tg_desk *tg_agent_desk(struct tg_agent *a)
{
	return a->desk;
}

sd_event *tg_agent_loop(struct tg_agent *a)
{
	return a->loop;
}

uint64_t tg_agent_patience_us(const struct tg_agent *a, size_t i)
{
	return tg_fleet_patience_us(a->fleet, i);
}

bool tg_agent_device_is_polled(const struct tg_agent *a, size_t i)
{
	return tg_fleet_states(a->fleet)[i].asked;
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
	*ret = (struct tg_picture){
		.cfg = a->cfg,
		.spec = &a->spec,
		.config_path = a->o->config_path,
		.started_us = a->started_us,
		.now_us = tg_clock_boot_us(),
		.wall_us = tg_clock_wall_us(),
		.link = a->link_report,
		.spool = a->spool_state,
		.tpm = a->tpm_report,
		.fleet = tg_fleet_config(a->fleet),
		.devices = tg_fleet_states(a->fleet),
		.buses = tg_fleet_buses(a->fleet),
		.stuck = a->stuck,
		.identity_lost = a->identity_lost,
		.claim = &a->claim,
	};
	memcpy(ret->boot_id, a->boot_id, sizeof(ret->boot_id));
	tg_desk_state(a->desk, &ret->commands);
	ret->safe = tg_desk_safe(a->desk);
	tg_timekeeping_state(a->time, &ret->time);
	tg_keeper_status(a->keeper, &ret->keeper);
}

/* --- time and watchdog ------------------------------------------------------------------------------------------- */

/* The name of a thread that has shown no progress for longer than it may take, or NULL. */
static const char *find_stuck(struct tg_agent *a, uint64_t now)
{
	if (now >
	    tg_us_add(a->link_report.progress_us, tg_link_patience_us() + a->cfg->tpm.timeout_us))
		return "link";
	/* The link's own thread goes on, but can make no session any more. */
	if (!tg_mqtt_stuck())
		a->lost_us = 0;
	else if (!a->lost_us)
		a->lost_us = now;
	/* A TPM that hangs keeps it for a signature's time-out, and is no reason to restart. */
	else if (now > tg_us_add(a->lost_us, MQTT_PATIENCE_US + a->cfg->tpm.timeout_us))
		return "MQTT library";
	if (now > tg_us_add(a->spool_state.progress_us, SPOOL_PATIENCE_US))
		return "spool";
	return tg_fleet_stuck(a->fleet, now);
}

static void tell_expiry(enum tg_expiry_level level, const struct tg_picture *p)
{
	const struct tg_manifest *m = &p->keeper.current;
	/* By hand there are no attempts of which the last would tell. */
	const char *why = p->keeper.by_hand ? "" : p->keeper.last.text;
	bool fails = !p->keeper.by_hand && !p->keeper.asked;
	char until[32], generation[16], text[96];

	(void) tg_clock_iso(m->not_after * (int64_t) TG_US_PER_S, until);
	(void) snprintf(generation, sizeof(generation), "%u", m->number);
	(void) snprintf(text, sizeof(text), "The certificate runs out%s, and %s",
			level == TG_EXPIRY_VERY_SOON ? " very soon" : "",
			fails ? "its renewal fails" : "there is no new one");
	tg_event(level == TG_EXPIRY_OVER ? TG_EV_EXPIRED : TG_EV_EXPIRING, LOG_ERR,
		 level == TG_EXPIRY_OVER ? "The certificate has expired" : text, TG_F_VALID_UNTIL, until, TG_F_GENERATION, generation, TG_F_CERT_SERIAL, m->serial,
		 TG_F_REASON, *why ? why : p->keeper.reason_text, NULL);
}

static void watch_expiry(struct tg_agent *a, const struct tg_picture *p)
{
	struct tg_expiry_facts f = {
		.generation = p->keeper.has_current ? p->keeper.current.number : 0,
		.not_before = p->keeper.current.not_before,
		.not_after = p->keeper.current.not_after,
		/* A clock that was just set by who knows whom makes no alarm. */
		.believed_s = p->time.waiting ? p->time.floor_s : p->time.believed_s,
		.failing = p->keeper.failures > 0 || p->keeper.asked > 0 ||
			   p->keeper.state == TG_KEEPER_STUCK ||
			   p->keeper.state == TG_KEEPER_HOLDING ||
			   p->keeper.reason == TG_RENEWAL_NO_METHOD,
	};
	enum tg_expiry_level level = tg_expiry_news(&a->expiry, &f);

	if (level != TG_EXPIRY_FINE)
		tell_expiry(level, p);
}

static void tend_claim(struct tg_agent *a, const struct tg_picture *p)
{
	const struct tg_claim_facts f = {
		.has_current = p->keeper.has_current,
		.good = p->link.standing == TG_LINK_GOOD,
		.expired = p->keeper.expired,
		.key_lost = p->tpm.key_lost,
	};

	tg_claim_tend(&a->claim, a->cfg, tg_claim_is_proved(&f), p->now_us);
}

/* Once a second; the picture of it does for all. */
static void look_around(struct tg_agent *a)
{
	struct tg_picture p;
	char line[sizeof(a->line)];

	tg_agent_picture(a, &p);
	tend_claim(a, &p);
	watch_expiry(a, &p);
	tg_status_line(&p, line, sizeof(line));
	if (strcmp(line, a->line) == 0)
		return;
	memcpy(a->line, line, sizeof(line));
	(void) sd_notifyf(0, "STATUS=%s", line);
}

/* Long before the numbers end, so that a disk that refuses has time to heal. */
static void keep_numbers(struct tg_agent *a)
{
	static struct tg_log_limit limit = TG_LOG_LIMIT_INIT;
	struct tg_fault why = { .text = "" };
	uint32_t epoch;

	if (tg_pipeline_left(a->pipeline) > NUMBERS_LOW)
		return;
	if (tg_epoch_raise(a->o->state_dir, 0, &epoch, &why) == 0)
		tg_pipeline_extend(a->pipeline, epoch);
	else if (tg_log_allowed(&limit, tg_clock_boot_us(), 1, 600 * TG_US_PER_S))
		tg_log(LOG_ERR, "agent", "sequence numbers will run out: %s", why.text);
}

static void write_metrics(struct tg_agent *a, uint64_t now)
{
	const char *path = a->cfg->metrics.textfile;
	struct tg_picture p;

	if (!tg_textfile_due(a->textfile, path, now))
		return;
	tg_agent_picture(a, &p);
	tg_textfile_write(a->textfile, path, tg_metrics_text(&p), now);
}

int tg_agent_on_tick(sd_event_source *s, uint64_t usec, void *user)
{
	struct tg_agent *a = user;
	uint64_t now = tg_clock_boot_us();

	(void) usec;
	a->stuck = find_stuck(a, now);
	/* Fed only while every thread moves: a stuck one gets the whole agent restarted, and the status names it. */
	if (!a->stuck)
		(void) sd_notify(0, "WATCHDOG=1");
	tg_timekeeping_refresh(a->time);
	keep_numbers(a);
	if (a->link_due)
		tg_agent_configure_link(a);
	if ((a->status_due && now - a->status_us >= STATUS_GAP_US) ||
	    now - a->status_us >= STATUS_EVERY_US) {
		tg_agent_keep_floor(a);
		if (a->link_report.state == TG_LINK_ONLINE)
			tg_agent_publish_status(a);
		else
			a->status_us = now;
	}
	write_metrics(a, now);
	look_around(a);
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
	a->claim.next_us = 0;
	tg_config_unref(a->cfg);
	a->cfg = cfg;
	(void) tg_agent_expand_id(a);
	if (tg_fleet_configure(a->fleet, cfg) < 0)
		tg_log(LOG_ERR, "agent", "out of memory: the buses do not run");
	if (tg_spool_configure(a->spool, cfg) < 0)
		tg_log(LOG_ERR, "agent", "the spool does not take its new limits");
	tg_agent_configure_link(a);
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
			  (unsigned long long) now.tv_sec * TG_US_PER_S +
				  (unsigned long long) now.tv_nsec / 1000);
	r = tg_config_load(a->o->config_path, &c, &cfg);
	*ret_text = complaints_text(&c);
	tg_complaints_done(&c);
	if (r == 0)
		swap_config(a, cfg);
	else
		tg_event(TG_EV_CONFIG_REFUSED, LOG_ERR,
			 "The new configuration is refused; the old one stays", TG_F_REASON,
			 *ret_text && **ret_text ? *ret_text : strerror(-r), NULL);
	(void) sd_notify(0, "READY=1");
	return r;
}

int tg_agent_on_hangup(sd_event_source *s, const struct signalfd_siginfo *si, void *user)
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
