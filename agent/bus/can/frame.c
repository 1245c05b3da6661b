/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/can/socket.h"

#include "base/clock.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <string.h>
#include <sys/socket.h>

#define SKIP_MAX 16 /* datagrams that are no frames, in a row */

static uint64_t stamp_us(const struct timespec *ts)
{
	return ts->tv_sec < 0 ? 0 : (uint64_t) ts->tv_sec * TG_US_PER_S + (uint64_t) ts->tv_nsec / 1000;
}

static void take_notes(struct msghdr *msg, struct tg_can_message *out)
{
	struct scm_timestamping stamps;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t len = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SO_TIMESTAMPING && len >= sizeof(stamps)) {
			memcpy(&stamps, CMSG_DATA(c), sizeof(stamps));
			out->kernel_us = stamp_us(&stamps.ts[0]);
			out->controller_us = stamp_us(&stamps.ts[2]);
		} else if (c->cmsg_type == SO_RXQ_OVFL && len >= sizeof(out->lost)) {
			memcpy(&out->lost, CMSG_DATA(c), sizeof(out->lost));
			out->has_lost = true;
		}
	}
}

ssize_t tg_can_receive(int fd, void *data, size_t size, struct sockaddr_can *from,
		       struct tg_can_message *out)
{
	_Alignas(struct cmsghdr) char notes[512];
	struct iovec iov = { .iov_base = data, .iov_len = size };
	struct msghdr msg = {
		.msg_name = from,
		.msg_namelen = sizeof(*from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = notes,
		.msg_controllen = sizeof(notes),
	};
	ssize_t n;

	do {
		n = recvmsg(fd, &msg, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	out->kernel_us = out->controller_us = 0;
	out->has_lost = false;
	take_notes(&msg, out);
	return n;
}

/* The layouts of both kinds of frame agree in what is used here. */
_Static_assert(offsetof(struct can_frame, data) == offsetof(struct canfd_frame, data), "linux/can.h");

int tg_can_take_frame(int fd, struct tg_can_message *out)
{
	struct canfd_frame frame;
	struct sockaddr_can from;

	for (int i = 0; i < SKIP_MAX; i++) {
		ssize_t n = tg_can_receive(fd, &frame, sizeof(frame), &from, out);

		if (n <= 0)
			return (int) n;
		if ((n != CAN_MTU && n != CANFD_MTU) ||
		    frame.len > (n == CAN_MTU ? CAN_MAX_DLEN : CANFD_MAX_DLEN))
			continue;
		out->id = frame.can_id;
		out->source = 0;
		out->len = frame.len;
		memcpy(out->data, frame.data, frame.len);
		return 1;
	}
	return 0;
}

int tg_can_send_frame(int fd, uint32_t id, const uint8_t *data, uint8_t len)
{
	struct can_frame frame = { .can_id = id | CAN_EFF_FLAG, .can_dlc = len };

	memcpy(frame.data, data, len);
	return send(fd, &frame, sizeof(frame), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
