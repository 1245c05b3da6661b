/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "base/clock.h"
#include "tests/integration/swtpm.h"
#include "tpm/provider.h"
#include "tpm/tpm.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define SRK TG_TPM_SRK_DEFAULT

TG_DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
TG_DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)
TG_DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free)
TG_DEFINE_CLEANUP(X509_REQ *, X509_REQ_free)
TG_DEFINE_CLEANUP(X509 *, X509_free)
TG_DEFINE_CLEANUP(SSL_CTX *, SSL_CTX_free)
TG_DEFINE_CLEANUP(SSL *, SSL_free)
TG_DEFINE_CLEANUP(BIO *, BIO_free)

/* The provider is registered once in a process, so all tests share it and its TPM. */
static struct swtpm swtpm;
static struct tg_tpm *tpm;
static char *key_pem;

static void must(int r, const struct tg_fault *f)
{
	if (r < 0)
		fail_msg("%d: %s", r, f->text);
}

static int setup(void **state)
{
	struct tg_tpm_options o = { .timeout_us = 20 * TG_US_PER_S };
	struct tg_fault f;

	(void) state;
	swtpm_init(&swtpm);
	o.tcti = swtpm.tcti;
	must(tg_tpm_new(&o, &tpm, &f), &f);
	must(tg_provider_builtin(tpm, &f), &f);
	must(tg_tpm_ensure_srk(tpm, SRK, &f), &f);
	must(tg_tpm_create_key(tpm, SRK, &key_pem, &f), &f);
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	free(key_pem);
	tg_tpm_free(tpm);
	swtpm_done(&swtpm);
	return 0;
}

static void path_in(char *out, size_t size, const char *name)
{
	(void) snprintf(out, size, "%s/%s", swtpm.dir, name);
}

static EVP_PKEY *read_pem(const char *pem)
{
	tg_cleanup(BIO_freep) BIO *in = BIO_new_mem_buf(pem, -1);

	return PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
}

static EVP_PKEY *tpm_key(void)
{
	EVP_PKEY *key = read_pem(key_pem);

	assert_non_null(key);
	assert_string_equal(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "tidegate");
	return key;
}

static bool sign_and_verify(EVP_PKEY *key, const char *digest, unsigned n)
{
	tg_cleanup(EVP_MD_CTX_freep) EVP_MD_CTX *s = EVP_MD_CTX_new(), *v = EVP_MD_CTX_new();
	unsigned char sig[TG_TPM_SIGNATURE_MAX], text[32];
	size_t len = sizeof(sig);

	(void) snprintf((char *) text, sizeof(text), "message %u", n);
	return EVP_DigestSignInit_ex(s, NULL, digest, NULL, NULL, key, NULL) == 1 &&
	       EVP_DigestSign(s, sig, &len, text, sizeof(text)) == 1 &&
	       EVP_DigestVerifyInit_ex(v, NULL, digest, NULL, NULL, key, NULL) == 1 &&
	       EVP_DigestVerify(v, sig, len, text, sizeof(text)) == 1;
}

static void signs_and_verifies_with_every_digest(void **state)
{
	tg_cleanup(EVP_PKEY_freep) EVP_PKEY *key = tpm_key();

	(void) state;
	assert_true(sign_and_verify(key, NULL, 0));
	assert_true(sign_and_verify(key, "SHA256", 1));
	assert_true(sign_and_verify(key, "SHA384", 2));
	assert_true(sign_and_verify(key, "SHA512", 3));
	assert_false(sign_and_verify(key, "SHA1", 4));
	ERR_clear_error();
}

static void a_wrong_signature_does_not_verify(void **state)
{
	tg_cleanup(EVP_PKEY_freep) EVP_PKEY *key = tpm_key();
	tg_cleanup(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *s = EVP_PKEY_CTX_new(key, NULL),
						    *v = EVP_PKEY_CTX_new(key, NULL);
	unsigned char sig[TG_TPM_SIGNATURE_MAX], digest[32] = { 7 };
	size_t len = sizeof(sig);

	(void) state;
	assert_int_equal(EVP_PKEY_sign_init(s), 1);
	assert_int_equal(EVP_PKEY_CTX_set_signature_md(s, EVP_sha256()), 1);
	assert_int_equal(EVP_PKEY_sign(s, sig, &len, digest, sizeof(digest)), 1);
	assert_int_equal(EVP_PKEY_verify_init(v), 1);
	assert_int_equal(EVP_PKEY_verify(v, sig, len, digest, sizeof(digest)), 1);
	digest[0] ^= 1;
	assert_int_not_equal(EVP_PKEY_verify(v, sig, len, digest, sizeof(digest)), 1);
	/* A digest of a length that its algorithm does not have. */
	len = sizeof(sig);
	assert_int_not_equal(EVP_PKEY_sign(s, sig, &len, digest, 31), 1);
	ERR_clear_error();
}

static void the_private_half_cannot_be_had(void **state)
{
	tg_cleanup(EVP_PKEY_freep) EVP_PKEY *key = tpm_key();
	tg_cleanup(BIO_freep) BIO *out = BIO_new(BIO_s_mem());
	unsigned char *der = NULL;
	OSSL_PARAM *all = NULL;
	BIGNUM *priv = NULL;

	(void) state;
	assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &priv), 0);
	assert_true(i2d_PrivateKey(key, &der) <= 0);
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 0);
	assert_int_equal(EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &all), 0);
	/* The public half can. */
	assert_int_equal(i2d_PUBKEY(key, &der), 91);
	OPENSSL_free(der);
	ERR_clear_error();
}

static X509_REQ *make_csr(EVP_PKEY *key)
{
	X509_REQ *req = X509_REQ_new();
	X509_NAME *name = X509_REQ_get_subject_name(req);

	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
						    (const unsigned char *) "gw-7", -1, -1, 0),
			 1);
	assert_int_equal(X509_REQ_set_pubkey(req, key), 1);
	assert_true(X509_REQ_sign(req, key, EVP_sha256()) > 0);
	return req;
}

static void a_request_is_signed_and_verifies(void **state)
{
	tg_cleanup(EVP_PKEY_freep) EVP_PKEY *key = tpm_key();
	tg_cleanup(X509_REQ_freep) X509_REQ *req = make_csr(key), *copy = NULL;
	unsigned char *der = NULL;
	const unsigned char *p;
	int n;

	(void) state;
	/* By our own verify ... */
	assert_int_equal(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)), 1);
	/* ... and by somebody who never saw the TPM. */
	n = i2d_X509_REQ(req, &der);
	assert_true(n > 0);
	p = der;
	copy = d2i_X509_REQ(NULL, &p, n);
	assert_non_null(copy);
	assert_string_equal(
		OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(X509_REQ_get0_pubkey(copy))), "defau"
											     "lt");
	assert_int_equal(X509_REQ_verify(copy, X509_REQ_get0_pubkey(copy)), 1);
	OPENSSL_free(der);
}

/* A certificate for @key by @ca_key (itself when @issuer is NULL). */
static X509 *certify(EVP_PKEY *key, const char *cn, X509 *issuer, EVP_PKEY *ca_key)
{
	X509 *crt = X509_new();
	X509_EXTENSION *ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
						 issuer ? "CA:FALSE" : "critical,CA:TRUE");

	assert_non_null(ca);
	assert_int_equal(X509_set_version(crt, X509_VERSION_3), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(crt), issuer ? 2 : 1), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(crt), -3600));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(crt), 86400));
	assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(crt), "CN", MBSTRING_UTF8,
						    (const unsigned char *) cn, -1, -1, 0),
			 1);
	assert_int_equal(X509_set_issuer_name(crt, X509_get_subject_name(issuer ? issuer : crt)),
			 1);
	assert_int_equal(X509_set_pubkey(crt, key), 1);
	assert_int_equal(X509_add_ext(crt, ca, -1), 1);
	X509_EXTENSION_free(ca);
	assert_true(X509_sign(crt, ca_key, EVP_sha256()) > 0);
	return crt;
}

struct pki {
	EVP_PKEY *ca_key, *server_key, *file_key;
	X509 *ca, *server, *client, *file_client;
	char bundle[96], file_bundle[96];
};

static void write_bundle(const char *path, X509 *leaf, X509 *ca, EVP_PKEY *file_key)
{
	tg_cleanup(BIO_freep) BIO *out = BIO_new_file(path, "w");

	assert_non_null(out);
	assert_int_equal(PEM_write_bio_X509(out, leaf), 1);
	for (int i = 0; i < 8; i++) /* a chain longer than one read */
		assert_int_equal(PEM_write_bio_X509(out, ca), 1);
	if (file_key)
		assert_int_equal(PEM_write_bio_PrivateKey(out, file_key, NULL, NULL, 0, NULL, NULL),
				 1);
	else
		assert_true(BIO_puts(out, key_pem) > 0);
}

static void pki_init(struct pki *p)
{
	tg_cleanup(EVP_PKEY_freep) EVP_PKEY *key = tpm_key();

	p->ca_key = EVP_EC_gen("P-256");
	p->server_key = EVP_RSA_gen(2048);
	p->file_key = EVP_EC_gen("P-256");
	assert_true(p->ca_key && p->server_key && p->file_key);
	p->ca = certify(p->ca_key, "test CA", NULL, p->ca_key);
	p->server = certify(p->server_key, "server", p->ca, p->ca_key);
	p->client = certify(key, "tpm client", p->ca, p->ca_key);
	p->file_client = certify(p->file_key, "file client", p->ca, p->ca_key);
	path_in(p->bundle, sizeof(p->bundle), "bundle.pem");
	path_in(p->file_bundle, sizeof(p->file_bundle), "file-bundle.pem");
	write_bundle(p->bundle, p->client, p->ca, NULL);
	write_bundle(p->file_bundle, p->file_client, p->ca, p->file_key);
}

static void pki_done(struct pki *p)
{
	EVP_PKEY_free(p->ca_key);
	EVP_PKEY_free(p->server_key);
	EVP_PKEY_free(p->file_key);
	X509_free(p->ca);
	X509_free(p->server);
	X509_free(p->client);
	X509_free(p->file_client);
}

static SSL_CTX *server_ctx(const struct pki *p)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	assert_int_equal(SSL_CTX_use_certificate(ctx, p->server), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, p->server_key), 1);
	assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), p->ca), 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return ctx;
}

static SSL_CTX *client_ctx(const struct pki *p, const char *bundle)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), p->ca), 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	assert_int_equal(SSL_CTX_use_certificate_chain_file(ctx, bundle), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, bundle, SSL_FILETYPE_PEM), 1);
	assert_int_equal(SSL_CTX_check_private_key(ctx), 1);
	return ctx;
}

/* Returns the common name that the server saw, "" when the handshake failed. Over memory, both ends
 * in turn. */
static void handshake(const struct pki *p, const char *bundle, int version, char seen[static 64])
{
	tg_cleanup(SSL_CTX_freep) SSL_CTX *sctx = server_ctx(p), *cctx = client_ctx(p, bundle);
	tg_cleanup(SSL_freep) SSL *server = SSL_new(sctx), *client = SSL_new(cctx);
	tg_cleanup(X509_freep) X509 *peer = NULL;
	BIO *a = NULL, *b = NULL;

	seen[0] = '\0';
	assert_int_equal(BIO_new_bio_pair(&a, 65536, &b, 65536), 1);
	SSL_set_bio(server, a, a);
	SSL_set_bio(client, b, b);
	assert_int_equal(SSL_set_max_proto_version(client, version), 1);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	for (int i = 0; i < 10 && !(SSL_is_init_finished(server) && SSL_is_init_finished(client));
	     i++) {
		(void) SSL_do_handshake(client);
		(void) SSL_do_handshake(server);
	}
	peer = SSL_get1_peer_certificate(server);
	if (!SSL_is_init_finished(server) || !peer)
		return;
	assert_int_equal(SSL_version(server), version);
	(void) X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, seen, 64);
}

static void tls_clients_are_known_by_the_tpm_key(void **state)
{
	struct pki p = { 0 };
	char seen[64];

	(void) state;
	pki_init(&p);
	handshake(&p, p.bundle, TLS1_3_VERSION, seen);
	assert_string_equal(seen, "tpm client");
	handshake(&p, p.bundle, TLS1_2_VERSION, seen);
	assert_string_equal(seen, "tpm client");
	pki_done(&p);
}

static void keys_in_files_work_beside_it(void **state)
{
	struct pki p = { 0 };
	char seen[64];

	(void) state;
	pki_init(&p);
	handshake(&p, p.file_bundle, TLS1_3_VERSION, seen);
	assert_string_equal(seen, "file client");
	handshake(&p, p.file_bundle, TLS1_2_VERSION, seen);
	assert_string_equal(seen, "file client");
	assert_string_equal(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(p.file_key)), "default");
	pki_done(&p);
}

static void a_damaged_key_says_what_is_wrong(void **state)
{
	tg_autofree char *pem = strdup(key_pem);
	struct tg_fault f;
	int r;

	(void) state;
	/* In the middle of the DER, so that the armour is whole. */
	pem[strlen("-----BEGIN TSS2 PRIVATE KEY-----\n") + 8] ^= 1;
	ERR_clear_error();
	assert_null(read_pem(pem));
	r = tg_provider_error(&f, "reading key.pem");
	assert_true(r == -EBADMSG || r == -EOPNOTSUPP);
	assert_non_null(strstr(f.text, "reading key.pem: TSS2 key: "));
	assert_int_equal(ERR_peek_error(), 0);
}

static void a_missing_tpm_is_named_with_its_errno(void **state)
{
	tg_cleanup(EVP_PKEY_freep) EVP_PKEY *key = tpm_key();
	unsigned long e;
	struct tg_fault f;

	(void) state;
	swtpm_cut(&swtpm);
	ERR_clear_error();
	assert_false(sign_and_verify(key, "SHA256", 0));
	/* What curl prints is this text, without the detail. */
	e = ERR_peek_error();
	assert_string_equal(ERR_reason_error_string(e), "TPM missing or not reachable");
	assert_int_equal(tg_provider_error(&f, "signing"), -ENODEV);
	assert_non_null(strstr(f.text, "cannot reach the TPM"));

	swtpm_start(&swtpm);
	assert_true(sign_and_verify(key, "SHA256", 1));
}

#define THREADS    4
#define SIGNATURES 500

struct signer {
	EVP_PKEY *shared;
	unsigned good;
};

static void *sign_many(void *arg)
{
	struct signer *s = arg;
	tg_cleanup(EVP_PKEY_freep) EVP_PKEY *own = read_pem(key_pem);

	for (unsigned i = 0; own && i < SIGNATURES; i++)
		s->good += sign_and_verify(i % 2 ? own : s->shared, "SHA256", i);
	return NULL;
}

static void four_threads_sign_500_times_each(void **state)
{
	tg_cleanup(EVP_PKEY_freep) EVP_PKEY *shared = tpm_key();
	struct signer signers[THREADS];
	pthread_t threads[THREADS];
	struct tg_tpm_state st;

	(void) state;
	for (unsigned i = 0; i < THREADS; i++) {
		signers[i] = (struct signer){ .shared = shared };
		assert_int_equal(pthread_create(&threads[i], NULL, sign_many, &signers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(signers[i].good, SIGNATURES);
	}
	tg_tpm_state(tpm, &st);
	assert_int_equal(st.error, 0);
	assert_false(st.hung);
}

static void digest_contexts_can_be_copied(void **state)
{
	tg_cleanup(EVP_PKEY_freep) EVP_PKEY *key = tpm_key();
	tg_cleanup(EVP_MD_CTX_freep) EVP_MD_CTX *one = EVP_MD_CTX_new(), *two = EVP_MD_CTX_new();
	unsigned char sig[TG_TPM_SIGNATURE_MAX];
	size_t len = sizeof(sig);

	(void) state;
	assert_int_equal(EVP_DigestSignInit_ex(one, NULL, "SHA256", NULL, NULL, key, NULL), 1);
	assert_int_equal(EVP_DigestSignUpdate(one, "abc", 3), 1);
	assert_int_equal(EVP_MD_CTX_copy_ex(two, one), 1);
	assert_int_equal(EVP_DigestSignUpdate(two, "def", 3), 1);
	assert_int_equal(EVP_DigestSignFinal(two, sig, &len), 1);
	assert_int_equal(EVP_MD_CTX_reset(one), 1);
	assert_int_equal(EVP_DigestVerifyInit_ex(one, NULL, "SHA256", NULL, NULL, key, NULL), 1);
	assert_int_equal(EVP_DigestVerify(one, sig, len, (const unsigned char *) "abcdef", 6), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signs_and_verifies_with_every_digest),
		cmocka_unit_test(a_wrong_signature_does_not_verify),
		cmocka_unit_test(the_private_half_cannot_be_had),
		cmocka_unit_test(a_request_is_signed_and_verifies),
		cmocka_unit_test(tls_clients_are_known_by_the_tpm_key),
		cmocka_unit_test(keys_in_files_work_beside_it),
		cmocka_unit_test(a_damaged_key_says_what_is_wrong),
		cmocka_unit_test(a_missing_tpm_is_named_with_its_errno),
		cmocka_unit_test(digest_contexts_can_be_copied),
		cmocka_unit_test(four_threads_sign_500_times_each),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
