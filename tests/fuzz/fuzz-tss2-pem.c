/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/tpm.h"

#include <tidegate/cleanup.h>

#include <openssl/bio.h>
#include <openssl/pem.h>

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever is accepted is written and read back to the very same text. */
static void one(const char *pem, size_t len)
{
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = NULL, *again = NULL;
	tg_autofree char *first = NULL, *second = NULL;
	struct tg_fault f = { 0 };

	if (tg_tpm_key_from_pem(pem, len, &key, &f) < 0) {
		if (key || f.code >= 0 || !f.text[0])
			__builtin_trap();
		return;
	}
	if (tg_tpm_key_to_pem(key, &first) < 0 ||
	    tg_tpm_key_from_pem(first, strlen(first), &again, NULL) < 0 ||
	    tg_tpm_key_to_pem(again, &second) < 0 || strcmp(first, second) != 0)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	BIO *armoured = BIO_new(BIO_s_mem());
	char *text;

	one((const char *) data, size);
	/* The same bytes as DER, so that the fuzzer need not find its way through base64. */
	if (armoured && size <= INT32_MAX &&
	    PEM_write_bio(armoured, "TSS2 PRIVATE KEY", "", data, (long) size) > 0) {
		long len = BIO_get_mem_data(armoured, &text);

		one(text, (size_t) len);
	}
	BIO_free(armoured);
	return 0;
}
