/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static char scratch[] = "/tmp/tidegate-file-XXXXXX";

static int setup(void **state)
{
	static int fd;

	memcpy(scratch + sizeof(scratch) - 7, "XXXXXX", 6);
	assert_non_null(mkdtemp(scratch));
	fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	*state = &fd;
	return 0;
}

/* The names in the directory, hidden ones too, without . and .. */
static unsigned count(int dirfd, int remove)
{
	DIR *d = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *e;
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		n++;
		if (remove && unlinkat(dirfd, e->d_name, 0) < 0)
			(void) unlinkat(dirfd, e->d_name, AT_REMOVEDIR);
	}
	(void) closedir(d);
	return n;
}

static int teardown(void **state)
{
	int fd = *(int *) *state;

	(void) count(fd, 1);
	(void) close(fd);
	return rmdir(scratch);
}

static void a_file_is_replaced_whole_and_nothing_is_left_over(void **state)
{
	int dir = *(int *) *state;
	tg_autofree char *data = NULL;
	struct stat st;
	size_t len;

	assert_int_equal(tg_file_replace(dir, "f", "one", 3, 0600, NULL), 0);
	assert_int_equal(tg_file_replace(dir, "f", "second", 6, 0640, NULL), 0);
	assert_int_equal(tg_file_read(dir, "f", 100, &data, &len, NULL), 0);
	assert_int_equal(len, 6);
	assert_string_equal(data, "second");
	assert_int_equal(fstatat(dir, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(count(dir, 0), 1);
}

static void a_directory_in_the_way_keeps_the_old_and_leaves_no_temp(void **state)
{
	int dir = *(int *) *state;
	struct tg_fault why;

	assert_int_equal(mkdirat(dir, "f", 0700), 0);
	assert_true(tg_file_replace(dir, "f", "x", 1, 0600, &why) < 0);
	assert_non_null(strstr(why.text, "f"));
	assert_int_equal(count(dir, 0), 1);
}

static void reading_is_bounded_and_for_regular_files_only(void **state)
{
	int dir = *(int *) *state;
	tg_autofree char *data = NULL;
	struct tg_fault why;

	assert_int_equal(tg_file_replace(dir, "f", "12345", 5, 0600, NULL), 0);
	assert_int_equal(tg_file_read(dir, "f", 4, &data, NULL, &why), -EFBIG);
	assert_int_equal(tg_file_read(dir, "f", 5, &data, NULL, NULL), 0);
	assert_int_equal(tg_file_read(dir, "none", 5, &data, NULL, &why), -ENOENT);
	assert_int_equal(mkfifoat(dir, "p", 0600), 0);
	assert_int_equal(tg_file_read(dir, "p", 5, &data, NULL, &why), -EINVAL);
	assert_int_equal(symlinkat("f", dir, "l"), 0);
	assert_int_equal(tg_file_read(dir, "l", 5, &data, NULL, &why), -ELOOP);
}

static void files_of_proc_that_say_no_size_are_read(void **state)
{
	tg_autofree char *data = NULL;
	size_t len = 0;

	(void) state;
	assert_int_equal(tg_file_read(AT_FDCWD, "/proc/self/stat", 4096, &data, &len, NULL), 0);
	assert_true(len > 10);
}

static void a_link_is_turned_by_rename(void **state)
{
	int dir = *(int *) *state;
	char target[32] = "";

	assert_int_equal(tg_file_relink(dir, "current", "generations/1", NULL), 0);
	assert_int_equal(tg_file_relink(dir, "current", "generations/2", NULL), 0);
	assert_int_equal(readlinkat(dir, "current", target, sizeof(target) - 1), 13);
	assert_string_equal(target, "generations/2");
	assert_int_equal(count(dir, 0), 1);
}

static void creating_refuses_what_exists(void **state)
{
	int dir = *(int *) *state;

	assert_int_equal(tg_file_create(dir, "f", "a", 1, 0600, NULL), 0);
	assert_int_equal(tg_file_create(dir, "f", "b", 1, 0600, NULL), -EEXIST);
	assert_int_equal(tg_file_sync_dir(dir, ".", NULL), 0);
}

static void what_a_power_cut_left_is_swept_and_nothing_else(void **state)
{
	static const char *const kept[] = { "name", ".hidden", ".name.12345", ".name.1234567g", "name.12345678",
					    "..12345678" };
	int dir = *(int *) *state;

	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		assert_int_equal(tg_file_create(dir, kept[i], "x", 1, 0600, NULL), 0);
	assert_int_equal(mkdirat(dir, ".dir.12345678", 0700), 0);
	assert_int_equal(tg_file_create(dir, ".name.0badcafe", "x", 1, 0600, NULL), 0);
	assert_int_equal(symlinkat("name", dir, ".link.12345678"), 0);
	assert_int_equal(tg_file_sweep(dir, ".", NULL), 0);
	assert_int_equal(count(dir, 0), sizeof(kept) / sizeof(*kept) + 1);
	assert_int_equal(tg_file_sweep(dir, "absent", NULL), -ENOENT);
}

static void directories_are_made_all_the_way(void **state)
{
	char path[] = "/tmp/tidegate-dirs-XXXXXX", deep[64], file[64];
	struct stat st;

	(void) state;
	assert_non_null(mkdtemp(path));
	(void) snprintf(deep, sizeof(deep), "%s/a/b", path);
	assert_int_equal(tg_file_mkdirs(deep, 0700, NULL), 0);
	assert_int_equal(tg_file_mkdirs(deep, 0700, NULL), 0);
	assert_int_equal(stat(deep, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	(void) snprintf(file, sizeof(file), "%s/a/f", path);
	assert_int_equal(tg_file_create(AT_FDCWD, file, "", 0, 0600, NULL), 0);
	assert_true(tg_file_mkdirs(file, 0700, NULL) < 0);
	(void) unlink(file);
	(void) rmdir(deep);
	*strrchr(deep, '/') = '\0';
	(void) rmdir(deep);
	assert_int_equal(rmdir(path), 0);
}

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(a_file_is_replaced_whole_and_nothing_is_left_over),
		IN_DIR(a_directory_in_the_way_keeps_the_old_and_leaves_no_temp),
		IN_DIR(reading_is_bounded_and_for_regular_files_only),
		cmocka_unit_test(files_of_proc_that_say_no_size_are_read),
		IN_DIR(a_link_is_turned_by_rename),
		IN_DIR(creating_refuses_what_exists),
		IN_DIR(what_a_power_cut_left_is_swept_and_nothing_else),
		cmocka_unit_test(directories_are_made_all_the_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
