/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/conn.h"

#include "base/clock.h"

#include <tss2/tss2_tctildr.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>

/* ESYS itself repeats five times without a pause; a self test of a real TPM takes longer than that.
 */
#define PAUSE_FIRST_US (20 * TG_US_PER_MS)
#define PAUSE_MAX_US   (2 * TG_US_PER_S)

/* A TPM without resource manager has three slots; more handles than this are not ours to tidy. */
#define TRANSIENTS_MAX 16

void tg_tpm_conn_init(struct tg_tpm_conn *c, const char *tcti)
{
	*c = (struct tg_tpm_conn){ .tcti = tcti, .fd = -1, .parent_tr = ESYS_TR_NONE };
}

/*
 * The device transport opens its node without O_CLOEXEC, and every program that
 * this process starts would inherit the TPM. A fork between its open() and this
 * line still would; there is no way to reach in earlier.
 */
static void close_on_exec(struct tg_tpm_conn *c)
{
	TSS2_TCTI_POLL_HANDLE handles[1] = { { .fd = -1 } };
	size_t n = TG_ARRAY_SIZE(handles);

	if (Tss2_Tcti_GetPollHandles(c->transport, handles, &n) || n != 1 || handles[0].fd < 0)
		return;
	if (fcntl(handles[0].fd, F_SETFD, FD_CLOEXEC) == 0)
		c->fd = handles[0].fd;
}

static int conn_open(struct tg_tpm_conn *c, struct tg_fault *reterr)
{
	TSS2_RC rc;

	rc = Tss2_TctiLdr_Initialize(c->tcti, &c->transport);
	if (rc) {
		c->transport = NULL;
		return tg_tpm_rc_fault(rc, c->tcti, reterr);
	}
	close_on_exec(c);
	rc = Esys_Initialize(&c->esys, c->transport, NULL);
	if (rc) {
		c->esys = NULL;
		tg_tpm_conn_close(c);
		return tg_tpm_rc_fault(rc, c->tcti, reterr);
	}
	return 0;
}

void tg_tpm_conn_close(struct tg_tpm_conn *c)
{
	c->fd = -1;
	if (c->esys)
		Esys_Finalize(&c->esys);
	if (c->transport)
		Tss2_TctiLdr_Finalize(&c->transport);
	c->esys = NULL;
	c->transport = NULL;
	c->parent = 0;
	c->parent_tr = ESYS_TR_NONE;
	c->lost = false;
}

void tg_tpm_conn_abandon(struct tg_tpm_conn *c)
{
	int fd = c->fd;

	if (fd >= 0)
		(void) close(fd);
	tg_tpm_conn_init(c, c->tcti);
}

bool tg_tpm_conn_again(struct tg_tpm_conn *c, TSS2_RC rc, struct tg_tpm_pause *p)
{
	struct timespec ts;

	if (rc == TSS2_RC_SUCCESS)
		return false;
	if (!tg_tpm_rc_is_retry(rc)) {
		c->lost |= tg_tpm_rc_is_lost(rc);
		return false;
	}

	p->next_us = p->next_us ? p->next_us * 2 : PAUSE_FIRST_US;
	if (p->next_us > PAUSE_MAX_US)
		p->next_us = PAUSE_MAX_US;
	if (tg_us_add(tg_clock_boot_us(), p->next_us) >= c->deadline_us)
		return false;

	ts = (struct timespec){ .tv_sec = (time_t) (p->next_us / TG_US_PER_S),
				.tv_nsec = (long) (p->next_us % TG_US_PER_S * 1000) };
	(void) clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
	return true;
}

TSS2_RC tg_tpm_conn_transients(struct tg_tpm_conn *c, TPML_HANDLE *ret)
{
	tg_autoesys TPMS_CAPABILITY_DATA *cap = NULL;
	TPMI_YES_NO more;
	TSS2_RC rc;

	rc = TG_TPM_TRY(c, Esys_GetCapability(c->esys, TG_TPM_NONE, TG_TPM_NONE, TG_TPM_NONE,
					      TPM2_CAP_HANDLES, TPM2_TRANSIENT_FIRST,
					      TRANSIENTS_MAX, &more, &cap));
	if (rc == TSS2_RC_SUCCESS)
		*ret = cap->data.handles;
	return rc;
}

/* Flushes the transient object @handle if it is one of @l: anything else belongs to another
 * program. */
static TSS2_RC flush_if_ours(struct tg_tpm_conn *c, TPM2_HANDLE handle, struct tg_tpm_leftovers *l)
{
	tg_autoesys TPM2B_NAME *name = NULL;
	tg_autoesys TPM2B_PUBLIC *pub = NULL;
	ESYS_TR tr = ESYS_TR_NONE;
	TSS2_RC rc;

	rc = TG_TPM_TRY(c, Esys_TR_FromTPMPublic(c->esys, handle, TG_TPM_NONE, TG_TPM_NONE,
						 TG_TPM_NONE, &tr));
	if (rc == TSS2_RC_SUCCESS)
		rc = TG_TPM_TRY(c, Esys_ReadPublic(c->esys, tr, TG_TPM_NONE, TG_TPM_NONE,
						   TG_TPM_NONE, &pub, &name, NULL));
	/* Its owner may have flushed it since it was listed. */
	if (rc)
		return c->lost ? rc : TSS2_RC_SUCCESS;
	if (tg_tpm_leftover_is(l, name, pub))
		return TG_TPM_TRY(c, Esys_FlushContext(c->esys, tr));
	return Esys_TR_Close(c->esys, &tr);
}

static TSS2_RC flush_leftovers(struct tg_tpm_conn *c, struct tg_tpm_leftovers *l)
{
	TPML_HANDLE list;
	TSS2_RC rc;

	rc = tg_tpm_conn_transients(c, &list);
	for (uint32_t i = 0; !rc && i < list.count && i < TRANSIENTS_MAX; i++)
		rc = flush_if_ours(c, list.handle[i], l);
	return rc;
}

int tg_tpm_conn_ready(struct tg_tpm_conn *c, struct tg_fault *reterr)
{
	struct tg_tpm_leftovers l = c->leftovers;
	TSS2_RC rc;
	int r;

	if (c->lost)
		tg_tpm_conn_close(c);
	if (!c->esys) {
		r = conn_open(c, reterr);
		if (r < 0)
			return r;
	}
	if (l.n == 0)
		return 0;

	rc = flush_leftovers(c, &l);
	if (c->lost)
		return tg_tpm_rc_fault(rc, "removing a key left in the TPM", reterr);
	/* A TPM that cannot even list or flush now is asked again next time; the job may still go
	 * well. */
	if (rc == TSS2_RC_SUCCESS)
		c->leftovers.n = 0;
	return 0;
}

static TSS2_RC parent_open(struct tg_tpm_conn *c, TPM2_HANDLE handle)
{
	TSS2_RC rc;

	if (c->parent == handle)
		return TSS2_RC_SUCCESS;
	if (c->parent)
		(void) Esys_TR_Close(c->esys, &c->parent_tr);
	c->parent = 0;
	rc = TG_TPM_TRY(c, Esys_TR_FromTPMPublic(c->esys, handle, TG_TPM_NONE, TG_TPM_NONE,
						 TG_TPM_NONE, &c->parent_tr));
	if (rc == TSS2_RC_SUCCESS)
		c->parent = handle;
	return rc;
}

int tg_tpm_conn_parent(struct tg_tpm_conn *c, TPM2_HANDLE handle, ESYS_TR *ret,
		       struct tg_fault *reterr)
{
	TSS2_RC rc = parent_open(c, handle);

	if (rc)
		return tg_tpm_rc_fault(rc, "storage root key", reterr);
	*ret = c->parent_tr;
	return 0;
}

static TSS2_RC load_once(struct tg_tpm_conn *c, const struct tg_tpm_blob *b, ESYS_TR *ret)
{
	TSS2_RC rc = parent_open(c, b->parent);

	if (rc)
		return rc;
	return TG_TPM_TRY(c, Esys_Load(c->esys, c->parent_tr, ESYS_TR_PASSWORD, TG_TPM_NONE,
				       TG_TPM_NONE, &b->priv, &b->pub, ret));
}

int tg_tpm_conn_load(struct tg_tpm_conn *c, const struct tg_tpm_blob *b, ESYS_TR *ret,
		     struct tg_fault *reterr)
{
	TSS2_RC rc = load_once(c, b, ret);

	if (tg_tpm_rc_is_full(rc) && !c->lost) {
		struct tg_tpm_leftovers l = { .n = 0 };
		TSS2_RC flushed;

		tg_tpm_leftover_name(&l, &b->name);
		flushed = flush_leftovers(c, &l);
		rc = c->lost ? flushed : load_once(c, b, ret);
	}
	if (rc) {
		/* An answer that did not arrive whole may have been a success. */
		if (c->lost)
			tg_tpm_leftover_name(&c->leftovers, &b->name);
		return tg_tpm_rc_fault(rc, "loading the key", reterr);
	}
	return 0;
}

void tg_tpm_conn_flush(struct tg_tpm_conn *c, ESYS_TR object)
{
	tg_autoesys TPM2B_NAME *name = NULL;

	if (object == ESYS_TR_NONE)
		return;
	(void) Esys_TR_GetName(c->esys, object, &name);
	if (!c->lost && TG_TPM_TRY(c, Esys_FlushContext(c->esys, object)) == TSS2_RC_SUCCESS)
		return;
	/* Tried again before the next job, in a context that works. */
	if (name)
		tg_tpm_leftover_name(&c->leftovers, name);
}
