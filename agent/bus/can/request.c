/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/can/request.h"

#include <errno.h>
#include <stdlib.h>

#define SPACING_US UINT64_C(100000) /* between the first requests, so that the answers do not come all at once */
#define REQUEST_ID 0x18ea0000u      /* priority 6, PGN 59904 */
#define TO_ALL     0xff00u

static size_t find(const struct tg_can_requests *q, uint32_t pgn)
{
	size_t i = 0;

	while (i < q->n && q->items[i].pgn != pgn)
		i++;
	return i;
}

static void add(struct tg_can_requests *q, const struct tg_can_read *read)
{
	size_t i = find(q, read->id);

	if (i == q->n)
		q->items[q->n++] = (struct tg_can_request){ .pgn = read->id,
							    .every_us = read->request_us };
	else if (read->request_us < q->items[i].every_us)
		q->items[i].every_us = read->request_us;
}

int tg_can_requests_init(struct tg_can_requests *q, const struct tg_config *cfg, size_t bus)
{
	size_t n = 0;

	*q = (struct tg_can_requests){ .address = (uint8_t) cfg->buses[bus].can.address };
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < cfg->n_devices; i++) {
			const struct tg_config_device *dev = &cfg->devices[i];

			for (size_t k = 0; dev->bus == bus && k < dev->n_points; k++) {
				if (dev->points[k].can.request_us == 0)
					continue;
				if (pass == 0)
					n++;
				else
					add(q, &dev->points[k].can);
			}
		}
		if (pass == 0)
			q->items = calloc(n ? n : 1, sizeof(*q->items));
		if (!q->items)
			return -ENOMEM;
	}
	return 0;
}

void tg_can_requests_done(struct tg_can_requests *q)
{
	free(q->items);
	*q = (struct tg_can_requests){ 0 };
}

void tg_can_requests_restart(struct tg_can_requests *q, uint64_t now_us)
{
	for (size_t i = 0; i < q->n; i++)
		q->items[i].next_us = now_us + i * SPACING_US;
}

uint64_t tg_can_requests_next_us(const struct tg_can_requests *q)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < q->n; i++)
		next = q->items[i].next_us < next ? q->items[i].next_us : next;
	return next;
}

int tg_can_requests_take(struct tg_can_requests *q, uint64_t now_us, uint32_t *ret_id,
			 uint8_t ret_data[static TG_CAN_REQUEST_LEN])
{
	for (size_t i = 0; i < q->n; i++) {
		struct tg_can_request *rq = &q->items[i];

		if (rq->next_us > now_us)
			continue;
		/* Late ones are skipped, never caught up. */
		rq->next_us += (1 + (now_us - rq->next_us) / rq->every_us) * rq->every_us;
		*ret_id = REQUEST_ID | TO_ALL | q->address;
		for (unsigned k = 0; k < TG_CAN_REQUEST_LEN; k++)
			ret_data[k] = (uint8_t) (rq->pgn >> (8 * k));
		return 1;
	}
	return 0;
}
