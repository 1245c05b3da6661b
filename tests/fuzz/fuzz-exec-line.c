/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/exec/line.h"
#include "config/bus/exec_command.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct tg_exec_words words;
	struct tg_exec_line line;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	if (tg_exec_words_split(text, &words, NULL) == 0)
		assert(words.n >= 1 && words.n <= TG_EXEC_WORDS && words.words[0][0] == '/' &&
		       !words.words[words.n]);
	tg_exec_words_done(&words);

	if (tg_exec_line_parse(text, &line, NULL) > 0) {
		assert(*line.name && strlen(line.name) <= TG_NAME_MAX);
		assert((line.value.type == TG_VALUE_NONE) == (*line.reason != '\0'));
		assert(line.value.type != TG_VALUE_REAL || isfinite(line.value.real));
		assert(line.value.type != TG_VALUE_TEXT || strlen(line.value.text) <= size);
	}
	free(text);
	return 0;
}
