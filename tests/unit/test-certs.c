/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/certs.h"

#include "der.h"
#include "test.h"

#include <errno.h>
#include <openssl/x509.h>

static const char key_text[] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

/* The text of certificates @from .. @until - 1. */
static char *text_of(unsigned from, unsigned until)
{
	DER_BUFFER text = der_new();

	for (unsigned i = from; i < until; i++) {
		DER_BUFFER der = der_new();
		tg_autofree char *pem = NULL;

		der_add_certificate(&der, i, NULL, NULL);
		pem = der_pem(&der, "CERTIFICATE");
		tg_buffer_adds(&text, pem);
	}
	return strdup(tg_buffer_text(&text));
}

static struct tg_certs *set_of(unsigned from, unsigned until)
{
	tg_autofree char *text = text_of(from, until);
	struct tg_certs *c = NULL;

	assert_int_equal(tg_certs_from_pem(text, strlen(text), TG_CERTS_MAX, &c, NULL), 0);
	return c;
}

static void a_text_is_read_past_everything_else_in_it(void **state)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *c = NULL;
	tg_autofree char *one = text_of(1, 2), *two = text_of(2, 3);
	DER_BUFFER text = der_new();

	(void) state;
	tg_buffer_addf(&text, "subject=CN = x\n%s%s\njunk\n%s", one, key_text, two);
	assert_int_equal(tg_certs_from_pem(text.data, text.len, 2, &c, NULL), 0);
	assert_int_equal(tg_certs_n(c), 2);
}

static void what_is_in_there_comes_out_as_the_same_text(void **state)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *c = set_of(1, 6);
	tg_cleanup(tg_certs_freep) struct tg_certs *empty = tg_certs_new(1);
	tg_autofree char *in = text_of(1, 6), *out = tg_certs_to_pem(c),
			 *nothing = tg_certs_to_pem(empty);

	(void) state;
	assert_string_equal(in, out);
	assert_string_equal(nothing, "");
	assert_int_equal(tg_certs_n(empty), 0);
	assert_int_equal(tg_certs_n(NULL), 0);
	assert_null(tg_certs_free(NULL));
}

static void a_certificate_that_comes_twice_is_in_there_once(void **state)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *c = NULL;
	tg_autofree char *one = text_of(1, 2), *two = text_of(2, 3);
	DER_BUFFER text = der_new();

	(void) state;
	tg_buffer_addf(&text, "%s%s%s%s", one, two, one, two);
	assert_int_equal(tg_certs_from_pem(text.data, text.len, 2, &c, NULL), 0);
	assert_int_equal(tg_certs_n(c), 2);
	assert_int_equal(tg_certs_add(c, tg_certs_get(c, 1), NULL), 0);
	assert_int_equal(tg_certs_n(c), 2);
}

static void a_full_set_takes_no_more(void **state)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *c = set_of(1, 1 + TG_CERTS_MAX);
	tg_autofree char *text = text_of(1, 2 + TG_CERTS_MAX);
	struct tg_certs *none = NULL;
	struct tg_fault fault = { 0 };
	DER_BUFFER der = der_new();

	(void) state;
	assert_int_equal(tg_certs_n(c), TG_CERTS_MAX);
	der_add_certificate(&der, 1000, NULL, NULL);
	assert_int_equal(tg_certs_add_der(c, (const uint8_t *) der.data, der.len, &fault), -EFBIG);
	assert_non_null(strstr(fault.text, "more than 64"));
	assert_int_equal(tg_certs_from_pem(text, strlen(text), TG_CERTS_MAX, &none, NULL), -EFBIG);
	assert_int_equal(tg_certs_from_pem(text, strlen(text), 100, &none, NULL), 0);
	tg_certs_free(none);
	none = NULL;
	assert_int_equal(tg_certs_from_pem(text, TG_CERTS_PEM_BYTES + 1, 100, &none, NULL), -EFBIG);
	assert_null(none);
}

static void a_certificate_is_found_by_its_fingerprint_only(void **state)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *c = set_of(1, 4);
	uint8_t sha256[TG_CERT_SHA256];

	(void) state;
	assert_int_equal(tg_cert_sha256(tg_certs_get(c, 2), sha256), 0);
	assert_ptr_equal(tg_certs_find(c, sha256), tg_certs_get(c, 2));
	sha256[31] ^= 1;
	assert_null(tg_certs_find(c, sha256));
	assert_null(tg_certs_find(NULL, sha256));
}

static void bytes_that_are_no_certificate_are_refused(void **state)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *c = tg_certs_new(4);
	struct tg_fault fault = { 0 };
	DER_BUFFER der = der_new();

	(void) state;
	der_add_certificate(&der, 1, NULL, NULL);
	tg_buffer_addc(&der, '\0');
	assert_int_equal(tg_certs_add_der(c, (const uint8_t *) der.data, der.len, &fault),
			 -EBADMSG);
	assert_non_null(strstr(fault.text, "1 bytes behind"));
	for (size_t cut = 0; cut < der.len - 1; cut++)
		assert_int_equal(tg_certs_add_der(c, (const uint8_t *) der.data, cut, NULL),
				 -EBADMSG);
	assert_int_equal(tg_certs_n(c), 0);
	assert_int_equal(tg_certs_add_der(c, (const uint8_t *) der.data, der.len - 1, NULL), 0);
}

static void a_damaged_text_is_refused_with_the_place(void **state)
{
	tg_autofree char *one = text_of(1, 2);
	DER_BUFFER text = der_new();
	struct tg_certs *c = NULL;
	struct tg_fault fault = { 0 };

	(void) state;
	assert_int_equal(tg_certs_from_pem(key_text, strlen(key_text), 4, &c, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "no certificate"));
	assert_int_equal(tg_certs_from_pem("", 0, 4, &c, NULL), -EBADMSG);
	tg_buffer_addf(&text, "%s-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
		       one);
	assert_int_equal(tg_certs_from_pem(text.data, text.len, 4, &c, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "certificate 2"));
	assert_int_equal(tg_certs_from_pem(one, strlen(one) / 2, 4, &c, NULL), -EBADMSG);
	assert_null(c);
}

/* OpenSSL would ask for one on the terminal, or read it from standard input. */
static void nobody_is_asked_for_the_passphrase_of_a_certificate(void **state)
{
	static const char text[] = "-----BEGIN CERTIFICATE-----\n"
				   "Proc-Type: 4,ENCRYPTED\n"
				   "DEK-Info: AES-128-CBC,000102030405060708090A0B0C0D0E0F\n\n"
				   "AAAAAAAAAAAAAAAAAAAAAA==\n"
				   "-----END CERTIFICATE-----\n";
	struct tg_certs *c = NULL;
	struct tg_fault fault = { 0 };

	(void) state;
	assert_int_equal(tg_certs_from_pem(text, strlen(text), 4, &c, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "bad password read"));
	assert_null(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_is_read_past_everything_else_in_it),
		cmocka_unit_test(what_is_in_there_comes_out_as_the_same_text),
		cmocka_unit_test(a_certificate_that_comes_twice_is_in_there_once),
		cmocka_unit_test(a_full_set_takes_no_more),
		cmocka_unit_test(a_certificate_is_found_by_its_fingerprint_only),
		cmocka_unit_test(bytes_that_are_no_certificate_are_refused),
		cmocka_unit_test(a_damaged_text_is_refused_with_the_place),
		cmocka_unit_test(nobody_is_asked_for_the_passphrase_of_a_certificate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
