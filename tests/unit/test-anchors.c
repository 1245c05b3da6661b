/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/anchors.h"

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

/* What one update gave, and what went in. */
static struct tg_anchors got;
static struct tg_fault fault;

static int update_base(X509 *const trusted[], X509 *const delivered[], const char *const pins[],
		       int64_t now, bool sure)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *set = set_of(delivered);
	tg_autofree char *pem = trusted ? pem_of(trusted) : NULL;
	struct tg_anchors_base base = {
		.trusted_pem = pem,
		.trusted_len = pem ? strlen(pem) : 0,
		.delivered = set,
		.pins = pins,
		.now_s = now,
		.clock_sure = sure,
	};

	while (pins && pins[base.n_pins])
		base.n_pins++;
	tg_anchors_done(&got);
	got = (struct tg_anchors) TG_ANCHORS_NULL;
	fault.text[0] = '\0';
	return tg_anchors_update(&base, &got, &fault);
}

static void update(X509 *const trusted[], X509 *const delivered[])
{
	if (update_base(trusted, delivered, NULL, NOW, true) < 0)
		fail_msg("%s", fault.text);
}

static void expect_anchors(X509 *const wanted[])
{
	tg_autofree char *want = pem_of(wanted);

	assert_string_equal(got.pem, want);
}

static void expect_pool(X509 *const wanted[])
{
	tg_autofree char *want = pem_of(wanted), *pool = tg_certs_to_pem(got.pool);

	assert_string_equal(pool, want);
}

static void expect_note(size_t at, enum tg_anchors_news news, const char *words)
{
	assert_true(at < got.n_notes);
	assert_int_equal(got.notes[at].news, news);
	if (!strstr(got.notes[at].text, words))
		fail_msg("'%s' is not in: %s", words, got.notes[at].text);
}

static void print_of(X509 *cert, char out[static TG_FINGERPRINT])
{
	uint8_t sha[TG_CERT_SHA256];

	assert_int_equal(tg_cert_sha256(cert, sha), 0);
	for (size_t i = 0; i < sizeof(sha); i++)
		snprintf(out + 2 * i, 3, "%02x", sha[i]);
}

/* --- rollovers ---------------------------------------------------------------------------------- */

static void what_is_trusted_stays_and_what_comes_along_is_sorted(void **state)
{
	(void) state;
	roll_over(&shapes[0]);
	update(LIST(pki.old_root), LIST(pki.ca, pki.old_root));
	expect_anchors(LIST(pki.old_root));
	expect_pool(LIST(pki.ca));
	assert_int_equal(got.n_notes, 0);
	assert_int_equal(got.n, 1);
	/* Not delivered any more: the broker moves on later than the authority. */
	update(LIST(pki.old_root, pki.new_root), LIST(pki.ca2, pki.new_root));
	expect_anchors(LIST(pki.old_root, pki.new_root));
	update(LIST(pki.old_root), NULL);
	expect_anchors(LIST(pki.old_root));
	expect_pool(NULL);
	roll_back();
}

static void a_new_root_is_taken_on_the_word_of_the_old_one(void **state)
{
	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(shapes); i++) {
		roll_over(&shapes[i]);
		update(LIST(pki.old_root), LIST(pki.new_root, pki.old_root, pki.old_with_new,
						pki.new_with_old, pki.ca, pki.ca2));
		expect_anchors(LIST(pki.old_root, pki.new_root));
		expect_pool(LIST(pki.old_with_new, pki.new_with_old, pki.ca, pki.ca2));
		assert_int_equal(got.n_taken, 1);
		expect_note(0, TG_ANCHORS_TAKEN, "'CN=Plant Root' vouches for it");
		roll_back();
	}
}

static void after_it_both_sides_find_their_way(void **state)
{
	const struct wish w = { .subject = "gw" };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(shapes); i++) {
		tg_cleanup(tg_certs_freep) struct tg_certs *old_set = NULL, *new_set = NULL;
		tg_cleanup(tg_chain_freep) struct tg_chain *old_chain = NULL, *new_chain = NULL;
		X509 *old_leaf, *new_leaf;

		roll_over(&shapes[i]);
		old_leaf = issue(&w, key, pki.ca, pki.ca_key);
		new_leaf = issue(&w, key, pki.ca2, pki.ca2_key);
		old_set = set_of(LIST(old_leaf));
		new_set = set_of(LIST(new_leaf));
		update(LIST(pki.old_root), LIST(pki.new_root, pki.new_with_old, pki.ca, pki.ca2));
		assert_int_equal(tg_chain_build(old_set, got.pool, got.pem, strlen(got.pem), key,
						NOW, &old_chain, &fault),
				 0);
		assert_int_equal(tg_chain_build(new_set, got.pool, got.pem, strlen(got.pem), key,
						NOW, &new_chain, &fault),
				 0);
		X509_free(old_leaf);
		X509_free(new_leaf);
		roll_back();
	}
}

static void a_gateway_that_missed_a_rollover_follows_two_in_a_row(void **state)
{
	EVP_PKEY *third_key = EVP_EC_gen("P-256");
	X509 *third, *third_with_new;

	(void) state;
	roll_over(&shapes[0]);
	third = authority("Plant Root", true, third_key, NULL, third_key);
	third_with_new = authority("Plant Root", true, third_key, pki.new_root, pki.new_key);
	update(LIST(pki.old_root), LIST(third, third_with_new, pki.new_root, pki.new_with_old));
	expect_anchors(LIST(pki.old_root, pki.new_root, third));
	assert_int_equal(got.n_taken, 2);
	X509_free(third);
	X509_free(third_with_new);
	EVP_PKEY_free(third_key);
	roll_back();
}

static void a_root_with_a_new_validity_vouches_for_itself(void **state)
{
	const struct wish later = { .subject = "Plant Root",
				    .until = 300 * DAY,
				    .extensions = { CA_PLAIN, KEY_IDS } };
	const struct wish renamed = { .subject = "Plant Root Renamed",
				      .extensions = { CA_PLAIN, KEY_IDS } };
	X509 *renewed, *other_name;

	(void) state;
	roll_over(&shapes[0]);
	renewed = issue(&later, pki.old_key, NULL, pki.old_key);
	other_name = issue(&renamed, pki.old_key, NULL, pki.old_key);
	update(LIST(pki.old_root), LIST(renewed, other_name));
	expect_anchors(LIST(pki.old_root, renewed));
	expect_note(1, TG_ANCHORS_REFUSED, "vouched for by nobody");
	X509_free(renewed);
	X509_free(other_name);
	roll_back();
}

/* --- hostile ------------------------------------------------------------------------------------- */

static void a_newcomer_that_nobody_vouches_for_is_told_and_not_trusted(void **state)
{
	X509 *stranger = authority("Stranger", true, other_key, NULL, other_key);
	X509 *namesake = authority("Plant Root", true, other_key, NULL, other_key);
	char print[TG_FINGERPRINT];

	(void) state;
	roll_over(&shapes[0]);
	update(LIST(pki.old_root), LIST(stranger, pki.ca, namesake, pki.new_root));
	expect_anchors(LIST(pki.old_root));
	expect_pool(LIST(pki.ca));
	assert_int_equal(got.n_refused, 3);
	expect_note(0, TG_ANCHORS_REFUSED, "root 'CN=Stranger' sha256:");
	print_of(stranger, print);
	expect_note(0, TG_ANCHORS_REFUSED, print);
	expect_note(0, TG_ANCHORS_REFUSED,
		    "is vouched for by nobody; add it to ca or ca-fingerprint");
	X509_free(stranger);
	X509_free(namesake);
	roll_back();
}

/* A word for the new root that is no good: made to wish, with the key of the voucher that it says. */
static void bad_word(const char *why, const struct wish *w, EVP_PKEY *subject_key, X509 *by,
		     EVP_PKEY *by_key)
{
	X509 *word = issue(w, subject_key, by, by_key);

	update(LIST(pki.old_root), LIST(pki.new_root, word, pki.ca));
	expect_anchors(LIST(pki.old_root));
	assert_int_equal(got.n_taken, 0);
	expect_note(0, TG_ANCHORS_REFUSED, why);
	X509_free(word);
}

static void a_word_that_is_no_good_does_not_count(void **state)
{
	const struct wish good = { .subject = "Plant Root G2",
				   .extensions = { CA_PLAIN, KEY_IDS } };
	const struct wish leaf = { .subject = "Plant Root G2",
				   .extensions = { "basicConstraints=critical,CA:FALSE" } };
	const struct wish usage = { .subject = "Plant Root G2",
				    .extensions = { "basicConstraints=critical,CA:TRUE", "keyUsage="
											 "critical,"
											 "cRLSig"
											 "n" } };
	const struct wish over = { .subject = "Plant Root G2",
				   .from = -9 * DAY,
				   .until = -DAY,
				   .extensions = { CA_PLAIN } };
	const struct wish later = { .subject = "Plant Root G2",
				    .from = 9 * DAY,
				    .extensions = { CA_PLAIN } };
	const struct wish weak = { .subject = "Plant Root G2",
				   .extensions = { CA_PLAIN },
				   .md = EVP_sha1() };
	const struct wish names = { .subject = "Plant Root G2",
				    .extensions = { CA_PLAIN, "nameConstraints=critical,permitted;"
							      "DNS:plant.example" } };
	const struct wish length = { .subject = "Plant Root G2",
				     .extensions = { "basicConstraints=critical,CA:TRUE,pathlen:0",
						     "keyUsage=critical,keyCertSign" } };
	const struct wish purpose = { .subject = "Plant Root G2",
				      .extensions = { CA_PLAIN, "extendedKeyUsage=serverAuth" } };
	const struct wish odd = { .subject = "Plant Root G2",
				  .extensions = { CA_PLAIN, "1.2.3.4=critical,ASN1:NULL" } };

	(void) state;
	roll_over(&shapes[2]);
	bad_word("is vouched for by nobody", &good, other_key, pki.old_root, pki.old_key);
	bad_word("signed by nobody who is trusted", &good, pki.new_key, pki.old_root, other_key);
	bad_word("signed by nobody who is trusted", &good, pki.new_key, pki.ca, pki.ca_key);
	bad_word("may not issue certificates", &leaf, pki.new_key, pki.old_root, pki.old_key);
	bad_word("may not issue certificates", &usage, pki.new_key, pki.old_root, pki.old_key);
	bad_word("it is over", &over, pki.new_key, pki.old_root, pki.old_key);
	bad_word("it begins 20", &later, pki.new_key, pki.old_root, pki.old_key);
	bad_word("weak", &weak, pki.new_key, pki.old_root, pki.old_key);
	bad_word("it is limited", &names, pki.new_key, pki.old_root, pki.old_key);
	bad_word("it is limited", &length, pki.new_key, pki.old_root, pki.old_key);
	bad_word("it is limited", &purpose, pki.new_key, pki.old_root, pki.old_key);
	bad_word("cannot be read", &odd, pki.new_key, pki.old_root, pki.old_key);
	roll_back();
}

static void limits_that_the_new_root_keeps_do_not_matter(void **state)
{
	const struct wish limited = { .subject = "Plant Root",
				      .extensions = { "basicConstraints=critical,CA:TRUE,pathlen:2",
						      "keyUsage=critical,keyCertSign",
						      "nameConstraints=critical,permitted;DNS:"
						      "plant.example",
						      KEY_IDS } };
	EVP_PKEY *new_key = EVP_EC_gen("P-256");
	X509 *old = issue(&limited, other_key, NULL, other_key);
	X509 *new = issue(&limited, new_key, NULL, new_key);
	X509 *word = issue(&limited, new_key, old, other_key);
	X509 *free_one = authority("Plant Root", true, new_key, NULL, new_key);

	(void) state;
	update(LIST(old), LIST(new, word));
	expect_anchors(LIST(old, new));
	update(LIST(old), LIST(free_one, word));
	expect_anchors(LIST(old));
	X509_free(old);
	X509_free(new);
	X509_free(word);
	X509_free(free_one);
	EVP_PKEY_free(new_key);
}

/* Its certificate from the root is all that a NewWithOld is, and the name and the key are its own to sign. */
static void an_issuing_authority_does_not_make_itself_a_root(void **state)
{
	const struct wish issuing = { .subject = "Plant CA",
				      .extensions = { "basicConstraints=critical,CA:TRUE,pathlen:0",
						      "keyUsage=critical,keyCertSign", KEY_IDS } };
	const struct wish flat = { .subject = "Plant Root",
				   .extensions = { "basicConstraints=critical,CA:TRUE,pathlen:0",
						   "keyUsage=critical,keyCertSign", KEY_IDS } };
	EVP_PKEY *ca_key = EVP_EC_gen("P-256");
	X509 *root = authority("Plant Root", true, other_key, NULL, other_key);
	X509 *ca = issue(&issuing, ca_key, root, other_key);
	X509 *self = issue(&issuing, ca_key, NULL, ca_key);
	X509 *next = issue(&flat, ca_key, NULL, ca_key);
	X509 *word = issue(&flat, ca_key, root, other_key);

	(void) state;
	update(LIST(root), LIST(self, ca));
	expect_anchors(LIST(root));
	expect_note(0, TG_ANCHORS_REFUSED, "an issuing authority's");
	/* Under the root's own name it is no authority below it. */
	update(LIST(root), LIST(next, word));
	expect_anchors(LIST(root, next));
	X509_free(root);
	X509_free(ca);
	X509_free(self);
	X509_free(next);
	X509_free(word);
	EVP_PKEY_free(ca_key);
}

static void a_root_that_may_have_no_authorities_below_it_vouches_for_none(void **state)
{
	const struct wish narrow = { .subject = "Plant Root",
				     .extensions = { "basicConstraints=critical,CA:TRUE,pathlen:0",
						     "keyUsage=critical,keyCertSign", KEY_IDS } };
	EVP_PKEY *new_key = EVP_EC_gen("P-256");
	X509 *old = issue(&narrow, other_key, NULL, other_key);
	X509 *new = authority("Plant Root G2", true, new_key, NULL, new_key);
	X509 *word = authority("Plant Root G2", true, new_key, old, other_key);

	(void) state;
	update(LIST(old), LIST(new, word));
	expect_anchors(LIST(old));
	expect_note(0, TG_ANCHORS_REFUSED, "may not have authorities below it");
	X509_free(old);
	X509_free(new);
	X509_free(word);
	EVP_PKEY_free(new_key);
}

static void an_anchor_that_is_an_intermediate_vouches_for_nobody(void **state)
{
	X509 *word;

	(void) state;
	roll_over(&shapes[2]);
	word = authority("Plant Root G2", true, pki.new_key, pki.ca, pki.ca_key);
	update(LIST(pki.ca), LIST(pki.new_root, word, pki.old_root));
	expect_anchors(LIST(pki.ca));
	expect_note(0, TG_ANCHORS_REFUSED, "signed by an anchor that is no root");
	expect_note(1, TG_ANCHORS_REFUSED, "vouched for by nobody");
	X509_free(word);
	roll_back();
}

static void roots_that_are_of_no_use_are_not_taken_whoever_vouches(void **state)
{
	EVP_PKEY *small_key = EVP_RSA_gen(1024);
	const struct wish over = {
		.subject = "over", .from = -9 * DAY, .until = -DAY, .extensions = { CA_PLAIN }
	};
	const struct wish no_ca = { .subject = "device",
				    .extensions = { "basicConstraints=critical,CA:FALSE" } };
	X509 *small = authority("small", true, small_key, NULL, small_key);
	X509 *ended = issue(&over, key, NULL, key), *device = issue(&no_ca, key, NULL, key);
	X509 *const roots[] = { small, ended, device };
	static const char *const why[] = { "its key is weak", "it is over", "may not issue" };

	(void) state;
	roll_over(&shapes[0]);
	for (size_t i = 0; i < TG_ARRAY_SIZE(roots); i++) {
		char print[TG_FINGERPRINT];
		const char *const pins[] = { print, NULL };

		print_of(roots[i], print);
		assert_int_equal(update_base(LIST(pki.old_root), LIST(roots[i]), pins, NOW, true),
				 0);
		expect_anchors(LIST(pki.old_root));
		expect_note(0, TG_ANCHORS_REFUSED, why[i]);
		assert_int_equal(update_base(NULL, LIST(roots[i]), pins, NOW, true), -ENOENT);
		assert_non_null(strstr(fault.text, why[i]));
		X509_free(roots[i]);
	}
	EVP_PKEY_free(small_key);
	roll_back();
}

/* --- fingerprints -------------------------------------------------------------------------------- */

static void a_configured_fingerprint_is_enough(void **state)
{
	char print[TG_FINGERPRINT];
	const char *const pins[] = { "00", print, NULL };

	(void) state;
	roll_over(&shapes[2]);
	print_of(pki.new_root, print);
	assert_int_equal(update_base(LIST(pki.old_root), LIST(pki.new_root), pins, NOW, true), 0);
	expect_anchors(LIST(pki.old_root, pki.new_root));
	expect_note(0, TG_ANCHORS_TAKEN, "its fingerprint is configured");
	/* The first contact: nothing is trusted yet, and others come along. */
	assert_int_equal(
		update_base(NULL, LIST(pki.ca2, pki.old_root, pki.new_root), pins, NOW, true), 0);
	expect_anchors(LIST(pki.new_root));
	roll_back();
}

static void without_the_pinned_root_there_is_nothing_to_trust(void **state)
{
	char print[TG_FINGERPRINT], there[TG_FINGERPRINT];
	const char *const pins[] = { print, NULL };

	(void) state;
	roll_over(&shapes[2]);
	print_of(pki.new_root, print);
	print_of(pki.old_root, there);
	assert_int_equal(update_base(NULL, LIST(pki.old_root, pki.ca2), pins, NOW, true), -ENOENT);
	assert_non_null(strstr(fault.text, there));
	assert_non_null(strstr(fault.text, "none of the 2 certificates"));
	assert_null(got.pem);
	assert_int_equal(update_base(NULL, NULL, pins, NOW, true), -ENOENT);
	/* An intermediate is no anchor by its fingerprint: nothing would say where it belongs. */
	print_of(pki.ca2, print);
	assert_int_equal(update_base(NULL, LIST(pki.ca2), pins, NOW, true), -ENOENT);
	assert_non_null(strstr(fault.text, "no root"));
	assert_int_equal(update_base(LIST(pki.old_root), LIST(pki.ca2), pins, NOW, true), 0);
	expect_note(0, TG_ANCHORS_REFUSED, "is no root");
	expect_anchors(LIST(pki.old_root));
	roll_back();
}

/* --- ends and clocks -------------------------------------------------------------------------------- */

static void what_is_over_goes_when_the_clock_is_right_and_never_the_last(void **state)
{
	const int64_t later = NOW + 40 * DAY;
	const struct wish long_one = { .subject = "Long",
				       .until = 300 * DAY,
				       .extensions = { CA_PLAIN, KEY_IDS } };
	X509 *lasting;

	(void) state;
	roll_over(&shapes[0]);
	lasting = issue(&long_one, other_key, NULL, other_key);
	assert_int_equal(update_base(LIST(pki.old_root, lasting), NULL, NULL, later, true), 0);
	expect_anchors(LIST(lasting));
	expect_note(0, TG_ANCHORS_ENDED, "it is over");
	assert_int_equal(got.n_ended, 1);
	/* A clock that nobody vouches for throws nothing away. */
	assert_int_equal(update_base(LIST(pki.old_root, lasting), NULL, NULL, later, false), 0);
	expect_anchors(LIST(pki.old_root, lasting));
	assert_int_equal(got.n_notes, 0);
	/* One stays to be told of, even by a clock that is right. */
	assert_int_equal(update_base(LIST(pki.old_root, pki.new_root), NULL, NULL, later, true), 0);
	assert_int_equal(got.n, 1);
	/* A root that is over vouches for nobody. */
	assert_int_equal(update_base(LIST(pki.old_root, lasting),
				     LIST(pki.new_root, pki.new_with_old), NULL, later, false),
			 0);
	expect_anchors(LIST(pki.old_root, lasting));
	X509_free(lasting);
	roll_back();
}

static void a_clock_that_is_behind_does_not_keep_a_new_root_out(void **state)
{
	(void) state;
	roll_over(&shapes[0]);
	assert_int_equal(update_base(LIST(pki.old_root), LIST(pki.new_root, pki.new_with_old), NULL,
				     NOW - 900 * DAY, false),
			 0);
	expect_anchors(LIST(pki.old_root, pki.new_root));
	assert_int_equal(update_base(LIST(pki.old_root), LIST(pki.new_root, pki.new_with_old), NULL,
				     NOW - 900 * DAY, true),
			 0);
	expect_anchors(LIST(pki.old_root));
	expect_note(0, TG_ANCHORS_REFUSED, "it begins 20");
	roll_back();
}

/* --- bounds and text -------------------------------------------------------------------------------- */

static void many_newcomers_are_counted_and_some_are_named(void **state)
{
	X509 *roots[TG_ANCHORS_NOTES + 5] = { NULL };
	char name[24];

	(void) state;
	roll_over(&shapes[0]);
	for (size_t i = 0; i < TG_ARRAY_SIZE(roots) - 1; i++) {
		snprintf(name, sizeof(name), "Stranger\n%zu", i);
		roots[i] = authority(name, true, other_key, NULL, other_key);
	}
	update(LIST(pki.old_root), roots);
	expect_anchors(LIST(pki.old_root));
	assert_int_equal(got.n_notes, TG_ANCHORS_NOTES);
	assert_int_equal(got.n_refused, TG_ANCHORS_NOTES + 4);
	for (size_t i = 0; i < got.n_notes; i++)
		assert_null(strchr(got.notes[i].text, '\n'));
	for (size_t i = 0; roots[i]; i++)
		X509_free(roots[i]);
	roll_back();
}

/* Counted in verifications, not seconds: each root once, not once for each pair of roots. */
static void keys_that_are_slow_are_asked_once_each(void **state)
{
	EVP_PKEY *slow = slow_key();
	X509 *roots[TG_CERTS_MAX / 2 + 1] = { NULL };
	double begin, one, all;

	(void) state;
	roll_over(&shapes[1]);
	for (size_t i = 0; i < TG_ARRAY_SIZE(roots) - 1; i++)
		roots[i] = authority("Plant Root G2", false, slow, NULL, slow);
	begin = cpu_s();
	for (int i = 0; i < 8; i++)
		assert_true(tg_issuer_self(roots[0]));
	one = (cpu_s() - begin) / 8;
	begin = cpu_s();
	update(LIST(pki.old_root), roots);
	all = cpu_s() - begin;
	assert_int_equal(got.n_refused, TG_ARRAY_SIZE(roots) - 1);
	if (all > one * 8 * TG_ARRAY_SIZE(roots))
		fail_msg("%.0f verifications", all / one);
	for (size_t i = 0; roots[i]; i++)
		X509_free(roots[i]);
	EVP_PKEY_free(slow);
	roll_back();
}

static void a_list_of_all_the_world_is_refused(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(2 * TG_CERTS_PEM_BYTES);
	struct tg_anchors_base base = { .now_s = NOW, .clock_sure = true };
	struct tg_anchors out = TG_ANCHORS_NULL;

	(void) state;
	for (size_t i = 0; i < TG_ANCHORS_MAX + 1; i++) {
		X509 *one = authority("World", false, other_key, NULL, other_key);

		add_pem(&text, one);
		X509_free(one);
	}
	base.trusted_pem = text.data;
	base.trusted_len = text.len;
	assert_int_equal(tg_anchors_update(&base, &out, &fault), -EFBIG);
	base.trusted_len = 20;
	assert_int_equal(tg_anchors_update(&base, &out, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "trust anchors"));
	assert_null(out.pem);
}

static void anchors_are_listed_for_people(void **state)
{
	struct tg_anchor_info info[2];
	char print[TG_FINGERPRINT];
	size_t n = 0;

	(void) state;
	roll_over(&shapes[0]);

	tg_autofree char *pem = pem_of(LIST(pki.old_root, pki.ca, pki.new_root));

	assert_int_equal(tg_anchors_list(pem, strlen(pem), info, 2, &n, NULL), 0);
	assert_int_equal(n, 3);
	assert_string_equal(info[0].subject, "CN=Plant Root");
	assert_true(info[0].root);
	assert_true(info[0].not_before == NOW - DAY && info[0].not_after == NOW + 30 * DAY);
	print_of(pki.old_root, print);
	assert_string_equal(info[0].fingerprint, print);
	assert_string_equal(info[1].subject, "CN=Plant CA");
	assert_false(info[1].root);
	assert_int_equal(tg_anchors_list("x", 1, info, 2, &n, &fault), -EBADMSG);
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
	tg_anchors_done(&got);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_trusted_stays_and_what_comes_along_is_sorted),
		cmocka_unit_test(a_new_root_is_taken_on_the_word_of_the_old_one),
		cmocka_unit_test(after_it_both_sides_find_their_way),
		cmocka_unit_test(a_gateway_that_missed_a_rollover_follows_two_in_a_row),
		cmocka_unit_test(a_root_with_a_new_validity_vouches_for_itself),
		cmocka_unit_test(a_newcomer_that_nobody_vouches_for_is_told_and_not_trusted),
		cmocka_unit_test(a_word_that_is_no_good_does_not_count),
		cmocka_unit_test(limits_that_the_new_root_keeps_do_not_matter),
		cmocka_unit_test(an_issuing_authority_does_not_make_itself_a_root),
		cmocka_unit_test(a_root_that_may_have_no_authorities_below_it_vouches_for_none),
		cmocka_unit_test(an_anchor_that_is_an_intermediate_vouches_for_nobody),
		cmocka_unit_test(roots_that_are_of_no_use_are_not_taken_whoever_vouches),
		cmocka_unit_test(a_configured_fingerprint_is_enough),
		cmocka_unit_test(without_the_pinned_root_there_is_nothing_to_trust),
		cmocka_unit_test(what_is_over_goes_when_the_clock_is_right_and_never_the_last),
		cmocka_unit_test(a_clock_that_is_behind_does_not_keep_a_new_root_out),
		cmocka_unit_test(many_newcomers_are_counted_and_some_are_named),
		cmocka_unit_test(keys_that_are_slow_are_asked_once_each),
		cmocka_unit_test(a_list_of_all_the_world_is_refused),
		cmocka_unit_test(anchors_are_listed_for_people),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
