/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/peer.h"

#include "base/clock.h"
#include "tests/unit/test.h"
#include "tests/unit/tls-bench.h"

#include <openssl/err.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define HOST "server.example"

static struct made root, issuing, leaf; /* the good ones */

static int make_pki(void **state)
{
	(void) state;
	root = make((struct recipe){ .cn = "test root", .ca = true });
	issuing = make((struct recipe){ .cn = "issuing CA", .issuer = &root, .ca = true });
	leaf = make((struct recipe){ .cn = "server", .issuer = &issuing, .san = "DNS:" HOST });
	return 0;
}

static int drop_pki(void **state)
{
	(void) state;
	made_done(&root);
	made_done(&issuing);
	made_done(&leaf);
	return 0;
}

static struct tg_tls_peer wish(const char *host)
{
	return (struct tg_tls_peer){ .host = host, .future_s = TG_TLS_FUTURE_S };
}

/* One handshake with a server that sends @chain, judged as @p wants under @anchor. Returns whether it succeeded. */
static bool meet(struct tg_tls_peer *p, const struct made *chain, size_t n, const X509 *anchor)
{
	tg_cleanup(SSL_CTX_freep) SSL_CTX *there = serve(chain, n),
					  *here = SSL_CTX_new(TLS_client_method());
	tg_cleanup(SSL_freep) SSL *server = NULL, *client = NULL;
	bool good;

	assert_int_equal(tg_tls_harden(here), 0);
	trust(here, anchor);
	tg_tls_judge(here, p);
	server = SSL_new(there);
	client = SSL_new(here);
	good = shake(client, server) == 1;
	assert_int_equal(good, p->passed);
	assert_int_equal(good, p->error == 0);
	assert_int_equal(good, SSL_get_state(server) == TLS_ST_OK);
	ERR_clear_error();
	return good;
}

static bool meet_good(struct tg_tls_peer *p)
{
	const struct made chain[] = { leaf, issuing };

	return meet(p, chain, 2, root.cert);
}

/* The words for a refusal must have every part. */
static void says(const struct tg_tls_peer *p, const char *const parts[], size_t n)
{
	char text[TG_TLS_WORDS_MAX];

	tg_tls_peer_words(p, text, sizeof(text));
	for (size_t i = 0; i < n; i++)
		if (!strstr(text, parts[i]))
			fail_msg("\"%s\" lacks \"%s\"", text, parts[i]);
}
#define assert_says(p, ...)                                                                        \
	says((p), (const char *const[]){ __VA_ARGS__ },                                            \
	     sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

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

static void another_name_is_refused(void **state)
{
	struct tg_tls_peer p = wish("other.example");

	(void) state;
	assert_false(meet_good(&p));
	assert_says(&p, "the server's certificate (server.example) is not for the name "
			"other.example");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_server_is_accepted),
		cmocka_unit_test(another_name_is_refused),
	};

	return cmocka_run_group_tests(tests, make_pki, drop_pki);
}
