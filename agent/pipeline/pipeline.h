/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/pack/parcel.h"
#include "agent/spool/spool.h"

/*
 * From a poll to the spool: applies the point rules (publish = change,
 * deadband, max-silence), stamps clock and sequence number, splits what would
 * pass max-payload, and hands the parcels to the spool. A poll whose every
 * reading is held back by the rules makes no pack.
 *
 * The tap feeds `read` and `watch`. It gets one parcel for
 * each poll with all of its readings, those held back too: the same parcel
 * that the spool has where they do not differ, else one of its own, with seq 0.
 *
 * tg_pipeline_submit() is called by bus workers, one device always by the
 * same worker; the rest by the loop. Sequence numbers: epoch * 2^32 + n.
 */
struct tg_pipeline;

/* Everything a worker cannot know; called on the worker's thread, so it must not block. */
struct tg_pipeline_clock {
	int64_t wall_offset_us;
	enum tg_clock_trust trust;
};
typedef struct tg_pipeline_clock (*tg_pipeline_clock_fn)(void *user);

/*
 * Raises the epoch in `seq-epoch` of @state_dir on stable storage and returns it: once per start, before the first pack.
 * 0 and @ret, or -errno; a damaged file is replaced by an epoch that is higher than any that the file or @at_least names.
 */
int tg_epoch_raise(const char *state_dir, uint32_t at_least, uint32_t *ret, struct tg_fault *reterr) TG_CHECKED;

/*
 * Copies what it needs of @cfg; @spool and @tap outlive the pipeline. @tap may be NULL; its messages are struct tg_parcel *,
 * one reference each; a full tap loses only the tap's copy. Returns 0 or -errno.
 */
int tg_pipeline_new(const struct tg_config *cfg, uint32_t epoch, struct tg_spool *spool, struct tg_mailbox *tap,
		    tg_pipeline_clock_fn clock, void *user, struct tg_pipeline **ret) TG_CHECKED;
struct tg_pipeline *tg_pipeline_free(struct tg_pipeline *p);
/* How many sequence numbers are left: at 100 packs a second an epoch lasts for 497 days. Any thread. */
uint64_t tg_pipeline_left(const struct tg_pipeline *p);
/* Another epoch, from tg_epoch_raise(): the numbers go on into it. */
void tg_pipeline_extend(struct tg_pipeline *p, uint32_t epoch);
/*
 * Swap the rules. No worker may run meanwhile. Sequence numbers go on, and so do gap records of devices that keep their
 * name; every point is new to its rule. Returns 0, or -ENOMEM with the old rules in force.
 */
int tg_pipeline_configure(struct tg_pipeline *p, const struct tg_config *cfg) TG_CHECKED;
/*
 * @device is the index in the configuration, @samples one poll's results (at most TG_PACK_SAMPLES; none is no pack), borrowed.
 * Never blocks, never fails: a sample that no pack may hold becomes bad, and a pack that cannot be handed on is
 * counted: the device's next one is preceded by a gap record, a pack of the points `_gap` (packs lost), `_gap_first` and
 * `_gap_last` (their seq). Names of points do not start with "_".
 */
void tg_pipeline_submit(struct tg_pipeline *p, size_t device, const struct tg_sample *samples, size_t n);
/* The same for the tap alone: what is shown to those who ask and published to nobody. */
void tg_pipeline_show(struct tg_pipeline *p, size_t device, const struct tg_sample *samples, size_t n);
/* Since the start: parcels that found the tap full, and packs that did not get into the spool. Any thread. */
uint64_t tg_pipeline_taps_lost(const struct tg_pipeline *p);
uint64_t tg_pipeline_packs_lost(const struct tg_pipeline *p);
