/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command/ledger.h"

#include "agent/command/ledger_line.h"
#include "base/file.h"

#include <tidegate/log.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * In memory there is only where the lines of an id are: what they say is read
 * when somebody asks. An id is found by its hash, newest first; some ten
 * thousand numbers are compared faster than a device answers.
 */
#define SLACK    (TG_LEDGER_KEEP / 4) /* ids beyond, before the file is written anew */
#define FILE_MAX (64 * 1024 * 1024)   /* more than the longest lines of all of them */
#define AT_NONE  UINT32_MAX

struct entry {
	uint64_t hash; /* of the id */
	int64_t time_s;
	uint32_t begun, done; /* where their lines begin; AT_NONE: there is none */
	bool told, local;
	bool ended; /* also when its line could not be written */
	bool ours;  /* begun in this run */
};

struct tg_ledger {
	pthread_mutex_t lock;
	int dir, file; /* file: -1 when it could not be opened */
	bool spoilt;   /* what is open is only read any more: written anew before the next use */
	uint32_t size; /* up to here every line is whole */
	struct entry *entries; /* oldest first */
	size_t n, room;
	size_t damaged;          /* lines at the start */
	struct tg_fault problem; /* why there is no file */
};

/* FNV-1a. Who finds two ids of one hash has two commands compared by their lines, no more. */
static uint64_t hash_of(const char *id)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *id; id++)
		h = (h ^ (uint8_t) *id) * UINT64_C(0x100000001b3);
	return h;
}

static bool is_too_old(const struct entry *e, int64_t now_s)
{
	/* What was entered while the clock could not be believed has no age. */
	return e->ended && e->time_s > 0 && e->time_s < now_s - TG_LEDGER_AGE_S;
}

static int make_room(struct tg_ledger *l)
{
	size_t room = l->room ? 2 * l->room : 64;
	struct entry *more;

	if (l->n < l->room)
		return 0;
	more = realloc(l->entries, room * sizeof(*more));
	if (!more)
		return -ENOMEM;
	l->entries = more;
	l->room = room;
	return 0;
}

/* --- the file --- */

/* The line that begins at @at. */
static int read_line(const struct tg_ledger *l, uint32_t at, struct tg_ledger_line *ret)
{
	char text[TG_LEDGER_LINE_MAX];
	ssize_t n = l->file < 0 || at == AT_NONE ? -1 : pread(l->file, text, sizeof(text), at);
	const char *end = n > 0 ? memchr(text, '\n', (size_t) n) : NULL;

	return end ? tg_ledger_line_parse(text, (size_t) (end - text), ret) : -EBADMSG;
}

static struct entry *find(struct tg_ledger *l, const char *id)
{
	uint64_t hash = hash_of(id);

	for (size_t i = l->n; i-- > 0;) {
		struct tg_ledger_line line;

		if (l->entries[i].hash != hash)
			continue;
		/* One that cannot be read counts as the same: rather none executed than one twice. */
		if (read_line(l, l->entries[i].begun, &line) < 0 || strcmp(line.r.id, id) == 0)
			return &l->entries[i];
	}
	return NULL;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		data += n;
		len -= (size_t) n;
	}
	return 0;
}

/*
 * Appends a line; *@ret_at is where it begins. After a failure nobody knows what the disk has: the file is not written to
 * any more, but made anew from what is whole.
 */
static int append(struct tg_ledger *l, const struct tg_ledger_line *line, bool sync,
		  uint32_t *ret_at)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(TG_LEDGER_LINE_MAX);
	int r;

	tg_ledger_line_add(&b, line);
	r = tg_buffer_error(&b);
	if (r < 0)
		return r;
	if (l->file < 0 || l->spoilt)
		return -EIO;
	r = write_all(l->file, tg_buffer_text(&b), b.len);
	if (r == 0 && sync && fdatasync(l->file) < 0)
		r = -errno;
	if (r < 0) {
		l->spoilt = true;
		return r;
	}
	*ret_at = l->size;
	l->size += (uint32_t) b.len;
	return 0;
}

static int open_file(struct tg_ledger *l, struct tg_fault *reterr)
{
	int fd = openat(l->dir, TG_LEDGER_FILE,
			O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return tg_fault_set(reterr, -errno, "cannot open %s: %s", TG_LEDGER_FILE,
				    strerror(errno));
	l->file = fd;
	return 0;
}

/* --- taking in --- */

static int take_begun(struct tg_ledger *l, const struct tg_ledger_line *line, uint32_t at)
{
	if (make_room(l) < 0)
		return -ENOMEM;
	l->entries[l->n++] = (struct entry){
		.hash = hash_of(line->r.id),
		.time_s = line->time_s,
		.begun = at,
		.done = AT_NONE,
		.local = line->r.local,
	};
	return 0;
}

static int take_line(struct tg_ledger *l, const struct tg_ledger_line *line, uint32_t at)
{
	struct entry *e;

	if (line->step == TG_LEDGER_BEGUN)
		return take_begun(l, line, at);
	e = find(l, line->r.id);
	/* Its beginning was damaged: executed it is all the same. */
	if (!e) {
		if (take_begun(l, line, AT_NONE) < 0)
			return -ENOMEM;
		e = &l->entries[l->n - 1];
		e->ended = true;
	}
	if (line->step == TG_LEDGER_TOLD) {
		e->told = true;
		return 0;
	}
	e->done = at;
	e->ended = true;
	return 0;
}

static int take_all(struct tg_ledger *l, const char *text, size_t len)
{
	for (size_t at = 0; at < len;) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t n = end ? (size_t) (end - text) - at : len - at;
		struct tg_ledger_line line;

		if (!end || tg_ledger_line_parse(text + at, n, &line) < 0)
			l->damaged++;
		else if (take_line(l, &line, (uint32_t) at) < 0)
			return -ENOMEM;
		at += n + 1;
	}
	return 0;
}

/* --- writing anew --- */

/* Copies the line at @at to @b; *@ret_at becomes where it is there. */
static void copy_line(const struct tg_ledger *l, uint32_t at, struct tg_buffer *b, uint32_t *ret_at)
{
	struct tg_ledger_line line;

	*ret_at = AT_NONE;
	if (read_line(l, at, &line) < 0)
		return;
	*ret_at = (uint32_t) b->len;
	tg_ledger_line_add(b, &line);
}

static void copy_entry(const struct tg_ledger *l, struct entry *e, struct tg_buffer *b)
{
	struct tg_ledger_line line;
	uint32_t begun = e->begun, done = e->done;
	bool told = e->told && read_line(l, begun, &line) == 0;

	copy_line(l, begun, b, &e->begun);
	copy_line(l, done, b, &e->done);
	if (!told)
		return;
	line.step = TG_LEDGER_TOLD;
	tg_ledger_line_add(b, &line);
}

/* The entries that are kept, from which on. */
static size_t first_kept(const struct tg_ledger *l, int64_t now_s)
{
	size_t i = l->n > TG_LEDGER_KEEP ? l->n - TG_LEDGER_KEEP : 0;

	while (i < l->n && is_too_old(&l->entries[i], now_s))
		i++;
	return i;
}

/* With the old file still open to read from, and entries that are taken over only when the new one is there. */
static int write_anew(struct tg_ledger *l, int64_t now_s, struct tg_fault *reterr)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(FILE_MAX);
	size_t first = first_kept(l, now_s), n = l->n - first;
	tg_autofree struct entry *kept = calloc(n + 1, sizeof(*kept));
	int r;

	l->spoilt = true;
	if (!kept)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	if (l->file < 0 && n) {
		r = open_file(l, reterr);
		if (r < 0)
			return r;
	}
	if (n)
		memcpy(kept, l->entries + first, n * sizeof(*kept));
	for (size_t i = 0; i < n; i++)
		copy_entry(l, &kept[i], &b);
	r = tg_buffer_error(&b);
	if (r == 0)
		r = tg_file_replace(l->dir, TG_LEDGER_FILE, tg_buffer_text(&b), b.len, 0600,
				    reterr);
	/* Whichever of the two has the name then, the open one is what the entries belong to. */
	if (r < 0)
		return r;
	tg_closep(&l->file);
	l->file = -1;
	l->spoilt = false;
	free(l->entries);
	l->entries = tg_take(kept);
	l->n = n;
	l->room = n + 1;
	l->size = (uint32_t) b.len;
	return open_file(l, reterr);
}

/* Before something is entered: the file is there and not too long. */
static int be_ready(struct tg_ledger *l, int64_t now_s, struct tg_fault *reterr)
{
	int r;

	if (l->dir < 0)
		return tg_fault_set(reterr, l->problem.code, "%s", l->problem.text);
	if (l->file >= 0 && !l->spoilt && l->n < TG_LEDGER_KEEP + SLACK && l->size < FILE_MAX)
		return 0;
	r = write_anew(l, now_s, reterr);
	return r < 0 ? tg_fault_set(reterr, r, "the ledger of commands cannot be written: %s",
				    strerror(-r))
		     : 0;
}

static void load(struct tg_ledger *l)
{
	tg_autofree char *text = NULL;
	struct tg_fault why = { .text = "" };
	size_t len = 0;
	int r = tg_file_read(l->dir, TG_LEDGER_FILE, FILE_MAX, &text, &len, &why);

	/* Made with the first command. */
	if (r == -ENOENT)
		return;
	/* Open, as ids are looked up while the lines are taken in. */
	if (r == 0)
		r = open_file(l, &why);
	if (r == 0)
		r = take_all(l, text, len);
	if (r < 0) {
		l->problem.code = r;
		(void) tg_fault_set(&l->problem, r, "the ledger of commands cannot be used: %s",
				    why.text[0] ? why.text : strerror(-r));
		tg_log(LOG_ERR, "command", "%s; no command is executed", l->problem.text);
		tg_closep(&l->dir);
		l->dir = -1;
		return;
	}
	l->size = (uint32_t) len;
	if (!l->damaged)
		return;
	tg_log(LOG_WARNING, "command", "%zu lines of the ledger were damaged", l->damaged);
	/* Nothing is appended to half a line. */
	if (write_anew(l, 0, &why) < 0)
		tg_log(LOG_ERR, "command", "the ledger cannot be mended: %s", why.text);
}

/* --- from outside --- */

int tg_ledger_new(const char *state_dir, struct tg_ledger **ret)
{
	struct tg_ledger *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	(void) pthread_mutex_init(&l->lock, NULL);
	l->file = -1;
	l->dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->dir < 0)
		(void) tg_fault_set(&l->problem, -errno, "cannot open %s: %s", state_dir,
				    strerror(errno));
	else
		load(l);
	*ret = l;
	return 0;
}

struct tg_ledger *tg_ledger_free(struct tg_ledger *l)
{
	if (!l)
		return NULL;
	tg_closep(&l->file);
	tg_closep(&l->dir);
	(void) pthread_mutex_destroy(&l->lock);
	free(l->entries);
	free(l);
	return NULL;
}

/* The result of what was executed, as far as it is there. */
static void recall(const struct tg_ledger *l, const struct entry *e, const char *id,
		   struct tg_result *ret)
{
	struct tg_ledger_line begun, done;

	*ret = (struct tg_result){ .status = TG_COMMAND_UNKNOWN, .local = e->local };
	(void) snprintf(ret->id, sizeof(ret->id), "%s", id);
	if (read_line(l, e->begun, &begun) == 0) {
		memcpy(ret->device, begun.r.device, sizeof(ret->device));
		memcpy(ret->point, begun.r.point, sizeof(ret->point));
	}
	if (e->done == AT_NONE || read_line(l, e->done, &done) < 0) {
		(void) tg_result_set(ret, TG_COMMAND_UNKNOWN, "its result could not be kept");
		return;
	}
	ret->status = done.r.status;
	memcpy(ret->reason, done.r.reason, sizeof(ret->reason));
	ret->value = done.r.value;
	ret->wall_us = done.time_s * 1000000;
}

static int look_up(struct tg_ledger *l, const char *id, int64_t now_s, struct tg_result *ret,
		   struct tg_fault *reterr)
{
	const struct entry *e;

	if (l->dir < 0)
		return tg_fault_set(reterr, l->problem.code, "%s", l->problem.text);
	e = find(l, id);
	if (!e || is_too_old(e, now_s))
		return TG_LEDGER_NEW;
	if (!e->ended)
		return TG_LEDGER_UNDER_WAY;
	recall(l, e, id, ret);
	return TG_LEDGER_KNOWN;
}

int tg_ledger_find(struct tg_ledger *l, const char *id, int64_t now_s, struct tg_result *ret,
		   struct tg_fault *reterr)
{
	int r;

	(void) pthread_mutex_lock(&l->lock);
	r = look_up(l, id, now_s, ret, reterr);
	(void) pthread_mutex_unlock(&l->lock);
	return r;
}

static int enter(struct tg_ledger *l, const struct tg_command *c, int64_t now_s,
		 struct tg_fault *reterr)
{
	struct tg_ledger_line line = { .step = TG_LEDGER_BEGUN, .time_s = now_s };
	uint32_t at = 0;
	int r = be_ready(l, now_s, reterr);

	if (r < 0)
		return r;
	tg_result_init(&line.r, c);
	line.r.value = c->value;
	if (make_room(l) < 0)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	r = append(l, &line, true, &at);
	if (r < 0)
		return tg_fault_set(reterr, r, "the ledger of commands cannot be written: %s",
				    strerror(-r));
	r = take_begun(l, &line, at);
	if (r == 0)
		l->entries[l->n - 1].ours = true;
	return r;
}

int tg_ledger_begin(struct tg_ledger *l, const struct tg_command *c, int64_t now_s,
		    struct tg_result *ret, struct tg_fault *reterr)
{
	int r;

	(void) pthread_mutex_lock(&l->lock);
	r = look_up(l, c->id, now_s, ret, reterr);
	if (r == TG_LEDGER_NEW)
		r = enter(l, c, now_s, reterr);
	(void) pthread_mutex_unlock(&l->lock);
	return r;
}

int tg_ledger_end(struct tg_ledger *l, const struct tg_result *result, int64_t now_s,
		  struct tg_fault *reterr)
{
	struct tg_ledger_line line = { .step = TG_LEDGER_DONE, .time_s = now_s, .r = *result };
	uint32_t at = AT_NONE;
	struct entry *e;
	int r;

	(void) pthread_mutex_lock(&l->lock);
	r = be_ready(l, now_s, reterr);
	if (r == 0)
		r = append(l, &line, true, &at);
	/* Behind be_ready(), which may have moved them. */
	e = l->dir < 0 ? NULL : find(l, result->id);
	if (e) {
		e->ended = true;
		e->done = r == 0 ? at : AT_NONE;
	}
	(void) pthread_mutex_unlock(&l->lock);
	return r < 0 ? tg_fault_set(reterr, r, "the result could not be kept: %s", strerror(-r))
		     : 0;
}

void tg_ledger_told(struct tg_ledger *l, const char *id)
{
	struct tg_ledger_line line = { .step = TG_LEDGER_TOLD };
	struct entry *e;
	uint32_t at;

	(void) snprintf(line.r.id, sizeof(line.r.id), "%s", id);
	(void) pthread_mutex_lock(&l->lock);
	e = l->dir < 0 ? NULL : find(l, id);
	/* Without fsync: what is lost of it is only told once more. */
	if (e && e->ended && !e->told) {
		e->told = true;
		(void) !append(l, &line, false, &at);
	}
	(void) pthread_mutex_unlock(&l->lock);
}

static void tell_left(struct tg_ledger *l, const struct entry *e, tg_ledger_left_fn fn, void *user)
{
	struct tg_ledger_line begun;
	struct tg_result r;

	if (e->ours || (e->ended && (e->told || e->local)) || read_line(l, e->begun, &begun) < 0)
		return;
	r = begun.r;
	if (e->ended)
		recall(l, e, begun.r.id, &r);
	else
		r.value = (struct tg_kept_value){ .value.type = TG_VALUE_NONE };
	fn(user, &r, e->ended);
}

void tg_ledger_each_left(struct tg_ledger *l, tg_ledger_left_fn fn, void *user)
{
	/* Not locked, as @fn may ask the ledger: nothing is entered before the first command. */
	for (size_t i = 0; i < l->n; i++)
		tell_left(l, &l->entries[i], fn, user);
}
