/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pipeline/pipeline.h"

#include "base/file.h"
#include "base/parse.h"

#include <tidegate/log.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * `seq-epoch` holds one decimal number and a newline. Replacing it by rename
 * leaves whole files only, so anything else in it is a damaged medium, a cut on
 * a full disk or a stranger's hand, and nobody knows which epochs were used. Then the new one
 * goes a long way beyond whatever can still be read.
 */
#define EPOCH_FILE "seq-epoch"
#define EPOCH_MAX  ((UINT32_C(1) << 21) - 1) /* epoch * 2^32 + n stays below 2^53 */
#define FILE_MAX   64                        /* bytes; an own file has 8 at most */
/* More starts than a gateway sees: ten a day for 17 years. */
#define DAMAGE_LEAP 65536

/* Exactly what tg_epoch_raise() writes. */
static bool parse_whole(const char *text, size_t len, uint32_t *ret)
{
	char digits[FILE_MAX + 1];
	uint64_t v;

	if (len < 2 || len > 8 || text[len - 1] != '\n' || strlen(text) != len)
		return false;
	memcpy(digits, text, len - 1);
	digits[len - 1] = '\0';
	if (strspn(digits, "0123456789") != len - 1 || tg_parse_u64(digits, &v) < 0 ||
	    v > EPOCH_MAX)
		return false;
	*ret = (uint32_t) v;
	return true;
}

/* The largest number that could have been an epoch among the runs of digits in a damaged file. */
static uint32_t largest_named(const char *text, size_t len)
{
	uint32_t best = 0, v = 0;

	/* Through the NUL behind the text, which ends the last run. */
	for (size_t i = 0; i <= len; i++) {
		bool digit = i < len && text[i] >= '0' && text[i] <= '9';

		if (!digit && v <= EPOCH_MAX && v > best)
			best = v;
		if (!digit)
			v = 0;
		else if (v <= EPOCH_MAX)
			/* Once beyond the limit it stays there until the run ends. */
			v = v * 10 + (uint32_t) (text[i] - '0');
	}
	return best;
}

/* The last epoch that may have been used: 0 when there is no file. */
static int read_last(int dirfd, uint32_t at_least, uint32_t *ret, struct tg_fault *reterr)
{
	tg_autofree char *text = NULL;
	struct tg_fault why = { .code = 0 };
	uint32_t last;
	size_t len = 0;
	int r;

	r = tg_file_read(dirfd, EPOCH_FILE, FILE_MAX, &text, &len, &why);
	if (r == -ENOENT) {
		*ret = at_least;
		return 0;
	}
	if (r < 0 && r != -EFBIG)
		return tg_fault_set(reterr, r, "cannot tell the last sequence epoch: %s", why.text);
	if (r == 0 && parse_whole(text, len, &last)) {
		*ret = last > at_least ? last : at_least;
		return 0;
	}

	last = text ? largest_named(text, len) : 0;
	last = last > at_least ? last : at_least;
	tg_log(LOG_WARNING, "pipeline", "%s is damaged; sequence numbers leap ahead", EPOCH_FILE);
	*ret = last < EPOCH_MAX - DAMAGE_LEAP ? last + DAMAGE_LEAP : last;
	return 0;
}

/*
 * On a full disk, or one without inodes, there is no second file; readings must not wait for that to end. Of these few bytes
 * of one block a cut leaves the old number, the new one, or damage, which is leapt over.
 */
static int overwrite(int dirfd, const char *text, size_t len)
{
	tg_autoclose int fd = openat(dirfd, EPOCH_FILE, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	if (n < 0)
		return -errno;
	if ((size_t) n != len)
		return -ENOSPC;
	if (ftruncate(fd, (off_t) len) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int tg_epoch_raise(const char *state_dir, uint32_t at_least, uint32_t *ret, struct tg_fault *reterr)
{
	tg_autoclose int dirfd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[16];
	uint32_t last = 0;
	int r, n;

	if (dirfd < 0) {
		r = -errno;
		return tg_fault_set(reterr, r, "cannot open %s: %s", state_dir, strerror(-r));
	}
	r = read_last(dirfd, at_least, &last, reterr);
	if (r < 0)
		return r;
	if (last >= EPOCH_MAX)
		return tg_fault_set(reterr, -EOVERFLOW,
				    "%s/%s: all %" PRIu32 " sequence epochs are used up; give the "
							  "gateway "
				    "a new id, then remove the file",
				    state_dir, EPOCH_FILE, EPOCH_MAX);

	n = snprintf(text, sizeof(text), "%" PRIu32 "\n", last + 1);
	r = tg_file_replace(dirfd, EPOCH_FILE, text, (size_t) n, 0640, reterr);
	if ((r == -ENOSPC || r == -EDQUOT) && overwrite(dirfd, text, (size_t) n) == 0)
		r = 0;
	if (r < 0)
		return r;
	*ret = last + 1;
	return 0;
}
