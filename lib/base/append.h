/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <stddef.h>

/*
 * Adds to the text in @out, which has room for @size bytes with its NUL. What does not fit is cut off, as in lines that people
 * read; what must be whole goes into a struct tg_buffer.
 */
void tg_append(char *out, size_t size, const char *fmt, ...) TG_PRINTF(3, 4);
