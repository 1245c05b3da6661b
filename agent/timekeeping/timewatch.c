/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/timekeeping/timewatch.h"

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* The timer has to stand where no clock comes to: in the year 2255, or where 32 bits end. */
#define FAR_S ((time_t) (sizeof(time_t) > 4 ? INT64_C(9000000000) : INT32_MAX))

static int arm(int fd)
{
	static const struct itimerspec far = { .it_value.tv_sec = FAR_S };

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL) < 0
		       ? -errno
		       : 0;
}

static int on_io(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct tg_timewatch *w = user;
	uint64_t n;
	int r = read(fd, &n, sizeof(n)) < 0 ? -errno : -ETIME;

	(void) events;
	if (r == -EAGAIN)
		return 0;
	if (r == -ECANCELED) {
		r = arm(fd);
		w->changed(w->user);
	}
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
