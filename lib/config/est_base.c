/* SPDX-License-Identifier: Apache-2.0 */
#include "config/est_base.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SCHEME     "https://"
#define WELL_KNOWN "/.well-known/est"

int tg_est_base(const struct tg_config *c, char *out, size_t size)
{
	const char *url = c->enrolment.est.url, *label = c->enrolment.est.label;
	size_t len = strlen(url);
	bool has_path;
	int n;

	while (len && url[len - 1] == '/')
		len--;
	has_path = len > strlen(SCHEME) && memchr(url + strlen(SCHEME), '/', len - strlen(SCHEME));
	n = snprintf(out, size, "%.*s%s%s%s", (int) len, url, has_path ? "" : WELL_KNOWN,
		     *label ? "/" : "", label);
	return n < 0 || (size_t) n >= size ? -ENAMETOOLONG : 0;
}
