/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/certs_only.h"
#include "x509/transfer.h"

#include "der.h"
#include "test.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>

#define SIGNED "1.2.840.113549.1.7.2"
#define DATA   "1.2.840.113549.1.7.1"

/* How an answer differs from what the RFCs show. */
struct twist {
	const char *type;            /* of the ContentInfo */
	bool open;                   /* indefinite lengths in every layer */
	bool no_content;             /* ContentInfo with its type alone */
	bool no_set;                 /* SignedData without certificates */
	const char *prefix, *suffix; /* bytes in front of and behind the certificates */
	size_t prefix_len, suffix_len;
	bool lists;         /* a revocation list and a signer */
	const char *behind; /* bytes behind all */
	size_t behind_len;
	/* an element of no business there behind what is in these; two bytes */
	const char *in_data, *in_content, *in_info;
};

static void wrap(struct tg_buffer *b, int tag, const struct twist *t)
{
	(t->open ? der_wrap_open : der_wrap)(b, tag);
}

/* The DER of an answer with @certs (their DER, one behind the other). */
static struct tg_buffer answer(const struct tg_buffer *certs, const struct twist *t)
{
	DER_BUFFER set = der_new();
	DER_BUFFER inner = der_new();
	DER_BUFFER data = der_new();
	struct tg_buffer all = der_new();

	tg_buffer_add(&set, t->prefix, t->prefix_len);
	der_append(&set, certs);
	tg_buffer_add(&set, t->suffix, t->suffix_len);
	wrap(&set, DER_CONTEXT, t);

	der_add_oid(&inner, DATA);
	wrap(&inner, DER_SEQUENCE, t);
	der_add(&data, DER_INTEGER, "\1", 1);
	der_add(&data, DER_SET, "", 0);
	der_append(&data, &inner);
	if (!t->no_set)
		der_append(&data, &set);
	if (t->lists)
		der_add(&data, DER_CONTEXT + 1, "\x30\0", 2);
	der_add(&data, DER_SET, "\x30\0", t->lists ? 2 : 0);
	tg_buffer_add(&data, t->in_data, t->in_data ? 2 : 0);
	wrap(&data, DER_SEQUENCE, t);
	tg_buffer_add(&data, t->in_content, t->in_content ? 2 : 0);
	wrap(&data, DER_CONTEXT, t);

	der_add_oid(&all, t->type ? t->type : SIGNED);
	if (!t->no_content)
		der_append(&all, &data);
	tg_buffer_add(&all, t->in_info, t->in_info ? 2 : 0);
	wrap(&all, DER_SEQUENCE, t);
	tg_buffer_add(&all, t->behind, t->behind_len);
	return all;
}

static struct tg_buffer certificates(unsigned n)
{
	struct tg_buffer b = der_new();

	for (unsigned i = 1; i <= n; i++)
		der_add_certificate(&b, i, NULL, NULL);
	return b;
}

static int parse(const struct tg_buffer *body, size_t *ret_n, struct tg_fault *fault)
{
	/* Of its very size, so that a sanitizer sees a look behind it. */
	tg_autofree char *copy = malloc(body->len ? body->len : 1);
	tg_cleanup(tg_certs_freep) struct tg_certs *c = NULL;
	int r;

	memcpy(copy, tg_buffer_text(body), body->len);
	r = tg_certs_only_parse(copy, body->len, &c, fault);
	if (r < 0)
		assert_null(c);
	if (ret_n)
		*ret_n = tg_certs_n(c);
	return r;
}

/* The text of @der: @columns 0 is one line. */
static struct tg_buffer lines(const struct tg_buffer *der, size_t columns, const char *end,
			      bool end_at_last)
{
	struct tg_buffer out = der_new();
	tg_autofree char *text = malloc(der->len / 3 * 4 + 8);
	size_t len = (size_t) EVP_EncodeBlock((unsigned char *) text,
					      (const unsigned char *) der->data, (int) der->len);

	for (size_t i = 0; i < len; i++) {
		tg_buffer_addc(&out, text[i]);
		if (columns && i + 1 < len && (i + 1) % columns == 0)
			tg_buffer_adds(&out, end);
	}
	if (end_at_last)
		tg_buffer_adds(&out, end);
	return out;
}

static void every_layout_of_base64_is_read(void **state)
{
	static const struct {
		size_t columns;
		const char *end;
		bool at_last;
	} layouts[] = {
		{ 64, "\n", true },    { 64, "\n", false },    { 76, "\r\n", true },
		{ 76, "\r\n", false }, { 0, "\n", true },      { 0, "", false },
		{ 1, " ", true },      { 72, "\n  \t", true }, { 64, "\n\n", true },
		{ 63, "\r", true },
	};
	DER_BUFFER certs = certificates(3);
	DER_BUFFER der = answer(&certs, &(struct twist){ 0 });

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(layouts); i++) {
		DER_BUFFER text =
			lines(&der, layouts[i].columns, layouts[i].end, layouts[i].at_last);
		DER_BUFFER led = der_new();
		size_t n = 0;

		assert_int_equal(parse(&text, &n, NULL), 0);
		assert_int_equal(n, 3);
		/* Blanks in front, and the NUL of a C string behind. */
		tg_buffer_adds(&led, " \r\n\t");
		der_append(&led, &text);
		tg_buffer_addc(&led, '\0');
		assert_int_equal(parse(&led, &n, NULL), 0);
		assert_int_equal(n, 3);
	}
	assert_int_equal(parse(&der, NULL, NULL), 0);
}

static void padding_may_be_missing_but_not_wrong(void **state)
{
	/* Certificates of another kind, to be stepped over: for each of the three remainders. */
	static const char *const others[] = { "\xa1\0", "\xa1\1z", "\xa1\2zz" };

	(void) state;
	for (size_t extra = 0; extra < TG_ARRAY_SIZE(others); extra++) {
		DER_BUFFER certs = certificates(1);
		DER_BUFFER der = answer(&certs, &(struct twist){ .suffix = others[extra],
								 .suffix_len = 2 + extra });
		DER_BUFFER padded = lines(&der, 0, "", false);
		DER_BUFFER bare = der_new();
		size_t n = 0, len = padded.len;

		assert_int_equal(parse(&padded, &n, NULL), 0);
		assert_int_equal(n, 1);
		while (padded.data[len - 1] == '=')
			len--;
		tg_buffer_add(&bare, padded.data, len);
		assert_int_equal(parse(&bare, &n, NULL), 0);
		assert_int_equal(n, 1);
		tg_buffer_adds(&padded, "=");
		assert_int_equal(parse(&padded, NULL, NULL), -EBADMSG);
		tg_buffer_adds(&bare, "A=AA");
		assert_int_equal(parse(&bare, NULL, NULL), -EBADMSG);
	}
}

static void armour_of_any_name_is_taken_off(void **state)
{
	static const char *const labels[] = { "PKCS7", "CMS", "CERTIFICATE",
					      "PKCS #7 SIGNED DATA" };
	DER_BUFFER certs = certificates(2);
	DER_BUFFER der = answer(&certs, &(struct twist){ 0 });

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(labels); i++) {
		tg_autofree char *pem = der_pem(&der, labels[i]);
		DER_BUFFER text = der_new();

		tg_buffer_addf(&text, "\n%s \n", pem);
		assert_int_equal(parse(&text, NULL, NULL), 0);
		/* Without the last newline, and with CRLF. */
		tg_buffer_reset(&text);
		tg_buffer_add(&text, pem, strlen(pem) - 1);
		assert_int_equal(parse(&text, NULL, NULL), 0);
		tg_buffer_reset(&text);
		for (const char *p = pem; *p; p++)
			tg_buffer_adds(&text, *p == '\n' ? "\r\n" : (char[]){ *p, '\0' });
		assert_int_equal(parse(&text, NULL, NULL), 0);
	}
}

static void damaged_armour_and_junk_are_refused_and_quoted(void **state)
{
	DER_BUFFER certs = certificates(1);
	DER_BUFFER der = answer(&certs, &(struct twist){ 0 });
	tg_autofree char *pem = der_pem(&der, "PKCS7");
	static const char *const junk[] = {
		"<html><body>it works</body></html>",
		"-----BEGIN PKCS7-----",
		"-----BEGIN PKCS7-----\n-----END",
		"-----\n----",
		"-----BEGIN PKCS7-----\n-----END PKCS7-----\n-----BEGIN X-----\nMAA=\n",
		"-----\n-----",
		"MAA=.",
		"M",
		"M===",
		"=",
		"====",
		"\x80\x81",
		"MIIB-_aa",
	};
	struct tg_fault fault;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(junk); i++) {
		DER_BUFFER text = der_new();

		tg_buffer_adds(&text, junk[i]);
		memset(&fault, 0, sizeof(fault));
		assert_int_equal(parse(&text, NULL, &fault), -EBADMSG);
		assert_true(strlen(fault.text) > 10);
	}
	for (int i = 0; i < 3; i++) {
		DER_BUFFER text = der_new();

		tg_buffer_addf(&text, "%s%s%s", i == 0 ? "x" : "", pem,
			       i == 1   ? "x"
			       : i == 2 ? pem
					: "");
		memset(&fault, 0, sizeof(fault));
		assert_int_equal(parse(&text, NULL, &fault), -EBADMSG);
	}
	{
		DER_BUFFER text = der_new();

		tg_buffer_adds(&text, "Busy\x1b[2J, sorry");
		assert_int_equal(parse(&text, NULL, &fault), -EBADMSG);
		assert_non_null(strstr(fault.text, "'Busy?[2J, sorry'"));
	}
}

static void nothing_is_an_error_and_not_an_empty_set(void **state)
{
	static const char *const nothing[] = { "", " \r\n", "\n\n\n", "MAA=" };
	struct tg_fault fault = { 0 };
	DER_BUFFER none = der_new();
	DER_BUFFER text = der_new();
	DER_BUFFER der = answer(&none, &(struct twist){ 0 });
	DER_BUFFER absent = answer(&none, &(struct twist){ .no_set = true });

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(nothing); i++) {
		tg_buffer_reset(&text);
		tg_buffer_adds(&text, nothing[i]);
		assert_int_equal(parse(&text, NULL, &fault), -EBADMSG);
	}
	assert_int_equal(parse(&der, NULL, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "no certificate in"));
	assert_int_equal(parse(&absent, NULL, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "no certificate in"));
	/* A type and no content: what OpenSSL reads as a PKCS7 with a null pointer in it. */
	tg_buffer_reset(&text);
	tg_buffer_adds(&text, "MAsGCSqGSIb3DQEHAg==");
	assert_int_equal(parse(&text, NULL, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "empty"));
}

static void indefinite_lengths_and_extra_parts_are_read(void **state)
{
	static const struct twist twists[] = {
		{ .open = true },
		{ .lists = true },
		{ .open = true, .lists = true },
		{ .prefix = "\xa0\2\x30\0\xa2\0",
		  .prefix_len = 6,
		  .suffix = "\xa3\0",
		  .suffix_len = 2 },
	};
	DER_BUFFER certs = certificates(3);

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(twists); i++) {
		DER_BUFFER der = answer(&certs, &twists[i]);
		DER_BUFFER text = lines(&der, 64, "\n", true);
		size_t n = 0;

		assert_int_equal(parse(&der, &n, NULL), 0);
		assert_int_equal(n, 3);
		assert_int_equal(parse(&text, &n, NULL), 0);
		assert_int_equal(n, 3);
	}
}

static void what_openssl_makes_is_read_in_its_order(void **state)
{
	PKCS7 *p7 = PKCS7_new();
	DER_BUFFER certs = certificates(3);
	const unsigned char *p = (const unsigned char *) certs.data;
	tg_cleanup(tg_certs_freep) struct tg_certs *c = NULL;
	unsigned char *der = NULL;
	int len;

	(void) state;
	PKCS7_set_type(p7, NID_pkcs7_signed);
	PKCS7_content_new(p7, NID_pkcs7_data);
	for (int i = 0; i < 3; i++) {
		X509 *cert = d2i_X509(NULL, &p, (long) certs.len);

		assert_non_null(cert);
		PKCS7_add_certificate(p7, cert);
		X509_free(cert);
	}
	len = i2d_PKCS7(p7, &der);
	PKCS7_free(p7);
	assert_int_equal(tg_certs_only_parse(der, (size_t) len, &c, NULL), 0);
	OPENSSL_free(der);
	assert_int_equal(tg_certs_n(c), 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(ASN1_INTEGER_get(X509_get0_serialNumber(tg_certs_get(c, i))) &
					 0xffff,
				 i + 1);
}

/* crl2pkcs7 with and without armour, cms -sign -stream, and base64 with various options. */
static void what_the_openssl_commands_make_is_read(void **state)
{
	static const struct {
		const char *file;
		size_t n;
	} vectors[] = {
		{ "leaf.p7", 1 },    { "leaf-64", 1 },      { "chain.p7", 3 },
		{ "chain-line", 3 }, { "chain-76crlf", 3 }, { "cacerts-armour", 2 },
		{ "signed.ber", 2 },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(vectors); i++) {
		DER_BUFFER body = der_new();
		char path[512], bytes[4096];
		size_t len, n = 0;
		FILE *f;

		snprintf(path, sizeof(path), "%s/../fuzz/corpus/certs-only/%s",
			 getenv("TIDEGATE_DATA"), vectors[i].file);
		f = fopen(path, "re");
		assert_non_null(f);
		len = fread(bytes, 1, sizeof(bytes), f);
		fclose(f);
		tg_buffer_add(&body, bytes, len);
		assert_int_equal(parse(&body, &n, NULL), 0);
		assert_int_equal(n, vectors[i].n);
	}
}

static void other_things_in_der_are_told_apart(void **state)
{
	DER_BUFFER certs = certificates(1);
	DER_BUFFER enveloped = answer(&certs, &(struct twist){ .type = "1.2.840.113549.1.7.3" });
	DER_BUFFER unknown = answer(&certs, &(struct twist){ .type = "1.2.3" });
	DER_BUFFER behind = answer(&certs, &(struct twist){ .behind = "\n", .behind_len = 1 });
	struct tg_fault fault = { 0 };

	(void) state;
	assert_int_equal(parse(&enveloped, NULL, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "pkcs7-envelopedData"));
	assert_int_equal(parse(&unknown, NULL, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "unknown type"));
	assert_int_equal(parse(&certs, NULL, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "certificate alone"));
	assert_int_equal(parse(&behind, NULL, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "1 bytes behind"));
}

static void a_certificate_that_is_broken_inside_is_named(void **state)
{
	struct tg_fault fault = { 0 };
	DER_BUFFER certs = certificates(2);
	DER_BUFFER der =
		answer(&certs, &(struct twist){ .suffix = "\x30\3\x02\1\1", .suffix_len = 5 });
	DER_BUFFER alien = answer(&certs, &(struct twist){ .suffix = "\x04\1x", .suffix_len = 3 });

	(void) state;
	assert_int_equal(parse(&der, NULL, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "certificate 3 of the PKCS#7"));
	assert_int_equal(parse(&alien, NULL, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "damaged"));
}

static void elements_of_no_business_there_are_refused(void **state)
{
	static const struct twist twists[] = {
		{ .in_info = "\x05\0" },
		{ .in_info = "\x30\1" },
		{ .in_content = "\x05\0" },
		{ .in_content = "\x30\1" },
		{ .in_data = "\x05\0" },
		{ .in_data = "\xa0\0" },
		{ .in_data = "\x30\1" },
		{ .suffix = "\x30\1", .suffix_len = 2 },
		{ .suffix = "\0\0", .suffix_len = 2 },
	};
	DER_BUFFER certs = certificates(1);

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(twists); i++) {
		DER_BUFFER der = answer(&certs, &twists[i]);
		struct tg_fault fault = { 0 };

		assert_int_equal(parse(&der, NULL, &fault), -EBADMSG);
		assert_non_null(strstr(fault.text, "damaged"));
	}
}

/* Of some extensions OpenSSL makes fifty times their size in objects. */
static void certificates_that_are_huge_together_are_refused(void **state)
{
	struct tg_fault fault = { 0 };
	DER_BUFFER value = der_new();
	DER_BUFFER certs = der_new();
	DER_BUFFER der = der_new();

	(void) state;
	while (value.len < TG_CERTS_ONLY_DER / 2)
		tg_buffer_add(&value, "\x82\0", 2);
	der_wrap(&value, DER_SEQUENCE);
	der_wrap(&value, DER_OCTETS);
	for (unsigned i = 0; i < 2; i++) {
		DER_BUFFER extension = der_new();

		der_add_oid(&extension, "2.5.29.17");
		der_append(&extension, &value);
		der_wrap(&extension, DER_SEQUENCE);
		der_add_certificate(&certs, i, NULL, &extension);
		tg_buffer_done(&der);
		der = answer(&certs, &(struct twist){ 0 });
		assert_int_equal(parse(&der, NULL, &fault), i ? -EFBIG : 0);
	}
	assert_non_null(strstr(fault.text, "together"));
}

static void every_cut_and_every_bad_byte_of_the_wrapping_ends_well(void **state)
{
	for (int open = 0; open < 2; open++) {
		DER_BUFFER certs = certificates(2);
		DER_BUFFER der = answer(&certs, &(struct twist){ .open = open, .lists = true });

		(void) state;
		for (size_t cut = 0; cut < der.len; cut++) {
			DER_BUFFER part = der_new();

			tg_buffer_add(&part, der.data, cut);
			assert_int_equal(parse(&part, NULL, NULL), -EBADMSG);
		}
		for (size_t i = 0; i < der.len; i++)
			for (int bit = 0; bit < 8; bit++) {
				der.data[i] ^= (char) (1 << bit);
				(void) parse(&der, NULL, NULL);
				der.data[i] ^= (char) (1 << bit);
			}
	}
}

static void lengths_beyond_everything_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} wrong[] = {
		{ "\x30\x84\xff\xff\xff\xff", 6 },
		{ "\x30\x84\x7f\xff\xff\xff\x06\1\1", 9 },
		{ "\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff\x06\1\1", 13 },
		{ "\x30\x88\x7f\xff\xff\xff\xff\xff\xff\xff\x06\1\1", 13 },
		{ "\x30\xff", 2 },
		{ "\x30\x81", 2 },
		{ "\x30", 1 },
		{ "\x30\x80", 2 },
		{ "\x30\x80\0", 3 },
		{ "\x30\x80\0\0", 4 },
		{ "\x30\x0b\x06\x80\0\0", 6 },
		{ "\x30\2\x06\0", 4 },
		{ "\x30\2\0\0", 4 },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
		DER_BUFFER der = der_new();

		tg_buffer_add(&der, wrong[i].bytes, wrong[i].len);
		assert_int_equal(parse(&der, NULL, NULL), -EBADMSG);
	}
}

static void open_lengths_within_open_lengths_end_somewhere(void **state)
{
	DER_BUFFER der = der_new();

	(void) state;
	for (int i = 0; i < 100000; i++)
		tg_buffer_add(&der, "\x30\x80", 2);
	assert_int_equal(parse(&der, NULL, NULL), -EBADMSG);
	for (int i = 0; i < 100000; i++)
		tg_buffer_add(&der, "\0\0", 2);
	assert_int_equal(parse(&der, NULL, NULL), -EBADMSG);
}

static void thousands_of_certificates_within_the_bytes_are_refused(void **state)
{
	struct tg_fault fault = { 0 };
	DER_BUFFER certs = certificates(6000);
	DER_BUFFER der = answer(&certs, &(struct twist){ 0 });
	DER_BUFFER most = certificates(TG_CERTS_MAX);
	DER_BUFFER just = answer(&most, &(struct twist){ 0 });
	size_t n = 0;

	(void) state;
	assert_true(der.len < TG_CERTS_ONLY_BYTES);
	assert_int_equal(parse(&der, NULL, &fault), -EFBIG);
	assert_non_null(strstr(fault.text, "more than 64 certificates"));
	assert_int_equal(parse(&just, &n, NULL), 0);
	assert_int_equal(n, TG_CERTS_MAX);
}

static void one_certificate_thousands_of_times_is_one(void **state)
{
	DER_BUFFER certs = der_new();
	DER_BUFFER der = der_new();
	size_t n = 0;

	(void) state;
	for (int i = 0; i < 5000; i++)
		der_add_certificate(&certs, 7, NULL, NULL);
	der = answer(&certs, &(struct twist){ 0 });
	assert_int_equal(parse(&der, &n, NULL), 0);
	assert_int_equal(n, 1);
}

static void an_answer_beyond_the_bytes_is_not_looked_at(void **state)
{
	tg_autofree char *big = calloc(1, TG_CERTS_ONLY_BYTES + 1);
	struct tg_certs *c = NULL;

	(void) state;
	assert_int_equal(tg_certs_only_parse(big, TG_CERTS_ONLY_BYTES + 1, &c, NULL), -EFBIG);
	memset(big, ' ', TG_CERTS_ONLY_BYTES);
	assert_int_equal(tg_certs_only_parse(big, TG_CERTS_ONLY_BYTES, &c, NULL), -EBADMSG);
	memset(big, 'M', TG_CERTS_ONLY_BYTES);
	assert_int_equal(tg_certs_only_parse(big, TG_CERTS_ONLY_BYTES, &c, NULL), -EBADMSG);
	assert_null(c);
}

/* What is written goes in lines of 64 with LF, also at the end; what is read may be anything. */
static void what_is_written_is_read_again(void **state)
{
	uint8_t der[400];

	(void) state;
	for (size_t i = 0; i < sizeof(der); i++)
		der[i] = (uint8_t) (i * 37 + (i >> 3));
	der[0] = DER_SEQUENCE;
	for (size_t len = 1; len <= sizeof(der); len++) {
		tg_autofree char *text = tg_transfer_encode(der, len);
		tg_autofree uint8_t *back = NULL;
		const char *line = text;
		size_t back_len = 0;

		assert_int_equal(strlen(text), tg_transfer_size(len));
		assert_int_equal(text[strlen(text) - 1], '\n');
		for (const char *end; (end = strchr(line, '\n')); line = end + 1) {
			assert_true(end - line <= 64 && end > line);
			if (end[1])
				assert_int_equal(end - line, 64);
		}
		assert_int_equal(
			tg_transfer_decode(text, strlen(text), 1000, &back, &back_len, NULL), 0);
		assert_int_equal(back_len, len);
		assert_memory_equal(back, der, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_layout_of_base64_is_read),
		cmocka_unit_test(padding_may_be_missing_but_not_wrong),
		cmocka_unit_test(armour_of_any_name_is_taken_off),
		cmocka_unit_test(damaged_armour_and_junk_are_refused_and_quoted),
		cmocka_unit_test(nothing_is_an_error_and_not_an_empty_set),
		cmocka_unit_test(indefinite_lengths_and_extra_parts_are_read),
		cmocka_unit_test(what_openssl_makes_is_read_in_its_order),
		cmocka_unit_test(what_the_openssl_commands_make_is_read),
		cmocka_unit_test(other_things_in_der_are_told_apart),
		cmocka_unit_test(a_certificate_that_is_broken_inside_is_named),
		cmocka_unit_test(elements_of_no_business_there_are_refused),
		cmocka_unit_test(certificates_that_are_huge_together_are_refused),
		cmocka_unit_test(every_cut_and_every_bad_byte_of_the_wrapping_ends_well),
		cmocka_unit_test(lengths_beyond_everything_are_refused),
		cmocka_unit_test(open_lengths_within_open_lengths_end_somewhere),
		cmocka_unit_test(thousands_of_certificates_within_the_bytes_are_refused),
		cmocka_unit_test(one_certificate_thousands_of_times_is_one),
		cmocka_unit_test(an_answer_beyond_the_bytes_is_not_looked_at),
		cmocka_unit_test(what_is_written_is_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
