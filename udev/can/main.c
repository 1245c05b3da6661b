/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "udev/can/link.h"

#include <tidegate/log.h>

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <net/if.h>
#include <string.h>

/*
 * tidegate-can: brings a CAN interface up with what its file says, for
 * tidegate-can@.service, which udev starts when the interface appears. It
 * leaves alone what somebody else has brought up.
 */
#define EXIT_USAGE  2
#define EXIT_CONFIG 78 /* EX_CONFIG: a person has to change a file first */
/* The kernel takes the nearest rate that its clock gives; what is off by more than this does not understand its neighbours. */
#define OFF_PER_MILLE 5

static const char usage[] = "Usage: tidegate-can [--directory DIR] COMMAND INTERFACE\n"
			    "       tidegate-can check FILE...\n"
			    "\n"
			    "commands:\n"
			    "  up          bring INTERFACE up as DIR/INTERFACE.conf says, unless "
			    "it is up already\n"
			    "  down        bring INTERFACE down\n"
			    "  check       judge files alone\n"
			    "\n"
			    "options:\n"
			    "  --directory DIR  where the files are (" TG_CAN_DIR ")\n"
			    "  --help           show this text\n"
			    "  --version        show the version\n";

static void complain(void *user, unsigned line, const char *text)
{
	const char *path = user;

	if (line)
		tg_log(LOG_ERR, "can", "%s:%u: %s", path, line, text);
	else
		tg_log(LOG_ERR, "can", "%s: %s", path, text);
}

static int tell(const char *name, const struct tg_fault *why)
{
	tg_log(LOG_ERR, "can", "%s: %s", name, why->text);
	return EXIT_FAILURE;
}

/* What is up is somebody's: networkd's, ifupdown's, or an operator's. */
static int leave_alone(const char *name, const struct tg_can_link *link,
		       const struct tg_can_settings *s)
{
	char text[160];

	if (link->settings.bit_rate == s->bit_rate)
		tg_log(LOG_INFO, "can", "%s: is up already, %s: left as it is", name,
		       tg_can_settings_text(&link->settings, text, sizeof(text)));
	else
		tg_log(LOG_WARNING, "can",
		       "%s: something else has brought it up already, with %u bit/s, and is not "
		       "interfered with; the file says %u bit/s",
		       name, link->settings.bit_rate, s->bit_rate);
	return EXIT_SUCCESS;
}

static void say(const char *name, const struct tg_can_link *link, const struct tg_can_settings *s)
{
	uint32_t is = link->settings.bit_rate, want = s->bit_rate;
	uint32_t off = is > want ? is - want : want - is;
	char text[160];

	tg_log(LOG_INFO, "can", "%s: up, %s", name,
	       tg_can_settings_text(&link->settings, text, sizeof(text)));
	if (off > want / 1000 * OFF_PER_MILLE)
		tg_log(LOG_WARNING, "can",
		       "%s: the controller's clock gives %u bit/s for the %u that the file asks "
		       "for",
		       name, is, want);
}

static int up(const char *name, const char *path)
{
	struct tg_fault why = { .text = "" };
	struct tg_can_settings s;
	struct tg_can_link link;
	tg_autoclose int fd = -1;
	int r = tg_can_settings_load(path, complain, (void *) path, &s);

	if (r < 0)
		return EXIT_CONFIG;
	fd = tg_can_open(&why);
	r = fd < 0 ? fd : tg_can_look(fd, name, &link, &why);
	if (r < 0)
		return tell(name, &why);
	if (strcmp(link.kind, "can") != 0) {
		(void) tg_fault_set(&why, -EINVAL,
				    "is no CAN controller%s%s, so it has no bit rate",
				    *link.kind ? " but of kind " : "", link.kind);
		return tell(name, &why);
	}
	if (link.up)
		return leave_alone(name, &link, &s);
	r = tg_can_set(fd, &link, &s, &why);
	if (r == 0)
		r = tg_can_turn(fd, &link, true, &why);
	if (r == 0)
		r = tg_can_look(fd, name, &link, &why);
	if (r < 0)
		return tell(name, &why);
	say(name, &link, &s);
	return EXIT_SUCCESS;
}

static int down(const char *name)
{
	struct tg_fault why = { .text = "" };
	struct tg_can_link link;
	tg_autoclose int fd = tg_can_open(&why);
	int r = fd < 0 ? fd : tg_can_look(fd, name, &link, &why);

	/* Unplugged: that is what this is called for, too. */
	if (r == -ENODEV)
		return EXIT_SUCCESS;
	if (r == 0)
		r = tg_can_turn(fd, &link, false, &why);
	return r < 0 ? tell(name, &why) : EXIT_SUCCESS;
}

static int check(char **paths)
{
	int result = EXIT_SUCCESS;

	for (; *paths; paths++) {
		struct tg_can_settings s;
		char text[160];

		if (tg_can_settings_load(*paths, complain, *paths, &s) < 0)
			result = EXIT_CONFIG;
		else
			(void) printf("%s: ok, %s\n", *paths,
				      tg_can_settings_text(&s, text, sizeof(text)));
	}
	return result;
}

static int misused(void)
{
	(void) fputs(usage, stderr);
	return EXIT_USAGE;
}

/* It becomes part of a path. */
static bool is_interface(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n < IFNAMSIZ && name[0] != '.' && !strpbrk(name, "/ \t\n%:");
}

static int dispatch(const char *directory, char **words)
{
	char path[PATH_MAX];
	int n;

	if (!words[0] || !words[1])
		return misused();
	if (strcmp(words[0], "check") == 0)
		return check(words + 1);
	if (words[2] || !is_interface(words[1]))
		return misused();
	if (strcmp(words[0], "down") == 0)
		return down(words[1]);
	n = snprintf(path, sizeof(path), "%s/%s.conf", directory, words[1]);
	if (strcmp(words[0], "up") != 0 || n < 0 || (size_t) n >= sizeof(path))
		return misused();
	return up(words[1], path);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "directory", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ 0 },
	};
	const char *directory = TG_CAN_DIR;
	int c;

	tg_file_hold_standard();
	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case 'd':
			directory = optarg;
			break;
		case 'h':
			(void) fputs(usage, stdout);
			return EXIT_SUCCESS;
		case 'v':
			(void) puts("tidegate-can " TIDEGATE_VERSION);
			return EXIT_SUCCESS;
		default:
			return misused();
		}
	}
	return dispatch(directory, argv + optind);
}
