/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/spool/db.h"
#include "agent/spool/spool.h"

/* Reads the list of packs that were set aside. Owned; NULL without memory, or when the file does not let itself be read. */
struct tg_spool_aside *tg_spool_read_aside(struct tg_db *db);
