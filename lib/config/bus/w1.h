/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a configuration says of 1-Wire sensors (Documentation/w1/slaves/w1_therm). */

struct tg_w1_read {
	unsigned unused; /* there is but `temperature` */
};

struct tg_w1_device {
	char *id; /* family and serial number as the kernel writes them: "28-0316a2794b21" */
};

struct tg_w1_bus {
	char *root; /* where sysfs is mounted */
};
