/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/modbus/rtu_frame.h"

#include <errno.h>
#include <string.h>

#define CRC_SIZE   2
#define OVERHEAD   (1 + CRC_SIZE)
#define EXCEPTION  (TG_MODBUS_EXCEPTION_SIZE + OVERHEAD)
#define FRAME_MIN  4 /* unit, function, checksum */
#define POLYNOMIAL 0xa001u

enum place { NO, MAYBE, YES };

uint16_t tg_modbus_crc(const uint8_t *bytes, size_t len)
{
	unsigned crc = 0xffff;

	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
	}
	return (uint16_t) crc;
}

static bool is_sound(const uint8_t *frame, size_t len)
{
	unsigned crc;

	if (len < FRAME_MIN)
		return false;
	crc = tg_modbus_crc(frame, len - CRC_SIZE);
	return frame[len - 2] == (crc & 0xff) && frame[len - 1] == crc >> 8;
}

size_t tg_modbus_rtu_request(const struct tg_modbus_request *q,
			     uint8_t out[static TG_MODBUS_RTU_MAX])
{
	size_t n = 1 + tg_modbus_pdu_request(q, out + 1);
	unsigned crc;

	out[0] = q->unit;
	crc = tg_modbus_crc(out, n);
	out[n] = (uint8_t) crc;
	out[n + 1] = (uint8_t) (crc >> 8);
	return n + CRC_SIZE;
}

size_t tg_modbus_rtu_answer_len(const struct tg_modbus_request *q)
{
	return OVERHEAD + tg_modbus_pdu_answer_len(q);
}

/* Whether the right answer begins at @p, of which @left > 0 bytes have come. */
static enum place look_at(const struct tg_modbus_request *q, const uint8_t *p, size_t left,
			  size_t *ret_len)
{
	size_t len = tg_modbus_rtu_answer_len(q);

	if (p[0] != q->unit)
		return NO;
	if (left >= 2 && p[1] == (q->function | TG_MODBUS_EXCEPTION_BIT))
		len = EXCEPTION;
	else if (left >= 2 && p[1] != q->function)
		return NO;
	else if (left >= 3 && !tg_modbus_is_write(q) && p[2] != tg_modbus_data_len(q))
		return NO;
	if (left < len)
		return MAYBE;
	*ret_len = len;
	return is_sound(p, len) ? YES : NO;
}

enum tg_modbus_rtu_find tg_modbus_rtu_find(const struct tg_modbus_request *q, const uint8_t *buf,
					   size_t len, bool over, size_t *ret_at, size_t *ret_len)
{
	for (size_t at = 0; at < len; at++) {
		switch (look_at(q, buf + at, len - at, ret_len)) {
		case YES:
			*ret_at = at;
			return TG_RTU_FOUND;
		case MAYBE:
			if (!over)
				return TG_RTU_MORE;
			break;
		case NO:
			break;
		}
	}
	return over ? TG_RTU_NONE : TG_RTU_MORE;
}

bool tg_modbus_rtu_is_promising(const struct tg_modbus_request *q, const uint8_t *buf, size_t len)
{
	size_t ignored;

	return len == 0 || look_at(q, buf, len, &ignored) != NO;
}

/* Bytes of the answer that begins with @p, by its own words; 0: what there is does not tell. */
static size_t own_length(const uint8_t *p, size_t left)
{
	if (left < 3)
		return 0;
	if (p[1] & TG_MODBUS_EXCEPTION_BIT)
		return EXCEPTION;
	switch (p[1]) {
	case TG_MODBUS_READ_COILS:
	case TG_MODBUS_READ_DISCRETE:
	case TG_MODBUS_READ_HOLDING:
	case TG_MODBUS_READ_INPUT:
		return OVERHEAD + 2u + p[2];
	case TG_MODBUS_WRITE_COIL:
	case TG_MODBUS_WRITE_REGISTER:
	case TG_MODBUS_WRITE_COILS:
	case TG_MODBUS_WRITE_REGISTERS:
		return OVERHEAD + 5;
	default:
		return left;
	}
}

static bool is_echo(const struct tg_modbus_request *q, const uint8_t *buf, size_t len)
{
	uint8_t own[TG_MODBUS_RTU_MAX];
	size_t n = tg_modbus_rtu_request(q, own);

	return len == n && memcmp(buf, own, n) == 0;
}

static int judge_frame(const struct tg_modbus_request *q, const uint8_t *frame, size_t len,
		       struct tg_fault *reterr)
{
	unsigned function = frame[1] & ~TG_MODBUS_EXCEPTION_BIT;
	const uint8_t *data;
	int r;

	if (frame[0] != q->unit)
		return tg_fault_set(reterr, -EAGAIN, "wrong answer: from unit %u, asked %u",
				    frame[0], q->unit);
	if (function != (unsigned) q->function)
		return tg_fault_set(reterr, -EAGAIN, "wrong answer: function %u, asked for %u",
				    function, (unsigned) q->function);
	r = tg_modbus_pdu_answer(q, frame + 1, len - OVERHEAD, &data, reterr);
	return r < 0 ? r : tg_fault_set(reterr, -EPROTO, "wrong answer");
}

int tg_modbus_rtu_judge(const struct tg_modbus_request *q, const uint8_t *buf, size_t len,
			struct tg_fault *reterr)
{
	size_t own = own_length(buf, len), want = tg_modbus_rtu_answer_len(q);

	if (is_echo(q, buf, len))
		return tg_fault_set(reterr, -EAGAIN,
				    "own request came back and nothing else: does the line echo, "
				    "is the device off?");
	if (own > 0 && own <= len && is_sound(buf, own))
		return judge_frame(q, buf, own, reterr);
	if (is_sound(buf, len))
		return judge_frame(q, buf, len, reterr);
	if (len < want && tg_modbus_rtu_is_promising(q, buf, len))
		return tg_fault_set(reterr, -EPROTO, "wrong answer: only %zu of %zu bytes came",
				    len, want);
	if (len >= FRAME_MIN && buf[0] == q->unit &&
	    (buf[1] & ~TG_MODBUS_EXCEPTION_BIT) == (unsigned) q->function)
		return tg_fault_set(reterr, -EBADMSG, "wrong answer: checksum wrong in %zu bytes",
				    len);
	return tg_fault_set(reterr, -EBADMSG, "wrong answer: %zu bytes that are no frame", len);
}
