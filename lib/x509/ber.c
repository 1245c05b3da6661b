/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/ber.h"

#include <errno.h>
#include <limits.h>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <string.h>

#define END_MARK_BYTES 2

/* What ASN1_get_object() says of an element, besides its constructed bit. */
#define BAD        0x80
#define INDEFINITE 0x01

static bool is_end_mark(const uint8_t *p, size_t len)
{
	return len >= END_MARK_BYTES && p[0] == 0 && p[1] == 0;
}

/* Header of the element at @p: its bytes, and those of its body unless that is indefinite. */
static int header(const uint8_t *p, size_t len, size_t *ret_header, size_t *ret_body,
		  bool *ret_open, int *ret_kind)
{
	const unsigned char *at = p;
	int tag = 0, class = 0, flags;
	long body = 0;

	if (len == 0 || len > LONG_MAX || is_end_mark(p, len))
		return -EBADMSG;
	flags = ASN1_get_object(&at, &body, &tag, &class, (long) len);
	if (flags & BAD) {
		ERR_clear_error();
		return -EBADMSG;
	}
	*ret_header = (size_t) (at - p);
	*ret_open = flags & INDEFINITE;
	*ret_body = *ret_open ? 0 : (size_t) body;
	*ret_kind = TG_BER_OTHER;
	if (class == V_ASN1_UNIVERSAL && tag < TG_BER_CONTEXT(0))
		*ret_kind = tag;
	else if (class == V_ASN1_CONTEXT_SPECIFIC && tag < TG_BER_CONTEXT(0))
		*ret_kind = TG_BER_CONTEXT(tag);
	return 0;
}

/* Bytes of an indefinite body up to its end mark; what has a length is stepped over unseen. */
static int open_body(const uint8_t *p, size_t len, size_t *ret)
{
	size_t done = 0;

	for (unsigned depth = 1;;) {
		size_t head = 0, body = 0;
		bool open = false;
		int kind;

		if (is_end_mark(p + done, len - done)) {
			if (--depth == 0)
				break;
			done += END_MARK_BYTES;
			continue;
		}
		if (header(p + done, len - done, &head, &body, &open, &kind) < 0 ||
		    (open && ++depth > TG_BER_DEPTH))
			return -EBADMSG;
		done += head + body;
	}
	*ret = done;
	return 0;
}

int tg_ber_next(struct tg_ber *b, struct tg_ber_element *ret)
{
	size_t head = 0, body = 0, whole;
	bool open = false;
	int kind = 0;

	if (b->len == 0)
		return 0;
	if (header(b->p, b->len, &head, &body, &open, &kind) < 0)
		return -EBADMSG;
	if (open && open_body(b->p + head, b->len - head, &body) < 0)
		return -EBADMSG;
	whole = head + body + (open ? END_MARK_BYTES : 0);
	*ret = (struct tg_ber_element){ kind, { b->p + head, body }, { b->p, whole } };
	b->p += whole;
	b->len -= whole;
	return 1;
}

int tg_ber_expect(struct tg_ber *b, int kind, struct tg_ber *ret_body)
{
	struct tg_ber rest = *b;
	struct tg_ber_element e;

	if (tg_ber_next(&rest, &e) != 1 || e.kind != kind)
		return -EBADMSG;
	*b = rest;
	*ret_body = e.body;
	return 0;
}

bool tg_ber_is(struct tg_ber oid, int nid)
{
	const ASN1_OBJECT *object = OBJ_nid2obj(nid);

	return object && OBJ_length(object) == oid.len &&
	       memcmp(OBJ_get0_data(object), oid.p, oid.len) == 0;
}
