/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/manifest.h"

#include "json/json.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define VERSION 1

/* Whatever a certificate can say: one that is accepted can be written. */
#define TIME_MIN (-INT64_C(62167219200)) /* 0000-01-01 */
#define TIME_MAX INT64_C(253402300799)  /* 9999-12-31T23:59:59Z */

/* One table for both directions. */
#define TEXT(member)                                                                               \
	{                                                                                          \
#member, offsetof(struct tg_manifest, member),                                     \
			sizeof(((struct tg_manifest *) 0)->member)                                 \
	}
static const struct {
	const char *key;
	size_t offset, size;
} texts[] = {
	TEXT(method),      TEXT(subject), TEXT(issuer), TEXT(serial),
	TEXT(fingerprint), TEXT(tpm),     TEXT(thing),  TEXT(certificate_id),
};

#define TIME(member)                                                                               \
	{                                                                                          \
#member, offsetof(struct tg_manifest, member)                                      \
	}
static const struct {
	const char *key;
	size_t offset;
} times[] = { TIME(not_before), TIME(not_after), TIME(made) };

void tg_manifest_write(const struct tg_manifest *m, const char *bundle_digest,
		       struct tg_buffer *out)
{
	tg_buffer_addf(out, "{\"version\":%d,\"number\":%u", VERSION, m->number);
	for (size_t i = 0; i < TG_ARRAY_SIZE(texts); i++) {
		tg_buffer_addf(out, ",\"%s\":", texts[i].key);
		tg_buffer_add_json(out, (const char *) m + texts[i].offset);
	}
	for (size_t i = 0; i < TG_ARRAY_SIZE(times); i++) {
		int64_t t;

		memcpy(&t, (const char *) m + times[i].offset, sizeof(t));
		tg_buffer_addf(out, ",\"%s\":%" PRId64, times[i].key, t);
	}
	tg_buffer_addf(out, ",\"parent\":%" PRIu32 ",\"bundle_sha256\":\"%s\"}\n", m->parent,
		       bundle_digest);
}

static bool is_hex(const char *s, size_t len)
{
	return strlen(s) == len && strspn(s, "0123456789abcdef") == len;
}

static int parse_members(const struct json_t *doc, struct tg_manifest *m, char *digest,
			 struct tg_fault *reterr)
{
	int64_t v = 0;
	int r = tg_json_int(doc, "version", VERSION, VERSION, &v, reterr);

	if (r == 0)
		r = tg_json_int(doc, "number", 1, TG_GENERATION_MAX, &v, reterr);
	if (r < 0)
		return r;
	m->number = (unsigned) v;
	for (size_t i = 0; i < TG_ARRAY_SIZE(texts) && r == 0; i++)
		r = tg_json_text(doc, texts[i].key, (char *) m + texts[i].offset, texts[i].size,
				 reterr);
	for (size_t i = 0; i < TG_ARRAY_SIZE(times) && r == 0; i++) {
		r = tg_json_int(doc, times[i].key, TIME_MIN, TIME_MAX, &v, reterr);
		memcpy((char *) m + times[i].offset, &v, sizeof(v));
	}
	if (r == 0)
		r = tg_json_int(doc, "parent", 0, UINT32_MAX, &v, reterr);
	if (r == 0)
		r = tg_json_text(doc, "bundle_sha256", digest, TG_DIGEST_HEX, reterr);
	if (r < 0)
		return r;
	m->parent = (uint32_t) v;
	if (!is_hex(m->fingerprint, 64) || !is_hex(digest, 64))
		return tg_fault_set(reterr, -EBADMSG, "a digest is not 64 hex digits");
	return 0;
}

int tg_manifest_parse(const char *text, size_t len, struct tg_manifest *ret,
		      char ret_digest[static TG_DIGEST_HEX], struct tg_fault *reterr)
{
	tg_cleanup(tg_json_freep) struct json_t *doc = NULL;
	struct tg_manifest m = { 0 };
	char digest[TG_DIGEST_HEX] = "";
	int r = tg_json_object(text, len, TG_MANIFEST_MAX, &doc, reterr);

	if (r == 0)
		r = parse_members(doc, &m, digest, reterr);
	if (r == -ENOENT) /* of a member; the file is there */
		r = -EBADMSG;
	if (r < 0)
		return r;
	*ret = m;
	memcpy(ret_digest, digest, sizeof(digest));
	return 0;
}
