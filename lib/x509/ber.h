/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Walks BER and DER element by element, where OpenSSL's decoders would build the whole tree first:
 * of a few hundred kilobytes they make tens of megabytes of objects, before anybody can count them.
 * Never copies, never recurses; indefinite lengths are followed TG_BER_DEPTH deep. Pure.
 */
#define TG_BER_DEPTH 32

struct tg_ber {
	const uint8_t *p;
	size_t len;
};

struct tg_ber_element {
	int kind;            /* TG_BER_...: class and tag, whatever the encoding */
	struct tg_ber body;  /* without header and end mark */
	struct tg_ber whole; /* with them */
};

#define TG_BER_CONTEXT(tag) (0x1000 + (tag)) /* [tag] */
#define TG_BER_BOOLEAN      1
#define TG_BER_INTEGER      2
#define TG_BER_BITS         3
#define TG_BER_OCTETS       4
#define TG_BER_OID          6
#define TG_BER_SEQUENCE     16
#define TG_BER_SET          17
#define TG_BER_OTHER        0x7fff /* of application or private class, or a huge tag */

/*
 * Takes the next element off @b. 1 and the element, 0 at the end, -EBADMSG (damaged, or longer than
 * what is there): then @b is as it was.
 */
int tg_ber_next(struct tg_ber *b, struct tg_ber_element *ret) TG_CHECKED;

/* The same for an element that must be there and be of @kind: 0, or -EBADMSG. */
int tg_ber_expect(struct tg_ber *b, int kind, struct tg_ber *ret_body) TG_CHECKED;

/* Whether the body of an OID is that of OpenSSL's @nid. Never fails. */
bool tg_ber_is(struct tg_ber oid, int nid);
