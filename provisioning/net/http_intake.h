/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buffer.h"
#include "provisioning/net/http.h"

/*
 * What comes in for one request, bounded: header lines are looked at one by one, the body is kept.
 * There may be several answers (1xx, that of a proxy, repetitions): the last one is left. Pure.
 */
#define TG_HTTP_SECRETS_MAX 2

struct tg_http_intake {
	bool trusted;  /* the server is verified: its Date: counts */
	int64_t now_s; /* for dates with two digits for a year */
	/* Borrowed; may be NULL. They become asterisks wherever the server's text repeats them. */
	const char *secrets[TG_HTTP_SECRETS_MAX];
	struct tg_http_answer answer; /* status and header fields of the last answer; no body */
	struct tg_buffer body;        /* of the last answer */
	size_t header_bytes;          /* of all answers */
	size_t body_bytes;            /* of all answers */
	bool in_headers;
	int error; /* first failure; then nothing is taken any more */
	struct tg_fault fault;
};

/* @max: bytes of a body. Never fails. */
void tg_http_intake_init(struct tg_http_intake *in, size_t max);
/* Frees the body. */
void tg_http_intake_done(struct tg_http_intake *in);

/* A header line as it came, with or without its end of line. 0 or -errno, which sticks. */
int tg_http_intake_header(struct tg_http_intake *in, const char *line, size_t len) TG_CHECKED;
/* The next bytes of a body. 0 or -errno, which sticks. */
int tg_http_intake_body(struct tg_http_intake *in, const void *data, size_t len) TG_CHECKED;

/* Moves the answer to @ret, with words. 0 or -ENOMEM. */
int tg_http_intake_take(struct tg_http_intake *in, struct tg_http_answer *ret) TG_CHECKED;

/*
 * What a body says to people: its text without control characters, markup and long blanks, cut;
 * "" for a @type that is no text. Returns @out.
 */
const char *tg_http_words(const char *type, const char *body, size_t len,
			  const char *const secrets[static TG_HTTP_SECRETS_MAX],
			  char out[static TG_HTTP_WORDS_MAX + 4]);
