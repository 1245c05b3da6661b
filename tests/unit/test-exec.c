/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/exec/child.h"
#include "agent/bus/exec/line.h"
#include "config/bus/exec_command.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct tg_fault fault;
static char line[TG_EXEC_LINE_MAX + 1];

static int parse(const char *text, struct tg_exec_line *ret)
{
	(void) snprintf(line, sizeof(line), "%s", text);
	return tg_exec_line_parse(line, ret, &fault);
}

static void values_have_the_type_that_they_look_like(void **state)
{
	struct tg_exec_line l;

	(void) state;
	assert_int_equal(parse("t -12", &l), 1);
	assert_string_equal(l.name, "t");
	assert_int_equal(l.value.type, TG_VALUE_INT);
	assert_int_equal(l.value.i, -12);
	assert_int_equal(parse("t 18446744073709551615", &l), 1);
	assert_int_equal(l.value.type, TG_VALUE_UINT);
	assert_int_equal(parse("t 21.50", &l), 1);
	assert_int_equal(l.value.type, TG_VALUE_REAL);
	assert_true(l.value.real == 21.5);
	assert_int_equal(parse("pump on", &l), 1);
	assert_int_equal(l.value.type, TG_VALUE_BOOL);
	assert_true(l.value.b);
	assert_int_equal(parse("n 1", &l), 1);
	assert_int_equal(l.value.type, TG_VALUE_INT);
	assert_int_equal(parse("state idle", &l), 1);
	assert_string_equal(l.value.text, "idle");
	assert_int_equal(parse("state \"two \\\"words\\\"\"", &l), 1);
	assert_string_equal(l.value.text, "two \"words\"");
	assert_int_equal(parse("  t = 5", &l), 1);
	assert_int_equal(l.value.i, 5);
	assert_int_equal(parse("t nan", &l), 1);
	assert_int_equal(l.value.type, TG_VALUE_TEXT);
}

static void unit_and_time_may_follow(void **state)
{
	struct tg_exec_line l;

	(void) state;
	assert_int_equal(parse("t=21.5 Cel 1795255000.25", &l), 1);
	assert_string_equal(l.unit, "Cel");
	assert_true(l.has_time);
	assert_int_equal(l.time_us, 1795255000250000);
	assert_int_equal(parse("t 21.5 2026-11-21T10:15:10Z", &l), 1);
	assert_string_equal(l.unit, "");
	assert_int_equal(l.time_us, 1795256110000000);
	assert_int_equal(parse("rate 0.5 1/s", &l), 1);
	assert_string_equal(l.unit, "1/s");
	assert_false(l.has_time);
	assert_int_equal(parse("t 21.5 %RH", &l), 1);
	assert_string_equal(l.unit, "%RH");
}

static void why_there_is_no_value_is_passed_on(void **state)
{
	struct tg_exec_line l;

	(void) state;
	assert_int_equal(parse("t ! cable broken", &l), 1);
	assert_int_equal(l.value.type, TG_VALUE_NONE);
	assert_string_equal(l.reason, "cable broken");
	assert_int_equal(parse("t !", &l), 1);
	assert_string_equal(l.reason, "the program does not say why");
}

static void lines_that_say_nothing_are_none_and_wrong_ones_are_refused(void **state)
{
	static const char *const wrong[] = {
		"t",
		"=5",
		"t \"open",
		"t 5 Cel yesterday",
		"t 5 Cel 1 more",
		"t 5 Cel 1e300",
		"t 5 -1 -1",
	};
	struct tg_exec_line l;

	(void) state;
	assert_int_equal(parse("", &l), 0);
	assert_int_equal(parse("   ", &l), 0);
	assert_int_equal(parse("# t 5", &l), 0);
	for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
		if (parse(wrong[i], &l) != -EINVAL)
			fail_msg("'%s' was taken", wrong[i]);
	}
}

static void commands_are_split_without_a_shell(void **state)
{
	struct tg_exec_words w;

	(void) state;
	assert_int_equal(
		tg_exec_words_split("/bin/x  -a 'two words' \"a\\\"b\" c\\ d $HOME ''", &w, &fault),
		0);
	assert_int_equal(w.n, 7);
	assert_string_equal(w.words[0], "/bin/x");
	assert_string_equal(w.words[2], "two words");
	assert_string_equal(w.words[3], "a\"b");
	assert_string_equal(w.words[4], "c d");
	assert_string_equal(w.words[5], "$HOME");
	assert_string_equal(w.words[6], "");
	assert_null(w.words[7]);
	tg_exec_words_done(&w);
}

static void commands_that_cannot_be_are_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		" ",
		"x",
		"./x",
		"/x 'a",
		"/x \"a",
		"/x a\\",
		"/x a b c d e f g h i j k l m n o p q r s t u v w x y z A B C D E F",
	};
	struct tg_exec_words w;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
		if (tg_exec_words_split(wrong[i], &w, &fault) != -EINVAL)
			fail_msg("'%s' was taken", wrong[i]);
		tg_exec_words_done(&w);
	}
}

/* --- a program --- */

static struct tg_child child;

static void start(const char *script)
{
	struct tg_exec_words w = { .words = { (char[]){ "/bin/sh" }, (char[]){ "-c" },
					      (char *) (uintptr_t) script } };

	assert_int_equal(tg_child_start(&child, &w, "/", "meter", &fault), 0);
}

/* The next line, waited for; NULL at the end. */
static const char *next(void)
{
	static char text[TG_EXEC_LINE_MAX + 1];

	for (;;) {
		int r = tg_child_line(&child, text, sizeof(text));
		struct pollfd p = { .fd = child.out, .events = POLLIN };

		if (r > 0)
			return text;
		if (r < 0)
			return "(too long)";
		if (child.out < 0)
			return NULL;
		(void) poll(&p, 1, 10000);
		(void) tg_child_read(&child);
	}
}

static void wait_end(void)
{
	struct pollfd p = { .fd = child.pidfd, .events = POLLIN };

	while (!tg_child_has_ended(&child))
		(void) poll(&p, 1, 10000);
}

static void lines_come_whole_and_the_last_needs_no_end(void **state)
{
	char words[64];

	(void) state;
	start("printf 'a 1\\nb'; sleep 0.05; printf ' 2\\r\\nc 3'; exit 3");
	assert_string_equal(next(), "a 1");
	assert_string_equal(next(), "b 2");
	assert_string_equal(next(), "c 3");
	assert_null(next());
	wait_end();
	assert_string_equal(tg_child_end_words(&child, words, sizeof(words)), "exit status 3");
	tg_child_stop(&child);
}

static void a_line_without_end_is_thrown_away_and_the_next_is_read(void **state)
{
	(void) state;
	start("head -c 30000 /dev/zero | tr '\\0' x; echo; echo a 1; printf 'b \\0 2\\n'; echo c "
	      "3");
	assert_string_equal(next(), "(too long)");
	assert_string_equal(next(), "a 1");
	assert_string_equal(next(), "(too long)");
	assert_string_equal(next(), "c 3");
	tg_child_stop(&child);
}

static void a_program_gets_no_descriptors_and_little_environment(void **state)
{
	(void) state;
	start("ls /proc/self/fd | wc -l; env | cut -d= -f1 | grep -vE '^(PWD|SHLVL|OLDPWD|_)$' | "
	      "sort | xargs; echo $TIDEGATE_DEVICE");
	assert_string_equal(next(), "4"); /* ls has the directory open, too */
	assert_string_equal(next(), "LANG PATH TIDEGATE_DEVICE");
	assert_string_equal(next(), "meter");
	tg_child_stop(&child);
}

static void what_it_left_behind_ends_with_it(void **state)
{
	int pid;

	(void) state;
	start("sleep 1000 & echo $!");
	pid = (int) strtoul(next(), NULL, 10);
	wait_end();
	tg_child_stop(&child);
	for (int i = 0; i < 500 && kill(pid, 0) == 0; i++) {
		char path[64], state_of[64] = "";
		FILE *f;

		/* Whoever adopts it may take its time to reap it. */
		(void) snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		f = fopen(path, "r");
		if (!f || !fgets(state_of, sizeof(state_of), f) || strstr(state_of, ") Z"))
			i = 500;
		if (f)
			(void) fclose(f);
		if (i < 500)
			(void) poll(NULL, 0, 10);
		else
			return;
	}
	assert_true(kill(pid, 0) != 0);
}

static void stopping_ends_a_program_that_will_not(void **state)
{
	(void) state;
	start("trap '' TERM; echo ready; while :; do sleep 1; done");
	assert_string_equal(next(), "ready");
	tg_child_stop(&child);
	assert_true(child.ended);
}

static void a_program_that_is_not_there_is_told(void **state)
{
	struct tg_exec_words w = { .words = { (char[]){ "/nowhere/x" } } };

	(void) state;
	assert_int_equal(tg_child_start(&child, &w, "/", "meter", &fault), -ENOENT);
	assert_non_null(strstr(fault.text, "/nowhere/x does not start: No such file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_have_the_type_that_they_look_like),
		cmocka_unit_test(unit_and_time_may_follow),
		cmocka_unit_test(why_there_is_no_value_is_passed_on),
		cmocka_unit_test(lines_that_say_nothing_are_none_and_wrong_ones_are_refused),
		cmocka_unit_test(commands_are_split_without_a_shell),
		cmocka_unit_test(commands_that_cannot_be_are_refused),
		cmocka_unit_test(lines_come_whole_and_the_last_needs_no_end),
		cmocka_unit_test(a_line_without_end_is_thrown_away_and_the_next_is_read),
		cmocka_unit_test(a_program_gets_no_descriptors_and_little_environment),
		cmocka_unit_test(what_it_left_behind_ends_with_it),
		cmocka_unit_test(stopping_ends_a_program_that_will_not),
		cmocka_unit_test(a_program_that_is_not_there_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
