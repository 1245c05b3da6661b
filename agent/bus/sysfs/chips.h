/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <stddef.h>

/*
 * Chips of one class in sysfs, by name: numbers as in hwmon3 change with the
 * order in which drivers happen to be loaded, names do not.
 *
 * Blocks as briefly as sysfs does.
 */
#define TG_CHIP_NAME_MAX 64
#define TG_CHIPS_MAX     256 /* looked at; more than a machine has */

struct tg_chip_class {
	const char *folder;  /* below the root: "class/hwmon" */
	const char *prefix;  /* of its entries: "hwmon" */
	const char *article; /* for words: "hwmon chip" */
};

struct tg_chip {
	int dir;                         /* open on the chip's directory, O_PATH */
	char name[TG_CHIP_NAME_MAX + 1]; /* printable */
	char at[TG_CHIP_NAME_MAX +
		1]; /* the device that it belongs to: "1-0048", "thermal_zone0" */
};

/*
 * Finds the one chip with this @name (and @at, unless it is ""). Returns 0 and an owned directory descriptor; -ENODEV
 * when there is none, with the names that there are; -EEXIST when there are several, with where they are; -errno.
 */
int tg_chip_find(const char *root, const struct tg_chip_class *class, const char *name,
		 const char *at, int *ret_dir, struct tg_fault *reterr) TG_CHECKED;
/*
 * Calls @each for every chip, in the order of their names; chip->dir is borrowed. Returns 0, or -errno when the class
 * cannot be read (-ENOENT: this kernel has no such chips).
 */
typedef void (*tg_chip_fn)(void *user, const struct tg_chip *chip);
int tg_chip_each(const char *root, const struct tg_chip_class *class, tg_chip_fn each, void *user,
		 struct tg_fault *reterr) TG_CHECKED;
