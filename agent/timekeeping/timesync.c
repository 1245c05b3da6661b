/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/timekeeping/timesync.h"

#include "base/clock.h"
#include "wallclock/look.h"

#include <errno.h>
#include <systemd/sd-bus.h>

#define ASK_AGAIN_US  (60 * TG_US_PER_S)
#define ASK_RARELY_US (600 * TG_US_PER_S)
#define ANSWER_US     (10 * TG_US_PER_S)
/* A bus that does not even let us in has no clock of its own for it. */
#define GIVE_UP_US (15 * TG_US_PER_S)
/* A mark so close to the clock that was just set is of who set it. */
#define MARK_FRESH_S 10

struct tg_timesync {
	sd_event *loop;
	sd_bus *bus; /* only while a question is open: it is asked too rarely for more */
	sd_bus_slot *slot;
	uint64_t asked_us, due_us;
	bool answered;        /* the question that is open has its answer: the bus can go */
	int said;             /* timedate1: 1, 0, or -1 when it does not answer */
	bool void_mark;       /* timesyncd's mark of ... */
	struct timespec mark; /* ... this time is from before the clock was set */
	bool synchronised, by_mark;
};

static int on_answer(sd_bus_message *m, void *user, sd_bus_error *error)
{
	struct tg_timesync *s = user;
	int value = 0;

	(void) error;
	s->answered = true;
	s->said = -1;
	if (!sd_bus_message_is_method_error(m, NULL) &&
	    sd_bus_message_read(m, "v", "b", &value) >= 0)
		s->said = value != 0;
	return 1;
}

static void hang_up(struct tg_timesync *s)
{
	s->slot = sd_bus_slot_unref(s->slot);
	s->bus = sd_bus_close_unref(s->bus);
	s->answered = false;
}

static int send_question(struct tg_timesync *s)
{
	sd_bus_message *m = NULL;
	int r = sd_bus_open_system(&s->bus);

	if (r >= 0)
		r = sd_bus_attach_event(s->bus, s->loop, SD_EVENT_PRIORITY_NORMAL);
	if (r >= 0)
		r = sd_bus_message_new_method_call(s->bus, &m, "org.freedesktop.timedate1",
						   "/org/freedesktop/timedate1",
						   "org.freedesktop.DBus.Properties", "Get");
	if (r >= 0)
		r = sd_bus_message_append(m, "ss", "org.freedesktop.timedate1", "NTPSynchronized");
	if (r >= 0)
		r = sd_bus_call_async(s->bus, &s->slot, m, on_answer, s, ANSWER_US);
	sd_bus_message_unref(m);
	return r;
}

static void ask(struct tg_timesync *s, uint64_t boot_us)
{
	hang_up(s);
	s->asked_us = boot_us;
	s->due_us = tg_us_add(boot_us, ASK_AGAIN_US);
	if (send_question(s) >= 0)
		return;
	/* No bus: the files must do. */
	hang_up(s);
	s->said = -1;
}

static bool mark_counts(const struct tg_timesync *s)
{
	struct timespec mark;

	if (!tg_wallclock_timesync_mark(&mark))
		return false;
	return !s->void_mark || mark.tv_sec != s->mark.tv_sec || mark.tv_nsec != s->mark.tv_nsec;
}

void tg_timesync_turn(struct tg_timesync *s, uint64_t boot_us)
{
	bool open = s->bus && !s->answered;

	if (s->bus && s->answered) {
		hang_up(s);
		if (s->said == 1)
			s->due_us = tg_us_add(s->asked_us, ASK_RARELY_US);
	} else if (open && boot_us >= s->asked_us + GIVE_UP_US) {
		hang_up(s);
		s->said = -1;
	}
	if (!s->bus && boot_us >= s->due_us)
		ask(s, boot_us);
	s->by_mark = s->said < 0;
	s->synchronised = s->by_mark ? mark_counts(s) : s->said == 1;
}

void tg_timesync_clock_set(struct tg_timesync *s, int64_t wall_s)
{
	hang_up(s);
	s->due_us = 0;
	s->said = s->said == 1 ? 0 : s->said;
	s->synchronised = false;
	s->void_mark =
		tg_wallclock_timesync_mark(&s->mark) &&
		(s->mark.tv_sec < wall_s - MARK_FRESH_S || s->mark.tv_sec > wall_s + MARK_FRESH_S);
}

bool tg_timesync_says(const struct tg_timesync *s)
{
	return s->synchronised;
}

const char *tg_timesync_service(const struct tg_timesync *s)
{
	if (!s->synchronised)
		return NULL;
	return s->by_mark ? "timesyncd" : "timedate1";
}

int tg_timesync_new(sd_event *loop, struct tg_timesync **ret)
{
	struct tg_timesync *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->loop = sd_event_ref(loop);
	s->said = -1;
	*ret = s;
	return 0;
}

struct tg_timesync *tg_timesync_free(struct tg_timesync *s)
{
	if (!s)
		return NULL;
	hang_up(s);
	sd_event_unref(s->loop);
	free(s);
	return NULL;
}
