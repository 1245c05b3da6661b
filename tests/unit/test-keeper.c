/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/keeper.h"

#include "base/clock.h"
#include "base/file.h"
#include "tests/unit/test.h"
#include "tests/unit/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The keeper with a shell script for tidegate-provision, which notes its arguments, and with generations whose
 * certificates begin now.
 */
struct bench {
	char dir[64];
	sd_event *loop;
	struct tg_keeper *keeper;
	struct tg_config cfg;
	struct tg_keeper_clock clock;
	struct tg_keeper_link link;
	unsigned changes;
	int suspends, comes_back;
	int suspend_result;
};

static void on_change(void *user)
{
	((struct bench *) user)->changes++;
}

static void tell_clock(void *user, struct tg_keeper_clock *ret)
{
	*ret = ((struct bench *) user)->clock;
}

static int suspend(void *user, bool away)
{
	struct bench *b = user;

	if (b->suspend_result < 0)
		return b->suspend_result;
	b->suspends += away;
	b->comes_back += !away;
	return 0;
}

static int64_t wall_s(void)
{
	return tg_clock_wall_us() / (int64_t) TG_US_PER_S;
}

static void set_up(struct bench *b)
{
	*b = (struct bench){
		.dir = "/tmp/tidegate-keeper-XXXXXX",
		.cfg = { .enrolment.method = TG_ENROL_AWS_FLEET,
			 .rotation = { .renew_at = 66, .max_age_us = 90 * 86400 * TG_US_PER_S } },
		.clock = { .believed_s = wall_s(), .floor_s = wall_s() - 100, .synchronised = true },
	};
	assert_non_null(mkdtemp(b->dir));
	assert_return_code(sd_event_new(&b->loop), 0);
}

static char *path_in(const struct bench *b, const char *name)
{
	static char path[128];

	(void) snprintf(path, sizeof(path), "%s/%s", b->dir, name);
	return path;
}

static void start(struct bench *b, const char *script)
{
	static char helper[128];
	const struct tg_keeper_options o = { helper,     "/dev/null", b->dir,  on_change,
					     tell_clock, suspend,     b };
	FILE *f;

	(void) snprintf(helper, sizeof(helper), "%s/helper", b->dir);
	f = fopen(helper, "we");
	assert_non_null(f);
	(void) fprintf(f, "#!/bin/sh\ncd %s\necho \"$@\" >>args\n%s\n", b->dir, script);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(helper, 0700), 0);
	assert_int_equal(tg_keeper_new(b->loop, &o, &b->keeper), 0);
	assert_int_equal(tg_keeper_configure(b->keeper, &b->cfg), 0);
}

static void tear_down(struct bench *b)
{
	tg_keeper_free(b->keeper);
	sd_event_unref(b->loop);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(tree_remove(b->dir), 0);
}

static struct tg_keeper_status status(struct bench *b)
{
	static struct tg_keeper_status s;

	tg_keeper_status(b->keeper, &s);
	return s;
}

/* Until an attempt has ended that is at least the @n-th. */
static struct tg_keeper_status end_of_attempt(struct bench *b, unsigned n)
{
	for (int i = 0; i < 1000; i++) {
		struct tg_keeper_status s = status(b);

		if (s.attempts >= n && !s.last.running)
			return s;
		assert_true(sd_event_run(b->loop, 20 * TG_US_PER_MS) >= 0);
	}
	fail_msg("no attempt %u", n);
	return status(b);
}

static void wait_for_file(struct bench *b, const char *name)
{
	for (int i = 0; i < 1000 && access(path_in(b, name), F_OK) < 0; i++)
		assert_true(sd_event_run(b->loop, 20 * TG_US_PER_MS) >= 0);
	assert_int_equal(access(path_in(b, name), F_OK), 0);
}

static void add_generation(struct bench *b, int64_t not_before, int64_t not_after)
{
	const struct tg_generation_files files = { .key_pem = "key\n", .chain_pem = "chain\n" };
	struct tg_manifest m = { .method = "aws-fleet",
				 .subject = "CN=gw",
				 .issuer = "CN=ca",
				 .not_before = not_before,
				 .not_after = not_after,
				 .made = not_before };

	memset(m.fingerprint, 'a', sizeof(m.fingerprint) - 1);
	assert_int_equal(tg_generation_write(b->dir, &files, &m, NULL), 0);
}

static void add_current(struct bench *b, int64_t age, int64_t life)
{
	add_generation(b, b->clock.believed_s - age, b->clock.believed_s - age + life);
	assert_int_equal(tg_generation_promote(b->dir, true, NULL), 0);
}

static char *arguments(struct bench *b)
{
	static char text[4096];
	tg_autofree char *data = NULL;
	size_t len = 0;

	text[0] = '\0';
	if (tg_file_read(AT_FDCWD, path_in(b, "args"), sizeof(text) - 1, &data, &len, NULL) == 0)
		memcpy(text, data, len + 1);
	return text;
}

/* Makes the journal @j, for the script to put in its place. */
static void prepare(struct bench *b, struct tg_journal *j)
{
	char from[128];

	assert_int_equal(tg_journal_dir(b->dir, NULL), 0);
	assert_int_equal(tg_journal_write(b->dir, j, NULL), 0);
	(void) snprintf(from, sizeof(from), "%s", path_in(b, "identity/pending/journal"));
	assert_int_equal(rename(from, path_in(b, "journal")), 0);
}

/* That of a failure of @class. */
static void prepare_journal(struct bench *b, enum tg_enrol_class class)
{
	struct tg_journal j = { .step = TG_STEP_CSR,
				.method = "aws-fleet",
				.attempts = 1,
				.error_class = class,
				.error_step = TG_STEP_REQUEST,
				.error_text = "as the test wants it" };

	prepare(b, &j);
}

#define FAIL_AS_PREPARED "cp journal identity/pending/journal; exit 1"

/* --- first enrolment -------------------------------------------------------------------------- */

static void enrols_at_once_where_there_is_no_identity(void **state)
{
	struct tg_keeper_status s;
	struct bench b;

	(void) state;
	set_up(&b);
	start(&b, "exit 1");
	s = end_of_attempt(&b, 1);
	assert_int_equal(s.last.kind, TG_ORDER_ENROL);
	assert_int_equal(s.last.reason, TG_RENEWAL_NO_IDENTITY);
	assert_int_equal(s.last.class, TG_ENROL_LOCAL);
	assert_int_equal(s.state, TG_KEEPER_WAITING);
	assert_true(s.next_us > tg_clock_boot_us());
	assert_non_null(strstr(arguments(&b), " enrol\n"));
	assert_null(strstr(arguments(&b), "--credential"));
	tear_down(&b);
}

static void tells_the_helper_what_it_knows_of_the_time(void **state)
{
	char floor[64];
	struct bench b;

	(void) state;
	set_up(&b);
	start(&b, "exit 1");
	(void) end_of_attempt(&b, 1);
	(void) snprintf(floor, sizeof(floor), "--time-floor %lld --clock-synchronised",
			(long long) b.clock.floor_s);
	assert_non_null(strstr(arguments(&b), floor));
	tear_down(&b);
}

static void a_configuration_that_is_refused_is_tried_again_all_the_same(void **state)
{
	struct tg_keeper_status s;
	struct bench b;

	(void) state;
	set_up(&b);
	start(&b, "exit 78");
	s = end_of_attempt(&b, 1);
	assert_int_equal(s.state, TG_KEEPER_STUCK);
	assert_true(s.next_us > 0);
	tear_down(&b);
}

static void success_without_an_identity_is_a_failure(void **state)
{
	struct tg_keeper_status s;
	struct bench b;

	(void) state;
	set_up(&b);
	add_current(&b, 80, 100);
	start(&b, "exit 0");
	s = end_of_attempt(&b, 1);
	assert_int_equal(s.failures, 1);
	assert_int_equal(b.changes, 0);
	tear_down(&b);
}

/* --- renewals --------------------------------------------------------------------------------- */

static void leaves_a_young_certificate_alone(void **state)
{
	struct tg_keeper_status s;
	struct bench b;

	(void) state;
	set_up(&b);
	add_current(&b, 10, 1000);
	start(&b, "exit 1");
	s = status(&b);
	assert_int_equal(s.state, TG_KEEPER_SETTLED);
	assert_int_equal(s.attempts, 0);
	assert_int_equal(s.next_s, b.clock.believed_s + 650);
	assert_string_equal(s.reason_text, "66 % of its life");
	tear_down(&b);
}

static void renews_with_the_current_certificate_when_it_is_due(void **state)
{
	struct tg_keeper_status s;
	struct bench b;

	(void) state;
	set_up(&b);
	add_current(&b, 700, 1000);
	start(&b, "exit 1");
	s = end_of_attempt(&b, 1);
	assert_int_equal(s.last.kind, TG_ORDER_RENEW);
	assert_int_equal(s.state, TG_KEEPER_WAITING);
	assert_int_equal(s.reason, TG_RENEWAL_RETRY);
	assert_non_null(strstr(arguments(&b), "--credential current renew\n"));
	tear_down(&b);
}

static void a_jump_of_the_clock_makes_a_new_plan(void **state)
{
	struct bench b;

	(void) state;
	set_up(&b);
	add_current(&b, 10, 1000);
	start(&b, "exit 1");
	assert_int_equal(status(&b).attempts, 0);
	b.clock.believed_s += 700;
	tg_keeper_clock_changed(b.keeper);
	assert_int_equal(end_of_attempt(&b, 1).last.kind, TG_ORDER_RENEW);
	tear_down(&b);
}

static void an_order_renews_what_is_not_due(void **state)
{
	struct tg_keeper_status s;
	struct bench b;

	(void) state;
	set_up(&b);
	start(&b, "exec sleep 600");
	assert_int_equal(tg_keeper_renew_now(b.keeper), -EALREADY);
	b.keeper = tg_keeper_free(b.keeper);

	add_current(&b, 10, 1000);
	start(&b, "exit 1");
	assert_int_equal(tg_keeper_renew_now(b.keeper), 0);
	s = end_of_attempt(&b, 1);
	assert_int_equal(s.last.reason, TG_RENEWAL_ORDER);
	/* What failed was not due: nobody waits for it. */
	assert_int_equal(s.reason, TG_RENEWAL_AGE);
	tear_down(&b);
}

static void orders_that_cannot_be_followed_say_why(void **state)
{
	struct bench b;

	(void) state;
	set_up(&b);
	add_current(&b, 10, 1000);
	b.cfg.enrolment.method = TG_ENROL_NONE;
	start(&b, "exit 1");
	assert_int_equal(tg_keeper_renew_now(b.keeper), -EOPNOTSUPP);
	b.cfg.enrolment.method = TG_ENROL_AWS_FLEET;
	assert_int_equal(tg_keeper_configure(b.keeper, &b.cfg), 0);
	assert_int_equal(tg_keeper_enrol_now(b.keeper, false), -EEXIST);
	tg_keeper_tpm(b.keeper, "0123456789abcdef", true);
	assert_int_equal(tg_keeper_renew_now(b.keeper), -EKEYREJECTED);
	assert_int_equal(status(&b).state, TG_KEEPER_HOLDING);
	tg_keeper_tpm(b.keeper, "0123456789abcdef", false);
	add_generation(&b, wall_s(), wall_s() + 1000);
	assert_int_equal(tg_keeper_renew_now(b.keeper), -EBUSY);
	assert_int_equal(tg_generation_promote(b.dir, false, NULL), 0);
	assert_int_equal(tg_keeper_renew_now(b.keeper), -EBUSY);
	assert_int_equal(tg_generation_retire(b.dir, wall_s(), NULL), 0);
	assert_int_equal(status(&b).attempts, 0);
	assert_int_equal(tg_keeper_renew_now(b.keeper), 0);
	tear_down(&b);
}

static void tells_the_link_of_a_new_certificate_and_waits_for_its_verdict(void **state)
{
	struct tg_keeper_status s;
	struct bench b;

	(void) state;
	set_up(&b);
	add_current(&b, 700, 1000);
	start(&b, "while [ ! -e go ]; do sleep 0.02; done; exit 0");
	while (status(&b).attempts == 0)
		assert_true(sd_event_run(b.loop, 20 * TG_US_PER_MS) >= 0);
	add_generation(&b, wall_s(), wall_s() + 1000);
	assert_int_equal(close(creat(path_in(&b, "go"), 0600)), 0);
	s = end_of_attempt(&b, 1);
	assert_int_equal(b.changes, 1);
	assert_int_equal(s.reason, TG_RENEWAL_ON_TRIAL);
	assert_int_equal(s.failures, 0);
	tear_down(&b);
}

static void roll_back(struct bench *b)
{
	b->link.roll_backs++;
	b->link.roll_back_reason = "CONNACK 5";
	tg_keeper_link(b->keeper, &b->link);
}

static void a_roll_back_is_a_failure_and_pauses_grow(void **state)
{
	struct tg_keeper_status s;
	struct bench b;

	(void) state;
	set_up(&b);
	add_current(&b, 7000000, 10000000);
	/* Before it is due again: it was on trial when the agent started. */
	add_generation(&b, wall_s(), wall_s() + 1000);
	start(&b, "exit 1");
	assert_int_equal(tg_generation_roll_back(b.dir, "CONNACK 5", wall_s(), NULL), 0);
	roll_back(&b);
	s = status(&b);
	assert_int_equal(s.failures, 1);
	assert_int_equal(s.reason, TG_RENEWAL_ROLLED_BACK);
	assert_true(s.last.rolled_back);
	assert_string_equal(s.last.text, "rolled back: CONNACK 5");
	assert_true(s.next_us > tg_clock_boot_us() + 140 * TG_US_PER_S);
	roll_back(&b);
	roll_back(&b);
	assert_true(status(&b).next_us > tg_clock_boot_us() + 590 * TG_US_PER_S);
	assert_int_equal(status(&b).attempts, 0);
	tear_down(&b);
}

static void failures_are_forgotten_after_probation_and_not_before(void **state)
{
	struct bench b;

	(void) state;
	set_up(&b);
	add_current(&b, 7000000, 10000000);
	add_generation(&b, wall_s(), wall_s() + 10000000);
	start(&b, "exit 1");
	roll_back(&b);
	assert_int_equal(status(&b).failures, 1);
	b.link.on_probation = true;
	b.link.promotions++;
	assert_int_equal(tg_generation_promote(b.dir, false, NULL), 0);
	tg_keeper_link(b.keeper, &b.link);
	assert_int_equal(status(&b).failures, 1);
	b.link.on_probation = false;
	assert_int_equal(tg_generation_retire(b.dir, wall_s(), NULL), 0);
	tg_keeper_link(b.keeper, &b.link);
	assert_int_equal(status(&b).failures, 0);
	tear_down(&b);
}

static void a_probation_that_a_restart_found_counts_when_it_fails(void **state)
{
	struct bench b;

	(void) state;
	set_up(&b);
	add_current(&b, 7000000, 10000000);
	add_generation(&b, wall_s(), wall_s() + 10000000);
	assert_int_equal(tg_generation_promote(b.dir, false, NULL), 0);
	start(&b, "exit 1");
	assert_int_equal(tg_generation_demote(b.dir, "dropped", wall_s(), NULL), 0);
	roll_back(&b);
	assert_int_equal(status(&b).failures, 1);
	assert_int_equal(status(&b).attempts, 0);
	tear_down(&b);
}

/* --- the client id that the service refuses --------------------------------------------------- */

static void leaves_the_session_where_the_rotation_client_id_is_refused(void **state)
{
	struct tg_keeper_status s;
	struct bench b;

	(void) state;
	set_up(&b);
	add_current(&b, 700, 1000);
	prepare_journal(&b, TG_ENROL_ID_REFUSED);
	start(&b, FAIL_AS_PREPARED);
	while (status(&b).state != TG_KEEPER_LEAVING)
		assert_true(sd_event_run(b.loop, 20 * TG_US_PER_MS) >= 0);
	assert_int_equal(b.suspends, 1);
	/* As long as the link is there, no second session under its id. */
	tg_keeper_link(b.keeper, &b.link);
	assert_null(strstr(arguments(&b), "own"));
	b.link.suspended = true;
	tg_keeper_link(b.keeper, &b.link);
	s = end_of_attempt(&b, 2);
	assert_non_null(strstr(arguments(&b), "--credential current --client-id own renew\n"));
	assert_int_equal(b.comes_back, 1);
	/* Refused twice it is a failure; the next attempt begins under the other id again. */
	assert_int_equal(s.failures, 1);
	assert_false(s.state == TG_KEEPER_LEAVING);
	tear_down(&b);
}

static void a_link_that_cannot_be_told_delays_the_attempt(void **state)
{
	struct tg_keeper_status s;
	struct bench b;

	(void) state;
	set_up(&b);
	add_current(&b, 700, 1000);
	prepare_journal(&b, TG_ENROL_ID_REFUSED);
	b.suspend_result = -EAGAIN;
	start(&b, FAIL_AS_PREPARED);
	s = end_of_attempt(&b, 2);
	assert_int_equal(s.failures, 1);
	assert_int_equal(s.last.class, TG_ENROL_RETRY);
	/* It may have heard the half of it: it is told to come back until it has heard that. */
	b.suspend_result = 0;
	for (int i = 0; i < 200 && !b.comes_back; i++)
		assert_true(sd_event_run(b.loop, 20 * TG_US_PER_MS) >= 0);
	assert_int_equal(b.comes_back, 1);
	tear_down(&b);
}

/* --- a service that has to think about it ------------------------------------------------------ */

static char service[] = "https://ca.example", label[] = "plant-3";
static const char noted[] = "https://ca.example/.well-known/est/plant-3"; /* of that, by the helper */

static void set_up_est(struct bench *b)
{
	set_up(b);
	b->cfg.enrolment.method = TG_ENROL_EST;
	b->cfg.enrolment.est.url = service;
	b->cfg.enrolment.est.label = label;
}

/* The answer 202 to an enrolment, with the wish to be asked again in @wait_s. */
static void prepare_pending(struct bench *b, int64_t wait_s, unsigned attempts)
{
	struct tg_journal j = { .step = TG_STEP_CSR,
				.method = "est",
				.attempts = attempts,
				.pending = true,
				.error_class = TG_ENROL_PENDING,
				.error_step = TG_STEP_ISSUED,
				.error_status = 202,
				.error_text = "an officer looks at it",
				.retry_at = wall_s() + wait_s,
				.retry_after_s = wait_s };

	memcpy(j.endpoint, noted, sizeof(noted));
	prepare(b, &j);
}

static unsigned runs(struct bench *b)
{
	unsigned n = 0;

	for (const char *p = arguments(b); (p = strchr(p, '\n')) != NULL; p++)
		n++;
	return n;
}

static void restart(struct bench *b)
{
	tg_keeper_free(b->keeper);
	start(b, FAIL_AS_PREPARED);
}

static void what_the_authority_has_to_approve_is_asked_for_when_it_says(void **state)
{
	struct tg_keeper_status s;
	struct bench b;

	(void) state;
	set_up_est(&b);
	prepare_pending(&b, 3600, 1);
	start(&b, FAIL_AS_PREPARED);
	s = end_of_attempt(&b, 1);
	assert_int_equal(s.state, TG_KEEPER_PENDING);
	assert_int_equal(s.reason, TG_RENEWAL_PENDING);
	assert_int_equal(s.failures, 0);
	assert_int_equal(s.asked, 1);
	assert_string_equal(s.asked_text, "an officer looks at it");
	assert_true(s.next_us >= s.last.ended_us + 3600 * TG_US_PER_S);
	assert_true(s.next_us <= s.last.ended_us + 3900 * TG_US_PER_S);
	/* An order asks at once; the authority may have told the operator. */
	prepare_pending(&b, 3600, 2);
	assert_int_equal(tg_keeper_enrol_now(b.keeper, false), 0);
	s = end_of_attempt(&b, 2);
	assert_int_equal(s.asked, 2);
	tear_down(&b);
}

static void a_restart_and_a_reload_keep_the_wait(void **state)
{
	struct tg_keeper_status s;
	struct bench b;

	(void) state;
	set_up_est(&b);
	prepare_pending(&b, 3600, 1);
	start(&b, FAIL_AS_PREPARED);
	(void) end_of_attempt(&b, 1);
	restart(&b);
	s = status(&b);
	assert_int_equal(s.attempts, 0);
	assert_int_equal(s.state, TG_KEEPER_PENDING);
	assert_int_equal(s.asked, 1);
	assert_string_equal(s.asked_text, "an officer looks at it");
	assert_true(s.next_us > tg_clock_boot_us() + 3500 * TG_US_PER_S);
	assert_true(s.next_us < tg_clock_boot_us() + 3601 * TG_US_PER_S);
	assert_int_equal(tg_keeper_configure(b.keeper, &b.cfg), 0);
	assert_true(status(&b).next_us > tg_clock_boot_us() + 3500 * TG_US_PER_S);
	assert_int_equal(runs(&b), 1);
	tear_down(&b);
}

static void another_service_does_not_wait_for_what_the_first_one_said(void **state)
{
	static char other[] = "https://other.example";
	struct bench b;

	(void) state;
	set_up_est(&b);
	prepare_pending(&b, 3600, 1);
	start(&b, FAIL_AS_PREPARED);
	(void) end_of_attempt(&b, 1);
	b.cfg.enrolment.est.url = other;
	assert_int_equal(tg_keeper_configure(b.keeper, &b.cfg), 0);
	(void) end_of_attempt(&b, 2);
	/* Nor after a restart. */
	restart(&b);
	(void) end_of_attempt(&b, 1);
	assert_int_equal(runs(&b), 3);
	tear_down(&b);
}

static void an_overloaded_service_is_left_alone_across_restarts(void **state)
{
	struct tg_journal j = { .step = TG_STEP_CSR,
				.method = "est",
				.attempts = 1,
				.error_class = TG_ENROL_RETRY,
				.error_step = TG_STEP_ISSUED,
				.error_status = 503,
				.retry_at = wall_s() + 1800,
				.retry_after_s = 1800 };
	struct tg_keeper_status s;
	struct bench b;

	(void) state;
	memcpy(j.endpoint, noted, sizeof(noted));
	set_up_est(&b);
	prepare(&b, &j);
	start(&b, FAIL_AS_PREPARED);
	s = end_of_attempt(&b, 1);
	assert_int_equal(s.failures, 1);
	assert_true(s.next_us >= s.last.ended_us + 1800 * TG_US_PER_S);
	restart(&b);
	s = status(&b);
	assert_int_equal(s.state, TG_KEEPER_WAITING);
	assert_true(s.next_us > tg_clock_boot_us() + 1700 * TG_US_PER_S);
	assert_int_equal(runs(&b), 1);
	tear_down(&b);
}

static void the_link_is_not_asked_to_leave_for_a_service_that_is_no_broker(void **state)
{
	struct bench b;

	(void) state;
	set_up_est(&b);
	add_current(&b, 700, 1000);
	prepare_journal(&b, TG_ENROL_ID_REFUSED);
	start(&b, FAIL_AS_PREPARED);
	assert_int_equal(end_of_attempt(&b, 1).last.class, TG_ENROL_REFUSED);
	assert_int_equal(b.suspends, 0);
	assert_null(strstr(arguments(&b), "--client-id"));
	tear_down(&b);
}

/* --- by hand ----------------------------------------------------------------------------------- */

static void by_hand_no_helper_is_started_and_status_says_what_to_do(void **state)
{
	struct tg_keeper_status s;
	struct bench b;

	(void) state;
	set_up(&b);
	b.cfg.enrolment.method = TG_ENROL_MANUAL;
	start(&b, "exit 1");
	s = status(&b);
	assert_int_equal(s.state, TG_KEEPER_HOLDING);
	assert_true(s.by_hand);
	assert_non_null(strstr(s.reason_text, "--csr"));
	assert_int_equal(tg_keeper_enrol_now(b.keeper, false), -EOPNOTSUPP);
	assert_int_equal(tg_keeper_renew_now(b.keeper), -EOPNOTSUPP);
	add_current(&b, 700, 1000);
	tg_keeper_clock_changed(b.keeper);
	s = status(&b);
	assert_int_equal(s.reason, TG_RENEWAL_HAND_DUE);
	assert_int_equal(s.state, TG_KEEPER_HOLDING);
	b.clock.believed_s += 400;
	b.clock.floor_s = b.clock.believed_s;
	tg_keeper_clock_changed(b.keeper);
	s = status(&b);
	assert_int_equal(s.reason, TG_RENEWAL_HAND_EXPIRED);
	assert_true(s.expired);
	assert_string_equal(arguments(&b), "");
	tear_down(&b);
}

static void by_hand_a_young_certificate_says_when_it_is_due(void **state)
{
	struct tg_keeper_status s;
	struct bench b;

	(void) state;
	set_up(&b);
	b.cfg.enrolment.method = TG_ENROL_MANUAL;
	add_current(&b, 10, 1000);
	start(&b, "exit 1");
	s = status(&b);
	assert_int_equal(s.state, TG_KEEPER_SETTLED);
	assert_true(s.next_s >= b.clock.believed_s + 640 && s.next_s <= b.clock.believed_s + 650);
	tear_down(&b);
}

static void by_hand_a_request_and_a_certificate_are_noticed(void **state)
{
	struct tg_journal j = { .step = TG_STEP_CSR, .method = "manual" };
	struct bench b;

	(void) state;
	set_up(&b);
	b.cfg.enrolment.method = TG_ENROL_MANUAL;
	start(&b, "exit 1");
	assert_int_equal(tg_journal_write(b.dir, &j, NULL), 0);
	for (int i = 0; i < 800 && status(&b).reason != TG_RENEWAL_HAND_REQUEST; i++)
		assert_true(sd_event_run(b.loop, 20 * TG_US_PER_MS) >= 0);
	assert_non_null(strstr(status(&b).reason_text, "--install"));
	add_generation(&b, wall_s(), wall_s() + 1000);
	assert_int_equal(tg_journal_clear(b.dir, NULL), 0);
	for (int i = 0; i < 800 && !b.changes; i++)
		assert_true(sd_event_run(b.loop, 20 * TG_US_PER_MS) >= 0);
	assert_int_equal(b.changes, 1);
	assert_int_equal(status(&b).state, TG_KEEPER_SETTLED);
	tear_down(&b);
}

/* --- the claim -------------------------------------------------------------------------------- */

static void a_lost_key_is_replaced_by_the_claim_only_where_that_is_allowed(void **state)
{
	struct bench b;

	(void) state;
	set_up(&b);
	add_current(&b, 700, 1000);
	b.cfg.enrolment.method = TG_ENROL_NONE;
	start(&b, "exit 1");
	tg_keeper_tpm(b.keeper, "0123456789abcdef", true);
	b.cfg.enrolment.method = TG_ENROL_AWS_FLEET;
	assert_int_equal(tg_keeper_configure(b.keeper, &b.cfg), 0);
	assert_int_equal(status(&b).state, TG_KEEPER_HOLDING);
	b.cfg.rotation.on_key_lost = TG_ON_FAILURE_CLAIM;
	assert_int_equal(tg_keeper_configure(b.keeper, &b.cfg), 0);
	assert_int_equal(end_of_attempt(&b, 1).last.credential, TG_CREDENTIAL_CLAIM);
	assert_non_null(strstr(arguments(&b), " enrol\n"));
	tear_down(&b);
}

static void an_order_may_use_the_claim_for_a_lost_key(void **state)
{
	struct bench b;

	(void) state;
	set_up(&b);
	add_current(&b, 10, 1000);
	start(&b, "exit 1");
	tg_keeper_tpm(b.keeper, "0123456789abcdef", true);
	assert_int_equal(tg_keeper_enrol_now(b.keeper, true), 0);
	assert_int_equal(end_of_attempt(&b, 1).last.credential, TG_CREDENTIAL_CLAIM);
	/* Once. */
	assert_int_equal(status(&b).state, TG_KEEPER_HOLDING);
	tear_down(&b);
}

/* --- the helper ------------------------------------------------------------------------------- */

static void ends_a_helper_that_does_not_obey(void **state)
{
	struct bench b;

	(void) state;
	set_up(&b);
	start(&b, "trap '' TERM; echo >ready; exec sleep 600");
	wait_for_file(&b, "ready");
	/* A stop that waits for such a helper would not get round to the spool. */
	(void) alarm(30);
	b.keeper = tg_keeper_free(b.keeper);
	/* On a busy machine it may be dying yet. */
	while (waitpid(-1, NULL, 0) > 0)
		;
	tear_down(&b);
	(void) alarm(0);
}

static void a_helper_inherits_no_files(void **state)
{
	int leak = dup2(STDOUT_FILENO, 99); /* as a library does: without O_CLOEXEC */
	struct bench b;

	(void) state;
	assert_int_equal(leak, 99);
	set_up(&b);
	start(&b, "[ -e /proc/$$/fd/99 ] || echo >ready; exec sleep 600");
	wait_for_file(&b, "ready");
	(void) close(leak);
	tear_down(&b);
}

int main(void)
{
	sigset_t child;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(enrols_at_once_where_there_is_no_identity),
		cmocka_unit_test(tells_the_helper_what_it_knows_of_the_time),
		cmocka_unit_test(a_configuration_that_is_refused_is_tried_again_all_the_same),
		cmocka_unit_test(success_without_an_identity_is_a_failure),
		cmocka_unit_test(leaves_a_young_certificate_alone),
		cmocka_unit_test(renews_with_the_current_certificate_when_it_is_due),
		cmocka_unit_test(a_jump_of_the_clock_makes_a_new_plan),
		cmocka_unit_test(an_order_renews_what_is_not_due),
		cmocka_unit_test(orders_that_cannot_be_followed_say_why),
		cmocka_unit_test(tells_the_link_of_a_new_certificate_and_waits_for_its_verdict),
		cmocka_unit_test(a_roll_back_is_a_failure_and_pauses_grow),
		cmocka_unit_test(failures_are_forgotten_after_probation_and_not_before),
		cmocka_unit_test(a_probation_that_a_restart_found_counts_when_it_fails),
		cmocka_unit_test(leaves_the_session_where_the_rotation_client_id_is_refused),
		cmocka_unit_test(a_link_that_cannot_be_told_delays_the_attempt),
		cmocka_unit_test(what_the_authority_has_to_approve_is_asked_for_when_it_says),
		cmocka_unit_test(a_restart_and_a_reload_keep_the_wait),
		cmocka_unit_test(another_service_does_not_wait_for_what_the_first_one_said),
		cmocka_unit_test(an_overloaded_service_is_left_alone_across_restarts),
		cmocka_unit_test(the_link_is_not_asked_to_leave_for_a_service_that_is_no_broker),
		cmocka_unit_test(by_hand_no_helper_is_started_and_status_says_what_to_do),
		cmocka_unit_test(by_hand_a_young_certificate_says_when_it_is_due),
		cmocka_unit_test(by_hand_a_request_and_a_certificate_are_noticed),
		cmocka_unit_test(a_lost_key_is_replaced_by_the_claim_only_where_that_is_allowed),
		cmocka_unit_test(an_order_may_use_the_claim_for_a_lost_key),
		cmocka_unit_test(ends_a_helper_that_does_not_obey),
		cmocka_unit_test(a_helper_inherits_no_files),
	};

	/* As the agent does before its first thread. */
	(void) sigemptyset(&child);
	(void) sigaddset(&child, SIGCHLD);
	(void) sigprocmask(SIG_BLOCK, &child, NULL);

	return cmocka_run_group_tests(tests, NULL, NULL);
}
