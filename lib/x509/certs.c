/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/certs.h"

#include "x509/key.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

TG_DEFINE_CLEANUP(BIO *, BIO_free)
TG_DEFINE_CLEANUP(X509 *, X509_free)

struct tg_certs {
	size_t n, max;
	struct {
		X509 *cert; /* owned */
		uint8_t sha256[TG_CERT_SHA256];
	} items[];
};

struct tg_certs *tg_certs_new(size_t max)
{
	struct tg_certs *c;

	assert(max > 0 && max <= SIZE_MAX / sizeof(c->items[0]) - 1);
	c = calloc(1, sizeof(*c) + max * sizeof(c->items[0]));
	if (c)
		c->max = max;
	return c;
}

struct tg_certs *tg_certs_free(struct tg_certs *c)
{
	if (c) {
		for (size_t i = 0; i < c->n; i++)
			X509_free(c->items[i].cert);
		free(c);
	}
	return NULL;
}

int tg_cert_sha256(const X509 *cert, uint8_t ret[static TG_CERT_SHA256])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (X509_digest(cert, EVP_sha256(), md, &len) != 1 || len != TG_CERT_SHA256) {
		ERR_clear_error();
		return -EIO;
	}
	memcpy(ret, md, TG_CERT_SHA256);
	return 0;
}

X509 *tg_certs_find(const struct tg_certs *c, const uint8_t sha256[static TG_CERT_SHA256])
{
	for (size_t i = 0; i < tg_certs_n(c); i++)
		if (memcmp(c->items[i].sha256, sha256, TG_CERT_SHA256) == 0)
			return c->items[i].cert;
	return NULL;
}

int tg_certs_add(struct tg_certs *c, X509 *cert, struct tg_fault *reterr)
{
	uint8_t sha256[TG_CERT_SHA256];

	if (tg_cert_sha256(cert, sha256) < 0)
		return tg_fault_set(reterr, -ENOMEM, "cannot compute a certificate's fingerprint");
	if (tg_certs_find(c, sha256))
		return 0;
	if (c->n == c->max)
		return tg_fault_set(reterr, -EFBIG, "more than %zu certificates", c->max);
	if (!X509_up_ref(cert))
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	c->items[c->n].cert = cert;
	memcpy(c->items[c->n++].sha256, sha256, TG_CERT_SHA256);
	return 0;
}

int tg_certs_add_der(struct tg_certs *c, const uint8_t *der, size_t len, struct tg_fault *reterr)
{
	tg_cleanup(X509_freep) X509 *cert = NULL;
	const unsigned char *p = der;

	if (len > TG_CERTS_PEM_BYTES)
		return tg_fault_set(reterr, -EFBIG, "a certificate longer than %u bytes",
				    TG_CERTS_PEM_BYTES);
	ERR_clear_error();
	cert = d2i_X509(NULL, &p, (long) len);
	if (!cert)
		return tg_x509_fault(reterr, -EBADMSG, "a certificate cannot be read");
	if (p != der + len)
		return tg_fault_set(reterr, -EBADMSG, "%zu bytes behind a certificate",
				    (size_t) (der + len - p));
	return tg_certs_add(c, cert, reterr);
}

static int add_pem(struct tg_certs *c, BIO *bio, struct tg_fault *reterr)
{
	for (size_t n = 1;; n++) {
		tg_cleanup(X509_freep) X509 *cert =
			PEM_read_bio_X509(bio, NULL, tg_key_no_passphrase, NULL);
		char what[48];
		int r;

		if (cert) {
			r = tg_certs_add(c, cert, reterr);
			if (r < 0)
				return r;
			continue;
		}
		if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
			ERR_clear_error();
			return c->n ? 0 : tg_fault_set(reterr, -EBADMSG, "no certificate in there");
		}
		(void) snprintf(what, sizeof(what), "certificate %zu cannot be read", n);
		return tg_x509_fault(reterr, -EBADMSG, what);
	}
}

int tg_certs_from_pem(const char *pem, size_t len, size_t max, struct tg_certs **ret,
		      struct tg_fault *reterr)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *c = NULL;
	tg_cleanup(BIO_freep) BIO *bio = NULL;
	int r;

	if (len > TG_CERTS_PEM_BYTES)
		return tg_fault_set(reterr, -EFBIG, "certificates longer than %u bytes",
				    TG_CERTS_PEM_BYTES);
	c = tg_certs_new(max);
	bio = BIO_new_mem_buf(pem, (int) len);
	if (!c || !bio)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	ERR_clear_error();
	r = add_pem(c, bio, reterr);
	if (r == 0)
		*ret = tg_take(c);
	return r;
}

size_t tg_certs_n(const struct tg_certs *c)
{
	return c ? c->n : 0;
}

X509 *tg_certs_get(const struct tg_certs *c, size_t i)
{
	assert(i < tg_certs_n(c));
	return c->items[i].cert;
}

char *tg_certs_to_pem(const struct tg_certs *c)
{
	tg_cleanup(BIO_freep) BIO *bio = BIO_new(BIO_s_mem());
	const char *text = NULL;
	long len;

	if (!bio)
		return NULL;
	for (size_t i = 0; i < tg_certs_n(c); i++)
		if (!PEM_write_bio_X509(bio, c->items[i].cert)) {
			ERR_clear_error();
			return NULL;
		}
	len = BIO_get_mem_data(bio, &text);
	return len > 0 ? strndup(text, (size_t) len) : strdup("");
}
