/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/csr_internal.h"
#include "x509/key.h"
#include "x509/subject.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#define DNS_NAME_MAX  253
#define DNS_LABEL_MAX 63

TG_DEFINE_CLEANUP(X509 *, X509_free)
TG_DEFINE_CLEANUP(X509_NAME *, X509_NAME_free)
TG_DEFINE_CLEANUP(GENERAL_NAME *, GENERAL_NAME_free)
TG_DEFINE_CLEANUP(GENERAL_NAMES *, GENERAL_NAMES_free)
TG_DEFINE_CLEANUP(ASN1_BIT_STRING *, ASN1_BIT_STRING_free)
TG_DEFINE_CLEANUP(EXTENDED_KEY_USAGE *, EXTENDED_KEY_USAGE_free)

/* A stack that X509V3_add1_i2d() and X509v3_add_ext() make when the first one comes. */
typedef STACK_OF(X509_EXTENSION) * extensions;

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

static int add_configured_names(const struct tg_csr_names *n, extensions *out,
				struct tg_fault *reterr)
{
	tg_cleanup(GENERAL_NAMES_freep) GENERAL_NAMES *names = GENERAL_NAMES_new();

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
	if (X509V3_add1_i2d(out, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1)
		return tg_x509_fault(reterr, -EIO, "cannot add alternative names");
	return 0;
}

static int configured(const struct tg_csr_names *n, X509_REQ *req, extensions *out,
		      struct tg_fault *reterr)
{
	tg_cleanup(X509_NAME_freep) X509_NAME *subject = NULL;
	int r = 0;

	if (n->n_dns_names > TG_CSR_DNS_NAMES)
		return tg_fault_set(reterr, -EINVAL, "more than %d DNS names", TG_CSR_DNS_NAMES);
	if (n->subject[0]) {
		r = tg_subject_parse(n->subject, &subject, reterr);
		if (r == 0 && !X509_REQ_set_subject_name(req, subject))
			r = tg_x509_fault(reterr, -EIO, "cannot set the subject");
	}
	if (r == 0 && n->n_dns_names)
		r = add_configured_names(n, out, reterr);
	return r;
}

/*
 * Neither name is taken apart and made anew: another string type or order would be another name to
 * a server that compares bytes. OpenSSL keeps the bytes of a name that it has read, and those of an
 * extension's value.
 */
static int copied(const char *pem, X509_REQ *req, extensions *out, struct tg_fault *reterr)
{
	tg_cleanup(BIO_freep) BIO *bio = BIO_new_mem_buf(pem, -1);
	tg_cleanup(X509_freep) X509 *cert = NULL;
	int at;

	if (!bio)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	ERR_clear_error();
	cert = PEM_read_bio_X509(bio, NULL, tg_key_no_passphrase, NULL);
	if (!cert)
		return tg_x509_fault(reterr, -EINVAL,
				     "the certificate whose names are asked for cannot be read");
	if (!X509_REQ_set_subject_name(req, X509_get_subject_name(cert)))
		return tg_x509_fault(reterr, -EIO, "cannot copy the certificate's subject");
	at = X509_get_ext_by_NID(cert, NID_subject_alt_name, -1);
	if (at < 0)
		return 0;
	if (X509_get_ext_by_NID(cert, NID_subject_alt_name, at) >= 0)
		return tg_fault_set(reterr, -EINVAL, "the certificate has alternative names twice");
	if (!X509v3_add_ext(out, X509_get_ext(cert, at), -1))
		return tg_x509_fault(reterr, -EIO, "cannot copy the alternative names");
	return 0;
}

static int add_key_usage(extensions *out, struct tg_fault *reterr)
{
	tg_cleanup(ASN1_BIT_STRING_freep) ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();

	if (!bits || !ASN1_BIT_STRING_set_bit(bits, 0 /* digitalSignature */, 1) ||
	    X509V3_add1_i2d(out, NID_key_usage, bits, 1, X509V3_ADD_DEFAULT) != 1)
		return tg_x509_fault(reterr, -EIO, "cannot add the key usage");
	return 0;
}

static int add_extended_key_usage(extensions *out, struct tg_fault *reterr)
{
	tg_cleanup(EXTENDED_KEY_USAGE_freep) EXTENDED_KEY_USAGE *usage = EXTENDED_KEY_USAGE_new();

	/* An object of OpenSSL's own table, which is not freed with the stack. */
	if (!usage || !sk_ASN1_OBJECT_push(usage, OBJ_nid2obj(NID_client_auth)) ||
	    X509V3_add1_i2d(out, NID_ext_key_usage, usage, 0, X509V3_ADD_DEFAULT) != 1)
		return tg_x509_fault(reterr, -EIO, "cannot add the extended key usage");
	return 0;
}

static int add_challenge(X509_REQ *req, const char *challenge, struct tg_fault *reterr)
{
	size_t len = strlen(challenge);

	for (size_t i = 0; i < len; i++)
		if (challenge[i] <= ' ' || challenge[i] > '~')
			return tg_fault_set(reterr, -EINVAL, "a challenge that is not ASCII");
	if (len == 0 || len > TG_CSR_CHALLENGE)
		return tg_fault_set(reterr, -EINVAL, "a challenge of %zu characters", len);
	if (!X509_REQ_add1_attr_by_NID(req, NID_pkcs9_challengePassword, MBSTRING_ASC,
				       (const unsigned char *) challenge, (int) len))
		return tg_x509_fault(reterr, -EIO, "cannot add the challenge");
	return 0;
}

int tg_csr_unsigned(const struct tg_csr_names *n, X509_REQ **ret, struct tg_fault *reterr)
{
	tg_cleanup(X509_REQ_freep) X509_REQ *req = X509_REQ_new();
	tg_cleanup(tg_csr_extensions_freep) extensions list = NULL;
	int r;

	if (!req)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	r = n->like_pem ? copied(n->like_pem, req, &list, reterr)
			: configured(n, req, &list, reterr);
	if (r == 0 && n->wishes && n->wishes->key_usage)
		r = add_key_usage(&list, reterr);
	if (r == 0 && n->wishes && n->wishes->extended_key_usage)
		r = add_extended_key_usage(&list, reterr);
	if (r == 0 && list && !X509_REQ_add_extensions(req, list))
		r = tg_x509_fault(reterr, -EIO, "cannot add extensions");
	if (r == 0 && n->challenge)
		r = add_challenge(req, n->challenge, reterr);
	if (r == 0)
		*ret = tg_take(req);
	return r;
}
