/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The driver of `type = iio`: converters and environment sensors behind the
 * kernel's industrial I/O, Documentation/ABI/testing/sysfs-bus-iio.
 *
 * A channel is processed (_input), or raw with offset and scale, which may be
 * its own or shared by its kind; (raw + offset) * scale is in the unit of the
 * kernel, which becomes that of the SenML registry here.
 */
#include "agent/bus/drivers.h"
#include "agent/bus/sysfs/attr.h"
#include "agent/bus/sysfs/chips.h"
#include "agent/bus/sysfs/sysfs.h"
#include "config/bus/sysfs_read.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX (TG_IIO_CHANNEL_MAX + 16)

static const struct tg_chip_class class = { "bus/iio/devices", "iio:device", "IIO device" };

/* What the kernel counts in, against what is published. A kind that is not here is passed on as it is. */
static const struct {
	const char *kind;
	double factor;
	const char *unit;
} kinds[] = {
	{ "voltage", 1e-3, "V" },
	{ "altvoltage", 1e-3, "V" },
	{ "current", 1e-3, "A" },
	{ "power", 1e-3, "W" },
	{ "temp", 1e-3, "Cel" },
	{ "pressure", 1e3, "Pa" },
	{ "humidityrelative", 1e-3, "%RH" },
	{ "positionrelative", 1e-3, "%" },
	{ "capacitance", 1e-9, "F" },
	{ "magn", 1e-4, "T" },
	{ "illuminance", 1, "lx" },
	{ "resistance", 1, "Ohm" },
	{ "energy", 1, "J" },
	{ "distance", 1, "m" },
	{ "proximity", 1, "" },
	{ "accel", 1, "m/s2" },
	{ "gravity", 1, "m/s2" },
	{ "anglvel", 1, "rad/s" },
	{ "angl", 1, "rad" },
	{ "velocity", 1, "m/s" },
	{ "concentration", 1, "%" },
	{ "ph", 1, "pH" },
};

/* The channel's kind is what follows "in_", up to its number or modifier. */
static size_t kind_len(const char *channel)
{
	const char *kind = channel + strlen("in_");
	size_t len = 0;

	while (islower((unsigned char) kind[len]))
		len++;
	return len;
}

static size_t find_kind(const char *channel)
{
	size_t len = kind_len(channel);

	for (size_t i = 0; i < TG_ARRAY_SIZE(kinds); i++) {
		if (strlen(kinds[i].kind) == len &&
		    strncmp(channel + strlen("in_"), kinds[i].kind, len) == 0)
			return i;
	}
	return TG_ARRAY_SIZE(kinds);
}

/* The name without its numbers: "in_voltage0-voltage1" is one of "in_voltage-voltage". */
static void without_numbers(const char *channel, char out[static FILE_MAX])
{
	size_t n = 0;

	for (; *channel; channel++) {
		if (!isdigit((unsigned char) *channel))
			out[n++] = *channel;
	}
	out[n] = '\0';
}

/*
 * The channel's @attribute ("scale"): its own, that of all channels of its form, of its kind, or of the device. Returns 0,
 * also when there is none (then *ret is left alone), or -errno.
 */
static int read_shared(int dir, const char *channel, const char *attribute, double *ret,
		       struct tg_fault *reterr)
{
	char form[FILE_MAX], file[FILE_MAX + 8];

	without_numbers(channel, form);
	for (int i = 0; i < 5; i++) {
		int r;

		switch (i) {
		case 0:
			(void) snprintf(file, sizeof file, "%s_%s", channel, attribute);
			break;
		case 1:
			(void) snprintf(file, sizeof file, "%s_%s", form, attribute);
			break;
		case 2:
			(void) snprintf(file, sizeof file, "in_%.*s_%s", (int) kind_len(channel),
					channel + strlen("in_"), attribute);
			break;
		case 3:
			(void) snprintf(file, sizeof file, "in_%s", attribute);
			break;
		default:
			(void) snprintf(file, sizeof file, "%s", attribute);
			break;
		}
		r = tg_attr_real(dir, file, ret, reterr);
		if (r != -ENOENT)
			return r;
	}
	return 0;
}

static int read_channel(int dir, const char *channel, struct tg_value *ret, struct tg_fault *reterr)
{
	size_t kind = find_kind(channel);
	double value, offset = 0, scale = 1,
		      factor = kind < TG_ARRAY_SIZE(kinds) ? kinds[kind].factor : 1;
	char file[FILE_MAX];
	int r;

	(void) snprintf(file, sizeof file, "%s_input", channel);
	r = tg_attr_real(dir, file, &value, reterr);
	if (r == -ENOENT) {
		(void) snprintf(file, sizeof file, "%s_raw", channel);
		r = tg_attr_real(dir, file, &value, reterr);
		if (r == -ENOENT)
			return tg_fault_set(reterr, r, "the chip has no channel %s", channel);
		if (r == 0)
			r = read_shared(dir, channel, "offset", &offset, reterr);
		if (r == 0)
			r = read_shared(dir, channel, "scale", &scale, reterr);
	}
	if (r < 0)
		return r;
	*ret = (struct tg_value){ .type = TG_VALUE_REAL,
				  .real = (value + offset) * scale * factor };
	return 0;
}

static int read_point(int dir, const struct tg_config_point *point, unsigned retries,
		      struct tg_value *ret, struct tg_fault *reterr)
{
	(void) retries;
	return read_channel(dir, point->iio.channel, ret, reterr);
}

static int find(const char *root, const struct tg_config_device *dev, int *ret_dir,
		struct tg_fault *reterr)
{
	return tg_chip_find(root, &class, dev->iio.chip, dev->iio.at, ret_dir, reterr);
}

static const struct tg_sysfs_kind kind_of_bus = { .find = find,
						  .proof = "name",
						  .read = read_point };

/* --- looking round --- */

/* Of a channel with both files, one is shown. */
static bool is_second(const struct tg_chip *chip, const char *name, const char *channel)
{
	char file[FILE_MAX];

	(void) snprintf(file, sizeof file, "%s_input", channel);
	return strcmp(name, file) != 0 && faccessat(chip->dir, file, F_OK, 0) == 0;
}

static void show_file(const struct tg_chip *chip, const char *name, struct tg_table *out)
{
	struct tg_value value = { .type = TG_VALUE_NONE };
	struct tg_fault why = { .text = "" };
	struct tg_iio_read read;
	char text[64];
	size_t kind;
	int r;

	/* Only the files of values end in what the parser takes off. */
	if (tg_iio_read_parse(name, &read, NULL) < 0 || strcmp(name, read.channel) == 0 ||
	    is_second(chip, name, read.channel))
		return;
	kind = find_kind(read.channel);
	r = read_channel(chip->dir, read.channel, &value, &why);
	tg_table_row(out, (const char *const[]){
				  chip->name, chip->at, read.channel,
				  r < 0 ? why.text : tg_sysfs_show(&value, text, sizeof(text)),
				  kind < TG_ARRAY_SIZE(kinds) ? kinds[kind].unit : "" });
}

static int iio_probe(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
		     struct tg_table *out, struct tg_fault *reterr)
{
	static const char *const heads[] = { "chip", "at", "read", "value", "unit", NULL };
	const struct tg_sysfs_look look = {
		.class = &class,
		.heads = heads,
		.chip = dev ? dev->iio.chip : NULL,
		.at = dev ? dev->iio.at : "",
		.file = show_file,
	};

	return tg_sysfs_look(bus, &look, address, out, reterr);
}

/* --- birth and death --- */

static int iio_open(const struct tg_config *cfg, size_t bus, struct tg_bus **ret,
		    struct tg_fault *reterr)
{
	return tg_sysfs_open(cfg, cfg->buses[bus].iio.root, &kind_of_bus, ret, reterr);
}

const struct tg_bus_driver tg_iio_driver = {
	.name = "iio",
	.type = TG_BUS_IIO,
	.open = iio_open,
	.plan = tg_sysfs_plan,
	.plan_free = tg_sysfs_plan_free,
	.patience_us = tg_sysfs_patience_us,
	.poll = tg_sysfs_poll,
	.probe = iio_probe,
	.describe = tg_sysfs_describe,
	.close = tg_sysfs_close,
};
