/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The look at the disk before an authority is asked. statvfs() is this program's own.
 */
#include "provisioning/pending.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/statvfs.h>

#include <cmocka.h>

static struct statvfs disk;

int statvfs(const char *path, struct statvfs *ret)
{
	(void) path;
	*ret = disk;
	return 0;
}

static void a_disk_with_room_will_do(void **state)
{
	(void) state;
	disk = (struct statvfs){
		.f_frsize = 4096, .f_bavail = 1000, .f_files = 100, .f_favail = 50
	};
	assert_int_equal(tg_pending_room("/", NULL), 0);
	/* btrfs and the like count no inodes. */
	disk.f_files = disk.f_favail = 0;
	assert_int_equal(tg_pending_room("/", NULL), 0);
	/* Beyond 32 bits of bytes. */
	disk.f_bavail = 1u << 20;
	assert_int_equal(tg_pending_room("/", NULL), 0);
}

static void a_disk_without_is_told_with_numbers(void **state)
{
	struct tg_fault fault;

	(void) state;
	disk = (struct statvfs){ .f_frsize = 4096, .f_bavail = 16, .f_files = 100, .f_favail = 50 };
	assert_int_equal(tg_pending_room("/", &fault), -ENOSPC);
	assert_non_null(strstr(fault.text, "64 KiB free"));
	disk.f_bavail = 1000;
	disk.f_favail = 3;
	assert_int_equal(tg_pending_room("/", &fault), -ENOSPC);
	assert_non_null(strstr(fault.text, "3 inodes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_disk_with_room_will_do),
		cmocka_unit_test(a_disk_without_is_told_with_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
