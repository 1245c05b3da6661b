/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/fakes/line/misdeed.h"

/*
 * The units behind one line or one TCP port, what is known of the traffic, and the replies that are under way.
 * Times are CLOCK_MONOTONIC, in nanoseconds. One thread.
 */
#define LINE_LOG_MAX 20000
#define LINE_TAPES   16

struct line_entry {
	uint64_t start_us, end_us; /* of the request: its first byte, its last */
	uint8_t unit, function;
	uint16_t address, count;
};

struct line_stats {
	unsigned requests;   /* well-formed, for a unit that is there */
	unsigned foreign;    /* for one that is not */
	unsigned broken;     /* frames that were none */
	unsigned early;      /* frames that began less than 3.5 characters behind the one before */
	unsigned collisions; /* bytes sent by two at once */
	unsigned mismatched; /* frames at another speed than the units' */
	unsigned connections;
	uint64_t heard, said; /* bytes */
};

/* A reply under way. */
struct line_tape {
	bool active, echo;
	int owner;          /* the client, over TCP */
	uint64_t next_ns;   /* when the next byte (or segment) is all out */
	size_t segment, at; /* at: in the segment */
	struct line_unit *unit;
	struct line_reply reply;
};

struct line_station {
	enum line_kind kind;
	struct line_unit *units[LINE_UNITS];
	struct line_stats stats;
	struct line_entry *log;
	size_t n_log;
	struct line_tape tapes[LINE_TAPES];
};

uint64_t line_now_ns(void);
/*
 * A request came, complete and right: @x has kind, unit, asked, transaction and protocol; @pdu is within asked. It is
 * logged, done, and answered: returns the tape that holds the reply, with owner and next_ns left to the caller and
 * *ret_delay_us the pause that the unit makes; NULL when there is none.
 */
struct line_tape *line_station_hear(struct line_station *s, struct line_exchange *x,
				    const uint8_t *pdu, size_t len, struct line_entry entry,
				    uint64_t *ret_delay_us);
/* NULL when all are taken. */
struct line_tape *line_station_tape(struct line_station *s);
/* When the next tape has something to do; UINT64_MAX: none has. */
uint64_t line_station_next_ns(const struct line_station *s);
/* All tapes of @owner, or of all when it is -1, end here. */
void line_station_hush(struct line_station *s, int owner);
