/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/sample.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Devices of which the broker takes nothing: a policy that denies the topic of
 * one device, or packs that are all too large. Each pack would cost sessions
 * (suspect.h), for ever, and the other devices would get little through.
 *
 * After TG_SUSPECT_DEVICE packs of one device were condemned in a row, with none
 * of its packs acknowledged in between, the device is refused: the last of
 * these and all that follow stay where they are, and are passed over. Once in
 * TG_SUSPECT_DEVICE_AGAIN_US one pack of it is tried, alone in flight: in turn the newest
 * and the oldest, as the oldest may be one that is bad indeed. When that is acknowledged, everything
 * of the device goes again.
 *
 * Of TG_SUSPECT_DEVICES at most; of more each pack costs its sessions. In memory only:
 * the restart of the agent forgets it.
 *
 * Pure: no clock, no I/O, no allocation. Nothing here fails. One thread.
 */
#define TG_SUSPECT_DEVICE	   3u
#define TG_SUSPECT_DEVICE_AGAIN_US (UINT64_C(3600) * 1000 * 1000)
#define TG_SUSPECT_DEVICE_GAP_US   (UINT64_C(20) * 1000 * 1000) /* between two tries, whatever changes */
#define TG_SUSPECT_DEVICES	   16u

struct tg_quarantine {
	struct tg_quarantine_device {
		char name[TG_NAME_MAX + 1]; /* "": free */
		unsigned condemned;	    /* in a row */
		bool refused;
		uint64_t sent;	   /* of one that is not refused: a pack in flight, which may end the row; 0: none */
		uint64_t again_us; /* when one pack is tried; CLOCK_BOOTTIME */
		uint64_t tried_us; /* the last time, or when it became refused */
		unsigned tries;
	} devices[TG_SUSPECT_DEVICES];
	unsigned refused; /* devices */
	uint64_t total;	  /* times that a device became refused */
	char last[TG_NAME_MAX + 1];

	/* The try, if one is on. */
	const struct tg_quarantine_device *trying;
	uint64_t read; /* the row that was let through for it; 0: none yet */
	uint64_t out;  /* the pack of it that is in flight; 0: none */
};

/* A pack of @device ended the session again, while others get through. Returns whether the device is refused from now on. */
bool tg_quarantine_condemned(struct tg_quarantine *q, const char *device, uint64_t now_us);
bool tg_quarantine_has(const struct tg_quarantine *q, const char *device);
/* The number of a refused device, below TG_SUSPECT_DEVICES; -1: it is none. */
int tg_quarantine_index(const struct tg_quarantine *q, const char *device);
/* Whether a try of a device begins now: its packs are to be looked for, from the first. */
bool tg_quarantine_try(struct tg_quarantine *q, uint64_t now_us);
/* Whether its newest pack, in memory, comes before its oldest. */
bool tg_quarantine_newest_first(const struct tg_quarantine *q);
/* Whether @device is the one that is tried. */
bool tg_quarantine_tries(const struct tg_quarantine *q, const char *device);
/* A row of a refused device has been read: whether it is the one to be tried. */
bool tg_quarantine_row(struct tg_quarantine *q, const char *device, uint64_t seq);
/* The device that is tried has no pack left: it is not known any more. */
void tg_quarantine_empty(struct tg_quarantine *q);
void tg_quarantine_handed(struct tg_quarantine *q, uint64_t seq, const char *device, uint64_t now_us);
/* Returns whether this was a try, and the device is not refused any more: its rows are to be read again. */
bool tg_quarantine_acked(struct tg_quarantine *q, uint64_t seq);
/* The pack cannot be published. Returns whether it was tried: then the next one of the device is. */
bool tg_quarantine_gone(struct tg_quarantine *q, uint64_t seq);
/* The session is over. Returns whether a pack was tried in it: no other is to blame. */
bool tg_quarantine_down(struct tg_quarantine *q);
/* Something has changed: all are tried as soon as that may be, one after the other. */
void tg_quarantine_hurry(struct tg_quarantine *q);
