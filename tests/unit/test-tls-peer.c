/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"
#include "tests/unit/tls-bench.h"

static void a_good_server_is_accepted(void **state)
{
	struct tg_tls_peer p = wish(HOST);
	char text[TG_TLS_WORDS_MAX];

	(void) state;
	assert_true(meet_good(&p));
	assert_true(p.finished);
	assert_string_equal(tg_tls_peer_words(&p, text, sizeof(text)), "");
	assert_true(p.not_before < time(NULL) && p.not_before > time(NULL) - 2 * DAY_S);
}

/* --- one fault at a time -------------------------------------------------------------------- */

/* A chain with one thing wrong. What is NULL in @top comes from the good root directly. */
struct bad {
	const char *host; /* NULL: the usual one */
	struct recipe leaf, top;
	bool without_top; /* not sent along */
	int error, depth;
	const char *words;
};

static const struct bad bads[] = {
	{ .leaf = { .from_s = -9 * DAY_S, .to_s = -2 * DAY_S },
	  .error = X509_V_ERR_CERT_HAS_EXPIRED,
	  .words = "has expired (" },
	{ .leaf = { .from_s = 3 * DAY_S, .to_s = 9 * DAY_S },
	  .error = X509_V_ERR_CERT_NOT_YET_VALID,
	  .words = "is not valid yet (" },
	{ .leaf = { .san = "DNS:other.example,IP:192.0.2.7" },
	  .error = X509_V_ERR_HOSTNAME_MISMATCH,
	  .words = "(other.example, 192.0.2.7) is not for the name server.example" },
	{ .leaf = { .san = "DNS:serv*.example" },
	  .error = X509_V_ERR_HOSTNAME_MISMATCH,
	  .words = "is not for the name" },
	{ .leaf = { .cn = HOST, .san = "" },
	  .error = X509_V_ERR_HOSTNAME_MISMATCH,
	  .words = "has no alternative names, and its common name does not count "
		   "(DNS:server.example)" },
	{ .host = "192.0.2.7",
	  .leaf = { .cn = "192.0.2.7", .san = "DNS:192.0.2.7,IP:192.0.2.8" },
	  .error = X509_V_ERR_IP_ADDRESS_MISMATCH,
	  .words = "is not for the address 192.0.2.7" },
	{ .host = "2001:db8::7",
	  .leaf = { .san = "IP:2001:db8::8" },
	  .error = X509_V_ERR_IP_ADDRESS_MISMATCH,
	  .words = "(2001:db8::8) is not for the address 2001:db8::7" },
	{ .host = "2001:db8::7",
	  .leaf = { .san = "" },
	  .error = X509_V_ERR_IP_ADDRESS_MISMATCH,
	  .words = "has no alternative names, and its common name does not count "
		   "(IP:2001:db8::7)" },
	{ .leaf = { .eku = "clientAuth" },
	  .error = X509_V_ERR_INVALID_PURPOSE,
	  .words = "certificate (server.example) is not meant for TLS servers" },
	{ .top = { .cn = "client CA", .eku = "clientAuth" },
	  .error = X509_V_ERR_INVALID_PURPOSE,
	  .depth = 1,
	  .words = "an authority above the server (CN=client CA) is not meant for TLS servers" },
	{ .top = { .cn = "unsent CA" },
	  .without_top = true,
	  .error = X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
	  .words = "was not sent along and is not in ca (CN=unsent CA): does the chain lack an "
		   "intermediate" },
	{ .leaf = { .critical = "1.3.6.1.4.1.99999.1" },
	  .error = X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION,
	  .words = "critical extension that is not known here (1.3.6.1.4.1.99999.1)" },
	{ .top = { .cn = "critical CA", .critical = "1.3.6.1.4.1.99999.2" },
	  .error = X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION,
	  .depth = 1,
	  .words = "(CN=critical CA) has a critical extension that is not known here "
		   "(1.3.6.1.4.1.99999.2)" },
	{ .top = { .cn = "narrow CA", .constraints = "critical,permitted;DNS:elsewhere.example" },
	  .error = X509_V_ERR_PERMITTED_VIOLATION,
	  .words = "is for a name that an authority above it may not certify" },
	{ .top = { .cn = "narrow CA", .constraints = "critical,excluded;DNS:example" },
	  .error = X509_V_ERR_EXCLUDED_VIOLATION,
	  .words = "is for a name that is excluded for an authority above it" },
	{ .top = { .cn = "no CA", .basic = "critical,CA:FALSE" },
	  .error = X509_V_ERR_INVALID_CA,
	  .depth = 1,
	  .words = "(CN=no CA) is not that of an authority" },
	{ .top = { .cn = "no signer", .usage = "critical,digitalSignature" },
	  .error = X509_V_ERR_INVALID_CA,
	  .depth = 1,
	  .words = "(CN=no signer) is not that of an authority" },
	{ .top = { .cn = "gone CA", .from_s = -9 * DAY_S, .to_s = -2 * DAY_S },
	  .error = X509_V_ERR_CERT_HAS_EXPIRED,
	  .depth = 1,
	  .words = "an authority above the server (CN=gone CA) has expired" },
};

static struct recipe with_defaults(const struct recipe *r, const char *cn, const char *san,
				   const struct made *issuer)
{
	struct recipe full = *r;

	full.cn = full.cn ? full.cn : cn;
	full.san = full.san || full.raw_name ? full.san : san;
	full.issuer = issuer;
	return full;
}

/* Whether @p refused as @b expects, in words of its own. */
static void check_bad(const struct bad *b)
{
	struct tg_tls_peer p = wish(b->host ? b->host : HOST);
	struct recipe top_recipe = with_defaults(&b->top, "issuing CA", NULL, &root);
	struct made chain[2];

	top_recipe.ca = true;
	chain[1] = make(top_recipe);
	chain[0] = make(with_defaults(&b->leaf, "server", "DNS:" HOST, &chain[1]));
	print_message("%s\n", b->words);
	assert_false(meet(&p, chain, b->without_top ? 1 : 2, root.cert));
	assert_int_equal(p.error, b->error);
	assert_int_equal(p.depth, b->depth);
	assert_int_equal(p.not_before, 0);
	assert_says(&p, b->words);
	made_done(&chain[0]);
	made_done(&chain[1]);
}

static void each_fault_is_refused_in_its_own_words(void **state)
{
	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(bads); i++)
		check_bad(&bads[i]);
}

static void a_certificate_signed_by_itself_is_refused(void **state)
{
	struct made alone = make((struct recipe){ .cn = "alone", .san = "DNS:" HOST });
	struct tg_tls_peer p = wish(HOST);

	(void) state;
	assert_false(meet(&p, &alone, 1, root.cert));
	assert_int_equal(p.error, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
	assert_says(&p, "is signed by itself and not in ca");
	assert_true(meet(&p, &alone, 1, alone.cert));
	made_done(&alone);
}

static void an_authority_that_is_not_in_ca_is_named(void **state)
{
	struct made top = make((struct recipe){ .cn = "public root", .ca = true }),
		    mid = make((struct recipe){ .cn = "public CA", .issuer = &top, .ca = true }),
		    own = make(
			    (struct recipe){ .cn = "server", .issuer = &mid, .san = "DNS:" HOST });
	const struct made chain[] = { own, mid, top };
	struct tg_tls_peer p = wish(HOST);

	(void) state;
	assert_false(meet(&p, chain, 3, root.cert));
	assert_int_equal(p.error, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN);
	assert_says(&p, "the server's chain ends in 'CN=public root', which is not in ca", "system's own list");
	assert_false(meet(&p, chain, 2, root.cert));
	assert_int_equal(p.error, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
	assert_says(&p, "the server's chain ends in 'CN=public root', which is not in ca",
		    "system's own list");
	assert_true(meet(&p, chain, 2, top.cert));
	made_done(&top);
	made_done(&mid);
	made_done(&own);
}

static void an_intermediate_in_ca_is_no_anchor(void **state)
{
	const struct made chain[] = { leaf, issuing };
	struct tg_tls_peer p = wish(HOST);

	(void) state;
	assert_false(meet(&p, chain, 2, issuing.cert));
	assert_int_equal(p.error, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT);
	assert_says(&p, "(CN=issuing CA) is in ca without its own issuer (CN=test root)");
}

static void a_path_that_is_too_long_is_refused(void **state)
{
	struct made top = make((struct recipe){ .cn = "short CA",
						.issuer = &root,
						.ca = true,
						.basic = "critical,CA:TRUE,pathlen:0" }),
		    mid = make((struct recipe){ .cn = "extra CA", .issuer = &top, .ca = true }),
		    own = make(
			    (struct recipe){ .cn = "server", .issuer = &mid, .san = "DNS:" HOST });
	const struct made chain[] = { own, mid, top };
	struct tg_tls_peer p = wish(HOST);

	(void) state;
	assert_false(meet(&p, chain, 3, root.cert));
	assert_int_equal(p.error, X509_V_ERR_PATH_LENGTH_EXCEEDED);
	assert_says(&p, "(CN=short CA) allows fewer authorities below it than there are");
	made_done(&top);
	made_done(&mid);
	made_done(&own);
}

static void a_chain_that_costs_too_much_is_not_tried(void **state)
{
	struct made chain[TG_TLS_CHAIN_MAX + 1] = { leaf, issuing };
	struct tg_tls_peer p = wish(HOST);

	(void) state;
	for (size_t i = 2; i < TG_ARRAY_SIZE(chain); i++)
		chain[i] = make((struct recipe){ .cn = "issuing CA", .ca = true });
	assert_true(meet(&p, chain, TG_TLS_CHAIN_MAX, root.cert));
	assert_false(meet(&p, chain, TG_TLS_CHAIN_MAX + 1, root.cert));
	assert_int_equal(p.error, X509_V_ERR_CERT_CHAIN_TOO_LONG);
	assert_says(&p, "(server.example) comes with too long a chain");
	for (size_t i = 2; i < TG_ARRAY_SIZE(chain); i++)
		made_done(&chain[i]);
}

/* --- names ---------------------------------------------------------------------------------- */

static void addresses_are_matched_by_their_value(void **state)
{
	static const char *const hosts[] = { "192.0.2.7", "2001:db8::7", "2001:0db8:0:0::0007",
					     "2001:db8::7%eth0" };
	struct made own = make((struct recipe){ .cn = "server",
						.issuer = &root,
						.san = "DNS:a.example,IP:192.0.2.7,IP:2001:db8::"
						       "7" });

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(hosts); i++) {
		struct tg_tls_peer p = wish(hosts[i]);

		assert_true(meet(&p, &own, 1, root.cert));
	}
	made_done(&own);
}

static void a_wildcard_stands_for_one_label(void **state)
{
	struct made own = make(
		(struct recipe){ .cn = "server", .issuer = &root, .san = "DNS:*.plant.example" });
	struct tg_tls_peer p = wish("a.plant.example");

	(void) state;
	assert_true(meet(&p, &own, 1, root.cert));
	p.host = "a.b.plant.example";
	assert_false(meet(&p, &own, 1, root.cert));
	p.host = "plant.example";
	assert_false(meet(&p, &own, 1, root.cert));
	made_done(&own);
}

static void without_a_name_nobody_is_accepted(void **state)
{
	struct tg_tls_peer p = wish("");

	(void) state;
	assert_false(meet_good(&p));
	p.host = NULL;
	assert_false(meet_good(&p));
	assert_says(&p, "could not be judged");
}

static void hostile_names_are_shown_as_printable_text(void **state)
{
	struct made own = make(
		(struct recipe){ .cn = "x", .issuer = &root, .raw_name = "evil\n\x1b[2J.example" });
	struct tg_tls_peer p = wish(HOST);
	char text[TG_TLS_WORDS_MAX];

	(void) state;
	assert_false(meet(&p, &own, 1, root.cert));
	tg_tls_peer_words(&p, text, sizeof(text));
	assert_non_null(strstr(text, "(evil??[2J.example)"));
	assert_null(strpbrk(text, "\n\x1b"));
	made_done(&own);
}

static void many_names_are_cut_within_the_bound(void **state)
{
	char san[4096] = "DNS:n0.example";
	struct tg_tls_peer p = wish(HOST);
	struct made own;

	(void) state;
	for (size_t i = 1, at = strlen(san); i < 100; i++)
		at += (size_t) snprintf(san + at, sizeof(san) - at, ",DNS:n%zu.example", i);
	own = make((struct recipe){ .cn = "x", .issuer = &root, .san = san });
	assert_false(meet(&p, &own, 1, root.cert));
	assert_true(strlen(p.name) < sizeof(p.name));
	assert_string_equal(p.name + strlen(p.name) - 5, ", ...");
	assert_says(&p, "(n0.example, n1.example, ");
	made_done(&own);
}

/* --- time ----------------------------------------------------------------------------------- */

static void the_time_that_is_given_counts(void **state)
{
	struct tg_tls_peer p = wish(HOST);

	(void) state;
	p.now_s = time(NULL) + 60 * DAY_S;
	assert_false(meet_good(&p));
	assert_int_equal(p.error, X509_V_ERR_CERT_HAS_EXPIRED);
	assert_int_equal(p.judged_s, p.now_s);
	p.now_s = time(NULL) + DAY_S;
	assert_true(meet_good(&p));
}

static void a_clock_that_is_behind_learns_from_what_begins_later(void **state)
{
	struct tg_tls_peer p = wish(HOST);

	(void) state;
	p.now_s = time(NULL) - 300 * DAY_S;
	p.future_s = INT64_MAX;
	assert_true(meet_good(&p));
	assert_true(p.not_before > time(NULL) - 2 * DAY_S);
	/* Where the clock is right the certificate is at fault. */
	p.future_s = TG_TLS_FUTURE_S;
	assert_false(meet_good(&p));
	assert_int_equal(p.error, X509_V_ERR_CERT_NOT_YET_VALID);
	assert_int_equal(p.not_before, 0);
}

static void an_authority_whose_clock_is_ahead_proves_nothing(void **state)
{
	struct made own = make((struct recipe){
		.cn = "x", .issuer = &root, .san = "DNS:" HOST, .from_s = 3600, .to_s = DAY_S });
	struct tg_tls_peer p = wish(HOST);

	(void) state;
	assert_true(meet(&p, &own, 1, root.cert));
	assert_int_equal(p.not_before, 0);
	p.future_s = INT64_MAX;
	assert_true(meet(&p, &own, 1, root.cert));
	assert_true(p.not_before > time(NULL));
	p.future_s = 0;
	assert_false(meet(&p, &own, 1, root.cert));
	made_done(&own);
}

static void a_chain_that_is_never_good_as_a_whole_is_refused(void **state)
{
	struct made own = make((struct recipe){ .cn = "x",
						.issuer = &root,
						.san = "DNS:" HOST,
						.from_s = 90 * DAY_S,
						.to_s = 99 * DAY_S });
	struct tg_tls_peer p = wish(HOST);

	(void) state;
	p.future_s = INT64_MAX;
	assert_false(meet(&p, &own, 1, root.cert));
	assert_int_equal(p.error, X509_V_ERR_CERT_HAS_EXPIRED);
	assert_int_equal(p.depth, 1);
	assert_int_equal(p.not_before, 0);
	made_done(&own);
}

static void what_begins_later_must_be_good_in_all_else(void **state)
{
	struct made own = make((struct recipe){ .cn = "x",
						.issuer = &root,
						.san = "DNS:other.example",
						.from_s = DAY_S,
						.to_s = 9 * DAY_S });
	struct tg_tls_peer p = wish(HOST);

	(void) state;
	p.future_s = INT64_MAX;
	assert_false(meet(&p, &own, 1, root.cert));
	assert_int_equal(p.error, X509_V_ERR_HOSTNAME_MISMATCH);
	assert_int_equal(p.not_before, 0);
	made_done(&own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_server_is_accepted),
		cmocka_unit_test(each_fault_is_refused_in_its_own_words),
		cmocka_unit_test(a_certificate_signed_by_itself_is_refused),
		cmocka_unit_test(an_authority_that_is_not_in_ca_is_named),
		cmocka_unit_test(an_intermediate_in_ca_is_no_anchor),
		cmocka_unit_test(a_chain_that_costs_too_much_is_not_tried),
		cmocka_unit_test(a_path_that_is_too_long_is_refused),
		cmocka_unit_test(addresses_are_matched_by_their_value),
		cmocka_unit_test(a_wildcard_stands_for_one_label),
		cmocka_unit_test(without_a_name_nobody_is_accepted),
		cmocka_unit_test(hostile_names_are_shown_as_printable_text),
		cmocka_unit_test(many_names_are_cut_within_the_bound),
		cmocka_unit_test(the_time_that_is_given_counts),
		cmocka_unit_test(a_clock_that_is_behind_learns_from_what_begins_later),
		cmocka_unit_test(an_authority_whose_clock_is_ahead_proves_nothing),
		cmocka_unit_test(a_chain_that_is_never_good_as_a_whole_is_refused),
		cmocka_unit_test(what_begins_later_must_be_good_in_all_else),
	};

	return cmocka_run_group_tests(tests, make_pki, drop_pki);
}
