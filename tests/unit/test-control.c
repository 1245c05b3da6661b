/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/control/server.h"

#include "base/clock.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct bench {
	sd_event *loop;
	struct tg_control *control;
	char dir[64], path[96];
	tg_client last;
	unsigned requests;
	char line[TG_CONTROL_REQUEST_MAX];
};

static void on_request(void *user, tg_client client, const char *line, size_t len)
{
	struct bench *b = user;

	b->requests++;
	b->last = client;
	memcpy(b->line, line, len + 1);
	if (strcmp(line, "hello") == 0)
		tg_control_answer(b->control, client, "{\"hi\":1}", 0);
	else if (strcmp(line, "no") == 0)
		tg_control_refuse(b->control, client, 78, "a \"bad\" thing");
	else if (strcmp(line, "watch") == 0)
		tg_control_answer(b->control, client, "{}", 1);
}

static int setup(void **state)
{
	static struct bench b;

	memset(&b, 0, sizeof(b));
	(void) snprintf(b.dir, sizeof(b.dir), "/tmp/tidegate-control-XXXXXX");
	assert_non_null(mkdtemp(b.dir));
	(void) snprintf(b.path, sizeof(b.path), "%s/s", b.dir);
	assert_return_code(sd_event_new(&b.loop), 0);
	assert_int_equal(tg_control_new(b.loop, b.path, "", on_request, &b, &b.control, NULL), 0);
	*state = &b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	tg_control_free(b->control);
	sd_event_unref(b->loop);
	assert_int_equal(rmdir(b->dir), 0); /* the socket is gone */
	return 0;
}

static int dial(const struct bench *b)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, b->path, strlen(b->path) + 1);
	assert_int_equal(connect(fd, (const struct sockaddr *) &a, sizeof(a)), 0);
	return fd;
}

static void spin(struct bench *b, int turns)
{
	for (int i = 0; i < turns; i++)
		assert_true(sd_event_run(b->loop, 1000) >= 0);
}

static void say(int fd, const char *s)
{
	assert_int_equal(send(fd, s, strlen(s), MSG_NOSIGNAL), (ssize_t) strlen(s));
}

/* Reads what has arrived; returns -1 at the end of the stream with nothing read. */
static ssize_t hear(int fd, char *out, size_t size)
{
	ssize_t n = recv(fd, out, size - 1, 0);

	out[n > 0 ? n : 0] = '\0';
	return n == 0 ? -1 : n;
}

static void answers_one_request_and_hangs_up(void **state)
{
	struct bench *b = *state;
	char text[256];
	int fd = dial(b);

	say(fd, "hel");
	spin(b, 3);
	assert_int_equal(b->requests, 0);
	say(fd, "lo\nmore\n");
	spin(b, 5);
	assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_string_equal(text, "{\"ok\":true,\"data\":{\"hi\":1}}\n");
	assert_int_equal(hear(fd, text, sizeof(text)), -1);
	assert_int_equal(b->requests, 1);
	(void) close(fd);
}

static void a_refusal_is_quoted_as_json(void **state)
{
	struct bench *b = *state;
	char text[256];
	int fd = dial(b);

	say(fd, "no\n");
	spin(b, 5);
	assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_string_equal(text, "{\"ok\":false,\"code\":78,\"error\":\"a \\\"bad\\\" thing\"}\n");
	(void) close(fd);
}

static void a_request_without_end_is_refused(void **state)
{
	struct bench *b = *state;
	char big[TG_CONTROL_REQUEST_MAX + 10], text[256];
	int fd = dial(b);

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	(void) !send(fd, big, sizeof(big) - 1, MSG_NOSIGNAL);
	spin(b, 5);
	assert_int_equal(b->requests, 0);
	/* Reset or answered: gone in either case, and the next client is served. */
	(void) hear(fd, text, sizeof(text));
	(void) close(fd);
	answers_one_request_and_hangs_up(state);
}

static void too_many_clients_are_told_so(void **state)
{
	struct bench *b = *state;
	int fds[TG_CONTROL_CLIENTS], one;
	char text[256];

	for (size_t i = 0; i < TG_CONTROL_CLIENTS; i++) {
		fds[i] = dial(b);
		spin(b, 1);
	}
	one = dial(b);
	spin(b, 3);
	assert_true(hear(one, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "too many"));
	(void) close(one);
	for (size_t i = 0; i < TG_CONTROL_CLIENTS; i++)
		(void) close(fds[i]);
	spin(b, TG_CONTROL_CLIENTS + 2);
	answers_one_request_and_hangs_up(state);
}

static void a_watcher_that_never_reads_loses_lines_and_costs_a_bounded_queue(void **state)
{
	struct bench *b = *state;
	char line[1000];
	unsigned taken = 0, lost = 0;
	int fd = dial(b);

	memset(line, 'y', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	say(fd, "watch\n");
	spin(b, 4);
	for (int i = 0; i < 5000; i++) {
		int r = tg_control_line(b->control, b->last, line);

		assert_true(r == 0 || r == -EAGAIN);
		taken += r == 0;
		lost += r == -EAGAIN;
	}
	assert_true(lost > 0);
	assert_true((size_t) taken * sizeof(line) < 2 * TG_CONTROL_ANSWER_MAX);
	(void) close(fd);
	spin(b, 4);
	assert_int_equal(tg_control_line(b->control, b->last, line), -ENOTCONN);
}

static void an_answer_for_a_client_that_left_is_a_no_op(void **state)
{
	struct bench *b = *state;
	int fd = dial(b);

	say(fd, "later\n");
	spin(b, 4);
	assert_int_equal(b->requests, 1);
	(void) close(fd);
	spin(b, 4);
	tg_control_answer(b->control, b->last, "{}", 0);
	tg_control_refuse(b->control, b->last, 1, "x");
}

static void a_client_that_has_said_all_still_gets_its_answer(void **state)
{
	struct bench *b = *state;
	char text[256];
	int fd = dial(b);

	say(fd, "later\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	spin(b, 4);
	assert_int_equal(b->requests, 1);
	tg_control_answer(b->control, b->last, "{\"hi\":2}", 0);
	assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_string_equal(text, "{\"ok\":true,\"data\":{\"hi\":2}}\n");
	(void) close(fd);

	/* Gone altogether it is forgotten, be it mute or not. */
	fd = dial(b);
	say(fd, "watch\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	spin(b, 4);
	assert_int_equal(tg_control_line(b->control, b->last, "{}"), 0);
	(void) close(fd);
	spin(b, 2);
	assert_int_equal(tg_control_line(b->control, b->last, "{}"), -ENOTCONN);
}

static void without_fds_the_loop_rests_and_the_client_is_served_later(void **state)
{
	struct bench *b = *state;
	int fd = dial(b), wasted[64], n = 0, turns = 0;
	struct rlimit before, none;
	uint64_t until;
	char text[256];

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	while (n < 64 && (wasted[n] = dup(fd)) >= 0)
		n++;
	say(fd, "hello\n");
	for (until = tg_clock_boot_us() + 300 * TG_US_PER_MS; tg_clock_boot_us() < until; turns++)
		assert_true(sd_event_run(b->loop, 100 * TG_US_PER_MS) >= 0);
	while (n > 0)
		(void) close(wasted[--n]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(turns < 20);
	for (int i = 0; i < 100 && b->requests == 0; i++)
		assert_true(sd_event_run(b->loop, 100 * TG_US_PER_MS) >= 0);
	assert_true(hear(fd, text, sizeof(text)) > 0);
	assert_string_equal(text, "{\"ok\":true,\"data\":{\"hi\":1}}\n");
	(void) close(fd);
}

static void the_socket_is_for_owner_and_group_only(void **state)
{
	struct bench *b = *state;
	struct stat st;

	assert_int_equal(stat(b->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
}

static void a_second_agent_does_not_steal_the_socket(void **state)
{
	struct bench *b = *state;
	struct tg_control *other = NULL;

	assert_int_equal(tg_control_new(b->loop, b->path, "", on_request, b, &other, NULL), -EADDRINUSE);
}

#define WITH_BENCH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BENCH(answers_one_request_and_hangs_up),
		WITH_BENCH(a_refusal_is_quoted_as_json),
		WITH_BENCH(a_request_without_end_is_refused),
		WITH_BENCH(too_many_clients_are_told_so),
		WITH_BENCH(a_watcher_that_never_reads_loses_lines_and_costs_a_bounded_queue),
		WITH_BENCH(an_answer_for_a_client_that_left_is_a_no_op),
		WITH_BENCH(a_client_that_has_said_all_still_gets_its_answer),
		WITH_BENCH(without_fds_the_loop_rests_and_the_client_is_served_later),
		WITH_BENCH(the_socket_is_for_owner_and_group_only),
		WITH_BENCH(a_second_agent_does_not_steal_the_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
