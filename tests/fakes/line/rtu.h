/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/fakes/line/station.h"

#include <poll.h>

/*
 * A serial line with real byte times, behind a pseudo-terminal.
 *
 * A pty moves bytes in no time; here each byte takes as long as its bits do at the line's speed: a request is heard
 * when its last byte could have arrived and 3.5 characters of silence have followed, an answer is handed out byte
 * by byte. The line is half duplex: who speaks while another does spoils both, and a request that begins
 * less than 3.5 characters behind the last byte belongs, for the units, to what was before, and is lost.
 * Units hear nothing at another speed than theirs (the pty keeps the speed that the other side sets; it
 * drops the parity, so that is told by a command).
 */
struct line_rtu {
	struct line_station *station;
	char *link; /* a symlink that leads to the port as long as it is plugged in; NULL: none */
	char port[64];
	unsigned baud, bits; /* bits: of one character, with start, parity and stop */
	uint64_t char_ns, silence_ns;
	int fd; /* the master; -1: pulled out */
	bool hung_up, echo, other_parity;
	uint8_t in[LINE_ADU_MAX];
	size_t n_in;
	bool spoiled;                              /* the frame that is coming in */
	uint64_t in_start_ns, in_end_ns, quiet_ns; /* quiet: since the last byte of all */
	uint64_t out_ns;                           /* the last byte of a unit */
	const struct line_tape *out_by;
};

/* Returns false with errno. */
bool line_rtu_plug(struct line_rtu *l);
void line_rtu_unplug(struct line_rtu *l);
void line_rtu_set_speed(struct line_rtu *l, unsigned baud, unsigned bits);
size_t line_rtu_fds(struct line_rtu *l, struct pollfd *fds);
uint64_t line_rtu_next_ns(const struct line_rtu *l);
/* What came in, and what is due. */
void line_rtu_turn(struct line_rtu *l);
/* Puts @n bytes on the line now, as nobody's answer. */
void line_rtu_send(struct line_rtu *l, const uint8_t *bytes, size_t n);
