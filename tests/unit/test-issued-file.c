/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/issued_file.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

#define N_CERTS 3

static EVP_PKEY *key;
static X509 *certs[N_CERTS];
static X509_REQ *request;

/* A text that grows. */
static BIO *out;

static X509 *make_cert(long serial)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	assert_true(X509_set_version(x, X509_VERSION_3));
	assert_true(ASN1_INTEGER_set(X509_get_serialNumber(x), serial));
	assert_true(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
					       (const unsigned char *) "gw", -1, -1, 0));
	assert_true(X509_set_issuer_name(x, name));
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), 0));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 3600));
	assert_true(X509_set_pubkey(x, key));
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	return x;
}

static int make_all(void **state)
{
	(void) state;
	key = EVP_EC_gen("P-256");
	assert_non_null(key);
	for (long i = 0; i < N_CERTS; i++)
		certs[i] = make_cert(i + 1);
	request = X509_REQ_new();
	assert_true(X509_REQ_set_pubkey(request, key));
	assert_true(X509_REQ_sign(request, key, EVP_sha256()) > 0);
	return 0;
}

static int free_all(void **state)
{
	(void) state;
	for (size_t i = 0; i < N_CERTS; i++)
		X509_free(certs[i]);
	X509_REQ_free(request);
	EVP_PKEY_free(key);
	return 0;
}

static int begin(void **state)
{
	(void) state;
	out = BIO_new(BIO_s_mem());
	return out ? 0 : -1;
}

static int end(void **state)
{
	(void) state;
	BIO_free(out);
	return 0;
}

static PKCS7 *make_pkcs7(size_t n)
{
	PKCS7 *p7 = PKCS7_new();

	assert_true(PKCS7_set_type(p7, NID_pkcs7_signed));
	assert_true(PKCS7_content_new(p7, NID_pkcs7_data));
	for (size_t i = 0; i < n; i++)
		assert_true(PKCS7_add_certificate(p7, certs[i]));
	return p7;
}

static void parses_to(size_t n)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *c = NULL;
	char *text;
	long len = BIO_get_mem_data(out, &text);
	struct tg_fault fault;

	if (tg_issued_file_parse(text, (size_t) len, &c, &fault) < 0)
		fail_msg("%s", fault.text);
	assert_int_equal(tg_certs_n(c), n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(X509_cmp(tg_certs_get(c, i), certs[i]), 0);
}

static void refused(int r, const char *words)
{
	struct tg_certs *c = NULL;
	char *text;
	long len = BIO_get_mem_data(out, &text);
	struct tg_fault fault;

	assert_int_equal(tg_issued_file_parse(text, (size_t) len, &c, &fault), r);
	assert_null(c);
	if (!strstr(fault.text, words))
		fail_msg("'%s' does not say '%s'", fault.text, words);
}

static void pem_is_read_with_the_text_around_it(void **state)
{
	(void) state;
	for (size_t i = 0; i < N_CERTS; i++) {
		BIO_printf(out, "\r\nCertificate:\r\n    Data:\r\n        Version: 3 (0x2)\n");
		assert_true(PEM_write_bio_X509(out, certs[i]));
	}
	parses_to(N_CERTS);
}

static void a_certificate_in_der_is_read(void **state)
{
	(void) state;
	assert_true(i2d_X509_bio(out, certs[0]));
	parses_to(1);
}

static void a_pkcs7_is_read_in_every_form(void **state)
{
	PKCS7 *p7 = make_pkcs7(N_CERTS);
	char *text;
	long len;
	BIO *pem = BIO_new(BIO_s_mem());

	(void) state;
	assert_true(i2d_PKCS7_bio(out, p7));
	parses_to(N_CERTS);
	(void) BIO_reset(out);
	BIO_printf(out, "subject=/CN=gw\n");
	assert_true(PEM_write_bio_PKCS7(out, p7));
	BIO_printf(out, "\n");
	parses_to(N_CERTS);
	/* The base64 alone. */
	assert_true(PEM_write_bio_PKCS7(pem, p7));
	len = BIO_get_mem_data(pem, &text);
	(void) BIO_reset(out);
	BIO_write(out, text + strlen("-----BEGIN PKCS7-----\n"),
		  (int) len - (int) strlen("-----BEGIN PKCS7-----\n-----END PKCS7-----\n"));
	parses_to(N_CERTS);
	/* As some of Microsoft's tools write it. */
	text = strndup(text + strlen("-----BEGIN PKCS7-----\n"), (size_t) len - strlen("-----BEGIN "
										       "PKCS7-----"
										       "\n-----END "
										       "PKCS7-----"
										       "\n"));
	(void) BIO_reset(out);
	BIO_printf(out, "-----BEGIN CERTIFICATE-----\r\n%s-----END CERTIFICATE-----\r\n", text);
	parses_to(N_CERTS);
	free(text);
	BIO_free(pem);
	PKCS7_free(p7);
}

static void a_pkcs7_without_certificates_is_refused(void **state)
{
	PKCS7 *p7 = make_pkcs7(0);

	(void) state;
	assert_true(i2d_PKCS7_bio(out, p7));
	refused(-EBADMSG, "certificate");
	PKCS7_free(p7);
}

static void a_file_with_a_key_in_it_is_refused_and_not_quoted(void **state)
{
	char *text;
	struct tg_certs *c = NULL;
	struct tg_fault fault;

	(void) state;
	assert_true(PEM_write_bio_X509(out, certs[0]));
	assert_true(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL));
	refused(-EKEYREJECTED, "there is a private key in it");
	(void) BIO_reset(out);
	assert_true(PEM_write_bio_PrivateKey(out, key, EVP_aes_256_cbc(), (unsigned char *) "x", 1,
					     NULL, NULL));
	refused(-EKEYREJECTED, "there is a private key in it");
	/* PKCS#8 and SEC 1 in DER. */
	(void) BIO_reset(out);
	assert_true(i2d_PKCS8PrivateKey_bio(out, key, NULL, NULL, 0, NULL, NULL));
	refused(-EKEYREJECTED, "there is a private key in it");
	(void) BIO_reset(out);
	assert_true(i2d_PrivateKey_bio(out, key));
	refused(-EKEYREJECTED, "there is a private key in it");
	/* One whose armour somebody has taken off is known by what is inside. */
	(void) BIO_reset(out);
	assert_true(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL));
	(void) BIO_get_mem_data(out, &text);
	assert_int_equal(tg_issued_file_parse(text + strlen("-----BEGIN PRIVATE KEY-----\n"), 184,
					      &c, &fault),
			 -EKEYREJECTED);
}

static void a_pkcs12_is_refused_as_such(void **state)
{
	PKCS12 *p12 = PKCS12_create("x", "gw", key, certs[0], NULL, 0, 0, 0, 0, 0);

	(void) state;
	assert_non_null(p12);
	assert_true(i2d_PKCS12_bio(out, p12));
	refused(-EKEYREJECTED, "PKCS#12");
	PKCS12_free(p12);
}

static void the_request_itself_is_no_answer(void **state)
{
	(void) state;
	assert_true(PEM_write_bio_X509_REQ(out, request));
	refused(-EBADMSG, "it is a certificate request");
	(void) BIO_reset(out);
	assert_true(i2d_X509_REQ_bio(out, request));
	refused(-EBADMSG, "it is a certificate request");
}

static void junk_is_refused_with_what_it_lacks(void **state)
{
	char *text;

	(void) state;
	refused(-EBADMSG, "it is empty");
	BIO_printf(out, "<html><body>Please log in</body></html>\n");
	refused(-EBADMSG, "neither PEM nor DER nor PKCS#7");
	(void) BIO_reset(out);
	assert_true(PEM_write_bio_X509(out, certs[0]));
	(void) BIO_get_mem_data(out, &text);
	text[200] = '\0';
	text = strdup(text);
	(void) BIO_reset(out);
	BIO_printf(out, "%s", text);
	refused(-EBADMSG, "cut short");
	free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

/* Lines need not end: each of many beginnings was once searched to the end of the file. */
static void many_beginnings_are_looked_through_once(void **state)
{
	static const char begin[] = "-----BEGIN ", whole[] = "-----BEGIN X-----\n-----END X-----";
	char *text = malloc(TG_ISSUED_FILE_MAX);
	struct tg_certs *got = NULL;
	clock_t before;

	(void) state;
	for (size_t i = 0; i < TG_ISSUED_FILE_MAX; i++)
		text[i] = begin[i % (sizeof(begin) - 1)];
	memcpy(text, whole, sizeof(whole) - 1);
	before = clock();
	assert_int_equal(tg_issued_file_parse(text, TG_ISSUED_FILE_MAX, &got, NULL), -EBADMSG);
	assert_null(got);
	/* Of the processor, and five hundred times what it takes. */
	assert_true(clock() - before < 5 * CLOCKS_PER_SEC);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pem_is_read_with_the_text_around_it),
		TEST(a_certificate_in_der_is_read),
		TEST(a_pkcs7_is_read_in_every_form),
		TEST(a_pkcs7_without_certificates_is_refused),
		TEST(a_file_with_a_key_in_it_is_refused_and_not_quoted),
		TEST(a_pkcs12_is_refused_as_such),
		TEST(the_request_itself_is_no_answer),
		TEST(junk_is_refused_with_what_it_lacks),
		TEST(many_beginnings_are_looked_through_once),
	};

	return cmocka_run_group_tests(tests, make_all, free_all);
}
