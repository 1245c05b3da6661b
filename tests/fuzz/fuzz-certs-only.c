/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/certs_only.h"
#include "x509/csr.h"

#include <assert.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A set that was taken must come back the same from its own text. */
static void write_and_read(const struct tg_certs *c, const char *pem)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *again = NULL;
	int r = tg_certs_from_pem(pem, strlen(pem), TG_CERTS_MAX, &again, NULL);

	assert(r == 0 && tg_certs_n(again) == tg_certs_n(c));
	for (size_t i = 0; i < tg_certs_n(c); i++) {
		uint8_t sha[TG_CERT_SHA256];

		r = tg_cert_sha256(tg_certs_get(c, i), sha);
		assert(r == 0 && tg_certs_find(again, sha));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static EVP_PKEY *key;
	tg_cleanup(tg_certs_freep) struct tg_certs *c = NULL;
	tg_autofree char *pem = NULL;
	struct tg_fault fault = { 0 };
	size_t size = 0;
	int r;

	if (!key)
		key = EVP_EC_gen("P-256");
	r = tg_certs_only_parse(data, len, &c, &fault);
	assert(r == 0 ? tg_certs_n(c) > 0 && tg_certs_n(c) <= TG_CERTS_MAX : fault.text[0] != '\0');
	if (r < 0)
		return 0;
	pem = tg_certs_to_pem(c);
	assert(pem);
	write_and_read(c, pem);
	/* The same bytes as the gateway's own certificate, whose names are copied. */
	r = tg_csr_body_size(key, &(struct tg_csr_names){ .subject = "", .like_pem = pem }, 16,
			     &size, &fault);
	return 0;
}
