/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "x509/certs.h"

#include <stdbool.h>

/*
 * Trust anchors over their life: those that are trusted already, and what an
 * authority delivers over a connection that they verified (RFC 7030 section
 * 4.1.3, rollover: RFC 4210 section 4.4).
 *
 * A root that is new is taken when a root that is trusted vouches for it, by a
 * certificate of the new one's subject and key that it has signed (NewWithOld),
 * or by being the same root with a new validity; or when the operator has named
 * its fingerprint. The connection alone is not enough: who runs the server
 * does not get to choose whom the gateway trusts from now on. Only roots vouch:
 * an intermediate authority may be an anchor, when the operator says so, but
 * what it may issue are certificates, not anchors. Limits of the one that
 * vouches (name constraints, path length, extended key usage) must stand in
 * the new root too, or it would be trusted with more. An authority right below
 * a root has such a certificate as well, and could sign a root of its own name:
 * with a path length of 0 it is told from a root that follows under another
 * name; one without that limit the root has trusted like itself.
 *
 * What is trusted stays so until its end, also when it is delivered no more, as
 * brokers move on later than authorities do. Pure: no clock, no I/O.
 */
#define TG_ANCHORS_BYTES (256u * 1024) /* of PEM; the whole public list has 220 K */
#define TG_ANCHORS_MAX   256           /* certificates */
#define TG_ANCHORS_NOTES 16            /* told of; more are counted only */
#define TG_FINGERPRINT   65 /* SHA-256 of a certificate's DER in lower-case hex, and NUL */

struct tg_anchors_base {
	const char *trusted_pem; /* text between the certificates is skipped; NULL: none yet */
	size_t trusted_len;
	const struct tg_certs *delivered; /* NULL: nothing */
	const char *const *pins;          /* fingerprints of roots that the operator vouches for */
	size_t n_pins;
	int64_t now_s; /* seconds since 1970, not below the floor */
	/*
	 * Whether the clock is known to be right (synchronised). Until then nothing is dropped because its end
	 * has come, and nothing refused because it has not begun.
	 */
	bool clock_sure;
};

enum tg_anchors_news {
	TG_ANCHORS_TAKEN,   /* trusted from now on, and by whose word */
	TG_ANCHORS_REFUSED, /* not taken, why, and what the operator can do */
	TG_ANCHORS_ENDED,   /* trusted no more, as it is over */
};
struct tg_anchors_note {
	enum tg_anchors_news news;
	char text[384]; /* a line; peers' names are made printable and cut */
};

struct tg_anchors {
	char *pem; /* owned: at least one certificate; the old ones first, in their order */
	size_t n;  /* certificates in it */
	struct tg_certs
		*pool; /* owned: delivered authorities that are no anchors, for tg_chain_build() */
	struct tg_anchors_note notes[TG_ANCHORS_NOTES];
	size_t n_notes, n_taken, n_refused,
		n_ended; /* the last three count what found no room too */
};
#define TG_ANCHORS_NULL                                                                            \
	{                                                                                          \
		.pem = NULL                                                                        \
	}
void tg_anchors_done(struct tg_anchors *a); /* works on TG_ANCHORS_NULL too */

/*
 * What is to be trusted from now on. With pins and nothing trusted this is the first step of a
 * bootstrap: the connection that @delivered came over proved nothing, so only @ret->pem counts, and
 * the pool must be asked for again over a verified one.
 *
 * 0, or -ENOENT (nothing is trusted, and no root delivered has a pinned fingerprint; the words list
 * those that were), -EBADMSG (@trusted_pem cannot be read, or has no certificate), -EFBIG, -ENOMEM.
 */
int tg_anchors_update(const struct tg_anchors_base *base, struct tg_anchors *ret,
		      struct tg_fault *reterr) TG_CHECKED;

/* What is shown of one anchor. */
struct tg_anchor_info {
	char subject[256]; /* one line, RFC 2253 order, printable */
	char fingerprint[TG_FINGERPRINT];
	int64_t not_before, not_after;
	bool root; /* self-signed, against an intermediate authority that is trusted for itself */
};
/*
 * The anchors in @pem: at most @max of them go to @out, all are counted in @ret_n. 0, -EBADMSG (one
 * cannot be read, or there is none), -EFBIG, -ENOMEM.
 */
int tg_anchors_list(const char *pem, size_t len, struct tg_anchor_info *out, size_t max,
		    size_t *ret_n, struct tg_fault *reterr) TG_CHECKED;
