/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/tty.h"

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Serial ports: opened raw, alone, at any rate; and what the line can carry.
 *
 * A port that has gone (a USB adapter was pulled out) shows itself by
 * tg_tty_is_gone(); it is closed and opened again by its path, which below
 * /dev/serial/by-id is the same when it comes back. A pseudo terminal has
 * neither rate nor parity of its own: times are computed from the
 * configuration alone, never asked of the port.
 *
 * Sources: termios(3), ioctl_tty(2), the kernel's
 * Documentation/driver-api/serial/serial-rs485.rst. Nothing here waits; any thread, one at a time per port.
 */

/*
 * Opens line->port: raw 8-bit clean bytes as the line says, not a controlling terminal, non-blocking, flushed, locked
 * (flock and TIOCEXCL) against others, with low latency where the driver knows it. Returns 0 and an owned descriptor, of
 * which reading gives -EAGAIN when nothing is there and 0 at a hangup; or -errno with what to do in @reterr: -ENOENT
 * nothing is plugged in there, -EACCES, -EBUSY another program has it, -ENOTTY it is no tty, -ENOTSUP it cannot do what
 * the line needs (rate, parity, RS-485).
 */
int tg_tty_open(const struct tg_tty_line *line, int *ret_fd, struct tg_fault *reterr) TG_CHECKED;
/* Gives the port back and closes it. Accepts -1; returns -1. */
int tg_tty_close(int fd);
/* Whether the errno @error of a read or write says that the port has gone, and not only that this once failed. Never fails. */
bool tg_tty_is_gone(int error);

/* What the port's hardware noticed since it was opened; zero where the driver does not count (pseudo terminals). */
struct tg_tty_faults {
	uint64_t framing, parity, overrun, breaks;
};
/* Returns 0, or -errno where the driver does not count. */
int tg_tty_faults_get(int fd, struct tg_tty_faults *ret) TG_CHECKED;

/* How long @chars characters take on the line, in microseconds, rounded up. Never fails. */
uint64_t tg_tty_time_us(const struct tg_tty_line *line, size_t chars);
/* "9600 8E1" to @out. Returns @out. */
const char *tg_tty_describe(const struct tg_tty_line *line, char out[static 24]);
