/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/sysfs_read.h"

#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOWER     "abcdefghijklmnopqrstuvwxyz"
#define DIGITS    "0123456789"
#define KIND_MAX  16
#define INDEX_MAX 999
#define LABEL_MAX 64

const struct tg_word tg_hwmon_kinds[] = {
	{ "in", TG_HWMON_IN, NULL },
	{ "temp", TG_HWMON_TEMP, NULL },
	{ "curr", TG_HWMON_CURR, NULL },
	{ "power", TG_HWMON_POWER, NULL },
	{ "energy", TG_HWMON_ENERGY, NULL },
	{ "humidity", TG_HWMON_HUMIDITY, NULL },
	{ "fan", TG_HWMON_FAN, NULL },
	{ "pwm", TG_HWMON_PWM, NULL },
	{ "freq", TG_HWMON_FREQ, NULL },
	{ "intrusion", TG_HWMON_INTRUSION, NULL },
	{ NULL, 0, NULL },
};

/* --- hwmon --- */

/* The letters in front of everything else. Moves *@rest behind them. */
static int parse_kind(const char **rest, enum tg_hwmon_kind *ret, struct tg_fault *reterr)
{
	size_t len = strspn(*rest, LOWER);
	char word[KIND_MAX];
	unsigned kind;
	int r;

	if (len == 0 || len >= sizeof word)
		return tg_fault_set(reterr, -EINVAL,
				    "not a channel such as temp1, in0_max or temp label=Core 0");
	memcpy(word, *rest, len);
	word[len] = '\0';
	r = tg_word_parse(word, tg_hwmon_kinds, &kind, reterr);
	if (r < 0)
		return tg_fault_prefix(reterr, "%s", word);
	*ret = (enum tg_hwmon_kind) kind;
	*rest += len;
	return 0;
}

/* The digits, which are there unless a label follows. */
static int parse_index(const char **rest, unsigned *ret, bool *ret_given, struct tg_fault *reterr)
{
	size_t len = strspn(*rest, DIGITS);
	unsigned index = 0;

	if (len > 3)
		return tg_fault_set(reterr, -EINVAL, "the channel is not from 0 to %d", INDEX_MAX);
	for (size_t i = 0; i < len; i++)
		index = index * 10 + (unsigned) ((*rest)[i] - '0');
	*ret = index;
	*ret_given = len > 0;
	*rest += len;
	return 0;
}

static int parse_attribute(const char **rest, struct tg_hwmon_read *read, struct tg_fault *reterr)
{
	const char *dflt = read->kind == TG_HWMON_PWM         ? ""
			   : read->kind == TG_HWMON_INTRUSION ? "alarm"
							      : "input";
	size_t len;

	if (**rest != '_') {
		(void) snprintf(read->attribute, sizeof read->attribute, "%s", dflt);
		return 0;
	}
	++*rest;
	len = strspn(*rest, LOWER DIGITS "_");
	if (len == 0 || len >= sizeof read->attribute)
		return tg_fault_set(reterr, -EINVAL, "not an attribute such as temp1_max");
	memcpy(read->attribute, *rest, len);
	read->attribute[len] = '\0';
	*rest += len;
	if (strcmp(read->attribute, "label") == 0)
		return tg_fault_set(reterr, -EINVAL,
				    "a label is no reading; label=TEXT chooses by it");
	return 0;
}

static int parse_label(const char *rest, bool indexed, struct tg_hwmon_read *read,
		       struct tg_fault *reterr)
{
	size_t blanks = strspn(rest, " \t");

	read->label = NULL;
	if (!*rest) {
		if (!indexed)
			return tg_fault_set(reterr, -EINVAL,
					    "which channel: a number, as in temp1, or label=TEXT");
		return 0;
	}
	if (blanks == 0 || strncmp(rest + blanks, "label=", 6) != 0)
		return tg_fault_set(reterr, -EINVAL, "'%.40s' behind the channel", rest);
	read->label = rest + blanks + 6;
	if (indexed)
		return tg_fault_set(reterr, -EINVAL,
				    "either a number or a label chooses the channel");
	if (!*read->label || strlen(read->label) > LABEL_MAX)
		return tg_fault_set(reterr, -EINVAL, "a label has 1 to %d bytes", LABEL_MAX);
	return 0;
}

int tg_hwmon_read_parse(const char *text, struct tg_hwmon_read *ret, struct tg_fault *reterr)
{
	struct tg_hwmon_read read = { .label = NULL };
	bool indexed;
	int r;

	r = parse_kind(&text, &read.kind, reterr);
	if (r == 0)
		r = parse_index(&text, &read.index, &indexed, reterr);
	if (r == 0)
		r = parse_attribute(&text, &read, reterr);
	if (r == 0)
		r = parse_label(text, indexed, &read, reterr);
	if (r == 0)
		*ret = read;
	return r;
}

/* --- iio --- */

static size_t without(const char *text, size_t len, const char *tail)
{
	size_t n = strlen(tail);

	return len > n && strncmp(text + len - n, tail, n) == 0 ? len - n : len;
}

int tg_iio_read_parse(const char *text, struct tg_iio_read *ret, struct tg_fault *reterr)
{
	size_t len = strlen(text);

	if (strncmp(text, "in_", 3) != 0 || strspn(text, LOWER DIGITS "_-") != len ||
	    strspn(text + 3, LOWER) == 0)
		return tg_fault_set(reterr, -EINVAL,
				    "not an input channel such as in_voltage0, in_temp or "
				    "in_accel_x");
	/* Who copies the name of a file means the channel. */
	if (without(text, len, "_raw") != len)
		len = without(text, len, "_raw");
	else
		len = without(text, len, "_input");
	if (len > TG_IIO_CHANNEL_MAX)
		return tg_fault_set(reterr, -EINVAL, "longer than %d characters",
				    TG_IIO_CHANNEL_MAX);
	memcpy(ret->channel, text, len);
	ret->channel[len] = '\0';
	return 0;
}
