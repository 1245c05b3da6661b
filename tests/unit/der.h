/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buffer.h"
#include "x509/transfer.h"

#include <openssl/objects.h>
#include <stdlib.h>
#include <string.h>

/*
 * DER (and BER where a test wants it) written by hand, from the inside to the outside: what no
 * library would make is what a peer may send. All work on a tg_buffer that has room enough.
 */
#define DER_ROOM   (4u * 1024 * 1024)
#define DER_BUFFER tg_cleanup(tg_buffer_done) struct tg_buffer

enum {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BITS = 0x03,
	DER_OCTETS = 0x04,
	DER_OID = 0x06,
	DER_UTF8 = 0x0c,
	DER_PRINTABLE = 0x13,
	DER_T61 = 0x14,
	DER_IA5 = 0x16,
	DER_BMP = 0x1e,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_CONTEXT = 0xa0, /* + tag, constructed */
};

static inline struct tg_buffer der_new(void)
{
	return (struct tg_buffer) TG_BUFFER_INIT(DER_ROOM);
}

static inline void der_header(struct tg_buffer *b, int tag, size_t len)
{
	int bytes = len < 0x80 ? 0 : len < 0x100 ? 1 : len < 0x10000 ? 2 : 3;

	tg_buffer_addc(b, (char) tag);
	tg_buffer_addc(b, (char) (bytes ? 0x80 + bytes : (int) len));
	while (bytes-- > 0)
		tg_buffer_addc(b, (char) (len >> 8 * bytes));
}

static inline void der_add(struct tg_buffer *b, int tag, const void *body, size_t len)
{
	der_header(b, tag, len);
	tg_buffer_add(b, body, len);
}

static inline void der_add_text(struct tg_buffer *b, int tag, const char *text)
{
	der_add(b, tag, text, strlen(text));
}

static inline void der_add_oid(struct tg_buffer *b, const char *dotted)
{
	ASN1_OBJECT *o = OBJ_txt2obj(dotted, 0);

	der_add(b, DER_OID, OBJ_get0_data(o), OBJ_length(o));
	ASN1_OBJECT_free(o);
}

/* Puts all that is in @b into one element. */
static inline void der_wrap(struct tg_buffer *b, int tag)
{
	size_t len = b->len;
	char *body = malloc(len + 1);

	if (len)
		memcpy(body, b->data, len);
	tg_buffer_reset(b);
	der_add(b, tag, body, len);
	free(body);
}

/* The same with an indefinite length. */
static inline void der_wrap_open(struct tg_buffer *b, int tag)
{
	size_t len = b->len;
	char *body = malloc(len + 1);

	if (len)
		memcpy(body, b->data, len);
	tg_buffer_reset(b);
	tg_buffer_addc(b, (char) tag);
	tg_buffer_addc(b, (char) 0x80);
	tg_buffer_add(b, body, len);
	tg_buffer_add(b, "\0\0", 2);
	free(body);
}

static inline void der_append(struct tg_buffer *b, const struct tg_buffer *more)
{
	tg_buffer_add(b, more->data, more->len);
}

/*
 * A certificate that is well formed and signed by nobody: @subject is a Name, @extensions a
 * sequence of them or empty. As short as one can be, with @serial to tell them apart.
 */
static inline void der_add_certificate(struct tg_buffer *b, unsigned serial,
				       const struct tg_buffer *subject,
				       const struct tg_buffer *extensions)
{
	static const char
		algorithm[] = { DER_SEQUENCE, 3, DER_OID, 1, 0x2a },
		nobody[] = { DER_SEQUENCE, 0 },
		key[] = { DER_SEQUENCE, 8, DER_SEQUENCE, 3, DER_OID, 1, 0x2a, DER_BITS, 1, 0 },
		version[] = { (char) DER_CONTEXT, 3, DER_INTEGER, 1, 2 },
		signature[] = { DER_BITS, 1, 0 };
	/* Newer OpenSSL refuses shorter times already when it reads a certificate. */
	static const char validity[] = "\x30\x1e\x17\x0d"
				       "200101000000Z"
				       "\x17\x0d"
				       "491231235959Z";
	const char number[] = { (char) (0x40 | (serial >> 16 & 0x3f)), (char) (serial >> 8),
				(char) serial };
	DER_BUFFER cert = der_new();

	if (extensions)
		tg_buffer_add(&cert, version, sizeof(version));
	der_add(&cert, DER_INTEGER, number, sizeof(number));
	tg_buffer_add(&cert, algorithm, sizeof(algorithm));
	tg_buffer_add(&cert, nobody, sizeof(nobody));
	tg_buffer_adds(&cert, validity);
	if (subject)
		der_append(&cert, subject);
	else
		tg_buffer_add(&cert, nobody, sizeof(nobody));
	tg_buffer_add(&cert, key, sizeof(key));
	if (extensions) {
		DER_BUFFER list = der_new();

		der_append(&list, extensions);
		der_wrap(&list, DER_SEQUENCE);
		der_wrap(&list, DER_CONTEXT + 3);
		der_append(&cert, &list);
	}
	der_wrap(&cert, DER_SEQUENCE);
	tg_buffer_add(&cert, algorithm, sizeof(algorithm));
	tg_buffer_add(&cert, signature, sizeof(signature));
	der_wrap(&cert, DER_SEQUENCE);
	der_append(b, &cert);
}

/* Owned PEM text. */
static inline char *der_pem(const struct tg_buffer *der, const char *label)
{
	DER_BUFFER text = der_new();
	char *lines = tg_transfer_encode((const uint8_t *) der->data, der->len);

	tg_buffer_addf(&text, "-----BEGIN %s-----\n%s-----END %s-----\n", label, lines, label);
	free(lines);
	return strdup(text.data);
}
