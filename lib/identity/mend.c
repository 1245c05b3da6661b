/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/generations.h"

#include "base/file.h"
#include "identity/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/*
 * bundle.pem is chain.pem and key.pem in one file, and the manifest has its digest: a damaged one
 * is made anew of the two others, or they of it. A certificate for a key in this TPM is not given
 * up for a bad block.
 */
struct text {
	char *data; /* owned; NULL: not there or not readable as a file */
	size_t len;
};

struct parts {
	struct text chain, key, bundle;
};

static void parts_done(struct parts *p)
{
	free(p->chain.data);
	free(p->key.data);
	free(p->bundle.data);
}

static int read_text(int dir, const char *name, struct text *t, struct tg_fault *reterr)
{
	int r = tg_file_read(dir, name, TG_GENERATION_FILE_MAX, &t->data, &t->len, reterr);

	return tg_generations_is_damage(r) ? 0 : r;
}

static int read_parts(int dir, struct parts *p, struct tg_fault *reterr)
{
	int r = read_text(dir, TG_FILE_CHAIN, &p->chain, reterr);

	if (r == 0)
		r = read_text(dir, TG_FILE_KEY, &p->key, reterr);
	if (r == 0)
		r = read_text(dir, TG_FILE_BUNDLE, &p->bundle, reterr);
	return r;
}

static bool has_digest(const struct text *t, const char *digest)
{
	char found[TG_DIGEST_HEX];

	return t->data && tg_generations_digest(t->data, t->len, found) == 0 &&
	       strcmp(found, digest) == 0;
}

static bool same(const struct text *t, const char *data, size_t len)
{
	return t->data && t->len == len && memcmp(t->data, data, len) == 0;
}

/* Where the last PEM object of the bundle begins, which is the key; 0 when there is but one. */
static size_t key_at(const struct text *bundle)
{
	static const char begin[] = "\n-----BEGIN ";
	size_t at = 0;

	for (const char *p = strstr(bundle->data, begin); p; p = strstr(p + 1, begin))
		at = (size_t) (p - bundle->data) + 1;
	return at;
}

static int make_bundle(int dir, const struct parts *p, const char *digest, struct tg_fault *reterr)
{
	tg_autofree char *both = NULL;
	struct text t;

	if (!p->chain.data || !p->key.data || p->chain.len + p->key.len > TG_GENERATION_FILE_MAX)
		return 0;
	t.len = p->chain.len + p->key.len;
	t.data = both = malloc(t.len + 1);
	if (!both)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	memcpy(both, p->chain.data, p->chain.len);
	memcpy(both + p->chain.len, p->key.data, p->key.len);
	if (!has_digest(&t, digest))
		return 0;
	return tg_file_replace(dir, TG_FILE_BUNDLE, both, t.len, TG_GENERATIONS_KEY_MODE, reterr);
}

/* Chain and key anew, of a bundle that is what it should be. */
static int split_bundle(int dir, const struct parts *p, struct tg_fault *reterr)
{
	const struct text *b = &p->bundle;
	size_t at = key_at(b);
	int r = 0;

	if (!at || (p->chain.len <= b->len && same(&p->chain, b->data, p->chain.len) &&
		    same(&p->key, b->data + p->chain.len, b->len - p->chain.len)))
		return 0; /* whole, or beyond help */
	if (!same(&p->chain, b->data, at))
		r = tg_file_replace(dir, TG_FILE_CHAIN, b->data, at, TG_GENERATIONS_PUBLIC_MODE,
				    reterr);
	if (r == 0 && !same(&p->key, b->data + at, b->len - at))
		r = tg_file_replace(dir, TG_FILE_KEY, b->data + at, b->len - at,
				    TG_GENERATIONS_KEY_MODE, reterr);
	return r;
}

static int mend(int dir, const struct parts *p, const char *digest, struct tg_fault *reterr)
{
	return has_digest(&p->bundle, digest) ? split_bundle(dir, p, reterr)
					      : make_bundle(dir, p, digest, reterr);
}

int tg_generations_mend(const struct tg_generations *s, unsigned number, struct tg_fault *reterr)
{
	tg_cleanup(parts_done) struct parts p = { .chain = { NULL, 0 } };
	char name[TG_NUMBER_NAME], digest[TG_DIGEST_HEX];
	tg_autofree char *manifest = NULL;
	tg_autoclose int dir = -1;
	struct tg_manifest m;
	size_t len = 0;
	int r;

	tg_generations_number_name(number, name);
	dir = openat(s->generations, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return 0;
	r = tg_file_read(dir, TG_FILE_MANIFEST, TG_GENERATION_FILE_MAX, &manifest, &len, reterr);
	if (r == 0)
		r = tg_manifest_parse(manifest, len, &m, digest, reterr);
	/* Without it nobody knows what the others should be. */
	if (r < 0)
		return r == -EBADMSG || tg_generations_is_damage(r) ? 0 : r;
	r = read_parts(dir, &p, reterr);
	return r == 0 ? mend(dir, &p, digest, reterr) : r;
}
