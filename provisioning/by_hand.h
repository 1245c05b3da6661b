/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "provisioning/enrolment.h"

/*
 * What a person does in an enrolment by hand (method = manual): takes the request away, in one run
 * of the helper, and brings back what was made of it, in another. Between the two the request waits
 * in identity/pending, across restarts, for as long as it takes.
 *
 * @file is a path, or "-" for standard output or input.
 */

/* Whether the order is one by hand, and of which sort: of e->order.by_hand. What it is based on
 * follows from the identity that is there: with one it is a renewal. */
void tg_by_hand_order(struct tg_enrolment *e);

/* Reads what was brought to e->answer: 0, or -errno with the file's name. */
int tg_by_hand_read(struct tg_enrolment *e, const char *file, struct tg_fault *reterr) TG_CHECKED;

/*
 * Whether what was brought is in use, or on trial, already: 1 and its manifest, so that to install
 * the same file twice is no failure; else 0.
 */
int tg_by_hand_known(const struct tg_enrolment *e, struct tg_manifest *ret);

/* There is a candidate, @m, that nobody has tried yet: what a person is told. Returns -EBUSY. */
int tg_by_hand_occupied(const struct tg_enrolment *e, const struct tg_manifest *m,
			struct tg_fault *reterr);

/*
 * Hands out the request, in PEM. A file is replaced as a whole, mode 0644: there is nothing secret
 * in it. 0, or -errno with the file's name; the request stays where it was.
 */
int tg_by_hand_deliver(struct tg_enrolment *e, const char *file,
		       struct tg_fault *reterr) TG_CHECKED;
