/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/message.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

static char topic[] = "tidegate/%i/%d", base_name[] = "%i:%d:";

static struct tg_config *config(void)
{
	static struct tg_config cfg;

	cfg.mqtt.topic = topic;
	cfg.mqtt.base_name = base_name;
	cfg.mqtt.format = TG_FORMAT_SENML_JSON;
	cfg.mqtt.max_payload = 4096;
	return &cfg;
}

static struct tg_parcel *parcel(enum tg_clock_trust trust, uint8_t boot)
{
	struct tg_sample s = { .point = "temperature",
			       .unit = "Cel",
			       .reason = "",
			       .value = { .type = TG_VALUE_REAL, .real = 21.5 },
			       .boot_us = 1000000 };
	struct tg_pack pack = { .seq = UINT64_C(5) << 32 | 7,
				.device = "boiler",
				.wall_offset_us = 0,
				.clock = trust,
				.n_samples = 1,
				.samples = &s };
	struct tg_parcel *p = NULL;

	memset(pack.boot_id, boot, sizeof(pack.boot_id));
	assert_int_equal(tg_parcel_new(&pack, &p), 0);
	return p;
}

static struct tg_message_context context(struct tg_specifiers *spec, enum tg_clock_trust now)
{
	struct tg_message_context ctx = { .cfg = config(), .spec = spec };

	ctx.clock.wall_offset_us = INT64_C(1795219200000000);
	ctx.clock.trust = now;
	memset(ctx.boot_id, 1, sizeof(ctx.boot_id));
	return ctx;
}

static void topic_and_payload_are_formed_when_published(void **state)
{
	struct tg_specifiers spec = { .id = "gw7" };
	struct tg_message_context ctx = context(&spec, TG_CLOCK_SYNCHRONISED);
	struct tg_message m = { .payload = TG_BUFFER_INIT(0) };
	struct tg_parcel *p = parcel(TG_CLOCK_SYNCHRONISED, 1);

	(void) state;
	assert_int_equal(tg_message_form(&m, &ctx, p, TG_STREAM_REPLAY, NULL), 0);
	assert_string_equal(m.topic, "tidegate/gw7/boiler");
	assert_non_null(strstr(tg_buffer_text(&m.payload), "gw7:boiler:"));
	assert_non_null(strstr(tg_buffer_text(&m.payload), "replay"));
	tg_message_done(&m);
	tg_parcel_unref(p);
}

static void an_unknown_id_is_waited_for(void **state)
{
	struct tg_specifiers spec = { .id = "" };
	struct tg_message_context ctx = context(&spec, TG_CLOCK_SYNCHRONISED);
	struct tg_message m = { .payload = TG_BUFFER_INIT(0) };
	struct tg_parcel *p = parcel(TG_CLOCK_SYNCHRONISED, 1);

	(void) state;
	assert_int_equal(tg_message_form(&m, &ctx, p, TG_STREAM_LIVE, NULL), -EAGAIN);
	tg_message_done(&m);
	tg_parcel_unref(p);
}

static void a_payload_above_the_bound_is_told(void **state)
{
	struct tg_specifiers spec = { .id = "gw7" };
	struct tg_message_context ctx = context(&spec, TG_CLOCK_SYNCHRONISED);
	struct tg_message m = { .payload = TG_BUFFER_INIT(0) };
	struct tg_parcel *p = parcel(TG_CLOCK_SYNCHRONISED, 1);
	struct tg_fault why = { .text = "" };

	(void) state;
	config()->mqtt.max_payload = 20;
	assert_int_equal(tg_message_form(&m, &ctx, p, TG_STREAM_LIVE, &why), -EMSGSIZE);
	assert_non_null(strstr(why.text, "boiler"));
	tg_message_done(&m);
	tg_parcel_unref(p);
}

static void a_suspect_pack_of_this_boot_gets_the_repaired_clock(void **state)
{
	struct tg_pipeline_clock good = { 42, TG_CLOCK_UNCONFIRMED }, bad = { 42, TG_CLOCK_SUSPECT };
	uint8_t boot[16] = { 1 }, other[16] = { 2 };
	struct tg_pack p = { .clock = TG_CLOCK_SUSPECT, .boot_id = { 1 } };

	(void) state;
	tg_message_repair_clock(&p, &bad, boot);
	assert_int_equal(p.clock, TG_CLOCK_SUSPECT);
	tg_message_repair_clock(&p, &good, other);
	assert_int_equal(p.clock, TG_CLOCK_SUSPECT);
	tg_message_repair_clock(&p, &good, boot);
	assert_int_equal(p.clock, TG_CLOCK_UNCONFIRMED);
	assert_true(p.wall_offset_us == 42);
}

static void a_trusted_pack_keeps_its_own_clock(void **state)
{
	const int64_t day = INT64_C(86400000000);
	struct tg_pipeline_clock good = { 2 * day, TG_CLOCK_SYNCHRONISED },
				 other = { 3 * day, TG_CLOCK_UNCONFIRMED };
	uint8_t boot[16] = { 1 };
	struct tg_pack p = { .clock = TG_CLOCK_SYNCHRONISED, .boot_id = { 1 }, .wall_offset_us = day };

	(void) state;
	tg_message_repair_clock(&p, &good, boot);
	assert_true(p.wall_offset_us == day);
	p.clock = TG_CLOCK_UNCONFIRMED;
	tg_message_repair_clock(&p, &other, boot);
	assert_true(p.wall_offset_us == day);
}

static void a_pack_from_before_the_clock_was_set_by_the_service_is_dated_anew(void **state)
{
	const int64_t day = INT64_C(86400000000);
	struct tg_pipeline_clock slewed = { day + 400000, TG_CLOCK_SYNCHRONISED },
				 back = { -day, TG_CLOCK_SYNCHRONISED };
	uint8_t boot[16] = { 1 }, other[16] = { 2 };
	struct tg_pack p = { .clock = TG_CLOCK_UNCONFIRMED, .boot_id = { 1 }, .wall_offset_us = day };

	(void) state;
	tg_message_repair_clock(&p, &slewed, boot);
	assert_true(p.wall_offset_us == day);
	tg_message_repair_clock(&p, &back, other);
	assert_true(p.wall_offset_us == day);
	tg_message_repair_clock(&p, &back, boot);
	assert_true(p.wall_offset_us == -day && p.clock == TG_CLOCK_SYNCHRONISED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(topic_and_payload_are_formed_when_published),
		cmocka_unit_test(an_unknown_id_is_waited_for),
		cmocka_unit_test(a_payload_above_the_bound_is_told),
		cmocka_unit_test(a_suspect_pack_of_this_boot_gets_the_repaired_clock),
		cmocka_unit_test(a_trusted_pack_keeps_its_own_clock),
		cmocka_unit_test(a_pack_from_before_the_clock_was_set_by_the_service_is_dated_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
