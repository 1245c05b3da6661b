/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/raw.h"

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of SPI devices and transfers. */
#define TG_SPI_WRITE_MAX 32 /* bytes that a transfer spells out */

/*
 * One transfer under one chip select. Without n_read the answer is what comes in while the bytes go out; with it, the bytes
 * that come in behind them, while zeros go out.
 */
struct tg_spi_transfer {
	uint8_t bytes[TG_SPI_WRITE_MAX];
	uint8_t n_bytes, n_read; /* n_read: up to TG_RAW_BYTES_MAX */
	uint16_t delay_us;       /* between the two */
};

struct tg_spi_read {
	struct tg_spi_transfer transfer;
	struct tg_raw raw; /* in the answer */
	struct tg_raw_set set;
};

struct tg_spi_device {
	unsigned mode;  /* 0..3: CPOL << 1 | CPHA */
	unsigned speed; /* Hz, at most */
	bool lsb_first, cs_high;
};

struct tg_spi_bus {
	char *device; /* /dev/spidev0.0: a controller and its chip select */
};

/* Bytes of the answer. Never fails. */
static inline size_t tg_spi_answer(const struct tg_spi_transfer *t)
{
	return t->n_read ? t->n_read : t->n_bytes;
}
