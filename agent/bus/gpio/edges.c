/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/gpio/edges.h"

#define BOTH (TG_GPIO_RISING | TG_GPIO_FALLING)

void tg_gpio_edges_restart(struct tg_gpio_edges *e)
{
	e->seqno = 0;
}

/* @n edges of which the last is followed by one of the kind @next. */
static void add_lost(struct tg_gpio_edges *e, unsigned wanted, unsigned next, uint32_t n)
{
	uint32_t same = wanted == BOTH ? n / 2 : n, other = n - same;

	e->rising += next == TG_GPIO_RISING ? same : other;
	e->falling += next == TG_GPIO_RISING ? other : same;
	e->lost += n;
}

uint32_t tg_gpio_edges_take(struct tg_gpio_edges *e, unsigned wanted,
			    const struct gpio_v2_line_event *event, unsigned *ret_edge)
{
	/* Numbers of 32 bits wrap; what seems to go back is not lost, it was never there. */
	uint32_t gap = event->line_seqno - e->seqno - 1;
	unsigned edge = event->id == GPIO_V2_LINE_EVENT_RISING_EDGE    ? TG_GPIO_RISING
			: event->id == GPIO_V2_LINE_EVENT_FALLING_EDGE ? TG_GPIO_FALLING
								       : 0;

	*ret_edge = edge & wanted;
	if (!*ret_edge)
		return 0;
	if (gap > INT32_MAX)
		gap = 0;
	e->seqno = event->line_seqno;
	add_lost(e, wanted, edge, gap);
	e->rising += edge == TG_GPIO_RISING;
	e->falling += edge == TG_GPIO_FALLING;
	return gap;
}

uint64_t tg_gpio_edges_count(const struct tg_gpio_edges *e, unsigned which)
{
	return (which & TG_GPIO_RISING ? e->rising : 0) +
	       (which & TG_GPIO_FALLING ? e->falling : 0);
}
