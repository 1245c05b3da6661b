/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrol/claim.h"

#include "base/clock.h"
#include "base/file.h"
#include "x509/chain.h"
#include "x509/key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>

TG_DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)

#define FILE_MAX (64u * 1024)

/*
 * Reads an operator's file. A symbolic link is followed, as secrets are often mounted behind one:
 * by its real path, which is what the reader wants.
 */
static int read_file(const char *what, const char *path, size_t max, char **ret, size_t *ret_len,
		     struct tg_fault *reterr)
{
	tg_autofree char *real = realpath(path, NULL);
	int r;

	if (!real)
		return tg_fault_set(reterr, -errno, "%s %s: %s", what, path, strerror(errno));
	r = tg_file_read(AT_FDCWD, real, max, ret, ret_len, reterr);
	if (r < 0)
		(void) tg_fault_prefix(reterr, "%s", what);
	return r;
}

static int named(int r, const char *what, const char *path, struct tg_fault *reterr)
{
	if (r < 0)
		(void) tg_fault_prefix(reterr, "%s %s", what, path);
	return r;
}

int tg_claim_check_ca(const char *path, struct tg_fault *reterr)
{
	tg_autofree char *text = NULL;
	size_t len = 0;
	int r = read_file("ca", path, TG_ANCHOR_BYTES, &text, &len, reterr);

	if (r == 0 && !strstr(text, "-----BEGIN CERTIFICATE-----"))
		return tg_fault_set(reterr, -EINVAL, "ca %s: no certificate in there", path);
	return r;
}

static int load_certificate(const char *path, struct tg_chain **ret, struct tg_fault *reterr)
{
	tg_autofree char *text = NULL;
	size_t len = 0;
	int r = read_file("claim-certificate", path, FILE_MAX, &text, &len, reterr);

	if (r == 0)
		r = named(tg_chain_parse_file(text, len, ret, reterr), "claim-certificate", path,
			  reterr);
	return r == -EBADMSG ? -EINVAL : r;
}

/* What becomes of a key is seen only when it signs: it may have a password whatever its file says. */
static int try_key(struct tg_tpm *tpm, const struct tg_tpm_key *key, struct tg_fault *reterr)
{
	static const uint8_t digest[32] = { 't', 'i', 'd', 'e', 'g', 'a', 't', 'e' };
	uint8_t signature[TG_TPM_SIGNATURE_MAX];
	size_t len = 0;
	int r = tg_tpm_check_key(tpm, key, reterr);

	if (r == 0)
		r = tg_tpm_sign(tpm, key, digest, sizeof(digest), signature, &len, reterr);
	if (r == -EACCES)
		return tg_fault_set(reterr, r,
				    "it has a password, which its file denies; only keys without "
				    "one are used");
	return r;
}

/* A key of another TPM is not found out by OpenSSL before it is asked to sign. */
int tg_claim_check_tpm(struct tg_enrolment *e, struct tg_fault *reterr)
{
	const char *path = e->config->enrolment.aws.claim_key;
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = NULL;
	tg_autofree char *text = NULL;
	size_t len = 0;
	int r;

	/* A file that cannot be read, or holds no key, is told when it is needed. */
	if (read_file("claim-key", path, FILE_MAX, &text, &len, reterr) < 0)
		return 0;
	r = strstr(text, "TSS2 PRIVATE KEY") ? tg_tpm_key_from_pem(text, len, &key, reterr) : 0;
	if (key)
		r = try_key(e->tpm, key, reterr);
	explicit_bzero(text, len);
	/* Damage of the operator's file is no bad answer. */
	if (r == -EBADMSG || r == -ENOENT || r == -EFBIG)
		r = -EINVAL;
	return named(r, "claim-key", path, reterr);
}

static int load_key(const char *path, EVP_PKEY **ret, struct tg_fault *reterr)
{
	tg_autofree char *text = NULL;
	size_t len = 0;
	int r = read_file("claim-key", path, FILE_MAX, &text, &len, reterr);

	if (r < 0)
		return r;
	r = tg_key_from_pem(text, len, ret, reterr);
	explicit_bzero(text, len);
	if (r == -EBADMSG || r == -ENOENT)
		r = -EINVAL;
	return named(r, "claim-key", path, reterr);
}

static int check_times(const struct tg_enrolment *e, const char *path,
		       const struct tg_chain_info *info, struct tg_fault *reterr)
{
	int64_t now = tg_enrolment_now_s(e);
	char until[32], at[32];

	if (info->not_after > now)
		return 0;
	return tg_fault_set(reterr, -EKEYEXPIRED,
			    "claim-certificate %s: it ended %s, and now it is %s", path,
			    tg_clock_iso(info->not_after * (int64_t) TG_US_PER_S, until),
			    tg_clock_iso(now * (int64_t) TG_US_PER_S, at));
}

int tg_claim_check(struct tg_enrolment *e, int64_t *ret_not_before, struct tg_fault *reterr)
{
	const char *certificate = e->config->enrolment.aws.claim_certificate;
	const char *key_file = e->config->enrolment.aws.claim_key;
	tg_cleanup(tg_chain_freep) struct tg_chain *chain = NULL;
	tg_cleanup(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	struct tg_chain_info info = { 0 };
	int r = tg_claim_check_ca(e->config->enrolment.aws.ca, reterr);

	if (r == 0)
		r = load_certificate(certificate, &chain, reterr);
	if (r == 0)
		r = load_key(key_file, &key, reterr);
	if (r < 0)
		return r;
	if (!tg_chain_is_of(chain, key))
		return tg_fault_set(reterr, -EINVAL, "claim-certificate %s is not of claim-key %s",
				    certificate, key_file);
	r = named(tg_chain_info(chain, &info, reterr), "claim-certificate", certificate, reterr);
	if (r == 0)
		r = check_times(e, certificate, &info, reterr);
	if (r < 0)
		return r == -EBADMSG ? -EINVAL : r;
	*ret_not_before = info.not_before;
	return 0;
}
