/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <time.h>

/*
 * Microseconds everywhere. Deadlines and intervals are on CLOCK_BOOTTIME,
 * which counts suspend and never jumps; the wall clock is only for people,
 * certificates and payloads.
 */
#define TG_US_PER_S UINT64_C(1000000)
#define TG_US_PER_MS UINT64_C(1000)
#define TG_US_FOREVER UINT64_MAX

/* CLOCK_BOOTTIME. Never fails. */
uint64_t tg_clock_boot_us(void);
/* CLOCK_REALTIME since 1970; may be nonsense, see timekeeping. Never fails. */
int64_t tg_clock_wall_us(void);
/*
 * Stamps of the kernel, on CLOCK_MONOTONIC or CLOCK_REALTIME, as CLOCK_BOOTTIME. One that cannot be, as it lies ahead or
 * more than an hour back (a clock was set, the machine slept), is now. Never fails.
 */
#define TG_STAMP_AGE_MAX_US (3600 * TG_US_PER_S)
uint64_t tg_clock_boot_from_monotonic_us(uint64_t monotonic_us);
uint64_t tg_clock_boot_from_real_us(int64_t real_us);
/* Sleeps until CLOCK_BOOTTIME is @boot_us; not at all when that is past. For threads that may block. Never fails. */
void tg_clock_sleep_until(uint64_t boot_us);
/* a + b without wrapping: TG_US_FOREVER absorbs. */
uint64_t tg_us_add(uint64_t a, uint64_t b);
/* Milliseconds for poll() from now until @deadline_us: 0 when past, -1 for TG_US_FOREVER, rounded up, clamped to INT_MAX. */
int tg_us_to_poll_ms(uint64_t now_us, uint64_t deadline_us);
/*
 * @s seconds since 1970 for functions that take a time_t: the last that it can hold where it has 32 bits and @s is beyond
 * 2038. Never fails.
 */
time_t tg_clock_time_t(int64_t s);
/* "2026-11-21T10:15:10Z" of @wall_us (floored to seconds) to @out. Returns @out; "?" for years outside 0..9999. */
const char *tg_clock_iso(int64_t wall_us, char out[static 32]);
/* This boot's id (/proc/sys/kernel/random/boot_id) as 16 bytes. Returns 0 or -errno. */
int tg_clock_boot_id(uint8_t ret_id[static 16]);
/* 64 uniform random bits from the kernel, for jitter; never for keys. Never fails after boot. */
uint64_t tg_random_u64(void);
