/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/page.h"

#include "agent/pack/stored.h"
#include "agent/spool/gap.h"

#include <errno.h>

struct page {
	struct tg_db *db;
	struct tg_queue *queue;
	size_t bytes;
	size_t n_bad;
	struct bad_row {
		uint64_t seq;
		int64_t made_wall_us;
		struct tg_parcel *gap; /* what takes its place; NULL: nothing */
	} bad[TG_QUEUE_PAGE];
	bool cut; /* not all of the rows were looked at */
};

static int page_gap(struct page *page, const struct tg_row *row, enum tg_row_state state)
{
	struct bad_row *bad = page->bad + page->n_bad;
	struct tg_queue *q = page->queue;

	if (tg_queue_holds(q, row->seq))
		return 0;
	*bad = (struct bad_row){ .seq = row->seq, .made_wall_us = row->made_wall_us };
	page->n_bad++;
	if (state == TG_ROW_BAD ||
	    tg_gap_new_unread(row->device, row->seq, 1, row->seq, row->made_wall_us, &bad->gap) < 0)
		return 0;
	return tg_queue_page_row(q, tg_parcel_ref(bad->gap), 1, row->seq);
}

static int page_row(void *user, const struct tg_row *row, enum tg_row_state state)
{
	struct page *page = user;
	struct tg_parcel *p = NULL;
	int r = 0;

	if (state == TG_ROW_GOOD) {
		r = tg_stored_read(row->bytes, row->len, &p);
		if (r == 0 && p->seq != row->seq) {
			p = tg_parcel_unref(p);
			r = -EBADMSG;
		}
		if (r == -EBADMSG)
			state = TG_ROW_BAD_BYTES;
	}
	if (state != TG_ROW_GOOD) {
		r = page_gap(page, row, state);
	} else if (r == 0) {
		page->bytes += p->len;
		r = tg_queue_page_row(page->queue, p, row->gap, row->gap_first);
		if (r < 0)
			tg_parcel_unref(p);
	}
	page->cut = page->bytes >= TG_QUEUE_PAGE_BYTES;
	return r < 0 ? r : page->cut;
}

static int replace_bad(const struct page *page)
{
	int r = tg_db_begin(page->db);

	for (size_t i = 0; i < page->n_bad && r == 0; i++) {
		const struct bad_row *bad = page->bad + i;

		r = tg_db_remove(page->db, bad->seq);
		if (r == 0 && bad->gap) {
			const struct tg_row row = {
				.seq = bad->seq,
				.device = tg_parcel_device(bad->gap),
				.made_wall_us = bad->made_wall_us,
				.gap = 1,
				.gap_first = bad->seq,
				.bytes = bad->gap->bytes,
				.len = bad->gap->len,
			};

			r = tg_db_append(page->db, &row);
		}
	}
	if (r == 0)
		r = tg_db_add_dropped(page->db, page->n_bad);
	return r < 0 ? r : tg_db_commit(page->db);
}

int tg_page_read(struct tg_db *db, struct tg_queue *q, unsigned *ret_bad)
{
	struct page page = { .db = db, .queue = q };
	int n, r;

	n = tg_db_read(db, q->cursor + 1, TG_ROW_SEQ_MAX, false, TG_QUEUE_PAGE, page_row, &page);
	if (n >= 0 && n < (int) TG_QUEUE_PAGE && !page.cut)
		tg_queue_page_end(q);
	r = n < 0 ? n : 0;
	/* On a disk that does not take it the rows stay, and are found bad again. */
	if (r == 0 && page.n_bad > 0 && q->disk == TG_QUEUE_DISK_OK)
		r = replace_bad(&page);
	for (size_t i = 0; i < page.n_bad; i++)
		tg_parcel_unref(page.bad[i].gap);
	*ret_bad = (unsigned) page.n_bad;
	return r;
}
