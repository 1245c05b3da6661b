/* SPDX-License-Identifier: Apache-2.0 */
#include "udev/can/settings.h"

#include "base/append.h"
#include "base/parse.h"
#include "config/ini.h"
#include "config/source.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define US_PER_MS   1000U
#define RATE_MIN    1000U     /* controllers end near 5 kbit/s */
#define RATE_MAX    1000000U  /* ISO 11898-1, arbitration phase */
#define FD_RATE_MAX 20000000U /* CAN SIC XL; no controller of CAN FD does more */
#define POINT_MIN   50.0 /* per cent; below, the two ends of a bit would be taken for each other */
#define POINT_MAX   99.9
#define RESTART_MIN 10000ULL /* us; 128 * 11 bits at 250 kbit/s are 5.6 ms */
#define RESTART_MAX 3600000000ULL
#define TYPO_EDITS  2
#define TEXT_MAX    200

/* --- values --- */

/* Whole bits per second; k and M are decimal, as on every data sheet. */
static int parse_rate(const char *text, uint32_t max, uint32_t *ret)
{
	size_t n = strlen(text);
	char digits[16];
	uint64_t rate, unit = 1;
	int r;

	if (n == 0 || n >= sizeof(digits))
		return -EINVAL;
	if (strchr("kK", text[n - 1]))
		unit = 1000;
	else if (text[n - 1] == 'M')
		unit = 1000000;
	n -= unit != 1;
	memcpy(digits, text, n);
	digits[n] = '\0';
	r = tg_parse_u64(digits, &rate);
	if (r < 0)
		return r;
	if (rate > max / unit || rate * unit < RATE_MIN)
		return -ERANGE;
	*ret = (uint32_t) (rate * unit);
	return 0;
}

static int parse_arbitration(const char *text, void *ret)
{
	return parse_rate(text, RATE_MAX, ret);
}

static int parse_data(const char *text, void *ret)
{
	return parse_rate(text, FD_RATE_MAX, ret);
}

static int parse_point(const char *text, void *ret)
{
	double percent;
	int r = tg_parse_percent(text, &percent);

	if (r < 0)
		return r;
	if (percent < POINT_MIN || percent > POINT_MAX)
		return -ERANGE;
	*(uint32_t *) ret = (uint32_t) lround(percent * 10);
	return 0;
}

static int parse_restart(const char *text, void *ret)
{
	uint64_t us;
	int r = tg_parse_duration(text, &us);

	if (r < 0)
		return r;
	if (us != 0 && (us < RESTART_MIN || us > RESTART_MAX))
		return -ERANGE;
	*(uint32_t *) ret = (uint32_t) (us / US_PER_MS);
	return 0;
}

static int parse_flag(const char *text, void *ret)
{
	return tg_parse_bool(text, ret);
}

#define KEY(name, fn, field, expected)                                                             \
	{                                                                                          \
		name, fn, offsetof(struct tg_can_settings, field), expected                        \
	}
#define A_POINT "a percentage from 50% to 99.9%"

static const struct key {
	const char *name;
	int (*parse)(const char *text, void *ret);
	size_t offset;
	const char *expected;
} keys[] = {
	KEY("bit-rate", parse_arbitration, bit_rate, "1k to 1M, such as 250000 or 250k"),
	KEY("sample-point", parse_point, sample_point, A_POINT),
	KEY("data-bit-rate", parse_data, data_bit_rate, "1k to 20M, such as 2M"),
	KEY("data-sample-point", parse_point, data_sample_point, A_POINT),
	KEY("restart-after", parse_restart, restart_ms, "10ms to 1h, or 0 for never"),
	KEY("listen-only", parse_flag, listen_only, "yes or no"),
	KEY("loopback", parse_flag, loopback, "yes or no"),
};
/* A gateway that nobody is near comes back by itself. */
#define DEFAULTS                                                                                   \
	{                                                                                          \
		.restart_ms = 500                                                                  \
	}

/* --- lines --- */

struct reader {
	struct tg_can_settings settings;
	tg_can_complain_fn complain;
	void *user;
	bool in_section, refused;
	unsigned given[TG_ARRAY_SIZE(keys)]; /* the line of each key, 0: none */
};

static TG_PRINTF(3, 4) void refuse(struct reader *r, unsigned line, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->refused = true;
	r->complain(r->user, line, text);
}

static int on_problem(void *user, unsigned line, const char *text)
{
	refuse(user, line, "%s", text);
	return 0;
}

static int on_section(void *user, const char *name, unsigned line)
{
	struct reader *r = user;

	/* Settings behind a header that is not ours are told with it, not one by one. */
	r->in_section = name && strcmp(name, "can") == 0;
	if (name && !r->in_section)
		refuse(r, line, "unknown section [%.40s]; there is [can] alone", name);
	return 0;
}

static void refuse_key(struct reader *r, unsigned line, const char *name)
{
	const char *near = NULL;

	for (size_t i = 0; i < TG_ARRAY_SIZE(keys); i++) {
		if (tg_parse_distance(name, keys[i].name, TYPO_EDITS) <= TYPO_EDITS)
			near = keys[i].name;
	}
	refuse(r, line, "unknown key '%.40s'%s%s%s", name, near ? "; did you mean '" : "",
	       near ? near : "", near ? "'?" : "");
}

static void take(struct reader *r, size_t i, const char *value, unsigned line)
{
	if (r->given[i])
		refuse(r, line, "%s is set in line %u already", keys[i].name, r->given[i]);
	else if (keys[i].parse(value, (char *) &r->settings + keys[i].offset) < 0)
		refuse(r, line, "%s = %.40s: expected %s", keys[i].name, value, keys[i].expected);
	r->given[i] = line;
}

static int on_setting(void *user, const char *key, const char *value, unsigned line)
{
	struct reader *r = user;

	if (!r->in_section) {
		/* The header above it has been told, unless there is none. */
		if (!r->refused)
			refuse(r, line, "a setting before [can]");
		return 0;
	}
	for (size_t i = 0; i < TG_ARRAY_SIZE(keys); i++) {
		if (strcmp(key, keys[i].name) == 0) {
			take(r, i, value, line);
			return 0;
		}
	}
	refuse_key(r, line, key);
	return 0;
}

/* --- the whole --- */

static void judge(struct reader *r)
{
	const struct tg_can_settings *s = &r->settings;

	if (r->refused)
		return;
	if (s->bit_rate == 0)
		refuse(r, 0, "bit-rate is missing");
	else if (s->data_bit_rate && s->data_bit_rate < s->bit_rate)
		refuse(r, 0, "data-bit-rate is below bit-rate");
	if (s->data_sample_point && !s->data_bit_rate)
		refuse(r, 0, "data-sample-point without data-bit-rate");
	if (s->listen_only && s->loopback)
		refuse(r, 0, "listen-only and loopback exclude each other");
}

int tg_can_settings_read(const char *data, size_t len, tg_can_complain_fn complain, void *user,
			 struct tg_can_settings *ret)
{
	static const struct tg_ini_events events = { on_section, on_setting, on_problem };
	struct reader reader = { .settings = DEFAULTS, .complain = complain, .user = user };
	int r = tg_ini_read(data, len, &events, &reader);

	if (r < 0)
		return r;
	judge(&reader);
	if (reader.refused)
		return -EINVAL;
	*ret = reader.settings;
	return 0;
}

int tg_can_settings_load(const char *path, tg_can_complain_fn complain, void *user,
			 struct tg_can_settings *ret)
{
	struct tg_fault why = { .text = "" };
	tg_autofree char *data = NULL;
	size_t len;
	mode_t mode;
	int r = tg_source_read(path, TG_CAN_FILE_MAX, &data, &len, &mode, &why);

	if (r < 0) {
		complain(user, 0, *why.text ? why.text : strerror(-r));
		return r;
	}
	if (mode & S_IWOTH) {
		complain(user, 0, "everybody may write to it: chmod o-w");
		return -EINVAL;
	}
	return tg_can_settings_read(data, len, complain, user, ret);
}

/* --- words --- */

static void add_rate(char *out, size_t size, uint32_t rate, uint32_t point)
{
	tg_append(out, size, "%u bit/s", rate);
	if (point)
		tg_append(out, size, ", sample point %u.%u %%", point / 10, point % 10);
}

const char *tg_can_settings_text(const struct tg_can_settings *s, char *out, size_t size)
{
	out[0] = '\0';
	add_rate(out, size, s->bit_rate, s->sample_point);
	if (s->data_bit_rate) {
		tg_append(out, size, ", data ");
		add_rate(out, size, s->data_bit_rate, s->data_sample_point);
	}
	if (s->restart_ms)
		tg_append(out, size, ", restart after %u ms", s->restart_ms);
	else
		tg_append(out, size, ", no restart after bus-off");
	if (s->listen_only)
		tg_append(out, size, ", listen-only");
	if (s->loopback)
		tg_append(out, size, ", loopback");
	return out;
}
