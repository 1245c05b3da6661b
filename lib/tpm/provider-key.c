/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/provider-internal.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <string.h>

/*
 * Key management: what OpenSSL wants to know of a key. The public half is told
 * to everybody; the private half is in no form that could be.
 */
static void *key_load(const void *reference, size_t size)
{
	struct tg_tpm_key **ref = (struct tg_tpm_key **) reference;

	/* Taking it leaves NULL behind, by which the decoder knows. */
	return size == sizeof(void *) ? tg_take(*ref) : NULL;
}

static void key_free(void *key)
{
	tg_tpm_key_unref(key);
}

static void *key_dup(const void *key, int selection)
{
	(void) selection; /* immutable: a second owner is as good as a copy */
	return tg_tpm_key_ref((struct tg_tpm_key *) key);
}

static int key_has(const void *key, int selection)
{
	(void) selection;
	return key != NULL;
}

static int key_match(const void *a, const void *b, int selection)
{
	if (!(selection & OSSL_KEYMGMT_SELECT_KEYPAIR))
		return 1; /* the same curve, always */
	return memcmp(tg_tpm_key_point(a), tg_tpm_key_point(b), TG_TPM_POINT_BYTES) == 0;
}

static int set_int(OSSL_PARAM params[], const char *name, int v)
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

	return !p || OSSL_PARAM_set_int(p, v);
}

static int set_text(OSSL_PARAM params[], const char *name, const char *v)
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

	return !p || OSSL_PARAM_set_utf8_string(p, v);
}

static int set_point(OSSL_PARAM params[], const char *name, const struct tg_tpm_key *key)
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

	return !p || OSSL_PARAM_set_octet_string(p, tg_tpm_key_point(key), TG_TPM_POINT_BYTES);
}

static int key_get_params(void *key, OSSL_PARAM params[])
{
	return set_int(params, OSSL_PKEY_PARAM_BITS, 256) &&
	       set_int(params, OSSL_PKEY_PARAM_SECURITY_BITS, 128) &&
	       set_int(params, OSSL_PKEY_PARAM_MAX_SIZE, TG_TPM_SIGNATURE_MAX) &&
	       set_text(params, OSSL_PKEY_PARAM_DEFAULT_DIGEST, "SHA256") &&
	       set_text(params, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1") &&
	       set_text(params, OSSL_PKEY_PARAM_EC_ENCODING, "named_curve") &&
	       set_point(params, OSSL_PKEY_PARAM_PUB_KEY, key) &&
	       set_point(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, key);
}

static const OSSL_PARAM *key_gettable_params(void *provctx)
{
	static const OSSL_PARAM table[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
		OSSL_PARAM_END,
	};

	(void) provctx;
	return table;
}

int tg_provider_key_export(void *key, int selection, OSSL_CALLBACK *cb, void *arg)
{
	OSSL_PARAM params[3];
	size_t n = 0;

	/*
	 * When it wants to sign, OpenSSL tries its own provider first and asks for the key.
	 * Given the public half only it would take that for the whole and fail when it
	 * signs; refused, it comes to our signature.
	 */
	if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY)
		return 0;
	if (selection & OSSL_KEYMGMT_SELECT_ALL_PARAMETERS)
		params[n++] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
							       (char *) "prime256v1", 0);
	if (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY)
		params[n++] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
								(void *) tg_tpm_key_point(key),
								TG_TPM_POINT_BYTES);
	params[n] = OSSL_PARAM_construct_end();
	return cb(params, arg);
}

static const OSSL_PARAM *key_export_types(int selection)
{
	static const OSSL_PARAM table[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_END,
	};

	return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? NULL : table;
}

static const char *key_operation_name(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

const OSSL_DISPATCH tg_provider_keymgmt[] = {
	TG_DISPATCH(KEYMGMT_LOAD, key_load),
	TG_DISPATCH(KEYMGMT_FREE, key_free),
	TG_DISPATCH(KEYMGMT_DUP, key_dup),
	TG_DISPATCH(KEYMGMT_HAS, key_has),
	TG_DISPATCH(KEYMGMT_MATCH, key_match),
	TG_DISPATCH(KEYMGMT_GET_PARAMS, key_get_params),
	TG_DISPATCH(KEYMGMT_GETTABLE_PARAMS, key_gettable_params),
	TG_DISPATCH(KEYMGMT_EXPORT, tg_provider_key_export),
	TG_DISPATCH(KEYMGMT_EXPORT_TYPES, key_export_types),
	TG_DISPATCH(KEYMGMT_QUERY_OPERATION_NAME, key_operation_name),
	TG_DISPATCH_END,
};
