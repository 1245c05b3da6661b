/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/generation.h"
#include "provisioning/enrolment.h"

/*
 * Whether what an authority issued may become this gateway's identity: ours, valid, for a TLS
 * client, no authority, and where the method knows them, of the right issuer and subject.
 * Everything is checked before a certificate counts, and again before it is written.
 *
 * Puts chain_pem in order (leaf first, roots dropped) and fills the certificate's part of @ret.
 * 0, or -EPROTO (the text says why it is refused), -EBADMSG (it cannot be read), or another -errno.
 */
int tg_verdict(struct tg_enrolment *e, struct tg_manifest *ret, struct tg_fault *reterr) TG_CHECKED;
