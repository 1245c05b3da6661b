/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/modbus/pdu.h"

/*
 * Modbus frames as TCP carries them.
 *
 * libmodbus checks neither the unit of an answer nor the length in its MBAP
 * header, and gives every raw request the transaction 0; so requests are
 * numbered here, and answers judged by all they carry: transaction,
 * protocol, unit, length, and what pdu.h judges.
 *
 * Pure; trusts nothing. Any thread. Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 3.
 */
#define TG_MODBUS_TCP_REQUEST_MAX (7 + TG_MODBUS_PDU_MAX)

/* Writes the request; returns its bytes. Never fails. */
size_t tg_modbus_tcp_request(const struct tg_modbus_request *q,
			     uint8_t out[static TG_MODBUS_TCP_REQUEST_MAX]);
/*
 * Judges the @len bytes of @adu as the answer to @q. Returns 0 with the data of a read inside @adu (NULL of a write); the
 * code 1..255 when the device answered with an exception; or -EPROTO and why.
 */
int tg_modbus_tcp_answer(const struct tg_modbus_request *q, const uint8_t *adu, size_t len,
			 const uint8_t **ret_data, struct tg_fault *reterr) TG_CHECKED;
