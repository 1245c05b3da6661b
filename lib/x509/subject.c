/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/subject.h"

#include "x509/key.h"

#include <errno.h>
#include <openssl/x509.h>
#include <string.h>

/* In RFC 4514 these have a meaning of their own inside a value. */
#define SPECIAL ",+\"\\<>;=#"

TG_DEFINE_CLEANUP(BIO *, BIO_free)
TG_DEFINE_CLEANUP(X509_NAME *, X509_NAME_free)

/* The upper bounds are those of RFC 5280, appendix A; OpenSSL would refuse longer ones with less
 * clear words. */
static const struct attribute {
	const char *name;
	size_t min, max; /* characters; counted as bytes here, which is stricter */
} attributes[] = {
	{ "CN", 1, 64 }, { "O", 1, 64 },   { "OU", 1, 64 },
	{ "C", 2, 2 },   { "ST", 1, 128 }, { "L", 1, 128 },
	{ "DC", 1, 63 }, { "UID", 1, 64 }, { "serialNumber", 1, 64 },
};

struct part {
	const struct attribute *attribute;
	char value[129];
	size_t len;
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int parse_attribute(const char **p, struct part *part, struct tg_fault *reterr)
{
	const char *equals = strchr(*p, '=');
	size_t len = equals ? (size_t) (equals - *p) : 0;

	for (size_t i = 0; i < TG_ARRAY_SIZE(attributes); i++) {
		if (strlen(attributes[i].name) == len &&
		    strncmp(*p, attributes[i].name, len) == 0) {
			part->attribute = &attributes[i];
			*p = equals + 1;
			return 0;
		}
	}
	return tg_fault_set(reterr, -EINVAL,
			    "subject: expected CN= O= OU= C= ST= L= DC= UID= or serialNumber= at "
			    "'%.32s'",
			    *p);
}

/* One character behind a backslash. Returns how many were taken, or -EINVAL. */
static int parse_escape(const char *p, char *ret)
{
	int high = hex_digit(p[0]), low = high < 0 ? -1 : hex_digit(p[1]);

	if (p[0] && strchr(SPECIAL " ", p[0])) {
		*ret = p[0];
		return 1;
	}
	if (low < 0 || (high == 0 && low == 0))
		return -EINVAL;
	*ret = (char) (high * 16 + low);
	return 2;
}

static int parse_value(const char **p, struct part *part, struct tg_fault *reterr)
{
	const char *s = *p;
	bool blank_at_end = false;

	if (*s == ' ')
		return tg_fault_set(reterr, -EINVAL,
				    "subject: blank behind '='; escape it as '\\ '");
	while (*s && *s != ',') {
		char c = *s++;

		blank_at_end = c == ' ';
		if (c == '\\') {
			int n = parse_escape(s, &c);

			if (n < 0)
				return tg_fault_set(reterr, -EINVAL,
						    "subject: bad escape at '%.16s'", s - 1);
			s += n;
		} else if (strchr(SPECIAL, c) && c != '=') {
			return tg_fault_set(reterr, -EINVAL,
					    "subject: '%c' must be escaped by a backslash", c);
		}
		if (part->len >= part->attribute->max)
			return tg_fault_set(reterr, -EINVAL, "subject: %s is longer than %zu bytes",
					    part->attribute->name, part->attribute->max);
		part->value[part->len++] = c;
	}
	if (blank_at_end)
		return tg_fault_set(reterr, -EINVAL, "subject: %s ends in a blank",
				    part->attribute->name);
	if (part->len < part->attribute->min)
		return tg_fault_set(reterr, -EINVAL, "subject: %s is too short",
				    part->attribute->name);
	*p = s;
	return 0;
}

static int add_part(X509_NAME *name, const struct part *part, struct tg_fault *reterr)
{
	/* Position 0: what is written first comes last. */
	if (!X509_NAME_add_entry_by_txt(name, part->attribute->name, MBSTRING_UTF8,
					(const unsigned char *) part->value, (int) part->len, 0, 0))
		return tg_x509_fault(reterr, -EINVAL, "subject");
	return 0;
}

int tg_subject_parse(const char *text, X509_NAME **ret, struct tg_fault *reterr)
{
	tg_cleanup(X509_NAME_freep) X509_NAME *name = X509_NAME_new();
	const char *p = text;

	if (!name)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	if (strlen(text) > TG_SUBJECT_MAX)
		return tg_fault_set(reterr, -EINVAL, "subject: longer than %d bytes",
				    TG_SUBJECT_MAX);
	for (unsigned n = 0;; n++) {
		struct part part = { 0 };
		int r;

		if (n == TG_SUBJECT_PARTS)
			return tg_fault_set(reterr, -EINVAL, "subject: more than %d parts",
					    TG_SUBJECT_PARTS);
		r = parse_attribute(&p, &part, reterr);
		if (r == 0)
			r = parse_value(&p, &part, reterr);
		if (r == 0)
			r = add_part(name, &part, reterr);
		if (r < 0)
			return r;
		if (!*p)
			break;
		p++; /* the comma */
		p += strspn(p, " ");
	}
	*ret = tg_take(name);
	return 0;
}

int tg_subject_escape(const char *in, char *out, size_t size)
{
	size_t n = 0, len = strlen(in);

	for (size_t i = 0; i < len; i++) {
		bool edge = i == 0 || i == len - 1;

		if (strchr(SPECIAL, in[i]) || (in[i] == ' ' && edge)) {
			if (n + 1 >= size)
				return -ENAMETOOLONG;
			out[n++] = '\\';
		}
		if (n + 1 >= size)
			return -ENAMETOOLONG;
		out[n++] = in[i];
	}
	if (n >= size)
		return -ENAMETOOLONG;
	out[n] = '\0';
	return 0;
}

int tg_subject_print(const X509_NAME *name, char *out, size_t size, struct tg_fault *reterr)
{
	/* RFC 2253, with UTF-8 as it is. */
	unsigned long flags = XN_FLAG_RFC2253 & ~(unsigned long) ASN1_STRFLGS_ESC_MSB;
	tg_cleanup(BIO_freep) BIO *bio = BIO_new(BIO_s_mem());
	const char *text = NULL;
	long len;

	if (!bio || X509_NAME_print_ex(bio, name, 0, flags) < 0)
		return tg_x509_fault(reterr, -EBADMSG, "a name cannot be printed");
	len = BIO_get_mem_data(bio, &text);
	tg_printable(out, size, text ? text : "", len > 0 ? (size_t) len : 0);
	return 0;
}
