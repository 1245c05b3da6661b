/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/chain_build.h"

#include "x509/issuer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/certificate-bench.h"
#include "tests/unit/rollover-bench.h"

static EVP_PKEY *key, *other_key;

static X509 *leaf_of(X509 *issuer, EVP_PKEY *issuer_key)
{
	const struct wish w = { .subject = "gw",
				.extensions = { "keyUsage=critical,digitalSignature", "extendedKeyU"
										      "sage="
										      "clientAut"
										      "h" } };

	return issue(&w, key, issuer, issuer_key);
}

static int build_at(X509 *const issued[], X509 *const pool[], X509 *const anchors[], int64_t now,
		    struct tg_chain **ret, struct tg_fault *fault)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *in = set_of(issued), *more = set_of(pool);
	tg_autofree char *pem = pem_of(anchors);

	return tg_chain_build(in, pool ? more : NULL, pem, strlen(pem), key, now, ret, fault);
}

static int build(X509 *const issued[], X509 *const pool[], X509 *const anchors[],
		 struct tg_chain **ret, struct tg_fault *fault)
{
	return build_at(issued, pool, anchors, NOW, ret, fault);
}

/* Builds what must be found, compares, and has it read, ordered and judged as a chain that came from a file is. */
static void expect(X509 *const issued[], X509 *const pool[], X509 *const anchors[],
		   X509 *const wanted[])
{
	tg_cleanup(tg_chain_freep) struct tg_chain *c = NULL, *again = NULL;
	tg_autofree char *want = pem_of(wanted), *trust = pem_of(anchors), *got = NULL,
			 *kept = NULL;
	const struct tg_chain_rules rules = {
		.key = key,
		.anchors_pem = trust,
		.anchors_len = strlen(trust),
		.subject = "CN=gw",
		.now = NOW,
		.skew_s = TG_CHAIN_SKEW_S,
	};
	struct tg_fault fault = { .text = "" };

	if (build(issued, pool, anchors, &c, &fault) < 0)
		fail_msg("not built: %s", fault.text);
	got = tg_chain_to_pem(c);
	assert_string_equal(got, want);
	assert_int_equal(tg_chain_parse(got, strlen(got), &again, NULL), 0);
	assert_int_equal(tg_chain_order(again, key, NULL), 0);
	kept = tg_chain_to_pem(again);
	assert_string_equal(kept, want);
	if (tg_chain_verify(again, &rules, &fault) != TG_CHAIN_OK)
		fail_msg("refused: %s", fault.text);
}

static void refuse(X509 *const issued[], X509 *const pool[], X509 *const anchors[],
		   const char *words)
{
	struct tg_chain *c = NULL;
	struct tg_fault fault = { .text = "" };

	assert_int_equal(build(issued, pool, anchors, &c, &fault), -EKEYREJECTED);
	assert_null(c);
	if (!strstr(fault.text, words))
		fail_msg("'%s' is not in: %s", words, fault.text);
}

/* --- a chain that is whole ------------------------------------------------------------------ */

static void a_leaf_alone_gets_its_chain_from_the_pool(void **state)
{
	X509 *leaf;

	(void) state;
	roll_over(&shapes[0]);
	leaf = leaf_of(pki.ca, pki.ca_key);
	expect(LIST(leaf), LIST(pki.old_root, pki.ca), LIST(pki.old_root), LIST(leaf, pki.ca));
	X509_free(leaf);
	roll_back();
}

static void a_leaf_of_the_root_itself_is_its_own_chain(void **state)
{
	X509 *leaf;

	(void) state;
	roll_over(&shapes[0]);
	leaf = leaf_of(pki.old_root, pki.old_key);
	expect(LIST(leaf), NULL, LIST(pki.old_root), LIST(leaf));
	X509_free(leaf);
	roll_back();
}

static void any_order_and_extras_give_the_same_chain(void **state)
{
	X509 *all[6], *leaf;
	EVP_PKEY *low_key = EVP_EC_gen("P-256");
	X509 *low, *stranger;

	(void) state;
	roll_over(&shapes[0]);
	low = authority("Plant CA Low", true, low_key, pki.ca, pki.ca_key);
	stranger = authority("Stranger", true, other_key, NULL, other_key);
	leaf = leaf_of(low, low_key);
	for (size_t first = 0; first < 5; first++) {
		X509 *const parts[] = { leaf, low, pki.ca, stranger, pki.old_root };

		for (size_t i = 0; i < 5; i++)
			all[i] = parts[(first + i * 2) % 5];
		all[5] = NULL;
		expect(all, NULL, LIST(pki.old_root), LIST(leaf, low, pki.ca));
		expect(LIST(leaf), all, LIST(pki.old_root), LIST(leaf, low, pki.ca));
	}
	X509_free(leaf);
	X509_free(low);
	X509_free(stranger);
	EVP_PKEY_free(low_key);
	roll_back();
}

/* --- rollovers -------------------------------------------------------------------------------- */

static void each_side_of_a_rollover_leads_to_the_other(void **state)
{
	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(shapes); i++) {
		X509 *old_leaf, *new_leaf;

		roll_over(&shapes[i]);
		old_leaf = leaf_of(pki.ca, pki.ca_key);
		new_leaf = leaf_of(pki.ca2, pki.ca2_key);

		X509 *const pool[] = { pki.ca, pki.ca2, pki.old_with_new, pki.new_with_old, NULL };

		/* The anchors know one side, and the leaf is of the other. */
		expect(LIST(old_leaf), pool, LIST(pki.new_root),
		       LIST(old_leaf, pki.ca, pki.old_with_new));
		expect(LIST(new_leaf), pool, LIST(pki.old_root),
		       LIST(new_leaf, pki.ca2, pki.new_with_old));
		/* They know it, and a broker with both roots or with that one is content. */
		expect(LIST(old_leaf), pool, LIST(pki.old_root), LIST(old_leaf, pki.ca));
		expect(LIST(new_leaf), pool, LIST(pki.new_root), LIST(new_leaf, pki.ca2));
		X509_free(old_leaf);
		X509_free(new_leaf);
		roll_back();
	}
}

/* A broker that knows one of two roots that we trust must be able to judge the chain: the tie comes along. */
static void with_both_roots_trusted_the_tie_comes_along(void **state)
{
	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(shapes); i++) {
		X509 *old_leaf, *new_leaf;

		roll_over(&shapes[i]);
		old_leaf = leaf_of(pki.ca, pki.ca_key);
		new_leaf = leaf_of(pki.ca2, pki.ca2_key);

		X509 *const pool[] = { pki.new_with_old, pki.ca, pki.ca2, pki.old_with_new, NULL };

		expect(LIST(old_leaf), pool, LIST(pki.old_root, pki.new_root),
		       LIST(old_leaf, pki.ca, pki.old_with_new));
		expect(LIST(new_leaf), pool, LIST(pki.new_root, pki.old_root),
		       LIST(new_leaf, pki.ca2, pki.new_with_old));
		X509_free(old_leaf);
		X509_free(new_leaf);
		roll_back();
	}
}

static void a_tie_that_has_ended_or_is_signed_by_a_stranger_stays_away(void **state)
{
	const struct wish over = { .subject = "Plant Root",
				   .from = -20 * DAY,
				   .until = -DAY,
				   .extensions = { CA_PLAIN, KEY_IDS } };
	X509 *leaf, *ended, *forged;

	(void) state;
	roll_over(&shapes[0]);
	leaf = leaf_of(pki.ca2, pki.ca2_key);
	ended = issue(&over, pki.new_key, pki.old_root, pki.old_key);
	forged = authority("Plant Root", true, pki.new_key, pki.old_root, other_key);
	expect(LIST(leaf), LIST(ended, forged, pki.ca2), LIST(pki.old_root, pki.new_root),
	       LIST(leaf, pki.ca2));
	X509_free(leaf);
	X509_free(ended);
	X509_free(forged);
	roll_back();
}

static void a_root_with_a_renewed_certificate_is_the_same_root(void **state)
{
	const struct wish later = { .subject = "Plant Root",
				    .until = 300 * DAY,
				    .extensions = { CA_PLAIN } };

	(void) state;
	for (size_t i = 0; i < 2; i++) {
		X509 *leaf, *renewed;

		roll_over(&shapes[i]);
		renewed = issue(&later, pki.old_key, NULL, pki.old_key);
		leaf = leaf_of(pki.ca, pki.ca_key);
		expect(LIST(leaf), LIST(renewed, pki.ca), LIST(pki.old_root), LIST(leaf, pki.ca));
		expect(LIST(leaf), LIST(pki.old_root, pki.ca), LIST(renewed), LIST(leaf, pki.ca));
		expect(LIST(leaf), LIST(pki.ca), LIST(renewed, pki.old_root), LIST(leaf, pki.ca));
		X509_free(leaf);
		X509_free(renewed);
		roll_back();
	}
}

static void a_ring_of_cross_certificates_ends(void **state)
{
	EVP_PKEY *a_key = EVP_EC_gen("P-256"), *b_key = EVP_EC_gen("P-256");
	EVP_PKEY *c_key = EVP_EC_gen("P-256");
	X509 *a = authority("A", true, a_key, NULL, a_key),
	     *b = authority("B", true, b_key, NULL, b_key);
	X509 *c = authority("C", true, c_key, NULL, c_key);
	X509 *ab = authority("A", true, a_key, b, b_key),
	     *bc = authority("B", true, b_key, c, c_key);
	X509 *ca = authority("C", true, c_key, a, a_key);
	X509 *const all[] = { a, b, c, ab, bc, ca };
	X509 *leaf = leaf_of(a, a_key);

	(void) state;
	roll_over(&shapes[0]);
	refuse(LIST(leaf), LIST(ab, bc, ca), LIST(pki.old_root), "no path to a trust anchor");
	expect(LIST(leaf), LIST(ab, bc, ca), LIST(c), LIST(leaf, ab, bc));
	expect(LIST(leaf), LIST(ca, bc, ab), LIST(b), LIST(leaf, ab));
	roll_back();
	X509_free(leaf);
	for (size_t i = 0; i < TG_ARRAY_SIZE(all); i++)
		X509_free(all[i]);
	EVP_PKEY_free(a_key);
	EVP_PKEY_free(b_key);
	EVP_PKEY_free(c_key);
}

/* Two certificates for one authority: one of them leads to a root that nobody knows. */
static void a_dead_end_is_left_again(void **state)
{
	X509 *stranger = authority("Stranger", true, other_key, NULL, other_key);

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(shapes); i++) {
		X509 *leaf, *astray;

		roll_over(&shapes[i]);
		leaf = leaf_of(pki.ca, pki.ca_key);
		astray = authority(shapes[i].ca_name, shapes[i].ids, pki.ca_key, stranger,
				   other_key);
		expect(LIST(leaf), LIST(astray, pki.ca), LIST(pki.old_root), LIST(leaf, pki.ca));
		expect(LIST(leaf), LIST(pki.ca, astray), LIST(pki.old_root), LIST(leaf, pki.ca));
		expect(LIST(leaf), LIST(stranger, astray, pki.ca), LIST(pki.old_root),
		       LIST(leaf, pki.ca));
		X509_free(leaf);
		X509_free(astray);
		roll_back();
	}
	X509_free(stranger);
}

/* --- anchors that are special ------------------------------------------------------------------ */

static void an_anchor_that_is_an_intermediate_stays_in_and_leads_on(void **state)
{
	EVP_PKEY *low_key = EVP_EC_gen("P-256");
	X509 *low, *leaf;

	(void) state;
	roll_over(&shapes[0]);
	low = authority("Plant CA Low", true, low_key, pki.ca, pki.ca_key);
	leaf = leaf_of(low, low_key);
	expect(LIST(leaf), NULL, LIST(low), LIST(leaf, low));
	expect(LIST(leaf), LIST(pki.ca, pki.old_root), LIST(low), LIST(leaf, low, pki.ca));
	expect(LIST(leaf), LIST(low), LIST(pki.ca), LIST(leaf, low, pki.ca));
	X509_free(leaf);
	X509_free(low);
	EVP_PKEY_free(low_key);
	roll_back();
}

static void an_anchor_that_has_ended_does_not_stop_the_way_to_one_that_has_not(void **state)
{
	const struct wish over = { .subject = "Plant Root",
				   .from = -20 * DAY,
				   .until = -DAY,
				   .extensions = { CA_PLAIN, KEY_IDS } };
	X509 *leaf, *ended;

	(void) state;
	roll_over(&shapes[0]);
	ended = issue(&over, pki.old_key, NULL, pki.old_key);
	leaf = leaf_of(pki.ca, pki.ca_key);
	expect(LIST(leaf), LIST(pki.ca, pki.old_with_new), LIST(ended, pki.new_root),
	       LIST(leaf, pki.ca, pki.old_with_new));
	refuse(LIST(leaf), LIST(pki.ca), LIST(ended),
	       "the trust anchor 'CN=Plant Root' ended 2026-09-20");
	refuse(LIST(leaf), LIST(pki.ca), LIST(ended, pki.new_root),
	       "the trust anchor 'CN=Plant Root' of 'CN=Plant CA' ended 2026-09-20");
	X509_free(leaf);
	X509_free(ended);
	roll_back();
}

/* --- what is missing or wrong ------------------------------------------------------------------- */

static void a_missing_issuer_is_named(void **state)
{
	(void) state;
	for (size_t i = 0; i < 2; i++) {
		X509 *leaf;

		roll_over(&shapes[i]);
		leaf = leaf_of(pki.ca, pki.ca_key);
		refuse(LIST(leaf), NULL, LIST(pki.old_root),
		       "the issuer 'CN=Plant CA' of 'CN=gw' is missing");
		/* The other one has its name, but not its key. */
		refuse(LIST(leaf), LIST(pki.ca2), LIST(pki.old_root), "of that name is there");
		refuse(LIST(leaf), LIST(pki.ca), LIST(pki.new_root),
		       "the issuer 'CN=Plant Root' of 'CN=Plant CA' is missing");
		refuse(LIST(leaf), LIST(pki.ca, pki.old_root), LIST(pki.new_root),
		       "the root 'CN=Plant Root' that it leads to is not trusted");
		X509_free(leaf);
		roll_back();
	}
}

static void an_issuer_that_has_ended_is_named_unless_there_is_a_newer_one(void **state)
{
	const struct wish over = { .subject = "Plant CA",
				   .from = -20 * DAY,
				   .until = -DAY,
				   .extensions = { CA_PLAIN, KEY_IDS } };
	X509 *leaf, *ended;

	(void) state;
	roll_over(&shapes[0]);
	ended = issue(&over, pki.ca_key, pki.old_root, pki.old_key);
	leaf = leaf_of(pki.ca, pki.ca_key);
	refuse(LIST(leaf), LIST(ended), LIST(pki.old_root),
	       "the issuing certificate 'CN=Plant CA' ended 2026-09-20");
	expect(LIST(leaf), LIST(ended, pki.ca), LIST(pki.old_root), LIST(leaf, pki.ca));
	expect(LIST(leaf), LIST(pki.ca, ended), LIST(pki.old_root), LIST(leaf, pki.ca));
	X509_free(leaf);
	X509_free(ended);
	roll_back();
}

static void what_is_no_authority_or_too_weak_is_not_on_the_path(void **state)
{
	static const struct {
		struct wish wish;
		const char *words;
	} cases[] = {
		{ { .subject = "Plant CA", .extensions = { "basicConstraints=critical,CA:FALSE" } },
		  "'CN=Plant CA'" },
		{ { .subject = "Plant CA", .extensions = { CA_PLAIN }, .md = NULL }, "weak" },
		{ { .subject = "Plant CA",
		    .extensions = { CA_PLAIN, "nameConstraints=critical,permitted;dirName:s" } },
		  "subtree" },
		{ { .subject = "Plant CA",
		    .extensions = { CA_PLAIN, "1.2.3.4=critical,ASN1:NULL" } },
		  "critical" },
	};

	(void) state;
	roll_over(&shapes[1]);
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		struct wish w = cases[i].wish;
		X509 *bad, *leaf = leaf_of(pki.ca, pki.ca_key);

		if (strcmp(cases[i].words, "weak") == 0)
			w.md = EVP_sha1();
		if (strcmp(cases[i].words, "subtree") == 0)
			w.extensions[2] = "nameConstraints=critical,permitted;DNS:plant";
		bad = issue(&w, pki.ca_key, pki.old_root, pki.old_key);
		if (strcmp(cases[i].words, "subtree") == 0) {
			const struct wish named = { .subject = "gw",
						    .extensions = { "subjectAltName=DNS:"
								    "elsewhere" } };

			X509_free(leaf);
			leaf = issue(&named, key, bad, pki.ca_key);
		}
		refuse(LIST(leaf), LIST(bad), LIST(pki.old_root), cases[i].words);
		X509_free(bad);
		X509_free(leaf);
	}
	roll_back();
}

static void what_is_wrong_with_the_leaf_is_left_to_the_judge(void **state)
{
	const struct wish over = { .subject = "gw", .from = -9 * DAY, .until = -DAY };
	const struct wish later = { .subject = "gw", .from = 5 * DAY };
	const struct wish odd = { .subject = "gw", .extensions = { "1.2.3.4=critical,ASN1:NULL" } };
	const struct wish weak = { .subject = "gw", .md = EVP_sha1() };
	const struct wish *const wishes[] = { &over, &later, &odd, &weak };

	(void) state;
	roll_over(&shapes[0]);
	for (size_t i = 0; i < TG_ARRAY_SIZE(wishes); i++) {
		tg_cleanup(tg_chain_freep) struct tg_chain *c = NULL;
		X509 *leaf = issue(wishes[i], key, pki.ca, pki.ca_key);

		assert_int_equal(build(LIST(leaf), LIST(pki.ca), LIST(pki.old_root), &c, NULL), 0);
		X509_free(leaf);
	}
	roll_back();
}

/* A gateway whose clock is behind has issuers that begin later: who made the leaf lived then. */
static void a_clock_that_is_behind_hides_no_path(void **state)
{
	tg_cleanup(tg_chain_freep) struct tg_chain *c = NULL;
	X509 *leaf;

	(void) state;
	roll_over(&shapes[0]);
	leaf = leaf_of(pki.ca, pki.ca_key);
	assert_int_equal(
		build_at(LIST(leaf), LIST(pki.ca), LIST(pki.old_root), NOW - 900 * DAY, &c, NULL),
		0);
	X509_free(leaf);
	roll_back();
}

static void no_certificate_or_two_for_our_key_is_refused(void **state)
{
	struct tg_chain *c = NULL;
	struct tg_fault fault;
	X509 *leaf, *twin;

	(void) state;
	roll_over(&shapes[0]);
	leaf = leaf_of(pki.ca, pki.ca_key);
	twin = leaf_of(pki.ca, pki.ca_key);
	assert_int_equal(build(LIST(pki.ca), LIST(leaf), LIST(pki.old_root), &c, &fault), -ENOENT);
	assert_int_equal(build(LIST(leaf, twin), LIST(pki.ca), LIST(pki.old_root), &c, &fault),
			 -EEXIST);
	assert_null(c);
	X509_free(leaf);
	X509_free(twin);
	roll_back();
}

static void anchors_that_cannot_be_read_are_told(void **state)
{
	static const char damaged[] = "-----BEGIN CERTIFICATE-----\nAAAA\n"
				      "-----END CERTIFICATE-----\n";
	static const char *const texts[] = { "", "garbage", damaged };
	tg_cleanup(tg_certs_freep) struct tg_certs *issued = NULL;
	X509 *leaf;

	(void) state;
	roll_over(&shapes[0]);
	leaf = leaf_of(pki.ca, pki.ca_key);
	issued = set_of(LIST(leaf, pki.ca));
	for (size_t i = 0; i < TG_ARRAY_SIZE(texts); i++) {
		struct tg_chain *c = NULL;
		struct tg_fault fault = { .text = "" };

		assert_int_equal(tg_chain_build(issued, NULL, texts[i], strlen(texts[i]), key, NOW,
						&c, &fault),
				 -EBADMSG);
		assert_non_null(strstr(fault.text, "trust anchors"));
	}
	X509_free(leaf);
	roll_back();
}

static void a_path_longer_than_a_chain_may_be_is_refused(void **state)
{
	EVP_PKEY *keys[TG_CHAIN_CERTS + 2];
	X509 *certs[TG_CHAIN_CERTS + 3] = { NULL }, *leaf;
	struct tg_chain *c = NULL;
	struct tg_fault fault;
	char name[16];
	int r;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(keys); i++) {
		keys[i] = EVP_EC_gen("P-256");
		snprintf(name, sizeof(name), "ca %zu", i);
		certs[i] = authority(name, true, keys[i], i ? certs[i - 1] : NULL,
				     i ? keys[i - 1] : keys[0]);
	}
	leaf = leaf_of(certs[TG_ARRAY_SIZE(keys) - 1], keys[TG_ARRAY_SIZE(keys) - 1]);
	r = build(LIST(leaf), certs, LIST(certs[0]), &c, &fault);
	assert_true(r == -EFBIG || r == -EKEYREJECTED);
	assert_null(c);
	X509_free(leaf);
	for (size_t i = 0; i < TG_ARRAY_SIZE(keys); i++) {
		X509_free(certs[i]);
		EVP_PKEY_free(keys[i]);
	}
}

/*
 * Two names, each the issuer of the other: at each step of the path all of a name are candidates, and the one that has
 * signed comes last. Counted in verifications, not seconds; OpenSSL itself adds one for each certificate of a path.
 */
static void keys_that_are_slow_are_not_asked_without_end(void **state)
{
	static const char *const names[] = { "A", "B" };
	const struct wish a = { .subject = "A" }, b = { .subject = "B" };
	EVP_PKEY *slow = slow_key(), *keys[TG_CHAIN_CERTS + 1];
	X509 *pool[TG_CERTS_MAX] = { NULL }, *of_a = issue(&a, key, NULL, key),
	     *of_b = issue(&b, key, NULL, key), *self, *leaf;
	struct tg_chain *c = NULL;
	size_t n = 0, fillers = TG_CERTS_MAX - 1 - TG_CHAIN_CERTS;
	double begin, one;

	(void) state;
	roll_over(&shapes[0]);
	for (; n < fillers; n++)
		pool[n] = authority(names[n % 2], false, slow, n % 2 ? of_a : of_b, key);
	for (size_t i = 0; i < TG_ARRAY_SIZE(keys); i++)
		keys[i] = EVP_RSA_gen(2048);
	for (size_t i = 0; i < TG_CHAIN_CERTS; i++)
		pool[n++] = authority(names[i % 2], false, keys[i], i % 2 ? of_a : of_b,
				      keys[i + 1]);
	leaf = leaf_of(of_a, keys[0]);
	/* A signature of its own: another key's may be too large a number to be looked at. */
	self = authority("A", false, slow, NULL, slow);
	begin = cpu_s();
	for (int i = 0; i < 8; i++)
		assert_true(tg_issuer_signed(self, self));
	one = (cpu_s() - begin) / 8;
	begin = cpu_s();
	assert_int_equal(build(LIST(leaf), pool, LIST(pki.old_root), &c, NULL), -EKEYREJECTED);
	if (cpu_s() - begin > 200 * one)
		fail_msg("%.0f verifications", (cpu_s() - begin) / one);
	for (size_t i = 0; i < n; i++)
		X509_free(pool[i]);
	for (size_t i = 0; i < TG_ARRAY_SIZE(keys); i++)
		EVP_PKEY_free(keys[i]);
	X509_free(leaf);
	X509_free(self);
	X509_free(of_a);
	X509_free(of_b);
	EVP_PKEY_free(slow);
	roll_back();
}

/* --- ordering without a pool (what other methods do) --------------------------------------------- */

static void ordering_keeps_a_self_issued_cross_certificate(void **state)
{
	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(shapes); i++) {
		tg_cleanup(tg_chain_freep) struct tg_chain *c = NULL;
		tg_autofree char *in = NULL, *want = NULL, *got = NULL;
		X509 *leaf;

		roll_over(&shapes[i]);
		leaf = leaf_of(pki.ca2, pki.ca2_key);
		in = pem_of(
			LIST(pki.new_root, pki.new_with_old, pki.old_root, pki.ca2, pki.ca, leaf));
		want = pem_of(LIST(leaf, pki.ca2, pki.new_with_old));
		assert_int_equal(tg_chain_parse(in, strlen(in), &c, NULL), 0);
		assert_int_equal(tg_chain_order(c, key, NULL), 0);
		got = tg_chain_to_pem(c);
		assert_string_equal(got, want);
		X509_free(leaf);
		roll_back();
	}
}

static void anchors_of_one_name_are_told_apart_by_the_judge(void **state)
{
	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(shapes); i++)
		for (int turn = 0; turn < 2; turn++) {
			tg_cleanup(tg_chain_freep) struct tg_chain *c = NULL;
			tg_autofree char *in = NULL, *trust = NULL;
			struct tg_chain_rules rules = { .key = key, .now = NOW };
			X509 *leaf;

			roll_over(&shapes[i]);
			leaf = leaf_of(pki.ca2, pki.ca2_key);
			in = pem_of(LIST(leaf, pki.ca2));
			trust = turn ? pem_of(LIST(pki.old_root, pki.new_root))
				     : pem_of(LIST(pki.new_root, pki.old_root));
			rules.anchors_pem = trust;
			rules.anchors_len = strlen(trust);
			assert_int_equal(tg_chain_parse(in, strlen(in), &c, NULL), 0);
			assert_int_equal(tg_chain_verify(c, &rules, NULL), TG_CHAIN_OK);
			X509_free(leaf);
			roll_back();
		}
}

static void a_renewal_keeps_the_subject_of_before(void **state)
{
	const struct wish strange = { .subject = "gw-8" };
	tg_cleanup(tg_chain_freep) struct tg_chain *before = NULL, *same = NULL, *other = NULL;
	tg_autofree char *one = NULL, *two = NULL, *three = NULL;
	struct tg_chain_rules rules = { .key = key, .now = NOW };
	struct tg_fault fault;
	X509 *leaf, *next, *alien;

	(void) state;
	roll_over(&shapes[0]);
	leaf = leaf_of(pki.ca, pki.ca_key);
	next = leaf_of(pki.ca2, pki.ca2_key);
	alien = issue(&strange, key, pki.ca, pki.ca_key);
	one = pem_of(LIST(leaf));
	two = pem_of(LIST(next));
	three = pem_of(LIST(alien));
	assert_int_equal(tg_chain_parse(one, strlen(one), &before, NULL), 0);
	assert_int_equal(tg_chain_parse(two, strlen(two), &same, NULL), 0);
	assert_int_equal(tg_chain_parse(three, strlen(three), &other, NULL), 0);
	rules.like = before;
	rules.subject = "CN=what the configuration says today";
	assert_int_equal(tg_chain_verify(same, &rules, NULL), TG_CHAIN_OK);
	assert_int_equal(tg_chain_verify(other, &rules, &fault), TG_CHAIN_SUBJECT);
	assert_non_null(strstr(fault.text, "'CN=gw'"));
	X509_free(leaf);
	X509_free(next);
	X509_free(alien);
	roll_back();
}

static int make_keys(void **state)
{
	(void) state;
	key = EVP_EC_gen("P-256");
	other_key = EVP_EC_gen("P-256");
	return 0;
}

static int free_keys(void **state)
{
	(void) state;
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_leaf_alone_gets_its_chain_from_the_pool),
		cmocka_unit_test(a_leaf_of_the_root_itself_is_its_own_chain),
		cmocka_unit_test(any_order_and_extras_give_the_same_chain),
		cmocka_unit_test(each_side_of_a_rollover_leads_to_the_other),
		cmocka_unit_test(with_both_roots_trusted_the_tie_comes_along),
		cmocka_unit_test(a_tie_that_has_ended_or_is_signed_by_a_stranger_stays_away),
		cmocka_unit_test(a_root_with_a_renewed_certificate_is_the_same_root),
		cmocka_unit_test(a_ring_of_cross_certificates_ends),
		cmocka_unit_test(a_dead_end_is_left_again),
		cmocka_unit_test(an_anchor_that_is_an_intermediate_stays_in_and_leads_on),
		cmocka_unit_test(
			an_anchor_that_has_ended_does_not_stop_the_way_to_one_that_has_not),
		cmocka_unit_test(a_missing_issuer_is_named),
		cmocka_unit_test(an_issuer_that_has_ended_is_named_unless_there_is_a_newer_one),
		cmocka_unit_test(what_is_no_authority_or_too_weak_is_not_on_the_path),
		cmocka_unit_test(what_is_wrong_with_the_leaf_is_left_to_the_judge),
		cmocka_unit_test(a_clock_that_is_behind_hides_no_path),
		cmocka_unit_test(no_certificate_or_two_for_our_key_is_refused),
		cmocka_unit_test(anchors_that_cannot_be_read_are_told),
		cmocka_unit_test(a_path_longer_than_a_chain_may_be_is_refused),
		cmocka_unit_test(keys_that_are_slow_are_not_asked_without_end),
		cmocka_unit_test(ordering_keeps_a_self_issued_cross_certificate),
		cmocka_unit_test(anchors_of_one_name_are_told_apart_by_the_judge),
		cmocka_unit_test(a_renewal_keeps_the_subject_of_before),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
