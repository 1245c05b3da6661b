/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/link_internal.h"

#include <tidegate/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * Results of commands, on their way to the broker: several at a time, each kept until its PUBACK. A
 * flood of commands makes a flood of results: they take a share of the rate limit, and those of commands
 * that were only refused go when there is no room.
 */
#define RESULT_SUFFIX "/result"
#define TRIES_MAX     3    /* sessions that the broker ended while the result was in flight */
#define RATE_SHARE    5    /* one in so many messages that rate-limit allows */
#define RATE_FREE     1000 /* a second, where it allows all */

void tg_link_drop_result(void *result)
{
	free(((struct tg_link_result *) result)->json);
}

static void remove_at(struct tg_link *l, size_t i)
{
	free(l->results[i].json);
	l->n_results--;
	memmove(&l->results[i], &l->results[i + 1], (l->n_results - i) * sizeof(l->results[0]));
}

/* The broker has it, or will not have it; or there is no room. */
static void finish_at(struct tg_link *l, size_t i, bool told)
{
	if (l->results[i].executed)
		l->o.result_gone(l->o.user, l->results[i].id, told);
	remove_at(l, i);
}

/* The one that is missed least: the oldest that nothing was done for, or the oldest. SIZE_MAX: all are in flight. */
static size_t least(const struct tg_link *l)
{
	size_t oldest = SIZE_MAX;

	for (size_t i = 0; i < l->n_results; i++) {
		if (l->results[i].cookie)
			continue;
		if (!l->results[i].executed)
			return i;
		if (oldest == SIZE_MAX)
			oldest = i;
	}
	return oldest;
}

static void take(struct tg_link *l, struct tg_link_result *r)
{
	static struct tg_log_limit limit = TG_LOG_LIMIT_INIT;
	size_t victim;

	if (l->n_results < TG_LINK_RESULTS) {
		l->results[l->n_results++] = *r;
		return;
	}
	l->report.results_dropped++;
	if (tg_log_allowed(&limit, tg_clock_boot_us(), 1, 60 * TG_US_PER_S))
		tg_log(LOG_WARNING, "link",
		       "too many results of commands wait for the broker; some are dropped");
	victim = least(l);
	if (victim == SIZE_MAX || (!r->executed && l->results[victim].executed)) {
		if (r->executed)
			l->o.result_gone(l->o.user, r->id, false);
		tg_link_drop_result(r);
		return;
	}
	finish_at(l, victim, false);
	l->results[l->n_results++] = *r;
}

void tg_link_take_results(struct tg_link *l)
{
	struct tg_link_result r;

	while (tg_mailbox_take(l->results_in, &r))
		take(l, &r);
	l->report.results_waiting = (unsigned) l->n_results;
}

/* Whether one more may go out in this second. */
static bool is_allowed(struct tg_link *l)
{
	unsigned limit = l->setup.cfg->mqtt.rate_limit,
		 most = limit ? limit / RATE_SHARE : RATE_FREE;
	uint64_t now = tg_clock_boot_us();

	if (now - l->results_since_us >= TG_US_PER_S) {
		l->results_since_us = now;
		l->results_sent = 0;
	}
	return l->results_sent < (most ? most : 1);
}

static int form_topic(const struct tg_link *l, const char *device, char *out, size_t size,
		      struct tg_fault *reterr)
{
	struct tg_specifiers spec = l->setup.spec;
	int r;

	spec.device = device;
	r = tg_specifiers_expand(&spec, l->setup.cfg->mqtt.command_topic, out,
				 size - sizeof(RESULT_SUFFIX), reterr);
	if (r == 0)
		memcpy(out + strlen(out), RESULT_SUFFIX, sizeof(RESULT_SUFFIX));
	return r;
}

/* Returns 0, or -errno; -EAGAIN and the like mean later. */
static int publish(struct tg_link *l, struct tg_link_result *r, struct tg_fault *reterr)
{
	char topic[TG_MQTT_TOPIC_MAX + 1];
	int e = form_topic(l, r->device, topic, sizeof(topic), reterr);

	if (e < 0)
		return e == -EAGAIN ? e : -EINVAL;
	if (l->result_cookie < TG_COOKIE_RESULT || l->result_cookie >= TG_COOKIE_RESULT_LAST)
		l->result_cookie = TG_COOKIE_RESULT;
	e = tg_mqtt_publish(l->mqtt, topic, r->json, strlen(r->json), false, l->result_cookie + 1,
			    reterr);
	if (e < 0)
		return e;
	r->cookie = ++l->result_cookie;
	tg_flight_sent(&l->flight, r->cookie, tg_clock_boot_us());
	l->results_sent++;
	return 0;
}

static size_t in_flight(const struct tg_link *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n_results; i++)
		n += l->results[i].cookie != 0;
	return n;
}

/* Those of executed commands, or the others. Returns whether there is room for more. */
static bool publish_some(struct tg_link *l, bool executed)
{
	size_t out = in_flight(l);

	for (size_t i = 0; i < l->n_results && out < TG_LINK_RESULT_WINDOW && is_allowed(l);) {
		struct tg_link_result *r = &l->results[i];
		struct tg_fault why = { .text = "" };
		int e = r->cookie || r->executed != executed ? 1 : publish(l, r, &why);

		if (e == -EINVAL || e == -EMSGSIZE) {
			tg_log(LOG_ERR, "link", "the result of a command cannot be published: %s",
			       why.text);
			finish_at(l, i, true);
			continue;
		}
		/* Too many in flight, or a session that is about to end. */
		if (e < 0)
			return false;
		out += e == 0;
		i++;
	}
	return out < TG_LINK_RESULT_WINDOW;
}

void tg_link_publish_results(struct tg_link *l)
{
	if (l->proved && l->report.state == TG_LINK_ONLINE && publish_some(l, true))
		(void) publish_some(l, false);
}

void tg_link_result_acked(struct tg_link *l, uint64_t cookie)
{
	for (size_t i = 0; i < l->n_results; i++) {
		if (l->results[i].cookie != cookie)
			continue;
		finish_at(l, i, true);
		return;
	}
}

bool tg_link_results_lost(struct tg_link *l, bool ended)
{
	bool any = false;

	for (size_t i = 0; i < l->n_results;) {
		struct tg_link_result *r = &l->results[i];

		any |= r->cookie != 0;
		if (r->cookie && ended && ++r->tries == TRIES_MAX) {
			tg_log(LOG_WARNING, "link",
			       "the broker ends the session whenever the result of a command for "
			       "%s is published "
			       "(policy?); giving it up",
			       r->device);
			finish_at(l, i, true);
			continue;
		}
		r->cookie = 0;
		i++;
	}
	return any && ended;
}

bool tg_link_results_on_trial(const struct tg_link *l)
{
	for (size_t i = 0; i < l->n_results; i++)
		if (l->results[i].cookie && l->results[i].tries > 0)
			return true;
	return false;
}

void tg_link_results_done(struct tg_link *l)
{
	while (l->n_results)
		remove_at(l, l->n_results - 1);
}

int tg_link_result(struct tg_link *l, const char *device, const char *id, char *json, bool executed)
{
	struct tg_link_result r = { .json = json, .executed = executed };

	(void) snprintf(r.device, sizeof(r.device), "%s", device);
	(void) snprintf(r.id, sizeof(r.id), "%s", id);
	return tg_mailbox_post(l->results_in, &r);
}
