/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/control/verbs.h"

#include "agent/command/desk.h"
#include "agent/encode/reading.h"
#include "agent/status/history.h"
#include "agent/status/metrics.h"
#include "base/clock.h"
#include "json/json.h"

#include <tidegate/identity.h>

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define WAITERS     TG_CONTROL_CLIENTS
#define READ_MAX_US (60 * TG_US_PER_S) /* the command line waits a little longer */
#define ANY_DEVICE  SIZE_MAX

/* Somebody who waits for a reading: once (`read`) or for each (`watch`). */
struct waiter {
	tg_client client; /* 0: free */
	bool watch;
	size_t device;               /* or ANY_DEVICE */
	char point[TG_NAME_MAX + 1]; /* "" for all */
	uint64_t asked_us, deadline_us;
	uint64_t lost; /* readings that a slow watcher missed */
};

struct tg_verbs {
	struct tg_agent *agent;
	sd_event_source *timer;
	struct waiter waiters[WAITERS];
};

static void arm(struct tg_verbs *v)
{
	uint64_t next = TG_US_FOREVER;

	for (size_t i = 0; i < WAITERS; i++) {
		if (v->waiters[i].client && v->waiters[i].deadline_us < next)
			next = v->waiters[i].deadline_us;
	}
	(void) sd_event_source_set_time(v->timer, next);
	(void) sd_event_source_set_enabled(v->timer,
					   next == TG_US_FOREVER ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

/* Those who hung up keep no place, however rarely their device is read. */
static struct waiter *new_waiter(struct tg_verbs *v)
{
	for (size_t i = 0; i < WAITERS; i++) {
		if (!tg_control_has(tg_agent_control(v->agent), v->waiters[i].client))
			return &v->waiters[i];
	}
	return NULL;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *user)
{
	struct tg_verbs *v = user;
	uint64_t now = tg_clock_boot_us();

	(void) s;
	(void) usec;
	for (size_t i = 0; i < WAITERS; i++) {
		struct waiter *w = &v->waiters[i];

		if (!w->client || now < w->deadline_us)
			continue;
		tg_control_refuse(tg_agent_control(v->agent), w->client, TG_EXIT_FAILED,
				  "the device did not come round in time");
		w->client = 0;
	}
	arm(v);
	return 0;
}

/* --- the verbs --------------------------------------------------------------------------------------------------- */

static void refuse(struct tg_verbs *v, tg_client c, int code, const char *text)
{
	tg_control_refuse(tg_agent_control(v->agent), c, code, text);
}

static void do_status(struct tg_verbs *v, tg_client c, json_t *request)
{
	tg_autofree char *json = NULL;
	struct tg_picture p;

	(void) request;
	/* For the next question: this answer does not wait for the TPM. */
	tg_agent_look_at_tpm(v->agent);
	tg_agent_picture(v->agent, &p);
	json = tg_status_json(&p, false);
	tg_control_answer(tg_agent_control(v->agent), c, json, 0);
}

static void do_identity(struct tg_verbs *v, tg_client c, json_t *request)
{
	tg_autofree char *json = NULL;
	struct tg_picture p;

	(void) request;
	tg_agent_picture(v->agent, &p);
	json = tg_status_identity_json(&p);
	tg_control_answer(tg_agent_control(v->agent), c, json, 0);
}

static void do_history(struct tg_verbs *v, tg_client c, json_t *request)
{
	struct tg_fault why = { .text = "" };
	unsigned long refused = tg_json_refused();
	tg_autofree char *json = NULL;
	json_t *list = NULL;

	(void) request;
	if (tg_history_json(tg_agent_state_dir(v->agent), &list, &why) < 0) {
		refuse(v, c, TG_EXIT_FAILED, why.text);
		return;
	}
	json = tg_json_print(list, refused);
	tg_control_answer(tg_agent_control(v->agent), c, json, 0);
}

static void do_progress(struct tg_verbs *v, tg_client c, json_t *request)
{
	tg_autofree char *json = NULL;
	struct tg_picture p;

	(void) request;
	tg_agent_picture(v->agent, &p);
	json = tg_status_progress_json(&p);
	tg_control_answer(tg_agent_control(v->agent), c, json, 0);
}

static void do_metrics(struct tg_verbs *v, tg_client c, json_t *request)
{
	unsigned long refused = tg_json_refused();
	tg_autofree char *text = NULL, *json = NULL;
	struct tg_picture p;
	json_t *o;

	(void) request;
	tg_agent_picture(v->agent, &p);
	text = tg_metrics_text(&p);
	o = text ? json_pack("{s:s}", "text", text) : NULL;
	json = tg_json_print(o, refused);
	tg_control_answer(tg_agent_control(v->agent), c, json, 0);
}

static void do_spool(struct tg_verbs *v, tg_client c, json_t *request)
{
	tg_autofree char *json = NULL;
	struct tg_picture p;

	if (json_is_true(json_object_get(request, "aside"))) {
		if (tg_agent_list_aside(v->agent, c) < 0)
			refuse(v, c, TG_EXIT_FAILED, "the spool is busy; ask again");
		return;
	}
	tg_agent_picture(v->agent, &p);
	json = tg_status_spool_json(&p);
	tg_control_answer(tg_agent_control(v->agent), c, json, 0);
}

static void do_reload(struct tg_verbs *v, tg_client c, json_t *request)
{
	tg_autofree char *text = NULL, *json = NULL;
	unsigned long refused;
	json_t *o;
	int r = tg_agent_reload(v->agent, &text);

	(void) request;
	if (r < 0) {
		refuse(v, c, r == -EBADMSG ? TG_EXIT_CONFIG : TG_EXIT_FAILED,
		       text ? text : strerror(-r));
		return;
	}
	refused = tg_json_refused();
	o = json_pack("{s:s}", "warnings", text ? text : "");
	json = tg_json_print(o, refused);
	tg_control_answer(tg_agent_control(v->agent), c, json, 0);
}

/* Why there is nothing that an order could begin. */
static const char *no_method(struct tg_verbs *v)
{
	if (tg_agent_config(v->agent)->enrolment.method == TG_ENROL_MANUAL)
		return "[enrolment] method is manual: make a request with 'tidegate-provision --csr "
		       "FILE', and bring the certificate with 'tidegate-provision --install CHAIN'";
	return "[enrolment] method is none: there is nothing to get a certificate with";
}

static void do_enroll(struct tg_verbs *v, tg_client c, json_t *request)
{
	struct tg_picture p;

	(void) request;
	tg_agent_picture(v->agent, &p);
	/* The advice for a TPM that was cleared or replaced is to enrol again. */
	switch (tg_keeper_enrol_now(tg_agent_keeper(v->agent), p.tpm.key_lost)) {
	case 0:
		tg_control_answer(tg_agent_control(v->agent), c, "{\"started\":true}", 0);
		return;
	case -EALREADY:
		refuse(v, c, TG_EXIT_FAILED, "an enrolment is under way already");
		return;
	case -EEXIST:
		refuse(v, c, TG_EXIT_FAILED,
		       "this gateway has an identity already; see 'tidegate identity'");
		return;
	default:
		refuse(v, c, TG_EXIT_FAILED, no_method(v));
		return;
	}
}

static void do_renew(struct tg_verbs *v, tg_client c, json_t *request)
{
	static const struct {
		int error;
		const char *text;
	} refusals[] = {
		{ -EALREADY, "an enrolment or a renewal is under way already; 'tidegate status' "
			     "shows how far it is" },
		{ -EBUSY, "a new certificate is on trial or on probation already; see 'tidegate "
			  "status'" },
		{ -ENOENT, "this gateway has no identity that could be renewed; see 'tidegate "
			   "enroll'" },
		{ -EKEYREJECTED, "the key of the identity is lost, as the TPM was cleared or "
				 "replaced: 'tidegate enroll' gets a new identity" },
	};
	int r = tg_keeper_renew_now(tg_agent_keeper(v->agent));

	(void) request;
	if (r == 0) {
		tg_control_answer(tg_agent_control(v->agent), c, "{\"started\":true}", 0);
		return;
	}
	for (size_t i = 0; i < TG_ARRAY_SIZE(refusals); i++) {
		if (refusals[i].error == r) {
			refuse(v, c, TG_EXIT_FAILED, refusals[i].text);
			return;
		}
	}
	refuse(v, c, TG_EXIT_FAILED, r == -EOPNOTSUPP ? no_method(v) : strerror(-r));
}

/* The index of the device that @request names; ANY_DEVICE when it names none and may; -1 after a refusal. */
static int find_device(struct tg_verbs *v, tg_client c, json_t *request, bool optional, size_t *ret)
{
	const struct tg_config *cfg = tg_agent_config(v->agent);
	const char *name = json_string_value(json_object_get(request, "device"));
	char text[160];

	if (!name && optional) {
		*ret = ANY_DEVICE;
		return 0;
	}
	for (size_t i = 0; name && i < cfg->n_devices; i++) {
		if (strcmp(cfg->devices[i].name, name) == 0) {
			*ret = i;
			return 0;
		}
	}
	(void) snprintf(text, sizeof(text), "no device '%.*s' in the configuration", TG_NAME_MAX,
			name ? name : "");
	refuse(v, c, TG_EXIT_USAGE, text);
	return -ENOENT;
}

static int find_point(struct tg_verbs *v, tg_client c, json_t *request, size_t device,
		      char out[static TG_NAME_MAX + 1])
{
	const struct tg_config *cfg = tg_agent_config(v->agent);
	const char *name = json_string_value(json_object_get(request, "point"));
	char text[240];

	out[0] = '\0';
	if (!name)
		return 0;
	for (size_t i = 0; i < cfg->devices[device].n_points; i++) {
		if (strcmp(cfg->devices[device].points[i].name, name) == 0) {
			(void) snprintf(out, TG_NAME_MAX + 1, "%s", name);
			return 0;
		}
	}
	(void) snprintf(text, sizeof(text), "device '%s' has no point '%.*s'",
			cfg->devices[device].name, TG_NAME_MAX, name);
	refuse(v, c, TG_EXIT_USAGE, text);
	return -ENOENT;
}

static void do_read(struct tg_verbs *v, tg_client c, json_t *request)
{
	struct waiter *w = new_waiter(v);
	char point[TG_NAME_MAX + 1];
	/* Before the worker hears of it, which may be done at once. */
	uint64_t asked = tg_clock_boot_us(), patience;
	size_t device;

	if (find_device(v, c, request, false, &device) < 0 ||
	    find_point(v, c, request, device, point) < 0)
		return;
	if (!w || tg_agent_poll_now(v->agent, device) < 0) {
		refuse(v, c, TG_EXIT_FAILED,
		       w ? "the device's bus does not take a request now"
			 : "too many wait already");
		return;
	}
	*w = (struct waiter){ .client = c, .device = device, .asked_us = asked };
	memcpy(w->point, point, sizeof(point));
	/* Long enough for a bus that does not connect: its own reason says more than ours. */
	patience = tg_agent_patience_us(v->agent, device);
	w->deadline_us = w->asked_us + (patience < READ_MAX_US ? patience : READ_MAX_US);
	arm(v);
}

static void do_watch(struct tg_verbs *v, tg_client c, json_t *request)
{
	struct waiter *w = new_waiter(v);
	size_t device;

	if (find_device(v, c, request, true, &device) < 0)
		return;
	if (!w) {
		refuse(v, c, TG_EXIT_FAILED, "too many watch already");
		return;
	}
	*w = (struct waiter){
		.client = c, .watch = true, .device = device, .deadline_us = TG_US_FOREVER
	};
	tg_control_answer(tg_agent_control(v->agent), c, "{\"watching\":true}", 1);
}

/* A value of JSON that a command may have. */
static int take_value(json_t *json, struct tg_kept_value *ret)
{
	struct tg_value v = { .type = TG_VALUE_NONE };

	if (json_is_boolean(json))
		v = (struct tg_value){ .type = TG_VALUE_BOOL, .b = json_is_true(json) };
	else if (json_is_integer(json))
		v = (struct tg_value){ .type = TG_VALUE_INT, .i = json_integer_value(json) };
	else if (json_is_real(json))
		v = (struct tg_value){ .type = TG_VALUE_REAL, .real = json_real_value(json) };
	else if (json_is_string(json) && json_string_length(json) <= TG_COMMAND_TEXT_MAX)
		v = (struct tg_value){ .type = TG_VALUE_TEXT, .text = json_string_value(json) };
	else
		return -EINVAL;
	tg_kept_set(ret, &v);
	return 0;
}

static void do_write(struct tg_verbs *v, tg_client c, json_t *request)
{
	struct tg_command command = { .local = true };
	size_t device;

	if (find_device(v, c, request, false, &device) < 0 ||
	    find_point(v, c, request, device, command.point) < 0)
		return;
	if (!command.point[0] || take_value(json_object_get(request, "value"), &command.value) < 0) {
		refuse(v, c, TG_EXIT_USAGE, "a point and a value are needed: a number, a boolean or a text of at "
					    "most 256 bytes");
		return;
	}
	(void) snprintf(command.id, sizeof(command.id), "local-%016" PRIx64, tg_random_u64());
	(void) snprintf(command.device, sizeof(command.device), "%s", tg_agent_config(v->agent)->devices[device].name);
	tg_desk_write(tg_agent_desk(v->agent), c, &command);
}

/* The bus, or the bus of the device, that @name is. */
static int find_bus(const struct tg_config *cfg, const char *name, size_t *ret_bus, size_t *ret_device)
{
	*ret_device = ANY_DEVICE;
	for (size_t i = 0; i < cfg->n_devices; i++) {
		if (strcmp(cfg->devices[i].name, name) != 0)
			continue;
		*ret_device = i;
		*ret_bus = cfg->devices[i].bus;
		return 0;
	}
	for (size_t i = 0; i < cfg->n_buses; i++) {
		if (strcmp(cfg->buses[i].name, name) != 0)
			continue;
		*ret_bus = i;
		return 0;
	}
	return -ENOENT;
}

static void do_probe(struct tg_verbs *v, tg_client c, json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	const char *address = json_string_value(json_object_get(request, "address"));
	struct tg_fault why = { .text = "" };
	size_t bus, device;
	char text[160];

	if (!name || find_bus(tg_agent_config(v->agent), name, &bus, &device) < 0) {
		(void) snprintf(text, sizeof(text), "no device and no bus '%.*s' in the configuration", TG_NAME_MAX,
				name ? name : "");
		refuse(v, c, TG_EXIT_USAGE, text);
		return;
	}
	if (tg_desk_probe(tg_agent_desk(v->agent), c, bus, device, address ? address : "", &why) < 0)
		refuse(v, c, TG_EXIT_FAILED, why.text);
}

static const struct {
	const char *name;
	void (*run)(struct tg_verbs *v, tg_client c, json_t *request);
} verbs[] = {
	{ "metrics", do_metrics },
	{ "status", do_status }, { "identity", do_identity }, { "read", do_read },
	{ "watch", do_watch },   { "reload", do_reload },     { "enroll", do_enroll },
	{ "renew", do_renew },   { "progress", do_progress }, { "history", do_history },
	{ "write", do_write },   { "probe", do_probe },       { "spool", do_spool },
};

void tg_verbs_request(void *user, tg_client client, const char *line, size_t len)
{
	struct tg_verbs *v = user;
	json_t *request = NULL;
	int r = tg_json_object(line, len, TG_CONTROL_REQUEST_MAX, &request, NULL);
	const char *name = json_string_value(json_object_get(request, "cmd"));

	for (size_t i = 0; name && i < TG_ARRAY_SIZE(verbs); i++) {
		if (strcmp(verbs[i].name, name) == 0) {
			verbs[i].run(v, client, request);
			json_decref(request);
			return;
		}
	}
	if (r == -ENOMEM)
		refuse(v, client, TG_EXIT_FAILED, "out of memory");
	else
		refuse(v, client, TG_EXIT_USAGE,
		       name ? "unknown command" : "the request is not a JSON object with \"cmd\"");
	json_decref(request);
}

/* --- readings ---------------------------------------------------------------------------------------------------- */

static void tell(struct tg_verbs *v, struct waiter *w, const char *json)
{
	struct tg_control *ctl = tg_agent_control(v->agent);
	char lost[48];
	int r;

	if (!w->watch) {
		tg_control_answer(ctl, w->client, json, 0);
		w->client = 0;
		return;
	}
	if (w->lost) {
		(void) snprintf(lost, sizeof(lost), "{\"lost\":%llu}",
				(unsigned long long) w->lost);
		if (tg_control_line(ctl, w->client, lost) == 0)
			w->lost = 0;
	}
	r = tg_control_line(ctl, w->client, json);
	if (r == -EAGAIN)
		w->lost++;
	else if (r < 0)
		w->client = 0;
}

/*
 * Of a device that is polled, a reading that was under way when the question came is not an answer to it. One that is only heard
 * is asked for all that is known of it: parts of that, which come meanwhile, are no answer.
 */
static bool answers(const struct tg_verbs *v, const struct waiter *w, const struct tg_parcel *p)
{
	const struct tg_config *cfg = tg_agent_config(v->agent);
	struct tg_unpacked u;
	bool whole;

	if (tg_agent_device_is_polled(v->agent, w->device))
		return p->boot_us >= w->asked_us;
	if (tg_parcel_unpack(p, &u) < 0)
		return false;
	whole = u.pack.n_samples == cfg->devices[w->device].n_points;
	tg_unpacked_done(&u);
	return whole;
}

void tg_verbs_reading(struct tg_verbs *v, size_t device, const struct tg_parcel *p)
{
	for (size_t i = 0; i < WAITERS; i++) {
		struct waiter *w = &v->waiters[i];
		tg_autofree char *json = NULL;

		if (!w->client || (w->device != ANY_DEVICE && w->device != device))
			continue;
		if (!w->watch && !answers(v, w, p))
			continue;
		json = tg_reading_json(p, w->point);
		if (json)
			tell(v, w, json);
		else
			w->lost++;
	}
	arm(v);
}

void tg_verbs_reconfigured(struct tg_verbs *v)
{
	for (size_t i = 0; i < WAITERS; i++) {
		struct waiter *w = &v->waiters[i];

		if (!w->client || w->device == ANY_DEVICE)
			continue;
		refuse(v, w->client, TG_EXIT_FAILED, "the configuration was reloaded; ask again");
		w->client = 0;
	}
	arm(v);
}

int tg_verbs_new(struct tg_agent *agent, struct tg_verbs **ret)
{
	tg_autofree struct tg_verbs *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	v->agent = agent;
	r = sd_event_add_time(tg_agent_loop(agent), &v->timer, CLOCK_BOOTTIME, TG_US_FOREVER,
			      TG_US_PER_MS, on_timer, v);
	if (r < 0)
		return r;
	(void) sd_event_source_set_description(v->timer, "verbs");
	*ret = tg_take(v);
	return 0;
}

struct tg_verbs *tg_verbs_free(struct tg_verbs *v)
{
	if (!v)
		return NULL;
	sd_event_source_unref(v->timer);
	free(v);
	return NULL;
}
