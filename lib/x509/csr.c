/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/csr.h"

#include "x509/csr_internal.h"
#include "x509/key.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

static int to_pem(const X509_REQ *req, char **ret_pem, size_t *ret_len, struct tg_fault *reterr)
{
	tg_cleanup(BIO_freep) BIO *bio = BIO_new(BIO_s_mem());
	const char *text = NULL;
	char *copy;
	long len;

	if (!bio || !PEM_write_bio_X509_REQ(bio, (X509_REQ *) req))
		return tg_x509_fault(reterr, -ENOMEM, "cannot write the request");
	len = BIO_get_mem_data(bio, &text);
	if (len <= 0 || len > TG_CSR_MAX)
		return tg_fault_set(reterr, -EINVAL, "the request is longer than %d bytes",
				    TG_CSR_MAX);
	copy = strndup(text, (size_t) len);
	if (!copy)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	*ret_pem = copy;
	*ret_len = (size_t) len;
	return 0;
}

int tg_csr_read(const char *pem, size_t len, X509_REQ **ret, struct tg_fault *reterr)
{
	tg_cleanup(BIO_freep) BIO *bio = NULL;
	X509_REQ *req;

	if (len > TG_CSR_MAX)
		return tg_fault_set(reterr, -EBADMSG, "the request is longer than %d bytes",
				    TG_CSR_MAX);
	ERR_clear_error();
	bio = BIO_new_mem_buf(pem, (int) len);
	req = bio ? PEM_read_bio_X509_REQ(bio, NULL, tg_key_no_passphrase, NULL) : NULL;
	if (!req)
		return tg_x509_fault(reterr, -EBADMSG, "the request cannot be read");
	*ret = req;
	return 0;
}

static bool same_der(unsigned char *a, int len_a, unsigned char *b, int len_b)
{
	bool same =
		len_a >= 0 && len_a == len_b && (len_a == 0 || memcmp(a, b, (size_t) len_a) == 0);

	OPENSSL_free(a);
	OPENSSL_free(b);
	return same;
}

/* Not by X509_NAME_cmp(), to which "GW" and "gw", or two string types, are the same. */
static bool same_subject(const X509_REQ *a, const X509_REQ *b)
{
	unsigned char *da = NULL, *db = NULL;
	int la = i2d_X509_NAME(X509_REQ_get_subject_name(a), &da),
	    lb = i2d_X509_NAME(X509_REQ_get_subject_name(b), &db);

	return same_der(da, la, db, lb);
}

static bool same_extensions(const X509_REQ *a, const X509_REQ *b)
{
	tg_cleanup(tg_csr_extensions_freep) STACK_OF(X509_EXTENSION) *ea =
		X509_REQ_get_extensions((X509_REQ *) a);
	tg_cleanup(tg_csr_extensions_freep) STACK_OF(X509_EXTENSION) *eb =
		X509_REQ_get_extensions((X509_REQ *) b);
	unsigned char *da = NULL, *db = NULL;
	int la = ea ? i2d_X509_EXTENSIONS(ea, &da) : 0, lb = eb ? i2d_X509_EXTENSIONS(eb, &db) : 0;

	return same_der(da, la, db, lb);
}

/* Which wishes a request was made for, as far as they are extensions. */
static struct tg_csr_wishes wishes_in(const X509_REQ *req)
{
	tg_cleanup(tg_csr_extensions_freep) STACK_OF(X509_EXTENSION) *list =
		X509_REQ_get_extensions((X509_REQ *) req);

	return (struct tg_csr_wishes){
		.key_usage = X509v3_get_ext_by_NID(list, NID_key_usage, -1) >= 0,
		.extended_key_usage = X509v3_get_ext_by_NID(list, NID_ext_key_usage, -1) >= 0,
	};
}

static int check_names(const X509_REQ *req, const struct tg_csr_names *names,
		       struct tg_fault *reterr)
{
	tg_cleanup(X509_REQ_freep) X509_REQ *model = NULL;
	struct tg_csr_wishes wishes = wishes_in(req);
	struct tg_csr_names n = *names;
	int r;

	if (!n.wishes)
		n.wishes = &wishes;
	r = tg_csr_unsigned(&n, &model, reterr);
	if (r < 0)
		return r;
	if (!same_subject(req, model) || !same_extensions(req, model))
		return tg_fault_set(reterr, -ESTALE, "the request has other names");
	return 0;
}

int tg_csr_check(const char *pem, size_t len, const EVP_PKEY *key, const struct tg_csr_names *names,
		 struct tg_fault *reterr)
{
	tg_cleanup(X509_REQ_freep) X509_REQ *req = NULL;
	EVP_PKEY *public;
	int r = tg_csr_read(pem, len, &req, reterr);

	if (r < 0)
		return r;
	public = X509_REQ_get0_pubkey(req);
	if (!public || X509_REQ_verify(req, public) != 1)
		return tg_x509_fault(reterr, -EBADMSG, "the request's signature is wrong");
	if (!tg_key_same(public, key))
		return tg_fault_set(reterr, -ESTALE, "the request is of another key");
	return check_names(req, names, reterr);
}

int tg_csr_make(EVP_PKEY *key, const struct tg_csr_names *names, char **ret_pem,
		struct tg_fault *reterr)
{
	tg_cleanup(X509_REQ_freep) X509_REQ *req = NULL;
	tg_autofree char *pem = NULL;
	size_t len = 0;
	int r = tg_csr_unsigned(names, &req, reterr);

	if (r < 0)
		return r;
	if (!X509_REQ_set_pubkey(req, key))
		return tg_x509_fault(reterr, -EIO, "cannot put the key in the request");
	if (!X509_REQ_sign(req, key, EVP_sha256()))
		return tg_x509_fault(reterr, -EIO, "cannot sign the request");
	r = to_pem(req, &pem, &len, reterr);
	if (r == 0)
		r = tg_csr_check(pem, len, key, names, reterr);
	if (r < 0)
		return r == -EBADMSG || r == -ESTALE ? -EIO : r;
	*ret_pem = tg_take(pem);
	return 0;
}

bool tg_csr_has_challenge(const char *pem, size_t len)
{
	tg_cleanup(X509_REQ_freep) X509_REQ *req = NULL;

	return tg_csr_read(pem, len, &req, NULL) == 0 &&
	       X509_REQ_get_attr_by_NID(req, NID_pkcs9_challengePassword, -1) >= 0;
}
