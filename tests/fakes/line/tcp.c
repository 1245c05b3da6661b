/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/line/tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER 7

bool line_tcp_plug(struct line_tcp *l)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(l->port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return false;
	(void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *) &sa, len) < 0 || listen(fd, LINE_CLIENTS) < 0 ||
	    getsockname(fd, (struct sockaddr *) &sa, &len) < 0) {
		(void) close(fd);
		return false;
	}
	l->port = ntohs(sa.sin_port);
	l->listener = fd;
	return true;
}

/* With @reset the peer gets an RST, else a FIN. */
static void hang_up(struct line_tcp *l, struct line_client *c, bool reset)
{
	const struct linger none = { .l_onoff = 1, .l_linger = 0 };

	if (c->fd < 0)
		return;
	if (reset)
		(void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	(void) close(c->fd);
	c->fd = -1;
	c->n_in = 0;
	line_station_hush(l->station, (int) (c - l->clients));
}

void line_tcp_drop(struct line_tcp *l)
{
	for (size_t i = 0; i < LINE_CLIENTS; i++)
		hang_up(l, &l->clients[i], false);
}

void line_tcp_unplug(struct line_tcp *l)
{
	for (size_t i = 0; i < LINE_CLIENTS; i++)
		hang_up(l, &l->clients[i], true);
	if (l->listener >= 0)
		(void) close(l->listener);
	l->listener = -1;
}

static void accept_one(struct line_tcp *l)
{
	int fd = l->listener < 0 ? -1
				 : accept4(l->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC),
	    on = 1;

	if (fd < 0)
		return;
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	for (size_t i = 0; i < LINE_CLIENTS; i++) {
		if (l->clients[i].fd >= 0)
			continue;
		l->clients[i].fd = fd;
		l->clients[i].n_in = 0;
		l->station->stats.connections++;
		return;
	}
	(void) close(fd);
}

/* @c has a whole request of @len bytes. */
static void hear_frame(struct line_tcp *l, struct line_client *c, size_t len)
{
	const uint8_t *a = c->in;
	uint64_t now = line_now_ns(), delay_us = 0;
	struct line_entry e = {
		.start_us = now / 1000, .end_us = now / 1000, .unit = a[6], .function = a[7]
	};
	struct line_exchange x = { .kind = LINE_TCP,
				   .unit = a[6],
				   .transaction = (uint16_t) (a[0] << 8 | a[1]),
				   .asked_len = len };
	struct line_tape *t;

	memcpy(x.asked, a, len);
	t = line_station_hear(l->station, &x, x.asked + HEADER, len - HEADER, e, &delay_us);
	if (!t)
		return;
	t->owner = (int) (c - l->clients);
	if (t->reply.n > 0)
		delay_us += t->reply.segments[0].pause_us;
	t->next_ns = now + delay_us * 1000;
}

static void read_client(struct line_tcp *l, struct line_client *c)
{
	ssize_t n = recv(c->fd, c->in + c->n_in, sizeof(c->in) - c->n_in, 0);
	size_t want;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		hang_up(l, c, false);
		return;
	}
	l->station->stats.heard += (uint64_t) n;
	c->n_in += (size_t) n;
	while (c->n_in > HEADER) {
		want = 6u + (size_t) (c->in[4] << 8 | c->in[5]);
		if (want > sizeof(c->in) || want <= HEADER) {
			l->station->stats.broken++;
			hang_up(l, c, true);
			return;
		}
		if (c->n_in < want)
			return;
		hear_frame(l, c, want);
		c->n_in -= want;
		memmove(c->in, c->in + want, c->n_in);
	}
}

static void end_tape(struct line_tcp *l, struct line_tape *t)
{
	struct line_client *c = &l->clients[t->owner];

	t->active = false;
	if (t->unit && t->reply.deaf_us > 0)
		t->unit->deaf_until_us = line_now_ns() / 1000 + t->reply.deaf_us;
	if (t->reply.end == LINE_END_CLOSE)
		hang_up(l, c, false);
	else if (t->reply.end == LINE_END_RESET)
		hang_up(l, c, true);
}

static void say_segment(struct line_tcp *l, struct line_tape *t)
{
	struct line_client *c = &l->clients[t->owner];
	const struct line_segment *g = &t->reply.segments[t->segment];

	if (t->segment < t->reply.n) {
		/* What the peer does not take is lost: it is a babbler that fills a socket. */
		if (send(c->fd, t->reply.bytes + g->at, g->len, MSG_NOSIGNAL) > 0)
			l->station->stats.said += g->len;
		t->segment++;
		if (t->segment < t->reply.n)
			t->next_ns += t->reply.segments[t->segment].pause_us * 1000;
	}
	if (t->segment >= t->reply.n)
		end_tape(l, t);
}

void line_tcp_send(struct line_tcp *l, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < LINE_CLIENTS; i++) {
		if (l->clients[i].fd >= 0 && send(l->clients[i].fd, bytes, n, MSG_NOSIGNAL) > 0)
			l->station->stats.said += n;
	}
}

size_t line_tcp_fds(struct line_tcp *l, struct pollfd *fds)
{
	fds[0] = (struct pollfd){ .fd = l->listener, .events = POLLIN };
	for (size_t i = 0; i < LINE_CLIENTS; i++)
		fds[i + 1] = (struct pollfd){ .fd = l->clients[i].fd, .events = POLLIN };
	return LINE_CLIENTS + 1;
}

void line_tcp_turn(struct line_tcp *l)
{
	uint64_t now;

	accept_one(l);
	for (size_t i = 0; i < LINE_CLIENTS; i++) {
		if (l->clients[i].fd >= 0)
			read_client(l, &l->clients[i]);
	}
	now = line_now_ns();
	for (size_t i = 0; i < LINE_TAPES; i++) {
		struct line_tape *t = &l->station->tapes[i];

		while (t->active && t->next_ns <= now)
			say_segment(l, t);
	}
}
