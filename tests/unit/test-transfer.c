/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/ber.h"
#include "x509/transfer.h"

#include "der.h"
#include "test.h"

#include <errno.h>
#include <openssl/objects.h>

/* What carries the messages of EST: base64, and the walk through BER. */

static int decode(const char *text, size_t len, struct tg_fault *fault)
{
	tg_autofree char *copy = malloc(len ? len : 1);
	tg_autofree uint8_t *der = NULL;
	size_t der_len = 0;

	memcpy(copy, text, len);
	return tg_transfer_decode(copy, len, 1000, &der, &der_len, fault);
}

static void only_whole_base64_is_base64(void **state)
{
	static const char *const good[] = {
		"MAA=",
		"MAA",
		"MAAA",
		"MAAAMA==",
		"MAAAMA",
		" M A A = ",
		"=",
		"\tMAA=\r\n",
		"-----BEGIN X-----\nMAA=\n-----END X-----",
		"-----\nMAA=\n-----END-----",
	};
	static const char *const bad[] = {
		"MAAAM",
		"M",
		"MAAA=",
		"MAAA====",
		"MA=",
		"MAA==",
		"MA===",
		"MA=A",
		"MA==MA==",
		"=MAA",
		"MAA=A",
		"MA-A",
		"MA_A",
		"MA.A",
		"MA\x01"
		"A",
		"MA\x80"
		"A",
		"MAA=,",
		"MAAA----",
		"\0MAA=",
		"-----BEGIN X-----\nMAA=\nxEND X-----",
		"-----BEGIN X-----\nMAA=\n-----END X----x",
		"-----BEGIN X-----",
		"-----BEGIN X-----\nMAA=",
		"-----\n-----",
		"-----BEGIN X-----MAA=\n-----",
		"-----\n---------",
		"----\nMAA=\n-----END-----",
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(good); i++) {
		bool nothing = strcmp(good[i], "=") == 0;

		assert_int_equal(decode(good[i], strlen(good[i]), NULL), nothing ? -EBADMSG : 0);
	}
	for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++)
		assert_int_equal(decode(bad[i], bad[i][0] ? strlen(bad[i]) : 5, NULL), -EBADMSG);
}

static void each_refusal_says_what_came(void **state)
{
	static const char too_long[1001] = "M";
	struct tg_fault fault = { 0 };

	(void) state;
	assert_int_equal(decode("", 0, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "empty"));
	assert_int_equal(decode(" \n", 2, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "empty"));
	assert_int_equal(decode("-----BEGIN X-----\nMAA=", 22, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "armour"));
	assert_int_equal(decode("No, thanks\n", 11, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "neither base64 nor DER; it begins with 'No, thanks"));
	assert_int_equal(decode(too_long, sizeof(too_long), &fault), -EFBIG);
	assert_non_null(strstr(fault.text, "1000 bytes"));
}

static struct tg_ber bytes(const char *p, size_t len)
{
	return (struct tg_ber){ (const uint8_t *) p, len };
}
#define BYTES(text) bytes(text, sizeof(text) - 1)

static void elements_are_taken_one_by_one(void **state)
{
	struct tg_ber b = BYTES("\x02\1\5\x30\x80\x30\x80\0\0\x04\2\0\0\0\0\xa2\1x\x5f\x20\0\x7f"
				"\x81\0\0");
	static const struct {
		int kind;
		size_t body, whole;
	} wanted[] = {
		{ TG_BER_INTEGER, 1, 3 },
		{ TG_BER_SEQUENCE, 8, 12 },
		{ TG_BER_CONTEXT(2), 1, 3 },
		{ TG_BER_OTHER, 0, 3 },
	};
	struct tg_ber_element e;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(wanted); i++) {
		const uint8_t *at = b.p;

		assert_int_equal(tg_ber_next(&b, &e), 1);
		assert_int_equal(e.kind, wanted[i].kind);
		assert_int_equal(e.body.len, wanted[i].body);
		assert_int_equal(e.whole.len, wanted[i].whole);
		assert_ptr_equal(e.whole.p, at);
		assert_ptr_equal(b.p, at + wanted[i].whole);
	}
	b.len = 0;
	assert_int_equal(tg_ber_next(&b, &e), 0);
}

static void what_is_damaged_is_left_where_it_is(void **state)
{
	const struct tg_ber bad[] = {
		BYTES("\0\0"),
		BYTES("\x30"),
		BYTES("\x30\1"),
		BYTES("\x30\x80"),
		BYTES("\x30\x80\0"),
		BYTES("\x30\x81"),
		BYTES("\x04\x80\0\0"),
		BYTES("\x1f"),
		BYTES("\x30\x80\x30\x80\0\0"),
		BYTES("\x30\x80\x30\3\0\0"),
		BYTES("\x1f\x81\x81\x81\x81\x81\x81\0"),
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++) {
		struct tg_ber b = bad[i], body = { 0 };
		struct tg_ber_element e;

		assert_int_equal(tg_ber_next(&b, &e), -EBADMSG);
		assert_ptr_equal(b.p, bad[i].p);
		assert_int_equal(b.len, bad[i].len);
		assert_int_equal(tg_ber_expect(&b, TG_BER_SEQUENCE, &body), -EBADMSG);
	}
}

static void only_what_is_expected_is_taken(void **state)
{
	struct tg_ber b = BYTES("\x30\0\x02\1\1"), body = { 0 };

	(void) state;
	assert_int_equal(tg_ber_expect(&b, TG_BER_INTEGER, &body), -EBADMSG);
	assert_int_equal(b.len, 5);
	assert_int_equal(tg_ber_expect(&b, TG_BER_SEQUENCE, &body), 0);
	assert_int_equal(tg_ber_expect(&b, TG_BER_SEQUENCE, &body), -EBADMSG);
	assert_int_equal(tg_ber_expect(&b, TG_BER_INTEGER, &body), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(tg_ber_expect(&b, TG_BER_INTEGER, &body), -EBADMSG);
	/* The same number as a tag of another class. */
	b = BYTES("\x50\0");
	assert_int_equal(tg_ber_expect(&b, TG_BER_SEQUENCE, &body), -EBADMSG);
	b = BYTES("\xb0\0");
	assert_int_equal(tg_ber_expect(&b, TG_BER_SEQUENCE, &body), -EBADMSG);
	assert_int_equal(tg_ber_expect(&b, TG_BER_CONTEXT(16), &body), 0);
}

static void open_lengths_are_followed_so_deep_and_no_deeper(void **state)
{
	(void) state;
	for (int extra = 0; extra < 2; extra++) {
		DER_BUFFER der = der_new();
		struct tg_ber b;
		struct tg_ber_element e;

		for (int i = 0; i < TG_BER_DEPTH + extra; i++)
			der_wrap_open(&der, DER_SEQUENCE);
		b = bytes(der.data, der.len);
		assert_int_equal(tg_ber_next(&b, &e), extra ? -EBADMSG : 1);
	}
}

static void an_oid_is_compared_whole(void **state)
{
	static const char p256[] = "\x2a\x86\x48\xce\x3d\3\1\7";

	(void) state;
	assert_true(tg_ber_is(bytes(p256, 8), NID_X9_62_prime256v1));
	assert_false(tg_ber_is(bytes(p256, 7), NID_X9_62_prime256v1));
	assert_false(tg_ber_is(bytes(p256, 0), NID_X9_62_prime256v1));
	assert_false(tg_ber_is(bytes(p256, 8), NID_X9_62_id_ecPublicKey));
	assert_false(tg_ber_is(bytes(p256, 8), NID_undef));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_whole_base64_is_base64),
		cmocka_unit_test(each_refusal_says_what_came),
		cmocka_unit_test(elements_are_taken_one_by_one),
		cmocka_unit_test(what_is_damaged_is_left_where_it_is),
		cmocka_unit_test(only_what_is_expected_is_taken),
		cmocka_unit_test(open_lengths_are_followed_so_deep_and_no_deeper),
		cmocka_unit_test(an_oid_is_compared_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
