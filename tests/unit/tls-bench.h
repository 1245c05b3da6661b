/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <time.h>

/* Certificates of every quality, made on the spot, and handshakes in memory. A failure in here ends the test. */
#define DAY_S INT64_C(86400)

TG_DEFINE_CLEANUP(X509 *, X509_free)
TG_DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
TG_DEFINE_CLEANUP(SSL_CTX *, SSL_CTX_free)
TG_DEFINE_CLEANUP(SSL *, SSL_free)

struct made {
	X509 *cert;
	EVP_PKEY *key;
};

/* What a certificate is to be; NULL or 0: nothing special. Extensions as openssl.cnf writes them. */
struct recipe {
	const char *cn;
	const struct made *issuer; /* NULL: itself */
	bool ca;
	const char *san, *eku, *usage, *basic, *constraints;
	const char *critical; /* an OID that nobody knows */
	int64_t from_s, to_s; /* relative to now; both 0: from yesterday for a month */
	const EVP_MD *digest;
	EVP_PKEY *key; /* taken over */
};

static inline void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	if (!value)
		return;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(ext);
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

static inline void add_unknown(X509 *cert, const char *oid)
{
	static const unsigned char null[] = { 5, 0 };
	ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
	ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
	X509_EXTENSION *ext;

	assert_int_equal(ASN1_OCTET_STRING_set(data, null, sizeof(null)), 1);
	ext = X509_EXTENSION_create_by_OBJ(NULL, object, 1, data);
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
	ASN1_OBJECT_free(object);
	ASN1_OCTET_STRING_free(data);
}

static inline void add_extensions(X509 *cert, X509 *issuer, const struct recipe *r)
{
	const char *basic = r->basic ? r->basic : r->ca ? "critical,CA:TRUE" : "critical,CA:FALSE";
	const char *usage = r->usage ? r->usage
			    : r->ca  ? "critical,keyCertSign,cRLSign"
				     : "critical,digitalSignature";

	add_extension(cert, issuer, NID_subject_key_identifier, "hash");
	add_extension(cert, issuer, NID_authority_key_identifier, "keyid");
	add_extension(cert, issuer, NID_basic_constraints, basic);
	add_extension(cert, issuer, NID_key_usage, usage);
	add_extension(cert, issuer, NID_ext_key_usage,
		      r->eku  ? r->eku
		      : r->ca ? NULL
			      : "serverAuth");
	add_extension(cert, issuer, NID_subject_alt_name, r->san && *r->san ? r->san : NULL);
	add_extension(cert, issuer, NID_name_constraints, r->constraints);
	if (r->critical)
		add_unknown(cert, r->critical);
}

static inline struct made make(struct recipe r)
{
	static long serial;
	struct made m = { X509_new(), r.key ? r.key : EVP_EC_gen("P-256") };
	X509 *issuer = r.issuer ? r.issuer->cert : m.cert;
	X509_NAME *name = X509_get_subject_name(m.cert);
	bool dated = r.from_s || r.to_s;

	assert_int_equal(X509_set_version(m.cert, X509_VERSION_3), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(m.cert), ++serial), 1);
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
						    (const unsigned char *) r.cn, -1, -1, 0),
			 1);
	assert_int_equal(X509_set_issuer_name(m.cert, X509_get_subject_name(issuer)), 1);
	assert_non_null(
		X509_gmtime_adj(X509_getm_notBefore(m.cert), (long) (dated ? r.from_s : -DAY_S)));
	assert_non_null(
		X509_gmtime_adj(X509_getm_notAfter(m.cert), (long) (dated ? r.to_s : 30 * DAY_S)));
	assert_int_equal(X509_set_pubkey(m.cert, m.key), 1);
	add_extensions(m.cert, issuer, &r);
	assert_true(X509_sign(m.cert, r.issuer ? r.issuer->key : m.key,
			      r.digest ? r.digest : EVP_sha256()) > 0);
	return m;
}

static inline void made_done(struct made *m)
{
	X509_free(m->cert);
	EVP_PKEY_free(m->key);
}

/* A server that sends @chain (n certificates, its own first) and takes anything. */
static inline SSL_CTX *serve(const struct made *chain, size_t n)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	SSL_CTX_set_security_level(ctx, 0);
	assert_int_equal(SSL_CTX_use_certificate(ctx, chain[0].cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, chain[0].key), 1);
	for (size_t i = 1; i < n; i++)
		assert_int_equal(SSL_CTX_add1_chain_cert(ctx, chain[i].cert), 1);
	return ctx;
}

static inline void trust(SSL_CTX *client, const X509 *anchor)
{
	assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(client), (X509 *) anchor), 1);
}

/* Joins @client and @server in memory until both have had their say. Returns what SSL_connect() said last. */
static inline int shake(SSL *client, SSL *server)
{
	BIO *here, *there;
	int r = 0;

	assert_int_equal(BIO_new_bio_pair(&here, 0, &there, 0), 1);
	SSL_set_bio(client, here, here);
	SSL_set_bio(server, there, there);
	for (int i = 0; i < 8; i++) {
		char none;

		r = SSL_connect(client);
		if (SSL_accept(server) == 1)
			(void) SSL_read(server, &none, 1);
		if (r == 1)
			(void) SSL_read(client, &none, 1);
	}
	return r;
}
