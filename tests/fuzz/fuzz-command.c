/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command/command.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What is taken is within its bounds, and its result can be said. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tg_command_clock clock = { .wall_us = INT64_C(1795256110000000),
					  .trust = TG_CLOCK_SYNCHRONISED };
	tg_autofree char *json = NULL;
	struct tg_command c;
	struct tg_fault fault;
	struct tg_result r;
	int ok = tg_command_parse("device", data, len, &c, &fault);

	if (strlen(c.id) > TG_COMMAND_ID_MAX || strlen(c.point) > TG_NAME_MAX ||
	    (ok == 0 && (!c.id[0] || c.value.value.type == TG_VALUE_NONE)))
		__builtin_trap();
	(void) !tg_command_in_time(&c, &clock, &fault);
	tg_result_init(&r, &c);
	if (ok == 0)
		r.value = c.value;
	json = tg_result_json(&r);
	if (!json)
		__builtin_trap();
	return 0;
}
