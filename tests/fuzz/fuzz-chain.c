/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/chain.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Reads, orders by the key of no certificate, and judges under rules that let most pass. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static EVP_PKEY *key;
	tg_cleanup(tg_chain_freep) struct tg_chain *c = NULL;
	tg_autofree char *pem = NULL;
	struct tg_chain_rules rules = { .now = 1790000000, .skew_s = INT64_MAX };
	struct tg_chain_info info;
	struct tg_fault fault;
	int r;

	if (!key)
		key = EVP_EC_gen("P-256");
	rules.key = key;
	if (tg_chain_parse((const char *) data, len, &c, &fault) < 0)
		return 0;
	r = tg_chain_info(c, &info, &fault);
	r = tg_chain_verify(c, &rules, &fault);
	rules.anchors_pem = (const char *) data;
	rules.anchors_len = len;
	r = tg_chain_order(c, key, &fault) == 0 ? tg_chain_verify(c, &rules, &fault) : r;
	pem = tg_chain_to_pem(c);
	return 0;
}
