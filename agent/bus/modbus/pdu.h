/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/error.h>

/*
 * Modbus without its wires: what a request says, and whether an answer is
 * the answer to it. How both are packed for TCP and for a serial line is
 * tcp_frame.h's and rtu_frame.h's.
 *
 * A PDU begins with the function. Answers are judged by all they carry:
 * function, byte count, length; of writes, what the device confirms.
 *
 * Pure: bytes in, verdict out; trusts nothing. Any thread.
 * Source: MODBUS Application Protocol Specification V1.1b3, sections 6 and 7.
 */
#define TG_MODBUS_REGISTERS_MAX  125  /* of one read, by the protocol: 250 bytes of data */
#define TG_MODBUS_BITS_MAX       2000 /* likewise: 250 bytes */
#define TG_MODBUS_WRITE_MAX      123  /* registers of one write */
#define TG_MODBUS_DATA_MAX       250
#define TG_MODBUS_PDU_MAX        253
#define TG_MODBUS_EXCEPTION_BIT  0x80u
#define TG_MODBUS_EXCEPTION_SIZE 2 /* bytes of a PDU that is an exception */

enum tg_modbus_function {
	TG_MODBUS_READ_COILS = 1,
	TG_MODBUS_READ_DISCRETE = 2,
	TG_MODBUS_READ_HOLDING = 3,
	TG_MODBUS_READ_INPUT = 4,
	TG_MODBUS_WRITE_COIL = 5,
	TG_MODBUS_WRITE_REGISTER = 6,
	TG_MODBUS_WRITE_COILS = 15,
	TG_MODBUS_WRITE_REGISTERS = 16,
};

struct tg_modbus_request {
	uint16_t transaction; /* of TCP; serial lines have none */
	uint8_t unit;
	enum tg_modbus_function function;
	uint16_t address;
	uint16_t count; /* registers or bits: 1 .. the limit of the function; 1 of single writes */
	const uint8_t *
		data; /* of writes: tg_modbus_data_len() bytes, registers as on the wire, or bits, the first lowest */
};

/* The function that reads @table. Never fails. */
enum tg_modbus_function tg_modbus_read_function(enum tg_modbus_table table);
bool tg_modbus_is_write(const struct tg_modbus_request *q);
/* Whether @a and @b ask for the same, so that the answer to one is as good for the other. Never fails. */
bool tg_modbus_is_same(const struct tg_modbus_request *a, const struct tg_modbus_request *b);
/* Data bytes that the answer to a read, or a write itself, carries. Never fails. */
size_t tg_modbus_data_len(const struct tg_modbus_request *q);
/* Writes the request; returns its bytes. Never fails. */
size_t tg_modbus_pdu_request(const struct tg_modbus_request *q,
			     uint8_t out[static TG_MODBUS_PDU_MAX]);
/* Bytes of the right answer that is no exception. Never fails. */
size_t tg_modbus_pdu_answer_len(const struct tg_modbus_request *q);
/*
 * Judges the @len > 0 bytes of @pdu as the answer to @q. Returns 0 with the data of a read inside @pdu (NULL of a write);
 * the code 1..255 when the device answered with an exception; or -EPROTO and why.
 */
int tg_modbus_pdu_answer(const struct tg_modbus_request *q, const uint8_t *pdu, size_t len,
			 const uint8_t **ret_data, struct tg_fault *reterr) TG_CHECKED;

enum { TG_MODBUS_EX_ACKNOWLEDGE = 5, TG_MODBUS_EX_BUSY = 6 };
/* "illegal data address" of 2 and so on; "unknown exception" of what no standard names. Never NULL. */
const char *tg_modbus_exception_text(int code);
