/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/claim.h"

#include "base/clock.h"
#include "tests/unit/test.h"

#include <string.h>

#define PLACE "/tmp/tidegate-claim-XXXXXX"

static char dir[] = PLACE;
static char certificate[] = "claim.pem", key[] = "claim.key";

static void put(const char *name, const char *text)
{
	FILE *f = fopen(name, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int make_dir(void **state)
{
	(void) state;
	memcpy(dir, PLACE, sizeof(dir));
	if (!mkdtemp(dir) || chdir(dir) < 0)
		return -1;
	put(certificate, "-----BEGIN CERTIFICATE-----\n");
	put(key, "-----BEGIN PRIVATE KEY-----\n");
	return 0;
}

static int remove_dir(void **state)
{
	(void) state;
	(void) unlink(certificate);
	(void) unlink(key);
	return chdir("/") == 0 && rmdir(dir) == 0 ? 0 : -1;
}

static struct tg_config config(bool forget)
{
	struct tg_config cfg = { .enrolment.method = TG_ENROL_AWS_FLEET };

	cfg.enrolment.aws.claim_certificate = certificate;
	cfg.enrolment.aws.claim_key = key;
	cfg.enrolment.aws.forget_claim = forget;
	return cfg;
}

static bool there(void)
{
	return access(certificate, F_OK) == 0 && access(key, F_OK) == 0;
}

static void it_goes_when_a_certificate_is_proved_and_not_before(void **state)
{
	struct tg_config cfg = config(true);
	struct tg_claim c = TG_CLAIM_NULL;

	(void) state;
	tg_claim_tend(&c, &cfg, false, 0);
	assert_int_equal(c.state, TG_CLAIM_NEEDED);
	assert_true(there());
	/* Not looked at all the time. */
	tg_claim_tend(&c, &cfg, true, TG_US_PER_S);
	assert_true(there());
	tg_claim_tend(&c, &cfg, true, 60 * TG_US_PER_S);
	assert_int_equal(c.state, TG_CLAIM_FORGOTTEN);
	assert_int_equal(access(certificate, F_OK), -1);
	assert_int_equal(access(key, F_OK), -1);
	/* One that is put there again goes again. */
	put(key, "-----BEGIN PRIVATE KEY-----\n");
	tg_claim_tend(&c, &cfg, true, 120 * TG_US_PER_S);
	assert_int_equal(access(key, F_OK), -1);
}

static void what_has_ended_or_may_have_proves_nothing(void **state)
{
	const struct tg_claim_facts good = { .has_current = true, .good = true };
	struct tg_claim_facts expired = good, lost = good, unseen = good, none = good;

	(void) state;
	expired.expired = lost.key_lost = true;
	/* As after a start: nobody has tried yet whether the TPM still knows the key. */
	unseen.good = none.has_current = false;
	assert_true(tg_claim_is_proved(&good));
	assert_false(tg_claim_is_proved(&expired));
	assert_false(tg_claim_is_proved(&lost));
	assert_false(tg_claim_is_proved(&unseen));
	assert_false(tg_claim_is_proved(&none));
}

static void it_stays_unless_told_to_go(void **state)
{
	struct tg_config cfg = config(false);
	struct tg_claim c = TG_CLAIM_NULL;

	(void) state;
	tg_claim_tend(&c, &cfg, true, 0);
	assert_int_equal(c.state, TG_CLAIM_KEPT);
	assert_true(there());
}

static void one_that_is_wanted_again_stays(void **state)
{
	struct tg_config cfg = config(true);
	enum tg_on_failure *wishes[] = { &cfg.rotation.on_expiry, &cfg.rotation.on_refused,
					 &cfg.rotation.on_key_lost };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(wishes); i++) {
		struct tg_claim c = TG_CLAIM_NULL;

		*wishes[i] = TG_ON_FAILURE_CLAIM;
		tg_claim_tend(&c, &cfg, true, 0);
		assert_int_equal(c.state, TG_CLAIM_KEPT);
		assert_true(there());
		*wishes[i] = TG_ON_FAILURE_HOLD;
	}
}

static void one_that_cannot_go_is_told_with_what_to_do(void **state)
{
	struct tg_config cfg = config(true);
	struct tg_claim c = TG_CLAIM_NULL;

	(void) state;
	put(certificate, "not what it should be\n");
	tg_claim_tend(&c, &cfg, true, 0);
	assert_int_equal(c.state, TG_CLAIM_STILL);
	assert_non_null(strstr(c.error, "claim.pem holds neither"));
	assert_non_null(strstr(c.error, "'tidegate forget-claim' as root"));
	/* The key has gone all the same. */
	assert_int_equal(access(key, F_OK), -1);
	assert_int_equal(unlink(certificate), 0);
	tg_claim_tend(&c, &cfg, true, 60 * TG_US_PER_S);
	assert_int_equal(c.state, TG_CLAIM_FORGOTTEN);
	assert_string_equal(c.error, "");
}

static void a_gateway_without_claim_has_none(void **state)
{
	struct tg_config cfg = config(true);
	struct tg_claim c = TG_CLAIM_NULL;
	char none[] = "";

	(void) state;
	cfg.enrolment.aws.claim_certificate = cfg.enrolment.aws.claim_key = none;
	tg_claim_tend(&c, &cfg, true, 0);
	assert_int_equal(c.state, TG_CLAIM_NONE);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		CASE(it_goes_when_a_certificate_is_proved_and_not_before),
		CASE(what_has_ended_or_may_have_proves_nothing),
		CASE(it_stays_unless_told_to_go),
		CASE(one_that_is_wanted_again_stays),
		CASE(one_that_cannot_go_is_told_with_what_to_do),
		CASE(a_gateway_without_claim_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
