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
 * What our way to the TPM adds to the TPM's own time.
 *
 *	bench-tpm TCTI [ROUNDS]
 *
 * In every round, one after the other, so that a machine whose load changes is unfair to none: bare load, sign and flush
 * by ESYS; a signature by the provider; the client's part of TLS handshakes with a client certificate, over a pair of BIOs,
 * each version with the key in a file and with the key in the TPM. Prints median and 95th percentile of each in
 * milliseconds, then for each version what the TPM's handshake costs beyond the file's and beyond bare load, sign and
 * flush, by the medians. Exits 1 when that is more than LIMIT_MS.
 */
#define LIMIT_MS   2.0
#define WARM_UP    5
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

struct job {
	const char *name;
	uint64_t (*run)(void *arg); /* returns the nanoseconds that count */
	void *arg;
	uint64_t *took;
	double median_ms; /* set by summarise() */
};

static void summarise(struct job *j, size_t n)
{
	qsort(j->took, n, sizeof(*j->took), compare);
	j->median_ms = (double) j->took[n / 2] / 1e6;
	(void) printf("   %-26s median %7.3f ms   p95 %7.3f ms   n %zu\n", j->name, j->median_ms,
		      (double) j->took[n * 95 / 100] / 1e6, n);
}

static void measure(struct job *jobs, size_t n_jobs, size_t rounds)
{
	for (size_t j = 0; j < n_jobs; j++) {
		jobs[j].took = calloc(rounds, sizeof(*jobs[j].took));
		MUST(jobs[j].took);
	}
	for (size_t i = 0; i < rounds + WARM_UP; i++) {
		for (size_t j = 0; j < n_jobs; j++) {
			uint64_t took = jobs[j].run(jobs[j].arg);

			if (i >= WARM_UP)
				jobs[j].took[i - WARM_UP] = took;
		}
	}
	for (size_t j = 0; j < n_jobs; j++) {
		summarise(&jobs[j], rounds);
		free(jobs[j].took);
	}
}

struct bare {
	TSS2_TCTI_CONTEXT *transport;
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

static void bare_open(struct bare *b, const char *tcti, const struct tg_tpm_key *key)
{
	*b = (struct bare){ .blob = tg_tpm_key_blob(key) };
	MUST(!Tss2_TctiLdr_Initialize(tcti, &b->transport));
	MUST(!Esys_Initialize(&b->esys, b->transport, NULL));
	MUST(!Esys_TR_FromTPMPublic(b->esys, b->blob->parent, TG_TPM_NONE, TG_TPM_NONE, TG_TPM_NONE,
				    &b->parent));
}

static void bare_close(struct bare *b)
{
	Esys_Finalize(&b->esys);
	Tss2_TctiLdr_Finalize(&b->transport);
}

static uint64_t evp_sign(void *arg)
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

static SSL_CTX *end(const SSL_METHOD *method, int version, EVP_PKEY *key)
{
	SSL_CTX *ctx = SSL_CTX_new(method);
	X509 *crt = self_signed(key);

	MUST(ctx && SSL_CTX_use_certificate(ctx, crt) == 1 &&
	     SSL_CTX_use_PrivateKey(ctx, key) == 1);
	MUST(SSL_CTX_set_min_proto_version(ctx, version) == 1 &&
	     SSL_CTX_set_max_proto_version(ctx, version) == 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
	/* Every connection of the agent is a whole handshake. */
	(void) SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void) SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	X509_free(crt);
	return ctx;
}

static struct pair pair_new(int version, EVP_PKEY *server, EVP_PKEY *client)
{
	return (struct pair){ .server = end(TLS_server_method(), version, server),
			      .client = end(TLS_client_method(), version, client) };
}

static void pair_free(struct pair *p)
{
	SSL_CTX_free(p->server);
	SSL_CTX_free(p->client);
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

static EVP_PKEY *as_pkey(const char *pem)
{
	BIO *in = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);

	BIO_free(in);
	MUST(key);
	return key;
}

/* Whether the promise is kept. */
static bool verdict(const char *version, const struct job *bare, const struct job *file,
		    const struct job *tpm)
{
	double over = tpm->median_ms - file->median_ms - bare->median_ms;

	(void) printf("   %s: %.3f ms more than a file key's handshake and bare load, sign, flush "
		      "(limit %.0f)\n",
		      version, over, LIMIT_MS);
	return over <= LIMIT_MS;
}

static bool measure_all(const char *tcti, const struct tg_tpm_key *key, EVP_PKEY *tpm, size_t n)
{
	EVP_PKEY *file = EVP_EC_gen("P-256"), *server = EVP_EC_gen("P-256");
	struct pair file13 = pair_new(TLS1_3_VERSION, server, file);
	struct pair file12 = pair_new(TLS1_2_VERSION, server, file);
	struct pair tpm13 = pair_new(TLS1_3_VERSION, server, tpm);
	struct pair tpm12 = pair_new(TLS1_2_VERSION, server, tpm);
	struct bare bare;
	struct job jobs[] = {
		{ .name = "bare load, sign, flush", .run = bare_sign, .arg = &bare },
		{ .name = "sign, key in a file", .run = evp_sign, .arg = file },
		{ .name = "sign, key in the TPM", .run = evp_sign, .arg = tpm },
		{ .name = "TLS 1.3, key in a file", .run = handshake, .arg = &file13 },
		{ .name = "TLS 1.3, key in the TPM", .run = handshake, .arg = &tpm13 },
		{ .name = "TLS 1.2, key in a file", .run = handshake, .arg = &file12 },
		{ .name = "TLS 1.2, key in the TPM", .run = handshake, .arg = &tpm12 },
	};
	bool kept;

	bare_open(&bare, tcti, key);
	measure(jobs, TG_ARRAY_SIZE(jobs), n);
	bare_close(&bare);
	kept = verdict("TLS 1.3", &jobs[0], &jobs[3], &jobs[4]);
	kept &= verdict("TLS 1.2", &jobs[0], &jobs[5], &jobs[6]);
	pair_free(&file13);
	pair_free(&file12);
	pair_free(&tpm13);
	pair_free(&tpm12);
	EVP_PKEY_free(file);
	EVP_PKEY_free(server);
	return kept;
}

static bool run(struct tg_tpm *tpm, const char *tcti, size_t n)
{
	tg_autofree char *pem = NULL;
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = NULL;
	EVP_PKEY *pkey;
	struct tg_fault f;
	bool kept;

	if (tg_provider_builtin(tpm, &f) < 0 ||
	    tg_tpm_ensure_srk(tpm, TG_TPM_SRK_DEFAULT, &f) < 0 ||
	    tg_tpm_create_key(tpm, TG_TPM_SRK_DEFAULT, &pem, &f) < 0 ||
	    tg_tpm_key_from_pem(pem, strlen(pem), &key, &f) < 0)
		die("key", &f);
	pkey = as_pkey(pem);
	kept = measure_all(tcti, key, pkey, n);
	EVP_PKEY_free(pkey);
	return kept;
}

int main(int argc, char *argv[])
{
	struct tg_tpm_options o = { .timeout_us = 10 * TG_US_PER_S };
	struct tg_tpm *tpm = NULL;
	uint64_t n = 500;
	bool kept;
	struct tg_fault f;

	if (argc < 2 || argc > 3 ||
	    (argc == 3 && (tg_parse_u64(argv[2], &n) < 0 || n == 0 || n > ROUNDS_MAX))) {
		(void) fprintf(stderr, "usage: bench-tpm TCTI [ROUNDS]\n");
		return 2;
	}
	o.tcti = argv[1];
	if (tg_tpm_new(&o, &tpm, &f) < 0)
		die("TPM", &f);
	kept = run(tpm, argv[1], (size_t) n);
	tg_tpm_free(tpm);
	return kept ? 0 : 1;
}
