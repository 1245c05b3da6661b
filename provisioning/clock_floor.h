/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * What the wall clock is good for in this run. A gateway may have no battery behind its clock, and
 * no NTP.
 *
 * The floor is a time that has certainly passed: the release's, that of systemd's own clock file, and what the
 * caller proves (the beginning of a certificate that is in use). Certificates are judged at the
 * later of clock and floor.
 */
struct tg_clock_floor {
	int64_t floor_s;   /* seconds since 1970 */
	bool synchronised; /* the kernel or systemd-timesyncd says so */
};

/* Looks at the system. Never fails. */
void tg_clock_floor_init(struct tg_clock_floor *f);
/* @s has certainly passed. */
void tg_clock_floor_raise(struct tg_clock_floor *f, int64_t s);
/* The time to judge at: the clock, or the floor when the clock is behind it. */
int64_t tg_clock_floor_now(const struct tg_clock_floor *f);
/* How far a fresh certificate may begin in the future: a day, or any time while the clock is not
 * known to be right. */
int64_t tg_clock_floor_skew(const struct tg_clock_floor *f);
