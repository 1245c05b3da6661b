/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include <tidegate/identity.h>

static int run(struct tg_ctl *ctl)
{
	int code = TG_EXIT_FAILED;
	json_t *o = tg_ctl_ask(ctl, json_pack("{s:s}", "cmd", "metrics"), &code, NULL);

	if (!o)
		return code;
	if (ctl->json)
		tg_ctl_print_json(o);
	else
		(void) fputs(tg_ctl_text(o, "text", ""), stdout);
	json_decref(o);
	return TG_EXIT_OK;
}

const struct tg_ctl_verb tg_verb_metrics = { "metrics", "", "figures for Prometheus", run };
