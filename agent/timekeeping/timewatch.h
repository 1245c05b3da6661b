/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <systemd/sd-event.h>

/*
 * Wakes the loop when somebody sets the wall clock (timerfd_create(2),
 * TFD_TIMER_CANCEL_ON_SET). Slewing does not wake it. What was changed is the
 * caller's to find out.
 */
struct tg_timewatch {
	int fd;
	sd_event_source *io;
	void (*changed)(void *user);
	void *user;
};
#define TG_TIMEWATCH_NULL                                                                          \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/* @w stays where it is until _done(). Returns 0 or -errno. */
int tg_timewatch_init(struct tg_timewatch *w, sd_event *loop, void (*changed)(void *user),
		      void *user) TG_CHECKED;
/* Accepts TG_TIMEWATCH_NULL. */
void tg_timewatch_done(struct tg_timewatch *w);
