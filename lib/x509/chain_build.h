/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "x509/certs.h"
#include "x509/chain.h"

/*
 * The chain of a certificate that came alone, or in a heap: found by
 * OpenSSL's path builder among what the authority sent, as EST answers with
 * the leaf only and keeps the rest in /cacerts (RFC 7030 sections 4.1.3,
 * 4.2.3).
 *
 * The order is leaf, its issuer, and so on up. A self-signed root is left out,
 * as who does not have it cannot trust it; an anchor that is no root stays in,
 * and what leads on from it. Where the pool has a certificate that ties the
 * root at the top to another root that is trusted (NewWithOld and OldWithNew of
 * RFC 4210 section 4.4), that is the last one: a broker that knows only one
 * side of a rollover can judge the chain all the same.
 *
 * This finds a path; whether the certificate at its end may be used is
 * tg_chain_verify()'s to say. Pure but for @key, whose public half is used.
 */

/*
 * @issued: the answer, with one certificate for @key in it. @pool: what else may be on the way;
 * NULL: nothing. @anchors: the only ones to trust, text between them is skipped. @now_s: seconds
 * since 1970; what ended before it is not used, what begins later is (our clock may be behind).
 *
 * 0 and an owned chain, or -ENOENT (no certificate has our key), -EEXIST (two different ones have),
 * -EKEYREJECTED (no path; the words name the issuer that is missing, or what is wrong with it),
 * -EFBIG (longer than a chain may be), -EBADMSG (the anchors), -ENOMEM.
 */
int tg_chain_build(const struct tg_certs *issued, const struct tg_certs *pool,
		   const char *anchors_pem, size_t anchors_len, const EVP_PKEY *key, int64_t now_s,
		   struct tg_chain **ret, struct tg_fault *reterr) TG_CHECKED;
