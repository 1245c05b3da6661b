/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/spi_read.h"
#include "config/bus/types.h"
#include "config/rows.h"

#define SPI TG_BUS_BIT(TG_BUS_SPI)

static int parse_read(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	struct tg_config_point *point = base;
	int r = tg_spi_read_parse(text, &point->spi.transfer, &point->spi.raw, reterr);

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
	return tg_raw_set_parse(text, "transfer", &point->spi.set, reterr);
}

static const struct tg_config_type tg_type_spi_read = { "transfer BYTE... [delay=DURATION] [read "
							"N] TYPE [at=N] [order=ORDER] [mask=M] "
							"[shift=N] [bit=N]",
							parse_read };
static const struct tg_config_type tg_type_spi_set = { "transfer BYTE... value [BYTE...]",
						       parse_set };

static const struct tg_config_key keys[] = {
	BUS("device", path, spi.device, REQUIRED, "/dev/spidevB.C: controller B, chip select C",
	    ONLY(SPI)),

	DEVICE("mode", unsigned, spi.mode, "0", "SPI mode: clock polarity and phase", RANGE(0, 3),
	       ONLY(SPI)),
	DEVICE("speed", unsigned, spi.speed, "1000000", "highest clock, in Hz",
	       RANGE(1000, 200000000), ONLY(SPI)),
	DEVICE("lsb-first", yes_no, spi.lsb_first, "no", "least significant bit first", ONLY(SPI)),
	DEVICE("cs-high", yes_no, spi.cs_high, "no", "the chip is selected by a high level",
	       ONLY(SPI)),

	POINT("read", spi_read, read, REQUIRED,
	      "one transfer and the value in its answer: transfer 06 00 00 uint16 at=1 mask=0x0fff",
	      ONLY(SPI)),
	POINT("set", spi_set, spi.set, "", "what a command transfers, for write = yes", ONLY(SPI)),
};

static void check_point(const struct tg_loaded *l, const struct tg_section *s,
			const struct tg_config_point *point)
{
	if (point->spi.set.given && !point->write)
		tg_warn(l->doc.complain, tg_section_place(s, "set"),
			"set has no effect without write = yes");
	if (point->write && !point->spi.set.given)
		tg_complain(l->doc.complain, tg_section_place(s, "write"),
			    "write = yes needs 'set', as 'set = transfer 02 10 value'");
}

const struct tg_config_bus_keys tg_config_spi_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = SPI,
	.check_point = check_point,
};
