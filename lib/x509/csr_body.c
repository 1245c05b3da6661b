/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/csr.h"

#include "x509/csr_internal.h"
#include "x509/key.h"
#include "x509/transfer.h"

#include <errno.h>
#include <string.h>

/* In DER: ecdsa-with-SHA256 as AlgorithmIdentifier, and a P-256 signature as BIT STRING. Each of its
 * two numbers has 33 bytes or 32, as its first bit is set or not: 72, 71 or 70 bytes, in proportions
 * of 1 : 2 : 1, and seldom less. */
#define ALGORITHM_BYTES 12
#define SIGNATURE_BYTES (3 + 71)

int tg_csr_body(const char *pem, size_t len, char **ret, struct tg_fault *reterr)
{
	tg_cleanup(X509_REQ_freep) X509_REQ *req = NULL;
	unsigned char *der = NULL;
	char *text;
	int r = tg_csr_read(pem, len, &req, reterr), n;

	if (r < 0)
		return r;
	n = i2d_X509_REQ(req, &der);
	if (n <= 0)
		return tg_x509_fault(reterr, -ENOMEM, "cannot write the request");
	text = tg_transfer_encode(der, (size_t) n);
	OPENSSL_free(der);
	if (!text)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	*ret = text;
	return 0;
}

int tg_csr_body_size(const EVP_PKEY *key, const struct tg_csr_names *names, size_t challenge_len,
		     size_t *ret, struct tg_fault *reterr)
{
	tg_cleanup(X509_REQ_freep) X509_REQ *req = NULL;
	char challenge[TG_CSR_CHALLENGE + 1] = { 0 };
	struct tg_csr_names n = *names;
	int r, tbs, size;

	if (challenge_len > TG_CSR_CHALLENGE)
		return tg_fault_set(reterr, -EINVAL, "a challenge of %zu characters",
				    challenge_len);
	memset(challenge, 'A', challenge_len);
	n.challenge = challenge_len ? challenge : NULL;
	r = tg_csr_unsigned(&n, &req, reterr);
	if (r < 0)
		return r;
	if (!X509_REQ_set_pubkey(req, (EVP_PKEY *) key))
		return tg_x509_fault(reterr, -EIO, "cannot put the key in the request");
	tbs = i2d_re_X509_REQ_tbs(req, NULL);
	size = tbs > 0 ? ASN1_object_size(1, tbs + ALGORITHM_BYTES + SIGNATURE_BYTES,
					  V_ASN1_SEQUENCE)
		       : -1;
	if (size < 0)
		return tg_x509_fault(reterr, -EIO, "cannot tell the request's length");
	*ret = tg_transfer_size((size_t) size);
	return 0;
}

static int body_fits(const char *pem, size_t body_size, bool *ret, struct tg_fault *reterr)
{
	tg_autofree char *body = NULL;
	int r = tg_csr_body(pem, strlen(pem), &body, reterr);

	if (r == 0)
		*ret = strlen(body) == body_size;
	return r;
}

int tg_csr_make_sized(EVP_PKEY *key, const struct tg_csr_names *names, size_t body_size,
		      char **ret_pem, struct tg_fault *reterr)
{
	size_t usual = 0;
	int r = tg_csr_body_size(key, names, names->challenge ? strlen(names->challenge) : 0,
				 &usual, reterr);

	if (r < 0)
		return r;
	/* Not worth the signatures: a size that is never or hardly ever met. */
	if (usual != body_size)
		return tg_fault_set(reterr, -EMSGSIZE,
				    "the request has %zu bytes instead of the %zu announced", usual,
				    body_size);
	for (unsigned i = 0; i < TG_CSR_TRIES; i++) {
		tg_autofree char *pem = NULL;
		bool fits = false;

		r = tg_csr_make(key, names, &pem, reterr);
		if (r == 0)
			r = body_fits(pem, body_size, &fits, reterr);
		if (r < 0)
			return r;
		if (fits) {
			*ret_pem = tg_take(pem);
			return 0;
		}
	}
	return tg_fault_set(reterr, -EMSGSIZE, "no request of %zu bytes in %d signatures",
			    body_size, TG_CSR_TRIES);
}
