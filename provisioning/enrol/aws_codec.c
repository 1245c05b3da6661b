/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrol/aws_codec.h"

#include "json/json.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#define TEMPLATE_NAME_MAX 36
#define CERTIFICATE_MAX   (64u * 1024)

int tg_aws_register_topic(const char *name, char out[static TG_AWS_TOPIC_MAX],
			  struct tg_fault *reterr)
{
	static const char allowed[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz_-";
	size_t len = strlen(name);

	if (len == 0 || len > TEMPLATE_NAME_MAX || strspn(name, allowed) != len)
		return tg_fault_set(reterr, -EINVAL,
				    "template '%.64s': a name has 1 to %d letters, digits, _ and -",
				    name, TEMPLATE_NAME_MAX);
	(void) snprintf(out, TG_AWS_TOPIC_MAX, "$aws/provisioning-templates/%s/provision/json",
			name);
	return 0;
}

void tg_aws_create_request(const char *csr_pem, struct tg_buffer *out)
{
	tg_buffer_adds(out, "{\"certificateSigningRequest\":");
	tg_buffer_add_json(out, csr_pem);
	tg_buffer_addc(out, '}');
}

void tg_aws_register_request(const char *token, const struct tg_pair *parameters, size_t n,
			     struct tg_buffer *out)
{
	tg_buffer_adds(out, "{\"certificateOwnershipToken\":");
	tg_buffer_add_json(out, token);
	tg_buffer_adds(out, ",\"parameters\":{");
	for (size_t i = 0; i < n; i++) {
		if (i)
			tg_buffer_addc(out, ',');
		tg_buffer_add_json(out, parameters[i].name);
		tg_buffer_addc(out, ':');
		tg_buffer_add_json(out, parameters[i].value);
	}
	tg_buffer_adds(out, "}}");
}

void tg_aws_created_done(struct tg_aws_created *c)
{
	explicit_bzero(c->token, sizeof(c->token));
	free(c->certificate_pem);
	c->certificate_pem = NULL;
}

/* In an answer a missing member is as bad as a wrong one. */
static int required(int r)
{
	return r == -ENOENT ? -EBADMSG : r;
}

static bool is_hex(const char *s)
{
	return *s && s[strspn(s, "0123456789abcdefABCDEF")] == '\0';
}

static int parse_created(const struct json_t *doc, struct tg_aws_created *c,
			 struct tg_fault *reterr)
{
	int r = tg_json_text(doc, "certificateOwnershipToken", c->token, sizeof(c->token), reterr);

	if (r == 0)
		r = tg_json_text(doc, "certificateId", c->certificate_id, sizeof(c->certificate_id),
				 reterr);
	if (r == 0)
		r = tg_json_lines(doc, "certificatePem", CERTIFICATE_MAX, &c->certificate_pem,
				  reterr);
	if (r < 0)
		return required(r);
	if (!c->token[0])
		return tg_fault_set(reterr, -EBADMSG, "\"certificateOwnershipToken\" is empty");
	if (!is_hex(c->certificate_id))
		return tg_fault_set(reterr, -EBADMSG, "\"certificateId\" is not hexadecimal");
	return 0;
}

int tg_aws_created_parse(const void *payload, size_t len, struct tg_aws_created *ret,
			 struct tg_fault *reterr)
{
	tg_cleanup(tg_json_freep) struct json_t *doc = NULL;
	tg_cleanup(tg_aws_created_done) struct tg_aws_created c = { 0 };
	int r = tg_json_object(payload, len, TG_AWS_REPLY_MAX, &doc, reterr);

	if (r == 0)
		r = parse_created(doc, &c, reterr);
	if (r < 0)
		return r;
	*ret = c;
	c.certificate_pem = NULL;
	return 0;
}

int tg_aws_registered_parse(const void *payload, size_t len, char ret_thing[static 129],
			    struct tg_fault *reterr)
{
	tg_cleanup(tg_json_freep) struct json_t *doc = NULL;
	char thing[129] = "";
	int r = tg_json_object(payload, len, TG_AWS_REPLY_MAX, &doc, reterr);

	if (r == 0)
		r = tg_json_text(doc, "thingName", thing, sizeof(thing), reterr);
	if (r < 0 && r != -ENOENT)
		return r;
	/* It becomes part of topics and client ids. */
	if (strpbrk(thing, "/+#"))
		return tg_fault_set(reterr, -EBADMSG, "\"thingName\" has one of / + #");
	memcpy(ret_thing, thing, sizeof(thing));
	return 0;
}

void tg_aws_rejected_parse(const void *payload, size_t len, struct tg_aws_rejected *ret)
{
	tg_cleanup(tg_json_freep) struct json_t *doc = NULL;
	int64_t status = 0;

	*ret = (struct tg_aws_rejected){ 0 };
	if (tg_json_object(payload, len, TG_AWS_REPLY_MAX, &doc, NULL) < 0)
		return;
	if (tg_json_int(doc, "statusCode", 0, INT_MAX, &status, NULL) == 0)
		ret->status = (int) status;
	(void) tg_json_printable(doc, "errorCode", ret->code, sizeof(ret->code));
	(void) tg_json_printable(doc, "errorMessage", ret->message, sizeof(ret->message));
}

enum tg_enrol_class tg_aws_classify(const struct tg_aws_rejected *r)
{
	/* There is no list of codes for these calls; that throttling may come as 400 is documented
	 * for their REST siblings. */
	if (r->status == 429 || r->status >= 500 || strncasecmp(r->code, "Throttl", 7) == 0)
		return TG_ENROL_RETRY;
	if (r->status >= 400)
		return TG_ENROL_REFUSED;
	return TG_ENROL_BAD_ANSWER;
}

bool tg_aws_is_token_gone(const struct tg_aws_rejected *r)
{
	return r->status == 400 && strstr(r->code, "OwnershipToken");
}
