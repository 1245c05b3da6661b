/* SPDX-License-Identifier: Apache-2.0 */

/*
 * sim-outage [--full] [--hours N] [--dir DIR] [--only-written]
 *
 * A site whose broker is away for a week, in virtual time, over the spool's real decisions and its real file: five devices
 * of 60 points each are read every 3 s, which is 100 readings/s in packs of 60, with durability = full and a commit a
 * second. Then the broker is back, acknowledges everything at once, and what arrives is compared with what was read. The
 * same with a max-size that only takes a part of it, both ways of when-full.
 *
 * Without --full it is a shorter outage by the same code. DIR: where the spools are made, by default where nothing is
 * written to a disk, if there is such a place: bytes are counted where SQLite hands them to the kernel. --only-written ends
 * before the broker is back: for those who count what a file system makes of it.
 */
#include "agent/spool/disk.h"
#include "base/clock.h"
#include "base/parse.h"
#include "meter.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEVICES     5u
#define POINTS      60u
#define PACK_US     (600 * TG_US_PER_MS) /* 5 packs in 3 s */
#define HOURS       3u                   /* of the short outage */
#define WEEK_HOURS  168u
#define MEMORY      (UINT64_C(8) << 20)
#define WRITTEN_MAX 200.0               /* bytes per reading */
#define GROWTH_MAX  (UINT64_C(1) << 20) /* of resident memory, over the outage */
#define DRAIN_MIN   50000.0             /* readings/s */
#define WINDOW      32u
#define DRAINED_US  (10 * TG_US_PER_S) /* until deletes and upkeep have been, too */
#define PARTS       24u   /* of a bounded outage, after each of which it is looked at */
#define PACK_BYTES   700u /* in the file, more or less: to make one that is too small */
#define WALL_US     UINT64_C(1795300000000000)
#define FIRST_SEQ   ((UINT64_C(1) << 32) + 1)

static unsigned complaints;

#define CHECK(cond, ...)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			complaints++;                                                              \
			printf("  NOT SO: " __VA_ARGS__);                                          \
			printf(" (%s)\n", #cond);                                                  \
		}                                                                                  \
	} while (0)

struct site {
	char dir[256];
	struct tg_queue queue;
	struct tg_disk disk;
	uint64_t now;
	uint64_t packs; /* made so far; number N is of device N mod DEVICES */
	/* what arrived */
	uint64_t arrived, gaps, told; /* packs; gap records, packs that they speak of */
	uint64_t lowest;              /* of the packs */
	uint64_t last[DEVICES][2];    /* numbers first delivered, per device and stream */
	uint64_t live_turns;
	uint64_t out[WINDOW];
};

/* --- what is read ------------------------------------------------------------------------------ */

static char points[POINTS][24];

static struct tg_parcel *make_pack(const struct site *s, uint64_t n)
{
	struct tg_sample samples[POINTS];
	struct tg_parcel *p = NULL;
	char device[16];
	const struct tg_pack pack = {
		.seq = FIRST_SEQ + n,
		.device = device,
		.wall_offset_us = (int64_t) WALL_US,
		.clock = TG_CLOCK_SYNCHRONISED,
		.boot_id = "this very boot!",
		.n_samples = POINTS,
		.samples = samples,
	};

	(void) snprintf(device, sizeof(device), "boiler-%" PRIu64, n % DEVICES);
	for (size_t i = 0; i < POINTS; i++)
		samples[i] = (struct tg_sample){
			.point = points[i],
			.unit = "Cel",
			.reason = "",
			.value = { .type = TG_VALUE_REAL,
				   .real = (double) (float) (20 + (double) n / 7 +
							     (double) i / 9) },
			.boot_us = s->now,
		};
	return tg_parcel_new(&pack, &p) < 0 ? NULL : p;
}

/* --- time -------------------------------------------------------------------------------------- */

static void set_clock(struct site *s, uint64_t now)
{
	s->now = now;
	meter_clock_set(now, WALL_US + now);
}

static void turn(struct site *s)
{
	tg_disk_turn(&s->disk, s->now);
}

static void read_devices(struct site *s)
{
	struct tg_parcel *p = make_pack(s, s->packs);

	if (!p || tg_queue_put(&s->queue, p, s->now) < 0) {
		CHECK(false, "pack %" PRIu64 " cannot be put", s->packs);
		return;
	}
	tg_disk_latest(&s->disk, p);
	s->packs++;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* As the spool's thread lives: at each pack, when a commit is due, and once a second. */
static void live_until(struct site *s, uint64_t end)
{
	uint64_t pack_at = s->now + PACK_US, look_at = s->now + TG_US_PER_S;

	while (s->now < end) {
		uint64_t due = tg_queue_flush_us(&s->queue, s->now);
		uint64_t at = earlier(earlier(pack_at, look_at), due > s->now ? due : pack_at);

		set_clock(s, at);
		if (at == pack_at) {
			read_devices(s);
			pack_at += PACK_US;
		}
		if (at == look_at)
			look_at += TG_US_PER_S;
		turn(s);
	}
}

/* --- what arrives ------------------------------------------------------------------------------ */

static bool same(const struct tg_parcel *p)
{
	struct site then = { .now = p->boot_us };
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *made = make_pack(&then, p->seq - FIRST_SEQ);

	return made && made->len == p->len && memcmp(made->bytes, p->bytes, p->len) == 0;
}

static void take_gap(struct site *s, const struct tg_item *i)
{
	s->gaps++;
	s->told += i->gap;
	CHECK(i->gap_first <= i->seq && i->gap > 0, "a gap record makes no sense");
}

static void arrive(struct site *s, const struct tg_queue_pick *pick)
{
	const struct tg_item *i = pick->item;
	uint64_t *last = &s->last[(i->seq - FIRST_SEQ) % DEVICES][pick->stream == TG_STREAM_LIVE];

	CHECK(i->seq > *last, "order within device and stream is broken");
	*last = i->seq;
	if (i->gap) {
		take_gap(s, i);
		return;
	}
	s->arrived++;
	if (i->seq < s->lowest)
		s->lowest = i->seq;
	s->live_turns += pick->stream == TG_STREAM_LIVE;
	/* Each would take as long as all the rest. */
	if (i->seq % 16 == 0)
		CHECK(same(i->parcel), "pack %" PRIu64 " is not what was read", i->seq);
}

static void acknowledge(struct site *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		CHECK(tg_queue_ack(&s->queue, s->out[i], s->now), "an acknowledgement is not "
								  "taken");
}

/* What may go goes, and is acknowledged at once. */
static void deliver(struct site *s)
{
	struct tg_queue_pick pick;
	uint64_t again;
	unsigned n = 0;

	while (tg_queue_pick(&s->queue, s->now, &pick, &again)) {
		s->out[n++] = pick.item->seq;
		arrive(s, &pick);
		tg_queue_handed(&s->queue, &pick);
	}
	acknowledge(s, n);
}

/* Everything that is there goes out, a window each millisecond; devices go on until there is no backlog. */
static void drain(struct site *s)
{
	uint64_t pack_at = s->now + PACK_US, end = TG_US_FOREVER;

	tg_queue_link_up(&s->queue, WINDOW);
	while (s->now < end) {
		set_clock(s, s->now + TG_US_PER_MS);
		if (end == TG_US_FOREVER && s->now >= pack_at) {
			read_devices(s);
			pack_at += PACK_US;
		}
		turn(s);
		deliver(s);
		if (end == TG_US_FOREVER && s->queue.drained && s->queue.replay.count == 0)
			end = s->now + DRAINED_US;
	}
}

/* --- a site ------------------------------------------------------------------------------------ */

static void open_site(struct site *s, const char *root, uint64_t max_size, bool drop_newest)
{
	const struct tg_queue_limits queue = { .memory = MEMORY,
					       .commit_interval_us = TG_US_PER_S,
					       .drop_newest = drop_newest };
	const struct tg_disk_limits disk = { .max_size = max_size,
					     .max_age_us = 30 * 24 * 3600 * TG_US_PER_S,
					     .full = true,
					     .drop_newest = drop_newest };
	struct tg_fault why = { .text = "" };

	*s = (struct site){ .lowest = UINT64_MAX };
	(void) snprintf(s->dir, sizeof(s->dir), "%s/tidegate-outage-XXXXXX", root);
	if (!mkdtemp(s->dir)) {
		perror(s->dir);
		exit(1);
	}
	set_clock(s, 1000 * TG_US_PER_S);
	tg_queue_init(&s->queue, &queue, s->now);
	if (tg_disk_init(&s->disk, s->dir, &disk, NULL, NULL, &s->queue, &why) < 0 ||
	    s->disk.error) {
		printf("no spool in %s: %s%s\n", s->dir, why.text, s->disk.error_text);
		exit(1);
	}
}

static uint64_t size_of(const struct site *s, const char *name)
{
	char path[300];
	struct stat st;

	(void) snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	return stat(path, &st) < 0 ? 0 : (uint64_t) st.st_size;
}

static uint64_t file_bytes(const struct site *s)
{
	return size_of(s, "spool.db") + size_of(s, "spool.db-wal");
}

static void close_site(struct site *s)
{
	DIR *d;
	struct dirent *e;

	CHECK(tg_disk_finish(&s->disk, s->now) == 0, "the last commit fails");
	tg_disk_done(&s->disk);
	tg_queue_done(&s->queue);
	meter_clock_set(0, 0);
	d = opendir(s->dir);
	while (d && (e = readdir(d)))
		(void) unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		(void) closedir(d);
	(void) rmdir(s->dir);
}

/* --- the stories ------------------------------------------------------------------------------- */

static double mb(uint64_t bytes)
{
	return (double) bytes / 1e6;
}

/* No broker; what is written, and that nothing else grows. */
static void outage(struct site *s, unsigned hours)
{
	uint64_t start = s->now, length = hours * 3600 * TG_US_PER_S, readings, memory, grown;
	struct meter before, after;
	double per_reading;

	live_until(s, start + length / 10);
	memory = meter_memory();
	before = meter_read();
	readings = s->packs;
	live_until(s, start + length);
	after = meter_read();
	readings = (s->packs - readings) * POINTS;
	per_reading = (double) (after.bytes - before.bytes) / (double) readings;
	grown = meter_memory() > memory ? meter_memory() - memory : 0;
	printf("  %u h, %" PRIu64 " readings: %.1f bytes written per reading in %.2f writes a "
	       "pack, %.2f syncs a second\n",
	       hours, s->packs * POINTS, per_reading,
	       (double) (after.writes - before.writes) / (double) readings * POINTS,
	       (double) (after.syncs - before.syncs) / ((double) length / 1e6 * 0.9));
	printf("  file %.1f MB, %.1f bytes per reading; memory %.1f MB, grown by %.2f MB since a "
	       "tenth of it\n",
	       mb(file_bytes(s)), (double) file_bytes(s) / (double) (s->packs * POINTS),
	       mb(meter_memory()), mb(grown));
	CHECK(per_reading > 10 && per_reading <= WRITTEN_MAX, "the bound is %.0f bytes",
	      WRITTEN_MAX);
	CHECK(grown <= GROWTH_MAX, "memory grows with the backlog");
	CHECK(s->disk.counts.rows + s->queue.dirty == s->packs, "packs are missing");
}

/* The broker is back. */
static void drained(struct site *s)
{
	double cpu = meter_cpu_s(), readings = (double) (s->packs * POINTS);
	uint64_t before = meter_read().bytes;

	drain(s);
	cpu = meter_cpu_s() - cpu;
	printf("  drained: %.0f readings/s by the spool alone, %.1f bytes written per reading, "
	       "file %.1f MB\n",
	       readings / cpu, (double) (meter_read().bytes - before) / readings,
	       mb(file_bytes(s)));
	CHECK(s->arrived == s->packs && s->gaps == 0, "%" PRIu64 " of %" PRIu64 " packs arrived",
	      s->arrived, s->packs);
	CHECK(readings / cpu >= DRAIN_MIN, "too slow");
	CHECK(s->live_turns > 0, "no live pack came while the backlog drained");
	CHECK(file_bytes(s) < 8 << 20, "the file keeps its size");
}

/* Everything fits. */
static void whole(const char *root, unsigned hours, bool comes_back)
{
	struct site s;

	open_site(&s, root, UINT64_C(1) << 40, false);
	outage(&s, hours);
	if (comes_back)
		drained(&s);
	close_site(&s);
}

/* A fourth of what there is to keep fits. */
static void bounded(const char *root, unsigned hours, bool drop_newest)
{
	uint64_t start, outage = hours * 3600 * TG_US_PER_S, largest = 0, memory = 0, grown;
	uint64_t max_size = outage / PACK_US * PACK_BYTES / 4;
	struct site s;

	open_site(&s, root, max_size, drop_newest);
	start = s.now;
	for (unsigned part = 1; part <= PARTS; part++) {
		live_until(&s, start + outage * part / PARTS);
		largest = file_bytes(&s) > largest ? file_bytes(&s) : largest;
		/* From here on it is full, and nothing more may be needed. */
		if (part == PARTS / 2)
			memory = meter_memory();
	}
	grown = meter_memory() > memory ? meter_memory() - memory : 0;
	CHECK(largest <= max_size, "%.1f MB of %.1f allowed", mb(largest), mb(max_size));
	CHECK(largest >= max_size / 2, "only %.1f MB of %.1f used", mb(largest), mb(max_size));
	CHECK(grown <= GROWTH_MAX, "memory grows by %" PRIu64, grown);
	CHECK(s.disk.counts.dropped > s.packs / 2, "hardly anything was dropped");
	drain(&s);
	printf("  %u h: at most %.1f MB of %.1f allowed; %" PRIu64 " packs arrived, %" PRIu64
	       " gap records tell of %" PRIu64 ", memory %+.2f MB\n",
	       hours, mb(largest), mb(max_size), s.arrived, s.gaps, s.told, mb(grown));
	CHECK(s.arrived + s.told == s.packs, "of %" PRIu64 " packs", s.packs);
	CHECK(s.told == s.disk.counts.dropped, "%" PRIu64 " were dropped", s.disk.counts.dropped);
	CHECK(s.gaps <= s.told / 4, "gap records are not merged");
	if (drop_newest)
		CHECK(s.lowest == FIRST_SEQ, "the oldest was dropped");
	else
		CHECK(s.arrived == s.packs - (s.lowest - FIRST_SEQ), "not the oldest were "
								     "dropped");
	close_site(&s);
}

static void all(const char *root, unsigned hours)
{
	printf("a broker that is away, and everything fits:\n");
	whole(root, hours, true);
	printf("drop-oldest:\n");
	bounded(root, hours, false);
	printf("drop-newest:\n");
	bounded(root, hours, true);
	if (!complaints)
		printf("FAULT F06: %u h without a broker at 100 readings/s: all back in order, or "
		       "told by gap "
		       "records; memory flat\n",
		       hours);
}

int main(int argc, char **argv)
{
	const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	unsigned hours = HOURS;
	bool only_written = false;

	tg_log_set_level(LOG_CRIT);
	for (size_t i = 0; i < POINTS; i++)
		(void) snprintf(points[i], sizeof(points[i]), "temperature-%zu", i);
	for (int i = 1; i < argc; i++) {
		uint64_t n;

		if (strcmp(argv[i], "--full") == 0) {
			hours = WEEK_HOURS;
		} else if (strcmp(argv[i], "--only-written") == 0) {
			only_written = true;
		} else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) {
			root = argv[++i];
		} else if (strcmp(argv[i], "--hours") == 0 && i + 1 < argc &&
			   tg_parse_u64(argv[i + 1], &n) == 0 && n > 0 && n <= WEEK_HOURS) {
			hours = (unsigned) n;
			i++;
		} else {
			(void) fprintf(stderr, "usage: sim-outage [--full] [--hours N] [--dir DIR] "
					       "[--only-written]\n");
			return 2;
		}
	}
	if (only_written)
		whole(root, hours, false);
	else
		all(root, hours);
	return complaints > 0;
}
