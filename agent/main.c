/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include "base/file.h"
#include "config/load.h"

#include <tidegate/identity.h>
#include <tidegate/log.h>

#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>

static const char usage[] = "Usage: tidegated [OPTIONS]\n"
			    "\n"
			    "The gateway agent: reads sensor buses, spools, publishes over MQTT "
			    "with a key\n"
			    "that stays in the TPM.\n"
			    "\n"
			    "  --config PATH       configuration file (" TG_CONFIG_DEFAULT ")\n"
			    "  --state-dir DIR     identity, spool (/var/lib/tidegate, or "
			    "$STATE_DIRECTORY)\n"
			    "  --runtime-dir DIR   put the control socket there, instead of /run\n"
			    "  --helper PATH       tidegate-provision (" TIDEGATE_LIBEXECDIR ")\n"
			    "  --debug             log more\n"
			    "  --help, --version\n"
			    "\n"
			    "Runs in the foreground. See tidegated(8), tidegate.conf(5).\n";

enum { OPT_CONFIG = 256, OPT_STATE, OPT_RUNTIME, OPT_HELPER, OPT_DEBUG, OPT_HELP, OPT_VERSION };

static const struct option options[] = {
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "state-dir", required_argument, NULL, OPT_STATE },
	{ "runtime-dir", required_argument, NULL, OPT_RUNTIME },
	{ "helper", required_argument, NULL, OPT_HELPER },
	{ "debug", no_argument, NULL, OPT_DEBUG },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

/* Returns an exit code when the program is to end at once, or -1. */
static int parse(int argc, char **argv, struct tg_agent_options *o)
{
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case OPT_CONFIG:
			o->config_path = optarg;
			break;
		case OPT_STATE:
			o->state_dir = optarg;
			break;
		case OPT_RUNTIME:
			o->runtime_dir = optarg;
			break;
		case OPT_HELPER:
			o->helper = optarg;
			break;
		case OPT_DEBUG:
			tg_log_set_level(LOG_DEBUG);
			break;
		case OPT_HELP:
			(void) fputs(usage, stdout);
			return TG_EXIT_OK;
		case OPT_VERSION:
			(void) puts("tidegated " TIDEGATE_VERSION);
			return TG_EXIT_OK;
		default:
			(void) fputs("Try 'tidegated --help'.\n", stderr);
			return TG_EXIT_USAGE;
		}
	}
	if (optind == argc)
		return -1;
	(void) fprintf(stderr, "tidegated: unexpected argument '%s'\n%s", argv[optind], usage);
	return TG_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	const char *state = getenv("STATE_DIRECTORY"); /* StateDirectory= of the unit */
	struct tg_agent_options o = {
		.config_path = TG_CONFIG_DEFAULT,
		.state_dir = state && *state ? state : "/var/lib/tidegate",
		.helper = TIDEGATE_LIBEXECDIR "/tidegate-provision",
	};
	bool hurry = false;
	int code;

	tg_file_hold_standard();
	code = parse(argc, argv, &o);
	if (code >= 0)
		return code;
	/* The spool, the identity and the socket are nobody else's business. */
	(void) umask(0077);
	code = tg_agent_run(&o, &hurry);
	/* A thread that hangs in a library must not meet the exit handlers of that library. */
	if (hurry)
		_exit(code);
	return code;
}
