/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <stddef.h>
#include <stdint.h>

/*
 * Bodies of EST: DER as base64 (RFC 7030 section 4, RFC 8951 section 3, RFC 4648 section 4).
 * Generous in what is read, as servers differ in all that the RFCs leave open: blanks anywhere,
 * lines of any length or none, padding or none, PEM armour of whatever name, a NUL at the end, or
 * the DER itself. Strict in what is written. Pure.
 */
#define TG_TRANSFER_COLUMNS 64

/*
 * The DER in @body (which need not end in NUL): 0 and owned bytes, -EFBIG (@body is longer than
 * @max), -EBADMSG (the text quotes how it begins), -ENOMEM.
 */
int tg_transfer_decode(const void *body, size_t len, size_t max, uint8_t **ret, size_t *ret_len,
		       struct tg_fault *reterr) TG_CHECKED;

/* Lines of TG_TRANSFER_COLUMNS characters, each with LF behind it: owned text of
 * tg_transfer_size(@len) characters, or NULL without memory. */
char *tg_transfer_encode(const uint8_t *der, size_t len);
/* Never fails; @der_len is of something that fits in memory four times. */
size_t tg_transfer_size(size_t der_len);
