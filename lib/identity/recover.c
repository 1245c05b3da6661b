/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/generation.h"

#include "base/file.h"
#include "identity/generations.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/*
 * What a power cut can leave, and what becomes of it:
 *
 *	hidden names (temporary files, .new/, a cleared journal)	removed
 *	bundle.pem damaged, or chain.pem and key.pem			made anew of the other
 *	a link to nothing, or current/candidate not whole		removed; current falls back to a
 *									previous that has its key
 *	candidate with an outcome (roll-back cut)			rolled back
 *	current rejected (demotion cut)					previous becomes current
 *	current with an outcome, and nothing to go back to		the outcome removed
 *	previous == current (promotion cut before it counted, demotion	previous removed; a candidate stays one
 *	cut behind it)
 *	candidate == current (promotion cut after it counted)		candidate removed
 *	previous retired (retirement cut)				its key is stripped
 *	a generation that no link names					its key is stripped, the rest is history
 *	more history than is kept					the oldest removed
 *
 * Something that cannot be looked at (-EIO, -EACCES) stops the recovery: nothing is judged
 * damaged because the disk did not answer.
 */

/* Removes hidden entries of @dirfd: files, links and flat directories. */
static int sweep(int dirfd, const char *what, struct tg_fault *reterr)
{
	tg_cleanup(closedirp) DIR *list = tg_generations_list(dirfd);
	const struct dirent *e;
	bool changed = false;

	if (!list)
		return tg_fault_set(reterr, -errno, "cannot list %s: %s", what, strerror(errno));
	while ((e = readdir(list))) {
		int r = 0;

		if (e->d_name[0] != '.' || strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0)
			continue;
		changed = true;
		if (unlinkat(dirfd, e->d_name, 0) < 0)
			r = tg_generations_remove_dir(dirfd, e->d_name, reterr);
		if (r < 0)
			return r;
	}
	return changed ? tg_file_sync_dir(dirfd, ".", reterr) : 0;
}

/* Whether @slot names a generation that is usable (0 or 1), or -errno when it could not be looked
 * at. */
static int usable(const struct tg_generations *s, enum tg_slot slot, bool whole, unsigned *ret,
		  struct tg_fault *reterr)
{
	struct tg_manifest m;
	int r = tg_generations_slot(s, slot, ret, reterr);

	if (r == 0)
		r = tg_generations_load(s, *ret, whole, &m, reterr);
	if (r == -EBADMSG || r == -ENOENT)
		return 0;
	return r < 0 ? r : 1;
}

/* Removes @slot's link when what it names is not usable. */
static int check_slot(const struct tg_generations *s, enum tg_slot slot, bool whole,
		      struct tg_fault *reterr)
{
	unsigned number = 0;
	int r = usable(s, slot, whole, &number, reterr);

	return r == 0 ? tg_generations_clear(s, slot, reterr) : (r < 0 ? r : 0);
}

/* A damaged current falls back to a previous that still has its key. */
static int check_current(const struct tg_generations *s, struct tg_fault *reterr)
{
	unsigned number = 0;
	int r = usable(s, TG_SLOT_CURRENT, true, &number, reterr);

	if (r != 0)
		return r < 0 ? r : 0;
	r = usable(s, TG_SLOT_PREVIOUS, true, &number, reterr);
	if (r < 0)
		return r;
	return r ? tg_generations_point(s, TG_SLOT_CURRENT, number, reterr)
		 : tg_generations_clear(s, TG_SLOT_CURRENT, reterr);
}

/* Temporary files of an outcome or a bundle, and bundles that can be made good. */
static int tidy_generations(const struct tg_generations *s, struct tg_fault *reterr)
{
	tg_cleanup(closedirp) DIR *list = tg_generations_list(s->generations);
	unsigned linked[TG_SLOTS] = { 0 };
	int r = list ? tg_generations_linked(s, linked, reterr)
		     : tg_fault_set(reterr, -errno, "cannot list generations: %s", strerror(errno));
	const struct dirent *e;

	while (r == 0 && (e = readdir(list))) {
		tg_autoclose int dir = -1;

		if (!tg_generations_number(e->d_name))
			continue;
		dir = openat(s->generations, e->d_name,
			     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (dir >= 0)
			r = sweep(dir, e->d_name, reterr);
	}
	for (size_t i = 0; r == 0 && i < TG_SLOTS; i++)
		r = linked[i] ? tg_generations_mend(s, linked[i], reterr) : 0;
	return r;
}

/* What was decided, as an outcome tells, is carried out. */
static int finish_rejections(const struct tg_generations *s, struct tg_fault *reterr)
{
	unsigned linked[TG_SLOTS] = { 0 }, heir = 0;
	int r = tg_generations_linked(s, linked, reterr);
	unsigned current = linked[TG_SLOT_CURRENT], candidate = linked[TG_SLOT_CANDIDATE];

	if (r == 0 && candidate && candidate != current &&
	    tg_generations_outcome(s, candidate).state != TG_OUTCOME_NONE)
		r = tg_generations_clear(s, TG_SLOT_CANDIDATE, reterr);
	if (r < 0 || !current ||
	    tg_generations_outcome(s, current).state != TG_OUTCOME_REJECTED)
		return r;
	r = usable(s, TG_SLOT_PREVIOUS, true, &heir, reterr);
	if (r > 0 && heir != current)
		r = tg_generations_point(s, TG_SLOT_CURRENT, heir, reterr);
	return r < 0 ? r : 0;
}

/* The links are settled: an old key that was to go goes, and what lives has no end. */
static int finish_retirement(const struct tg_generations *s, struct tg_fault *reterr)
{
	unsigned linked[TG_SLOTS] = { 0 };
	int r = tg_generations_linked(s, linked, reterr);

	if (r == 0 && linked[TG_SLOT_PREVIOUS] &&
	    tg_generations_outcome(s, linked[TG_SLOT_PREVIOUS]).state != TG_OUTCOME_NONE)
		r = tg_generations_strip(s, linked[TG_SLOT_PREVIOUS], reterr);
	if (r == 0 && linked[TG_SLOT_CURRENT])
		r = tg_generations_revive(s, linked[TG_SLOT_CURRENT], reterr);
	return r;
}

static int settle_promotion(const struct tg_generations *s, struct tg_fault *reterr)
{
	unsigned current = 0, candidate = 0, previous = 0;
	int r = 0;

	if (tg_generations_slot(s, TG_SLOT_CURRENT, &current, NULL) < 0)
		return 0;
	if (tg_generations_slot(s, TG_SLOT_CANDIDATE, &candidate, NULL) == 0 && candidate == current)
		r = tg_generations_clear(s, TG_SLOT_CANDIDATE, reterr);
	if (r == 0 && tg_generations_slot(s, TG_SLOT_PREVIOUS, &previous, NULL) == 0 &&
	    previous == current)
		r = tg_generations_clear(s, TG_SLOT_PREVIOUS, reterr);
	return r;
}

/* Strips every generation that no link names. */
static int strip_orphans(const struct tg_generations *s, struct tg_fault *reterr)
{
	unsigned linked[TG_SLOTS] = { 0 };
	int r = tg_generations_linked(s, linked, reterr);
	tg_cleanup(closedirp) DIR *list = tg_generations_list(s->generations);
	const struct dirent *e;

	if (r < 0)
		return r;
	if (!list)
		return tg_fault_set(reterr, -errno, "cannot list generations: %s", strerror(errno));
	while ((e = readdir(list))) {
		unsigned number = tg_generations_number(e->d_name);
		bool named = number == 0;

		for (size_t i = 0; i < TG_SLOTS && !named; i++)
			named = linked[i] == number;
		r = named ? 0 : tg_generations_strip(s, number, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

int tg_generation_recover(const char *state_dir, struct tg_fault *reterr)
{
	tg_cleanup(tg_generations_done) struct tg_generations s = TG_GENERATIONS_NULL;
	int r = tg_generations_lock(state_dir, &s, reterr);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = sweep(s.identity, TG_DIR_IDENTITY, reterr);
	if (r == 0)
		r = sweep(s.generations, TG_DIR_GENERATIONS, reterr);
	if (r == 0)
		r = tidy_generations(&s, reterr);
	if (r == 0)
		r = check_slot(&s, TG_SLOT_CANDIDATE, true, reterr);
	if (r == 0)
		r = check_current(&s, reterr);
	if (r == 0)
		r = check_slot(&s, TG_SLOT_PREVIOUS, false, reterr);
	if (r == 0)
		r = finish_rejections(&s, reterr);
	if (r == 0)
		r = settle_promotion(&s, reterr);
	if (r == 0)
		r = finish_retirement(&s, reterr);
	if (r == 0)
		r = strip_orphans(&s, reterr);
	if (r == 0)
		r = tg_generations_prune(&s, reterr);
	return r;
}
