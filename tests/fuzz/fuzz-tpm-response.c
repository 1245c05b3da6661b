/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/conn.h"
#include "tpm/primary.h"

#include <tss2/tss2_tcti.h>

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * A TPM whose answers are the input: each two bytes of length, then so many bytes of answer. An interposer on the
 * bus can send all of these.
 */
struct liar {
	TSS2_TCTI_CONTEXT_COMMON_V1 common; /* first: it is cast to */
	const uint8_t *data;
	size_t left;
};

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *ctx, size_t size, const uint8_t *command)
{
	(void) ctx;
	(void) size;
	(void) command;
	return TSS2_RC_SUCCESS;
}

static TSS2_RC receive(TSS2_TCTI_CONTEXT *ctx, size_t *size, uint8_t *answer, int32_t timeout)
{
	struct liar *l = (struct liar *) ctx;
	size_t len;

	(void) timeout;
	if (l->left < 2)
		return TSS2_TCTI_RC_IO_ERROR;
	len = (size_t) l->data[0] << 8 | l->data[1];
	if (len > l->left - 2)
		len = l->left - 2;
	if (!answer) {
		*size = len;
		return TSS2_RC_SUCCESS;
	}
	if (len > *size)
		return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
	memcpy(answer, l->data + 2, len);
	*size = len;
	l->data += 2 + len;
	l->left -= 2 + len;
	return TSS2_RC_SUCCESS;
}

static void no_finalize(TSS2_TCTI_CONTEXT *ctx)
{
	(void) ctx;
}

static const TPM2B_PUBLIC ek_like = { .publicArea = { .type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA256 } };

/* What every job is made of. All may fail; none may crash, or take an answer beyond its end. */
static void use(struct tg_tpm_conn *c)
{
	static const struct tg_tpm_blob blob = { .parent = 0x81000001 };
	TPM2B_PUBLIC *pub = NULL;
	TPML_HANDLE list;
	ESYS_TR tr = ESYS_TR_NONE;

	(void) !tg_tpm_srk_check(c, 0x81000001, NULL);
	if (c->leftovers.n > 0)
		(void) !tg_tpm_conn_ready(c, NULL);
	if (tg_tpm_conn_load(c, &blob, &tr, NULL) == 0)
		tg_tpm_conn_flush(c, tr);
	(void) tg_tpm_conn_transients(c, &list);
	tr = ESYS_TR_NONE;
	if (tg_tpm_srk_create(c, ESYS_TR_PASSWORD, &tr, NULL) == 0)
		tg_tpm_conn_flush(c, tr);
	tr = ESYS_TR_NONE;
	if (tg_tpm_ek_create(c, &tr, &pub, NULL) == 0) {
		Esys_Free(pub);
		tg_tpm_conn_flush(c, tr);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct liar l = {
		.common = { .version = 1,
			    .magic = 0x7464676174650000,
			    .transmit = transmit,
			    .receive = receive,
			    .finalize = no_finalize },
		.data = data,
		.left = size,
	};
	struct tg_tpm_conn c;

	tg_tpm_conn_init(&c, "liar");
	/* As if an earlier job had ended badly: what is listed is read and compared. */
	tg_tpm_leftover_primary(&c.leftovers, &ek_like);
	if (Esys_Initialize(&c.esys, (TSS2_TCTI_CONTEXT *) &l, NULL))
		return 0;
	/* The deadline has passed: nothing is repeated. */
	use(&c);
	tg_tpm_conn_close(&c);
	return 0;
}
