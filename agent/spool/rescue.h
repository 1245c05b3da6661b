/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/spool/db.h"

/*
 * Copies every row that can still be read from a damaged spool (TG_DB_SALVAGE)
 * to a new one (TG_DB_NEW, in its open transaction); rows whose bytes are bad
 * become gap records. Events for the cloud, too.
 *
 * Returns 0 and how many packs were copied and how many are known to be lost, or the -errno of the
 * new file; what the old one does is never an error.
 */
int tg_rescue(struct tg_db *from, struct tg_db *to, uint64_t *ret_rescued,
	      uint64_t *ret_lost) TG_CHECKED;
