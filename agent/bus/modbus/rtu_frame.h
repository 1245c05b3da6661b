/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/modbus/pdu.h"

/*
 * Modbus frames as a serial line carries them: unit, PDU, checksum.
 *
 * Nothing in a frame says where it begins or which request it answers; the
 * standard has silence for the one and patience for the other. Both fail on
 * real lines: adapters hand over bytes in lumps, transceivers add a byte when
 * they turn round, some lines echo, and late answers come among others. So
 * the answer is *looked for* in all that came since the request: the first
 * place where unit, function, byte count and checksum are those of the right
 * answer. A place where they still may become so is waited for before later ones count.
 *
 * Pure; trusts nothing. Any thread.
 * Source: MODBUS over Serial Line, Specification and Implementation Guide V1.02, section 2.5.1 and 6.2.2.
 */
#define TG_MODBUS_RTU_MAX 256 /* of any frame */

/* CRC-16 of Modbus, as a number whose low byte goes first. Never fails. */
uint16_t tg_modbus_crc(const uint8_t *bytes, size_t len);
/* Writes the request; returns its bytes. Never fails. */
size_t tg_modbus_rtu_request(const struct tg_modbus_request *q,
			     uint8_t out[static TG_MODBUS_RTU_MAX]);
/* Bytes of the right answer that is no exception. Never fails. */
size_t tg_modbus_rtu_answer_len(const struct tg_modbus_request *q);

enum tg_modbus_rtu_find { TG_RTU_MORE, TG_RTU_FOUND, TG_RTU_NONE };
/*
 * Looks for the answer to @q in the @len bytes that came. FOUND sets *ret_at and *ret_len to the frame, whose unit and
 * checksum are right: its PDU goes to tg_modbus_pdu_answer(). MORE: it may still come; NONE: not from what is there, with
 * @over (silence: nothing is added any more) the only other outcome. Never fails.
 */
enum tg_modbus_rtu_find tg_modbus_rtu_find(const struct tg_modbus_request *q, const uint8_t *buf,
					   size_t len, bool over, size_t *ret_at, size_t *ret_len);
/* Whether @buf may still become the right answer from its first byte on, as far as it came. Never fails. */
bool tg_modbus_rtu_is_promising(const struct tg_modbus_request *q, const uint8_t *buf, size_t len);
/*
 * What those @len > 0 bytes are, when they hold no answer and silence followed. Returns -EAGAIN for a whole frame that is
 * somebody else's or answers something else, so that the right one may still follow; -EPROTO for an answer that is wrong,
 * -EBADMSG for noise; @reterr says what.
 */
int tg_modbus_rtu_judge(const struct tg_modbus_request *q, const uint8_t *buf, size_t len,
			struct tg_fault *reterr) TG_CHECKED;
