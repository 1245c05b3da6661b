/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/sysfs_read.h"
#include "config/bus/types.h"
#include "config/rows.h"

#define HWMON TG_BUS_BIT(TG_BUS_HWMON)

static int parse_read(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	struct tg_config_point *point = base;
	int r = tg_hwmon_read_parse(text, &point->hwmon, reterr);

	(void) key;
	if (r == 0)
		point->read = text;
	return r;
}

static const struct tg_config_type tg_type_hwmon_read = { "CHANNEL[_ATTRIBUTE] [label=TEXT]",
							  parse_read };

static const struct tg_config_key keys[] = {
	BUS("root", path, hwmon.root, "/sys", "where sysfs is mounted", ONLY(HWMON)),

	DEVICE("chip", text, hwmon.chip, REQUIRED, "what the chip's file 'name' says", LENGTH(64),
	       ONLY(HWMON)),
	DEVICE("at", text, hwmon.at, "",
	       "where it is, as 1-0048; needed where several chips have the name", LENGTH(64),
	       ONLY(HWMON)),

	POINT("read", hwmon_read, read, REQUIRED,
	      "what is read: temp1, in0_max, power1_average, temp label=Core 0", ONLY(HWMON)),
};

const struct tg_config_bus_keys tg_config_hwmon_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = HWMON,
};
