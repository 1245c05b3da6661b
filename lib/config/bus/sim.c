/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/sim_read.h"
#include "config/bus/types.h"
#include "config/rows.h"
#include "config/type_enrol.h"

#define SIM TG_BUS_BIT(TG_BUS_SIM)

static int parse_read(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	struct tg_config_point *point = base;
	int r = tg_sim_read_parse(text, &point->sim, reterr);

	(void) key;
	if (r == 0)
		point->read = text;
	return r;
}

static const struct tg_config_type tg_type_sim_read = { "FORM [VALUE] [OPTION=VALUE ...]",
							parse_read };

static const struct tg_word speaks[] = {
	{ "asked", false, NULL },
	{ "unasked", true, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_config_key keys[] = {
	BUS("speaks", either, sim.unasked, "asked",
	    "whether devices are asked each every, or speak unasked as often", WORDS(speaks),
	    ONLY(SIM)),
	BUS("away-while", path, sim.away_while, "", "the bus is down while this file exists",
	    ONLY(SIM)),
	BUS("write-log", path, sim.write_log, "", "file to which each write is added as a line",
	    ONLY(SIM)),

	DEVICE("silent-while", path, sim.silent_while, "",
	       "the device does not answer while this file exists", ONLY(SIM)),
	DEVICE("takes", duration, sim.takes_us, "0s", "how long an answer takes", RANGE(0, MINUTE),
	       ONLY(SIM)),
	DEVICE("gather", duration, gather_us, "1s",
	       "how long readings are collected for one message, where devices speak unasked",
	       RANGE(10 * MS, HOUR), ONLY(SIM)),
	DEVICE("stale-after", duration, stale_after_us, "30s",
	       "silence after which a value is stale, where devices speak unasked",
	       RANGE(100 * MS, 30 * DAY), ONLY(SIM)),

	POINT("read", sim_read, read, REQUIRED,
	      "what is simulated: constant 5, sine period=60s low=0 high=10, counter step=1 ...",
	      ONLY(SIM)),
};

static void check_point(const struct tg_loaded *l, const struct tg_section *s,
			const struct tg_config_point *point)
{
	enum tg_sim_form form = point->sim.form;

	if (point->write && form != TG_SIM_CONSTANT && form != TG_SIM_TEXT)
		tg_complain(l->doc.complain, tg_section_place(s, "write"),
			    "write = yes: only a constant or a text can be written");
}

const struct tg_config_bus_keys tg_config_sim_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = SIM,
	.check_point = check_point,
};
