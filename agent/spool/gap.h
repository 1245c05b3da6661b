/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/pack/parcel.h"

/*
 * Gap records: packs of a device that say that packs of it are missing.
 *
 * A gap record has three samples, _gap (how many packs), _gap_first and
 * _gap_last (their sequence numbers, from and to). Its own number is that of the last
 * pack that is missing: nobody else will ever use it, and it stands where the
 * loss is, so that order and uniqueness need no exception.
 *
 * Pure. Any thread.
 */

/* A gap record that ends with @last, which is missing from now on, and takes its times. 0, -EINVAL,
 * -ENOMEM. */
int tg_gap_new(const struct tg_parcel *last, uint64_t count, uint64_t first,
	       struct tg_parcel **ret) TG_CHECKED;
/* The same for one pack that cannot be read any more: all that is known is its row's key. */
int tg_gap_new_unread(const char *device, uint64_t seq, uint64_t count, uint64_t first,
		      int64_t made_wall_us, struct tg_parcel **ret) TG_CHECKED;
