/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command/desk_internal.h"

#include <tidegate/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH    32          /* messages of one turn of the loop, which has other work too */
#define AGAIN_US TG_US_PER_S /* a safe state that finds its bus full */

struct delivery {
	char device[TG_NAME_MAX + 1];
	uint8_t *payload; /* owned */
	size_t len;
};

/* --- tasks --- */

static void arm(struct tg_desk *d)
{
	uint64_t next = tg_safe_due_us(&d->safe);

	for (const struct tg_task *t = d->tasks; t; t = t->next) {
		if (t->deadline_us < next)
			next = t->deadline_us;
	}
	(void) sd_event_source_set_time(d->timer, next);
	(void) sd_event_source_set_enabled(d->timer,
					   next == TG_US_FOREVER ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static unsigned waiting_on(const struct tg_desk *d, size_t bus)
{
	unsigned n = 0;

	for (const struct tg_task *t = d->tasks; t; t = t->next)
		n += t->bus == bus;
	return n;
}

/* Hands @t to its worker; owns it. Returns 0, or -errno with the reason, and then it is freed. */
static int hand_out(struct tg_desk *d, struct tg_task *t, struct tg_fault *reterr)
{
	int r;

	/* One more than its share for what is not a command, so that commands do not keep an output from its safe state. */
	if (waiting_on(d, t->bus) >= TG_DESK_PER_BUS + (t->kind != TG_TASK_WRITE) ||
	    d->n_tasks >= TG_DESK_TASKS) {
		tg_task_free(t);
		return tg_fault_set(reterr, -EBUSY, "too many commands wait already");
	}
	t->deadline_us = tg_clock_boot_us() + TG_DESK_TIMEOUT_US;
	r = tg_fleet_errand(d->o.fleet, t->bus, &t->errand);
	if (r < 0) {
		tg_task_free(t);
		return tg_fault_set(reterr, r,
				    r == -EOPNOTSUPP ? "the bus does not run"
						     : "the bus takes no request now, try again");
	}
	t->cfg = d->cfg;
	t->next = d->tasks;
	d->tasks = t;
	d->n_tasks++;
	arm(d);
	return 0;
}

void tg_desk_forget(struct tg_desk *d, struct tg_task *t)
{
	for (struct tg_task **p = &d->tasks; *p; p = &(*p)->next) {
		if (*p != t)
			continue;
		*p = t->next;
		d->n_tasks--;
		break;
	}
	tg_task_free(t);
}

/* --- commands --- */

const struct tg_config_point *tg_desk_find(const struct tg_desk *d, const struct tg_command *c,
					   size_t *ret_device, size_t *ret_point,
					   struct tg_fault *reterr)
{
	const struct tg_config *cfg = d->cfg;

	for (size_t i = 0; cfg && i < cfg->n_devices; i++) {
		const struct tg_config_device *dev = &cfg->devices[i];

		if (strcmp(dev->name, c->device) != 0)
			continue;
		for (size_t k = 0; k < dev->n_points; k++) {
			if (strcmp(dev->points[k].name, c->point) != 0)
				continue;
			*ret_device = i;
			*ret_point = k;
			return &dev->points[k];
		}
		(void) tg_fault_set(reterr, -ENOENT, "device %s has no point '%s'", c->device,
				    c->point);
		return NULL;
	}
	(void) tg_fault_set(reterr, -ENOENT, "there is no device '%s'", c->device);
	return NULL;
}

/* Returns 0, or why the command is refused or has failed already. */
static int dispatch(struct tg_desk *d, uint64_t client, const struct tg_command *c,
		    struct tg_fault *reterr)
{
	const struct tg_config_point *point;
	struct tg_task *t;
	size_t device, index;

	if (!d->cfg)
		return tg_fault_set(reterr, -EAGAIN, "the gateway has just started, try again");
	if (!c->local && atomic_load(&d->untold) + d->n_tasks >= TG_DESK_UNTOLD)
		return tg_fault_set(reterr, -EBUSY, "too many results wait for the broker already");
	point = tg_desk_find(d, c, &device, &index, reterr);
	if (!point)
		return -ENOENT;
	if (!point->write)
		return tg_fault_set(reterr, -EACCES,
				    "the point may not be set: it has no write = yes");
	if (tg_clock_boot_us() < d->quiet_until[device])
		return tg_fault_set(reterr, -ETIMEDOUT, "the device does not answer");
	t = tg_task_new(TG_TASK_WRITE, d->back, &d->execution);
	if (!t)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	t->command = *c;
	t->client = client;
	t->bus = d->cfg->devices[device].bus;
	t->device = device;
	t->point = index;
	return hand_out(d, t, reterr);
}

void tg_desk_write(struct tg_desk *d, uint64_t client, const struct tg_command *c)
{
	struct tg_fault why = { .text = "" };
	int r = dispatch(d, client, c, &why);

	if (r < 0)
		tg_desk_refuse(d, client, c,
			       r == -ENOENT || r == -EACCES || r == -EBUSY ? TG_COMMAND_REFUSED
									   : TG_COMMAND_FAILED,
			       why.text);
}

static void take_delivery(struct tg_desk *d, const struct delivery *m)
{
	struct tg_fault why = { .text = "" };
	struct tg_command c;

	if (tg_command_parse(m->device, m->payload, m->len, &c, &why) < 0)
		tg_desk_refuse(d, 0, &c, TG_COMMAND_REFUSED, why.text);
	else
		tg_desk_write(d, 0, &c);
}

int tg_desk_deliver(struct tg_desk *d, const char *device, uint8_t *payload, size_t len)
{
	struct delivery m = { .payload = payload, .len = len };
	int r;

	(void) snprintf(m.device, sizeof(m.device), "%s", device);
	r = tg_mailbox_post(d->inbox, &m);
	if (r < 0)
		atomic_fetch_add(&d->overflow, 1);
	return r;
}

static void drop_delivery(void *msg)
{
	free(((struct delivery *) msg)->payload);
}

void tg_desk_gone(struct tg_desk *d, const char *id, bool told)
{
	atomic_fetch_sub(&d->untold, 1);
	if (told)
		tg_ledger_told(d->ledger, id);
}

int tg_desk_probe(struct tg_desk *d, uint64_t client, size_t bus, size_t device,
		  const char *address, struct tg_fault *reterr)
{
	struct tg_task *t = tg_task_new(TG_TASK_PROBE, d->back, &d->execution);

	if (!t)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	t->client = client;
	t->bus = bus;
	t->device = device;
	(void) snprintf(t->address, sizeof(t->address), "%s", address);
	return hand_out(d, t, reterr);
}

/* --- safe states --- */

static bool has_command(const struct tg_desk *d, const struct tg_safe_point *s)
{
	for (const struct tg_task *t = d->tasks; t; t = t->next) {
		if (t->kind == TG_TASK_WRITE && t->device == s->device && t->point == s->point)
			return true;
	}
	return false;
}

static void fall(struct tg_desk *d, struct tg_safe_point *s, uint64_t now)
{
	struct tg_fault why = { .text = "" };
	struct tg_task *t;

	/* A command that waits decides: should it fail, the output falls right behind it. */
	if (has_command(d, s)) {
		s->due_us = now + AGAIN_US;
		return;
	}
	t = tg_task_new(TG_TASK_SAFE, d->back, &d->execution);
	if (t) {
		t->bus = d->cfg->devices[s->device].bus;
		t->device = s->device;
		t->point = s->point;
	}
	if (!t || hand_out(d, t, &why) < 0)
		s->due_us = now + AGAIN_US;
}

static void give_up(struct tg_desk *d, struct tg_task *t)
{
	const struct tg_fault why = { .code = -ETIMEDOUT,
				      .text = "the bus did not come round to it in time" };

	t->deadline_us = TG_US_FOREVER;
	/* One that runs is answered when the driver has come to its end, which is bounded, too. */
	if (!tg_task_give_up(t))
		return;
	switch (t->kind) {
	case TG_TASK_WRITE:
		tg_desk_refuse(d, t->client, &t->command, TG_COMMAND_FAILED,
			       "its turn on the bus did not come in time; it is not carried out "
			       "any more");
		return;
	case TG_TASK_SAFE:
		t->error = why.code;
		t->why = why;
		tg_desk_finish_safe(d, t);
		return;
	case TG_TASK_PROBE:
		d->o.answer(d->o.user, t->client, NULL, &why);
		return;
	case TG_TASK_READ_BACK:
		return;
	}
}

static int on_timer(sd_event_source *s, uint64_t usec, void *user)
{
	struct tg_desk *d = user;
	uint64_t now = tg_clock_boot_us();
	struct tg_safe_point *p;

	(void) s;
	(void) usec;
	for (struct tg_task *t = d->tasks; t; t = t->next) {
		if (t->deadline_us <= now)
			give_up(d, t);
	}
	while ((p = tg_safe_next(&d->safe, now)))
		fall(d, p, now);
	arm(d);
	return 0;
}

/* --- what the run before has left --- */

static void note_left(void *user, const struct tg_result *r, bool done)
{
	struct tg_desk *d = user;

	if (d->n_left == TG_DESK_LEFT_MAX) {
		memmove(d->left, d->left + 1, (TG_DESK_LEFT_MAX - 1) * sizeof(*d->left));
		d->n_left--;
	}
	d->left[d->n_left++] = (struct tg_desk_left){ *r, done };
}

void tg_desk_look_at_left(struct tg_desk *d, const struct tg_desk_left *left)
{
	struct tg_command c = { .local = left->r.local };
	struct tg_fault why = { .text = "" };
	struct tg_task *t;

	if (left->done) {
		tg_desk_tell(d, 0, &left->r, TG_EXECUTED_BEFORE);
		return;
	}
	memcpy(c.id, left->r.id, sizeof(c.id));
	memcpy(c.device, left->r.device, sizeof(c.device));
	memcpy(c.point, left->r.point, sizeof(c.point));
	t = tg_task_new(TG_TASK_READ_BACK, d->back, &d->execution);
	if (!t)
		return;
	tg_result_init(&t->result, &c);
	if (tg_desk_find(d, &c, &t->device, &t->point, &why)) {
		t->bus = d->cfg->devices[t->device].bus;
		if (hand_out(d, t, &why) == 0)
			return;
		t = NULL;
	}
	tg_task_free(t);
	/* It stays open in the ledger: the next start may find its point again. */
	tg_desk_refuse(d, 0, &c, TG_COMMAND_UNKNOWN,
		       "the gateway stopped while it was carried out, and it cannot be read back");
}

void tg_desk_reconfigured(struct tg_desk *d)
{
	const struct tg_config *cfg = tg_fleet_config(d->o.fleet);
	uint64_t *quiet = calloc(cfg->n_devices + 1, sizeof(*quiet));

	/* Before the old one is let go, by whose names points are known again. */
	if (!quiet || tg_safe_configure(&d->safe, cfg, tg_clock_boot_us()) < 0) {
		tg_log(LOG_ERR, "command", "out of memory: no commands are taken");
		free(quiet);
		tg_safe_done(&d->safe);
		d->cfg = tg_config_unref(d->cfg);
		return;
	}
	tg_config_unref(d->cfg);
	d->cfg = tg_config_ref((struct tg_config *) (uintptr_t) cfg);
	free(d->quiet_until);
	d->quiet_until = quiet;
	for (size_t i = 0; i < d->n_left; i++)
		tg_desk_look_at_left(d, &d->left[i]);
	free(tg_take(d->left));
	d->n_left = 0;
	arm(d);
}

/* --- life --- */

static int on_inbox(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct tg_desk *d = user;
	struct delivery m;

	(void) s;
	(void) fd;
	(void) events;
	for (unsigned i = 0; i < BATCH && tg_mailbox_take(d->inbox, &m); i++) {
		take_delivery(d, &m);
		free(m.payload);
	}
	return 0;
}

static int on_back(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct tg_desk *d = user;
	struct tg_task *t;

	(void) s;
	(void) fd;
	(void) events;
	while (tg_mailbox_take(d->back, &t))
		tg_desk_finish(d, t);
	arm(d);
	return 0;
}

static int add_io(struct tg_desk *d, struct tg_mailbox *m, sd_event_io_handler_t fn,
		  const char *name, sd_event_source **ret)
{
	int r = sd_event_add_io(d->o.loop, ret, tg_mailbox_fd(m), EPOLLIN, fn, d);

	if (r < 0)
		return r;
	(void) sd_event_source_set_description(*ret, name);
	r = sd_event_source_set_exit_on_failure(*ret, true);
	return r < 0 ? r : 0;
}

static int build(struct tg_desk *d)
{
	int r = tg_mailbox_new(TG_DESK_INBOX, sizeof(struct delivery), drop_delivery, &d->inbox);

	if (r == 0)
		r = tg_mailbox_new(TG_DESK_TASKS, sizeof(struct tg_task *), NULL, &d->back);
	if (r == 0)
		r = add_io(d, d->inbox, on_inbox, "commands", &d->inbox_io);
	if (r == 0)
		r = add_io(d, d->back, on_back, "results", &d->back_io);
	if (r == 0)
		r = sd_event_add_time(d->o.loop, &d->timer, CLOCK_BOOTTIME, TG_US_FOREVER,
				      TG_US_PER_MS, on_timer, d);
	if (r >= 0)
		r = tg_ledger_new(d->o.state_dir, &d->ledger);
	d->left = calloc(TG_DESK_LEFT_MAX, sizeof(*d->left));
	if (r == 0 && !d->left)
		r = -ENOMEM;
	return r;
}

TG_DEFINE_CLEANUP(struct tg_desk *, tg_desk_free)

int tg_desk_new(const struct tg_desk_options *o, struct tg_desk **ret)
{
	tg_cleanup(tg_desk_freep) struct tg_desk *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->o = *o;
	r = build(d);
	if (r < 0)
		return r;
	(void) sd_event_source_set_description(d->timer, "command deadlines");
	d->execution = (struct tg_execution){ d->ledger, o->clock, o->clock_user };
	tg_ledger_each_left(d->ledger, note_left, d);
	*ret = tg_take(d);
	return 0;
}

struct tg_desk *tg_desk_free(struct tg_desk *d)
{
	struct tg_task *t;

	if (!d)
		return NULL;
	while (d->back && tg_mailbox_take(d->back, &t))
		tg_desk_forget(d, t);
	sd_event_source_unref(d->inbox_io);
	sd_event_source_unref(d->back_io);
	sd_event_source_unref(d->timer);
	tg_mailbox_free(d->inbox);
	tg_mailbox_free(d->back);
	tg_ledger_free(d->ledger);
	tg_safe_done(&d->safe);
	tg_config_unref(d->cfg);
	free(d->quiet_until);
	free(d->left);
	free(d);
	return NULL;
}

void tg_desk_state(const struct tg_desk *d, struct tg_desk_state *ret)
{
	*ret = d->state;
	ret->waiting = d->n_tasks;
	ret->dropped += atomic_load(&d->overflow);
	for (size_t i = 0; i < d->safe.n; i++) {
		ret->safe += d->safe.points[i].since_us != 0;
		ret->unsafe += d->safe.points[i].failures != 0;
	}
}

const struct tg_safe *tg_desk_safe(const struct tg_desk *d)
{
	return &d->safe;
}
