/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `tidegate probe` on a GPIO chip: its lines, as the kernel lists them, and the
 * levels of those that are ours. Others are not requested to be read: giving a
 * line back makes it an input on some chips, whatever it was before.
 */
#include "agent/bus/gpio/gpio.h"

#include "agent/bus/gpio/kernel.h"
#include "agent/bus/table.h"
#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What is known of a line that is ours, into @points and @value. */
static void describe_held(const struct tg_bus *bus, uint32_t offset,
			  const struct tg_config_device *dev, char *points, size_t size,
			  const char **ret_level, bool *ret_ours)
{
	size_t used = 0;

	for (size_t i = 0; i < bus->lines.n; i++) {
		const struct tg_gpio_held *h = &bus->lines.items[i];
		bool active;

		if (h->fd < 0 || h->offset != offset)
			continue;
		if (tg_gpio_get(h->fd, &active) == 0)
			*ret_level = active ? "active" : "inactive";
		for (const struct tg_gpio_point *p = h->points; p; p = p->next) {
			int n = snprintf(points + used, size - used, "%s%s/%s", used ? " " : "",
					 p->dev->name, p->dev->points[p->point].name);

			*ret_ours |= !dev || p->dev == dev;
			used += n > 0 && (size_t) n < size - used ? (size_t) n : 0;
		}
	}
}

static void probe_line(const struct tg_bus *bus, const struct tg_config_device *dev,
		       uint32_t offset, const char *only, struct tg_table *out)
{
	char number[16], used_by[GPIO_MAX_NAME_SIZE + 8] = "", points[160] = "";
	const char *level = "";
	struct gpio_v2_line_info info;
	bool ours = false;

	if (tg_gpio_line_info(bus->chip.fd, offset, &info) < 0)
		return;
	(void) snprintf(number, sizeof(number), "%" PRIu32, offset);
	if (*only && strcmp(only, number) != 0 && strcmp(only, info.name) != 0)
		return;
	describe_held(bus, offset, dev, points, sizeof(points), &level, &ours);
	if (dev && !ours)
		return;
	if (info.flags & GPIO_V2_LINE_FLAG_USED)
		(void) snprintf(used_by, sizeof(used_by), "%s",
				*info.consumer ? info.consumer : "kernel");
	tg_table_row(out, (const char *const[]){
				  number, info.name,
				  info.flags & GPIO_V2_LINE_FLAG_OUTPUT ? "output" : "input",
				  info.flags & GPIO_V2_LINE_FLAG_ACTIVE_LOW ? "active-low" : "",
				  used_by, level, points });
}

int tg_gpio_probe(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
		  struct tg_table *out, struct tg_fault *reterr)
{
	size_t before;
	int r = tg_gpio_ready(bus, reterr);

	if (r < 0)
		return r;
	tg_table_heads(out, (const char *const[]){ "line", "name", "direction", "sense", "used by",
						   "level", "points", NULL });
	before = out->rows.len;
	for (uint32_t i = 0; i < bus->chip.info.lines; i++)
		probe_line(bus, dev, i, address, out);
	if (*address && out->rows.len == before)
		return tg_fault_set(reterr, -EINVAL,
				    "'%s' is no line of %s, such as 17 or the name of one", address,
				    bus->chip.info.name);
	tg_table_note(out, "%s, label '%s', %u lines", bus->chip.info.name, bus->chip.info.label,
		      bus->chip.info.lines);
	for (size_t i = 0; i < bus->lines.n; i++) {
		const struct tg_gpio_held *h = &bus->lines.items[i];

		if (h->fd < 0 && h->points)
			tg_table_note(out, "%s/%s: %s", h->points->dev->name,
				      h->points->dev->points[h->points->point].name, h->reason);
	}
	return 0;
}
