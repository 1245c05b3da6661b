/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/keeper.h"

#include "base/clock.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const enum tg_enrol_class classes[] = { TG_ENROL_RETRY, TG_ENROL_REFUSED, TG_ENROL_BAD_ANSWER, TG_ENROL_LOCAL };

static void no_pause_is_short_or_endless(void **state)
{
	(void) state;
	for (size_t c = 0; c < TG_ARRAY_SIZE(classes); c++) {
		for (unsigned failures = 1; failures < 200; failures++) {
			uint64_t low = tg_keeper_pause_us(classes[c], failures, 0);
			uint64_t high = tg_keeper_pause_us(classes[c], failures, UINT64_MAX);

			assert_true(low >= 2 * TG_US_PER_S);
			assert_true(high <= 7 * 3600 * TG_US_PER_S);
		}
	}
}

static void a_refusal_is_repeated_far_more_slowly_than_a_network_fault(void **state)
{
	(void) state;
	for (unsigned failures = 1; failures < 20; failures++)
		assert_true(tg_keeper_pause_us(TG_ENROL_REFUSED, failures, 0) >
			    10 * tg_keeper_pause_us(TG_ENROL_RETRY, failures, 0));
}

static void pauses_spread_over_a_growing_range(void **state)
{
	uint64_t early = 0, late = 0;

	(void) state;
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t rnd = i * UINT64_C(0x9e3779b97f4a7c15);
		uint64_t a = tg_keeper_pause_us(TG_ENROL_RETRY, 1, rnd), b = tg_keeper_pause_us(TG_ENROL_RETRY, 7, rnd);

		early = a > early ? a : early;
		late = b > late ? b : late;
	}
	assert_true(late > 10 * early);
}

static void on_change(void *user)
{
	(void) user;
}

/* Runs @script as the helper until it has made DIR/ready; the keeper then has a child that runs. */
static struct tg_keeper *run_helper(sd_event *loop, const char *dir, const char *script)
{
	static char helper[128], ready[128];
	struct tg_config cfg = { .enrolment.method = TG_ENROL_AWS_FLEET };
	struct tg_keeper_options o = { helper, "/dev/null", dir };
	struct tg_keeper *k = NULL;
	FILE *f;

	(void) snprintf(helper, sizeof(helper), "%s/helper", dir);
	(void) snprintf(ready, sizeof(ready), "%s/ready", dir);
	f = fopen(helper, "we");
	assert_non_null(f);
	(void) fprintf(f, "#!/bin/sh\n%s\n", script);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(helper, 0700), 0);
	assert_int_equal(tg_keeper_new(loop, &o, on_change, NULL, &k), 0);
	assert_int_equal(tg_keeper_configure(k, &cfg), 0);
	for (int i = 0; i < 500 && access(ready, F_OK) < 0; i++)
		assert_true(sd_event_run(loop, 20 * TG_US_PER_MS) >= 0);
	assert_int_equal(access(ready, F_OK), 0);
	assert_int_equal(unlink(ready), 0);
	assert_int_equal(unlink(helper), 0);
	return k;
}

static void ends_a_helper_that_does_not_obey(void **state)
{
	char dir[] = "/tmp/tidegate-keeper-XXXXXX";
	sd_event *loop = NULL;
	struct tg_keeper *k;

	(void) state;
	assert_non_null(mkdtemp(dir));
	assert_return_code(sd_event_new(&loop), 0);
	k = run_helper(loop, dir, "trap '' TERM; echo >${0%helper}ready; exec sleep 600");
	/* A stop that waits for such a helper would not get round to the spool. */
	(void) alarm(30);
	tg_keeper_free(k);
	(void) alarm(0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	sd_event_unref(loop);
	assert_int_equal(rmdir(dir), 0);
}

static void a_helper_inherits_no_files(void **state)
{
	char dir[] = "/tmp/tidegate-keeper-XXXXXX";
	int leak = dup2(STDOUT_FILENO, 99); /* as a library does: without O_CLOEXEC */
	sd_event *loop = NULL;

	(void) state;
	assert_int_equal(leak, 99);
	assert_non_null(mkdtemp(dir));
	assert_return_code(sd_event_new(&loop), 0);
	tg_keeper_free(run_helper(loop, dir, "[ -e /proc/$$/fd/99 ] || echo >${0%helper}ready; exec sleep 600"));
	(void) close(leak);
	sd_event_unref(loop);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	sigset_t child;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_pause_is_short_or_endless),
		cmocka_unit_test(a_refusal_is_repeated_far_more_slowly_than_a_network_fault),
		cmocka_unit_test(pauses_spread_over_a_growing_range),
		cmocka_unit_test(ends_a_helper_that_does_not_obey),
		cmocka_unit_test(a_helper_inherits_no_files),
	};

	/* As the agent does before its first thread. */
	(void) sigemptyset(&child);
	(void) sigaddset(&child, SIGCHLD);
	(void) sigprocmask(SIG_BLOCK, &child, NULL);

	return cmocka_run_group_tests(tests, NULL, NULL);
}
