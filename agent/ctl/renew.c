/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include "agent/ctl/progress.h"
#include "base/clock.h"

#include <tidegate/identity.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define LOOK_MS    200
#define PATIENCE_S 90 /* for an agent that does not answer: it may be restarting */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = number;
}

/* Whoever waits for an order. */
struct wait {
	struct tg_ctl *ctl;
	const char *noun; /* "renewal" */
	uint64_t begun_us;
	bool line; /* the live line is on the screen */
	/* of the newest look */
	long long next_s; /* until the next attempt; -1: none is planned */
	char reason[96];
};

static double elapsed_s(const struct wait *w)
{
	return (double) (tg_clock_boot_us() - w->begun_us) / (double) TG_US_PER_S;
}

/* --- what is seen ------------------------------------------------------------------------------------------------- */

static void look_at(struct wait *w, json_t *data, struct tg_progress_look *ret)
{
	json_t *e = json_object_get(data, "enrolment"), *r = json_object_get(data, "rotation");
	json_t *error = json_object_get(e, "error"), *pending = json_object_get(e, "pending");
	const char *state = tg_ctl_text(e, "state", "");

	*ret = (struct tg_progress_look){
		.attempts = tg_ctl_number(e, "attempts", 0),
		.running = strcmp(state, "running") == 0 || strcmp(state, "leaving") == 0,
		.own_id = json_is_true(json_object_get(e, "own_client_id")),
		.step = tg_ctl_text(e, "step", NULL),
		.error_step = tg_ctl_text(error, "step", NULL),
		.error_class = tg_ctl_text(error, "class", NULL),
		.error_text = tg_ctl_text(error, "text", NULL),
		.pending = json_is_object(pending),
		.pending_text = tg_ctl_text(pending, "text", NULL),
		.current = tg_ctl_number(r, "current", 0),
		.candidate = tg_ctl_number(r, "candidate", 0),
		.probation = json_is_true(json_object_get(r, "probation")),
		.roll_backs = tg_ctl_number(r, "roll_backs", 0),
		.rejected = tg_ctl_text(r, "rejected", NULL),
	};
	w->next_s = tg_ctl_number(e, "next_s", -1);
	(void) snprintf(w->reason, sizeof(w->reason), "%s",
			tg_ctl_text(e, "reason", "no reason is known"));
}

static json_t *ask(const struct tg_ctl *ctl, int *ret_code)
{
	return tg_ctl_ask(ctl, json_pack("{s:s}", "cmd", "progress"), ret_code, NULL);
}

/* --- what is told ------------------------------------------------------------------------------------------------- */

static void clear_line(struct wait *w)
{
	if (w->line)
		(void) fputs("\r\033[K", stdout);
	w->line = false;
}

static void tell_json(const struct wait *w, const struct tg_progress_news *n)
{
	static const char *const kinds[] = {
		[TG_PROGRESS_STEP] = "step",           [TG_PROGRESS_AGAIN] = "again",
		[TG_PROGRESS_TRIAL] = "trial",         [TG_PROGRESS_PROMOTED] = "promoted",
		[TG_PROGRESS_PROBATION] = "probation", [TG_PROGRESS_DONE] = "done",
		[TG_PROGRESS_FAILED] = "failed",       [TG_PROGRESS_PENDING] = "pending",
	};
	json_t *o = json_pack("{s:s, s:I, s:s*, s:s*, s:s*, s:s*}", "event", kinds[n->kind],
			      "elapsed_ms", (json_int_t) (elapsed_s(w) * 1000), "step", n->step,
			      "class", n->class, "text", n->text, "advice", n->advice);

	if (n->generation)
		(void) json_object_set_new(o, "generation", json_integer(n->generation));
	if (n->kind == TG_PROGRESS_PENDING && w->next_s >= 0)
		(void) json_object_set_new(o, "next_s", json_integer(w->next_s));
	tg_ctl_print_json(o);
	json_decref(o);
}

static void tell_failure(const struct wait *w, const struct tg_progress_news *n)
{
	char age[24];

	(void) fflush(stdout);
	(void) fprintf(stderr, "tidegate: the %s failed at step '%s'%s%s: %s\n", w->noun,
		       n->step ? n->step : "?", n->class ? ", " : "", n->class ? n->class : "",
		       n->text ? n->text : "no reason is known");
	(void) fprintf(stderr, "          %s.\n", n->advice);
	if (n->generation)
		(void) fprintf(stderr, "          Generation %lld stays in use.\n", n->generation);
	if (w->next_s >= 0)
		(void) fprintf(stderr, "          The next attempt is in %s (%s), or on order.\n",
			       tg_ctl_age(w->next_s, age), w->reason);
	else
		(void) fprintf(stderr, "          No attempt is planned (%s).\n", w->reason);
}

static void tell_pending(const struct wait *w, const struct tg_progress_news *n)
{
	char age[24];

	(void) fflush(stdout);
	(void) fprintf(stderr, "tidegate: the %s waits for the authority's approval%s%s\n", w->noun,
		       n->text ? ": " : "", n->text ? n->text : "");
	if (w->next_s >= 0)
		(void) fprintf(stderr,
			       "          The gateway asks again in %s by itself, or on order. There "
			       "is nothing to wait for here.\n",
			       tg_ctl_age(w->next_s, age));
	if (n->generation)
		(void) fprintf(stderr, "          Generation %lld stays in use.\n", n->generation);
}

static void print_news(const struct wait *w, const struct tg_progress_news *n)
{
	enum tg_ctl_tone tone = n->kind == TG_PROGRESS_DONE ? TG_FINE : TG_PLAIN;

	tg_ctl_say(w->ctl, TG_DIM, "[%6.1f s] ", elapsed_s(w));
	switch (n->kind) {
	case TG_PROGRESS_STEP:
		tg_ctl_say(w->ctl, tone, "%-11s %s\n", n->step, tg_progress_step_text(n->step));
		break;
	case TG_PROGRESS_AGAIN:
		tg_ctl_say(w->ctl, TG_WARN,
			   "%-11s the service refuses the rotation client id; leaving the broker, "
			   "to try under the gateway's own\n",
			   "request");
		break;
	case TG_PROGRESS_TRIAL:
		tg_ctl_say(w->ctl, tone, "%-11s ", "trial");
		if (n->generation)
			tg_ctl_say(w->ctl, tone, "generation %lld is shown to the broker\n",
				   n->generation);
		else
			tg_ctl_say(w->ctl, tone, "the broker was shown the new generation\n");
		break;
	case TG_PROGRESS_PROMOTED:
		tg_ctl_say(w->ctl, tone,
			   "%-11s the broker has accepted it: generation %lld is the "
			   "current one\n",
			   "promotion", n->generation);
		break;
	case TG_PROGRESS_PROBATION:
		tg_ctl_say(w->ctl, tone,
			   "%-11s the one before is kept until generation %lld has stood the "
			   "test\n",
			   "probation", n->generation);
		break;
	case TG_PROGRESS_DONE:
		tg_ctl_say(w->ctl, tone, "%-11s generation %lld is in use\n", "done",
			   n->generation);
		break;
	case TG_PROGRESS_FAILED:
		tg_ctl_say(w->ctl, TG_FAIL, "%-11s step %s\n", "failed", n->step ? n->step : "?");
		tell_failure(w, n);
		break;
	case TG_PROGRESS_PENDING:
		tg_ctl_say(w->ctl, TG_WARN, "%-11s the service has the request, and has yet to "
					    "approve it\n", "pending");
		tell_pending(w, n);
		break;
	}
}

static void on_news(void *user, const struct tg_progress_news *n)
{
	struct wait *w = user;

	clear_line(w);
	if (w->ctl->json)
		tell_json(w, n);
	else
		print_news(w, n);
	(void) fflush(stdout);
}

static void live_line(struct wait *w, const char *text)
{
	if (!w->ctl->terminal || w->ctl->json)
		return;
	(void) printf("\r\033[K[%6.1f s] %s ...", elapsed_s(w), text);
	(void) fflush(stdout);
	w->line = true;
}

/* --- the wait ----------------------------------------------------------------------------------------------------- */

static int give_up(struct wait *w, const char *why)
{
	clear_line(w);
	(void) fflush(stdout);
	(void) fprintf(stderr,
		       "tidegate: %s; the %s goes on without you. 'tidegate status' tells "
		       "how it ends\n",
		       why, w->noun);
	return TG_EXIT_FAILED;
}

static int wait_for_end(struct wait *w, struct tg_progress *p)
{
	uint64_t heard_us = tg_clock_boot_us();
	int code = TG_EXIT_FAILED, r = 0;

	while (r == 0) {
		struct tg_progress_look look = { 0 };
		json_t *data = NULL;

		if (interrupted)
			return give_up(w, "interrupted");
		if (tg_ctl_agent_runs(w->ctl))
			data = ask(w->ctl, &code);
		if (data) {
			heard_us = tg_clock_boot_us();
			look_at(w, data, &look);
			r = tg_progress_feed(p, &look, on_news, w);
			if (r == 0)
				live_line(w, tg_progress_now(p, &look));
			json_decref(data);
		} else if (tg_clock_boot_us() - heard_us > PATIENCE_S * TG_US_PER_S) {
			return give_up(w, "the agent does not answer");
		}
		if (r == 0)
			(void) nanosleep(&(struct timespec){ .tv_nsec = LOOK_MS * 1000000L }, NULL);
	}
	return r > 0 ? TG_EXIT_OK : TG_EXIT_FAILED;
}

static int order(struct tg_ctl *ctl, const char *cmd, const char *noun)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct wait w = { .ctl = ctl, .noun = noun, .begun_us = tg_clock_boot_us() };
	struct tg_progress_look look;
	struct tg_progress p;
	int code = TG_EXIT_FAILED;
	json_t *before = NULL, *data;

	/* From before the order: what it changes is seen against this. */
	if (ctl->wait) {
		before = ask(ctl, &code);
		if (!before)
			return code;
		look_at(&w, before, &look);
		tg_progress_begin(&p, &look);
		json_decref(before);
	}
	data = tg_ctl_ask(ctl, json_pack("{s:s}", "cmd", cmd), &code, NULL);
	if (!data)
		return code;
	if (!ctl->wait && ctl->json)
		tg_ctl_print_json(data);
	else if (!ctl->wait)
		(void) printf("%s started; see 'tidegate status', or use --wait\n", noun);
	json_decref(data);
	if (!ctl->wait)
		return TG_EXIT_OK;
	(void) sigaction(SIGINT, &sa, NULL);
	(void) sigaction(SIGTERM, &sa, NULL);
	ctl->quiet = true;
	return wait_for_end(&w, &p);
}

static int renew(struct tg_ctl *ctl)
{
	return order(ctl, "renew", "renewal");
}

static int enroll(struct tg_ctl *ctl)
{
	return order(ctl, "enroll", "enrolment");
}

const struct tg_ctl_verb tg_verb_renew = { "renew", "[--wait]",
					   "get a new certificate now instead of when it is due",
					   renew };
const struct tg_ctl_verb tg_verb_enroll = { "enroll", "[--wait]",
					    "try to enrol now instead of later", enroll };
