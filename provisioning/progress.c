/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/progress.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "identity/generation.h"

#include <inttypes.h>
#include <stdarg.h>

#define LINE_MAX_BYTES (16u * 1024)

static uint64_t elapsed_ms(const struct tg_progress *p)
{
	return (tg_clock_boot_us() - p->begun_us) / TG_US_PER_MS;
}

/* A member of text; the first one of a line has no comma before it, so this is never the first. */
static void member(struct tg_buffer *b, const char *key, const char *value)
{
	tg_buffer_addf(b, ",\"%s\":", key);
	tg_buffer_add_json(b, value);
}

/* A reader that went away is not the step's failure: the journal has what matters. */
static void print_line(struct tg_progress *p, struct tg_buffer *b)
{
	if (tg_buffer_error(b) == 0)
		(void) fprintf(p->out, "%s\n", tg_buffer_text(b));
	(void) fflush(p->out);
}

void tg_progress_begin(struct tg_progress *p)
{
	p->begun_us = tg_clock_boot_us();
}

void tg_progress_done(struct tg_progress *p, enum tg_enrol_step step, bool kept, const char *text)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(LINE_MAX_BYTES);
	const char *state = kept ? "kept" : "done";

	if (p->json) {
		tg_buffer_addf(&b, "{\"step\":\"%s\",\"state\":\"%s\",\"ms\":%" PRIu64,
			       tg_enrol_step_name(step), state, elapsed_ms(p));
		if (*text)
			member(&b, "text", text);
		tg_buffer_addc(&b, '}');
	} else {
		uint64_t ms = elapsed_ms(p);

		tg_buffer_addf(&b, "%-10s  %-6s %4" PRIu64 ".%03u s  %s", tg_enrol_step_name(step),
			       state, ms / 1000, (unsigned) (ms % 1000), text);
	}
	print_line(p, &b);
}

const char *tg_progress_end(const struct tg_journal *j)
{
	return j->error_class == TG_ENROL_PENDING ? "pending" : "failed";
}

void tg_progress_failed(struct tg_progress *p, const struct tg_journal *j)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(LINE_MAX_BYTES);
	uint64_t ms = elapsed_ms(p);
	const char *state = tg_progress_end(j);

	if (p->json) {
		tg_buffer_addf(&b, "{\"step\":\"%s\",\"state\":\"%s\",\"ms\":%" PRIu64,
			       tg_enrol_step_name(j->error_step), state, ms);
		member(&b, "class", tg_enrol_class_name(j->error_class));
		tg_buffer_addf(&b, ",\"status\":%d", j->error_status);
		if (j->retry_at)
			tg_buffer_addf(&b, ",\"retry_at\":%" PRId64, j->retry_at);
		member(&b, "code", j->error_code);
		member(&b, "text", j->error_text);
		tg_buffer_addc(&b, '}');
	} else {
		tg_buffer_addf(&b, "%-10s  %-7s%4" PRIu64 ".%03u s  %s",
			       tg_enrol_step_name(j->error_step), state, ms / 1000,
			       (unsigned) (ms % 1000), j->error_text);
	}
	print_line(p, &b);
}

void tg_progress_note(struct tg_progress *p, const char *fmt, ...)
{
	va_list ap;

	if (p->json)
		return;
	va_start(ap, fmt);
	(void) vfprintf(p->out, fmt, ap);
	va_end(ap);
	(void) fputc('\n', p->out);
	(void) fflush(p->out);
}

void tg_progress_result(struct tg_progress *p, const char *result, unsigned base,
			const struct tg_manifest *m)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(LINE_MAX_BYTES);
	char from[32], until[32];

	if (p->json) {
		tg_buffer_addf(&b, "{\"result\":\"%s\"", result);
		if (m) {
			tg_buffer_addf(&b, ",\"generation\":%u", m->number);
			if (base)
				tg_buffer_addf(&b, ",\"base\":%u", base);
			member(&b, "subject", m->subject);
			member(&b, "thing", m->thing);
		}
		tg_buffer_addc(&b, '}');
	} else if (m) {
		tg_buffer_addf(&b, "%s: generation %u, %s%s%s, valid %s to %s", result, m->number,
			       m->subject, m->thing[0] ? ", thing " : "", m->thing,
			       tg_clock_iso(m->not_before * (int64_t) TG_US_PER_S, from),
			       tg_clock_iso(m->not_after * (int64_t) TG_US_PER_S, until));
	} else {
		tg_buffer_adds(&b, result);
	}
	print_line(p, &b);
}
