/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Judges whether a spool has kept its promise over a power cut or a fault.
 *
 * The ledger is kept outside the faulted part: which packs were made, and from
 * which operation of the medium on each was promised, acknowledged and so on. What came
 * back afterwards, in order, is compared with it. Pure; no threads.
 */
#define VERDICT_NEVER SIZE_MAX

/* One pack. Each fact holds for cuts at this position or later; VERDICT_NEVER: for none. */
struct verdict_pack {
	uint64_t seq;
	uint32_t crc; /* of its bytes */
	unsigned device;
	size_t put;
	size_t promised;  /* on stable storage, it was said */
	size_t acked;     /* may come again, need not */
	size_t settled;   /* acknowledged, and its row is gone for good: must not come again */
	size_t droppable; /* a limit dropped it: a gap record may stand for it */
	size_t refused;   /* may be set aside */
	size_t aside;     /* is set aside for good */
	bool gone, back;  /* notes of whoever keeps the ledger; not judged */
};

/* Sorted by seq. */
struct verdict_ledger {
	struct verdict_pack *packs; /* owned */
	size_t n, room;
};
/* A pack of which nothing is known yet but that it was put. Sequence numbers must rise. */
struct verdict_pack *verdict_put(struct verdict_ledger *l, uint64_t seq, unsigned device,
				 uint32_t crc, size_t position);
struct verdict_pack *verdict_find(const struct verdict_ledger *l, uint64_t seq);
/* What held at @cut, as facts that hold from 0 on; what did not is forgotten. @to must be empty. */
void verdict_freeze(struct verdict_ledger *to, const struct verdict_ledger *from, size_t cut);
void verdict_done(struct verdict_ledger *l);

struct verdict_arrival {
	uint64_t seq;
	uint32_t crc;
	unsigned device;
	uint64_t gap, gap_first; /* gap 0: a pack */
};

struct verdict_case {
	const struct verdict_ledger *ledger;
	size_t cut;
	const struct verdict_arrival *arrivals; /* of one session, in order, all acknowledged */
	size_t n;
	bool ended; /* the drain came to its end */
	/*
	 * Somebody changed bytes of the file: losses are allowed if they are told, and so is the order: packs that an altered tree
	 * has hidden, from reads or from deletes, come late or once more when it is repaired.
	 */
	bool altered;
	bool damaged; /* the same, before the ledger was begun: what can be lost is not promised in it */
	bool told;                   /* the spool says that there was damage */
	uint64_t rows;               /* that the file said it had */
	uint64_t dropped, set_aside; /* its counts, before the drain */
	uint64_t left;               /* rows after the drain */
};

enum verdict_kind {
	VERDICT_LOST,       /* promised, and neither came nor is told by a gap record that may be */
	VERDICT_INVENTED,   /* came, and was never put, or after the cut */
	VERDICT_ALTERED,    /* came with other bytes, or as another device's */
	VERDICT_TWICE,      /* came twice in a session, or after its row was gone for good */
	VERDICT_DISORDER,   /* came behind a younger one of its device */
	VERDICT_FALSE_GAP,  /* a gap record counts wrongly, overlaps, or ends where no pack was */
	VERDICT_MISCOUNTED, /* rows, dropped or set aside */
	VERDICT_DAMAGED,    /* the file had to be repaired, though nobody altered it */
	VERDICT_STUCK,      /* the drain did not end, or rows are left behind it */
	VERDICT_KINDS_
};
const char *verdict_name(enum verdict_kind k);

struct verdict_finding {
	enum verdict_kind kind;
	uint64_t seq; /* 0: of no one pack */
};
/* Returns how many findings there are; the first @max are written to @out. */
size_t verdict_judge(const struct verdict_case *c, struct verdict_finding *out, size_t max);
