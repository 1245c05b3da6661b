/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The driver over datagram sockets in place of the kernel's CAN: a pair of UDP sockets, which have the kernel's time stamps,
 * and frames as CAN_RAW has them. What opens sockets (socket.c) is here.
 */
#include "agent/bus/can/socket.h"
#include "agent/bus/drivers.h"
#include "agent/bus/table.h"
#include "base/clock.h"
#include "config/bus/can_read.h"

#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/can/error.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define POINTS 8
#define HEARD  1024

uint64_t __real_tg_clock_boot_us(void);
uint64_t __wrap_tg_clock_boot_us(void);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);

/* --- time, which passes when nothing else happens --- */

static uint64_t skew_us;
static void (*traffic)(void); /* what happens when the driver waits for the first time */

uint64_t __wrap_tg_clock_boot_us(void)
{
	return __real_tg_clock_boot_us() + skew_us;
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	char byte;

	assert_int_equal(n, 1);
	if (traffic)
		traffic();
	traffic = NULL;
	if (recv(fds->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
		return 1;
	skew_us += (uint64_t) timeout_ms * 1000;
	return 0;
}

/* --- the kernel --- */

struct group {
	uint32_t pgn;
	uint8_t source;
	uint8_t data[TG_J1939_SIZE];
};

static struct {
	enum tg_can_link link;
	bool j1939;
	unsigned opened;
	size_t filters;
	int near;	 /* of the raw socket */
	int raw, groups; /* the far ends; -1: nobody opened */
} kernel;

enum tg_can_link tg_can_link_state(const char *interface)
{
	assert_string_equal(interface, "can0");
	return kernel.link;
}

/* @ret_near takes what is sent to @ret_far, and hears of it when @ret_far is closed. */
static void make_pair(int *ret_near, int *ret_far)
{
	const int stamps = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
	const int on = 1, queue = 4608;
	int fds[2];
	struct sockaddr_in at[2];
	socklen_t len = sizeof(at[0]);

	for (int i = 0; i < 2; i++) {
		at[i] = (struct sockaddr_in){ .sin_family = AF_INET,
					      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(fds[i] >= 0);
		assert_int_equal(bind(fds[i], (struct sockaddr *) &at[i], sizeof(at[i])), 0);
		assert_int_equal(getsockname(fds[i], (struct sockaddr *) &at[i], &len), 0);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(connect(fds[i], (struct sockaddr *) &at[!i], sizeof(at[0])), 0);
	(void) setsockopt(fds[0], SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof(stamps));
	(void) setsockopt(fds[0], SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
	(void) setsockopt(fds[0], SOL_SOCKET, SO_RCVBUF, &queue, sizeof(queue));
	*ret_near = fds[0];
	*ret_far = fds[1];
}

static void hang_up(int *fd)
{
	if (*fd >= 0)
		assert_int_equal(close(*fd), 0);
	*fd = -1;
}

int tg_can_open_raw(const char *interface, const struct can_filter *filters, size_t n, bool errors,
		    int *ret_fd, struct tg_fault *reterr)
{
	(void) interface;
	(void) filters;
	assert_true(errors);
	if (kernel.link == TG_CAN_ABSENT)
		return tg_fault_set(reterr, -ENODEV, "there is no interface can0");
	kernel.opened++;
	kernel.filters = n;
	hang_up(&kernel.raw);
	make_pair(ret_fd, &kernel.raw);
	kernel.near = *ret_fd;
	return 0;
}

int tg_can_open_groups(const char *interface, const struct j1939_filter *filters, size_t n,
		       int *ret_fd, struct tg_fault *reterr)
{
	(void) interface;
	(void) filters;
	assert_true(n > 0);
	if (!kernel.j1939)
		return tg_fault_set(reterr, -EAFNOSUPPORT, "no can-j1939");
	hang_up(&kernel.groups);
	make_pair(ret_fd, &kernel.groups);
	return 0;
}

int tg_can_take_group(int fd, struct tg_can_message *out)
{
	struct sockaddr_can from;
	struct group g;
	ssize_t n = tg_can_receive(fd, &g, sizeof(g), &from, out);

	if (n <= 0)
		return (int) n;
	out->id = g.pgn;
	out->source = g.source;
	out->len = (size_t) n - offsetof(struct group, data);
	memcpy(out->data, g.data, out->len);
	return 1;
}

static void send_frame(uint32_t id, const void *data, uint8_t len)
{
	struct canfd_frame f = { .can_id = id, .len = len };
	size_t size = len > CAN_MAX_DLEN ? CANFD_MTU : CAN_MTU;

	if (len)
		memcpy(f.data, data, len);
	assert_int_equal(send(kernel.raw, &f, size, 0), size);
}

static void send_error(uint32_t classes, uint8_t crtl)
{
	const uint8_t data[8] = { 0, crtl };

	send_frame(CAN_ERR_FLAG | classes, data, 8);
}

static void send_group(uint32_t pgn, uint8_t source, const void *data, size_t len)
{
	struct group g = { .pgn = pgn, .source = source };

	memcpy(g.data, data, len);
	assert_true(send(kernel.groups, &g, offsetof(struct group, data) + len, 0) > 0);
}

/* --- the agent --- */

static struct tg_config_bus bus_cfg = { .type = TG_BUS_CAN };
static struct tg_config_point points[POINTS];
static struct tg_config_device dev = { .points = points, .can.source = TG_CAN_ANY };
static struct tg_config cfg = { .buses = &bus_cfg, .n_buses = 1, .devices = &dev, .n_devices = 1 };

static struct {
	struct tg_sample samples[HEARD];
	char text[64]; /* of the last sample: its text, or why it is bad */
	size_t points[HEARD];
	size_t n;
	uint64_t dropped;
} heard;
static struct tg_bus *bus;
static struct tg_fault why;

static void hear(void *user, const struct tg_config_device *d, size_t point, const struct tg_sample *s)
{
	(void) user;
	assert_ptr_equal(d, &dev);
	assert_true(heard.n < HEARD);
	heard.points[heard.n] = point;
	(void) snprintf(heard.text, sizeof(heard.text), "%s",
			s->value.type == TG_VALUE_TEXT ? s->value.text : s->reason);
	heard.samples[heard.n++] = *s;
}

static void drop(void *user, uint64_t n)
{
	(void) user;
	heard.dropped += n;
}

static const struct tg_bus_ear ear = { .heard = hear, .dropped = drop };

static void add_point(const char *text)
{
	struct tg_config_point *p = &points[dev.n_points++];

	p->name = p->unit = (char *) (uintptr_t) "p";
	if (tg_can_read_parse(text, &p->can, &why) < 0)
		fail_msg("%s: %s", text, why.text);
}

static int start(void **state)
{
	(void) state;
	kernel.link = TG_CAN_UP;
	kernel.j1939 = true;
	kernel.opened = 0;
	kernel.raw = kernel.groups = -1;
	bus_cfg.name = bus_cfg.can.interface = (char *) (uintptr_t) "can0";
	dev.name = (char *) (uintptr_t) "d";
	dev.n_points = 0;
	memset(points, 0, sizeof(points));
	memset(&heard, 0, sizeof(heard));
	bus = NULL;
	return 0;
}

static int stop(void **state)
{
	(void) state;
	tg_can_driver.close(bus);
	hang_up(&kernel.raw);
	hang_up(&kernel.groups);
	return 0;
}

static int listen_once(void)
{
	heard.n = 0;
	return tg_can_driver.listen(bus, &ear, &why);
}

static void open_bus(void)
{
	assert_int_equal(tg_can_driver.open(&cfg, 0, &bus, &why), 0);
	assert_int_equal(listen_once(), 0);
}

/* A second later. */
static int listen_later(void)
{
	skew_us += TG_US_PER_S;
	return listen_once();
}

/* --- tests --- */

static void frames_reach_the_points_that_read_them(void **state)
{
	static const uint8_t classic[] = { 1, 2, 3, 4 };
	uint8_t fd[64] = { [63] = 9 };

	(void) state;
	add_point("id=0x123 0|16@1");
	add_point("id=0x123 15|16@0");
	add_point("id=0x123 extended 0|8@1");
	add_point("id=0x200 504|8@1");
	open_bus();
	assert_int_equal(kernel.filters, 3);

	send_frame(0x123, classic, 4);
	send_frame(0x456, classic, 4);
	send_frame(0x123 | CAN_RTR_FLAG, NULL, 0);
	send_frame(0x200, fd, 64);
	assert_int_equal(listen_once(), 0);
	assert_int_equal(heard.n, 3);
	assert_int_equal(heard.samples[0].value.u, 0x201);
	assert_int_equal(heard.samples[1].value.u, 0x203);
	assert_int_equal(heard.points[2], 3);
	assert_int_equal(heard.samples[2].value.u, 9);

	send_frame(0x123 | CAN_EFF_FLAG, classic, 4);
	assert_int_equal(listen_once(), 0);
	assert_int_equal(heard.n, 1);
	assert_int_equal(heard.points[0], 2);
}

static void what_is_no_frame_is_skipped(void **state)
{
	struct can_frame f = { .can_id = 1, .can_dlc = 8 };

	(void) state;
	add_point("id=1 0|8@1");
	open_bus();
	assert_int_equal(send(kernel.raw, &f, 5, 0), 5);
	f.can_dlc = 200;
	assert_int_equal(send(kernel.raw, &f, sizeof(f), 0), sizeof(f));
	f.can_dlc = 8;
	assert_int_equal(send(kernel.raw, &f, sizeof(f), 0), sizeof(f));
	assert_int_equal(listen_once(), 0);
	assert_int_equal(heard.n, 1);
}

static void samples_have_the_time_at_which_the_frame_came(void **state)
{
	bool stamped = false;

	(void) state;
	add_point("id=1 0|8@1");
	open_bus();
	/* The kernel switches its stamps on a while after it was asked to. */
	for (int i = 0; i < 50 && !stamped; i++) {
		uint64_t before = tg_clock_boot_us(), after, at;

		send_frame(1, "x", 1);
		after = tg_clock_boot_us();
		(void) usleep(20000);
		assert_int_equal(listen_once(), 0);
		assert_int_equal(heard.n, 1);
		at = heard.samples[0].boot_us;
		/* Two clocks are read, one after the other. */
		stamped = at + 5000 >= before && at <= after + 5000;
	}
	assert_true(stamped);
}

static void groups_are_told_apart_by_number_and_source(void **state)
{
	uint8_t vin[18] = "WTEST0123456789AB*", speed[8] = { 0, 0, 0, 0x68, 0x13, 0, 0, 0 };

	(void) state;
	add_point("pgn=61444 source=0 24|16@1+");
	add_point("pgn=65260 start=0 text");
	open_bus();
	send_group(61444, 0, speed, 8);
	send_group(61444, 1, speed, 8);
	send_group(65260, 49, vin, 18);
	/* The same group as a frame: taken once. */
	send_frame(0x0cf00400 | CAN_EFF_FLAG, speed, 8);
	assert_int_equal(listen_once(), 0);
	assert_int_equal(heard.n, 2);
	assert_int_equal(heard.samples[0].value.u, 4968);
	assert_string_equal(heard.text, "WTEST0123456789AB");
}

static void without_can_j1939_groups_of_one_frame_are_read(void **state)
{
	static const uint8_t speed[8] = { 0, 0, 0, 0x68, 0x13, 0, 0, 0 };

	(void) state;
	kernel.j1939 = false;
	add_point("pgn=61444 source=0 24|16@1+");
	add_point("pgn=65260 64|8@1");
	assert_int_equal(tg_can_driver.open(&cfg, 0, &bus, &why), 0);
	assert_int_equal(listen_once(), 0);
	/* The long one is told, once, to be out of reach. */
	assert_int_equal(heard.n, 1);
	assert_int_equal(heard.points[0], 1);
	assert_non_null(strstr(heard.text, "no can-j1939"));
	assert_int_equal(kernel.filters, 2);

	send_frame(0x0cf00400 | CAN_EFF_FLAG, speed, 8);
	send_frame(0x18f00401 | CAN_EFF_FLAG, speed, 8);
	assert_int_equal(listen_once(), 0);
	assert_int_equal(heard.n, 1);
	assert_int_equal(heard.samples[0].value.u, 4968);
}

static void an_interface_that_is_not_there_is_looked_for_again(void **state)
{
	uint64_t wake;

	(void) state;
	add_point("id=1 0|8@1");
	kernel.link = TG_CAN_ABSENT;
	assert_int_equal(tg_can_driver.open(&cfg, 0, &bus, &why), 0);
	assert_int_equal(listen_once(), -ENOTCONN);
	assert_string_equal(why.text, "there is no interface can0");
	assert_int_equal(tg_can_driver.listen_fd(bus, &wake), -1);
	assert_in_range(wake, tg_clock_boot_us() + 1, tg_clock_boot_us() + 2 * TG_US_PER_S);
	kernel.link = TG_CAN_DOWN;
	assert_int_equal(listen_later(), -ENOTCONN);
	assert_non_null(strstr(why.text, "can0 is down"));
	kernel.link = TG_CAN_UP;
	/* Not before its time, however often it is asked. */
	assert_int_equal(listen_once(), -ENOTCONN);
	assert_int_equal(kernel.opened, 0);
	assert_int_equal(listen_later(), 0);
	assert_true(tg_can_driver.listen_fd(bus, &wake) >= 0);
	send_frame(1, "x", 1);
	assert_int_equal(listen_once(), 0);
	assert_int_equal(heard.n, 1);
}

static void a_socket_that_fails_is_opened_anew(void **state)
{
	(void) state;
	add_point("id=1 0|8@1");
	add_point("pgn=61444 0|8@1");
	open_bus();
	/* What is sent to a far end that has gone comes back as an error. */
	hang_up(&kernel.raw);
	assert_int_equal(send(kernel.near, "x", 1, 0), 1);
	kernel.link = TG_CAN_DOWN;
	assert_int_equal(listen_once(), -ENOTCONN);
	kernel.link = TG_CAN_UP;
	assert_int_equal(listen_later(), 0);
	assert_int_equal(kernel.opened, 2);
	send_frame(1, "x", 1);
	assert_int_equal(listen_once(), 0);
	assert_int_equal(heard.n, 1);
}

static void bus_off_is_a_bus_that_is_down_until_it_restarts(void **state)
{
	struct tg_bus_note note;

	(void) state;
	add_point("id=1 0|8@1");
	open_bus();
	tg_can_driver.describe(bus, &note);
	assert_string_equal(note.text, "");

	send_error(CAN_ERR_CRTL, CAN_ERR_CRTL_TX_PASSIVE);
	assert_int_equal(listen_once(), 0);
	tg_can_driver.describe(bus, &note);
	assert_non_null(strstr(note.text, "error-passive"));
	send_error(CAN_ERR_BUSOFF, 0);
	assert_int_equal(listen_once(), -ENOTCONN);
	assert_non_null(strstr(why.text, "can0 is bus-off"));
	assert_int_equal(listen_later(), -ENOTCONN);
	send_error(CAN_ERR_RESTARTED, 0);
	send_frame(1, "x", 1);
	assert_int_equal(listen_once(), 0);
	assert_int_equal(heard.n, 1);
	tg_can_driver.describe(bus, &note);
	assert_int_equal(note.errors, 3);
	assert_int_equal(note.requests, 1);
	/* The socket stayed the same. */
	assert_int_equal(kernel.opened, 1);
}

static void a_controller_found_bus_off_is_asked_until_it_is_not(void **state)
{
	uint64_t wake;

	(void) state;
	add_point("id=1 0|8@1");
	kernel.link = TG_CAN_NO_CARRIER;
	assert_int_equal(tg_can_driver.open(&cfg, 0, &bus, &why), 0);
	assert_int_equal(listen_once(), -ENOTCONN);
	assert_true(tg_can_driver.listen_fd(bus, &wake) >= 0);
	assert_in_range(wake, tg_clock_boot_us(), tg_clock_boot_us() + 2 * TG_US_PER_S);
	kernel.link = TG_CAN_UP;
	assert_int_equal(listen_once(), 0);
}

static void frames_that_did_not_fit_are_counted(void **state)
{
	size_t got = 0;

	(void) state;
	add_point("id=1 0|8@1");
	open_bus();
	for (unsigned i = 0; i < 400; i++)
		send_frame(1, "x", 1);
	do {
		assert_int_equal(listen_once(), 0);
		got += heard.n;
	} while (heard.n);
	assert_true(got > 0 && got < 400);
	/* The kernel tells of them with the next one. */
	send_frame(1, "x", 1);
	assert_int_equal(listen_once(), 0);
	assert_int_equal(heard.dropped, 400 - got);
	send_error(CAN_ERR_CRTL, CAN_ERR_CRTL_RX_OVERFLOW);
	assert_int_equal(listen_once(), 0);
	assert_int_equal(heard.dropped, 401 - got);
}

/* The engine's hours come when they are asked for. */
static void groups_are_asked_for_while_the_bus_is_up(void **state)
{
	static const uint8_t want[] = { 0xe5, 0xfe, 0x00 };
	struct can_frame f;
	uint64_t wake;

	(void) state;
	add_point("pgn=65253 request=10s 0|32@1+");
	bus_cfg.can.address = 0xfb;
	open_bus();
	assert_int_equal(recv(kernel.raw, &f, sizeof(f), MSG_DONTWAIT), sizeof(f));
	assert_int_equal(f.can_id, 0x18eafffb | CAN_EFF_FLAG);
	assert_int_equal(f.can_dlc, 3);
	assert_memory_equal(f.data, want, 3);
	assert_true(tg_can_driver.listen_fd(bus, &wake) >= 0);
	assert_in_range(wake, tg_clock_boot_us() + 1, tg_clock_boot_us() + 10 * TG_US_PER_S);
	assert_int_equal(listen_later(), 0);
	assert_true(recv(kernel.raw, &f, sizeof(f), MSG_DONTWAIT) < 0);
	skew_us += 10 * TG_US_PER_S;
	assert_int_equal(listen_later(), 0);
	assert_int_equal(recv(kernel.raw, &f, sizeof(f), MSG_DONTWAIT), sizeof(f));
	send_error(CAN_ERR_BUSOFF, 0);
	skew_us += 10 * TG_US_PER_S;
	assert_int_equal(listen_once(), -ENOTCONN);
	assert_true(recv(kernel.raw, &f, sizeof(f), MSG_DONTWAIT) < 0);
}

static void some_frames(void)
{
	send_frame(0x123, "\x10\x20", 2);
	send_frame(0x0cf00400 | CAN_EFF_FLAG, "\xff", 1);
	send_frame(0x123, "\x11\x20", 2);
	send_error(CAN_ERR_ACK, 0);
}

static void expect_probe(const char *address, const char *part)
{
	struct tg_buffer json = TG_BUFFER_INIT(TG_TABLE_BYTES);
	struct tg_table t;

	tg_table_init(&t);
	assert_int_equal(tg_can_driver.probe(bus, NULL, address, &t, &why), 0);
	assert_int_equal(tg_table_json(&t, &json), 0);
	if (!strstr(tg_buffer_text(&json), part))
		fail_msg("%s", tg_buffer_text(&json));
	tg_table_done(&t);
	tg_buffer_done(&json);
}

static void a_probe_shows_who_speaks_and_who_listens(void **state)
{
	struct tg_table t;

	(void) state;
	add_point("id=0x123 0|8@1");
	add_point("pgn=61444 0|8@1");
	assert_int_equal(tg_can_driver.open(&cfg, 0, &bus, &why), 0);
	tg_table_init(&t);
	assert_int_equal(tg_can_driver.probe(bus, NULL, "x", &t, &why), -EINVAL);
	assert_non_null(strstr(why.text, "pgn=65265"));
	kernel.link = TG_CAN_DOWN;
	assert_int_equal(tg_can_driver.probe(bus, NULL, "", &t, &why), -ENOTCONN);
	kernel.link = TG_CAN_UP;
	tg_table_done(&t);
	expect_probe("", "nothing heard");
	traffic = some_frames;
	expect_probe("", "[\"0x123\",\"\",\"\",\"2\",\"0.4\",\"11 20\",\"d/p\"]");
	traffic = some_frames;
	expect_probe("", "[\"0x0cf00400\",\"61444\",\"0\",\"1\",\"0.2\",\"ff\",\"d/p\"]");
	traffic = some_frames;
	expect_probe("", "1 error frames");
	/* The far end does not filter here: the bytes of all frames. */
	traffic = some_frames;
	expect_probe("0x123", "[\"1\",\"8..15\",\"32 (0x20)\",\"32\",\"32\",\"........\",\"0\"]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frames_reach_the_points_that_read_them, start, stop),
		cmocka_unit_test_setup_teardown(what_is_no_frame_is_skipped, start, stop),
		cmocka_unit_test_setup_teardown(samples_have_the_time_at_which_the_frame_came, start, stop),
		cmocka_unit_test_setup_teardown(groups_are_told_apart_by_number_and_source, start, stop),
		cmocka_unit_test_setup_teardown(without_can_j1939_groups_of_one_frame_are_read, start, stop),
		cmocka_unit_test_setup_teardown(an_interface_that_is_not_there_is_looked_for_again, start, stop),
		cmocka_unit_test_setup_teardown(a_socket_that_fails_is_opened_anew, start, stop),
		cmocka_unit_test_setup_teardown(bus_off_is_a_bus_that_is_down_until_it_restarts, start, stop),
		cmocka_unit_test_setup_teardown(a_controller_found_bus_off_is_asked_until_it_is_not, start, stop),
		cmocka_unit_test_setup_teardown(frames_that_did_not_fit_are_counted, start, stop),
		cmocka_unit_test_setup_teardown(groups_are_asked_for_while_the_bus_is_up, start, stop),
		cmocka_unit_test_setup_teardown(a_probe_shows_who_speaks_and_who_listens, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
