/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/trust.h"

#include "x509/certs.h"
#include "x509/issuer.h"
#include "x509/key.h"

#include <errno.h>
#include <openssl/x509_vfy.h>

int tg_tls_trust(X509_STORE *store, const char *pem, size_t len, struct tg_fault *reterr)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *certs = NULL;
	int r;

	if (len > TG_TLS_TRUST_BYTES)
		return tg_fault_set(reterr, -EFBIG, "longer than %u bytes", TG_TLS_TRUST_BYTES);
	r = tg_certs_from_pem(pem, len, TG_TLS_TRUST_CERTS, &certs, reterr);
	for (size_t i = 0; r == 0 && i < tg_certs_n(certs); i++)
		if (!X509_STORE_add_cert(store, tg_certs_get(certs, i)))
			r = tg_x509_fault(reterr, -ENOMEM, "cannot be used");
	tg_tls_trust_by_signature(store);
	return r;
}

void tg_tls_trust_by_signature(X509_STORE *store)
{
	X509_STORE_set_check_issued(store, tg_issuer_prefer);
}
