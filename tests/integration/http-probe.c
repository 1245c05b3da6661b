/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/parse.h"
#include "provisioning/net/http.h"
#include "tpm/provider.h"
#include "tpm/tpm.h"
#include "x509/key.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/*
 * The HTTPS client by hand, for tests: options as KEY=VALUE arguments, then one command a line on
 * standard input, each answered by one line of JSON.
 *
 *	get URL		post URL BYTES		bind URL BYTES (the body begins with the binding)
 *	short URL BYTES, long, fail (a body that is not as announced)
 *
 * tpm=TCTI makes keys in a TPM readable; tpm=TCTI newkey=FILE makes one, and nothing else happens.
 */
#define LINE_MAX_BYTES 4096
#define FILE_MAX_BYTES (2u * 1024 * 1024)
#define BODY_MAX       70000

struct probe {
	struct tg_http_options o;
	struct tg_tpm *tpm;
	EVP_PKEY *key;
	char *texts[8]; /* what the options point to */
	size_t n_texts;
	struct tg_http *h;
	unsigned made;       /* bodies for a binding */
	char binding[64];    /* the last one */
	const char *trouble; /* of make_body */
};

static char *read_file(struct probe *p, const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = calloc(1, FILE_MAX_BYTES + 1);

	if (!f || !text || p->n_texts == TG_ARRAY_SIZE(p->texts)) {
		(void) fprintf(stderr, "http-probe: %s\n", path);
		exit(2);
	}
	(void) !fread(text, 1, FILE_MAX_BYTES, f);
	(void) fclose(f);
	p->texts[p->n_texts++] = text;
	return text;
}

static void die(const struct tg_fault *f)
{
	(void) fprintf(stderr, "http-probe: %s\n", f->text);
	exit(2);
}

static void open_tpm(struct probe *p, const char *tcti, uint64_t timeout_s)
{
	struct tg_tpm_options o = { .tcti = tcti, .timeout_us = timeout_s * TG_US_PER_S };
	struct tg_fault f;

	if (tg_tpm_new(&o, &p->tpm, &f) < 0 || tg_provider_builtin(p->tpm, &f) < 0)
		die(&f);
}

/* Makes a key in the TPM, writes it to @path and its public half to @path.pub, and that is all. */
static void new_key(struct probe *p, const char *path)
{
	char *pem = NULL, public_path[256];
	EVP_PKEY *key = NULL;
	struct tg_fault f;
	FILE *out;

	if (tg_tpm_ensure_srk(p->tpm, TG_TPM_SRK_DEFAULT, &f) < 0 ||
	    tg_tpm_create_key(p->tpm, TG_TPM_SRK_DEFAULT, &pem, &f) < 0 ||
	    tg_key_from_pem(pem, strlen(pem), &key, &f) < 0)
		die(&f);
	out = fopen(path, "we");
	if (!out || fputs(pem, out) < 0 || fclose(out) < 0)
		exit(2);
	(void) snprintf(public_path, sizeof(public_path), "%s.pub", path);
	out = fopen(public_path, "we");
	if (!out || PEM_write_PUBKEY(out, key) != 1 || fclose(out) < 0)
		exit(2);
	free(pem);
	EVP_PKEY_free(key);
	tg_tpm_free(p->tpm);
	exit(0);
}

static void set_key(struct probe *p, const char *path)
{
	const char *pem = read_file(p, path);
	struct tg_fault f;

	if (tg_key_from_pem(pem, strlen(pem), &p->key, &f) < 0)
		die(&f);
	p->o.key = p->key;
}

static bool set_number(struct tg_http_options *o, const char *key, const char *value)
{
	int64_t n = 0;

	if (tg_parse_i64(value, &n) < 0)
		return false;
	if (strcmp(key, "now") == 0)
		o->now_s = n;
	else if (strcmp(key, "future") == 0)
		o->future_s = n < 0 ? INT64_MAX : n;
	else if (strcmp(key, "connect") == 0)
		o->connect_s = (unsigned) n;
	else if (strcmp(key, "answer") == 0)
		o->answer_s = (unsigned) n;
	else if (strcmp(key, "stall") == 0)
		o->stall_s = (unsigned) n;
	else if (strcmp(key, "overall") == 0)
		o->overall_s = (unsigned) n;
	else if (strcmp(key, "unverified") == 0)
		o->unverified = n;
	else if (strcmp(key, "tls12") == 0)
		o->tls12_only = n;
	else
		return false;
	return true;
}

static void set_option(struct probe *p, char *arg)
{
	char *value = strchr(arg, '=');

	if (!value)
		exit(2);
	*value++ = '\0';
	if (strcmp(arg, "url") == 0) {
		p->o.url = value;
	} else if (strcmp(arg, "anchors") == 0) {
		p->o.anchors_pem = read_file(p, value);
		p->o.anchors_len = strlen(p->o.anchors_pem);
	} else if (strcmp(arg, "chain") == 0) {
		p->o.chain_pem = read_file(p, value);
		p->o.chain_len = strlen(p->o.chain_pem);
	} else if (strcmp(arg, "tpm") == 0) {
		open_tpm(p, value, 3);
	} else if (strcmp(arg, "newkey") == 0) {
		new_key(p, value);
	} else if (strcmp(arg, "key") == 0) {
		set_key(p, value);
	} else if (strcmp(arg, "user") == 0) {
		p->o.username = value;
	} else if (strcmp(arg, "password") == 0) {
		p->o.password = value;
	} else if (strcmp(arg, "proxy") == 0) {
		p->o.proxy = value;
	} else if (!set_number(&p->o, arg, value)) {
		(void) fprintf(stderr, "http-probe: %s?\n", arg);
		exit(2);
	}
}

static int make_body(void *user, const char *binding, char *out, size_t size,
		     struct tg_fault *reterr)
{
	struct probe *p = user;
	size_t n = strlen(binding) < size ? strlen(binding) : size;

	p->made++;
	(void) snprintf(p->binding, sizeof(p->binding), "%s", binding);
	if (strcmp(p->trouble, "fail") == 0)
		return tg_fault_set(reterr, -EIO, "no body today");
	memset(out, 'x', size);
	memcpy(out, binding, n);
	if (strcmp(p->trouble, "short") == 0)
		return (int) size - 1;
	if (strcmp(p->trouble, "long") == 0)
		return (int) size + 1;
	return (int) size;
}

static void add_pair(struct tg_buffer *b, const char *name, const char *value)
{
	tg_buffer_addf(b, ",\"%s\":", name);
	tg_buffer_add_json(b, value);
}

static void add_answer(struct tg_buffer *b, const struct tg_http_answer *a)
{
	tg_buffer_addf(b, ",\"status\":%d,\"date\":%" PRId64 ",\"length\":%zu", a->status, a->date,
		       a->len);
	add_pair(b, "type", a->content_type);
	add_pair(b, "retry_after", a->retry_after);
	add_pair(b, "location", a->location);
	add_pair(b, "words", a->words);
	add_pair(b, "body", a->body);
}

static void call(struct probe *p, const char *verb, const char *url, size_t len)
{
	static char body[BODY_MAX];
	struct tg_http_request q = { .url = url, .accept = "application/pkcs7-mime" };
	struct tg_buffer out = TG_BUFFER_INIT(4u * 1024 * 1024);
	uint64_t begin = tg_clock_boot_us();
	struct tg_http_answer a = { 0 };
	struct rusage usage;
	struct tg_fault f = { 0 };
	int r;

	memset(body, 'b', sizeof(body));
	p->trouble = verb;
	p->made = 0;
	p->binding[0] = '\0';
	q.user = p;
	q.post = strcmp(verb, "get") != 0;
	q.content_type = "application/pkcs10";
	q.encoding = "base64";
	q.body_len = q.post ? len : 0;
	if (strcmp(verb, "post") == 0)
		q.body = body;
	else if (q.post)
		q.make_body = make_body;
	r = tg_http_call(p->h, &q, &a, &f);
	(void) getrusage(RUSAGE_SELF, &usage);
	tg_buffer_addf(&out, "{\"error\":%d,\"stage\":%d,\"made\":%u,\"rss\":%ld,\"ms\":%" PRIu64,
		       r, tg_http_stage(p->h), p->made, usage.ru_maxrss,
		       (tg_clock_boot_us() - begin) / TG_US_PER_MS);
	add_pair(&out, "text", r < 0 ? f.text : "");
	add_pair(&out, "binding", p->binding);
	add_pair(&out, "tls", tg_http_tls_version(p->h));
	tg_buffer_addf(&out, ",\"not_before\":%" PRId64, tg_http_peer_not_before(p->h));
	if (r == 0)
		add_answer(&out, &a);
	(void) printf("%s}\n", tg_buffer_text(&out));
	(void) fflush(stdout);
	tg_buffer_done(&out);
	tg_http_answer_done(&a);
}

static void obey(struct probe *p)
{
	char line[LINE_MAX_BYTES];

	while (fgets(line, sizeof(line), stdin)) {
		char *at = NULL, *verb = strtok_r(line, " \n", &at),
		     *url = strtok_r(NULL, " \n", &at), *bytes = strtok_r(NULL, " \n", &at);
		uint64_t n = 0;

		if (!verb || !url || (bytes && tg_parse_u64(bytes, &n) < 0) || n > BODY_MAX)
			exit(2);
		call(p, verb, url, (size_t) n);
	}
}

int main(int argc, char **argv)
{
	struct probe p = { 0 };
	struct tg_fault f;
	int r;

	for (int i = 1; i < argc; i++)
		set_option(&p, argv[i]);
	r = tg_http_new(&p.o, &p.h, &f);
	if (r < 0) {
		(void) printf("{\"error\":%d,\"stage\":0,\"text\":\"%s\"}\n", r, f.text);
	} else {
		(void) printf("{\"error\":0}\n");
		(void) fflush(stdout);
		obey(&p);
	}
	tg_http_free(p.h);
	EVP_PKEY_free(p.key);
	for (size_t i = 0; i < p.n_texts; i++)
		free(p.texts[i]);
	tg_tpm_free(p.tpm);
	return 0;
}
