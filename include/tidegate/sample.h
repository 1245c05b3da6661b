/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Readings: what bus drivers make and encoders print.
 *
 * A sample is one value of one point at one instant. The samples of one poll
 * of one device make a pack: one MQTT message, the unit of spooling. These
 * structs are views: they own nothing, and the strings that they point at are
 * valid as long as whoever handed them out says.
 *
 * Times: boot_us is CLOCK_BOOTTIME, which neither jumps nor stops in suspend;
 * the wall time of a sample is its boot_us plus the pack's wall_offset_us, so
 * that a clock that is repaired later repairs every sample by one number.
 */
#define TG_NAME_MAX 64	     /* bus, device and point names, without the NUL; [A-Za-z0-9._-] */
#define TG_UNIT_MAX 32	     /* longer than any in the RFC 8428 registry; the loader refuses more */
#define TG_TEXT_MAX 1024     /* a string value; longer ones are refused by the drivers */
#define TG_REASON_MAX 120    /* why a reading is bad, without the NUL */
#define TG_PACK_SAMPLES 1024 /* points of one device; bounds packs, polls and stack */

enum tg_value_type {
	TG_VALUE_NONE, /* bad or stale: nothing to show */
	TG_VALUE_BOOL,
	TG_VALUE_INT,
	TG_VALUE_UINT,
	TG_VALUE_REAL, /* always finite: NaN and infinities are bad quality */
	TG_VALUE_TEXT, /* UTF-8 */
};

struct tg_value {
	enum tg_value_type type;
	union {
		bool b;
		int64_t i;
		uint64_t u;
		double real;
		const char *text;
	};
};

enum tg_quality { TG_GOOD, TG_STALE, TG_BAD };

struct tg_sample {
	const char *point;
	const char *unit;   /* RFC 8428 registry name, or "" */
	const char *reason; /* why not good, as "timeout"; "" when good */
	struct tg_value value;
	enum tg_quality quality;
	uint64_t boot_us; /* acquisition, CLOCK_BOOTTIME */
};

/* How far the wall clock could be trusted when the pack was made (DESIGN section 4, "Clock"). */
enum tg_clock_trust { TG_CLOCK_SUSPECT, TG_CLOCK_UNCONFIRMED, TG_CLOCK_SYNCHRONISED };

struct tg_pack {
	uint64_t seq; /* epoch * 2^32 + n, < 2^53; never repeats */
	const char *device;
	int64_t wall_offset_us; /* CLOCK_REALTIME - CLOCK_BOOTTIME when the pack was made */
	enum tg_clock_trust clock;
	uint8_t boot_id[16];
	size_t n_samples; /* 1 .. TG_PACK_SAMPLES */
	const struct tg_sample *samples;
};

/* live: not read back from the spool; replay: read back, oldest first. Every published pack names its stream. */
enum tg_stream { TG_STREAM_LIVE, TG_STREAM_REPLAY };
