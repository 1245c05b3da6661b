/* SPDX-License-Identifier: Apache-2.0 */
#include "config/load.h"

#include "base/file.h"
#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define EXPECT "# expect "

/* --- the files of tests/data/config, which say themselves what is to be said about them ----------
 */

/* Whether a complaint "PATH:LINE: ...TEXT..." for `LINE error|warning TEXT` is in @c. */
static bool was_told(const struct tg_complaints *c, const char *path, const char *expected)
{
	bool warning = strstr(expected, " warning ") != NULL;
	const char *text = strchr(strchr(expected, ' ') + 1, ' ') + 1;
	tg_autofree char *head = NULL;

	/* `-` is the file as a whole. */
	if (*expected == '-' ? asprintf(&head, "%s: ", path) < 0
			     : asprintf(&head, "%s:%.*s: ", path, (int) strcspn(expected, " "),
					expected) < 0)
		fail();
	for (size_t i = 0; i < c->n; i++)
		if (c->items[i].warning == warning &&
		    strncmp(c->items[i].text, head, strlen(head)) == 0 &&
		    strstr(c->items[i].text + strlen(head), text))
			return true;
	return false;
}

static void check_file(const char *path, bool good)
{
	tg_cleanup(tg_config_unrefp) struct tg_config *config = NULL;
	tg_autofree char *data = NULL;
	struct tg_complaints c;
	size_t len, expected = 0;
	char *at, *end;
	int r = tg_config_load(path, &c, &config);

	for (size_t i = 0; i < c.n; i++)
		print_message("    %s\n", c.items[i].text);
	if (r != (good ? 0 : -EBADMSG))
		fail_msg("%s: loading gave %d", path, r);
	assert_int_equal(tg_file_read(AT_FDCWD, path, 1 << 20, &data, &len, NULL), 0);
	for (at = data; at < data + len; at = end + 1) {
		end = memchr(at, '\n', (size_t) (data + len - at));
		if (!end)
			break;
		*end = '\0';
		if (end > at && end[-1] == '\r')
			end[-1] = '\0';
		if (strncmp(at, EXPECT, strlen(EXPECT)) != 0)
			continue;
		expected++;
		if (!was_told(&c, path, at + strlen(EXPECT)))
			fail_msg("%s: not told: %s", path, at + strlen(EXPECT));
	}
	if (c.n != expected || c.errors + c.warnings != expected)
		fail_msg("%s: %zu complaints instead of %zu", path, c.errors + c.warnings,
			 expected);
	tg_complaints_done(&c);
}

static size_t check_directory(const char *name, bool good)
{
	tg_autofree char *dir = NULL;
	struct dirent **entries;
	int n;

	if (asprintf(&dir, "%s/config/%s", getenv("TIDEGATE_DATA"), name) < 0)
		fail();
	n = scandir(dir, &entries, NULL, alphasort);
	assert_true(n > 2);
	for (int i = 0; i < n; i++) {
		tg_autofree char *path = NULL;

		if (entries[i]->d_name[0] != '.') {
			if (asprintf(&path, "%s/%s", dir, entries[i]->d_name) < 0)
				fail();
			check_file(path, good);
		}
		free(entries[i]);
	}
	free(entries);
	return (size_t) n - 2;
}

static void bad_files_are_refused_with_line_and_reason(void **state)
{
	(void) state;
	assert_true(check_directory("bad", false) >= 80);
}

static void good_files_load_with_the_warnings_they_deserve(void **state)
{
	(void) state;
	assert_true(check_directory("good", true) >= 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_files_are_refused_with_line_and_reason),
		cmocka_unit_test(good_files_load_with_the_warnings_they_deserve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
