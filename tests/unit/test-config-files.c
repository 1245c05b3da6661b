/* SPDX-License-Identifier: Apache-2.0 */
#include "config/describe.h"
#include "config/load.h"

#include "base/buffer.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* A directory of the test's own; paths in it are relative, as it is the working directory. */
static char scratch[] = "/tmp/tidegate-config-XXXXXX";

static int enter_scratch(void **state)
{
	(void) state;
	return mkdtemp(scratch) && chdir(scratch) == 0 && mkdir("conf.d", 0755) == 0 ? 0 : -1;
}

/* After each test, whatever became of it. */
static int empty_scratch(void **state)
{
	(void) state;
	(void) unlink("tidegate.conf");
	(void) unlink("link.conf");
	(void) unlink("conf.d/a.conf");
	return chmod("conf.d", 0755);
}

static int leave_scratch(void **state)
{
	(void) state;
	(void) rmdir("conf.d");
	return chdir("/") == 0 && rmdir(scratch) == 0 ? 0 : -1;
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fchmod(fileno(f), 0644), 0);
	assert_int_equal(fclose(f), 0);
}

static char *data_path(const char *name)
{
	char *path;

	if (asprintf(&path, "%s/config/%s", getenv("TIDEGATE_DATA"), name) < 0)
		fail();
	return path;
}

static struct tg_config *load_good(const char *path)
{
	struct tg_config *config = NULL;
	struct tg_complaints c;

	assert_int_equal(tg_config_load(path, &c, &config), 0);
	assert_int_equal(c.errors, 0);
	tg_complaints_done(&c);
	return config;
}

/* The load is refused with @r, and its only error is @text. */
static void refused(const char *path, int r, const char *text)
{
	struct tg_config *config = NULL;
	struct tg_complaints c;

	assert_int_equal(tg_config_load(path, &c, &config), r);
	assert_null(config);
	assert_int_equal(c.n, 1);
	assert_string_equal(c.items[0].text, text);
	tg_complaints_done(&c);
}

static void later_files_win_key_by_key_and_list_by_list(void **state)
{
	tg_autofree char *path = data_path("tree");
	tg_cleanup(tg_config_unrefp) struct tg_config *c = load_good(path);

	(void) state;
	/* "10-plc" sorts before "9-last", in every locale. */
	assert_int_equal(c->mqtt.port, 3000);
	assert_string_equal(c->gateway.id, "from-main");
	assert_int_equal(c->gateway.labels.n, 2);
	assert_string_equal(c->gateway.labels.items[0].name, "site");
	assert_string_equal(c->gateway.labels.items[0].value, "last");
	assert_string_equal(c->gateway.labels.items[1].value, "1");
	assert_int_equal(c->enrolment.dns_names.n, 1);
	assert_string_equal(c->enrolment.dns_names.items[0].value, "c.example");
	assert_int_equal(c->n_devices, 1);
	assert_int_equal(c->devices[0].every_us, 1000000);
	assert_string_equal(c->devices[0].points[0].name, "temperature");
}

static void a_file_alone_brings_the_conf_d_beside_it(void **state)
{
	tg_cleanup(tg_config_unrefp) struct tg_config *c = NULL;

	(void) state;
	put("tidegate.conf", "[mqtt]\nport = 1\n");
	put("conf.d/a.conf", "[mqtt]\nport = 2\n");
	c = load_good("tidegate.conf");
	assert_int_equal(c->mqtt.port, 2);
	put("conf.d/a.conf", "[mqtt]\nport = none\n");
	refused("tidegate.conf", -EBADMSG, "conf.d/a.conf:2: port = none: not a whole number");
	refused("./tidegate.conf", -EBADMSG, "./conf.d/a.conf:2: port = none: not a whole number");
	refused(".", -EBADMSG, "./conf.d/a.conf:2: port = none: not a whole number");
}

static void problems_come_in_the_order_of_files_and_lines(void **state)
{
	struct tg_config *config = NULL;
	struct tg_complaints c;

	(void) state;
	put("tidegate.conf", "[mqtt]\nport = 0\nca = x\n[device d]\nbus = no\nnonsense\n");
	put("conf.d/a.conf", "[nonsense]\n");
	assert_int_equal(tg_config_load("tidegate.conf", &c, &config), -EBADMSG);
	assert_int_equal(c.errors, 5);
	assert_non_null(strstr(c.items[0].text, "tidegate.conf:1: nothing is published"));
	assert_non_null(strstr(c.items[1].text, "tidegate.conf:2: "));
	assert_non_null(strstr(c.items[2].text, "tidegate.conf:3: "));
	assert_non_null(strstr(c.items[3].text, "tidegate.conf:4: [device d] has no points"));
	assert_non_null(strstr(c.items[4].text, "tidegate.conf:5: "));
	assert_non_null(strstr(c.items[5].text, "tidegate.conf:6: "));
	assert_non_null(strstr(c.items[6].text, "conf.d/a.conf:1: "));
	tg_complaints_done(&c);
}

static void more_problems_than_are_kept_are_counted(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(4096);
	struct tg_config *config = NULL;
	struct tg_complaints c;

	(void) state;
	tg_buffer_adds(&text, "[est]\n[enrolment.est]\nlabel = x\n");
	for (int i = 0; i < 100; i++)
		tg_buffer_adds(&text, "[mqtt]\nport = none\n");
	put("tidegate.conf", tg_buffer_text(&text));
	assert_int_equal(tg_config_load("tidegate.conf", &c, &config), -EBADMSG);
	assert_int_equal(c.n, TG_CONFIG_COMPLAINTS);
	/* 1 unknown section, 99 repeated ones and 99 repeated keys, 1 bad value; the warning makes
	 * room for an error. */
	assert_int_equal(c.errors, 200);
	assert_int_equal(c.warnings, 1);
	for (size_t i = 0; i < c.n; i++)
		assert_false(c.items[i].warning);
	tg_complaints_done(&c);
}

static void what_everyone_may_write_is_refused(void **state)
{
	(void) state;
	put("tidegate.conf", "[mqtt]\nport = 1\n");
	assert_int_equal(chmod("tidegate.conf", 0666), 0);
	refused("tidegate.conf", -EBADMSG, "tidegate.conf: writable by everyone (mode 0666)");
	assert_int_equal(chmod("tidegate.conf", 0664), 0);
	(void) tg_config_unref(load_good("tidegate.conf"));
	assert_int_equal(chmod("conf.d", 0777), 0);
	refused("tidegate.conf", -EBADMSG, "conf.d: writable by everyone (mode 0777)");
	assert_int_equal(chmod("conf.d", 0755), 0);
}

static void files_that_cannot_be_read_say_why(void **state)
{
	(void) state;
	refused("absent.conf", -ENOENT, "absent.conf: cannot be read: No such file or directory");
	refused("/dev/null", -EINVAL, "/dev/null: not a regular file");
	put("tidegate.conf", "");
	assert_int_equal(mkfifo("conf.d/a.conf", 0600), 0);
	refused("tidegate.conf", -EBADMSG, "conf.d/a.conf: not a regular file");
	assert_int_equal(unlink("conf.d/a.conf"), 0);
	assert_int_equal(symlink("tidegate.conf", "link.conf"), 0);
	(void) tg_config_unref(load_good("link.conf"));
	assert_int_equal(truncate("tidegate.conf", 5 << 20), 0);
	refused("tidegate.conf", -EFBIG, "tidegate.conf: longer than 4194304 bytes");
}

static void more_buses_than_there_may_be_are_refused(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(8192);

	(void) state;
	for (int i = 0; i <= TG_CONFIG_BUSES; i++)
		tg_buffer_addf(&text, "[bus b%d]\ntype = modbus-tcp\nhost = h\n", i);
	put("tidegate.conf", tg_buffer_text(&text));
	refused("tidegate.conf", -EBADMSG, "tidegate.conf:193: more than 64 buses");
}

static void a_device_has_no_more_points_than_a_pack_holds(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(1 << 20);
	struct tg_config *config = NULL;
	struct tg_complaints c;

	(void) state;
	tg_buffer_adds(&text, "[bus b]\ntype = modbus-tcp\nhost = h\n[device d]\nbus = b\n");
	for (int i = 0; i <= TG_PACK_SAMPLES; i++)
		tg_buffer_addf(&text, "[point d/p%d]\nread = holding %d\n", i, i);
	put("tidegate.conf", tg_buffer_text(&text));
	assert_int_equal(tg_config_load("tidegate.conf", &c, &config), -EBADMSG);
	assert_int_equal(c.errors, 1);
	assert_non_null(strstr(c.items[1].text, "tidegate.conf:4: [device d] has 1025 points, more "
						"than 1024"));
	tg_complaints_done(&c);
}

static const char *first_error(const struct tg_complaints *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (!c->items[i].warning)
			return c->items[i].text;
	return "";
}

static void a_claim_key_in_the_tpm_may_be_forgotten(void **state)
{
	static const char *const plain[] = {
		"-----BEGIN PRIVATE KEY-----\n",
		"",
		"TSS2 PRIVATE KEY\n",
		/* The key that a thief would take stands behind the one that he cannot use. */
		"-----BEGIN TSS2 PRIVATE KEY-----\n-----BEGIN EC PRIVATE KEY-----\n",
		"-----BEGIN EC PRIVATE KEY-----\n-----BEGIN TSS2 PRIVATE KEY-----\n",
	};
	tg_autofree char *text = NULL;
	tg_cleanup(tg_config_unrefp) struct tg_config *c = NULL;
	struct tg_complaints complaints;
	struct tg_config *none = NULL;

	(void) state;
	if (asprintf(&text,
		     "[rotation]\non-expiry = claim\n[enrolment]\nmethod = "
		     "aws-fleet\n[enrolment.aws-fleet]\n"
		     "endpoint = a\nca = /a\ntemplate = t\nclaim-certificate = "
		     "/var/lib/tidegate/claim/c\n"
		     "forget-claim = yes\nclaim-key = %s/link.conf\n",
		     scratch) < 0)
		fail();
	(void) unlink("link.conf");
	put("tidegate.conf", text);
	put("link.conf", "made by tpm2_encodeobject\n-----BEGIN TSS2 PRIVATE KEY-----\n");
	assert_int_equal(tg_config_load("tidegate.conf", &complaints, &c), 0);
	tg_complaints_done(&complaints);
	assert_true(c->enrolment.aws.forget_claim);
	for (size_t i = 0; i < TG_ARRAY_SIZE(plain); i++) {
		put("link.conf", plain[i]);
		assert_int_equal(tg_config_load("tidegate.conf", &complaints, &none), -EBADMSG);
		assert_int_equal(complaints.errors, 1);
		assert_non_null(strstr(first_error(&complaints),
				       "forget-claim = yes with on-expiry = claim"));
		tg_complaints_done(&complaints);
	}
}

/* --- the table as users see it ------------------------------------------------------------------
 */

static int find_sample_line(void *user, const struct tg_config_entry *e)
{
	const struct tg_buffer *sample = user;
	tg_autofree char *line = NULL;

	if (asprintf(&line, "\n#%s =%s%s\n", e->key, e->dflt && *e->dflt ? " " : "",
		     e->dflt ? e->dflt : "") < 0)
		return -ENOMEM;
	if (!strstr(tg_buffer_text(sample), line))
		fail_msg("not in the sample: %s", line);
	assert_true(strlen(e->help) > 2);
	return 0;
}

static void the_sample_names_every_key_and_loads(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer sample = TG_BUFFER_INIT(65536);
	struct tg_config *config = NULL;
	struct tg_complaints c;

	(void) state;
	assert_int_equal(tg_config_sample(&sample), 0);
	put("tidegate.conf", tg_buffer_text(&sample));
	assert_int_equal(tg_config_load("tidegate.conf", &c, &config), 0);
	assert_int_equal(c.n, 0);
	(void) tg_config_unref(config);
	assert_int_equal(tg_config_describe(find_sample_line, &sample), 0);
}

/* A file in which every key with a default is given it. */
struct written {
	struct tg_buffer text;
	char section[64];
};

static int write_default(void *user, const struct tg_config_entry *e)
{
	struct written *w = user;

	if (strchr(e->section, ' ') || strstr(e->key, ".NAME"))
		return 0;
	if (strcmp(w->section, e->section) != 0)
		tg_buffer_addf(&w->text, "[%s]\n", e->section);
	(void) snprintf(w->section, sizeof w->section, "%s", e->section);
	tg_buffer_addf(&w->text, "%s = %s\n", e->key, e->dflt);
	return 0;
}

static int collect_values(void *user, const char *section, const char *key, const char *value,
			  const char *origin)
{
	assert_non_null(origin);
	tg_buffer_addf(user, "[%s] %s = %s\n", section, key, value);
	return 0;
}

static void defaults_are_legal_in_a_file_and_change_nothing(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer by_default = TG_BUFFER_INIT(65536);
	tg_cleanup(tg_buffer_done) struct tg_buffer by_file = TG_BUFFER_INIT(65536);
	struct written w = { .text = TG_BUFFER_INIT(65536) };
	struct tg_config *c;

	(void) state;
	put("tidegate.conf", "");
	c = load_good("tidegate.conf");
	assert_int_equal(tg_config_dump(c, collect_values, &by_default), 0);
	(void) tg_config_unref(c);
	assert_int_equal(tg_config_describe(write_default, &w), 0);
	put("tidegate.conf", tg_buffer_text(&w.text));
	c = load_good("tidegate.conf");
	assert_int_equal(tg_config_dump(c, collect_values, &by_file), 0);
	(void) tg_config_unref(c);
	assert_string_equal(tg_buffer_text(&by_default), tg_buffer_text(&by_file));
	tg_buffer_done(&w.text);
}

#define TEST(name) cmocka_unit_test_teardown(name, empty_scratch)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(later_files_win_key_by_key_and_list_by_list),
		TEST(a_file_alone_brings_the_conf_d_beside_it),
		TEST(problems_come_in_the_order_of_files_and_lines),
		TEST(more_problems_than_are_kept_are_counted),
		TEST(what_everyone_may_write_is_refused),
		TEST(files_that_cannot_be_read_say_why),
		TEST(more_buses_than_there_may_be_are_refused),
		TEST(a_device_has_no_more_points_than_a_pack_holds),
		TEST(a_claim_key_in_the_tpm_may_be_forgotten),
		TEST(the_sample_names_every_key_and_loads),
		TEST(defaults_are_legal_in_a_file_and_change_nothing),
	};

	return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}
