/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tls/peer.h"

#include <tidegate/cleanup.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
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
	const char *raw_name; /* a DNS name with bytes that openssl.cnf would not take */
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

static inline void add_raw_name(X509 *cert, const char *dns)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();

	assert_int_equal(ASN1_STRING_set(text, dns, -1), 1);
	GENERAL_NAME_set0_value(name, GEN_DNS, text);
	assert_true(sk_GENERAL_NAME_push(names, name) > 0);
	assert_int_equal(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0), 1);
	GENERAL_NAMES_free(names);
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
	if (r->raw_name)
		add_raw_name(cert, r->raw_name);
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

#define HOST "server.example"

static struct made root, issuing, leaf; /* the good ones */

static inline int make_pki(void **state)
{
	(void) state;
	root = make((struct recipe){ .cn = "test root", .ca = true });
	issuing = make((struct recipe){ .cn = "issuing CA", .issuer = &root, .ca = true });
	leaf = make((struct recipe){ .cn = "server", .issuer = &issuing, .san = "DNS:" HOST });
	return 0;
}

static inline int drop_pki(void **state)
{
	(void) state;
	made_done(&root);
	made_done(&issuing);
	made_done(&leaf);
	return 0;
}

static inline struct tg_tls_peer wish(const char *host)
{
	return (struct tg_tls_peer){ .host = host, .future_s = TG_TLS_FUTURE_S };
}

/* One handshake with a server that sends @chain, judged as @p wants under @anchor. Returns whether it succeeded. */
static inline bool meet(struct tg_tls_peer *p, const struct made *chain, size_t n,
			const X509 *anchor)
{
	tg_cleanup(SSL_CTX_freep) SSL_CTX *there = serve(chain, n),
					  *here = SSL_CTX_new(TLS_client_method());
	tg_cleanup(SSL_freep) SSL *server = NULL, *client = NULL;
	bool good;

	assert_int_equal(tg_tls_harden(here), 0);
	trust(here, anchor);
	tg_tls_judge(here, p);
	server = SSL_new(there);
	client = SSL_new(here);
	good = shake(client, server) == 1;
	assert_int_equal(good, p->passed);
	assert_int_equal(good, p->error == 0);
	assert_int_equal(good, SSL_get_state(server) == TLS_ST_OK);
	ERR_clear_error();
	return good;
}

static inline bool meet_good(struct tg_tls_peer *p)
{
	const struct made chain[] = { leaf, issuing };

	return meet(p, chain, 2, root.cert);
}

/* The words for a refusal must have every part. */
static inline void says(const struct tg_tls_peer *p, const char *const parts[], size_t n)
{
	char text[TG_TLS_WORDS_MAX];

	tg_tls_peer_words(p, text, sizeof(text));
	for (size_t i = 0; i < n; i++)
		if (!strstr(text, parts[i]))
			fail_msg("\"%s\" lacks \"%s\"", text, parts[i]);
}
#define assert_says(p, ...)                                                                        \
	says((p), (const char *const[]){ __VA_ARGS__ },                                            \
	     sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))
