/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/net/http_origin.h"

#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"

struct part {
	const char *p;
	size_t len;
};

/* Host and port of an authority: brackets around the host are left out, *ret_port is NULL without a port. */
static bool split(struct part all, struct part *ret_host, struct part *ret_port)
{
	const char *end = memchr(all.p, ']', all.len), *behind;

	if (all.len == 0 || memchr(all.p, '@', all.len))
		return false;
	if (all.p[0] == '[') {
		if (!end)
			return false;
		*ret_host = (struct part){ all.p + 1, (size_t) (end - all.p) - 1 };
		behind = end + 1;
	} else {
		const char *colon = memchr(all.p, ':', all.len);

		behind = colon ? colon : all.p + all.len;
		*ret_host = (struct part){ all.p, (size_t) (behind - all.p) };
	}
	*ret_port = (struct part){ NULL, 0 };
	if (behind == all.p + all.len)
		return true;
	*ret_port = (struct part){ behind + 1, (size_t) (all.p + all.len - behind) - 1 };
	return *behind == ':';
}

static bool copy_port(struct part port, char out[static 6])
{
	uint64_t n = 0;

	if (port.len == 0 || port.len > 5 || strspn(port.p, "0123456789") < port.len)
		return false;
	(void) snprintf(out, 6, "%.*s", (int) port.len, port.p);
	if (tg_parse_u64(out, &n) < 0 || n == 0 || n > 65535)
		return false;
	/* "08443" is the same port. */
	(void) snprintf(out, 6, "%u", (unsigned) n);
	return true;
}

/* An IPv6 address, perhaps with a zone ("%25eth0"), which is ours alone. */
static bool copy_address(struct part host, char *out, size_t size)
{
	const char *zone = memchr(host.p, '%', host.len);
	size_t len = zone ? (size_t) (zone - host.p) : host.len;
	struct in6_addr ip;

	if (len == 0 || len >= size)
		return false;
	memcpy(out, host.p, len);
	out[len] = '\0';
	return inet_pton(AF_INET6, out, &ip) == 1;
}

static bool copy_name(struct part host, char *out, size_t size)
{
	if (host.len == 0 || host.len >= size || strspn(host.p, NAME_CHARACTERS) < host.len)
		return false;
	memcpy(out, host.p, host.len);
	out[host.len] = '\0';
	/* The dot of a name that is complete is in no certificate. */
	if (host.len > 1 && out[host.len - 1] == '.')
		out[host.len - 1] = '\0';
	return true;
}

static bool copy_host(struct part all, struct part host, char *out, size_t size)
{
	return all.p[0] == '[' ? copy_address(host, out, size) : copy_name(host, out, size);
}

int tg_http_origin_parse(const char *url, struct tg_http_origin *ret, struct tg_fault *reterr)
{
	struct tg_http_origin o = { .port = "443" };
	struct part all, host, port;

	if (!url || strncasecmp(url, "https://", 8) != 0 ||
	    strnlen(url, TG_HTTP_URL_MAX + 1) > TG_HTTP_URL_MAX)
		return tg_fault_set(reterr, -EINVAL,
				    "the URL must begin with https:// and have at most %d "
				    "characters",
				    TG_HTTP_URL_MAX);
	for (const char *p = url; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == '\\')
			return tg_fault_set(reterr, -EINVAL,
					    "the URL has a character that must be written as %%XX");
	all = (struct part){ url + 8, strcspn(url + 8, "/?#") };
	if (!split(all, &host, &port) || !copy_host(all, host, o.host, sizeof(o.host)))
		return tg_fault_set(reterr, -EINVAL,
				    "the URL has no host name or address, or more than that "
				    "before the path");
	if (port.p && !copy_port(port, o.port))
		return tg_fault_set(reterr, -EINVAL, "the URL has no good port");
	(void) snprintf(o.authority, sizeof(o.authority), "%s%s%s%s%s", all.p[0] == '[' ? "[" : "",
			o.host, all.p[0] == '[' ? "]" : "", strcmp(o.port, "443") == 0 ? "" : ":",
			strcmp(o.port, "443") == 0 ? "" : o.port);
	*ret = o;
	return 0;
}

bool tg_http_origin_same(const struct tg_http_origin *a, const struct tg_http_origin *b)
{
	return strcasecmp(a->authority, b->authority) == 0;
}

int tg_http_proxy_parse(const char *text, char **ret, struct tg_fault *reterr)
{
	const char *rest = strncasecmp(text, "http://", 7) == 0 ? text + 7 : text;
	struct part all = { rest, strnlen(rest, TG_HTTP_URL_MAX) }, host, port;
	char name[TG_HTTP_HOST_MAX + 1], number[6];

	if (all.len > 0 && rest[all.len - 1] == '/')
		all.len--;
	if (!split(all, &host, &port) || !copy_host(all, host, name, sizeof(name)) || !port.p ||
	    !copy_port(port, number))
		return tg_fault_set(reterr, -EINVAL,
				    "the proxy must be HOST:PORT or http://HOST:PORT, without a "
				    "password");
	if (asprintf(ret, "http://%.*s", (int) all.len, rest) < 0) {
		*ret = NULL;
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	}
	return 0;
}
