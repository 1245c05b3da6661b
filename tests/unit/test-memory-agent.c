/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command/ledger.h"
#include "agent/command/safe.h"
#include "agent/control/server.h"
#include "agent/encode/reading.h"
#include "agent/mqtt/message.h"
#include "agent/status/clock.h"
#include "agent/status/history.h"
#include "agent/status/metrics.h"
#include "agent/status/status.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mailbox.h"
#include "identity/journal.h"
#include "provisioning/enrol/aws_codec.h"
#include "wallclock/saved.h"

#include "tests/unit/alloc-fail.h"
#include "tests/unit/test.h"
#include "tests/unit/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * What the agent writes, keeps and answers, short of memory at each allocation. What comes out is
 * compared with what comes out when there is enough: half a document is no document.
 */
#define WRONG (-EXDEV) /* what no function under test returns */

static char dir[32];
static unsigned long all_failed;

/* How durable it is, is for other tests: thousands of failures want no disk to wait for. */
int fsync(int fd)
{
	return fd < 0 ? -1 : 0;
}

int fdatasync(int fd)
{
	return fd < 0 ? -1 : 0;
}

/* --- texts: whole, or none -------------------------------------------------------------------------- */

struct text_case {
	char *(*make)(void);
	char *wanted;
};

static int make_text(void *user)
{
	struct text_case *c = user;
	tg_autofree char *text = c->make();

	if (!text)
		return -ENOMEM;
	return strcmp(text, c->wanted) == 0 ? 0 : WRONG;
}

static struct tg_config_device devices[] = { { .name = (char *) "boiler", .n_points = 3 },
					     { .name = (char *) "pump", .n_points = 1 } };
static struct tg_config_bus bus = { .name = (char *) "line1" };

static struct tg_picture picture(void)
{
	static char name[] = "site", value[] = "plant-3";
	static struct tg_pair label = { name, value };
	static struct tg_config cfg;
	static struct tg_specifiers spec = { .id = "gw7" };
	static const struct tg_claim claim = { .error = "cannot be removed" };
	static struct tg_device_state states[] = { { .device = 0, .health = TG_DEVICE_OK },
						   { .device = 1, .health = TG_DEVICE_DEAD } };
	static struct tg_bus_state up = { .condition = TG_BUS_UP, .since_us = TG_US_PER_S };
	struct tg_picture p = {
		.cfg = &cfg,
		.fleet = &cfg,
		.spec = &spec,
		.config_path = "/etc/tidegate/tidegate.conf",
		.started_us = TG_US_PER_S,
		.now_us = 100 * TG_US_PER_S,
		.wall_us = INT64_C(1795219200) * (int64_t) TG_US_PER_S,
		.devices = states,
		.buses = &up,
		.claim = &claim,
	};

	cfg = (struct tg_config){ .buses = &bus, .n_buses = 1, .devices = devices, .n_devices = 2 };
	cfg.gateway.labels.items = &label;
	cfg.gateway.labels.n = 1;
	cfg.mqtt.endpoint = (char *) "broker.example";
	p.keeper.has_current = true;
	p.keeper.current =
		(struct tg_manifest){ .number = 7, .subject = "CN=gw7", .not_after = 1795221000 };
	p.link = (struct tg_link_report){ .state = TG_LINK_OFFLINE, .error = "connection refused" };
	p.spool = (struct tg_spool_state){ .disk_packs = 3,
					   .error = -ENOSPC,
					   .error_text = "disk full" };
	return p;
}

static char *make_status(void)
{
	struct tg_picture p = picture();

	return tg_status_json(&p, false);
}

static char *make_brief(void)
{
	struct tg_picture p = picture();

	return tg_status_json(&p, true);
}

static char *make_identity(void)
{
	struct tg_picture p = picture();

	return tg_status_identity_json(&p);
}

static char *make_progress(void)
{
	struct tg_picture p = picture();

	return tg_status_progress_json(&p);
}

static char *make_metrics(void)
{
	struct tg_picture p = picture();

	return tg_metrics_text(&p);
}

static struct tg_pack pack(void)
{
	static const struct tg_sample samples[] = {
		{ .point = "temperature",
		  .unit = "Cel",
		  .reason = "",
		  .boot_us = 1000000,
		  .value = { .type = TG_VALUE_REAL, .real = 21.5 } },
		{ .point = "big",
		  .unit = "",
		  .reason = "",
		  .boot_us = 1000000,
		  .value = { .type = TG_VALUE_UINT, .u = UINT64_MAX } },
		{ .point = "text",
		  .unit = "",
		  .reason = "",
		  .boot_us = 1000001,
		  .value = { .type = TG_VALUE_TEXT, .text = "a \"b\" \\ \n" } },
		{ .point = "gone",
		  .unit = "",
		  .reason = "timeout",
		  .boot_us = 1000002,
		  .quality = TG_BAD },
	};

	return (struct tg_pack){ .seq = UINT64_C(5) << 32 | 7,
				 .device = "boiler",
				 .wall_offset_us = INT64_C(1795219200000000),
				 .clock = TG_CLOCK_SYNCHRONISED,
				 .n_samples = TG_ARRAY_SIZE(samples),
				 .samples = samples };
}

static char *make_reading(void)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL;
	struct tg_pack made = pack();

	return tg_parcel_new(&made, &p) == 0 ? tg_reading_json(p, "") : NULL;
}

static char *make_message(enum tg_format format)
{
	static struct tg_config cfg;
	struct tg_specifiers spec = { .id = "gw7" };
	struct tg_message_context ctx = { .cfg = &cfg, .spec = &spec };
	struct tg_message m = { .payload = TG_BUFFER_INIT(4096) };
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL;
	struct tg_pack made = pack();
	char *text = NULL;

	cfg.mqtt.topic = (char *) "tidegate/%i/%d";
	cfg.mqtt.base_name = (char *) "%i:%d:";
	cfg.mqtt.format = format;
	cfg.mqtt.max_payload = 4096;
	if (tg_parcel_new(&made, &p) == 0 &&
	    tg_message_form(&m, &ctx, p, TG_STREAM_LIVE, NULL) == 0)
		text = strdup(tg_buffer_text(&m.payload));
	tg_message_done(&m);
	return text;
}

static char *make_senml(void)
{
	return make_message(TG_FORMAT_SENML_JSON);
}

static char *make_flat(void)
{
	return make_message(TG_FORMAT_JSON);
}

static char *make_result(void)
{
	struct tg_result r = { .id = "42",
			       .point = "setpoint",
			       .status = TG_COMMAND_REFUSED,
			       .reason = "not \"now\"" };

	return tg_result_json(&r);
}

static char *make_clock_event(void)
{
	const struct tg_time_change c = { .step_us = 5000000 };
	const uint8_t boot[16] = { 1 };

	return tg_status_clock_event(&c, "gw7", boot, 99);
}

static char *make_registration(void)
{
	struct tg_pair parameter = { (char *) "Serial\"Number", (char *) "00\\11" };
	struct tg_buffer b = TG_BUFFER_INIT(TG_AWS_REQUEST_MAX);

	tg_aws_register_request("token", &parameter, 1, &b);
	if (tg_buffer_error(&b) == 0)
		return b.data;
	tg_buffer_done(&b);
	return NULL;
}

static void a_text_is_whole_or_there_is_none(void **state)
{
	static const struct {
		const char *name;
		char *(*make)(void);
	} texts[] = {
		{ "status", make_status },
		{ "retained status", make_brief },
		{ "identity", make_identity },
		{ "progress", make_progress },
		{ "metrics", make_metrics },
		{ "reading", make_reading },
		{ "SenML", make_senml },
		{ "flat JSON", make_flat },
		{ "result", make_result },
		{ "clock event", make_clock_event },
		{ "registration", make_registration },
	};
	unsigned long failed = 0;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(texts); i++) {
		struct text_case c = { texts[i].make, texts[i].make() };

		assert_non_null(c.wanted);
		failed += alloc_fail_each(texts[i].name, ALLOC_FAIL_STRICT, make_text, &c);
		free(c.wanted);
	}
	assert_true(failed > 300);
	all_failed += failed;
}

/* --- what stands on the disk: the old or the new, and the next try works -------------------------- */

static int keep_time(void *user)
{
	const struct tg_saved_time t = { .wall_s = 1795219200, .boot_us = 5 };
	struct tg_saved_time is;
	int r = tg_saved_time_write(dir, &t, NULL);

	(void) user;
	if (r == 0)
		r = tg_saved_time_read(dir, &is, NULL);
	return r == 0 && is.wall_s != t.wall_s ? WRONG : r;
}

static int keep_journal(void *user)
{
	struct tg_journal j = { .step = TG_STEP_CSR, .method = "est", .token = "a \"token\"" }, is;
	int r = tg_journal_dir(dir, NULL);

	(void) user;
	if (r == 0)
		r = tg_journal_write(dir, &j, NULL);
	if (r == 0)
		r = tg_journal_read(dir, &is, NULL);
	if (r == 0 && strcmp(is.token, j.token) != 0)
		return WRONG;
	return r == 0 ? tg_journal_clear(dir, NULL) : r;
}

/* A command that is begun and ended, and asked for again by the next run. */
static int keep_ledger(void *user)
{
	static unsigned long id;
	struct tg_command c = { .device = "boiler", .point = "setpoint" };
	tg_cleanup(tg_ledger_freep) struct tg_ledger *l = NULL;
	struct tg_result r = { .status = TG_COMMAND_DONE }, is;
	int e = tg_ledger_new(dir, &l);

	(void) user;
	(void) snprintf(c.id, sizeof(c.id), "%lu", ++id);
	if (e == 0)
		e = tg_ledger_begin(l, &c, 1795256110, &is, NULL);
	if (e != 0)
		return e;
	tg_result_init(&r, &c);
	e = tg_ledger_end(l, &r, 1795256111, NULL);
	l = tg_ledger_free(l);
	if (tg_ledger_new(dir, &l) < 0)
		return -ENOMEM;
	/* Whatever happened, an id that was begun is known, and never new again. */
	if (tg_ledger_find(l, c.id, 1795256112, &is, NULL) == TG_LEDGER_NEW)
		return WRONG;
	return e;
}

static struct tg_generation_files files = { "-----BEGIN KEY-----\n", "-----BEGIN A-----\n", NULL };

/* Written, promoted, read, told of. Whatever fails, the identity that was there stays usable. */
static int keep_identity(void *user)
{
	struct tg_manifest m = { .method = "est", .subject = "CN=gw" }, is;
	json_t *list = NULL;
	int r;

	(void) user;
	memset(m.fingerprint, 'a', 64);
	r = tg_generation_write(dir, &files, &m, NULL);
	if (r == 0)
		r = tg_generation_promote(dir, true, NULL);
	if (r == 0)
		r = tg_generation_recover(dir, NULL);
	if (r == 0)
		r = tg_generation_read(dir, TG_SLOT_CURRENT, &is, NULL);
	if (r == 0 && is.number != m.number)
		return WRONG;
	if (r == 0)
		r = tg_history_json(dir, &list, NULL);
	json_decref(list);
	return r;
}

/* The recovery of a start takes nothing away because it could not look. */
static int recover(void *user)
{
	struct tg_manifest is;
	int r = tg_generation_recover(dir, NULL);

	(void) user;
	if (r == 0)
		r = tg_generation_read(dir, TG_SLOT_CURRENT, &is, NULL);
	return r;
}

static int carry(void *user)
{
	tg_cleanup(tg_mailbox_freep) struct tg_mailbox *m = NULL;
	int r = tg_mailbox_new(4, sizeof(int), NULL, &m), msg = 5, got = 0;

	(void) user;
	if (r == 0)
		r = tg_mailbox_post(m, &msg);
	return r == 0 && (tg_mailbox_take(m, &got) != 1 || got != 5) ? WRONG : r;
}

static int make_safe(void *user)
{
	static struct tg_config_point point = {
		.name = (char *) "valve", .write = true, .has_safe = true, .safe_after_us = 1000
	};
	static struct tg_config_device device = { .name = (char *) "boiler",
						  .points = &point,
						  .n_points = 1 };
	static const struct tg_config cfg = { .devices = &device, .n_devices = 1 };
	struct tg_safe s = { .points = NULL };
	int r = tg_safe_configure(&s, &cfg, 1);

	(void) user;
	if (r == 0 && !tg_safe_find(&s, 0, 0))
		r = WRONG;
	tg_safe_done(&s);
	return r;
}

static unsigned long exhaust(const char *name, unsigned how, alloc_fail_op op, void *user)
{
	assert_int_equal(op(user), 0);
	return alloc_fail_each(name, how, op, user);
}

static void what_is_kept_is_whole_or_as_it_was(void **state)
{
	unsigned long failed = 0;
	struct tg_manifest m;

	(void) state;
	failed += exhaust("saved time", ALLOC_FAIL_STRICT, keep_time, NULL);
	failed += exhaust("journal", ALLOC_FAIL_STRICT, keep_journal, NULL);
	failed += exhaust("ledger", ALLOC_FAIL_REFUSES, keep_ledger, NULL);
	failed += exhaust("identity", ALLOC_FAIL_REFUSES | ALLOC_FAIL_KEEPS, keep_identity, NULL);
	failed += exhaust("recovery", ALLOC_FAIL_REFUSES | ALLOC_FAIL_KEEPS, recover, NULL);
	failed += exhaust("mailbox", ALLOC_FAIL_STRICT, carry, NULL);
	failed += exhaust("safe states", ALLOC_FAIL_STRICT, make_safe, NULL);
	assert_int_equal(tg_generation_read(dir, TG_SLOT_CURRENT, &m, NULL), 0);
	assert_true(failed > 150);
	all_failed += failed;
}

/* --- the control server --------------------------------------------------------------------------- */

struct bench {
	sd_event *loop;
	struct tg_control *control;
	char path[96];
	int lines; /* of a watcher: told to be out, -EAGAIN: dropped */
};

/* Longer than what the queue has room for at first. */
static const char *reading(void)
{
	static char json[401];

	memset(json, '5', sizeof(json) - 1);
	return json;
}

static char got[8192]; /* by the last client */

static void on_request(void *user, tg_client client, const char *line, size_t len)
{
	struct bench *b = user;

	(void) len;
	if (strcmp(line, "long") == 0) {
		char json[3000];

		memset(json, '5', sizeof(json) - 1);
		json[sizeof(json) - 1] = '\0';
		tg_control_answer(b->control, client, json, 0);
	} else if (strcmp(line, "watch") == 0) {
		tg_control_answer(b->control, client, "{}", 1);
		b->lines = 0;
		for (int i = 0; i < 3; i++)
			b->lines += tg_control_line(b->control, client, reading()) == 0;
	} else {
		tg_control_refuse(b->control, client, 2, "no \"such\" thing");
	}
}

/* Asks, and compares what comes until the connection ends, or until no more comes of a watcher. */
static int ask(struct bench *b, const char *line, const char *wanted)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	tg_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	size_t len = 0;
	ssize_t n = -1;

	memcpy(a.sun_path, b->path, strlen(b->path) + 1);
	if (fd < 0 || connect(fd, (const struct sockaddr *) &a, sizeof(a)) < 0)
		return WRONG;
	(void) !send(fd, line, strlen(line), MSG_NOSIGNAL);
	for (int turn = 0; turn < 8; turn++) {
		if (sd_event_run(b->loop, 0) < 0)
			return -ENOMEM;
		while (len < sizeof(got) - 1 &&
		       (n = recv(fd, got + len, sizeof(got) - 1 - len, 0)) > 0)
			len += (size_t) n;
		if (n == 0)
			break;
	}
	got[len] = '\0';
	if (strcmp(got, wanted) == 0)
		return 0;
	/* Nobody answers, or says why not; of a watcher lines are missing, each as a whole. */
	return len == 0 || strstr(got, "out of memory") || strncmp(got, wanted, len) == 0 ? -ENOMEM
											  : WRONG;
}

static int ask_refused(void *user)
{
	return ask(user, "nonsense\n",
		   "{\"ok\":false,\"code\":2,\"error\":\"no \\\"such\\\" thing\"}\n");
}

static int ask_long(void *user)
{
	static char wanted[3100];
	int n = snprintf(wanted, sizeof(wanted), "{\"ok\":true,\"data\":");

	memset(wanted + n, '5', 2999);
	memcpy(wanted + n + 2999, "}\n", 3);
	return ask(user, "long\n", wanted);
}

static int watch(void *user)
{
	struct bench *b = user;
	static char wanted[2048];
	int r, n = 0;

	(void) snprintf(wanted, sizeof(wanted), "{\"ok\":true,\"data\":{}}\n%s\n%s\n%s\n",
			reading(), reading(), reading());
	r = ask(b, "watch\n", wanted);
	for (const char *p = strchr(got, '\n'); p; p = strchr(p + 1, '\n'))
		n++;
	/* What was told to be out is out. */
	if (n > 0 && !strstr(got, "memory") && n != 1 + b->lines)
		r = WRONG;
	/* The client has hung up; the place is free again. */
	for (int i = 0; i < 4; i++)
		(void) sd_event_run(b->loop, 0);
	return r;
}

static int serve(void *user)
{
	struct bench *b = user;
	struct tg_control *more = NULL;
	char path[100];
	int r;

	(void) snprintf(path, sizeof(path), "%s2", b->path);
	r = tg_control_new(b->loop, path, "", on_request, b, &more, NULL);
	if (r == 0)
		more = tg_control_free(more);
	return r;
}

static void a_client_gets_all_of_its_answer_or_hears_why_not(void **state)
{
	struct bench b = { .lines = 0 };
	unsigned long failed = 0;

	(void) state;
	(void) snprintf(b.path, sizeof(b.path), "%s/s", dir);
	assert_return_code(sd_event_new(&b.loop), 0);
	assert_int_equal(tg_control_new(b.loop, b.path, "", on_request, &b, &b.control, NULL), 0);
	failed += exhaust("refusal", ALLOC_FAIL_KEEPS, ask_refused, &b);
	failed += exhaust("answer", ALLOC_FAIL_KEEPS, ask_long, &b);
	failed += exhaust("watcher", ALLOC_FAIL_KEEPS, watch, &b);
	failed += exhaust("server", ALLOC_FAIL_KEEPS, serve, &b);
	assert_int_equal(b.lines, 3);
	tg_control_free(b.control);
	sd_event_unref(b.loop);
	printf("FAULT F23: %lu failed allocations in documents, state files and the control "
	       "server: whole, as before, or told; "
	       "nothing leaked\n",
	       all_failed + failed);
}

static int make_dir(void **state)
{
	(void) state;
	/* In memory, if there is such a place: it is a matter of thousands of small files. */
	(void) snprintf(dir, sizeof(dir), "%s/tidegate-XXXXXX",
			access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void) state;
	return tree_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_is_whole_or_there_is_none),
		cmocka_unit_test(what_is_kept_is_whole_or_as_it_was),
		cmocka_unit_test(a_client_gets_all_of_its_answer_or_hears_why_not),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
