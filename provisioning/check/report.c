/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/check/report.h"

#include "base/buffer.h"

#include <tidegate/error.h>

#include <stdarg.h>

#define LINE_MAX_BYTES (16u * 1024)
#define TEXT_MAX_BYTES (2 * TG_FAULT_MAX)

static const char *const words[TG_FINDING_COUNT_] = {
	[TG_FINDING_OK] = "ok",
	[TG_FINDING_WARN] = "warn",
	[TG_FINDING_FAIL] = "fail",
};

/* Never the first member of its line. */
static void member(struct tg_buffer *b, const char *key, const char *value)
{
	tg_buffer_addf(b, ",\"%s\":", key);
	tg_buffer_add_json(b, value);
}

static void print_line(const struct tg_report *r, struct tg_buffer *b)
{
	if (tg_buffer_error(b) == 0)
		(void) fprintf(r->out, "%s\n", tg_buffer_text(b));
	(void) fflush(r->out);
}

void tg_report(struct tg_report *r, enum tg_finding finding, const char *what, const char *advice,
	       const char *fmt, ...)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(LINE_MAX_BYTES);
	char text[TEXT_MAX_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->n[finding]++;
	if (r->json) {
		tg_buffer_addf(&b, "{\"check\":\"%s\"", what);
		member(&b, "state", words[finding]);
		member(&b, "text", text);
		member(&b, "advice", advice);
		tg_buffer_addc(&b, '}');
	} else {
		tg_buffer_addf(&b, "%-4s  %s: %s%s%s", words[finding], what, text,
			       *advice ? "; " : "", advice);
	}
	print_line(r, &b);
}

bool tg_report_end(struct tg_report *r)
{
	bool good = r->n[TG_FINDING_FAIL] == 0;

	if (r->json)
		(void) fprintf(r->out, "{\"result\":\"%s\",\"ok\":%u,\"warn\":%u,\"fail\":%u}\n",
			       good ? "ok" : "failed", r->n[TG_FINDING_OK], r->n[TG_FINDING_WARN],
			       r->n[TG_FINDING_FAIL]);
	else
		(void) fprintf(r->out, "%u ok, %u to look at, %u failed\n", r->n[TG_FINDING_OK],
			       r->n[TG_FINDING_WARN], r->n[TG_FINDING_FAIL]);
	(void) fflush(r->out);
	return good;
}
