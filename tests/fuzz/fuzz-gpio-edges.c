/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/gpio/edges.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A byte of what is watched, then events of five bytes: kind, number. Counts never go back, and know of each lost edge once. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tg_gpio_edges e = { .seqno = 0 };
	unsigned wanted = len ? data[0] & 3 : 0;
	uint64_t told = 0;

	for (size_t i = 1; i + 5 <= len; i += 5) {
		struct gpio_v2_line_event ev = { .id = data[i] % 4u };
		uint64_t before = tg_gpio_edges_count(&e, 3);
		unsigned edge;
		uint32_t lost;

		memcpy(&ev.line_seqno, data + i + 1, 4);
		if (data[i] & 0x80)
			tg_gpio_edges_restart(&e);
		lost = tg_gpio_edges_take(&e, wanted, &ev, &edge);
		assert(lost <= INT32_MAX && (edge & ~wanted) == 0);
		told += (edge != 0) + (uint64_t) lost;
		assert(tg_gpio_edges_count(&e, 3) - before == (edge != 0) + (uint64_t) lost);
		assert(tg_gpio_edges_count(&e, 3) == told);
	}
	assert(e.rising == tg_gpio_edges_count(&e, TG_GPIO_RISING));
	assert(wanted & TG_GPIO_RISING || e.rising == 0);
	assert(wanted & TG_GPIO_FALLING || e.falling == 0);
	return 0;
}
