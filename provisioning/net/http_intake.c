/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/net/http_intake.h"

#include "provisioning/net/http_date.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define LOOKED_AT 4096 /* bytes of a body in which words are looked for */

void tg_http_intake_init(struct tg_http_intake *in, size_t max)
{
	*in = (struct tg_http_intake){ .body = TG_BUFFER_INIT(max) };
}

void tg_http_intake_done(struct tg_http_intake *in)
{
	tg_buffer_done(&in->body);
}

static int refuse(struct tg_http_intake *in, int r, const char *words)
{
	in->error = tg_fault_set(&in->fault, r, "%s", words);
	return r;
}

/* --- what is not to be repeated ------------------------------------------------------------- */

/* Writes asterisks over each @secret in @text; those of an empty one would be everywhere. */
static void hide(char *text, size_t len, const char *secret)
{
	size_t n = secret ? strlen(secret) : 0;
	char *at;

	while (n > 0 && len >= n && (at = memmem(text, len, secret, n))) {
		memset(at, '*', n);
		len -= (size_t) (at - text) + n;
		text = at + n;
	}
}

/* How far @text may be shown: what is cut off could be the middle of a secret. */
static size_t whole(size_t len, const char *const secrets[static TG_HTTP_SECRETS_MAX])
{
	size_t longest = 0;

	for (size_t i = 0; i < TG_HTTP_SECRETS_MAX; i++)
		if (secrets[i] && strlen(secrets[i]) > longest)
			longest = strlen(secrets[i]);
	return len > longest ? len - longest : 0;
}

/* Copies at most LOOKED_AT bytes of @from to @to without secrets; returns how many can be shown. */
static size_t copy_hidden(char to[static LOOKED_AT], const char *from, size_t len,
			  const char *const secrets[static TG_HTTP_SECRETS_MAX])
{
	size_t n = len < LOOKED_AT ? len : LOOKED_AT;

	memcpy(to, from, n);
	for (size_t i = 0; i < TG_HTTP_SECRETS_MAX; i++)
		hide(to, n, secrets[i]);
	return n < len ? whole(n, secrets) : n;
}

/* --- header lines --------------------------------------------------------------------------- */

struct text {
	const char *p;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct text trim(const char *p, size_t len)
{
	while (len > 0 && is_blank(*p)) {
		p++;
		len--;
	}
	while (len > 0 && is_blank(p[len - 1]))
		len--;
	return (struct text){ p, len };
}

static bool same(struct text t, const char *word)
{
	return t.len == strlen(word) && strncasecmp(t.p, word, t.len) == 0;
}

static void begin(struct tg_http_intake *in)
{
	in->answer = (struct tg_http_answer){ 0 };
	tg_buffer_reset(&in->body);
	in->in_headers = true;
}

static void keep(struct tg_http_intake *in, char *out, size_t size, struct text value)
{
	char text[LOOKED_AT];

	tg_printable(out, size, text, copy_hidden(text, value.p, value.len, in->secrets));
}

static int take_length(struct tg_http_intake *in, struct text value)
{
	size_t n = 0;

	/* What is not a number is for the HTTP library to judge. */
	for (size_t i = 0; i < value.len && value.p[i] >= '0' && value.p[i] <= '9'; i++)
		if (n <= in->body.max)
			n = n * 10 + (size_t) (value.p[i] - '0');
	if (n > in->body.max)
		return refuse(in, -EMSGSIZE, "the server announces an answer that is too long");
	return 0;
}

static void take_date(struct tg_http_intake *in, struct text value)
{
	char text[48];
	int64_t t;

	tg_printable(text, sizeof(text), value.p, value.len);
	if (in->trusted && tg_http_date(text, in->now_s, &t) == 0)
		in->answer.date = t;
}

static int take_field(struct tg_http_intake *in, struct text name, struct text value)
{
	struct tg_http_answer *a = &in->answer;

	/* Never asked for, so only a server that is up to something would send it. */
	if (same(name, "Content-Encoding") && !same(value, "identity"))
		return refuse(in, -EPROTO, "the answer is compressed, which was not asked for");
	if (same(name, "Transfer-Encoding") && !same(value, "chunked") && !same(value, "identity"))
		return refuse(in, -EPROTO, "the answer is encoded in a way that was not asked for");
	if (same(name, "Content-Length"))
		return take_length(in, value);
	if (same(name, "Content-Type"))
		keep(in, a->content_type, sizeof(a->content_type), value);
	else if (same(name, "Retry-After"))
		keep(in, a->retry_after, sizeof(a->retry_after), value);
	else if (same(name, "Location"))
		keep(in, a->location, sizeof(a->location), value);
	else if (same(name, "Date"))
		take_date(in, value);
	return 0;
}

int tg_http_intake_header(struct tg_http_intake *in, const char *line, size_t len)
{
	const char *colon;

	if (in->error < 0)
		return in->error;
	in->header_bytes += len;
	if (in->header_bytes > TG_HTTP_HEADERS_MAX)
		return refuse(in, -EMSGSIZE, "the answer has too many header lines");
	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		begin(in);
		return 0;
	}
	/* The lines behind a chunked body speak of nothing that we want to know. */
	if (!in->in_headers)
		return 0;
	if (trim(line, len).len == 0) {
		in->in_headers = false;
		return 0;
	}
	colon = memchr(line, ':', len);
	if (!colon)
		return 0;
	return take_field(in, trim(line, (size_t) (colon - line)),
			  trim(colon + 1, len - (size_t) (colon - line) - 1));
}

int tg_http_intake_body(struct tg_http_intake *in, const void *data, size_t len)
{
	if (in->error < 0)
		return in->error;
	in->body_bytes += len;
	tg_buffer_add(&in->body, data, len);
	if (tg_buffer_error(&in->body) == -ENOMEM)
		return refuse(in, -ENOMEM, "out of memory");
	if (tg_buffer_error(&in->body) < 0)
		return refuse(in, -EMSGSIZE, "the answer is too long");
	return 0;
}

/* --- words ---------------------------------------------------------------------------------- */

static bool begins(const char *p, size_t len, const char *word)
{
	return len >= strlen(word) && strncasecmp(p, word, strlen(word)) == 0;
}

/* The bytes of the element that begins at @p, up to its end tag, when it is one that nobody reads; else of the tag. */
static size_t markup(const char *p, size_t len)
{
	static const char *const unseen[][2] = { { "<style", "</style" },
						 { "<script", "</script" },
						 { "<!--", "-->" } };
	size_t n = 0;
	const char *end;

	for (size_t i = 0; i < TG_ARRAY_SIZE(unseen) && n == 0; i++)
		if (begins(p, len, unseen[i][0]))
			for (n = 1; n < len && !begins(p + n, len - n, unseen[i][1]);)
				n++;
	end = memchr(p + n, '>', len - n);
	return end ? (size_t) (end - p) + 1 : len;
}

static bool is_text(const char *type, const char *body, size_t len)
{
	if (memchr(body, '\0', len))
		return false;
	return !*type || begins(type, strlen(type), "text/") || strcasestr(type, "json") ||
	       strcasestr(type, "xml");
}

const char *tg_http_words(const char *type, const char *body, size_t len,
			  const char *const secrets[static TG_HTTP_SECRETS_MAX],
			  char out[static TG_HTTP_WORDS_MAX + 4])
{
	char text[LOOKED_AT], *to = text;
	bool marked = strcasestr(type, "html") || strcasestr(type, "xml");
	size_t n, at = 0;

	out[0] = '\0';
	if (len == 0 || !is_text(type, body, len))
		return out;
	n = copy_hidden(text, body, len, secrets);
	while (at < n) {
		bool tag = marked && text[at] == '<', blank = tag || is_blank(text[at]);

		if (!blank)
			*to++ = text[at];
		else if (to > text && to[-1] != ' ')
			*to++ = ' ';
		at += tag ? markup(text + at, n - at) : 1;
	}
	while (to > text && to[-1] == ' ')
		to--;
	return tg_printable(out, TG_HTTP_WORDS_MAX + 4, text, (size_t) (to - text));
}

int tg_http_intake_take(struct tg_http_intake *in, struct tg_http_answer *ret)
{
	struct tg_http_answer *a = &in->answer;

	/* Also of nothing: an empty body is one, too. */
	tg_buffer_add(&in->body, "", 0);
	if (!in->body.data)
		return refuse(in, -ENOMEM, "out of memory");
	if (a->status / 100 != 2 || begins(a->content_type, strlen(a->content_type), "text/"))
		tg_http_words(a->content_type, in->body.data, in->body.len, in->secrets, a->words);
	*ret = *a;
	ret->len = in->body.len;
	ret->body = tg_take(in->body.data);
	in->body = (struct tg_buffer){ 0 };
	return 0;
}

void tg_http_answer_done(struct tg_http_answer *a)
{
	free(a->body);
	*a = (struct tg_http_answer){ 0 };
}
