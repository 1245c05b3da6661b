/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/manifest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static void sample(struct tg_manifest *m)
{
	*m = (struct tg_manifest){
		.number = 7,
		.method = "aws-fleet",
		.subject = "CN=gw \"7\" \xc3\xa9",
		.issuer = "CN=ca",
		.serial = "0a",
		.not_before = -1,
		.not_after = INT64_C(2524607999),
		.made = 5,
		.parent = 0x81000001,
		.tpm = "0011223344556677",
		.thing = "gw-7",
	};
	memcpy(m->fingerprint, digest, sizeof(digest));
}

static void reads_back_what_it_wrote(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(TG_MANIFEST_MAX);
	struct tg_manifest in, out;
	char found[TG_DIGEST_HEX];

	(void) state;
	memset(&in, 0, sizeof(in));
	sample(&in);
	tg_manifest_write(&in, digest, &text);
	assert_int_equal(tg_buffer_error(&text), 0);
	assert_int_equal(tg_manifest_parse(text.data, text.len, &out, found, NULL), 0);
	assert_int_equal(out.number, 7);
	assert_string_equal(out.subject, in.subject);
	assert_string_equal(out.thing, "gw-7");
	assert_string_equal(out.certificate_id, "");
	/* Beyond 2038, on machines with a 32-bit time_t too. */
	assert_true(out.not_after == INT64_C(2524607999) && out.not_before == -1);
	assert_int_equal(out.parent, 0x81000001);
	assert_string_equal(found, digest);
}

/* Else an issuer that dates a certificate back would make an enrolment that can never be written. */
static void every_time_that_a_certificate_can_say_fits(void **state)
{
	static const int64_t times[] = { INT64_C(-62167219200), INT64_C(-2208988801),
					 INT64_C(253402300799) };
	struct tg_manifest in, out;
	char found[TG_DIGEST_HEX];

	(void) state;
	memset(&in, 0, sizeof(in));
	sample(&in);
	for (size_t i = 0; i < TG_ARRAY_SIZE(times); i++) {
		tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(TG_MANIFEST_MAX);

		in.not_before = times[i];
		tg_manifest_write(&in, digest, &text);
		assert_int_equal(tg_manifest_parse(text.data, text.len, &out, found, NULL), 0);
		assert_true(out.not_before == times[i]);
	}
}

static void refuses_every_truncation_and_damage_to_a_digest(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(TG_MANIFEST_MAX);
	struct tg_manifest in, out = { .number = 99 };
	char found[TG_DIGEST_HEX] = "untouched";
	char *at;

	(void) state;
	memset(&in, 0, sizeof(in));
	sample(&in);
	tg_manifest_write(&in, digest, &text);
	for (size_t len = 0; len < text.len - 1; len++)
		assert_int_equal(tg_manifest_parse(text.data, len, &out, found, NULL), -EBADMSG);
	at = strstr(text.data, "\"bundle_sha256\":\"") + 17;
	*at = 'x';
	assert_int_equal(tg_manifest_parse(text.data, text.len, &out, found, NULL), -EBADMSG);
	assert_int_equal(out.number, 99);
	assert_string_equal(found, "untouched");
}

static void the_longest_members_fit(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(TG_MANIFEST_MAX);
	struct tg_manifest in, out;
	char found[TG_DIGEST_HEX];

	(void) state;
	memset(&in, 0, sizeof(in));
	sample(&in);
	memset(in.subject, '"', sizeof(in.subject) - 1);
	memset(in.issuer, '\\', sizeof(in.issuer) - 1);
	memset(in.thing, '"', sizeof(in.thing) - 1);
	tg_manifest_write(&in, digest, &text);
	assert_int_equal(tg_buffer_error(&text), 0);
	assert_int_equal(tg_manifest_parse(text.data, text.len, &out, found, NULL), 0);
	assert_string_equal(out.subject, in.subject);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_back_what_it_wrote),
		cmocka_unit_test(every_time_that_a_certificate_can_say_fits),
		cmocka_unit_test(refuses_every_truncation_and_damage_to_a_digest),
		cmocka_unit_test(the_longest_members_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
