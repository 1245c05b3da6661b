/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/issued_file.h"

#include "x509/certs_only.h"
#include "x509/transfer.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#define BEGIN       "-----BEGIN "
#define END         "-----END "
#define DASHES      "-----"
#define LABEL_MAX   80 /* bytes behind BEGIN */
#define CERTIFICATE "CERTIFICATE-----"
#define REQUEST     "CERTIFICATE REQUEST-----"

#define DER_SEQUENCE 0x30
#define DER_INTEGER  0x02

/* --- what it is ------------------------------------------------------------------------------ */

/* What DER of that beginning is: the first thing in the sequence tells. */
enum sort { SORT_OTHER, SORT_KEY, SORT_KEY_STORE };

/* The length octets of DER in definite form, or 0. */
static size_t length_bytes(const uint8_t *der, size_t len)
{
	if (len < 2 || der[1] < 0x80)
		return len < 2 ? 0 : 1;
	return der[1] > 0x80 && der[1] <= 0x84 ? 1 + (size_t) (der[1] & 0x7f) : 1;
}

/*
 * Keys and stores of keys begin with a small number, their version, where certificates and PKCS#7
 * have a sequence or an object identifier: PKCS#8 and PKCS#1 0, SEC 1 1, PKCS#12 3. An encrypted
 * PKCS#8 has two sequences as a certificate has, and fails as one.
 */
static enum sort sort_of(const uint8_t *der, size_t len)
{
	size_t at = 1 + length_bytes(der, len);

	if (len < at + 3 || der[0] != DER_SEQUENCE || der[at] != DER_INTEGER || der[at + 1] != 1)
		return SORT_OTHER;
	switch (der[at + 2]) {
	case 0:
	case 1:
		return SORT_KEY;
	case 3:
		return SORT_KEY_STORE;
	default:
		return SORT_OTHER;
	}
}

static int refuse_key(enum sort sort, struct tg_fault *reterr)
{
	if (sort == SORT_KEY_STORE)
		return tg_fault_set(reterr, -EKEYREJECTED,
				    "it is a PKCS#12 file, which carries a private key; the "
				    "gateway's key is in its TPM, and what is wanted are the "
				    "certificates alone");
	return tg_fault_set(reterr, -EKEYREJECTED,
			    "there is a private key in it; the gateway's key is in its TPM, so "
			    "this is another one, which should not travel: have the request "
			    "signed, and bring the certificates alone");
}

static bool is_request(const uint8_t *der, size_t len)
{
	const unsigned char *p = der;
	X509_REQ *req = d2i_X509_REQ(NULL, &p, (long) len);
	bool yes = req != NULL;

	X509_REQ_free(req);
	ERR_clear_error();
	return yes;
}

static int refuse_request(struct tg_fault *reterr)
{
	return tg_fault_set(reterr, -EBADMSG,
			    "it is a certificate request; what is wanted is what the authority "
			    "makes of it");
}

/* --- DER ------------------------------------------------------------------------------------- */

static int parse_der(const uint8_t *der, size_t len, struct tg_certs **ret, struct tg_fault *reterr)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *c = tg_certs_new(1);
	enum sort sort = sort_of(der, len);
	int r;

	if (!c)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	if (sort != SORT_OTHER)
		return refuse_key(sort, reterr);
	r = tg_certs_add_der(c, der, len, NULL);
	if (r == 0)
		*ret = tg_take(c);
	if (r == 0 || r == -ENOMEM)
		return r == 0 ? 0 : tg_fault_set(reterr, r, "out of memory");
	if (is_request(der, len))
		return refuse_request(reterr);
	return tg_certs_only_parse(der, len, ret, reterr);
}

/* Base64, with armour or without, of whatever DER. */
static int parse_encoded(const void *data, size_t len, struct tg_certs **ret,
			 struct tg_fault *reterr)
{
	tg_autofree uint8_t *der = NULL;
	size_t der_len = 0;
	int r = tg_transfer_decode(data, len, TG_ISSUED_FILE_MAX, &der, &der_len, reterr);

	if (r == -EBADMSG)
		return tg_fault_set(reterr, r,
				    "no certificate in it: neither PEM nor DER nor PKCS#7");
	if (r < 0)
		return r;
	r = parse_der(der, der_len, ret, reterr);
	/* It may have been a key. */
	explicit_bzero(der, der_len);
	return r;
}

/* --- PEM ------------------------------------------------------------------------------------- */

/* Whether a block of @text is armoured as something that ends in @name. */
static bool has_block(const char *text, size_t len, const char *name)
{
	const char *end = text + len, *p = text;

	while ((p = memmem(p, (size_t) (end - p), BEGIN, strlen(BEGIN)))) {
		const char *label = p + strlen(BEGIN);
		/* Not to the end of a line that may have none: a file is full of such beginnings. */
		size_t room = (size_t) (end - label) < LABEL_MAX ? (size_t) (end - label)
								 : LABEL_MAX;
		const char *line = memchr(label, '\n', room);

		if (line)
			room = (size_t) (line - label);
		if (memmem(label, room, name, strlen(name)))
			return true;
		p = label;
	}
	return false;
}

/* The first block whatever it is, with its armour; what stands around it is not the answer. */
static const char *first_block(const char *text, size_t len, size_t *ret_len)
{
	const char *begin = memmem(text, len, BEGIN, strlen(BEGIN)), *end;
	size_t left;

	if (!begin)
		return NULL;
	left = len - (size_t) (begin - text);
	end = memmem(begin, left, END, strlen(END));
	if (!end)
		return NULL;
	left -= (size_t) (end - begin) + strlen(END);
	end += strlen(END);
	end = memmem(end, left, DASHES, strlen(DASHES));
	if (!end)
		return NULL;
	*ret_len = (size_t) (end - begin) + strlen(DASHES);
	return begin;
}

static int parse_armoured(const char *text, size_t len, struct tg_certs **ret,
			  struct tg_fault *reterr)
{
	size_t block_len = 0;
	const char *block = first_block(text, len, &block_len);
	struct tg_fault why;
	int r;

	if (!block)
		return tg_fault_set(reterr, -EBADMSG, "it is cut short: a block has no end");
	if (!has_block(text, len, CERTIFICATE))
		return has_block(text, len, REQUEST) ? refuse_request(reterr)
						     : parse_encoded(block, block_len, ret, reterr);
	r = tg_certs_from_pem(text, len, TG_CERTS_MAX, ret, &why);
	if (r != -EBADMSG)
		return r < 0 ? tg_fault_set(reterr, r, "%s", why.text) : 0;
	/* A PKCS#7 under a certificate's armour. */
	if (parse_encoded(block, block_len, ret, NULL) == 0)
		return 0;
	return tg_fault_set(reterr, r, "%s", why.text);
}

int tg_issued_file_parse(const void *data, size_t len, struct tg_certs **ret,
			 struct tg_fault *reterr)
{
	if (len == 0)
		return tg_fault_set(reterr, -EBADMSG, "it is empty");
	if (len > TG_ISSUED_FILE_MAX)
		return tg_fault_set(reterr, -EFBIG, "it is longer than %u bytes",
				    TG_ISSUED_FILE_MAX);
	/* Looked for first, and wherever it stands: a file with a key in it is not to be used, and
	 * not to be quoted. */
	if (memmem(data, len, "PRIVATE KEY-----", 16))
		return refuse_key(SORT_KEY, reterr);
	if (*(const uint8_t *) data == DER_SEQUENCE)
		return parse_der(data, len, ret, reterr);
	if (memmem(data, len, BEGIN, strlen(BEGIN)))
		return parse_armoured(data, len, ret, reterr);
	return parse_encoded(data, len, ret, reterr);
}
