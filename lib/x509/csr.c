/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/csr.h"

#include "x509/key.h"
#include "x509/subject.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#define DNS_NAME_MAX  253
#define DNS_LABEL_MAX 63

TG_DEFINE_CLEANUP(BIO *, BIO_free)
TG_DEFINE_CLEANUP(X509_REQ *, X509_REQ_free)
TG_DEFINE_CLEANUP(X509_NAME *, X509_NAME_free)
TG_DEFINE_CLEANUP(GENERAL_NAME *, GENERAL_NAME_free)
TG_DEFINE_CLEANUP(GENERAL_NAMES *, GENERAL_NAMES_free)

static void extensions_freep(STACK_OF(X509_EXTENSION) * *p)
{
	sk_X509_EXTENSION_pop_free(*p, X509_EXTENSION_free);
}

static bool is_label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

static bool is_dns_name(const char *name)
{
	size_t label = 0, len = strlen(name);

	if (len == 0 || len > DNS_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '.') {
			if (label == 0 || name[i - 1] == '-')
				return false;
			label = 0;
		} else if (!is_label_char(name[i]) || (name[i] == '-' && label == 0) ||
			   ++label > DNS_LABEL_MAX) {
			return false;
		}
	}
	return label > 0 && name[len - 1] != '-';
}

static int add_dns_name(GENERAL_NAMES *names, const char *dns, struct tg_fault *reterr)
{
	tg_cleanup(GENERAL_NAME_freep) GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();

	if (!name || !text || !ASN1_STRING_set(text, dns, -1)) {
		ASN1_IA5STRING_free(text);
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	}
	GENERAL_NAME_set0_value(name, GEN_DNS, text);
	if (!sk_GENERAL_NAME_push(names, name))
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	name = NULL;
	return 0;
}

static int add_alternative_names(X509_REQ *req, const struct tg_csr_names *n,
				 struct tg_fault *reterr)
{
	tg_cleanup(GENERAL_NAMES_freep) GENERAL_NAMES *names = GENERAL_NAMES_new();
	tg_cleanup(extensions_freep) STACK_OF(X509_EXTENSION) *extensions = NULL;

	if (!names)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n->n_dns_names; i++) {
		int r;

		if (!is_dns_name(n->dns_names[i]))
			return tg_fault_set(reterr, -EINVAL, "'%.64s' is not a DNS name",
					    n->dns_names[i]);
		r = add_dns_name(names, n->dns_names[i], reterr);
		if (r < 0)
			return r;
	}
	if (X509V3_add1_i2d(&extensions, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1 ||
	    !X509_REQ_add_extensions(req, extensions))
		return tg_x509_fault(reterr, -EIO, "cannot add alternative names");
	return 0;
}

/* A request with these names, but neither key nor signature. */
static int make_unsigned(const struct tg_csr_names *n, X509_REQ **ret, struct tg_fault *reterr)
{
	tg_cleanup(X509_REQ_freep) X509_REQ *req = X509_REQ_new();
	tg_cleanup(X509_NAME_freep) X509_NAME *subject = NULL;
	int r = 0;

	if (!req)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	if (n->n_dns_names > TG_CSR_DNS_NAMES)
		return tg_fault_set(reterr, -EINVAL, "more than %d DNS names", TG_CSR_DNS_NAMES);
	if (n->subject[0]) {
		r = tg_subject_parse(n->subject, &subject, reterr);
		if (r == 0 && !X509_REQ_set_subject_name(req, subject))
			r = tg_x509_fault(reterr, -EIO, "cannot set the subject");
	}
	if (r == 0 && n->n_dns_names)
		r = add_alternative_names(req, n, reterr);
	if (r < 0)
		return r;
	*ret = tg_take(req);
	return 0;
}

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

static bool same_extensions(const X509_REQ *a, const X509_REQ *b)
{
	tg_cleanup(extensions_freep) STACK_OF(X509_EXTENSION) *ea =
		X509_REQ_get_extensions((X509_REQ *) a);
	tg_cleanup(extensions_freep) STACK_OF(X509_EXTENSION) *eb =
		X509_REQ_get_extensions((X509_REQ *) b);
	unsigned char *da = NULL, *db = NULL;
	int la = ea ? i2d_X509_EXTENSIONS(ea, &da) : 0, lb = eb ? i2d_X509_EXTENSIONS(eb, &db) : 0;
	bool same = la >= 0 && la == lb && (la == 0 || memcmp(da, db, (size_t) la) == 0);

	OPENSSL_free(da);
	OPENSSL_free(db);
	return same;
}

int tg_csr_check(const char *pem, size_t len, const EVP_PKEY *key, const struct tg_csr_names *names,
		 struct tg_fault *reterr)
{
	tg_cleanup(X509_REQ_freep) X509_REQ *req = NULL, *model = NULL;
	tg_cleanup(BIO_freep) BIO *bio = NULL;
	EVP_PKEY *public;
	int r = make_unsigned(names, &model, reterr);

	if (r < 0)
		return r;
	if (len > TG_CSR_MAX)
		return tg_fault_set(reterr, -EBADMSG, "the request is longer than %d bytes",
				    TG_CSR_MAX);
	bio = BIO_new_mem_buf(pem, (int) len);
	req = bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
	if (!req)
		return tg_x509_fault(reterr, -EBADMSG, "the request cannot be read");
	public = X509_REQ_get0_pubkey(req);
	if (!public || X509_REQ_verify(req, public) != 1)
		return tg_x509_fault(reterr, -EBADMSG, "the request's signature is wrong");
	if (!tg_key_same(public, key))
		return tg_fault_set(reterr, -ESTALE, "the request is of another key");
	if (X509_NAME_cmp(X509_REQ_get_subject_name(req), X509_REQ_get_subject_name(model)) != 0 ||
	    !same_extensions(req, model))
		return tg_fault_set(reterr, -ESTALE, "the request has other names");
	return 0;
}

int tg_csr_make(EVP_PKEY *key, const struct tg_csr_names *names, char **ret_pem,
		struct tg_fault *reterr)
{
	tg_cleanup(X509_REQ_freep) X509_REQ *req = NULL;
	tg_autofree char *pem = NULL;
	size_t len = 0;
	int r = make_unsigned(names, &req, reterr);

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
