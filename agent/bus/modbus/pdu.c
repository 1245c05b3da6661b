/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/modbus/pdu.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define COIL_ON 0xff00u

enum tg_modbus_function tg_modbus_read_function(enum tg_modbus_table table)
{
	switch (table) {
	case TG_MODBUS_COIL:
		return TG_MODBUS_READ_COILS;
	case TG_MODBUS_DISCRETE:
		return TG_MODBUS_READ_DISCRETE;
	case TG_MODBUS_HOLDING:
		return TG_MODBUS_READ_HOLDING;
	case TG_MODBUS_INPUT:
		return TG_MODBUS_READ_INPUT;
	}
	assert(false);
	return TG_MODBUS_READ_HOLDING;
}

bool tg_modbus_is_write(const struct tg_modbus_request *q)
{
	return q->function >= TG_MODBUS_WRITE_COIL;
}

static bool is_of_bits(const struct tg_modbus_request *q)
{
	return q->function == TG_MODBUS_READ_COILS || q->function == TG_MODBUS_READ_DISCRETE ||
	       q->function == TG_MODBUS_WRITE_COIL || q->function == TG_MODBUS_WRITE_COILS;
}

bool tg_modbus_is_same(const struct tg_modbus_request *a, const struct tg_modbus_request *b)
{
	return a->unit == b->unit && a->function == b->function && a->address == b->address &&
	       a->count == b->count;
}

size_t tg_modbus_data_len(const struct tg_modbus_request *q)
{
	return is_of_bits(q) ? (q->count + 7u) / 8u : 2u * q->count;
}

static void put16(uint8_t *to, unsigned v)
{
	to[0] = (uint8_t) (v >> 8);
	to[1] = (uint8_t) v;
}

static unsigned get16(const uint8_t *from)
{
	return (unsigned) from[0] << 8 | from[1];
}

/* What stands behind the address: how many, or of single writes the value. */
static unsigned second_word(const struct tg_modbus_request *q)
{
	if (q->function == TG_MODBUS_WRITE_COIL)
		return q->data[0] & 1 ? COIL_ON : 0;
	if (q->function == TG_MODBUS_WRITE_REGISTER)
		return get16(q->data);
	return q->count;
}

static bool is_multiple_write(const struct tg_modbus_request *q)
{
	return q->function == TG_MODBUS_WRITE_COILS || q->function == TG_MODBUS_WRITE_REGISTERS;
}

size_t tg_modbus_pdu_request(const struct tg_modbus_request *q,
			     uint8_t out[static TG_MODBUS_PDU_MAX])
{
	size_t n = tg_modbus_data_len(q);

	assert(q->count > 0 && n <= TG_MODBUS_DATA_MAX);
	assert(!tg_modbus_is_write(q) || q->data);

	out[0] = (uint8_t) q->function;
	put16(out + 1, q->address);
	put16(out + 3, second_word(q));
	if (!is_multiple_write(q))
		return 5;
	assert(n <= 2 * TG_MODBUS_WRITE_MAX);
	out[5] = (uint8_t) n;
	memcpy(out + 6, q->data, n);
	return 6 + n;
}

size_t tg_modbus_pdu_answer_len(const struct tg_modbus_request *q)
{
	return tg_modbus_is_write(q) ? 5 : 2 + tg_modbus_data_len(q);
}

static int check_read(const struct tg_modbus_request *q, const uint8_t *pdu, size_t len,
		      const uint8_t **ret_data, struct tg_fault *reterr)
{
	size_t want = tg_modbus_data_len(q);

	if (len < 2 || pdu[1] != want)
		return tg_fault_set(reterr, -EPROTO, "wrong answer: byte count %u, not %zu",
				    len < 2 ? 0u : pdu[1], want);
	if (len != want + 2)
		return tg_fault_set(reterr, -EPROTO, "wrong answer: %zu bytes, not %zu", len,
				    want + 2);

	*ret_data = pdu + 2;
	return 0;
}

/* A device confirms a write by saying where it wrote, and how much or what. */
static int check_write(const struct tg_modbus_request *q, const uint8_t *pdu, size_t len,
		       const uint8_t **ret_data, struct tg_fault *reterr)
{
	if (len != 5)
		return tg_fault_set(reterr, -EPROTO, "wrong answer: %zu bytes, not 5", len);
	if (get16(pdu + 1) != q->address)
		return tg_fault_set(reterr, -EPROTO, "wrong answer: confirms address %u, not %u",
				    get16(pdu + 1), q->address);
	if (get16(pdu + 3) != second_word(q))
		return tg_fault_set(reterr, -EPROTO, "wrong answer: confirms %s %u, not %u",
				    is_multiple_write(q) ? "a count of" : "the value",
				    get16(pdu + 3), second_word(q));

	*ret_data = NULL;
	return 0;
}

int tg_modbus_pdu_answer(const struct tg_modbus_request *q, const uint8_t *pdu, size_t len,
			 const uint8_t **ret_data, struct tg_fault *reterr)
{
	uint8_t function = (uint8_t) q->function;

	if (len == TG_MODBUS_EXCEPTION_SIZE && pdu[0] == (function | TG_MODBUS_EXCEPTION_BIT)) {
		if (pdu[1] == 0)
			return tg_fault_set(reterr, -EPROTO, "wrong answer: exception 0");
		return pdu[1];
	}
	if (pdu[0] != function)
		return tg_fault_set(reterr, -EPROTO, "wrong answer: function %u, asked for %u",
				    pdu[0], function);
	return tg_modbus_is_write(q) ? check_write(q, pdu, len, ret_data, reterr)
				     : check_read(q, pdu, len, ret_data, reterr);
}

const char *tg_modbus_exception_text(int code)
{
	static const char *const texts[] = {
		[1] = "illegal function",          [2] = "illegal data address",
		[3] = "illegal data value",        [4] = "device failure",
		[5] = "acknowledged, not ready",   [6] = "device busy",
		[7] = "negative acknowledge",      [8] = "memory parity error",
		[10] = "gateway path unavailable", [11] = "gateway target did not answer",
	};

	if (code > 0 && (size_t) code < TG_ARRAY_SIZE(texts) && texts[code])
		return texts[code];
	return "unknown exception";
}
