/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/helper_process.h"

#include "base/clock.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct end {
	unsigned times;
	enum tg_helper_end how;
	int code;
};

static char helper[64];

static void on_end(void *user, enum tg_helper_end how, int code)
{
	struct end *e = user;

	e->times++;
	e->how = how;
	e->code = code;
}

static void write_helper(const char *script)
{
	FILE *f = fopen(helper, "we");

	assert_non_null(f);
	(void) fprintf(f, "#!/bin/sh\n%s\n", script);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(helper, 0700), 0);
}

/* Runs @script with @patience_us until its end is told. */
static struct end run(const char *script, uint64_t patience_us)
{
	const struct tg_helper_order o = { .path = helper,
					   .config_path = "/dev/null",
					   .state_dir = "/",
					   .patience_us = patience_us };
	struct tg_helper_process *h = NULL;
	struct end e = { .times = 0 };
	sd_event *loop = NULL;

	write_helper(script);
	assert_return_code(sd_event_new(&loop), 0);
	assert_int_equal(tg_helper_process_start(loop, &o, on_end, &e, &h), 0);
	for (int i = 0; i < 3000 && !e.times; i++)
		assert_true(sd_event_run(loop, 20 * TG_US_PER_MS) >= 0);
	assert_int_equal(e.times, 1);
	assert_null(tg_helper_process_free(h));
	sd_event_unref(loop);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return e;
}

static void tells_how_it_ended(void **state)
{
	struct end e = run("exit 78", 60 * TG_US_PER_S);

	(void) state;
	assert_int_equal(e.how, TG_HELPER_EXITED);
	assert_int_equal(e.code, 78);
	e = run("kill -SEGV $$", 60 * TG_US_PER_S);
	assert_int_equal(e.how, TG_HELPER_KILLED);
	assert_int_equal(e.code, SIGSEGV);
}

static void one_that_takes_too_long_is_told_to_end(void **state)
{
	(void) state;
	assert_int_equal(run("exec sleep 600", 100 * TG_US_PER_MS).how, TG_HELPER_HUNG);
}

/* What it has to say for itself counts, if it has something to say. */
static void one_that_ends_in_order_when_told_has_ended_by_itself(void **state)
{
	struct end e = run("trap 'exit 1' TERM; while :; do sleep 0.05; done", 300 * TG_US_PER_MS);

	(void) state;
	assert_int_equal(e.how, TG_HELPER_EXITED);
	assert_int_equal(e.code, 1);
}

static void one_that_does_not_obey_is_killed(void **state)
{
	uint64_t begun = tg_clock_boot_us();

	(void) state;
	assert_int_equal(run("trap '' TERM; exec sleep 600", 100 * TG_US_PER_MS).how,
			 TG_HELPER_HUNG);
	assert_true(tg_clock_boot_us() - begun >= TG_HELPER_GRACE_US);
}

static void what_cannot_be_started_is_told_at_once(void **state)
{
	const struct tg_helper_order o = { .path = "/nonexistent",
					   .config_path = "/",
					   .state_dir = "/" };
	struct tg_helper_process *h = NULL;
	struct end e = { .times = 0 };
	sd_event *loop = NULL;

	(void) state;
	assert_return_code(sd_event_new(&loop), 0);
	assert_int_equal(tg_helper_process_start(loop, &o, on_end, &e, &h), -ENOENT);
	assert_null(h);
	assert_int_equal(e.times, 0);
	sd_event_unref(loop);
}

static int make_dir(void **state)
{
	static char dir[] = "/tmp/tidegate-helper-XXXXXX";

	*state = mkdtemp(dir);
	(void) snprintf(helper, sizeof(helper), "%s/helper", dir);
	return *state ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void) unlink(helper);
	return rmdir(*state);
}

int main(void)
{
	sigset_t child;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_how_it_ended),
		cmocka_unit_test(one_that_takes_too_long_is_told_to_end),
		cmocka_unit_test(one_that_ends_in_order_when_told_has_ended_by_itself),
		cmocka_unit_test(one_that_does_not_obey_is_killed),
		cmocka_unit_test(what_cannot_be_started_is_told_at_once),
	};

	/* As the agent does before its first thread. */
	(void) sigemptyset(&child);
	(void) sigaddset(&child, SIGCHLD);
	(void) sigprocmask(SIG_BLOCK, &child, NULL);

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
