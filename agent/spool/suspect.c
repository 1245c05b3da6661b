/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/suspect.h"

#include <string.h>

unsigned tg_suspect_window(const struct tg_suspect *s, unsigned window)
{
	return s->careful && window > 1 ? 1 : window;
}

static struct tg_suspect_held *find_held(struct tg_suspect *s, uint64_t seq)
{
	for (size_t i = 0; i < s->n_held; i++)
		if (s->held[i].pack.seq == seq)
			return s->held + i;
	return NULL;
}

static size_t find_seen(const struct tg_suspect *s, uint64_t seq)
{
	size_t i = 0;

	while (i < s->n_seen && s->seen[i].seq != seq)
		i++;
	return i;
}

static void forget_seen(struct tg_suspect *s, uint64_t seq)
{
	size_t i = find_seen(s, seq);

	if (i < s->n_seen)
		s->seen[i] = s->seen[--s->n_seen];
}

static void forget_held(struct tg_suspect *s, uint64_t seq)
{
	struct tg_suspect_held *h = find_held(s, seq);

	if (h)
		*h = s->held[--s->n_held];
}

/* Whether @h has to go before the pack, within its device and stream. */
static bool goes_before(const struct tg_suspect_held *h, enum tg_stream stream, uint64_t seq,
			const char *device)
{
	return h->state != TG_SUSPECT_CONDEMNED && h->pack.stream == stream && h->pack.seq < seq &&
	       strcmp(h->pack.device, device) == 0;
}

static enum tg_suspect_view view_of(const struct tg_suspect_held *h)
{
	switch (h->state) {
	case TG_SUSPECT_WAITS:
		return TG_SUSPECT_SKIP;
	case TG_SUSPECT_RETRIED:
		return TG_SUSPECT_GO;
	case TG_SUSPECT_CONDEMNED:
		return TG_SUSPECT_ASIDE;
	}
	return TG_SUSPECT_GO;
}

enum tg_suspect_view tg_suspect_look(const struct tg_suspect *s, enum tg_stream stream,
				     uint64_t seq, const char *device)
{
	enum tg_suspect_view view = TG_SUSPECT_GO;

	for (size_t i = 0; i < s->n_held; i++) {
		const struct tg_suspect_held *h = s->held + i;

		if (h->pack.seq == seq)
			return view_of(h);
		if (goes_before(h, stream, seq, device))
			view = TG_SUSPECT_LATER;
	}
	return view;
}

void tg_suspect_handed(struct tg_suspect *s, enum tg_stream stream, uint64_t seq,
		       const char *device)
{
	if (!s->careful)
		return;
	s->out.seq = seq;
	s->out.stream = stream;
	(void) memccpy(s->out.device, device, '\0', sizeof(s->out.device) - 1);
}

void tg_suspect_replays(struct tg_suspect *s, uint64_t seq)
{
	struct tg_suspect_held *h = find_held(s, seq);

	if (h)
		h->pack.stream = TG_STREAM_REPLAY;
}

static void calm_down(struct tg_suspect *s)
{
	if (!s->careful || s->n_held > 0 ||
	    (s->n_seen > 0 && s->careful_acks < TG_SUSPECT_CAREFUL_ACKS))
		return;
	s->careful = false;
	s->n_seen = 0;
}

/* Another pack has got through: what does that make of those that are held? */
static void judge_held(struct tg_suspect *s)
{
	const struct tg_suspect_pack *p = &s->out;

	for (size_t i = 0; i < s->n_held; i++) {
		struct tg_suspect_held *h = s->held + i;

		if (goes_before(h, p->stream, p->seq, p->device))
			h->state = TG_SUSPECT_CONDEMNED;
		else if (h->state == TG_SUSPECT_WAITS)
			h->state = TG_SUSPECT_RETRIED;
	}
}

void tg_suspect_acked(struct tg_suspect *s, uint64_t seq)
{
	forget_seen(s, seq);
	forget_held(s, seq);
	if (seq == s->out.seq)
		judge_held(s);
	s->refused = false;
	s->refused_ends = 0;
	s->held_most = TG_SUSPECT_HELD;
	if (s->careful)
		s->careful_acks++;
	calm_down(s);
}

void tg_suspect_gone(struct tg_suspect *s, uint64_t seq)
{
	forget_seen(s, seq);
	forget_held(s, seq);
	calm_down(s);
}

/* Of those that were in flight, keeps count; all others are not suspect any more. */
static void count_ends(struct tg_suspect *s, const uint64_t *seqs, size_t n)
{
	unsigned ends[TG_SUSPECT_SEEN];

	if (n > TG_SUSPECT_SEEN)
		n = TG_SUSPECT_SEEN;
	for (size_t i = 0; i < n; i++) {
		size_t at = find_seen(s, seqs[i]);

		ends[i] = 1 + (at < s->n_seen ? s->seen[at].ends : 0);
	}
	for (size_t i = 0; i < n; i++) {
		s->seen[i].seq = seqs[i];
		s->seen[i].ends = ends[i];
		s->seen[i].alone = 0;
	}
	s->n_seen = n;
}

/* Careful once a pack was there often enough: from then on only such packs matter. */
static void become_careful(struct tg_suspect *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_seen; i++)
		if (s->seen[i].ends >= TG_SUSPECT_ENDS)
			s->seen[n++] = s->seen[i];
	if (n == 0)
		return;
	s->n_seen = n;
	s->careful = true;
	s->careful_acks = 0;
}

static void release_all(struct tg_suspect *s)
{
	s->n_held = 0;
	s->n_seen = 0;
	s->refused = true;
	s->refused_ends = 0;
	if (s->held_most < TG_SUSPECT_HELD_MAX)
		s->held_most *= 2;
}

static void hold_last(struct tg_suspect *s)
{
	struct tg_suspect_held *h = s->held + s->n_held++;

	*h = (struct tg_suspect_held){ .pack = s->out };
	forget_seen(s, s->out.seq);
	if (s->n_held >= s->held_most)
		release_all(s);
}

static void count_alone(struct tg_suspect *s, uint64_t seq)
{
	unsigned most = s->refused ? 1 : TG_SUSPECT_ALONE;
	size_t at = find_seen(s, seq);

	if (at == s->n_seen) {
		/* Only what is in flight comes here, so there is room unless all are suspects: then one of them will be it. */
		if (at == TG_SUSPECT_SEEN)
			return;
		s->seen[s->n_seen++].seq = seq;
		s->seen[at].ends = s->seen[at].alone = 0;
	}
	if (++s->seen[at].alone >= most)
		hold_last(s);
}

static const struct tg_suspect_pack *end_alone(struct tg_suspect *s, uint64_t seq)
{
	struct tg_suspect_held *h = find_held(s, seq);

	if (h) {
		/* It was tried once more: while others get through, or for want of others, and then nobody knows. */
		if (h->state != TG_SUSPECT_RETRIED)
			return NULL;
		h->state = TG_SUSPECT_CONDEMNED;
		return &h->pack;
	}
	if (s->refused && s->refused_ends < TG_SUSPECT_PATIENCE) {
		s->refused_ends++;
		return NULL;
	}
	count_alone(s, seq);
	return NULL;
}

const struct tg_suspect_pack *tg_suspect_ended(struct tg_suspect *s, const uint64_t *seqs, size_t n)
{
	if (n == 0)
		return NULL;
	if (!s->careful) {
		count_ends(s, seqs, n);
		become_careful(s);
	} else if (n == 1 && seqs[0] == s->out.seq) {
		return end_alone(s, seqs[0]);
	}
	return NULL;
}

void tg_suspect_refused(struct tg_suspect *s, const char *device)
{
	for (size_t i = s->n_held; i > 0; i--)
		if (strcmp(s->held[i - 1].pack.device, device) == 0)
			s->held[i - 1] = s->held[--s->n_held];
	/* Those that only share a session with its packs are found again, should they be bad, too. */
	s->n_seen = 0;
	calm_down(s);
}
