/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "json/json.h"

/*
 * The parser behind json.h and pointer.h, and the memory that it works in, for the files of this
 * folder.
 *
 * jansson goes on when a string that it reads finds no memory to grow: what did not fit is missing
 * from the value, and an escape that was cut is a failed assertion. It also reports most failed
 * allocations as wrong syntax. So its allocations come by here. While a document is parsed a reserve lies
 * ready; once an allocation has failed the parser lives on that, and what it has made is thrown away.
 */

/*
 * Levels are looked at, then @flags are the library's. 0 and an owned document, -EBADMSG, -ENOMEM,
 * or -ERANGE: JSON, but with an integer that 64 bits do not hold.
 */
int tg_json_load(const char *text, size_t len, size_t flags, struct json_t **ret,
		 struct tg_fault *reterr) TG_CHECKED;
