/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/integration/tpm-proxy.h"

#include "base/parse.h"

#include <tidegate/cleanup.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/*
 * The proxy as a program, for tests that are not in C:
 *
 *	tpm-proxy DIR
 *
 * DIR has the sockets of the software TPM, `s` and `s.ctrl`, and gets those of the proxy, `p` and `p.ctrl`. One command
 * a line on standard input, one answer a line; it ends with its input.
 *
 *	order TROUBLE COMMAND CODE TIMES	(numbers in decimal) -> ok
 *	seen COMMAND				-> a number
 */
#define WORDS 5

static const char *const names[] = {
	[TPM_TROUBLE_NONE] = "none",         [TPM_TROUBLE_CODE] = "code",
	[TPM_TROUBLE_TRUNCATE] = "truncate", [TPM_TROUBLE_CLOSE] = "close",
	[TPM_TROUBLE_GARBAGE] = "garbage",   [TPM_TROUBLE_BAD_SIZE] = "bad-size",
	[TPM_TROUBLE_SHORT] = "short",       [TPM_TROUBLE_HANG] = "hang",
	[TPM_TROUBLE_FLIP_LAST] = "flip",
};

static bool number(const char *word, uint32_t *ret)
{
	uint64_t v;

	if (!word || tg_parse_u64(word, &v) < 0 || v > UINT32_MAX)
		return false;
	*ret = (uint32_t) v;
	return true;
}

static bool order(struct tpm_proxy *p, char *const words[static WORDS])
{
	uint32_t command, code, times;

	if (!words[1] || !number(words[2], &command) || !number(words[3], &code) ||
	    !number(words[4], &times))
		return false;
	for (size_t i = 0; i < TG_ARRAY_SIZE(names); i++) {
		if (strcmp(names[i], words[1]) != 0)
			continue;
		tpm_proxy_order(p, (enum tpm_trouble) i, command, code, times);
		return true;
	}
	return false;
}

static void obey(struct tpm_proxy *p, char *line)
{
	char *words[WORDS] = { NULL }, *rest = NULL;
	uint32_t command;
	size_t n = 0;

	for (char *w = strtok_r(line, " \n", &rest); w && n < WORDS;
	     w = strtok_r(NULL, " \n", &rest))
		words[n++] = w;
	if (words[0] && strcmp(words[0], "order") == 0 && order(p, words))
		(void) puts("ok");
	else if (words[0] && strcmp(words[0], "seen") == 0 && number(words[1], &command))
		(void) printf("%u\n", tpm_proxy_seen(p, command));
	else
		(void) puts("error");
	(void) fflush(stdout);
}

int main(int argc, char **argv)
{
	struct swtpm s = { .pid = 0 };
	struct tpm_proxy *p;
	char line[256];

	if (argc != 2 || strlen(argv[1]) >= sizeof(s.dir)) {
		(void) fputs("usage: tpm-proxy DIR\n", stderr);
		return 2;
	}
	(void) snprintf(s.dir, sizeof(s.dir), "%s", argv[1]);
	p = tpm_proxy_new(&s);
	(void) printf("%s\n", tpm_proxy_tcti(p));
	(void) fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		obey(p, line);
	tpm_proxy_free(p);
	return 0;
}
