/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/anchors.h"
#include "x509/certs_only.h"
#include "x509/chain_build.h"

#include <assert.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/*
 * What a hostile server's answer meets on its way to becoming a generation: as the certificate that
 * was asked for, and as what /cacerts delivers. Once as it is, for this key and this root, for which
 * the corpus has answers that pass; and once with keys and signatures made right, as an authority
 * can sign whatever it likes.
 */
static const char key_pem[] = "-----BEGIN PUBLIC KEY-----\n"
			      "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEcKOxgG2jERi2XZooqAxdyfyDrzu4\n"
			      "+i2DVJmPvmTIXRa77UhEV5mDkZVpB28aRdNnWkWLpUmMnEX3HVshnO9Kww==\n"
			      "-----END PUBLIC KEY-----\n";
static const char root_pem[] = "-----BEGIN CERTIFICATE-----\n"
			       "MIIBdDCCARmgAwIBAgIURhSuL6AfwTIe1jViUZBIJssMZcMwCgYIKoZIzj0EAwIw\n"
			       "DzENMAsGA1UEAwwEUm9vdDAeFw0yNjExMjExNzM2NDJaFw0zNjExMTgxNzM2NDJa\n"
			       "MA8xDTALBgNVBAMMBFJvb3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASpS05Y\n"
			       "y330iDoMr9lZT/D8VexIl9vJ2yW+LZf4JaSsnv05sfEEiu87p1UWiRND+I3gHceF\n"
			       "Nj9HnY3nSSM/YTB/o1MwUTAdBgNVHQ4EFgQUN9Llkz2ivaT4y6NMryCEGj1mwYww\n"
			       "HwYDVR0jBBgwFoAUN9Llkz2ivaT4y6NMryCEGj1mwYwwDwYDVR0TAQH/BAUwAwEB\n"
			       "/zAKBggqhkjOPQQDAgNJADBGAiEAoqg3dEQgfEaBbOZfefA2HRHpI3+wmhRSkVmp\n"
			       "e/2dm6gCIQCODM5LmAk3245G0/hlOeP52m9RkNoLy3ELRjHiLHu+iw==\n"
			       "-----END CERTIFICATE-----\n";

#define NOW INT64_C(1795300000)

static void judge(const struct tg_certs *issued, const struct tg_certs *pool, const char *anchors,
		  const EVP_PKEY *key)
{
	const struct tg_chain_rules rules = { .key = key,
					      .anchors_pem = anchors,
					      .anchors_len = strlen(anchors),
					      .now = NOW,
					      .skew_s = TG_CHAIN_SKEW_S };
	tg_cleanup(tg_chain_freep) struct tg_chain *c = NULL;
	tg_autofree char *pem = NULL;
	struct tg_chain_info info;
	struct tg_fault fault = { 0 };
	int r = tg_chain_build(issued, pool, anchors, strlen(anchors), key, NOW, &c, &fault);

	assert(r == 0 || fault.text[0]);
	if (r < 0)
		return;
	r = tg_chain_verify(c, &rules, &fault);
	assert(r >= 0);
	if (r != TG_CHAIN_OK)
		return;
	/* What is to be installed can be written, told of and read again. */
	pem = tg_chain_to_pem(c);
	r = tg_chain_info(c, &info, &fault);
	assert(pem && tg_chain_is_of(c, key));
	if (r == 0) {
		tg_cleanup(tg_chain_freep) struct tg_chain *again = NULL;

		r = tg_chain_parse(pem, strlen(pem), &again, &fault);
		assert(r == 0 || strlen(pem) > TG_CHAIN_BYTES);
	}
}

/* --- well signed ---------------------------------------------------------------------------- */

#define ROWS 4 /* certificates of one answer that are signed anew */

static EVP_PKEY *keys[ROWS + 1]; /* of the certificates, leaf first; the last one is the root's */
static char *signed_root;

static void make_root(void)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *set = tg_certs_new(1);
	X509 *root = X509_new();
	X509_NAME *name = X509_get_subject_name(root);
	int r;

	for (size_t i = 0; i <= ROWS; i++)
		keys[i] = EVP_EC_gen("P-256");
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *) "Signed", -1,
				   -1, 0);
	X509_set_issuer_name(root, name);
	ASN1_TIME_set(X509_getm_notBefore(root), NOW - 1000);
	ASN1_TIME_set(X509_getm_notAfter(root), NOW + 1000000);
	X509_set_pubkey(root, keys[ROWS]);
	X509_sign(root, keys[ROWS], EVP_sha256());
	r = tg_certs_add(set, root, NULL);
	assert(r == 0);
	X509_free(root);
	signed_root = tg_certs_to_pem(set);
}

static void add_signed(struct tg_certs *out, X509 *cert, EVP_PKEY *own, const X509_NAME *issuer,
		       EVP_PKEY *signer)
{
	X509 *copy = X509_dup(cert);
	unsigned char *der = NULL;
	int len = -1, r = 0;

	if (copy && X509_set_pubkey(copy, own) && X509_set_issuer_name(copy, issuer) &&
	    X509_sign(copy, signer, EVP_sha256()) > 0)
		len = i2d_X509(copy, &der);
	/* What cannot be encoded again is left out. */
	if (len > 0)
		r = tg_certs_add_der(out, der, (size_t) len, NULL);
	(void) r;
	OPENSSL_free(der);
	X509_free(copy);
}

/* The authority itself is hostile: the same certificates, each signed by the next, the last by a
 * root that is trusted. */
static void judge_signed(const struct tg_certs *c, size_t turn)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *set = tg_certs_new(ROWS);
	const size_t n = tg_certs_n(c) < ROWS ? tg_certs_n(c) : ROWS;
	struct tg_anchors_base base = { .now_s = NOW, .clock_sure = true, .delivered = set };
	tg_cleanup(tg_anchors_done) struct tg_anchors anchors = TG_ANCHORS_NULL;
	tg_cleanup(tg_certs_freep) struct tg_certs *root = NULL;
	struct tg_fault fault = { 0 };
	int r;

	if (!signed_root)
		make_root();
	r = tg_certs_from_pem(signed_root, strlen(signed_root), 1, &root, NULL);
	assert(r == 0);
	/* The length says which one comes first, as the answer's order is that of its bytes. */
	for (size_t i = 0; i < n; i++) {
		bool last = i + 1 == n;
		X509 *next = last ? tg_certs_get(root, 0) : tg_certs_get(c, (turn + i + 1) % n);

		add_signed(set, tg_certs_get(c, (turn + i) % n), keys[i],
			   X509_get_subject_name(next), keys[last ? ROWS : i + 1]);
	}
	judge(set, NULL, signed_root, keys[0]);
	base.trusted_pem = signed_root;
	base.trusted_len = strlen(signed_root);
	if (tg_anchors_update(&base, &anchors, &fault) == 0)
		judge(set, anchors.pool, anchors.pem, keys[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static EVP_PKEY *key;
	tg_cleanup(tg_certs_freep) struct tg_certs *c = NULL;
	tg_cleanup(tg_anchors_done) struct tg_anchors anchors = TG_ANCHORS_NULL;
	const struct tg_anchors_base base = { .trusted_pem = root_pem,
					      .trusted_len = sizeof(root_pem) - 1,
					      .now_s = NOW,
					      .clock_sure = len & 1 };
	struct tg_anchors_base with = base;
	struct tg_fault fault = { 0 };

	if (!key) {
		BIO *bio = BIO_new_mem_buf(key_pem, -1);

		key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
		BIO_free(bio);
		assert(key);
	}
	if (tg_certs_only_parse(data, len, &c, &fault) < 0)
		return 0;
	judge(c, NULL, root_pem, key);
	with.delivered = c;
	if (tg_anchors_update(&with, &anchors, &fault) == 0)
		judge(c, anchors.pool, anchors.pem, key);
	judge_signed(c, len);
	return 0;
}
