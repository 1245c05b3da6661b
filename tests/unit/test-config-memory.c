/* SPDX-License-Identifier: Apache-2.0 */
#include "config/load.h"

#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <search.h>

/*
 * The linker sends these four of the modules under test here (--wrap), so that
 * each allocation in turn can fail. What then leaks is for the sanitizer to say.
 */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_tsearch(const void *key, void **root, int (*compare)(const void *, const void *));
int __wrap_scandir(const char *dir, struct dirent ***list, int (*filter)(const struct dirent *),
		   int (*compare)(const struct dirent **, const struct dirent **));
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_tsearch(const void *key, void **root, int (*compare)(const void *, const void *));
int __real_scandir(const char *dir, struct dirent ***list, int (*filter)(const struct dirent *),
		   int (*compare)(const struct dirent **, const struct dirent **));

static long countdown = -1; /* the allocation that fails; -1: none */

static bool fails(void)
{
	if (countdown < 0)
		return false;
	errno = ENOMEM;
	return countdown-- == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_tsearch(const void *key, void **root, int (*compare)(const void *, const void *))
{
	return fails() ? NULL : __real_tsearch(key, root, compare);
}

int __wrap_scandir(const char *dir, struct dirent ***list, int (*filter)(const struct dirent *),
		   int (*compare)(const struct dirent **, const struct dirent **))
{
	return fails() ? -1 : __real_scandir(dir, list, filter, compare);
}

/* Loads @name again and again, until a load gets through without meeting the failure. */
static void exhaust(const char *name, int wanted)
{
	tg_autofree char *path = NULL;
	long n = 0;

	if (asprintf(&path, "%s/config/%s", getenv("TIDEGATE_DATA"), name) < 0)
		fail();
	for (;; n++) {
		struct tg_config *config = NULL;
		struct tg_complaints c;
		int r;

		countdown = n;
		r = tg_config_load(path, &c, &config);
		tg_complaints_done(&c);
		(void) tg_config_unref(config);
		if (countdown >= 0) {
			assert_int_equal(r, wanted);
			break;
		}
		if (r != -ENOMEM)
			fail_msg("%s: allocation %ld failed and the load gave %d", name, n, r);
		assert_null(config);
	}
	countdown = -1;
	assert_true(n > 20);
}

static void a_load_without_memory_fails_as_such(void **state)
{
	(void) state;
	exhaust("good/full.conf", 0);
	exhaust("tree", 0);
	exhaust("bad/unknown-device.conf", -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_load_without_memory_fails_as_such),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
