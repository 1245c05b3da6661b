/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of a local broker, topics and members. */

struct tg_mqtt_read {
	unsigned unused;
};

struct tg_mqtt_device {
	char *topic;
};

struct tg_mqtt_bus {
	char *host;
};
