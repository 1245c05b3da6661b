/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/generation.h"

#include "base/file.h"
#include "identity/manifest.h"
#include "identity/generations.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/*
 * The order of the steps is what makes a power cut harmless:
 *
 *	write		.new/ whole -> rename to NNNNNN -> candidate
 *
 * Each arrow is durable before the next begins. What becomes of a candidate is in succession.c,
 * what a cut leaves in between in recover.c.
 */

#define DIR_MODE 0750

static int next_number(const struct tg_generations *s, unsigned *ret, struct tg_fault *reterr)
{
	tg_cleanup(closedirp) DIR *list = tg_generations_list(s->generations);
	const struct dirent *e;
	unsigned highest = 0;

	if (!list)
		return tg_fault_set(reterr, -errno, "cannot list generations: %s", strerror(errno));
	while ((e = readdir(list))) {
		unsigned number = tg_generations_number(e->d_name);

		if (number > highest)
			highest = number;
	}
	if (highest >= TG_GENERATION_MAX)
		return tg_fault_set(reterr, -EOVERFLOW, "generation numbers are used up");
	*ret = highest + 1;
	return 0;
}

static int make_bundle(const struct tg_generation_files *f, struct tg_buffer *bundle,
		       struct tg_fault *reterr)
{
	size_t len = strlen(f->chain_pem);
	int r;

	/* The armour of the key must start on a line of its own. */
	if (len == 0 || f->chain_pem[len - 1] != '\n' || f->key_pem[0] == '\0')
		return tg_fault_set(reterr, -EINVAL, "chain or key is not PEM text");
	tg_buffer_adds(bundle, f->chain_pem);
	tg_buffer_adds(bundle, f->key_pem);
	r = tg_buffer_error(bundle);
	if (r < 0)
		return tg_fault_set(reterr, r == -EMSGSIZE ? -EFBIG : r,
				    "chain and key are longer than %u bytes",
				    TG_GENERATION_FILE_MAX);
	return 0;
}

struct part {
	const char *name;
	const char *data;
	size_t len;
	mode_t mode;
};

static int write_parts(int dir, const struct part *parts, size_t n, struct tg_fault *reterr)
{
	for (size_t i = 0; i < n; i++) {
		int r = tg_file_create(dir, parts[i].name, parts[i].data, parts[i].len,
				       parts[i].mode, reterr);

		if (r < 0)
			return r;
	}
	return tg_file_sync_dir(dir, ".", reterr);
}

static int write_new_dir(const struct tg_generations *s, const struct part *parts, size_t n,
			 struct tg_fault *reterr)
{
	tg_autoclose int dir = -1;
	int r = tg_generations_remove_dir(s->generations, TG_GENERATIONS_NEW, reterr);

	if (r < 0)
		return r;
	if (mkdirat(s->generations, TG_GENERATIONS_NEW, DIR_MODE) < 0)
		return tg_fault_set(reterr, -errno, "cannot make a generation: %s",
				    strerror(errno));
	dir = openat(s->generations, TG_GENERATIONS_NEW, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return tg_fault_set(reterr, -errno, "cannot open a generation: %s",
				    strerror(errno));
	return write_parts(dir, parts, n, reterr);
}

static int write_generation(const struct tg_generations *s, const struct tg_generation_files *f,
			    const struct tg_manifest *m, struct tg_fault *reterr)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer bundle = TG_BUFFER_INIT(TG_GENERATION_FILE_MAX);
	tg_cleanup(tg_buffer_done) struct tg_buffer manifest = TG_BUFFER_INIT(TG_MANIFEST_MAX);
	char name[TG_NUMBER_NAME], digest[TG_DIGEST_HEX];
	int r = make_bundle(f, &bundle, reterr);

	if (r == 0 && f->anchors_pem && strlen(f->anchors_pem) > TG_GENERATION_ANCHORS_MAX)
		r = tg_fault_set(reterr, -EFBIG, "trust anchors longer than %u bytes",
				 TG_GENERATION_ANCHORS_MAX);
	if (r < 0)
		return r;
	if (tg_generations_digest(bundle.data, bundle.len, digest) < 0)
		return tg_fault_set(reterr, -EIO, "cannot compute a digest");
	tg_manifest_write(m, digest, &manifest);
	r = tg_buffer_error(&manifest);
	if (r < 0)
		return tg_fault_set(reterr, r, "manifest too long");

	struct part parts[] = {
		{ TG_FILE_KEY, f->key_pem, strlen(f->key_pem), TG_GENERATIONS_KEY_MODE },
		{ TG_FILE_CHAIN, f->chain_pem, strlen(f->chain_pem), TG_GENERATIONS_PUBLIC_MODE },
		{ TG_FILE_BUNDLE, bundle.data, bundle.len, TG_GENERATIONS_KEY_MODE },
		{ TG_FILE_MANIFEST, manifest.data, manifest.len, TG_GENERATIONS_PUBLIC_MODE },
		{ TG_FILE_ANCHORS, f->anchors_pem, 0, TG_GENERATIONS_PUBLIC_MODE },
	};
	size_t n = TG_ARRAY_SIZE(parts);

	if (f->anchors_pem)
		parts[n - 1].len = strlen(f->anchors_pem);
	else
		n--;
	r = write_new_dir(s, parts, n, reterr);
	tg_generations_number_name(m->number, name);
	if (r == 0 && renameat(s->generations, TG_GENERATIONS_NEW, s->generations, name) < 0)
		r = tg_fault_set(reterr, -errno, "cannot name generation %s: %s", name,
				 strerror(errno));
	if (r < 0) {
		/* On a full disk every block counts. If it cannot go now, it is hidden, and goes
		 * next time. */
		int left = tg_generations_remove_dir(s->generations, TG_GENERATIONS_NEW, NULL);

		(void) left;
		return r;
	}
	return tg_file_sync_dir(s->generations, ".", reterr);
}

/*
 * The candidate that was there has no link any more, and there may be one directory too many. The
 * new one is there whatever comes of it, and the next recovery makes it good.
 */
static void drop_replaced(const struct tg_generations *s, const unsigned linked[static TG_SLOTS])
{
	unsigned candidate = linked[TG_SLOT_CANDIDATE];
	int r = 0;

	if (candidate && candidate != linked[TG_SLOT_CURRENT] &&
	    candidate != linked[TG_SLOT_PREVIOUS])
		r = tg_generations_strip(s, candidate, NULL);
	if (r == 0)
		r = tg_generations_prune(s, NULL);
	(void) r;
}

int tg_generation_write(const char *state_dir, const struct tg_generation_files *files,
			struct tg_manifest *m, struct tg_fault *reterr)
{
	tg_cleanup(tg_generations_done) struct tg_generations s = TG_GENERATIONS_NULL;
	struct tg_manifest made = *m;
	unsigned linked[TG_SLOTS] = { 0 };
	int r = tg_generations_make(state_dir, &s, reterr);

	if (r == 0)
		r = tg_generations_linked(&s, linked, reterr);
	if (r == 0)
		r = next_number(&s, &made.number, reterr);
	if (r == 0)
		r = write_generation(&s, files, &made, reterr);
	/* Read back before it counts: a manifest that we cannot read is found now, not after a
	 * restart. */
	if (r == 0)
		r = tg_generations_load(&s, made.number, true, &made, reterr);
	if (r == 0)
		r = tg_generations_point(&s, TG_SLOT_CANDIDATE, made.number, reterr);
	if (r < 0)
		return r;
	m->number = made.number;
	drop_replaced(&s, linked);
	return 0;
}

int tg_generation_read(const char *state_dir, enum tg_slot slot, struct tg_manifest *ret,
		       struct tg_fault *reterr)
{
	tg_cleanup(tg_generations_done) struct tg_generations s = TG_GENERATIONS_NULL;
	unsigned number = 0;
	int r = tg_generations_open(state_dir, &s, reterr);

	if (r == 0)
		r = tg_generations_slot(&s, slot, &number, reterr);
	if (r < 0)
		return r;
	/* Of the previous one only the history is left once its key is forgotten. */
	return tg_generations_load(&s, number, slot != TG_SLOT_PREVIOUS, ret, reterr);
}

int tg_generation_path(const char *state_dir, enum tg_slot slot, const char *file, char *out,
		       size_t size)
{
	tg_cleanup(tg_generations_done) struct tg_generations s = TG_GENERATIONS_NULL;
	unsigned number = 0;
	int r = tg_generations_open(state_dir, &s, NULL), n;

	if (r == 0)
		r = tg_generations_slot(&s, slot, &number, NULL);
	if (r < 0)
		return r;
	n = snprintf(out, size, "%s/%s/%06u/%s", state_dir, TG_DIR_GENERATIONS, number, file);
	return n < 0 || (size_t) n >= size ? -ENAMETOOLONG : 0;
}

static size_t file_max(const char *file)
{
	return strcmp(file, TG_FILE_ANCHORS) == 0 ? TG_GENERATION_ANCHORS_MAX
						  : TG_GENERATION_FILE_MAX;
}

int tg_generation_text(const char *state_dir, enum tg_slot slot, const char *file, char **ret,
		       struct tg_fault *reterr)
{
	char path[PATH_MAX];
	int r = tg_generation_path(state_dir, slot, file, path, sizeof(path));

	if (r < 0)
		return tg_fault_set(reterr, r, "%s: %s", tg_slot_name(slot), strerror(-r));
	return tg_file_read(AT_FDCWD, path, file_max(file), ret, NULL, reterr);
}
