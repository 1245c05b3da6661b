/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/journal_text.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What parses prints to something that parses to the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(TG_JOURNAL_MAX);
	struct tg_journal j = { 0 }, again = { 0 };
	struct tg_fault fault;

	if (tg_journal_parse((const char *) data, len, &j, &fault) < 0)
		return 0;
	tg_journal_print(&j, &text);
	if (tg_buffer_error(&text) < 0 ||
	    tg_journal_parse(text.data, text.len, &again, &fault) < 0 || j.step != again.step ||
	    j.kind != again.kind || j.credential != again.credential || j.base != again.base ||
	    j.pending != again.pending ||
	    j.error_class != again.error_class ||
	    (j.error_class != TG_ENROL_OK && (j.retry_at != again.retry_at ||
					       j.retry_after_s != again.retry_after_s)) ||
	    strcmp(j.token, again.token) != 0)
		__builtin_trap();
	return 0;
}
