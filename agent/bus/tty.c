/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/tty.h"

/* The kernel's termios with its free choice of rates; it cannot be mixed with the C library's <termios.h>. */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Receivers sample in the middle of a bit: over ten bits, 5 % off is half a bit. Both ends may be off. */
#define RATE_TOLERANCE_PERCENT 3
/* Documentation/admin-guide/devices.txt: the slave ends of pseudo terminals. */
#define PTY_MAJOR_FIRST 136
#define PTY_MAJOR_LAST  143

static int open_fault(const char *port, int error, struct tg_fault *reterr)
{
	switch (error) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return tg_fault_set(reterr, -ENOENT, "%s is not there: not plugged in?", port);
	case EACCES:
	case EPERM:
		return tg_fault_set(reterr, -EACCES,
				    "%s: %s; the user of the agent must be in the port's group "
				    "(ls -lL %s)",
				    port, strerror(error), port);
	case EBUSY:
	case EWOULDBLOCK:
		return tg_fault_set(reterr, -EBUSY, "%s is in use by another program", port);
	default:
		return tg_fault_set(reterr, -error, "%s: %s", port, strerror(error));
	}
}

static bool is_pty(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && major(st.st_rdev) >= PTY_MAJOR_FIRST &&
	       major(st.st_rdev) <= PTY_MAJOR_LAST;
}

static struct termios2 settings_of(const struct tg_tty_line *line)
{
	struct termios2 t = {
		.c_iflag = IGNBRK,
		.c_cflag = CREAD | CLOCAL | BOTHER | BOTHER << IBSHIFT,
		.c_ispeed = line->baud,
		.c_ospeed = line->baud,
	};

	t.c_cflag |= line->data_bits == 7 ? CS7 : CS8;
	if (line->stop_bits == 2)
		t.c_cflag |= CSTOPB;
	if (line->parity != TG_PARITY_NONE) {
		t.c_cflag |= PARENB;
		t.c_iflag |= INPCK; /* a character that is wrong reads as 0: checksums notice */
	}
	if (line->parity == TG_PARITY_ODD)
		t.c_cflag |= PARODD;
	/* So that an empty port reads as EAGAIN and only one that hung up as the end. */
	t.c_cc[VMIN] = 1;
	return t;
}

/* A driver that cannot do what it is asked does something else, and says so only when asked again. */
static int check_settings(int fd, const struct tg_tty_line *line, const struct termios2 *want,
			  struct tg_fault *reterr)
{
	const tcflag_t shape = CSIZE | CSTOPB | PARENB | PARODD;
	struct termios2 got;
	unsigned off;

	if (is_pty(fd))
		return 0;
	if (ioctl(fd, TCGETS2, &got) < 0)
		return open_fault(line->port, errno, reterr);
	off = got.c_ospeed > line->baud ? got.c_ospeed - line->baud : line->baud - got.c_ospeed;
	if ((uint64_t) off * 100 > (uint64_t) line->baud * RATE_TOLERANCE_PERCENT)
		return tg_fault_set(reterr, -ENOTSUP, "%s cannot do %u baud, only %u", line->port,
				    line->baud, got.c_ospeed);
	if ((got.c_cflag & shape) != (want->c_cflag & shape)) {
		char text[24];

		return tg_fault_set(reterr, -ENOTSUP, "%s cannot do %s", line->port,
				    tg_tty_describe(line, text));
	}
	return 0;
}

static int set_rs485(int fd, const struct tg_tty_line *line, struct tg_fault *reterr)
{
	struct serial_rs485 rs = { .flags = SER_RS485_ENABLED };

	/* Left as it is: a device tree may have switched it on. */
	if (line->rs485 == TG_RS485_NO)
		return 0;
	rs.flags |=
		line->rs485 == TG_RS485_RTS_HIGH ? SER_RS485_RTS_ON_SEND : SER_RS485_RTS_AFTER_SEND;
	if (ioctl(fd, TIOCSRS485, &rs) < 0)
		return tg_fault_set(reterr, -ENOTSUP,
				    "%s cannot switch an RS-485 transceiver (%s); adapters that do "
				    "it "
				    "by themselves need rs485 = no",
				    line->port, strerror(errno));
	return 0;
}

/* FTDI's adapters hold what they received for 16 ms unless they are told. Drivers that do not know it are as they are. */
static void ask_low_latency(int fd)
{
	struct serial_struct s;

	if (ioctl(fd, TIOCGSERIAL, &s) < 0)
		return;
	s.flags |= ASYNC_LOW_LATENCY;
	(void) ioctl(fd, TIOCSSERIAL, &s);
}

static int set_up(int fd, const struct tg_tty_line *line, struct tg_fault *reterr)
{
	const struct termios2 t = settings_of(line);
	int r;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || ioctl(fd, TIOCEXCL) < 0)
		return open_fault(line->port, errno, reterr);
	if (ioctl(fd, TCSETS2, &t) < 0)
		return tg_fault_set(reterr, errno == EINVAL ? -ENOTSUP : -errno,
				    "%s cannot do %u baud: %s", line->port, line->baud,
				    strerror(errno));
	r = check_settings(fd, line, &t, reterr);
	if (r == 0)
		r = set_rs485(fd, line, reterr);
	if (r < 0)
		return r;
	ask_low_latency(fd);
	(void) ioctl(fd, TCFLSH, TCIOFLUSH);
	return 0;
}

int tg_tty_open(const struct tg_tty_line *line, int *ret_fd, struct tg_fault *reterr)
{
	/* Non-blocking already here: a port without carrier would keep open() waiting. */
	int fd = open(line->port, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	struct termios2 t;
	int r;

	if (fd < 0)
		return open_fault(line->port, errno, reterr);
	if (ioctl(fd, TCGETS2, &t) < 0) {
		r = errno == EIO
			    ? open_fault(line->port, ENODEV, reterr)
			    : tg_fault_set(reterr, -ENOTTY, "%s is not a serial port", line->port);
		(void) close(fd);
		return r;
	}
	r = set_up(fd, line, reterr);
	if (r < 0) {
		/* What another program holds is not given back by us. */
		if (r == -EBUSY)
			(void) close(fd);
		else
			(void) tg_tty_close(fd);
		return r;
	}

	*ret_fd = fd;
	return 0;
}

int tg_tty_close(int fd)
{
	if (fd < 0)
		return -1;
	/* The flag outlives the descriptor where something else keeps the port alive, as the other end of a pseudo terminal. */
	(void) ioctl(fd, TIOCNXCL);
	/* Or closing would wait for what a dead line does not take. */
	(void) ioctl(fd, TCFLSH, TCIOFLUSH);
	(void) close(fd);
	return -1;
}

bool tg_tty_is_gone(int error)
{
	return error == EIO || error == ENXIO || error == ENODEV;
}

int tg_tty_faults_get(int fd, struct tg_tty_faults *ret)
{
	struct serial_icounter_struct c = { 0 };

	if (ioctl(fd, TIOCGICOUNT, &c) < 0)
		return -errno;
	*ret = (struct tg_tty_faults){
		.framing = (unsigned) c.frame,
		.parity = (unsigned) c.parity,
		.overrun = (uint64_t) (unsigned) c.overrun + (unsigned) c.buf_overrun,
		.breaks = (unsigned) c.brk,
	};
	return 0;
}

uint64_t tg_tty_time_us(const struct tg_tty_line *line, size_t chars)
{
	unsigned bits = 1 + line->data_bits + (line->parity != TG_PARITY_NONE) + line->stop_bits;

	return ((uint64_t) chars * bits * 1000000 + line->baud - 1) / line->baud;
}

const char *tg_tty_describe(const struct tg_tty_line *line, char out[static 24])
{
	(void) snprintf(out, 24, "%u %u%c%u", line->baud, line->data_bits, "NEO"[line->parity],
			line -> stop_bits);
	return out;
}
