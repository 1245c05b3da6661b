/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/outcome.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What parses prints to something that parses to the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(TG_OUTCOME_MAX);
	struct tg_outcome o = { .time = 0 }, again = { .time = 0 };

	if (tg_outcome_parse((const char *) data, len, &o, NULL) < 0)
		return 0;
	tg_outcome_print(&o, &text);
	if (tg_buffer_error(&text) < 0 ||
	    tg_outcome_parse(text.data, text.len, &again, NULL) < 0 || o.state != again.state ||
	    o.time != again.time || strcmp(o.reason, again.reason) != 0)
		__builtin_trap();
	return 0;
}
