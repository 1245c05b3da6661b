/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/chain.h"

#include "x509/chain_internal.h"
#include "x509/issuer.h"
#include "x509/key.h"
#include "x509/subject.h"
#include "x509/when.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#define BEGIN  "-----BEGIN CERTIFICATE-----"
#define END    "-----END CERTIFICATE-----"
#define BLANKS " \t\r\n"

TG_DEFINE_CLEANUP(BIO *, BIO_free)
TG_DEFINE_CLEANUP(BIGNUM *, BN_free)

static int parse_one(struct tg_chain *c, const char *pem, size_t len, struct tg_fault *reterr)
{
	tg_cleanup(BIO_freep) BIO *bio = NULL;
	X509 *cert;

	if (c->n == TG_CHAIN_CERTS)
		return tg_fault_set(reterr, -EFBIG, "more than %d certificates", TG_CHAIN_CERTS);
	bio = BIO_new_mem_buf(pem, (int) len);
	if (!bio)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	ERR_clear_error();
	cert = PEM_read_bio_X509(bio, NULL, tg_key_no_passphrase, NULL);
	if (!cert) {
		char what[48];

		(void) snprintf(what, sizeof(what), "certificate %zu cannot be read", c->n + 1);
		return tg_x509_fault(reterr, -EBADMSG, what);
	}
	c->certs[c->n++] = cert;
	return 0;
}

static size_t blanks(const char *p, size_t len)
{
	size_t n = 0;

	while (n < len && p[n] && strchr(BLANKS, p[n]))
		n++;
	return n;
}

static int parse_blocks(struct tg_chain *c, const char *p, size_t len, struct tg_fault *reterr)
{
	for (;;) {
		size_t skip = blanks(p, len), block;
		const char *end;
		int r;

		p += skip;
		len -= skip;
		if (len == 0)
			return 0;
		if (len < sizeof(BEGIN) - 1 || memcmp(p, BEGIN, sizeof(BEGIN) - 1) != 0)
			return tg_fault_set(reterr, -EBADMSG,
					    "something that is not a certificate %s certificate "
					    "%zu",
					    c->n ? "behind" : "in the place of",
					    c->n ? c->n : (size_t) 1);
		end = memmem(p, len, END, sizeof(END) - 1);
		if (!end)
			return tg_fault_set(reterr, -EBADMSG, "certificate %zu is cut short",
					    c->n + 1);
		block = (size_t) (end - p) + sizeof(END) - 1;
		r = parse_one(c, p, block, reterr);
		if (r < 0)
			return r;
		p += block;
		len -= block;
	}
}

int tg_chain_parse(const char *pem, size_t len, struct tg_chain **ret, struct tg_fault *reterr)
{
	tg_cleanup(tg_chain_freep) struct tg_chain *c = NULL;
	int r;

	if (len > TG_CHAIN_BYTES)
		return tg_fault_set(reterr, -EFBIG, "certificates longer than %u bytes",
				    TG_CHAIN_BYTES);
	/* Looked for first: a key on the wire is worse than junk, and must not be quoted anywhere.
	 */
	if (memmem(pem, len, "PRIVATE KEY", 11))
		return tg_fault_set(reterr, -EBADMSG, "a private key among the certificates");
	c = calloc(1, sizeof(*c));
	if (!c)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	r = parse_blocks(c, pem, len, reterr);
	if (r < 0)
		return r;
	if (c->n == 0)
		return tg_fault_set(reterr, -EBADMSG, "no certificate");
	*ret = tg_take(c);
	return 0;
}

int tg_chain_parse_file(const char *pem, size_t len, struct tg_chain **ret, struct tg_fault *reterr)
{
	tg_cleanup(tg_chain_freep) struct tg_chain *c = calloc(1, sizeof(*c));
	const char *end = pem + len, *p = pem;

	if (!c)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	while ((p = memmem(p, (size_t) (end - p), BEGIN, sizeof(BEGIN) - 1))) {
		const char *last = memmem(p, (size_t) (end - p), END, sizeof(END) - 1);
		int r;

		if (!last)
			return tg_fault_set(reterr, -EBADMSG, "certificate %zu is cut short",
					    c->n + 1);
		last += sizeof(END) - 1;
		r = parse_one(c, p, (size_t) (last - p), reterr);
		if (r < 0)
			return r;
		p = last;
	}
	if (c->n == 0)
		return tg_fault_set(reterr, -EBADMSG, "no certificate in there");
	*ret = tg_take(c);
	return 0;
}

struct tg_chain *tg_chain_free(struct tg_chain *c)
{
	if (c) {
		for (size_t i = 0; i < c->n; i++)
			X509_free(c->certs[i]);
		free(c);
	}
	return NULL;
}

static void swap(struct tg_chain *c, size_t a, size_t b)
{
	X509 *cert = c->certs[a];

	c->certs[a] = c->certs[b];
	c->certs[b] = cert;
}

static void drop(struct tg_chain *c, size_t from)
{
	while (c->n > from)
		X509_free(c->certs[--c->n]);
}

static int find_leaf(const struct tg_chain *c, const EVP_PKEY *key, size_t *ret,
		     struct tg_fault *reterr)
{
	size_t leaf = TG_CHAIN_CERTS;

	for (size_t i = 0; i < c->n; i++) {
		if (!tg_key_same(X509_get0_pubkey(c->certs[i]), key))
			continue;
		if (leaf < TG_CHAIN_CERTS && X509_cmp(c->certs[leaf], c->certs[i]) != 0)
			return tg_fault_set(reterr, -EEXIST,
					    "two different certificates for our key");
		leaf = i;
	}
	if (leaf == TG_CHAIN_CERTS)
		return tg_fault_set(reterr, -ENOENT, "no certificate for our key");
	*ret = leaf;
	return 0;
}

/*
 * Where the issuer of @cert is behind @from: by its signature, else by its name, so that the judge
 * can say that a signature is wrong. c->n when it is not there.
 */
static size_t find_issuer(const struct tg_chain *c, X509 *cert, size_t from)
{
	size_t named = c->n;

	for (size_t i = from; i < c->n; i++) {
		if (tg_issuer_self(c->certs[i]))
			continue;
		if (tg_issuer_signed(c->certs[i], cert))
			return i;
		if (named == c->n && X509_check_issued(c->certs[i], cert) == X509_V_OK)
			named = i;
	}
	return named;
}

int tg_chain_order(struct tg_chain *c, const EVP_PKEY *key, struct tg_fault *reterr)
{
	size_t leaf = 0, last = 0;
	int r = find_leaf(c, key, &leaf, reterr);

	if (r < 0)
		return r;
	swap(c, 0, leaf);
	/* Each round uses one certificate up, so certificates that sign each other in a ring end it
	 * too. What signed itself needs nobody. */
	while (!tg_issuer_self(c->certs[last])) {
		size_t issuer = find_issuer(c, c->certs[last], last + 1);

		if (issuer == c->n)
			break;
		swap(c, ++last, issuer);
	}
	drop(c, last + 1);
	ERR_clear_error();
	return 0;
}

bool tg_chain_is_of(const struct tg_chain *c, const EVP_PKEY *key)
{
	return tg_key_same(X509_get0_pubkey(c->certs[0]), key);
}

char *tg_chain_to_pem(const struct tg_chain *c)
{
	tg_cleanup(BIO_freep) BIO *bio = BIO_new(BIO_s_mem());
	const char *text = NULL;
	long len;

	for (size_t i = 0; i < c->n; i++)
		if (!bio || !PEM_write_bio_X509(bio, c->certs[i]))
			return NULL;
	len = BIO_get_mem_data(bio, &text);
	return len > 0 ? strndup(text, (size_t) len) : NULL;
}

static int serial_text(const X509 *cert, char *out, size_t size, struct tg_fault *reterr)
{
	tg_cleanup(BN_freep) BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char *hex = bn ? BN_bn2hex(bn) : NULL;
	int n = hex ? snprintf(out, size, "%s", hex) : -1;

	OPENSSL_free(hex);
	if (n < 0 || (size_t) n >= size)
		return tg_fault_set(reterr, -EBADMSG, "the serial number is longer than %zu digits",
				    size - 1);
	return 0;
}

static int fingerprint_text(const X509 *cert, char out[static 65], struct tg_fault *reterr)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (!X509_digest(cert, EVP_sha256(), md, &len) || len != 32)
		return tg_x509_fault(reterr, -EIO, "cannot compute the fingerprint");
	for (unsigned i = 0; i < len; i++)
		(void) snprintf(out + (size_t) 2 * i, 3, "%02x", md[i]);
	return 0;
}

int tg_chain_info(const struct tg_chain *c, struct tg_chain_info *ret, struct tg_fault *reterr)
{
	struct tg_chain_info info = { .certificates = c->n };
	const X509 *leaf = c->certs[0];
	int r = tg_subject_print(X509_get_subject_name(leaf), info.subject, sizeof(info.subject), reterr);

	if (r == 0)
		r = tg_subject_print(X509_get_issuer_name(leaf), info.issuer, sizeof(info.issuer), reterr);
	if (r == 0)
		r = serial_text(leaf, info.serial, sizeof(info.serial), reterr);
	if (r == 0)
		r = fingerprint_text(leaf, info.fingerprint, reterr);
	if (r < 0)
		return r;
	if (tg_when(X509_get0_notBefore(leaf), &info.not_before) < 0 ||
	    tg_when(X509_get0_notAfter(leaf), &info.not_after) < 0)
		return tg_fault_set(reterr, -EBADMSG, "its validity cannot be read");
	*ret = info;
	return 0;
}
