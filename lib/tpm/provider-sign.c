/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/provider-internal.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <errno.h>
#include <string.h>

/*
 * ECDSA. Hashing is done in software, the TPM sees the digest only; verifying needs
 * no TPM at all and is done by OpenSSL's own provider with the public half.
 */
struct signature {
	struct tg_provider *provider;
	struct tg_tpm_key *key;
	const struct hash *hash; /* NULL until told: then the digest's length decides */
	EVP_MD_CTX *digest;
};

/* What the TPM signs, and the last byte of ecdsa-with-SHA... (1.2.840.10045.4.3.x). */
static const struct hash {
	const char *name;
	size_t bytes;
	uint8_t oid_end;
} hashes[] = {
	{ "SHA256", 32, 2 },
	{ "SHA384", 48, 3 },
	{ "SHA512", 64, 4 },
};

static void *sig_new(void *provctx, const char *propq)
{
	struct signature *s = calloc(1, sizeof(*s));

	(void) propq; /* there is one TPM */
	if (s)
		s->provider = provctx;
	return s;
}

static void sig_free(void *ctx)
{
	struct signature *s = ctx;

	if (!s)
		return;
	EVP_MD_CTX_free(s->digest);
	tg_tpm_key_unref(s->key);
	free(s);
}

static void *sig_dup(void *ctx)
{
	const struct signature *from = ctx;
	struct signature *s = sig_new(from->provider, NULL);

	if (!s)
		return NULL;
	s->hash = from->hash;
	s->key = from->key ? tg_tpm_key_ref(from->key) : NULL;
	if (from->digest) {
		s->digest = EVP_MD_CTX_new();
		if (!s->digest || !EVP_MD_CTX_copy_ex(s->digest, from->digest)) {
			sig_free(s);
			return NULL;
		}
	}
	return s;
}

static int set_hash(struct signature *s, const char *name)
{
	EVP_MD *md = EVP_MD_fetch(NULL, name, "provider=default");

	s->hash = NULL;
	for (size_t i = 0; md && i < TG_ARRAY_SIZE(hashes); i++)
		if (EVP_MD_is_a(md, hashes[i].name))
			s->hash = &hashes[i];
	EVP_MD_free(md);
	return s->hash != NULL || tg_provider_fail(s->provider, -EINVAL,
						   "only SHA-256, SHA-384 and SHA-512 are signed");
}

static int sig_set_params(void *ctx, const OSSL_PARAM params[])
{
	const OSSL_PARAM *p =
		params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST) : NULL;
	const char *name = NULL;

	if (!p)
		return 1;
	return OSSL_PARAM_get_utf8_string_ptr(p, &name) && set_hash(ctx, name);
}

static const OSSL_PARAM *sig_settable_params(void *ctx, void *provctx)
{
	static const OSSL_PARAM table[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};

	(void) ctx;
	(void) provctx;
	return table;
}

/* X509_sign() and its kin ask for the DER AlgorithmIdentifier to write beside the signature. */
static int get_algorithm_id(const struct signature *s, OSSL_PARAM *p)
{
	uint8_t der[] = { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x00 };

	if (!s->hash)
		return 0;
	der[sizeof(der) - 1] = s->hash->oid_end;
	return OSSL_PARAM_set_octet_string(p, der, sizeof(der));
}

static int sig_get_params(void *ctx, OSSL_PARAM params[])
{
	const struct signature *s = ctx;
	OSSL_PARAM *p;

	p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_ALGORITHM_ID);
	if (p && !get_algorithm_id(s, p))
		return 0;
	p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_DIGEST);
	return !p || OSSL_PARAM_set_utf8_string(p, s->hash ? s->hash->name : "");
}

static const OSSL_PARAM *sig_gettable_params(void *ctx, void *provctx)
{
	static const OSSL_PARAM table[] = {
		OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};

	(void) ctx;
	(void) provctx;
	return table;
}

/* Without @key the context goes on with the one it has. */
static int sig_init(void *ctx, void *key, const OSSL_PARAM params[])
{
	struct signature *s = ctx;

	if (key) {
		tg_tpm_key_unref(s->key);
		s->key = tg_tpm_key_ref(key);
	}
	if (!s->key)
		return tg_provider_fail(s->provider, -EINVAL, "signature without a key");
	return sig_set_params(s, params);
}

static int sig_sign(void *ctx, unsigned char *sig, size_t *ret_len, size_t size,
		    const unsigned char *digest, size_t digest_len)
{
	struct signature *s = ctx;
	uint8_t der[TG_TPM_SIGNATURE_MAX];
	struct tg_fault fault;
	size_t len = 0;

	if (!sig) {
		*ret_len = TG_TPM_SIGNATURE_MAX;
		return 1;
	}
	if (s->hash && digest_len != s->hash->bytes)
		return tg_provider_fail(s->provider, -EINVAL,
					"digest and its algorithm differ in length");
	if (tg_tpm_sign(s->provider->tpm, s->key, digest, digest_len, der, &len, &fault) < 0) {
		tg_provider_raise(s->provider, &fault);
		return 0;
	}
	if (len > size)
		return tg_provider_fail(s->provider, -ENOBUFS,
					"buffer too short for the signature");
	memcpy(sig, der, len);
	*ret_len = len;
	return 1;
}

static int sig_verify(void *ctx, const unsigned char *sig, size_t len, const unsigned char *digest,
		      size_t digest_len)
{
	const struct signature *s = ctx;

	return tg_tpm_key_verify(s->key, digest, digest_len, sig, len) == 0;
}

static int start_digest(struct signature *s)
{
	EVP_MD *md = s->hash ? EVP_MD_fetch(NULL, s->hash->name, "provider=default") : NULL;
	int ok;

	EVP_MD_CTX_free(s->digest);
	s->digest = EVP_MD_CTX_new();
	ok = md && s->digest && EVP_DigestInit_ex2(s->digest, md, NULL);
	EVP_MD_free(md);
	return ok || tg_provider_fail(s->provider, -ENOMEM, "cannot start the hash");
}

static int sig_digest_init(void *ctx, const char *name, void *key, const OSSL_PARAM params[])
{
	struct signature *s = ctx;

	return set_hash(s, name && *name ? name : "SHA256") && sig_init(s, key, params) &&
	       start_digest(s);
}

static int sig_digest_update(void *ctx, const unsigned char *data, size_t len)
{
	struct signature *s = ctx;

	return s->digest && EVP_DigestUpdate(s->digest, data, len);
}

static int finish_digest(struct signature *s, unsigned char out[static EVP_MAX_MD_SIZE],
			 unsigned *len)
{
	return s->digest && EVP_DigestFinal_ex(s->digest, out, len);
}

static int sig_digest_sign_final(void *ctx, unsigned char *sig, size_t *ret_len, size_t size)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	/* Asked for the length only, the hash goes on. */
	if (!sig)
		return sig_sign(ctx, NULL, ret_len, 0, NULL, 0);
	return finish_digest(ctx, digest, &len) && sig_sign(ctx, sig, ret_len, size, digest, len);
}

static int sig_digest_verify_final(void *ctx, const unsigned char *sig, size_t len)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned digest_len = 0;

	return finish_digest(ctx, digest, &digest_len) &&
	       sig_verify(ctx, sig, len, digest, digest_len);
}

const OSSL_DISPATCH tg_provider_signature[] = {
	TG_DISPATCH(SIGNATURE_NEWCTX, sig_new),
	TG_DISPATCH(SIGNATURE_FREECTX, sig_free),
	TG_DISPATCH(SIGNATURE_DUPCTX, sig_dup),
	TG_DISPATCH(SIGNATURE_SIGN_INIT, sig_init),
	TG_DISPATCH(SIGNATURE_SIGN, sig_sign),
	TG_DISPATCH(SIGNATURE_VERIFY_INIT, sig_init),
	TG_DISPATCH(SIGNATURE_VERIFY, sig_verify),
	TG_DISPATCH(SIGNATURE_DIGEST_SIGN_INIT, sig_digest_init),
	TG_DISPATCH(SIGNATURE_DIGEST_SIGN_UPDATE, sig_digest_update),
	TG_DISPATCH(SIGNATURE_DIGEST_SIGN_FINAL, sig_digest_sign_final),
	TG_DISPATCH(SIGNATURE_DIGEST_VERIFY_INIT, sig_digest_init),
	TG_DISPATCH(SIGNATURE_DIGEST_VERIFY_UPDATE, sig_digest_update),
	TG_DISPATCH(SIGNATURE_DIGEST_VERIFY_FINAL, sig_digest_verify_final),
	TG_DISPATCH(SIGNATURE_GET_CTX_PARAMS, sig_get_params),
	TG_DISPATCH(SIGNATURE_GETTABLE_CTX_PARAMS, sig_gettable_params),
	TG_DISPATCH(SIGNATURE_SET_CTX_PARAMS, sig_set_params),
	TG_DISPATCH(SIGNATURE_SETTABLE_CTX_PARAMS, sig_settable_params),
	TG_DISPATCH_END,
};
