/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/error.h>

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/*
 * What the verbs of `tidegate` share: options, the talk with the agent, and
 * how things are printed. One verb a file; one table in main.c.
 */
struct tg_ctl {
	const char *socket;
	const char *config_path;
	const char *state_dir; /* for what works without the agent */
	bool dump;             /* check --dump */
	bool history;          /* identity --history */
	bool aside;            /* spool --aside */
	bool wait;             /* renew --wait, enroll --wait */
	bool json;             /* print what the agent said, as it is */
	bool quiet;            /* nothing is said of an agent that does not answer: it is asked again */
	bool terminal;         /* standard output is one */
	bool colour;           /* and colours are wanted */
	int argc;              /* behind the verb */
	char **argv;
};

struct tg_ctl_verb {
	const char *name, *arguments, *help;
	int (*run)(struct tg_ctl *ctl); /* returns an exit code */
};
extern const struct tg_ctl_verb tg_verb_status, tg_verb_check, tg_verb_identity, tg_verb_read,
	tg_verb_watch, tg_verb_write, tg_verb_probe, tg_verb_reload, tg_verb_enroll, tg_verb_renew,
	tg_verb_forget_claim, tg_verb_metrics, tg_verb_spool;

/*
 * Asks the agent and returns its "data" (owned), or NULL after a message on standard error; *ret_code is then the exit code.
 * @request is stolen. With @ret_fd the connection stays open for more lines.
 */
json_t *tg_ctl_ask(const struct tg_ctl *ctl, json_t *request, int *ret_code, FILE **ret_stream);
/* Whether somebody listens on the socket. */
bool tg_ctl_agent_runs(const struct tg_ctl *ctl);
/* The next line of a kept connection, or NULL at its end. */
json_t *tg_ctl_next(FILE *stream);
/* Prints @o as JSON on one line. */
void tg_ctl_print_json(json_t *o);

/* Members with a default for those that are null or missing. */
const char *tg_ctl_text(json_t *o, const char *key, const char *none);
long long tg_ctl_number(json_t *o, const char *key, long long none);

enum tg_ctl_tone { TG_PLAIN, TG_FINE, TG_WARN, TG_FAIL, TG_DIM };
/* printf with colour, where there is a terminal. */
void tg_ctl_say(const struct tg_ctl *ctl, enum tg_ctl_tone tone, const char *fmt, ...)
	TG_PRINTF(3, 4);
/* "3 min", "2 h", "5 d" of @seconds to @out. Returns @out. */
const char *tg_ctl_age(long long seconds, char out[static 24]);
/* "1.4 MB". Returns @out. */
const char *tg_ctl_bytes(long long bytes, char out[static 24]);
/*
 * Whom the broker must lead to, as one line: "/etc/ca.pem, and 2 of the enrolment: CN=... until 2030-01-01, ...". "" when
 * nothing is known. Returns @out.
 */
const char *tg_ctl_trust(json_t *trust, char *out, size_t size);
/* Prints one sample of a reading. */
void tg_ctl_print_reading(const struct tg_ctl *ctl, json_t *reading);
