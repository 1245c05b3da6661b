/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/pack/parcel.h"
#include "agent/spool/spool.h"

/*
 * From a poll to the spool: applies the point rules (publish = change,
 * deadband, max-silence), stamps clock and sequence number, splits what would
 * pass max-payload, hands the parcel to the spool and a second reference to
 * the tap that feeds `read`, `watch` and the last values.
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

/* @tap may be NULL; its messages are struct tg_parcel *, one reference each; a full tap loses only the tap's copy. */
int tg_pipeline_new(const struct tg_config *cfg, uint32_t epoch, struct tg_spool *spool, struct tg_mailbox *tap,
		    tg_pipeline_clock_fn clock, void *user, struct tg_pipeline **ret) TG_CHECKED;
struct tg_pipeline *tg_pipeline_free(struct tg_pipeline *p);
/* Swap the rules. No worker may run meanwhile. Sequence numbers go on. */
int tg_pipeline_configure(struct tg_pipeline *p, const struct tg_config *cfg) TG_CHECKED;
/*
 * @device is the index in the configuration, @samples one poll's results (n >= 1), borrowed. Never blocks, never fails:
 * what cannot be handed on is counted, and the next pack of that device is preceded by a gap record.
 */
void tg_pipeline_submit(struct tg_pipeline *p, size_t device, const struct tg_sample *samples, size_t n);
