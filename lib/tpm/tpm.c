/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/job.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/*
 * The object, its thread and the queue of jobs between callers and thread.
 *
 * A TPM that has stopped answering cannot be interrupted: the thread sits in a
 * read() that has no time-out. So nobody ever waits for the thread, only for a
 * job and only until its deadline, and the lock is never held across a command.
 * Whoever first sees the job that is with the TPM past its deadline declares
 * the thread hung; the thread takes that back when the TPM answers.
 *
 * An answer that got lost never comes, though the TPM is well again. So from
 * time to time, ever more rarely, a job of a hung object is given to a new
 * thread with a transport of its own; the old one is left behind, and ends when
 * it wakes up. Of those there are never more than STUCK_MAX.
 */
#define STUCK_MAX    3
#define PROBE_FIRST  2 /* time-outs after the thread was found hung */
#define PROBE_GROWTH 6 /* so that three cover a quarter of an hour with the default time-out */

/* A thread, and what it alone uses of the TPM; others touch its conn only in the child of a fork. */
struct worker {
	struct tg_tpm *tpm;
	pthread_t thread;
	struct tg_tpm_conn conn;
	bool left;	     /* guarded by the lock: another one has taken its place */
	struct worker *next; /* likewise */
};

struct tg_tpm {
	char *tcti;
	uint64_t timeout_us;
	TPM2B_AUTH owner_auth;

	pthread_mutex_t lock;   /* guards what follows */
	pthread_cond_t work;    /* for the thread: a job, or stop */
	pthread_cond_t changed; /* for callers: a job is done, the thread hung or gone */
	struct worker *workers; /* all that have not ended */
	struct worker *worker;	/* the one that takes jobs, NULL before the first and at the end */
	bool stop;
	unsigned refs; /* the owner's, and one of each worker */
	struct tg_tpm_job *first, **last;
	struct tg_tpm_job *current; /* with the TPM; borrowed from the worker */
	uint64_t probe_due_us, probe_pause_us; /* while hung */
	struct tg_tpm_state state;

	struct tg_tpm *next; /* guarded by all_lock */
};

/* Every object, for the fork handlers. */
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tg_tpm *all;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
/* Of every object, those included that hang and have lost theirs. */
static _Atomic unsigned threads;

static void init_conds(struct tg_tpm *t)
{
	pthread_condattr_t attr;

	/* Condition variables do not know CLOCK_BOOTTIME; over a suspend the wait is longer, as the
	 * TPM slept too. */
	(void) pthread_condattr_init(&attr);
	(void) pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void) pthread_cond_init(&t->work, &attr);
	(void) pthread_cond_init(&t->changed, &attr);
	(void) pthread_condattr_destroy(&attr);
}

static void before_fork(void)
{
	(void) pthread_mutex_lock(&all_lock);
	for (struct tg_tpm *t = all; t; t = t->next)
		(void) pthread_mutex_lock(&t->lock);
}

static void after_fork_parent(void)
{
	for (struct tg_tpm *t = all; t; t = t->next)
		(void) pthread_mutex_unlock(&t->lock);
	(void) pthread_mutex_unlock(&all_lock);
}

/*
 * The child has the memory but not the thread, and the TPM answers the parent.
 * What the thread was in the middle of is dropped where it stands, not
 * finalised: that would speak to the TPM, or free what is half built.
 */
static void after_fork_child(void)
{
	for (struct tg_tpm *t = all; t; t = t->next) {
		for (struct worker *w; (w = t->workers);) {
			tg_tpm_conn_abandon(&w->conn);
			t->workers = w->next;
			t->refs--;
			free(w);
		}
		t->worker = NULL;
		t->state.hung = false;
		t->state.stuck = 0;
		t->first = t->current = NULL;
		t->last = &t->first;
		init_conds(t);
		(void) pthread_mutex_unlock(&t->lock);
	}
	(void) pthread_mutex_unlock(&all_lock);
	atomic_store(&threads, 0);
}

static void install_fork_handlers(void)
{
	(void) pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

static void destroy(struct tg_tpm *t)
{
	(void) pthread_cond_destroy(&t->work);
	(void) pthread_cond_destroy(&t->changed);
	(void) pthread_mutex_destroy(&t->lock);
	explicit_bzero(&t->owner_auth, sizeof(t->owner_auth));
	free(t->tcti);
	free(t);
}

int tg_tpm_new(const struct tg_tpm_options *o, struct tg_tpm **ret, struct tg_fault *reterr)
{
	size_t auth_len = o->owner_auth ? strlen(o->owner_auth) : 0;
	struct tg_tpm *t;

	assert(o->tcti && *o->tcti && o->timeout_us > 0);
	if (auth_len > sizeof(t->owner_auth.buffer))
		return tg_fault_set(reterr, -EINVAL, "owner authorisation: longer than %zu bytes",
				    sizeof(t->owner_auth.buffer));

	t = calloc(1, sizeof(*t));
	if (!t || !(t->tcti = strdup(o->tcti))) {
		free(t);
		return tg_fault_set(reterr, -ENOMEM, "TPM: out of memory");
	}
	t->timeout_us = o->timeout_us;
	t->owner_auth.size = (UINT16) auth_len;
	if (auth_len > 0)
		memcpy(t->owner_auth.buffer, o->owner_auth, auth_len);
	(void) pthread_mutex_init(&t->lock, NULL);
	init_conds(t);
	t->refs = 1;
	t->last = &t->first;

	/* The library writes to standard error on its own; our errors say the same once. The
	 * operator's word counts. */
	(void) setenv("TSS2_LOG", "all+none", 0);
	(void) pthread_once(&fork_once, install_fork_handlers);
	(void) pthread_mutex_lock(&all_lock);
	t->next = all;
	all = t;
	(void) pthread_mutex_unlock(&all_lock);

	*ret = t;
	return 0;
}

/* Waits on @cond until CLOCK_BOOTTIME reaches @deadline_us or earlier; the caller looks again. */
static void wait_until(struct tg_tpm *t, pthread_cond_t *cond, uint64_t deadline_us)
{
	uint64_t now = tg_clock_boot_us(), left = deadline_us > now ? deadline_us - now : 0;
	struct timespec ts;

	(void) clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += (time_t) (left / TG_US_PER_S);
	ts.tv_nsec += (long) (left % TG_US_PER_S * 1000);
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	(void) pthread_cond_timedwait(cond, &t->lock, &ts);
}

static void unlist(struct tg_tpm *t)
{
	(void) pthread_mutex_lock(&all_lock);
	for (struct tg_tpm **p = &all; *p; p = &(*p)->next)
		if (*p == t) {
			*p = t->next;
			break;
		}
	(void) pthread_mutex_unlock(&all_lock);
}

struct tg_tpm *tg_tpm_free(struct tg_tpm *t)
{
	struct worker *w;
	uint64_t deadline;
	pthread_t thread;
	bool last;

	if (!t)
		return NULL;

	unlist(t);
	deadline = tg_us_add(tg_clock_boot_us(), t->timeout_us);
	(void) pthread_mutex_lock(&t->lock);
	t->stop = true;
	(void) pthread_cond_broadcast(&t->work);
	w = t->worker;
	if (w) {
		thread = w->thread;
		while (t->worker && !t->state.hung && tg_clock_boot_us() < deadline)
			wait_until(t, &t->changed, deadline);
		if (t->worker) {
			/* Hung: it frees the object itself, should the TPM ever answer. */
			(void) pthread_detach(thread);
		} else {
			/* It has let go of the lock for good, or is about to. */
			(void) pthread_mutex_unlock(&t->lock);
			(void) pthread_join(thread, NULL);
			(void) pthread_mutex_lock(&t->lock);
		}
	}
	last = --t->refs == 0;
	(void) pthread_mutex_unlock(&t->lock);
	if (last)
		destroy(t);
	return NULL;
}

static void record(struct tg_tpm *t, int r, const struct tg_fault *fault)
{
	t->state.error = r;
	if (r < 0) {
		t->state.failures++;
		(void) snprintf(t->state.text, sizeof(t->state.text), "%s", fault->text);
	} else {
		t->state.text[0] = '\0';
		t->state.last_ok_us = tg_clock_boot_us();
	}
}

static int fail_hung(struct tg_tpm *t, struct tg_fault *reterr)
{
	return tg_fault_set(reterr, -ETIMEDOUT, "the TPM has not answered for more than %llu ms; %s",
			    (unsigned long long) (t->timeout_us / TG_US_PER_MS),
			    t->state.stuck < STUCK_MAX ? "tried again once it does"
						       : "too many of its answers are lost: "
							 "restart the program that waits for them");
}

/* Locked. */
static bool is_hung(struct tg_tpm *t, uint64_t now_us)
{
	struct tg_fault fault;

	if (!t->state.hung && t->current && now_us >= t->current->deadline_us) {
		t->state.hung = true;
		t->probe_pause_us = t->probe_pause_us ? t->probe_pause_us * PROBE_GROWTH
						      : t->timeout_us * PROBE_FIRST;
		t->probe_due_us = tg_us_add(now_us, t->probe_pause_us);
		record(t, fail_hung(t, &fault), &fault);
		(void) pthread_cond_broadcast(&t->changed);
	}
	return t->state.hung;
}

void tg_tpm_state(struct tg_tpm *t, struct tg_tpm_state *ret)
{
	(void) pthread_mutex_lock(&t->lock);
	(void) is_hung(t, tg_clock_boot_us());
	*ret = t->state;
	(void) pthread_mutex_unlock(&t->lock);
}

const TPM2B_AUTH *tg_tpm_owner_auth(const struct tg_tpm *t)
{
	return t->owner_auth.size > 0 ? &t->owner_auth : NULL;
}

void *tg_tpm_job_new(size_t size,
		     int (*run)(struct tg_tpm_conn *, struct tg_tpm_job *, struct tg_fault *),
		     void (*free_job)(struct tg_tpm_job *))
{
	struct tg_tpm_job *job = calloc(1, size);

	if (job) {
		job->run = run;
		job->free = free_job;
		job->refs = 1;
	}
	return job;
}

/* Both references are counted under the lock; free() runs outside it. */
static bool job_drop(struct tg_tpm_job *job)
{
	return --job->refs == 0;
}

void tg_tpm_job_unref(struct tg_tpm *t, struct tg_tpm_job *job)
{
	bool last;

	(void) pthread_mutex_lock(&t->lock);
	last = job_drop(job);
	(void) pthread_mutex_unlock(&t->lock);
	if (last)
		job->free(job);
}

/*
 * On the thread, unlocked. A context that proves dead is made anew at once and
 * the job run again: the TPM may have been restarted between two jobs, which
 * is nothing that a caller should have to know.
 */
static int run_job(struct tg_tpm_conn *c, struct tg_tpm_job *job)
{
	int r = 0;

	c->deadline_us = job->deadline_us;
	for (unsigned attempt = 0; attempt < 2; attempt++) {
		r = tg_tpm_conn_ready(c, &job->fault);
		if (r == 0)
			r = job->run(c, job, &job->fault);
		if (r == 0 || !c->lost || tg_clock_boot_us() >= job->deadline_us)
			break;
	}
	if (c->lost)
		tg_tpm_conn_close(c);
	return r;
}

static struct tg_tpm_job *next_job(struct tg_tpm *t)
{
	struct tg_tpm_job *job = t->first;

	if (job) {
		t->first = job->next;
		if (!t->first)
			t->last = &t->first;
	}
	return job;
}

/* The worker is done with @job. Returns whether it goes on. */
static bool finish(struct worker *w, struct tg_tpm_job *job, int r)
{
	struct tg_tpm *t = w->tpm;
	bool last, left;

	(void) pthread_mutex_lock(&t->lock);
	job->result = r;
	job->state = TG_TPM_JOB_DONE;
	left = w->left;
	if (!left) {
		t->current = NULL;
		t->state.hung = false;
		t->probe_pause_us = 0;
		record(t, r, &job->fault);
		(void) pthread_cond_broadcast(&t->changed);
	}
	last = job_drop(job);
	(void) pthread_mutex_unlock(&t->lock);
	if (last)
		job->free(job);
	return !left;
}

/* Waits for a job, which is `current` then. NULL at the end, and once another worker is there. */
static struct tg_tpm_job *await_job(struct worker *w)
{
	struct tg_tpm *t = w->tpm;
	struct tg_tpm_job *job = NULL;

	(void) pthread_mutex_lock(&t->lock);
	while (!t->stop && !w->left && !t->first)
		(void) pthread_cond_wait(&t->work, &t->lock);
	if (!t->stop && !w->left) {
		job = t->current = next_job(t);
		job->state = TG_TPM_JOB_RUNNING;
	}
	(void) pthread_mutex_unlock(&t->lock);
	return job;
}

static void forget_worker(struct worker *w)
{
	struct tg_tpm *t = w->tpm;
	bool last;

	(void) pthread_mutex_lock(&t->lock);
	for (struct worker **p = &t->workers; *p; p = &(*p)->next)
		if (*p == w) {
			*p = w->next;
			break;
		}
	if (t->worker == w)
		t->worker = NULL;
	else
		t->state.stuck--;
	(void) pthread_cond_broadcast(&t->changed);
	last = --t->refs == 0;
	(void) pthread_mutex_unlock(&t->lock);
	free(w);
	if (last)
		destroy(t);
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;
	struct tg_tpm_job *job;
	struct tg_fault ignored;

	while ((job = await_job(w)))
		if (!finish(w, job, run_job(&w->conn, job)))
			break;
	/* What a lost answer may have left in the TPM is gone with this thread, or nobody removes it. */
	if (w->conn.leftovers.n > 0) {
		w->conn.deadline_us = tg_us_add(tg_clock_boot_us(), w->tpm->timeout_us);
		(void) !tg_tpm_conn_ready(&w->conn, &ignored);
	}
	tg_tpm_conn_close(&w->conn);
	forget_worker(w);
	atomic_fetch_sub(&threads, 1);
	return NULL;
}

static int spawn(struct worker *w)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT };
	sigset_t every, before;
	int r;

	/* Signals belong to the loop, but for those that tell of a crash where it happens. */
	(void) sigfillset(&every);
	for (size_t i = 0; i < TG_ARRAY_SIZE(faults); i++)
		(void) sigdelset(&every, faults[i]);
	(void) pthread_sigmask(SIG_SETMASK, &every, &before);
	r = pthread_create(&w->thread, NULL, thread_main, w);
	(void) pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		(void) pthread_setname_np(w->thread, "tpm");
	return -r;
}

/* Locked. */
static int start_worker(struct tg_tpm *t, struct tg_fault *reterr)
{
	struct worker *w;
	int r;

	if (t->worker)
		return 0;
	w = calloc(1, sizeof(*w));
	if (!w)
		return tg_fault_set(reterr, -ENOMEM, "TPM: out of memory");
	w->tpm = t;
	tg_tpm_conn_init(&w->conn, t->tcti);
	r = spawn(w);
	if (r < 0) {
		free(w);
		return tg_fault_set(reterr, r, "cannot start the TPM thread: %s", strerror(-r));
	}
	atomic_fetch_add(&threads, 1);
	w->next = t->workers;
	t->workers = t->worker = w;
	t->refs++;
	return 0;
}

/* Locked. Whether a job may go to the TPM: it does not hang, or it is time to see whether it still does. */
static bool may_try(struct tg_tpm *t)
{
	uint64_t now = tg_clock_boot_us();

	if (!is_hung(t, now))
		return true;
	if (t->state.stuck >= STUCK_MAX || now < t->probe_due_us)
		return false;
	t->worker->left = true;
	(void) pthread_detach(t->worker->thread);
	t->worker = NULL;
	t->current = NULL;
	t->state.hung = false;
	t->state.stuck++;
	return true;
}

static void enqueue(struct tg_tpm *t, struct tg_tpm_job *job)
{
	job->refs++;
	job->next = NULL;
	*t->last = job;
	t->last = &job->next;
	t->state.jobs++;
	(void) pthread_cond_signal(&t->work);
}

static void dequeue(struct tg_tpm *t, struct tg_tpm_job *job)
{
	for (struct tg_tpm_job **p = &t->first; *p; p = &(*p)->next)
		if (*p == job) {
			*p = job->next;
			break;
		}
	t->last = &t->first;
	while (*t->last)
		t->last = &(*t->last)->next;
	(void) job_drop(job);
}

/*
 * Locked. Waits for @job to end one way or another. The queue is in the order of
 * deadlines, so nobody in it can be late before the job that is with the TPM.
 */
static int wait_job(struct tg_tpm *t, struct tg_tpm_job *job, struct tg_fault *reterr)
{
	while (job->state != TG_TPM_JOB_DONE) {
		uint64_t now = tg_clock_boot_us();
		bool hung = is_hung(t, now), late = now >= job->deadline_us;

		if (job->state == TG_TPM_JOB_QUEUED && (hung || late))
			dequeue(t, job);
		if (hung)
			return fail_hung(t, reterr);
		if (late)
			return tg_fault_set(reterr, -EBUSY,
					    "the TPM was busy with other requests until the "
					    "time-out");
		wait_until(t, &t->changed, job->deadline_us);
	}
	return job->result < 0 ? tg_fault_set(reterr, job->result, "%s", job->fault.text)
			       : job->result;
}

int tg_tpm_job_run(struct tg_tpm *t, struct tg_tpm_job *job, struct tg_fault *reterr)
{
	int r;

	(void) pthread_mutex_lock(&t->lock);
	r = may_try(t) ? start_worker(t, reterr) : fail_hung(t, reterr);
	if (r == 0) {
		job->deadline_us = tg_us_add(tg_clock_boot_us(), t->timeout_us);
		enqueue(t, job);
		r = wait_job(t, job, reterr);
	}
	(void) pthread_mutex_unlock(&t->lock);
	return r;
}

unsigned tg_tpm_threads(void)
{
	return atomic_load(&threads);
}
