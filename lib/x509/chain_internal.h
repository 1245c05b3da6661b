/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "x509/chain.h"

/* What chain.c (text and order) and chain_verify.c (judgement) share. */
struct tg_chain {
	X509 *certs[TG_CHAIN_CERTS]; /* owned */
	size_t n;
};
