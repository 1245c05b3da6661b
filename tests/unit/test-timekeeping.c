/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/timekeeping/timekeeping.h"

#include "agent/timekeeping/timesaver.h"
#include "base/clock.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define YEAR INT64_C(31536000)

static char dir[64], file[128];
static sd_event *loop;
static unsigned changes;
static struct tg_time_change last;

static int set_up(void **state)
{
	(void) state;
	changes = 0;
	(void) snprintf(dir, sizeof(dir), "/tmp/tg-time-XXXXXX");
	/* Nobody answers: what this machine thinks of its clock is of no matter here. */
	if (!mkdtemp(dir) || setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent", 1) < 0)
		return -1;
	(void) snprintf(file, sizeof(file), "%s/" TG_FILE_SAVED_TIME, dir);
	return sd_event_new(&loop) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void) state;
	loop = sd_event_unref(loop);
	(void) unlink(file);
	return rmdir(dir);
}

static void on_change(void *user, const struct tg_time_change *change)
{
	assert_ptr_equal(user, dir);
	changes++;
	last = *change;
}

static struct tg_timekeeping *keeping(void)
{
	struct tg_timekeeping *t = NULL;

	assert_int_equal(tg_timekeeping_new(loop, dir, on_change, dir, &t), 0);
	return t;
}

static void end(struct tg_timekeeping *t)
{
	assert_int_equal(tg_timekeeping_stop(t, 10 * TG_US_PER_S), 0);
	tg_timekeeping_free(t);
}

static int64_t wall_s(void)
{
	return tg_clock_wall_us() / (int64_t) TG_US_PER_S;
}

static void a_proof_makes_a_clock_that_is_behind_it_suspect_at_once(void **state)
{
	struct tg_timekeeping *t = keeping();
	int64_t far = wall_s() + YEAR;

	(void) state;
	tg_timekeeping_refresh(t);
	assert_int_equal(changes, 1);
	tg_timekeeping_raise_floor(t, TG_FLOOR_PEER, 1);
	assert_true(tg_timekeeping_floor(t) > 1700000000);
	tg_timekeeping_raise_floor(t, TG_FLOOR_PEER, far);
	assert_true(tg_timekeeping_floor(t) >= far && tg_timekeeping_floor(t) < far + 60);
	assert_int_equal(tg_timekeeping_now(t).trust, TG_CLOCK_SUSPECT);
	assert_true(tg_timekeeping_believed_s(t) >= far);
	tg_timekeeping_refresh(t);
	assert_int_equal(changes, 2);
	assert_int_equal(last.is.trust, TG_CLOCK_SUSPECT);
	assert_int_equal(last.is.source, TG_FLOOR_PEER);
	assert_true(last.step_us == 0 && last.is.jumps == 0);
	/* Nothing new: nothing is told. */
	tg_timekeeping_refresh(t);
	assert_int_equal(changes, 2);
	end(t);
}

static void a_clock_that_nobody_confirms_is_waited_for_first(void **state)
{
	struct tg_timekeeping *t = keeping();
	struct tg_time_state s;

	(void) state;
	tg_timekeeping_refresh(t);
	tg_timekeeping_state(t, &s);
	/* Where this machine's timesyncd has left its mark there is nothing to wait for. */
	assert_true(s.waiting == (s.trust == TG_CLOCK_UNCONFIRMED));
	assert_true(s.believed_s >= wall_s() - 60 && s.believed_s <= wall_s() + 1);
	end(t);
}

static void the_offset_turns_boot_time_into_wall_time(void **state)
{
	struct tg_timekeeping *t = keeping();
	int64_t wall;

	(void) state;
	wall = (int64_t) tg_clock_boot_us() + tg_timekeeping_now(t).wall_offset_us;
	assert_true(wall > tg_clock_wall_us() - 60 * (int64_t) TG_US_PER_S);
	assert_true(wall < tg_clock_wall_us() + 60 * (int64_t) TG_US_PER_S);
	end(t);
}

static void what_was_proved_is_known_at_the_next_start(void **state)
{
	struct tg_timekeeping *t = keeping();
	int64_t far = wall_s() + YEAR;
	struct tg_time_state s;

	(void) state;
	tg_timekeeping_refresh(t);
	tg_timekeeping_raise_floor(t, TG_FLOOR_PEER, far);
	tg_timekeeping_refresh(t);
	end(t);
	t = keeping();
	tg_timekeeping_state(t, &s);
	assert_int_equal(s.trust, TG_CLOCK_SUSPECT);
	assert_int_equal(s.source, TG_FLOOR_SAVED);
	assert_true(s.floor_s >= far);
	end(t);
}

static void a_damaged_saved_time_does_not_keep_the_agent_from_starting(void **state)
{
	struct tg_timekeeping *t;
	struct tg_time_state s;

	(void) state;
	assert_int_equal(symlink("/dev/zero", file), 0);
	t = keeping();
	tg_timekeeping_refresh(t);
	tg_timekeeping_state(t, &s);
	assert_int_not_equal(s.source, TG_FLOOR_SAVED);
	end(t);
}

static bool offered(struct tg_timesaver *s, int64_t wall, uint64_t boot_s, bool exact)
{
	bool begun = tg_timesaver_offer(s, wall, boot_s * TG_US_PER_S, exact);

	assert_int_equal(tg_timesaver_stop(s, 10 * TG_US_PER_S), 0);
	return begun;
}

static void the_time_is_saved_once_an_hour_at_most(void **state)
{
	struct tg_timesaver *s = NULL;
	struct tg_saved_time got;
	unsigned writes = 0;

	(void) state;
	assert_int_equal(tg_timesaver_new(dir, 1000000, &s), 0);
	for (uint64_t boot = 10; boot < 10 + 24 * 3600; boot += 7)
		writes += offered(s, 1000000 + (int64_t) boot, boot, true);
	assert_in_range(writes, 22, 24);
	/* A clock that is set each minute does not wear the card out. */
	for (uint64_t boot = 90000; boot < 90000 + 3600; boot += 60)
		writes += offered(s, (int64_t) (boot % 120) * 100000 + 5, boot, true);
	assert_in_range(writes, 22, 26);
	assert_int_equal(tg_saved_time_read(dir, &got, NULL), 0);
	tg_timesaver_free(s);
}

static void a_floor_is_saved_when_it_rises_and_a_clock_also_when_it_falls(void **state)
{
	struct tg_timesaver *s = NULL;
	struct tg_saved_time got;

	(void) state;
	assert_int_equal(tg_timesaver_new(dir, 1000000, &s), 0);
	assert_false(offered(s, 1003599, 1, false));
	assert_false(offered(s, 900000, 1, false));
	assert_int_equal(tg_saved_time_read(dir, &got, NULL), -ENOENT);
	assert_true(offered(s, 1003600, 1, false));
	assert_false(offered(s, 500000, 3600, true));
	assert_true(offered(s, 500000, 3601, true));
	assert_int_equal(tg_saved_time_read(dir, &got, NULL), 0);
	assert_true(got.wall_s == 500000 && got.boot_us == 3601 * TG_US_PER_S);
	tg_timesaver_free(s);
}

static void a_directory_that_refuses_is_tried_again_an_hour_later(void **state)
{
	struct tg_timesaver *s = NULL;

	(void) state;
	assert_int_equal(tg_timesaver_new("/nonexistent/dir", 0, &s), 0);
	assert_true(offered(s, 10000, 1, true));
	assert_false(offered(s, 20000, 2, true));
	assert_true(offered(s, 20000, 3601, true));
	tg_timesaver_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(a_proof_makes_a_clock_that_is_behind_it_suspect_at_once),
		TEST(a_clock_that_nobody_confirms_is_waited_for_first),
		TEST(the_offset_turns_boot_time_into_wall_time),
		TEST(what_was_proved_is_known_at_the_next_start),
		TEST(a_damaged_saved_time_does_not_keep_the_agent_from_starting),
		TEST(the_time_is_saved_once_an_hour_at_most),
		TEST(a_floor_is_saved_when_it_rises_and_a_clock_also_when_it_falls),
		TEST(a_directory_that_refuses_is_tried_again_an_hour_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
