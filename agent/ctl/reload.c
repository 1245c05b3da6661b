/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include <tidegate/identity.h>

static int run(struct tg_ctl *ctl)
{
	int code = TG_EXIT_FAILED;
	const char *warnings;
	json_t *data = tg_ctl_ask(ctl, json_pack("{s:s}", "cmd", "reload"), &code, NULL);

	if (!data)
		return code;
	warnings = tg_ctl_text(data, "warnings", "");
	if (ctl->json)
		tg_ctl_print_json(data);
	else
		(void) printf("%s%sconfiguration reloaded\n", warnings, warnings[0] ? "\n" : "");
	json_decref(data);
	return TG_EXIT_OK;
}

const struct tg_ctl_verb tg_verb_reload = { "reload", "",
					    "take the configuration again; a bad one is refused "
					    "and named",
					    run };
