/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The driver of `type = hwmon`: chips that the kernel watches (temperatures,
 * voltages, fans ...), Documentation/hwmon/sysfs-interface.
 *
 * The kernel gives thousandths and millionths; here they become the units
 * that people and the SenML registry use: V, Cel, A, W, J, %RH, Hz, and
 * revolutions a minute for fans.
 */
#include "agent/bus/drivers.h"
#include "agent/bus/sysfs/attr.h"
#include "agent/bus/sysfs/chips.h"
#include "agent/bus/sysfs/sysfs.h"
#include "config/bus/sysfs_read.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX    48 /* kind, number, attribute */
#define CHANNEL_MAX 999

static const struct tg_chip_class class = { "class/hwmon", "hwmon", "hwmon chip" };

static const struct {
	double divisor; /* of the attributes that are measurements or limits of one */
	const char *unit;
} kinds[TG_HWMON_KINDS] = {
	[TG_HWMON_IN] = { 1e3, "V" },     [TG_HWMON_TEMP] = { 1e3, "Cel" },
	[TG_HWMON_CURR] = { 1e3, "A" },   [TG_HWMON_POWER] = { 1e6, "W" },
	[TG_HWMON_ENERGY] = { 1e6, "J" }, [TG_HWMON_HUMIDITY] = { 1e3, "%RH" },
	[TG_HWMON_FAN] = { 1, "1/min" },  [TG_HWMON_PWM] = { 1, "" },
	[TG_HWMON_FREQ] = { 1, "Hz" },    [TG_HWMON_INTRUSION] = { 1, "" },
};

/* Attributes in the channel's own unit; others are numbers as they are. */
static const char *const measured[] = {
	"input",
	"average",
	"lowest",
	"highest",
	"min",
	"max",
	"lcrit",
	"crit",
	"emergency",
	"cap",
	"target",
	"offset",
	"rated_min",
	"rated_max",
	"max_hyst",
	"min_hyst",
	"crit_hyst",
	"lcrit_hyst",
	"emergency_hyst",
	"cap_max",
	"cap_min",
	"cap_hyst",
	"average_max",
	"average_min",
	"average_highest",
	"average_lowest",
	"input_highest",
	"input_lowest",
};
static const char *const truths[] = { "alarm", "fault", "beep" };

static bool is_one_of(const char *word, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(word, list[i]) == 0)
			return true;
	}
	return false;
}

/* Also min_alarm, crit_alarm and so on. */
static bool is_truth(const char *attribute)
{
	const char *last = strrchr(attribute, '_');

	return is_one_of(last ? last + 1 : attribute, truths, TG_ARRAY_SIZE(truths));
}

/* --- one reading --- */

static const char *kind_word(enum tg_hwmon_kind kind)
{
	const struct tg_word *w = tg_hwmon_kinds;

	while (w->value != kind)
		w++;
	return w->word;
}

static void file_name(char out[static FILE_MAX], enum tg_hwmon_kind kind, unsigned index,
		      const char *attribute)
{
	(void) snprintf(out, FILE_MAX, "%s%u%s%s", kind_word(kind), index, *attribute ? "_" : "",
			attribute);
}

/* The number of the channel that the chip calls by this label. */
static int find_label(int dir, const struct tg_hwmon_read *read, unsigned *ret,
		      struct tg_fault *reterr)
{
	char file[FILE_MAX], text[TG_ATTR_MAX + 1];
	unsigned gap = 0;

	/* Numbers may be left out, though not many. */
	for (unsigned i = 0; i <= CHANNEL_MAX && gap < 64; i++) {
		file_name(file, read->kind, i, "label");
		gap++;
		if (tg_attr_read(dir, file, text, NULL) < 0)
			continue;
		gap = 0;
		if (strcmp(text, read->label) != 0)
			continue;
		*ret = i;
		return 0;
	}
	return tg_fault_set(reterr, -ENOENT, "no %s has the label %s", kind_word(read->kind),
			    read->label);
}

/* A sensor that is broken or not wired says so in a file of its own, and anything in the reading. */
static int look_for_fault(int dir, const struct tg_hwmon_read *read, unsigned index,
			  struct tg_fault *reterr)
{
	char file[FILE_MAX];
	int64_t fault;

	file_name(file, read->kind, index, "fault");
	if (tg_attr_int(dir, file, &fault, NULL) < 0 || fault == 0)
		return 0;
	return tg_fault_set(reterr, -EIO, "%s%u: the chip reports a sensor fault",
			    kind_word(read->kind), index);
}

static int read_channel(int dir, const struct tg_hwmon_read *read, unsigned index,
			struct tg_value *ret, struct tg_fault *reterr)
{
	bool is_measured = is_one_of(read->attribute, measured, TG_ARRAY_SIZE(measured));
	double divisor = is_measured ? kinds[read->kind].divisor : 1;
	char file[FILE_MAX];
	int64_t value;
	int r;

	file_name(file, read->kind, index, read->attribute);
	r = tg_attr_int(dir, file, &value, reterr);
	if (r == 0 && strcmp(read->attribute, "input") == 0)
		r = look_for_fault(dir, read, index, reterr);
	if (r < 0)
		return r;

	if (is_truth(read->attribute))
		*ret = (struct tg_value){ .type = TG_VALUE_BOOL, .b = value != 0 };
	else if (divisor > 1)
		*ret = (struct tg_value){ .type = TG_VALUE_REAL, .real = (double) value / divisor };
	else
		*ret = (struct tg_value){ .type = TG_VALUE_INT, .i = value };
	return 0;
}

static int read_point(int dir, const struct tg_config_point *point, unsigned retries,
		      struct tg_value *ret, struct tg_fault *reterr)
{
	unsigned index = point->hwmon.index;
	int r = 0;

	(void) retries;
	if (point->hwmon.label)
		r = find_label(dir, &point->hwmon, &index, reterr);
	return r < 0 ? r : read_channel(dir, &point->hwmon, index, ret, reterr);
}

static int find(const char *root, const struct tg_config_device *dev, int *ret_dir,
		struct tg_fault *reterr)
{
	return tg_chip_find(root, &class, dev->hwmon.chip, dev->hwmon.at, ret_dir, reterr);
}

static const struct tg_sysfs_kind kind = { .find = find, .proof = "name", .read = read_point };

/* --- looking round --- */

/* Whether @name is the file of a measurement, and of which. */
static bool is_input(const char *name, struct tg_hwmon_read *ret)
{
	return tg_hwmon_read_parse(name, ret, NULL) == 0 && strchr(name, '_') &&
	       (strcmp(ret->attribute, "input") == 0 || strcmp(ret->attribute, "average") == 0);
}

static void show_file(const struct tg_chip *chip, const char *name, struct tg_table *out)
{
	char file[FILE_MAX], label[TG_ATTR_MAX + 1], text[64];
	struct tg_value value = { .type = TG_VALUE_NONE };
	struct tg_fault why = { .text = "" };
	struct tg_hwmon_read read;
	int r;

	if (!is_input(name, &read))
		return;
	r = read_channel(chip->dir, &read, read.index, &value, &why);
	file_name(file, read.kind, read.index, "label");
	if (tg_attr_read(chip->dir, file, label, NULL) < 0)
		label[0] = '\0';
	tg_table_row(out, (const char *const[]){ chip->name, chip->at, name, label,
						 r < 0 ? why.text
						       : tg_sysfs_show(&value, text, sizeof(text)),
						 kinds[read.kind].unit });
}

static int hwmon_probe(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
		       struct tg_table *out, struct tg_fault *reterr)
{
	static const char *const heads[] = { "chip", "at", "read", "label", "value", "unit", NULL };
	const struct tg_sysfs_look look = {
		.class = &class,
		.heads = heads,
		.chip = dev ? dev->hwmon.chip : NULL,
		.at = dev ? dev->hwmon.at : "",
		.file = show_file,
	};

	return tg_sysfs_look(bus, &look, address, out, reterr);
}

/* --- birth and death --- */

static int hwmon_open(const struct tg_config *cfg, size_t bus, struct tg_bus **ret,
		      struct tg_fault *reterr)
{
	return tg_sysfs_open(cfg, cfg->buses[bus].hwmon.root, &kind, ret, reterr);
}

const struct tg_bus_driver tg_hwmon_driver = {
	.name = "hwmon",
	.type = TG_BUS_HWMON,
	.open = hwmon_open,
	.plan = tg_sysfs_plan,
	.plan_free = tg_sysfs_plan_free,
	.patience_us = tg_sysfs_patience_us,
	.poll = tg_sysfs_poll,
	.probe = hwmon_probe,
	.describe = tg_sysfs_describe,
	.close = tg_sysfs_close,
};
