/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/key.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

TG_DEFINE_CLEANUP(BIO *, BIO_free)
TG_DEFINE_CLEANUP(X509_PUBKEY *, X509_PUBKEY_free)

int tg_x509_fault(struct tg_fault *reterr, int r, const char *what)
{
	const char *data = NULL, *reason;
	int flags = 0;
	/* The oldest entry is where it went wrong; what follows says who noticed. */
	unsigned long code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);

	if (code && ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
		r = -ENOMEM;
	reason = code ? ERR_reason_error_string(code) : NULL;
	if (!(flags & ERR_TXT_STRING) || !data)
		data = "";
	(void) tg_fault_set(reterr, r, "%s: %s%s%s", what, reason ? reason : "no reason given",
			    *data ? ", " : "", data);
	ERR_clear_error();
	return r;
}

int tg_key_no_passphrase(char *buf, int size, int rwflag, void *user)
{
	(void) buf;
	(void) size;
	(void) rwflag;
	(void) user;
	return -1;
}

/* The armour lines are looked at first, as the decoders' own reasons do not tell these cases apart.
 */
static int look_for_key(const char *pem, size_t len, struct tg_fault *reterr)
{
	static const char armour[] = "PRIVATE KEY-----";

	if (!memmem(pem, len, armour, sizeof(armour) - 1))
		return tg_fault_set(reterr, -ENOENT, "no private key in there");
	if (memmem(pem, len, "ENCRYPTED", 9))
		return tg_fault_set(reterr, -EACCES,
				    "the private key is protected by a passphrase, which is not "
				    "supported");
	return 0;
}

int tg_key_from_pem(const char *pem, size_t len, EVP_PKEY **ret, struct tg_fault *reterr)
{
	tg_cleanup(BIO_freep) BIO *bio = NULL;
	EVP_PKEY *key;
	int r = look_for_key(pem, len, reterr);

	if (r < 0)
		return r;
	if (len > INT_MAX)
		return tg_fault_set(reterr, -EBADMSG, "too long");
	bio = BIO_new_mem_buf(pem, (int) len);
	if (!bio)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	ERR_clear_error();
	key = PEM_read_bio_PrivateKey(bio, NULL, tg_key_no_passphrase, NULL);
	if (!key)
		return tg_x509_fault(reterr, -EBADMSG, "the private key cannot be read");
	ERR_clear_error(); /* decoders that were tried in vain leave their reasons behind */
	*ret = key;
	return 0;
}

/* SubjectPublicKeyInfo in DER: the one form that keys of all providers have in common. */
static int spki(const EVP_PKEY *key, unsigned char **ret)
{
	tg_cleanup(X509_PUBKEY_freep) X509_PUBKEY *pub = NULL;

	if (!X509_PUBKEY_set(&pub, (EVP_PKEY *) key))
		return -1;
	return i2d_X509_PUBKEY(pub, ret);
}

bool tg_key_same(const EVP_PKEY *a, const EVP_PKEY *b)
{
	unsigned char *der_a = NULL, *der_b = NULL;
	int len_a = a ? spki(a, &der_a) : -1, len_b = b ? spki(b, &der_b) : -1;
	bool same = len_a > 0 && len_a == len_b && memcmp(der_a, der_b, (size_t) len_a) == 0;

	OPENSSL_free(der_a);
	OPENSSL_free(der_b);
	ERR_clear_error();
	return same;
}

int tg_key_public(const EVP_PKEY *key, EVP_PKEY **ret, struct tg_fault *reterr)
{
	unsigned char *der = NULL;
	const unsigned char *p;
	EVP_PKEY *public;
	int len;

	ERR_clear_error();
	len = spki(key, &der);
	if (len <= 0)
		return tg_x509_fault(reterr, -EIO, "the public key cannot be had");
	p = der;
	/* OpenSSL's own: another provider's could go to the TPM for it again. */
	public = d2i_PUBKEY_ex(NULL, &p, len, NULL, "provider=default");
	OPENSSL_free(der);
	if (!public)
		return tg_x509_fault(reterr, -EIO, "the public key cannot be had");
	ERR_clear_error();
	*ret = public;
	return 0;
}
