/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/pack/parcel.h"

/*
 * A reading for people and scripts on the gateway itself, as `tidegate read`
 * and `tidegate watch` print it: not what is published.
 *
 *	{"device":"boiler","time":"2026-11-21T10:15:10Z","clock":"unconfirmed","samples":[
 *	 {"point":"temperature","value":21.5,"unit":"Cel","quality":"good"},
 *	 {"point":"pressure","value":null,"unit":"bar","quality":"bad","reason":"timeout"}]}
 */

/* Owned text, or NULL (out of memory, damaged parcel). @point: only that one; "" for all. */
char *tg_reading_json(const struct tg_parcel *p, const char *point);
