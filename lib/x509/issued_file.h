/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "x509/certs.h"

/*
 * The file that a person got back from an authority, in whatever form its tools write: certificates in PEM
 * with or without the text that openssl puts in front of each, one in DER, a PKCS#7 (.p7b, .p7c) in PEM, bare
 * base64 or DER, also under the armour of a certificate, as some of Microsoft's tools have it.
 *
 * Nothing is said about which of them is whose: x509/chain_build.h does that. Pure.
 */
#define TG_ISSUED_FILE_MAX (512u * 1024)

/*
 * 0 and an owned set of 1..TG_CERTS_MAX certificates, -EKEYREJECTED (a private key is in there, or the
 * file is one that is made for keys; nothing of it is told), -EBADMSG (the text says what it is instead), -EFBIG, -ENOMEM.
 */
int tg_issued_file_parse(const void *data, size_t len, struct tg_certs **ret,
			 struct tg_fault *reterr) TG_CHECKED;
