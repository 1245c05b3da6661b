/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/tcp.h"

#include "base/clock.h"

#include <tidegate/cleanup.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>

/* Three servers of resolv.conf that are silent, at the resolver's defaults. */
#define RESOLVER_US (30 * TG_US_PER_S)

TG_DEFINE_CLEANUP(struct addrinfo *, freeaddrinfo)

uint64_t tg_tcp_patience_us(const char *host, uint64_t timeout_us)
{
	struct in6_addr any;
	bool numeric = inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;

	return tg_us_add(timeout_us, numeric ? 0 : RESOLVER_US);
}

static int resolve(const char *host, uint16_t port, struct addrinfo **ret, struct tg_fault *reterr)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
					.ai_socktype = SOCK_STREAM,
					.ai_flags = AI_NUMERICSERV };
	char service[8];
	int r;

	(void) snprintf(service, sizeof(service), "%u", port);
	r = getaddrinfo(host, service, &hints, ret);
	if (r != 0)
		return tg_fault_set(reterr, r == EAI_MEMORY ? -ENOMEM : -ENOENT, "%s: %s", host,
				    r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
	return 0;
}

/* Waits until the connection is made or has failed. Returns 0 or -errno. */
static int wait_connected(int fd, uint64_t deadline_us)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int r, error = 0;

	do
		r = poll(&p, 1, tg_us_to_poll_ms(tg_clock_boot_us(), deadline_us));
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (r == 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

/* Small requests must not wait for each other's acknowledgement, and a peer that lost power must be
 * noticed. */
static int set_options(int fd)
{
	const int on = 1, idle = 30, interval = 10, probes = 3;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes)) < 0)
		return -errno;
	return 0;
}

static int connect_one(const struct addrinfo *ai, uint64_t deadline_us, int *ret_fd)
{
	tg_autoclose int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
				     ai->ai_protocol);
	int r;

	if (fd < 0)
		return -errno;
	if (fd >= FD_SETSIZE)
		return -EMFILE;
	r = set_options(fd);
	if (r < 0)
		return r;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
		r = errno == EINPROGRESS ? wait_connected(fd, deadline_us) : -errno;
		if (r < 0)
			return r;
	}

	*ret_fd = tg_take_fd(fd);
	return 0;
}

int tg_tcp_connect(const char *host, uint16_t port, uint64_t timeout_us, int *ret_fd,
		   struct tg_fault *reterr)
{
	tg_cleanup(freeaddrinfop) struct addrinfo *list = NULL;
	uint64_t deadline_us;
	unsigned left = 0;
	int r;

	r = resolve(host, port, &list, reterr);
	if (r < 0)
		return r;
	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next)
		left++;

	r = -EADDRNOTAVAIL;
	deadline_us = tg_us_add(tg_clock_boot_us(), timeout_us);
	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next, left--) {
		uint64_t now = tg_clock_boot_us();
		uint64_t share = now < deadline_us ? (deadline_us - now) / left : 0;

		r = connect_one(ai, tg_us_add(now, share), ret_fd);
		if (r == 0)
			return 0;
	}
	return tg_fault_set(reterr, r, "%s port %u: %s", host, port, strerror(-r));
}
