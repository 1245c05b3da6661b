/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/sysfs_read.h"
#include "config/bus/types.h"
#include "config/rows.h"

#define IIO TG_BUS_BIT(TG_BUS_IIO)

static int parse_read(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	struct tg_config_point *point = base;
	int r = tg_iio_read_parse(text, &point->iio, reterr);

	(void) key;
	if (r == 0)
		point->read = text;
	return r;
}

static const struct tg_config_type tg_type_iio_read = { "CHANNEL", parse_read };

static const struct tg_config_key keys[] = {
	BUS("root", path, iio.root, "/sys", "where sysfs is mounted", ONLY(IIO)),

	DEVICE("chip", text, iio.chip, REQUIRED, "what the chip's file 'name' says", LENGTH(64),
	       ONLY(IIO)),
	DEVICE("at", text, iio.at, "",
	       "where it is, as 1-0076; needed where several chips have the name", LENGTH(64),
	       ONLY(IIO)),

	POINT("read", iio_read, read, REQUIRED, "what is read: in_voltage0, in_temp, in_accel_x",
	      ONLY(IIO)),
};

const struct tg_config_bus_keys tg_config_iio_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = IIO,
};
