/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/integration/swtpm.h"

#include <stdint.h>

/*
 * Stands between a program and its software TPM and spoils answers on order:
 * the busy TPM, the noisy bus, the interposer that lies. Two threads of its
 * own; set what happens from any thread, before the command is sent.
 */
struct tpm_proxy;

enum tpm_trouble {
	TPM_TROUBLE_NONE,
	TPM_TROUBLE_CODE,      /* answer `code`; the TPM does not see the command */
	TPM_TROUBLE_TRUNCATE,  /* half of the answer, then the connection closes */
	TPM_TROUBLE_CLOSE,     /* the TPM works, its answer is lost */
	TPM_TROUBLE_GARBAGE,   /* the right length and a good header, noise behind it */
	TPM_TROUBLE_BAD_SIZE,  /* the header announces 4 GiB */
	TPM_TROUBLE_SHORT,     /* a header that says success, and nothing behind it */
	TPM_TROUBLE_HANG,      /* the TPM works, its answer never comes; other connections go on */
	TPM_TROUBLE_FLIP_LAST, /* one bit near the end of the parameters: for Sign, in the signature */
};

struct tpm_proxy *tpm_proxy_new(const struct swtpm *s);
/* Accepts NULL. */
void tpm_proxy_free(struct tpm_proxy *p);
/* Where to reach the TPM through the proxy. Valid as long as @p. */
const char *tpm_proxy_tcti(const struct tpm_proxy *p);
/* The next @times commands @command (TPM_CC; 0: any) meet @trouble. Replaces what was ordered before. */
void tpm_proxy_order(struct tpm_proxy *p, enum tpm_trouble trouble, uint32_t command, uint32_t code, unsigned times);
/* Commands of this kind seen so far (0: any). */
unsigned tpm_proxy_seen(struct tpm_proxy *p, uint32_t command);
/* Sets the text to listen for, at most 63 characters, and forgets the count. */
void tpm_proxy_listen_for(struct tpm_proxy *p, const char *text);
/* How many commands since had that text somewhere inside: what a listener on the bus would have read. */
unsigned tpm_proxy_overheard(struct tpm_proxy *p);
