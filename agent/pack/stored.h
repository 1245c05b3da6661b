/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/pack/parcel.h"

#include "base/buffer.h"

/* Bytes: what differs may take a little more than in a parcel. */
#define TG_STORED_MAX (TG_PARCEL_MAX + 2u * TG_PACK_SAMPLES)

/*
 * A parcel as it lies in the spool: the same pack in a third of the bytes, since what is written to a card wears it out.
 *
 * A name says only what differs from the one before it, a unit and a time that stay the same say nothing, a real says the
 * decimal fraction or the short float that it is. Nothing is lost: the parcel that comes back has the same bytes.
 *
 * The form is versioned (its first byte, another than that of a parcel, which is accepted, too) and read from disk, so the
 * decoder trusts nothing. No clocks, no I/O. Any thread.
 */

/* Appends the stored form of @p to @out, whose errors stick; never more than a few bytes longer than the parcel. 0, -ENOMEM, -EMSGSIZE. */
int tg_stored_write(struct tg_buffer *out, const struct tg_parcel *p) TG_CHECKED;
/*
 * Returns 0 and a parcel with one reference from a stored form or from a parcel's own bytes; -EBADMSG when it is neither,
 * or -ENOMEM.
 */
int tg_stored_read(const uint8_t *bytes, size_t len, struct tg_parcel **ret) TG_CHECKED;
