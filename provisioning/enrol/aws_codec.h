/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buffer.h"
#include "config/config.h"
#include "identity/journal.h"

/*
 * The JSON of AWS IoT fleet provisioning by claim: CreateCertificateFromCsr and RegisterThing.
 *
 * Pure: bytes in, values out. Everything that comes from the service is bounded, typed and checked
 * here before any other code sees it; members that are not known are ignored.
 */
#define TG_AWS_REPLY_MAX   (128u * 1024) /* the service's own bound of a payload */
#define TG_AWS_REQUEST_MAX (128u * 1024)
#define TG_AWS_TOPIC_MAX   160 /* a template's name has at most 36 characters */

#define TG_AWS_TOPIC_CREATE "$aws/certificates/create-from-csr/json"

/* "$aws/provisioning-templates/NAME/provision/json" to @out: 0, or -EINVAL when @name is no
 * template's name. */
int tg_aws_register_topic(const char *name, char out[static TG_AWS_TOPIC_MAX],
			  struct tg_fault *reterr) TG_CHECKED;

/* Append a request; the buffer keeps its own errors. The second one contains the token. */
void tg_aws_create_request(const char *csr_pem, struct tg_buffer *out);
void tg_aws_register_request(const char *token, const struct tg_pair *parameters, size_t n,
			     struct tg_buffer *out);

struct tg_aws_created {
	char token[sizeof(((struct tg_journal *) 0)->token)]; /* secret */
	char certificate_id[65];                              /* hex */
	char *certificate_pem;                                /* owned; not looked into */
};
/* Clears the token. */
void tg_aws_created_done(struct tg_aws_created *c);
/* 0, -EFBIG, -EBADMSG (the text names the member, never a value), -ENOMEM. */
int tg_aws_created_parse(const void *payload, size_t len, struct tg_aws_created *ret,
			 struct tg_fault *reterr) TG_CHECKED;

/* The answer to RegisterThing: "" when it names no thing, which some templates do not make. */
int tg_aws_registered_parse(const void *payload, size_t len, char ret_thing[static 129],
			    struct tg_fault *reterr) TG_CHECKED;

/* What the service says when it refuses. Whatever is missing or wrong is 0 or "". */
struct tg_aws_rejected {
	int status;
	char code[64], message[256]; /* verbatim, printable, cut */
};
void tg_aws_rejected_parse(const void *payload, size_t len, struct tg_aws_rejected *ret);

/* Whether trying again may help, or an operator must act first. */
enum tg_enrol_class tg_aws_classify(const struct tg_aws_rejected *r);
/* Whether it is the token that is refused: expired, or used already. */
bool tg_aws_is_token_gone(const struct tg_aws_rejected *r);
