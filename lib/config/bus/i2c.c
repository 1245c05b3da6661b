/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/i2c_read.h"
#include "config/bus/types.h"
#include "config/rows.h"

#include <inttypes.h>
#include <string.h>

#define I2C TG_BUS_BIT(TG_BUS_I2C)

static int parse_read(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	struct tg_config_point *point = base;
	int r = tg_i2c_read_parse(text, &point->i2c.transfer, &point->i2c.raw, reterr);

	(void) key;
	if (r == 0)
		point->read = text;
	return r;
}

static int parse_set(const struct tg_config_key *key, char *text, void *base,
		     struct tg_fault *reterr)
{
	struct tg_config_point *point = base;

	(void) key;
	return tg_raw_set_parse(text, "write", &point->i2c.set, reterr);
}

static int parse_init(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	struct tg_config_device *dev = base;

	(void) key;
	return tg_i2c_init_parse(text, &dev->i2c, reterr);
}

static const struct tg_config_type tg_type_i2c_read = { "[write BYTE...] [delay=DURATION] read N "
							"[CHECK] TYPE [at=N] [order=ORDER] "
							"[mask=M] [shift=N] [bit=N]",
							parse_read };
static const struct tg_config_type tg_type_i2c_set = { "write BYTE... value [BYTE...]", parse_set };
static const struct tg_config_type tg_type_i2c_init = { "write BYTE... [, write BYTE...]...",
							parse_init };

static const struct tg_config_key keys[] = {
	BUS("adapter", text, i2c.adapter, REQUIRED,
	    "/dev/i2c-1, i2c-1, or the adapter's name in /sys/class/i2c-dev", LENGTH(255),
	    ONLY(I2C)),

	/* 0x00 to 0x07 and 0x78 to 0x7f are reserved (UM10204, 3.1.12). */
	DEVICE("address", unsigned, i2c.address, REQUIRED, "its address, of 7 bits",
	       RANGE(0x08, 0x77), ONLY(I2C)),
	DEVICE("init", i2c_init, i2c.init, "",
	       "what is written to it before the first poll, and when it is back", ONLY(I2C)),

	POINT("read", i2c_read, read, REQUIRED,
	      "one transaction and the value in its answer: write 00 read 2 int16 shift=5",
	      ONLY(I2C)),
	POINT("set", i2c_set, i2c.set, "",
	      "what a command writes; empty: the bytes written before the read, then the value",
	      ONLY(I2C)),
};

static void check_point(const struct tg_loaded *l, const struct tg_section *s,
			const struct tg_config_point *point)
{
	const struct tg_i2c_transfer *t = &point->i2c.transfer;

	if (point->i2c.set.given && !point->write)
		tg_warn(l->doc.complain, tg_section_place(s, "set"),
			"set has no effect without write = yes");
	if (!point->write || point->i2c.set.given)
		return;
	if (!t->n_write)
		tg_complain(l->doc.complain, tg_section_place(s, "write"),
			    "write = yes: nothing says which register, as read has no 'write'; "
			    "give 'set = write 01 value'");
	else if (point->i2c.raw.at || t->check != TG_I2C_PLAIN)
		tg_complain(l->doc.complain, tg_section_place(s, "write"),
			    "write = yes: with at= or a checksum, 'set' says what is written");
}

const struct tg_config_bus_keys tg_config_i2c_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = I2C,
	.check_point = check_point,
};
