/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Certificates made to wish in the process. For one source file of a program, after the includes that cmocka wants.
 */
#include "base/buffer.h"
#include "x509/certs.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

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
