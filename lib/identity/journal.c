/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/journal.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "identity/journal_text.h"
#include "identity/generations.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* The token is a secret for the hour that it lives. */
#define FILE_MODE 0600
#define DIR_MODE  0700
#define CLEARED                                                                                    \
	".pending" /* what identity/pending is renamed to before its files go; hidden: recovery    \
		      removes it */

static int pending_path(const char *state_dir, const char *name, char out[static PATH_MAX],
			struct tg_fault *reterr)
{
	int n = snprintf(out, PATH_MAX, "%s/%s%s", state_dir, TG_DIR_PENDING, name);

	if (n < 0 || n >= PATH_MAX)
		return tg_fault_set(reterr, -ENAMETOOLONG, "path too long: %.100s...", state_dir);
	return 0;
}

int tg_journal_read(const char *state_dir, struct tg_journal *ret, struct tg_fault *reterr)
{
	char path[PATH_MAX];
	tg_autofree char *text = NULL;
	size_t len = 0;
	int r = pending_path(state_dir, "/" TG_FILE_JOURNAL, path, reterr);

	if (r == 0)
		r = tg_file_read(AT_FDCWD, path, TG_JOURNAL_MAX, &text, &len, reterr);
	if (r == -EFBIG || r == -EINVAL)
		r = -EBADMSG;
	if (r < 0)
		return r;
	r = tg_journal_parse(text, len, ret, reterr);
	explicit_bzero(text, len);
	if (r < 0)
		(void) tg_fault_prefix(reterr, "%s", path);
	return r == -EFBIG ? -EBADMSG : r;
}

int tg_journal_dir(const char *state_dir, struct tg_fault *reterr)
{
	tg_cleanup(tg_generations_done) struct tg_generations s = TG_GENERATIONS_NULL;
	int r = tg_generations_make(state_dir, &s, reterr);

	if (r < 0)
		return r;
	if (mkdirat(s.identity, "pending", DIR_MODE) < 0) {
		if (errno == EEXIST)
			return 0;
		return tg_fault_set(reterr, -errno, "cannot make %s: %s", TG_DIR_PENDING,
				    strerror(errno));
	}
	return tg_file_sync_dir(s.identity, ".", reterr);
}

int tg_journal_write(const char *state_dir, struct tg_journal *j, struct tg_fault *reterr)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(TG_JOURNAL_MAX);
	char path[PATH_MAX];
	int r = pending_path(state_dir, "/" TG_FILE_JOURNAL, path, reterr);

	if (r == 0)
		r = tg_journal_dir(state_dir, reterr);
	if (r < 0)
		return r;
	j->updated = tg_clock_wall_us() / (int64_t) TG_US_PER_S;
	tg_journal_print(j, &text);
	r = tg_buffer_error(&text);
	if (r < 0)
		r = tg_fault_set(reterr, r, "journal too long");
	else
		r = tg_file_replace(AT_FDCWD, path, text.data, text.len, FILE_MODE, reterr);
	if (text.data)
		explicit_bzero(text.data, text.len);
	return r;
}

int tg_journal_clear(const char *state_dir, struct tg_fault *reterr)
{
	tg_cleanup(tg_generations_done) struct tg_generations s = TG_GENERATIONS_NULL;
	int r = tg_generations_lock(state_dir, &s, reterr);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = tg_generations_remove_dir(s.identity, CLEARED, reterr);
	if (r < 0)
		return r;
	/* Renamed first, so that it is there whole or not at all. */
	if (renameat(s.identity, "pending", s.identity, CLEARED) < 0) {
		if (errno == ENOENT)
			return 0;
		return tg_fault_set(reterr, -errno, "cannot clear %s: %s", TG_DIR_PENDING,
				    strerror(errno));
	}
	r = tg_file_sync_dir(s.identity, ".", reterr);
	return r < 0 ? r : tg_generations_remove_dir(s.identity, CLEARED, reterr);
}
