/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buffer.h"
#include "identity/generation.h"

/*
 * The manifest's text: one JSON object. Pure: no I/O, no clock.
 *
 * Beside what struct tg_manifest has, it carries the SHA-256 of bundle.pem, so that a
 * generation whose files were damaged on the medium is not taken for whole.
 */
#define TG_MANIFEST_MAX                                                                            \
	8192             /* bytes; the longest that the bounds of its members allow is half of it */
#define TG_DIGEST_HEX 65 /* SHA-256 in hex, with the NUL */

/* Appends the text; the buffer keeps its own errors. */
void tg_manifest_write(const struct tg_manifest *m, const char *bundle_digest,
		       struct tg_buffer *out);
/* 0, or -EBADMSG, -EFBIG, -ENOMEM. */
int tg_manifest_parse(const char *text, size_t len, struct tg_manifest *ret,
		      char ret_digest[static TG_DIGEST_HEX], struct tg_fault *reterr) TG_CHECKED;
