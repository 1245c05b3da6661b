/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/provider-internal.h"

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/params.h>

#include <errno.h>
#include <string.h>

/*
 * PEM to key. OpenSSL shows every decoder the whole input in turn; what is not
 * ours we pass by. That is how SSL_CTX_use_PrivateKey_file() finds the key
 * behind the certificates of a bundle.
 */
#define INPUT_MAX 65536

static void *dec_new(void *provctx)
{
	return provctx; /* no state of its own */
}

static void dec_free(void *ctx)
{
	(void) ctx;
}

/* A TSS2 key is a private key; whoever looks for a public one shall find the certificate's. */
static int dec_does_selection(void *provctx, int selection)
{
	(void) provctx;
	return selection == 0 || selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY;
}

static int read_input(const struct tg_provider *p, OSSL_CORE_BIO *in, char **ret, size_t *ret_len)
{
	tg_autofree char *buf = malloc(INPUT_MAX);
	size_t len = 0, got = 0;

	if (!buf) {
		(void) tg_provider_fail(p, -ENOMEM, "out of memory");
		return 0;
	}
	while (len < INPUT_MAX && p->bio_read(in, buf + len, INPUT_MAX - len, &got) && got > 0)
		len += got;
	*ret = tg_take(buf);
	*ret_len = len;
	return 1;
}

static int hand_over(struct tg_tpm_key **key, OSSL_CALLBACK *cb, void *arg)
{
	int type = OSSL_OBJECT_PKEY;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
		OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, (char *) "EC", 0),
		OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, key, sizeof(void *)),
		OSSL_PARAM_construct_end(),
	};

	return cb(params, arg);
}

static int dec_decode(void *ctx, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *cb, void *arg,
		      OSSL_PASSPHRASE_CALLBACK *pw_cb, void *pw_arg)
{
	const struct tg_provider *p = ctx;
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = NULL;
	tg_autofree char *text = NULL;
	struct tg_fault fault;
	size_t len = 0;
	int r;

	(void) pw_cb; /* keys with a password are refused */
	(void) pw_arg;
	if (!dec_does_selection(ctx, selection))
		return 1;
	if (!read_input(p, in, &text, &len))
		return 0;
	if (!memmem(text, len, "-----BEGIN TSS2 PRIVATE KEY-----", 32))
		return 1;
	r = tg_tpm_key_from_pem(text, len, &key, &fault);
	if (r < 0) {
		tg_provider_raise(p, &fault);
		return 0;
	}
	return hand_over(&key, cb, arg);
}

static int dec_export(void *ctx, const void *reference, size_t size, OSSL_CALLBACK *cb, void *arg)
{
	struct tg_tpm_key *const *ref = reference;

	(void) ctx;
	return size == sizeof(void *) &&
	       tg_provider_key_export(
		       *ref, OSSL_KEYMGMT_SELECT_PUBLIC_KEY | OSSL_KEYMGMT_SELECT_ALL_PARAMETERS,
		       cb, arg);
}

const OSSL_DISPATCH tg_provider_decoder[] = {
	TG_DISPATCH(DECODER_NEWCTX, dec_new),
	TG_DISPATCH(DECODER_FREECTX, dec_free),
	TG_DISPATCH(DECODER_DOES_SELECTION, dec_does_selection),
	TG_DISPATCH(DECODER_DECODE, dec_decode),
	TG_DISPATCH(DECODER_EXPORT_OBJECT, dec_export),
	TG_DISPATCH_END,
};
