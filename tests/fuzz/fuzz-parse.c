/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

#include "base/buffer.h"

#include <tidegate/error.h>

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every value parser on the same text, and the printers on what came out. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(1 << 20);
	char text[256], out[32];
	uint64_t u;
	int64_t i;
	double d;
	bool yes;

	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	(void) !tg_parse_bool(text, &yes);
	(void) !tg_parse_u64(text, &u);
	(void) !tg_parse_i64(text, &i);
	(void) !tg_parse_duration(text, &u);
	(void) !tg_parse_size(text, &u);
	(void) !tg_parse_percent(text, &d);
	(void) tg_parse_distance(text, "endpoint", 3);
	if (tg_parse_real(text, &d) == 0) {
		tg_buffer_add_real(&b, d);
		assert(strtod(tg_buffer_text(&b), NULL) == d);
	}
	tg_buffer_add_json(&b, text);
	assert(strlen(tg_printable(out, sizeof(out), data, size)) < sizeof(out));
	return 0;
}
