/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/driver.h"
#include "agent/bus/sysfs/chips.h"
#include "agent/bus/table.h"

/*
 * What hwmon, IIO and 1-Wire have in common: a device is a directory of
 * sysfs, a point one or a few files in it. The directory is looked for again
 * when it has gone, as unplugging and plugging in makes another one.
 */
#define TG_SYSFS_READ_US                                                                           \
	UINT64_C(3000000) /* for one file: a slow chip on a busy bus, for the watchdog */

#define TG_SYSFS_PROBE_US UINT64_C(6000000) /* after which a probe begins with no further file */

struct tg_sysfs_kind {
	/* Finds the device's directory. Returns 0 and an owned descriptor, or -errno with words. */
	int (*find)(const char *root, const struct tg_config_device *dev, int *ret_dir,
		    struct tg_fault *reterr);
	/* A file that is there as long as the device is: "name". */
	const char *proof;
	/* Reads one point. Returns 0 and the raw value, or -errno with words. @retries for what may be better at once. */
	int (*read)(int dir, const struct tg_config_point *point, unsigned retries,
		    struct tg_value *ret, struct tg_fault *reterr);
};

struct tg_bus {
	const struct tg_config *cfg;
	const char *root;
	const struct tg_sysfs_kind *kind;
	struct tg_bus_note note;
};

/* The driver's functions that are the same for all; open and probe are the type's own. */
int tg_sysfs_open(const struct tg_config *cfg, const char *root, const struct tg_sysfs_kind *kind,
		  struct tg_bus **ret, struct tg_fault *reterr) TG_CHECKED;
int tg_sysfs_plan(struct tg_bus *bus, const struct tg_config_device *dev, void **ret_plan,
		  struct tg_fault *reterr) TG_CHECKED;
void tg_sysfs_plan_free(void *plan);
uint64_t tg_sysfs_patience_us(struct tg_bus *bus, const struct tg_config_device *dev, void *plan);
int tg_sysfs_poll(struct tg_bus *bus, const struct tg_config_device *dev, void *plan,
		  unsigned retries, struct tg_sample *out, struct tg_fault *reterr);
void tg_sysfs_describe(struct tg_bus *bus, struct tg_bus_note *out);
void tg_sysfs_close(struct tg_bus *bus);

/* Looking round: every chip of a class, or those that one device may be, with each of their files. */
struct tg_sysfs_look {
	const struct tg_chip_class *class;
	const char *const *heads; /* of the table; NULL behind the last */
	const char *chip, *at;    /* NULL: all; "": anywhere */
	/* Adds a row for @name where it is the file of a value. */
	void (*file)(const struct tg_chip *chip, const char *name, struct tg_table *out);
};
/* A driver's probe. */
int tg_sysfs_look(struct tg_bus *bus, const struct tg_sysfs_look *look, const char *address,
		  struct tg_table *out, struct tg_fault *reterr) TG_CHECKED;

/* @value for people: "21.5"; @out of @size. Returns @out. Never fails. */
const char *tg_sysfs_show(const struct tg_value *value, char *out, size_t size);
