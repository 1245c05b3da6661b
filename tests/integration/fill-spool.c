/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fill-spool STATE_DIR PACKS [DEVICES [READINGS]]
 *
 * Makes the spool of an agent that has been offline for long, by the spool's own code: PACKS packs of READINGS readings each
 * (60 unless said otherwise), of DEVICES devices (1) in turn. The state directory is made if it is not there; what its spool
 * holds already stays, and each run is an epoch of its own. No agent may run on it.
 *
 * Pack N of a run is of device filled-(N mod DEVICES), and its first reading, `number`, is N, so that whoever receives it
 * can tell what is missing. The first of them was made so long ago as packs are many, ten a second.
 *
 * Prints "first SEQ last SEQ bytes LENGTH-OF-THE-FILE".
 */
#include "agent/pack/stored.h"
#include "agent/pipeline/pipeline.h"
#include "agent/spool/store.h"
#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PACKS_MAX    UINT64_C(100000000)
#define DEVICES_MAX  1000u
#define READINGS_MAX TG_PACK_SAMPLES
#define BATCH        4096u /* packs of one transaction */
#define APART_US     (100 * TG_US_PER_MS)
#define POINT_SIZE   32u

struct filling {
	struct tg_db *db;
	uint64_t packs, devices, readings;
	uint64_t first;         /* sequence number of pack 0 */
	int64_t wall_offset_us; /* of the boot in which the packs were made, which is over */
	char points[READINGS_MAX][POINT_SIZE];
};

static int make(const struct filling *f, uint64_t n, struct tg_parcel **ret)
{
	uint64_t made = (n + 1) * APART_US;
	struct tg_sample samples[READINGS_MAX];
	char device[TG_NAME_MAX + 1];
	const struct tg_pack pack = {
		.seq = f->first + n,
		.device = device,
		.wall_offset_us = f->wall_offset_us,
		.clock = TG_CLOCK_SYNCHRONISED,
		.boot_id = "an earlier boot",
		.n_samples = f->readings,
		.samples = samples,
	};

	(void) snprintf(device, sizeof(device), "filled-%" PRIu64, n % f->devices);
	for (size_t i = 0; i < f->readings; i++)
		samples[i] = (struct tg_sample){
			.point = f->points[i],
			.unit = i ? "Cel" : "",
			.reason = "",
			.value = { .type = TG_VALUE_REAL,
				   .real = 20 + (double) ((n + i) % 1000) / 64 },
			.boot_us = made,
		};
	samples[0].value = (struct tg_value){ .type = TG_VALUE_UINT, .u = n };
	return tg_parcel_new(&pack, ret);
}

static int append(const struct filling *f, uint64_t n)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL;
	tg_cleanup(tg_buffer_done) struct tg_buffer stored = TG_BUFFER_INIT(TG_STORED_MAX);
	struct tg_row row;
	int r = make(f, n, &p);

	if (r == 0)
		r = tg_stored_write(&stored, p);
	if (r < 0)
		return r;
	row = (struct tg_row){
		.seq = p->seq,
		.device = tg_parcel_device(p),
		.made_wall_us = f->wall_offset_us + (int64_t) p->boot_us,
		.bytes = (const uint8_t *) stored.data,
		.len = stored.len,
	};
	return tg_db_append(f->db, &row);
}

static int fill(struct filling *f)
{
	int r = 0;

	(void) snprintf(f->points[0], POINT_SIZE, "number");
	for (size_t i = 1; i < f->readings; i++)
		(void) snprintf(f->points[i], POINT_SIZE, "value%zu", i);
	for (uint64_t n = 0; n < f->packs && r == 0;) {
		uint64_t end = f->packs - n > BATCH ? n + BATCH : f->packs;

		r = tg_db_begin(f->db);
		for (; n < end && r == 0; n++)
			r = append(f, n);
		if (r == 0)
			r = tg_db_commit(f->db);
	}
	return r;
}

static int run(const char *dir, struct filling *f)
{
	const struct tg_db_options o = { .max_bytes = UINT64_C(1) << 40, .full = true };
	tg_cleanup(tg_store_freep) struct tg_store *store = NULL;
	struct tg_fault why = { .text = "" };
	uint64_t used = 0, file = 0, last = 0;
	uint32_t epoch;
	int r;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	r = tg_store_new(dir, &o, &store);
	if (r == 0)
		r = tg_store_open(store, false, &why);
	if (r == 0) {
		last = tg_store_last_seq(store);
		/* As an agent that starts: no number of any other start is repeated. */
		r = tg_epoch_raise(dir, (uint32_t) (last >> 32), &epoch, &why);
	}
	if (r == 0) {
		f->first = ((uint64_t) epoch << 32) + 1;
		f->db = tg_store_db(store);
		r = fill(f);
	}
	if (r == 0)
		r = tg_db_checkpoint(f->db, true);
	if (r == 0)
		r = tg_db_usage(f->db, &used, &file);
	if (r < 0) {
		(void) fprintf(stderr, "fill-spool: %s %s\n", strerror(-r), why.text);
		return r;
	}
	(void) printf("first %" PRIu64 " last %" PRIu64 " bytes %" PRIu64 "\n", f->first,
		      f->first + f->packs - 1, file);
	return 0;
}

static bool number(const char *text, uint64_t max, uint64_t *ret)
{
	return tg_parse_u64(text, ret) == 0 && *ret > 0 && *ret <= max;
}

int main(int argc, char **argv)
{
	static struct filling f = { .devices = 1, .readings = 60 };

	if (argc < 3 || argc > 5 || !number(argv[2], PACKS_MAX, &f.packs) ||
	    (argc > 3 && !number(argv[3], DEVICES_MAX, &f.devices)) ||
	    (argc > 4 && !number(argv[4], READINGS_MAX, &f.readings))) {
		(void) fprintf(stderr, "usage: fill-spool STATE_DIR PACKS [DEVICES [READINGS]]\n");
		return 2;
	}
	f.wall_offset_us = tg_clock_wall_us() - (int64_t) (f.packs * APART_US);
	return run(argv[1], &f) < 0 ? 1 : 0;
}
