/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"
#include "identity/journal.h"

/*
 * What a person can do about the way an enrolment has failed, from the journal
 * alone. Pure.
 */

/*
 * For the failure that @j has: "" when there is none, or when its own words say
 * already what to do. Never NULL.
 */
const char *tg_advice(enum tg_enrol_method method, const struct tg_journal *j);
