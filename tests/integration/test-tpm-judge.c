/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "base/clock.h"
#include "tests/integration/tpm-proxy.h"
#include "tests/integration/tpm-parts.h"
#include "tpm/conn.h"
#include "tpm/tpm.h"

#include <errno.h>
#include <string.h>

/* Whether a key is lost for good: what may cost the gateway its identity, so no answer may be wrong. */
struct bench {
	struct swtpm swtpm;
	struct tpm_proxy *proxy;
	struct tg_tpm *tpm; /* through the proxy */
	struct tg_tpm_key *key;
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	swtpm_init(&b->swtpm);
	b->proxy = tpm_proxy_new(&b->swtpm);
	b->tpm = open_tpm(tpm_proxy_tcti(b->proxy), 5 * TG_US_PER_S);
	b->key = make_key(b->tpm);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	tg_tpm_free(b->tpm);
	tg_tpm_key_unref(b->key);
	tpm_proxy_free(b->proxy);
	swtpm_done(&b->swtpm);
	free(b);
	return 0;
}

#define tool(b, ...) assert_int_equal(swtpm_run(&(b)->swtpm, (const char *const[]){ __VA_ARGS__, NULL }), 0)

static int judge(struct bench *b)
{
	struct tg_fault f = { .text = "" };

	return tg_tpm_judge_key(b->tpm, b->key, &f);
}

static void all_slots_free(struct bench *b)
{
	struct tg_tpm_info info = { 0 };
	struct tg_fault f;

	must(tg_tpm_info(b->tpm, &info, &f), &f);
	assert_int_equal(info.transient_free, 3);
	assert_int_equal(info.lockout_counter, 0);
}

static void a_good_key_is_good(void **state)
{
	struct bench *b = *state;

	for (int i = 0; i < 5; i++)
		assert_int_equal(judge(b), 0);
	/* Nothing but a load: the question is asked twice a minute. */
	assert_int_equal(tpm_proxy_seen(b->proxy, TPM2_CC_CreatePrimary), 1);
	all_slots_free(b);
}

static void a_clear_loses_it(void **state)
{
	struct bench *b = *state;
	char before[17], after[17];
	struct tg_fault f;

	must(tg_tpm_identity(b->tpm, before, &f), &f);
	tool(b, "tpm2_clear", "-Q");
	assert_int_equal(judge(b), TG_TPM_KEY_LOST);
	/* With a storage root key at the handle again, too. */
	must(tg_tpm_ensure_srk(b->tpm, SRK, &f), &f);
	assert_int_equal(judge(b), TG_TPM_KEY_LOST);
	must(tg_tpm_identity(b->tpm, after, &f), &f);
	assert_string_equal(before, after);
	all_slots_free(b);
}

static void a_clear_loses_it_also_with_a_new_owner_password(void **state)
{
	struct bench *b = *state;
	struct tg_fault f;

	tool(b, "tpm2_clear", "-Q");
	must(tg_tpm_ensure_srk(b->tpm, SRK, &f), &f);
	tool(b, "tpm2_changeauth", "-c", "owner", "harbour-7731");
	assert_int_equal(judge(b), TG_TPM_KEY_LOST);
	all_slots_free(b);
}

static void another_tpm_loses_it(void **state)
{
	struct bench *b = *state;
	struct bench other = { .key = b->key };

	swtpm_init(&other.swtpm);
	other.tpm = open_tpm(other.swtpm.tcti, 5 * TG_US_PER_S);
	assert_int_equal(judge(&other), TG_TPM_KEY_LOST);
	all_slots_free(&other);
	tg_tpm_free(other.tpm);
	swtpm_done(&other.swtpm);
}

static void a_parent_that_was_evicted_is_put_back_and_the_key_lives(void **state)
{
	struct bench *b = *state;
	struct tg_fault f;

	tool(b, "tpm2_evictcontrol", "-Q", "-c", "0x81000001");
	assert_int_equal(tg_tpm_check_key(b->tpm, b->key, &f), -ESTALE);
	assert_int_equal(judge(b), TG_TPM_KEY_PARENT_GONE);
	must(tg_tpm_ensure_srk(b->tpm, SRK, &f), &f);
	assert_int_equal(judge(b), 0);
	all_slots_free(b);
}

static void another_key_in_the_parents_place_does_not_lose_it(void **state)
{
	struct bench *b = *state;
	struct tg_fault f;
	char context[96];

	(void) snprintf(context, sizeof(context), "%s/primary", b->swtpm.dir);
	tool(b, "tpm2_evictcontrol", "-Q", "-c", "0x81000001");
	tool(b, "tpm2_createprimary", "-Q", "-C", "o", "-G", "ecc", "-c", context);
	tool(b, "tpm2_evictcontrol", "-Q", "-c", context, "0x81000001");
	tool(b, "tpm2_flushcontext", "-t");
	assert_int_equal(judge(b), TG_TPM_KEY_PARENT_GONE);
	/* It is somebody's: left alone, and told. */
	assert_int_equal(tg_tpm_ensure_srk(b->tpm, SRK, &f), -EEXIST);
	all_slots_free(b);
}

static void without_the_owner_password_an_evicted_parent_decides_nothing(void **state)
{
	struct bench *b = *state;
	struct tg_fault f;

	tool(b, "tpm2_evictcontrol", "-Q", "-c", "0x81000001");
	tool(b, "tpm2_changeauth", "-c", "owner", "harbour-7731");
	assert_int_equal(tg_tpm_judge_key(b->tpm, b->key, &f), -EACCES);
	assert_non_null(strstr(f.text, "owner authorisation"));
	all_slots_free(b);
}

/* A cleared TPM that is at the same time in trouble of every kind, at every command of the question. */
static void trouble_is_never_taken_for_a_loss(void **state)
{
	static const struct {
		enum tpm_trouble trouble;
		uint32_t code;
	} troubles[] = {
		{ TPM_TROUBLE_CODE, TPM2_RC_FAILURE },	   { TPM_TROUBLE_CODE, TPM2_RC_LOCKOUT },
		{ TPM_TROUBLE_CODE, TPM2_RC_OBJECT_MEMORY }, { TPM_TROUBLE_CODE, TPM2_RC_MEMORY },
		{ TPM_TROUBLE_CODE, TPM2_RC_INITIALIZE },  { TPM_TROUBLE_CODE, TPM2_RC_REFERENCE_H0 },
		{ TPM_TROUBLE_CODE, TPM2_RC_SIZE },	   { TPM_TROUBLE_CLOSE, 0 },
		{ TPM_TROUBLE_TRUNCATE, 0 },		   { TPM_TROUBLE_GARBAGE, 0 },
		{ TPM_TROUBLE_BAD_SIZE, 0 },		   { TPM_TROUBLE_SHORT, 0 },
	};
	static const uint32_t commands[] = { TPM2_CC_Load, TPM2_CC_CreatePrimary };
	struct bench *b = *state;

	tool(b, "tpm2_evictcontrol", "-Q", "-c", "0x81000001");
	for (size_t i = 0; i < TG_ARRAY_SIZE(troubles); i++)
		for (size_t j = 0; j < TG_ARRAY_SIZE(commands); j++) {
			tpm_proxy_order(b->proxy, troubles[i].trouble, commands[j], troubles[i].code, 1000);
			assert_int_not_equal(judge(b), TG_TPM_KEY_LOST);
			tpm_proxy_order(b->proxy, TPM_TROUBLE_NONE, 0, 0, 0);
			assert_int_equal(judge(b), TG_TPM_KEY_PARENT_GONE);
			all_slots_free(b);
		}
}

static void a_tpm_that_is_away_or_frozen_decides_nothing(void **state)
{
	struct bench *b = *state;
	struct tg_tpm *hasty = open_tpm(b->swtpm.tcti, TG_US_PER_S);
	struct tg_fault f;

	tool(b, "tpm2_clear", "-Q");
	swtpm_freeze(&b->swtpm);
	assert_int_equal(tg_tpm_judge_key(hasty, b->key, &f), -ETIMEDOUT);
	swtpm_thaw(&b->swtpm);
	swtpm_cut(&b->swtpm);
	assert_int_equal(judge(b), -ENODEV);
	swtpm_start(&b->swtpm);
	assert_int_equal(judge(b), TG_TPM_KEY_LOST);
	tg_tpm_free(hasty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		TEST(a_good_key_is_good),
		TEST(a_clear_loses_it),
		TEST(a_clear_loses_it_also_with_a_new_owner_password),
		TEST(another_tpm_loses_it),
		TEST(a_parent_that_was_evicted_is_put_back_and_the_key_lives),
		TEST(another_key_in_the_parents_place_does_not_lose_it),
		TEST(without_the_owner_password_an_evicted_parent_decides_nothing),
		TEST(trouble_is_never_taken_for_a_loss),
		TEST(a_tpm_that_is_away_or_frozen_decides_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
