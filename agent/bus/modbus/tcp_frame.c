/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/modbus/tcp_frame.h"

#include <errno.h>

/* transaction (2), protocol (2), length of what follows (2), unit (1) */
#define HEADER 7

static void put16(uint8_t *to, size_t v)
{
	to[0] = (uint8_t) (v >> 8);
	to[1] = (uint8_t) v;
}

static unsigned get16(const uint8_t *from)
{
	return (unsigned) from[0] << 8 | from[1];
}

size_t tg_modbus_tcp_request(const struct tg_modbus_request *q,
			     uint8_t out[static TG_MODBUS_TCP_REQUEST_MAX])
{
	size_t n = tg_modbus_pdu_request(q, out + HEADER);

	put16(out, q->transaction);
	put16(out + 2, 0);
	put16(out + 4, n + 1);
	out[6] = q->unit;
	return HEADER + n;
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
	r = tg_modbus_pdu_answer(q, adu + HEADER, len - HEADER, &data, reterr);
	if (r < 0)
		return r;
	if (get16(adu + 4) != len - 6)
		return tg_fault_set(reterr, -EPROTO, "wrong answer: header says %u bytes, got %zu",
				    get16(adu + 4), len - 6);
	if (r == 0)
		*ret_data = data;
	return r;
}
