/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include <tidegate/identity.h>

static void print(struct tg_ctl *ctl, json_t *line)
{
	long long lost = tg_ctl_number(line, "lost", 0);

	if (tg_ctl_text(line, "error", NULL))
		(void) fprintf(stderr, "tidegate: %s\n", tg_ctl_text(line, "error", ""));
	else if (ctl->json)
		tg_ctl_print_json(line);
	else if (lost)
		tg_ctl_say(ctl, TG_WARN,
			   "... %lld readings were not shown: this terminal is too slow\n", lost);
	else
		tg_ctl_print_reading(ctl, line);
}

static int run(struct tg_ctl *ctl)
{
	tg_cleanup(fclosep) FILE *stream = NULL;
	int code = TG_EXIT_FAILED;
	json_t *first, *line;

	if (ctl->argc > 1) {
		(void) fputs("Usage: tidegate watch [DEVICE]\n", stderr);
		return TG_EXIT_USAGE;
	}
	first = tg_ctl_ask(
		ctl,
		json_pack("{s:s, s:s*}", "cmd", "watch", "device", ctl->argc ? ctl->argv[0] : NULL),
		&code, &stream);
	if (!first)
		return code;
	json_decref(first);
	while (!feof(stream) && !ferror(stdout)) {
		line = tg_ctl_next(stream);
		/* A quiet minute and a half is no end: devices may be slow. */
		if (!line && ferror(stream)) {
			clearerr(stream);
			continue;
		}
		if (!line)
			break;
		print(ctl, line);
		json_decref(line);
	}
	(void) fputs("tidegate: the agent hung up\n", stderr);
	return TG_EXIT_FAILED;
}

const struct tg_ctl_verb tg_verb_watch = { "watch", "[DEVICE]",
					   "print readings as they come, until ^C", run };
