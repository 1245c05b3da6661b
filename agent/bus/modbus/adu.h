/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/error.h>

/*
 * Modbus frames: what a read request looks like, and whether an answer is the answer to it.
 *
 * libmodbus checks neither the unit of an answer nor the length in its MBAP
 * header, and gives every raw request the transaction 0; so requests are
 * numbered here, and answers judged by all they carry: transaction,
 * protocol, length, unit, function and byte count.
 *
 * Pure: bytes in, verdict out; trusts nothing. Any thread.
 */
#define TG_MODBUS_REGISTERS_MAX 125  /* of one read, by the protocol: 250 bytes of data */
#define TG_MODBUS_BITS_MAX      2000 /* likewise: 250 bytes */
#define TG_MODBUS_DATA_MAX      250
#define TG_MODBUS_TCP_REQUEST   12 /* bytes of a read request with its header */

struct tg_modbus_request {
	uint16_t transaction;
	uint8_t unit;
	enum tg_modbus_table table;
	uint16_t address, count; /* count: 1 .. the limit of the table */
};

/* Data bytes that the answer to @q carries. Never fails. */
size_t tg_modbus_data_len(const struct tg_modbus_request *q);
/* Writes the request as Modbus TCP has it. Never fails. */
void tg_modbus_tcp_request(const struct tg_modbus_request *q,
			   uint8_t out[static TG_MODBUS_TCP_REQUEST]);
/*
 * Judges the @len bytes of @adu as the answer to @q over Modbus TCP. Returns 0 with the data
 * (tg_modbus_data_len() bytes inside @adu); the code 1..255 when the device answered with an
 * exception; or -EPROTO and why.
 */
int tg_modbus_tcp_answer(const struct tg_modbus_request *q, const uint8_t *adu, size_t len,
			 const uint8_t **ret_data, struct tg_fault *reterr) TG_CHECKED;
/* "illegal data address" of 2 and so on; "unknown exception" of what no standard names. Never NULL.
 */
const char *tg_modbus_exception_text(int code);
