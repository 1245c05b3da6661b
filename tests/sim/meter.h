/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * What a program of these tests does to its medium, and the time that it lives in.
 *
 * meter.c defines write(), pwrite(), fsync() and clock_gettime() for the whole program, so that SQLite's calls land there,
 * too: bytes and syncs are counted and passed on, and every clock stands still unless meter_clock_set() moves it.
 * One thread.
 */
struct meter {
	uint64_t writes,
		bytes; /* of files; what goes to standard output and error is not counted */
	uint64_t syncs;
};

struct meter meter_read(void);
/* From now on CLOCK_BOOTTIME and CLOCK_MONOTONIC say @boot_us, CLOCK_REALTIME @wall_us; 0, 0: what the system says. */
void meter_clock_set(uint64_t boot_us, uint64_t wall_us);
/* Seconds of the processor so far. Never stands still. */
double meter_cpu_s(void);
/* Resident memory in bytes, less pages of files. */
uint64_t meter_memory(void);
