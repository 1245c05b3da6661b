/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrol/aws_codec.h"
#include "provisioning/enrol/claim.h"
#include "provisioning/enrol/method.h"
#include "provisioning/failure.h"
#include "provisioning/net/mqtt_once.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/*
 * AWS IoT fleet provisioning: with a claim certificate, which a whole fleet may share,
 * CreateCertificateFromCsr brings a certificate for our own key and a token, and RegisterThing with
 * the token makes it count. A renewal does the same with the gateway's own certificate and a
 * template for renewals, under a client id of its own, as the agent has a session meanwhile; the
 * service then has two certificates of this gateway, and takes none away.
 *
 * The service chooses the subject and signs with an authority of its own that nobody can configure,
 * so neither is checked; that the answer came from the configured endpoint is what TLS has proved.
 */

#define TOKEN_BEGIN      12 /* enough to know the token by */
#define CONNECT_US       (30 * TG_US_PER_S)
#define CONNECT_PAUSE_MS 11000 /* between two CONNECTs of one client id; AWS takes one in 10 s */
#define CALL_US          (30 * TG_US_PER_S) /* the hook alone may take 5 s */
#define KEEP_ALIVE_US    (60 * TG_US_PER_S)
#define VALUE_MAX        1024 /* bytes of a template parameter, expanded */

static void endpoint(const struct tg_config *c, char *out, size_t size)
{
	(void) snprintf(out, size, "%s", c->enrolment.aws.endpoint);
}

static struct tg_claim_files claim_files(const struct tg_enrolment *e)
{
	return (struct tg_claim_files){
		.certificate_name = "claim-certificate",
		.certificate = e->config->enrolment.aws.claim_certificate,
		.key_name = "claim-key",
		.key = e->config->enrolment.aws.claim_key,
	};
}

static int check_tpm(struct tg_enrolment *e, struct tg_fault *reterr)
{
	const struct tg_claim_files files = claim_files(e);

	return tg_claim_check_tpm(e, &files, reterr);
}

static uint64_t in(uint64_t us)
{
	return tg_us_add(tg_clock_boot_us(), us);
}

/* The template of this order: renewals may have one of their own. */
static int topic_of(const struct tg_enrolment *e, char out[static TG_AWS_TOPIC_MAX],
		    struct tg_fault *reterr)
{
	const char *name = e->config->enrolment.aws.rotation_template;

	if (e->order.credential == TG_CREDENTIAL_CLAIM || !*name)
		name = e->config->enrolment.aws.template_name;
	return tg_aws_register_topic(name, out, reterr);
}

/* Unique, as gateways that share a claim would end each other's sessions. */
static void claim_id(const struct tg_enrolment *e, char *out, size_t size)
{
	(void) snprintf(out, size, "enrol-%s-%08" PRIx32, e->names.tpm, (uint32_t) tg_random_u64());
}

static bool is_for_renewals(const struct tg_credential *c)
{
	return c->which == TG_CREDENTIAL_CURRENT && !c->own_client_id;
}

/*
 * The service says nothing of its policy: a client id that it does not take is refused by CONNACK,
 * or the connection is closed in its place. The agent, whose session with the same certificate
 * stands, can help with that.
 */
static int id_refused(struct tg_enrolment *e, const struct tg_credential *c, int r,
		      enum tg_mqtt_cause cause, struct tg_fault *reterr)
{
	bool refused = cause == TG_MQTT_CAUSE_CLOSED ||
		       (cause == TG_MQTT_CAUSE_REFUSED && r == -EPERM);

	if (!is_for_renewals(c) || !refused)
		return r;
	(void) tg_fault_prefix(reterr, "rotation-client-id '%s'", c->client_id);
	return tg_failure_refused(e, TG_ENROL_ID_REFUSED, 0, "");
}

/*
 * Being closed without a word may as well be an accident, or the service's answer to two CONNECTs of
 * one client id that are too near to each other: it counts when it happens again.
 */
static int connect_patiently(struct tg_enrolment *e, const struct tg_credential *c,
			     const struct tg_mqtt_options *o, struct tg_mqtt_once **ret,
			     struct tg_fault *reterr)
{
	enum tg_mqtt_cause cause;
	int r = tg_mqtt_once_open(o, in(CONNECT_US), &cause, ret, reterr);

	if (r < 0 && is_for_renewals(c) && cause == TG_MQTT_CAUSE_CLOSED) {
		tg_progress_note(e->progress, "%s; trying once more in %d s", reterr->text,
				 CONNECT_PAUSE_MS / 1000);
		(void) poll(NULL, 0, CONNECT_PAUSE_MS);
		r = tg_mqtt_once_open(o, in(CONNECT_US), &cause, ret, reterr);
	}
	return r < 0 ? id_refused(e, c, r, cause, reterr) : 0;
}

static int connect_session(struct tg_enrolment *e, const struct tg_credential *credential,
			   struct tg_mqtt_once **ret, struct tg_fault *reterr)
{
	const struct tg_config *c = e->config;
	bool by_claim = credential->which == TG_CREDENTIAL_CLAIM;
	char id[64];
	struct tg_mqtt_options o = {
		.host = c->enrolment.aws.endpoint,
		.port = c->enrolment.aws.port,
		.alpn = c->enrolment.aws.alpn,
		.client_id = by_claim ? id : credential->client_id,
		.ca_file = c->enrolment.aws.ca,
		.bundle_file = by_claim ? NULL : credential->bundle_file,
		.chain_file = by_claim ? c->enrolment.aws.claim_certificate : NULL,
		.key_file = by_claim ? c->enrolment.aws.claim_key : NULL,
		.version = 4,
		.keep_alive_us = KEEP_ALIVE_US,
		.connect_timeout_us = CONNECT_US,
		.verify_at = tg_enrolment_now_s(e),
		.future_s = tg_enrolment_skew_s(e),
	};

	claim_id(e, id, sizeof(id));
	return connect_patiently(e, credential, &o, ret, reterr);
}

/* Where the operator's files are to blame, it is said which. */
static int check_files(struct tg_enrolment *e, const struct tg_credential *c,
		       struct tg_fault *reterr)
{
	const struct tg_claim_files files = claim_files(e);
	struct tg_claim_pair claim = { 0 };
	int r = tg_claim_check_ca(e->config->enrolment.aws.ca, reterr);

	if (r < 0 || c->which != TG_CREDENTIAL_CLAIM)
		return r;
	r = tg_claim_load(e, &files, &claim, reterr);
	/* The operator has made the claim before sending the gateway out. */
	if (r == 0)
		(void) tg_wallclock_raise(&e->clock, TG_FLOOR_CERTIFICATE, claim.not_before,
					  tg_clock_boot_us());
	tg_claim_pair_done(&claim);
	return r;
}

static int fleet_open(struct tg_enrolment *e, const struct tg_credential *c,
		      struct tg_fault *reterr)
{
	tg_cleanup(tg_mqtt_once_closep) struct tg_mqtt_once *m = NULL;
	char topic[TG_AWS_TOPIC_MAX];
	int r = topic_of(e, topic, reterr);

	if (r == 0)
		r = check_files(e, c, reterr);
	if (r == 0)
		r = connect_session(e, c, &m, reterr);
	/* A clock that is years behind would take what comes next for something from the future. */
	if (r == 0)
		(void) tg_wallclock_raise(&e->clock, TG_FLOOR_PEER,
					  tg_mqtt_once_peer_not_before(m), tg_clock_boot_us());
	if (r == 0)
		r = tg_mqtt_once_prepare(m, TG_AWS_TOPIC_CREATE, in(CALL_US), reterr);
	if (r == 0)
		r = tg_mqtt_once_prepare(m, topic, in(CALL_US), reterr);
	if (r < 0)
		return r;
	e->session = tg_take(m);
	return 0;
}

/* The service's words are shown as they are, unless they repeat the secret that we sent. */
static const char *words_of(const struct tg_enrolment *e, const struct tg_aws_rejected *no)
{
	char begin[TOKEN_BEGIN + 1];

	/* A message that was cut may hold a part only: its beginning gives it away. */
	(void) snprintf(begin, sizeof(begin), "%.*s", TOKEN_BEGIN, e->journal.token);
	if (strlen(begin) == TOKEN_BEGIN && strstr(no->message, begin))
		return "(the message repeats the ownership token and is withheld)";
	return no->message[0] ? no->message : "(no message)";
}

static int rejected(struct tg_enrolment *e, const char *call, const struct tg_aws_rejected *no,
		    struct tg_fault *reterr)
{
	int r = tg_failure_refused(e, tg_aws_classify(no), no->status, no->code);

	return tg_fault_set(reterr, r, "%s refused: %d %s: %s", call, no->status,
			    no->code[0] ? no->code : "(no code)", words_of(e, no));
}

static int call(struct tg_enrolment *e, const char *topic, struct tg_buffer *request,
		struct tg_mqtt_reply *ret, struct tg_fault *reterr)
{
	int r = tg_buffer_error(request);

	if (r < 0)
		return tg_fault_set(reterr, r, "the request is longer than %u bytes",
				    TG_AWS_REQUEST_MAX);
	r = tg_mqtt_once_call(e->session, topic, request->data, request->len, in(CALL_US), ret,
			      reterr);
	explicit_bzero(request->data, request->len);
	return r;
}

static int fleet_issue(struct tg_enrolment *e, struct tg_fault *reterr)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer request = TG_BUFFER_INIT(TG_AWS_REQUEST_MAX);
	tg_cleanup(tg_mqtt_reply_done) struct tg_mqtt_reply reply = { 0 };
	tg_cleanup(tg_aws_created_done) struct tg_aws_created created = { 0 };
	struct tg_aws_rejected no;
	int r;

	tg_aws_create_request(e->csr_pem, &request);
	r = call(e, TG_AWS_TOPIC_CREATE, &request, &reply, reterr);
	if (r < 0)
		return r;
	if (!reply.accepted) {
		tg_aws_rejected_parse(reply.payload, reply.len, &no);
		return rejected(e, "CreateCertificateFromCsr", &no, reterr);
	}
	r = tg_aws_created_parse(reply.payload, reply.len, &created, reterr);
	if (r < 0)
		(void) tg_fault_prefix(reterr, "the answer to CreateCertificateFromCsr");
	if (r < 0)
		return r;
	memcpy(e->journal.token, created.token, sizeof(e->journal.token));
	memcpy(e->journal.certificate_id, created.certificate_id,
	       sizeof(e->journal.certificate_id));
	free(e->chain_pem);
	e->chain_pem = tg_take(created.certificate_pem);
	return 0;
}

/* The template's parameters with specifiers expanded; the serial number alone when none are
 * configured. */
static int add_parameters(struct tg_enrolment *e, struct tg_pair *out, size_t *ret_n,
			  struct tg_fault *reterr)
{
	static const struct tg_pair serial = { (char *) "SerialNumber", (char *) "%i" };
	const struct tg_pairs *configured = &e->config->enrolment.aws.parameters;
	const struct tg_pair *in = configured->n ? configured->items : &serial;
	size_t n = configured->n ? configured->n : 1;

	if (n > TG_CONFIG_PAIRS)
		return tg_fault_set(reterr, -EINVAL, "more than %d parameters", TG_CONFIG_PAIRS);
	for (size_t i = 0; i < n; i++) {
		char *value = calloc(1, VALUE_MAX);
		int r = value ? tg_specifiers_expand(&e->names, in[i].value, value, VALUE_MAX,
						     reterr)
			      : tg_fault_set(reterr, -ENOMEM, "out of memory");

		if (r < 0) {
			free(value);
			(void) tg_fault_prefix(reterr, "parameter.%s", in[i].name);
			return r;
		}
		out[i] = (struct tg_pair){ .name = in[i].name, .value = value };
		*ret_n = i + 1;
	}
	return 0;
}

static int register_request(struct tg_enrolment *e, struct tg_buffer *request,
			    struct tg_fault *reterr)
{
	struct tg_pair parameters[TG_CONFIG_PAIRS];
	size_t n = 0;
	int r = add_parameters(e, parameters, &n, reterr);

	if (r == 0)
		tg_aws_register_request(e->journal.token, parameters, n, request);
	while (n > 0)
		free(parameters[--n].value);
	return r;
}

static int fleet_enlist(struct tg_enrolment *e, struct tg_fault *reterr)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer request = TG_BUFFER_INIT(TG_AWS_REQUEST_MAX);
	tg_cleanup(tg_mqtt_reply_done) struct tg_mqtt_reply reply = { 0 };
	char topic[TG_AWS_TOPIC_MAX];
	struct tg_aws_rejected no;
	int r = topic_of(e, topic, reterr);

	if (r == 0)
		r = register_request(e, &request, reterr);
	if (r == 0)
		r = call(e, topic, &request, &reply, reterr);
	if (r < 0)
		return r;
	if (!reply.accepted) {
		tg_aws_rejected_parse(reply.payload, reply.len, &no);
		r = rejected(e, "RegisterThing", &no, reterr);
		return tg_aws_is_token_gone(&no) ? TG_METHOD_STALE : r;
	}
	r = tg_aws_registered_parse(reply.payload, reply.len, e->journal.thing, reterr);
	if (r < 0)
		(void) tg_fault_prefix(reterr, "the answer to RegisterThing");
	return r;
}

static void fleet_close(struct tg_enrolment *e)
{
	e->session = tg_mqtt_once_close(e->session);
}

const struct tg_method tg_method_aws_fleet = {
	.name = "aws-fleet",
	.id = TG_ENROL_AWS_FLEET,
	.token_life_s = 3600,
	.endpoint = endpoint,
	.check = check_tpm,
	.open = fleet_open,
	.issue = fleet_issue,
	.enlist = fleet_enlist,
	.close = fleet_close,
};
