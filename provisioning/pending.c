/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/pending.h"

#include "base/file.h"
#include "identity/generation.h"
#include "identity/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/statvfs.h>

/* A generation, the pending files and a temporary copy of each, at their longest, with block sizes
 * rounded up. */
#define ROOM_BYTES (512u * 1024 + 3 * TG_GENERATION_ANCHORS_MAX)
#define ROOM_FILES 16

#define FILE_MODE 0600

static int path_of(const char *state_dir, const char *name, char out[static PATH_MAX],
		   struct tg_fault *reterr)
{
	int n = snprintf(out, PATH_MAX, "%s/%s/%s", state_dir, TG_DIR_PENDING, name);

	if (n < 0 || n >= PATH_MAX)
		return tg_fault_set(reterr, -ENAMETOOLONG, "path too long: %.100s...", state_dir);
	return 0;
}

int tg_pending_read(const char *state_dir, const char *name, char **ret, struct tg_fault *reterr)
{
	char path[PATH_MAX];
	int r = path_of(state_dir, name, path, reterr);

	return r < 0 ? r
		     : tg_file_read(AT_FDCWD, path,
				    strcmp(name, TG_FILE_ANCHORS) == 0 ? TG_GENERATION_ANCHORS_MAX
								       : TG_GENERATION_FILE_MAX,
				    ret, NULL, reterr);
}

int tg_pending_write(const char *state_dir, const char *name, const char *text,
		     struct tg_fault *reterr)
{
	char path[PATH_MAX];
	int r = path_of(state_dir, name, path, reterr);

	if (r == 0)
		r = tg_journal_dir(state_dir, reterr);
	return r < 0 ? r : tg_file_replace(AT_FDCWD, path, text, strlen(text), FILE_MODE, reterr);
}

int tg_pending_room(const char *state_dir, struct tg_fault *reterr)
{
	struct statvfs fs;
	uint64_t room;

	if (statvfs(state_dir, &fs) < 0)
		return tg_fault_set(reterr, -errno, "%s: %s", state_dir, strerror(errno));
	room = (uint64_t) fs.f_bavail * fs.f_frsize;
	if (room < ROOM_BYTES)
		return tg_fault_set(reterr, -ENOSPC,
				    "%s: %" PRIu64 " KiB free, an enrolment needs %u", state_dir,
				    room / 1024, ROOM_BYTES / 1024);
	/* File systems without a fixed number of inodes say 0 of 0. */
	if (fs.f_files && fs.f_favail < ROOM_FILES)
		return tg_fault_set(reterr, -ENOSPC,
				    "%s: %" PRIu64 " inodes free, an enrolment needs %d", state_dir,
				    (uint64_t) fs.f_favail, ROOM_FILES);
	return 0;
}
