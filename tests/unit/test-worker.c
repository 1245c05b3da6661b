/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The worker with a driver that answers as it is told. The driver, the pipeline and the
 * configuration's reference count are this file's own; time is real, so nothing here depends on a
 * deadline being met, only on one not being missed by seconds.
 */
#include "agent/bus/worker.h"
#include "base/clock.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MS      TG_US_PER_MS
#define DEVICES 3
#define POINTS  2
#define TEXT(s) ((char *) (uintptr_t) (s))

static struct tg_config_point points[POINTS] = {
	{ .name = TEXT("x"), .unit = TEXT("Cel"), .scale = 1 },
	{ .name = TEXT("y"), .unit = TEXT(""), .scale = 1 },
};
static struct tg_config_device devices[DEVICES];
static struct tg_config_bus bus = { .name = TEXT("line"), .type = TG_BUS_SIM, .origin = "t:1" };
static struct tg_config cfg = { .buses = &bus, .n_buses = 1, .devices = devices };

/* What the driver does, and what came of it; under the lock. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int result[DEVICES]; /* of poll */
	bool bad_point, lies;
	unsigned slow_ms, plan_fails_at, plans, open_plans, open_buses;
	unsigned polls[DEVICES], packs[DEVICES];
	struct tg_sample last[DEVICES][POINTS];
	char reasons[DEVICES][TG_REASON_MAX + 1]; /* of the first sample */
	struct tg_device_state state[DEVICES];
	struct tg_bus_state bus;
	bool listens;     /* the driver does, and polls nobody */
	int listen_result;
	uint64_t heard_us; /* its stamp of what was heard last, after slow_ms */
	unsigned speaks;  /* values to be heard, of the first point of each device */
	unsigned retries; /* of the last poll */
	unsigned good[DEVICES], dead[DEVICES]; /* reports of a device */
	char thread[16];
	int refs;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

/* --- doubles --- */

struct tg_config *tg_config_ref(struct tg_config *c)
{
	seen.refs++;
	return c;
}

struct tg_config *tg_config_unref(struct tg_config *c)
{
	seen.refs--;
	(void) c;
	return NULL;
}

void tg_pipeline_submit(struct tg_pipeline *p, size_t device, const struct tg_sample *samples,
			size_t n)
{
	(void) p;
	(void) pthread_mutex_lock(&seen.lock);
	assert_true(n > 0 && n <= POINTS && device < DEVICES);
	assert_true(n == POINTS || seen.listens);
	memcpy(seen.last[device], samples, n * sizeof(*samples));
	(void) snprintf(seen.reasons[device], sizeof(seen.reasons[device]), "%s",
			samples[0].reason);
	seen.packs[device]++;
	(void) pthread_cond_broadcast(&seen.cond);
	(void) pthread_mutex_unlock(&seen.lock);
}

void tg_pipeline_show(struct tg_pipeline *p, size_t device, const struct tg_sample *samples,
		      size_t n)
{
	tg_pipeline_submit(p, device, samples, n);
}

static void changed(void *user, const struct tg_device_state *state)
{
	(void) user;
	(void) pthread_mutex_lock(&seen.lock);
	assert_ptr_equal(state->cfg, &cfg);
	seen.state[state->device] = *state;
	seen.good[state->device] += state->health == TG_DEVICE_OK;
	seen.dead[state->device] += state->health == TG_DEVICE_DEAD;
	(void) pthread_cond_broadcast(&seen.cond);
	(void) pthread_mutex_unlock(&seen.lock);
}

static void bus_changed(void *user, const struct tg_bus_state *state)
{
	(void) user;
	(void) pthread_mutex_lock(&seen.lock);
	assert_true(state->cfg == &cfg && state->bus == 0);
	seen.bus = *state;
	(void) pthread_cond_broadcast(&seen.cond);
	(void) pthread_mutex_unlock(&seen.lock);
}

static const struct tg_worker_setup setup = {
	.cfg = &cfg,
	.device_changed = changed,
	.bus_changed = bus_changed,
};

static int sim_open(const struct tg_config *c, size_t index, struct tg_bus **ret,
		    struct tg_fault *reterr)
{
	(void) reterr;
	assert_true(c == &cfg && index == 0);
	seen.open_buses++;
	*ret = (struct tg_bus *) &seen;
	return 0;
}

static int sim_plan(struct tg_bus *b, const struct tg_config_device *dev, void **ret_plan,
		    struct tg_fault *reterr)
{
	(void) b;
	if (++seen.plans == seen.plan_fails_at)
		return tg_fault_set(reterr, -ERANGE, "no such register");
	seen.open_plans++;
	*ret_plan = (void *) (uintptr_t) dev;
	return 0;
}

static void sim_plan_free(void *plan)
{
	seen.open_plans -= plan != NULL;
}

static uint64_t sim_patience_us(struct tg_bus *b, const struct tg_config_device *dev, void *plan)
{
	(void) b;
	(void) plan;
	return dev->timeout_us;
}

static int sim_poll(struct tg_bus *b, const struct tg_config_device *dev, void *plan,
		    unsigned retries, struct tg_sample *out, struct tg_fault *reterr)
{
	size_t i = (size_t) (dev - devices);
	unsigned slow_ms;
	int r;

	(void) b;
	assert_ptr_equal(plan, dev);
	(void) pthread_mutex_lock(&seen.lock);
	seen.retries = retries;
	seen.polls[i]++;
	slow_ms = seen.slow_ms;
	r = seen.result[i];
	(void) pthread_getname_np(pthread_self(), seen.thread, sizeof(seen.thread));
	for (size_t k = 0; k < POINTS && (r >= 0 || seen.lies); k++) {
		out[k].value = (struct tg_value){ .type = TG_VALUE_INT, .i = 7 };
		out[k].quality = TG_GOOD;
		out[k].reason = "";
		out[k].boot_us = tg_clock_boot_us();
	}
	if (seen.bad_point)
		out[1] = (struct tg_sample){
			.point = "y", .unit = "", .reason = "broken wire", .quality = TG_BAD
		};
	(void) pthread_mutex_unlock(&seen.lock);

	if (slow_ms > 0)
		(void) nanosleep(&(struct timespec){ .tv_nsec = slow_ms * 1000000L }, NULL);
	return r < 0 ? tg_fault_set(reterr, r, "timeout") : r;
}

static void sim_close(struct tg_bus *b)
{
	seen.open_buses -= b != NULL;
}

static bool sim_asked(struct tg_bus *b, const struct tg_config_device *dev)
{
	(void) b;
	(void) dev;
	return !seen.listens;
}

static int sim_listen_fd(struct tg_bus *b, uint64_t *ret_wake_us)
{
	(void) b;
	*ret_wake_us = seen.listens ? tg_clock_boot_us() + 5 * MS : TG_US_FOREVER;
	return -1;
}

static int sim_listen(struct tg_bus *b, const struct tg_bus_ear *ear, struct tg_fault *reterr)
{
	struct tg_sample s = { .value = { .type = TG_VALUE_INT, .i = 10 }, .quality = TG_GOOD, .reason = "" };
	unsigned speaks, slow_ms;
	int r;

	(void) b;
	(void) pthread_mutex_lock(&seen.lock);
	speaks = seen.speaks;
	seen.speaks = 0;
	slow_ms = seen.slow_ms;
	r = seen.listen_result;
	(void) pthread_mutex_unlock(&seen.lock);
	if (r < 0)
		return tg_fault_set(reterr, r, "unplugged");
	if (speaks && slow_ms)
		(void) nanosleep(&(struct timespec){ .tv_nsec = slow_ms * 1000000L }, NULL);
	s.boot_us = tg_clock_boot_us();
	if (speaks) {
		(void) pthread_mutex_lock(&seen.lock);
		seen.heard_us = s.boot_us;
		(void) pthread_mutex_unlock(&seen.lock);
	}
	for (unsigned i = 0; i < speaks; i++) {
		for (size_t d = 0; d < cfg.n_devices; d++)
			ear->heard(ear->user, &devices[d], 0, &s);
	}
	if (speaks)
		ear->dropped(ear->user, 3);
	return 0;
}

static const struct tg_bus_driver sim = {
	.name = "sim",
	.type = TG_BUS_SIM,
	.open = sim_open,
	.plan = sim_plan,
	.plan_free = sim_plan_free,
	.patience_us = sim_patience_us,
	.asked = sim_asked,
	.poll = sim_poll,
	.listen_fd = sim_listen_fd,
	.listen = sim_listen,
	.close = sim_close,
};

const struct tg_bus_driver *tg_bus_driver_get(enum tg_bus_type type)
{
	return type == TG_BUS_SIM ? &sim : NULL;
}

/* --- helpers --- */

static struct tg_worker *start(size_t n, uint64_t every_us)
{
	struct tg_worker *w = NULL;

	cfg.n_devices = n;
	for (size_t i = 0; i < n; i++)
		devices[i].every_us = every_us;
	assert_int_equal(tg_worker_new(&setup, &w, NULL), 0);
	return w;
}

/* Waits until *@count, which is under the lock, has reached @want. */
static void wait_for(const unsigned *count, unsigned want)
{
	struct timespec until;

	(void) clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	(void) pthread_mutex_lock(&seen.lock);
	while (*count < want) {
		if (pthread_cond_timedwait(&seen.cond, &seen.lock, &until) == ETIMEDOUT) {
			(void) pthread_mutex_unlock(&seen.lock);
			fail_msg("waited in vain");
		}
	}
	(void) pthread_mutex_unlock(&seen.lock);
}

static void set_result(size_t device, int r)
{
	(void) pthread_mutex_lock(&seen.lock);
	seen.result[device] = r;
	(void) pthread_mutex_unlock(&seen.lock);
}

static int set_up(void **state)
{
	(void) state;
	memset(&seen.result, 0, sizeof(seen) - offsetof(__typeof__(seen), result));
	for (size_t i = 0; i < DEVICES; i++) {
		devices[i] = (struct tg_config_device){
			.name = TEXT("dev"),
			.origin = "t:2",
			.every_us = 20 * MS,
			.timeout_us = 100 * MS,
			.backoff_us = 3600 * TG_US_PER_S,
			.points = points,
			.n_points = POINTS,
		};
	}
	bus.type = TG_BUS_SIM;
	return 0;
}

static int tear_down(void **state)
{
	(void) state;
	return seen.open_buses == 0 && seen.open_plans == 0 && seen.refs == 0 ? 0 : -1;
}

/* --- tests --- */

static void every_poll_makes_one_pack(void **state)
{
	struct tg_worker *w = start(3, 20 * MS);

	(void) state;
	for (size_t i = 0; i < 3; i++)
		wait_for(&seen.packs[i], 5);
	(void) tg_worker_free(w);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(seen.packs[i], seen.polls[i]);
		assert_int_equal(seen.state[i].polls, seen.polls[i]);
		assert_int_equal(seen.state[i].health, TG_DEVICE_OK);
		assert_string_equal(seen.state[i].error, "");
		assert_int_equal(seen.last[i][0].value.i, 7);
		assert_string_equal(seen.last[i][0].point, "x");
		assert_string_equal(seen.last[i][0].unit, "Cel");
	}
	assert_string_equal(seen.thread, "bus line");
}

static void silence_is_told_once_for_each_failed_poll(void **state)
{
	struct tg_worker *w;

	(void) state;
	seen.result[0] = -ETIMEDOUT;
	w = start(1, 10 * MS);
	wait_for(&seen.packs[0], 6);
	(void) tg_worker_free(w);
	assert_int_equal(seen.packs[0], seen.polls[0]);
	assert_int_equal(seen.state[0].failures, seen.polls[0]);
	assert_int_equal(seen.state[0].health, TG_DEVICE_DEAD);
	assert_string_equal(seen.state[0].error, "timeout");
	assert_int_equal(seen.state[0].last_ok_us, 0);
	/* 10, 20, 40 ms ...: after the sixth it is 320 ms, less what the last poll came late. */
	assert_true(seen.state[0].next_poll_us >= seen.state[0].last_poll_us + 50 * MS);
	for (size_t k = 0; k < POINTS; k++) {
		assert_int_equal(seen.last[0][k].quality, TG_BAD);
		assert_int_equal(seen.last[0][k].value.type, TG_VALUE_NONE);
	}
}

static void no_value_passes_when_the_device_did_not_answer(void **state)
{
	struct tg_worker *w;

	(void) state;
	seen.result[0] = -ETIMEDOUT;
	seen.lies = true;
	w = start(1, 10 * MS);
	wait_for(&seen.packs[0], 1);
	(void) tg_worker_free(w);
	assert_int_equal(seen.last[0][0].quality, TG_BAD);
	assert_int_equal(seen.last[0][0].value.type, TG_VALUE_NONE);
	assert_string_equal(seen.reasons[0], "timeout");
}

static void bad_points_and_retries_make_a_device_degraded(void **state)
{
	struct tg_worker *w;

	(void) state;
	seen.bad_point = true;
	w = start(1, 10 * MS);
	wait_for(&seen.packs[0], 1);
	(void) tg_worker_free(w);
	assert_int_equal(seen.state[0].health, TG_DEVICE_DEGRADED);
	assert_int_equal(seen.state[0].bad_points, 1);
	assert_string_equal(seen.state[0].error, "y: broken wire");

	seen.bad_point = false;
	seen.result[0] = 2;
	seen.packs[0] = 0;
	w = start(1, 10 * MS);
	wait_for(&seen.packs[0], 1);
	(void) tg_worker_free(w);
	assert_int_equal(seen.state[0].health, TG_DEVICE_DEGRADED);
	assert_int_equal(seen.state[0].bad_points, 0);
	assert_string_equal(seen.state[0].error, "answered after 2 retries");
}

static void a_request_polls_a_device_that_is_backed_off(void **state)
{
	struct tg_worker *w;
	unsigned packs;

	(void) state;
	seen.result[0] = -ETIMEDOUT;
	w = start(1, 100 * TG_US_PER_S);
	wait_for(&seen.packs[0], 1);
	packs = seen.packs[0];
	set_result(0, 0);
	assert_int_equal(tg_worker_poll_now(w, 0), 0);
	wait_for(&seen.packs[0], packs + 1);
	assert_int_equal(tg_worker_poll_now(w, 1), -EINVAL);
	(void) tg_worker_free(w);
	assert_int_equal(seen.state[0].health, TG_DEVICE_OK);
	assert_int_equal(seen.polls[0], 2);
}

static struct {
	struct tg_errand errand;
	unsigned runs, drops;
	char silence[TG_REASON_MAX + 1];
	char thread[16];
} errands[2];

static void run_errand(struct tg_errand *e, const struct tg_bus_hands *h)
{
	size_t i = (size_t) ((__typeof__(&errands[0])) (void *) e - errands);

	(void) pthread_mutex_lock(&seen.lock);
	assert_true(h->driver == &sim && h->bus == (struct tg_bus *) &seen && h->cfg == &cfg);
	(void) snprintf(errands[i].silence, sizeof(errands[i].silence), "%s", h->silence(h, i));
	(void) pthread_getname_np(pthread_self(), errands[i].thread, sizeof(errands[i].thread));
	h->progress(h);
	errands[i].runs++;
	(void) pthread_cond_broadcast(&seen.cond);
	(void) pthread_mutex_unlock(&seen.lock);
}

static void drop_errand(struct tg_errand *e)
{
	((__typeof__(&errands[0])) (void *) e)->drops++;
}

static void an_errand_runs_once_on_the_workers_thread(void **state)
{
	struct tg_worker *w;

	(void) state;
	memset(errands, 0, sizeof(errands));
	seen.result[1] = -ETIMEDOUT;
	w = start(2, 3600 * TG_US_PER_S);
	wait_for(&seen.packs[0], 1);
	wait_for(&seen.packs[1], 1);
	for (size_t i = 0; i < 2; i++) {
		errands[i].errand = (struct tg_errand){ .run = run_errand, .drop = drop_errand };
		assert_int_equal(tg_worker_errand(w, &errands[i].errand), 0);
		wait_for(&errands[i].runs, 1);
	}
	(void) tg_worker_free(w);
	assert_string_equal(errands[0].silence, "");
	assert_string_equal(errands[1].silence, "timeout");
	assert_string_equal(errands[0].thread, "bus line");
	assert_int_equal(errands[0].runs + errands[1].runs, 2);
	assert_int_equal(errands[0].drops + errands[1].drops, 0);
}

static void an_errand_that_the_worker_does_not_come_to_is_dropped(void **state)
{
	struct tg_worker *w;

	(void) state;
	memset(errands, 0, sizeof(errands));
	seen.slow_ms = 300;
	w = start(1, 3600 * TG_US_PER_S);
	wait_for(&seen.polls[0], 1);
	tg_worker_ask_stop(w);
	for (size_t i = 0; i < 2; i++) {
		errands[i].errand = (struct tg_errand){ .run = run_errand, .drop = drop_errand };
		assert_int_equal(tg_worker_errand(w, &errands[i].errand), 0);
	}
	(void) tg_worker_free(w);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(errands[i].runs + errands[i].drops, 1);
	assert_int_equal(errands[1].drops, 1);
}

static void one_dead_device_does_not_stop_the_others(void **state)
{
	struct tg_worker *w;

	(void) state;
	seen.result[1] = -ETIMEDOUT;
	w = start(3, 10 * MS);
	wait_for(&seen.packs[0], 30);
	wait_for(&seen.packs[2], 30);
	(void) tg_worker_free(w);
	assert_true(seen.polls[1] < 15);
	assert_int_equal(seen.state[0].health, TG_DEVICE_OK);
	assert_int_equal(seen.state[2].health, TG_DEVICE_OK);
}

static void when_the_bus_is_back_all_its_devices_are_asked(void **state)
{
	struct tg_worker *w;

	(void) state;
	for (size_t i = 0; i < 3; i++)
		seen.result[i] = -ENOTCONN;
	w = start(3, 1000 * TG_US_PER_S);
	for (size_t i = 0; i < 3; i++)
		wait_for(&seen.packs[i], 1);
	for (size_t i = 0; i < 3; i++)
		set_result(i, 0);
	assert_int_equal(tg_worker_poll_now(w, 1), 0);
	/* Their own next polls are a quarter of an hour off. */
	for (size_t i = 0; i < 3; i++)
		wait_for(&seen.packs[i], 2);
	(void) tg_worker_free(w);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(seen.state[i].health, TG_DEVICE_OK);
}

static void a_bus_that_comes_back_is_found_however_far_its_devices_are_backed_off(void **state)
{
	struct tg_worker *w;
	unsigned polls;

	(void) state;
	for (size_t i = 0; i < 3; i++)
		seen.result[i] = -ENOTCONN;
	w = start(3, 10 * MS);
	for (size_t i = 0; i < 3; i++)
		wait_for(&seen.dead[i], 3);
	polls = seen.polls[0] + seen.polls[1] + seen.polls[2];
	/* Told to all, tried by few. */
	assert_true(polls < 6);
	assert_int_equal(seen.bus.condition, TG_BUS_DOWN);
	assert_string_equal(seen.bus.error, "timeout");
	assert_string_equal(seen.reasons[1], "timeout");
	for (size_t i = 0; i < 3; i++)
		set_result(i, 0);
	for (size_t i = 0; i < 3; i++)
		wait_for(&seen.good[i], 1);
	(void) tg_worker_free(w);
}

static void a_device_that_is_backed_off_gets_no_retries(void **state)
{
	struct tg_worker *w;

	(void) state;
	devices[0].retries = 3;
	seen.result[0] = -ETIMEDOUT;
	w = start(1, 10 * MS);
	wait_for(&seen.packs[0], 1);
	assert_int_equal(seen.retries, 3);
	wait_for(&seen.packs[0], 2);
	assert_int_equal(seen.retries, 0);
	set_result(0, 0);
	wait_for(&seen.packs[0], 6);
	assert_int_equal(seen.retries, 3);
	(void) tg_worker_free(w);
}

static void what_is_heard_is_scaled_and_packed(void **state)
{
	struct tg_worker *w;

	(void) state;
	seen.listens = true;
	seen.speaks = 4;
	points[0].scale = 0.1;
	devices[0].gather_us = 50 * MS;
	w = start(1, 20 * MS);
	wait_for(&seen.good[0], 1);
	points[0].scale = 1;
	assert_true(seen.last[0][0].value.real == 1);
	assert_int_equal(seen.state[0].health, TG_DEVICE_OK);
	assert_int_equal(seen.state[0].heard, 4);
	assert_false(seen.state[0].asked);
	assert_int_equal(seen.polls[0], 0);
	/* Who asks sees all points, also those of which nothing has come. */
	assert_int_equal(tg_worker_poll_now(w, 0), 0);
	wait_for(&seen.packs[0], 2);
	assert_string_equal(seen.last[0][1].reason, "nothing heard yet");
	(void) tg_worker_free(w);
	assert_int_equal(seen.bus.condition, TG_BUS_UP);
}

static void what_is_heard_keeps_the_time_of_its_driver_however_long_that_listened(void **state)
{
	struct tg_worker *w;

	(void) state;
	seen.listens = true;
	seen.speaks = 1;
	seen.slow_ms = 30;
	w = start(1, 20 * MS);
	wait_for(&seen.good[0], 1);
	assert_true(seen.last[0][0].boot_us == seen.heard_us);
	(void) tg_worker_free(w);
}

static void a_bus_that_is_heard_no_more_is_told_and_comes_back(void **state)
{
	struct tg_worker *w;

	(void) state;
	seen.listens = true;
	seen.listen_result = -ENOTCONN;
	devices[0].gather_us = 10 * MS;
	w = start(1, 3600 * TG_US_PER_S);
	wait_for(&seen.dead[0], 1);
	assert_string_equal(seen.reasons[0], "unplugged");
	assert_int_equal(seen.bus.condition, TG_BUS_DOWN);
	(void) pthread_mutex_lock(&seen.lock);
	seen.listen_result = 0;
	(void) pthread_mutex_unlock(&seen.lock);
	/* Up to its first word the device is dead, but no longer for the bus. */
	wait_for(&seen.dead[0], 2);
	assert_string_equal(seen.state[0].error, "nothing heard since the bus is back");
	(void) pthread_mutex_lock(&seen.lock);
	seen.speaks = 1;
	(void) pthread_mutex_unlock(&seen.lock);
	wait_for(&seen.good[0], 1);
	(void) tg_worker_free(w);
	assert_int_equal(seen.bus.condition, TG_BUS_UP);
}

static void a_slow_device_skips_polls_and_does_not_pile_them_up(void **state)
{
	struct tg_worker *w;

	(void) state;
	seen.slow_ms = 35;
	w = start(1, 10 * MS);
	wait_for(&seen.packs[0], 5);
	(void) tg_worker_free(w);
	/* Every poll lasts past three more of its instants. */
	assert_true(seen.state[0].skipped >= (seen.polls[0] - 1) * 3);
	assert_true(seen.state[0].took_us >= 35 * MS);
}

static void stopping_does_not_wait_for_the_next_poll(void **state)
{
	struct tg_worker *w = start(1, 3600 * TG_US_PER_S);
	uint64_t before;

	(void) state;
	wait_for(&seen.packs[0], 1);
	before = tg_clock_boot_us();
	tg_worker_ask_stop(w);
	tg_worker_ask_stop(w);
	(void) tg_worker_free(w);
	/* Asleep it would turn only every five seconds. */
	assert_true(tg_clock_boot_us() - before < 3 * TG_US_PER_S);
}

static void patience_covers_the_slowest_device(void **state)
{
	struct tg_worker *w;
	uint64_t before = tg_clock_boot_us();

	(void) state;
	devices[1].timeout_us = 7 * TG_US_PER_S;
	w = start(3, 20 * MS);
	assert_true(tg_worker_patience_us(w) > 7 * TG_US_PER_S);
	wait_for(&seen.packs[0], 2);
	assert_true(tg_worker_progress_us(w) > before);
	(void) tg_worker_free(w);
}

static void what_cannot_start_says_why_and_leaves_nothing(void **state)
{
	struct tg_fault fault;
	struct tg_worker *w = NULL;

	(void) state;
	cfg.n_devices = 3;
	seen.plan_fails_at = 2;
	assert_int_equal(tg_worker_new(&setup, &w, &fault), -ERANGE);
	assert_string_equal(fault.text, "t:2: device dev: no such register");
	bus.type = TG_BUS_W1;
	assert_int_equal(tg_worker_new(&setup, &w, &fault), -EOPNOTSUPP);
	assert_null(w);
	assert_null(tg_worker_free(NULL));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(every_poll_makes_one_pack),
		TEST(silence_is_told_once_for_each_failed_poll),
		TEST(no_value_passes_when_the_device_did_not_answer),
		TEST(bad_points_and_retries_make_a_device_degraded),
		TEST(a_request_polls_a_device_that_is_backed_off),
		TEST(an_errand_runs_once_on_the_workers_thread),
		TEST(an_errand_that_the_worker_does_not_come_to_is_dropped),
		TEST(one_dead_device_does_not_stop_the_others),
		TEST(when_the_bus_is_back_all_its_devices_are_asked),
		TEST(a_bus_that_comes_back_is_found_however_far_its_devices_are_backed_off),
		TEST(a_device_that_is_backed_off_gets_no_retries),
		TEST(what_is_heard_is_scaled_and_packed),
		TEST(what_is_heard_keeps_the_time_of_its_driver_however_long_that_listened),
		TEST(a_bus_that_is_heard_no_more_is_told_and_comes_back),
		TEST(a_slow_device_skips_polls_and_does_not_pile_them_up),
		TEST(stopping_does_not_wait_for_the_next_poll),
		TEST(patience_covers_the_slowest_device),
		TEST(what_cannot_start_says_why_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
