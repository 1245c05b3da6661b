/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/journal_text.h"

#include "json/json.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#define VERSION  1
#define TIME_MAX INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

static const char *const step_names[TG_STEP_COUNT_] = {
	[TG_STEP_NONE] = "none",         [TG_STEP_KEY] = "key",
	[TG_STEP_CSR] = "csr",           [TG_STEP_REQUEST] = "request",
	[TG_STEP_ISSUED] = "issued",     [TG_STEP_REGISTERED] = "registered",
	[TG_STEP_VERIFIED] = "verified", [TG_STEP_WRITTEN] = "written",
};

static const char *const class_names[TG_ENROL_CLASS_COUNT_] = {
	[TG_ENROL_OK] = "ok",           [TG_ENROL_RETRY] = "retry",
	[TG_ENROL_REFUSED] = "refused", [TG_ENROL_BAD_ANSWER] = "bad-answer",
	[TG_ENROL_LOCAL] = "local",     [TG_ENROL_ID_REFUSED] = "id-refused",
	[TG_ENROL_PENDING] = "pending",
};

static const char *const kind_names[TG_ORDER_COUNT_] = {
	[TG_ORDER_ENROL] = "enrol",
	[TG_ORDER_RENEW] = "renew",
};

static const char *const credential_names[TG_CREDENTIAL_COUNT_] = {
	[TG_CREDENTIAL_CLAIM] = "claim",
	[TG_CREDENTIAL_CURRENT] = "current",
};

const char *tg_enrol_step_name(enum tg_enrol_step step)
{
	return (unsigned) step < TG_STEP_COUNT_ ? step_names[step] : "?";
}

const char *tg_enrol_class_name(enum tg_enrol_class c)
{
	return (unsigned) c < TG_ENROL_CLASS_COUNT_ ? class_names[c] : "?";
}

const char *tg_enrol_kind_name(enum tg_enrol_kind k)
{
	return (unsigned) k < TG_ORDER_COUNT_ ? kind_names[k] : "?";
}

const char *tg_enrol_credential_name(enum tg_enrol_credential c)
{
	return (unsigned) c < TG_CREDENTIAL_COUNT_ ? credential_names[c] : "?";
}

static void print_text(struct tg_buffer *out, const char *key, const char *value)
{
	tg_buffer_addf(out, ",\"%s\":", key);
	tg_buffer_add_json(out, value);
}

void tg_journal_print(const struct tg_journal *j, struct tg_buffer *out)
{
	tg_buffer_addf(out, "{\"version\":%d,\"step\":\"%s\"", VERSION,
		       tg_enrol_step_name(j->step));
	tg_buffer_addf(out, ",\"kind\":\"%s\",\"credential\":\"%s\",\"base\":%u",
		       tg_enrol_kind_name(j->kind), tg_enrol_credential_name(j->credential),
		       j->base);
	print_text(out, "method", j->method);
	print_text(out, "endpoint", j->endpoint);
	tg_buffer_addf(out,
		       ",\"started\":%" PRId64 ",\"updated\":%" PRId64 ",\"issued\":%" PRId64
		       ",\"attempts\":%u",
		       j->started, j->updated, j->issued, j->attempts);
	if (j->pending)
		tg_buffer_adds(out, ",\"pending\":1");
	print_text(out, "token", j->token);
	print_text(out, "certificate_id", j->certificate_id);
	print_text(out, "thing", j->thing);
	if (j->error_class != TG_ENROL_OK) {
		tg_buffer_addf(out, ",\"error\":{\"class\":\"%s\",\"step\":\"%s\",\"status\":%d",
			       tg_enrol_class_name(j->error_class),
			       tg_enrol_step_name(j->error_step), j->error_status);
		tg_buffer_addf(out, ",\"retry_at\":%" PRId64 ",\"retry_after_s\":%" PRId64,
			       j->retry_at, j->retry_after_s);
		print_text(out, "code", j->error_code);
		print_text(out, "text", j->error_text);
		tg_buffer_addc(out, '}');
	}
	tg_buffer_adds(out, "}\n");
}

static int parse_name(const struct json_t *doc, const char *key, const char *const *names, size_t n,
		      size_t *ret, struct tg_fault *reterr)
{
	char name[16];
	int r = tg_json_text(doc, key, name, sizeof(name), reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(name, names[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	return tg_fault_set(reterr, -EBADMSG, "\"%s\" is not known", key);
}

static int parse_times(const struct json_t *doc, struct tg_journal *j, struct tg_fault *reterr)
{
	int64_t attempts = 0, pending = 0;
	/* A wall clock before 1970 is possible; what it wrote is read back. */
	int r = tg_json_int(doc, "started", -TIME_MAX, TIME_MAX, &j->started, reterr);

	if (r == 0)
		r = tg_json_int(doc, "updated", -TIME_MAX, TIME_MAX, &j->updated, reterr);
	if (r == 0)
		r = tg_json_int(doc, "issued", -TIME_MAX, TIME_MAX, &j->issued, reterr);
	if (r == 0)
		r = tg_json_int(doc, "attempts", 0, UINT_MAX, &attempts, reterr);
	if (r < 0)
		return r;
	r = tg_json_int(doc, "pending", 0, 1, &pending, reterr);
	j->attempts = (unsigned) attempts;
	j->pending = pending;
	return r == -ENOENT ? 0 : r;
}

/* A journal of a release whose methods were never told when to come back has neither. */
static int parse_retry(const struct json_t *error, struct tg_journal *j, struct tg_fault *reterr)
{
	int r = tg_json_int(error, "retry_at", -TIME_MAX, TIME_MAX, &j->retry_at, reterr);

	if (r == 0 || r == -ENOENT)
		r = tg_json_int(error, "retry_after_s", -TIME_MAX, TIME_MAX, &j->retry_after_s,
				reterr);
	return r == -ENOENT ? 0 : r;
}

static int parse_error(const struct json_t *doc, struct tg_journal *j, struct tg_fault *reterr)
{
	const struct json_t *error = NULL;
	int64_t status = 0;
	size_t class = 0, step = 0;
	int r = tg_json_member(doc, "error", &error, NULL);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return tg_fault_set(reterr, -EBADMSG, "\"error\" is not an object");
	r = parse_name(error, "class", class_names, TG_ENROL_CLASS_COUNT_, &class, reterr);
	if (r == 0)
		r = parse_name(error, "step", step_names, TG_STEP_COUNT_, &step, reterr);
	if (r == 0)
		r = tg_json_int(error, "status", INT_MIN, INT_MAX, &status, reterr);
	if (r == 0)
		r = parse_retry(error, j, reterr);
	if (r == 0)
		r = tg_json_text(error, "code", j->error_code, sizeof(j->error_code), reterr);
	if (r == 0)
		r = tg_json_text(error, "text", j->error_text, sizeof(j->error_text), reterr);
	if (r < 0)
		return r;
	j->error_class = (enum tg_enrol_class) class;
	j->error_step = (enum tg_enrol_step) step;
	j->error_status = (int) status;
	return 0;
}

/* A journal of a release that knew the first enrolment only has none of these. */
static int parse_order(const struct json_t *doc, struct tg_journal *j, struct tg_fault *reterr)
{
	size_t kind = TG_ORDER_ENROL, credential = TG_CREDENTIAL_CLAIM;
	int64_t base = 0;
	int r = parse_name(doc, "kind", kind_names, TG_ORDER_COUNT_, &kind, reterr);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = parse_name(doc, "credential", credential_names, TG_CREDENTIAL_COUNT_,
			       &credential, reterr);
	if (r == 0)
		r = tg_json_int(doc, "base", 0, TG_GENERATION_MAX, &base, reterr);
	if (r < 0)
		return r;
	j->kind = (enum tg_enrol_kind) kind;
	j->credential = (enum tg_enrol_credential) credential;
	j->base = (unsigned) base;
	return 0;
}

static int parse_members(const struct json_t *doc, struct tg_journal *j, struct tg_fault *reterr)
{
	int64_t version = 0;
	size_t step = 0;
	int r = tg_json_int(doc, "version", VERSION, VERSION, &version, reterr);

	if (r == 0)
		r = parse_name(doc, "step", step_names, TG_STEP_COUNT_, &step, reterr);
	if (r == 0)
		r = parse_order(doc, j, reterr);
	if (r == 0)
		r = tg_json_text(doc, "method", j->method, sizeof(j->method), reterr);
	if (r == 0)
		r = tg_json_text(doc, "endpoint", j->endpoint, sizeof(j->endpoint), reterr);
	if (r == 0)
		r = parse_times(doc, j, reterr);
	if (r == 0)
		r = tg_json_text(doc, "token", j->token, sizeof(j->token), reterr);
	if (r == 0)
		r = tg_json_text(doc, "certificate_id", j->certificate_id,
				 sizeof(j->certificate_id), reterr);
	if (r == 0)
		r = tg_json_text(doc, "thing", j->thing, sizeof(j->thing), reterr);
	if (r == 0)
		r = parse_error(doc, j, reterr);
	j->step = (enum tg_enrol_step) step;
	return r;
}

int tg_journal_parse(const char *text, size_t len, struct tg_journal *ret, struct tg_fault *reterr)
{
	tg_cleanup(tg_json_freep) struct json_t *doc = NULL;
	struct tg_journal j = { 0 };
	int r = tg_json_object(text, len, TG_JOURNAL_MAX, &doc, reterr);

	if (r == 0)
		r = parse_members(doc, &j, reterr);
	if (r == -ENOENT) /* of a member; the file is there */
		r = -EBADMSG;
	if (r == 0)
		*ret = j;
	explicit_bzero(j.token, sizeof(j.token));
	return r;
}
