/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/status.h"

#include "base/buffer.h"

#include <stdio.h>

/* Of a reason, so that the others can be read, too. */
#define REASON_SHOWN 100

/* The one word that an operator looks for first. */
static const char *identity_word(const struct tg_picture *p)
{
	if (!p->keeper.has_current && p->keeper.asked)
		return "no identity yet, the request waits for approval";
	if (!p->keeper.has_current)
		return p->keeper.has_candidate ? "enrolled, not proved yet" : "no identity yet";
	if (p->keeper.current.not_after <= p->time.believed_s)
		return "certificate expired";
	if (p->link.standing == TG_LINK_REFUSED)
		return "certificate refused by the broker";
	if (p->keeper.asked)
		return "enrolled, the renewal waits for approval";
	if (p->keeper.by_hand && p->keeper.state == TG_KEEPER_HOLDING)
		return "enrolled, to be renewed by hand";
	return p->keeper.failures ? "enrolled, renewal fails" : "enrolled";
}

static void add_link(struct tg_buffer *b, const struct tg_picture *p)
{
	const struct tg_link_report *l = &p->link;
	bool up = l->state == TG_LINK_ONLINE || l->state == TG_LINK_GREETING;

	tg_buffer_addf(b, "link %s", tg_status_link_state(p));
	if (!p->cfg->mqtt.endpoint[0])
		return;
	if (l->problem[0])
		tg_buffer_addf(b, " (%.*s)", REASON_SHOWN, l->problem);
	else if (!up && l->error[0])
		tg_buffer_addf(b, " (%.*s)", REASON_SHOWN, l->error);
}

/* How many are well, and what ails the first that is not. */
static void add_devices(struct tg_buffer *b, const struct tg_picture *p)
{
	tg_buffer_addf(b, "%zu of %zu devices ok", tg_status_count(p, TG_DEVICE_OK),
		       p->fleet->n_devices);
	for (size_t i = 0; i < p->fleet->n_devices; i++) {
		if (!p->devices[i].error[0])
			continue;
		tg_buffer_addf(b, " (%s: %.*s)", p->fleet->devices[i].name, REASON_SHOWN,
			       p->devices[i].error);
		return;
	}
}

static void add_troubles(struct tg_buffer *b, const struct tg_picture *p)
{
	if (p->tpm.condition != TG_TPM_OK && p->tpm.condition != TG_TPM_ASKING)
		tg_buffer_addf(b, "; TPM %s", tg_tpm_condition_name(p->tpm.condition));
	if (p->spool.error_text[0])
		tg_buffer_addf(b, "; spool: %.*s", REASON_SHOWN, p->spool.error_text);
	if (p->time.trust == TG_CLOCK_SUSPECT)
		tg_buffer_adds(b, "; clock suspect");
	if (p->stuck)
		tg_buffer_addf(b, "; stuck: %s", p->stuck);
}

/*
 * A line break in a peer's words would begin another assignment for systemd, which also throws a line away that is no whole
 * UTF-8, as one may become where it is cut.
 */
static void make_plain(char *line)
{
	for (; *line; line++) {
		if (*line < ' ' || *line > '~')
			*line = '?';
	}
}

void tg_status_line(const struct tg_picture *p, char *out, size_t size)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(TG_STATUS_LINE_MAX);

	tg_buffer_adds(&b, identity_word(p));
	tg_buffer_adds(&b, "; ");
	add_link(&b, p);
	tg_buffer_adds(&b, "; ");
	add_devices(&b, p);
	tg_buffer_addf(&b, "; %llu packs wait",
		       (unsigned long long) (p->spool.memory_packs + p->spool.disk_packs));
	add_troubles(&b, p);
	/* What did not fit is the end, which is told elsewhere in full. */
	(void) snprintf(out, size, "%s", tg_buffer_text(&b));
	make_plain(out);
}
