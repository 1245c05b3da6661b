/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/i2c/check.h"

#include <errno.h>

/* Sensirion, SHT3x data sheet 4.12; Aosong, AHT20 data sheet 5.4.4. */
#define SENSIRION       0x31
#define SENSIRION_START 0xff
#define PEC             0x07 /* SMBus 3.2, 6.4.1.1 */

uint8_t tg_crc8(uint8_t polynomial, uint8_t crc, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (uint8_t) (crc & 0x80 ? crc << 1 ^ polynomial : crc << 1);
	}
	return crc;
}

uint8_t tg_i2c_word_crc(const uint8_t word[static 2])
{
	return tg_crc8(SENSIRION, SENSIRION_START, word, 2);
}

uint8_t tg_i2c_write_pec(unsigned address, const uint8_t *bytes, size_t n)
{
	const uint8_t to = (uint8_t) (address << 1);

	return tg_crc8(PEC, tg_crc8(PEC, 0, &to, 1), bytes, n);
}

/* Two bytes and their CRC, again and again. */
static int strip_words(const struct tg_i2c_transfer *t, uint8_t *answer)
{
	size_t out = 0;

	for (size_t i = 0; i + 2 < t->n_read; i += 3) {
		if (tg_i2c_word_crc(answer + i) != answer[i + 2])
			return -EBADMSG;
		answer[out++] = answer[i];
		answer[out++] = answer[i + 1];
	}
	return 0;
}

/* The whole message counts, from the first address on; where there is a pause it is the second message alone. */
static uint8_t pec_of(const struct tg_i2c_transfer *t, unsigned address, const uint8_t *answer)
{
	const uint8_t to = (uint8_t) (address << 1), from = (uint8_t) (address << 1 | 1);
	uint8_t crc = 0;

	if (t->n_write && !t->split) {
		crc = tg_crc8(PEC, crc, &to, 1);
		crc = tg_crc8(PEC, crc, t->write, t->n_write);
	}
	crc = tg_crc8(PEC, crc, &from, 1);
	return tg_crc8(PEC, crc, answer, t->n_read - 1u);
}

int tg_i2c_strip(const struct tg_i2c_transfer *t, unsigned address, uint8_t *answer)
{
	uint8_t want = 0;

	switch (t->check) {
	case TG_I2C_PLAIN:
		return 0;
	case TG_I2C_CRC8:
		return strip_words(t, answer);
	case TG_I2C_CRC8_LAST:
		want = tg_crc8(SENSIRION, SENSIRION_START, answer, t->n_read - 1u);
		break;
	case TG_I2C_PEC:
		want = pec_of(t, address, answer);
		break;
	}
	return want == answer[t->n_read - 1u] ? 0 : -EBADMSG;
}
