/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/sample.h>

#include <stddef.h>
#include <stdint.h>

/*
 * A parcel is a pack in its compact neutral form: one refcounted, immutable
 * block of bytes that threads pass on and the spool stores. Topic, payload
 * and wall time are formed from it only when it is published.
 *
 * The form is versioned (its first byte) and read from disk, so the decoder
 * trusts nothing. Integers little-endian, strings with length and NUL, times
 * relative to the first sample. No clocks, no I/O. Any thread.
 */
#define TG_PARCEL_MAX (256u * 1024) /* bytes; packs that need more are refused with -EMSGSIZE */

struct tg_parcel {
	unsigned refs; /* use tg_parcel_ref() and tg_parcel_unref() */
	uint32_t len;
	uint64_t seq;	  /* also inside bytes */
	uint64_t boot_us; /* of the pack's first sample */
	uint8_t bytes[];
};

/*
 * Returns 0 and a parcel with one reference, or -EMSGSIZE, -ENOMEM, or -EINVAL: a name, unit, text or reason too long or
 * of other characters; a real that is not finite; a good sample without a value or with a reason, a bad or stale one with a
 * value; seq of 2^53 or more; a time beyond 2^60 us.
 */
int tg_parcel_new(const struct tg_pack *pack, struct tg_parcel **ret) TG_CHECKED;
/*
 * The same from stored bytes, which are copied. Returns 0, -EBADMSG when they are no whole, well-formed pack, or -ENOMEM.
 * What is accepted unpacks to a pack from which tg_parcel_new() makes the same bytes.
 */
int tg_parcel_from_bytes(const uint8_t *bytes, size_t len, struct tg_parcel **ret) TG_CHECKED;
struct tg_parcel *tg_parcel_ref(struct tg_parcel *p);
struct tg_parcel *tg_parcel_unref(struct tg_parcel *p); /* accepts NULL, returns NULL */
TG_DEFINE_CLEANUP(struct tg_parcel *, tg_parcel_unref)

/* "suspect", "unconfirmed", "synchronised". Never NULL. */
const char *tg_clock_trust_name(enum tg_clock_trust t);

/* For tg_mailbox_new(), when the messages are struct tg_parcel *. */
void tg_parcel_drop(void *msg);

/*
 * Reads @p into a view whose strings point into the parcel and whose samples are an owned array:
 * free it with tg_unpacked_done() before the parcel. Returns 0, -EBADMSG, or -ENOMEM.
 */
struct tg_unpacked {
	struct tg_pack pack;
	struct tg_sample *samples;
};
int tg_parcel_unpack(const struct tg_parcel *p, struct tg_unpacked *ret) TG_CHECKED;
void tg_unpacked_done(struct tg_unpacked *u);
/* The device's name, without unpacking. Valid as long as the parcel. */
const char *tg_parcel_device(const struct tg_parcel *p);
