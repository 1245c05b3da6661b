/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include <tidegate/identity.h>

#include <string.h>

static bool all_good(json_t *reading)
{
	json_t *sample;
	size_t i;

	json_array_foreach (json_object_get(reading, "samples"), i, sample) {
		if (strcmp(tg_ctl_text(sample, "quality", ""), "good") != 0)
			return false;
	}
	return true;
}

static int run(struct tg_ctl *ctl)
{
	int code = TG_EXIT_FAILED;
	json_t *request, *reading;
	char *slash;

	if (ctl->argc != 1) {
		(void) fputs("Usage: tidegate read DEVICE[/POINT]\n", stderr);
		return TG_EXIT_USAGE;
	}
	slash = strchr(ctl->argv[0], '/');
	if (slash)
		*slash = '\0';
	request = json_pack("{s:s, s:s, s:s*}", "cmd", "read", "device", ctl->argv[0], "point",
			    slash ? slash + 1 : NULL);
	reading = tg_ctl_ask(ctl, request, &code, NULL);
	if (!reading)
		return code;
	if (ctl->json)
		tg_ctl_print_json(reading);
	else
		tg_ctl_print_reading(ctl, reading);
	/* For scripts: a value that is not good is no success. */
	code = all_good(reading) ? TG_EXIT_OK : TG_EXIT_FAILED;
	json_decref(reading);
	return code;
}

const struct tg_ctl_verb tg_verb_read = { "read", "DEVICE[/POINT]",
					  "read a device now and print it", run };
