/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/can.h"

#include <tidegate/error.h>

#include <linux/can.h>
#include <linux/can/j1939.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The kernel's SocketCAN (Documentation/networking/can.rst, j1939.rst), and
 * nothing else: what it gives is taken apart elsewhere, so that everything
 * else works over any datagram socket. Functions do not block; any thread.
 */

/* A frame, or a J1939 group that the kernel put together. */
struct tg_can_message {
	uint32_t id;  /* with CAN_EFF_FLAG, CAN_RTR_FLAG, CAN_ERR_FLAG; of a group its PGN */
	uint8_t source; /* of a group: the sender's address */
	size_t len;
	uint8_t data[TG_J1939_SIZE];
	uint64_t kernel_us;     /* CLOCK_REALTIME of its arrival; 0: not told */
	uint64_t controller_us; /* of the controller's own clock; 0: it has none */
	uint32_t lost;          /* messages that did not fit into the socket's queue, since it was opened, modulo 2^32 */
	bool has_lost;
};

enum tg_can_link { TG_CAN_ABSENT, TG_CAN_DOWN, TG_CAN_NO_CARRIER, TG_CAN_UP };

/*
 * How @interface is. TG_CAN_NO_CARRIER: up, but the controller is bus-off (or has just been started). Never fails: what
 * cannot be asked is absent.
 */
enum tg_can_link tg_can_link_state(const char *interface);

/*
 * A CAN_RAW socket on @interface for data frames that match one of @n @filters (none with 0), classic and FD, and error
 * frames with @errors. Returns 0 and an owned descriptor, or -errno with a text: -ENODEV, -ENETDOWN, -EAFNOSUPPORT.
 */
int tg_can_open_raw(const char *interface, const struct can_filter *filters, size_t n, bool errors,
		    int *ret_fd, struct tg_fault *reterr) TG_CHECKED;
/* A CAN_J1939 socket that hears all that match one of @n > 0 @filters, whomever it is for, and sends nothing. The same. */
int tg_can_open_groups(const char *interface, const struct j1939_filter *filters, size_t n,
		       int *ret_fd, struct tg_fault *reterr) TG_CHECKED;

/*
 * The next frame of a raw socket, or group of a J1939 socket. Returns 1 and *@out, 0 when there is none now, or -errno
 * (-ENETDOWN: the interface went down; -ENODEV: it was removed). What is no whole frame is skipped.
 */
int tg_can_take_frame(int fd, struct tg_can_message *out) TG_CHECKED;
int tg_can_take_group(int fd, struct tg_can_message *out) TG_CHECKED;

/* Sends a data frame of @id of 29 bits without waiting. Returns 0 or -errno: -ENOBUFS, -ENETDOWN. */
int tg_can_send_frame(int fd, uint32_t id, const uint8_t *data, uint8_t len) TG_CHECKED;

/*
 * One datagram of any socket, with the times and the count of the lost in @out. Returns its length, 0 when there is none
 * (or one without content), or -errno.
 */
ssize_t tg_can_receive(int fd, void *data, size_t size, struct sockaddr_can *from,
		       struct tg_can_message *out) TG_CHECKED;
