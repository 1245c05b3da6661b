/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/metrics.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "config/table.h"

#include <inttypes.h>
#include <string.h>

#define TEXT_MAX (896u * 1024) /* of one answer of the control socket, with its escapes */

/* One figure of each device, or of each bus. */
struct figure {
	const char *name, *type, *help;
	double (*of)(const struct tg_picture *p, size_t i);
};

static void begin(struct tg_buffer *b, const char *name, const char *type, const char *help)
{
	tg_buffer_addf(b, "# HELP tidegate_%s %s\n# TYPE tidegate_%s %s\n", name, help, name, type);
}

/* A label's value: backslash, quote and line feed are escaped. */
static void put_label(struct tg_buffer *b, const char *name, const char *value)
{
	tg_buffer_addf(b, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			tg_buffer_addc(b, '\\');
		if (*value == '\n')
			tg_buffer_adds(b, "\\n");
		else
			tg_buffer_addc(b, *value);
	}
	tg_buffer_addc(b, '"');
}

static void put_value(struct tg_buffer *b, double v)
{
	tg_buffer_addc(b, ' ');
	tg_buffer_add_real(b, v);
	tg_buffer_addc(b, '\n');
}

static void put(struct tg_buffer *b, const char *name, const char *type, const char *help, double v)
{
	begin(b, name, type, help);
	tg_buffer_addf(b, "tidegate_%s", name);
	put_value(b, v);
}

static void put_where(struct tg_buffer *b, const char *name, const char *help, uint64_t memory,
		      uint64_t disk)
{
	begin(b, name, "gauge", help);
	tg_buffer_addf(b, "tidegate_%s{where=\"memory\"}", name);
	put_value(b, (double) memory);
	tg_buffer_addf(b, "tidegate_%s{where=\"disk\"}", name);
	put_value(b, (double) disk);
}

static double seconds(uint64_t us)
{
	return (double) us / (double) TG_US_PER_S;
}

static double age(const struct tg_picture *p, uint64_t then_us)
{
	return p->now_us > then_us ? seconds(p->now_us - then_us) : 0;
}

/* --- the gateway --- */

static void put_gateway(struct tg_buffer *b, const struct tg_picture *p)
{
	begin(b, "info", "gauge", "The gateway and its version.");
	tg_buffer_adds(b, "tidegate_info{");
	put_label(b, "id", p->spec->id);
	tg_buffer_addc(b, ',');
	put_label(b, "version", TIDEGATE_VERSION);
	tg_buffer_addc(b, '}');
	put_value(b, 1);
	put(b, "uptime_seconds", "gauge", "Since the start of the agent.", age(p, p->started_us));
	put(b, "clock_suspect", "gauge", "1 while the clock cannot be believed.",
	    p->time.trust == TG_CLOCK_SUSPECT);
	put(b, "stuck", "gauge", "1 while a thread shows no progress.", p->stuck != NULL);
	put(b, "tpm_ok", "gauge", "1 while the TPM answers and is the known one.",
	    p->tpm.condition == TG_TPM_OK);
	put(b, "certificate_present", "gauge", "1 when there is a certificate to connect with.",
	    p->keeper.has_current);
	if (p->keeper.has_current)
		put(b, "certificate_expires_timestamp_seconds", "gauge",
		    "When the certificate runs out, since 1970.",
		    (double) p->keeper.current.not_after);
	put(b, "renewal_failures", "gauge", "Attempts to get a certificate that failed in a row.",
	    p->keeper.failures);
}

static void put_link(struct tg_buffer *b, const struct tg_picture *p)
{
	const struct tg_link_report *l = &p->link;

	put(b, "link_up", "gauge", "1 while the session with the broker stands.",
	    l->state == TG_LINK_ONLINE);
	put(b, "link_connects_total", "counter", "Sessions begun.", (double) l->connects);
	put(b, "link_failures_total", "counter", "Sessions that ended or did not begin.",
	    (double) l->failures);
	put(b, "link_published_total", "counter", "Messages sent.", (double) l->published);
	put(b, "link_acknowledged_total", "counter", "Messages that the broker acknowledged.",
	    (double) l->acknowledged);
}

static void put_spool(struct tg_buffer *b, const struct tg_picture *p)
{
	const struct tg_spool_state *s = &p->spool;

	put_where(b, "spool_packs", "Packs of readings that wait.", s->memory_packs, s->disk_packs);
	put_where(b, "spool_bytes", "Their size.", s->memory_bytes, s->disk_bytes);
	put(b, "spool_in_flight", "gauge", "Packs sent and not acknowledged yet.",
	    (double) s->in_flight);
	put(b, "spool_dropped_total", "counter", "Packs dropped since the spool was made.",
	    (double) s->dropped);
	put(b, "spool_set_aside_total", "counter", "Packs set aside since the spool was made.",
	    (double) s->set_aside);
	put(b, "spool_gaps", "gauge", "Gap records that wait.", (double) s->gaps);
	put(b, "events_waiting", "gauge", "Events for the cloud that wait.", (double) p->link.events_waiting);
	put(b, "events_lost_total", "counter", "Events lost since the spool was made.", (double) s->events_lost);
	put(b, "spool_ok", "gauge", "1 while the spool can be written.", s->error == 0);
}

/* --- buses and devices --- */

static double bus_up(const struct tg_picture *p, size_t i)
{
	return p->buses[i].condition == TG_BUS_UP;
}

static double bus_requests(const struct tg_picture *p, size_t i)
{
	return (double) p->buses[i].note.requests;
}

static double bus_errors(const struct tg_picture *p, size_t i)
{
	return (double) p->buses[i].note.errors;
}

static double bus_late(const struct tg_picture *p, size_t i)
{
	return (double) p->buses[i].late;
}

static double bus_dropped(const struct tg_picture *p, size_t i)
{
	return (double) p->buses[i].dropped;
}

static const struct figure bus_figures[] = {
	{ "bus_up", "gauge", "1 while the bus is there.", bus_up },
	{ "bus_requests_total", "counter", "Requests, frames, lines or messages.", bus_requests },
	{ "bus_errors_total", "counter", "Those of them that failed.", bus_errors },
	{ "bus_polls_late_total", "counter", "Polls skipped because their time had passed.",
	  bus_late },
	{ "bus_input_dropped_total", "counter", "Units of input thrown away unread.", bus_dropped },
};

static double device_up(const struct tg_picture *p, size_t i)
{
	return p->devices[i].health == TG_DEVICE_OK || p->devices[i].health == TG_DEVICE_DEGRADED;
}

static double device_points(const struct tg_picture *p, size_t i)
{
	return (double) p->fleet->devices[i].n_points;
}

static double device_bad(const struct tg_picture *p, size_t i)
{
	return p->devices[i].bad_points;
}

static double device_polls(const struct tg_picture *p, size_t i)
{
	return (double) p->devices[i].polls;
}

static double device_failures(const struct tg_picture *p, size_t i)
{
	return (double) p->devices[i].failures;
}

static double device_skipped(const struct tg_picture *p, size_t i)
{
	return (double) p->devices[i].skipped;
}

static double device_took(const struct tg_picture *p, size_t i)
{
	return seconds(p->devices[i].took_us);
}

static double device_heard(const struct tg_picture *p, size_t i)
{
	return (double) p->devices[i].heard;
}

static double device_over(const struct tg_picture *p, size_t i)
{
	return (double) p->devices[i].over;
}

static const struct figure device_figures[] = {
	{ "device_up", "gauge", "1 while the device answers, or is heard.", device_up },
	{ "device_points", "gauge", "Points that it has.", device_points },
	{ "device_points_bad", "gauge", "Points without a good value.", device_bad },
	{ "device_polls_total", "counter", "Polls, or packs of what it said unasked.",
	  device_polls },
	{ "device_failures_total", "counter", "Those of them without an answer.", device_failures },
	{ "device_polls_skipped_total", "counter", "Polls skipped because their time had passed.",
	  device_skipped },
	{ "device_poll_seconds", "gauge", "How long the last poll took.", device_took },
	{ "device_heard_total", "counter", "Values that came unasked.", device_heard },
	{ "device_over_total", "counter", "Those of them beyond the usual rate.", device_over },
};

static void put_buses(struct tg_buffer *b, const struct tg_picture *p)
{
	for (size_t f = 0; p->fleet->n_buses && f < TG_ARRAY_SIZE(bus_figures); f++) {
		begin(b, bus_figures[f].name, bus_figures[f].type, bus_figures[f].help);
		for (size_t i = 0; i < p->fleet->n_buses; i++) {
			const struct tg_config_bus *bus = &p->fleet->buses[i];

			tg_buffer_addf(b, "tidegate_%s{bus=\"%s\",type=\"%s\"}",
				       bus_figures[f].name, bus->name,
				       tg_config_bus_type_name(bus->type));
			put_value(b, bus_figures[f].of(p, i));
		}
	}
}

static void put_devices(struct tg_buffer *b, const struct tg_picture *p)
{
	for (size_t f = 0; p->fleet->n_devices && f < TG_ARRAY_SIZE(device_figures); f++) {
		begin(b, device_figures[f].name, device_figures[f].type, device_figures[f].help);
		for (size_t i = 0; i < p->fleet->n_devices; i++) {
			const struct tg_config_device *d = &p->fleet->devices[i];

			tg_buffer_addf(b, "tidegate_%s{device=\"%s\",bus=\"%s\"}",
				       device_figures[f].name, d->name,
				       p->fleet->buses[d->bus].name);
			put_value(b, device_figures[f].of(p, i));
		}
	}
	if (!p->fleet->n_devices)
		return;
	begin(b, "device_last_read_seconds", "gauge",
	      "Since the last answer; absent when there was none.");
	for (size_t i = 0; i < p->fleet->n_devices; i++) {
		if (!p->devices[i].last_ok_us)
			continue;
		tg_buffer_addf(b, "tidegate_device_last_read_seconds{device=\"%s\",bus=\"%s\"}",
			       p->fleet->devices[i].name,
			       p->fleet->buses[p->fleet->devices[i].bus].name);
		put_value(b, age(p, p->devices[i].last_ok_us));
	}
}

char *tg_metrics_text(const struct tg_picture *p)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(TEXT_MAX);
	char *text;

	put_gateway(&b, p);
	put_link(&b, p);
	put_spool(&b, p);
	put_buses(&b, p);
	put_devices(&b, p);
	if (tg_buffer_error(&b) < 0)
		return NULL;
	text = strdup(tg_buffer_text(&b));
	return text;
}
