/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/can/socket.h"

#include <errno.h>
#include <linux/can/error.h>
#include <linux/can/raw.h>
#include <linux/net_tstamp.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define QUEUE_BYTES (1024 * 1024) /* the kernel gives what net.core.rmem_max allows */

enum tg_can_link tg_can_link_state(const char *interface)
{
	struct ifreq rq = { 0 };
	tg_autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t len = strlen(interface);

	if (fd < 0 || len >= sizeof(rq.ifr_name))
		return TG_CAN_ABSENT;
	memcpy(rq.ifr_name, interface, len);
	if (ioctl(fd, SIOCGIFFLAGS, &rq) < 0)
		return TG_CAN_ABSENT;
	if (!(rq.ifr_flags & IFF_UP))
		return TG_CAN_DOWN;
	return rq.ifr_flags & IFF_RUNNING ? TG_CAN_UP : TG_CAN_NO_CARRIER;
}

static int open_socket(int type, int protocol, const char *what, int *ret_fd, struct tg_fault *reterr)
{
	int fd = socket(AF_CAN, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	if (fd < 0 && (errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT))
		return tg_fault_set(reterr, -EAFNOSUPPORT,
				    "this kernel has no %s; is the module there?", what);
	if (fd < 0)
		return tg_fault_set(reterr, -errno, "%s: %s", what, strerror(errno));
	*ret_fd = fd;
	return 0;
}

/* Time stamps, the count of what was lost, and a long queue. None of them is worth failing for. */
static void ask_for_more(int fd)
{
	const int stamps = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE |
			   SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE;
	const int on = 1, queue = QUEUE_BYTES;

	(void) setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof(stamps));
	(void) setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
	(void) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &queue, sizeof(queue));
}

static int bind_socket(int fd, struct sockaddr_can *to, const char *interface,
		       struct tg_fault *reterr)
{
	to->can_family = AF_CAN;
	to->can_ifindex = (int) if_nametoindex(interface);
	if (to->can_ifindex == 0)
		return tg_fault_set(reterr, -ENODEV, "there is no interface %s", interface);
	if (bind(fd, (const struct sockaddr *) to, sizeof(*to)) < 0)
		return tg_fault_set(reterr, -errno, "%s: %s", interface,
				    errno == ENODEV ? "not a CAN interface" : strerror(errno));
	return 0;
}

int tg_can_open_raw(const char *interface, const struct can_filter *filters, size_t n, bool errors,
		    int *ret_fd, struct tg_fault *reterr)
{
	/* Lost arbitration is how CAN works. */
	const can_err_mask_t classes = errors ? CAN_ERR_MASK & ~(canid_t) CAN_ERR_LOSTARB : 0;
	const int on = 1;
	struct sockaddr_can to = { 0 };
	tg_autoclose int fd = -1;
	int r;

	r = open_socket(SOCK_RAW, CAN_RAW, "SocketCAN (can-raw)", &fd, reterr);
	if (r < 0)
		return r;
	/* Before bind(), or frames that nobody asked for would be in the queue already. */
	if (setsockopt(fd, SOL_CAN_RAW, CAN_RAW_FILTER, filters, (socklen_t) (n * sizeof(*filters))) < 0 ||
	    setsockopt(fd, SOL_CAN_RAW, CAN_RAW_ERR_FILTER, &classes, sizeof(classes)) < 0)
		return tg_fault_set(reterr, -errno, "%s: filters: %s", interface, strerror(errno));
	(void) setsockopt(fd, SOL_CAN_RAW, CAN_RAW_FD_FRAMES, &on, sizeof(on));
	ask_for_more(fd);
	r = bind_socket(fd, &to, interface, reterr);
	if (r < 0)
		return r;

	*ret_fd = tg_take_fd(fd);
	return 0;
}

int tg_can_open_groups(const char *interface, const struct j1939_filter *filters, size_t n,
		       int *ret_fd, struct tg_fault *reterr)
{
	struct sockaddr_can to = { .can_addr.j1939 = { .name = J1939_NO_NAME,
						       .addr = J1939_NO_ADDR,
						       .pgn = J1939_NO_PGN } };
	const int on = 1;
	tg_autoclose int fd = -1;
	int r;

	r = open_socket(SOCK_DGRAM, CAN_J1939, "can-j1939", &fd, reterr);
	if (r < 0)
		return r;
	if (setsockopt(fd, SOL_CAN_J1939, SO_J1939_FILTER, filters,
		       (socklen_t) (n * sizeof(*filters))) < 0 ||
	    setsockopt(fd, SOL_CAN_J1939, SO_J1939_PROMISC, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) < 0)
		return tg_fault_set(reterr, -errno, "%s: can-j1939: %s", interface, strerror(errno));
	ask_for_more(fd);
	r = bind_socket(fd, &to, interface, reterr);
	if (r < 0)
		return r;

	*ret_fd = tg_take_fd(fd);
	return 0;
}

int tg_can_take_group(int fd, struct tg_can_message *out)
{
	struct sockaddr_can from = { 0 };
	ssize_t n = tg_can_receive(fd, out->data, sizeof(out->data), &from, out);

	if (n <= 0)
		return (int) n;
	out->id = from.can_addr.j1939.pgn;
	out->source = from.can_addr.j1939.addr;
	out->len = (size_t) n;
	return 1;
}
