/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/csr_attributes.h"

#include "der.h"
#include "test.h"

#include <errno.h>

#define CHALLENGE   "1.2.840.113549.1.9.7"
#define EC          "1.2.840.10045.2.1"
#define P256        "1.2.840.10045.3.1.7"
#define P384        "1.3.132.0.34"
#define RSA         "1.2.840.113549.1.1.1"
#define RSA_SHA256  "1.2.840.113549.1.1.11"
#define ECDSA256    "1.2.840.10045.4.3.2"
#define ECDSA384    "1.2.840.10045.4.3.3"
#define ED25519     "1.3.101.112"
#define EXTENSIONS  "1.2.840.113549.1.9.14"
#define MS_EXTS     "1.3.6.1.4.1.311.2.1.14"
#define SAN         "2.5.29.17"
#define KEY_USAGE   "2.5.29.15"
#define EXT_USAGE   "2.5.29.37"
#define CLIENT_AUTH "1.3.6.1.5.5.7.3.2"
#define SERVER_AUTH "1.3.6.1.5.5.7.3.1"
#define TEMPLATE    "1.2.840.113549.1.9.16.2.61"
#define EXT_TPL     "1.2.840.113549.1.9.16.2.62"
#define MAC         "1.3.6.1.1.1.1.22"

/* Takes @items, the inside of the list. */
static int parse(struct tg_buffer *items, struct tg_csr_wishes *w, struct tg_fault *fault)
{
	tg_autofree char *text = NULL;
	int r;

	der_wrap(items, DER_SEQUENCE);
	text = tg_transfer_encode((const uint8_t *) items->data, items->len);
	memset(w, 0x55, sizeof(*w));
	r = tg_csr_attributes_parse(text, strlen(text), w, fault);
	tg_buffer_done(items);
	*items = der_new();
	return r;
}

/* An attribute with one value (or none). */
static void add_attribute(struct tg_buffer *out, const char *type, const struct tg_buffer *value)
{
	DER_BUFFER set = der_new();
	DER_BUFFER a = der_new();

	if (value)
		der_append(&set, value);
	der_wrap(&set, DER_SET);
	der_add_oid(&a, type);
	der_append(&a, &set);
	der_wrap(&a, DER_SEQUENCE);
	der_append(out, &a);
}

static void add_oid_attribute(struct tg_buffer *out, const char *type, const char *value)
{
	DER_BUFFER v = der_new();

	der_add_oid(&v, value);
	add_attribute(out, type, &v);
}

static void add_extension(struct tg_buffer *out, const char *oid, bool critical, const void *value,
			  size_t len)
{
	DER_BUFFER e = der_new();

	der_add_oid(&e, oid);
	if (critical)
		der_add(&e, DER_BOOLEAN, "\xff", 1);
	if (value)
		der_add(&e, DER_OCTETS, value, len);
	der_wrap(&e, DER_SEQUENCE);
	der_append(out, &e);
}

static void the_example_of_rfc_7030_asks_for_a_key_that_cannot_be(void **state)
{
	static const char example[] = "MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJ"
				      "DjEJBgcrBgEBAQEW"
				      "BggqhkjOPQQDAw==";
	struct tg_csr_wishes w;
	struct tg_fault fault = { 0 };

	(void) state;
	assert_int_equal(tg_csr_attributes_parse(example, strlen(example), &w, &fault),
			 -EOPNOTSUPP);
	assert_non_null(strstr(fault.text, "secp384r1"));
	assert_non_null(strstr(fault.text, "P-256 in the TPM"));
}

static void the_same_with_a_curve_of_ours_is_met_and_the_rest_named(void **state)
{
	struct tg_csr_wishes w;
	DER_BUFFER items = der_new();

	(void) state;
	der_add_oid(&items, CHALLENGE);
	add_oid_attribute(&items, EC, P256);
	add_oid_attribute(&items, EXTENSIONS, MAC);
	der_add_oid(&items, ECDSA384);
	assert_int_equal(parse(&items, &w, NULL), 0);
	assert_true(w.channel_binding);
	assert_false(w.alternative_names || w.key_usage || w.extended_key_usage);
	assert_string_equal(w.ignored, "1.3.6.1.1.1.1.22, ecdsa-with-SHA384");
}

static void nothing_asked_is_nothing_wished(void **state)
{
	static const char *const nothing[] = { "", "MAA=", "MAA=\n", " MAA\r\n" };
	static const struct tg_csr_wishes none = { 0 };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(nothing); i++) {
		struct tg_csr_wishes w;

		memset(&w, 0x55, sizeof(w));
		assert_int_equal(tg_csr_attributes_parse(nothing[i], strlen(nothing[i]), &w, NULL),
				 0);
		assert_memory_equal(&w, &none, sizeof(w));
	}
}

/* Each list: OIDs that stand for themselves, or TYPE=VALUE. */
static void add_list(struct tg_buffer *items, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n && list[i]; i++) {
		const char *equals = strchr(list[i], '=');
		char type[64];

		if (!equals) {
			der_add_oid(items, list[i]);
			continue;
		}
		snprintf(type, sizeof(type), "%.*s", (int) (equals - list[i]), list[i]);
		add_oid_attribute(items, type, equals + 1);
	}
}

static void one_kind_of_key_that_can_be_is_enough(void **state)
{
	static const struct {
		const char *list[4];
		const char *ignored;
	} good[] = {
		{ { EC }, "" },
		{ { P256 }, "" },
		{ { ECDSA256 }, "" },
		{ { EC, P256, ECDSA256 }, "" },
		{ { EC "=" P256, EC "=" P384 }, "secp384r1" },
		{ { EC "=" P384, EC "=" P256 }, "secp384r1" },
		{ { P384, P256, EC }, "secp384r1" },
		{ { RSA, EC }, "rsaEncryption" },
		{ { RSA_SHA256, ECDSA256 }, "RSA-SHA256" },
		{ { ED25519, RSA, P256 }, "ED25519" },
		{ { RSA, ECDSA384 }, "ecdsa-with-SHA384, rsaEncryption" },
		{ { ECDSA384 }, "ecdsa-with-SHA384" },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(good); i++) {
		struct tg_csr_wishes w;
		DER_BUFFER items = der_new();

		add_list(&items, good[i].list, TG_ARRAY_SIZE(good[i].list));
		assert_int_equal(parse(&items, &w, NULL), 0);
		assert_string_equal(w.ignored, good[i].ignored);
	}
}

static void other_keys_alone_are_refused_by_name(void **state)
{
	static const struct {
		const char *list[4];
		const char *word;
	} bad[] = {
		{ { RSA }, "rsaEncryption" },
		{ { RSA_SHA256 }, "RSA-SHA256" },
		{ { CHALLENGE, ED25519, RSA }, "ED25519" },
		{ { P384 }, "secp384r1" },
		{ { EC, P384 }, "secp384r1" },
		{ { P384, EC }, "secp384r1" },
		{ { EC "=" P384, ECDSA256 }, "secp384r1" },
		{ { EC "=" P384, RSA }, "secp384r1" },
		{ { RSA, EC, P384 }, "secp384r1" },
		{ { EC "=1.2.3.4" }, "1.2.3.4" },
		{ { "1.3.36.3.3.2.8.1.1.7" }, "brainpoolP256r1" },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++) {
		struct tg_fault fault = { 0 };
		struct tg_csr_wishes w;
		DER_BUFFER items = der_new();

		add_list(&items, bad[i].list, TG_ARRAY_SIZE(bad[i].list));
		assert_int_equal(parse(&items, &w, &fault), -EOPNOTSUPP);
		assert_non_null(strstr(fault.text, bad[i].word));
		/* Outputs are set on success only. */
		assert_int_equal(w.ignored[0], 0x55);
	}
}

static void the_size_of_an_rsa_key_is_told(void **state)
{
	struct tg_fault fault = { 0 };
	struct tg_csr_wishes w;
	DER_BUFFER items = der_new();
	DER_BUFFER bits = der_new();

	(void) state;
	der_add(&bits, DER_INTEGER, "\x0c\0", 2);
	add_attribute(&items, RSA, &bits);
	assert_int_equal(parse(&items, &w, &fault), -EOPNOTSUPP);
	assert_non_null(strstr(fault.text, "RSA of 3072 bits"));
	/* A number that nobody means, and parameters of a curve instead of its name. */
	tg_buffer_reset(&bits);
	der_add(&bits, DER_INTEGER, "\x0c\0\0\0\0\0\0\0\0", 9);
	add_attribute(&items, RSA, &bits);
	assert_int_equal(parse(&items, &w, &fault), -EOPNOTSUPP);
	assert_non_null(strstr(fault.text, "rsaEncryption"));
	add_attribute(&items, EC, &bits);
	assert_int_equal(parse(&items, &w, &fault), -EOPNOTSUPP);
	assert_non_null(strstr(fault.text, "without a name"));
}

static void extensions_are_read_in_every_form_they_come_in(void **state)
{
	static const char *const types[] = { EXTENSIONS, MS_EXTS, EXT_TPL };

	(void) state;
	for (size_t form = 0; form < 2 + TG_ARRAY_SIZE(types); form++) {
		struct tg_csr_wishes w;
		DER_BUFFER items = der_new();
		DER_BUFFER list = der_new();

		if (form == 0) {
			der_add_oid(&items, SAN);
			der_add_oid(&items, KEY_USAGE);
			der_add_oid(&items, EXT_USAGE);
		} else if (form == 1) {
			der_add_oid(&list, SAN);
			der_add_oid(&list, KEY_USAGE);
			der_add_oid(&list, EXT_USAGE);
			add_attribute(&items, EXTENSIONS, &list);
		} else {
			/* Without values, with empty ones, critical or not. */
			add_extension(&list, SAN, false, NULL, 0);
			add_extension(&list, KEY_USAGE, true, NULL, 0);
			add_extension(&list, EXT_USAGE, true, "", 0);
			der_wrap(&list, DER_SEQUENCE);
			add_attribute(&items, types[form - 2], &list);
		}
		assert_int_equal(parse(&items, &w, NULL), 0);
		assert_true(w.alternative_names && w.key_usage && w.extended_key_usage);
		assert_false(w.channel_binding);
		assert_string_equal(w.ignored, "");
	}
}

static void values_of_usages_are_met_if_ours_is_among_them(void **state)
{
	static const char signing[] = { DER_BITS, 2, 0, (char) 0xa0 },
			  agreeing[] = { DER_BITS, 2, 3, 0x08 },
			  empty[] = { DER_BITS, 1, 0, (char) 0x80 /* behind it */ };
	struct tg_csr_wishes w;
	DER_BUFFER usages = der_new();
	DER_BUFFER list = der_new();
	DER_BUFFER items = der_new();

	(void) state;
	der_add_oid(&usages, SERVER_AUTH);
	der_add_oid(&usages, CLIENT_AUTH);
	der_wrap(&usages, DER_SEQUENCE);
	add_extension(&list, EXT_USAGE, false, usages.data, usages.len);
	add_extension(&list, KEY_USAGE, true, signing, sizeof(signing));
	add_extension(&list, SAN, false, "\x30\0", 2);
	der_wrap(&list, DER_SEQUENCE);
	add_attribute(&items, EXTENSIONS, &list);
	assert_int_equal(parse(&items, &w, NULL), 0);
	assert_true(w.alternative_names && w.key_usage && w.extended_key_usage);
	assert_string_equal(w.ignored, "the subjectAltName that it gives");

	tg_buffer_reset(&usages);
	der_add_oid(&usages, SERVER_AUTH);
	der_wrap(&usages, DER_SEQUENCE);
	tg_buffer_reset(&list);
	add_extension(&list, EXT_USAGE, false, usages.data, usages.len);
	add_extension(&list, KEY_USAGE, true, agreeing, sizeof(agreeing));
	add_extension(&list, KEY_USAGE, true, empty, sizeof(empty));
	add_extension(&list, "2.5.29.19", true, "\x30\0", 2);
	der_wrap(&list, DER_SEQUENCE);
	add_attribute(&items, EXTENSIONS, &list);
	assert_int_equal(parse(&items, &w, NULL), 0);
	assert_false(w.alternative_names || w.key_usage || w.extended_key_usage);
	assert_string_equal(w.ignored, "an extendedKeyUsage without clientAuth, a keyUsage without "
				       "digitalSignature, "
				       "a keyUsage without digitalSignature, basicConstraints");
}

/* A template with @algorithm (and @curve), one attribute of @extension, and a subject. */
static void add_template(struct tg_buffer *items, const char *algorithm, const char *curve,
			 const char *extension)
{
	DER_BUFFER t = der_new();
	DER_BUFFER part = der_new();
	DER_BUFFER list = der_new();

	der_add(&t, DER_INTEGER, "\0", 1);
	der_add(&t, DER_SEQUENCE, "", 0);
	if (algorithm) {
		der_add_oid(&part, algorithm);
		if (curve)
			der_add_oid(&part, curve);
		der_wrap(&part, DER_SEQUENCE);
		der_wrap(&part, DER_CONTEXT);
		der_append(&t, &part);
		tg_buffer_reset(&part);
	}
	if (extension) {
		add_extension(&list, extension, true, NULL, 0);
		der_wrap(&list, DER_SEQUENCE);
		add_attribute(&part, EXT_TPL, &list);
	}
	der_wrap(&part, DER_CONTEXT + 1);
	der_append(&t, &part);
	der_wrap(&t, DER_SEQUENCE);
	add_attribute(items, TEMPLATE, &t);
}

static void a_template_of_rfc_9908_counts_instead_of_the_rest(void **state)
{
	struct tg_fault fault = { 0 };
	struct tg_csr_wishes w;
	DER_BUFFER items = der_new();

	(void) state;
	der_add_oid(&items, RSA);
	der_add_oid(&items, EXT_USAGE);
	der_add_oid(&items, CHALLENGE);
	add_template(&items, EC, P256, KEY_USAGE);
	assert_int_equal(parse(&items, &w, NULL), 0);
	assert_true(w.key_usage && w.channel_binding);
	assert_false(w.extended_key_usage);
	assert_string_equal(w.ignored, "the subject that it gives");

	add_template(&items, RSA, NULL, NULL);
	assert_int_equal(parse(&items, &w, &fault), -EOPNOTSUPP);
	assert_non_null(strstr(fault.text, "rsaEncryption"));
	add_template(&items, EC, P384, NULL);
	assert_int_equal(parse(&items, &w, &fault), -EOPNOTSUPP);
	assert_non_null(strstr(fault.text, "secp384r1"));
	add_template(&items, NULL, NULL, SAN);
	assert_int_equal(parse(&items, &w, NULL), 0);
	assert_true(w.alternative_names);
}

static void unknown_attributes_are_named_and_no_more_than_fit(void **state)
{
	struct tg_csr_wishes w;
	DER_BUFFER items = der_new();
	DER_BUFFER value = der_new();
	char arcs[400];

	(void) state;
	der_add(&value, DER_SEQUENCE, "\x02\1\1", 3);
	add_attribute(&items, "1.2.3.4", &value);
	add_attribute(&items, "2.5.4.5", NULL);
	/* Many arcs, one arc that is a huge number, and one that has no end. */
	memset(arcs, 0x81, sizeof(arcs));
	der_add(&items, DER_OID, arcs, 300);
	der_add(&items, DER_OID, arcs, 65);
	arcs[29] = 1;
	der_add(&items, DER_OID, arcs, 30);
	der_add(&items, DER_OID, arcs, 20);
	der_add(&items, DER_OID, "", 0);
	assert_int_equal(parse(&items, &w, NULL), 0);
	assert_non_null(strstr(w.ignored, "1.2.3.4, serialNumber, an OID of 300 bytes, an OID of "
					  "65 bytes, "));
	assert_non_null(strstr(w.ignored, "an OID of 20 bytes, an OID of 0 bytes"));

	for (int i = 0; i < TG_CSR_ATTRIBUTES_MAX; i++)
		add_oid_attribute(&items, "1.2.3.4.5.6.7", "1.2");
	assert_int_equal(parse(&items, &w, NULL), 0);
	assert_true(strlen(w.ignored) > 200 && strlen(w.ignored) < sizeof(w.ignored));
	assert_string_equal(w.ignored + strlen(w.ignored) - 5, ", ...");
	for (int i = 0; i < TG_CSR_ATTRIBUTES_MAX + 1; i++)
		add_oid_attribute(&items, "1.2.3", "1.2");
	assert_int_equal(parse(&items, &w, NULL), -EFBIG);
}

static void what_is_no_such_list_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} wrong[] = {
		{ "\x02\1\1", 3 },                     /* a number in the list */
		{ "\x30\0", 2 },                       /* an attribute without type */
		{ "\x30\3\x02\1\1", 5 },               /* with a number as type */
		{ "\x30\6\x06\1\x2a\x02\1\1", 8 },     /* with a value that is no set */
		{ "\x30\7\x06\1\x2a\x31\0\x31\0", 9 }, /* with two sets */
		{ "\x06\x05\x2a", 3 },                 /* cut */
		{ "\x30\x80", 2 },
	};
	static const char *const junk[] = { "MAA=MAA=", "MAAA", "AAAA", "Sorry",
					    "<html>",   "MQA=", "MAE=" };
	struct tg_csr_wishes w;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
		DER_BUFFER items = der_new();

		tg_buffer_add(&items, wrong[i].bytes, wrong[i].len);
		assert_int_equal(parse(&items, &w, NULL), -EBADMSG);
	}
	for (size_t i = 0; i < TG_ARRAY_SIZE(junk); i++)
		assert_int_equal(tg_csr_attributes_parse(junk[i], strlen(junk[i]), &w, NULL),
				 -EBADMSG);
}

static void extensions_that_are_none_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} wrong[] = {
		{ "\x02\1\1", 3 },
		{ "\x30\3\x02\1\1", 5 },
		{ "\x30\5\x30\3\x02\1\1", 7 },
		{ "\x30\x0a\x30\x08\x06\3\x55\x1d\x11\x02\1\1", 12 },
		{ "\x30\x0c\x30\x0a\x06\3\x55\x1d\x11\x04\0\x04\1\1", 14 },
	};
	const char *const holders[] = { EXTENSIONS, EXT_TPL };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++)
		for (size_t h = 0; h < TG_ARRAY_SIZE(holders); h++) {
			struct tg_csr_wishes w;
			DER_BUFFER items = der_new();
			DER_BUFFER value = der_new();

			tg_buffer_add(&value, wrong[i].bytes, wrong[i].len);
			add_attribute(&items, holders[h], &value);
			assert_int_equal(parse(&items, &w, NULL), -EBADMSG);
		}
}

static void templates_that_are_none_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} wrong[] = {
		{ "\x31\0", 2 },
		{ "\x30\0", 2 },
		{ "\x30\5\x02\1\0\xa0\0", 7 },
		{ "\x30\5\x02\1\0\xa2\0", 7 },
		{ "\x30\7\x02\1\0\xa0\2\x30\0", 9 },
		{ "\x30\x08\x02\1\0\xa1\3\x02\1\1", 10 },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
		struct tg_csr_wishes w;
		DER_BUFFER items = der_new();
		DER_BUFFER value = der_new();

		tg_buffer_add(&value, wrong[i].bytes, wrong[i].len);
		add_attribute(&items, TEMPLATE, &value);
		assert_int_equal(parse(&items, &w, NULL), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_rfc_7030_asks_for_a_key_that_cannot_be),
		cmocka_unit_test(the_same_with_a_curve_of_ours_is_met_and_the_rest_named),
		cmocka_unit_test(nothing_asked_is_nothing_wished),
		cmocka_unit_test(one_kind_of_key_that_can_be_is_enough),
		cmocka_unit_test(other_keys_alone_are_refused_by_name),
		cmocka_unit_test(the_size_of_an_rsa_key_is_told),
		cmocka_unit_test(extensions_are_read_in_every_form_they_come_in),
		cmocka_unit_test(values_of_usages_are_met_if_ours_is_among_them),
		cmocka_unit_test(a_template_of_rfc_9908_counts_instead_of_the_rest),
		cmocka_unit_test(unknown_attributes_are_named_and_no_more_than_fit),
		cmocka_unit_test(what_is_no_such_list_is_refused),
		cmocka_unit_test(extensions_that_are_none_are_refused),
		cmocka_unit_test(templates_that_are_none_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
