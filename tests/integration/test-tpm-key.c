/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "base/clock.h"
#include "tests/integration/swtpm.h"
#include "tpm/key.h"
#include "tpm/tpm.h"

#include <openssl/sha.h>
#include <tss2/tss2_tctildr.h>

#include <errno.h>
#include <string.h>

#define SRK TG_TPM_SRK_DEFAULT

/* One TPM and our view of it; `other` when a test needs a second. */
struct bench {
	struct swtpm swtpm, other;
	struct tg_tpm *tpm;
};

static struct tg_tpm *open_tpm(const struct swtpm *s, const char *owner_auth)
{
	const struct tg_tpm_options o = { .tcti = s->tcti,
					  .timeout_us = 20 * TG_US_PER_S,
					  .owner_auth = owner_auth };
	struct tg_tpm *t = NULL;

	assert_int_equal(tg_tpm_new(&o, &t, NULL), 0);
	return t;
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	swtpm_init(&b->swtpm);
	b->tpm = open_tpm(&b->swtpm, NULL);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	tg_tpm_free(b->tpm);
	swtpm_done(&b->swtpm);
	swtpm_done(&b->other);
	free(b);
	return 0;
}

static void must(int r, const struct tg_fault *f)
{
	if (r < 0)
		fail_msg("%d: %s", r, f->text);
}

static struct tg_tpm_key *make_key(struct tg_tpm *t)
{
	tg_autofree char *pem = NULL;
	struct tg_tpm_key *key = NULL;
	struct tg_fault f;

	must(tg_tpm_ensure_srk(t, SRK, &f), &f);
	must(tg_tpm_create_key(t, SRK, &pem, &f), &f);
	must(tg_tpm_key_from_pem(pem, strlen(pem), &key, &f), &f);
	return key;
}

static void sign_once(struct tg_tpm *t, const struct tg_tpm_key *key)
{
	uint8_t digest[32], sig[TG_TPM_SIGNATURE_MAX];
	struct tg_fault f;
	size_t len;

	memset(digest, 0x5a, sizeof(digest));
	must(tg_tpm_sign(t, key, digest, sizeof(digest), sig, &len, &f), &f);
	assert_int_equal(tg_tpm_key_verify(key, digest, sizeof(digest), sig, len), 0);
}

/* A view of the TPM that shares nothing with the code under test. */
static ESYS_CONTEXT *esys_open(const struct swtpm *s, TSS2_TCTI_CONTEXT **tcti)
{
	ESYS_CONTEXT *e = NULL;

	assert_int_equal(Tss2_TctiLdr_Initialize(s->tcti, tcti), 0);
	assert_int_equal(Esys_Initialize(&e, *tcti, NULL), 0);
	return e;
}

static void esys_close(ESYS_CONTEXT *e, TSS2_TCTI_CONTEXT *tcti)
{
	Esys_Finalize(&e);
	Tss2_TctiLdr_Finalize(&tcti);
}

static ESYS_TR esys_load(ESYS_CONTEXT *e, const struct tg_tpm_key *key)
{
	const struct tg_tpm_blob *b = tg_tpm_key_blob(key);
	ESYS_TR parent, tr;

	assert_int_equal(
		Esys_TR_FromTPMPublic(e, b->parent, TG_TPM_NONE, TG_TPM_NONE, TG_TPM_NONE, &parent),
		0);
	assert_int_equal(Esys_Load(e, parent, ESYS_TR_PASSWORD, TG_TPM_NONE, TG_TPM_NONE, &b->priv,
				   &b->pub, &tr),
			 0);
	assert_int_equal(Esys_TR_Close(e, &parent), 0);
	return tr;
}

static uint32_t transients(const struct swtpm *s)
{
	TSS2_TCTI_CONTEXT *tcti = NULL;
	ESYS_CONTEXT *e = esys_open(s, &tcti);
	TPMS_CAPABILITY_DATA *cap = NULL;
	TPMI_YES_NO more;
	uint32_t n;

	assert_int_equal(Esys_GetCapability(e, TG_TPM_NONE, TG_TPM_NONE, TG_TPM_NONE,
					    TPM2_CAP_HANDLES, TPM2_TRANSIENT_FIRST, 16, &more,
					    &cap),
			 0);
	n = cap->data.handles.count;
	Esys_Free(cap);
	esys_close(e, tcti);
	return n;
}

static void the_tpm_holds_exactly_the_attributes_asked_for(void **state)
{
	struct bench *b = *state;
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = make_key(b->tpm);
	TSS2_TCTI_CONTEXT *tcti = NULL;
	ESYS_CONTEXT *e = esys_open(&b->swtpm, &tcti);
	ESYS_TR tr = esys_load(e, key);
	TPM2B_PUBLIC *pub = NULL;

	assert_int_equal(
		Esys_ReadPublic(e, tr, TG_TPM_NONE, TG_TPM_NONE, TG_TPM_NONE, &pub, NULL, NULL), 0);
	assert_int_equal(pub->publicArea.objectAttributes, 0x00040472);
	assert_int_equal(pub->publicArea.type, TPM2_ALG_ECC);
	assert_int_equal(pub->publicArea.parameters.eccDetail.curveID, TPM2_ECC_NIST_P256);
	assert_memory_equal(pub->publicArea.unique.ecc.x.buffer, tg_tpm_key_point(key) + 1, 32);
	Esys_Free(pub);
	assert_int_equal(Esys_FlushContext(e, tr), 0);
	esys_close(e, tcti);
}

static void the_key_cannot_be_duplicated(void **state)
{
	struct bench *b = *state;
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = make_key(b->tpm);
	const TPMT_SYM_DEF none = { .algorithm = TPM2_ALG_NULL };
	const TPMT_SYM_DEF_OBJECT no_inner = { .algorithm = TPM2_ALG_NULL };
	TSS2_TCTI_CONTEXT *tcti = NULL;
	ESYS_CONTEXT *e = esys_open(&b->swtpm, &tcti);
	ESYS_TR tr = esys_load(e, key), session;
	TPM2B_DATA *inner = NULL;
	TPM2B_PRIVATE *priv = NULL;
	TPM2B_ENCRYPTED_SECRET *seed = NULL;

	assert_int_equal(Esys_Duplicate(e, tr, ESYS_TR_RH_NULL, ESYS_TR_PASSWORD, TG_TPM_NONE,
					TG_TPM_NONE, NULL, &no_inner, &inner, &priv, &seed) &
				 0xffff,
			 0x124);
	assert_int_equal(Esys_StartAuthSession(e, TG_TPM_NONE, TG_TPM_NONE, TG_TPM_NONE,
					       TG_TPM_NONE, TG_TPM_NONE, NULL, TPM2_SE_POLICY,
					       &none, TPM2_ALG_SHA256, &session),
			 0);
	assert_int_equal(Esys_PolicyCommandCode(e, session, TG_TPM_NONE, TG_TPM_NONE, TG_TPM_NONE,
						TPM2_CC_Duplicate),
			 0);
	assert_int_equal(Esys_Duplicate(e, tr, ESYS_TR_RH_NULL, session, TG_TPM_NONE, TG_TPM_NONE,
					NULL, &no_inner, &inner, &priv, &seed) &
				 0xffff,
			 0x99d);
	assert_null(priv);
	assert_int_equal(Esys_FlushContext(e, session), 0);
	assert_int_equal(Esys_FlushContext(e, tr), 0);
	esys_close(e, tcti);
}

static void another_tpm_refuses_the_blob(void **state)
{
	struct bench *b = *state;
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = make_key(b->tpm);
	struct tg_fault f = { 0 };
	struct tg_tpm *t;

	swtpm_init(&b->other);
	t = open_tpm(&b->other, NULL);
	/* A TPM from the factory has no SRK at all. */
	assert_int_equal(tg_tpm_check_key(t, key, &f), -ESTALE);
	must(tg_tpm_ensure_srk(t, SRK, &f), &f);
	assert_int_equal(tg_tpm_check_key(t, key, &f), -ESTALE);
	assert_non_null(strstr(f.text, "0x1df"));
	assert_int_equal(tg_tpm_check_key(b->tpm, key, &f), 0);
	assert_int_equal(transients(&b->other), 0);
	tg_tpm_free(t);
}

static void nothing_stays_in_the_tpm(void **state)
{
	struct bench *b = *state;
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = make_key(b->tpm);
	struct tg_tpm_info info;
	struct tg_fault f;
	uint8_t sig[TG_TPM_SIGNATURE_MAX], digest[64] = { 0 };
	size_t len;
	char id[17];

	for (int i = 0; i < 5; i++)
		sign_once(b->tpm, key);
	must(tg_tpm_identity(b->tpm, id, &f), &f);
	must(tg_tpm_info(b->tpm, &info, &f), &f);
	assert_int_equal(transients(&b->swtpm), 0);
	assert_int_equal(tg_tpm_sign(b->tpm, key, digest, 20, sig, &len, &f), -EINVAL);
	assert_int_equal(transients(&b->swtpm), 0);
}

static void digests_of_all_three_lengths_are_signed(void **state)
{
	struct bench *b = *state;
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = make_key(b->tpm);
	static const size_t lengths[] = { 32, 48, 64 };
	uint8_t sig[TG_TPM_SIGNATURE_MAX], digest[64];
	struct tg_fault f;
	size_t len;

	memset(digest, 0xa5, sizeof(digest));
	for (size_t i = 0; i < TG_ARRAY_SIZE(lengths); i++) {
		must(tg_tpm_sign(b->tpm, key, digest, lengths[i], sig, &len, &f), &f);
		assert_int_equal(tg_tpm_key_verify(key, digest, lengths[i], sig, len), 0);
		digest[0] ^= 1;
		assert_int_equal(tg_tpm_key_verify(key, digest, lengths[i], sig, len), -EBADMSG);
		digest[0] ^= 1;
	}
}

static void the_pem_reads_back_to_itself(void **state)
{
	struct bench *b = *state;
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = make_key(b->tpm);
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *again = NULL;
	tg_autofree char *one = NULL, *two = NULL;
	struct tg_fault f;

	assert_int_equal(tg_tpm_key_to_pem(key, &one), 0);
	assert_true(strlen(one) < TG_TPM_PEM_MAX);
	must(tg_tpm_key_from_pem(one, strlen(one), &again, &f), &f);
	assert_int_equal(tg_tpm_key_to_pem(again, &two), 0);
	assert_string_equal(one, two);
	assert_int_equal(tg_tpm_key_parent(again), SRK);
	sign_once(b->tpm, again);
}

static void leftovers_of_our_key_make_room(void **state)
{
	struct bench *b = *state;
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = make_key(b->tpm);
	TSS2_TCTI_CONTEXT *tcti = NULL;
	ESYS_CONTEXT *e = esys_open(&b->swtpm, &tcti);

	/*
	 * As a process would that was killed between load and flush. Two of the three slots
	 * suffice: a persistent parent takes one while the TPM works with it.
	 */
	for (int i = 0; i < 2; i++)
		(void) esys_load(e, key);
	esys_close(e, tcti);
	assert_int_equal(transients(&b->swtpm), 2);
	sign_once(b->tpm, key);
	assert_int_equal(transients(&b->swtpm), 0);
}

static void objects_of_others_are_left_alone(void **state)
{
	struct bench *b = *state;
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = make_key(b->tpm),
							*foreign = make_key(b->tpm);
	TSS2_TCTI_CONTEXT *tcti = NULL;
	ESYS_CONTEXT *e = esys_open(&b->swtpm, &tcti);
	uint8_t sig[TG_TPM_SIGNATURE_MAX], digest[32] = { 0 };
	struct tg_fault f;
	size_t len;

	for (int i = 0; i < 2; i++)
		(void) esys_load(e, foreign);
	esys_close(e, tcti);
	assert_int_equal(tg_tpm_sign(b->tpm, key, digest, sizeof(digest), sig, &len, &f), -ENOSPC);
	assert_int_equal(transients(&b->swtpm), 2);
}

static void a_foreign_object_at_the_handle_is_not_touched(void **state)
{
	struct bench *b = *state;
	static const char *const make[] = {
		"tpm2_createprimary", "-C", "o", "-G", "ecc", "-c", NULL, NULL
	};
	const char *keep[] = { "tpm2_evictcontrol", "-C", "o", "-c", NULL, "0x81000001", NULL };
	const char *flush[] = { "tpm2_flushcontext", "-t", NULL };
	const char *argv[TG_ARRAY_SIZE(make)];
	char ctx[96], before[4096];
	const char *read[] = { "tpm2_readpublic", "-c", "0x81000001", NULL };
	tg_autofree char *pem = NULL;
	struct tg_fault f;

	(void) snprintf(ctx, sizeof(ctx), "%s/primary.ctx", b->swtpm.dir);
	memcpy(argv, make, sizeof(argv));
	argv[6] = ctx;
	keep[4] = ctx;
	assert_int_equal(swtpm_run(&b->swtpm, argv), 0);
	assert_int_equal(swtpm_run(&b->swtpm, keep), 0);
	assert_int_equal(swtpm_run(&b->swtpm, flush), 0);
	assert_int_equal(swtpm_run(&b->swtpm, read), 0);
	(void) snprintf(before, sizeof(before), "%s", swtpm_output(&b->swtpm));

	assert_int_equal(tg_tpm_ensure_srk(b->tpm, SRK, &f), -EEXIST);
	assert_non_null(strstr(f.text, "0x81000001"));
	assert_int_equal(tg_tpm_create_key(b->tpm, SRK, &pem, &f), -EEXIST);
	assert_int_equal(swtpm_run(&b->swtpm, read), 0);
	assert_string_equal(swtpm_output(&b->swtpm), before);

	/* Another handle is free. */
	must(tg_tpm_ensure_srk(b->tpm, 0x81000010, &f), &f);
	must(tg_tpm_create_key(b->tpm, 0x81000010, &pem, &f), &f);
	assert_int_equal(transients(&b->swtpm), 0);
}

static void handles_that_are_not_the_owners_are_refused(void **state)
{
	struct bench *b = *state;
	struct tg_fault f;

	assert_int_equal(tg_tpm_ensure_srk(b->tpm, 0x40000001, &f), -EINVAL);
	assert_int_equal(tg_tpm_ensure_srk(b->tpm, 0x81800000, &f), -EINVAL);
}

static void an_owner_password_is_needed_once_and_proved(void **state)
{
	struct bench *b = *state;
	static const char *const set[] = { "tpm2_changeauth", "-c", "owner", "harbour", NULL };
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = NULL;
	struct tg_tpm *wrong, *right;
	struct tg_fault f;

	assert_int_equal(swtpm_run(&b->swtpm, set), 0);
	assert_int_equal(tg_tpm_ensure_srk(b->tpm, SRK, &f), -EACCES);
	wrong = open_tpm(&b->swtpm, "haven");
	assert_int_equal(tg_tpm_ensure_srk(wrong, SRK, &f), -EACCES);
	tg_tpm_free(wrong);
	right = open_tpm(&b->swtpm, "harbour");
	must(tg_tpm_ensure_srk(right, SRK, &f), &f);
	tg_tpm_free(right);
	assert_int_equal(transients(&b->swtpm), 0);

	/* From then on nobody needs it. */
	key = make_key(b->tpm);
	sign_once(b->tpm, key);
}

static void the_identity_is_the_hash_of_the_endorsement_key(void **state)
{
	struct bench *b = *state;
	const char *make[] = { "tpm2_createek", "-G", "ecc", "-c", "-", "-u", NULL, "-f",
			       "tpmt",          NULL };
	char path[96], id[17] = "", again[17] = "", want[17];
	uint8_t area[512], hash[32];
	struct tg_fault f;
	size_t n;
	FILE *file;

	must(tg_tpm_identity(b->tpm, id, &f), &f);
	must(tg_tpm_identity(b->tpm, again, &f), &f);
	assert_string_equal(id, again);

	/* The tools' own idea of the same template. */
	(void) snprintf(path, sizeof(path), "%s/ek.pub", b->swtpm.dir);
	make[6] = path;
	make[4] = "0x81010001";
	assert_int_equal(swtpm_run(&b->swtpm, make), 0);
	file = fopen(path, "re");
	assert_non_null(file);
	n = fread(area, 1, sizeof(area), file);
	(void) fclose(file);
	SHA256(area, n, hash);
	for (size_t i = 0; i < 8; i++)
		(void) snprintf(want + 2 * i, 3, "%02x", hash[i]);
	assert_string_equal(id, want);

	swtpm_init(&b->other);
	{
		struct tg_tpm *t = open_tpm(&b->other, NULL);

		must(tg_tpm_identity(t, again, &f), &f);
		assert_string_not_equal(id, again);
		tg_tpm_free(t);
	}
}

static void the_tpm_introduces_itself(void **state)
{
	struct bench *b = *state;
	struct tg_tpm_info info;
	struct tg_tpm_state st;
	struct tg_fault f;

	tg_tpm_state(b->tpm, &st);
	assert_int_equal(st.jobs, 0);
	assert_true(st.last_ok_us == 0);
	must(tg_tpm_info(b->tpm, &info, &f), &f);
	assert_string_equal(info.manufacturer, "IBM");
	assert_int_equal(info.lockout_counter, 0);
	assert_int_equal(info.lockout_max, 3);
	assert_int_equal(info.lockout_recovery_s, 1000);
	assert_false(info.in_lockout);
	assert_int_equal(info.transient_free, 3);
	tg_tpm_state(b->tpm, &st);
	assert_int_equal(st.jobs, 1);
	assert_int_equal(st.error, 0);
	assert_true(st.last_ok_us > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		TEST(the_tpm_holds_exactly_the_attributes_asked_for),
		TEST(the_key_cannot_be_duplicated),
		TEST(another_tpm_refuses_the_blob),
		TEST(nothing_stays_in_the_tpm),
		TEST(digests_of_all_three_lengths_are_signed),
		TEST(the_pem_reads_back_to_itself),
		TEST(leftovers_of_our_key_make_room),
		TEST(objects_of_others_are_left_alone),
		TEST(a_foreign_object_at_the_handle_is_not_touched),
		TEST(handles_that_are_not_the_owners_are_refused),
		TEST(an_owner_password_is_needed_once_and_proved),
		TEST(the_identity_is_the_hash_of_the_endorsement_key),
		TEST(the_tpm_introduces_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
