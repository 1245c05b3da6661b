/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/certs_only.h"

#include "x509/ber.h"
#include "x509/transfer.h"

#include <errno.h>
#include <openssl/obj_mac.h>
#include <openssl/objects.h>

/*
 * d2i_PKCS7() reads most of this too, but makes every certificate of the answer before any can be
 * counted, leaves d.sign NULL where there is no content, and refuses the whole for a kind of
 * certificate that it does not know. What is walked here is only the wrapping; the certificates are
 * OpenSSL's to read, one by one.
 */
static int damaged(struct tg_fault *reterr)
{
	return tg_fault_set(reterr, -EBADMSG, "the PKCS#7 is damaged");
}

/* What it is instead of a SignedData, for the operator of the server. */
static int refuse_type(struct tg_ber oid, struct tg_fault *reterr)
{
	static const int known[] = { NID_pkcs7_data, NID_pkcs7_enveloped, NID_pkcs7_digest,
				     NID_pkcs7_encrypted, NID_pkcs7_signedAndEnveloped };

	for (size_t i = 0; i < TG_ARRAY_SIZE(known); i++)
		if (tg_ber_is(oid, known[i]))
			return tg_fault_set(reterr, -EBADMSG,
					    "the answer is PKCS#7 of another type (%s)",
					    OBJ_nid2sn(known[i]));
	return tg_fault_set(reterr, -EBADMSG, "the answer is a CMS of an unknown type");
}

/* ContentInfo, down to the body of its SignedData. */
static int open_signed_data(struct tg_ber der, struct tg_ber *ret, struct tg_fault *reterr)
{
	struct tg_ber info, oid, content;

	if (tg_ber_expect(&der, TG_BER_SEQUENCE, &info) < 0)
		return damaged(reterr);
	if (der.len > 0)
		return tg_fault_set(reterr, -EBADMSG, "%zu bytes behind the PKCS#7", der.len);
	if (tg_ber_expect(&info, TG_BER_OID, &oid) < 0)
		return tg_fault_set(reterr, -EBADMSG,
				    "the answer is no PKCS#7, but something else in DER, such as a "
				    "certificate alone");
	if (!tg_ber_is(oid, NID_pkcs7_signed))
		return refuse_type(oid, reterr);
	if (info.len == 0)
		return tg_fault_set(reterr, -EBADMSG, "the PKCS#7 is empty");
	if (tg_ber_expect(&info, TG_BER_CONTEXT(0), &content) < 0 || info.len > 0 ||
	    tg_ber_expect(&content, TG_BER_SEQUENCE, ret) < 0 || content.len > 0)
		return damaged(reterr);
	return 0;
}

/* CertificateSet of RFC 5652 section 10.2.3: attribute certificates and the like are tagged. */
static int add_certificates(struct tg_ber set, struct tg_certs *out, struct tg_fault *reterr)
{
	struct tg_ber_element e;
	size_t n = 0, bytes = 0;
	int r;

	while ((r = tg_ber_next(&set, &e)) == 1) {
		size_t before = tg_certs_n(out);

		n++;
		if (e.kind >= TG_BER_CONTEXT(0) && e.kind <= TG_BER_CONTEXT(3))
			continue;
		if (e.kind != TG_BER_SEQUENCE)
			return damaged(reterr);
		r = tg_certs_add_der(out, e.whole.p, e.whole.len, reterr);
		if (r < 0 && r != -EFBIG)
			(void) tg_fault_prefix(reterr, "certificate %zu of the PKCS#7", n);
		if (r < 0)
			return r;
		/* Those that came before are not kept again. */
		bytes += tg_certs_n(out) > before ? e.whole.len : 0;
		if (bytes > TG_CERTS_ONLY_DER)
			return tg_fault_set(reterr, -EFBIG,
					    "certificates of more than %u bytes together",
					    TG_CERTS_ONLY_DER);
	}
	return r < 0 ? damaged(reterr) : 0;
}

/* SignedData: the certificates, and that the rest is there at all. */
static int read_signed_data(struct tg_ber data, struct tg_certs *out, struct tg_fault *reterr)
{
	struct tg_ber skipped;
	struct tg_ber_element e;
	bool certificates = false;
	int r;

	if (tg_ber_expect(&data, TG_BER_INTEGER, &skipped) < 0 ||
	    tg_ber_expect(&data, TG_BER_SET, &skipped) < 0 ||
	    tg_ber_expect(&data, TG_BER_SEQUENCE, &skipped) < 0)
		return damaged(reterr);
	while ((r = tg_ber_next(&data, &e)) == 1) {
		if (e.kind == TG_BER_CONTEXT(0) && !certificates) {
			certificates = true;
			r = add_certificates(e.body, out, reterr);
			if (r < 0)
				return r;
		} else if (e.kind != TG_BER_CONTEXT(1) && e.kind != TG_BER_SET) {
			return damaged(reterr);
		}
	}
	if (r < 0)
		return damaged(reterr);
	if (tg_certs_n(out) == 0)
		return tg_fault_set(reterr, -EBADMSG, "no certificate in the PKCS#7");
	return 0;
}

int tg_certs_only_parse(const void *body, size_t len, struct tg_certs **ret,
			struct tg_fault *reterr)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *certs = NULL;
	tg_autofree uint8_t *der = NULL;
	struct tg_ber data;
	size_t der_len = 0;
	int r = tg_transfer_decode(body, len, TG_CERTS_ONLY_BYTES, &der, &der_len, reterr);

	if (r < 0)
		return r;
	certs = tg_certs_new(TG_CERTS_MAX);
	if (!certs)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	r = open_signed_data((struct tg_ber){ der, der_len }, &data, reterr);
	if (r == 0)
		r = read_signed_data(data, certs, reterr);
	if (r == 0)
		*ret = tg_take(certs);
	return r;
}
