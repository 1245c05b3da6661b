/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/timekeeping/timewatch.h"

#include "base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* The timer has to stand somewhere; when it comes, it is put off again. */
#define FAR_S (365 * 86400)

static int arm(int fd)
{
	struct itimerspec far = { .it_value.tv_sec = 0 };

	far.it_value.tv_sec = (time_t) (tg_clock_wall_us() / (int64_t) TG_US_PER_S + FAR_S);
	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL) < 0
		       ? -errno
		       : 0;
}

static int on_io(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct tg_timewatch *w = user;
	uint64_t n;
	bool set = read(fd, &n, sizeof(n)) < 0 && errno == ECANCELED;
	int r = arm(fd);

	(void) events;
	if (set)
		w->changed(w->user);
	/* Who compares the clocks each second finds it out all the same, only later. */
	if (r < 0)
		return sd_event_source_set_enabled(s, SD_EVENT_OFF);
	return 0;
}

int tg_timewatch_init(struct tg_timewatch *w, sd_event *loop, void (*changed)(void *user),
		      void *user)
{
	tg_autoclose int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	sd_event_source *io = NULL;
	int r = fd < 0 ? -errno : arm(fd);

	if (r < 0)
		return r;
	r = sd_event_add_io(loop, &io, fd, EPOLLIN, on_io, w);
	if (r < 0)
		return r;
	(void) sd_event_source_set_description(io, "clock-jump");
	*w = (struct tg_timewatch){
		.fd = tg_take_fd(fd), .io = io, .changed = changed, .user = user
	};
	return 0;
}

void tg_timewatch_done(struct tg_timewatch *w)
{
	w->io = sd_event_source_unref(w->io);
	tg_closep(&w->fd);
	w->fd = -1;
}
