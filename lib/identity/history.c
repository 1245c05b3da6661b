/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/generation.h"

#include "base/file.h"
#include "identity/generations.h"
#include "identity/manifest.h"
#include "identity/outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/*
 * What is kept of generations that have ended: chain, manifest and outcome, for so many of them.
 */
#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static int open_generation(const struct tg_generations *s, unsigned number)
{
	char name[TG_NUMBER_NAME];

	tg_generations_number_name(number, name);
	return openat(s->generations, name, OPEN_DIR);
}

void tg_generations_end(const struct tg_generations *s, unsigned number,
			enum tg_outcome_state state, const char *reason, int64_t now_s)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(TG_OUTCOME_MAX);
	tg_autoclose int dir = open_generation(s, number);
	struct tg_outcome o = { .state = state, .time = now_s };
	int r;

	tg_printable(o.reason, sizeof(o.reason), reason, strlen(reason));
	tg_outcome_print(&o, &text);
	if (dir < 0 || tg_buffer_error(&text) < 0)
		return;
	r = tg_file_replace(dir, TG_FILE_OUTCOME, text.data, text.len, TG_GENERATIONS_PUBLIC_MODE,
			    NULL);
	(void) r;
}

struct tg_outcome tg_generations_outcome(const struct tg_generations *s, unsigned number)
{
	struct tg_outcome none = { .state = TG_OUTCOME_NONE }, o = none;
	tg_autoclose int dir = open_generation(s, number);
	tg_autofree char *text = NULL;
	size_t len = 0;

	if (dir < 0 || tg_file_read(dir, TG_FILE_OUTCOME, TG_OUTCOME_MAX, &text, &len, NULL) < 0)
		return none;
	return tg_outcome_parse(text, len, &o, NULL) < 0 ? none : o;
}

int tg_generations_revive(const struct tg_generations *s, unsigned number, struct tg_fault *reterr)
{
	tg_autoclose int dir = open_generation(s, number);

	if (dir < 0)
		return 0;
	if (unlinkat(dir, TG_FILE_OUTCOME, 0) < 0)
		return errno == ENOENT ? 0
				       : tg_fault_set(reterr, -errno, "cannot remove %s: %s",
						      TG_FILE_OUTCOME, strerror(errno));
	return tg_file_sync_dir(dir, ".", reterr);
}

/* The newest numbers, descending, as many as fit; the others are not of interest. */
static int newest(const struct tg_generations *s, unsigned *out, size_t max, size_t *ret_n,
		  struct tg_fault *reterr)
{
	tg_cleanup(closedirp) DIR *list = tg_generations_list(s->generations);
	const struct dirent *e;
	size_t n = 0;

	if (!list)
		return tg_fault_set(reterr, -errno, "cannot list generations: %s", strerror(errno));
	while ((e = readdir(list))) {
		unsigned number = tg_generations_number(e->d_name);
		size_t at = 0;

		while (at < n && out[at] > number)
			at++;
		if (!number || at == max)
			continue;
		n += n < max;
		memmove(out + at + 1, out + at, (n - at - 1) * sizeof(*out));
		out[at] = number;
	}
	*ret_n = n;
	return 0;
}

static bool is_linked(const unsigned linked[static TG_SLOTS], unsigned number)
{
	for (size_t i = 0; i < TG_SLOTS; i++)
		if (linked[i] == number)
			return true;
	return false;
}

int tg_generations_prune(const struct tg_generations *s, struct tg_fault *reterr)
{
	unsigned linked[TG_SLOTS] = { 0 }, kept[TG_GENERATION_HISTORY];
	tg_cleanup(closedirp) DIR *list = NULL;
	const struct dirent *e;
	size_t n = 0;
	int r = newest(s, kept, TG_GENERATION_HISTORY, &n, reterr);

	if (r == 0)
		r = tg_generations_linked(s, linked, reterr);
	if (r < 0 || n < TG_GENERATION_HISTORY)
		return r;
	list = tg_generations_list(s->generations);
	if (!list)
		return tg_fault_set(reterr, -errno, "cannot list generations: %s", strerror(errno));
	while (r == 0 && (e = readdir(list))) {
		unsigned number = tg_generations_number(e->d_name);

		if (number && number < kept[n - 1] && !is_linked(linked, number))
			r = tg_generations_remove_dir(s->generations, e->d_name, reterr);
	}
	return r;
}

int tg_generation_history(const char *state_dir, struct tg_generation_entry *out, size_t max,
			  size_t *ret_n, struct tg_fault *reterr)
{
	tg_cleanup(tg_generations_done) struct tg_generations s = TG_GENERATIONS_NULL;
	unsigned linked[TG_SLOTS] = { 0 }, numbers[TG_GENERATION_HISTORY_MAX];
	size_t n = 0, found = 0;
	int r = tg_generations_open(state_dir, &s, reterr);

	if (r == 0)
		r = newest(&s, numbers, TG_GENERATION_HISTORY_MAX, &found, reterr);
	if (r == 0)
		r = tg_generations_linked(&s, linked, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < found && n < max; i++) {
		struct tg_generation_entry e = { .whole = true };

		r = tg_generations_load(&s, numbers[i], true, &e.manifest, NULL);
		if (r == -EBADMSG) {
			e.whole = false;
			r = tg_generations_load(&s, numbers[i], false, &e.manifest, NULL);
		}
		if (r < 0)
			continue;
		e.outcome = tg_generations_outcome(&s, numbers[i]);
		e.current = linked[TG_SLOT_CURRENT] == numbers[i];
		e.candidate = linked[TG_SLOT_CANDIDATE] == numbers[i];
		e.previous = linked[TG_SLOT_PREVIOUS] == numbers[i];
		out[n++] = e;
	}
	*ret_n = n;
	return 0;
}
