/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/exec_command.h"

#include <tidegate/error.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A program and the two pipes that it writes to.
 *
 * It gets a process group of its own, which is killed as a whole; no
 * descriptor but 0 (nothing), 1 and 2 (the pipes); a small environment; and
 * signals as a fresh process has them. Owned by one thread; nothing waits
 * unless it says so.
 */
struct tg_child {
	pid_t pid;    /* 0: none */
	int out, err; /* reading ends, non-blocking; -1: at their end */
	int pidfd;    /* readable when it has ended */
	int status;   /* as of waitpid(), once it has ended */
	bool ended;
	char text[8192]; /* of standard output, not yet a line */
	size_t len;
	bool overlong; /* the line that is being read is thrown away */
};
#define TG_CHILD_NONE                                                                              \
	{                                                                                          \
		.out = -1, .err = -1, .pidfd = -1                                                  \
	}

/* Starts it. @device is told to it as TIDEGATE_DEVICE. Returns 0 or -errno with words. */
int tg_child_start(struct tg_child *c, const struct tg_exec_words *words, const char *directory,
		   const char *device, struct tg_fault *reterr) TG_CHECKED;
/*
 * Reads what is there into c->text. Returns the number of bytes, 0 when nothing is there now, or -EPIPE at the end of the
 * output. Full of one line that is too long, it throws that away.
 */
ssize_t tg_child_read(struct tg_child *c);
/*
 * Takes the next whole line out of c->text (at the end of the output the last one needs no newline) to @line. Returns 1, 0
 * when there is none yet, or -EMSGSIZE for one that was too long, or held a NUL byte, and is gone.
 */
int tg_child_line(struct tg_child *c, char *line, size_t size);
/* What is on standard error now, in one piece; "" for nothing. */
void tg_child_complaint(struct tg_child *c, char *out, size_t size);
/* Whether it has ended; c->status then says how. */
bool tg_child_has_ended(struct tg_child *c);
/* "exit status 3", "killed by signal 9"; "" for a good end. */
const char *tg_child_end_words(const struct tg_child *c, char *out, size_t size);
/* Kills what is left of the group, and waits for the program itself (SIGKILL: at most some moments). */
void tg_child_stop(struct tg_child *c);
