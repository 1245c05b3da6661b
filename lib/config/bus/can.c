/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/can_read.h"
#include "config/bus/types.h"
#include "config/rows.h"

#include "base/parse.h"

#include <errno.h>
#include <string.h>

#define CAN TG_BUS_BIT(TG_BUS_CAN)

static int parse_read(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	struct tg_config_point *point = base;
	int r = tg_can_read_parse(text, &point->can, reterr);

	(void) key;
	if (r == 0)
		point->read = text;
	return r;
}

static int parse_source(const struct tg_config_key *key, char *text, void *base,
			struct tg_fault *reterr)
{
	struct tg_config_device *dev = base;
	uint64_t address;

	(void) key;
	if (strcmp(text, "any") == 0) {
		dev->can.source = TG_CAN_ANY;
		return 0;
	}
	if (tg_parse_u64(text, &address) < 0 || address > 253)
		return tg_fault_set(reterr, -EINVAL, "'%s' is neither an address, 0 to 253, nor any",
				    text);
	dev->can.source = (int) address;
	return 0;
}

static const struct tg_config_type tg_type_can_read = {
	"id=ID|pgn=PGN FIELD [KIND] [mux=FIELD:VALUE]", parse_read
};
static const struct tg_config_type tg_type_can_source = { "any|ADDRESS", parse_source };

static const struct tg_config_key keys[] = {
	BUS("interface", name, can.interface, REQUIRED, "CAN interface, as can0", LENGTH(15),
	    ONLY(CAN)),

	BUS("address", unsigned, can.address, "251",
	    "J1939 address of the gateway in requests (request=); 251 is that of data loggers",
	    RANGE(0, 253), ONLY(CAN)),

	DEVICE("source", can_source, can.source, "any",
	       "J1939 address of the node, for points that name none", ONLY(CAN)),
	DEVICE("gather", duration, gather_us, "1s",
	       "how long values are collected for one message; the newest of each point counts",
	       RANGE(0, HOUR), ONLY(CAN)),
	DEVICE("stale-after", duration, stale_after_us, "30s",
	       "silence after which a point is told as stale; 0: never", RANGE(0, 30 * DAY),
	       ONLY(CAN)),

	POINT("read", can_read, read, REQUIRED,
	      "what is read: id=0x123 start=0 length=16 order=little, or as in DBC files "
	      "pgn=61444 24|16@1+",
	      ONLY(CAN)),
};

const struct tg_config_bus_keys tg_config_can_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = CAN,
};
