/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/sysfs/sysfs.h"

#include "agent/bus/sysfs/attr.h"
#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct reason {
	char text[TG_REASON_MAX + 1];
};

struct plan {
	int dir; /* of the device; -1: to be looked for */
	struct reason *reasons;
};

int tg_sysfs_open(const struct tg_config *cfg, const char *root, const struct tg_sysfs_kind *kind,
		  struct tg_bus **ret, struct tg_fault *reterr)
{
	struct tg_bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	bus->cfg = cfg;
	bus->root = root;
	bus->kind = kind;
	*ret = bus;
	return 0;
}

int tg_sysfs_plan(struct tg_bus *bus, const struct tg_config_device *dev, void **ret_plan,
		  struct tg_fault *reterr)
{
	struct plan *plan = calloc(1, sizeof(*plan));

	(void) bus;
	if (!plan)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	plan->dir = -1;
	plan->reasons = calloc(dev->n_points ? dev->n_points : 1, sizeof(*plan->reasons));
	if (!plan->reasons) {
		free(plan);
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	}
	*ret_plan = plan;
	return 0;
}

static void lose(struct plan *plan)
{
	if (plan->dir >= 0)
		(void) close(plan->dir);
	plan->dir = -1;
}

void tg_sysfs_plan_free(void *user)
{
	struct plan *plan = user;

	if (!plan)
		return;
	lose(plan);
	free(plan->reasons);
	free(plan);
}

uint64_t tg_sysfs_patience_us(struct tg_bus *bus, const struct tg_config_device *dev, void *plan)
{
	(void) bus;
	(void) plan;
	return TG_SYSFS_READ_US * (dev->n_points + 1) * (dev->retries + 1);
}

/* Makes sure that plan->dir is a device that exists. */
static int have_device(struct tg_bus *bus, const struct tg_config_device *dev, struct plan *plan,
		       struct tg_fault *reterr)
{
	struct stat st;

	if (plan->dir >= 0 && fstatat(plan->dir, bus->kind->proof, &st, 0) < 0)
		lose(plan);
	return plan->dir >= 0 ? 0 : bus->kind->find(bus->root, dev, &plan->dir, reterr);
}

static int read_point(struct tg_bus *bus, const struct plan *plan,
		      const struct tg_config_point *point, unsigned retries, struct reason *reason,
		      struct tg_sample *out)
{
	struct tg_value value = { .type = TG_VALUE_NONE };
	struct tg_fault why = { .text = "" };
	int r = bus->kind->read(plan->dir, point, retries, &value, &why);

	bus->note.requests++;
	out->boot_us = tg_clock_boot_us();
	out->value = value;
	out->quality = r < 0 ? TG_BAD : TG_GOOD;
	out->reason = "";
	if (r < 0) {
		bus->note.errors++;
		out->reason = tg_printable(reason->text, sizeof(reason->text), why.text,
					   strlen(why.text));
	}
	return r;
}

int tg_sysfs_poll(struct tg_bus *bus, const struct tg_config_device *dev, void *user,
		  unsigned retries, struct tg_sample *out, struct tg_fault *reterr)
{
	struct plan *plan = user;
	bool answered = false;
	struct stat st;
	int r, last = 0;

	r = have_device(bus, dev, plan, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < dev->n_points; i++) {
		r = read_point(bus, plan, &dev->points[i], retries, &plan->reasons[i], &out[i]);
		/* A file that is not there, or says nonsense, is no sign that the device is not. */
		answered |= r == 0 || r == -ENOENT || r == -EBADMSG || r == -EPERM || r == -EACCES;
		if (r < 0)
			last = r;
	}
	if (fstatat(plan->dir, bus->kind->proof, &st, 0) < 0) {
		lose(plan);
		return tg_fault_set(reterr, -ENODEV, "%s", tg_attr_words(-ENODEV));
	}
	if (!answered)
		return tg_fault_set(reterr, last, "%s", out[dev->n_points - 1].reason);
	return 0;
}

void tg_sysfs_describe(struct tg_bus *bus, struct tg_bus_note *out)
{
	*out = bus->note;
}

void tg_sysfs_close(struct tg_bus *bus)
{
	free(bus);
}

/* --- looking round --- */

struct round {
	const struct tg_sysfs_look *look;
	struct tg_table *table;
	uint64_t until_us; /* a bus that hangs takes its time for every chip */
};

static void show_chip(void *user, const struct tg_chip *chip)
{
	const struct round *round = user;
	const struct tg_sysfs_look *look = round->look;
	struct dirent **entries;
	int n;

	if (look->chip &&
	    (strcmp(look->chip, chip->name) != 0 || (*look->at && strcmp(look->at, chip->at) != 0)))
		return;
	n = scandirat(chip->dir, ".", &entries, NULL, versionsort);
	for (int i = 0; i < n; i++) {
		if (tg_clock_boot_us() < round->until_us)
			look->file(chip, entries[i]->d_name, round->table);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

int tg_sysfs_look(struct tg_bus *bus, const struct tg_sysfs_look *look, const char *address,
		  struct tg_table *out, struct tg_fault *reterr)
{
	struct round round = {
		.look = look,
		.table = out,
		.until_us = tg_us_add(tg_clock_boot_us(), TG_SYSFS_PROBE_US),
	};
	int r;

	if (*address)
		return tg_fault_set(reterr, -EINVAL, "a bus of %ss has no addresses; leave it out",
				    look->class->article);
	tg_table_heads(out, look->heads);
	r = tg_chip_each(bus->root, look->class, show_chip, &round, reterr);
	if (r == 0 && tg_clock_boot_us() >= round.until_us)
		tg_table_note(out, "time is up: what does not stand here was not asked");
	return r;
}

const char *tg_sysfs_show(const struct tg_value *value, char *out, size_t size)
{
	switch (value->type) {
	case TG_VALUE_BOOL:
		(void) snprintf(out, size, "%s", value->b ? "yes" : "no");
		break;
	case TG_VALUE_INT:
		(void) snprintf(out, size, "%" PRIi64, value->i);
		break;
	case TG_VALUE_UINT:
		(void) snprintf(out, size, "%" PRIu64, value->u);
		break;
	case TG_VALUE_REAL:
		(void) snprintf(out, size, "%.9g", value->real);
		break;
	case TG_VALUE_TEXT:
		(void) snprintf(out, size, "%s", value->text);
		break;
	case TG_VALUE_NONE:
		(void) snprintf(out, size, "-");
		break;
	}
	return out;
}
