/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/word.h"

#include <stdbool.h>

/*
 * What a configuration says of a serial port, whatever is spoken over it.
 * Shared by the bus types whose bus is a tty: struct tg_tty_line is a member
 * of their structs, and TG_TTY_ROWS() of their keys (with rows.h). agent/bus/tty.h opens what it describes.
 */
enum tg_tty_parity { TG_PARITY_NONE, TG_PARITY_EVEN, TG_PARITY_ODD };
/* Who turns an RS-485 transceiver round: nobody here, or the port's driver by RTS, which is high or low while sending. */
enum tg_tty_rs485 { TG_RS485_NO, TG_RS485_RTS_HIGH, TG_RS485_RTS_LOW };

struct tg_tty_line {
	char *port;    /* path, best below /dev/serial/by-id */
	unsigned baud; /* bits a second, any number that the port can make */
	enum tg_tty_parity parity;
	unsigned data_bits, stop_bits;
	enum tg_tty_rs485 rs485;
};

extern const struct tg_word tg_config_parities[], tg_config_rs485[];

/* @line is the member's name, @baud and @parity the defaults as text, @buses the TG_BUS_BITs that have these keys. */
#define TG_TTY_ROWS(line, baud_, parity_, buses_)                                                  \
	BUS("port", path, line.port, REQUIRED,                                                     \
	    "tty of the line, best by its stable name below /dev/serial/by-id", ONLY(buses_)),     \
		BUS("baud", unsigned, line.baud, baud_, "bits a second", RANGE(50, 4000000),       \
		    ONLY(buses_)),                                                                 \
		BUS("parity", words, line.parity, parity_, "the bit that checks each character",   \
		    WORDS(tg_config_parities), ONLY(buses_)),                                      \
		BUS("data-bits", unsigned, line.data_bits, "8", "bits of a character",             \
		    RANGE(7, 8), ONLY(buses_)),                                                    \
		BUS("stop-bits", unsigned, line.stop_bits, "1", "stop bits behind each character", \
		    RANGE(1, 2), ONLY(buses_)),                                                    \
		BUS("rs485", words, line.rs485, "no",                                              \
		    "let the port's driver switch an RS-485 transceiver by RTS",                   \
		    WORDS(tg_config_rs485), ONLY(buses_))
