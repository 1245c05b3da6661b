/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"
#include "config/type.h"
#include "config/word.h"

#include <stddef.h>
#include <stdint.h>

/*
 * The one table of everything that can stand in a configuration file. The
 * loader, `tidegate check --dump`, the sample file and the check of the man
 * page all work from it. Constant; any thread.
 */
enum tg_config_kind {
	TG_KIND_GATEWAY,
	TG_KIND_TPM,
	TG_KIND_ENROLMENT,
	TG_KIND_AWS_FLEET,
	TG_KIND_EST,
	TG_KIND_MANUAL,
	TG_KIND_ROTATION,
	TG_KIND_MQTT,
	TG_KIND_SPOOL,
	TG_KIND_METRICS,
	TG_KIND_CONTROL,
	TG_KIND_BUS,
	TG_KIND_DEVICE,
	TG_KIND_POINT,
};
#define TG_KINDS (TG_KIND_POINT + 1)

struct tg_config_sort {
	const char *word;     /* the section's name, or its first word */
	const char *argument; /* what stands behind it: "NAME"; NULL for sections that exist once */
	const char *help;
};

#define TG_EVERY_BUS     0u
#define TG_BUS_BIT(type) (1u << (type))

struct tg_config_key {
	enum tg_config_kind kind;
	const char *name; /* "labels." stands for labels.NAME */
	const struct tg_config_type *type;
	size_t offset;   /* in struct tg_config, tg_config_bus, _device or _point, by kind */
	size_t flag;     /* of a bool beside it, for the types that have one */
	uint64_t lo, hi; /* what the type makes of them: the range of numbers, durations, sizes */
	const struct tg_word *words;
	unsigned buses; /* TG_BUS_BITs of the bus types that have this key, or TG_EVERY_BUS */
	const char
		*dflt; /* parsed like the user's text, so it is always legal; NULL: must be given */
	const char *help;
};

extern const struct tg_config_sort tg_config_sorts[TG_KINDS];
/* The rows, in the order of the manual; NULL behind the last. A name may have several rows, one for each bus type. */
const struct tg_config_key *tg_config_key_at(size_t i);
/* The bus types by name. */
extern const struct tg_word tg_config_bus_types[];
/* "modbus-tcp" of TG_BUS_MODBUS_TCP. Never NULL. */
const char *tg_config_bus_type_name(enum tg_bus_type type);

/* TG_BUS_BITs of the bus types whose set @key is of, or TG_EVERY_BUS for one of the general keys. */
unsigned tg_config_key_types(const struct tg_config_key *key);

/* Whether @key stands for many: labels.NAME. */
bool tg_config_key_is_family(const struct tg_config_key *key);
/* Whether @key is one of a bus of the types @buses. */
bool tg_config_key_fits(const struct tg_config_key *key, unsigned buses);

/* The first row for the key @name in sections of @kind, or NULL. *@ret_member is what stands behind the
 * dot of a family, else NULL. */
const struct tg_config_key *tg_config_key_find(enum tg_config_kind kind, const char *name,
					       const char **ret_member);
