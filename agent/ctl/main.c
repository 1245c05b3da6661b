/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include "base/file.h"
#include "base/parse.h"
#include "config/load.h"

#include <tidegate/control.h>
#include <tidegate/identity.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* Dispatch and help come from the same table. */
static const struct tg_ctl_verb *const verbs[] = {
	&tg_verb_status, &tg_verb_check,  &tg_verb_identity, &tg_verb_enroll, &tg_verb_renew,
	&tg_verb_read,   &tg_verb_watch,  &tg_verb_write,    &tg_verb_probe,  &tg_verb_reload,
	&tg_verb_forget_claim, &tg_verb_spool, &tg_verb_metrics,
};

static void help(FILE *to)
{
	(void) fputs("Usage: tidegate [OPTIONS] COMMAND [ARGUMENTS]\n\nCommands:\n", to);
	for (size_t i = 0; i < TG_ARRAY_SIZE(verbs); i++) {
		char left[64];

		(void) snprintf(left, sizeof(left), "%s %s", verbs[i]->name, verbs[i]->arguments);
		(void) fprintf(to, "  %-25s %s\n", left, verbs[i]->help);
	}
	(void) fputs("\nOptions:\n"
		     "  --json                    print data as JSON\n"
		     "  --socket PATH             the agent's control socket "
		     "($TIDEGATE_SOCKET, " TG_CONTROL_SOCKET ")\n"
		     "  --config PATH             for 'check' and 'forget-claim' (" TG_CONFIG_DEFAULT
		     ")\n"
		     "  --state-dir DIR           for what works without the agent "
		     "(/var/lib/tidegate)\n"
		     "  --help, --version\n"
		     "\n"
		     "Exit codes: 0 ok, 1 failed, 2 usage, 78 bad configuration. See "
		     "tidegate(1).\n",
		     to);
}

enum {
	OPT_JSON = 256,
	OPT_SOCKET,
	OPT_CONFIG,
	OPT_STATE,
	OPT_DUMP,
	OPT_HISTORY,
	OPT_ASIDE,
	OPT_WAIT,
	OPT_HELP,
	OPT_VERSION
};

static const struct option options[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "state-dir", required_argument, NULL, OPT_STATE },
	{ "dump", no_argument, NULL, OPT_DUMP },
	{ "history", no_argument, NULL, OPT_HISTORY },
	{ "aside", no_argument, NULL, OPT_ASIDE },
	{ "wait", no_argument, NULL, OPT_WAIT },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static bool is_negative_number(const char *text)
{
	double v;

	return text[0] == '-' && tg_parse_real(text, &v) == 0;
}

/*
 * "-5" is a value to `write`, and would be an option to getopt(): such words are moved behind all others, where it does not
 * look. Returns how many are left to it. Behind "--" it takes nothing for an option anyway.
 */
static int set_numbers_aside(int argc, char **argv)
{
	int n = argc;

	for (int i = 1; i < n && strcmp(argv[i], "--") != 0;) {
		char *word = argv[i];

		if (!is_negative_number(word)) {
			i++;
			continue;
		}
		memmove(&argv[i], &argv[i + 1], (size_t) (argc - i - 1) * sizeof(*argv));
		argv[argc - 1] = word;
		n--;
	}
	return n;
}

/* Options may stand anywhere on the line. Returns an exit code, or -1. */
static int take_options(struct tg_ctl *ctl, int argc, char **argv)
{
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case OPT_JSON:
			ctl->json = true;
			break;
		case OPT_SOCKET:
			ctl->socket = optarg;
			break;
		case OPT_CONFIG:
			ctl->config_path = optarg;
			break;
		case OPT_STATE:
			ctl->state_dir = optarg;
			break;
		case OPT_DUMP:
			ctl->dump = true;
			break;
		case OPT_HISTORY:
			ctl->history = true;
			break;
		case OPT_ASIDE:
			ctl->aside = true;
			break;
		case OPT_WAIT:
			ctl->wait = true;
			break;
		case OPT_HELP:
			help(stdout);
			return TG_EXIT_OK;
		case OPT_VERSION:
			(void) puts("tidegate " TIDEGATE_VERSION);
			return TG_EXIT_OK;
		default:
			(void) fprintf(stderr, "tidegate: bad option '%s'; try 'tidegate --help'\n",
				       argv[optind - 1]);
			return TG_EXIT_USAGE;
		}
	}
	return -1;
}

/* What was printed must have arrived: a script that reads a full disk's file must not be told that all is well. */
static int finish(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	(void) fprintf(stderr, "tidegate: cannot write: %s\n", strerror(errno));
	return code ? code : TG_EXIT_FAILED;
}

/* The options of a verb's own stand in its arguments; on others they would be without effect. */
static const char *misplaced(const struct tg_ctl *ctl, const struct tg_ctl_verb *verb)
{
	const struct {
		bool set;
		const char *name;
	} own[] = { { ctl->dump, "--dump" }, { ctl->history, "--history" }, { ctl->aside, "--aside" }, { ctl->wait, "--wait" } };

	for (size_t i = 0; i < TG_ARRAY_SIZE(own); i++) {
		if (own[i].set && !strstr(verb->arguments, own[i].name))
			return own[i].name;
	}
	return NULL;
}

/* Names of arguments are in capitals. */
static bool takes_argument(const struct tg_ctl_verb *verb)
{
	return strpbrk(verb->arguments, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL;
}

static int run(struct tg_ctl *ctl, const struct tg_ctl_verb *verb)
{
	const char *option = misplaced(ctl, verb), *space = verb->arguments[0] ? " " : "";

	if (!option && (!ctl->argc || takes_argument(verb)))
		return finish(verb->run(ctl));
	if (option)
		(void) fprintf(stderr, "tidegate: '%s' has no option %s\n", verb->name, option);
	else
		(void) fprintf(stderr, "tidegate: '%s' takes no argument\n", verb->name);
	(void) fprintf(stderr, "Usage: tidegate %s%s%s\n", verb->name, space, verb->arguments);
	return TG_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	const char *socket = getenv("TIDEGATE_SOCKET");
	struct tg_ctl ctl = {
		.socket = socket && *socket ? socket : TG_CONTROL_SOCKET,
		.config_path = TG_CONFIG_DEFAULT,
		.state_dir = "/var/lib/tidegate",
		.terminal = isatty(STDOUT_FILENO),
		.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"),
	};
	int code;

	tg_file_hold_standard();
	code = take_options(&ctl, set_numbers_aside(argc, argv), argv);
	if (code >= 0)
		return code;
	if (optind == argc) {
		help(stderr);
		return TG_EXIT_USAGE;
	}
	for (size_t i = 0; i < TG_ARRAY_SIZE(verbs); i++) {
		if (strcmp(verbs[i]->name, argv[optind]) != 0)
			continue;
		ctl.argc = argc - optind - 1;
		ctl.argv = argv + optind + 1;
		return run(&ctl, verbs[i]);
	}
	(void) fprintf(stderr, "tidegate: no command '%s'; try 'tidegate --help'\n", argv[optind]);
	return TG_EXIT_USAGE;
}
