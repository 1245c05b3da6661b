/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrol/method.h"

#include <errno.h>

static const struct tg_method *const methods[] = {
	&tg_method_aws_fleet,
	&tg_method_est,
	&tg_method_manual,
};

const struct tg_method *tg_method_get(enum tg_enrol_method id, struct tg_fault *reterr)
{
	for (size_t i = 0; i < TG_ARRAY_SIZE(methods); i++)
		if (methods[i]->id == id)
			return methods[i];
	(void) tg_fault_set(reterr, -EOPNOTSUPP,
			    "[enrolment] method = none: nothing to enrol with");
	return NULL;
}
