/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/failure.h"

#include "tpm/tpm.h"

#include <errno.h>
#include <string.h>

enum tg_enrol_class tg_failure_class(int r)
{
	switch (-r) {
	case 0:
		return TG_ENROL_OK;
	case EHOSTUNREACH:
	case ECONNRESET:
	case ECONNABORTED:
	case ETIMEDOUT:
	case EAGAIN:
	case EBUSY:
	case ENOTCONN:
		return TG_ENROL_RETRY;
	case EPERM:
		return TG_ENROL_REFUSED;
	case EADDRNOTAVAIL:
		return TG_ENROL_ID_REFUSED;
	case EINPROGRESS:
		return TG_ENROL_PENDING;
	case EPROTO:
	case EBADMSG:
	case EMSGSIZE:
	case EFBIG:
		return TG_ENROL_BAD_ANSWER;
	default:
		return TG_ENROL_LOCAL;
	}
}

static int errno_of(enum tg_enrol_class class)
{
	switch (class) {
	case TG_ENROL_OK:
		return 0;
	case TG_ENROL_RETRY:
		return -EAGAIN;
	case TG_ENROL_REFUSED:
		return -EPERM;
	case TG_ENROL_ID_REFUSED:
		return -EADDRNOTAVAIL;
	case TG_ENROL_PENDING:
		return -EINPROGRESS;
	case TG_ENROL_BAD_ANSWER:
		return -EPROTO;
	case TG_ENROL_LOCAL:
	case TG_ENROL_CLASS_COUNT_:
		break;
	}
	return -EIO;
}

int tg_failure_refused(struct tg_enrolment *e, enum tg_enrol_class class, int status,
		       const char *code)
{
	e->journal.error_status = status;
	(void) snprintf(e->journal.error_code, sizeof(e->journal.error_code), "%s", code);
	return errno_of(class);
}

void tg_failure_forget(struct tg_journal *j)
{
	j->error_class = TG_ENROL_OK;
	j->error_step = TG_STEP_NONE;
	j->error_status = 0;
	j->retry_at = j->retry_after_s = 0;
	j->error_code[0] = '\0';
	j->error_text[0] = '\0';
}

/* What fails right behind a failure of the TPM fails for it, whatever name it has by then. */
static bool is_of_tpm(const struct tg_enrolment *e)
{
	struct tg_tpm_state state;

	if (!e->tpm)
		return false;
	tg_tpm_state(e->tpm, &state);
	return state.error < 0;
}

/* Who was not reached, or asked nothing, has decided nothing. */
static bool is_undecided(enum tg_enrol_class class)
{
	return class == TG_ENROL_RETRY || class == TG_ENROL_LOCAL;
}

void tg_failure_describe(struct tg_enrolment *e, enum tg_enrol_step step, int r,
			 const struct tg_fault *fault)
{
	e->journal.error_class = is_of_tpm(e) ? TG_ENROL_LOCAL : tg_failure_class(r);
	e->journal.error_step = step;
	if (!is_undecided(e->journal.error_class))
		e->journal.pending = e->journal.error_class == TG_ENROL_PENDING;
	/* Who fails before the authority is asked again leaves the time of that as it was. */
	if (!e->journal.retry_at && e->retry_at > tg_enrolment_now_s(e))
		e->journal.retry_at = e->retry_at;
	e->journal.retry_after_s =
		e->journal.retry_at ? e->journal.retry_at - tg_enrolment_now_s(e) : 0;
	tg_printable(e->journal.error_text, sizeof(e->journal.error_text), fault->text,
		     strlen(fault->text));
}

int tg_failure_note(struct tg_enrolment *e, enum tg_enrol_step step, int r,
		    const struct tg_fault *fault)
{
	struct tg_fault ignored;
	int noted;

	tg_failure_describe(e, step, r, fault);
	/* With the disk full there is no journal to note it in; the output still has it. */
	noted = tg_journal_write(e->state_dir, &e->journal, &ignored);
	tg_progress_failed(e->progress, &e->journal);
	if (noted < 0)
		tg_progress_note(e->progress, "the journal cannot be written: %s", ignored.text);
	return r;
}
