/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/exec_command.h"
#include "config/bus/types.h"
#include "config/rows.h"
#include "config/type_enrol.h"

#include <errno.h>

#define EXEC TG_BUS_BIT(TG_BUS_EXEC)

static int parse_read(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	struct tg_config_point *point = base;

	(void) key;
	if (!tg_config_name_ok(text))
		return tg_fault_set(reterr, -EINVAL,
				    "not a name: letters, digits, '.', '_' or '-', at most %d",
				    TG_NAME_MAX);
	point->read = text;
	return 0;
}

static int parse_command(const struct tg_config_key *key, char *text, void *base,
			 struct tg_fault *reterr)
{
	struct tg_config_device *dev = base;
	struct tg_exec_words words;
	int r = 0;

	(void) key;
	/* Nothing given parses to nothing, as every key does. */
	if (*text) {
		r = tg_exec_words_split(text, &words, reterr);
		tg_exec_words_done(&words);
	}
	if (r == 0)
		dev->exec.command = text;
	return r;
}

static const struct tg_config_type tg_type_exec_read = { "NAME", parse_read };
static const struct tg_config_type tg_type_exec_command = { "PATH [ARGUMENT ...]", parse_command };

static const struct tg_word modes[] = {
	{ "interval", false, NULL },
	{ "running", true, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_config_key keys[] = {
	BUS("directory", path, exec.directory, "/", "where its programs run", ONLY(EXEC)),

	DEVICE("command", exec_command, exec.command, REQUIRED,
	       "program that prints lines of 'name value [unit] [time]'", ONLY(EXEC)),
	DEVICE("mode", either, exec.running, "interval",
	       "run at each every, or kept running and started again when it ends", WORDS(modes),
	       ONLY(EXEC)),
	DEVICE("gather", duration, gather_us, "1s",
	       "how long readings of a running program are collected for one message",
	       RANGE(10 * MS, HOUR), ONLY(EXEC)),
	DEVICE("stale-after", duration, stale_after_us, "5m",
	       "silence of a running program after which a value is stale",
	       RANGE(100 * MS, 30 * DAY), ONLY(EXEC)),

	POINT("read", exec_read, read, REQUIRED, "name that the program prints", ONLY(EXEC)),
};

const struct tg_config_bus_keys tg_config_exec_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = EXEC,
};
