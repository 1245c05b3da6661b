/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/journal.h"
#include "identity/journal_text.h"

#include "base/file.h"
#include "identity/generation.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/power-cut.h"

static char dir[] = "/tmp/tidegate-journal-XXXXXX";

static const struct tg_journal sample = {
	.step = TG_STEP_ISSUED,
	.kind = TG_ORDER_RENEW,
	.credential = TG_CREDENTIAL_CURRENT,
	.base = 7,
	.method = "aws-fleet",
	.endpoint = "iot.example.com",
	.started = INT64_C(4102444800),
	.issued = -3,
	.attempts = 4,
	.token = "s3cr3t/+=",
	.certificate_id = "ab",
	.thing = "gw",
	.error_class = TG_ENROL_ID_REFUSED,
	.error_step = TG_STEP_REGISTERED,
	.error_status = 403,
	.retry_at = INT64_C(4102448400),
	.retry_after_s = 3600,
	.error_code = "AccessDenied",
	.error_text = "said \"no\"",
};

static void reads_back_what_it_wrote(void **state)
{
	struct tg_journal in = sample, out;
	struct stat st;
	char path[128];

	(void) state;
	assert_int_equal(tg_journal_write(dir, &in, NULL), 0);
	assert_true(in.updated != 0);
	assert_int_equal(tg_journal_read(dir, &out, NULL), 0);
	assert_int_equal(out.step, TG_STEP_ISSUED);
	assert_string_equal(out.token, sample.token);
	assert_true(out.started == sample.started && out.issued == -3);
	assert_int_equal(out.kind, TG_ORDER_RENEW);
	assert_int_equal(out.credential, TG_CREDENTIAL_CURRENT);
	assert_int_equal(out.base, 7);
	assert_int_equal(out.error_class, TG_ENROL_ID_REFUSED);
	assert_int_equal(out.error_step, TG_STEP_REGISTERED);
	assert_int_equal(out.error_status, 403);
	assert_true(out.retry_at == sample.retry_at && out.retry_after_s == 3600);
	assert_string_equal(out.error_text, sample.error_text);
	snprintf(path, sizeof(path), "%s/identity/pending/journal", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void clearing_leaves_nothing_and_can_be_repeated(void **state)
{
	struct tg_journal j = sample;
	char path[128];

	(void) state;
	assert_int_equal(tg_journal_write(dir, &j, NULL), 0);
	snprintf(path, sizeof(path), "%s/identity/pending/key.pem", dir);
	assert_int_equal(tg_file_replace(AT_FDCWD, path, "k", 1, 0600, NULL), 0);
	assert_int_equal(tg_journal_clear(dir, NULL), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(tg_journal_read(dir, &j, NULL), -ENOENT);
	assert_int_equal(tg_journal_clear(dir, NULL), 0);
}

static void damage_is_told_and_sets_nothing(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(TG_JOURNAL_MAX);
	struct tg_journal out = { .attempts = 77 };
	struct tg_fault fault;
	char path[128];

	(void) state;
	tg_journal_print(&sample, &text);
	for (size_t len = 0; len < text.len - 1; len++)
		assert_int_equal(tg_journal_parse(text.data, len, &out, NULL), -EBADMSG);
	assert_int_equal(out.attempts, 77);
	assert_int_equal(tg_journal_dir(dir, NULL), 0);
	snprintf(path, sizeof(path), "%s/identity/pending/journal", dir);
	assert_int_equal(tg_file_replace(AT_FDCWD, path, "{\"token\":\"s3cr3t", 16, 0600, NULL), 0);
	assert_int_equal(tg_journal_read(dir, &out, &fault), -EBADMSG);
	assert_null(strstr(fault.text, "s3cr3t"));
	assert_int_equal(tg_journal_clear(dir, NULL), 0);
}

static void the_longest_members_fit(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(TG_JOURNAL_MAX);
	struct tg_journal j = sample, out;

	(void) state;
	memset(j.token, '"', sizeof(j.token) - 1);
	memset(j.error_text, '\\', sizeof(j.error_text) - 1);
	memset(j.endpoint, '"', sizeof(j.endpoint) - 1);
	tg_journal_print(&j, &text);
	assert_int_equal(tg_buffer_error(&text), 0);
	assert_int_equal(tg_journal_parse(text.data, text.len, &out, NULL), 0);
	assert_string_equal(out.token, j.token);
}

static void a_journal_from_before_rotation_is_a_first_enrolment(void **state)
{
	static const char text[] =
		"{\"version\":1,\"step\":\"csr\",\"method\":\"aws-fleet\",\"endpoint\":\"e\","
		"\"started\":1,\"updated\":2,\"issued\":0,\"attempts\":1,\"token\":\"\","
		"\"certificate_id\":\"\",\"thing\":\"\"}\n";
	struct tg_journal out;

	(void) state;
	assert_int_equal(tg_journal_parse(text, sizeof(text) - 1, &out, NULL), 0);
	assert_int_equal(out.step, TG_STEP_CSR);
	assert_int_equal(out.kind, TG_ORDER_ENROL);
	assert_int_equal(out.credential, TG_CREDENTIAL_CLAIM);
	assert_int_equal(out.base, 0);
}

static void a_wait_for_the_authority_is_kept(void **state)
{
	struct tg_journal in = sample, out = { 0 };

	(void) state;
	in.error_class = TG_ENROL_PENDING;
	in.error_status = 202;
	in.pending = true;
	assert_int_equal(tg_journal_write(dir, &in, NULL), 0);
	assert_int_equal(tg_journal_read(dir, &out, NULL), 0);
	assert_int_equal(out.error_class, TG_ENROL_PENDING);
	assert_string_equal(tg_enrol_class_name(out.error_class), "pending");
	assert_true(out.retry_at == in.retry_at && out.pending);
	/* It belongs to the failure, and goes with it. */
	in.error_class = TG_ENROL_OK;
	in.pending = false;
	assert_int_equal(tg_journal_write(dir, &in, NULL), 0);
	assert_int_equal(tg_journal_read(dir, &out, NULL), 0);
	assert_true(out.retry_at == 0 && !out.pending);
	assert_int_equal(tg_journal_clear(dir, NULL), 0);
}

static void a_failure_from_before_waits_were_known_has_none(void **state)
{
	static const char begin[] =
		"{\"version\":1,\"step\":\"csr\",\"method\":\"est\",\"endpoint\":\"e\","
		"\"started\":1,\"updated\":2,\"issued\":0,\"attempts\":1,\"token\":\"\","
		"\"certificate_id\":\"\",\"thing\":\"\",\"error\":{\"class\":\"retry\","
		"\"step\":\"issued\",\"status\":503,\"code\":\"\",\"text\":\"\"";
	struct tg_journal out;
	char text[512];
	int n = snprintf(text, sizeof(text), "%s}}", begin);

	(void) state;
	assert_int_equal(tg_journal_parse(text, (size_t) n, &out, NULL), 0);
	assert_int_equal(out.error_status, 503);
	assert_true(out.retry_at == 0);
	n = snprintf(text, sizeof(text), "%s,\"retry_at\":\"soon\"}}", begin);
	assert_int_equal(tg_journal_parse(text, (size_t) n, &out, NULL), -EBADMSG);
	n = snprintf(text, sizeof(text), "%s,\"retry_at\":9223372036854775807}}", begin);
	assert_int_equal(tg_journal_parse(text, (size_t) n, &out, NULL), -EBADMSG);
}

static int do_write(void)
{
	struct tg_journal j = sample;

	j.step = TG_STEP_REGISTERED;
	return tg_journal_write(dir, &j, NULL);
}

static int do_clear(void)
{
	return tg_journal_clear(dir, NULL);
}

/* After a cut the journal is the old one, or the new one, or (cleared) none; and the next steps go well. */
static void cut_everywhere(int (*op)(void), bool old, bool clears)
{
	bool cut = true;
	long n;

	for (n = 0; cut; n++) {
		struct tg_journal j = sample;
		int r;

		assert_true(n < 100);
		assert_int_equal(tg_journal_clear(dir, NULL), 0);
		if (old)
			assert_int_equal(tg_journal_write(dir, &j, NULL), 0);
		cut = run_cut(op, n);
		assert_int_equal(tg_generation_recover(dir, NULL), 0);
		r = tg_journal_read(dir, &j, NULL);
		if (r == 0)
			assert_true((old && j.step == TG_STEP_ISSUED) ||
				    (!clears && j.step == TG_STEP_REGISTERED));
		else
			assert_true(r == -ENOENT && (clears || !old));
		if (!cut)
			assert_int_equal(r, clears ? -ENOENT : 0);
		assert_int_equal(do_write(), 0);
		assert_int_equal(tg_journal_read(dir, &j, NULL), 0);
	}
	assert_true(n > 2);
	assert_int_equal(tg_journal_clear(dir, NULL), 0);
}

static void a_cut_leaves_the_old_journal_or_the_new_one(void **state)
{
	(void) state;
	cut_everywhere(do_write, false, false);
	cut_everywhere(do_write, true, false);
	cut_everywhere(do_clear, true, true);
}

static int make_dir(void **state)
{
	(void) state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char path[128];

	(void) state;
	snprintf(path, sizeof(path), "%s/identity/generations", dir);
	(void) rmdir(path);
	snprintf(path, sizeof(path), "%s/identity", dir);
	(void) rmdir(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_back_what_it_wrote),
		cmocka_unit_test(clearing_leaves_nothing_and_can_be_repeated),
		cmocka_unit_test(damage_is_told_and_sets_nothing),
		cmocka_unit_test(the_longest_members_fit),
		cmocka_unit_test(a_journal_from_before_rotation_is_a_first_enrolment),
		cmocka_unit_test(a_wait_for_the_authority_is_kept),
		cmocka_unit_test(a_failure_from_before_waits_were_known_has_none),
		cmocka_unit_test(a_cut_leaves_the_old_journal_or_the_new_one),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
