/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/by_hand.h"

#include "base/file.h"
#include "identity/generation.h"
#include "provisioning/operator_file.h"
#include "x509/issued_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define STANDARD  "-"
#define FILE_MODE 0644

void tg_by_hand_order(struct tg_enrolment *e)
{
	struct tg_manifest current;

	e->order.kind = tg_generation_read(e->state_dir, TG_SLOT_CURRENT, &current, NULL) == 0
				? TG_ORDER_RENEW
				: TG_ORDER_ENROL;
	/* Nothing is shown to anybody; and the key of the current generation need not work. */
	e->order.credential = TG_CREDENTIAL_CLAIM;
}

/* --- what was brought ------------------------------------------------------------------------ */

static int read_standard_input(struct tg_enrolment *e, struct tg_fault *reterr)
{
	size_t room = TG_ISSUED_FILE_MAX + 1;

	e->answer = malloc(room);
	if (!e->answer)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	e->answer_len = fread(e->answer, 1, room, stdin);
	if (ferror(stdin))
		return tg_fault_set(reterr, -EIO, "standard input cannot be read");
	if (e->answer_len == room)
		return tg_fault_set(reterr, -EFBIG, "standard input: longer than %u bytes",
				    TG_ISSUED_FILE_MAX);
	return 0;
}

int tg_by_hand_read(struct tg_enrolment *e, const char *file, struct tg_fault *reterr)
{
	if (strcmp(file, STANDARD) == 0)
		return read_standard_input(e, reterr);
	return tg_operator_file_read("--install", file, TG_ISSUED_FILE_MAX, &e->answer,
				     &e->answer_len, reterr);
}

/* Whether one of @certs has the fingerprint of @m. */
static bool is_among(const struct tg_certs *certs, const struct tg_manifest *m)
{
	for (size_t i = 0; i < tg_certs_n(certs); i++) {
		uint8_t sha256[TG_CERT_SHA256];
		char hex[2 * TG_CERT_SHA256 + 1];

		if (tg_cert_sha256(tg_certs_get(certs, i), sha256) < 0)
			continue;
		for (size_t k = 0; k < sizeof(sha256); k++)
			(void) snprintf(hex + 2 * k, 3, "%02x", sha256[k]);
		if (strcmp(hex, m->fingerprint) == 0)
			return true;
	}
	return false;
}

int tg_by_hand_known(const struct tg_enrolment *e, struct tg_manifest *ret)
{
	static const enum tg_slot slots[] = { TG_SLOT_CANDIDATE, TG_SLOT_CURRENT };
	tg_cleanup(tg_certs_freep) struct tg_certs *certs = NULL;

	if (e->order.by_hand != TG_BY_HAND_ANSWER ||
	    tg_issued_file_parse(e->answer, e->answer_len, &certs, NULL) < 0)
		return 0;
	for (size_t i = 0; i < TG_ARRAY_SIZE(slots); i++) {
		struct tg_manifest m;

		if (tg_generation_read(e->state_dir, slots[i], &m, NULL) == 0 &&
		    is_among(certs, &m)) {
			*ret = m;
			return 1;
		}
	}
	return 0;
}

int tg_by_hand_occupied(const struct tg_enrolment *e, const struct tg_manifest *m,
			struct tg_fault *reterr)
{
	return tg_fault_set(
		reterr, -EBUSY,
		"generation %u waits for the broker's verdict, so nothing is %s now: "
		"'tidegate status' tells when it is over%s",
		m->number, e->order.by_hand == TG_BY_HAND_ANSWER ? "installed" : "asked for",
		e->order.kind == TG_ORDER_ENROL ? "; --again makes a request all the same" : "");
}

/* --- the request ----------------------------------------------------------------------------- */

static int print(const char *pem, struct tg_fault *reterr)
{
	if (fputs(pem, stdout) < 0 || fflush(stdout) != 0)
		return tg_fault_set(reterr, -EIO, "standard output: %s", strerror(errno));
	return 0;
}

int tg_by_hand_deliver(struct tg_enrolment *e, const char *file, struct tg_fault *reterr)
{
	struct stat st;
	int r;

	if (strcmp(file, STANDARD) == 0)
		return print(e->csr_pem, reterr);
	/* Replacing /dev/stdout is not what was meant. */
	if (lstat(file, &st) == 0 && !S_ISREG(st.st_mode))
		return tg_fault_set(reterr, -EINVAL,
				    "--csr %s: not a regular file (- stands for standard output)",
				    file);
	r = tg_file_replace(AT_FDCWD, file, e->csr_pem, strlen(e->csr_pem), FILE_MODE, reterr);
	if (r < 0)
		(void) tg_fault_prefix(reterr, "--csr %s", file);
	return r;
}
