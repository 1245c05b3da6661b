/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/raw.h"

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of I2C adapters, chips and transactions. */
#define TG_I2C_WRITE_MAX                                                                           \
	16                 /* bytes written before a read: register or command, and its arguments */
#define TG_I2C_INIT_MAX 16 /* transactions that set a chip up */

/* What guards the bytes that are read. */
enum tg_i2c_check {
	TG_I2C_PLAIN,
	TG_I2C_CRC8,      /* a CRC behind each two bytes (Sensirion: polynomial 0x31, start 0xff) */
	TG_I2C_CRC8_LAST, /* the same CRC once, over all that stands before it (Aosong) */
	TG_I2C_PEC, /* SMBus packet error code (SMBus 3.2, 6.4): polynomial 0x07, start 0, addresses included */
};

/* One transaction; points with the same are read by one. */
struct tg_i2c_transfer {
	uint8_t write[TG_I2C_WRITE_MAX];
	uint8_t n_write, n_read; /* n_read: bytes on the wire, checksums included */
	bool split;              /* write, pause, then read, instead of a repeated start */
	uint64_t delay_us;       /* of the pause */
	enum tg_i2c_check check;
};

/* Bytes that are left of an answer when its checksums are taken out. Never fails. */
static inline size_t tg_i2c_payload(const struct tg_i2c_transfer *t)
{
	if (t->check == TG_I2C_CRC8)
		return t->n_read / 3u * 2u;
	return t->check == TG_I2C_PLAIN ? t->n_read : t->n_read - 1u;
}

struct tg_i2c_read {
	struct tg_i2c_transfer transfer;
	struct tg_raw raw; /* in the bytes without checksums */
	struct tg_raw_set set;
};

struct tg_i2c_write {
	uint8_t n;
	uint8_t bytes[TG_I2C_WRITE_MAX];
};

struct tg_i2c_device {
	unsigned address; /* 7 bits */
	struct tg_i2c_write init[TG_I2C_INIT_MAX];
	unsigned n_init;
};

struct tg_i2c_bus {
	char *adapter; /* /dev/i2c-1, i2c-1, or what /sys/class/i2c-dev/i2c-1/name says */
};
