/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/serial/crc.h"

#include <tidegate/cleanup.h>

#include <stdbool.h>

struct algorithm {
	unsigned width;
	uint32_t poly; /* as it is shifted: reversed where reflected */
	uint32_t init, xor_out;
	bool reflected; /* the least significant bit goes first, and so does the low byte on the wire */
};

static const struct algorithm algorithms[] = {
	[TG_SERIAL_CRC8_SMBUS] = { 8, 0x07, 0, 0, false },
	[TG_SERIAL_CRC8_MAXIM] = { 8, 0x8c, 0, 0, true },
	[TG_SERIAL_CRC16_MODBUS] = { 16, 0xa001, 0xffff, 0, true },
	[TG_SERIAL_CRC16_XMODEM] = { 16, 0x1021, 0, 0, false },
	[TG_SERIAL_CRC16_IBM_3740] = { 16, 0x1021, 0xffff, 0, false },
	[TG_SERIAL_CRC16_KERMIT] = { 16, 0x8408, 0, 0, true },
	[TG_SERIAL_CRC32] = { 32, 0xedb88320, 0xffffffff, 0xffffffff, true },
};

static uint32_t shift(const struct algorithm *a, uint32_t crc, uint8_t byte)
{
	uint32_t top = UINT32_C(1) << (a->width - 1);

	crc ^= a->reflected ? byte : (uint32_t) byte << (a->width - 8);
	for (int bit = 0; bit < 8; bit++) {
		bool out = crc & (a->reflected ? 1 : top);

		crc = a->reflected ? crc >> 1 : crc << 1;
		if (out)
			crc ^= a->poly;
	}
	return a->width == 32 ? crc : crc & ((top << 1) - 1);
}

uint32_t tg_serial_check(enum tg_serial_crc crc, const uint8_t *data, size_t len)
{
	const struct algorithm *a = &algorithms[crc];
	uint32_t value = crc == TG_SERIAL_SUM8 || crc == TG_SERIAL_XOR8 ? 0 : a->init;

	if (crc == TG_SERIAL_CRC_NONE)
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (crc == TG_SERIAL_SUM8)
			value = (value + data[i]) & 0xff;
		else if (crc == TG_SERIAL_XOR8)
			value ^= data[i];
		else
			value = shift(a, value, data[i]);
	}
	return crc == TG_SERIAL_SUM8 || crc == TG_SERIAL_XOR8 ? value : value ^ a->xor_out;
}

void tg_serial_check_bytes(const struct tg_serial_bus *cfg, uint32_t value, uint8_t out[static 4])
{
	unsigned size = tg_serial_crc_size(cfg->crc);
	bool little = cfg->crc_order == TG_SERIAL_LITTLE;

	if (cfg->crc_order == TG_SERIAL_USUAL && size > 1)
		little = algorithms[cfg->crc].reflected;
	for (unsigned i = 0; i < size; i++)
		out[i] = (uint8_t) (value >> 8 * (little ? i : size - 1 - i));
}
