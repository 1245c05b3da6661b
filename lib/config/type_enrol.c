/* SPDX-License-Identifier: Apache-2.0 */
#include "config/type_enrol.h"

#include "base/parse.h"
#include "config/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"
#define HEX     DIGITS "abcdefABCDEF"

#define HTTPS      "https://"
#define HTTP       "http://"
#define SHA256     "sha256:"
#define SHA1_HEX   40
#define PORT_BYTES 6 /* with the NUL */

/* RFC 3986: what a segment of a path may have unescaped. */
#define SEGMENT_CHARS LETTERS DIGITS "-._~"
#define PATH_CHARS    SEGMENT_CHARS "!$&'()*+,;=:@%/"

static int store_text(const struct tg_config_key *key, char *text, void *base)
{
	/* The compiler cannot know that a member lies as it should. */
	*(char **) (void *) ((char *) base + key->offset) = text;
	return 0;
}

/* --- URLs ----------------------------------------------------------------------------------- */

static int check_port(const char *text, size_t len, struct tg_fault *reterr)
{
	char number[PORT_BYTES] = "";
	uint64_t port;

	if (len < sizeof(number))
		memcpy(number, text, len);
	if (!*number || strspn(number, DIGITS) != len || tg_parse_u64(number, &port) < 0 ||
	    port < 1 || port > 65535)
		return tg_fault_set(reterr, -EINVAL, "its port is not from 1 to 65535");
	return 0;
}

/* HOST, HOST:PORT, [IPv6] or [IPv6]:PORT of @len bytes. */
static int check_authority(const char *text, size_t len, struct tg_fault *reterr)
{
	size_t host = strspn(text, LETTERS DIGITS ".-_");

	if (memchr(text, '@', len))
		return tg_fault_set(reterr, -EINVAL,
				    "user names and passwords do not stand in it; there are keys "
				    "of their own");
	if (*text == '[') {
		host = 1 + strspn(text + 1, HEX ":.");
		if (host >= len || text[host] != ']' || !memchr(text, ':', host))
			return tg_fault_set(reterr, -EINVAL, "not an IPv6 address in brackets");
		host++;
	} else if (memchr(text, ':', len) != memrchr(text, ':', len)) {
		return tg_fault_set(reterr, -EINVAL, "an IPv6 address stands in brackets");
	} else if (host == 0 || *text == '-') {
		return tg_fault_set(reterr, -EINVAL, "it has no host name");
	}
	if (host == len)
		return 0;
	if (host > len || text[host] != ':')
		return tg_fault_set(reterr, -EINVAL, "its host is not a name or an address");
	return check_port(text + host + 1, len - host - 1, reterr);
}

static int check_url_path(const char *path, struct tg_fault *reterr)
{
	size_t len = strspn(path, PATH_CHARS);

	if (path[len] == '?' || path[len] == '#')
		return tg_fault_set(reterr, -EINVAL, "it ends with the path, without '%c'",
				    path[len]);
	if (path[len])
		return tg_fault_set(reterr, -EINVAL, "its path has a character that needs %%XX");
	for (const char *p = strchr(path, '%'); p; p = strchr(p + 1, '%'))
		if (strspn(p + 1, HEX) < 2)
			return tg_fault_set(reterr, -EINVAL,
					    "%% in its path is not followed by two hex digits; "
					    "specifiers are not replaced here");
	if (strstr(path, "//") || strstr(path, "/./") || strstr(path, "/../"))
		return tg_fault_set(reterr, -EINVAL, "its path has an empty or dotted segment");
	return 0;
}

static int check_length(const struct tg_config_key *key, const char *text, struct tg_fault *reterr)
{
	if (key->hi && strlen(text) > key->hi)
		return tg_fault_set(reterr, -EINVAL, "longer than %" PRIu64 " bytes", key->hi);
	return 0;
}

static int parse_url(const struct tg_config_key *key, char *text, void *base,
		     struct tg_fault *reterr)
{
	const char *authority = text + strlen(HTTPS);
	int r = check_length(key, text, reterr);

	if (r < 0 || !*text)
		return r < 0 ? r : store_text(key, text, base);
	if (strncmp(text, HTTPS, strlen(HTTPS)) != 0)
		return tg_fault_set(reterr, -EINVAL, "it does not begin with " HTTPS);
	r = check_authority(authority, strcspn(authority, "/?#"), reterr);
	if (r == 0)
		r = check_url_path(authority + strcspn(authority, "/?#"), reterr);
	return r < 0 ? r : store_text(key, text, base);
}

/* A proxy is told nothing but the name of the server, so there is no path and no password. */
static int parse_proxy(const struct tg_config_key *key, char *text, void *base,
		       struct tg_fault *reterr)
{
	const char *authority = text + strlen(HTTP);
	int r = check_length(key, text, reterr);

	if (r < 0 || !*text)
		return r < 0 ? r : store_text(key, text, base);
	if (strncmp(text, HTTP, strlen(HTTP)) != 0)
		return tg_fault_set(reterr, -EINVAL, "not a proxy as " HTTP "HOST:PORT");
	r = check_authority(authority, strcspn(authority, "/?#"), reterr);
	if (r == 0 && strcspn(authority, "/?#") != strlen(authority))
		r = tg_fault_set(reterr, -EINVAL, "a proxy has no path");
	return r < 0 ? r : store_text(key, text, base);
}

static int parse_segment(const struct tg_config_key *key, char *text, void *base,
			 struct tg_fault *reterr)
{
	int r = check_length(key, text, reterr);

	if (r < 0)
		return r;
	if (text[strspn(text, SEGMENT_CHARS)])
		return tg_fault_set(reterr, -EINVAL,
				    "not one segment of a path: letters, digits, '-', '.', '_' or "
				    "'~'");
	if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return tg_fault_set(reterr, -EINVAL, "no name for a segment of a path");
	return store_text(key, text, base);
}

/* --- fingerprints --------------------------------------------------------------------------- */

/* The hex digits of @text, in lower case and without colons, to @out: how many, or 0. */
static size_t take_digits(const char *text, char out[static TG_FINGERPRINT_HEX])
{
	size_t n = 0;

	for (; *text; text++) {
		if (*text == ':')
			continue;
		if (!strchr(HEX, *text) || n == TG_FINGERPRINT_HEX - 1)
			return 0;
		out[n++] = (char) (*text >= 'A' && *text <= 'F' ? *text - 'A' + 'a' : *text);
	}
	out[n] = '\0';
	return n;
}

int tg_config_fingerprint(const char *text, char ret[static TG_FINGERPRINT_HEX],
			  struct tg_fault *reterr)
{
	bool named = strncasecmp(text, SHA256, strlen(SHA256)) == 0;
	char digits[TG_FINGERPRINT_HEX];
	size_t n = take_digits(named ? text + strlen(SHA256) : text, digits);

	if (n == TG_FINGERPRINT_HEX - 1 && named) {
		memcpy(ret, digits, sizeof(digits));
		return 0;
	}
	if (n == SHA1_HEX)
		return tg_fault_set(reterr, -EINVAL,
				    "the length of a SHA-1 digest, which is not safe; 'openssl "
				    "x509 -noout -fingerprint -sha256' prints the right one");
	if (n == TG_FINGERPRINT_HEX - 1)
		return tg_fault_set(reterr, -EINVAL, "it begins with " SHA256);
	return tg_fault_set(reterr, -EINVAL, "not " SHA256 " and 64 hex digits");
}

static int parse_fingerprint(const struct tg_config_key *key, char *text, void *base,
			     struct tg_fault *reterr)
{
	char ignored[TG_FINGERPRINT_HEX];

	(void) key;
	(void) base;
	return *text ? tg_config_fingerprint(text, ignored, reterr) : 0;
}

/* --- words for yes and no ------------------------------------------------------------------- */

static int parse_either(const struct tg_config_key *key, char *text, void *base,
			struct tg_fault *reterr)
{
	unsigned value;
	int r = tg_word_parse(text, key->words, &value, reterr);

	if (r == 0)
		*(bool *) ((char *) base + key->offset) = value != 0;
	return r;
}

const struct tg_config_type tg_type_url = { "URL", parse_url };
const struct tg_config_type tg_type_proxy = { "URL", parse_proxy };
const struct tg_config_type tg_type_segment = { "NAME", parse_segment };
const struct tg_config_type tg_type_fingerprint_list = { "FINGERPRINT", parse_fingerprint };
const struct tg_config_type tg_type_either = { NULL, parse_either };
