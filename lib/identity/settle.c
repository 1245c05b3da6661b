/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/journal.h"

#include "base/file.h"
#include "identity/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A power cut between the link to a new generation and the end of the journal leaves both. Nobody would come back for
 * the journal, as there is an identity; a key and a token would stay behind, and the next enrolment would take the old
 * certificate for its own, even one that was tried and rejected meanwhile.
 *
 * A generation that no link names and that has not ended was cut before it counted: its journal is still needed.
 */

TG_DEFINE_CLEANUP(BIO *, BIO_free)
TG_DEFINE_CLEANUP(X509 *, X509_free)

#define FINGERPRINT 65 /* SHA-256 in hex, with the NUL */

static void fingerprint(const X509 *cert, char out[static FINGERPRINT])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	out[0] = '\0';
	if (X509_digest(cert, EVP_sha256(), md, &len) != 1 || 2 * len >= FINGERPRINT)
		return;
	for (unsigned i = 0; i < len; i++)
		(void) snprintf(out + 2 * i, 3, "%02x", md[i]);
}

/* Whether one of the certificates is called @wanted: services send them in any order. */
static bool contains(const char *chain_pem, size_t len, const char *wanted)
{
	tg_cleanup(BIO_freep) BIO *bio = BIO_new_mem_buf(chain_pem, (int) len);
	bool found = false, more = bio != NULL;

	while (more && !found) {
		tg_cleanup(X509_freep) X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		char name[FINGERPRINT];

		more = cert != NULL;
		if (cert) {
			fingerprint(cert, name);
			found = strcmp(name, wanted) == 0;
		}
	}
	/* The end of the text is an error to OpenSSL. */
	ERR_clear_error();
	return found;
}

/* Whether a generation that counts, or did, has one of these certificates: 0 or 1, or -errno. */
static int is_generation(const char *state_dir, const char *chain, size_t len,
			 struct tg_fault *reterr)
{
	tg_autofree struct tg_generation_entry *past =
		calloc(TG_GENERATION_HISTORY_MAX, sizeof(*past));
	size_t n = 0;
	int r;

	if (!past)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	r = tg_generation_history(state_dir, past, TG_GENERATION_HISTORY_MAX, &n, reterr);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (size_t i = 0; i < n; i++) {
		const struct tg_generation_entry *e = &past[i];
		bool counts = (e->whole && (e->candidate || e->current)) || e->previous ||
			      e->outcome.state != TG_OUTCOME_NONE;

		if (counts && contains(chain, len, e->manifest.fingerprint))
			return 1;
	}
	return 0;
}

int tg_journal_settle(const char *state_dir, struct tg_fault *reterr)
{
	tg_autofree char *chain = NULL;
	char path[PATH_MAX];
	size_t len = 0;
	int n = snprintf(path, sizeof(path), "%s/%s/%s", state_dir, TG_DIR_PENDING, TG_FILE_CHAIN);
	int r;

	if (n < 0 || (size_t) n >= sizeof(path))
		return tg_fault_set(reterr, -ENAMETOOLONG, "path too long: %.100s...", state_dir);
	r = tg_file_read(AT_FDCWD, path, TG_GENERATION_FILE_MAX, &chain, &len, NULL);
	/* What is not there or damaged is the next enrolment's to judge. */
	if (r == -ENOENT || r == -EFBIG || r == -EINVAL || r == -ENOTDIR || r == -ELOOP)
		return 0;
	if (r < 0)
		return tg_fault_set(reterr, r, "cannot read %s: %s", path, strerror(-r));
	r = is_generation(state_dir, chain, len, reterr);
	return r > 0 ? tg_journal_clear(state_dir, reterr) : r;
}
