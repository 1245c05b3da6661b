/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The ledger over power cuts, damage and disks that refuse. write() and
 * fdatasync() of the code under test land here.
 */
#include "agent/command/ledger.h"

#include "agent/command/ledger_line.h"
#include "base/file.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOW INT64_C(1795256110)

static char dir[] = "/tmp/tidegate-ledger-XXXXXX";
static char path[sizeof(dir) + sizeof("/" TG_LEDGER_FILE)];
static int syncs, fail_sync, fail_write, fail_dir_sync; /* with this errno; 0: not */
static bool file_is_whole_at_sync;

static bool is_ledger(int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino;
}

ssize_t write(int fd, const void *data, size_t len)
{
	if (fail_write && is_ledger(fd)) {
		/* Half of it is there, as on a disk that becomes full. */
		(void) syscall(SYS_write, fd, data, len / 2);
		errno = fail_write;
		return -1;
	}
	return syscall(SYS_write, fd, data, len);
}

int fdatasync(int fd)
{
	char last = 0;
	off_t size = lseek(fd, 0, SEEK_END);

	if (fail_sync) {
		errno = fail_sync;
		return -1;
	}
	syncs++;
	file_is_whole_at_sync =
		is_ledger(fd) && size > 0 && pread(fd, &last, 1, size - 1) == 1 && last == '\n';
	return 0;
}

/* What real ones would take here is of no use to the test. */
int fsync(int fd)
{
	struct stat st;

	if (fail_dir_sync && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		errno = fail_dir_sync;
		return -1;
	}
	return fd < 0 ? -1 : 0;
}

static int make_dir(void **state)
{
	(void) state;
	if (!mkdtemp(dir))
		return -1;
	(void) snprintf(path, sizeof(path), "%s/" TG_LEDGER_FILE, dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void) state;
	return rmdir(dir);
}

static int remove_file(void **state)
{
	(void) state;
	syncs = fail_sync = fail_write = fail_dir_sync = 0;
	return unlink(path) < 0 && errno != ENOENT ? -1 : 0;
}

static struct tg_ledger *open_ledger(void)
{
	struct tg_ledger *l = NULL;

	assert_int_equal(tg_ledger_new(dir, &l), 0);
	return l;
}

static struct tg_command command(const char *id)
{
	struct tg_command c = { .device = "boiler", .point = "setpoint" };

	(void) snprintf(c.id, sizeof(c.id), "%s", id);
	tg_kept_set(&c.value, &(struct tg_value){ .type = TG_VALUE_REAL, .real = 21.5 });
	return c;
}

static int begin(struct tg_ledger *l, const char *id)
{
	const struct tg_command c = command(id);
	struct tg_result r;

	return tg_ledger_begin(l, &c, NOW, &r, NULL);
}

static int end(struct tg_ledger *l, const char *id)
{
	const struct tg_command c = command(id);
	struct tg_result r;

	tg_result_init(&r, &c);
	tg_kept_set(&r.value, &(struct tg_value){ .type = TG_VALUE_TEXT, .text = "as it is" });
	return tg_ledger_end(l, tg_result_set(&r, TG_COMMAND_FAILED, "a reason"), NOW + 1, NULL);
}

static int look(struct tg_ledger *l, const char *id)
{
	struct tg_result r;

	return tg_ledger_find(l, id, NOW, &r, NULL);
}

static void an_id_is_executed_once(void **state)
{
	struct tg_ledger *l = open_ledger();
	struct tg_result r;

	(void) state;
	assert_int_equal(look(l, "a"), TG_LEDGER_NEW);
	assert_int_equal(begin(l, "a"), TG_LEDGER_NEW);
	assert_int_equal(syncs, 1);
	assert_true(file_is_whole_at_sync);
	assert_int_equal(look(l, "a"), TG_LEDGER_UNDER_WAY);
	assert_int_equal(begin(l, "a"), TG_LEDGER_UNDER_WAY);
	assert_int_equal(end(l, "a"), 0);
	assert_int_equal(syncs, 2);
	assert_int_equal(begin(l, "a"), TG_LEDGER_KNOWN);
	assert_int_equal(tg_ledger_find(l, "a", NOW, &r, NULL), TG_LEDGER_KNOWN);
	assert_string_equal(r.id, "a");
	assert_string_equal(r.device, "boiler");
	assert_string_equal(r.point, "setpoint");
	assert_int_equal(r.status, TG_COMMAND_FAILED);
	assert_string_equal(r.reason, "a reason");
	assert_string_equal(tg_kept_view(&r.value).text, "as it is");
	assert_true(r.wall_us == (NOW + 1) * 1000000);
	assert_int_equal(syncs, 2);
	(void) tg_ledger_free(l);
}

static void it_is_remembered_over_a_restart(void **state)
{
	struct tg_ledger *l = open_ledger();

	(void) state;
	assert_int_equal(begin(l, "a"), TG_LEDGER_NEW);
	assert_int_equal(end(l, "a"), 0);
	assert_int_equal(begin(l, "b"), TG_LEDGER_NEW);
	(void) tg_ledger_free(l);
	l = open_ledger();
	assert_int_equal(look(l, "a"), TG_LEDGER_KNOWN);
	assert_int_equal(look(l, "b"), TG_LEDGER_UNDER_WAY);
	assert_int_equal(look(l, "c"), TG_LEDGER_NEW);
	assert_int_equal(begin(l, "b"), TG_LEDGER_UNDER_WAY);
	(void) tg_ledger_free(l);
}

static struct {
	unsigned n;
	char id[8][TG_COMMAND_ID_MAX + 1];
	bool done[8];
} left;

static void note_left(void *user, const struct tg_result *r, bool done)
{
	(void) user;
	assert_string_equal(r->device, "boiler");
	assert_string_equal(r->point, "setpoint");
	assert_int_equal(r->value.value.type, done ? TG_VALUE_TEXT : TG_VALUE_NONE);
	memcpy(left.id[left.n], r->id, sizeof(left.id[0]));
	left.done[left.n++] = done;
}

static void what_was_begun_or_not_told_is_left_for_the_next_start(void **state)
{
	struct tg_ledger *l = open_ledger();

	(void) state;
	memset(&left, 0, sizeof(left));
	for (const char *id = "abcd"; *id; id++)
		assert_int_equal(begin(l, (char[]){ *id, '\0' }), TG_LEDGER_NEW);
	assert_int_equal(end(l, "a"), 0);
	assert_int_equal(end(l, "c"), 0);
	tg_ledger_told(l, "a");
	tg_ledger_told(l, "b");
	/* Of its own run nothing is left over. */
	tg_ledger_each_left(l, note_left, NULL);
	assert_int_equal(left.n, 0);
	(void) tg_ledger_free(l);
	l = open_ledger();
	tg_ledger_each_left(l, note_left, NULL);
	assert_int_equal(left.n, 3);
	assert_true(strcmp(left.id[0], "b") == 0 && !left.done[0]);
	assert_true(strcmp(left.id[1], "c") == 0 && left.done[1]);
	assert_true(strcmp(left.id[2], "d") == 0 && !left.done[2]);
	(void) tg_ledger_free(l);
}

static size_t read_file(char *out, size_t size)
{
	tg_autoclose int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, out, size);

	assert_true(n >= 0 && (size_t) n < size);
	return (size_t) n;
}

static void put_file(const char *data, size_t len)
{
	tg_autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(syscall(SYS_write, fd, data, len), len);
}

/* The power fails while the line of b is written: at every byte of it. */
static void a_torn_tail_is_cut_and_what_was_synced_stays(void **state)
{
	struct tg_ledger *l = open_ledger();
	char whole[4096], again[4096];
	size_t before, len;

	(void) state;
	assert_int_equal(begin(l, "a"), TG_LEDGER_NEW);
	assert_int_equal(end(l, "a"), 0);
	before = read_file(whole, sizeof(whole));
	assert_int_equal(begin(l, "b"), TG_LEDGER_NEW);
	len = read_file(whole, sizeof(whole));
	(void) tg_ledger_free(l);
	for (size_t cut = before; cut < len; cut++) {
		put_file(whole, cut);
		l = open_ledger();
		assert_int_equal(look(l, "a"), TG_LEDGER_KNOWN);
		assert_int_equal(look(l, "b"), TG_LEDGER_NEW);
		assert_int_equal(read_file(again, sizeof(again)), before);
		assert_memory_equal(again, whole, before);
		/* What follows is not glued to half a line. */
		assert_int_equal(begin(l, "b"), TG_LEDGER_NEW);
		(void) tg_ledger_free(l);
		l = open_ledger();
		assert_int_equal(look(l, "a"), TG_LEDGER_KNOWN);
		assert_int_equal(look(l, "b"), TG_LEDGER_UNDER_WAY);
		(void) tg_ledger_free(l);
	}
}

static void a_damaged_line_costs_only_itself(void **state)
{
	struct tg_ledger *l = open_ledger();
	char whole[4096];
	size_t len;

	(void) state;
	for (const char *id = "abc"; *id; id++) {
		assert_int_equal(begin(l, (char[]){ *id, '\0' }), TG_LEDGER_NEW);
		assert_int_equal(end(l, (char[]){ *id, '\0' }), 0);
	}
	(void) tg_ledger_free(l);
	len = read_file(whole, sizeof(whole));
	for (size_t i = 0; i < len; i++) {
		unsigned known = 0;

		whole[i] ^= 0x11;
		put_file(whole, len);
		whole[i] ^= 0x11;
		l = open_ledger();
		for (const char *id = "abc"; *id; id++)
			known += look(l, (char[]){ *id, '\0' }) == TG_LEDGER_KNOWN;
		if (known < 2)
			fail_msg("byte %zu of %zu costs %u ids", i, len, 3 - known);
		(void) tg_ledger_free(l);
	}
}

static void a_disk_that_refuses_executes_nothing_and_heals(void **state)
{
	struct tg_ledger *l = open_ledger();
	struct tg_fault why = { .text = "" };
	const struct tg_command c = command("b");
	struct tg_result r;

	(void) state;
	assert_int_equal(begin(l, "a"), TG_LEDGER_NEW);
	assert_int_equal(end(l, "a"), 0);
	fail_write = ENOSPC;
	assert_int_equal(tg_ledger_begin(l, &c, NOW, &r, &why), -ENOSPC);
	assert_non_null(strstr(why.text, "No space left"));
	fail_write = 0;
	assert_int_equal(look(l, "b"), TG_LEDGER_NEW);
	fail_sync = EIO;
	assert_int_equal(begin(l, "b"), -EIO);
	fail_sync = 0;
	/* Not executed, so it may be; and what was known is known. */
	assert_int_equal(begin(l, "b"), TG_LEDGER_NEW);
	assert_int_equal(look(l, "a"), TG_LEDGER_KNOWN);
	(void) tg_ledger_free(l);
	l = open_ledger();
	assert_int_equal(look(l, "a"), TG_LEDGER_KNOWN);
	assert_int_equal(look(l, "b"), TG_LEDGER_UNDER_WAY);
	(void) tg_ledger_free(l);
}

static void what_was_known_is_known_when_a_new_file_may_not_be_there(void **state)
{
	const struct tg_command old = command("old");
	struct tg_ledger *l = open_ledger();
	struct tg_result r;

	(void) state;
	assert_int_equal(tg_ledger_begin(l, &old, NOW - 8 * 86400, &r, NULL), TG_LEDGER_NEW);
	tg_result_init(&r, &old);
	assert_int_equal(tg_ledger_end(l, &r, NOW - 8 * 86400, NULL), 0);
	assert_int_equal(begin(l, "a"), TG_LEDGER_NEW);
	assert_int_equal(end(l, "a"), 0);
	fail_write = ENOSPC;
	assert_int_equal(begin(l, "b"), -ENOSPC);
	fail_write = 0;
	/* Written anew without what is too old, so every line is somewhere else, and renamed, but not for sure. */
	fail_dir_sync = EIO;
	assert_int_equal(begin(l, "b"), -EIO);
	fail_dir_sync = 0;
	assert_int_equal(begin(l, "b"), TG_LEDGER_NEW);
	assert_int_equal(tg_ledger_find(l, "a", NOW, &r, NULL), TG_LEDGER_KNOWN);
	assert_int_not_equal(r.status, TG_COMMAND_UNKNOWN);
	(void) tg_ledger_free(l);
	l = open_ledger();
	assert_int_equal(look(l, "a"), TG_LEDGER_KNOWN);
	assert_int_equal(look(l, "b"), TG_LEDGER_UNDER_WAY);
	(void) tg_ledger_free(l);
}

static void a_result_that_cannot_be_kept_is_unknown(void **state)
{
	struct tg_ledger *l = open_ledger();
	struct tg_result r;

	(void) state;
	assert_int_equal(begin(l, "a"), TG_LEDGER_NEW);
	fail_write = ENOSPC;
	assert_int_equal(end(l, "a"), -ENOSPC);
	fail_write = 0;
	assert_int_equal(begin(l, "b"), TG_LEDGER_NEW);
	assert_int_equal(tg_ledger_find(l, "a", NOW, &r, NULL), TG_LEDGER_KNOWN);
	assert_int_equal(r.status, TG_COMMAND_UNKNOWN);
	(void) tg_ledger_free(l);
}

static void ids_are_kept_for_seven_days(void **state)
{
	struct tg_ledger *l = open_ledger();
	const struct tg_command b = command("b");
	struct tg_result r;

	(void) state;
	assert_int_equal(begin(l, "a"), TG_LEDGER_NEW);
	assert_int_equal(end(l, "a"), 0);
	assert_int_equal(tg_ledger_find(l, "a", NOW + TG_LEDGER_AGE_S, &r, NULL), TG_LEDGER_KNOWN);
	assert_int_equal(tg_ledger_find(l, "a", NOW + TG_LEDGER_AGE_S + 1, &r, NULL),
			 TG_LEDGER_NEW);
	/* A clock that cannot be believed makes nothing old, now or then. */
	assert_int_equal(tg_ledger_find(l, "a", 0, &r, NULL), TG_LEDGER_KNOWN);
	assert_int_equal(tg_ledger_begin(l, &b, 0, &r, NULL), TG_LEDGER_NEW);
	assert_int_equal(end(l, "b"), 0);
	(void) tg_ledger_free(l);
	l = open_ledger();
	assert_int_equal(tg_ledger_find(l, "b", 2 * NOW, &r, NULL), TG_LEDGER_KNOWN);
	(void) tg_ledger_free(l);
}

static void the_last_ten_thousand_are_kept_in_a_bounded_file(void **state)
{
	struct tg_ledger *l = open_ledger();
	char id[16];
	struct stat st;

	(void) state;
	for (unsigned i = 0; i < TG_LEDGER_KEEP + 3000; i++) {
		(void) snprintf(id, sizeof(id), "id-%u", i);
		assert_int_equal(begin(l, id), TG_LEDGER_NEW);
		assert_int_equal(end(l, id), 0);
	}
	(void) tg_ledger_free(l);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size < 4 * 1024 * 1024);
	l = open_ledger();
	assert_int_equal(look(l, "id-0"), TG_LEDGER_NEW);
	for (unsigned i = 3000; i < TG_LEDGER_KEEP + 3000; i += 199) {
		(void) snprintf(id, sizeof(id), "id-%u", i);
		assert_int_equal(look(l, id), TG_LEDGER_KNOWN);
	}
	(void) tg_ledger_free(l);
}

static void without_a_place_nothing_is_executed(void **state)
{
	struct tg_fault why = { .text = "" };
	const struct tg_command c = command("a");
	struct tg_ledger *l = NULL;
	struct tg_result r;

	(void) state;
	assert_int_equal(tg_ledger_new("/nonexistent/state", &l), 0);
	assert_int_equal(tg_ledger_begin(l, &c, NOW, &r, &why), -ENOENT);
	assert_non_null(strstr(why.text, "/nonexistent/state"));
	assert_true(tg_ledger_find(l, "a", NOW, &r, NULL) < 0);
	tg_ledger_told(l, "a");
	(void) tg_ledger_free(l);
	assert_int_equal(mkdir(path, 0700), 0);
	l = open_ledger();
	assert_true(begin(l, "a") < 0);
	(void) tg_ledger_free(l);
	assert_int_equal(rmdir(path), 0);
	assert_null(tg_ledger_free(NULL));
}

static void lines_lead_back_whatever_the_value(void **state)
{
	const struct tg_value values[] = {
		{ .type = TG_VALUE_NONE },
		{ .type = TG_VALUE_BOOL, .b = true },
		{ .type = TG_VALUE_INT, .i = INT64_MIN },
		{ .type = TG_VALUE_UINT, .u = UINT64_MAX },
		{ .type = TG_VALUE_REAL, .real = -1.7976931348623157e308 },
		{ .type = TG_VALUE_TEXT, .text = "" },
		{ .type = TG_VALUE_TEXT, .text = "two words" },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(values); i++) {
		tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(TG_LEDGER_LINE_MAX);
		struct tg_ledger_line in = { .step = TG_LEDGER_DONE,
					     .time_s = -5,
					     .r = { .id = "x" } },
				      out;

		tg_kept_set(&in.r.value, &values[i]);
		tg_ledger_line_add(&b, &in);
		assert_int_equal(tg_ledger_line_parse(b.data, b.len - 1, &out), 0);
		assert_true(out.step == TG_LEDGER_DONE && out.time_s == -5);
		assert_int_equal(out.r.value.value.type, values[i].type);
		if (values[i].type == TG_VALUE_TEXT)
			assert_string_equal(out.r.value.text, values[i].text);
		else if (values[i].type == TG_VALUE_BOOL)
			assert_true(out.r.value.value.b);
		else if (values[i].type != TG_VALUE_NONE)
			assert_true(out.r.value.value.u == values[i].u);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, remove_file)
	const struct CMUnitTest tests[] = {
		TEST(an_id_is_executed_once),
		TEST(it_is_remembered_over_a_restart),
		TEST(what_was_begun_or_not_told_is_left_for_the_next_start),
		TEST(a_torn_tail_is_cut_and_what_was_synced_stays),
		TEST(a_damaged_line_costs_only_itself),
		TEST(a_disk_that_refuses_executes_nothing_and_heals),
		TEST(what_was_known_is_known_when_a_new_file_may_not_be_there),
		TEST(a_result_that_cannot_be_kept_is_unknown),
		TEST(ids_are_kept_for_seven_days),
		TEST(the_last_ten_thousand_are_kept_in_a_bounded_file),
		TEST(without_a_place_nothing_is_executed),
		TEST(lines_lead_back_whatever_the_value),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
