/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Modbus TCP server with moving values, for the demo and the integration tests.
 *
 * It frames by hand, so that it can misbehave in every way a device does, and so that it shares no
 *bug with libmodbus. It answers every unit, reads only (functions 1 to 4), on 127.0.0.1 or --bind.
 *
 *	modbus-server [--bind ADDRESS] [--port N] [--still] [--until-eof]
 *
 * Prints "port N" when it listens; --port 0, the default, takes a free one. --still stops the clock
 *of the values (the counter still counts). --until-eof ends the server when standard input ends.
 *
 * Registers, the same as holding and input registers; the orders are how bytes follow each other on
 *the wire: 0-1	uint32	read requests answered so far 2	uint16	the low word of the same 3
 *int16	-1000 .. 1000, saw tooth, one step in 10 ms 4-5, 6-7, 8-9, 10-11	float32	20 + 20 *
 *sin(t / 10 s), orders ABCD CDAB BADC DCBA 12-15	int64	-9007199254740993 (-2^53 - 1) 16-19
 *uint64	18446744073709551615 20-23, 24-27, 28-31, 32-35	float64	the sine, orders ABCD CDAB
 *BADC DCBA 36-37	float32	not a number;	38-39 float32 infinite
 *	40	16 bits; bit b is bit b of the seconds
 *	41	uint16	0x1234
 *	42	int16	215 + 20 * sin: a temperature in tenths
 *	43-49	uint16	the address
 *	50-59	hole: exception 2
 *	60-999	uint16	the address
 *	1000-1999	float32	100 + 50 * sin(t / 10 s + address), ABCD, at even addresses
 *	2000-	hole
 * Coils and discrete inputs: bit n is bit 0 of (seconds + n); 50-59 and from 2000 on holes.
 *
 * Commands on standard input, one a line; each is answered by "ok" or "error":
 *	fault none|silence|close|garbage|unit|function|transaction|protocol|twice|half|flood
 *	fault exception CODE
 *	fault late MS		the answer comes MS too late, and is then followed by nothing
 *	fault dribble MS	byte by byte, MS between
 *	fault bytes N		the byte count says N
 *	fault length N		the MBAP length says N
 *	only UNIT		faults are for this unit alone; "only all"
 *	times N			after N faults, none again; 0: for ever
 *	hole FIRST LAST		one more hole, in all tables; "hole none" takes it out
 *	mute FIRST LAST		no answer to a read that touches these addresses; "mute none" ends
 *it limit N			more registers in a read than this: exception 3; 0: none drop
 *close all connections now
 *	stats			"requests N connections N exceptions N" in place of "ok"
 *	quit
 */
#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS    32
#define ANSWER_MAX 600

enum fault {
	FAULT_NONE,
	FAULT_SILENCE,
	FAULT_CLOSE,
	FAULT_GARBAGE,
	FAULT_UNIT,
	FAULT_FUNCTION,
	FAULT_TRANSACTION,
	FAULT_PROTOCOL,
	FAULT_TWICE,
	FAULT_HALF,
	FAULT_FLOOD,
	FAULT_EXCEPTION,
	FAULT_LATE,
	FAULT_DRIBBLE,
	FAULT_BYTES,
	FAULT_LENGTH,
};

static const char *const fault_names[] = {
	"none",  "silence", "close", "garbage",   "unit", "function", "transaction", "protocol",
	"twice", "half",    "flood", "exception", "late", "dribble",  "bytes",       "length",
};

static struct {
	pthread_mutex_t lock; /* over everything here */
	enum fault fault;
	unsigned argument, only, times;
	bool only_one;
	unsigned hole_first, hole_last, mute_first, mute_last, limit;
	bool has_hole, has_mute, still;
	struct timespec start;
	uint32_t requests, connections, exceptions;
	int clients[CLIENTS]; /* 0: free */
} server = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- values --- */

static double seconds(void)
{
	struct timespec now;

	if (server.still)
		return 0;
	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) (now.tv_sec - server.start.tv_sec) +
	       (double) (now.tv_nsec - server.start.tv_nsec) / 1e9;
}

static uint64_t bits_of_float(double v)
{
	float f = (float) v;
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

static uint64_t bits_of_double(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	return bits;
}

/* Register @i of a value of @n registers in order @order (0 ABCD, 1 CDAB, 2 BADC, 3 DCBA). */
static uint16_t word(uint64_t bits, unsigned n, unsigned i, unsigned order)
{
	unsigned from_top = order == 1 || order == 3 ? n - 1 - i : i;
	uint16_t w = (uint16_t) (bits >> (16 * (n - 1 - from_top)));

	return order >= 2 ? (uint16_t) (w << 8 | w >> 8) : w;
}

static uint16_t small_register(unsigned a, double t)
{
	double sine = 20 + 20 * sin(t / 10);

	if (a < 2)
		return word(server.requests, 2, a, 0);
	if (a == 2)
		return (uint16_t) server.requests;
	if (a == 3)
		return (uint16_t) ((int) fmod(t * 100, 2001) - 1000);
	if (a < 12)
		return word(bits_of_float(sine), 2, a % 2, (a - 4) / 2);
	if (a < 16)
		return word((uint64_t) INT64_C(-9007199254740993), 4, a - 12, 0);
	if (a < 20)
		return UINT16_MAX;
	if (a < 36)
		return word(bits_of_double(sine), 4, a % 4, (a - 20) / 4);
	if (a < 38)
		return word(0x7fc00000, 2, a % 2, 0);
	if (a < 40)
		return word(0x7f800000, 2, a % 2, 0);
	if (a == 40)
		return (uint16_t) t;
	if (a == 41)
		return 0x1234;
	if (a == 42)
		return (uint16_t) (int) (195 + sine);
	return (uint16_t) a;
}

static uint16_t register_at(unsigned a, double t)
{
	if (a < 1000)
		return small_register(a, t);
	return word(bits_of_float(100 + 50 * sin(t / 10 + (a & ~1u))), 2, a % 2, 0);
}

static bool in_hole(unsigned a)
{
	return (a >= 50 && a < 60) || a >= 2000 ||
	       (server.has_hole && a >= server.hole_first && a <= server.hole_last);
}

/* --- answers --- */

static unsigned get16(const uint8_t *p)
{
	return (unsigned) p[0] << 8 | p[1];
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t) (v >> 8);
	p[1] = (uint8_t) v;
}

/* The exception that an honest server would answer with, or 0. @pdu is function, address, count. */
static uint8_t refuse(const uint8_t *pdu)
{
	unsigned address = get16(pdu + 1), count = get16(pdu + 3);
	unsigned most = pdu[0] <= 2 ? 2000 : 125;

	if (pdu[0] < 1 || pdu[0] > 4)
		return 1;
	if (count == 0 || count > most || (server.limit > 0 && count > server.limit))
		return 3;
	for (unsigned i = 0; i < count; i++) {
		if (in_hole(address + i))
			return 2;
	}
	return 0;
}

static size_t exception(uint8_t *answer, uint8_t code)
{
	server.exceptions++;
	answer[7] |= 0x80;
	answer[8] = code;
	return 9;
}

/* Makes the honest answer to the 12 bytes of @request. Returns its length. */
static size_t answer_to(const uint8_t *request, uint8_t *answer)
{
	unsigned address = get16(request + 8), count = get16(request + 10);
	uint8_t refused = refuse(request + 7);
	double t = seconds();

	memcpy(answer, request, 8);
	if (refused != 0)
		return exception(answer, refused);
	server.requests++;
	if (request[7] > 2) {
		answer[8] = (uint8_t) (2 * count);
		for (unsigned i = 0; i < count; i++)
			put16(answer + 9 + 2 * i, register_at(address + i, t));
		return 9 + 2 * count;
	}
	answer[8] = (uint8_t) ((count + 7) / 8);
	memset(answer + 9, 0, answer[8]);
	for (unsigned i = 0; i < count; i++)
		answer[9 + i / 8] |= (uint8_t) ((((unsigned) t + address + i) & 1) << (i % 8));
	return 9u + answer[8];
}

static bool send_all(int fd, const uint8_t *data, size_t len)
{
	return send(fd, data, len, MSG_NOSIGNAL) == (ssize_t) len;
}

static void sleep_ms(unsigned ms)
{
	(void) usleep(ms * 1000);
}

static bool dribble(int fd, const uint8_t *data, size_t len, unsigned ms)
{
	for (size_t i = 0; i < len; i++) {
		sleep_ms(ms);
		if (!send_all(fd, data + i, 1))
			return false;
	}
	return true;
}

static bool flood(int fd)
{
	uint8_t noise[1024];

	memset(noise, 0x55, sizeof(noise));
	for (unsigned i = 0; i < 4096; i++) {
		if (!send_all(fd, noise, sizeof(noise)))
			return false;
	}
	return true;
}

/* The fault that the 12 bytes of @request meet. */
static enum fault take_fault(const uint8_t *request, unsigned *ret_argument)
{
	unsigned first = get16(request + 8), past = first + get16(request + 10), unit = request[6];
	enum fault f = server.fault;

	if (server.has_mute && first <= server.mute_last && past > server.mute_first)
		return FAULT_SILENCE;
	if (server.only_one && server.only != unit)
		return FAULT_NONE;
	*ret_argument = server.argument;
	if (f != FAULT_NONE && server.times > 0 && --server.times == 0)
		server.fault = FAULT_NONE;
	return f;
}

/* Sends the good answer @a of @len bytes, damaged as @f has it. Returns false when the connection
 * is to be closed. */
static bool misbehave(int fd, enum fault f, unsigned argument, uint8_t *a, size_t len)
{
	switch (f) {
	case FAULT_NONE:
		break;
	case FAULT_SILENCE:
		return true;
	case FAULT_CLOSE:
		return false;
	case FAULT_GARBAGE:
		memset(a, 0xa5, len);
		break;
	case FAULT_UNIT:
		a[6]++;
		break;
	case FAULT_FUNCTION:
		a[7] ^= 3;
		break;
	case FAULT_TRANSACTION:
		a[1]++;
		break;
	case FAULT_PROTOCOL:
		a[3] = 1;
		break;
	case FAULT_TWICE:
		memmove(a + len, a, len);
		return send_all(fd, a, 2 * len);
	case FAULT_HALF:
		(void) send_all(fd, a, len / 2);
		return false;
	case FAULT_FLOOD:
		return flood(fd);
	case FAULT_EXCEPTION:
		len = exception(a, (uint8_t) argument);
		put16(a + 4, 3);
		break;
	case FAULT_LATE:
		sleep_ms(argument);
		break;
	case FAULT_DRIBBLE:
		return dribble(fd, a, len, argument);
	case FAULT_BYTES:
		a[8] = (uint8_t) argument;
		break;
	case FAULT_LENGTH:
		put16(a + 4, argument);
		break;
	}
	return send_all(fd, a, len);
}

static bool serve_one(int fd)
{
	uint8_t request[12], answer[2 * ANSWER_MAX];
	unsigned argument = 0;
	enum fault f;
	size_t len;

	if (recv(fd, request, sizeof(request), MSG_WAITALL) != sizeof(request))
		return false;
	(void) pthread_mutex_lock(&server.lock);
	f = take_fault(request, &argument);
	len = answer_to(request, answer);
	put16(answer + 4, (unsigned) (len - 6));
	(void) pthread_mutex_unlock(&server.lock);

	return misbehave(fd, f, argument, answer, len);
}

static void *serve(void *user)
{
	int *slot = user;
	int fd = *slot;

	while (serve_one(fd))
		;
	(void) pthread_mutex_lock(&server.lock);
	*slot = 0;
	(void) close(fd);
	(void) pthread_mutex_unlock(&server.lock);
	return NULL;
}

/* --- connections and commands --- */

static int *free_slot(void)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		if (server.clients[i] == 0)
			return &server.clients[i];
	}
	return NULL;
}

static void accept_one(int listener)
{
	int fd = accept(listener, NULL, NULL), on = 1;
	pthread_t thread;
	int *slot;

	if (fd < 0)
		return;
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void) pthread_mutex_lock(&server.lock);
	server.connections++;
	slot = free_slot();
	if (slot)
		*slot = fd;
	if (!slot || pthread_create(&thread, NULL, serve, slot) != 0) {
		if (slot)
			*slot = 0;
		(void) close(fd);
	} else {
		(void) pthread_detach(thread);
	}
	(void) pthread_mutex_unlock(&server.lock);
}

static bool set_fault(const char *name, uint64_t argument)
{
	for (size_t i = 0; i < sizeof(fault_names) / sizeof(fault_names[0]); i++) {
		if (strcmp(name, fault_names[i]) == 0) {
			server.fault = (enum fault) i;
			server.argument = (unsigned) argument;
			return true;
		}
	}
	return false;
}

static void drop_all(void)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		if (server.clients[i] != 0)
			(void) shutdown(server.clients[i], SHUT_RDWR);
	}
}

/* Returns whether the command was understood. @b and @c are "" when absent. */
static bool obey(const char *a, const char *b, const char *c)
{
	uint64_t nb = 0, nc = 0;
	bool has_nb = tg_parse_u64(b, &nb) == 0, has_nc = tg_parse_u64(c, &nc) == 0;

	if (strcmp(a, "fault") == 0)
		return set_fault(b, nc);
	if (strcmp(a, "only") == 0) {
		server.only_one = has_nb;
		server.only = (unsigned) nb;
		return has_nb || strcmp(b, "all") == 0;
	}
	if (strcmp(a, "hole") == 0) {
		server.has_hole = has_nb && has_nc;
		server.hole_first = (unsigned) nb;
		server.hole_last = (unsigned) nc;
		return server.has_hole || strcmp(b, "none") == 0;
	}
	if (strcmp(a, "mute") == 0) {
		server.has_mute = has_nb && has_nc;
		server.mute_first = (unsigned) nb;
		server.mute_last = (unsigned) nc;
		return server.has_mute || strcmp(b, "none") == 0;
	}
	if (strcmp(a, "times") == 0)
		server.times = (unsigned) nb;
	else if (strcmp(a, "limit") == 0)
		server.limit = (unsigned) nb;
	else if (strcmp(a, "drop") == 0)
		drop_all();
	else
		return false;
	return true;
}

static void command(char *line)
{
	char *save = NULL;
	const char *word_a = strtok_r(line, " \n", &save);
	const char *word_b = word_a ? strtok_r(NULL, " \n", &save) : NULL;
	const char *word_c = word_b ? strtok_r(NULL, " \n", &save) : NULL;

	if (!word_a)
		return;
	if (strcmp(word_a, "quit") == 0)
		exit(0);
	(void) pthread_mutex_lock(&server.lock);
	if (strcmp(word_a, "stats") == 0)
		printf("requests %u connections %u exceptions %u\n", server.requests,
		       server.connections, server.exceptions);
	else
		puts(obey(word_a, word_b ? word_b : "", word_c ? word_c : "") ? "ok" : "error");
	(void) pthread_mutex_unlock(&server.lock);
}

static int listen_on(const char *address, uint64_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || port > UINT16_MAX || inet_pton(AF_INET, address, &sa.sin_addr) != 1)
		return -1;
	(void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *) &sa, len) < 0 || listen(fd, CLIENTS) < 0 ||
	    getsockname(fd, (struct sockaddr *) &sa, &len) < 0)
		return -1;
	printf("port %u\n", ntohs(sa.sin_port));
	return fd;
}

static int run(int listener, bool until_eof)
{
	struct pollfd fds[] = { { .fd = listener, .events = POLLIN },
				{ .fd = STDIN_FILENO, .events = POLLIN } };
	char line[256];

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return 1;
		if (fds[0].revents & POLLIN)
			accept_one(listener);
		if (fds[1].revents == 0)
			continue;
		if (fgets(line, sizeof(line), stdin))
			command(line);
		else if (until_eof)
			return 0;
		else
			fds[1].fd = -1;
	}
}

int main(int argc, char **argv)
{
	const char *address = "127.0.0.1";
	bool until_eof = false, wrong = false;
	uint64_t port = 0;
	int listener;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--still") == 0)
			server.still = true;
		else if (strcmp(argv[i], "--until-eof") == 0)
			until_eof = true;
		else if (strcmp(argv[i], "--bind") == 0 && i + 1 < argc)
			address = argv[++i];
		else if (strcmp(argv[i], "--port") != 0 || i + 1 >= argc ||
			 tg_parse_u64(argv[++i], &port) < 0)
			wrong = true;
	}
	if (wrong) {
		(void) fprintf(stderr, "usage: modbus-server [--bind ADDRESS] [--port N] [--still] "
				       "[--until-eof]\n");
		return 2;
	}

	(void) setvbuf(stdout, NULL, _IOLBF, 0);
	(void) setvbuf(stdin, NULL, _IONBF,
		       0); /* poll() must see every line that was not read yet */
	(void) clock_gettime(CLOCK_MONOTONIC, &server.start);
	listener = listen_on(address, port);
	if (listener < 0) {
		perror("modbus-server");
		return 1;
	}
	return run(listener, until_eof);
}
