/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/ber.h"
#include "x509/csr.h"
#include "x509/key.h"

#include "der.h"
#include "test.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/objects.h>

/* What a request takes over from a certificate, what a server asks for, and how it is sent. */
#define CN        "2.5.4.3"
#define SAN       "2.5.29.17"
#define CHALLENGE "c2l4dGVlbiBsZXR0" /* as long as a tls-unique */

static EVP_PKEY *key;

/* --- certificates --- */

static void add_name(struct tg_buffer *rdn, const char *type, int tag, const void *value,
		     size_t len)
{
	DER_BUFFER a = der_new();

	der_add_oid(&a, type);
	der_add(&a, tag, value, len);
	der_wrap(&a, DER_SEQUENCE);
	der_append(rdn, &a);
}

/* A Name of one attribute. */
static struct tg_buffer name_of(int tag, const void *value, size_t len)
{
	struct tg_buffer name = der_new();

	add_name(&name, CN, tag, value, len);
	der_wrap(&name, DER_SET);
	der_wrap(&name, DER_SEQUENCE);
	return name;
}

static void add_extension(struct tg_buffer *out, const char *oid, bool critical, const void *value,
			  size_t len)
{
	DER_BUFFER e = der_new();

	der_add_oid(&e, oid);
	if (critical)
		der_add(&e, DER_BOOLEAN, "\xff", 1);
	der_add(&e, DER_OCTETS, value, len);
	der_wrap(&e, DER_SEQUENCE);
	der_append(out, &e);
}

/* Owned text of a certificate with these. */
static char *certificate(const struct tg_buffer *subject, const struct tg_buffer *extensions)
{
	DER_BUFFER der = der_new();

	der_add_certificate(&der, 1, subject, extensions);
	return der_pem(&der, "CERTIFICATE");
}

/* --- requests, taken apart without OpenSSL --- */

struct parts {
	struct tg_ber subject;    /* the Name, with its header */
	struct tg_ber extensions; /* the inside of the list; empty when there is none */
	struct tg_ber challenge;
	unsigned attributes;
	uint8_t *der; /* what the others point into */
};

static void read_attribute(struct tg_ber a, struct parts *p)
{
	struct tg_ber oid, set;

	assert_int_equal(tg_ber_expect(&a, TG_BER_OID, &oid), 0);
	assert_int_equal(tg_ber_expect(&a, TG_BER_SET, &set), 0);
	p->attributes++;
	if (tg_ber_is(oid, NID_ext_req)) {
		assert_int_equal(tg_ber_expect(&set, TG_BER_SEQUENCE, &p->extensions), 0);
	} else {
		struct tg_ber_element text;

		assert_true(tg_ber_is(oid, NID_pkcs9_challengePassword));
		assert_int_equal(tg_ber_next(&set, &text), 1);
		assert_int_equal(text.kind, DER_UTF8);
		p->challenge = text.body;
	}
	assert_int_equal(set.len, 0);
}

static struct parts take_apart(const char *pem)
{
	tg_autofree char *body = NULL;
	struct parts p = { 0 };
	struct tg_ber in, req, info, skipped, list, a;
	struct tg_ber_element e;
	size_t len = 0;

	assert_int_equal(tg_csr_body(pem, strlen(pem), &body, NULL), 0);
	assert_int_equal(tg_transfer_decode(body, strlen(body), TG_CSR_MAX, &p.der, &len, NULL), 0);
	in = (struct tg_ber){ p.der, len };
	assert_int_equal(tg_ber_expect(&in, TG_BER_SEQUENCE, &req), 0);
	assert_int_equal(tg_ber_expect(&req, TG_BER_SEQUENCE, &info), 0);
	assert_int_equal(tg_ber_expect(&info, TG_BER_INTEGER, &skipped), 0);
	assert_int_equal(tg_ber_next(&info, &e), 1);
	p.subject = e.whole;
	assert_int_equal(tg_ber_expect(&info, TG_BER_SEQUENCE, &skipped), 0);
	assert_int_equal(tg_ber_expect(&info, TG_BER_CONTEXT(0), &list), 0);
	while (tg_ber_expect(&list, TG_BER_SEQUENCE, &a) == 0)
		read_attribute(a, &p);
	assert_int_equal(list.len, 0);
	return p;
}

static void assert_bytes(struct tg_ber got, const struct tg_buffer *wanted)
{
	assert_int_equal(got.len, wanted->len);
	if (wanted->len)
		assert_memory_equal(got.p, wanted->data, wanted->len);
}

/* That a request like a certificate with these has just these, and is found to be like it. */
static void assert_copied(const struct tg_buffer *subject, const struct tg_buffer *extensions,
			  const struct tg_buffer *wanted)
{
	tg_autofree char *like = certificate(subject, extensions), *pem = NULL;
	const struct tg_csr_names names = { .subject = "CN=other", .like_pem = like };
	struct tg_fault fault = { 0 };
	struct parts p;

	if (tg_csr_make(key, &names, &pem, &fault) != 0)
		fail_msg("%s", fault.text);
	p = take_apart(pem);
	assert_bytes(p.subject, subject);
	assert_bytes(p.extensions, wanted);
	assert_int_equal(tg_csr_check(pem, strlen(pem), key, &names, NULL), 0);
	free(p.der);
}

static void a_subject_keeps_its_string_types(void **state)
{
	static const struct {
		int tag;
		const char *value;
		size_t len;
	} types[] = {
		{ DER_PRINTABLE, "gw-7", 4 }, { DER_UTF8, "gw-7", 4 },
		{ DER_T61, "gw\xe9", 3 },     { DER_BMP, "\0g\0w", 4 },
		{ DER_IA5, "gw-7", 4 },       { 0x1c, "\0\0\0g", 4 }, /* UniversalString */
		{ 0x12, "12 34", 5 },         { DER_UTF8, "", 0 },
		{ DER_UTF8, "GW\0x", 4 },     { DER_PRINTABLE, "not_printable", 13 },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(types); i++) {
		DER_BUFFER name = name_of(types[i].tag, types[i].value, types[i].len);
		DER_BUFFER none = der_new();

		assert_copied(&name, NULL, &none);
	}
}

static void a_subject_keeps_its_order_and_grouping(void **state)
{
	DER_BUFFER name = der_new();
	DER_BUFFER rdn = der_new();
	DER_BUFFER empty = der_new();
	DER_BUFFER none = der_new();

	(void) state;
	/* Two values in one set, not in the order of DER; an attribute that nobody knows. */
	add_name(&rdn, CN, DER_UTF8, "zz", 2);
	add_name(&rdn, "2.5.4.10", DER_PRINTABLE, "a", 1);
	der_wrap(&rdn, DER_SET);
	der_append(&name, &rdn);
	tg_buffer_reset(&rdn);
	add_name(&rdn, "1.2.3.4.5", DER_UTF8, "x", 1);
	der_wrap(&rdn, DER_SET);
	der_append(&name, &rdn);
	der_wrap(&name, DER_SEQUENCE);
	assert_copied(&name, NULL, &none);

	der_wrap(&empty, DER_SEQUENCE);
	assert_copied(&empty, NULL, &none);
}

static void a_subject_whose_lengths_are_not_der_stays_as_it_is(void **state)
{
	/* Long forms where short ones would do. */
	static const char odd[] = "\x30\x81\x13\x31\x81\x10\x30\x81\x0d\x06\x81\x03\x55\x04\x03"
				  "\x0c\x81\x04gw-7";
	DER_BUFFER name = der_new();
	DER_BUFFER none = der_new();

	(void) state;
	tg_buffer_add(&name, odd, sizeof(odd) - 1);
	name.data[2] = (char) (name.len - 3);
	name.data[5] = (char) (name.len - 6);
	name.data[8] = (char) (name.len - 9);
	assert_copied(&name, NULL, &none);
}

/* GeneralNames of every kind there is. */
static struct tg_buffer all_kinds(void)
{
	struct tg_buffer names = der_new();
	DER_BUFFER other = der_new();
	DER_BUFFER text = der_new();
	DER_BUFFER directory = name_of(DER_T61, "dir", 3);

	der_add_oid(&other, "1.3.6.1.4.1.311.20.2.3");
	der_add_text(&text, DER_UTF8, "gw@plant");
	der_wrap(&text, DER_CONTEXT);
	der_append(&other, &text);
	der_wrap(&other, DER_CONTEXT);
	der_append(&names, &other);
	der_add_text(&names, 0x81, "gw@example.com");
	der_add_text(&names, 0x82, "GW.Example.com");
	der_add_text(&names, 0x82, "*.example.com");
	der_wrap(&directory, DER_CONTEXT + 4);
	der_append(&names, &directory);
	der_add_text(&names, 0x86, "urn:dev:gw:7");
	der_add(&names, 0x87, "\xc0\0\2\7", 4);
	der_add(&names, 0x87, "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7", 16);
	der_add(&names, 0x88, "\x2a\3\4", 3);
	der_wrap(&names, DER_SEQUENCE);
	return names;
}

static void alternative_names_of_every_kind_are_taken_over(void **state)
{
	(void) state;
	for (int critical = 0; critical < 2; critical++) {
		DER_BUFFER subject = name_of(DER_PRINTABLE, "gw", 2);
		DER_BUFFER names = all_kinds();
		DER_BUFFER san = der_new();
		DER_BUFFER all = der_new();

		add_extension(&san, SAN, critical, names.data, names.len);
		add_extension(&all, "2.5.29.15", true, "\x03\2\0\x80", 4);
		der_append(&all, &san);
		add_extension(&all, "2.5.29.19", true, "\x30\0", 2);
		assert_copied(&subject, &all, &san);
	}
}

static void no_alternative_names_stay_none(void **state)
{
	DER_BUFFER subject = name_of(DER_UTF8, "gw", 2);
	DER_BUFFER all = der_new();
	DER_BUFFER none = der_new();

	(void) state;
	add_extension(&all, "2.5.29.15", true, "\x03\2\0\x80", 4);
	assert_copied(&subject, &all, &none);
}

/* The server has made it, and compares it with what it has made. */
static void alternative_names_that_nobody_can_read_are_taken_over(void **state)
{
	static const char *const odd[] = { "", "junk", "\x30\x80", "\x30\1", "\x30\2\x87\0" };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(odd); i++) {
		DER_BUFFER subject = name_of(DER_UTF8, "gw", 2);
		DER_BUFFER san = der_new();

		add_extension(&san, SAN, true, odd[i], strlen(odd[i]));
		assert_copied(&subject, &san, &san);
	}
}

static void certificates_without_one_meaning_are_refused(void **state)
{
	static const char broken[] = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END "
				     "CERTIFICATE-----\n";
	static const char *const junk[] = { "", "junk", broken };
	tg_autofree char *twice = NULL, *huge = NULL;
	struct tg_csr_names names = { .subject = "CN=gw" };
	DER_BUFFER subject = name_of(DER_UTF8, "gw", 2);
	DER_BUFFER long_one = der_new();
	DER_BUFFER san = der_new();
	struct tg_fault fault = { 0 };
	tg_autofree char *value = calloc(1, 10000);
	char *pem = NULL;

	(void) state;
	add_extension(&san, SAN, false, "\x30\0", 2);
	add_extension(&san, SAN, false, "\x30\0", 2);
	names.like_pem = twice = certificate(&subject, &san);
	assert_int_equal(tg_csr_make(key, &names, &pem, &fault), -EINVAL);
	assert_non_null(strstr(fault.text, "twice"));

	memset(value, 'x', 10000);
	long_one = name_of(DER_UTF8, value, 10000);
	names.like_pem = huge = certificate(&long_one, NULL);
	assert_int_equal(tg_csr_make(key, &names, &pem, &fault), -EINVAL);
	assert_non_null(strstr(fault.text, "longer than 8192 bytes"));
	for (size_t i = 0; i < TG_ARRAY_SIZE(junk); i++) {
		names.like_pem = junk[i];
		assert_int_equal(tg_csr_make(key, &names, &pem, NULL), -EINVAL);
	}
	assert_null(pem);
}

/* A chain in the current generation: the gateway's own certificate comes first. */
static void only_the_first_certificate_of_a_text_counts(void **state)
{
	DER_BUFFER one = name_of(DER_UTF8, "one", 3);
	DER_BUFFER two = name_of(DER_UTF8, "two", 3);
	DER_BUFFER text = der_new();
	tg_autofree char *first = certificate(&one, NULL), *second = certificate(&two, NULL),
			 *pem = NULL;
	struct parts p;

	(void) state;
	tg_buffer_addf(&text, "%s%s", first, second);
	assert_int_equal(tg_csr_make(key,
				     &(struct tg_csr_names){ .subject = "", .like_pem = text.data },
				     &pem, NULL),
			 0);
	p = take_apart(pem);
	assert_bytes(p.subject, &one);
	free(p.der);
}

static void a_request_like_another_certificate_is_stale(void **state)
{
	static const struct {
		int tag;
		const char *value, *san;
		bool critical;
	} others[] = {
		{ DER_PRINTABLE, "gw", "\x30\0", false }, /* the same name in another type */
		{ DER_UTF8, "GW", "\x30\0", false },      /* X509_NAME_cmp() sees no difference */
		{ DER_UTF8, "gw ", "\x30\0", false },     { DER_UTF8, "gw", "\x30\0", true },
		{ DER_UTF8, "gw", NULL, false },          { DER_UTF8, "gw", "\x30\2\x82\0", false },
	};
	DER_BUFFER subject = name_of(DER_UTF8, "gw", 2);
	DER_BUFFER san = der_new();
	tg_autofree char *like = NULL, *pem = NULL;
	struct tg_csr_names names = { .subject = "CN=gw" };

	(void) state;
	add_extension(&san, SAN, false, "\x30\0", 2);
	names.like_pem = like = certificate(&subject, &san);
	assert_int_equal(tg_csr_make(key, &names, &pem, NULL), 0);
	for (size_t i = 0; i < TG_ARRAY_SIZE(others); i++) {
		DER_BUFFER name = name_of(others[i].tag, others[i].value, strlen(others[i].value));
		DER_BUFFER extension = der_new();
		tg_autofree char *other = NULL;

		if (others[i].san)
			add_extension(&extension, SAN, others[i].critical, others[i].san,
				      others[i].san[1] ? 4 : 2);
		other = certificate(&name, others[i].san ? &extension : NULL);
		names.like_pem = other;
		assert_int_equal(tg_csr_check(pem, strlen(pem), key, &names, NULL), -ESTALE);
	}
	names.like_pem = NULL;
	assert_int_equal(tg_csr_check(pem, strlen(pem), key, &names, NULL), -ESTALE);
}

static void usages_are_asked_for_as_wished(void **state)
{
	static const char key_usage[] = "\x30\x0e\6\3\x55\x1d\x0f\1\1\xff\4\4\3\2\7\x80",
			  ext_usage[] = "\x30\x13\6\3\x55\x1d\x25\4\x0c\x30\x0a\6\x08\x2b\6\1\5\5\7"
					"\3\2";

	(void) state;
	for (int i = 0; i < 4; i++) {
		const struct tg_csr_wishes wishes = { .key_usage = i & 1,
						      .extended_key_usage = i & 2,
						      .alternative_names = true };
		struct tg_csr_names names = { .subject = "CN=gw", .wishes = &wishes };
		tg_autofree char *pem = NULL;
		DER_BUFFER wanted = der_new();
		struct parts p;

		if (i & 1)
			tg_buffer_add(&wanted, key_usage, sizeof(key_usage) - 1);
		if (i & 2)
			tg_buffer_add(&wanted, ext_usage, sizeof(ext_usage) - 1);
		assert_int_equal(tg_csr_make(key, &names, &pem, NULL), 0);
		p = take_apart(pem);
		assert_bytes(p.extensions, &wanted);
		assert_int_equal(p.attributes, i ? 1 : 0);
		free(p.der);
		/* Known wishes are compared; those of an earlier run are let be. */
		for (int j = 0; j < 4; j++) {
			const struct tg_csr_wishes others = { .key_usage = j & 1,
							      .extended_key_usage = j & 2 };

			names.wishes = &others;
			assert_int_equal(tg_csr_check(pem, strlen(pem), key, &names, NULL),
					 i == j ? 0 : -ESTALE);
		}
		names.wishes = NULL;
		assert_int_equal(tg_csr_check(pem, strlen(pem), key, &names, NULL), 0);
		names.subject = "CN=gx";
		assert_int_equal(tg_csr_check(pem, strlen(pem), key, &names, NULL), -ESTALE);
	}
}

static void a_challenge_stands_in_the_request_and_marks_it(void **state)
{
	static const char *const dns[] = { "gw.example.com" };
	const struct tg_csr_wishes wishes = { .key_usage = true, .channel_binding = true };
	struct tg_csr_names names = { .subject = "CN=gw",
				      .dns_names = dns,
				      .n_dns_names = 1,
				      .wishes = &wishes,
				      .challenge = CHALLENGE };
	tg_autofree char *pem = NULL, *plain = NULL;
	struct parts p;

	(void) state;
	assert_int_equal(tg_csr_make(key, &names, &pem, NULL), 0);
	p = take_apart(pem);
	assert_int_equal(p.attributes, 2);
	assert_int_equal(p.challenge.len, strlen(CHALLENGE));
	assert_memory_equal(p.challenge.p, CHALLENGE, strlen(CHALLENGE));
	free(p.der);
	assert_true(tg_csr_has_challenge(pem, strlen(pem)));
	/* The next connection has another one; the request is still for these names. */
	names.challenge = NULL;
	assert_int_equal(tg_csr_check(pem, strlen(pem), key, &names, NULL), 0);
	assert_int_equal(tg_csr_make(key, &names, &plain, NULL), 0);
	assert_false(tg_csr_has_challenge(plain, strlen(plain)));
	assert_false(tg_csr_has_challenge("junk", 4));
}

static void challenges_that_are_no_words_are_refused(void **state)
{
	tg_autofree char *longest = calloc(1, TG_CSR_CHALLENGE + 2);
	const char *const wrong[] = { "", "a b", "a\n", "\x80", longest };
	struct tg_csr_names names = { .subject = "CN=gw" };
	char *pem = NULL;

	(void) state;
	memset(longest, 'A', TG_CSR_CHALLENGE + 1);
	for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
		names.challenge = wrong[i];
		assert_int_equal(tg_csr_make(key, &names, &pem, NULL), -EINVAL);
	}
	assert_null(pem);
	longest[TG_CSR_CHALLENGE] = '\0';
	assert_int_equal(tg_csr_make(key, &names, &pem, NULL), 0);
	free(pem);
}

static void a_body_has_lines_of_64_and_nothing_else(void **state)
{
	const struct tg_csr_names names = { .subject = "CN=gw,O=Plant" };
	tg_autofree char *pem = NULL, *body = NULL;
	char *none = NULL;

	(void) state;
	assert_int_equal(tg_csr_make(key, &names, &pem, NULL), 0);
	assert_int_equal(tg_csr_body(pem, strlen(pem), &body, NULL), 0);
	assert_int_equal(strcspn(body, "\n"), 64);
	assert_int_equal(body[strlen(body) - 1], '\n');
	assert_null(strstr(body, "\n\n"));
	assert_null(strpbrk(body, " \t\r-"));
	/* As PEM writes it, without its armour. */
	assert_non_null(strstr(pem, body));
	assert_int_equal(tg_csr_body("junk", 4, &none, NULL), -EBADMSG);
	assert_null(none);
}

static void an_announced_length_is_met(void **state)
{
	static const size_t challenges[] = { 0, 16, 44 };

	(void) state;
	for (size_t c = 0; c < TG_ARRAY_SIZE(challenges); c++)
		for (int subject = 1; subject < 7; subject++) {
			const struct tg_csr_wishes wishes = { .key_usage = subject & 1 };
			char challenge[64] = "", text[64];
			struct tg_csr_names names = { .subject = text, .wishes = &wishes };
			tg_autofree char *pem = NULL, *body = NULL;
			size_t size = 0;

			/* All remainders of a line, and of a group of three bytes. */
			snprintf(text, sizeof(text), "CN=%.*s", subject, "gatewa");
			memset(challenge, 'x', challenges[c]);
			assert_int_equal(tg_csr_body_size(key, &names, challenges[c], &size, NULL),
					 0);
			names.challenge = challenges[c] ? challenge : NULL;
			assert_int_equal(tg_csr_make_sized(key, &names, size, &pem, NULL), 0);
			assert_int_equal(tg_csr_body(pem, strlen(pem), &body, NULL), 0);
			assert_int_equal(strlen(body), size);
			assert_int_equal(tg_csr_has_challenge(pem, strlen(pem)), challenges[c] > 0);
		}
}

static void a_length_that_cannot_be_met_is_told_before_signing(void **state)
{
	const struct tg_csr_names names = { .subject = "CN=gw", .challenge = CHALLENGE };
	EVP_PKEY *public = NULL;
	struct tg_fault fault = { 0 };
	size_t size = 0, other = 0;
	char *pem = NULL;

	(void) state;
	/* The private half is not needed for the length. */
	assert_int_equal(tg_key_public(key, &public, NULL), 0);
	assert_int_equal(tg_csr_body_size(public, &names, 16, &size, NULL), 0);
	assert_int_equal(tg_csr_body_size(public, &names, 44, &other, NULL), 0);
	assert_true(other > size);
	assert_int_equal(tg_csr_make_sized(public, &names, other, &pem, &fault), -EMSGSIZE);
	assert_non_null(strstr(fault.text, "announced"));
	assert_int_equal(tg_csr_make_sized(public, &names, size, &pem, NULL), -EIO);
	assert_int_equal(tg_csr_body_size(public, &names, TG_CSR_CHALLENGE + 1, &size, NULL),
			 -EINVAL);
	assert_null(pem);
	EVP_PKEY_free(public);
}

static int make_key(void **state)
{
	(void) state;
	key = EVP_EC_gen("P-256");
	return key ? 0 : -1;
}

static int free_key(void **state)
{
	(void) state;
	EVP_PKEY_free(key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_subject_keeps_its_string_types),
		cmocka_unit_test(a_subject_keeps_its_order_and_grouping),
		cmocka_unit_test(a_subject_whose_lengths_are_not_der_stays_as_it_is),
		cmocka_unit_test(alternative_names_of_every_kind_are_taken_over),
		cmocka_unit_test(no_alternative_names_stay_none),
		cmocka_unit_test(alternative_names_that_nobody_can_read_are_taken_over),
		cmocka_unit_test(certificates_without_one_meaning_are_refused),
		cmocka_unit_test(only_the_first_certificate_of_a_text_counts),
		cmocka_unit_test(a_request_like_another_certificate_is_stale),
		cmocka_unit_test(usages_are_asked_for_as_wished),
		cmocka_unit_test(a_challenge_stands_in_the_request_and_marks_it),
		cmocka_unit_test(challenges_that_are_no_words_are_refused),
		cmocka_unit_test(a_body_has_lines_of_64_and_nothing_else),
		cmocka_unit_test(an_announced_length_is_met),
		cmocka_unit_test(a_length_that_cannot_be_met_is_told_before_signing),
	};

	return cmocka_run_group_tests(tests, make_key, free_key);
}
