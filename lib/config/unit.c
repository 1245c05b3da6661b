/* SPDX-License-Identifier: Apache-2.0 */
#include "config/unit.h"

#include <tidegate/cleanup.h>

#include <string.h>
#include <strings.h>

/* clang-format off */
static const char *const units[] = {
	/* SenML units */
	"m", "kg", "g", "s", "A", "K", "cd", "mol", "Hz", "rad", "sr", "N", "Pa", "J", "W", "C", "V", "F", "Ohm", "S", "Wb",
	"T", "H", "Cel", "lm", "lx", "Bq", "Gy", "Sv", "kat", "m2", "m3", "l", "m/s", "m/s2", "m3/s", "l/s", "W/m2", "cd/m2",
	"bit", "bit/s", "lat", "lon", "pH", "dB", "dBW", "Bspl", "count", "/", "%", "%RH", "%EL", "EL", "1/s", "1/min",
	"beat/min", "beats", "S/m", "B", "VA", "VAs", "var", "vars", "J/m", "kg/m3", "deg", "NTU",
	/* secondary units, scaled from those above */
	"ms", "min", "h", "MHz", "kW", "kVA", "kvar", "Ah", "Wh", "kWh", "varh", "kvarh", "kVAh", "Wh/km", "KiB", "GB",
	"Mbit/s", "B/s", "MB/s", "mV", "mA", "dBm", "ug/m3", "mm/h", "m/h", "ppm", "/100", "/1000", "hPa", "mm", "cm", "km",
	"km/h", "ppb", "ppt", "VAh", "mg/l", "ug/l", "g/l",
};
/* clang-format on */

/* What people write instead. */
static const struct {
	const char *written, *meant;
} habits[] = {
	{ "°C", "Cel" },      { "degC", "Cel" },  { "celsius", "Cel" }, { "°", "deg" },
	{ "percent", "%" },   { "m³", "m3" },     { "m²", "m2" },       { "Ω", "Ohm" },
	{ "kelvin", "K" },    { "volt", "V" },    { "ampere", "A" },    { "watt", "W" },
	{ "sec", "s" },       { "hour", "h" },    { "litre", "l" },     { "mbar", "hPa" },
	{ "µg/m³", "ug/m3" }, { "m³/s", "m3/s" }, { "rh", "%RH" },
};

bool tg_unit_known(const char *unit)
{
	for (size_t i = 0; i < TG_ARRAY_SIZE(units); i++)
		if (strcmp(units[i], unit) == 0)
			return true;
	return false;
}

const char *tg_unit_suggest(const char *unit)
{
	for (size_t i = 0; i < TG_ARRAY_SIZE(habits); i++)
		if (strcasecmp(habits[i].written, unit) == 0)
			return habits[i].meant;
	/* Most slips are of case (kw, HZ, cel); in words this short every other distance means
	 * nothing. */
	for (size_t i = 0; i < TG_ARRAY_SIZE(units); i++)
		if (strcasecmp(units[i], unit) == 0)
			return units[i];
	return NULL;
}
