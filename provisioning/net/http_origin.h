/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <stdbool.h>

/*
 * Where a URL leads: host and port, and what the certificate there must be for. Stricter than URLs
 * may be: names are ASCII (international ones in their xn-- form), there is neither user nor
 * password. Pure.
 */
#define TG_HTTP_URL_MAX  2048
#define TG_HTTP_HOST_MAX 254 /* of DNS, with a dot at the end */

struct tg_http_origin {
	char host[TG_HTTP_HOST_MAX + 1];      /* without brackets, zone, and dot at the end */
	char port[6];                         /* decimal, "443" when there is none */
	char authority[TG_HTTP_HOST_MAX + 9]; /* as in the URL, without a port of 443 */
};

/* 0 or -EINVAL, the text says what is wrong. */
int tg_http_origin_parse(const char *url, struct tg_http_origin *ret,
			 struct tg_fault *reterr) TG_CHECKED;
/* Never fails. */
bool tg_http_origin_same(const struct tg_http_origin *a, const struct tg_http_origin *b);

/*
 * "host:port" or "http://host:port" as the latter, owned. 0, -EINVAL (also without a port, for which
 * every program has another default), -ENOMEM.
 */
int tg_http_proxy_parse(const char *text, char **ret, struct tg_fault *reterr) TG_CHECKED;
