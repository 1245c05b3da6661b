/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The driver of `type = w1`: 1-Wire thermometers behind the kernel's w1_therm,
 * Documentation/w1/slaves/w1_therm.
 *
 * A reading takes up to 750 ms, in which the thread of the bus waits. The file
 * `temperature` (kernel 5.8 and newer) is read where it is there, else
 * `w1_slave`, which shows the scratchpad and its CRC. A sensor that lost its
 * supply between conversion and reading gives its power-on value, 85 degrees,
 * with a good CRC: that value is never believed.
 */
#include "agent/bus/drivers.h"
#include "agent/bus/sysfs/attr.h"
#include "agent/bus/sysfs/sysfs.h"
#include "base/clock.h"
#include "base/parse.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER      "bus/w1/devices"
#define POWER_ON    85000 /* thousandths of a degree */
#define SENSORS_MAX 64    /* shown by a probe */

/* Families that w1_therm serves: DS18S20, DS1822, DS18B20, DS1825, DS28EA00. */
static const char *const families[] = { "10-", "22-", "28-", "3b-", "42-" };

/* --- one reading --- */

/* Of the two lines of w1_slave: "... : crc=1c YES" and "... t=23125". */
static int parse_slave(const char *text, int64_t *ret, struct tg_fault *reterr)
{
	const char *end = strchr(text, '\n'), *t;

	if (!end || !strstr(text, "crc=") || end - text < 4)
		return tg_fault_set(reterr, -EBADMSG, "w1_slave: %s", tg_attr_words(-EBADMSG));
	if (strncmp(end - 3, "YES", 3) != 0)
		return tg_fault_set(reterr, -EIO, "the sensor's answer is damaged (CRC)");
	t = strstr(end, "t=");
	if (!t || tg_parse_i64(t + 2, ret) < 0)
		return tg_fault_set(reterr, -EBADMSG, "w1_slave: %s", tg_attr_words(-EBADMSG));
	return 0;
}

static int read_milli(int dir, int64_t *ret, struct tg_fault *reterr)
{
	char text[TG_ATTR_MAX + 1];
	int r = tg_attr_int(dir, "temperature", ret, reterr);

	/* The kernel has looked at the CRC itself, and says EIO. */
	if (r == -EIO)
		return tg_fault_set(reterr, r, "the sensor's answer is damaged, or it is gone");
	if (r != -ENOENT)
		return r;
	r = tg_attr_read(dir, "w1_slave", text, reterr);
	return r < 0 ? r : parse_slave(text, ret, reterr);
}

static int read_once(int dir, struct tg_value *ret, struct tg_fault *reterr)
{
	int64_t milli;
	int r = read_milli(dir, &milli, reterr);

	if (r < 0)
		return r;
	if (milli == POWER_ON)
		return tg_fault_set(reterr, -EIO,
				    "85 degrees, the power-on value: the sensor has not converted; "
				    "its supply may be too weak");
	*ret = (struct tg_value){ .type = TG_VALUE_REAL, .real = (double) milli / 1e3 };
	return 0;
}

static int read_point(int dir, const struct tg_config_point *point, unsigned retries,
		      struct tg_value *ret, struct tg_fault *reterr)
{
	int r;

	(void) point;
	do
		r = read_once(dir, ret, reterr);
	while ((r == -EIO || r == -ENODATA) && retries-- > 0);
	return r;
}

static int open_folder(const char *root, int *ret_dir, struct tg_fault *reterr)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof path, "%s/" FOLDER, root);

	if (n < 0 || (size_t) n >= sizeof path)
		return tg_fault_set(reterr, -ENAMETOOLONG, "%s: path too long", root);
	*ret_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret_dir >= 0)
		return 0;
	return errno == ENOENT ? tg_fault_set(reterr, -ENODEV,
					      "this machine has no 1-Wire bus; on a Raspberry Pi "
					      "it needs "
					      "dtoverlay=w1-gpio in config.txt")
			       : tg_fault_set(reterr, -errno, "%s: %s", path, strerror(errno));
}

static int find(const char *root, const struct tg_config_device *dev, int *ret_dir,
		struct tg_fault *reterr)
{
	tg_autoclose int folder = -1;
	int r = open_folder(root, &folder, reterr);

	if (r < 0)
		return r;
	*ret_dir = openat(folder, dev->w1.id, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret_dir < 0 ? tg_fault_set(reterr, -ENODEV, "no sensor %s on the bus", dev->w1.id)
			    : 0;
}

static const struct tg_sysfs_kind kind = { .find = find, .proof = ".", .read = read_point };

/* --- looking round --- */

static bool is_sensor(const char *name)
{
	for (size_t i = 0; i < TG_ARRAY_SIZE(families); i++) {
		if (strncmp(name, families[i], strlen(families[i])) == 0)
			return true;
	}
	return false;
}

static void show_sensor(int folder, const char *id, bool in_time, struct tg_table *table)
{
	tg_autoclose int dir = openat(folder, id, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct tg_value value = { .type = TG_VALUE_NONE };
	struct tg_fault why = { .text = "not asked: this takes too long" };
	char text[64];
	int r = -ETIME;

	if (dir >= 0 && in_time)
		r = read_once(dir, &value, &why);
	tg_table_row(table,
		     (const char *const[]){
			     id, r < 0 ? why.text : tg_sysfs_show(&value, text, sizeof(text)),
			     r < 0 ? "" : "Cel" });
}

static int w1_probe(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
		    struct tg_table *out, struct tg_fault *reterr)
{
	uint64_t until = tg_us_add(tg_clock_boot_us(), TG_SYSFS_PROBE_US);
	tg_autoclose int folder = -1;
	struct dirent **entries;
	int n, shown = 0, r = open_folder(bus->root, &folder, reterr);

	if (*address)
		return tg_fault_set(reterr, -EINVAL,
				    "a 1-Wire bus is shown whole; leave the address out");
	if (r < 0)
		return r;
	tg_table_heads(out, (const char *const[]){ "id", "temperature", "unit", NULL });
	n = scandirat(folder, ".", &entries, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		const char *id = entries[i]->d_name;

		if (is_sensor(id) && (!dev || strcmp(dev->w1.id, id) == 0) && shown++ < SENSORS_MAX)
			show_sensor(folder, id, tg_clock_boot_us() < until, out);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return 0;
}

/* --- birth and death --- */

static int w1_open(const struct tg_config *cfg, size_t bus, struct tg_bus **ret,
		   struct tg_fault *reterr)
{
	return tg_sysfs_open(cfg, cfg->buses[bus].w1.root, &kind, ret, reterr);
}

const struct tg_bus_driver tg_w1_driver = {
	.name = "w1",
	.type = TG_BUS_W1,
	.open = w1_open,
	.plan = tg_sysfs_plan,
	.plan_free = tg_sysfs_plan_free,
	.patience_us = tg_sysfs_patience_us,
	.poll = tg_sysfs_poll,
	.probe = w1_probe,
	.describe = tg_sysfs_describe,
	.close = tg_sysfs_close,
};
