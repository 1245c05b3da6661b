/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/loaded.h"

/*
 * What the files that look at a whole configuration share: where things stand in it. Pure.
 */

/* The section of @kind, one of those that exist once; NULL when it is not there. */
const struct tg_section *tg_check_only(const struct tg_loaded *l, enum tg_config_kind kind);
/* Where @key of the section of @kind is set, else where that section is, else the file as a whole. */
struct tg_place tg_check_place(const struct tg_loaded *l, enum tg_config_kind kind,
			       const char *key);
/* Whether @key is not given. One that was given and refused has had its complaint. */
bool tg_check_missing(const struct tg_loaded *l, enum tg_config_kind kind, const char *key);

/* [enrolment], its methods' sections and [rotation]; for tg_config_check(). */
void tg_config_check_enrolment(const struct tg_loaded *l);
