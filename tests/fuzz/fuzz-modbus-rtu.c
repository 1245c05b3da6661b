/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A serial line that says arbitrary bytes, in lumps: the input is a request, then what came. Every other byte of the script
 * may be one of the right answer, so that whole frames come about, checksum and all. What is found lies inside what came, is
 * of the unit that was asked, and has a sound checksum; and once it is found, more bytes do not change it.
 */
#include "agent/bus/modbus/rtu_frame.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct tg_modbus_request make_request(const uint8_t *data)
{
	static const enum tg_modbus_function functions[] = {
		TG_MODBUS_READ_COILS,  TG_MODBUS_READ_DISCRETE,   TG_MODBUS_READ_HOLDING,
		TG_MODBUS_READ_INPUT,  TG_MODBUS_WRITE_COIL,      TG_MODBUS_WRITE_REGISTER,
		TG_MODBUS_WRITE_COILS, TG_MODBUS_WRITE_REGISTERS,
	};
	static const uint8_t values[TG_MODBUS_DATA_MAX] = { 1, 2, 3, 4 };
	struct tg_modbus_request q = {
		.unit = data[0],
		.function = functions[data[1] % TG_ARRAY_SIZE(functions)],
		.address = data[2],
		.count = (uint16_t) (1 + data[3] % TG_MODBUS_WRITE_MAX),
	};

	if (q.function == TG_MODBUS_WRITE_COIL || q.function == TG_MODBUS_WRITE_REGISTER)
		q.count = 1;
	if (tg_modbus_is_write(&q))
		q.data = values;
	return q;
}

/* A right frame of the unit, with the PDU's data out of the script. */
static size_t make_answer(const struct tg_modbus_request *q, uint8_t how, uint8_t *out)
{
	size_t n = tg_modbus_rtu_answer_len(q);
	unsigned crc;

	memset(out, how, n);
	out[0] = q->unit;
	out[1] = (uint8_t) (q->function | (how & 1 ? TG_MODBUS_EXCEPTION_BIT : 0));
	if (how & 1)
		n = 5;
	else
		out[2] = (uint8_t) tg_modbus_data_len(q);
	crc = tg_modbus_crc(out, n - 2);
	out[n - 2] = (uint8_t) crc;
	out[n - 1] = (uint8_t) (crc >> 8);
	return n;
}

static void check_found(const struct tg_modbus_request *q, const uint8_t *buf, size_t have,
			size_t at, size_t n)
{
	const uint8_t *pdu = NULL;
	unsigned crc;
	int r;

	assert(n >= 5 && at < have && n <= have - at);
	crc = tg_modbus_crc(buf + at, n - 2);
	assert(buf[at] == q->unit && buf[at + n - 2] == (crc & 0xff) &&
	       buf[at + n - 1] == crc >> 8);
	r = tg_modbus_pdu_answer(q, buf + at + 1, n - 3, &pdu, NULL);
	assert(r >= -EPROTO && r <= 255);
	assert(r != 0 || tg_modbus_is_write(q) ||
	       (pdu > buf + at && pdu + tg_modbus_data_len(q) + 2 == buf + at + n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t buf[2 * TG_MODBUS_RTU_MAX];
	struct tg_modbus_request q;
	size_t have = 0, at = 0, n = 0;
	bool found = false;

	if (len < 4)
		return 0;
	q = make_request(data);
	data += 4;
	len -= 4;
	while (len >= 2 && !found) {
		uint8_t frame[TG_MODBUS_RTU_MAX + 1];
		size_t add = data[0] == 0xaa ? make_answer(&q, data[1], frame) : 1;

		if (data[0] != 0xaa)
			frame[0] = data[1];
		if (add > sizeof(buf) - have)
			break;
		memcpy(buf + have, frame, add);
		have += add;
		data += 2;
		len -= 2;
		found = tg_modbus_rtu_find(&q, buf, have, false, &at, &n) == TG_RTU_FOUND;
		assert(found || tg_modbus_rtu_find(&q, buf, have, false, &at, &n) == TG_RTU_MORE);
	}
	if (!found && have > 0)
		found = tg_modbus_rtu_find(&q, buf, have, true, &at, &n) == TG_RTU_FOUND;
	if (found) {
		check_found(&q, buf, have, at, n);
	} else if (have > 0) {
		struct tg_fault fault = { 0 };
		int r = tg_modbus_rtu_judge(&q, buf, have, &fault);

		assert((r == -EAGAIN || r == -EPROTO || r == -EBADMSG) && fault.text[0]);
	}
	return 0;
}
