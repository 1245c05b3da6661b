/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/chain.h"
#include "x509/when.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/certificate-bench.h"

/* A small authority: root -> middle -> leaf, and whatever a test bends. */
static EVP_PKEY *root_key, *middle_key, *key, *other_key;
static X509 *root, *middle;
static char *root_pem;

static X509 *leaf_of(const struct wish *w)
{
	return issue(w, key, middle, middle_key);
}

static struct tg_chain_rules plain(void)
{
	return (struct tg_chain_rules){ .key = key, .now = NOW, .skew_s = TG_CHAIN_SKEW_S };
}

/* Orders and judges leaf + middle under @rules; takes @leaf. */
static int judge(X509 *leaf, const struct tg_chain_rules *rules, struct tg_fault *fault)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(TG_CHAIN_BYTES);
	tg_cleanup(tg_chain_freep) struct tg_chain *c = NULL;

	add_pem(&text, middle);
	add_pem(&text, leaf);
	X509_free(leaf);
	assert_int_equal(tg_chain_parse(text.data, text.len, &c, NULL), 0);
	assert_int_equal(tg_chain_order(c, key, NULL), 0);
	return tg_chain_verify(c, rules, fault);
}

static void a_good_chain_passes_with_and_without_anchor(void **state)
{
	const struct wish w = { .subject = "gw",
				.extensions = { "keyUsage=digitalSignature", "extendedKeyUsage="
									     "clientAuth" } };
	struct tg_chain_rules rules = plain();

	(void) state;
	assert_int_equal(judge(leaf_of(&w), &rules, NULL), TG_CHAIN_OK);
	rules.anchors_pem = root_pem;
	rules.anchors_len = strlen(root_pem);
	rules.subject = "CN=gw";
	assert_int_equal(judge(leaf_of(&w), &rules, NULL), TG_CHAIN_OK);
}

static void each_refusal_has_its_own_reason(void **state)
{
	static const struct {
		struct wish wish;
		int verdict;
		const char *word;
	} cases[] = {
		{ { .subject = "gw", .from = -9 * DAY, .until = -DAY }, TG_CHAIN_EXPIRED, "ended" },
		{ { .subject = "gw", .from = 2 * DAY }, TG_CHAIN_NOT_YET_VALID, "begins" },
		{ { .subject = "gw", .from = 5 * DAY, .until = 3 * DAY },
		  TG_CHAIN_EXPIRED,
		  "never" },
		{ { .subject = "gw", .extensions = { "basicConstraints=critical,CA:TRUE" } },
		  TG_CHAIN_CA,
		  "authority" },
		{ { .subject = "gw",
		    .extensions = { "basicConstraints=critical,CA:TRUE", "keyUsage="
									 "digitalSignature" } },
		  TG_CHAIN_CA,
		  "authority" },
		{ { .subject = "gw", .extensions = { "extendedKeyUsage=serverAuth" } },
		  TG_CHAIN_USAGE,
		  "clientAuth" },
		{ { .subject = "gw", .extensions = { "keyUsage=keyEncipherment" } },
		  TG_CHAIN_USAGE,
		  "key usage" },
		{ { .subject = "gw", .extensions = { "1.2.3.4=critical,DER:0500" } },
		  TG_CHAIN_USAGE,
		  "critical" },
		{ { .subject = "gx" }, TG_CHAIN_SUBJECT, "subject" },
	};
	struct tg_chain_rules rules = plain();

	(void) state;
	rules.subject = "CN=gw";
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		struct tg_fault fault = { 0 };

		assert_int_equal(judge(leaf_of(&cases[i].wish), &rules, &fault), cases[i].verdict);
		if (!strstr(fault.text, cases[i].word))
			fail_msg("'%s' does not say '%s'", fault.text, cases[i].word);
	}
}

static void a_weak_digest_is_refused(void **state)
{
	const struct wish w = { .subject = "gw", .md = EVP_sha1() };
	const struct tg_chain_rules rules = plain();
	struct tg_fault fault;

	(void) state;
	assert_int_equal(judge(leaf_of(&w), &rules, &fault), TG_CHAIN_WEAK);
}

static void a_suspect_clock_accepts_the_future_but_not_the_past(void **state)
{
	const struct wish early = { .subject = "gw", .from = 300 * DAY, .until = 400 * DAY },
			  late = { .subject = "gw", .from = -9 * DAY, .until = -DAY };
	struct tg_chain_rules rules = plain();

	(void) state;
	rules.skew_s = INT64_MAX;
	assert_int_equal(judge(leaf_of(&early), &rules, NULL), TG_CHAIN_OK);
	assert_int_equal(judge(leaf_of(&late), &rules, NULL), TG_CHAIN_EXPIRED);
	rules.now = 0; /* 1970 */
	assert_int_equal(judge(leaf_of(&early), &rules, NULL), TG_CHAIN_OK);
	rules.anchors_pem = root_pem;
	rules.anchors_len = strlen(root_pem);
	/* Root and middle have ended by the time the leaf begins. */
	assert_int_equal(judge(leaf_of(&early), &rules, NULL), TG_CHAIN_UNTRUSTED);
}

static void a_life_that_is_nearly_over_is_of_no_use(void **state)
{
	const struct wish barely = { .subject = "gw", .from = -DAY, .until = 30 },
			  nearly = { .subject = "gw", .from = -DAY, .until = 29 },
			  second = { .subject = "gw", .from = 5 * DAY, .until = 5 * DAY + 1 },
			  day = { .subject = "gw", .from = 5 * DAY, .until = 6 * DAY };
	struct tg_chain_rules rules = plain();
	struct tg_fault fault = { 0 };

	(void) state;
	rules.min_life_s = 30;
	assert_int_equal(judge(leaf_of(&barely), &rules, NULL), TG_CHAIN_OK);
	assert_int_equal(judge(leaf_of(&nearly), &rules, &fault), TG_CHAIN_SHORT);
	assert_non_null(strstr(fault.text, "29 s are left"));
	/* Where the clock may be behind, the life begins when it begins. */
	rules.skew_s = INT64_MAX;
	assert_int_equal(judge(leaf_of(&second), &rules, NULL), TG_CHAIN_SHORT);
	assert_int_equal(judge(leaf_of(&day), &rules, NULL), TG_CHAIN_OK);
}

static void certificates_beyond_2038_and_2050_are_read_right(void **state)
{
	const struct wish aws = { .subject = "gw", .generalized = "20491231235959Z" },
			  far = { .subject = "gw", .generalized = "99991231235959Z" };
	const struct tg_chain_rules rules = plain();
	X509 *cert = leaf_of(&aws);
	int64_t at = 0;

	(void) state;
	assert_int_equal(tg_when(X509_get0_notAfter(cert), &at), 0);
	assert_true(at == INT64_C(2524607999));
	assert_int_equal(judge(cert, &rules, NULL), TG_CHAIN_OK);
	assert_int_equal(judge(leaf_of(&far), &rules, NULL), TG_CHAIN_OK);
}

static void an_issuer_that_is_not_the_anchor_is_refused(void **state)
{
	const struct wish ca = { .subject = "root",
				 .extensions = { "basicConstraints=critical,CA:TRUE" } },
			  w = { .subject = "gw" };
	struct tg_chain_rules rules = plain();
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(TG_CHAIN_BYTES);
	X509 *imposter = issue(&ca, other_key, NULL, other_key);
	struct tg_fault fault;

	(void) state;
	add_pem(&text, imposter);
	X509_free(imposter);
	rules.anchors_pem = text.data;
	rules.anchors_len = text.len;
	assert_int_equal(judge(leaf_of(&w), &rules, &fault), TG_CHAIN_UNTRUSTED);
	rules.anchors_pem = "no certificate";
	rules.anchors_len = 14;
	assert_int_equal(judge(leaf_of(&w), &rules, &fault), -EBADMSG);
}

static void a_signature_along_the_chain_that_is_wrong_is_found(void **state)
{
	/* Says that middle issued it, but was signed by another key. */
	const struct wish w = { .subject = "gw" };
	const struct tg_chain_rules rules = plain();
	X509 *forged = issue(&w, key, middle, other_key);
	struct tg_fault fault;

	(void) state;
	assert_int_equal(judge(forged, &rules, &fault), TG_CHAIN_UNTRUSTED);
}

static void a_certificate_of_another_key_is_not_ours(void **state)
{
	const struct wish w = { .subject = "gw" };
	struct tg_chain_rules rules = plain();
	struct tg_fault fault;

	(void) state;
	rules.key = other_key;
	assert_int_equal(judge(leaf_of(&w), &rules, &fault), TG_CHAIN_NOT_OURS);
}

static void ordering_puts_the_leaf_first_and_drops_the_rest(void **state)
{
	const struct wish w = { .subject = "gw" }, stranger = { .subject = "stranger" };
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(TG_CHAIN_BYTES);
	tg_cleanup(tg_chain_freep) struct tg_chain *c = NULL;
	X509 *leaf = leaf_of(&w), *alone = issue(&stranger, other_key, NULL, other_key);
	tg_autofree char *pem = NULL;
	struct tg_chain_info info;

	(void) state;
	add_pem(&text, root);
	add_pem(&text, alone);
	add_pem(&text, middle);
	add_pem(&text, leaf);
	assert_int_equal(tg_chain_parse(text.data, text.len, &c, NULL), 0);
	assert_int_equal(tg_chain_order(c, key, NULL), 0);
	assert_int_equal(tg_chain_info(c, &info, NULL), 0);
	assert_int_equal(info.certificates, 2);
	assert_string_equal(info.subject, "CN=gw");
	assert_string_equal(info.issuer, "CN=middle");
	assert_int_equal(strlen(info.fingerprint), 64);
	assert_true(info.not_before == NOW - DAY && info.not_after == NOW + 30 * DAY);
	tg_buffer_reset(&text);
	add_pem(&text, leaf);
	add_pem(&text, middle);
	pem = tg_chain_to_pem(c);
	assert_string_equal(pem, text.data);
	X509_free(leaf);
	X509_free(alone);
}

static void no_certificate_or_two_for_our_key_is_refused(void **state)
{
	const struct wish w = { .subject = "gw" };
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(TG_CHAIN_BYTES);
	struct tg_chain *c = NULL;
	X509 *one = leaf_of(&w), *two = leaf_of(&w);

	(void) state;
	add_pem(&text, one);
	add_pem(&text, one); /* twice the same is tolerated */
	assert_int_equal(tg_chain_parse(text.data, text.len, &c, NULL), 0);
	assert_int_equal(tg_chain_order(c, other_key, NULL), -ENOENT);
	assert_int_equal(tg_chain_order(c, key, NULL), 0);
	c = tg_chain_free(c);
	add_pem(&text, two);
	assert_int_equal(tg_chain_parse(text.data, text.len, &c, NULL), 0);
	assert_int_equal(tg_chain_order(c, key, NULL), -EEXIST);
	c = tg_chain_free(c);
	X509_free(one);
	X509_free(two);
}

/* OpenSSL would ask the terminal, or read standard input, on the word of a peer. */
static void nobody_is_asked_for_the_passphrase_of_a_certificate(void **state)
{
	static const char text[] = "-----BEGIN CERTIFICATE-----\n"
				   "Proc-Type: 4,ENCRYPTED\n"
				   "DEK-Info: AES-128-CBC,000102030405060708090A0B0C0D0E0F\n\n"
				   "AAAAAAAAAAAAAAAAAAAAAA==\n"
				   "-----END CERTIFICATE-----\n";
	struct tg_chain *c = NULL;
	struct tg_fault fault = { 0 };

	(void) state;
	assert_int_equal(tg_chain_parse(text, strlen(text), &c, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "bad password read"));
	assert_int_equal(tg_chain_parse_file(text, strlen(text), &c, &fault), -EBADMSG);
	assert_null(c);
}

static void junk_keys_and_too_much_are_refused(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(2 * TG_CHAIN_BYTES);
	struct tg_chain *c = NULL;
	struct tg_fault fault;
	size_t one;

	(void) state;
	assert_int_equal(tg_chain_parse("", 0, &c, &fault), -EBADMSG);
	assert_int_equal(tg_chain_parse(" \n", 2, &c, &fault), -EBADMSG);
	add_pem(&text, middle);
	one = text.len;
	for (size_t len = 1; len < one - 1; len += 7)
		assert_int_equal(tg_chain_parse(text.data, len, &c, &fault), -EBADMSG);
	tg_buffer_adds(&text, "hello");
	assert_int_equal(tg_chain_parse(text.data, text.len, &c, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "behind"));
	tg_buffer_reset(&text);
	add_pem(&text, middle);
	tg_buffer_adds(&text, "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n");
	assert_int_equal(tg_chain_parse(text.data, text.len, &c, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "private key"));
	assert_null(strstr(fault.text, "SECRET"));
	tg_buffer_reset(&text);
	for (int i = 0; i < TG_CHAIN_CERTS + 1; i++)
		add_pem(&text, middle);
	assert_int_equal(tg_chain_parse(text.data, text.len, &c, &fault), -EFBIG);
	while (text.len <= TG_CHAIN_BYTES)
		add_pem(&text, middle);
	assert_int_equal(tg_chain_parse(text.data, text.len, &c, &fault), -EFBIG);
	assert_null(c);
}

static int make_authority(void **state)
{
	const struct wish ca = { .subject = "root",
				 .extensions = { "basicConstraints=critical,CA:TRUE", "keyUsage="
										      "critical,"
										      "keyCertSig"
										      "n" } };
	const struct wish between = { .subject = "middle",
				      .extensions = { "basicConstraints=critical,CA:TRUE", "keyUsag"
											   "e="
											   "critica"
											   "l,"
											   "keyCert"
											   "Sig"
											   "n" } };
	struct tg_buffer text = TG_BUFFER_INIT(TG_CHAIN_BYTES);

	(void) state;
	root_key = EVP_EC_gen("P-256");
	middle_key = EVP_EC_gen("P-256");
	key = EVP_EC_gen("P-256");
	other_key = EVP_EC_gen("P-256");
	root = issue(&ca, root_key, NULL, root_key);
	middle = issue(&between, middle_key, root, root_key);
	tg_buffer_adds(&text, "# text before an anchor is usual\n");
	add_pem(&text, root);
	root_pem = text.data;
	return 0;
}

static int free_authority(void **state)
{
	(void) state;
	EVP_PKEY_free(root_key);
	EVP_PKEY_free(middle_key);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
	X509_free(root);
	X509_free(middle);
	free(root_pem);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_chain_passes_with_and_without_anchor),
		cmocka_unit_test(each_refusal_has_its_own_reason),
		cmocka_unit_test(a_weak_digest_is_refused),
		cmocka_unit_test(a_suspect_clock_accepts_the_future_but_not_the_past),
		cmocka_unit_test(a_life_that_is_nearly_over_is_of_no_use),
		cmocka_unit_test(certificates_beyond_2038_and_2050_are_read_right),
		cmocka_unit_test(an_issuer_that_is_not_the_anchor_is_refused),
		cmocka_unit_test(a_signature_along_the_chain_that_is_wrong_is_found),
		cmocka_unit_test(a_certificate_of_another_key_is_not_ours),
		cmocka_unit_test(ordering_puts_the_leaf_first_and_drops_the_rest),
		cmocka_unit_test(no_certificate_or_two_for_our_key_is_refused),
		cmocka_unit_test(nobody_is_asked_for_the_passphrase_of_a_certificate),
		cmocka_unit_test(junk_keys_and_too_much_are_refused),
	};

	return cmocka_run_group_tests(tests, make_authority, free_authority);
}
