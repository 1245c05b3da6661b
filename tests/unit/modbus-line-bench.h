/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/parse.h"

#include "tests/unit/test.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The line simulator (tests/fakes/line/main.c) as tests in C use it: one process, one command a line. */
struct line_bench {
	pid_t pid;
	FILE *to, *from;
	char port[128]; /* a path, or a number */
};

extern char **environ;

static inline const char *line_tell(struct line_bench *l, const char *fmt, ...) TG_PRINTF(2, 3);
static inline const char *line_tell(struct line_bench *l, const char *fmt, ...)
{
	static char answer[512];
	va_list ap;

	va_start(ap, fmt);
	assert_true(vfprintf(l->to, fmt, ap) > 0 && fputc('\n', l->to) == '\n' &&
		    fflush(l->to) == 0);
	va_end(ap);
	assert_non_null(fgets(answer, sizeof(answer), l->from));
	return answer;
}

#define line_do(l, ...) assert_string_equal(line_tell(l, __VA_ARGS__), "ok\n")

/* The number behind @name in the answer to "stats". */
static inline uint64_t line_stat(struct line_bench *l, const char *name)
{
	const char *at = strstr(line_tell(l, "stats"), name);
	char digits[24] = "";
	uint64_t n;

	assert_non_null(at);
	at += strlen(name) + 1;
	(void) snprintf(digits, sizeof(digits), "%.*s", (int) strspn(at, "0123456789"), at);
	assert_int_equal(tg_parse_u64(digits, &n), 0);
	return n;
}

/* @argv ends with NULL. Returns 0, or -1 when it did not start. */
static inline int line_start(struct line_bench *l, char *const *argv)
{
	int in[2], out[2];
	char word[160];
	posix_spawn_file_actions_t acts;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 ||
	    posix_spawn_file_actions_init(&acts) != 0)
		return -1;
	(void) posix_spawn_file_actions_adddup2(&acts, in[0], 0);
	(void) posix_spawn_file_actions_adddup2(&acts, out[1], 1);
	if (posix_spawn(&l->pid, argv[0], &acts, NULL, argv, environ) != 0)
		return -1;
	(void) posix_spawn_file_actions_destroy(&acts);
	(void) close(in[0]);
	(void) close(out[1]);
	l->to = fdopen(in[1], "w");
	l->from = fdopen(out[0], "r");
	if (!l->to || !l->from || !fgets(word, sizeof(word), l->from) ||
	    strncmp(word, "port ", 5) != 0)
		return -1;
	word[strcspn(word, "\n")] = '\0';
	(void) snprintf(l->port, sizeof(l->port), "%.*s", (int) sizeof(l->port) - 1, word + 5);
	return 0;
}

static inline int line_stop(struct line_bench *l)
{
	(void) fclose(l->to);
	(void) fclose(l->from);
	return waitpid(l->pid, NULL, 0) == l->pid ? 0 : -1;
}
