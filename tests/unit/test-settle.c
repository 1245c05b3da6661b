/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "identity/generation.h"
#include "identity/journal.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/*
 * A journal that outlived its enrolment goes; one that is still needed stays.
 */
static char dir[] = "/tmp/tidegate-settle-XXXXXX";
static char leaf[4096], other[4096], leaf_name[65];

/* A certificate as text, and what it is called in a manifest. */
static void make_certificate(long serial, char pem[static 4096], char name[static 65])
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	int n;

	assert_true(key && cert && bio);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 60);
	assert_true(X509_set_pubkey(cert, key) && X509_sign(cert, key, EVP_sha256()));
	assert_true(PEM_write_bio_X509(bio, cert));
	n = BIO_read(bio, pem, 4095);
	assert_true(n > 0);
	pem[n] = '\0';
	assert_true(X509_digest(cert, EVP_sha256(), md, &len) && len == 32);
	for (unsigned i = 0; i < len; i++)
		(void) snprintf(name + 2 * i, 3, "%02x", md[i]);
	BIO_free(bio);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void enrol(const char *chain)
{
	const struct tg_generation_files files = { .key_pem = "-----KEY-----\n", .chain_pem = chain };
	struct tg_manifest m = { .method = "aws-fleet" };

	memcpy(m.fingerprint, leaf_name, sizeof(m.fingerprint));
	assert_int_equal(tg_generation_write(dir, &files, &m, NULL), 0);
}

static void leave_pending(const char *chain)
{
	struct tg_journal j = { .step = TG_STEP_VERIFIED, .method = "aws-fleet" };
	char path[128];

	assert_int_equal(tg_journal_write(dir, &j, NULL), 0);
	(void) snprintf(path, sizeof(path), "%s/identity/pending/chain.pem", dir);
	if (chain)
		assert_int_equal(tg_file_replace(AT_FDCWD, path, chain, strlen(chain), 0600, NULL),
				 0);
}

static void remove_tree(const char *relative, bool link)
{
	char path[128];

	(void) snprintf(path, sizeof(path), "%s/%s", dir, relative);
	(void) (link ? unlink(path) : rmdir(path));
}

static bool is_pending(void)
{
	char path[128];

	(void) snprintf(path, sizeof(path), "%s/identity/pending", dir);
	return access(path, F_OK) == 0;
}

static void a_journal_whose_certificate_is_a_generation_goes(void **state)
{
	char chain[8192];

	(void) state;
	enrol(leaf);
	leave_pending(leaf);
	assert_int_equal(tg_journal_settle(dir, NULL), 0);
	assert_false(is_pending());

	/* In the order that a service likes, and after the promotion. */
	assert_int_equal(tg_generation_promote(dir, false, NULL), 0);
	(void) snprintf(chain, sizeof(chain), "%s%s", other, leaf);
	leave_pending(chain);
	assert_int_equal(tg_journal_settle(dir, NULL), 0);
	assert_false(is_pending());
}

static void a_journal_whose_certificate_was_rejected_goes(void **state)
{
	(void) state;
	enrol(leaf);
	leave_pending(leaf);
	assert_int_equal(tg_generation_roll_back(dir, "refused", 1, NULL), 0);
	assert_int_equal(tg_journal_settle(dir, NULL), 0);
	assert_false(is_pending());
}

static void a_journal_whose_generation_does_not_count_yet_stays(void **state)
{
	(void) state;
	enrol(leaf);
	leave_pending(leaf);
	remove_tree("identity/candidate", true);
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_int_equal(tg_journal_settle(dir, NULL), 0);
	assert_true(is_pending());
}

static void a_journal_that_is_still_needed_stays(void **state)
{
	(void) state;
	enrol(leaf);
	leave_pending(NULL);
	assert_int_equal(tg_journal_settle(dir, NULL), 0);
	assert_true(is_pending());
	leave_pending("garbage\n");
	assert_int_equal(tg_journal_settle(dir, NULL), 0);
	assert_true(is_pending());
	/* A renewal under way. */
	leave_pending(other);
	assert_int_equal(tg_journal_settle(dir, NULL), 0);
	assert_true(is_pending());
}

static void without_a_journal_there_is_nothing_to_do(void **state)
{
	(void) state;
	assert_int_equal(tg_journal_settle(dir, NULL), 0);
	enrol(leaf);
	assert_int_equal(tg_journal_settle(dir, NULL), 0);
	assert_int_equal(tg_journal_settle("/nonexistent", NULL), 0);
}

static int make_dir(void **state)
{
	(void) state;
	(void) memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const files[] = {
		"identity/current", "identity/candidate", "identity/previous",
		"identity/generations/000001/key.pem", "identity/generations/000001/chain.pem",
		"identity/generations/000001/bundle.pem", "identity/generations/000001/manifest",
		"identity/generations/000001/outcome",
	};

	(void) state;
	if (tg_journal_clear(dir, NULL) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		remove_tree(files[i], true);
	remove_tree("identity/generations/000001", false);
	remove_tree("identity/generations", false);
	remove_tree("identity", false);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_journal_whose_certificate_is_a_generation_goes,
						make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_journal_whose_certificate_was_rejected_goes,
						make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			a_journal_whose_generation_does_not_count_yet_stays, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_journal_that_is_still_needed_stays, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(without_a_journal_there_is_nothing_to_do, make_dir,
						remove_dir),
	};
	char unused[65];

	make_certificate(1, leaf, leaf_name);
	make_certificate(2, other, unused);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
