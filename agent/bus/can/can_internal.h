/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/can/index.h"
#include "agent/bus/can/request.h"
#include "agent/bus/can/socket.h"
#include "agent/bus/can/stamp.h"
#include "agent/bus/can/state.h"
#include "agent/bus/driver.h"

#include <tidegate/log.h>

/* Twice its name; tidegate-can(8) brings it up. */
#define TG_CAN_IS_DOWN "%s is down: is its bit rate in /etc/tidegate/can/%s.conf?"

/* What the files of the driver share. One thread, the bus's. */
struct tg_bus {
	const struct tg_config_bus *cfg;
	struct tg_can_index index;
	struct tg_can_requests requests;
	int raw, groups; /* -1: not open; groups stays so where the kernel has no can-j1939 */
	int epoll;	 /* what the worker waits on */
	bool no_groups;  /* groups are taken from single frames, longer ones cannot be */
	uint64_t retry_us; /* while not attached: when to try again */
	uint64_t frames;
	uint32_t lost_raw, lost_groups; /* as told by the kernel last */
	bool no_carrier;	       /* bus-off before there was a frame to say so */
	struct tg_can_state state;
	struct tg_can_stamps stamps;
	struct tg_log_limit log_limit;
	struct tg_fault why; /* why it is down */
	struct tg_can_message message;
	char room[TG_TEXT_MAX + 1];
};

/* Tells @ear what a data frame, or a group with @is_group, says of the points. Never fails. */
void tg_can_deliver(struct tg_bus *bus, const struct tg_can_message *m, bool is_group,
		    const struct tg_bus_ear *ear);
/* Tells that points of long groups cannot be read here. Never fails. */
void tg_can_deliver_no_groups(struct tg_bus *bus, const struct tg_bus_ear *ear);

int tg_can_probe(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
		 struct tg_table *out, struct tg_fault *reterr);
