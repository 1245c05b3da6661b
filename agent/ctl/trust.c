/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include <stdarg.h>
#include <string.h>

static void add(char *out, size_t size, const char *fmt, ...) TG_PRINTF(3, 4);
static void add(char *out, size_t size, const char *fmt, ...)
{
	size_t len = strlen(out);
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(out + len, size - len, fmt, ap);
	va_end(ap);
}

const char *tg_ctl_trust(json_t *trust, char *out, size_t size)
{
	json_t *anchors = json_object_get(trust, "anchors"), *a;
	const char *ca = tg_ctl_text(trust, "ca", NULL);
	long long n = tg_ctl_number(trust, "anchors_total", 0);
	size_t i;

	(void) snprintf(out, size, "%s", ca ? ca : "");
	if (n <= 0)
		return out;
	add(out, size, "%s%lld of the enrolment", ca ? ", and " : "", n);
	json_array_foreach (anchors, i, a)
		add(out, size, "%s%s until %.10s", i ? ", " : ": ", tg_ctl_text(a, "subject", "?"),
		    tg_ctl_text(a, "not_after", "?"));
	if ((size_t) n > json_array_size(anchors))
		add(out, size, ", ...");
	return out;
}
