/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/cuts/outage.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR       512u
#define MANY         64u /* choices of one kind at one position, at most */
#define SAMPLED      2u  /* the same, when not all are wanted */
#define NAME_CHOICES 24u
#define NO_OP        SIZE_MAX

struct list {
	size_t *v, n, room;
};

struct file {
	struct image_file synced;
	struct list waiting; /* writes and resizes behind `synced` */
};

/* Which of the operations that wait have reached the medium. */
struct choice {
	bool zeros;      /* of writes that have not, the length has */
	size_t torn;     /* one that has in part, or NO_OP */
	size_t from, to; /* that part of it */
};

struct outage {
	const struct medium_log *log;
	const struct outage_options *options;
	outage_fn fn;
	void *user;

	struct file *files;
	struct image names; /* synced names: file numbers in their bytes */
	struct list name_ops;
	bool *durable, *doubtful; /* by operation */
	bool *keep;               /* by operation, of those that wait */
	struct list waiting;      /* writes of all files that wait, in order, at this position */
	size_t position;
	uint64_t random;
	bool ended;
};

static void push(struct list *l, size_t v)
{
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 64;
		l->v = reallocarray(l->v, l->room, sizeof(*l->v));
		assert(l->v);
	}
	l->v[l->n++] = v;
}

static uint64_t next_random(struct outage *o)
{
	o->random ^= o->random << 13;
	o->random ^= o->random >> 7;
	o->random ^= o->random << 17;
	return o->random;
}

/* --- the state of the medium --- */

static void apply_part(struct image_file *f, const struct medium_op *op, size_t from, size_t to)
{
	if (op->kind == MEDIUM_RESIZE)
		image_file_resize(f, (size_t) op->offset);
	else if (to > from)
		image_file_write(f, op->offset + from, op->data + from, to - from);
}

static void apply(struct image_file *f, const struct medium_op *op)
{
	apply_part(f, op, 0, op->len);
}

static void point(struct image *names, const char *name, unsigned file)
{
	struct image_file *f = image_find(names, name);

	if (!f)
		f = image_add(names, name);
	image_file_write(f, 0, (const uint8_t *) &file, sizeof(file));
}

static unsigned pointed(const struct image_file *f)
{
	unsigned file;

	memcpy(&file, f->data, sizeof(file));
	return file;
}

static void apply_name(struct image *names, const struct medium_op *op)
{
	if (op->kind == MEDIUM_CREATE) {
		point(names, op->name, op->file);
	} else if (op->kind == MEDIUM_UNLINK) {
		image_remove(names, op->name);
	} else {
		image_remove(names, op->name);
		point(names, op->to, op->file);
	}
}

/* What is durable from the front on is in the file for good. */
static void settle(struct outage *o, struct file *f)
{
	size_t done = 0;

	while (done < f->waiting.n && o->durable[f->waiting.v[done]])
		apply(&f->synced, o->log->ops + f->waiting.v[done++]);
	f->waiting.n -= done;
	memmove(f->waiting.v, f->waiting.v + done, f->waiting.n * sizeof(*f->waiting.v));
}

static void sync_file(struct outage *o, struct file *f, bool failed)
{
	for (size_t i = 0; i < f->waiting.n; i++) {
		size_t op = f->waiting.v[i];

		if (failed && !o->durable[op])
			o->doubtful[op] = true;
		else if (!o->doubtful[op])
			o->durable[op] = true;
	}
	settle(o, f);
}

static void advance(struct outage *o)
{
	const struct medium_op *op = o->log->ops + o->position;

	switch (op->kind) {
	case MEDIUM_WRITE:
	case MEDIUM_RESIZE:
		push(&o->files[op->file].waiting, o->position);
		break;
	case MEDIUM_SYNC:
		sync_file(o, o->files + op->file, op->failed);
		break;
	case MEDIUM_CREATE:
	case MEDIUM_RENAME:
	case MEDIUM_UNLINK:
		push(&o->name_ops, o->position);
		break;
	case MEDIUM_SYNC_DIR:
		for (size_t i = 0; i < o->name_ops.n; i++)
			apply_name(&o->names, o->log->ops + o->name_ops.v[i]);
		o->name_ops.n = 0;
		break;
	case MEDIUM_OPEN:
	case MEDIUM_KINDS_:
		break;
	}
	o->position++;
}

static void begin(struct outage *o)
{
	const struct medium_log *log = o->log;

	o->files = calloc(log->files + 1, sizeof(*o->files));
	o->durable = calloc(log->n + 1, sizeof(bool));
	o->doubtful = calloc(log->n + 1, sizeof(bool));
	o->keep = calloc(log->n + 1, sizeof(bool));
	assert(o->files && o->durable && o->doubtful && o->keep);
	for (unsigned i = 0; i < log->base.n; i++) {
		image_file_copy(&o->files[i].synced, log->base.files + i);
		point(&o->names, log->base.files[i].name, i);
	}
}

static void end(struct outage *o)
{
	for (unsigned i = 0; i < o->log->files; i++) {
		free(o->files[i].synced.data);
		free(o->files[i].waiting.v);
	}
	image_done(&o->names);
	free(o->files);
	free(o->durable);
	free(o->doubtful);
	free(o->keep);
	free(o->name_ops.v);
	free(o->waiting.v);
}

/* --- one image --- */

static void fill(struct outage *o, struct image_file *to, const struct file *f,
		 const struct choice *c)
{
	image_file_copy(to, &f->synced);
	for (size_t i = 0; i < f->waiting.n; i++) {
		size_t at = f->waiting.v[i];
		const struct medium_op *op = o->log->ops + at;
		uint64_t behind = op->offset + op->len;

		if (at == c->torn)
			apply_part(to, op, c->from, c->to);
		else if (o->durable[at] || o->keep[at])
			apply(to, op);
		else if (c->zeros && op->kind == MEDIUM_RESIZE)
			apply(to, op);
		else if (c->zeros && behind > to->len)
			image_file_resize(to, (size_t) behind);
	}
}

static void emit(struct outage *o, const struct choice *c, const char *what)
{
	struct image names = IMAGE_NULL, im = IMAGE_NULL;

	if (o->ended)
		return;
	image_copy(&names, &o->names);
	for (size_t i = 0; i < o->name_ops.n; i++)
		if (o->keep[o->name_ops.v[i]])
			apply_name(&names, o->log->ops + o->name_ops.v[i]);
	for (size_t i = 0; i < names.n; i++)
		fill(o, image_add(&im, names.files[i].name), o->files + pointed(names.files + i),
		     c);
	o->ended = !o->fn(o->user, &im, o->position, what);
	image_done(&im);
	image_done(&names);
}

static void keep_writes(struct outage *o, bool keep)
{
	for (size_t i = 0; i < o->waiting.n; i++)
		o->keep[o->waiting.v[i]] = keep;
}

static void keep_names(struct outage *o, bool keep)
{
	for (size_t i = 0; i < o->name_ops.n; i++)
		o->keep[o->name_ops.v[i]] = keep;
}

/* --- the choices --- */

static const struct choice plain = { .torn = NO_OP },
			   only_lengths = { .zeros = true, .torn = NO_OP };

static void plain_choices(struct outage *o, const char *names)
{
	char what[96];

	keep_writes(o, false);
	(void) snprintf(what, sizeof(what), "no unsynced write, %s", names);
	emit(o, &plain, what);
	if (o->waiting.n == 0)
		return;
	(void) snprintf(what, sizeof(what), "lengths without bytes, %s", names);
	emit(o, &only_lengths, what);
	keep_writes(o, true);
	(void) snprintf(what, sizeof(what), "every write, %s", names);
	emit(o, &plain, what);
}

static void torn_at(struct outage *o, size_t op, size_t from, size_t to)
{
	const struct choice c = { .torn = op, .from = from, .to = to };
	char what[96];

	(void) snprintf(what, sizeof(what), "the last write torn, bytes %zu to %zu", from, to);
	emit(o, &c, what);
}

static void torn_choices(struct outage *o)
{
	size_t last = o->waiting.v[o->waiting.n - 1], cuts;
	const struct medium_op *op = o->log->ops + last;
	/* Sectors are those of the medium. */
	size_t first = SECTOR - (size_t) (op->offset % SECTOR);

	if (op->kind != MEDIUM_WRITE)
		return;
	keep_writes(o, true);
	torn_at(o, last, 0, op->len / 2);
	if (o->options->few)
		return;
	torn_at(o, last, op->len / 2, op->len);
	cuts = op->len > first ? (op->len - first + SECTOR - 1) / SECTOR : 0;
	for (size_t i = 0; i < cuts && i < MANY; i++)
		if (o->options->full || i == next_random(o) % cuts)
			torn_at(o, last, 0, first + i * SECTOR);
}

/* The @i-th of at most @max places that are looked at among @n: all, or a spread with the first and the last. */
static size_t place(size_t i, size_t n, size_t max)
{
	return n <= max ? i : i * (n - 1) / (max - 1);
}

static void single_choices(struct outage *o)
{
	size_t n = o->waiting.n, max = o->options->full ? MANY : SAMPLED;
	char what[96];

	for (size_t i = 0; i < n && i < max; i++) {
		size_t op = o->waiting.v[place(i, n, max)];

		keep_writes(o, true);
		o->keep[op] = false;
		(void) snprintf(what, sizeof(what), "every write but operation %zu", op);
		emit(o, &plain, what);
		keep_writes(o, false);
		o->keep[op] = true;
		(void) snprintf(what, sizeof(what), "no write but operation %zu", op);
		emit(o, &plain, what);
	}
}

static void random_choices(struct outage *o)
{
	size_t times = o->options->full ? 8 : 1;

	for (size_t i = 0; i < times; i++) {
		for (size_t k = 0; k < o->waiting.n; k++)
			o->keep[o->waiting.v[k]] = next_random(o) >> 17 & 1;
		emit(o, i % 2 ? &only_lengths : &plain, "a random choice of writes");
	}
}

static void write_choices(struct outage *o, const char *names)
{
	plain_choices(o, names);
	if (o->waiting.n == 0)
		return;
	torn_choices(o);
	if (o->options->few || o->waiting.n < 2)
		return;
	single_choices(o);
	random_choices(o);
}

/* Names: a first part of the changes, as a journal keeps them, or all but one, as nothing does. */
static void name_choices(struct outage *o)
{
	size_t n = o->name_ops.n;
	char what[64];

	for (size_t i = 1; i < n && i < NAME_CHOICES; i++) {
		keep_names(o, false);
		for (size_t k = 0; k < i; k++)
			o->keep[o->name_ops.v[k]] = true;
		(void) snprintf(what, sizeof(what), "the first %zu of %zu names", i, n);
		plain_choices(o, what);
	}
	for (size_t i = 0; i < n && n > 1 && i < NAME_CHOICES; i++) {
		keep_names(o, true);
		o->keep[o->name_ops.v[i]] = false;
		(void) snprintf(what, sizeof(what), "all names but operation %zu",
				o->name_ops.v[i]);
		plain_choices(o, what);
	}
}

static int by_number(const void *a, const void *b)
{
	size_t x = *(const size_t *) a, y = *(const size_t *) b;

	return (x > y) - (x < y);
}

static void look(struct outage *o)
{
	o->waiting.n = 0;
	for (unsigned f = 0; f < o->log->files; f++)
		for (size_t i = 0; i < o->files[f].waiting.n; i++)
			if (!o->durable[o->files[f].waiting.v[i]])
				push(&o->waiting, o->files[f].waiting.v[i]);
	if (o->waiting.n > 1)
		qsort(o->waiting.v, o->waiting.n, sizeof(size_t), by_number);
	o->random = (o->options->seed + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (o->position + 1);

	keep_names(o, true);
	write_choices(o, "all names");
	if (o->name_ops.n == 0)
		return;
	keep_names(o, false);
	write_choices(o, "no names");
	name_choices(o);
}

size_t outage_each(const struct medium_log *log, const struct outage_options *options, outage_fn fn,
		   void *user)
{
	struct outage o = { .log = log, .options = options, .fn = fn, .user = user };
	size_t step = options->step ? options->step : 1, looked = 0;

	begin(&o);
	while (!o.ended) {
		if (o.position >= options->from && (o.position - options->from) % step == 0) {
			look(&o);
			looked++;
		}
		if (o.position == log->n)
			break;
		advance(&o);
	}
	end(&o);
	return looked;
}
