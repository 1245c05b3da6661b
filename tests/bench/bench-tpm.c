/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/parse.h"
#include "tpm/key.h"
#include "tpm/provider.h"
#include "tpm/tpm.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <tss2/tss2_tctildr.h>

#include <string.h>
#include <time.h>

/*
 * What our way to the TPM adds to the TPM's own time: bare load, sign and flush by ESYS; the same through the provider;
 * the client's part of a TLS 1.3 handshake with the TPM's key, and with a key in a file.
 *
 *	bench-tpm TCTI [ROUNDS]
 *
 * One line a measurement: name, median and 95th percentile in milliseconds. The last line is the promise: a handshake
 * costs at most 2 ms more than bare load, sign and flush, with the file's handshake for comparison.
 */
#define ROUNDS_MAX 10000

static _Noreturn void die(const char *what, const struct tg_fault *f)
{
	(void) fprintf(stderr, "bench-tpm: %s: %s\n", what, f ? f->text : "failed");
	exit(1);
}

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x))                                                                          \
			die(#x, NULL);                                                             \
	} while (0)

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void) clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

	return x < y ? -1 : x > y;
}

/* Runs @fn @n times after a warm-up, prints the line, returns the median in milliseconds. @fn returns what it took. */
static double measure(const char *name, size_t n, uint64_t (*fn)(void *), void *arg)
{
	uint64_t *took = calloc(n, sizeof(*took));
	double median;

	MUST(took);
	for (size_t i = 0; i < 5; i++)
		(void) fn(arg);
	for (size_t i = 0; i < n; i++)
		took[i] = fn(arg);
	qsort(took, n, sizeof(*took), compare);
	median = (double) took[n / 2] / 1e6;
	(void) printf("%-28s median %8.3f ms   p95 %8.3f ms\n", name, median,
		      (double) took[n * 95 / 100] / 1e6);
	free(took);
	return median;
}

struct bare {
	ESYS_CONTEXT *esys;
	ESYS_TR parent;
	const struct tg_tpm_blob *blob;
};

static uint64_t bare_sign(void *arg)
{
	const struct bare *b = arg;
	const TPMT_SIG_SCHEME scheme = { .scheme = TPM2_ALG_ECDSA,
					 .details.ecdsa.hashAlg = TPM2_ALG_SHA256 };
	const TPMT_TK_HASHCHECK ticket = { .tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL };
	const TPM2B_DIGEST digest = { .size = 32 };
	TPMT_SIGNATURE *sig = NULL;
	uint64_t start = now_ns();
	ESYS_TR key;

	MUST(!Esys_Load(b->esys, b->parent, ESYS_TR_PASSWORD, TG_TPM_NONE, TG_TPM_NONE,
			&b->blob->priv, &b->blob->pub, &key));
	MUST(!Esys_Sign(b->esys, key, ESYS_TR_PASSWORD, TG_TPM_NONE, TG_TPM_NONE, &digest, &scheme,
			&ticket, &sig));
	MUST(!Esys_FlushContext(b->esys, key));
	Esys_Free(sig);
	return now_ns() - start;
}

static double measure_bare(const char *tcti, const struct tg_tpm_key *key, size_t n)
{
	TSS2_TCTI_CONTEXT *transport = NULL;
	struct bare b = { .blob = tg_tpm_key_blob(key) };
	double median;

	MUST(!Tss2_TctiLdr_Initialize(tcti, &transport));
	MUST(!Esys_Initialize(&b.esys, transport, NULL));
	MUST(!Esys_TR_FromTPMPublic(b.esys, b.blob->parent, TG_TPM_NONE, TG_TPM_NONE, TG_TPM_NONE,
				    &b.parent));
	median = measure("bare load+sign+flush", n, bare_sign, &b);
	Esys_Finalize(&b.esys);
	Tss2_TctiLdr_Finalize(&transport);
	return median;
}

static uint64_t provider_sign(void *arg)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char sig[TG_TPM_SIGNATURE_MAX];
	size_t len = sizeof(sig);
	uint64_t start = now_ns();

	MUST(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, arg, NULL) == 1);
	MUST(EVP_DigestSign(ctx, sig, &len, (const unsigned char *) "message", 7) == 1);
	EVP_MD_CTX_free(ctx);
	return now_ns() - start;
}

static X509 *self_signed(EVP_PKEY *key)
{
	X509 *crt = X509_new();

	MUST(crt && X509_set_version(crt, X509_VERSION_3) &&
	     ASN1_INTEGER_set(X509_get_serialNumber(crt), 1));
	MUST(X509_gmtime_adj(X509_getm_notBefore(crt), -3600) &&
	     X509_gmtime_adj(X509_getm_notAfter(crt), 3600));
	MUST(X509_NAME_add_entry_by_txt(X509_get_subject_name(crt), "CN", MBSTRING_ASC,
					(const unsigned char *) "bench", -1, -1, 0));
	MUST(X509_set_issuer_name(crt, X509_get_subject_name(crt)) && X509_set_pubkey(crt, key));
	MUST(X509_sign(crt, key, EVP_sha256()) > 0);
	return crt;
}

static int accept_any(int ok, X509_STORE_CTX *ctx)
{
	(void) ok;
	(void) ctx;
	return 1;
}

struct pair {
	SSL_CTX *server, *client;
};

static SSL_CTX *end(const SSL_METHOD *method, EVP_PKEY *key)
{
	SSL_CTX *ctx = SSL_CTX_new(method);
	X509 *crt = self_signed(key);

	MUST(ctx && SSL_CTX_use_certificate(ctx, crt) == 1 &&
	     SSL_CTX_use_PrivateKey(ctx, key) == 1);
	MUST(SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
	X509_free(crt);
	return ctx;
}

/* Only the client's part counts: the other end is another machine. */
static uint64_t handshake(void *arg)
{
	const struct pair *p = arg;
	SSL *server = SSL_new(p->server), *client = SSL_new(p->client);
	BIO *a = NULL, *b = NULL;
	uint64_t took = 0;

	MUST(server && client && BIO_new_bio_pair(&a, 65536, &b, 65536) == 1);
	SSL_set_bio(server, a, a);
	SSL_set_bio(client, b, b);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	for (int i = 0; i < 10 && !(SSL_is_init_finished(server) && SSL_is_init_finished(client));
	     i++) {
		uint64_t start = now_ns();

		(void) SSL_do_handshake(client);
		took += now_ns() - start;
		(void) SSL_do_handshake(server);
	}
	MUST(SSL_is_init_finished(server) && SSL_is_init_finished(client));
	SSL_free(server);
	SSL_free(client);
	return took;
}

static double measure_handshake(const char *name, EVP_PKEY *key, size_t n)
{
	EVP_PKEY *server_key = EVP_EC_gen("P-256");
	struct pair p = { .server = end(TLS_server_method(), server_key),
			  .client = end(TLS_client_method(), key) };
	double median = measure(name, n, handshake, &p);

	SSL_CTX_free(p.server);
	SSL_CTX_free(p.client);
	EVP_PKEY_free(server_key);
	return median;
}

static EVP_PKEY *as_pkey(const char *pem)
{
	BIO *in = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);

	BIO_free(in);
	MUST(key);
	return key;
}

static void run(struct tg_tpm *tpm, const char *tcti, size_t n)
{
	tg_autofree char *pem = NULL;
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = NULL;
	EVP_PKEY *pkey, *file = EVP_EC_gen("P-256");
	struct tg_fault f;
	double bare, by_tpm, by_file;

	if (tg_provider_builtin(tpm, &f) < 0 ||
	    tg_tpm_ensure_srk(tpm, TG_TPM_SRK_DEFAULT, &f) < 0 ||
	    tg_tpm_create_key(tpm, TG_TPM_SRK_DEFAULT, &pem, &f) < 0 ||
	    tg_tpm_key_from_pem(pem, strlen(pem), &key, &f) < 0)
		die("key", &f);
	pkey = as_pkey(pem);

	bare = measure_bare(tcti, key, n);
	(void) measure("provider sign", n, provider_sign, pkey);
	(void) measure("file sign", n, provider_sign, file);
	by_tpm = measure_handshake("handshake, key in the TPM", pkey, n);
	by_file = measure_handshake("handshake, key in a file", file, n);
	(void) printf("handshake over bare TPM time: %.3f ms (limit 2; with a file key the "
		      "handshake is %.3f)\n",
		      by_tpm - bare, by_file);
	EVP_PKEY_free(pkey);
	EVP_PKEY_free(file);
}

int main(int argc, char *argv[])
{
	struct tg_tpm_options o = { .timeout_us = 10 * TG_US_PER_S };
	struct tg_tpm *tpm = NULL;
	uint64_t n = 200;
	struct tg_fault f;

	if (argc < 2 || argc > 3 ||
	    (argc == 3 && (tg_parse_u64(argv[2], &n) < 0 || n == 0 || n > ROUNDS_MAX))) {
		(void) fprintf(stderr, "usage: bench-tpm TCTI [ROUNDS]\n");
		return 2;
	}
	o.tcti = argv[1];
	if (tg_tpm_new(&o, &tpm, &f) < 0)
		die("TPM", &f);
	run(tpm, argv[1], (size_t) n);
	tg_tpm_free(tpm);
	return 0;
}
