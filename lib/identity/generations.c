/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/generations.h"

#include "base/file.h"
#include "identity/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define DIR_MODE 0750
#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static int fail(struct tg_fault *reterr, const char *what, const char *name)
{
	int e = errno;

	return tg_fault_set(reterr, -e, "%s %s: %s", what, name, strerror(e));
}

static int state_path(const char *state_dir, const char *name, char out[static PATH_MAX],
		      struct tg_fault *reterr)
{
	int n = snprintf(out, PATH_MAX, "%s/%s", state_dir, name);

	if (n < 0 || n >= PATH_MAX)
		return tg_fault_set(reterr, -ENAMETOOLONG, "path too long: %.100s...", state_dir);
	return 0;
}

int tg_generations_open(const char *state_dir, struct tg_generations *ret, struct tg_fault *reterr)
{
	tg_cleanup(tg_generations_done) struct tg_generations s = TG_GENERATIONS_NULL;
	char path[PATH_MAX];
	int r = state_path(state_dir, TG_DIR_IDENTITY, path, reterr);

	if (r < 0)
		return r;
	s.identity = open(path, OPEN_DIR);
	if (s.identity < 0)
		return fail(reterr, "cannot open", path);
	s.generations = openat(s.identity, "generations", OPEN_DIR);
	if (s.generations < 0)
		return fail(reterr, "cannot open generations in", path);
	*ret = s;
	s = (struct tg_generations) TG_GENERATIONS_NULL;
	return 0;
}

int tg_generations_lock(const char *state_dir, struct tg_generations *ret, struct tg_fault *reterr)
{
	tg_cleanup(tg_generations_done) struct tg_generations s = TG_GENERATIONS_NULL;
	int r = tg_generations_open(state_dir, &s, reterr);

	if (r < 0)
		return r;
	do
		r = flock(s.identity, LOCK_EX);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return fail(reterr, "cannot lock", TG_DIR_IDENTITY);
	*ret = s;
	s = (struct tg_generations) TG_GENERATIONS_NULL;
	return 0;
}

int tg_generations_make(const char *state_dir, struct tg_generations *ret, struct tg_fault *reterr)
{
	char path[PATH_MAX];
	int r = state_path(state_dir, TG_DIR_GENERATIONS, path, reterr);

	if (r == 0)
		r = tg_file_mkdirs(path, DIR_MODE, reterr);
	/* New or not: a directory whose name is not on the medium takes its contents with it. */
	if (r == 0)
		r = tg_file_sync_dir(AT_FDCWD, state_dir, reterr);
	if (r == 0)
		r = tg_generations_lock(state_dir, ret, reterr);
	if (r == 0)
		r = tg_file_sync_dir(ret->identity, ".", reterr);
	if (r < 0)
		return r;
	return 0;
}

void tg_generations_done(struct tg_generations *s)
{
	tg_closep(&s->generations);
	tg_closep(&s->identity); /* and with it the lock */
	*s = (struct tg_generations) TG_GENERATIONS_NULL;
}

const char *tg_slot_name(enum tg_slot slot)
{
	switch (slot) {
	case TG_SLOT_CURRENT:
		return "current";
	case TG_SLOT_CANDIDATE:
		return "candidate";
	case TG_SLOT_PREVIOUS:
		return "previous";
	}
	return "?";
}

void tg_generations_number_name(unsigned number, char out[static TG_NUMBER_NAME])
{
	(void) snprintf(out, TG_NUMBER_NAME, "%06u", number % (TG_GENERATION_MAX + 1));
}

unsigned tg_generations_number(const char *name)
{
	unsigned number = 0;

	if (strlen(name) != 6)
		return 0;
	for (; *name; name++) {
		if (*name < '0' || *name > '9')
			return 0;
		number = number * 10 + (unsigned) (*name - '0');
	}
	return number;
}

int tg_generations_slot(const struct tg_generations *s, enum tg_slot slot, unsigned *ret,
		  struct tg_fault *reterr)
{
	static const char prefix[] = "generations/";
	const char *name = tg_slot_name(slot);
	char target[64];
	ssize_t n = readlinkat(s->identity, name, target, sizeof(target) - 1);
	unsigned number = 0;

	/* EINVAL: something else than a link has the name. */
	if (n < 0 && errno != EINVAL)
		return fail(reterr, "cannot read link", name);
	if (n > 0) {
		target[n] = '\0';
		if (strncmp(target, prefix, sizeof(prefix) - 1) == 0)
			number = tg_generations_number(target + sizeof(prefix) - 1);
	}
	if (!number)
		return tg_fault_set(reterr, -EBADMSG, "%s/%s is not a link to a generation",
				    TG_DIR_IDENTITY, name);
	*ret = number;
	return 0;
}

int tg_generations_point(const struct tg_generations *s, enum tg_slot slot, unsigned number,
		   struct tg_fault *reterr)
{
	char name[TG_NUMBER_NAME], target[32];

	tg_generations_number_name(number, name);
	(void) snprintf(target, sizeof(target), "generations/%s", name);
	return tg_file_relink(s->identity, tg_slot_name(slot), target, reterr);
}

int tg_generations_clear(const struct tg_generations *s, enum tg_slot slot, struct tg_fault *reterr)
{
	if (unlinkat(s->identity, tg_slot_name(slot), 0) < 0) {
		if (errno == ENOENT)
			return 0;
		return fail(reterr, "cannot remove link", tg_slot_name(slot));
	}
	return tg_file_sync_dir(s->identity, ".", reterr);
}

bool tg_generations_is_damage(int r)
{
	return r == -ENOENT || r == -EFBIG || r == -EINVAL || r == -ENOTDIR || r == -ELOOP;
}

/* Reads a file of a generation; one that is missing or no file makes the generation damaged, not
 * the disk. */
static int read_part(int dir, const char *name, char **ret, size_t *ret_len,
		     struct tg_fault *reterr)
{
	int r = tg_file_read(dir, name, TG_GENERATION_FILE_MAX, ret, ret_len, reterr);

	return tg_generations_is_damage(r) ? -EBADMSG : r;
}

/* bundle.pem is what TLS is given: it must be what the manifest says, and be made of the two
 * others. */
static int check_files(int dir, const char *digest, struct tg_fault *reterr)
{
	tg_autofree char *chain = NULL, *key = NULL, *bundle = NULL;
	size_t chain_len = 0, key_len = 0, bundle_len = 0;
	char found[TG_DIGEST_HEX];
	int r = read_part(dir, TG_FILE_CHAIN, &chain, &chain_len, reterr);

	if (r == 0)
		r = read_part(dir, TG_FILE_KEY, &key, &key_len, reterr);
	if (r == 0)
		r = read_part(dir, TG_FILE_BUNDLE, &bundle, &bundle_len, reterr);
	if (r < 0)
		return r;
	if (tg_generations_digest(bundle, bundle_len, found) < 0)
		return tg_fault_set(reterr, -EIO, "cannot compute a digest");
	if (strcmp(found, digest) != 0 || bundle_len != chain_len + key_len ||
	    memcmp(bundle, chain, chain_len) != 0 || memcmp(bundle + chain_len, key, key_len) != 0)
		return tg_fault_set(reterr, -EBADMSG, "its files do not fit its manifest");
	return 0;
}

static int load_from(int dir, unsigned number, bool whole, struct tg_manifest *m,
		     struct tg_fault *reterr)
{
	tg_autofree char *text = NULL;
	char digest[TG_DIGEST_HEX];
	size_t len = 0;
	int r = read_part(dir, TG_FILE_MANIFEST, &text, &len, reterr);

	if (r == 0)
		r = tg_manifest_parse(text, len, m, digest, reterr);
	if (r == -EFBIG)
		r = -EBADMSG;
	if (r < 0)
		return r;
	if (m->number != number)
		return tg_fault_set(reterr, -EBADMSG, "its manifest is of generation %u",
				    m->number);
	return whole ? check_files(dir, digest, reterr) : 0;
}

int tg_generations_load(const struct tg_generations *s, unsigned number, bool whole, struct tg_manifest *ret,
		  struct tg_fault *reterr)
{
	char name[TG_NUMBER_NAME];
	tg_autoclose int dir = -1;
	struct tg_manifest m;
	int r;

	tg_generations_number_name(number, name);
	dir = openat(s->generations, name, OPEN_DIR);
	if (dir < 0) {
		r = fail(reterr, "cannot open generation", name);
		return tg_generations_is_damage(r) ? -EBADMSG : r;
	}
	r = load_from(dir, number, whole, &m, reterr);
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "generation %s", name);
		return r;
	}
	*ret = m;
	return 0;
}

int tg_generations_strip(const struct tg_generations *s, unsigned number, struct tg_fault *reterr)
{
	static const char *const secret[] = { TG_FILE_BUNDLE, TG_FILE_KEY };
	char name[TG_NUMBER_NAME];
	tg_autoclose int dir = -1;
	bool changed = false;

	tg_generations_number_name(number, name);
	dir = openat(s->generations, name, OPEN_DIR);
	if (dir < 0)
		return errno == ENOENT ? 0 : fail(reterr, "cannot open generation", name);
	for (size_t i = 0; i < TG_ARRAY_SIZE(secret); i++) {
		if (unlinkat(dir, secret[i], 0) == 0)
			changed = true;
		else if (errno != ENOENT)
			return fail(reterr, "cannot remove a key of generation", name);
	}
	return changed ? tg_file_sync_dir(dir, ".", reterr) : 0;
}

int tg_generations_linked(const struct tg_generations *s, unsigned ret[static TG_SLOTS],
		  struct tg_fault *reterr)
{
	static const enum tg_slot slots[TG_SLOTS] = { TG_SLOT_CURRENT, TG_SLOT_CANDIDATE,
						      TG_SLOT_PREVIOUS };

	for (size_t i = 0; i < TG_SLOTS; i++) {
		int r = tg_generations_slot(s, slots[i], &ret[slots[i]], reterr);

		if (r < 0 && r != -ENOENT && r != -EBADMSG)
			return r;
		if (r < 0)
			ret[slots[i]] = 0;
	}
	return 0;
}

DIR *tg_generations_list(int dirfd)
{
	/* A description of its own, as the position belongs to it. */
	int fd = openat(dirfd, ".", OPEN_DIR);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		(void) close(fd);
	return d;
}

static int remove_files(int dir, const char *name, struct tg_fault *reterr)
{
	tg_cleanup(closedirp) DIR *list = tg_generations_list(dir);
	const struct dirent *e;

	if (!list)
		return fail(reterr, "cannot read directory", name);
	while ((e = readdir(list))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(dir, e->d_name, 0) < 0 && errno != ENOENT)
			return fail(reterr, "cannot remove a file in", name);
	}
	return 0;
}

int tg_generations_remove_dir(int dirfd, const char *name, struct tg_fault *reterr)
{
	tg_autoclose int dir = openat(dirfd, name, OPEN_DIR);
	int r;

	if (dir < 0)
		return errno == ENOENT ? 0 : fail(reterr, "cannot open", name);
	r = remove_files(dir, name, reterr);
	if (r < 0)
		return r;
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0)
		return fail(reterr, "cannot remove", name);
	return tg_file_sync_dir(dirfd, ".", reterr);
}

int tg_generations_digest(const void *data, size_t len, char out[static 65])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	size_t md_len = 0;

	if (!EVP_Q_digest(NULL, "SHA256", NULL, data, len, md, &md_len) || md_len != 32)
		return -EIO;
	for (size_t i = 0; i < md_len; i++)
		(void) snprintf(out + 2 * i, 3, "%02x", md[i]);
	return 0;
}
