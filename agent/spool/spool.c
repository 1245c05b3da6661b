/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/spool.h"

#include "agent/spool/disk.h"
#include "agent/spool/spool_aside.h"
#include "base/clock.h"

#include <tidegate/log.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * The thread and its mailbox. What it does is in queue.h (decisions) and
 * disk.h (the file); here it only meets the other threads.
 */
#define MAIL_SLOTS 2048u
#define MAIL_RESERVED                                                                              \
	(TG_QUEUE_WINDOW_MAX + 64) /* slots that packs leave to acknowledgements and commands */
#define MAIL_BYTES    (4u << 20)   /* packs on their way to a thread that waits for its disk */
#define TURN_MESSAGES 256u         /* taken between two looks at the disk and the link */
#define REPORT_US     TG_US_PER_S
#define OUT_RETRY_US  (20 * TG_US_PER_MS) /* the link's mailbox was full */
#define FREE_STOP_US  (5 * TG_US_PER_S)

_Static_assert(TG_SPOOL_EVENTS == TG_SHELF_EVENTS && TG_SPOOL_EVENT_MAX == TG_DB_EVENT_MAX &&
		       TG_SPOOL_CHECKPOINT_US == TG_DISK_CHECKPOINT_US,
	       "one bound");

enum msg_type {
	MSG_PUT,
	MSG_CONFIGURE,
	MSG_UP,
	MSG_DOWN,
	MSG_ACK,
	MSG_REFUSE,
	MSG_EVENTS_TO,
	MSG_EVENT,
	MSG_EVENT_DONE,
	MSG_DROPPED_TOLD,
	MSG_LIST_ASIDE,
	MSG_COMMIT,
	MSG_STOP
};

struct limits {
	struct tg_queue_limits queue;
	struct tg_disk_limits disk;
};

struct msg {
	enum msg_type type;
	unsigned session, window;
	bool delivered;  /* EVENT_DONE */
	tg_spool_aside_fn fn; /* LIST_ASIDE; its client is the number */
	bool blamed;     /* DOWN */
	uint64_t number; /* PUT: when, CLOCK_BOOTTIME; ACK and REFUSE: sequence number; the event's; how many */
	void *owned;     /* PUT: parcel; CONFIGURE: struct limits; EVENT: text; UP, EVENTS_TO: the link's mailbox, not owned */
};

struct tg_spool {
	struct tg_mailbox *mail;
	size_t mail_bytes; /* of packs in the mailbox; atomic */
	size_t stranded;   /* packs that only memory has; atomic, as the next two are */
	uint64_t commits_asked, commits_tried;
	pthread_t thread;
	bool started;
	uint64_t last_seq;      /* in the file as it was found */
	struct tg_mailbox *end; /* one int: how the thread's last commit went */
	int result;

	/* the thread's own */
	struct tg_queue queue;
	struct tg_disk disk;
	struct tg_mailbox *out; /* NULL: link down */
	struct tg_mailbox *events; /* NULL: nobody publishes them yet */
	unsigned session;
	uint64_t out_retry_us;
	uint64_t commits_seen;
	bool running, stopping;
	tg_spool_state_fn changed;
	void *user;
	uint64_t report_us;
};

static void drop_msg(void *message)
{
	const struct msg *m = message;

	if (m->type == MSG_PUT)
		tg_parcel_unref(m->owned);
	else if (m->type == MSG_CONFIGURE || m->type == MSG_EVENT)
		free(m->owned);
}

void tg_spool_drop_event(void *event)
{
	struct tg_spool_event *e = event;

	free(e->json);
}

static struct limits limits_of(const struct tg_config *cfg)
{
	return (struct limits) {
		.queue = {
			.memory = cfg->spool.memory,
			.commit_interval_us = cfg->spool.commit_interval_us,
			.rate = cfg->mqtt.rate_limit,
			.drop_newest = cfg->spool.when_full == TG_DROP_NEWEST,
		},
		.disk = {
			.max_size = cfg->spool.max_size,
			.max_age_us = cfg->spool.max_age_us,
			.full = cfg->spool.durability == TG_DURABILITY_FULL,
			.drop_newest = cfg->spool.when_full == TG_DROP_NEWEST,
		},
	};
}

/* --- the thread --- */

static void report(struct tg_spool *s, uint64_t now_us)
{
	struct tg_spool_state st = {
		.memory_packs = s->queue.live.count,
		.memory_bytes = s->queue.live.bytes,
		.disk_packs = s->disk.counts.rows,
		.disk_bytes = s->disk.file_bytes,
		.in_flight = s->queue.in_flight,
		.held = (unsigned) s->queue.suspect.n_held,
		.refused_devices = s->queue.quarantine.refused,
		.refused_total = s->queue.quarantine.total,
		.oldest_wall_us = s->disk.oldest_wall_us,
		.dropped = s->disk.counts.dropped + s->queue.dropped,
		.dropped_told = s->disk.dropped_told > s->disk.counts.dropped_told
					? s->disk.dropped_told
					: s->disk.counts.dropped_told,
		.set_aside = s->disk.counts.set_aside,
		.aside_seq = s->disk.aside_seq,
		.gaps = s->disk.counts.gaps + s->queue.gaps,
		.events = tg_shelf_waiting(&s->disk.shelf),
		.events_stored = tg_shelf_stored(&s->disk.shelf),
		.events_lost = s->disk.counts.events_lost + s->disk.shelf.lost,
		.repairs = s->disk.repairs,
		.rescued = s->disk.repaired.rescued,
		.lost = s->disk.repaired.lost,
		.acknowledged = s->queue.acknowledged,
		.error = s->disk.error,
		.error_since_us = s->disk.error ? s->disk.error_since_us : 0,
		.progress_us = now_us,
	};

	s->report_us = tg_us_add(now_us, REPORT_US);
	(void) snprintf(st.error_text, sizeof(st.error_text), "%s",
			s->disk.error ? s->disk.error_text : "");
	memcpy(st.refused_device, s->queue.quarantine.last, sizeof(st.refused_device));
	memcpy(st.aside_device, s->disk.aside_device, sizeof(st.aside_device));
	memcpy(st.aside, s->disk.repaired.aside, sizeof(st.aside));
	if (s->changed)
		s->changed(s->user, &st);
}

/* Something takes long: show that it goes on. */
static void on_tick(void *user)
{
	struct tg_spool *s = user;
	uint64_t now = tg_clock_boot_us();

	if (s->running && now >= s->report_us)
		report(s, now);
}

static void on_put(struct tg_spool *s, const struct msg *m)
{
	struct tg_parcel *p = m->owned;
	int r;

	__atomic_fetch_sub(&s->mail_bytes, p->len, __ATOMIC_RELAXED);
	tg_disk_latest(&s->disk, p);
	r = tg_queue_put(&s->queue, p, m->number);
	if (r < 0) {
		tg_log(LOG_ERR, "spool", "a pack is lost: %s",
		       r == -EEXIST ? "its number repeats" : "no memory");
		s->queue.dropped++;
		tg_parcel_unref(p);
	}
}

static void tell_suspicion(const struct tg_suspect *s, bool was_careful, bool was_refused, size_t were_held)
{
	const struct tg_suspect_pack *last = s->n_held ? &s->held[s->n_held - 1].pack : NULL;

	if (s->careful && !was_careful)
		tg_log(LOG_WARNING, "spool",
		       "the session has ended %u times with the same packs in flight: they go out one at a time",
		       TG_SUSPECT_ENDS);
	if (s->n_held > were_held)
		tg_log(LOG_WARNING, "spool",
		       "pack %" PRIu64 " of %s waits: the session ends whenever it is sent; others are tried", last->seq,
		       last->device);
	if (s->refused && !was_refused)
		tg_log(LOG_WARNING, "spool", "the session ends whatever is sent: no pack is to blame, all are kept");
}

static void on_down(struct tg_spool *s, bool blamed, uint64_t now_us)
{
	const struct tg_suspect *q = &s->queue.suspect;
	bool careful = q->careful, refused = q->refused;
	uint64_t total = s->queue.quarantine.total;
	size_t held = q->n_held;

	s->out = NULL;
	tg_queue_link_down(&s->queue, blamed, now_us);
	tell_suspicion(q, careful, refused, held);
	if (s->queue.quarantine.total > total)
		tg_event(TG_EV_DEVICE_REFUSED, LOG_WARNING,
			 "The broker takes nothing of a device: its packs are kept, and one is tried once an hour",
			 TG_F_DEVICE, s->queue.quarantine.last, NULL);
}

static void on_message(struct tg_spool *s, struct msg *m, uint64_t now_us)
{
	struct limits *l = m->owned;

	switch (m->type) {
	case MSG_PUT:
		on_put(s, m);
		break;
	case MSG_CONFIGURE:
		tg_queue_configure(&s->queue, &l->queue, now_us);
		tg_disk_configure(&s->disk, &l->disk);
		free(l);
		break;
	case MSG_UP:
		tg_queue_link_up(&s->queue, m->window);
		s->session = m->session;
		s->out = m->owned;
		s->out_retry_us = 0;
		break;
	case MSG_DOWN:
		if (s->out && m->session == s->session)
			on_down(s, m->blamed, now_us);
		break;
	case MSG_ACK:
		if (s->out && m->session == s->session)
			(void) tg_queue_ack(&s->queue, m->number, now_us);
		break;
	case MSG_REFUSE:
		if (s->out && m->session == s->session)
			(void) tg_queue_refuse(&s->queue, m->number, now_us);
		break;
	case MSG_EVENTS_TO:
		s->events = m->owned;
		break;
	case MSG_EVENT:
		tg_shelf_put(&s->disk.shelf, m->number, m->owned);
		break;
	case MSG_EVENT_DONE:
		tg_shelf_finish(&s->disk.shelf, m->number, m->delivered);
		break;
	case MSG_DROPPED_TOLD:
		if (m->number > s->disk.dropped_told)
			s->disk.dropped_told = m->number;
		break;
	case MSG_LIST_ASIDE:
		m->fn(s->user, m->number,
		      tg_store_db(s->disk.store) ? tg_spool_read_aside(tg_store_db(s->disk.store)) : NULL);
		break;
	case MSG_COMMIT:
		s->queue.urgent = true;
		s->commits_seen = m->number;
		break;
	case MSG_STOP:
		s->stopping = true;
		break;
	}
}

/* Hands out what may go. Returns when to come again. */
static uint64_t hand_out(struct tg_spool *s, uint64_t now_us)
{
	struct tg_queue_pick pick;
	uint64_t again = TG_US_FOREVER;

	if (!s->out)
		return again;
	if (now_us < s->out_retry_us)
		return s->out_retry_us;
	while (tg_queue_pick(&s->queue, now_us, &pick, &again)) {
		struct tg_spool_out o = { .session = s->session,
					  .stream = pick.stream,
					  .parcel = tg_parcel_ref(pick.item->parcel) };

		if (tg_mailbox_post(s->out, &o) < 0) {
			tg_parcel_unref(o.parcel);
			s->out_retry_us = tg_us_add(now_us, OUT_RETRY_US);
			return s->out_retry_us;
		}
		tg_queue_handed(&s->queue, &pick);
	}
	return again;
}

/* Those that an earlier run has left, once each. What finds no room goes the next time round. */
static void hand_out_events(struct tg_spool *s)
{
	struct tg_shelf_item *i;

	while (s->events && (i = tg_shelf_next(&s->disk.shelf))) {
		struct tg_spool_event e = { .number = i->number, .json = strdup(i->text) };

		if (!e.json || tg_mailbox_post(s->events, &e) < 0) {
			free(e.json);
			return;
		}
		i->given = true;
	}
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void turn(struct tg_spool *s)
{
	uint64_t now, again;
	unsigned taken = 0;
	struct msg m;

	now = tg_clock_boot_us();
	while (taken < TURN_MESSAGES && !s->stopping && tg_mailbox_take(s->mail, &m)) {
		on_message(s, &m, now);
		taken++;
	}
	if (s->stopping)
		return;

	tg_disk_turn(&s->disk, now);
	hand_out_events(s);
	again = hand_out(s, now);
	/* The backlog's next page is wanted as soon as the last one has gone. */
	if (tg_store_db(s->disk.store) && tg_queue_wants_page(&s->queue))
		again = now;
	now = tg_clock_boot_us();
	if (now >= s->report_us)
		report(s, now);

	__atomic_store_n(&s->stranded, s->queue.dirty, __ATOMIC_RELAXED);
	__atomic_store_n(&s->commits_tried, s->commits_seen, __ATOMIC_RELEASE);
	again = earlier(again, tg_queue_flush_us(&s->queue, now));
	again = earlier(again, tg_disk_due_us(&s->disk));
	(void) tg_mailbox_wait(s->mail, earlier(again, s->report_us));
}

static void *run(void *user)
{
	struct tg_spool *s = user;
	int r;

	(void) pthread_setname_np(pthread_self(), "spool");
	s->running = true;
	while (!s->stopping)
		turn(s);
	s->out = s->events = NULL;
	r = tg_disk_finish(&s->disk, tg_clock_boot_us());
	if (s->queue.dirty > 0)
		tg_log(LOG_ERR, "spool",
		       "%zu packs are lost, which neither the disk nor the broker has taken: %s",
		       s->queue.dirty, s->disk.error_text);
	report(s, tg_clock_boot_us());
	/* It has room: nobody else posts there. */
	if (tg_mailbox_post(s->end, &r) < 0)
		tg_log(LOG_ERR, "spool", "cannot tell that it has ended");
	return NULL;
}

static int start(struct tg_spool *s)
{
	sigset_t all, before;
	int r;

	/* Signals are the loop's: the thread inherits a full mask. */
	(void) sigfillset(&all);
	r = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (r != 0)
		return -r;
	r = pthread_create(&s->thread, NULL, run, s);
	(void) pthread_sigmask(SIG_SETMASK, &before, NULL);
	s->started = r == 0;
	return -r;
}

/* --- for everybody --- */

int tg_spool_new(const char *state_dir, const struct tg_config *cfg, tg_spool_state_fn changed,
		 void *user, struct tg_spool **ret, struct tg_fault *reterr)
{
	const struct limits limits = limits_of(cfg);
	struct tg_spool *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->changed = changed;
	s->user = user;
	tg_queue_init(&s->queue, &limits.queue, tg_clock_boot_us());
	r = tg_mailbox_new(MAIL_SLOTS, sizeof(struct msg), drop_msg, &s->mail);
	if (r == 0)
		r = tg_mailbox_new(1, sizeof(int), NULL, &s->end);
	if (r == 0)
		r = tg_disk_init(&s->disk, state_dir, &limits.disk, on_tick, s, &s->queue, reterr);
	if (r == 0) {
		s->last_seq = tg_store_last_seq(s->disk.store);
		r = start(s);
	}
	if (r < 0) {
		(void) tg_spool_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

uint64_t tg_spool_last_seq(const struct tg_spool *s)
{
	return s->last_seq;
}

int tg_spool_put(struct tg_spool *s, struct tg_parcel *p)
{
	const struct msg m = { .type = MSG_PUT, .number = tg_clock_boot_us(), .owned = p };
	size_t len = p->len;
	int r = -EAGAIN;

	if (__atomic_add_fetch(&s->mail_bytes, len, __ATOMIC_RELAXED) <= MAIL_BYTES &&
	    tg_mailbox_count(s->mail) < MAIL_SLOTS - MAIL_RESERVED)
		r = tg_mailbox_post(s->mail, &m);
	if (r < 0)
		__atomic_fetch_sub(&s->mail_bytes, len, __ATOMIC_RELAXED);
	return r;
}

int tg_spool_configure(struct tg_spool *s, const struct tg_config *cfg)
{
	struct msg m = { .type = MSG_CONFIGURE };
	struct limits *l = malloc(sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	*l = limits_of(cfg);
	m.owned = l;
	r = tg_mailbox_post(s->mail, &m);
	if (r < 0)
		free(l);
	return r;
}

int tg_spool_link_up(struct tg_spool *s, unsigned session, unsigned window, struct tg_mailbox *out)
{
	return tg_mailbox_post(s->mail, &(struct msg){ .type = MSG_UP,
						       .session = session,
						       .window = window,
						       .owned = out });
}

int tg_spool_link_down(struct tg_spool *s, unsigned session, bool blamed)
{
	return tg_mailbox_post(
		s->mail, &(struct msg){ .type = MSG_DOWN, .session = session, .blamed = blamed });
}

int tg_spool_ack(struct tg_spool *s, unsigned session, uint64_t seq)
{
	return tg_mailbox_post(s->mail,
			       &(struct msg){ .type = MSG_ACK, .session = session, .number = seq });
}

int tg_spool_refuse(struct tg_spool *s, unsigned session, uint64_t seq)
{
	return tg_mailbox_post(
		s->mail, &(struct msg){ .type = MSG_REFUSE, .session = session, .number = seq });
}

int tg_spool_events_to(struct tg_spool *s, struct tg_mailbox *out)
{
	return tg_mailbox_post(s->mail, &(struct msg){ .type = MSG_EVENTS_TO, .owned = out });
}

int tg_spool_event_put(struct tg_spool *s, uint64_t number, const char *json)
{
	struct msg m = { .type = MSG_EVENT, .number = number };
	int r;

	if (strlen(json) > TG_SPOOL_EVENT_MAX)
		return -EMSGSIZE;
	m.owned = strdup(json);
	if (!m.owned)
		return -ENOMEM;
	r = tg_mailbox_post(s->mail, &m);
	if (r < 0)
		free(m.owned);
	return r;
}

int tg_spool_event_done(struct tg_spool *s, uint64_t number, bool delivered)
{
	return tg_mailbox_post(s->mail, &(struct msg){ .type = MSG_EVENT_DONE,
						       .number = number,
						       .delivered = delivered });
}

int tg_spool_dropped_told(struct tg_spool *s, uint64_t total)
{
	return tg_mailbox_post(s->mail, &(struct msg){ .type = MSG_DROPPED_TOLD, .number = total });
}

int tg_spool_list_aside(struct tg_spool *s, uint64_t client, tg_spool_aside_fn fn)
{
	/* However many ask while the thread waits for its disk, acknowledgements find room. */
	if (tg_mailbox_count(s->mail) >= MAIL_SLOTS - MAIL_RESERVED)
		return -EAGAIN;
	return tg_mailbox_post(s->mail, &(struct msg){ .type = MSG_LIST_ASIDE, .number = client, .fn = fn });
}

int tg_spool_commit(struct tg_spool *s)
{
	uint64_t asked = __atomic_load_n(&s->commits_asked, __ATOMIC_RELAXED) + 1;
	int r = tg_mailbox_post(s->mail, &(struct msg){ .type = MSG_COMMIT, .number = asked });

	if (r == 0)
		__atomic_store_n(&s->commits_asked, asked, __ATOMIC_RELAXED);
	return r;
}

size_t tg_spool_stranded(struct tg_spool *s)
{
	if (__atomic_load_n(&s->commits_tried, __ATOMIC_ACQUIRE) != __atomic_load_n(&s->commits_asked, __ATOMIC_RELAXED))
		return SIZE_MAX;
	return __atomic_load_n(&s->stranded, __ATOMIC_RELAXED) + tg_mailbox_count(s->mail);
}

int tg_spool_stop(struct tg_spool *s, uint64_t timeout_us)
{
	uint64_t deadline = tg_us_add(tg_clock_boot_us(), timeout_us);
	const struct msg stop = { .type = MSG_STOP };
	int result;

	if (!s->started)
		return s->result;
	/* A full mailbox means a thread that waits for its disk. */
	while (tg_mailbox_post(s->mail, &stop) < 0) {
		if (tg_clock_boot_us() >= deadline)
			return -ETIMEDOUT;
		(void) nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000 * 1000 }, NULL);
	}
	while (!tg_mailbox_take(s->end, &result)) {
		if (tg_clock_boot_us() >= deadline)
			return -ETIMEDOUT;
		(void) tg_mailbox_wait(s->end, deadline);
	}
	(void) pthread_join(s->thread, NULL);
	s->started = false;
	s->result = result;
	return result;
}

struct tg_spool *tg_spool_free(struct tg_spool *s)
{
	if (!s)
		return NULL;
	if (s->started && tg_spool_stop(s, FREE_STOP_US) == -ETIMEDOUT) {
		/* It hangs in a disk that does not answer, and still uses what it has: leave that
		 * to the end of the process. */
		(void) pthread_detach(s->thread);
		return NULL;
	}
	s->mail = tg_mailbox_free(s->mail);
	s->end = tg_mailbox_free(s->end);
	tg_disk_done(&s->disk);
	tg_queue_done(&s->queue);
	free(s);
	return NULL;
}
