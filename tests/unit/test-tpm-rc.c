/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "tpm/rc.h"

#include <errno.h>
#include <string.h>

/* Codes as TPMs, the kernel and the libraries were seen to send them. */
static const struct {
	uint32_t rc;
	int error;
} known[] = {
	{ 0x18b, -ESTALE },                           /* no object at the handle */
	{ 0x1df, -ESTALE },                           /* blob of another TPM, first parameter */
	{ 0x2df, -ESTALE },                           /* the same, second parameter */
	{ 0xa000a, -ENODEV },                         /* I/O error of the transport */
	{ 0xa0008, -ENODEV },                         /* no connection */
	{ 0x910, -ENODEV },                           /* transient gone: the TPM was reset */
	{ 0x918, -ENODEV },                           /* session gone */
	{ 0x902, -ENOSPC },                           /* object memory */
	{ 0x903, -ENOSPC },                           /* session memory */
	{ 0xb0902, -ENOSPC },                         /* the same by a resource manager */
	{ 0xc0902, -ENOSPC },     { 0x14b, -ENOSPC }, /* NV space */
	{ 0x921, -EKEYREJECTED },                     /* lockout */
	{ 0x98e, -EACCES },                           /* wrong auth, counted */
	{ 0x9a2, -EACCES },                           /* wrong auth, not counted */
	{ 0x12f, -EACCES },                           /* auth unavailable */
	{ 0x125, -EACCES },                           /* auth missing */
	{ 0x922, -EBUSY },                            /* retry */
	{ 0x908, -EBUSY },                            /* yielded */
	{ 0x90a, -EBUSY },                            /* testing */
	{ 0x920, -EBUSY },                            /* NV rate */
	{ 0x101, -EIO },                              /* failure mode */
	{ 0x70007, -EIO },                            /* ESYS bad sequence */
	{ 0x80017, -EIO },                            /* malformed answer */
	{ 0x99d, -EIO },                              /* policy check failed */
	{ 0xffffffff, -EIO },
};

static void every_known_code_has_its_errno(void **state)
{
	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(known); i++) {
		struct tg_fault f = { 0 };
		int r = tg_tpm_rc_fault(known[i].rc, "signing", &f);

		if (r != known[i].error)
			fail_msg("0x%x gives %d, not %d: %s", known[i].rc, r, known[i].error,
				 f.text);
		assert_int_equal(f.code, r);
	}
}

static void the_text_says_what_why_and_the_code(void **state)
{
	struct tg_fault f;

	(void) state;
	assert_int_equal(tg_tpm_rc_fault(0x1df, "loading the key", &f), -ESTALE);
	assert_non_null(strstr(f.text, "loading the key: "));
	assert_non_null(strstr(f.text, "another TPM"));
	assert_non_null(strstr(f.text, "(0x1df)"));
	assert_int_equal(tg_tpm_rc_fault(0x921, "signing", NULL), -EKEYREJECTED);
}

static void no_code_at_all_is_success_or_unprintable(void **state)
{
	(void) state;
	for (uint32_t rc = 1; rc <= 0xfff; rc++) {
		struct tg_fault f = { 0 };

		assert_true(tg_tpm_rc_fault(rc, "x", &f) < 0);
		assert_true(strlen(f.text) > 8);
		assert_null(strchr(f.text, '\n'));
	}
}

static void only_waiting_codes_are_repeated(void **state)
{
	static const uint32_t again[] = { 0x922, 0x908, 0x90a, 0x920, 0xb0922, 0xc0908 };
	static const uint32_t not_again[] = { 0, 0x902, 0x921, 0x1df, 0xa0922, 0x70922, 0x101 };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(again); i++)
		assert_true(tg_tpm_rc_is_retry(again[i]));
	for (size_t i = 0; i < TG_ARRAY_SIZE(not_again); i++)
		assert_false(tg_tpm_rc_is_retry(not_again[i]));
}

static void a_context_is_given_up_after_any_layered_failure_and_after_a_reset(void **state)
{
	static const uint32_t lost[] = { 0xa000a, 0x70007, 0x80017, 0x9000a,
					 0x910,   0x916,   0x918,   0xb0143 };
	static const uint32_t kept[] = { 0, 0x902, 0x921, 0x1df, 0x922, 0xb0922, 0x18b, 0x101 };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(lost); i++)
		assert_true(tg_tpm_rc_is_lost(lost[i]));
	for (size_t i = 0; i < TG_ARRAY_SIZE(kept); i++)
		assert_false(tg_tpm_rc_is_lost(kept[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_known_code_has_its_errno),
		cmocka_unit_test(the_text_says_what_why_and_the_code),
		cmocka_unit_test(no_code_at_all_is_success_or_unprintable),
		cmocka_unit_test(only_waiting_codes_are_repeated),
		cmocka_unit_test(a_context_is_given_up_after_any_layered_failure_and_after_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
