/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "base/clock.h"
#include "tests/integration/tpm-proxy.h"
#include "tests/integration/tpm-parts.h"
#include "tpm/key.h"
#include "tpm/tpm.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

struct bench {
	struct swtpm swtpm;
	struct tpm_proxy *proxy;
	struct tg_tpm *tpm;   /* through the proxy, patient */
	struct tg_tpm *hasty; /* straight, one second */
	struct tg_tpm_key *key;
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	swtpm_init(&b->swtpm);
	b->proxy = tpm_proxy_new(&b->swtpm);
	b->tpm = open_tpm(tpm_proxy_tcti(b->proxy), 30 * TG_US_PER_S);
	b->hasty = open_tpm(b->swtpm.tcti, TG_US_PER_S);
	b->key = make_key(b->tpm);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	tg_tpm_free(b->tpm);
	tg_tpm_free(b->hasty);
	tg_tpm_key_unref(b->key);
	tpm_proxy_free(b->proxy);
	swtpm_done(&b->swtpm);
	free(b);
	return 0;
}

static int try_sign(struct tg_tpm *t, const struct tg_tpm_key *key, struct tg_fault *f)
{
	uint8_t digest[32], sig[TG_TPM_SIGNATURE_MAX];
	size_t len = 0;
	int r;

	memset(digest, 0x33, sizeof(digest));
	r = tg_tpm_sign(t, key, digest, sizeof(digest), sig, &len, f);
	if (r == 0)
		assert_int_equal(tg_tpm_key_verify(key, digest, sizeof(digest), sig, len), 0);
	return r;
}

static void must_sign(struct tg_tpm *t, const struct tg_tpm_key *key)
{
	struct tg_fault f;

	must(try_sign(t, key, &f), &f);
}

static void pause_ms(long ms)
{
	const struct timespec ts = { .tv_nsec = ms * 1000000 };

	(void) nanosleep(&ts, NULL);
}

/*
 * All three slots are free again. Asked past the proxy, by a connection of its own; a command that
 * outlived its caller gets a moment to end.
 */
static void nothing_left(struct bench *b)
{
	struct tg_tpm *t = open_tpm(b->swtpm.tcti, 10 * TG_US_PER_S);
	struct tg_tpm_info info = { 0 };
	struct tg_fault f;

	for (int i = 0; i < 200 && info.transient_free < 3; i++) {
		if (i > 0)
			pause_ms(20);
		must(tg_tpm_info(t, &info, &f), &f);
	}
	assert_int_equal(info.transient_free, 3);
	tg_tpm_free(t);
}

static void a_busy_tpm_is_waited_for(void **state)
{
	static const uint32_t codes[] = { 0x922, 0x908, 0x90a, 0x920 };
	struct bench *b = *state;

	/* The library itself gives up after five. */
	for (size_t i = 0; i < TG_ARRAY_SIZE(codes); i++) {
		tpm_proxy_order(b->proxy, TPM_TROUBLE_CODE, TPM2_CC_Sign, codes[i],
				codes[i] == 0x920 ? 6 : 20);
		must_sign(b->tpm, b->key);
		tpm_proxy_order(b->proxy, TPM_TROUBLE_CODE, TPM2_CC_Load, codes[i], 3);
		must_sign(b->tpm, b->key);
		tpm_proxy_order(b->proxy, TPM_TROUBLE_CODE, TPM2_CC_FlushContext, codes[i], 7);
		must_sign(b->tpm, b->key);
	}
	nothing_left(b);
}

static void a_tpm_that_stays_busy_is_reported_as_busy(void **state)
{
	struct bench *b = *state;
	struct tg_tpm *t = open_tpm(tpm_proxy_tcti(b->proxy), TG_US_PER_S);
	struct tg_tpm_state st;
	struct tg_fault f;

	tpm_proxy_order(b->proxy, TPM_TROUBLE_CODE, TPM2_CC_Sign, 0x90a, 1000000);
	assert_int_equal(try_sign(t, b->key, &f), -EBUSY);
	assert_non_null(strstr(f.text, "0x90a"));
	tg_tpm_state(t, &st);
	assert_false(st.hung);
	assert_int_equal(st.error, -EBUSY);
	assert_string_equal(st.text, f.text);
	assert_int_equal(st.failures, 1);

	tpm_proxy_order(b->proxy, TPM_TROUBLE_NONE, 0, 0, 0);
	must_sign(t, b->key);
	tg_tpm_state(t, &st);
	assert_int_equal(st.error, 0);
	assert_string_equal(st.text, "");
	tg_tpm_free(t);
	nothing_left(b);
}

static const struct {
	enum tpm_trouble trouble;
	const char *name;
} spoilt[] = {
	{ TPM_TROUBLE_TRUNCATE, "truncated" }, { TPM_TROUBLE_CLOSE, "lost" },
	{ TPM_TROUBLE_GARBAGE, "garbage" },    { TPM_TROUBLE_BAD_SIZE, "bad size" },
	{ TPM_TROUBLE_SHORT, "short" },
};
static const uint32_t commands[] = { TPM2_CC_ReadPublic, TPM2_CC_Load, TPM2_CC_Sign,
				     TPM2_CC_FlushContext };

static void answers_that_stay_spoilt_are_clean_errors(void **state)
{
	struct bench *b = *state;

	for (size_t i = 0; i < TG_ARRAY_SIZE(spoilt); i++)
		for (size_t j = 0; j < TG_ARRAY_SIZE(commands); j++) {
			struct tg_tpm *t = open_tpm(tpm_proxy_tcti(b->proxy), 10 * TG_US_PER_S);
			struct tg_fault f = { 0 };
			int r;

			tpm_proxy_order(b->proxy, spoilt[i].trouble, commands[j], 0, 1000);
			r = try_sign(t, b->key, &f);
			/* A flush without an answer has still been done, and the signature is good.
			 */
			if (commands[j] != TPM2_CC_FlushContext && r != -ENODEV && r != -EIO)
				fail_msg("%s answer to 0x%x: %d, %s", spoilt[i].name, commands[j],
					 r, f.text);
			tpm_proxy_order(b->proxy, TPM_TROUBLE_NONE, 0, 0, 0);
			must_sign(t, b->key);
			tg_tpm_free(t);
			nothing_left(b);
		}
}

static void one_spoilt_answer_is_made_good(void **state)
{
	struct bench *b = *state;

	for (size_t i = 0; i < TG_ARRAY_SIZE(spoilt); i++)
		for (size_t j = 0; j < TG_ARRAY_SIZE(commands); j++) {
			must_sign(b->tpm, b->key);
			tpm_proxy_order(b->proxy, spoilt[i].trouble, commands[j], 0, 1);
			must_sign(b->tpm, b->key);
			/* Whatever that left loaded is taken out before the next command. */
			must_sign(b->tpm, b->key);
			nothing_left(b);
		}
}

static void a_tpm_reset_between_load_and_sign_is_made_good(void **state)
{
	struct bench *b = *state;

	tpm_proxy_order(b->proxy, TPM_TROUBLE_CODE, TPM2_CC_Sign, 0x910, 1);
	must_sign(b->tpm, b->key);
	nothing_left(b);
}

static void a_signature_that_does_not_verify_never_leaves(void **state)
{
	struct bench *b = *state;
	struct tg_fault f;

	tpm_proxy_order(b->proxy, TPM_TROUBLE_FLIP_LAST, TPM2_CC_Sign, 0, 1);
	assert_int_equal(try_sign(b->tpm, b->key, &f), -EIO);
	assert_non_null(strstr(f.text, "does not verify"));
	must_sign(b->tpm, b->key);
}

static void a_signature_costs_load_sign_and_flush(void **state)
{
	struct bench *b = *state;
	unsigned before;

	must_sign(b->tpm, b->key);
	before = tpm_proxy_seen(b->proxy, 0);
	must_sign(b->tpm, b->key);
	assert_int_equal(tpm_proxy_seen(b->proxy, 0) - before, 3);
}

static void the_owner_password_never_crosses_the_bus(void **state)
{
	struct bench *b = *state;
	static const char *const set[] = { "tpm2_changeauth", "-c", "owner", "harbour-7731", NULL };
	struct tg_tpm_options o = { .tcti = tpm_proxy_tcti(b->proxy),
				    .timeout_us = 20 * TG_US_PER_S,
				    .owner_auth = "harbour-7731" };
	struct tg_tpm *t = NULL;
	struct tg_fault f;

	assert_int_equal(swtpm_run(&b->swtpm, set), 0);
	tpm_proxy_listen_for(b->proxy, "harbour-7731");
	must(tg_tpm_new(&o, &t, &f), &f);
	must(tg_tpm_ensure_srk(t, 0x81000022, &f), &f);
	assert_true(tpm_proxy_seen(b->proxy, TPM2_CC_EvictControl) > 0);
	assert_int_equal(tpm_proxy_overheard(b->proxy), 0);
	tg_tpm_free(t);
	nothing_left(b);
}

struct busy_signer {
	struct bench *b;
	struct tg_tpm *tpm;
	_Atomic bool stop;
	_Atomic unsigned good, bad, odd;
};

static void *sign_on(void *arg)
{
	struct busy_signer *s = arg;
	struct tg_fault f;

	while (!s->stop) {
		int r = try_sign(s->tpm, s->b->key, &f);

		if (r == 0)
			s->good++;
		else if (r == -ENODEV)
			s->bad++;
		else if (s->odd++ == 0)
			print_error("%s\n", f.text);
	}
	return NULL;
}

static void wait_for(_Atomic unsigned *count, unsigned more)
{
	unsigned goal = *count + more;

	for (int i = 0; i < 4000 && *count < goal; i++)
		pause_ms(5);
	assert_true(*count >= goal);
}

static void a_tpm_that_dies_in_the_middle_heals_when_it_is_back(void **state)
{
	struct bench *b = *state;
	struct busy_signer s = { .b = b, .tpm = b->tpm };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, sign_on, &s), 0);
	for (int i = 0; i < 3; i++) {
		wait_for(&s.good, 10);
		swtpm_cut(&b->swtpm);
		wait_for(&s.bad, 5);
		swtpm_start(&b->swtpm);
	}
	wait_for(&s.good, 10);
	s.stop = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(s.odd, 0);
	nothing_left(b);
}

static void power_cuts_after_use_do_not_lock_the_key_out(void **state)
{
	struct bench *b = *state;
	struct tg_tpm_info info;
	struct tg_fault f;

	for (int i = 0; i < 5; i++) {
		must_sign(b->tpm, b->key);
		swtpm_cut(&b->swtpm);
		swtpm_start(&b->swtpm);
	}
	must_sign(b->tpm, b->key);
	must(tg_tpm_info(b->tpm, &info, &f), &f);
	assert_int_equal(info.lockout_counter, 0);
	assert_false(info.in_lockout);
}

static void *sign_one(void *arg)
{
	struct bench *b = arg;
	struct tg_fault f;

	return (void *) (intptr_t) try_sign(b->hasty, b->key, &f);
}

static void heal(struct bench *b)
{
	struct tg_fault f;
	int r = -1;

	for (int i = 0; i < 500 && r < 0; i++) {
		r = try_sign(b->hasty, b->key, &f);
		pause_ms(20);
	}
	must(r, &f);
}

static void a_frozen_tpm_costs_its_callers_the_deadline_and_no_more(void **state)
{
	struct bench *b = *state;
	pthread_t others[3];
	struct tg_tpm_state st;
	struct tg_fault f;
	uint64_t start;

	must_sign(b->hasty, b->key);
	swtpm_freeze(&b->swtpm);
	start = tg_clock_boot_us();
	for (size_t i = 0; i < TG_ARRAY_SIZE(others); i++)
		assert_int_equal(pthread_create(&others[i], NULL, sign_one, b), 0);
	assert_int_equal(try_sign(b->hasty, b->key, &f), -ETIMEDOUT);
	for (size_t i = 0; i < TG_ARRAY_SIZE(others); i++) {
		void *r;

		assert_int_equal(pthread_join(others[i], &r), 0);
		assert_int_equal((intptr_t) r, -ETIMEDOUT);
	}
	/* Four callers, one time-out of a second: not one after the other. */
	assert_true(tg_clock_boot_us() - start < 3 * TG_US_PER_S);

	tg_tpm_state(b->hasty, &st);
	assert_true(st.hung);
	assert_int_equal(st.error, -ETIMEDOUT);
	start = tg_clock_boot_us();
	for (int i = 0; i < 10; i++)
		assert_int_equal(try_sign(b->hasty, b->key, &f), -ETIMEDOUT);
	assert_true(tg_clock_boot_us() - start < TG_US_PER_S);

	swtpm_thaw(&b->swtpm);
	heal(b);
	tg_tpm_state(b->hasty, &st);
	assert_false(st.hung);
	assert_int_equal(st.error, 0);
	nothing_left(b);
}

static void a_frozen_tpm_that_dies_heals_too(void **state)
{
	struct bench *b = *state;
	struct tg_fault f;

	swtpm_freeze(&b->swtpm);
	assert_int_equal(try_sign(b->hasty, b->key, &f), -ETIMEDOUT);
	swtpm_cut(&b->swtpm);
	swtpm_start(&b->swtpm);
	heal(b);
}

static unsigned threads_here(void)
{
	DIR *d = opendir("/proc/self/task");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void) closedir(d);
	return n - 2;
}

static void an_answer_that_never_comes_is_not_waited_for_for_ever(void **state)
{
	struct bench *b = *state;
	struct tg_tpm *t = open_tpm(tpm_proxy_tcti(b->proxy), 500 * TG_US_PER_MS);
	struct tg_tpm_state st;
	struct tg_fault f;
	int r = -1;

	must_sign(t, b->key);
	tpm_proxy_order(b->proxy, TPM_TROUBLE_HANG, TPM2_CC_Sign, 0, 1);
	assert_int_equal(try_sign(t, b->key, &f), -ETIMEDOUT);
	for (int i = 0; i < 500 && r < 0; i++) {
		r = try_sign(t, b->key, &f);
		if (r < 0)
			assert_int_equal(r, -ETIMEDOUT);
		pause_ms(20);
	}
	must(r, &f);
	tg_tpm_state(t, &st);
	assert_false(st.hung);
	assert_int_equal(st.stuck, 1);
	assert_int_equal(st.error, 0);
	must_sign(t, b->key);
	tg_tpm_free(t);
}

static void threads_left_behind_are_few_however_often_it_is_tried(void **state)
{
	struct bench *b = *state;
	struct tg_tpm *t = open_tpm(tpm_proxy_tcti(b->proxy), 20 * TG_US_PER_MS);
	unsigned before = threads_here();
	struct tg_tpm_state st = { 0 };
	struct tg_fault f;

	tpm_proxy_order(b->proxy, TPM_TROUBLE_HANG, 0, 0, 1000);
	for (int i = 0; i < 1000 && (st.stuck < 3 || !st.hung); i++) {
		assert_int_equal(try_sign(t, b->key, &f), -ETIMEDOUT);
		tg_tpm_state(t, &st);
		pause_ms(20);
	}
	assert_int_equal(st.stuck, 3);
	for (int i = 0; i < 100; i++)
		assert_int_equal(try_sign(t, b->key, &f), -ETIMEDOUT);
	tg_tpm_state(t, &st);
	assert_int_equal(st.stuck, 3);
	assert_true(st.hung);
	assert_non_null(strstr(st.text, "restart"));
	assert_int_equal(threads_here() - before, 4);
	tg_tpm_free(t);
	/* They wake up as their connections end, find themselves alone, and go. */
	tpm_proxy_free(tg_take(b->proxy));
	for (int i = 0; i < 500 && threads_here() > before - 2; i++)
		pause_ms(10);
	assert_int_equal(threads_here(), before - 2);
	nothing_left(b);
}

static void a_hung_thread_is_left_behind_at_the_end(void **state)
{
	struct bench *b = *state;
	struct tg_tpm *t = open_tpm(b->swtpm.tcti, TG_US_PER_S);
	struct tg_fault f;
	unsigned before = tg_tpm_threads();
	uint64_t start;

	swtpm_freeze(&b->swtpm);
	assert_int_equal(try_sign(t, b->key, &f), -ETIMEDOUT);
	start = tg_clock_boot_us();
	tg_tpm_free(t);
	assert_true(tg_clock_boot_us() - start < 3 * TG_US_PER_S);
	assert_int_equal(tg_tpm_threads(), before + 1);
	/* The thread wakes up, finds itself alone and tidies away. */
	swtpm_thaw(&b->swtpm);
	nothing_left(b);
	for (int i = 0; i < 500 && tg_tpm_threads() > before; i++)
		pause_ms(10);
	assert_int_equal(tg_tpm_threads(), before);
}

static void a_tpm_that_is_not_there_is_enodev(void **state)
{
	struct bench *b = *state;
	struct tg_tpm *nowhere = open_tpm("device:/nonexistent/tpmrm0", TG_US_PER_S);
	struct tg_tpm *nonsense = open_tpm("no-such-tcti:", TG_US_PER_S);
	struct tg_fault f;

	assert_int_equal(try_sign(nowhere, b->key, &f), -ENODEV);
	assert_non_null(strstr(f.text, "/nonexistent/tpmrm0"));
	assert_int_equal(try_sign(nonsense, b->key, &f), -ENODEV);
	tg_tpm_free(nowhere);
	tg_tpm_free(nonsense);
}

#ifndef __SANITIZE_THREAD__ /* which knows no threads in the child of a fork */
static bool child_succeeds(int (*fn)(struct tg_tpm *, const struct tg_tpm_key *), struct tg_tpm *t,
			   const struct tg_tpm_key *key)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn(t, key));
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static int sign_and_free(struct tg_tpm *t, const struct tg_tpm_key *key)
{
	struct tg_fault f;

	return try_sign(t, key, &f) < 0 || tg_tpm_free(t);
}

static void children_of_a_fork_open_the_tpm_anew(void **state)
{
	struct bench *b = *state;

	must_sign(b->hasty, b->key);
	for (int i = 0; i < 3; i++) {
		assert_true(child_succeeds(sign_and_free, b->hasty, b->key));
		must_sign(b->hasty, b->key);
	}
	nothing_left(b);
}

static int look_and_free(struct tg_tpm *t, const struct tg_tpm_key *key)
{
	struct tg_tpm_state st;

	(void) key;
	tg_tpm_state(t, &st);
	return st.hung || tg_tpm_free(t);
}

/*
 * These children leave the TPM alone: swtpm serves one connection at a time, and they
 * hold a copy of the one that was open at the fork. A device node knows no such thing.
 */
static void a_fork_in_the_middle_of_a_command_harms_nobody(void **state)
{
	struct bench *b = *state;
	struct busy_signer s = { .b = b, .tpm = open_tpm(b->swtpm.tcti, 30 * TG_US_PER_S) };
	unsigned failed = 0;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, sign_on, &s), 0);
	for (int i = 0; i < 20; i++) {
		wait_for(&s.good, 2);
		failed += !child_succeeds(look_and_free, s.tpm, b->key);
	}
	s.stop = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(failed, 0);
	assert_int_equal(s.odd + s.bad, 0);
	tg_tpm_free(s.tpm);
}

#endif /* __SANITIZE_THREAD__ */

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		TEST(a_busy_tpm_is_waited_for),
		TEST(a_tpm_that_stays_busy_is_reported_as_busy),
		TEST(answers_that_stay_spoilt_are_clean_errors),
		TEST(one_spoilt_answer_is_made_good),
		TEST(a_tpm_reset_between_load_and_sign_is_made_good),
		TEST(a_signature_that_does_not_verify_never_leaves),
		TEST(a_signature_costs_load_sign_and_flush),
		TEST(the_owner_password_never_crosses_the_bus),
		TEST(a_tpm_that_dies_in_the_middle_heals_when_it_is_back),
		TEST(power_cuts_after_use_do_not_lock_the_key_out),
		TEST(a_frozen_tpm_costs_its_callers_the_deadline_and_no_more),
		TEST(a_frozen_tpm_that_dies_heals_too),
		TEST(an_answer_that_never_comes_is_not_waited_for_for_ever),
		TEST(threads_left_behind_are_few_however_often_it_is_tried),
		TEST(a_hung_thread_is_left_behind_at_the_end),
		TEST(a_tpm_that_is_not_there_is_enodev),
#ifndef __SANITIZE_THREAD__
		TEST(children_of_a_fork_open_the_tpm_anew),
		TEST(a_fork_in_the_middle_of_a_command_harms_nobody),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
