/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command/desk_task.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static void send_back(struct tg_task *t)
{
	/* There are as many slots as there can be tasks. */
	int r = tg_mailbox_post(t->back, &t);

	assert(r == 0);
	(void) r;
}

static void drop(struct tg_errand *e)
{
	struct tg_task *t = (struct tg_task *) (void *) e;

	t->dropped = true;
	send_back(t);
}

static void probe(struct tg_task *t, const struct tg_bus_hands *h)
{
	const struct tg_config_device *dev =
		t->device == SIZE_MAX ? NULL : &h->cfg->devices[t->device];

	if (!h->driver->probe)
		t->error = tg_fault_set(&t->why, -EOPNOTSUPP,
					"there is nothing to look for on a bus of type %s",
					h->driver->name);
	else
		t->error = h->driver->probe(h->bus, dev, t->address, &t->table, &t->why);
}

static void run(struct tg_errand *e, const struct tg_bus_hands *h)
{
	struct tg_task *t = (struct tg_task *) (void *) e;
	int waiting = TG_STAGE_WAITING;

	if (!atomic_compare_exchange_strong(&t->stage, &waiting, TG_STAGE_RUNNING)) {
		send_back(t);
		return;
	}
	switch (t->kind) {
	case TG_TASK_WRITE:
		t->executed = tg_execute(t->execution, h, &t->command, t->device, t->point,
					 &t->result, &t->silent);
		break;
	case TG_TASK_READ_BACK:
		tg_execute_read_back(t->execution, h, t->device, t->point, &t->result);
		t->executed = TG_EXECUTED;
		break;
	case TG_TASK_SAFE:
		t->error = tg_execute_safe(h, t->device, t->point, &t->why);
		break;
	case TG_TASK_PROBE:
		probe(t, h);
		break;
	}
	send_back(t);
}

struct tg_task *tg_task_new(enum tg_task_kind kind, struct tg_mailbox *back,
			    const struct tg_execution *x)
{
	struct tg_task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->errand = (struct tg_errand){ .run = run, .drop = drop };
	t->kind = kind;
	t->back = back;
	t->execution = x;
	t->device = SIZE_MAX;
	tg_table_init(&t->table);
	return t;
}

struct tg_task *tg_task_free(struct tg_task *t)
{
	if (!t)
		return NULL;
	tg_table_done(&t->table);
	free(t);
	return NULL;
}

bool tg_task_give_up(struct tg_task *t)
{
	int waiting = TG_STAGE_WAITING;

	return atomic_compare_exchange_strong(&t->stage, &waiting, TG_STAGE_GIVEN_UP);
}
