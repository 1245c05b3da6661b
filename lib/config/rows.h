/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/table.h"

#include <stddef.h>

/*
 * How rows of the table of keys are written, for table.c and the tables of
 * the bus types in bus/: a kind, the key, its type, the field, the default, a
 * line of help, then what the type needs.
 */
#define MS     UINT64_C(1000)
#define SECOND UINT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define KIB    UINT64_C(1024)
#define MIB    (1024 * KIB)
#define GIB    (1024 * MIB)

#define ROW(struct_, kind_, name_, type_, field_, dflt_, help_, ...)                               \
	{                                                                                          \
		.kind = TG_KIND_##kind_, .name = (name_), .type = &tg_type_##type_,                \
		.offset = offsetof(struct struct_, field_), .dflt = (dflt_), .help = (help_),      \
		##__VA_ARGS__                                                                      \
	}
#define KEY(kind, ...) ROW(tg_config, kind, __VA_ARGS__)
#define BUS(...)       ROW(tg_config_bus, BUS, __VA_ARGS__)
#define DEVICE(...)    ROW(tg_config_device, DEVICE, __VA_ARGS__)
#define POINT(...)     ROW(tg_config_point, POINT, __VA_ARGS__)

#define REQUIRED        NULL
#define RANGE(lo_, hi_) .lo = (lo_), .hi = (hi_)
#define LENGTH(max_)    .hi = (max_)
#define WORDS(list_)    .words = (list_)
#define ONLY(buses_)    .buses = (buses_)
#define FLAG(field_)    .flag = offsetof(struct tg_config_point, field_)
