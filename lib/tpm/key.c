/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/key.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <tss2/tss2_mu.h>

#include <errno.h>
#include <string.h>

#define COORDINATE_BYTES 32

struct tg_tpm_key {
	_Atomic unsigned refs;
	struct tg_tpm_blob blob;
	uint8_t point[TG_TPM_POINT_BYTES];
	EVP_PKEY *public;
};

TG_DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free)

struct tg_tpm_key *tg_tpm_key_ref(struct tg_tpm_key *key)
{
	atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
	return key;
}

struct tg_tpm_key *tg_tpm_key_unref(struct tg_tpm_key *key)
{
	if (key && atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) == 1) {
		EVP_PKEY_free(key->public);
		OPENSSL_cleanse(&key->blob, sizeof(key->blob));
		free(key);
	}
	return NULL;
}

static int unsupported(struct tg_fault *reterr, const char *why)
{
	return tg_fault_set(reterr, -EOPNOTSUPP, "TPM key: %s", why);
}

static int check_kind(TPM2_HANDLE parent, const TPMT_PUBLIC *p, struct tg_fault *reterr)
{
	const TPMS_ECC_PARMS *ecc = &p->parameters.eccDetail;
	TPMA_OBJECT must = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH;

	if (parent == TPM2_RH_OWNER)
		return unsupported(reterr, "its parent is the owner hierarchy, which every use "
					   "would have to "
					   "make a storage key in; only persistent parents "
					   "(0x81......) are used");
	if (parent >> TPM2_HR_SHIFT != TPM2_HT_PERSISTENT)
		return tg_fault_set(reterr, -EOPNOTSUPP,
				    "TPM key: its parent 0x%x is no persistent handle (0x81......)",
				    (unsigned) parent);
	if (p->type != TPM2_ALG_ECC)
		return unsupported(reterr, "not an elliptic-curve key; only EC P-256 is used");
	if (ecc->curveID != TPM2_ECC_NIST_P256)
		return unsupported(reterr, "another curve than P-256");
	if (p->nameAlg != TPM2_ALG_SHA256)
		return unsupported(reterr, "its name is not a SHA-256 hash");
	if (ecc->scheme.scheme != TPM2_ALG_NULL && ecc->scheme.scheme != TPM2_ALG_ECDSA)
		return unsupported(reterr, "restricted to another scheme than ECDSA");
	if ((p->objectAttributes & must) != must || p->objectAttributes & TPMA_OBJECT_RESTRICTED)
		return tg_fault_set(reterr, -EOPNOTSUPP,
				    "TPM key: attributes 0x%08x do not allow plain signatures",
				    (unsigned) p->objectAttributes);
	return 0;
}

static int make_point(struct tg_tpm_key *key, struct tg_fault *reterr)
{
	const TPMS_ECC_POINT *q = &key->blob.pub.publicArea.unique.ecc;

	if (q->x.size > COORDINATE_BYTES || q->y.size > COORDINATE_BYTES)
		return tg_fault_set(reterr, -EBADMSG,
				    "TPM key: coordinates longer than the curve's");
	key->point[0] = POINT_CONVERSION_UNCOMPRESSED;
	memcpy(key->point + 1 + COORDINATE_BYTES - q->x.size, q->x.buffer, q->x.size);
	memcpy(key->point + TG_TPM_POINT_BYTES - q->y.size, q->y.buffer, q->y.size);
	return 0;
}

/* The name of an object is its name algorithm and the hash of its public area. */
static int make_name(struct tg_tpm_blob *b)
{
	uint8_t area[sizeof(TPMT_PUBLIC)];
	size_t len = 0;

	b->name.name[0] = TPM2_ALG_SHA256 >> 8;
	b->name.name[1] = TPM2_ALG_SHA256 & 0xff;
	b->name.size = 2 + SHA256_DIGEST_LENGTH;
	if (Tss2_MU_TPMT_PUBLIC_Marshal(&b->pub.publicArea, area, sizeof(area), &len))
		return -EBADMSG;
	return SHA256(area, len, b->name.name + 2) ? 0 : -ENOMEM;
}

/* It is the curve's code that says so; everything else that can fail here is memory. */
static bool is_off_curve(void)
{
	unsigned long code = ERR_peek_last_error();

	return ERR_GET_LIB(code) == ERR_LIB_EC && ERR_GET_REASON(code) != ERR_R_MALLOC_FAILURE;
}

/* Also proves that the point is on the curve. Bound to the default provider, as ours must not be
 * asked for its own keys. */
static int make_public(struct tg_tpm_key *key, struct tg_fault *reterr)
{
	tg_cleanup(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *) "prime256v1",
						 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, key->point,
						  sizeof(key->point)),
		OSSL_PARAM_construct_end(),
	};

	int r = 0;

	ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", "provider=default");
	if (!ctx || EVP_PKEY_fromdata_init(ctx) <= 0)
		return tg_fault_set(reterr, -ENOMEM, "TPM key: OpenSSL has no elliptic curves");
	ERR_set_mark();
	if (EVP_PKEY_fromdata(ctx, &key->public, EVP_PKEY_PUBLIC_KEY, params) <= 0)
		r = is_off_curve() ? tg_fault_set(reterr, -EBADMSG,
						  "TPM key: its public point is not on P-256")
				   : tg_fault_set(reterr, -ENOMEM, "TPM key: out of memory");
	ERR_pop_to_mark();
	return r;
}

static int complete(struct tg_tpm_key *key, struct tg_fault *reterr)
{
	int r;

	r = make_name(&key->blob);
	if (r < 0)
		return tg_fault_set(reterr, r, "TPM key: its public area cannot be written");
	r = make_point(key, reterr);
	if (r < 0)
		return r;
	return make_public(key, reterr);
}

int tg_tpm_key_new(TPM2_HANDLE parent, const TPM2B_PUBLIC *pub, const TPM2B_PRIVATE *priv,
		   struct tg_tpm_key **ret, struct tg_fault *reterr)
{
	struct tg_tpm_key *key;
	int r;

	r = check_kind(parent, &pub->publicArea, reterr);
	if (r < 0)
		return r;
	key = calloc(1, sizeof(*key));
	if (!key)
		return tg_fault_set(reterr, -ENOMEM, "TPM key: out of memory");
	key->refs = 1;
	key->blob = (struct tg_tpm_blob){ .parent = parent, .pub = *pub, .priv = *priv };
	r = complete(key, reterr);
	if (r < 0) {
		tg_tpm_key_unref(key);
		return r;
	}
	*ret = key;
	return 0;
}

const struct tg_tpm_blob *tg_tpm_key_blob(const struct tg_tpm_key *key)
{
	return &key->blob;
}

EVP_PKEY *tg_tpm_key_public(const struct tg_tpm_key *key)
{
	return key->public;
}

const uint8_t *tg_tpm_key_point(const struct tg_tpm_key *key)
{
	return key->point;
}

uint32_t tg_tpm_key_parent(const struct tg_tpm_key *key)
{
	return key->blob.parent;
}

int tg_tpm_key_verify(const struct tg_tpm_key *key, const uint8_t *digest, size_t digest_len,
		      const uint8_t *sig, size_t sig_len)
{
	tg_cleanup(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = NULL;

	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->public, "provider=default");
	if (!ctx || EVP_PKEY_verify_init(ctx) <= 0)
		return -ENOMEM;
	return EVP_PKEY_verify(ctx, sig, sig_len, digest, digest_len) == 1 ? 0 : -EBADMSG;
}
