/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `tidegate probe BUS`: what is on the bus, whether points read it or not;
 * `tidegate probe BUS ID`: how the bytes of one identifier move, which is how
 * signals are found that no table tells of.
 */
#include "agent/bus/can/can_internal.h"
#include "agent/bus/can/j1939.h"
#include "agent/bus/table.h"
#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTEN_US UINT64_C(5000000)
#define IDS_MAX   256 /* identifiers told apart */
#define TURN_MAX  4096 /* frames without a look at the clock */
#define CELL      160

_Static_assert(LISTEN_US < TG_PROBE_US, "driver.h bounds a probe");

struct seen {
	uint32_t id;
	uint64_t frames;
	uint8_t len;
	uint8_t data[TG_CAN_FRAME];
};

/* Of one byte of the identifier that is looked at. */
struct movement {
	uint8_t last, min, max, changed; /* changed: the bits that were not always the same */
	uint64_t changes;
};

struct watch {
	const struct tg_bus *bus;
	struct seen ids[IDS_MAX];
	size_t n;
	uint64_t others; /* frames of further identifiers */
	uint64_t errors;
	struct movement bytes[TG_CAN_FRAME];
	size_t n_bytes;
	uint64_t frames;
};

static void note_id(struct watch *w, const struct tg_can_message *m)
{
	struct seen *s = w->ids, *end = w->ids + w->n;

	while (s < end && s->id != m->id)
		s++;
	if (s == end && w->n == IDS_MAX) {
		w->others++;
		return;
	}
	if (s == end) {
		*s = (struct seen){ .id = m->id };
		w->n++;
	}
	s->frames++;
	s->len = (uint8_t) m->len;
	memcpy(s->data, m->data, m->len);
}

static void note_bytes(struct watch *w, const struct tg_can_message *m)
{
	for (size_t i = 0; i < m->len; i++) {
		struct movement *b = &w->bytes[i];
		uint8_t v = m->data[i];

		if (i >= w->n_bytes)
			*b = (struct movement){ .last = v, .min = v, .max = v };
		b->changes += v != b->last;
		b->changed |= v ^ b->last;
		b->last = v;
		b->min = v < b->min ? v : b->min;
		b->max = v > b->max ? v : b->max;
	}
	if (m->len > w->n_bytes)
		w->n_bytes = m->len;
}

static void note(struct watch *w, const struct tg_can_message *m)
{
	w->frames++;
	if (m->id & CAN_ERR_FLAG) {
		w->errors++;
		return;
	}
	note_id(w, m);
	note_bytes(w, m);
}

static int watch_bus(struct watch *w, int fd, struct tg_fault *reterr)
{
	uint64_t now = tg_clock_boot_us(), until = now + LISTEN_US;
	struct tg_can_message m;

	for (; now < until; now = tg_clock_boot_us()) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		int r = poll(&pfd, 1, tg_us_to_poll_ms(now, until));

		if (r < 0 && errno != EINTR)
			return tg_fault_set(reterr, -errno, "poll: %s", strerror(errno));
		for (int i = 0; r > 0 && i < TURN_MAX; i++) {
			r = tg_can_take_frame(fd, &m);
			if (r < 0)
				return tg_fault_set(reterr, -ENOTCONN, "%s: %s", w->bus->cfg->can.interface,
						    strerror(-r));
			if (r > 0)
				note(w, &m);
		}
	}
	return 0;
}

/* --- as tables --- */

static void hex(const uint8_t *data, size_t len, char out[static CELL])
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < len && used + 4 < CELL; i++)
		used += (size_t) snprintf(out + used, CELL - used, "%s%02x", i ? " " : "", data[i]);
}

/* The first points that read @id, and how many more. */
static void readers(const struct tg_bus *bus, uint32_t id, char out[static CELL])
{
	const struct tg_can_entry *frames, *groups;
	size_t n_frames = tg_can_index_find(bus->index.frames, bus->index.n_frames, id, &frames);
	size_t n_groups = 0, shown = 0, all = n_frames;
	int used = 0;

	out[0] = '\0';
	if (id & CAN_EFF_FLAG)
		n_groups = tg_can_index_find(bus->index.groups, bus->index.n_groups, tg_j1939_pgn(id),
					     &groups);
	for (size_t i = 0; i < n_frames + n_groups; i++) {
		const struct tg_can_entry *e = i < n_frames ? &frames[i] : &groups[i - n_frames];

		if (i >= n_frames && e->source != TG_CAN_ANY && e->source != tg_j1939_source(id))
			continue;
		all += i >= n_frames;
		if (shown == 3 || used + 2 * TG_NAME_MAX + 32 > CELL * 2)
			continue;
		used += snprintf(out + used, (size_t) (CELL - used), "%s%s/%s", shown ? ", " : "",
				 e->dev->name, e->dev->points[e->point].name);
		if (used >= CELL)
			return;
		shown++;
	}
	if (all > shown)
		(void) snprintf(out + used, (size_t) (CELL - used), " and %zu more", all - shown);
}

static void add_id(struct watch *w, const struct seen *s, struct tg_table *out)
{
	char id[16], pgn[16] = "", source[8] = "", frames[24], rate[24], data[CELL], points[CELL];
	const char *const cells[] = { id, pgn, source, frames, rate, data, points };

	if (s->id & CAN_EFF_FLAG) {
		(void) snprintf(id, sizeof(id), "0x%08x", s->id & CAN_EFF_MASK);
		(void) snprintf(pgn, sizeof(pgn), "%u", tg_j1939_pgn(s->id & CAN_EFF_MASK));
		(void) snprintf(source, sizeof(source), "%u", tg_j1939_source(s->id));
	} else {
		(void) snprintf(id, sizeof(id), "0x%03x", s->id & CAN_SFF_MASK);
	}
	(void) snprintf(frames, sizeof(frames), "%llu", (unsigned long long) s->frames);
	(void) snprintf(rate, sizeof(rate), "%.1f", (double) s->frames * TG_US_PER_S / LISTEN_US);
	hex(s->data, s->len, data);
	readers(w->bus, s->id, points);
	tg_table_row(out, cells);
}

static int by_id(const void *pa, const void *pb)
{
	const struct seen *a = pa, *b = pb;

	return (a->id > b->id) - (a->id < b->id);
}

static void show_ids(struct watch *w, struct tg_table *out)
{
	static const char *const heads[] = { "id", "pgn", "source", "frames", "per s", "last data",
					     "points", NULL };

	qsort(w->ids, w->n, sizeof(w->ids[0]), by_id);
	tg_table_heads(out, heads);
	for (size_t i = 0; i < w->n; i++)
		add_id(w, &w->ids[i], out);
	if (w->others)
		tg_table_note(out, "%llu more frames, of more than %d identifiers",
			      (unsigned long long) w->others, IDS_MAX);
}

static void show_bytes(const struct watch *w, struct tg_table *out)
{
	static const char *const heads[] = { "byte", "bits", "last", "min", "max", "bits that moved",
					     "changes", NULL };

	tg_table_heads(out, heads);
	for (size_t i = 0; i < w->n_bytes; i++) {
		const struct movement *b = &w->bytes[i];
		char byte[24], bits[48], last[16], min[8], max[8], moved[9], changes[24];
		const char *const cells[] = { byte, bits, last, min, max, moved, changes };

		(void) snprintf(byte, sizeof(byte), "%zu", i);
		(void) snprintf(bits, sizeof(bits), "%zu..%zu", i * 8, i * 8 + 7);
		(void) snprintf(last, sizeof(last), "%u (0x%02x)", b->last, b->last);
		(void) snprintf(min, sizeof(min), "%u", b->min);
		(void) snprintf(max, sizeof(max), "%u", b->max);
		for (int k = 0; k < 8; k++)
			moved[k] = b->changed >> (7 - k) & 1 ? '*' : '.';
		moved[8] = '\0';
		(void) snprintf(changes, sizeof(changes), "%llu", (unsigned long long) b->changes);
		tg_table_row(out, cells);
	}
}

/* --- what is asked --- */

/* An identifier, "pgn=PGN", or "" for all. Returns 0 and the filter, or -EINVAL. */
static int parse_address(const char *address, struct can_filter *ret, struct tg_fault *reterr)
{
	bool group = strncmp(address, "pgn=", 4) == 0;
	uint64_t v;

	*ret = (struct can_filter){ .can_id = 0, .can_mask = CAN_RTR_FLAG };
	if (!address[0])
		return 0;
	if (tg_parse_u64(group ? address + 4 : address, &v) < 0 ||
	    v > (group ? J1939_PGN_MAX : CAN_EFF_MASK))
		return tg_fault_set(reterr, -EINVAL,
				    "'%s' is no identifier; examples: 0x123, 0x18fef100, pgn=65265",
				    address);
	if (group) {
		ret->can_id = tg_j1939_id((uint32_t) v) | CAN_EFF_FLAG;
		ret->can_mask |= tg_j1939_mask((uint32_t) v) | CAN_EFF_FLAG;
	} else {
		ret->can_id = (canid_t) v | (v > CAN_SFF_MASK ? CAN_EFF_FLAG : 0);
		ret->can_mask |= CAN_EFF_FLAG | CAN_EFF_MASK;
	}
	return 0;
}

int tg_can_probe(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
		 struct tg_table *out, struct tg_fault *reterr)
{
	tg_autofree struct watch *w = calloc(1, sizeof(*w));
	tg_autoclose int fd = -1;
	struct can_filter filter;
	int r;

	(void) dev;
	if (!w)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	r = parse_address(address, &filter, reterr);
	if (r < 0)
		return r;
	if (tg_can_link_state(bus->cfg->can.interface) == TG_CAN_DOWN)
		return tg_fault_set(reterr, -ENOTCONN, TG_CAN_IS_DOWN,
				    bus->cfg->can.interface, bus->cfg->can.interface);
	r = tg_can_open_raw(bus->cfg->can.interface, &filter, 1, true, &fd, reterr);
	if (r < 0)
		return r;

	w->bus = bus;
	r = watch_bus(w, fd, reterr);
	if (r < 0)
		return r;
	if (address[0])
		show_bytes(w, out);
	else
		show_ids(w, out);
	if (w->frames == 0)
		tg_table_note(out, "nothing heard within 5 s: is the bit rate right, and does anyone send?");
	if (w->errors)
		tg_table_note(out, "%llu error frames: see 'tidegate status'",
			      (unsigned long long) w->errors);
	return 0;
}
