/* SPDX-License-Identifier: Apache-2.0 */

/* `tidegate probe` on an SPI bus: how it is set, or what a device's points get, byte by byte. */
#include "agent/bus/spi/spi.h"

#include "agent/bus/raw_value.h"
#include "agent/bus/spi/port.h"
#include "agent/bus/table.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void probe_point(int fd, const struct tg_config_device *dev,
			const struct tg_config_point *point, struct tg_table *out)
{
	char bytes[TG_RAW_HEX_MAX], value[TG_RAW_SHOWN_MAX];
	uint8_t answer[TG_RAW_BYTES_MAX] = { 0 };
	size_t len = tg_spi_answer(&point->spi.transfer);
	struct tg_fault why = { .text = "" };

	if (tg_spi_transfer(fd, &dev->spi, &point->spi.transfer, answer, &why) < 0) {
		tg_table_row(out, (const char *const[]){ point->name, point->read, "", why.text });
		return;
	}
	tg_table_row(out, (const char *const[]){
				  point->name, point->read, tg_raw_hex(answer, len, bytes),
				  tg_raw_show(&point->spi.raw, answer, len, value) });
}

int tg_spi_probe(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
		 struct tg_table *out, struct tg_fault *reterr)
{
	uint64_t until = tg_clock_boot_us() + TG_PROBE_US / 2;
	tg_autoclose int fd = -1;

	if (!dev || *address)
		return tg_fault_set(reterr, -EINVAL,
				    "SPI has no addresses to look through; name a device of bus %s",
				    bus->cfg->name);
	fd = tg_spi_open(bus->cfg->spi.device, &dev->spi, reterr);
	if (fd < 0)
		return fd;
	tg_table_heads(out, (const char *const[]){ "point", "read", "bytes", "raw value", NULL });
	for (size_t i = 0; i < dev->n_points && tg_clock_boot_us() < until; i++)
		probe_point(fd, dev, &dev->points[i], out);
	tg_table_note(out, "a chip that is not there reads as ff or 00; values before scale and "
			   "offset");
	return 0;
}
