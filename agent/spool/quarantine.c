/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/quarantine.h"

#include "base/clock.h"

#include <string.h>

static struct tg_quarantine_device *find(const struct tg_quarantine *q, const char *device)
{
	for (size_t i = 0; i < TG_SUSPECT_DEVICES; i++)
		if (q->devices[i].name[0] && strcmp(q->devices[i].name, device) == 0)
			return (struct tg_quarantine_device *) &q->devices[i];
	return NULL;
}

/* A free place, or that of a device which is not refused yet and has the shortest row; NULL: all are refused. */
static struct tg_quarantine_device *place(struct tg_quarantine *q)
{
	struct tg_quarantine_device *best = NULL;

	for (size_t i = 0; i < TG_SUSPECT_DEVICES; i++) {
		struct tg_quarantine_device *d = &q->devices[i];

		if (!d->refused && (!best || d->condemned < best->condemned))
			best = d;
	}
	return best;
}

static void forget(struct tg_quarantine *q, struct tg_quarantine_device *d)
{
	if (d->refused)
		q->refused--;
	if (q->trying == d) {
		q->trying = NULL;
		q->read = q->out = 0;
	}
	*d = (struct tg_quarantine_device){ 0 };
}

bool tg_quarantine_condemned(struct tg_quarantine *q, const char *device, uint64_t now_us)
{
	struct tg_quarantine_device *d = find(q, device);

	if (!d) {
		d = place(q);
		if (!d)
			return false;
		*d = (struct tg_quarantine_device){ 0 };
		(void) memccpy(d->name, device, '\0', sizeof(d->name) - 1);
	}
	if (d->refused || ++d->condemned < TG_SUSPECT_DEVICE)
		return false;
	d->refused = true;
	d->tried_us = now_us;
	d->again_us = tg_us_add(now_us, TG_SUSPECT_DEVICE_AGAIN_US);
	q->refused++;
	q->total++;
	memcpy(q->last, d->name, sizeof(q->last));
	return true;
}

bool tg_quarantine_has(const struct tg_quarantine *q, const char *device)
{
	const struct tg_quarantine_device *d = q->refused ? find(q, device) : NULL;

	return d && d->refused;
}

int tg_quarantine_index(const struct tg_quarantine *q, const char *device)
{
	const struct tg_quarantine_device *d = q->refused ? find(q, device) : NULL;

	return d && d->refused ? (int) (d - q->devices) : -1;
}

bool tg_quarantine_newest_first(const struct tg_quarantine *q)
{
	return q->trying && q->trying->tries % 2 == 0;
}

bool tg_quarantine_try(struct tg_quarantine *q, uint64_t now_us)
{
	if (q->trying || q->refused == 0)
		return false;
	for (size_t i = 0; i < TG_SUSPECT_DEVICES; i++)
		if (q->devices[i].refused && q->devices[i].again_us <= now_us &&
		    (!q->trying || q->devices[i].again_us < q->trying->again_us))
			q->trying = &q->devices[i];
	return q->trying;
}

bool tg_quarantine_tries(const struct tg_quarantine *q, const char *device)
{
	return q->trying && strcmp(q->trying->name, device) == 0;
}

bool tg_quarantine_row(struct tg_quarantine *q, const char *device, uint64_t seq)
{
	if (q->read || !tg_quarantine_tries(q, device))
		return false;
	q->read = seq;
	return true;
}

void tg_quarantine_empty(struct tg_quarantine *q)
{
	if (q->trying)
		forget(q, find(q, q->trying->name));
}

void tg_quarantine_handed(struct tg_quarantine *q, uint64_t seq, const char *device, uint64_t now_us)
{
	struct tg_quarantine_device *d = find(q, device);

	if (!d)
		return;
	if (!d->refused) {
		if (d->sent == 0)
			d->sent = seq;
		return;
	}
	q->out = seq;
	d->tried_us = now_us;
	d->again_us = tg_us_add(now_us, TG_SUSPECT_DEVICE_AGAIN_US);
	d->tries++;
}

bool tg_quarantine_acked(struct tg_quarantine *q, uint64_t seq)
{
	if (q->out && q->out == seq) {
		forget(q, find(q, q->trying->name));
		return true;
	}
	for (size_t i = 0; i < TG_SUSPECT_DEVICES; i++)
		if (q->devices[i].sent && q->devices[i].sent == seq)
			forget(q, &q->devices[i]);
	return false;
}

bool tg_quarantine_gone(struct tg_quarantine *q, uint64_t seq)
{
	for (size_t i = 0; i < TG_SUSPECT_DEVICES; i++)
		if (q->devices[i].sent == seq)
			q->devices[i].sent = 0;
	if (q->read == seq)
		q->read = 0;
	if (!q->out || q->out != seq)
		return false;
	q->out = 0;
	return true;
}

bool tg_quarantine_down(struct tg_quarantine *q)
{
	bool tried = q->out;

	for (size_t i = 0; i < TG_SUSPECT_DEVICES; i++)
		q->devices[i].sent = 0;
	q->trying = NULL;
	q->read = q->out = 0;
	return tried;
}

void tg_quarantine_hurry(struct tg_quarantine *q)
{
	for (size_t i = 0; i < TG_SUSPECT_DEVICES; i++) {
		struct tg_quarantine_device *d = &q->devices[i];
		uint64_t soonest = tg_us_add(d->tried_us, TG_SUSPECT_DEVICE_GAP_US);

		if (d->again_us > soonest)
			d->again_us = soonest;
	}
}
