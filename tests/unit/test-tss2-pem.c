/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "base/buffer.h"
#include "base/file.h"
#include "tpm/key.h"
#include "tpm/tpm.h"

#include <openssl/bio.h>
#include <openssl/pem.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define MARK    "TSS2 PRIVATE KEY"
#define DER_MAX 1024

static char *data_file(const char *name)
{
	const char *dir = getenv("TIDEGATE_DATA");
	char path[512];
	char *text = NULL;

	assert_non_null(dir);
	(void) snprintf(path, sizeof(path), "%s/tss2/%s", dir, name);
	assert_int_equal(tg_file_read(AT_FDCWD, path, 65536, &text, NULL, NULL), 0);
	return text;
}

static int parse(const char *pem, struct tg_fault *f)
{
	struct tg_tpm_key *key = NULL;
	int r = tg_tpm_key_from_pem(pem, strlen(pem), &key, f);

	assert_true((r == 0) == (key != NULL));
	tg_tpm_key_unref(key);
	return r;
}

static char *armour(const char *name, const uint8_t *der, size_t len)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *text, *copy;
	long n;

	assert_non_null(out);
	assert_true(PEM_write_bio(out, name, "", der, (long) len) > 0);
	n = BIO_get_mem_data(out, &text);
	copy = strndup(text, (size_t) n);
	BIO_free(out);
	assert_non_null(copy);
	return copy;
}

static size_t ours_der(uint8_t out[static DER_MAX])
{
	tg_autofree char *pem = data_file("ours.pem");
	BIO *in = BIO_new_mem_buf(pem, -1);
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	long len = 0;

	assert_int_equal(PEM_read_bio(in, &name, &header, &der, &len), 1);
	assert_int_equal(len, 244);
	memcpy(out, der, (size_t) len);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	BIO_free(in);
	return (size_t) len;
}

static int parse_der(const uint8_t *der, size_t len, struct tg_fault *f)
{
	tg_autofree char *pem = armour(MARK, der, len);

	return parse(pem, f);
}

static void reads_what_it_wrote(void **state)
{
	tg_autofree char *pem = data_file("ours.pem"), *again = NULL;
	struct tg_tpm_key *key = NULL, *other;

	(void) state;
	assert_int_equal(tg_tpm_key_from_pem(pem, strlen(pem), &key, NULL), 0);
	assert_int_equal(tg_tpm_key_to_pem(key, &again), 0);
	assert_string_equal(pem, again);
	assert_int_equal(tg_tpm_key_parent(key), 0x81000001);
	assert_int_equal(tg_tpm_key_blob(key)->pub.publicArea.objectAttributes, 0x00040472);
	assert_int_equal(tg_tpm_key_point(key)[0], 4);
	assert_int_equal(tg_tpm_key_point(key)[1], 0x4b);

	/* A second owner keeps it alive. */
	other = tg_tpm_key_ref(key);
	assert_null(tg_tpm_key_unref(key));
	assert_int_equal(tg_tpm_key_point(other)[64], 0x0c);
	tg_tpm_key_unref(other);
	assert_null(tg_tpm_key_unref(NULL));
}

static void writes_an_explicit_empty_password(void **state)
{
	uint8_t der[DER_MAX];
	static const uint8_t yes[] = { 0xa0, 0x03, 0x01, 0x01, 0xff };
	static const uint8_t parent[] = { 0x02, 0x05, 0x00, 0x81, 0x00, 0x00, 0x01 };

	(void) state;
	assert_int_equal(ours_der(der), 244);
	assert_memory_equal(der + 11, yes, sizeof(yes));
	assert_memory_equal(der + 16, parent, sizeof(parent));
}

static void takes_keys_of_other_programs_that_can_sign(void **state)
{
	tg_autofree char *pem = data_file("tpm2-openssl-ec.pem");
	struct tg_fault f = { 0 };

	(void) state;
	if (parse(pem, &f) < 0)
		fail_msg("%s", f.text);
}

static void refuses_kinds_that_are_not_used(void **state)
{
	tg_autofree char *owner = data_file("owner-parent.pem"), *rsa = data_file("rsa.pem");
	struct tg_fault f = { 0 };

	(void) state;
	assert_int_equal(parse(owner, &f), -EOPNOTSUPP);
	assert_non_null(strstr(f.text, "owner hierarchy"));
	assert_int_equal(parse(rsa, &f), -EOPNOTSUPP);
	assert_non_null(strstr(f.text, "elliptic"));
}

/* One byte of a good key changed: where, to what, and what is said. */
static const struct {
	size_t at;
	uint8_t to;
	int error;
	const char *says;
} edits[] = {
	{ 10, 4, -EOPNOTSUPP, "another kind" },
	{ 15, 0, -EOPNOTSUPP, "password" },
	{ 18, 0x01, -EBADMSG, "handle" },        /* parent does not fit 32 bits */
	{ 18, 0xff, -EBADMSG, "ASN.1" },         /* not in its shortest form */
	{ 18, 0x80, -EBADMSG, "handle" },        /* parent negative */
	{ 19, 0x80, -EOPNOTSUPP, "0x80000001" }, /* parent transient */
	{ 26, 0x57, -EBADMSG, "TPM2B_PUBLIC" },
	{ 26, 0x55, -EBADMSG, "public part" },
	{ 28, 0x01, -EBADMSG, "public part" }, /* says RSA, looks like EC */
	{ 30, 0x0c, -EOPNOTSUPP, "SHA-256" },
	{ 32, 0x00, -EOPNOTSUPP, "attributes 0x00000472" }, /* cannot sign */
	{ 32, 0x05, -EOPNOTSUPP, "attributes 0x00050472" }, /* restricted */
	{ 34, 0x32, -EOPNOTSUPP, "attributes 0x00040432" }, /* no use with a password */
	{ 42, 0x04, -EOPNOTSUPP, "P-256" },
	{ 50, 0xee, -EBADMSG, "not on P-256" },
	{ 80, 0x21, -EBADMSG, "public part" },
	{ 117, 0x7d, -EBADMSG, "TPM2B_PRIVATE" },
	{ 117, 0x7f, -EBADMSG, "TPM2B_PRIVATE" },
	{ 0, 0x31, -EBADMSG, "ASN.1" },
};

static void a_changed_byte_is_named_for_what_it_breaks(void **state)
{
	uint8_t good[DER_MAX], der[DER_MAX];
	size_t len = ours_der(good);

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(edits); i++) {
		struct tg_fault f = { 0 };
		int r;

		memcpy(der, good, len);
		der[edits[i].at] = edits[i].to;
		r = parse_der(der, len, &f);
		if (r != edits[i].error || !strstr(f.text, edits[i].says))
			fail_msg("byte %zu = 0x%02x: %d, %s", edits[i].at, edits[i].to, r, f.text);
	}
}

static void any_changed_byte_is_refused_or_read_back_exactly(void **state)
{
	uint8_t der[DER_MAX];
	size_t len = ours_der(der);

	(void) state;
	for (size_t i = 0; i < len; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			struct tg_tpm_key *key = NULL;
			tg_autofree char *pem = NULL, *again = NULL;

			der[i] ^= (uint8_t) (1 << bit);
			pem = armour(MARK, der, len);
			if (tg_tpm_key_from_pem(pem, strlen(pem), &key, NULL) == 0) {
				assert_int_equal(tg_tpm_key_to_pem(key, &again), 0);
				/* Only another spelling of TRUE is not kept. */
				if (i != 15)
					assert_string_equal(pem, again);
				tg_tpm_key_unref(key);
			}
			der[i] ^= (uint8_t) (1 << bit);
		}
}

static void trailing_bytes_are_refused(void **state)
{
	uint8_t der[DER_MAX];
	size_t len = ours_der(der);
	struct tg_fault f = { 0 };

	(void) state;
	der[len] = 0;
	assert_int_equal(parse_der(der, len + 1, &f), -EBADMSG);
	assert_non_null(strstr(f.text, "behind"));
}

static void an_absent_password_flag_means_a_password(void **state)
{
	uint8_t der[DER_MAX];
	size_t len = ours_der(der);
	struct tg_fault f = { 0 };

	(void) state;
	memmove(der + 11, der + 16, len - 16);
	der[2] = (uint8_t) (der[2] - 5);
	assert_int_equal(parse_der(der, len - 5, &f), -EOPNOTSUPP);
	assert_non_null(strstr(f.text, "password"));
}

static void a_policy_is_refused_as_one(void **state)
{
	static const uint8_t policy[] = { 0xa1, 0x02, 0x30, 0x00 };
	uint8_t der[DER_MAX];
	size_t len = ours_der(der);
	struct tg_fault f = { 0 };

	(void) state;
	memmove(der + 16 + sizeof(policy), der + 16, len - 16);
	memcpy(der + 16, policy, sizeof(policy));
	der[2] = (uint8_t) (der[2] + sizeof(policy));
	assert_int_equal(parse_der(der, len + sizeof(policy), &f), -EOPNOTSUPP);
	assert_non_null(strstr(f.text, "policy"));
}

static void indefinite_lengths_are_not_der(void **state)
{
	uint8_t good[DER_MAX], der[DER_MAX] = { 0x30, 0x80 };
	size_t len = ours_der(good);
	struct tg_fault f = { 0 };

	(void) state;
	memcpy(der + 2, good + 3, len - 3);
	assert_int_equal(parse_der(der, len - 1 + 2, &f), -EBADMSG);
}

static void every_truncation_is_refused(void **state)
{
	tg_autofree char *pem = data_file("ours.pem");
	size_t len = strlen(pem);

	(void) state;
	for (size_t n = 0; n + 1 < len; n++) {
		struct tg_tpm_key *key = NULL;
		/* An allocation of just that size, so that a sanitizer sees a read behind it. */
		tg_autofree char *part = malloc(n + 1);
		struct tg_fault f = { 0 };
		int r;

		assert_non_null(part);
		memcpy(part, pem, n);
		r = tg_tpm_key_from_pem(part, n, &key, &f);
		assert_true(r == -EBADMSG || r == -ENOENT);
		assert_null(key);
	}
}

static void in_a_bundle_the_certificates_are_passed_by(void **state)
{
	tg_autofree char *pem = data_file("ours.pem");
	tg_autofree char *crt = armour("CERTIFICATE", (const uint8_t *) "not looked at", 13);
	struct tg_buffer b = TG_BUFFER_INIT(65536);
	struct tg_fault f = { 0 };

	(void) state;
	for (int i = 0; i < 20; i++)
		tg_buffer_adds(&b, crt);
	assert_int_equal(parse(tg_buffer_text(&b), &f), -ENOENT);
	tg_buffer_adds(&b, pem);
	assert_int_equal(parse(tg_buffer_text(&b), &f), 0);
	tg_buffer_adds(&b, crt);
	assert_int_equal(parse(tg_buffer_text(&b), &f), 0);
	/* Which of two would be meant? */
	tg_buffer_adds(&b, pem);
	assert_int_equal(parse(tg_buffer_text(&b), &f), -EBADMSG);
	assert_non_null(strstr(f.text, "more than one"));
	tg_buffer_done(&b);
}

static void other_files_are_refused_by_their_kind(void **state)
{
	tg_autofree char *pem = data_file("ours.pem");
	tg_autofree char *huge = calloc(1, 65538);
	struct tg_fault f = { 0 };
	char encrypted[1024];

	(void) state;
	assert_int_equal(parse("", &f), -ENOENT);
	assert_int_equal(parse("hello\n", &f), -ENOENT);
	assert_int_equal(parse("-----BEGIN TSS2 PRIVATE KEY-----\n!!!!\n-----END TSS2 PRIVATE "
			       "KEY-----\n",
			       &f),
			 -EBADMSG);
	memset(huge, ' ', 65537);
	assert_int_equal(parse(huge, &f), -EFBIG);
	(void) snprintf(encrypted, sizeof(encrypted),
			"-----BEGIN " MARK "-----\nProc-Type: 4,ENCRYPTED\n"
			"DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n%s",
			strchr(pem, '\n') + 1);
	assert_int_equal(parse(encrypted, &f), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_it_wrote),
		cmocka_unit_test(writes_an_explicit_empty_password),
		cmocka_unit_test(takes_keys_of_other_programs_that_can_sign),
		cmocka_unit_test(refuses_kinds_that_are_not_used),
		cmocka_unit_test(a_changed_byte_is_named_for_what_it_breaks),
		cmocka_unit_test(any_changed_byte_is_refused_or_read_back_exactly),
		cmocka_unit_test(trailing_bytes_are_refused),
		cmocka_unit_test(an_absent_password_flag_means_a_password),
		cmocka_unit_test(a_policy_is_refused_as_one),
		cmocka_unit_test(indefinite_lengths_are_not_der),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(in_a_bundle_the_certificates_are_passed_by),
		cmocka_unit_test(other_files_are_refused_by_their_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
