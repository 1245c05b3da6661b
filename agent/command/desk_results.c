/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command/desk_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SILENCE_US                                                                                 \
	(2 *                                                                                       \
	 TG_US_PER_S) /* so long a device that did not answer a command is left alone by the next */
#define LOG_BURST 20
#define LOG_US    (60 * TG_US_PER_S)

/* --- results --- */

static void count(struct tg_desk *d, enum tg_command_status status)
{
	switch (status) {
	case TG_COMMAND_DONE:
		d->state.done++;
		return;
	case TG_COMMAND_REFUSED:
		d->state.refused++;
		return;
	case TG_COMMAND_FAILED:
		d->state.failed++;
		return;
	case TG_COMMAND_UNKNOWN:
		d->state.unknown++;
		return;
	}
}

static void log_result(struct tg_desk *d, const struct tg_result *r)
{
	bool done = r->status == TG_COMMAND_DONE;
	char text[TG_FAULT_MAX], value[80], id[TG_COMMAND_ID_MAX + 1];

	if (!tg_log_allowed(done ? &d->log_limit : &d->refused_limit, tg_clock_boot_us(), LOG_BURST,
			    LOG_US))
		return;
	(void) tg_printable(id, sizeof(id), r->id, strlen(r->id));
	if (done)
		(void) snprintf(text, sizeof(text), "Command %s has set %s/%s to %s", id, r->device,
				r->point, tg_kept_words(&r->value, value, sizeof(value)));
	else
		(void) snprintf(text, sizeof(text), "Command %s for %s/%s: %s: %s",
				*id ? id : "without id", r->device, r->point,
				tg_command_status_name(r->status), r->reason);
	tg_event(done ? TG_EV_COMMAND_DONE : TG_EV_COMMAND_REFUSED, done ? LOG_NOTICE : LOG_WARNING,
		 text, TG_F_COMMAND, id, TG_F_DEVICE, r->device, TG_F_POINT, r->point, TG_F_REASON,
		 done ? value : r->reason, NULL);
}

/* To whoever has given the command. */
void tg_desk_tell(struct tg_desk *d, uint64_t client, const struct tg_result *r,
		  enum tg_executed executed)
{
	tg_autofree char *json = NULL;

	if (executed != TG_EXECUTED_BEFORE) {
		count(d, r->status);
		log_result(d, r);
	}
	json = tg_result_json(r);
	if (!json)
		d->state.dropped++;
	else if (!r->local) {
		if (executed != TG_EXECUTED_NOT)
			atomic_fetch_add(&d->untold, 1);
		d->o.publish(d->o.user, r->device, r->id, tg_take(json),
			     executed != TG_EXECUTED_NOT);
	} else if (client)
		d->o.answer(d->o.user, client, json, NULL);
}

void tg_desk_refuse(struct tg_desk *d, uint64_t client, const struct tg_command *c,
		    enum tg_command_status status, const char *why)
{
	const struct tg_command_clock clock = d->o.clock(d->o.clock_user);
	struct tg_result r;

	tg_result_init(&r, c);
	r.wall_us = clock.trust == TG_CLOCK_SUSPECT ? 0 : clock.wall_us;
	tg_desk_tell(d, client, tg_result_set(&r, status, "%s", why), TG_EXECUTED_NOT);
}

/* --- tasks that came back --- */

/* Whether numbers of the task still mean what they did. */
static bool is_current(const struct tg_desk *d, const struct tg_task *t)
{
	return !t->dropped && d->cfg && t->cfg == d->cfg;
}

static void finish_write(struct tg_desk *d, struct tg_task *t)
{
	uint64_t now = tg_clock_boot_us();
	size_t device, point;

	if (t->dropped) {
		tg_desk_refuse(d, t->client, &t->command, TG_COMMAND_FAILED,
			       "the configuration was reloaded meanwhile");
		return;
	}
	if (t->executed == TG_EXECUTED_UNDER_WAY)
		return;
	/* By its names: the configuration may be another one by now. */
	if (t->executed == TG_EXECUTED && tg_desk_find(d, &t->command, &device, &point, NULL))
		tg_safe_commanded(&d->safe, device, point, now);
	if (t->silent && is_current(d, t))
		d->quiet_until[t->device] = now + SILENCE_US;
	tg_desk_tell(d, t->client, &t->result, t->executed);
}

static void finish_read_back(struct tg_desk *d, struct tg_task *t)
{
	/* Dropped, it is still open in the ledger. */
	if (t->dropped)
		tg_desk_look_at_left(d, &(const struct tg_desk_left){ .r = t->result });
	else
		tg_desk_tell(d, 0, &t->result, TG_EXECUTED);
}

static void tell_safe(const struct tg_config_device *dev, const struct tg_config_point *p,
		      const struct tg_safe_point *s, const struct tg_task *t)
{
	char text[TG_FAULT_MAX + 160], value[32];

	(void) snprintf(value, sizeof(value), "%.10g", p->safe);
	if (t->error == 0)
		(void) snprintf(text, sizeof(text),
				"Output %s/%s falls to its safe state, %s: no command came in time",
				dev->name, p->name, value);
	else
		(void) snprintf(text, sizeof(text),
				"Output %s/%s cannot be brought to its safe state, %s: %s",
				dev->name, p->name, value, t->why.text);
	/* The first failure, and then each time that there are twice as many. */
	if (t->error && (s->failures & (s->failures - 1)))
		return;
	tg_event(TG_EV_SAFE_STATE, t->error ? LOG_ERR : LOG_WARNING, text, TG_F_DEVICE, dev->name,
		 TG_F_POINT, p->name, TG_F_REASON, t->error ? t->why.text : value, NULL);
}

void tg_desk_finish_safe(struct tg_desk *d, struct tg_task *t)
{
	struct tg_safe_point *s =
		is_current(d, t) ? tg_safe_find(&d->safe, t->device, t->point) : NULL;

	if (!s)
		return;
	tg_safe_tell(s, t->error == 0, tg_clock_boot_us());
	tell_safe(&d->cfg->devices[t->device], &d->cfg->devices[t->device].points[t->point], s, t);
}

static void finish_probe(struct tg_desk *d, struct tg_task *t)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(8 * TG_TABLE_BYTES);

	if (t->dropped)
		(void) tg_fault_set(&t->why, -ECANCELED,
				    "the configuration was reloaded meanwhile");
	else if (t->error == 0 && tg_table_json(&t->table, &b) < 0)
		(void) tg_fault_set(&t->why, -ENOMEM, "out of memory");
	d->o.answer(d->o.user, t->client, b.len ? tg_buffer_text(&b) : NULL, &t->why);
}

void tg_desk_finish(struct tg_desk *d, struct tg_task *t)
{
	/* Given up, it has been answered already. */
	if (atomic_load(&t->stage) != TG_STAGE_GIVEN_UP) {
		switch (t->kind) {
		case TG_TASK_WRITE:
			finish_write(d, t);
			break;
		case TG_TASK_READ_BACK:
			finish_read_back(d, t);
			break;
		case TG_TASK_SAFE:
			tg_desk_finish_safe(d, t);
			break;
		case TG_TASK_PROBE:
			finish_probe(d, t);
			break;
		}
	}
	tg_desk_forget(d, t);
}
