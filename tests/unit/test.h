/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What cmocka.h wants in front of it, in the order that it wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
