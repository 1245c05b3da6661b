/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/options.h"

#include "base/parse.h"
#include "config/load.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define STATE_DIR_DEFAULT "/var/lib/tidegate"

const char tg_options_usage[] =
	"usage: tidegate-provision [OPTION]... [COMMAND]\n"
	"\n"
	"commands:\n"
	"  enrol               get a certificate for a key in the TPM (default)\n"
	"  renew               get another one, while the current one stays in use\n"
	"  identity            print the TPM's identity, which is %t in the configuration\n"
	"\n"
	"instead of a command:\n"
	"  --csr OUT           method = manual: make a key and write the request to be signed\n"
	"                      (PEM) to the file OUT, or to standard output for -\n"
	"  --install CHAIN     method = manual: take the certificate that was made of it from the\n"
	"                      file CHAIN (PEM, DER or PKCS#7), or from standard input for -\n"
	"  --check             look at everything that an enrolment needs, without asking for a\n"
	"                      certificate: a line each, ok, warn or fail, and what to do\n"
	"\n"
	"options:\n"
	"  --config PATH       configuration (" TG_CONFIG_DEFAULT ")\n"
	"  --state-dir DIR     state directory (" STATE_DIR_DEFAULT ")\n"
	"  --again             enrol although there is an identity\n"
	"  --credential WHICH  what a renewal shows to the service: current (default), claim\n"
	"  --client-id WHICH   with the current certificate: renewal (rotation-client-id,\n"
	"                      default), own (the gateway's, which must not be connected)\n"
	"  --time-floor S      S seconds since 1970 have certainly passed\n"
	"  --clock-synchronised  the clock is known to be right\n"
	"  --json              tell steps and result as one JSON object a line\n"
	"  --help, --version\n"
	"\n"
	"exit status: 0 done, 1 failed, 2 usage, 78 bad configuration\n";

/* The index of @word in @words, or -EINVAL. */
static int choose(const char *option, const char *word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(word, words[i]) == 0)
			return (int) i;
	(void) fprintf(stderr, "tidegate-provision: %s: not '%s'\n", option, word);
	return -EINVAL;
}

static int take_credential(const char *word, struct tg_options *o)
{
	static const char *const words[TG_CREDENTIAL_COUNT_] = {
		[TG_CREDENTIAL_CLAIM] = "claim",
		[TG_CREDENTIAL_CURRENT] = "current",
	};
	int i = choose("--credential", word, words, TG_ARRAY_SIZE(words));

	if (i < 0)
		return i;
	o->order.credential = (enum tg_enrol_credential) i;
	return 0;
}

static int take_client_id(const char *word, struct tg_options *o)
{
	static const char *const words[] = { "renewal", "own" };
	int i = choose("--client-id", word, words, TG_ARRAY_SIZE(words));

	if (i < 0)
		return i;
	o->order.own_client_id = i == 1;
	return 0;
}

static int take_command(const char *word, bool credential, struct tg_options *o)
{
	static const char *const words[] = {
		[TG_COMMAND_ENROL] = "enrol",
		[TG_COMMAND_RENEW] = "renew",
		[TG_COMMAND_IDENTITY] = "identity",
	};
	int i = choose("command", word, words, TG_ARRAY_SIZE(words));

	if (i < 0)
		return i;
	o->command = (enum tg_command) i;
	if (o->command == TG_COMMAND_RENEW) {
		o->order.kind = TG_ORDER_RENEW;
		if (!credential)
			o->order.credential = TG_CREDENTIAL_CURRENT;
		return 0;
	}
	/* The first certificate cannot be got with itself. */
	if (o->order.credential == TG_CREDENTIAL_CURRENT) {
		(void) fputs("tidegate-provision: --credential current is for renew\n", stderr);
		return -EINVAL;
	}
	return 0;
}

/* --csr, --install and --check stand for a command, and so for one at most. */
static int take_instead(enum tg_command command, const char *file, struct tg_options *o)
{
	if (o->command != TG_COMMAND_ENROL) {
		(void) fputs("tidegate-provision: one of --csr, --install and --check at a time\n",
			     stderr);
		return -EINVAL;
	}
	o->command = command;
	o->file = file;
	if (command == TG_COMMAND_CSR)
		o->order.by_hand = TG_BY_HAND_REQUEST;
	if (command == TG_COMMAND_INSTALL)
		o->order.by_hand = TG_BY_HAND_ANSWER;
	return 0;
}

static int take_option(int c, const char *argument, struct tg_options *o)
{
	switch (c) {
	case 'c':
		o->config = argument;
		break;
	case 's':
		o->state_dir = argument;
		break;
	case 'C':
		return take_credential(argument, o);
	case 'i':
		return take_client_id(argument, o);
	case 'f':
		return tg_parse_i64(argument, &o->time_floor_s) < 0 || o->time_floor_s <= 0
			       ? -EINVAL
			       : 0;
	case 'y':
		o->clock_synchronised = true;
		break;
	case 'r':
		return take_instead(TG_COMMAND_CSR, argument, o);
	case 'I':
		return take_instead(TG_COMMAND_INSTALL, argument, o);
	case 'k':
		return take_instead(TG_COMMAND_CHECK, NULL, o);
	case 'a':
		o->again = true;
		break;
	case 'j':
		o->json = true;
		break;
	case 'h':
		o->help = true;
		break;
	case 'v':
		o->version = true;
		break;
	default:
		return -EINVAL;
	}
	return 0;
}

/* What stands beside an option that stands for a command. */
static int check_instead(const char *command, bool service_options)
{
	if (command)
		(void) fprintf(stderr,
			       "tidegate-provision: '%s' beside --csr, --install or --check, which "
			       "stand for a command\n",
			       command);
	if (service_options)
		(void) fputs("tidegate-provision: --credential and --client-id are for enrol and "
			     "renew\n",
			     stderr);
	return command || service_options ? -EINVAL : 0;
}

int tg_options_parse(int argc, char **argv, struct tg_options *ret)
{
	static const struct option table[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "state-dir", required_argument, NULL, 's' },
		{ "csr", required_argument, NULL, 'r' },
		{ "install", required_argument, NULL, 'I' },
		{ "check", no_argument, NULL, 'k' },
		{ "again", no_argument, NULL, 'a' },
		{ "credential", required_argument, NULL, 'C' },
		{ "client-id", required_argument, NULL, 'i' },
		{ "time-floor", required_argument, NULL, 'f' },
		{ "clock-synchronised", no_argument, NULL, 'y' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ 0 },
	};
	struct tg_options o = { .config = TG_CONFIG_DEFAULT, .state_dir = STATE_DIR_DEFAULT };
	bool credential = false, client_id = false;
	int c, r = 0;

	/* The letters are the table's own: there are no short options. */
	while (r == 0 && (c = getopt_long(argc, argv, "", table, NULL)) >= 0) {
		credential |= c == 'C';
		client_id |= c == 'i';
		r = take_option(c, optarg, &o);
	}
	if (r == 0 && o.command != TG_COMMAND_ENROL)
		r = check_instead(optind < argc ? argv[optind] : NULL, credential || client_id);
	else if (r == 0)
		r = take_command(optind < argc ? argv[optind] : "enrol", credential, &o);
	if (r < 0 || optind + 1 < argc)
		return -EINVAL;
	*ret = o;
	return 0;
}
