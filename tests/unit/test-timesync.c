/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/timekeeping/timesync.h"

#include "agent/timekeeping/timewatch.h"
#include "base/clock.h"
#include "tests/unit/test.h"
#include "wallclock/look.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

/*
 * A system bus of one: behind its socket is a peer that says Hello like a bus and answers like timedate1, or does not.
 */
enum manner { YES, NO, ERROR, NONSENSE, SILENT, HANGS_UP, MUTE };

static struct {
	char dir[64], path[100];
	int listener;
	sd_event *loop;
	sd_event_source *accept;
	sd_bus *bus;
	int fd, mute_fd;
	enum manner manner;
	unsigned calls;
} fake;

static int on_call(sd_bus_message *m, void *user, sd_bus_error *error)
{
	(void) user;
	(void) error;
	if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus", "Hello"))
		return sd_bus_reply_method_return(m, "s", ":1.7");
	if (!sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "Get"))
		return 0;
	fake.calls++;
	switch (fake.manner) {
	case YES:
	case NO:
		return sd_bus_reply_method_return(m, "v", "b", fake.manner == YES);
	case ERROR:
		return sd_bus_reply_method_errorf(m, "org.freedesktop.DBus.Error.ServiceUnknown",
						  "no");
	case NONSENSE:
		return sd_bus_reply_method_return(m, "v", "s", "yes");
	case HANGS_UP:
		(void) shutdown(fake.fd, SHUT_RDWR);
		return 1;
	case SILENT:
	case MUTE:
		break;
	}
	return 1;
}

static int on_accept(sd_event_source *s, int fd, uint32_t events, void *user)
{
	sd_id128_t id = { .bytes = { 1 } };

	(void) s;
	(void) events;
	(void) user;
	fake.bus = sd_bus_close_unref(fake.bus);
	fake.fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fake.fd >= 0);
	/* Accepted, and not a word: it does not even authenticate. */
	if (fake.manner == MUTE) {
		fake.mute_fd = fake.fd;
		return 0;
	}
	assert_true(sd_bus_new(&fake.bus) >= 0);
	assert_true(sd_bus_set_fd(fake.bus, fake.fd, fake.fd) >= 0);
	assert_true(sd_bus_set_server(fake.bus, 1, id) >= 0);
	assert_true(sd_bus_add_filter(fake.bus, NULL, on_call, NULL) >= 0);
	assert_true(sd_bus_start(fake.bus) >= 0);
	assert_true(sd_bus_attach_event(fake.bus, fake.loop, 0) >= 0);
	return 0;
}

static int set_up(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char address[128];

	(void) state;
	memset(&fake, 0, sizeof(fake));
	(void) snprintf(fake.dir, sizeof(fake.dir), "/tmp/tg-bus-XXXXXX");
	if (!mkdtemp(fake.dir))
		return -1;
	(void) snprintf(fake.path, sizeof(fake.path), "%s/socket", fake.dir);
	(void) snprintf(a.sun_path, sizeof(a.sun_path), "%s", fake.path);
	(void) snprintf(address, sizeof(address), "unix:path=%s", fake.path);
	fake.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fake.listener < 0 || bind(fake.listener, (struct sockaddr *) &a, sizeof(a)) < 0 ||
	    listen(fake.listener, 4) < 0 || setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1) < 0)
		return -1;
	if (sd_event_new(&fake.loop) < 0)
		return -1;
	return sd_event_add_io(fake.loop, &fake.accept, fake.listener, 1, on_accept, NULL) < 0 ? -1
											       : 0;
}

static int tear_down(void **state)
{
	(void) state;
	fake.bus = sd_bus_close_unref(fake.bus);
	fake.accept = sd_event_source_unref(fake.accept);
	fake.loop = sd_event_unref(fake.loop);
	(void) close(fake.listener);
	if (fake.mute_fd)
		(void) close(fake.mute_fd);
	(void) unlink(fake.path);
	return rmdir(fake.dir);
}

static struct tg_timesync *sync_of(enum manner manner)
{
	struct tg_timesync *s = NULL;

	fake.manner = manner;
	assert_int_equal(tg_timesync_new(fake.loop, &s), 0);
	return s;
}

/* Lets both sides work for a while. */
static void run(uint64_t ms)
{
	uint64_t until = tg_clock_boot_us() + ms * TG_US_PER_MS;

	while (tg_clock_boot_us() < until)
		assert_true(sd_event_run(fake.loop, 10 * TG_US_PER_MS) >= 0);
}

/* Until it has been asked @calls times and the answer is here. */
static void run_calls(unsigned calls)
{
	uint64_t until = tg_clock_boot_us() + 10 * TG_US_PER_S;

	while (fake.calls < calls && tg_clock_boot_us() < until)
		run(5);
	assert_int_equal(fake.calls, calls);
	run(50);
}

static void what_timedate1_says_counts(void **state)
{
	struct tg_timesync *s = sync_of(YES);

	(void) state;
	assert_false(tg_timesync_says(s));
	tg_timesync_turn(s, 1);
	run_calls(1);
	tg_timesync_turn(s, TG_US_PER_S);
	assert_true(tg_timesync_says(s));
	assert_string_equal(tg_timesync_service(s), "timedate1");
	/* Rarely again, and then it has lost it. */
	fake.manner = NO;
	tg_timesync_turn(s, 599 * TG_US_PER_S);
	run(50);
	assert_int_equal(fake.calls, 1);
	assert_true(tg_timesync_says(s));
	tg_timesync_turn(s, 601 * TG_US_PER_S);
	run_calls(2);
	tg_timesync_turn(s, 602 * TG_US_PER_S);
	assert_false(tg_timesync_says(s));
	assert_null(tg_timesync_service(s));
	/* From now on each minute. */
	tg_timesync_turn(s, 660 * TG_US_PER_S);
	tg_timesync_turn(s, 662 * TG_US_PER_S);
	run_calls(3);
	tg_timesync_free(s);
}

static void a_clock_that_was_set_is_asked_about_at_once(void **state)
{
	struct tg_timesync *s = sync_of(YES);

	(void) state;
	tg_timesync_turn(s, 1);
	run_calls(1);
	tg_timesync_turn(s, TG_US_PER_S);
	assert_true(tg_timesync_says(s));
	tg_timesync_clock_set(s, 1795219200);
	assert_false(tg_timesync_says(s));
	tg_timesync_turn(s, 2 * TG_US_PER_S);
	assert_false(tg_timesync_says(s));
	run_calls(2);
	tg_timesync_turn(s, 3 * TG_US_PER_S);
	assert_true(tg_timesync_says(s));
	tg_timesync_free(s);
}

static void an_answer_from_before_the_clock_was_set_is_void(void **state)
{
	struct tg_timesync *s = sync_of(YES);

	(void) state;
	tg_timesync_turn(s, 1);
	run_calls(1);
	/* It is here, and not looked at yet. */
	tg_timesync_clock_set(s, 1795219200);
	fake.manner = NO;
	tg_timesync_turn(s, 2);
	assert_false(tg_timesync_says(s));
	run_calls(2);
	tg_timesync_turn(s, 3);
	assert_false(tg_timesync_says(s));
	tg_timesync_free(s);
}

static void without_an_answer_the_mark_decides(void **state)
{
	static const enum manner dumb[] = { ERROR, NONSENSE, HANGS_UP };
	bool mark = tg_wallclock_timesync_mark(NULL);

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(dumb); i++) {
		struct tg_timesync *s = sync_of(dumb[i]);

		fake.calls = 0;
		tg_timesync_turn(s, 1);
		run_calls(1);
		tg_timesync_turn(s, 2);
		assert_true(tg_timesync_says(s) == mark);
		tg_timesync_free(s);
	}
}

static void a_bus_that_does_not_answer_holds_up_nothing(void **state)
{
	static const enum manner dumb[] = { SILENT, MUTE };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(dumb); i++) {
		struct tg_timesync *s = sync_of(dumb[i]);
		uint64_t begin = tg_clock_boot_us();

		tg_timesync_turn(s, 1);
		run(50);
		tg_timesync_turn(s, 16 * TG_US_PER_S);
		tg_timesync_turn(s, 17 * TG_US_PER_S);
		assert_true(tg_clock_boot_us() - begin < 5 * TG_US_PER_S);
		fake.calls = 0;
		fake.manner = YES;
		tg_timesync_turn(s, 61 * TG_US_PER_S);
		run_calls(1);
		tg_timesync_turn(s, 62 * TG_US_PER_S);
		assert_true(tg_timesync_says(s));
		tg_timesync_free(s);
	}
}

static void without_a_bus_it_lives(void **state)
{
	struct tg_timesync *s = sync_of(YES);

	(void) state;
	assert_int_equal(setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1), 0);
	for (uint64_t t = 1; t < 1000; t++) {
		tg_timesync_turn(s, t * TG_US_PER_S);
		if (t % 100 == 0)
			tg_timesync_clock_set(s, 1795219200);
	}
	assert_true(!tg_timesync_says(s) || strcmp(tg_timesync_service(s), "timesyncd") == 0);
	tg_timesync_free(s);
}

static void on_set(void *user)
{
	(void) user;
	fail();
}

static void the_watch_stands_and_is_quiet_while_nobody_sets_the_clock(void **state)
{
	struct tg_timewatch w = TG_TIMEWATCH_NULL;

	(void) state;
	tg_timewatch_done(&w);
	assert_int_equal(tg_timewatch_init(&w, fake.loop, on_set, NULL), 0);
	run(50);
	assert_int_equal(sd_event_source_get_enabled(w.io, NULL), 1);
	tg_timewatch_done(&w);
	assert_int_equal(w.fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(what_timedate1_says_counts),
		TEST(a_clock_that_was_set_is_asked_about_at_once),
		TEST(an_answer_from_before_the_clock_was_set_is_void),
		TEST(without_an_answer_the_mark_decides),
		TEST(a_bus_that_does_not_answer_holds_up_nothing),
		TEST(without_a_bus_it_lives),
		TEST(the_watch_stands_and_is_quiet_while_nobody_sets_the_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
