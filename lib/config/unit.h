/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/*
 * Units that SenML receivers know: the registry of RFC 8428 with what RFC
 * 8798 and later registrations have added. Pure.
 */

/* Whether @unit is registered. Units are case-sensitive: S is siemens, s is second. */
bool tg_unit_known(const char *unit);
/* The registered unit that was probably meant by @unit ("degC": "Cel"), or NULL. */
const char *tg_unit_suggest(const char *unit);
