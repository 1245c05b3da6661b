/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/operator_file.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PLACE "/tmp/tidegate-operator-XXXXXX"

static char dir[] = PLACE;

static void put(const char *name, const char *text, size_t len)
{
	FILE *f = fopen(name, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static int make_dir(void **state)
{
	(void) state;
	memcpy(dir, PLACE, sizeof(dir));
	if (!mkdtemp(dir) || chdir(dir) < 0 || mkdir("credentials", 0700) < 0)
		return -1;
	return unsetenv("CREDENTIALS_DIRECTORY");
}

static int remove_dir(void **state)
{
	(void) state;
	(void) unlink("secret");
	(void) unlink("link");
	(void) unlink("credentials/secret");
	(void) rmdir("credentials");
	return unsetenv("CREDENTIALS_DIRECTORY") == 0 && chdir("/") == 0 && rmdir(dir) == 0 ? 0
											    : -1;
}

static void expect(const char *file, const char *wanted)
{
	struct tg_fault fault = { 0 };
	char *secret = NULL;

	assert_int_equal(tg_operator_secret_read("password-file", file, &secret, &fault), 0);
	assert_string_equal(secret, wanted);
	assert_null(tg_operator_secret_free(secret));
}

static void a_secret_is_a_line_without_its_end(void **state)
{
	(void) state;
	put("secret", "open sesame\n", 12);
	expect("secret", "open sesame");
	put("secret", "open sesame\r\n", 13);
	expect("secret", "open sesame");
	put("secret", " open sesame ", 13);
	expect("secret", " open sesame ");
	put("secret", "\n", 1);
	expect("secret", "");
}

static void more_than_a_line_is_refused_and_not_quoted(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} cases[] = { { "sesame\n\n", 8 }, { "sesame\nopen", 11 }, { "sesame\0x", 8 } };
	struct tg_fault fault = { 0 };
	char *secret = NULL;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		put("secret", cases[i].text, cases[i].len);
		assert_int_equal(
			tg_operator_secret_read("password-file", "secret", &secret, &fault),
			-EINVAL);
		assert_null(secret);
		assert_non_null(strstr(fault.text, "password-file secret"));
		assert_null(strstr(fault.text, "sesame"));
	}
}

static void systemds_credentials_come_first(void **state)
{
	char path[sizeof(dir) + 16];

	(void) state;
	put("secret", "from the file\n", 14);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "credentials", 1), 0);
	/* None of that name is loaded. */
	expect("secret", "from the file");
	put("credentials/secret", "from systemd\n", 13);
	expect("secret", "from systemd");
	/* A path is a path. */
	(void) snprintf(path, sizeof(path), "%s/secret", dir);
	expect(path, "from the file");
}

static void a_link_is_followed_and_what_is_missing_is_named(void **state)
{
	struct tg_fault fault = { 0 };
	char *secret = NULL;

	(void) state;
	put("secret", "behind a link\n", 14);
	assert_int_equal(symlink("secret", "link"), 0);
	expect("link", "behind a link");
	assert_int_equal(tg_operator_secret_read("password-file", "nothing", &secret, &fault),
			 -ENOENT);
	assert_string_equal(fault.text, "password-file nothing: No such file or directory");
	assert_null(tg_operator_secret_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_secret_is_a_line_without_its_end, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(more_than_a_line_is_refused_and_not_quoted,
						make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(systemds_credentials_come_first, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(a_link_is_followed_and_what_is_missing_is_named,
						make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
