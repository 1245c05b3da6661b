/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/drop.h"

#include "agent/pack/stored.h"
#include "agent/spool/gap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 128u /* rows looked at between two deletes */

/* What one device has lost. */
struct loss {
	char device[TG_NAME_MAX + 1];
	uint64_t count, first, last;
	int64_t made_wall_us;
	struct tg_parcel *pack; /* the last one, if it could be read */
};

struct dropping {
	const struct tg_drop *drop;
	struct loss *losses; /* at most one a device that ever wrote here */
	size_t n_losses;
	uint64_t victims[BATCH];
	size_t n_victims;
	uint64_t next; /* where the next batch starts */
	uint64_t dropped, bytes;
	bool enough;
};

static struct loss *loss_of(struct dropping *x, const char *device)
{
	struct loss *grown;

	for (size_t i = 0; i < x->n_losses; i++)
		if (strcmp(x->losses[i].device, device) == 0)
			return x->losses + i;
	grown = reallocarray(x->losses, x->n_losses + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	x->losses = grown;
	grown += x->n_losses++;
	*grown = (struct loss){ 0 };
	(void) memccpy(grown->device, device, '\0', sizeof(grown->device) - 1);
	return grown;
}

static int add_loss(struct dropping *x, const struct tg_row *row, enum tg_row_state state)
{
	struct loss *l = loss_of(x, row->device);

	if (!l)
		return -ENOMEM;
	if (l->count == 0)
		l->first = row->gap ? row->gap_first : row->seq;
	l->count += row->gap ? row->gap : 1;
	l->last = row->seq;
	l->made_wall_us = row->made_wall_us;
	l->pack = tg_parcel_unref(l->pack);
	if (state == TG_ROW_GOOD && tg_stored_read(row->bytes, row->len, &l->pack) < 0)
		l->pack = NULL;
	return 0;
}

static int on_row(void *user, const struct tg_row *row, enum tg_row_state state)
{
	struct dropping *x = user;
	int r = 0;

	x->next = row->seq + 1;
	if (tg_queue_holds(x->drop->queue, row->seq))
		return 0;
	/* A row that nobody can read tells neither age nor device: it goes, and is counted. */
	if (x->drop->expired && state != TG_ROW_BAD && !x->drop->expired(x->drop->user, row)) {
		x->enough = true;
		return 1;
	}
	if (state != TG_ROW_BAD)
		r = add_loss(x, row, state);
	if (r < 0)
		return r;
	x->victims[x->n_victims++] = row->seq;
	if (row->gap == 0) {
		x->dropped++;
		/* A page is not free before all of it is: counted as little more than what is in
		 * it. */
		x->bytes += row->len + 32;
	}
	if (!x->drop->expired && x->bytes >= x->drop->bytes)
		x->enough = true;
	return x->enough || x->n_victims == BATCH;
}

static int drop_rows(struct dropping *x)
{
	int r = 0;

	while (r == 0 && !x->enough) {
		uint64_t from = x->next;

		x->n_victims = 0;
		r = tg_db_read(x->drop->db, from, TG_ROW_SEQ_MAX, false, BATCH, on_row, x);
		if (r <= 0)
			return r;
		r = 0;
		for (size_t i = 0; i < x->n_victims && r == 0; i++)
			r = tg_db_remove(x->drop->db, x->victims[i]);
	}
	return r;
}

static int write_gap(struct dropping *x, const struct loss *l)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *gap = NULL;
	struct tg_row row = {
		.seq = l->last,
		.device = l->device,
		.made_wall_us = l->made_wall_us,
		.gap = l->count,
		.gap_first = l->first,
	};
	int r;

	r = l->pack ? tg_gap_new(l->pack, l->count, l->first, &gap)
		    : tg_gap_new_unread(l->device, l->last, l->count, l->first, l->made_wall_us,
					&gap);
	if (r < 0)
		/* Not a name that a device can have: only the count tells. */
		return r == -EINVAL ? 0 : r;
	row.bytes = gap->bytes;
	row.len = gap->len;
	return tg_db_append(x->drop->db, &row);
}

static int drop_all(struct dropping *x)
{
	int r = tg_db_begin(x->drop->db);

	if (r == 0)
		r = drop_rows(x);
	for (size_t i = 0; i < x->n_losses && r == 0; i++)
		r = write_gap(x, x->losses + i);
	if (r == 0)
		r = tg_db_add_dropped(x->drop->db, x->dropped);
	if (r == 0 && x->dropped > 0)
		r = tg_db_commit(x->drop->db);
	if (r < 0 || x->dropped == 0)
		tg_db_rollback(x->drop->db);
	return r;
}

int tg_drop_oldest(const struct tg_drop *drop, uint64_t *ret_dropped)
{
	struct dropping x = { .drop = drop, .next = 1 };
	int r = drop_all(&x);

	for (size_t i = 0; i < x.n_losses; i++) {
		if (r == 0 && x.dropped > 0)
			tg_queue_row_added(drop->queue, x.losses[i].last);
		tg_parcel_unref(x.losses[i].pack);
	}
	free(x.losses);
	if (r == 0)
		*ret_dropped = x.dropped;
	return r;
}
