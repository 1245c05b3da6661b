/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a configuration says of simulated buses. */

enum tg_sim_form {
	TG_SIM_CONSTANT, /* number or truth value; a command may set it */
	TG_SIM_SINE,
	TG_SIM_RAMP,    /* rises from low to high, then begins again */
	TG_SIM_SQUARE,  /* low, then high, half a period each */
	TG_SIM_RANDOM,  /* uniform, the same after each start with the same seed */
	TG_SIM_COUNTER, /* step more at each reading */
	TG_SIM_TEXT,    /* a command may set it */
	TG_SIM_WRITES,  /* how often commands have set the other points of the device */
};

struct tg_sim_read {
	enum tg_sim_form form;
	bool truth;         /* a constant that is yes or no, a square of no and yes */
	double low, high;   /* low: the value of a constant */
	uint64_t period_us; /* > 0 where the form has one */
	uint64_t seed;
	uint64_t step, start;
	unsigned bits;      /* 1..64: a counter wraps there */
	const char *text;   /* points into the point's read, without a NUL behind it */
	size_t text_len;    /* at most TG_TEXT_MAX */
	unsigned bad_every; /* each such reading is bad; 0: none */
};

struct tg_sim_device {
	char *silent_while; /* does not answer while this file exists; "": always answers */
	uint64_t takes_us;  /* how long an answer takes */
};

struct tg_sim_bus {
	bool unasked;     /* devices speak each `every`, instead of being asked */
	char *away_while; /* the bus is down while this file exists; "": never */
	char *write_log;  /* file to which each write is added as a line; "": none */
};
