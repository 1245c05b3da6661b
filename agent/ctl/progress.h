/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/error.h>

#include <stdbool.h>

/*
 * What has happened between two looks at an enrolment or a renewal that
 * somebody waits for: the helper's steps, the trial with the broker, the
 * promotion, the probation, the end.
 *
 * Pure: looks come in, news go out. A look may come late or twice, and steps
 * that went by in between are told all the same, in order.
 */

/* One look, as the agent told it. Strings are the caller's, for the call; NULL: not known. */
struct tg_progress_look {
	long long attempts; /* runs of the helper since the agent's start */
	bool running;       /* the helper is at work, or about to be */
	bool own_id;        /* under the gateway's own client id */
	const char *step;   /* the last one that is done, of a journal that is there */
	const char *error_step, *error_class, *error_text;
	bool pending;             /* the service has the request, and somebody has yet to approve it */
	const char *pending_text; /* its words */
	long long current, candidate; /* generations; 0: none */
	bool probation;
	long long roll_backs; /* since the agent's start */
	const char *rejected; /* why the last of them */
};

enum tg_progress_kind {
	TG_PROGRESS_STEP, /* one of the helper's is done */
	TG_PROGRESS_AGAIN, /* the service refuses the rotation client id: once more under the gateway's own */
	TG_PROGRESS_TRIAL,     /* the broker is shown the new certificate */
	TG_PROGRESS_PROMOTED,  /* and has accepted it */
	TG_PROGRESS_PROBATION, /* the one before is kept for the moment */
	TG_PROGRESS_DONE,
	TG_PROGRESS_FAILED,
	TG_PROGRESS_PENDING, /* nothing more to be seen before somebody has decided */
};

struct tg_progress_news {
	enum tg_progress_kind kind;
	const char *
		step; /* STEP: its name; FAILED: the one that was being taken, "trial" or "probation" */
	const char *class;    /* FAILED: the kind of failure, NULL for the broker's */
	const char *text;     /* FAILED: why; PENDING: the service's words, or NULL */
	const char *advice;   /* FAILED: what to do */
	long long generation; /* TRIAL and later, 0 where it was not seen; FAILED, PENDING: the one that goes on, 0 for none */
};
typedef void (*tg_progress_fn)(void *user, const struct tg_progress_news *news);

struct tg_progress {
	long long attempts, base, roll_backs; /* as they were when it was ordered */
	unsigned steps;                       /* told so far */
	long long candidate;                  /* the new generation, 0 as long as there is none */
	unsigned gone;                        /* looks at which it was gone, without a word why */
	bool tried, again, promoted, probation;
};

/* @look is one from before the order. Never fails. */
void tg_progress_begin(struct tg_progress *p, const struct tg_progress_look *look);
/* Tells what is new. Returns 0 (look again), 1 (done) or -1 (failed, or waiting for who knows how long). */
int tg_progress_feed(struct tg_progress *p, const struct tg_progress_look *look,
		     tg_progress_fn tell, void *user) TG_CHECKED;
/* "making the key", "trying it with the broker" ...: what is under way now. Never NULL. */
const char *tg_progress_now(const struct tg_progress *p, const struct tg_progress_look *look);
/* What has been done with @step, for people. Never NULL. */
const char *tg_progress_step_text(const char *step);
