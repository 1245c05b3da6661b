/* SPDX-License-Identifier: Apache-2.0 */
#include "config/type.h"

#include "base/parse.h"
#include "config/specifier.h"
#include "config/table.h"
#include "config/type_enrol.h"

#include <tidegate/sample.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LETTERS    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS     "0123456789"
#define HOST_MAX   253 /* RFC 1035, as text */
#define PATH_BYTES 1024

static void *field_of(const struct tg_config_key *key, void *base)
{
	return (char *) base + key->offset;
}

static int store_text(const struct tg_config_key *key, char *text, void *base)
{
	*(char **) field_of(key, base) = text;
	return 0;
}

bool tg_config_name_ok(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= TG_NAME_MAX && strspn(name, LETTERS DIGITS "._-") == len;
}

/* --- words and numbers --------------------------------------------------------------------------
 */

static int parse_bool(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	if (tg_parse_bool(text, field_of(key, base)) < 0)
		return tg_fault_set(reterr, -EINVAL, "neither yes nor no");
	return 0;
}

static int parse_words(const struct tg_config_key *key, char *text, void *base,
		       struct tg_fault *reterr)
{
	unsigned value;
	int r = tg_word_parse(text, key->words, &value, reterr);

	if (r < 0)
		return r;
	_Static_assert(sizeof(enum tg_format) == sizeof(unsigned), "the enums of config.h are "
								   "stored as unsigned");
	memcpy(field_of(key, base), &value, sizeof value);
	return 0;
}

static int number_in_range(const struct tg_config_key *key, const char *text, uint64_t *ret,
			   struct tg_fault *reterr)
{
	int r = tg_parse_u64(text, ret);

	if (r == -EINVAL)
		return tg_fault_set(reterr, -EINVAL, "not a whole number");
	if (r < 0 || *ret < key->lo || *ret > key->hi)
		return tg_fault_set(reterr, -EINVAL,
				    key->type == &tg_type_u32 ? "not from %#" PRIx64 " to %#" PRIx64
							      : "not from %" PRIu64 " to %" PRIu64,
				    key->lo, key->hi);
	return 0;
}

static int parse_u16(const struct tg_config_key *key, char *text, void *base,
		     struct tg_fault *reterr)
{
	uint64_t value;
	int r = number_in_range(key, text, &value, reterr);

	if (r == 0)
		*(uint16_t *) field_of(key, base) = (uint16_t) value;
	return r;
}

static int parse_unsigned(const struct tg_config_key *key, char *text, void *base,
			  struct tg_fault *reterr)
{
	uint64_t value;
	int r = number_in_range(key, text, &value, reterr);

	if (r == 0)
		*(unsigned *) field_of(key, base) = (unsigned) value;
	return r;
}

static int parse_u32(const struct tg_config_key *key, char *text, void *base,
		     struct tg_fault *reterr)
{
	uint64_t value;
	int r = number_in_range(key, text, &value, reterr);

	if (r == 0)
		*(uint32_t *) field_of(key, base) = (uint32_t) value;
	return r;
}

struct unit {
	uint64_t factor;
	const char *name;
};

/* @value in the largest unit that leaves it whole, as one would write it in the file. @units end
 * with factor 1. */
static const char *with_unit(uint64_t value, const struct unit *units, char out[static 32])
{
	while (units->factor > 1 && (value == 0 || value % units->factor))
		units++;
	(void) snprintf(out, 32, "%" PRIu64 "%s", value / units->factor, units->name);
	return out;
}

static int parse_scaled(const struct tg_config_key *key, const char *text, void *base,
			int (*parse)(const char *, uint64_t *), const char *examples,
			const struct unit *units, struct tg_fault *reterr)
{
	char lo[32], hi[32];
	uint64_t value;
	int r = parse(text, &value);

	if (r == -EINVAL)
		return tg_fault_set(reterr, -EINVAL, "%s", examples);
	if (r < 0 || value < key->lo || value > key->hi)
		return tg_fault_set(reterr, -EINVAL, "not from %s to %s",
				    with_unit(key->lo, units, lo), with_unit(key->hi, units, hi));
	*(uint64_t *) field_of(key, base) = value;
	return 0;
}

static int parse_duration(const struct tg_config_key *key, char *text, void *base,
			  struct tg_fault *reterr)
{
	static const struct unit units[] = {
		{ UINT64_C(86400000000), "d" },
		{ UINT64_C(3600000000), "h" },
		{ 60000000, "m" },
		{ 1000000, "s" },
		{ 1000, "ms" },
		{ 1, "us" },
	};

	return parse_scaled(key, text, base, tg_parse_duration,
			    "not a duration such as 250ms, 5s, 10m, 2h or 7d", units, reterr);
}

static int parse_size(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	static const struct unit units[] = {
		{ 1 << 30, "G" }, { 1 << 20, "M" }, { 1 << 10, "K" }, { 1, "" }
	};

	return parse_scaled(key, text, base, tg_parse_size,
			    "not a size such as 65536, 64K, 256M or 2G", units, reterr);
}

static int parse_percent(const struct tg_config_key *key, char *text, void *base,
			 struct tg_fault *reterr)
{
	double value;
	int r = tg_parse_percent(text, &value);

	if (r == -EINVAL)
		return tg_fault_set(reterr, -EINVAL, "not a percentage such as 66%%");
	if (r < 0 || value < (double) key->lo || value > (double) key->hi)
		return tg_fault_set(reterr, -EINVAL, "not from %" PRIu64 "%% to %" PRIu64 "%%",
				    key->lo, key->hi);
	*(double *) field_of(key, base) = value;
	return 0;
}

/* "100/s" or "none", which is 0. */
static int parse_rate(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	size_t len = strlen(text);
	uint64_t value = 0;
	char number[24];

	if (strcmp(text, "none") != 0) {
		if (len < 3 || len >= sizeof number || strcmp(text + len - 2, "/s") != 0)
			return tg_fault_set(reterr, -EINVAL,
					    "neither a rate such as 100/s nor none");
		memcpy(number, text, len - 2);
		number[len - 2] = '\0';
		if (tg_parse_u64(number, &value) < 0 || value < key->lo || value > key->hi)
			return tg_fault_set(reterr, -EINVAL,
					    "not from %" PRIu64 "/s to %" PRIu64 "/s, or none",
					    key->lo, key->hi);
	}
	*(unsigned *) field_of(key, base) = (unsigned) value;
	return 0;
}

static int parse_real(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	int r = tg_parse_real(text, field_of(key, base));

	if (r == -ENOMEM)
		return r;
	return r < 0 ? tg_fault_set(reterr, -EINVAL, "not a number") : 0;
}

static int parse_scale(const struct tg_config_key *key, char *text, void *base,
		       struct tg_fault *reterr)
{
	double value;
	int r = tg_parse_real(text, &value);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return tg_fault_set(reterr, -EINVAL, "not a number");
	if (value == 0)
		return tg_fault_set(reterr, -EINVAL, "every value would be 0");
	*(double *) field_of(key, base) = value;
	return 0;
}

static int parse_bound(const struct tg_config_key *key, char *text, void *base,
		       struct tg_fault *reterr)
{
	int r = *text ? parse_real(key, text, base, reterr) : 0;

	if (r == 0)
		*((bool *) base + key->flag) = *text != '\0';
	return r;
}

static int parse_deadband(const struct tg_config_key *key, char *text, void *base,
			  struct tg_fault *reterr)
{
	size_t len = strlen(text);
	bool percent = len && text[len - 1] == '%';
	double value;
	int r = percent ? tg_parse_percent(text, &value) : tg_parse_real(text, &value);

	if (r == -ENOMEM)
		return r;
	if (r < 0 || value < 0)
		return tg_fault_set(reterr, -EINVAL,
				    "neither a number from 0, such as 0.2, nor a percentage such "
				    "as 1%%");
	*(double *) field_of(key, base) = value;
	*((bool *) base + key->flag) = percent;
	return 0;
}

/* --- text ---------------------------------------------------------------------------------------
 */

static int check_length(const struct tg_config_key *key, const char *text, struct tg_fault *reterr)
{
	if (key->hi && strlen(text) > key->hi)
		return tg_fault_set(reterr, -EINVAL, "longer than %" PRIu64 " bytes", key->hi);
	return 0;
}

static int parse_text(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	int r = check_length(key, text, reterr);

	return r < 0 ? r : store_text(key, text, base);
}

static int check_specifiers(const struct tg_config_key *key, const char *text, bool device,
			    struct tg_fault *reterr)
{
	if (tg_specifiers_check(text, device) < 0)
		return tg_fault_set(reterr, -EINVAL,
				    "unknown specifier; there are %%t %%i %%m %%H %%s%s and %%%% "
				    "for a percent sign",
				    device ? " %d" : "");
	return check_length(key, text, reterr);
}

static int parse_template(const struct tg_config_key *key, char *text, void *base,
			  struct tg_fault *reterr)
{
	int r = check_specifiers(key, text, false, reterr);

	return r < 0 ? r : store_text(key, text, base);
}

static int parse_per_device(const struct tg_config_key *key, char *text, void *base,
			    struct tg_fault *reterr)
{
	int r = check_specifiers(key, text, true, reterr);

	return r < 0 ? r : store_text(key, text, base);
}

static int parse_topic(const struct tg_config_key *key, char *text, void *base,
		       struct tg_fault *reterr)
{
	size_t len = strlen(text);
	int r = check_specifiers(key, text, key->lo == 1, reterr);

	if (r < 0)
		return r;
	if (strpbrk(text, "+#"))
		return tg_fault_set(reterr, -EINVAL,
				    "'+' and '#' are for subscriptions, not for topics");
	if (len && (text[0] == '/' || text[len - 1] == '/' || strstr(text, "//")))
		return tg_fault_set(reterr, -EINVAL, "a level of the topic is empty");
	return store_text(key, text, base);
}

static int check_host(const char *text, struct tg_fault *reterr)
{
	size_t len = strlen(text);

	if (strstr(text, "://"))
		return tg_fault_set(reterr, -EINVAL, "a host name, not a URL");
	/* A colon is an IPv6 address when there are two of them. */
	if (strchr(text, ':') && strchr(text, ':') == strrchr(text, ':'))
		return tg_fault_set(reterr, -EINVAL,
				    "a host name alone; the port has a key of its own");
	if (len > HOST_MAX || strspn(text, LETTERS DIGITS ".-_:") != len || text[0] == '-')
		return tg_fault_set(reterr, -EINVAL, "not a host name or address");
	return 0;
}

static int parse_host(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	int r = check_host(text, reterr);

	return r < 0 ? r : store_text(key, text, base);
}

static int parse_path(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	if (*text && *text != '/')
		return tg_fault_set(reterr, -EINVAL, "not an absolute path");
	if (strchr(text, '%'))
		return tg_fault_set(reterr, -EINVAL, "paths take no specifiers");
	if (strlen(text) >= PATH_BYTES)
		return tg_fault_set(reterr, -EINVAL, "path too long");
	return store_text(key, text, base);
}

static int parse_secret(const struct tg_config_key *key, char *text, void *base,
			struct tg_fault *reterr)
{
	if (*text && *text != '/' && !tg_config_name_ok(text))
		return tg_fault_set(reterr, -EINVAL,
				    "neither an absolute path nor the name of a credential");
	return *text == '/' ? parse_path(key, text, base, reterr) : store_text(key, text, base);
}

static int parse_name(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	if (*text && !tg_config_name_ok(text))
		return tg_fault_set(reterr, -EINVAL,
				    "not a name of up to 64 letters, digits, '.', '_' or '-'");
	return parse_text(key, text, base, reterr);
}

static int parse_bus(const struct tg_config_key *key, char *text, void *base,
		     struct tg_fault *reterr)
{
	(void) key;
	(void) base;
	if (!tg_config_name_ok(text))
		return tg_fault_set(reterr, -EINVAL, "not the name of a bus");
	return 0;
}

/* "no", or how many bits a counter has. */
static int parse_counter(const struct tg_config_key *key, char *text, void *base,
			 struct tg_fault *reterr)
{
	uint64_t value = 0;

	if (strcmp(text, "no") != 0 && number_in_range(key, text, &value, NULL) < 0)
		return tg_fault_set(reterr, -EINVAL, "neither no nor a number of bits from %" PRIu64 " to %" PRIu64,
				    key->lo, key->hi);
	*(unsigned *) field_of(key, base) = (unsigned) value;
	return 0;
}

static int parse_pair(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	(void) base;
	return check_specifiers(key, text, false, reterr);
}

static int parse_host_item(const struct tg_config_key *key, char *text, void *base,
			   struct tg_fault *reterr)
{
	(void) base;
	if (!*text)
		return 0;
	/* Names of the gateway itself, so specifiers make sense here; what they stand for is
	 * checked with the request. */
	return strchr(text, '%') ? check_specifiers(key, text, false, reterr)
				 : check_host(text, reterr);
}

bool tg_config_type_is_list(const struct tg_config_type *type)
{
	return type == &tg_type_host_list || type == &tg_type_fingerprint_list;
}

const struct tg_config_type tg_type_yes_no = { "yes|no", parse_bool };
const struct tg_config_type tg_type_words = { NULL, parse_words };
const struct tg_config_type tg_type_u16 = { "NUMBER", parse_u16 };
const struct tg_config_type tg_type_unsigned = { "NUMBER", parse_unsigned };
const struct tg_config_type tg_type_u32 = { "NUMBER", parse_u32 };
const struct tg_config_type tg_type_duration = { "DURATION", parse_duration };
const struct tg_config_type tg_type_size = { "SIZE", parse_size };
const struct tg_config_type tg_type_percent = { "PERCENT%", parse_percent };
const struct tg_config_type tg_type_rate = { "NUMBER/s|none", parse_rate };
const struct tg_config_type tg_type_real = { "NUMBER", parse_real };
const struct tg_config_type tg_type_scale = { "NUMBER", parse_scale };
const struct tg_config_type tg_type_bound = { "NUMBER", parse_bound };
const struct tg_config_type tg_type_deadband = { "NUMBER|PERCENT%", parse_deadband };
const struct tg_config_type tg_type_text = { "TEXT", parse_text };
const struct tg_config_type tg_type_template = { "TEXT", parse_template };
const struct tg_config_type tg_type_per_device = { "TEXT", parse_per_device };
const struct tg_config_type tg_type_topic = { "TOPIC", parse_topic };
const struct tg_config_type tg_type_host = { "HOST", parse_host };
const struct tg_config_type tg_type_path = { "PATH", parse_path };
const struct tg_config_type tg_type_secret = { "PATH|CREDENTIAL", parse_secret };
const struct tg_config_type tg_type_name = { "NAME", parse_name };
const struct tg_config_type tg_type_bus = { "NAME", parse_bus };
const struct tg_config_type tg_type_counter = { "BITS|no", parse_counter };
const struct tg_config_type tg_type_pair = { "TEXT", parse_pair };
const struct tg_config_type tg_type_host_list = { "HOST", parse_host_item };
