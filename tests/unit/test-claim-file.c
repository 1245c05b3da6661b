/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/claim_file.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PLACE "/tmp/tidegate-claim-XXXXXX"

static char dir[] = PLACE;

static int make_dir(void **state)
{
	(void) state;
	memcpy(dir, PLACE, sizeof(dir));
	return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const names[] = { "key", "link", "fifo", "long" };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(names); i++)
		(void) unlink(names[i]);
	return chdir("/") == 0 && rmdir(dir) == 0 ? 0 : -1;
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(name, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void a_key_and_a_certificate_are_removed_once(void **state)
{
	(void) state;
	put("key", "-----BEGIN RSA PRIVATE KEY-----\n");
	assert_true(tg_claim_file_there("key"));
	assert_int_equal(tg_claim_file_remove("key", NULL), TG_CLAIM_REMOVED);
	assert_false(tg_claim_file_there("key"));
	assert_int_equal(tg_claim_file_remove("key", NULL), TG_CLAIM_ABSENT);
	put("key", "of the fleet\n-----BEGIN CERTIFICATE-----\n");
	assert_int_equal(tg_claim_file_remove("key", NULL), TG_CLAIM_REMOVED);
	assert_int_equal(tg_claim_file_remove("", NULL), TG_CLAIM_ABSENT);
	assert_int_equal(tg_claim_file_remove("none/key", NULL), TG_CLAIM_ABSENT);
}

static void nothing_else_is_removed(void **state)
{
	struct tg_fault why;
	FILE *f;

	(void) state;
	put("key", "root:x:0:0:root:/root:/bin/bash\n");
	assert_int_equal(tg_claim_file_remove("key", &why), -EINVAL);
	assert_non_null(strstr(why.text, "neither a certificate nor a private key"));
	assert_true(tg_claim_file_there("key"));

	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(tg_claim_file_remove("fifo", &why), -EINVAL);
	assert_int_equal(tg_claim_file_remove(".", &why), -EINVAL);

	f = fopen("long", "we");
	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), TG_CLAIM_FILE_MAX + 1), 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(tg_claim_file_remove("long", &why), -EINVAL);
	assert_true(tg_claim_file_there("long"));
}

static void what_a_link_names_stays(void **state)
{
	(void) state;
	put("key", "-----BEGIN PRIVATE KEY-----\n");
	assert_int_equal(symlink("key", "link"), 0);
	assert_int_equal(tg_claim_file_remove("link", NULL), TG_CLAIM_UNLINKED);
	assert_false(tg_claim_file_there("link"));
	assert_true(tg_claim_file_there("key"));
	/* Also one that leads nowhere is there, and can be removed. */
	assert_int_equal(symlink("none", "link"), 0);
	assert_true(tg_claim_file_there("link"));
	assert_int_equal(tg_claim_file_remove("link", NULL), TG_CLAIM_UNLINKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_key_and_a_certificate_are_removed_once, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(nothing_else_is_removed, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(what_a_link_names_stays, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
