/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/csr.h"
#include "x509/key.h"
#include "x509/subject.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static EVP_PKEY *key, *other;

static void subject_text(const X509_NAME *name, char *out, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	const char *text = NULL;
	long len;

	X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~(unsigned long) ASN1_STRFLGS_ESC_MSB);
	len = BIO_get_mem_data(bio, &text);
	snprintf(out, size, "%.*s", (int) len, text);
	BIO_free(bio);
}

static void subjects_read_as_rfc_4514_writes_them(void **state)
{
	static const struct {
		const char *in, *out;
	} good[] = {
		{ "CN=gw", "CN=gw" },
		{ "CN=gw,O=Plant", "CN=gw,O=Plant" },
		{ "CN=gw, O=Plant\\, North,C=DE", "CN=gw,O=Plant\\, North,C=DE" },
		{ "CN=\\23a\\ ", "CN=\\#a\\ " },
		{ "serialNumber=12,CN=a=b", "serialNumber=12,CN=a=b" },
		{ "O=\xc3\xa9", "O=\xc3\xa9" },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(good); i++) {
		X509_NAME *name = NULL;
		char text[128];

		assert_int_equal(tg_subject_parse(good[i].in, &name, NULL), 0);
		subject_text(name, text, sizeof(text));
		assert_string_equal(text, good[i].out);
		X509_NAME_free(name);
	}
}

static void wrong_subjects_are_refused_with_the_place(void **state)
{
	static const char many[] = "O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O="
				   "a,O=a";
	static const char *const wrong[] = {
		"",
		"gw",
		"CN",
		"CN=",
		"CN=gw,",
		"CN= gw",
		"CN=gw ",
		"cn=gw",
		"CN=a+O=b",
		"CN=\"a\"",
		"CN=a;O=b",
		"CN=a\\",
		"CN=\\zz",
		"CN=\\00",
		"XX=gw",
		"CN=a,,O=b",
		"C=DEU",
		"CN=a<b",
		"O=\xff\xfe",
		"CN=0123456789012345678901234567890123456789012345678901234567890123456789",
		many,
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
		X509_NAME *name = NULL;
		struct tg_fault fault = { 0 };

		if (tg_subject_parse(wrong[i], &name, &fault) != -EINVAL)
			fail_msg("took '%s'", wrong[i]);
		assert_non_null(strstr(fault.text, "subject"));
	}
}

static void an_escaped_value_stays_one_value(void **state)
{
	static const char *const values[] = { "gw,O=evil", " a ", "#x", "a\\b+c\"d;e<f>g=h",
					      "plain" };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(values); i++) {
		char escaped[64], text[80];
		X509_NAME *name = NULL;
		const X509_NAME_ENTRY *entry;

		assert_int_equal(tg_subject_escape(values[i], escaped, sizeof(escaped)), 0);
		snprintf(text, sizeof(text), "CN=%s", escaped);
		assert_int_equal(tg_subject_parse(text, &name, NULL), 0);
		assert_int_equal(X509_NAME_entry_count(name), 1);
		entry = X509_NAME_get_entry(name, 0);
		assert_string_equal(
			(const char *) ASN1_STRING_get0_data(X509_NAME_ENTRY_get_data(entry)),
			values[i]);
		X509_NAME_free(name);
	}
	{
		char small[4];

		assert_int_equal(tg_subject_escape("abc", small, sizeof(small)), 0);
		assert_int_equal(tg_subject_escape("abcd", small, sizeof(small)), -ENAMETOOLONG);
		assert_int_equal(tg_subject_escape("a,b", small, sizeof(small)), -ENAMETOOLONG);
	}
}

static void a_request_carries_names_key_and_its_own_signature(void **state)
{
	static const char *const dns[] = { "gw.example.com", "gw" };
	const struct tg_csr_names names = { .subject = "CN=gw,O=Plant", .dns_names = dns, .n_dns_names = 2 };
	tg_autofree char *pem = NULL;
	struct tg_fault fault = { 0 };

	(void) state;
	assert_int_equal(tg_csr_make(key, &names, &pem, &fault), 0);
	assert_int_equal(strncmp(pem, "-----BEGIN CERTIFICATE REQUEST-----\n", 36), 0);
	assert_int_equal(tg_csr_check(pem, strlen(pem), key, &names, NULL), 0);
}

static void a_request_of_another_key_or_names_is_stale(void **state)
{
	static const char *const dns[] = { "gw.example.com" };
	const struct tg_csr_names names = { .subject = "CN=gw" }, subject = { .subject = "CN=gx" },
				  with_dns = { .subject = "CN=gw",
					       .dns_names = dns,
					       .n_dns_names = 1 };
	tg_autofree char *pem = NULL;

	(void) state;
	assert_int_equal(tg_csr_make(key, &names, &pem, NULL), 0);
	assert_int_equal(tg_csr_check(pem, strlen(pem), other, &names, NULL), -ESTALE);
	assert_int_equal(tg_csr_check(pem, strlen(pem), key, &subject, NULL), -ESTALE);
	assert_int_equal(tg_csr_check(pem, strlen(pem), key, &with_dns, NULL), -ESTALE);
	assert_int_equal(tg_csr_check(pem, strlen(pem) / 2, key, &names, NULL), -EBADMSG);
	assert_int_equal(tg_csr_check("", 0, key, &names, NULL), -EBADMSG);
	/* One bit of the signature. */
	pem[strlen(pem) - 45] ^= 1;
	assert_int_equal(tg_csr_check(pem, strlen(pem), key, &names, NULL), -EBADMSG);
}

static void names_that_are_no_dns_names_are_refused(void **state)
{
	static const char *const wrong[] = {
		"", ".", "a..b", "-a", "a-", "a.", "a b", "*.x", "a-.b"
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
		const struct tg_csr_names names = { .subject = "CN=gw",
						    .dns_names = &wrong[i],
						    .n_dns_names = 1 };
		char *pem = NULL;

		assert_int_equal(tg_csr_make(key, &names, &pem, NULL), -EINVAL);
		assert_null(pem);
	}
}

static void more_dns_names_than_a_request_takes_are_refused(void **state)
{
	const char *dns[TG_CSR_DNS_NAMES + 1];
	struct tg_csr_names names = { .subject = "CN=gw", .dns_names = dns };
	char *pem = NULL;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(dns); i++)
		dns[i] = "gw.example.com";
	names.n_dns_names = TG_CSR_DNS_NAMES + 1;
	assert_int_equal(tg_csr_make(key, &names, &pem, NULL), -EINVAL);
	assert_null(pem);
	names.n_dns_names = TG_CSR_DNS_NAMES;
	assert_int_equal(tg_csr_make(key, &names, &pem, NULL), 0);
	free(pem);
}

static void keys_that_cannot_be_used_are_told_apart(void **state)
{
	static const char damaged[] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE "
				      "KEY-----\n",
			  encrypted[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
					"-----END ENCRYPTED PRIVATE KEY-----\n",
			  foreign[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END "
				      "CERTIFICATE-----\n";
	struct tg_fault fault;
	EVP_PKEY *k = NULL;

	(void) state;
	assert_int_equal(tg_key_from_pem(damaged, strlen(damaged), &k, &fault), -EBADMSG);
	assert_int_equal(tg_key_from_pem(encrypted, strlen(encrypted), &k, &fault), -EACCES);
	assert_int_equal(tg_key_from_pem(foreign, strlen(foreign), &k, &fault), -ENOENT);
	assert_int_equal(tg_key_from_pem("", 0, &k, &fault), -ENOENT);
	assert_null(k);
}

static int make_keys(void **state)
{
	(void) state;
	key = EVP_EC_gen("P-256");
	other = EVP_EC_gen("P-256");
	return key && other ? 0 : -1;
}

static int free_keys(void **state)
{
	(void) state;
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	return 0;
}

static void the_public_half_is_the_same_key_and_cannot_sign(void **state)
{
	EVP_PKEY *public = NULL;
	EVP_PKEY_CTX *ctx;

	(void) state;
	assert_int_equal(tg_key_public(key, &public, NULL), 0);
	assert_true(tg_key_same(public, key));
	assert_false(tg_key_same(public, other));
	ctx = EVP_PKEY_CTX_new(public, NULL);
	assert_int_equal(EVP_PKEY_private_check(ctx), 0);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(public);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(subjects_read_as_rfc_4514_writes_them),
		cmocka_unit_test(wrong_subjects_are_refused_with_the_place),
		cmocka_unit_test(an_escaped_value_stays_one_value),
		cmocka_unit_test(a_request_carries_names_key_and_its_own_signature),
		cmocka_unit_test(a_request_of_another_key_or_names_is_stale),
		cmocka_unit_test(names_that_are_no_dns_names_are_refused),
		cmocka_unit_test(more_dns_names_than_a_request_takes_are_refused),
		cmocka_unit_test(keys_that_cannot_be_used_are_told_apart),
		cmocka_unit_test(the_public_half_is_the_same_key_and_cannot_sign),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
