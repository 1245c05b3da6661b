/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command/ledger_line.h"

#include "base/crc32c.h"
#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CHECKSUM 9 /* eight digits and a blank */
#define FIELDS   8

static void add_value(struct tg_buffer *b, const struct tg_kept_value *k)
{
	switch (k->value.type) {
	case TG_VALUE_NONE:
		tg_buffer_addc(b, '-');
		return;
	case TG_VALUE_BOOL:
		tg_buffer_adds(b, k->value.b ? "b1" : "b0");
		return;
	case TG_VALUE_INT:
		tg_buffer_addf(b, "i%" PRId64, k->value.i);
		return;
	case TG_VALUE_UINT:
		tg_buffer_addf(b, "u%" PRIu64, k->value.u);
		return;
	case TG_VALUE_REAL:
		tg_buffer_addc(b, 'r');
		tg_buffer_add_real(b, k->value.real);
		return;
	case TG_VALUE_TEXT:
		tg_buffer_addc(b, 't');
		tg_buffer_adds(b, k->text);
		return;
	}
}

static int parse_value(const char *s, struct tg_kept_value *ret)
{
	struct tg_value v = { .type = TG_VALUE_NONE };
	uint64_t bit;
	int r = 0;

	switch (*s) {
	case '-':
		r = s[1] ? -EINVAL : 0;
		break;
	case 'b':
		v.type = TG_VALUE_BOOL;
		r = tg_parse_u64(s + 1, &bit);
		v.b = r == 0 && bit;
		break;
	case 'i':
		v.type = TG_VALUE_INT;
		r = tg_parse_i64(s + 1, &v.i);
		break;
	case 'u':
		v.type = TG_VALUE_UINT;
		r = tg_parse_u64(s + 1, &v.u);
		break;
	case 'r':
		v.type = TG_VALUE_REAL;
		r = tg_parse_real(s + 1, &v.real);
		break;
	case 't':
		v = (struct tg_value){ .type = TG_VALUE_TEXT, .text = s + 1 };
		break;
	default:
		r = -EINVAL;
	}
	if (r == 0)
		tg_kept_set(ret, &v);
	return r;
}

void tg_ledger_line_add(struct tg_buffer *b, const struct tg_ledger_line *line)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer t = TG_BUFFER_INIT(TG_LEDGER_LINE_MAX);
	const struct tg_result *r = &line->r;

	tg_buffer_addf(&t, "%c\t", line->step);
	if (line->step != TG_LEDGER_TOLD)
		tg_buffer_addf(&t, "%" PRId64 "\t", line->time_s);
	if (line->step == TG_LEDGER_BEGUN)
		tg_buffer_addf(&t, "%s\t", r->local ? "local" : "broker");
	tg_buffer_adds(&t, r->id);
	if (line->step == TG_LEDGER_BEGUN)
		tg_buffer_addf(&t, "\t%s\t%s\t", r->device, r->point);
	if (line->step == TG_LEDGER_DONE)
		tg_buffer_addf(&t, "\t%s\t", tg_command_status_name(r->status));
	if (line->step != TG_LEDGER_TOLD)
		add_value(&t, &r->value);
	if (line->step == TG_LEDGER_DONE)
		tg_buffer_addf(&t, "\t%s", r->reason);
	tg_buffer_addf(b, "%08" PRIx32 " %s\n", tg_crc32c(0, tg_buffer_text(&t), t.len),
		       tg_buffer_text(&t));
}

/* Splits @text at its tabs, in place. Returns how many fields there are, FIELDS + 1 for too many. */
static size_t split(char *text, char *fields[static FIELDS])
{
	size_t n = 0;

	for (char *tab; n < FIELDS; text = tab + 1) {
		fields[n++] = text;
		tab = strchr(text, '\t');
		if (!tab)
			return n;
		*tab = '\0';
	}
	return FIELDS + 1;
}

static int keep(char *out, size_t size, const char *field)
{
	if (strlen(field) >= size)
		return -EBADMSG;
	memcpy(out, field, strlen(field) + 1);
	return 0;
}

static int take_begun(char **f, size_t n, struct tg_ledger_line *out)
{
	if (n != 7 || tg_parse_i64(f[1], &out->time_s) < 0 ||
	    (strcmp(f[2], "local") != 0 && strcmp(f[2], "broker") != 0))
		return -EBADMSG;
	out->r.local = f[2][0] == 'l';
	if (keep(out->r.id, sizeof(out->r.id), f[3]) < 0 ||
	    keep(out->r.device, sizeof(out->r.device), f[4]) < 0 ||
	    keep(out->r.point, sizeof(out->r.point), f[5]) < 0)
		return -EBADMSG;
	return parse_value(f[6], &out->r.value) < 0 ? -EBADMSG : 0;
}

static int take_done(char **f, size_t n, struct tg_ledger_line *out)
{
	if (n != 6 || tg_parse_i64(f[1], &out->time_s) < 0 ||
	    keep(out->r.id, sizeof(out->r.id), f[2]) < 0 ||
	    tg_command_status_find(f[3], &out->r.status) < 0 ||
	    parse_value(f[4], &out->r.value) < 0)
		return -EBADMSG;
	return keep(out->r.reason, sizeof(out->r.reason), f[5]);
}

int tg_ledger_line_parse(const char *text, size_t len, struct tg_ledger_line *ret)
{
	struct tg_ledger_line line = { .time_s = 0 };
	char copy[TG_LEDGER_LINE_MAX], checksum[CHECKSUM], *fields[FIELDS];
	size_t n;
	int r = -EBADMSG;

	if (len <= CHECKSUM || len >= sizeof(copy) || memchr(text, '\0', len))
		return -EBADMSG;
	memcpy(copy, text, len);
	copy[len] = '\0';
	(void) snprintf(checksum, sizeof(checksum), "%08" PRIx32,
			tg_crc32c(0, copy + CHECKSUM, len - CHECKSUM));
	if (strncmp(copy, checksum, CHECKSUM - 1) != 0 || copy[CHECKSUM - 1] != ' ')
		return -EBADMSG;
	n = split(copy + CHECKSUM, fields);
	if (n > FIELDS || fields[0][1] != '\0')
		return -EBADMSG;
	if (fields[0][0] == TG_LEDGER_BEGUN) {
		line.step = TG_LEDGER_BEGUN;
		r = take_begun(fields, n, &line);
	} else if (fields[0][0] == TG_LEDGER_DONE) {
		line.step = TG_LEDGER_DONE;
		r = take_done(fields, n, &line);
	} else if (fields[0][0] == TG_LEDGER_TOLD && n == 2) {
		line.step = TG_LEDGER_TOLD;
		r = keep(line.r.id, sizeof(line.r.id), fields[1]);
	}
	if (r < 0 || !line.r.id[0])
		return -EBADMSG;
	*ret = line;
	return 0;
}
