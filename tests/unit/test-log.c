/* SPDX-License-Identifier: Apache-2.0 */
#include <tidegate/log.h>

#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

/*
 * What the journal is sent. Standard error is declared to be its socket, and the one call that would write there is
 * defined here instead.
 */
#define FIELDS 16

static char sent[FIELDS][256];
static int sent_n;

/* In the place of libsystemd's: the header makes every sd_journal_sendv() a call of this. */
int sd_journal_sendv_with_location(const char *file, const char *line, const char *func,
				   const struct iovec *iov, int n)
{
	(void) file;
	(void) line;
	(void) func;
	assert_in_range(n, 1, FIELDS);
	sent_n = n;
	for (int i = 0; i < n; i++)
		(void) snprintf(sent[i], sizeof(sent[i]), "%.*s", (int) iov[i].iov_len,
				(const char *) iov[i].iov_base);
	return 0;
}

static const char *field(const char *name)
{
	size_t len = strlen(name);

	for (int i = 0; i < sent_n; i++)
		if (strncmp(sent[i], name, len) == 0 && sent[i][len] == '=')
			return sent[i] + len + 1;
	return NULL;
}

static int declare_stderr_the_journal(void **state)
{
	char stream[64];
	struct stat st;

	(void) state;
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	(void) snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t) st.st_dev,
			(uintmax_t) st.st_ino);
	return setenv("JOURNAL_STREAM", stream, 1);
}

static void an_event_has_text_level_id_and_its_fields(void **state)
{
	(void) state;
	tg_event(TG_EV_RENEWED, LOG_NOTICE, "a text", TG_F_GENERATION, "7", TG_F_REASON, "why",
		 NULL);
	assert_string_equal(field("MESSAGE"), "a text");
	assert_string_equal(field("PRIORITY"), "5");
	assert_string_equal(field("MESSAGE_ID"), "e2f8f57fa51dca78dafd153309870d46");
	assert_string_equal(field("TIDEGATE_GENERATION"), "7");
	assert_string_equal(field("TIDEGATE_REASON"), "why");
	assert_int_equal(sent_n, 5);
}

/* Catalogs and alert rules find an event by nothing else. */
static void every_event_has_an_id_of_its_own(void **state)
{
	char ids[TG_EV_COUNT_][33];

	(void) state;
	for (int id = 0; id < TG_EV_COUNT_; id++) {
		tg_event((enum tg_event_id) id, LOG_NOTICE, "a text", NULL);
		assert_non_null(field("MESSAGE_ID"));
		assert_int_equal(strlen(field("MESSAGE_ID")), 32);
		assert_int_equal(strspn(field("MESSAGE_ID"), "0123456789abcdef"), 32);
		memcpy(ids[id], field("MESSAGE_ID"), 33);
		for (int other = 0; other < id; other++)
			assert_string_not_equal(ids[id], ids[other]);
	}
}

static void a_field_that_does_not_fit_costs_itself_only(void **state)
{
	static char much[4096];

	(void) state;
	memset(much, 'x', sizeof(much) - 1);
	tg_event(TG_EV_EXPIRED, LOG_ERR, "a text", TG_F_REASON, much, TG_F_TIME, "now", NULL);
	assert_string_equal(field("MESSAGE"), "a text");
	assert_non_null(field("MESSAGE_ID"));
	assert_null(field(TG_F_REASON));
	assert_string_equal(field(TG_F_TIME), "now");
}

static void what_is_above_the_level_is_not_sent(void **state)
{
	(void) state;
	sent_n = 0;
	tg_log_set_level(LOG_WARNING);
	tg_event(TG_EV_STARTED, LOG_NOTICE, "a text", NULL);
	assert_int_equal(sent_n, 0);
	tg_event(TG_EV_EXPIRED, LOG_ERR, "a text", NULL);
	assert_int_equal(sent_n, 3);
	tg_log_set_level(LOG_INFO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_has_text_level_id_and_its_fields),
		cmocka_unit_test(every_event_has_an_id_of_its_own),
		cmocka_unit_test(a_field_that_does_not_fit_costs_itself_only),
		cmocka_unit_test(what_is_above_the_level_is_not_sent),
	};

	return cmocka_run_group_tests(tests, declare_stderr_the_journal, NULL);
}
