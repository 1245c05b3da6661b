/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/progress.h"

#include "identity/journal.h"

#include <string.h>

/* What is done when the step is, what is under way before it. */
static const struct {
	const char *done, *now;
} steps[TG_STEP_COUNT_] = {
	[TG_STEP_NONE] = { "", "starting" },
	[TG_STEP_KEY] = { "the key is in the TPM", "making the key in the TPM" },
	[TG_STEP_CSR] = { "the request is signed", "signing the request" },
	[TG_STEP_REQUEST] = { "connected, the request goes out", "connecting to the service" },
	[TG_STEP_ISSUED] = { "the certificate has come", "waiting for the certificate" },
	[TG_STEP_REGISTERED] = { "the service has registered the gateway with it", "registering "
										   "with the "
										   "service" },
	[TG_STEP_VERIFIED] = { "the certificate is what was asked for", "checking the "
									"certificate" },
	[TG_STEP_WRITTEN] = { "the new generation is on the disk", "writing the new generation" },
};

static const struct {
	enum tg_enrol_class class;
	const char *text;
} advices[] = {
	{ TG_ENROL_RETRY,
	  "if the service was away or busy, nothing needs to be done; else the reason says where to "
	  "look" },
	{ TG_ENROL_REFUSED, "the service says no: look at its rules for this gateway (policies, "
			    "template, provisioning hook)" },
	{ TG_ENROL_BAD_ANSWER, "what came back cannot be used: tell those who run the service" },
	{ TG_ENROL_LOCAL, "look at TPM, disk and files of this gateway: 'tidegate status', "
			  "'tidegate check'" },
	{ TG_ENROL_ID_REFUSED, "the service takes neither the rotation client id nor the gateway's "
			       "own: look at its "
			       "policies" },
};
#define ADVICE_BROKER                                                                              \
	"look for a policy, an attachment or an issuer that is missing at the broker; the "        \
	"gateway goes on with what it had"

#define GONE_LOOKS 15 /* an agent that has been restarted does not know why any more */

static unsigned step_number(const char *name)
{
	for (unsigned i = 0; name && i < TG_STEP_COUNT_; i++) {
		if (strcmp(tg_enrol_step_name((enum tg_enrol_step) i), name) == 0)
			return i;
	}
	return 0;
}

static const char *advice_for(const char *class)
{
	for (size_t i = 0; class && i < TG_ARRAY_SIZE(advices); i++) {
		if (strcmp(tg_enrol_class_name(advices[i].class), class) == 0)
			return advices[i].text;
	}
	return "see 'tidegate status'";
}

const char *tg_progress_step_text(const char *step)
{
	return steps[step_number(step)].done;
}

void tg_progress_begin(struct tg_progress *p, const struct tg_progress_look *look)
{
	*p = (struct tg_progress){ .attempts = look->attempts,
				   .base = look->current,
				   .roll_backs = look->roll_backs };
	/* `enroll` may find one on trial already. */
	if (!look->current)
		p->candidate = look->candidate;
}

static void tell_steps(struct tg_progress *p, unsigned until, tg_progress_fn tell, void *user)
{
	while (p->steps < until) {
		p->steps++;
		tell(user, &(struct tg_progress_news){
				   .kind = TG_PROGRESS_STEP,
				   .step = tg_enrol_step_name((enum tg_enrol_step) p->steps) });
	}
}

static int fail(const struct tg_progress_news *news, tg_progress_fn tell, void *user)
{
	tell(user, news);
	return -1;
}

static void tell_trial(struct tg_progress *p, tg_progress_fn tell, void *user)
{
	if (p->tried)
		return;
	p->tried = true;
	/* Steps of the journal, which goes when the generation is there. */
	tell_steps(p, TG_STEP_COUNT_ - 1, tell, user);
	tell(user, &(struct tg_progress_news){ .kind = TG_PROGRESS_TRIAL,
					       .generation = p->candidate });
}

static int fail_trial(const struct tg_progress *p, const struct tg_progress_look *look,
		      tg_progress_fn tell, void *user)
{
	return fail(&(struct tg_progress_news){ .kind = TG_PROGRESS_FAILED,
						.step = p->promoted ? "probation" : "trial",
						.text = look->rejected,
						.advice = ADVICE_BROKER,
						.generation = look->current },
		    tell, user);
}

/* The broker's part: there is, or was, a new generation. */
static int feed_trial(struct tg_progress *p, const struct tg_progress_look *look,
		      tg_progress_fn tell, void *user)
{
	struct tg_progress_news news = { .generation = p->candidate };

	tell_trial(p, tell, user);
	if (look->candidate == p->candidate)
		return 0;
	if (look->current != p->candidate) {
		/* The reason comes from another thread of the agent, and may be a moment late. */
		if (look->roll_backs == p->roll_backs && ++p->gone < GONE_LOOKS)
			return 0;
		return fail_trial(p, look, tell, user);
	}
	p->gone = 0;
	if (!p->promoted) {
		p->promoted = true;
		news.kind = TG_PROGRESS_PROMOTED;
		tell(user, &news);
	}
	if (look->probation && !p->probation) {
		p->probation = true;
		news.kind = TG_PROGRESS_PROBATION;
		tell(user, &news);
	}
	if (look->probation)
		return 0;
	news.kind = TG_PROGRESS_DONE;
	tell(user, &news);
	return 1;
}

int tg_progress_feed(struct tg_progress *p, const struct tg_progress_look *look,
		     tg_progress_fn tell, void *user)
{
	/* Numbers only grow; trial and promotion may both have gone by between two looks. */
	if (look->candidate > p->base && look->candidate > p->candidate)
		p->candidate = look->candidate;
	if (look->current > p->base && look->current > p->candidate)
		p->candidate = look->current;
	if (p->candidate)
		return feed_trial(p, look, tell, user);
	if (look->attempts <= p->attempts)
		return 0;
	if (look->own_id && !p->again) {
		tell(user, &(struct tg_progress_news){ .kind = TG_PROGRESS_AGAIN });
		p->again = true;
	}
	if (look->running) {
		tell_steps(p, step_number(look->step), tell, user);
		return 0;
	}
	/* A trial that was over between two looks has left nothing but its verdict. */
	if (look->roll_backs > p->roll_backs) {
		tell_trial(p, tell, user);
		return fail_trial(p, look, tell, user);
	}
	if (look->pending && !look->error_class) {
		tell_steps(p, step_number(look->step), tell, user);
		return fail(&(struct tg_progress_news){ .kind = TG_PROGRESS_PENDING,
							.text = look->pending_text,
							.generation = look->current },
			    tell, user);
	}
	if (!look->error_class)
		return 0;
	/* It is made once more under the own id: by itself, and at once. */
	if (strcmp(look->error_class, tg_enrol_class_name(TG_ENROL_ID_REFUSED)) == 0 &&
	    !look->own_id)
		return 0;
	tell_steps(p, step_number(look->step), tell, user);
	return fail(&(struct tg_progress_news){ .kind = TG_PROGRESS_FAILED,
						.step = look->error_step,
						.class = look->error_class,
						.text = look->error_text,
						.advice = advice_for(look->error_class),
						.generation = look->current },
		    tell, user);
}

const char *tg_progress_now(const struct tg_progress *p, const struct tg_progress_look *look)
{
	if (p->promoted)
		return "on probation";
	if (p->candidate)
		return "trying the new certificate with the broker";
	if (look->attempts <= p->attempts || !look->running)
		return p->again ? "leaving the broker for the renewal" : "about to begin";
	return steps[p->steps + 1 < TG_STEP_COUNT_ ? p->steps + 1 : p->steps].now;
}
