/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/types.h"
#include "config/rows.h"

#include <errno.h>
#include <string.h>

#define W1        TG_BUS_BIT(TG_BUS_W1)
#define HEX       "0123456789abcdef"
#define ID_FAMILY 2
#define ID_LEN    15 /* family, hyphen, serial number without its CRC */

static int parse_read(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	struct tg_config_point *point = base;

	(void) key;
	if (strcmp(text, "temperature") != 0)
		return tg_fault_set(reterr, -EINVAL, "1-Wire sensors give 'temperature'");
	point->read = text;
	return 0;
}

static int parse_id(const struct tg_config_key *key, char *text, void *base,
		    struct tg_fault *reterr)
{
	struct tg_config_device *dev = base;

	/* Nothing given parses to nothing, as every key does. */
	if (*text &&
	    (strlen(text) != ID_LEN || strspn(text, HEX) != ID_FAMILY || text[ID_FAMILY] != '-' ||
	     strspn(text + ID_FAMILY + 1, HEX) != ID_LEN - ID_FAMILY - 1))
		return tg_fault_set(reterr, -EINVAL,
				    "not a family and a number in lower-case hex, as "
				    "28-0316a2794b21");
	(void) key;
	dev->w1.id = text;
	return 0;
}

static const struct tg_config_type tg_type_w1_read = { "temperature", parse_read };
static const struct tg_config_type tg_type_w1_id = { "FAMILY-NUMBER", parse_id };

static const struct tg_config_key keys[] = {
	BUS("root", path, w1.root, "/sys", "where sysfs is mounted", ONLY(W1)),

	DEVICE("id", w1_id, w1.id, REQUIRED, "family and number of the sensor, as 28-0316a2794b21",
	       ONLY(W1)),

	POINT("read", w1_read, read, REQUIRED, "what is read", ONLY(W1)),
};

const struct tg_config_bus_keys tg_config_w1_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = W1,
};
