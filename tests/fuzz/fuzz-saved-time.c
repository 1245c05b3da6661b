/* SPDX-License-Identifier: Apache-2.0 */
#include "wallclock/saved.h"
#include "wallclock/wallclock.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What parses prints to something that parses to the same, and is a floor that the clocks can be compared with. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tg_saved_time t = { 0 }, again = { 0 };
	struct tg_instant now = { .wall_us = INT64_C(1795219200000000), .boot_us = 5000000 };
	char line[TG_SAVED_TIME_LINE];
	struct tg_wallclock w;

	if (tg_saved_time_parse((const char *) data, len, &t) < 0)
		return 0;
	if (tg_saved_time_parse(line, tg_saved_time_print(&t, line), &again) < 0 ||
	    t.wall_s != again.wall_s || t.boot_us != again.boot_us ||
	    memcmp(t.boot_id, again.boot_id, sizeof(t.boot_id)) != 0)
		__builtin_trap();
	tg_wallclock_init(&w, INT64_C(1795219200), now);
	(void) tg_wallclock_raise(&w, TG_FLOOR_SAVED, t.wall_s,
				  tg_saved_time_boot_us(&t, t.boot_id));
	if (tg_wallclock_believed_s(&w, now) < INT64_C(1795219200))
		__builtin_trap();
	return 0;
}
