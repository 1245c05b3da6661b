/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/error.h>

#include <stdint.h>

/*
 * A TCP connection to a device, by host name or address.
 *
 * Made here and not by libmodbus, which says "connection refused" of a name
 * that does not exist, waits the whole time-out for each address of a name,
 * and hands any descriptor to select(), where one above 1023 writes beyond the set.
 *
 * Blocks. The resolver keeps its own time (/etc/resolv.conf: by default 10 s for each server that
 * is silent), which nothing here can shorten.
 */

/*
 * Connects within @timeout_us (shared among the addresses of the name, so that one that leads
 * nowhere leaves time for the next). Returns 0 and an owned non-blocking descriptor below
 * FD_SETSIZE with TCP_NODELAY and keep-alive set, or -errno: -ENOENT when the name is not known,
 * -ETIMEDOUT, -ECONNREFUSED and so on, each with a text that names host and port.
 */
int tg_tcp_connect(const char *host, uint16_t port, uint64_t timeout_us, int *ret_fd,
		   struct tg_fault *reterr) TG_CHECKED;
/* How long that may take: @timeout_us, and 30 s for the resolver when @host is a name. Never fails.
 */
uint64_t tg_tcp_patience_us(const char *host, uint64_t timeout_us);
