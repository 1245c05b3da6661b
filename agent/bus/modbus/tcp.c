/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Modbus over TCP: libmodbus behind struct tg_modbus_transport.
 *
 * One connection for all units behind one server, one request at a time. The
 * rule that keeps answers and requests together is that doubt costs the
 * connection: after a time-out or an answer that is not right in every
 * field it is closed, so what arrives late arrives nowhere. That a server closes an
 * idle connection is normal, and answered by one silent reconnect.
 *
 * libmodbus waits for the answer and collects it; the request, the connection
 * and the verdict are ours (tcp_frame.h and ../tcp.h say why). Its byte time-out is off, so
 * that the response time-out covers the whole answer: with it, a device that dribbles could take
 * two minutes for one.
 */
#include "agent/bus/modbus/tcp_frame.h"
#include "agent/bus/modbus/transport.h"
#include "agent/bus/tcp.h"
#include "base/clock.h"

#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define TIMEOUT_MAX_S 3600
#define STRAY_MAX     4096 /* bytes nobody asked for; more is babble and costs the connection */

_Static_assert(MODBUS_TCP_MAX_ADU_LENGTH <= TG_MODBUS_WIRE_MAX, "libmodbus writes that much");

struct tg_modbus_link {
	const struct tg_modbus_tcp_bus *cfg;
	modbus_t *ctx; /* its socket is -1 while not connected */
	uint16_t transaction;
	bool used; /* this connection has carried an answer */
	uint64_t last_us;
};

/* --- the connection --- */

static bool is_connected(const struct tg_modbus_link *link)
{
	return modbus_get_socket(link->ctx) >= 0;
}

static void disconnect(struct tg_modbus_link *link)
{
	if (is_connected(link))
		modbus_close(link->ctx);
	/* 3.1.6 forgets a socket that it closed; newer ones are told all the same. */
	(void) modbus_set_socket(link->ctx, -1);
}

static int connect_bus(struct tg_modbus_link *link, struct tg_fault *reterr)
{
	int fd, r;

	r = tg_tcp_connect(link->cfg->host, link->cfg->port, link->cfg->connect_timeout_us, &fd,
			   reterr);
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "not connected");
		if (reterr)
			reterr->code = -ENOTCONN;
		return -ENOTCONN;
	}
	(void) modbus_set_socket(link->ctx, fd);
	link->used = false;
	if (link->cfg->connect_delay_us > 0)
		tg_clock_sleep_until(tg_clock_boot_us() + link->cfg->connect_delay_us);
	return 0;
}

/* Drops what came unasked. Returns false when the connection is of no more use: closed by the
 * server, or a babbler. */
static bool is_quiet(struct tg_modbus_link *link)
{
	char stray[STRAY_MAX];
	ssize_t n = recv(modbus_get_socket(link->ctx), stray, sizeof(stray), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	return n > 0 && (size_t) n < sizeof(stray);
}

static int make_ready(struct tg_modbus_link *link, struct tg_fault *reterr)
{
	if (is_connected(link) && !is_quiet(link))
		disconnect(link);
	if (!is_connected(link))
		return connect_bus(link, reterr);
	return 0;
}

/* --- one request --- */

/* The one place where libmodbus' error numbers become ours. */
static int errno_from_modbus(struct tg_fault *reterr)
{
	switch (errno) {
	case ETIMEDOUT:
		return tg_fault_set(reterr, -ETIMEDOUT, "timeout");
	case EPIPE:
	case ECONNRESET:
		return tg_fault_set(reterr, -ECONNRESET, "connection closed by the server");
	case EMBBADDATA:
	case EMBMDATA:
		return tg_fault_set(reterr, -EPROTO, "wrong answer: too long");
	default:
		return tg_fault_set(reterr, -EIO, "%s", modbus_strerror(errno));
	}
}

static int send_request(struct tg_modbus_link *link, const struct tg_modbus_request *q,
			struct tg_fault *reterr)
{
	uint8_t out[TG_MODBUS_TCP_REQUEST_MAX];
	size_t len = tg_modbus_tcp_request(q, out);
	ssize_t n = send(modbus_get_socket(link->ctx), out, len, MSG_NOSIGNAL);

	if (n < 0)
		return errno_from_modbus(reterr);
	/* So few bytes do not fit into the socket's buffer: the server has not read for a long time. */
	if ((size_t) n != len)
		return tg_fault_set(reterr, -ECONNRESET, "the server does not read");
	return 0;
}

static int receive_answer(struct tg_modbus_link *link, uint64_t timeout_us,
			  struct tg_modbus_answer *out, size_t *ret_len, struct tg_fault *reterr)
{
	uint64_t s = timeout_us / TG_US_PER_S, us = timeout_us % TG_US_PER_S;
	int n;

	if (s == 0 && us == 0)
		us = 1;
	if (modbus_set_response_timeout(link->ctx, s > TIMEOUT_MAX_S ? TIMEOUT_MAX_S : (uint32_t) s,
					(uint32_t) us) < 0)
		return errno_from_modbus(reterr);
	n = modbus_receive_confirmation(link->ctx, out->wire);
	if (n < 0)
		return errno_from_modbus(reterr);

	*ret_len = (size_t) n;
	return 0;
}

/* One request and its answer. Returns 0 and the data, an exception's code, or -errno with
 * the connection closed. */
static int exchange(struct tg_modbus_link *link, const struct tg_modbus_request *q,
		    uint64_t timeout_us, struct tg_modbus_answer *out, struct tg_fault *reterr)
{
	size_t len = 0;
	int r;

	if (link->cfg->gap_us > 0)
		tg_clock_sleep_until(tg_us_add(link->last_us, link->cfg->gap_us));
	r = send_request(link, q, reterr);
	if (r == 0)
		r = receive_answer(link, timeout_us, out, &len, reterr);
	out->boot_us = tg_clock_boot_us();
	if (r == 0)
		r = tg_modbus_tcp_answer(q, out->wire, len, &out->data, reterr);
	link->last_us = tg_clock_boot_us();

	if (r < 0)
		disconnect(link);
	else
		link->used = true;
	return r;
}

static int tcp_transact(struct tg_modbus_link *link, const struct tg_modbus_request *asked,
			uint64_t timeout_us, struct tg_modbus_answer *out, struct tg_fault *reterr)
{
	struct tg_modbus_request q = *asked;

	/* Twice at most: a server may have closed the connection since the last request, without
	 * anything being wrong. Not so of writes: it may have closed it upon this one. */
	for (;;) {
		bool used;
		int r;

		r = make_ready(link, reterr);
		if (r < 0)
			return r;
		used = link->used;
		q.transaction = ++link->transaction;
		r = exchange(link, &q, timeout_us, out, reterr);
		if (r != -ECONNRESET || !used || tg_modbus_is_write(&q))
			return r;
	}
}

/* --- birth and death --- */

static uint64_t tcp_setup_us(const struct tg_modbus_link *link)
{
	return tg_tcp_patience_us(link->cfg->host, link->cfg->connect_timeout_us) +
	       link->cfg->connect_delay_us;
}

static uint64_t tcp_request_us(const struct tg_modbus_link *link, uint64_t timeout_us)
{
	return timeout_us + link->cfg->gap_us;
}

/* A server that takes connections says enough by that. */
static const char *tcp_hint(struct tg_modbus_link *link)
{
	(void) link;
	return "";
}

static void tcp_describe(struct tg_modbus_link *link, char *out, size_t size)
{
	(void) snprintf(out, size, "%s", is_connected(link) ? "connected" : "not connected");
}

static void tcp_close(struct tg_modbus_link *link)
{
	if (!link)
		return;
	if (link->ctx) {
		disconnect(link);
		modbus_free(link->ctx);
	}
	free(link);
}

static int tcp_open(const struct tg_config_bus *bus, struct tg_modbus_link **ret,
		    struct tg_fault *reterr)
{
	struct tg_modbus_link *link = calloc(1, sizeof(*link));

	if (!link)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	link->cfg = &bus->modbus_tcp;
	/* Host and port are not used: the context is given connections that are made already. */
	link->ctx = modbus_new_tcp_pi("localhost", "502");
	if (!link->ctx || modbus_set_byte_timeout(link->ctx, 0, 0) < 0) {
		tcp_close(link);
		return tg_fault_set(reterr, -ENOMEM, "libmodbus: %s", modbus_strerror(errno));
	}

	*ret = link;
	return 0;
}

const struct tg_modbus_transport tg_modbus_tcp = {
	.open = tcp_open,
	.transact = tcp_transact,
	.setup_us = tcp_setup_us,
	.request_us = tcp_request_us,
	.hint = tcp_hint,
	.describe = tcp_describe,
	.close = tcp_close,
};
