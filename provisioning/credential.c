/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/credential.h"

#include "provisioning/enrol/method.h"
#include "provisioning/enrolment.h"
#include "provisioning/step_key.h"

#include <errno.h>

static int make_client_id(struct tg_enrolment *e, struct tg_credential *c, struct tg_fault *reterr)
{
	const char *name = e->order.own_client_id ? e->config->mqtt.client_id
						  : e->config->enrolment.aws.rotation_client_id;
	int r = tg_specifiers_expand(&e->names, name, c->client_id, sizeof(c->client_id), reterr);

	c->own_client_id = e->order.own_client_id;
	if (r < 0)
		(void) tg_fault_prefix(reterr, e->order.own_client_id ? "[mqtt] client-id"
								      : "rotation-client-id");
	return r;
}

static int make_current(struct tg_enrolment *e, struct tg_credential *c, struct tg_fault *reterr)
{
	tg_autofree char *pem = NULL;
	int r = tg_generation_path(e->state_dir, TG_SLOT_CURRENT, TG_FILE_BUNDLE, c->bundle_file,
				   sizeof(c->bundle_file));

	if (r < 0)
		return tg_fault_set(reterr, r, "the current generation has no bundle");
	r = tg_generation_text(e->state_dir, TG_SLOT_CURRENT, TG_FILE_KEY, &pem, reterr);
	if (r == 0)
		r = tg_step_key_check(e, pem, reterr);
	if (r < 0)
		(void) tg_fault_prefix(reterr, "the key of generation %u cannot be used", e->base);
	/* Nothing was asked of the service yet: a bad file here is no bad answer. */
	if (r == -EBADMSG)
		r = -EINVAL;
	return r < 0 ? r : make_client_id(e, c, reterr);
}

int tg_credential_check(struct tg_enrolment *e, struct tg_fault *reterr)
{
	e->credential.which = e->order.credential;
	switch (e->order.credential) {
	case TG_CREDENTIAL_CURRENT:
		return make_current(e, &e->credential, reterr);
	case TG_CREDENTIAL_CLAIM:
	case TG_CREDENTIAL_COUNT_:
		break;
	}
	return e->method->check ? e->method->check(e, reterr) : 0;
}

int tg_credential_open(struct tg_enrolment *e, struct tg_fault *reterr)
{
	if (e->session)
		return 0;
	if (e->credential.error < 0) {
		*reterr = e->credential.fault;
		return e->credential.error;
	}
	return e->method->open(e, &e->credential, reterr);
}
