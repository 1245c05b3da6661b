/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/i2c_read.h"
#include "config/bus/spi_read.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_value(const struct tg_raw *raw, size_t len)
{
	assert((size_t) raw->at + raw->size <= len);
	assert(raw->mask >> raw->shift != 0);
	assert(raw->size == 8 || raw->mask >> (8 * raw->size) == 0);
}

/* The same text as each of the things that may be said of a chip. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	tg_autofree char *text = malloc(len + 1);
	struct tg_spi_transfer spi;
	struct tg_i2c_transfer t;
	struct tg_i2c_device dev;
	struct tg_raw_set set;
	struct tg_fault why;
	struct tg_raw raw;
	int r;

	if (!text)
		return 0;
	if (len)
		memcpy(text, data, len);
	text[len] = '\0';
	r = tg_i2c_read_parse(text, &t, &raw, &why);
	assert(r == 0 || (r == -EINVAL && why.text[0]));
	if (r == 0) {
		assert(t.n_read >= 1 && t.n_read <= TG_RAW_BYTES_MAX);
		assert(t.n_write <= TG_I2C_WRITE_MAX && (t.n_write || !t.split));
		check_value(&raw, tg_i2c_payload(&t));
	}
	r = tg_spi_read_parse(text, &spi, &raw, &why);
	assert(r == 0 || (r == -EINVAL && why.text[0]));
	if (r == 0) {
		assert(spi.n_bytes >= 1 && spi.n_bytes <= TG_SPI_WRITE_MAX);
		assert(tg_spi_answer(&spi) <= TG_RAW_BYTES_MAX);
		check_value(&raw, tg_spi_answer(&spi));
	}
	r = tg_i2c_init_parse(text, &dev, &why);
	assert(r == -EINVAL || (r == 0 && dev.n_init <= TG_I2C_INIT_MAX));
	r = tg_raw_set_parse(text, "write", &set, &why);
	assert(r == -EINVAL || (r == 0 && set.n_before <= TG_RAW_SET_MAX));
	return 0;
}
