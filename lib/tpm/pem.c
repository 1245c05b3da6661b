/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/key.h"

#include <openssl/asn1t.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <tss2/tss2_mu.h>

#include <errno.h>
#include <string.h>

/*
 * TSS2 PRIVATE KEY: the key as the TPM wrapped it, in DER, in PEM armour.
 *
 * The optional members are the draft's. We never write them; they are known
 * here so that a key that has them is refused for what it is.
 */
typedef struct {
	ASN1_OBJECT *type;
	ASN1_BOOLEAN empty_auth;
	ASN1_TYPE *policy;
	ASN1_TYPE *secret;
	ASN1_TYPE *auth_policy;
	ASN1_INTEGER *parent;
	ASN1_OCTET_STRING *pub;
	ASN1_OCTET_STRING *priv;
} TSS2_KEY;

ASN1_SEQUENCE(TSS2_KEY) = {
	ASN1_SIMPLE(TSS2_KEY, type, ASN1_OBJECT),
	ASN1_EXP_OPT(TSS2_KEY, empty_auth, ASN1_BOOLEAN, 0),
	ASN1_EXP_OPT(TSS2_KEY, policy, ASN1_ANY, 1),
	ASN1_EXP_OPT(TSS2_KEY, secret, ASN1_ANY, 2),
	ASN1_EXP_OPT(TSS2_KEY, auth_policy, ASN1_ANY, 3),
	ASN1_SIMPLE(TSS2_KEY, parent, ASN1_INTEGER),
	ASN1_SIMPLE(TSS2_KEY, pub, ASN1_OCTET_STRING),
	ASN1_SIMPLE(TSS2_KEY, priv, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(TSS2_KEY)

IMPLEMENT_STATIC_ASN1_ENCODE_FUNCTIONS(TSS2_KEY)
IMPLEMENT_STATIC_ASN1_ALLOC_FUNCTIONS(TSS2_KEY)

#define PEM_NAME     "TSS2 PRIVATE KEY"
#define OID_LOADABLE "2.23.133.10.1.3"
/* A bundle: a chain of a dozen large certificates and the key. */
#define BUNDLE_MAX 65536

TG_DEFINE_CLEANUP(TSS2_KEY *, TSS2_KEY_free)
TG_DEFINE_CLEANUP(BIO *, BIO_free)

static int bad(struct tg_fault *reterr, const char *why)
{
	return tg_fault_set(reterr, -EBADMSG, "TSS2 key: %s", why);
}

/* What OpenSSL could not read is damaged, unless it says that memory was short. */
static int unread(struct tg_fault *reterr, const char *why)
{
	/* The first reason is where it went wrong; each further one says who noticed. */
	if (ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE ||
	    ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE)
		return tg_fault_set(reterr, -ENOMEM, "TSS2 key: out of memory");
	return bad(reterr, why);
}

static int check_type(const TSS2_KEY *k, struct tg_fault *reterr)
{
	char oid[64];

	if (OBJ_obj2txt(oid, sizeof(oid), k->type, 1) <= 0 || strcmp(oid, OID_LOADABLE) != 0)
		return tg_fault_set(reterr, -EOPNOTSUPP,
				    "TSS2 key: of another kind than a loadable key (" OID_LOADABLE
				    ")");
	if (k->policy || k->secret || k->auth_policy)
		return tg_fault_set(reterr, -EOPNOTSUPP,
				    "TSS2 key: bound to a policy or to be imported; only plain "
				    "loadable "
				    "keys are used");
	/* Absent means FALSE, though some programs take it for TRUE. */
	if (k->empty_auth <= 0)
		return tg_fault_set(reterr, -EOPNOTSUPP,
				    "TSS2 key: has a password, or is marked so; only keys without one "
				    "are used (tpm2_encodeobject up to 5.7 marks them the wrong way "
				    "round: give it -p)");
	return 0;
}

static int read_parent(const TSS2_KEY *k, TPM2_HANDLE *ret, struct tg_fault *reterr)
{
	uint64_t parent = 0;

	/* ASN1_INTEGER_get() returns long, in which 0x81000001 does not fit on 32-bit machines. */
	if (ASN1_INTEGER_get_uint64(&parent, k->parent) != 1 || parent > UINT32_MAX)
		return bad(reterr, "parent is not a TPM handle");
	*ret = (TPM2_HANDLE) parent;
	return 0;
}

/*
 * The unmarshalling functions are lenient about sizes that disagree, so the result is
 * written again and must be what was read, byte for byte.
 */
static int read_public(const ASN1_OCTET_STRING *s, TPM2B_PUBLIC *ret, struct tg_fault *reterr)
{
	const uint8_t *data = ASN1_STRING_get0_data(s);
	size_t len = (size_t) ASN1_STRING_length(s), used = 0, again = 0;
	uint8_t copy[sizeof(*ret)];

	memset(ret, 0, sizeof(*ret));
	if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(data, len, &used, ret) || used != len)
		return bad(reterr, "public part is no TPM2B_PUBLIC");
	ret->size = 0; /* computed when it is written */
	if (Tss2_MU_TPM2B_PUBLIC_Marshal(ret, copy, sizeof(copy), &again) || again != len ||
	    memcmp(copy, data, len) != 0)
		return bad(reterr, "public part is not in its only valid form");
	return 0;
}

static int read_private(const ASN1_OCTET_STRING *s, TPM2B_PRIVATE *ret, struct tg_fault *reterr)
{
	const uint8_t *data = ASN1_STRING_get0_data(s);
	size_t len = (size_t) ASN1_STRING_length(s), used = 0;

	memset(ret, 0, sizeof(*ret));
	if (Tss2_MU_TPM2B_PRIVATE_Unmarshal(data, len, &used, ret) || used != len || ret->size == 0)
		return bad(reterr, "private part is no TPM2B_PRIVATE");
	return 0;
}

/* d2i accepts more than DER; only what i2d writes is ours. */
static bool is_exact(const TSS2_KEY *k, const uint8_t *der, long len)
{
	unsigned char *again = NULL;
	int n = i2d_TSS2_KEY(k, &again);
	bool same = n == len && memcmp(again, der, (size_t) n) == 0;

	OPENSSL_free(again);
	return same;
}

static int from_der(const uint8_t *der, long len, struct tg_tpm_key **ret, struct tg_fault *reterr)
{
	tg_cleanup(TSS2_KEY_freep) TSS2_KEY *k = NULL;
	const unsigned char *end = der;
	TPM2_HANDLE parent = 0; /* for gcc 14, which does not see that it is set */
	TPM2B_PUBLIC pub;
	TPM2B_PRIVATE priv;
	int r;

	k = d2i_TSS2_KEY(NULL, &end, len);
	if (!k)
		return unread(reterr, "not the ASN.1 of a TPM key");
	if (end != der + len || !is_exact(k, der, len))
		return unread(reterr, "something behind the key, or not in DER");

	r = check_type(k, reterr);
	if (r < 0)
		return r;
	r = read_parent(k, &parent, reterr);
	if (r < 0)
		return r;
	r = read_public(k->pub, &pub, reterr);
	if (r < 0)
		return r;
	r = read_private(k->priv, &priv, reterr);
	if (r < 0)
		return r;
	return tg_tpm_key_new(parent, &pub, &priv, ret, reterr);
}

struct block {
	char *name, *header;
	unsigned char *data;
	long len;
};

static void block_done(struct block *b)
{
	OPENSSL_free(b->name);
	OPENSSL_free(b->header);
	OPENSSL_free(b->data);
	*b = (struct block){ 0 };
}

/* Returns 1 with the next PEM block, 0 at the end, -EBADMSG for one that is damaged. */
static int next_block(BIO *in, struct block *b, struct tg_fault *reterr)
{
	if (PEM_read_bio(in, &b->name, &b->header, &b->data, &b->len) == 1)
		return 1;
	if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
		return 0;
	return unread(reterr, "damaged PEM");
}

static int take_block(const struct block *b, struct tg_tpm_key **key, struct tg_fault *reterr)
{
	if (strcmp(b->name, PEM_NAME) != 0)
		return 0;
	if (*key)
		return bad(reterr, "more than one in the same file");
	if (*b->header)
		return bad(reterr, "encrypted PEM");
	return from_der(b->data, b->len, key, reterr);
}

int tg_tpm_key_from_pem(const char *pem, size_t len, struct tg_tpm_key **ret,
			struct tg_fault *reterr)
{
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = NULL;
	tg_cleanup(BIO_freep) BIO *in = NULL;
	struct block b = { 0 };
	int r;

	if (len > BUNDLE_MAX)
		return tg_fault_set(reterr, -EFBIG, "TSS2 key: file longer than %d bytes",
				    BUNDLE_MAX);
	in = BIO_new_mem_buf(pem, (int) len);
	if (!in)
		return tg_fault_set(reterr, -ENOMEM, "TSS2 key: out of memory");

	/* What OpenSSL has to say is in our own words already. */
	ERR_set_mark();
	while ((r = next_block(in, &b, reterr)) > 0) {
		r = take_block(&b, &key, reterr);
		block_done(&b);
		if (r < 0)
			break;
	}
	ERR_pop_to_mark();
	if (r < 0)
		return r;
	if (!key)
		return tg_fault_set(reterr, -ENOENT, "no \"" PEM_NAME "\" in there");
	*ret = tg_take(key);
	return 0;
}

static TSS2_KEY *to_asn1(const struct tg_tpm_blob *blob)
{
	tg_cleanup(TSS2_KEY_freep) TSS2_KEY *k = TSS2_KEY_new();
	uint8_t pub[sizeof(blob->pub)], priv[sizeof(blob->priv)];
	size_t pub_len = 0, priv_len = 0;

	if (!k || Tss2_MU_TPM2B_PUBLIC_Marshal(&blob->pub, pub, sizeof(pub), &pub_len) ||
	    Tss2_MU_TPM2B_PRIVATE_Marshal(&blob->priv, priv, sizeof(priv), &priv_len))
		return NULL;
	ASN1_OBJECT_free(k->type);
	k->type = OBJ_txt2obj(OID_LOADABLE, 1);
	k->empty_auth = 0xff;
	if (!k->type || !ASN1_INTEGER_set_uint64(k->parent, blob->parent) ||
	    !ASN1_OCTET_STRING_set(k->pub, pub, (int) pub_len) ||
	    !ASN1_OCTET_STRING_set(k->priv, priv, (int) priv_len))
		return NULL;
	return tg_take(k);
}

int tg_tpm_key_to_pem(const struct tg_tpm_key *key, char **ret_pem)
{
	tg_cleanup(TSS2_KEY_freep) TSS2_KEY *k = to_asn1(tg_tpm_key_blob(key));
	tg_cleanup(BIO_freep) BIO *out = BIO_new(BIO_s_mem());
	char *text, *copy;
	long len;

	if (!k || !out ||
	    PEM_ASN1_write_bio((i2d_of_void *) i2d_TSS2_KEY, PEM_NAME, out, k, NULL, NULL, 0, NULL,
			       NULL) != 1)
		return -ENOMEM;
	len = BIO_get_mem_data(out, &text);
	copy = len > 0 ? strndup(text, (size_t) len) : NULL;
	if (!copy)
		return -ENOMEM;
	*ret_pem = copy;
	return 0;
}
