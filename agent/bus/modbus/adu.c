/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/modbus/adu.h"

#include "agent/bus/modbus/value.h"

#include <assert.h>
#include <errno.h>

/* transaction (2), protocol (2), length of what follows (2), unit (1) */
#define HEADER        7
#define EXCEPTION_BIT 0x80

static uint8_t function_of(enum tg_modbus_table table)
{
	switch (table) {
	case TG_MODBUS_COIL:
		return 1;
	case TG_MODBUS_DISCRETE:
		return 2;
	case TG_MODBUS_HOLDING:
		return 3;
	case TG_MODBUS_INPUT:
		return 4;
	}
	assert(false);
	return 0;
}

size_t tg_modbus_data_len(const struct tg_modbus_request *q)
{
	return tg_modbus_is_bits(q->table) ? (q->count + 7u) / 8u : 2u * q->count;
}

static void put16(uint8_t *to, uint16_t v)
{
	to[0] = (uint8_t) (v >> 8);
	to[1] = (uint8_t) v;
}

static unsigned get16(const uint8_t *from)
{
	return (unsigned) from[0] << 8 | from[1];
}

void tg_modbus_tcp_request(const struct tg_modbus_request *q,
			   uint8_t out[static TG_MODBUS_TCP_REQUEST])
{
	assert(q->count > 0 && tg_modbus_data_len(q) <= TG_MODBUS_DATA_MAX);

	put16(out, q->transaction);
	put16(out + 2, 0);
	put16(out + 4, TG_MODBUS_TCP_REQUEST - 6);
	out[6] = q->unit;
	out[7] = function_of(q->table);
	put16(out + 8, q->address);
	put16(out + 10, q->count);
}

/* @pdu starts with the function; @len is what the frame says it holds. */
static int check_pdu(const struct tg_modbus_request *q, const uint8_t *pdu, size_t len,
		     const uint8_t **ret_data, struct tg_fault *reterr)
{
	uint8_t function = function_of(q->table);
	size_t want = tg_modbus_data_len(q);

	if (len == 2 && pdu[0] == (function | EXCEPTION_BIT)) {
		if (pdu[1] == 0)
			return tg_fault_set(reterr, -EPROTO, "wrong answer: exception 0");
		return pdu[1];
	}
	if (pdu[0] != function)
		return tg_fault_set(reterr, -EPROTO, "wrong answer: function %u, asked for %u",
				    pdu[0], function);
	if (len < 2 || pdu[1] != want)
		return tg_fault_set(reterr, -EPROTO, "wrong answer: byte count %u, not %zu",
				    len < 2 ? 0u : pdu[1], want);
	if (len != want + 2)
		return tg_fault_set(reterr, -EPROTO, "wrong answer: %zu bytes, not %zu", len,
				    want + 2);

	*ret_data = pdu + 2;
	return 0;
}

int tg_modbus_tcp_answer(const struct tg_modbus_request *q, const uint8_t *adu, size_t len,
			 const uint8_t **ret_data, struct tg_fault *reterr)
{
	const uint8_t *data = NULL;
	int r;

	if (len <= HEADER)
		return tg_fault_set(reterr, -EPROTO, "wrong answer: %zu bytes are no frame", len);
	/* The transaction first: the rest of an answer to another request is of no interest. */
	if (get16(adu) != q->transaction)
		return tg_fault_set(reterr, -EPROTO,
				    "wrong answer: to another request (transaction %u, not %u)",
				    get16(adu), q->transaction);
	if (get16(adu + 2) != 0)
		return tg_fault_set(reterr, -EPROTO, "wrong answer: protocol %u", get16(adu + 2));
	if (adu[6] != q->unit)
		return tg_fault_set(reterr, -EPROTO, "wrong answer: from unit %u, asked %u", adu[6],
				    q->unit);
	/* The header's length last: what is wrong inside says more. */
	r = check_pdu(q, adu + HEADER, len - HEADER, &data, reterr);
	if (r < 0)
		return r;
	if (get16(adu + 4) != len - 6)
		return tg_fault_set(reterr, -EPROTO, "wrong answer: header says %u bytes, got %zu",
				    get16(adu + 4), len - 6);
	if (r == 0)
		*ret_data = data;
	return r;
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
