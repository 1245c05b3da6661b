/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/rc.h"

#include <tss2/tss2_common.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tpm2_types.h>

#include <errno.h>

/*
 * Format-one codes name the handle, session or parameter they complain about
 * in bits that say nothing about the kind of failure; format zero has none.
 */
static uint32_t code_of(uint32_t rc)
{
	rc &= 0xffff;
	return rc & TPM2_RC_FMT1 ? rc & (TPM2_RC_FMT1 | 0x3f) : rc;
}

static bool from_tpm(uint32_t rc)
{
	uint32_t layer = rc & TSS2_RC_LAYER_MASK;

	return layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_RC_LAYER ||
	       layer == TSS2_RESMGR_TPM_RC_LAYER;
}

/* What an operator can act on; everything else is -EIO with the library's words. */
static const struct rc_meaning {
	uint32_t code;
	int error;
	const char *text;
} meanings[] = {
	{ TPM2_RC_INTEGRITY, -ESTALE,
	  "the key was made by another TPM, or before this TPM was cleared; enrol again" },
	{ TPM2_RC_HANDLE, -ESTALE,
	  "no storage root key at this handle: the TPM is new, cleared or replaced; enrol again" },
	{ TPM2_RC_AUTH_FAIL, -EACCES, "wrong authorisation value; set [tpm] owner-auth-file" },
	{ TPM2_RC_BAD_AUTH, -EACCES, "wrong authorisation value; set [tpm] owner-auth-file" },
	{ TPM2_RC_AUTH_MISSING, -EACCES, "authorisation value missing; set [tpm] owner-auth-file" },
	{ TPM2_RC_AUTH_UNAVAILABLE, -EACCES, "the key has no private part that could be used" },
	{ TPM2_RC_LOCKOUT, -EKEYREJECTED,
	  "the TPM is locked after too many failed authorisations; it unlocks by itself, or with "
	  "tpm2_dictionarylockout -c" },
	{ TPM2_RC_OBJECT_MEMORY, -ENOSPC,
	  "no room for another key: other programs keep keys loaded; use device:/dev/tpmrm0" },
	{ TPM2_RC_OBJECT_HANDLES, -ENOSPC,
	  "no handle left for another key: other programs keep keys loaded; use "
	  "device:/dev/tpmrm0" },
	{ TPM2_RC_SESSION_MEMORY, -ENOSPC,
	  "no room for another session: other programs keep sessions; use device:/dev/tpmrm0" },
	{ TPM2_RC_SESSION_HANDLES, -ENOSPC,
	  "no handle left for another session: other programs keep sessions; use "
	  "device:/dev/tpmrm0" },
	{ TPM2_RC_MEMORY, -ENOSPC,
	  "out of memory in the TPM; flush what other programs keep loaded" },
	{ TPM2_RC_NV_SPACE, -ENOSPC,
	  "no room for another persistent key; evict one that is not needed (tpm2_evictcontrol)" },
	{ TPM2_RC_RETRY, -EBUSY, "the TPM was busy until the time-out; tried again later" },
	{ TPM2_RC_YIELDED, -EBUSY, "the TPM was busy until the time-out; tried again later" },
	{ TPM2_RC_TESTING, -EBUSY,
	  "the TPM was testing itself until the time-out; tried again later" },
	{ TPM2_RC_NV_RATE, -EBUSY, "the TPM limits writes to its memory; tried again later" },
	{ TPM2_RC_NV_UNAVAILABLE, -EBUSY,
	  "the TPM's memory cannot be written now; tried again later" },
	{ TPM2_RC_FAILURE, -EIO,
	  "the TPM is in failure mode: it failed its self test; cut its power" },
	{ TPM2_RC_INITIALIZE, -EIO, "the TPM was not started up by firmware or kernel" },
};

static const struct rc_meaning *meaning_of(uint32_t rc)
{
	for (size_t i = 0; i < TG_ARRAY_SIZE(meanings); i++)
		if (meanings[i].code == code_of(rc))
			return &meanings[i];
	return NULL;
}

/* A handle or session that was loaded a moment ago is not there: somebody reset the TPM in between.
 */
static bool is_reset(uint32_t rc)
{
	uint32_t code = code_of(rc);

	return from_tpm(rc) && code >= TPM2_RC_REFERENCE_H0 && code <= TPM2_RC_REFERENCE_S6;
}

int tg_tpm_rc_fault(uint32_t rc, const char *what, struct tg_fault *reterr)
{
	const struct rc_meaning *m;
	uint32_t layer = rc & TSS2_RC_LAYER_MASK;

	if (layer == TSS2_TCTI_RC_LAYER)
		return tg_fault_set(reterr, -ENODEV,
				    "%s: cannot reach the TPM; check [tpm] tcti and that it is "
				    "running "
				    "(%s, 0x%x)",
				    what, Tss2_RC_Decode(rc), (unsigned) rc);
	if (is_reset(rc))
		return tg_fault_set(reterr, -ENODEV, "%s: the TPM was reset meanwhile (0x%x)", what,
				    (unsigned) rc);

	m = from_tpm(rc) ? meaning_of(rc) : NULL;
	if (m)
		return tg_fault_set(reterr, m->error, "%s: %s (0x%x)", what, m->text,
				    (unsigned) rc);
	return tg_fault_set(reterr, -EIO, "%s: the TPM or its library answered %s (0x%x)", what,
			    Tss2_RC_Decode(rc), (unsigned) rc);
}

bool tg_tpm_rc_is_retry(uint32_t rc)
{
	uint32_t code = code_of(rc);

	return from_tpm(rc) && (code == TPM2_RC_RETRY || code == TPM2_RC_YIELDED ||
				code == TPM2_RC_TESTING || code == TPM2_RC_NV_RATE);
}

bool tg_tpm_rc_is_lost(uint32_t rc)
{
	return (rc & TSS2_RC_LAYER_MASK) != TSS2_TPM_RC_LAYER ? !tg_tpm_rc_is_retry(rc)
							      : is_reset(rc);
}

bool tg_tpm_rc_is_no_object(uint32_t rc)
{
	return from_tpm(rc) && code_of(rc) == TPM2_RC_HANDLE;
}

bool tg_tpm_rc_is_full(uint32_t rc)
{
	return from_tpm(rc) &&
	       (code_of(rc) == TPM2_RC_OBJECT_MEMORY || code_of(rc) == TPM2_RC_OBJECT_HANDLES);
}
