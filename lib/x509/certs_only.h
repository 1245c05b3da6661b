/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "x509/certs.h"

/*
 * What an EST server answers to /cacerts, /simpleenroll and /simplereenroll: a certs-only PKCS#7
 * (RFC 7030 section 4.1.3, RFC 5272: SignedData of RFC 5652 without content), in base64. Pure.
 *
 * Taken: base64 of any layout, with or without padding and PEM armour, or the DER itself; BER with
 * indefinite lengths, as some servers make it; either version of SignedData, with revocation lists
 * or signatures, which are not looked at: it is the connection that says who answered.
 * Refused: everything else, and above all what has no certificate in it.
 */
#define TG_CERTS_ONLY_BYTES (512u * 1024)
#define TG_CERTS_ONLY_DER                                                                          \
	(96u * 1024) /* of the certificates together: TG_CERTS_MAX of usual size */

/*
 * 0 and an owned set of 1..TG_CERTS_MAX certificates in the answer's order, -EFBIG (bytes,
 * certificates), -EBADMSG (the text says what it is instead), -ENOMEM. @body need not end in NUL.
 */
int tg_certs_only_parse(const void *body, size_t len, struct tg_certs **ret,
			struct tg_fault *reterr) TG_CHECKED;
