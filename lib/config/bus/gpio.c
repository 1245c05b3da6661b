/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/gpio_read.h"
#include "config/bus/types.h"
#include "config/rows.h"

#include <string.h>

#define GPIO TG_BUS_BIT(TG_BUS_GPIO)

#define COUNT_BITS 64 /* the driver's own counter */

static int parse_read(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	struct tg_config_point *point = base;
	int r = tg_gpio_read_parse(text, &point->gpio, reterr);

	(void) key;
	if (r < 0)
		return r;
	point->read = text;
	/* A count is a counter, so that its total goes on; check_point sees that nobody said otherwise. */
	if (point->gpio.count)
		point->counter_bits = COUNT_BITS;
	return 0;
}

static const struct tg_config_type tg_type_gpio_read = { "line NUMBER|NAME [input|output] "
							 "[active-low] [PULL] [DRIVE] "
							 "[debounce=DURATION] "
							 "[edge=EDGE|count=EDGE]",
							 parse_read };

static const struct tg_config_key keys[] = {
	BUS("chip", text, gpio.chip, REQUIRED, "/dev/gpiochip0, gpiochip0, or the chip's label",
	    LENGTH(255), ONLY(GPIO)),

	DEVICE("gather", duration, gather_us, "20ms",
	       "how long edges are collected for one message; the last one of each line counts",
	       RANGE(0, MINUTE), ONLY(GPIO)),

	POINT("read", gpio_read, read, REQUIRED,
	      "a line, and what of it: line 17 pull-up active-low edge=both", ONLY(GPIO)),
};

static void check_count(const struct tg_loaded *l, const struct tg_section *s)
{
	if (tg_section_get(s, "counter"))
		tg_complain(l->doc.complain, tg_section_place(s, "counter"),
			    "counter: a point with count= is one anyway, of 64 bits");
}

static void check_point(const struct tg_loaded *l, const struct tg_section *s,
			const struct tg_config_point *point)
{
	if (point->gpio.count)
		check_count(l, s);
	if (point->write && !point->gpio.line.output)
		tg_complain(l->doc.complain, tg_section_place(s, "write"),
			    "write = yes: only an output can be written, as in 'line 17 output'");
	if (!point->write && point->gpio.line.output)
		tg_warn(l->doc.complain, tg_section_place(s, "read"),
			"the line is driven and, without write = yes, never changed");
}

const struct tg_config_bus_keys tg_config_gpio_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = GPIO,
	.check_point = check_point,
};
