/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/transfer.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#define DER_SEQUENCE 0x30
#define LINE_BYTES   (TG_TRANSFER_COLUMNS / 4 * 3)
#define DASHES       "-----"
#define QUOTED       48 /* of an answer that is something else */

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_base64(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '/';
}

static int refuse(const uint8_t *p, size_t len, const char *what, struct tg_fault *reterr)
{
	char quoted[QUOTED];

	return tg_fault_set(reterr, -EBADMSG, "%s; it begins with '%s'", what,
			    tg_printable(quoted, sizeof(quoted), p, len));
}

static void trim(const uint8_t **p, size_t *len)
{
	while (*len && is_blank(**p)) {
		(*p)++;
		(*len)--;
	}
	/* Servers in C count the end of a string as part of it now and then. */
	while (*len && (is_blank((*p)[*len - 1]) || (*p)[*len - 1] == '\0'))
		(*len)--;
}

/* Cuts the armour away, whatever is written on it: what is inside says what it is. */
static bool unwrap(const uint8_t **p, size_t *len)
{
	const size_t dashes = sizeof(DASHES) - 1;
	const uint8_t *line, *last;

	if (*len < dashes || memcmp(*p, DASHES, dashes) != 0)
		return true;
	line = memchr(*p, '\n', *len);
	last = memrchr(*p, '\n', *len);
	/* Between them: at least the end of the line that opens the armour. */
	if (!line || !last || (size_t) (*p + *len - last) < 2 * dashes + 1 ||
	    memcmp(last + 1, DASHES, dashes) != 0 ||
	    memcmp(*p + *len - dashes, DASHES, dashes) != 0)
		return false;
	*len = (size_t) (last - line);
	*p = line;
	return true;
}

/* Copies the characters that count to @out, with the padding that may be missing; returns how many,
 * or -EBADMSG. */
static int squeeze(const uint8_t *p, size_t len, unsigned char *out, unsigned *ret_padding)
{
	unsigned padding = 0;
	int n = 0;

	for (size_t i = 0; i < len; i++) {
		if (is_blank(p[i]))
			continue;
		if (p[i] == '=')
			padding++;
		else if (padding || !is_base64(p[i]))
			return -EBADMSG;
		else
			out[n++] = p[i];
	}
	if (n % 4 == 1 || padding > 2 || (padding && (n + (int) padding) % 4 != 0))
		return -EBADMSG;
	for (*ret_padding = 0; n % 4 != 0; (*ret_padding)++)
		out[n++] = '=';
	return n;
}

static int decode_text(const uint8_t *p, size_t len, uint8_t **ret, size_t *ret_len)
{
	tg_autofree unsigned char *text = malloc(len + 3);
	tg_autofree uint8_t *der = malloc(len + 3);
	unsigned padding = 0;
	int n, size;

	if (!text || !der)
		return -ENOMEM;
	n = squeeze(p, len, text, &padding);
	if (n < 0)
		return n;
	size = n ? EVP_DecodeBlock(der, text, n) : 0;
	if (size < (int) padding)
		return -EBADMSG;
	*ret_len = (size_t) size - padding;
	*ret = tg_take(der);
	return 0;
}

int tg_transfer_decode(const void *body, size_t len, size_t max, uint8_t **ret, size_t *ret_len,
		       struct tg_fault *reterr)
{
	const uint8_t *p = body;
	size_t left = len;
	int r;

	assert(max < INT_MAX);
	if (len > max)
		return tg_fault_set(reterr, -EFBIG, "the answer is longer than %zu bytes", max);
	/* As base64 its first character would be 'M'. */
	if (len && p[0] == DER_SEQUENCE) {
		*ret = malloc(len);
		if (!*ret)
			return tg_fault_set(reterr, -ENOMEM, "out of memory");
		memcpy(*ret, body, len);
		*ret_len = len;
		return 0;
	}
	trim(&p, &left);
	if (left == 0)
		return tg_fault_set(reterr, -EBADMSG, "the answer is empty");
	if (!unwrap(&p, &left))
		return refuse(body, len, "the answer's armour is damaged", reterr);
	r = decode_text(p, left, ret, ret_len);
	if (r == -ENOMEM)
		return tg_fault_set(reterr, r, "out of memory");
	return r < 0 ? refuse(body, len, "the answer is neither base64 nor DER", reterr) : 0;
}

size_t tg_transfer_size(size_t der_len)
{
	return (der_len + 2) / 3 * 4 + (der_len + LINE_BYTES - 1) / LINE_BYTES;
}

char *tg_transfer_encode(const uint8_t *der, size_t len)
{
	char *text = malloc(tg_transfer_size(len) + 1), *out = text;

	if (!text)
		return NULL;
	for (size_t done = 0; done < len; done += LINE_BYTES) {
		size_t line = len - done < LINE_BYTES ? len - done : LINE_BYTES;

		out += EVP_EncodeBlock((unsigned char *) out, der + done, (int) line);
		*out++ = '\n';
	}
	*out = '\0';
	return text;
}
