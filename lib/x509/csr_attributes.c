/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/csr_attributes.h"

#include "x509/ber.h"
#include "x509/transfer.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <stdio.h>
#include <string.h>

#define OID_BYTES                                                                                  \
	64 /* of one that is printed: longer ones take OpenSSL long to write as decimals */
#define WORDS 96

/* RFC 9908; OpenSSL does not know them yet. */
static const uint8_t request_info_template[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,
						 0x01, 0x09, 0x10, 0x02, 0x3d };
static const uint8_t extension_template[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,
					      0x01, 0x09, 0x10, 0x02, 0x3e };

/* What one list, or the template in it, asks for. */
struct asked {
	struct tg_csr_wishes wishes;
	bool ec, ecdsa, p256; /* what a TPM key of ours can be and do */
	char curve[WORDS];    /* another one; "" for none */
	char key[WORDS];      /* another kind of key; "" for none */
};

static const int other_keys[] = {
	NID_rsaEncryption,
	NID_rsassaPss,
	NID_md5WithRSAEncryption,
	NID_sha1WithRSAEncryption,
	NID_sha224WithRSAEncryption,
	NID_sha256WithRSAEncryption,
	NID_sha384WithRSAEncryption,
	NID_sha512WithRSAEncryption,
	NID_dsa,
	NID_dsaWithSHA1,
	NID_dhpublicnumber,
	NID_ED25519,
	NID_ED448,
	NID_X25519,
	NID_X448,
};
static const int other_curves[] = {
	NID_secp224r1,       NID_secp384r1,       NID_secp521r1,       NID_secp256k1,
	NID_brainpoolP256r1, NID_brainpoolP384r1, NID_brainpoolP512r1,
};
static const int other_digests[] = { NID_ecdsa_with_SHA1, NID_ecdsa_with_SHA224,
				     NID_ecdsa_with_SHA384, NID_ecdsa_with_SHA512 };

static bool is_one_of(struct tg_ber oid, const int *nids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (tg_ber_is(oid, nids[i]))
			return true;
	return false;
}

static bool is_bytes(struct tg_ber oid, const uint8_t *bytes, size_t len)
{
	return oid.len == len && memcmp(oid.p, bytes, len) == 0;
}

static void oid_words(struct tg_ber oid, char out[static WORDS])
{
	uint8_t der[2 + OID_BYTES] = { TG_BER_OID, (uint8_t) oid.len };
	const unsigned char *p = der;
	ASN1_OBJECT *object = NULL;
	int n = -1;

	if (oid.len > 0 && oid.len <= OID_BYTES) {
		memcpy(der + 2, oid.p, oid.len);
		object = d2i_ASN1_OBJECT(NULL, &p, (long) (2 + oid.len));
	}
	if (object && OBJ_obj2nid(object) != NID_undef)
		n = snprintf(out, WORDS, "%s", OBJ_nid2sn(OBJ_obj2nid(object)));
	else if (object)
		n = OBJ_obj2txt(out, WORDS, object, 1);
	if (n <= 0)
		(void) snprintf(out, WORDS, "an OID of %zu bytes", oid.len);
	ASN1_OBJECT_free(object);
	ERR_clear_error();
}

/* Whole words only, or "...". */
static void ignore(struct asked *a, const char *words)
{
	char *out = a->wishes.ignored;
	const size_t size = sizeof(a->wishes.ignored), len = strlen(out);
	const char *between = len ? ", " : "";

	if (len + strlen(between) + strlen(words) + sizeof(", ...") <= size)
		(void) snprintf(out + len, size - len, "%s%s", between, words);
	else if (len < 3 || strcmp(out + len - 3, "...") != 0)
		(void) snprintf(out + len, size - len, "%s...", between);
}

static void ignore_oid(struct asked *a, struct tg_ber oid)
{
	char words[WORDS];

	oid_words(oid, words);
	ignore(a, words);
}

/* The first one is the one that a refusal names. */
static void want_other(char words[static WORDS], struct tg_ber oid)
{
	if (!words[0])
		oid_words(oid, words);
}

/* An extension that has no value of the server's, or one that can be met in full. */
static bool want_extension(struct asked *a, struct tg_ber oid)
{
	if (tg_ber_is(oid, NID_subject_alt_name))
		a->wishes.alternative_names = true;
	else if (tg_ber_is(oid, NID_key_usage))
		a->wishes.key_usage = true;
	else if (tg_ber_is(oid, NID_ext_key_usage))
		a->wishes.extended_key_usage = true;
	else
		return false;
	return true;
}

/* An OID wherever one stands for itself. */
static void want(struct asked *a, struct tg_ber oid)
{
	if (tg_ber_is(oid, NID_pkcs9_challengePassword)) {
		a->wishes.channel_binding = true;
	} else if (tg_ber_is(oid, NID_X9_62_id_ecPublicKey)) {
		a->ec = true;
	} else if (tg_ber_is(oid, NID_X9_62_prime256v1)) {
		a->p256 = true;
	} else if (tg_ber_is(oid, NID_ecdsa_with_SHA256)) {
		a->ecdsa = true;
	} else if (is_one_of(oid, other_curves, TG_ARRAY_SIZE(other_curves))) {
		want_other(a->curve, oid);
	} else if (is_one_of(oid, other_keys, TG_ARRAY_SIZE(other_keys))) {
		want_other(a->key, oid);
	} else if (!want_extension(a, oid)) {
		a->ecdsa |= is_one_of(oid, other_digests, TG_ARRAY_SIZE(other_digests));
		ignore_oid(a, oid);
	}
}

/*
 * Calls @each for the elements of @list. Returns 0, what @each failed with, -EBADMSG or -EFBIG.
 */
static int for_each(struct tg_ber list, struct asked *a,
		    int (*each)(struct asked *, struct tg_ber_element))
{
	struct tg_ber_element e;
	int r;

	for (size_t n = 0; (r = tg_ber_next(&list, &e)) == 1; n++) {
		if (n == TG_CSR_ATTRIBUTES_MAX)
			return -EFBIG;
		r = each(a, e);
		if (r < 0)
			return r;
	}
	return r;
}

static int curve(struct asked *a, struct tg_ber_element e)
{
	if (e.kind == TG_BER_OID && tg_ber_is(e.body, NID_X9_62_prime256v1))
		a->p256 = true;
	else if (e.kind == TG_BER_OID)
		want_other(a->curve, e.body);
	else if (!a->curve[0])
		(void) snprintf(a->curve, WORDS, "a curve without a name");
	return 0;
}

static int rsa_size(struct asked *a, struct tg_ber_element e)
{
	unsigned bits = 0;

	if (e.kind != TG_BER_INTEGER || e.body.len == 0 || e.body.len > 3)
		return 0;
	for (size_t i = 0; i < e.body.len; i++)
		bits = bits << 8 | e.body.p[i];
	(void) snprintf(a->key, WORDS, "RSA of %u bits", bits);
	return 0;
}

static bool allows_client_auth(struct tg_ber value)
{
	struct tg_ber list, oid;
	bool found = false;

	if (tg_ber_expect(&value, TG_BER_SEQUENCE, &list) < 0)
		return false;
	while (tg_ber_expect(&list, TG_BER_OID, &oid) == 0)
		found |= tg_ber_is(oid, NID_client_auth);
	return found;
}

static bool allows_signatures(struct tg_ber value)
{
	struct tg_ber bits;

	return tg_ber_expect(&value, TG_BER_BITS, &bits) == 0 && bits.len >= 2 &&
	       (bits.p[1] & 0x80);
}

/* One that comes with a value: the usages of a gateway are asked for if they are among it, and the
 * gateway's own names stay. */
static void want_value(struct asked *a, struct tg_ber oid, struct tg_ber value)
{
	if (tg_ber_is(oid, NID_key_usage) && !allows_signatures(value))
		ignore(a, "a keyUsage without digitalSignature");
	else if (tg_ber_is(oid, NID_ext_key_usage) && !allows_client_auth(value))
		ignore(a, "an extendedKeyUsage without clientAuth");
	else if (!want_extension(a, oid))
		ignore_oid(a, oid);
	else if (tg_ber_is(oid, NID_subject_alt_name))
		ignore(a, "the subjectAltName that it gives");
}

/* Extension, or ExtensionTemplate of RFC 9908, whose value may be missing; or just an OID. */
static int extension(struct asked *a, struct tg_ber_element e)
{
	struct tg_ber in = e.body, oid, value;
	struct tg_ber_element next;
	int r;

	if (e.kind == TG_BER_OID) {
		if (!want_extension(a, e.body))
			ignore_oid(a, e.body);
		return 0;
	}
	if (e.kind != TG_BER_SEQUENCE || tg_ber_expect(&in, TG_BER_OID, &oid) < 0)
		return -EBADMSG;
	r = tg_ber_next(&in, &next);
	if (r == 1 && next.kind == TG_BER_BOOLEAN)
		r = tg_ber_next(&in, &next);
	if (r < 0 || (r == 1 && next.kind != TG_BER_OCTETS) || in.len > 0)
		return -EBADMSG;
	value = r == 1 ? next.body : (struct tg_ber){ 0 };
	if (value.len > 0)
		want_value(a, oid, value);
	else if (!want_extension(a, oid))
		ignore_oid(a, oid);
	return 0;
}

/* One value of an extensionRequest: a list of extensions, or, as in the example of RFC 7030, the
 * OID of one. */
static int extensions(struct asked *a, struct tg_ber_element e)
{
	if (e.kind == TG_BER_OID)
		return extension(a, e);
	return e.kind == TG_BER_SEQUENCE ? for_each(e.body, a, extension) : -EBADMSG;
}

/* An attribute that is not a template. */
static int attribute(struct asked *a, struct tg_ber_element e)
{
	struct tg_ber in = e.body, oid, values = { 0 };

	if (e.kind == TG_BER_OID) {
		want(a, e.body);
		return 0;
	}
	if (e.kind != TG_BER_SEQUENCE || tg_ber_expect(&in, TG_BER_OID, &oid) < 0 ||
	    (in.len > 0 && tg_ber_expect(&in, TG_BER_SET, &values) < 0) || in.len > 0)
		return -EBADMSG;
	if (tg_ber_is(oid, NID_ext_req) || tg_ber_is(oid, NID_ms_ext_req) ||
	    is_bytes(oid, extension_template, sizeof(extension_template)))
		return for_each(values, a, extensions);
	want(a, oid);
	if (tg_ber_is(oid, NID_X9_62_id_ecPublicKey))
		return for_each(values, a, curve);
	if (tg_ber_is(oid, NID_rsaEncryption))
		return for_each(values, a, rsa_size);
	return 0;
}

/* subjectPKInfo of a template: an algorithm with its parameters, and no key or a dummy. */
static int template_key(struct asked *a, struct tg_ber info)
{
	struct tg_ber algorithm, oid;

	if (tg_ber_expect(&info, TG_BER_SEQUENCE, &algorithm) < 0 ||
	    tg_ber_expect(&algorithm, TG_BER_OID, &oid) < 0)
		return -EBADMSG;
	want(a, oid);
	return tg_ber_is(oid, NID_X9_62_id_ecPublicKey) ? for_each(algorithm, a, curve) : 0;
}

/* CertificationRequestInfoTemplate, RFC 9908 section 3.4. */
static int template(struct asked *a, struct tg_ber_element e)
{
	struct tg_ber in = e.body, version;
	struct tg_ber_element part;
	int r;

	if (e.kind != TG_BER_SEQUENCE || tg_ber_expect(&in, TG_BER_INTEGER, &version) < 0)
		return -EBADMSG;
	while ((r = tg_ber_next(&in, &part)) == 1) {
		if (part.kind == TG_BER_SEQUENCE) {
			ignore(a, "the subject that it gives");
			continue;
		}
		if (part.kind == TG_BER_CONTEXT(0))
			r = template_key(a, part.body);
		else if (part.kind == TG_BER_CONTEXT(1))
			r = for_each(part.body, a, attribute);
		else
			r = -EBADMSG;
		if (r < 0)
			return r;
	}
	return r;
}

/* The template in @list, if there is one: 1 and its values, or 0. */
static int find_template(struct tg_ber list, struct tg_ber *ret_values)
{
	struct tg_ber_element e;

	while (tg_ber_next(&list, &e) == 1) {
		struct tg_ber oid;

		if (e.kind == TG_BER_SEQUENCE && tg_ber_expect(&e.body, TG_BER_OID, &oid) == 0 &&
		    is_bytes(oid, request_info_template, sizeof(request_info_template)) &&
		    tg_ber_expect(&e.body, TG_BER_SET, ret_values) == 0)
			return 1;
	}
	return 0;
}

/* Both ways of saying it may be in one answer: then the template is the one that counts. */
static int read_list(struct tg_ber list, struct asked *a)
{
	struct asked from_template = { 0 };
	struct tg_ber values;
	int r = for_each(list, a, attribute);

	if (r < 0 || !find_template(list, &values))
		return r;
	from_template.wishes.channel_binding = a->wishes.channel_binding;
	*a = from_template;
	return for_each(values, a, template);
}

#define OURS                                                                                       \
	"keys are P-256 in the TPM and no others are made; let it ask for id-ecPublicKey with "    \
	"prime256v1"

/* Of several kinds of keys one will do; but where curves are named, ours must be among them. */
static int settle(struct asked *a, struct tg_fault *reterr)
{
	if (a->curve[0] && !a->p256)
		return tg_fault_set(reterr, -EOPNOTSUPP, "the server asks for a key on %s; %s",
				    a->curve, OURS);
	if (a->key[0] && !a->p256 && !a->ec && !a->ecdsa)
		return tg_fault_set(reterr, -EOPNOTSUPP, "the server asks for a key for %s; %s",
				    a->key, OURS);
	if (a->curve[0])
		ignore(a, a->curve);
	if (a->key[0])
		ignore(a, a->key);
	return 0;
}

int tg_csr_attributes_parse(const void *body, size_t len, struct tg_csr_wishes *ret,
			    struct tg_fault *reterr)
{
	tg_autofree uint8_t *der = NULL;
	struct asked asked = { 0 };
	struct tg_ber all = { 0 }, list;
	int r;

	if (len == 0) {
		*ret = (struct tg_csr_wishes){ 0 };
		return 0;
	}
	r = tg_transfer_decode(body, len, TG_CSR_ATTRIBUTES_BYTES, &der, &all.len, reterr);
	if (r < 0)
		return r;
	all.p = der;
	r = tg_ber_expect(&all, TG_BER_SEQUENCE, &list);
	if (r == 0 && all.len > 0)
		r = -EBADMSG;
	if (r == 0)
		r = read_list(list, &asked);
	if (r == -EFBIG)
		return tg_fault_set(reterr, r, "more than %d attributes", TG_CSR_ATTRIBUTES_MAX);
	if (r < 0)
		return tg_fault_set(reterr, r, "the list of attributes is damaged");
	r = settle(&asked, reterr);
	if (r == 0)
		*ret = asked.wishes;
	return r;
}
