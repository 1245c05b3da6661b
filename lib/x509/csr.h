/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "x509/csr_attributes.h"

#include <openssl/types.h>

/*
 * Certificate signing requests (PKCS#10) in PEM. The key may be one in the TPM; making a request
 * asks it for one signature and so may block as long as a TPM command may.
 */
#define TG_CSR_MAX       8192 /* bytes of PEM: a P-256 request with every name below is shorter */
#define TG_CSR_DNS_NAMES 16
#define TG_CSR_CHALLENGE 255 /* characters; a channel binding has 16 or 44 */
#define TG_CSR_TRIES     16  /* of tg_csr_make_sized(), each a signature */

struct tg_csr_names {
	const char *subject;          /* x509/subject.h; "" for an empty one */
	const char *const *dns_names; /* go to the subject's alternative names */
	size_t n_dns_names;
	/*
	 * PEM text whose first certificate has the names, instead of those above: its subject and
	 * its extension of alternative names, if it has one, are copied byte for byte, as servers
	 * compare them so at re-enrolment (RFC 7030 section 4.2.2). NULL: the names above.
	 */
	const char *like_pem;
	const struct tg_csr_wishes *wishes; /* key usages that the server asks for; may be NULL */
	/* The challengePassword, printable ASCII: the channel binding, RFC 7030 section 3.5. NULL:
	 * none. */
	const char *challenge;
};

/*
 * Makes and signs a request, reads its text back and verifies its signature, so that a key that
 * signs wrongly is found here and not by the authority. 0 and owned text, -EINVAL (the names,
 * like_pem, the challenge), -EIO (the key, the TPM).
 */
int tg_csr_make(EVP_PKEY *key, const struct tg_csr_names *names, char **ret_pem,
		struct tg_fault *reterr) TG_CHECKED;

/*
 * Whether @pem is a request that tg_csr_make() would make for these: 0, -EBADMSG (damaged, or its
 * signature is wrong), -ESTALE (of another key or other names), -EINVAL (the names). Without
 * wishes the request may have those of an earlier run; challenges are not compared.
 */
int tg_csr_check(const char *pem, size_t len, const EVP_PKEY *key, const struct tg_csr_names *names,
		 struct tg_fault *reterr) TG_CHECKED;

/* Whether the request has a challengePassword, and so is good for one connection only. False also
 * when it cannot be read. */
bool tg_csr_has_challenge(const char *pem, size_t len);

/*
 * The request as the body of a POST (RFC 7030 section 4.2.1, RFC 8951 section 3.1): base64 of its
 * DER without armour, lines of 64 characters that end in LF, the last one too. This layout is taken
 * by servers that refuse others. 0 and owned text, -EBADMSG, -ENOMEM.
 */
int tg_csr_body(const char *pem, size_t len, char **ret, struct tg_fault *reterr) TG_CHECKED;

/*
 * For a request whose length is announced before its challenge is known, as Content-Length goes out
 * on the connection that the challenge is of. tg_csr_body_size() says which length of tg_csr_body()
 * these names most probably have with a challenge of @challenge_len characters (names->challenge is
 * not looked at); it does not use the key's private half. tg_csr_make_sized() then makes a request
 * of that very length: ECDSA signatures differ in length, so it signs again, at most TG_CSR_TRIES
 * times; three in four are right at once. Returns as tg_csr_make(), or -EMSGSIZE when the length
 * cannot be met.
 */
int tg_csr_body_size(const EVP_PKEY *key, const struct tg_csr_names *names, size_t challenge_len,
		     size_t *ret, struct tg_fault *reterr) TG_CHECKED;
int tg_csr_make_sized(EVP_PKEY *key, const struct tg_csr_names *names, size_t body_size,
		      char **ret_pem, struct tg_fault *reterr) TG_CHECKED;
