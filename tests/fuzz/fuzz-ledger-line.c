/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command/ledger_line.h"

#include "base/crc32c.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Under a right checksum: what parses prints to a line that parses. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(TG_LEDGER_LINE_MAX);
	struct tg_ledger_line line, again;
	char text[TG_LEDGER_LINE_MAX + 16];

	if (len > TG_LEDGER_LINE_MAX)
		return 0;
	(void) snprintf(text, sizeof(text), "%08x ", tg_crc32c(0, data, len));
	memcpy(text + 9, data, len);
	if (tg_ledger_line_parse(text, len + 9, &line) < 0)
		return 0;
	tg_ledger_line_add(&b, &line);
	if (tg_buffer_error(&b) < 0 || tg_ledger_line_parse(b.data, b.len - 1, &again) < 0 ||
	    strcmp(line.r.id, again.r.id) != 0 || line.step != again.step)
		__builtin_trap();
	return 0;
}
