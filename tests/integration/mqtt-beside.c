/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/mqtt/client.h"
#include "base/clock.h"
#include "base/parse.h"
#include "mqtt/attempt.h"
#include "mqtt/session.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/*
 * mqtt-beside HOST PORT CA TOPIC: the client of local brokers in a program that has the link to the cloud in it, too. Waits for one
 * message ("" for no CA: no TLS), then prints how often the overrides took a call for one of Paho's, and what became of the
 * socket. Exits 1 when the message does not come within SECONDS.
 */
#define SECONDS        20
#define DESCRIPTOR_MAX 64 /* none is above that in here */

static bool heard;

static void hear(void *user, const char *topic, const char *payload, size_t len, bool retained)
{
	(void) user;
	(void) retained;
	printf("heard %s %.*s\n", topic, (int) len, payload);
	heard = true;
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) < 0 ? -1 : value;
}

static bool leads_to(int fd, uint16_t port)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	if (getpeername(fd, (struct sockaddr *) &peer, &len) < 0)
		return false;
	return (peer.ss_family == AF_INET &&
		((struct sockaddr_in *) &peer)->sin_port == htons(port)) ||
	       (peer.ss_family == AF_INET6 &&
		((struct sockaddr_in6 *) &peer)->sin6_port == htons(port));
}

static void tell_socket(uint16_t port)
{
	for (int fd = 3; fd < DESCRIPTOR_MAX; fd++) {
		if (leads_to(fd, port))
			printf("socket user-timeout=%d keep-alive=%d no-delay=%d "
			       "close-on-exec=%d\n",
			       option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT),
			       option(fd, SOL_SOCKET, SO_KEEPALIVE),
			       option(fd, IPPROTO_TCP, TCP_NODELAY),
			       (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	}
}

static void run(struct tg_mqtt_client *c)
{
	uint64_t end = tg_clock_boot_us() + SECONDS * TG_US_PER_S;
	struct tg_fault why = { 0 };

	while (!heard && tg_clock_boot_us() < end) {
		struct pollfd p = { .events = POLLIN };
		uint64_t wake;

		p.fd = tg_mqtt_client_fd(c, &wake);
		(void) poll(&p, 1, tg_us_to_poll_ms(tg_clock_boot_us(), wake < end ? wake : end));
		if (tg_mqtt_client_turn(c, &why) < 0)
			fprintf(stderr, "%s\n", why.text);
	}
}

int main(int argc, char **argv)
{
	struct tg_mqtt_bus cfg = { .keep_alive_us = 15 * TG_US_PER_S,
				   .connect_timeout_us = 5 * TG_US_PER_S,
				   .clean_session = true,
				   .max_payload = 65536 };
	char empty[] = "";
	struct tg_mqtt_subscription sub = { .qos = 0 };
	struct tg_mqtt_client *c = NULL;
	struct tg_mqtt_overrides seen;
	struct tg_fault why = { 0 };
	uint64_t port;

	if (argc != 5 || tg_parse_u64(argv[2], &port) < 0 || port > UINT16_MAX)
		return 2;
	cfg.host = argv[1];
	cfg.port = (uint16_t) port;
	cfg.ca = argv[3];
	cfg.username = cfg.password_file = cfg.client_id = cfg.certificate = cfg.key = empty;
	sub.filter = argv[4];
	/* Fails when the overrides are not in place. */
	if (tg_mqtt_global_init(&why) < 0 ||
	    tg_mqtt_client_new(&cfg, &sub, 1, hear, NULL, &c, &why) < 0) {
		fprintf(stderr, "%s\n", why.text);
		return 1;
	}
	run(c);
	tg_mqtt_overrides_count(&seen);
	printf("taken connect=%u getaddrinfo=%u getsockopt=%u ssl-ctx-new=%u ssl-write=%u\n",
	       seen.connect, seen.getaddrinfo, seen.getsockopt, seen.ssl_ctx_new, seen.ssl_write);
	tell_socket(cfg.port);
	(void) tg_mqtt_client_free(c);
	return heard ? 0 : 1;
}
