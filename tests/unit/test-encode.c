/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/encode/encode.h"
#include "agent/pack/parcel.h"

#include "tests/unit/packs.h"
#include "tests/unit/test.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>

#define WALL      INT64_C(1794000000000000) /* the wall clock at boot */
#define BASE_NAME "urn:dev:g1:boiler:"

static struct tg_sample sample(const char *point, struct tg_value value)
{
	return (struct tg_sample){
		.point = point, .unit = "", .reason = "", .value = value, .boot_us = 5000000
	};
}

static struct tg_sample real(const char *point, double v)
{
	return sample(point, (struct tg_value){ .type = TG_VALUE_REAL, .real = v });
}

static struct tg_sample not_good(const char *point, enum tg_quality q, const char *reason)
{
	struct tg_sample s = sample(point, (struct tg_value){ .type = TG_VALUE_NONE });

	s.quality = q;
	s.reason = reason;
	return s;
}

static struct tg_pack pack_of(const struct tg_sample *samples, size_t n)
{
	return (struct tg_pack){ .seq = (UINT64_C(3) << 32) + 7,
				 .device = "boiler",
				 .wall_offset_us = WALL,
				 .clock = TG_CLOCK_SYNCHRONISED,
				 .boot_id = { 0xde, 0xad, 0xbe, 0xef },
				 .n_samples = n,
				 .samples = samples };
}

static void assert_encoded(enum tg_format format, const struct tg_pack *pack, const char *expected)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer out = TG_BUFFER_INIT(1 << 20);

	tg_encoder_get(format)->encode(pack, TG_STREAM_LIVE, BASE_NAME, &out);
	assert_int_equal(tg_buffer_error(&out), 0);
	assert_string_equal(tg_buffer_text(&out), expected);
}

static void senml_has_seq_stream_and_points(void **state)
{
	struct tg_sample s[] = {
		real("temperature", 21.5),
		sample("on", (struct tg_value){ .type = TG_VALUE_BOOL, .b = true }),
		sample("mode", (struct tg_value){ .type = TG_VALUE_TEXT, .text = "a\"b" })
	};
	struct tg_pack pack = pack_of(s, 3);

	(void) state;
	s[0].unit = "Cel";
	assert_encoded(TG_FORMAT_SENML_JSON, &pack,
		       "[{\"bn\":\"" BASE_NAME "\",\"bt\":1794000005,\"n\":\"_seq\",\"v\":"
		       "12884901895},"
		       "{\"n\":\"_stream\",\"vs\":\"live\"},"
		       "{\"n\":\"temperature\",\"u\":\"Cel\",\"v\":21.5},"
		       "{\"n\":\"on\",\"vb\":true},{\"n\":\"mode\",\"vs\":\"a\\\"b\"}]");
}

static void senml_tells_time_only_where_it_differs(void **state)
{
	struct tg_sample s[] = { real("a", 1), real("b", 2), real("c", 3), real("d", 4) };
	struct tg_pack pack = pack_of(s, 4);

	(void) state;
	s[0].boot_us = 5000100;
	s[1].boot_us = 5000100;
	s[2].boot_us = 6250100;
	s[3].boot_us = 5000001;
	assert_encoded(TG_FORMAT_SENML_JSON, &pack,
		       "[{\"bn\":\"" BASE_NAME "\",\"bt\":1794000005.0001,\"n\":\"_seq\",\"v\":"
		       "12884901895},"
		       "{\"n\":\"_stream\",\"vs\":\"live\"},{\"n\":\"a\",\"v\":1},{\"n\":\"b\","
		       "\"v\":2},"
		       "{\"n\":\"c\",\"v\":3,\"t\":1.25},{\"n\":\"d\",\"v\":4,\"t\":-0.000099}]");
}

static void a_bad_point_has_a_reason_and_no_value(void **state)
{
	struct tg_sample s[] = { not_good("a", TG_BAD, "timeout"), not_good("b", TG_STALE, ""),
				 not_good("c", TG_STALE, "bus off"), not_good("d", TG_BAD, "") };
	struct tg_pack pack = pack_of(s, 4);

	(void) state;
	assert_encoded(TG_FORMAT_SENML_JSON, &pack,
		       "[{\"bn\":\"" BASE_NAME "\",\"bt\":1794000005,\"n\":\"_seq\",\"v\":"
		       "12884901895},"
		       "{\"n\":\"_stream\",\"vs\":\"live\"},"
		       "{\"n\":\"a_q\",\"vs\":\"bad: timeout\"},{\"n\":\"b_q\",\"vs\":\"stale\"},"
		       "{\"n\":\"c_q\",\"vs\":\"stale: bus off\"},{\"n\":\"d_q\",\"vs\":\"bad\"}]");
	assert_encoded(TG_FORMAT_JSON, &pack,
		       "{\"ts\":1794000005000,\"seq\":12884901895,\"stream\":\"live\","
		       "\"device\":\"boiler\",\"values\":{},\"bad\":{\"a\":\"timeout\","
		       "\"b\":\"stale\",\"c\":\"stale: bus off\",\"d\":\"bad\"}}");
}

static void integers_that_a_double_cannot_hold_are_strings(void **state)
{
	const int64_t max = INT64_C(1) << 53;
	struct tg_sample s[] = {
		sample("a", (struct tg_value){ .type = TG_VALUE_INT, .i = max }),
		sample("b", (struct tg_value){ .type = TG_VALUE_INT, .i = max + 1 }),
		sample("c", (struct tg_value){ .type = TG_VALUE_INT, .i = INT64_MIN }),
		sample("d", (struct tg_value){ .type = TG_VALUE_UINT, .u = UINT64_MAX }),
	};
	struct tg_pack pack = pack_of(s, 4);

	(void) state;
	assert_encoded(TG_FORMAT_JSON, &pack,
		       "{\"ts\":1794000005000,\"seq\":12884901895,\"stream\":\"live\","
		       "\"device\":\"boiler\",\"values\":{\"a\":9007199254740992,"
		       "\"b\":\"9007199254740993\",\"c\":\"-9223372036854775808\","
		       "\"d\":\"18446744073709551615\"},\"bad\":{}}");
	assert_encoded(TG_FORMAT_SENML_JSON, &pack,
		       "[{\"bn\":\"" BASE_NAME "\",\"bt\":1794000005,\"n\":\"_seq\",\"v\":"
		       "12884901895},"
		       "{\"n\":\"_stream\",\"vs\":\"live\"},{\"n\":\"a\",\"v\":9007199254740992},"
		       "{\"n\":\"b\",\"vs\":\"9007199254740993\"},"
		       "{\"n\":\"c\",\"vs\":\"-9223372036854775808\"},"
		       "{\"n\":\"d\",\"vs\":\"18446744073709551615\"}]");
}

static void a_suspect_clock_gives_boot_time_instead_of_dates(void **state)
{
	struct tg_sample s[] = { real("a", 1), real("b", 2) };
	struct tg_pack pack = pack_of(s, 2);

	(void) state;
	s[1].boot_us = 5000250;
	pack.clock = TG_CLOCK_SUSPECT;
	assert_encoded(TG_FORMAT_SENML_JSON, &pack,
		       "[{\"bn\":\"" BASE_NAME "\",\"n\":\"_seq\",\"v\":12884901895},"
		       "{\"n\":\"_stream\",\"vs\":\"live\"},{\"n\":\"_clock\",\"vs\":\"suspect\"},"
		       "{\"n\":\"_boot\",\"vs\":\"deadbeef000000000000000000000000\"},"
		       "{\"n\":\"_boottime\",\"u\":\"s\",\"v\":5.00025},"
		       "{\"n\":\"a\",\"v\":1,\"t\":-0.00025},{\"n\":\"b\",\"v\":2}]");
	assert_encoded(TG_FORMAT_JSON, &pack,
		       "{\"clock\":\"suspect\",\"boot\":\"deadbeef000000000000000000000000\","
		       "\"boottime\":5000,\"seq\":12884901895,\"stream\":\"live\","
		       "\"device\":\"boiler\",\"values\":{\"a\":1,\"b\":2},\"bad\":{}}");
}

static bool has_bt(const struct tg_pack *pack)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer out = TG_BUFFER_INIT(1 << 20);

	tg_encoder_get(TG_FORMAT_SENML_JSON)->encode(pack, TG_STREAM_REPLAY, "", &out);
	return strstr(tg_buffer_text(&out), "\"bt\"") != NULL;
}

static void no_absolute_time_is_below_2_to_28_seconds(void **state)
{
	struct tg_sample s[] = { real("a", 1), real("b", 2) };
	struct tg_pack pack = pack_of(s, 2);

	(void) state;
	pack.clock = TG_CLOCK_UNCONFIRMED;
	assert_true(has_bt(&pack));
	pack.wall_offset_us = INT64_C(268435456000000) - 5000000;
	assert_true(has_bt(&pack));
	s[1].boot_us--;
	assert_false(has_bt(&pack));
	pack.wall_offset_us = -INT64_C(10000000);
	assert_false(has_bt(&pack));
}

/* --- every pack, read back by another parser --- */

/* What the JSON may hold of @text: bytes that are no UTF-8 have become U+FFFD, so only the rest is
 * compared. */
static void assert_text(json_t *v, const char *text)
{
	assert_true(json_is_string(v));
	if (!strstr(json_string_value(v), "\xef\xbf\xbd"))
		assert_string_equal(json_string_value(v), text);
	else
		assert_true(strpbrk(text, "\xff\xc3\xed") != NULL);
}

static void assert_value(json_t *v, const struct tg_value *value)
{
	const int64_t MAX = INT64_C(1) << 53;
	char digits[24];
	bool big;

	switch (value->type) {
	case TG_VALUE_NONE:
		fail_msg("a value without a type");
		break;
	case TG_VALUE_BOOL:
		assert_true(value->b ? json_is_true(v) : json_is_false(v));
		break;
	case TG_VALUE_INT:
	case TG_VALUE_UINT:
		big = value->type == TG_VALUE_UINT ? value->u > (uint64_t) MAX
						   : value->i > MAX || value->i < -MAX;
		if (!big) {
			assert_true(json_is_integer(v));
			assert_true((uint64_t) json_integer_value(v) == value->u);
			break;
		}
		(void) snprintf(digits, sizeof(digits),
				value->type == TG_VALUE_UINT ? "%" PRIu64 : "%" PRId64, value->u);
		assert_text(v, digits);
		break;
	case TG_VALUE_REAL:
		assert_true(json_is_number(v) && json_number_value(v) == value->real);
		break;
	case TG_VALUE_TEXT:
		assert_text(v, value->text);
		break;
	}
}

static json_t *encode_and_parse(enum tg_format format, const struct tg_pack *pack)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer out = TG_BUFFER_INIT(1 << 20);
	json_error_t error;
	json_t *root;

	tg_encoder_get(format)->encode(pack, TG_STREAM_REPLAY, BASE_NAME, &out);
	assert_int_equal(tg_buffer_error(&out), 0);
	root = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		fail_msg("%s in %s", error.text, out.data);
	return root;
}

static void assert_quality_text(const char *text, const struct tg_sample *s, const char *bad)
{
	const char *word = s->quality == TG_STALE ? "stale" : bad;

	if (s->reason[0] == '\0') {
		assert_string_equal(text, word[0] ? word : "bad");
		return;
	}
	assert_memory_equal(text, word, strlen(word));
	if (!strpbrk(s->reason, "\xff\xc3\xed"))
		assert_string_equal(text + strlen(text) - strlen(s->reason), s->reason);
}

static void assert_record(json_t *record, const struct tg_sample *s)
{
	char name[TG_NAME_MAX + 3];
	const char *key;
	json_t *value;

	(void) snprintf(name, sizeof(name), "%s%s", s->point, s->quality == TG_GOOD ? "" : "_q");
	assert_string_equal(json_string_value(json_object_get(record, "n")), name);
	json_object_foreach (record, key, value)
		assert_true(key[strlen(key) - 1] != '_');
	if (s->quality != TG_GOOD) {
		assert_null(json_object_get(record, "v"));
		assert_null(json_object_get(record, "u"));
		assert_quality_text(json_string_value(json_object_get(record, "vs")), s, "bad");
		return;
	}
	value = json_object_get(record, "v");
	value = value ? value : json_object_get(record, "vs");
	value = value ? value : json_object_get(record, "vb");
	assert_value(value, &s->value);
	value = json_object_get(record, "u");
	assert_string_equal(value ? json_string_value(value) : "", s->unit);
}

static void every_pack_is_senml_that_says_the_same(void **state)
{
	static struct pack_source src = { .state = 11 };

	(void) state;
	for (int i = 0; i < 300; i++) {
		struct tg_pack pack = pack_random_pack(&src);
		json_t *root = encode_and_parse(TG_FORMAT_SENML_JSON, &pack);
		json_t *head = json_array_get(root, 0);
		size_t skip = json_object_get(head, "bt") ? 2 : 5;

		assert_string_equal(json_string_value(json_object_get(head, "bn")), BASE_NAME);
		assert_true(json_integer_value(json_object_get(head, "v")) == (int64_t) pack.seq);
		assert_int_equal(json_array_size(root), skip + pack.n_samples);
		for (size_t k = 0; k < pack.n_samples; k++)
			assert_record(json_array_get(root, skip + k), &pack.samples[k]);
		json_decref(root);
	}
}

static void times_are_exact_to_the_microsecond(void **state)
{
	static struct pack_source src = { .state = 12 };

	(void) state;
	for (int i = 0; i < 300; i++) {
		struct tg_pack pack = pack_random_pack(&src);
		json_t *root, *t;
		double bt;

		pack.clock = TG_CLOCK_UNCONFIRMED;
		pack.wall_offset_us = WALL;
		for (size_t k = 0; k < pack.n_samples; k++)
			src.samples[k].boot_us = pack_random(&src) % (UINT64_C(1) << 47);
		root = encode_and_parse(TG_FORMAT_SENML_JSON, &pack);
		bt = json_number_value(json_object_get(json_array_get(root, 0), "bt"));
		assert_true(llround(bt * 1e6) == WALL + (int64_t) pack.samples[0].boot_us);
		for (size_t k = 0; k < pack.n_samples; k++) {
			t = json_object_get(json_array_get(root, 2 + k), "t");
			assert_true(llround(json_number_value(t) * 1e6) ==
				    (int64_t) (pack.samples[k].boot_us - pack.samples[0].boot_us));
			assert_true((t == NULL) ==
				    (pack.samples[k].boot_us == pack.samples[0].boot_us));
		}
		json_decref(root);
	}
}

static void every_pack_is_flat_json_that_says_the_same(void **state)
{
	static struct pack_source src = { .state = 13 };

	(void) state;
	for (int i = 0; i < 300; i++) {
		struct tg_pack pack = pack_random_pack(&src);
		json_t *root = encode_and_parse(TG_FORMAT_JSON, &pack);
		json_t *values = json_object_get(root, "values"), *bad = json_object_get(root, "ba"
											       "d");

		assert_true(json_integer_value(json_object_get(root, "seq")) == (int64_t) pack.seq);
		assert_string_equal(json_string_value(json_object_get(root, "stream")), "replay");
		assert_int_equal(json_object_size(values) + json_object_size(bad), pack.n_samples);
		for (size_t k = 0; k < pack.n_samples; k++) {
			const struct tg_sample *s = &pack.samples[k];

			if (s->quality == TG_GOOD)
				assert_value(json_object_get(values, s->point), &s->value);
			else
				assert_quality_text(
					json_string_value(json_object_get(bad, s->point)), s, "");
		}
		json_decref(root);
	}
}

static void a_full_buffer_is_told(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer out = TG_BUFFER_INIT(40);
	struct tg_sample s = real("a", 1);
	struct tg_pack pack = pack_of(&s, 1);

	(void) state;
	tg_encoder_get(TG_FORMAT_JSON)->encode(&pack, TG_STREAM_LIVE, "", &out);
	assert_true(tg_buffer_error(&out) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(senml_has_seq_stream_and_points),
		cmocka_unit_test(senml_tells_time_only_where_it_differs),
		cmocka_unit_test(a_bad_point_has_a_reason_and_no_value),
		cmocka_unit_test(integers_that_a_double_cannot_hold_are_strings),
		cmocka_unit_test(a_suspect_clock_gives_boot_time_instead_of_dates),
		cmocka_unit_test(no_absolute_time_is_below_2_to_28_seconds),
		cmocka_unit_test(every_pack_is_senml_that_says_the_same),
		cmocka_unit_test(times_are_exact_to_the_microsecond),
		cmocka_unit_test(every_pack_is_flat_json_that_says_the_same),
		cmocka_unit_test(a_full_buffer_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
