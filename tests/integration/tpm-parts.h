/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What tests of lib/tpm begin with: a connection, a storage root key, a key under it. For one source file of a program. */
#include "base/clock.h"
#include "tests/integration/swtpm.h"
#include "tpm/tpm.h"

#include <string.h>

#define SRK TG_TPM_SRK_DEFAULT

static void must(int r, const struct tg_fault *f)
{
	if (r < 0)
		fail_msg("%d: %s", r, f->text);
}

static struct tg_tpm *open_tpm(const char *tcti, uint64_t timeout_us)
{
	const struct tg_tpm_options o = { .tcti = tcti, .timeout_us = timeout_us };
	struct tg_tpm *t = NULL;

	assert_int_equal(tg_tpm_new(&o, &t, NULL), 0);
	return t;
}

static struct tg_tpm_key *make_key(struct tg_tpm *t)
{
	tg_autofree char *pem = NULL;
	struct tg_tpm_key *key = NULL;
	struct tg_fault f;

	must(tg_tpm_ensure_srk(t, SRK, &f), &f);
	must(tg_tpm_create_key(t, SRK, &pem, &f), &f);
	must(tg_tpm_key_from_pem(pem, strlen(pem), &key, &f), &f);
	return key;
}
