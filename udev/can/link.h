/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "udev/can/settings.h"

#include <linux/netlink.h>

/*
 * CAN interfaces through rtnetlink: looked at, set, brought up and down.
 *
 * One socket, one request at a time, blocking up to TG_CAN_ANSWER_S each. One
 * thread. Changes need CAP_NET_ADMIN.
 */
#define TG_CAN_ANSWER_S    5
#define TG_CAN_REQUEST_MAX 512 /* bytes of a request */

struct tg_can_link {
	uint32_t index;
	bool up;
	char kind[16];                   /* "can", "vcan", ...; "": none */
	struct tg_can_settings settings; /* only of kind "can" */
	uint32_t modes;                  /* CAN_CTRLMODE_* that are on */
};

/* Returns a descriptor that the caller closes, or -errno. */
int tg_can_open(struct tg_fault *reterr) TG_CHECKED;

/* Returns 0, or -ENODEV: there is no such interface, or -errno. */
int tg_can_look(int fd, const char *name, struct tg_can_link *ret,
		struct tg_fault *reterr) TG_CHECKED;

/*
 * Gives the interface of @before, which must be down and a controller's, these settings. Returns 0 or -errno, with what the
 * kernel or its driver does not like.
 */
int tg_can_set(int fd, const struct tg_can_link *before, const struct tg_can_settings *s,
	       struct tg_fault *reterr) TG_CHECKED;

/* Returns 0, also when it was up or down already, or -errno. */
int tg_can_turn(int fd, const struct tg_can_link *link, bool up,
		struct tg_fault *reterr) TG_CHECKED;

/* --- pure, for the above and for tests --- */

struct tg_can_request {
	struct nlmsghdr head;
	char body[TG_CAN_REQUEST_MAX];
};

/* What tg_can_set() sends. Never fails: TG_CAN_REQUEST_MAX has room for all that there is. */
void tg_can_request(struct tg_can_request *q, const struct tg_can_link *before,
		    const struct tg_can_settings *s);

/*
 * Reads an RTM_NEWLINK message of @len bytes, as the kernel gives it. Returns 0, or -EBADMSG when it is cut short or none.
 */
int tg_can_link_parse(const void *message, size_t len, struct tg_can_link *ret) TG_CHECKED;
