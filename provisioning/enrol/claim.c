/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrol/claim.h"

#include "provisioning/operator_file.h"

#include "base/clock.h"
#include "x509/chain.h"
#include "x509/key.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

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
	int r = tg_operator_file_read("ca", path, TG_ANCHOR_BYTES, &text, &len, reterr);

	if (r == 0 && !strstr(text, "-----BEGIN CERTIFICATE-----"))
		return tg_fault_set(reterr, -EINVAL, "ca %s: no certificate in there", path);
	return r;
}

static int load_certificate(const struct tg_claim_files *f, struct tg_chain **ret,
			    struct tg_fault *reterr)
{
	tg_autofree char *text = NULL;
	size_t len = 0;
	int r = tg_operator_file_read(f->certificate_name, f->certificate, TG_OPERATOR_FILE_MAX,
				      &text, &len, reterr);

	if (r == 0)
		r = named(tg_chain_parse_file(text, len, ret, reterr), f->certificate_name,
			  f->certificate, reterr);
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
int tg_claim_check_tpm(struct tg_enrolment *e, const struct tg_claim_files *f,
		       struct tg_fault *reterr)
{
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = NULL;
	tg_autofree char *text = NULL;
	size_t len = 0;
	int r;

	/* A file that cannot be read, or holds no key, is told when it is needed. */
	if (tg_operator_file_read(f->key_name, f->key, TG_OPERATOR_FILE_MAX, &text, &len, reterr) <
	    0)
		return 0;
	r = strstr(text, "TSS2 PRIVATE KEY") ? tg_tpm_key_from_pem(text, len, &key, reterr) : 0;
	if (key)
		r = try_key(e->tpm, key, reterr);
	explicit_bzero(text, len);
	/* Damage of the operator's file is no bad answer. */
	if (r == -EBADMSG || r == -ENOENT || r == -EFBIG)
		r = -EINVAL;
	return named(r, f->key_name, f->key, reterr);
}

static int load_key(const struct tg_claim_files *f, EVP_PKEY **ret, struct tg_fault *reterr)
{
	tg_autofree char *text = NULL;
	size_t len = 0;
	int r = tg_operator_file_read(f->key_name, f->key, TG_OPERATOR_FILE_MAX, &text, &len,
				      reterr);

	if (r < 0)
		return r;
	r = tg_key_from_pem(text, len, ret, reterr);
	explicit_bzero(text, len);
	if (r == -EBADMSG || r == -ENOENT)
		r = -EINVAL;
	return named(r, f->key_name, f->key, reterr);
}

static int check_times(const struct tg_enrolment *e, const struct tg_claim_files *f,
		       const struct tg_chain_info *info, struct tg_fault *reterr)
{
	int64_t now = tg_enrolment_now_s(e);
	char until[32], at[32];

	if (info->not_after > now)
		return 0;
	return tg_fault_set(reterr, -EKEYEXPIRED, "%s %s: it ended %s, and now it is %s",
			    f->certificate_name, f->certificate,
			    tg_clock_iso(info->not_after * (int64_t) TG_US_PER_S, until),
			    tg_clock_iso(now * (int64_t) TG_US_PER_S, at));
}

static int check_pair(const struct tg_enrolment *e, const struct tg_claim_files *f,
		      const struct tg_chain *chain, struct tg_claim_pair *pair,
		      struct tg_fault *reterr)
{
	struct tg_chain_info info = { 0 };
	int r;

	if (!tg_chain_is_of(chain, pair->key))
		return tg_fault_set(reterr, -EINVAL, "%s %s is not of %s %s", f->certificate_name,
				    f->certificate, f->key_name, f->key);
	r = named(tg_chain_info(chain, &info, reterr), f->certificate_name, f->certificate, reterr);
	if (r == 0)
		r = check_times(e, f, &info, reterr);
	if (r < 0)
		return r == -EBADMSG ? -EINVAL : r;
	pair->not_before = info.not_before;
	pair->chain_pem = tg_chain_to_pem(chain);
	return pair->chain_pem ? 0 : tg_fault_set(reterr, -ENOMEM, "out of memory");
}

int tg_claim_load(const struct tg_enrolment *e, const struct tg_claim_files *f,
		  struct tg_claim_pair *ret, struct tg_fault *reterr)
{
	tg_cleanup(tg_chain_freep) struct tg_chain *chain = NULL;
	struct tg_claim_pair pair = { 0 };
	int r = load_certificate(f, &chain, reterr);

	if (r == 0)
		r = load_key(f, &pair.key, reterr);
	if (r == 0)
		r = check_pair(e, f, chain, &pair, reterr);
	if (r < 0) {
		tg_claim_pair_done(&pair);
		return r;
	}
	*ret = pair;
	return 0;
}

void tg_claim_pair_done(struct tg_claim_pair *p)
{
	free(p->chain_pem);
	EVP_PKEY_free(p->key);
	*p = (struct tg_claim_pair){ 0 };
}
