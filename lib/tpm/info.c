/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/job.h"

#include <errno.h>
#include <string.h>

struct info_job {
	struct tg_tpm_job base;
	struct tg_tpm_info info;
};

/* A TPM says such texts in numbers of four bytes, the first character highest. */
static void put_chars(char *out, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++) {
		unsigned char ch = (unsigned char) (v >> (24 - 8 * i));

		out[i] = (char) (ch > ' ' && ch < 0x7f ? ch : '\0');
	}
}

static void take_property(struct tg_tpm_info *info, TPM2_PT property, uint32_t v)
{
	switch (property) {
	case TPM2_PT_MANUFACTURER:
		put_chars(info->manufacturer, v);
		break;
	case TPM2_PT_VENDOR_STRING_1:
	case TPM2_PT_VENDOR_STRING_2:
	case TPM2_PT_VENDOR_STRING_3:
	case TPM2_PT_VENDOR_STRING_4:
		put_chars(&info->vendor[4 * (size_t) (property - TPM2_PT_VENDOR_STRING_1)], v);
		break;
	case TPM2_PT_FIRMWARE_VERSION_1:
		info->firmware[0] = v;
		break;
	case TPM2_PT_FIRMWARE_VERSION_2:
		info->firmware[1] = v;
		break;
	case TPM2_PT_PERMANENT:
		info->in_lockout = v & TPMA_PERMANENT_INLOCKOUT;
		break;
	case TPM2_PT_HR_TRANSIENT_AVAIL:
		info->transient_free = v;
		break;
	case TPM2_PT_LOCKOUT_COUNTER:
		info->lockout_counter = v;
		break;
	case TPM2_PT_MAX_AUTH_FAIL:
		info->lockout_max = v;
		break;
	case TPM2_PT_LOCKOUT_INTERVAL:
		/* Until one failure is forgotten; LOCKOUT_RECOVERY is about the lockout
		 * authorisation itself. */
		info->lockout_recovery_s = v;
		break;
	default: /* a TPM has dozens more */
		break;
	}
}

static int read_properties(struct tg_tpm_conn *c, TPM2_PT first, struct tg_tpm_info *info,
			   struct tg_fault *reterr)
{
	tg_autoesys TPMS_CAPABILITY_DATA *cap = NULL;
	const TPML_TAGGED_TPM_PROPERTY *list;
	TPMI_YES_NO more;
	TSS2_RC rc;

	rc = TG_TPM_TRY(c, Esys_GetCapability(c->esys, TG_TPM_NONE, TG_TPM_NONE, TG_TPM_NONE,
					      TPM2_CAP_TPM_PROPERTIES, first,
					      TPM2_MAX_TPM_PROPERTIES, &more, &cap));
	if (rc)
		return tg_tpm_rc_fault(rc, "TPM properties", reterr);
	list = &cap->data.tpmProperties;
	for (uint32_t i = 0; i < list->count && i < TPM2_MAX_TPM_PROPERTIES; i++)
		take_property(info, list->tpmProperty[i].property, list->tpmProperty[i].value);
	return 0;
}

static int run_info(struct tg_tpm_conn *c, struct tg_tpm_job *base, struct tg_fault *reterr)
{
	struct info_job *job = (struct info_job *) base;
	int r;

	memset(&job->info, 0, sizeof(job->info));
	r = read_properties(c, TPM2_PT_FIXED, &job->info, reterr);
	if (r < 0)
		return r;
	return read_properties(c, TPM2_PT_VAR, &job->info, reterr);
}

static void free_job(struct tg_tpm_job *base)
{
	free(base);
}

int tg_tpm_info(struct tg_tpm *t, struct tg_tpm_info *ret, struct tg_fault *reterr)
{
	struct info_job *job = tg_tpm_job_new(sizeof(*job), run_info, free_job);
	int r;

	if (!job)
		return tg_fault_set(reterr, -ENOMEM, "TPM: out of memory");
	r = tg_tpm_job_run(t, &job->base, reterr);
	if (r == 0)
		*ret = job->info;
	tg_tpm_job_unref(t, &job->base);
	return r;
}
