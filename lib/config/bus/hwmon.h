/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/* What a configuration says of the kernel's hardware monitoring chips (Documentation/hwmon/sysfs-interface). */

enum tg_hwmon_kind {
	TG_HWMON_IN,
	TG_HWMON_TEMP,
	TG_HWMON_CURR,
	TG_HWMON_POWER,
	TG_HWMON_ENERGY,
	TG_HWMON_HUMIDITY,
	TG_HWMON_FAN,
	TG_HWMON_PWM,
	TG_HWMON_FREQ,
	TG_HWMON_INTRUSION,
};
#define TG_HWMON_KINDS (TG_HWMON_INTRUSION + 1)

struct tg_hwmon_read {
	enum tg_hwmon_kind kind;
	unsigned index;     /* of the channel; not used with a label */
	const char *label;  /* what tempN_label says, up to the end of the text; NULL: by index */
	char attribute[24]; /* "input"; "" for pwmN itself */
};

struct tg_hwmon_device {
	char *chip; /* as its file `name` says */
	char *at; /* which of several: the name of the device it belongs to, "1-0048"; "": there is one */
};

struct tg_hwmon_bus {
	char *root; /* where sysfs is mounted */
};
