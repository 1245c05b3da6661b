/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrol/aws_codec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int created(const char *text, struct tg_aws_created *ret, struct tg_fault *fault)
{
	return tg_aws_created_parse(text, strlen(text), ret, fault);
}

static void requests_are_what_the_service_documents(void **state)
{
	static const struct tg_pair parameters[] = { { (char *) "SerialNumber", (char *) "gw-"
											 "\"7\"" },
						     { (char *) "Site", (char *) "north" } };
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(TG_AWS_REQUEST_MAX);
	char topic[TG_AWS_TOPIC_MAX];

	(void) state;
	tg_aws_create_request("-----BEGIN\nA", &b);
	assert_string_equal(b.data, "{\"certificateSigningRequest\":\"-----BEGIN\\nA\"}");
	tg_buffer_reset(&b);
	tg_aws_register_request("tok", parameters, 2, &b);
	assert_string_equal(b.data, "{\"certificateOwnershipToken\":\"tok\",\"parameters\":"
				    "{\"SerialNumber\":\"gw-\\\"7\\\"\",\"Site\":\"north\"}}");
	assert_int_equal(tg_aws_register_topic("fleet_1-a", topic, NULL), 0);
	assert_string_equal(topic, "$aws/provisioning-templates/fleet_1-a/provision/json");
	assert_int_equal(tg_aws_register_topic("a/b", topic, NULL), -EINVAL);
	assert_int_equal(tg_aws_register_topic("", topic, NULL), -EINVAL);
	assert_int_equal(
		tg_aws_register_topic("0123456789012345678901234567890123456", topic, NULL),
		-EINVAL);
}

static void a_good_answer_is_read_and_unknown_members_are_ignored(void **state)
{
	struct tg_aws_created c = { 0 };

	(void) state;
	assert_int_equal(created("{\"x\":{\"y\":[1,null]},\"certificateId\":\"0aF\","
				 "\"certificatePem\":"
				 "\"-\\n-\\n\",\"certificateOwnershipToken\":\"t\"}",
				 &c, NULL),
			 0);
	assert_string_equal(c.certificate_id, "0aF");
	assert_string_equal(c.certificate_pem, "-\n-\n");
	assert_string_equal(c.token, "t");
	tg_aws_created_done(&c);
	assert_string_equal(c.token, "");
}

static void each_bad_member_of_an_answer_is_named_and_no_value_quoted(void **state)
{
	static const struct {
		const char *text, *word;
	} bad[] = {
		{ "{\"certificateId\":\"a\",\"certificatePem\":\"p\"}", "certificateOwnershipToke"
									"n" },
		{ "{\"certificateId\":\"a\",\"certificatePem\":\"p\",\"certificateOwnershipToken\":"
		  "\"\"}",
		  "certificateOwnershipToken" },
		{ "{\"certificateId\":\"a\",\"certificatePem\":\"p\",\"certificateOwnershipToken\":"
		  "[1]}",
		  "certificateOwnershipToken" },
		{ "{\"certificateId\":7,\"certificatePem\":\"p\",\"certificateOwnershipToken\":"
		  "\"S3C\"}",
		  "certificateId" },
		{ "{\"certificateId\":\"../"
		  "x\",\"certificatePem\":\"p\",\"certificateOwnershipToken\":\"S3C\"}",
		  "certificateId" },
		{ "{\"certificateId\":\"a\",\"certificatePem\":null,\"certificateOwnershipToken\":"
		  "\"S3C\"}",
		  "certificatePem" },
		{ "{\"certificateId\":\"a\",\"certificatePem\":\"\\u001b[2J\","
		  "\"certificateOwnershipToken\":\"S3C\"}",
		  "certificatePem" },
		{ "", "JSON" },
		{ "[]", "object" },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++) {
		struct tg_aws_created c = { 0 };
		struct tg_fault fault = { 0 };

		assert_int_equal(created(bad[i].text, &c, &fault), -EBADMSG);
		if (!strstr(fault.text, bad[i].word))
			fail_msg("'%s' does not name %s", fault.text, bad[i].word);
		assert_null(strstr(fault.text, "S3C"));
		assert_null(c.certificate_pem);
	}
}

static void oversized_answers_and_members_are_refused(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(512 * 1024);
	struct tg_aws_created c = { 0 };
	char thing[129];

	(void) state;
	tg_buffer_adds(&b, "{\"certificateId\":\"a\",\"certificatePem\":\"p\","
			   "\"certificateOwnershipToken\":\"");
	for (int i = 0; i < 4096; i++)
		tg_buffer_addc(&b, 't');
	tg_buffer_adds(&b, "\"}");
	assert_int_equal(tg_aws_created_parse(b.data, b.len, &c, NULL), -EBADMSG);
	tg_buffer_reset(&b);
	tg_buffer_adds(&b, "{\"thingName\":\"gw\",\"padding\":\"");
	while (b.len <= TG_AWS_REPLY_MAX)
		tg_buffer_adds(&b, "pppppppppppppppp");
	tg_buffer_adds(&b, "\"}");
	assert_int_equal(tg_aws_registered_parse(b.data, b.len, thing, NULL), -EFBIG);
}

static int registered(const char *text, char *thing)
{
	return tg_aws_registered_parse(text, strlen(text), thing, NULL);
}

static void a_thing_name_cannot_reach_into_topics(void **state)
{
	char thing[129] = "before";

	(void) state;
	assert_int_equal(registered("{\"thingName\":\"a/b\"}", thing), -EBADMSG);
	assert_int_equal(registered("{\"thingName\":\"+\"}", thing), -EBADMSG);
	assert_int_equal(registered("{\"thingName\":\"#\"}", thing), -EBADMSG);
	assert_int_equal(registered("{\"thingName\":\"a\\u0000b\"}", thing), -EBADMSG);
	assert_int_equal(registered("{\"thingName\":\"a\\nb\"}", thing), -EBADMSG);
	assert_int_equal(registered("{\"thingName\":[]}", thing), -EBADMSG);
	assert_string_equal(thing, "before");
	assert_int_equal(registered("{\"deviceConfiguration\":{\"a\":\"b\"}}", thing), 0);
	assert_string_equal(thing, "");
	assert_int_equal(registered("{\"thingName\":\"gw_7:a-b\"}", thing), 0);
	assert_string_equal(thing, "gw_7:a-b");
}

static void refusals_are_classified_and_shown_verbatim(void **state)
{
	static const struct {
		const char *text;
		int status;
		enum tg_enrol_class class;
		bool token;
	} cases[] = {
		{ "{\"statusCode\":403,\"errorCode\":\"AccessDenied\",\"errorMessage\":"
		  "\"no\\u001b\"}",
		  403, TG_ENROL_REFUSED, false },
		{ "{\"statusCode\":400,\"errorCode\":\"InvalidCertificateOwnershipToken\"}", 400,
		  TG_ENROL_REFUSED, true },
		{ "{\"statusCode\":429}", 429, TG_ENROL_RETRY, false },
		{ "{\"statusCode\":503,\"errorCode\":7}", 503, TG_ENROL_RETRY, false },
		{ "{\"statusCode\":400,\"errorCode\":\"ThrottlingException\"}", 400, TG_ENROL_RETRY,
		  false },
		{ "{\"statusCode\":\"403\"}", 0, TG_ENROL_BAD_ANSWER, false },
		{ "rubbish", 0, TG_ENROL_BAD_ANSWER, false },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		struct tg_aws_rejected r;

		tg_aws_rejected_parse(cases[i].text, strlen(cases[i].text), &r);
		assert_int_equal(r.status, cases[i].status);
		assert_int_equal(tg_aws_classify(&r), cases[i].class);
		assert_int_equal(tg_aws_is_token_gone(&r), cases[i].token);
		if (i == 0)
			assert_string_equal(r.message, "no?");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_what_the_service_documents),
		cmocka_unit_test(a_good_answer_is_read_and_unknown_members_are_ignored),
		cmocka_unit_test(each_bad_member_of_an_answer_is_named_and_no_value_quoted),
		cmocka_unit_test(oversized_answers_and_members_are_refused),
		cmocka_unit_test(a_thing_name_cannot_reach_into_topics),
		cmocka_unit_test(refusals_are_classified_and_shown_verbatim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
