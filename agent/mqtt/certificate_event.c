/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/certificate_event.h"

#include "base/buffer.h"
#include "base/clock.h"

#include <inttypes.h>
#include <string.h>

static const char *const names[] = {
	[TG_CERTIFICATE_RENEWED] = "certificate-renewed",
	[TG_CERTIFICATE_RETIRED] = "certificate-retired",
	[TG_CERTIFICATE_ROLLED_BACK] = "certificate-rolled-back",
};

static void add_text(struct tg_buffer *b, const char *key, const char *value)
{
	tg_buffer_addf(b, ",\"%s\":", key);
	if (value && value[0])
		tg_buffer_add_json(b, value);
	else
		tg_buffer_adds(b, "null");
}

static void add_certificate(struct tg_buffer *b, const char *key, const struct tg_manifest *m)
{
	tg_buffer_addf(b, ",\"%s\":{\"generation\":%u", key, m->number);
	add_text(b, "serial", m->serial);
	add_text(b, "fingerprint", m->fingerprint);
	add_text(b, "certificate_id", m->certificate_id);
	add_text(b, "thing", m->thing);
	tg_buffer_addc(b, '}');
}

char *tg_certificate_event_json(const struct tg_certificate_event *e)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(TG_CERTIFICATE_EVENT_MAX);
	char iso[32] = "", reason[256];

	if (e->wall_us)
		(void) tg_clock_iso(e->wall_us, iso);
	tg_buffer_addf(&b, "{\"event\":\"%s\"", names[e->change]);
	add_text(&b, "id", e->gateway);
	add_text(&b, "time", iso);
	add_certificate(&b, "old", e->old);
	add_certificate(&b, "new", e->new);
	if (e->change == TG_CERTIFICATE_RENEWED)
		tg_buffer_addf(&b, ",\"probation_s\":%" PRIu64, e->probation_us / TG_US_PER_S);
	if (e->change == TG_CERTIFICATE_ROLLED_BACK)
		add_text(&b, "reason",
			 tg_printable(reason, sizeof(reason), e->reason, strlen(e->reason)));
	tg_buffer_addc(&b, '}');
	return tg_buffer_error(&b) < 0 ? NULL : strdup(tg_buffer_text(&b));
}
