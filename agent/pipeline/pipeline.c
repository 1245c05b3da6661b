/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pipeline/pipeline.h"

#include "agent/pipeline/admit.h"
#include "agent/pipeline/rules.h"
#include "agent/pipeline/split.h"
#include "base/clock.h"

#include <tidegate/log.h>

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/*
 * Who owns what: a device and its rules belong to the worker that polls it,
 * so they need no lock; the sequence number and the counters are shared and
 * atomic; the rest does not change between two calls of _configure. A worker
 * draws a number and posts the parcel before it draws the next, so within a
 * device numbers rise in the order of submission.
 *
 * A rule is told only of what the spool took. What was lost is thus due
 * again at the next poll, if it still differs from what the cloud has.
 */
#define LOG_BURST     4 /* lines about losses of one device in LOG_WINDOW_US */
#define LOG_WINDOW_US (600 * TG_US_PER_S)

struct device {
	char *name;
	struct tg_rule *rules;
	size_t n_rules;
	uint64_t lost, lost_first, lost_last; /* packs since the last gap record, and their seq */
	struct tg_log_limit log_limit;
};

struct tg_pipeline {
	struct tg_spool *spool;
	struct tg_mailbox *tap;
	tg_pipeline_clock_fn clock;
	void *user;
	uint8_t boot_id[16];
	struct tg_split split;
	struct device *devices;
	size_t n_devices;
	_Atomic uint64_t next, end; /* sequence numbers: the one to come, and the first that is not ours */
	_Atomic uint64_t taps_lost, packs_lost;
};

/* One call of _submit. */
struct poll {
	struct tg_pipeline *p;
	struct device *dev;
	struct tg_pipeline_clock now;
	struct tg_sample *all;  /* as admitted */
	struct tg_sample *due;  /* of these, what the rules let pass */
	struct tg_rule **rules; /* of each in due; NULL: none */
	size_t n_all, n_due;
	bool tapped;
};

/* --- sequence numbers --- */

/* Returns 0, or -EOVERFLOW: all of the epoch is used, and only another one goes on without repeating. */
static int draw_seq(struct tg_pipeline *p, uint64_t *ret)
{
	uint64_t n = atomic_load(&p->next);

	do {
		if (n >= atomic_load(&p->end))
			return -EOVERFLOW;
	} while (!atomic_compare_exchange_weak(&p->next, &n, n + 1));
	*ret = n;
	return 0;
}

uint64_t tg_pipeline_left(const struct tg_pipeline *p)
{
	return atomic_load(&p->end) - atomic_load(&p->next);
}

void tg_pipeline_extend(struct tg_pipeline *p, uint32_t epoch)
{
	assert(epoch >= atomic_load(&p->end) >> 32);

	atomic_store(&p->end, ((uint64_t) epoch + 1) << 32);
}

/* --- losses --- */

static void tell_loss(struct device *dev, int r)
{
	if (tg_log_allowed(&dev->log_limit, tg_clock_boot_us(), LOG_BURST, LOG_WINDOW_US))
		tg_log(LOG_WARNING, "pipeline",
		       "%s: readings are lost: %s; a gap record will follow", dev->name,
		       r == -EAGAIN ? "the spool does not take them" : strerror(-r));
}

/* A pack that got no number before it was lost (@seq is 0) gets one now, so that the gap record can name it. */
static void lose(struct tg_pipeline *p, struct device *dev, uint64_t seq, int r)
{
	if (seq == 0 && draw_seq(p, &seq) < 0)
		seq = atomic_load(&p->end) - 1;
	if (dev->lost == 0) {
		dev->lost_first = seq;
		tell_loss(dev, r);
	}
	dev->lost++;
	dev->lost_last = seq;
	atomic_fetch_add(&p->packs_lost, 1);
}

/* --- handing on --- */

static void tap(struct tg_pipeline *p, struct tg_parcel *parcel)
{
	struct tg_parcel *ref;

	if (!p->tap)
		return;
	ref = tg_parcel_ref(parcel);
	if (tg_mailbox_post(p->tap, &ref) < 0) {
		(void) tg_parcel_unref(ref);
		atomic_fetch_add(&p->taps_lost, 1);
	}
}

static struct tg_pack pack_of(const struct poll *poll, uint64_t seq,
			      const struct tg_sample *samples, size_t n)
{
	struct tg_pack pack = {
		.seq = seq,
		.device = poll->dev->name,
		.wall_offset_us = poll->now.wall_offset_us,
		.clock = poll->now.trust,
		.n_samples = n,
		.samples = samples,
	};

	memcpy(pack.boot_id, poll->p->boot_id, sizeof(pack.boot_id));
	return pack;
}

static int put(struct tg_pipeline *p, struct tg_parcel **parcel)
{
	int r = tg_spool_put(p->spool, *parcel);

	if (r == 0)
		*parcel = NULL;
	return r;
}

static struct tg_sample gap_sample(const char *point, uint64_t v, uint64_t boot_us)
{
	return (struct tg_sample){ .point = point,
				   .unit = "",
				   .reason = "",
				   .value = { .type = TG_VALUE_UINT, .u = v },
				   .boot_us = boot_us };
}

/* Tells what was lost before the pack that comes now, or fails and leaves it to the next. */
static int put_gap(const struct poll *poll)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *parcel = NULL;
	struct device *dev = poll->dev;
	uint64_t boot_us = poll->due[0].boot_us, seq;
	struct tg_sample gap[] = { gap_sample("_gap", dev->lost, boot_us),
				   gap_sample("_gap_first", dev->lost_first, boot_us),
				   gap_sample("_gap_last", dev->lost_last, boot_us) };
	struct tg_pack pack;
	int r;

	r = draw_seq(poll->p, &seq);
	if (r < 0)
		return r;
	pack = pack_of(poll, seq, gap, TG_ARRAY_SIZE(gap));
	r = tg_parcel_new(&pack, &parcel);
	if (r == 0)
		r = put(poll->p, &parcel);
	if (r < 0)
		return r;
	dev->lost = 0;
	return 0;
}

/*
 * Makes the parcel of @pack, of fewer samples when it would pass the bound of parcels;
 * pack->n_samples then says how many.
 */
static int make_parcel(struct tg_pack *pack, struct tg_parcel **ret)
{
	int r = tg_parcel_new(pack, ret);

	while (r == -EMSGSIZE && pack->n_samples > 1) {
		pack->n_samples /= 2;
		r = tg_parcel_new(pack, ret);
	}
	return r;
}

/* One message. Returns 0 when the spool has it. */
static int send_pack(struct poll *poll, struct tg_pack *pack)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *parcel = NULL;
	struct device *dev = poll->dev;
	int r = 0;

	if (dev->lost > 0)
		r = put_gap(poll);
	if (r == 0)
		r = draw_seq(poll->p, &pack->seq);
	if (r == 0)
		r = make_parcel(pack, &parcel);
	if (r == 0 && pack->samples == poll->due && pack->n_samples == poll->n_all) {
		tap(poll->p, parcel);
		poll->tapped = true;
	}
	if (r == 0)
		r = put(poll->p, &parcel);
	return r;
}

static void send_due(struct poll *poll)
{
	size_t at = 0;

	while (at < poll->n_due) {
		struct tg_pack pack = pack_of(poll, 0, poll->due + at, poll->n_due - at);
		struct tg_sample spoilt;
		int r;

		pack.n_samples = tg_split_count(&poll->p->split, &pack);
		if (pack.n_samples == 0) {
			/* The rule is told of the reading, not of this, or it would come again at
			 * each poll. */
			spoilt = tg_sample_spoil(&poll->due[at], "value too long for max-payload");
			pack.samples = &spoilt;
			pack.n_samples = 1;
		}
		r = send_pack(poll, &pack);
		if (r < 0)
			lose(poll->p, poll->dev, pack.seq, r);
		for (size_t i = at; r == 0 && i < at + pack.n_samples; i++) {
			if (poll->rules[i])
				tg_rule_told(poll->rules[i], &poll->due[i]);
		}
		at += pack.n_samples;
	}
}

static void tap_all(struct poll *poll)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *parcel = NULL;
	struct tg_pack pack = pack_of(poll, 0, poll->all, poll->n_all);

	if (poll->tapped || !poll->p->tap)
		return;
	if (tg_parcel_new(&pack, &parcel) == 0)
		tap(poll->p, parcel);
	else
		atomic_fetch_add(&poll->p->taps_lost, 1);
}

/* --- one poll --- */

/* Drivers fill samples in the order of the points; anything else is looked for. NULL: a point
 * without a rule. */
static struct tg_rule *find_rule(struct device *dev, size_t hint, const char *point)
{
	if (hint < dev->n_rules && strcmp(dev->rules[hint].point, point) == 0)
		return &dev->rules[hint];
	for (size_t i = 0; i < dev->n_rules; i++) {
		if (strcmp(dev->rules[i].point, point) == 0)
			return &dev->rules[i];
	}
	return NULL;
}

static void sift(struct poll *poll, const struct tg_sample *samples, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct tg_sample s = tg_sample_admit(&samples[i]);
		struct tg_rule *rule = find_rule(poll->dev, i, s.point);

		poll->all[poll->n_all++] = s;
		if (rule && !tg_rule_due(rule, &s))
			continue;
		poll->rules[poll->n_due] = rule;
		poll->due[poll->n_due++] = s;
	}
}

void tg_pipeline_submit(struct tg_pipeline *p, size_t device, const struct tg_sample *samples,
			size_t n)
{
	tg_autofree struct tg_sample *room = NULL;
	tg_autofree struct tg_rule **rules = NULL;
	struct poll poll = { .p = p };

	assert(device < p->n_devices && n <= TG_PACK_SAMPLES);
	if (n == 0)
		return;
	poll.dev = &p->devices[device];
	poll.now = p->clock(p->user);
	room = calloc(2 * n, sizeof(*room));
	rules = calloc(n, sizeof(struct tg_rule *));
	if (!room || !rules) {
		lose(p, poll.dev, 0, -ENOMEM);
		return;
	}
	poll.all = room;
	poll.due = room + n;
	poll.rules = rules;
	sift(&poll, samples, n);
	send_due(&poll);
	tap_all(&poll);
}

void tg_pipeline_show(struct tg_pipeline *p, size_t device, const struct tg_sample *samples,
		      size_t n)
{
	tg_autofree struct tg_sample *room = NULL;
	struct poll poll = { .p = p };

	assert(device < p->n_devices && n <= TG_PACK_SAMPLES);
	room = calloc(n ? n : 1, sizeof(*room));
	if (n == 0 || !room)
		return;
	poll.dev = &p->devices[device];
	poll.now = p->clock(p->user);
	poll.all = room;
	for (; poll.n_all < n; poll.n_all++)
		room[poll.n_all] = tg_sample_admit(&samples[poll.n_all]);
	tap_all(&poll);
}

/* --- configuration --- */

static void free_devices(struct device *devices, size_t n)
{
	for (size_t i = 0; devices && i < n; i++) {
		for (size_t k = 0; devices[i].rules && k < devices[i].n_rules; k++)
			tg_rule_done(&devices[i].rules[k]);
		free(devices[i].rules);
		free(devices[i].name);
	}
	free(devices);
}

static int device_init(struct device *dev, const struct tg_config_device *cfg)
{
	dev->name = strdup(cfg->name);
	dev->rules = calloc(cfg->n_points ? cfg->n_points : 1, sizeof(*dev->rules));
	if (!dev->name || !dev->rules)
		return -ENOMEM;
	for (; dev->n_rules < cfg->n_points; dev->n_rules++) {
		struct tg_rule *rule = &dev->rules[dev->n_rules];
		int r = tg_rule_init(rule, &cfg->points[dev->n_rules]);

		if (r < 0)
			return r;
	}
	return 0;
}

/* What a device has lost is told under the new configuration as well, if it still exists. */
static void carry_losses(const struct tg_pipeline *p, struct device *dev)
{
	for (size_t i = 0; i < p->n_devices; i++) {
		const struct device *old = &p->devices[i];

		if (strcmp(old->name, dev->name) != 0)
			continue;
		dev->lost = old->lost;
		dev->lost_first = old->lost_first;
		dev->lost_last = old->lost_last;
		dev->log_limit = old->log_limit;
	}
}

int tg_pipeline_configure(struct tg_pipeline *p, const struct tg_config *cfg)
{
	struct device *devices = calloc(cfg->n_devices ? cfg->n_devices : 1, sizeof(*devices));
	struct tg_split split = { .base_name = NULL };
	int r = devices ? tg_split_init(&split, cfg) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < cfg->n_devices; i++) {
		r = device_init(&devices[i], &cfg->devices[i]);
		if (r == 0)
			carry_losses(p, &devices[i]);
	}
	if (r < 0) {
		free_devices(devices, cfg->n_devices);
		tg_split_done(&split);
		return r;
	}

	free_devices(p->devices, p->n_devices);
	tg_split_done(&p->split);
	p->devices = devices;
	p->n_devices = cfg->n_devices;
	p->split = split;
	return 0;
}

int tg_pipeline_new(const struct tg_config *cfg, uint32_t epoch, struct tg_spool *spool,
		    struct tg_mailbox *tap_box, tg_pipeline_clock_fn clock, void *user,
		    struct tg_pipeline **ret)
{
	struct tg_pipeline *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->spool = spool;
	p->tap = tap_box;
	p->clock = clock;
	p->user = user;
	atomic_init(&p->next, (uint64_t) epoch << 32);
	atomic_init(&p->end, ((uint64_t) epoch + 1) << 32);
	r = tg_clock_boot_id(p->boot_id);
	if (r == 0)
		r = tg_pipeline_configure(p, cfg);
	if (r < 0) {
		(void) tg_pipeline_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct tg_pipeline *tg_pipeline_free(struct tg_pipeline *p)
{
	if (!p)
		return NULL;
	free_devices(p->devices, p->n_devices);
	tg_split_done(&p->split);
	free(p);
	return NULL;
}

uint64_t tg_pipeline_taps_lost(const struct tg_pipeline *p)
{
	return atomic_load(&p->taps_lost);
}

uint64_t tg_pipeline_packs_lost(const struct tg_pipeline *p)
{
	return atomic_load(&p->packs_lost);
}
