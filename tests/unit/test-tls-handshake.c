/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"
#include "tests/unit/tls-bench.h"

/* --- strength ------------------------------------------------------------------------------- */

static void a_weak_key_is_refused(void **state)
{
	struct made own = make((struct recipe){
		.cn = "server", .issuer = &root, .san = "DNS:" HOST, .key = EVP_RSA_gen(1024) });
	struct tg_tls_peer p = wish(HOST);

	(void) state;
	assert_false(meet(&p, &own, 1, root.cert));
	assert_int_equal(p.error, X509_V_ERR_EE_KEY_TOO_SMALL);
	assert_says(&p, "the server's certificate (server.example) has too weak a key (RSA, 1024 "
			"bits)");
	made_done(&own);
}

static void an_authority_with_a_weak_key_is_refused(void **state)
{
	struct made top = make((struct recipe){ .cn = "weak CA",
						.issuer = &root,
						.ca = true,
						.key = EVP_RSA_gen(1024) }),
		    own = make(
			    (struct recipe){ .cn = "server", .issuer = &top, .san = "DNS:" HOST });
	const struct made chain[] = { own, top };
	struct tg_tls_peer p = wish(HOST);

	(void) state;
	assert_false(meet(&p, chain, 2, root.cert));
	assert_int_equal(p.error, X509_V_ERR_CA_KEY_TOO_SMALL);
	assert_says(&p, "an authority above the server (CN=weak CA) has too weak a key (RSA, 1024 "
			"bits)");
	made_done(&own);
	made_done(&top);
}

static void a_weak_digest_is_refused(void **state)
{
	struct made own = make((struct recipe){
		.cn = "server", .issuer = &root, .san = "DNS:" HOST, .digest = EVP_sha1() });
	struct tg_tls_peer p = wish(HOST);

	(void) state;
	assert_false(meet(&p, &own, 1, root.cert));
	assert_int_equal(p.error, X509_V_ERR_CA_MD_TOO_WEAK);
	assert_says(&p, "is signed with too weak a digest (ecdsa-with-SHA1)");
	made_done(&own);
}

/* Runs a handshake with a good certificate and a server that offers only what @version and @ciphers say. */
static bool meet_protocol(struct tg_tls_peer *p, int version, const char *ciphers, char *reason,
			  size_t size)
{
	const struct made chain[] = { leaf, issuing };
	tg_cleanup(SSL_CTX_freep) SSL_CTX *there = serve(chain, 2),
					  *here = SSL_CTX_new(TLS_client_method());
	tg_cleanup(SSL_freep) SSL *server = NULL, *client = NULL;
	bool good;

	assert_int_equal(SSL_CTX_set_min_proto_version(there, 0), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(there, version), 1);
	assert_int_equal(SSL_CTX_set_cipher_list(there, ciphers), 1);
	/* As a library or openssl.cnf may have left it. */
	assert_int_equal(SSL_CTX_set_min_proto_version(here, TLS1_VERSION), 1);
	SSL_CTX_set_security_level(here, 0);
	assert_int_equal(SSL_CTX_set_cipher_list(here, "ALL:eNULL"), 1);
	assert_int_equal(tg_tls_harden(here), 0);
	trust(here, root.cert);
	tg_tls_judge(here, p);
	server = SSL_new(there);
	client = SSL_new(here);
	ERR_clear_error();
	good = shake(client, server) == 1;
	ERR_error_string_n(ERR_peek_last_error(), reason, size);
	ERR_clear_error();
	return good;
}

static void old_versions_of_tls_are_refused(void **state)
{
	char reason[256], text[TG_TLS_WORDS_MAX];
	struct tg_tls_peer p = wish(HOST);

	(void) state;
	assert_true(meet_protocol(&p, TLS1_3_VERSION, "ALL", reason, sizeof(reason)));
	assert_true(meet_protocol(&p, TLS1_2_VERSION, "ECDHE+AESGCM", reason, sizeof(reason)));
	assert_false(meet_protocol(&p, TLS1_1_VERSION, "ALL:@SECLEVEL=0", reason, sizeof(reason)));
	assert_true(p.alerted);
	assert_false(p.passed);
	assert_says(&p, "the server broke TLS off: protocol version (alert 70)",
		    "neither TLS 1.2 nor 1.3");
	/* One that does not ask what we speak. */
	p.alerted = false;
	tg_tls_handshake_words(&p, "error:0A000102:SSL routines::unsupported protocol", text,
			       sizeof(text));
	assert_non_null(strstr(text, "neither TLS 1.2 nor 1.3"));
}

static void suites_without_aead_or_forward_secrecy_are_refused(void **state)
{
	static const char *const poor[] = { "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0", "AECDH:@"
										     "SECLEVEL=0" };
	char reason[256];

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(poor); i++) {
		struct tg_tls_peer p = wish(HOST);

		assert_false(meet_protocol(&p, TLS1_2_VERSION, poor[i], reason, sizeof(reason)));
		assert_true(p.alerted);
		assert_int_equal(p.alert, 40);
		assert_says(&p, "handshake failure (alert 40)");
	}
}

/* --- the rest ------------------------------------------------------------------------------- */

static void a_context_without_a_peer_refuses_everybody(void **state)
{
	const struct made chain[] = { leaf, issuing };
	tg_cleanup(SSL_CTX_freep) SSL_CTX *there = serve(chain, 2),
					  *here = SSL_CTX_new(TLS_client_method());
	tg_cleanup(SSL_freep) SSL *server = SSL_new(there), *client = NULL;

	(void) state;
	trust(here, root.cert);
	tg_tls_judge(here, NULL);
	client = SSL_new(here);
	assert_int_not_equal(shake(client, server), 1);
	ERR_clear_error();
}

/* What curl does to its contexts before it hands them over. */
static void flags_of_a_library_do_not_weaken_the_judge(void **state)
{
	const struct made chain[] = { leaf, issuing };
	tg_cleanup(SSL_CTX_freep) SSL_CTX *there = serve(chain, 2),
					  *here = SSL_CTX_new(TLS_client_method());
	tg_cleanup(SSL_freep) SSL *server = SSL_new(there), *client = NULL;
	struct tg_tls_peer p = wish(HOST);

	(void) state;
	trust(here, issuing.cert);
	X509_STORE_set_flags(SSL_CTX_get_cert_store(here),
			     X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
	assert_int_equal(tg_tls_harden(here), 0);
	tg_tls_judge(here, &p);
	client = SSL_new(here);
	assert_int_not_equal(shake(client, server), 1);
	assert_int_equal(p.error, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT);
	ERR_clear_error();
}

static void count(SSL *ssl, void *user)
{
	assert_int_equal(SSL_get_verify_result(ssl), X509_V_OK);
	++*(int *) user;
}

static void the_end_of_the_handshake_is_told(void **state)
{
	struct tg_tls_peer p = wish(HOST);
	int n = 0;

	(void) state;
	p.on_finished = count;
	p.user = &n;
	assert_true(meet_good(&p));
	assert_true(n >= 1);
	n = 0;
	p.host = "other.example";
	assert_false(meet_good(&p));
	assert_int_equal(n, 0);
	assert_false(p.finished);
}

static void each_end_of_a_handshake_has_words(void **state)
{
	static const struct {
		const char *reason, *words;
	} cases[] = {
		{ "", "closed in the TLS handshake" },
		{ "error:0A000126:SSL routines::unexpected eof while reading", "closed in the TLS "
									       "handshake" },
		{ "error:0A00010B:SSL routines::wrong version number", "does not speak TLS" },
		{ "error:0A00042E:SSL routines::tlsv1 alert protocol version", "neither TLS 1.2 "
									       "nor 1.3" },
		{ "error:0A000410:SSL routines::sslv3 alert handshake failure", "handshake failure "
										"(alert 40)" },
		{ "error:0A000418:SSL routines::tlsv1 alert unknown ca", "refused our certificate: "
									 "unknown CA" },
		{ "something \x1b else", "TLS failed: something ? else" },
	};
	struct tg_tls_peer p = wish(HOST);
	char text[TG_TLS_WORDS_MAX];

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		tg_tls_handshake_words(&p, cases[i].reason, text, sizeof(text));
		assert_non_null(strstr(text, cases[i].words));
	}
	assert_non_null(strstr(tg_tls_handshake_words(&p, NULL, text, sizeof(text)), "closed"));
}

static void the_peer_is_called_what_the_caller_calls_it(void **state)
{
	struct tg_tls_peer p = wish(HOST);

	(void) state;
	p.who = "broker";
	p.host = "other.example";
	assert_false(meet_good(&p));
	assert_says(&p, "the broker's certificate (server.example)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_weak_key_is_refused),
		cmocka_unit_test(an_authority_with_a_weak_key_is_refused),
		cmocka_unit_test(a_weak_digest_is_refused),
		cmocka_unit_test(old_versions_of_tls_are_refused),
		cmocka_unit_test(suites_without_aead_or_forward_secrecy_are_refused),
		cmocka_unit_test(a_context_without_a_peer_refuses_everybody),
		cmocka_unit_test(flags_of_a_library_do_not_weaken_the_judge),
		cmocka_unit_test(the_end_of_the_handshake_is_told),
		cmocka_unit_test(each_end_of_a_handshake_has_words),
		cmocka_unit_test(the_peer_is_called_what_the_caller_calls_it),
	};

	return cmocka_run_group_tests(tests, make_pki, drop_pki);
}
