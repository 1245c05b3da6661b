/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrol/est_codec.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Header lines of a server, as text: when to ask again, and what it says the answer is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const enum tg_enrol_class classes[] = { TG_ENROL_PENDING, TG_ENROL_RETRY,
						       TG_ENROL_REFUSED };
	tg_autofree char *text = strndup((const char *) data, len);
	const int64_t now = 1800000000;

	if (!text)
		return 0;
	(void) tg_est_is_certificates(text);
	for (size_t i = 0; i < TG_ARRAY_SIZE(classes); i++) {
		int64_t at = tg_est_retry_at(classes[i], text, 0, now);

		if (at ? at < now + TG_EST_WAIT_MIN_S || at > now + TG_EST_WAIT_MAX_S
		       : classes[i] == TG_ENROL_PENDING)
			__builtin_trap();
	}
	return 0;
}
