/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/anchors.h"
#include "x509/chain_build.h"

#include <assert.h>
#include <openssl/x509.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define NOW INT64_C(1790000000)

/*
 * A byte that says how many of the certificates are trusted, then each as two bytes of length and
 * DER: the rest is delivered, and the key is that of the last one.
 */
static void split(const uint8_t *data, size_t len, struct tg_certs *trusted,
		  struct tg_certs *delivered)
{
	size_t n = len ? data[0] % 8 : 0, at = 1;

	for (size_t i = 0; at + 2 <= len; i++) {
		size_t size = (size_t) data[at] << 8 | data[at + 1];
		int r;

		at += 2;
		if (size > len - at)
			size = len - at;
		r = tg_certs_add_der(i < n ? trusted : delivered, data + at, size, NULL);
		(void) r;
		at += size;
	}
}

static void build(const struct tg_certs *issued, const struct tg_anchors *a)
{
	tg_cleanup(tg_chain_freep) struct tg_chain *c = NULL;
	size_t n = tg_certs_n(issued);
	const EVP_PKEY *key = n ? X509_get0_pubkey(tg_certs_get(issued, n - 1)) : NULL;
	struct tg_chain_rules rules = { .key = key,
					.anchors_pem = a->pem,
					.anchors_len = strlen(a->pem),
					.now = NOW,
					.skew_s = INT64_MAX };
	struct tg_fault fault;
	int r;

	if (!key ||
	    tg_chain_build(issued, a->pool, a->pem, strlen(a->pem), key, NOW, &c, &fault) < 0)
		return;
	assert(tg_chain_is_of(c, key));
	r = tg_chain_verify(c, &rules, &fault);
	(void) r;
}

/* What was trusted stays, as no clock says that it is over, and only what was delivered may come to it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *trusted = tg_certs_new(8),
						   *delivered = tg_certs_new(TG_CERTS_MAX);
	tg_autofree char *pem = NULL;
	struct tg_anchors out = TG_ANCHORS_NULL;
	struct tg_anchors_base base = { .delivered = delivered, .now_s = NOW };
	struct tg_anchor_info info[4];
	struct tg_fault fault;
	size_t n = 0;

	split(data, len, trusted, delivered);
	pem = tg_certs_to_pem(trusted);
	base.trusted_pem = pem;
	base.trusted_len = strlen(pem);
	base.clock_sure = len > 1 && data[1] & 1;
	if (tg_anchors_update(&base, &out, &fault) < 0)
		return 0;
	assert(out.n > 0 && (base.clock_sure || out.n == tg_certs_n(trusted) + out.n_taken));
	assert(tg_certs_n(out.pool) + out.n_taken <= tg_certs_n(delivered));
	if (tg_anchors_list(out.pem, strlen(out.pem), info, 4, &n, &fault) == 0)
		assert(n == out.n);
	build(delivered, &out);
	tg_anchors_done(&out);
	return 0;
}
