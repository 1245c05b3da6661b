/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/fakes/line/station.h"

#include <poll.h>

/*
 * The same units behind a Modbus TCP server on 127.0.0.1. It answers in the order and at the time that the replies say; each segment
 * of a reply is one send() with TCP_NODELAY.
 */
#define LINE_CLIENTS 8

struct line_client {
	int fd; /* -1: free */
	uint8_t in[LINE_ADU_MAX];
	size_t n_in;
};

struct line_tcp {
	struct line_station *station;
	uint16_t port;
	int listener; /* -1: nobody listens */
	struct line_client clients[LINE_CLIENTS];
};

/* Listens on l->port, or a free one when that is 0. Returns false with errno. */
bool line_tcp_plug(struct line_tcp *l);
/* Nobody listens any more, and all connections are reset. */
void line_tcp_unplug(struct line_tcp *l);
/* Closes all connections in order. */
void line_tcp_drop(struct line_tcp *l);
size_t line_tcp_fds(struct line_tcp *l, struct pollfd *fds);
void line_tcp_turn(struct line_tcp *l);
/* To all connections, unasked. */
void line_tcp_send(struct line_tcp *l, const uint8_t *bytes, size_t n);
