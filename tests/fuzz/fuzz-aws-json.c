/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrol/aws_codec.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* All three answers are read from the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tg_aws_created c = { 0 };
	struct tg_aws_rejected r;
	struct tg_fault fault;
	char thing[129];

	if (tg_aws_created_parse(data, len, &c, &fault) == 0) {
		if (!c.token[0] || strlen(c.certificate_id) > 64)
			__builtin_trap();
		tg_aws_created_done(&c);
	}
	if (tg_aws_registered_parse(data, len, thing, &fault) == 0 && strpbrk(thing, "/+#\n"))
		__builtin_trap();
	tg_aws_rejected_parse(data, len, &r);
	if (tg_aws_classify(&r) == TG_ENROL_OK)
		__builtin_trap();
	return 0;
}
