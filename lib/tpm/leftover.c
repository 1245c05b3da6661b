/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/leftover.h"

#include <tss2/tss2_mu.h>

#include <stdint.h>
#include <string.h>

static bool same_name(const TPM2B_NAME *a, const TPM2B_NAME *b)
{
	return a->size == b->size && memcmp(a->name, b->name, a->size) == 0;
}

bool tg_tpm_from_template(const TPM2B_PUBLIC *pub, const TPM2B_PUBLIC *template)
{
	uint8_t want[sizeof(TPMT_PUBLIC)], have[sizeof(TPMT_PUBLIC)];
	size_t want_len = 0, have_len = 0;
	TPMT_PUBLIC area = pub->publicArea;

	if (area.type != TPM2_ALG_ECC)
		return false;
	area.unique = template->publicArea.unique;
	return Tss2_MU_TPMT_PUBLIC_Marshal(&area, have, sizeof(have), &have_len) == 0 &&
	       Tss2_MU_TPMT_PUBLIC_Marshal(&template->publicArea, want, sizeof(want), &want_len) ==
		       0 &&
	       have_len == want_len && memcmp(have, want, want_len) == 0;
}

void tg_tpm_leftover_name(struct tg_tpm_leftovers *l, const TPM2B_NAME *name)
{
	for (unsigned i = 0; i < l->n; i++)
		if (same_name(&l->items[i].name, name))
			return;
	if (name->size > 0 && l->n < TG_TPM_LEFTOVERS)
		l->items[l->n++] = (struct tg_tpm_leftover){ .name = *name };
}

void tg_tpm_leftover_primary(struct tg_tpm_leftovers *l, const TPM2B_PUBLIC *template)
{
	if (l->n < TG_TPM_LEFTOVERS)
		l->items[l->n++] = (struct tg_tpm_leftover){ .template = template };
}

bool tg_tpm_leftover_is(struct tg_tpm_leftovers *l, const TPM2B_NAME *name, const TPM2B_PUBLIC *pub)
{
	for (unsigned i = 0; i < l->n; i++) {
		struct tg_tpm_leftover *o = &l->items[i];

		if (!o->template && same_name(&o->name, name))
			return true;
		if (o->template && tg_tpm_from_template(pub, o->template)) {
			*o = l->items[--l->n];
			return true;
		}
	}
	return false;
}
