/* SPDX-License-Identifier: Apache-2.0 */
#include "config/ini.h"

#include "base/parse.h"

#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/*
 * inih calls a reader for each line and a handler for each setting, both from
 * within ini_parse_stream(), so the line that the reader gave last is the one
 * that the handler is called for: that is where line numbers come from, as the
 * packaged inih passes none. A line that inih must not see (a problem, a
 * section, whose name it would cut at 49 bytes) is handed over as an empty one.
 */
struct reader {
	const struct tg_ini_events *events;
	void *user;
	const char *pos, *end; /* what has not been handed over yet */
	unsigned line;
	bool pending; /* the line handed over must come back as a setting */
	bool told_cr;
	int r;
};

static void tell(struct reader *r, const char *text)
{
	if (r->r == 0)
		r->r = r->events->problem(r->user, r->line, text);
}

static bool is_blank(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] != ' ' && s[i] != '\t')
			return false;
	return true;
}

static const char *bytes_problem(const char *text, size_t n)
{
	const unsigned char *s = (const unsigned char *) text;
	size_t i = 0;

	while (i < n) {
		size_t step = tg_utf8_length(s + i, n - i);

		if (!step)
			return "not UTF-8";
		if (s[i] == '\0')
			return "NUL byte";
		if ((s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7f)
			return "control character";
		i += step;
	}
	return NULL;
}

/* What inih would take as a setting though it is none, or NULL. */
static const char *setting_problem(const char *s, size_t n)
{
	const char *equals = memchr(s, '=', n), *colon = memchr(s, ':', n);

	if (s[0] == ' ' || s[0] == '\t')
		return "line starts with white space (a value cannot be continued on the next "
		       "line)";
	if (!equals || (colon && colon < equals))
		return "neither [SECTION] nor KEY = VALUE";
	if (is_blank(s, (size_t) (equals - s)))
		return "no key before '='";
	return NULL;
}

static void read_section(struct reader *r, const char *s, size_t n)
{
	const char *close = memchr(s, ']', n);
	char name[TG_INI_SECTION_MAX + 1];
	const char *problem = NULL;
	size_t len = close ? (size_t) (close - s - 1) : 0;

	if (!close)
		problem = "section without ']'";
	else if (!is_blank(close + 1, n - len - 2))
		problem = "text behind ']'";
	else if (len == 0)
		problem = "section without a name";
	else if (len > TG_INI_SECTION_MAX)
		problem = "section name too long";
	if (problem) {
		tell(r, problem);
	} else {
		memcpy(name, s + 1, len);
		name[len] = '\0';
	}
	if (r->r == 0)
		r->r = r->events->section(r->user, problem ? NULL : name, r->line);
}

/* Whether inih is to see this line, which then is a setting. */
static bool read_line(struct reader *r, const char *s, size_t n)
{
	const char *problem;
	size_t indent = 0;

	if (n > TG_INI_LINE_MAX)
		problem = "line too long";
	else
		problem = bytes_problem(s, n);
	if (problem) {
		tell(r, problem);
		return false;
	}
	while (indent < n && (s[indent] == ' ' || s[indent] == '\t'))
		indent++;
	if (indent == n || s[indent] == '#' || s[indent] == ';')
		return false;
	if (s[0] == '[') {
		read_section(r, s, n);
		return false;
	}
	problem = setting_problem(s, n);
	if (problem)
		tell(r, problem);
	return !problem;
}

/* DOS files have it on every line: told once, and the rest of the line is read for its own sake. */
static size_t strip_cr(struct reader *r, const char *s, size_t n)
{
	if (!n || s[n - 1] != '\r')
		return n;
	if (!r->told_cr)
		tell(r, "carriage return at the end of the line (convert the file to Unix line "
			"ends)");
	r->told_cr = true;
	return n - 1;
}

/* inih's fgets(): one whole line a call. The data is not NUL-terminated: no str*() on it. */
static char *next_line(char *str, int num, void *user)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct reader *r = user;
	size_t left = (size_t) (r->end - r->pos), n;
	const char *s = r->pos, *newline;

	if (r->pending) /* what we take for a setting inih does not: told before its line is
			   forgotten */
		tell(r, "neither [SECTION] nor KEY = VALUE");
	r->pending = false;
	if (!left || r->r)
		return NULL;
	newline = memchr(s, '\n', left);
	n = newline ? (size_t) (newline - s) : left;
	r->pos += n + (newline != NULL);
	r->line++;
	if (r->line == 1 && n >= 3 && memcmp(s, bom, 3) == 0) {
		tell(r, "byte order mark at the start of the file");
		s += 3;
		n -= 3;
	}
	n = strip_cr(r, s, n);
	r->pending = read_line(r, s, n) && n + 2 <= (size_t) num;
	if (!r->pending)
		n = 0;
	memcpy(str, s, n);
	memcpy(str + n, "\n", 2);
	return str;
}

static int on_setting(void *user, const char *section, const char *key, const char *value)
{
	struct reader *r = user;

	(void) section;
	r->pending = false;
	if (r->r == 0)
		r->r = r->events->setting(r->user, key, value, r->line);
	return 1; /* inih's success: a failure of ours is kept in r->r */
}

int tg_ini_read(const char *data, size_t len, const struct tg_ini_events *events, void *user)
{
	struct reader r = { .events = events, .user = user, .pos = data, .end = data + len };

	ini_use_stack =
		false; /* the buffer on the stack has 200 bytes, whatever ini_max_line says */
	ini_initial_alloc = TG_INI_LINE_MAX + 3;
	ini_max_line = TG_INI_LINE_MAX + 3;
	ini_allow_realloc = false;
	ini_allow_multiline = false;
	ini_allow_inline_comments = false;
	ini_allow_bom = false;
	ini_allow_no_value = false;
	ini_stop_on_first_error = false;
	if (ini_parse_stream(next_line, &r, on_setting, &r) == -2)
		return -ENOMEM;
	return r.r;
}
