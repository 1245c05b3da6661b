/* SPDX-License-Identifier: Apache-2.0 */
#include "wallclock/saved.h"

#include "base/file.h"
#include "base/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/*
 *	1 WALL_S BOOT_US BOOT_ID
 *
 * The version, two decimal numbers, 32 hex digits.
 */
#define VERSION   "1"
#define WORDS     4
#define ID_DIGITS 32
/* The year 10000: nothing that runs has seen it, and every sum stays within 64 bits. */
#define WALL_MAX_S  INT64_C(253402300800)
#define BOOT_MAX_US (UINT64_C(1) << 60)

static int path_of(const char *state_dir, char out[static PATH_MAX], struct tg_fault *reterr)
{
	int n = snprintf(out, PATH_MAX, "%s/" TG_FILE_SAVED_TIME, state_dir);

	if (n < 0 || n >= PATH_MAX)
		return tg_fault_set(reterr, -ENAMETOOLONG, "path too long: %.100s...", state_dir);
	return 0;
}

size_t tg_saved_time_print(const struct tg_saved_time *t, char out[static TG_SAVED_TIME_LINE])
{
	int n = snprintf(out, TG_SAVED_TIME_LINE, VERSION " %" PRId64 " %" PRIu64 " ", t->wall_s,
			 t->boot_us);

	for (size_t i = 0; i < sizeof(t->boot_id); i++)
		n += snprintf(out + n, TG_SAVED_TIME_LINE - (size_t) n, "%02x", t->boot_id[i]);
	out[n++] = '\n';
	out[n] = '\0';
	return (size_t) n;
}

int tg_saved_time_write(const char *state_dir, const struct tg_saved_time *t,
			struct tg_fault *reterr)
{
	char path[PATH_MAX], line[TG_SAVED_TIME_LINE];
	size_t len = tg_saved_time_print(t, line);
	int r = path_of(state_dir, path, reterr);

	return r < 0 ? r : tg_file_replace(AT_FDCWD, path, line, len, 0644, reterr);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_id(const char *s, uint8_t ret[static 16])
{
	if (strlen(s) != ID_DIGITS)
		return -EINVAL;
	for (size_t i = 0; i < 16; i++) {
		int high = hex_digit(s[2 * i]), low = hex_digit(s[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		ret[i] = (uint8_t) (high << 4 | low);
	}
	return 0;
}

static int parse_line(char *line, struct tg_saved_time *ret)
{
	struct tg_saved_time t;
	char *words[WORDS], *rest = line;

	for (size_t i = 0; i < WORDS; i++)
		words[i] = rest ? strsep(&rest, " ") : line + strlen(line);
	if (rest || strcmp(words[0], VERSION) != 0 || tg_parse_i64(words[1], &t.wall_s) < 0 ||
	    tg_parse_u64(words[2], &t.boot_us) < 0 || parse_id(words[3], t.boot_id) < 0)
		return -EBADMSG;
	if (t.wall_s <= 0 || t.wall_s >= WALL_MAX_S || t.boot_us > BOOT_MAX_US)
		return -EBADMSG;
	*ret = t;
	return 0;
}

int tg_saved_time_parse(const char *text, size_t len, struct tg_saved_time *ret)
{
	char line[TG_SAVED_TIME_LINE];

	/* A line without its end was cut; bytes behind a NUL were never ours. */
	if (!len || len > sizeof(line) || text[len - 1] != '\n' || memchr(text, '\0', len))
		return -EBADMSG;
	memcpy(line, text, len - 1);
	line[len - 1] = '\0';
	return parse_line(line, ret);
}

int tg_saved_time_read(const char *state_dir, struct tg_saved_time *ret, struct tg_fault *reterr)
{
	tg_autofree char *text = NULL;
	char path[PATH_MAX];
	size_t len = 0;
	int r = path_of(state_dir, path, reterr);

	if (r == 0)
		r = tg_file_read(AT_FDCWD, path, TG_SAVED_TIME_LINE, &text, &len, reterr);
	if (r < 0 && r != -EFBIG && r != -EINVAL)
		return r;
	if (r < 0 || tg_saved_time_parse(text, len, ret) < 0)
		return tg_fault_set(reterr, -EBADMSG, "%s does not hold a saved time", path);
	return 0;
}

uint64_t tg_saved_time_boot_us(const struct tg_saved_time *t, const uint8_t boot_id[static 16])
{
	return memcmp(t->boot_id, boot_id, sizeof(t->boot_id)) == 0 ? t->boot_us : 0;
}
