/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/manifest.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What parses prints to something that parses to the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(TG_MANIFEST_MAX);
	struct tg_manifest m = { 0 }, again = { 0 };
	char digest[TG_DIGEST_HEX], digest2[TG_DIGEST_HEX];
	struct tg_fault fault;

	if (tg_manifest_parse((const char *) data, len, &m, digest, &fault) < 0)
		return 0;
	tg_manifest_write(&m, digest, &text);
	if (tg_buffer_error(&text) < 0 ||
	    tg_manifest_parse(text.data, text.len, &again, digest2, &fault) < 0 ||
	    strcmp(m.subject, again.subject) != 0 || m.not_after != again.not_after)
		__builtin_trap();
	return 0;
}
