/* SPDX-License-Identifier: Apache-2.0 */
#include "base/append.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void tg_append(char *out, size_t size, const char *fmt, ...)
{
	size_t len = strnlen(out, size);
	va_list ap;

	va_start(ap, fmt);
	if (len < size && vsnprintf(out + len, size - len, fmt, ap) < 0)
		out[len] = '\0';
	va_end(ap);
}
