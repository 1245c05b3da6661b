/* SPDX-License-Identifier: Apache-2.0 */

/*
 * after-cut STATE_DIR
 *
 * What a gateway would find in its state directory when it starts after a power cut, by the code that it starts with: the
 * recovery of its identity, and the opening of its spool. Changes what a start would change. No agent may run on it.
 *
 * Prints "current NUMBER FINGERPRINT" ("current 0 -" where it has none), "candidate NUMBER" where there is one,
 * "spool ROWS", and "row SEQ good|bad" for each pack in the spool. Exit status 1 and a word why when a start would
 * not get that far: a spool that is not opened as it stands counts as that.
 */
#include "agent/spool/store.h"
#include "base/file.h"
#include "identity/generation.h"
#include "identity/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int show_identity(const char *dir, struct tg_fault *why)
{
	struct tg_manifest m = { .number = 0, .fingerprint = "-" };
	int r = tg_generation_recover(dir, why);

	if (r == 0)
		r = tg_journal_settle(dir, why);
	if (r < 0)
		return r;
	r = tg_generation_read(dir, TG_SLOT_CURRENT, &m, why);
	if (r < 0 && r != -ENOENT)
		return r;
	(void) printf("current %u %s\n", m.number, m.fingerprint);
	r = tg_generation_read(dir, TG_SLOT_CANDIDATE, &m, why);
	if (r == 0)
		(void) printf("candidate %u\n", m.number);
	return r == -ENOENT ? 0 : r;
}

static int show_row(void *user, const struct tg_row *row, enum tg_row_state state)
{
	(void) user;
	(void) printf("row %" PRIu64 " %s\n", row->seq, state == TG_ROW_GOOD ? "good" : "bad");
	return 0;
}

static int show_spool(const char *dir, struct tg_fault *why)
{
	const struct tg_db_options o = { .max_bytes = UINT64_C(1) << 40, .full = true };
	tg_cleanup(tg_store_freep) struct tg_store *store = NULL;
	int r = tg_store_new(dir, &o, &store);

	if (r == 0)
		r = tg_store_open(store, false, why);
	if (r == 0)
		r = tg_db_verify(tg_store_db(store));
	if (r < 0)
		return r;
	(void) printf("spool %" PRIu64 "\n", tg_db_counts(tg_store_db(store)).rows);
	r = tg_db_read(tg_store_db(store), 0, TG_ROW_SEQ_MAX, false, UINT32_MAX, show_row, NULL);
	return r < 0 ? r : 0;
}

int main(int argc, char **argv)
{
	struct tg_fault why = { .text = "" };
	int r;

	if (argc != 2) {
		(void) fprintf(stderr, "usage: after-cut STATE_DIR\n");
		return 2;
	}
	r = show_identity(argv[1], &why);
	if (r == 0)
		r = show_spool(argv[1], &why);
	if (r < 0)
		(void) fprintf(stderr, "after-cut: %s %s\n", strerror(-r), why.text);
	return r < 0 ? 1 : 0;
}
