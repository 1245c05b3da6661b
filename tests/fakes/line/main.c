/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Modbus units on a simulated serial line or behind a TCP port, for tests and benchmarks.
 *
 *	modbus-line rtu [--link PATH] [--baud 9600] [--parity none|even|odd] [--stop-bits 1|2]
 *	modbus-line tcp [--port N]
 *
 * Prints "port PATH" or "port N". rtu.h says how the line behaves, unit.h what the registers hold, misdeed.h (and
 * "misdeeds") what units can do wrong. Ends with standard input. Commands, one a line, each answered by one line,
 * "ok", "error" or what it says here:
 *
 *	unit N [DELAY_US]		a unit, which answers after a pause (default 2000)
 *	dead N | alive N
 *	misdeed N NAME [ARG [TIMES]]	"misdeed N none" ends it; TIMES 0 is for ever
 *	set N TABLE ADDRESS HEX...	words as they are on the wire
 *	get N TABLE ADDRESS COUNT	the same, as "HEX HEX"
 *	speed BAUD | parity same|other | echo on|off	(rtu)
 *	send HEX			bytes on the line that nobody asked for
 *	hush				ends everything that is being said
 *	unplug | plug | drop		the adapter, or the server; drop closes connections in order
 *	stats				"requests N foreign N broken N early N collisions N ..."
 *	log				"entries N", then N lines "START_US END_US UNIT FUNCTION ADDRESS COUNT"; emptied
 *	misdeeds			"misdeeds N", then N lines "NAME rtu|tcp|both WHAT"
 */
#include "tests/fakes/line/rtu.h"
#include "tests/fakes/line/tcp.h"

#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define WORDS 140

static struct line_station station;
static struct line_rtu rtu = { .station = &station, .fd = -1 };
static struct line_tcp tcp = { .station = &station, .listener = -1 };

/* --- commands --- */

struct words {
	const char *w[WORDS];
	size_t n;
};

static bool number(const struct words *c, size_t i, uint64_t most, uint64_t *ret)
{
	return i < c->n && tg_parse_u64(c->w[i], ret) == 0 && *ret <= most;
}

static struct line_unit *unit_of(const struct words *c)
{
	uint64_t id;

	return number(c, 1, LINE_UNITS - 1, &id) ? station.units[id] : NULL;
}

static bool add_unit(const struct words *c)
{
	uint64_t id, delay = 2000;

	if (!number(c, 1, LINE_UNITS - 1, &id) || (c->n > 2 && !number(c, 2, UINT32_MAX, &delay)))
		return false;
	if (!station.units[id])
		station.units[id] = line_unit_new((uint8_t) id);
	if (!station.units[id])
		return false;
	station.units[id]->delay_us = delay;
	return true;
}

static bool set_misdeed(const struct words *c)
{
	struct line_unit *u = unit_of(c);
	uint64_t argument = 0, times = 0;
	const struct line_misdeed *m;

	if (!u || c->n < 3 || (c->n > 3 && !number(c, 3, UINT32_MAX, &argument)) ||
	    (c->n > 4 && !number(c, 4, UINT32_MAX, &times)))
		return false;
	m = line_misdeed_find(c->w[2], station.kind);
	if (!m && strcmp(c->w[2], "none") != 0)
		return false;
	u->misdeed = m;
	u->argument = (unsigned) argument;
	u->times = (unsigned) times;
	if (!m)
		u->deaf_until_us = 0;
	return true;
}

static bool hex(const char *s, unsigned *ret)
{
	char text[8];
	uint64_t v;

	if (strlen(s) > 4)
		return false;
	(void) snprintf(text, sizeof(text), "0x%s", s);
	if (tg_parse_u64(text, &v) < 0)
		return false;
	*ret = (unsigned) v;
	return true;
}

static bool set_words(const struct words *c)
{
	struct line_unit *u = unit_of(c);
	enum line_table table;
	uint64_t address;
	unsigned v;

	if (!u || c->n < 5 || !line_table_from_name(c->w[2], &table) ||
	    !number(c, 3, LINE_REGISTERS - 1, &address))
		return false;
	for (size_t i = 4; i < c->n && address < LINE_REGISTERS; i++, address++) {
		if (!hex(c->w[i], &v))
			return false;
		u->tables[table][address] = (uint16_t) v;
	}
	return true;
}

static bool print_words(const struct words *c)
{
	struct line_unit *u = unit_of(c);
	enum line_table table;
	uint64_t address, count;

	if (!u || c->n < 5 || !line_table_from_name(c->w[2], &table) ||
	    !number(c, 3, LINE_REGISTERS - 1, &address) ||
	    !number(c, 4, LINE_REGISTERS - address, &count) || count == 0)
		return false;
	for (uint64_t i = 0; i < count; i++)
		printf("%04x%c", u->tables[table][address + i], i + 1 < count ? ' ' : '\n');
	return true;
}

static bool send_bytes(const struct words *c)
{
	uint8_t bytes[LINE_ADU_MAX];
	size_t n = 0;
	unsigned v;

	for (size_t i = 1; i < c->n; i++) {
		for (const char *s = c->w[i]; *s; s += 2) {
			const char pair[3] = { s[0], s[1], '\0' };

			if (!s[1] || !hex(pair, &v) || n == sizeof(bytes))
				return false;
			bytes[n++] = (uint8_t) v;
		}
	}
	if (station.kind == LINE_TCP)
		line_tcp_send(&tcp, bytes, n);
	else
		line_rtu_send(&rtu, bytes, n);
	return n > 0;
}

static bool set_life(const struct words *c, bool dead)
{
	struct line_unit *u = unit_of(c);

	if (u)
		u->dead = dead;
	return u != NULL;
}

static bool set_speed(const struct words *c)
{
	uint64_t baud;

	if (!number(c, 1, 4000000, &baud) || baud < 50)
		return false;
	line_rtu_set_speed(&rtu, (unsigned) baud, rtu.bits);
	return true;
}

static bool set_switch(const struct words *c, bool *flag, const char *on, const char *off)
{
	if (c->n < 2 || (strcmp(c->w[1], on) != 0 && strcmp(c->w[1], off) != 0))
		return false;
	*flag = strcmp(c->w[1], on) == 0;
	return true;
}

static bool plug(bool in)
{
	if (station.kind == LINE_TCP) {
		if (!in)
			line_tcp_unplug(&tcp);
		return !in || tcp.listener >= 0 || line_tcp_plug(&tcp);
	}
	if (!in)
		line_rtu_unplug(&rtu);
	return !in || rtu.fd >= 0 || line_rtu_plug(&rtu);
}

static void print_stats(void)
{
	const struct line_stats *s = &station.stats;

	printf("requests %u foreign %u broken %u early %u collisions %u mismatched %u connections "
	       "%u heard %" PRIu64 " said %" PRIu64 "\n",
	       s->requests, s->foreign, s->broken, s->early, s->collisions, s->mismatched,
	       s->connections, s->heard, s->said);
}

static void print_log(void)
{
	printf("entries %zu\n", station.n_log);
	for (size_t i = 0; i < station.n_log; i++) {
		const struct line_entry *e = &station.log[i];

		printf("%" PRIu64 " %" PRIu64 " %u %u %u %u\n", e->start_us, e->end_us, e->unit,
		       e->function, e->address, e->count);
	}
	station.n_log = 0;
}

static void print_misdeeds(void)
{
	static const char *const kinds[] = {
		[LINE_RTU] = "rtu", [LINE_TCP] = "tcp", [LINE_BOTH] = "both"
	};
	const struct line_misdeed *m;
	size_t n = 0;

	while (line_misdeed_at(n))
		n++;
	printf("misdeeds %zu\n", n);
	for (size_t i = 0; (m = line_misdeed_at(i)); i++)
		printf("%s %s %s\n", m->name, kinds[m->kinds], m->what);
}

/* What prints its own answer. */
static bool report(const struct words *c)
{
	if (strcmp(c->w[0], "stats") == 0)
		print_stats();
	else if (strcmp(c->w[0], "log") == 0)
		print_log();
	else if (strcmp(c->w[0], "misdeeds") == 0)
		print_misdeeds();
	else
		return strcmp(c->w[0], "get") == 0 && print_words(c);
	return true;
}

static bool obey_line(const struct words *c)
{
	const char *verb = c->w[0];

	if (strcmp(verb, "echo") == 0)
		return set_switch(c, &rtu.echo, "on", "off");
	if (strcmp(verb, "parity") == 0)
		return set_switch(c, &rtu.other_parity, "other", "same");
	if (strcmp(verb, "speed") == 0)
		return set_speed(c);
	if (strcmp(verb, "send") == 0)
		return send_bytes(c);
	if (strcmp(verb, "plug") == 0 || strcmp(verb, "unplug") == 0)
		return plug(verb[0] == 'p');
	if (strcmp(verb, "hush") == 0)
		line_station_hush(&station, -1);
	else if (strcmp(verb, "drop") == 0)
		line_tcp_drop(&tcp);
	else
		return false;
	return true;
}

static bool obey(const struct words *c)
{
	const char *verb = c->w[0];

	if (strcmp(verb, "unit") == 0)
		return add_unit(c);
	if (strcmp(verb, "dead") == 0 || strcmp(verb, "alive") == 0)
		return set_life(c, verb[0] == 'd');
	if (strcmp(verb, "misdeed") == 0)
		return set_misdeed(c);
	if (strcmp(verb, "set") == 0)
		return set_words(c);
	return obey_line(c);
}

static void command(char *line)
{
	char *save = NULL;
	struct words c = { 0 };

	for (char *w = strtok_r(line, " \n", &save); w && c.n < WORDS;
	     w = strtok_r(NULL, " \n", &save))
		c.w[c.n++] = w;
	if (c.n > 0 && !report(&c))
		puts(obey(&c) ? "ok" : "error");
	(void) fflush(stdout);
}

/* --- the loop --- */

static struct timespec until(uint64_t next_ns)
{
	uint64_t now = line_now_ns(), left = next_ns > now ? next_ns - now : 0;

	return (struct timespec){ .tv_sec = (time_t) (left / 1000000000u),
				  .tv_nsec = (long) (left % 1000000000u) };
}

static int run(void)
{
	struct pollfd fds[2 + LINE_CLIENTS];
	char line[4096];

	for (;;) {
		uint64_t next = station.kind == LINE_TCP ? line_station_next_ns(&station)
							 : line_rtu_next_ns(&rtu);
		struct timespec wait = until(next);
		size_t n;

		fds[0] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
		n = 1 + (station.kind == LINE_TCP ? line_tcp_fds(&tcp, fds + 1)
						  : line_rtu_fds(&rtu, fds + 1));
		if (ppoll(fds, n, next == UINT64_MAX ? NULL : &wait, NULL) < 0 && errno != EINTR)
			return 1;
		if (station.kind == LINE_TCP)
			line_tcp_turn(&tcp);
		else
			line_rtu_turn(&rtu);
		if (fds[0].revents == 0)
			continue;
		if (!fgets(line, sizeof(line), stdin))
			return 0;
		command(line);
	}
}

static bool parse_bits(const char *parity, const char *stop, unsigned *ret)
{
	uint64_t n;

	if (tg_parse_u64(stop, &n) < 0 || n < 1 || n > 2)
		return false;
	*ret = 9 + (unsigned) n + (strcmp(parity, "none") != 0);
	return strcmp(parity, "none") == 0 || strcmp(parity, "even") == 0 ||
	       strcmp(parity, "odd") == 0;
}

static bool parse_options(int argc, char **argv)
{
	const char *parity = "even", *stop = "1";
	uint64_t baud = 9600, port = 0;
	unsigned bits;

	if (argc % 2 != 0)
		return false;
	station.kind = strcmp(argv[1], "tcp") == 0 ? LINE_TCP : LINE_RTU;
	if (station.kind == LINE_RTU && strcmp(argv[1], "rtu") != 0)
		return false;
	for (int i = 2; i < argc; i += 2) {
		if (strcmp(argv[i], "--link") == 0)
			rtu.link = argv[i + 1];
		else if (strcmp(argv[i], "--parity") == 0)
			parity = argv[i + 1];
		else if (strcmp(argv[i], "--stop-bits") == 0)
			stop = argv[i + 1];
		else if (strcmp(argv[i], "--baud") == 0 && tg_parse_u64(argv[i + 1], &baud) < 0)
			return false;
		else if (strcmp(argv[i], "--port") == 0 && tg_parse_u64(argv[i + 1], &port) < 0)
			return false;
	}
	if (!parse_bits(parity, stop, &bits) || baud < 50 || baud > 4000000 || port > UINT16_MAX)
		return false;
	line_rtu_set_speed(&rtu, (unsigned) baud, bits);
	tcp.port = (uint16_t) port;
	return true;
}

int main(int argc, char **argv)
{
	if (argc < 2 || !parse_options(argc, argv)) {
		(void) fputs("usage: modbus-line rtu|tcp [--link PATH] [--baud N] [--parity "
			     "none|even|odd] "
			     "[--stop-bits 1|2] [--port N]\n",
			     stderr);
		return 2;
	}
	(void) signal(SIGPIPE, SIG_IGN);
	/* A character at 115200 baud lasts 95 us; timers are 50 us late by default. */
	(void) prctl(PR_SET_TIMERSLACK, 1000);
	/* A line does not wait for a machine under load. Where it may not come first, it comes with the others. */
	(void) sched_setscheduler(0, SCHED_FIFO, &(const struct sched_param){ .sched_priority = 1 });
	(void) setvbuf(stdin, NULL, _IONBF, 0);
	for (size_t i = 0; i < LINE_CLIENTS; i++)
		tcp.clients[i].fd = -1;
	station.log = calloc(LINE_LOG_MAX, sizeof(*station.log));
	if (!station.log || !plug(true)) {
		perror("modbus-line");
		return 1;
	}
	if (station.kind == LINE_TCP)
		printf("port %u\n", tcp.port);
	else
		printf("port %s\n", rtu.link ? rtu.link : rtu.port);
	(void) fflush(stdout);
	return run();
}
