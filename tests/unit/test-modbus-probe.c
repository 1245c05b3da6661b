/* SPDX-License-Identifier: Apache-2.0 */

/* Probes against a transport that answers out of a table. */
#include "agent/bus/modbus/probe.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 21.5 as float32 ABCD, then 0x0001 and "OK" */
static const uint8_t memory[] = { 0x41, 0xac, 0x00, 0x00, 0x00, 0x01, 'O', 'K' };

static struct {
	unsigned registers; /* from 10 on; what reaches further is refused */
	unsigned requests;
	uint8_t units[256]; /* 0 silent, 1 answers, else the exception */
} fake;

static int fake_transact(struct tg_modbus_link *link, const struct tg_modbus_request *q,
			 uint64_t timeout_us, struct tg_modbus_answer *out, struct tg_fault *reterr)
{
	(void) link;
	(void) timeout_us;
	fake.requests++;
	if (fake.units[q->unit] == 0)
		return tg_fault_set(reterr, -ETIMEDOUT, "timeout");
	if (fake.units[q->unit] > 1)
		return fake.units[q->unit];
	if (q->address >= 10 && q->address + q->count > 10 + fake.registers)
		return 2;
	memcpy(out->wire, memory, sizeof(memory));
	out->data = out->wire;
	return 0;
}

static const struct tg_modbus_transport transport = { .transact = fake_transact };

static char *probe(bool device, const char *address, int want)
{
	const struct tg_config_device dev = { .timeout_us = 1000, .modbus = { .unit = 3 } };
	tg_cleanup(tg_table_done) struct tg_table table;
	struct tg_buffer json = TG_BUFFER_INIT(TG_TABLE_BYTES * 2);
	struct tg_bus *bus = calloc(1, sizeof(*bus));
	struct tg_fault fault = { 0 };

	assert_non_null(bus);
	bus->transport = &transport;
	tg_table_init(&table);
	assert_int_equal(tg_modbus_probe(bus, device ? &dev : NULL, address, &table, &fault), want);
	free(bus);
	if (want < 0) {
		tg_buffer_done(&json);
		return strdup(fault.text);
	}
	assert_int_equal(tg_table_json(&table, &json), 0);
	{
		char *text = strndup((const char *) json.data, json.len);

		tg_buffer_done(&json);
		return text;
	}
}

static void assert_says(char *text, const char *words)
{
	assert_non_null(text);
	if (!strstr(text, words))
		fail_msg("'%s' is not in %s", words, text);
}

static int set_up(void **state)
{
	(void) state;
	memset(&fake, 0, sizeof(fake));
	fake.registers = 4;
	fake.units[3] = 1;
	return 0;
}

static void registers_are_shown_in_every_type_and_order(void **state)
{
	static const char *const addresses[] = { "10", "holding 10", "40011", "input 0xa" };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(addresses); i++) {
		tg_autofree char *text = probe(true, addresses[i], 0);

		assert_says(text, "[\"float32\",\"21.5\",");
		assert_says(text, "[\"uint16\",\"16812\",\"16812\",\"44097\",\"44097\"]");
		assert_says(text, "\"uint64\"");
		assert_says(text, "0x41ac, bits 15 to 0: 0100 0001 1010 1100");
		assert_says(text, i == 3 ? "input 13: 0x4f4b" : "holding 13: 0x4f4b");
	}
}

static void fewer_are_read_where_there_are_no_more(void **state)
{
	tg_autofree char *two = NULL, *one = NULL, *none = NULL;

	(void) state;
	fake.registers = 2;
	two = probe(true, "10", 0);
	assert_says(two, "\"float32\",\"21.5\"");
	assert_null(strstr(two, "int64"));
	fake.registers = 1;
	one = probe(true, "10", 0);
	assert_says(one, "\"int16\"");
	assert_null(strstr(one, "float32"));
	fake.registers = 0;
	none = probe(true, "10", -EREMOTEIO);
	assert_says(none, "illegal data address");
}

static void what_is_no_address_is_told_with_an_example(void **state)
{
	static const char *const wrong[] = { "",   "register 10", "70000", "holding 65536",
					     "..", "10 11" };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
		tg_autofree char *text = probe(true, wrong[i], -EINVAL);

		assert_says(text, "try 10, holding 10");
	}
	assert_int_equal(fake.requests, 0);
}

static void a_bus_tells_who_answers(void **state)
{
	tg_autofree char *all = NULL, *some = NULL, *wrong = NULL;

	(void) state;
	fake.units[17] = 2;
	fake.units[18] = 11; /* a gateway speaks for it */
	all = probe(false, "", 0);
	assert_int_equal(fake.requests, 247);
	assert_says(all, "\"rows\":[[\"3\",\"a value\"],[\"17\",\"illegal data address (exception "
			 "2)\"]]");
	fake.requests = 0;
	some = probe(false, "4..20", 0);
	assert_int_equal(fake.requests, 17);
	assert_null(strstr(some, "\"3\""));
	wrong = probe(false, "0", -EINVAL);
	assert_says(wrong, "1..20");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(registers_are_shown_in_every_type_and_order, set_up),
		cmocka_unit_test_setup(fewer_are_read_where_there_are_no_more, set_up),
		cmocka_unit_test_setup(what_is_no_address_is_told_with_an_example, set_up),
		cmocka_unit_test_setup(a_bus_tells_who_answers, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
