/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One I2C adapter through the kernel's /dev/i2c-N (Documentation/i2c/dev-interface.rst).
 *
 * To be opened for each poll and closed behind it, not kept: the kernel
 * waits with taking an unplugged adapter away until nobody has it open, and
 * its number may then be that of another one.
 *
 * Blocks as long as the adapter's driver does, mostly up to a second a transaction. Owned by one thread.
 */
struct tg_i2c_adapter {
	int fd;
	unsigned long funcs; /* I2C_FUNC_ bits */
	unsigned number;     /* N; UINT_MAX where the path does not say */
	char path[256];
};
#define TG_I2C_ADAPTER_NULL                                                                        \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/* Where the kernel's files are, "/dev" and "/sys"; tests have others. */
struct tg_i2c_roots {
	const char *dev, *sys;
};
extern const struct tg_i2c_roots tg_i2c_roots;

/*
 * @name: a path, i2c-N, or what SYS/class/i2c-dev/i2c-N/name says. Returns 0, or -ENOTCONN: it is not there, or not ours
 * (words say which).
 */
int tg_i2c_open(const struct tg_i2c_roots *roots, const char *name, struct tg_i2c_adapter *ret,
		struct tg_fault *reterr) TG_CHECKED;
/* Accepts TG_I2C_ADAPTER_NULL and leaves it. */
void tg_i2c_close(struct tg_i2c_adapter *a);

/*
 * To be called before the transactions with a chip. Returns 0, or -EBUSY: a driver of the kernel has @address, and what is
 * said to the chip behind its back would confuse both.
 */
int tg_i2c_select(const struct tg_i2c_roots *roots, struct tg_i2c_adapter *a, unsigned address,
		  struct tg_fault *reterr) TG_CHECKED;

/*
 * Writes @n_write bytes, then reads @n_read, with a repeated start between where there are both; either may be 0, not both.
 * Where the adapter does SMBus only, by the SMBus operation that puts the same on the wire. Returns 0, or -errno as the
 * adapter's driver gave it, with words: -ENXIO when nobody answered at the address, whatever the driver calls that;
 * -EOPNOTSUPP; -ENOTCONN when the adapter is gone.
 */
int tg_i2c_transact(struct tg_i2c_adapter *a, unsigned address, const uint8_t *write,
		    size_t n_write, uint8_t *read, size_t n_read,
		    struct tg_fault *reterr) TG_CHECKED;

/*
 * Whether somebody answers at @address, asked as carefully as i2cdetect(8) does: by an empty write, but where that could change
 * an EEPROM, or the adapter cannot, by reading a byte. Returns 1, 0, -EBUSY for an address of a kernel driver, or -errno.
 */
int tg_i2c_ping(struct tg_i2c_adapter *a, unsigned address) TG_CHECKED;

/* The name of the driver that has @address, or "" ; @size > 0. Returns @out. */
const char *tg_i2c_holder(const struct tg_i2c_roots *roots, const struct tg_i2c_adapter *a,
			  unsigned address, char *out, size_t size);
