/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Certificates made to wish in the process. For one source file of a program, after the includes that cmocka wants.
 */
#include "base/buffer.h"
#include "x509/certs.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NOW INT64_C(1790000000)
#define DAY 86400

struct wish {
	const char *subject;
	const char *extensions[6]; /* "name=value" for X509V3_EXT_nconf */
	int64_t from, until;       /* relative to NOW */
	const EVP_MD *md;
	const char *generalized; /* notAfter as text instead */
};

/* The extensions of an authority, with key identifiers or in the way of those that have none. */
#define CA_PLAIN "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"
#define KEY_IDS  "subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"

static inline void set_time(ASN1_TIME *t, int64_t at)
{
	time_t when = (time_t) (NOW + at);

	assert_non_null(ASN1_TIME_set(t, when));
}

static inline void extend(X509 *cert, X509 *issuer, const char *line)
{
	char name[64];
	const char *equals = strchr(line, '=');
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	snprintf(name, sizeof(name), "%.*s", (int) (equals - line), line);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_nconf(NULL, &ctx, name, equals + 1);
	assert_non_null(ext);
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

/* @issuer NULL: signed by itself. */
static inline X509 *issue(const struct wish *w, EVP_PKEY *subject_key, X509 *issuer,
			  EVP_PKEY *issuer_key)
{
	static long serial = 1;
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);

	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *) w->subject,
				   -1, -1, 0);
	X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : name);
	set_time(X509_getm_notBefore(cert), w->from ? w->from : -DAY);
	set_time(X509_getm_notAfter(cert), w->until ? w->until : 30 * DAY);
	if (w->generalized)
		ASN1_TIME_set_string(X509_getm_notAfter(cert), w->generalized);
	X509_set_pubkey(cert, subject_key);
	for (size_t i = 0; i < TG_ARRAY_SIZE(w->extensions) && w->extensions[i]; i++)
		extend(cert, issuer ? issuer : cert, w->extensions[i]);
	assert_true(X509_sign(cert, issuer_key, w->md ? w->md : EVP_sha256()) > 0);
	return cert;
}

static inline void add_pem(struct tg_buffer *b, X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	const char *text = NULL;
	long len;

	PEM_write_bio_X509(bio, cert);
	len = BIO_get_mem_data(bio, &text);
	tg_buffer_add(b, text, (size_t) len);
	BIO_free(bio);
}

/* RSA with a public exponent as long as the modulus: quick to sign with, slow to verify. */
static inline EVP_PKEY *slow_key(void)
{
	EVP_PKEY *usual = EVP_RSA_gen(2048), *slow = NULL;
	BIGNUM *n = NULL, *e = NULL, *d = NULL;
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM *params;

	assert_int_equal(EVP_PKEY_get_bn_param(usual, OSSL_PKEY_PARAM_RSA_N, &n), 1);
	assert_int_equal(EVP_PKEY_get_bn_param(usual, OSSL_PKEY_PARAM_RSA_E, &e), 1);
	assert_int_equal(EVP_PKEY_get_bn_param(usual, OSSL_PKEY_PARAM_RSA_D, &d), 1);
	/* The two exponents in each other's place are as good a pair. */
	OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, n);
	OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, d);
	OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_D, e);
	params = OSSL_PARAM_BLD_to_param(b);
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &slow, EVP_PKEY_KEYPAIR, params), 1);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(b);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(usual);
	BN_free(n);
	BN_free(e);
	BN_free(d);
	return slow;
}

static inline double cpu_s(void)
{
	return (double) clock() / CLOCKS_PER_SEC;
}
