/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/drivers.h"
#include "base/clock.h"
#include "config/config.h"

#include "tests/unit/modbus-line-bench.h"

#include <errno.h>
#include <time.h>

/*
 * A unit that misbehaves and a neighbour that does not, on one line or behind one server, and the real driver that
 * reads both. For each misdeed: what the driver makes of it, that no value is ever taken that the unit does not have,
 * that the neighbour is read at once, and that the unit is read again when it has mended its ways.
 */
#define MS         TG_US_PER_MS
#define VICTIM     3
#define NEIGHBOUR  4
#define TIMEOUT_MS 250

enum outcome {
	READ,     /* the misdeed does no harm: all is right */
	BAD,      /* the unit answered, but every point is bad, with these words */
	LOST,     /* the unit did not answer: poll returns an error, with these words */
	HARMLESS, /* each point is right or bad: which, the line decides */
};

struct misdeed_row {
	const char *name;
	unsigned argument;
	enum outcome outcome;
	const char *words;
	/* 1: it reaches into the neighbour's time, and may cost it a retry; 2: nobody is understood while it lasts. */
	int disturbs;
};

#define ROW(...)                                                                                   \
	{                                                                                          \
		__VA_ARGS__, 0                                                                     \
	}
#define LOUD(...)                                                                                  \
	{                                                                                          \
		__VA_ARGS__, 1                                                                     \
	}
#define JAM(...)                                                                                   \
	{                                                                                          \
		__VA_ARGS__, 2                                                                     \
	}

struct misdeed_bench {
	struct line_bench line;
	const struct tg_bus_driver *driver;
	struct tg_config_point points[5];
	struct tg_config_device devices[2];
	struct tg_config_bus bus_cfg;
	struct tg_config cfg;
	struct tg_bus *bus;
	void *plans[2];
	struct tg_sample samples[5];
	struct tg_fault fault;
	unsigned wrong; /* complaints */
	unsigned
		retries; /* that the neighbour needed where nothing disturbed it: the load of the machine */
};

/* All that is wrong is told, not the first only: print, and fail at the end. */
#define complain(b, ...)                                                                           \
	do {                                                                                       \
		print_error(__VA_ARGS__);                                                          \
		print_error("\n");                                                                 \
		(b)->wrong++;                                                                      \
	} while (0)

static inline void bench_point(struct tg_config_point *p, const char *name,
			       enum tg_modbus_table table, uint16_t address)
{
	*p = (struct tg_config_point){
		.name = (char *) (uintptr_t) name,
		.unit = (char *) (uintptr_t) "",
		.modbus = { .table = table,
			    .address = address,
			    .type = table == TG_MODBUS_COIL ? TG_MODBUS_BOOL : TG_MODBUS_UINT16,
			    .bit = -1 },
		.scale = 1,
	};
}

static inline struct tg_config_device bench_device(struct misdeed_bench *b, const char *name,
						   unsigned unit)
{
	return (struct tg_config_device){
		.name = (char *) (uintptr_t) name,
		.timeout_us = TIMEOUT_MS * MS,
		.points = b->points,
		.n_points = TG_ARRAY_SIZE(b->points),
		.modbus = { .unit = unit, .max_gap = 8 },
	};
}

/* Blocks of different sizes: three registers, one far away, an input register, coils. */
static inline void bench_describe(struct misdeed_bench *b)
{
	bench_point(&b->points[0], "a", TG_MODBUS_HOLDING, 10);
	bench_point(&b->points[1], "b", TG_MODBUS_HOLDING, 12);
	bench_point(&b->points[2], "far", TG_MODBUS_HOLDING, 500);
	bench_point(&b->points[3], "input", TG_MODBUS_INPUT, 20);
	bench_point(&b->points[4], "coil", TG_MODBUS_COIL, 9);
	b->devices[0] = bench_device(b, "victim", VICTIM);
	b->devices[1] = bench_device(b, "neighbour", NEIGHBOUR);
	b->cfg = (struct tg_config){
		.buses = &b->bus_cfg, .n_buses = 1, .devices = b->devices, .n_devices = 2
	};
}

static inline void bench_open(struct misdeed_bench *b)
{
	assert_int_equal(b->driver->open(&b->cfg, 0, &b->bus, &b->fault), 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(b->driver->plan(b->bus, &b->devices[i], &b->plans[i], &b->fault),
				 0);
}

static inline void bench_close(struct misdeed_bench *b)
{
	for (size_t i = 0; i < 2; i++)
		b->driver->plan_free(b->plans[i]);
	b->driver->close(b->bus);
	b->bus = NULL;
}

static inline int bench_poll(struct misdeed_bench *b, size_t device, unsigned retries)
{
	memset(b->samples, 0xa5, sizeof(b->samples));
	b->fault = (struct tg_fault){ 0 };
	return b->driver->poll(b->bus, &b->devices[device], b->plans[device], retries, b->samples,
			       &b->fault);
}

static inline uint64_t right_value(const struct tg_config_point *p, unsigned unit)
{
	uint16_t v = (uint16_t) (100 * unit + p->modbus.address);

	if (p->modbus.table == TG_MODBUS_COIL)
		return p->modbus.address % 3 == 0;
	return p->modbus.table == TG_MODBUS_INPUT ? (uint16_t) ~v : v;
}

/* How many samples are good; that the value of one is not the unit's own is never allowed. */
static inline size_t count_right(struct misdeed_bench *b, size_t device, const char *what)
{
	size_t n = 0;

	for (size_t i = 0; i < TG_ARRAY_SIZE(b->points); i++) {
		const struct tg_sample *s = &b->samples[i];
		uint64_t want = right_value(&b->points[i], b->devices[device].modbus.unit);

		if (s->quality != TG_GOOD) {
			if (s->value.type != TG_VALUE_NONE || !s->reason[0])
				complain(b, "%s: %s is bad, but has a value or no reason", what,
					 b->points[i].name);
			continue;
		}
		n++;
		if ((s->value.type == TG_VALUE_BOOL ? s->value.b : s->value.u) != want)
			complain(b, "%s: %s was read as %llu, is %llu", what, b->points[i].name,
				 (unsigned long long) s->value.u, (unsigned long long) want);
	}
	return n;
}

/* Of the first sample that is not good. */
static inline const char *first_reason(const struct misdeed_bench *b, int r)
{
	if (r < 0)
		return b->fault.text;
	for (size_t i = 0; i < TG_ARRAY_SIZE(b->points); i++) {
		if (b->samples[i].quality != TG_GOOD)
			return b->samples[i].reason;
	}
	return "";
}

static inline void judge_victim(struct misdeed_bench *b, const struct misdeed_row *row, int r)
{
	size_t n = count_right(b, 0, row->name), all = TG_ARRAY_SIZE(b->points);
	const char *said = first_reason(b, r);

	switch (row->outcome) {
	case HARMLESS:
		return;
	case READ:
		if (r < 0 || n != all)
			complain(b, "%s %u: should do no harm: %d, %s", row->name, row->argument, r,
				 said);
		return;
	case BAD:
	case LOST:
		if ((r < 0) != (row->outcome == LOST) || n != 0)
			complain(b, "%s %u: %d, %zu points are good: %s", row->name, row->argument,
				 r, n, said);
		if (!strstr(said, row->words))
			complain(b, "%s %u: is told as '%s', not as '%s'", row->name, row->argument,
				 said, row->words);
		return;
	}
}

static inline int expect_read(struct misdeed_bench *b, size_t device, unsigned retries,
			      const char *what)
{
	int r = bench_poll(b, device, retries);

	if (r < 0 || r > (int) retries || count_right(b, device, what) != TG_ARRAY_SIZE(b->points))
		complain(b, "%s: %s was not read: %d, %s", what, b->devices[device].name, r,
			 first_reason(b, r));
	return r;
}

/* The neighbour may have been disturbed by the machine now and then, never by the misdeeds. */
#define RETRIES_MAX 4

/* No call may take longer than the driver itself has promised to the watchdog. */
static inline void run_misdeed(struct misdeed_bench *b, const struct misdeed_row *row)
{
	uint64_t start, took;
	int r;

	/* What the misdeed before has taught of the unit's addresses is forgotten. */
	b->driver->plan_free(b->plans[0]);
	assert_int_equal(b->driver->plan(b->bus, &b->devices[0], &b->plans[0], &b->fault), 0);
	line_do(&b->line, "misdeed %d %s %u", VICTIM, row->name, row->argument);
	start = tg_clock_boot_us();
	/* What does no harm may need a second try on a machine under load, what does would need it for ever. */
	r = bench_poll(b, 0, row->outcome == READ ? 1 : 0);
	took = tg_clock_boot_us() - start;
	if (took > b->driver->patience_us(b->bus, &b->devices[0], b->plans[0]))
		complain(b, "%s: took %llu us", row->name, (unsigned long long) took);
	judge_victim(b, row, r);
	if (row->disturbs > 1)
		line_do(&b->line, "hush");
	r = expect_read(b, 1, 1, row->name);
	if (!row->disturbs && r > 0)
		b->retries++;

	line_do(&b->line, "misdeed %d none", VICTIM);
	if (row->disturbs)
		line_do(&b->line, "hush");
	(void) expect_read(b, 0, 1, row->name);
}

/* --- writes --- */

#define SETPOINT 600 /* a holding register */
#define VALVE    601 /* a coil */

/* How many requests that write, functions 5, 6, 15 and 16, were on the wire since the last call. */
static inline unsigned count_writes(struct line_bench *l)
{
	unsigned writes = 0;
	uint64_t n, function;
	char row[96], *save = NULL;

	(void) snprintf(row, sizeof(row), "%s", line_tell(l, "log") + strlen("entries "));
	row[strcspn(row, "\n")] = '\0';
	assert_int_equal(tg_parse_u64(row, &n), 0);
	while (n-- > 0) {
		assert_non_null(fgets(row, sizeof(row), l->from));
		(void) strtok_r(row, " ", &save);
		(void) strtok_r(NULL, " ", &save);
		(void) strtok_r(NULL, " ", &save);
		assert_int_equal(tg_parse_u64(strtok_r(NULL, " ", &save), &function), 0);
		writes += function == 5 || function == 6 || function == 15 || function == 16;
	}
	return writes;
}

static inline unsigned held(struct line_bench *l, const char *table, unsigned address)
{
	char text[16];
	uint64_t v;

	(void) snprintf(text, sizeof(text), "0x%.4s",
			line_tell(l, "get %d %s %u 1", VICTIM, table, address));
	assert_int_equal(tg_parse_u64(text, &v), 0);
	return (unsigned) v;
}

/* @row's outcome: READ means done, anything else not confirmed. Whatever happens, the write is on the wire once. */
static inline void run_write(struct misdeed_bench *b, const struct misdeed_row *row, bool coil,
			     unsigned value)
{
	const struct tg_value raw =
		coil ? (struct tg_value){ .type = TG_VALUE_BOOL, .b = value != 0 }
		     : (struct tg_value){ .type = TG_VALUE_UINT, .u = value };
	struct tg_config_point p;
	struct tg_sample back = { 0 };
	int r;

	bench_point(&p, "set", coil ? TG_MODBUS_COIL : TG_MODBUS_HOLDING, coil ? VALVE : SETPOINT);
	b->devices[0].retries = 3;
	(void) count_writes(&b->line);
	line_do(&b->line, "misdeed %d %s %u", VICTIM, row->name, row->argument);
	r = b->driver->write(b->bus, &b->devices[0], &p, &raw, &b->fault);
	line_do(&b->line, "misdeed %d none", VICTIM);
	if (count_writes(&b->line) != 1)
		complain(b, "%s: was not written once", row->name);
	if ((r == 0) != (row->outcome == READ) || (r != 0 && !strstr(b->fault.text, row->words)))
		complain(b, "write, %s: %d, %s", row->name, r, b->fault.text);
	if (r == 0 && held(&b->line, coil ? "coil" : "holding", coil ? VALVE : SETPOINT) != value)
		complain(b, "%s: confirmed, but not done", row->name);
	line_do(&b->line, "hush");
	r = b->driver->read_one(b->bus, &b->devices[0], &p, &back, &b->fault);
	if (r != 0 || back.quality != TG_GOOD || (coil ? back.value.b : back.value.u) != value)
		complain(b, "%s: is not read back: %d, %s", row->name, r, b->fault.text);
	b->devices[0].retries = 0;
}

static inline void run_writes(struct misdeed_bench *b, const struct misdeed_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		run_write(b, &rows[i], false, 0x1234 + (unsigned) i);
		run_write(b, &rows[i], true, (i + 1) % 2);
	}
}
