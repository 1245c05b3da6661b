/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/mqtt/extract.h"
#include "agent/command/command.h"
#include "agent/pack/parcel.h"
#include "base/file.h"
#include "config/bus/mqtt_read.h"
#include "config/load.h"
#include "identity/journal_text.h"
#include "identity/manifest.h"
#include "identity/outcome.h"
#include "json/pointer.h"
#include "provisioning/enrol/aws_codec.h"
#include "tpm/tpm.h"
#include "x509/anchors.h"
#include "x509/certs_only.h"
#include "x509/chain.h"
#include "x509/csr_attributes.h"
#include "x509/issued_file.h"

#include "tests/unit/alloc-fail.h"
#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

/*
 * Everything that reads bytes from outside, short of memory at each allocation: over the inputs
 * that the fuzzers begin with, which reach most of each reader.
 */
#define INPUT_MAX  (64u * 1024)
#define INPUTS_MAX 2 /* of each corpus: further ones are more of the same */

struct input {
	const char *data;
	size_t len;
	int (*read)(const char *data, size_t len);
};

/* --- the readers: the result of the parser, and what it has made is given back ------------------ */

static int read_command(const char *data, size_t len)
{
	struct tg_command c;

	return tg_command_parse("boiler", data, len, &c, NULL);
}

static int read_manifest(const char *data, size_t len)
{
	struct tg_manifest m;
	char digest[TG_DIGEST_HEX];

	return tg_manifest_parse(data, len, &m, digest, NULL);
}

static int read_journal(const char *data, size_t len)
{
	struct tg_journal j;

	return tg_journal_parse(data, len, &j, NULL);
}

static int read_outcome(const char *data, size_t len)
{
	struct tg_outcome o;

	return tg_outcome_parse(data, len, &o, NULL);
}

static int read_aws_created(const char *data, size_t len)
{
	struct tg_aws_created c = { .certificate_pem = NULL };
	int r = tg_aws_created_parse(data, len, &c, NULL);

	if (r == 0)
		tg_aws_created_done(&c);
	return r;
}

static int read_aws_registered(const char *data, size_t len)
{
	char thing[129];

	return tg_aws_registered_parse(data, len, thing, NULL);
}

/* A pointer, a line break, a document. */
static int read_json(const char *data, size_t len)
{
	const char *end = memchr(data, '\n', len);
	size_t n = end ? (size_t) (end - data) : 0;
	tg_cleanup(tg_json_freep) struct json_t *doc = NULL;
	struct tg_json_value v;
	int r;

	if (!end)
		return tg_json_document(data, len, INPUT_MAX, &doc, NULL);
	r = tg_json_document(end + 1, len - n - 1, INPUT_MAX, &doc, NULL);
	return r < 0 ? r : tg_json_pointer(doc, data, n, &v);
}

static int read_attributes(const char *data, size_t len)
{
	struct tg_csr_wishes wishes;

	return tg_csr_attributes_parse(data, len, &wishes, NULL);
}

static int read_issued(const char *data, size_t len)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *c = NULL;

	return tg_issued_file_parse(data, len, &c, NULL);
}

static int read_certs_only(const char *data, size_t len)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *c = NULL;

	return tg_certs_only_parse(data, len, &c, NULL);
}

static int read_chain(const char *data, size_t len)
{
	tg_cleanup(tg_chain_freep) struct tg_chain *c = NULL;
	tg_autofree char *pem = NULL;
	struct tg_chain_info info;
	int r = tg_chain_parse(data, len, &c, NULL);

	if (r == 0)
		r = tg_chain_info(c, &info, NULL);
	if (r == 0)
		pem = tg_chain_to_pem(c);
	return r == 0 && !pem ? -ENOMEM : r;
}

static int read_anchors(const char *data, size_t len)
{
	struct tg_anchor_info out[8];
	size_t n;

	return tg_anchors_list(data, len, out, TG_ARRAY_SIZE(out), &n, NULL);
}

static int read_key(const char *data, size_t len)
{
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = NULL;
	tg_autofree char *text = NULL;
	int r = tg_tpm_key_from_pem(data, len, &key, NULL);

	return r < 0 ? r : tg_tpm_key_to_pem(key, &text);
}

static int read_parcel(const char *data, size_t len)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL;
	struct tg_unpacked u;
	int r = tg_parcel_from_bytes((const uint8_t *) data, len, &p);

	if (r == 0)
		r = tg_parcel_unpack(p, &u);
	if (r == 0)
		tg_unpacked_done(&u);
	return r;
}

/* A reading that could not be understood for want of memory is a bad one, and says why. */
static int read_message(const char *data, size_t len)
{
	static const struct tg_config_device dev = { .mqtt = { .retained =
								       TG_MQTT_RETAINED_ACCEPT } };
	struct tg_mqtt_message m = {
		.topic = "a/b/c", .payload = data, .len = len, .max = INPUT_MAX
	};
	struct tg_config_point point = { .read = (char *) "/a number" };
	struct tg_sample s = { .quality = TG_STALE };
	struct tg_text_room room;
	int r = tg_mqtt_read_parse(point.read, &point.mqtt, NULL);

	if (r == 0 && tg_mqtt_extract(&dev, &point, &m, &room, &s))
		r = s.quality == TG_BAD ? (strstr(s.reason, "memory") ? -ENOMEM : -EBADMSG) : 1;
	tg_mqtt_message_done(&m);
	return r;
}

/* Those that stand on OpenSSL end with a refusal: from 3.5 on it does not say that it was memory. */
static const struct reader {
	const char *name, *corpus;
	int (*read)(const char *data, size_t len);
	unsigned how;
} readers[] = {
	{ "command", "command", read_command, ALLOC_FAIL_STRICT },
	{ "manifest", "manifest", read_manifest, ALLOC_FAIL_STRICT },
	{ "journal", "journal", read_journal, ALLOC_FAIL_STRICT },
	{ "outcome", "outcome", read_outcome, ALLOC_FAIL_STRICT },
	{ "certificate of AWS", "aws-json", read_aws_created, ALLOC_FAIL_STRICT },
	{ "registration of AWS", "aws-json", read_aws_registered, ALLOC_FAIL_STRICT },
	{ "JSON", "json-pointer", read_json, ALLOC_FAIL_STRICT },
	{ "csrattrs", "csr-attributes", read_attributes, ALLOC_FAIL_REFUSES },
	{ "issued file", "issued-file", read_issued, ALLOC_FAIL_REFUSES | ALLOC_FAIL_KEEPS },
	{ "certs-only", "certs-only", read_certs_only, ALLOC_FAIL_REFUSES },
	{ "chain", "chain", read_chain, ALLOC_FAIL_REFUSES },
	{ "anchors", "anchors", read_anchors, ALLOC_FAIL_REFUSES },
	{ "TPM key", "tss2-pem", read_key, ALLOC_FAIL_REFUSES },
	{ "parcel", "parcel", read_parcel, ALLOC_FAIL_STRICT },
	{ "MQTT message", "mqtt-extract", read_message, ALLOC_FAIL_STRICT },
};

static int read_input(void *user)
{
	const struct input *in = user;
	int r = in->read(in->data, in->len);

	/* OpenSSL keeps the reason of a failure until it is asked for: it is no leak. */
	ERR_clear_error();
	return r;
}

static int is_file(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* Over all inputs of a corpus; those that are refused without an allocation have nothing to fail. */
static unsigned long read_corpus(const struct reader *r, unsigned *inputs)
{
	struct dirent **names = NULL;
	char dir[512], path[1024], name[600];
	unsigned long failed = 0;
	const unsigned before = *inputs;
	int n;

	(void) snprintf(dir, sizeof(dir), "%s/../fuzz/corpus/%s", getenv("TIDEGATE_DATA"),
			r->corpus);
	n = scandir(dir, &names, is_file, alphasort);
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		tg_autofree char *data = NULL;
		struct input in = { .read = r->read };
		struct alloc_fail_count count;

		(void) snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		(void) snprintf(name, sizeof(name), "%s: %s", r->name, names[i]->d_name);
		free(names[i]);
		assert_int_equal(tg_file_read(AT_FDCWD, path, INPUT_MAX, &data, &in.len, NULL), 0);
		in.data = data;
		alloc_fail_arm(0, ALLOC_FAIL_ONCE);
		(void) read_input(&in);
		count = alloc_fail_disarm();
		if (count.asked == 0 || *inputs == before + INPUTS_MAX)
			continue;
		failed += alloc_fail_each(name, r->how, read_input, &in);
		++*inputs;
	}
	free(names);
	return failed;
}

static void what_is_read_from_outside_survives_every_failure(void **state)
{
	unsigned long failed = 0;
	unsigned inputs = 0;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(readers); i++) {
		unsigned before = inputs;

		failed += read_corpus(&readers[i], &inputs);
		assert_true(inputs > before);
	}
	assert_true(failed > 1000);
	printf("FAULT F23: %lu failed allocations in %zu readers of outside bytes over %u inputs: "
	       "-ENOMEM or a refusal, nothing "
	       "leaked, the next try works\n",
	       failed, TG_ARRAY_SIZE(readers), inputs);
}

/* --- the configuration --------------------------------------------------------------------------- */

static int load(void *user)
{
	struct tg_config *cfg = NULL;
	struct tg_complaints c;
	int r = tg_config_load(user, &c, &cfg);

	tg_complaints_done(&c);
	(void) tg_config_unref(cfg);
	return r;
}

static void the_configuration_loads_or_says_that_memory_is_short(void **state)
{
	static const char *const files[] = { "good/full.conf", "tree", "bad/key-twice.conf",
					     "bad/bus-type-typo.conf", "bad/latin1.conf" };
	unsigned long failed = 0;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(files); i++) {
		char path[512];

		(void) snprintf(path, sizeof(path), "%s/config/%s", getenv("TIDEGATE_DATA"),
				files[i]);
		failed += alloc_fail_each(files[i], ALLOC_FAIL_STRICT, load, path);
	}
	assert_true(failed > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read_from_outside_survives_every_failure),
		cmocka_unit_test(the_configuration_loads_or_says_that_memory_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
