/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "base/clock.h"
#include "tests/integration/swtpm.h"
#include "tpm/key.h"
#include "tpm/provider.h"
#include "tpm/tpm.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/sha.h>

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#define SRK     TG_TPM_SRK_DEFAULT
#define MESSAGE "a message\n"

/* The packaged tpm2-openssl, whichever version the distribution has, on keys that we made. */
static struct swtpm swtpm;
static struct tg_tpm_key *key;
static char key_path[96], version[32];

static void must(int r, const struct tg_fault *f)
{
	if (r < 0)
		fail_msg("%d: %s", r, f->text);
}

static void path_in(char out[static 96], const char *name)
{
	(void) snprintf(out, 96, "%s/%s", swtpm.dir, name);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void make_key(void)
{
	struct tg_tpm_options o = { .tcti = swtpm.tcti, .timeout_us = 20 * TG_US_PER_S };
	tg_autofree char *pem = NULL;
	struct tg_tpm *t = NULL;
	struct tg_fault f;

	must(tg_tpm_new(&o, &t, &f), &f);
	must(tg_tpm_ensure_srk(t, SRK, &f), &f);
	must(tg_tpm_create_key(t, SRK, &pem, &f), &f);
	must(tg_tpm_key_from_pem(pem, strlen(pem), &key, &f), &f);
	tg_tpm_free(t);
	path_in(key_path, "key.pem");
	write_file(key_path, pem);
}

/* As the openssl command sees it. */
static void ask_version(void)
{
	static const char *const argv[] = { "openssl", "list",      "-providers", "-provider",
					    "default", "-provider", "tpm2",       NULL };
	const char *p = NULL;
	size_t n;

	if (swtpm_run(&swtpm, argv) != 0 || !(p = strstr(swtpm_output(&swtpm), "tpm2\n")) ||
	    !(p = strstr(p, "version: ")))
		fail_msg("tpm2-openssl is not installed: %s", swtpm_output(&swtpm));
	p += strlen("version: ");
	n = strcspn(p, "\n");
	(void) snprintf(version, sizeof(version), "%.*s", (int) n, p);
}

static int setup(void **state)
{
	(void) state;
	swtpm_init(&swtpm);
	make_key();
	ask_version();
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	tg_tpm_key_unref(key);
	swtpm_done(&swtpm);
	return 0;
}

static void the_openssl_command_reads_the_public_half(void **state)
{
	const char *argv[] = { "openssl", "pkey",   "-provider", "tpm2",     "-provider", "default",
			       "-in",     key_path, "-pubout",   "-outform", "DER",       NULL };
	const char *der;

	(void) state;
	if (swtpm_run(&swtpm, argv) != 0)
		fail_msg("%s", swtpm_output(&swtpm));
	/* SubjectPublicKeyInfo of P-256: 26 bytes, then the point. */
	der = swtpm_output(&swtpm);
	assert_memory_equal(der + 26, tg_tpm_key_point(key), TG_TPM_POINT_BYTES);
}

/*
 * The property query is for 1.1.1, which otherwise hands the key to the default provider without
 * its private half; a process of its own may do that, but it routes every signature to the TPM.
 */
static void the_openssl_command_signs(void **state)
{
	char message[96], sig_path[96];
	const char *argv[] = { "openssl",   "dgst",    "-provider",  "tpm2",
			       "-provider", "default", "-propquery", "?tpm2.signature=yes",
			       "-sha256",   "-sign",   key_path,     "-out",
			       sig_path,    message,   NULL };
	uint8_t digest[32], sig[128];
	size_t len;
	FILE *f;

	(void) state;
	path_in(message, "message");
	path_in(sig_path, "signature");
	write_file(message, MESSAGE);
	if (swtpm_run(&swtpm, argv) != 0)
		fail_msg("%s", swtpm_output(&swtpm));
	f = fopen(sig_path, "re");
	assert_non_null(f);
	len = fread(sig, 1, sizeof(sig), f);
	(void) fclose(f);
	SHA256((const unsigned char *) MESSAGE, strlen(MESSAGE), digest);
	assert_int_equal(tg_tpm_key_verify(key, digest, sizeof(digest), sig, len), 0);
}

/* Providers stay in a process once they are loaded, so each case has one of its own. Returns fn()'s
 * status. */
static int in_child(int (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* 0 when what was promised came; else the number of what did not. */
static int load_missing(void)
{
	struct tg_fault f;

	if (setenv("OPENSSL_MODULES", swtpm.dir, 1) < 0)
		return 1;
	if (tg_provider_tpm2(swtpm.tcti, &f) != -ENOENT || !strstr(f.text, "not installed"))
		return 2;
	return 0;
}

static void a_provider_that_is_not_installed_is_named(void **state)
{
	(void) state;
	assert_int_equal(in_child(load_missing), 0);
}

static int load_without_tpm(void)
{
	struct tg_fault f;

	if (tg_provider_tpm2("swtpm:path=/nonexistent/s", &f) != -ENODEV)
		return 1;
	return !strstr(f.text, "cannot reach the TPM");
}

static void a_tpm_that_is_away_is_told_apart(void **state)
{
	(void) state;
	assert_int_equal(in_child(load_without_tpm), 0);
}

static int load_old(void)
{
	struct tg_fault f;

	if (tg_provider_tpm2(swtpm.tcti, &f) != -EOPNOTSUPP)
		return 1;
	if (!strstr(f.text, version) || !strstr(f.text, "1.3.0") || !strstr(f.text, "builtin"))
		return 2;
	/* Unloaded again, and the default provider still works. */
	if (OSSL_PROVIDER_available(NULL, "tpm2") || !OSSL_PROVIDER_available(NULL, "default"))
		return 3;
	return EVP_Q_digest(NULL, "SHA256", NULL, "", 0, (unsigned char[32]){ 0 }, NULL) == 1 ? 0
											      : 4;
}

static int load_new(void)
{
	tg_cleanup(fclosep) FILE *in = NULL;
	EVP_PKEY *pkey;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t digest[32], sig[128];
	size_t len = sizeof(sig);
	struct tg_fault f;

	if (tg_provider_tpm2(swtpm.tcti, &f) < 0)
		return 1;
	in = fopen(key_path, "re");
	pkey = in ? PEM_read_PrivateKey(in, NULL, NULL, NULL) : NULL;
	if (!pkey)
		return 2;
	if (EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, pkey, NULL) != 1 ||
	    EVP_DigestSign(ctx, sig, &len, (const unsigned char *) MESSAGE, strlen(MESSAGE)) != 1)
		return 3;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	SHA256((const unsigned char *) MESSAGE, strlen(MESSAGE), digest);
	return tg_tpm_key_verify(key, digest, sizeof(digest), sig, len) == 0 ? 0 : 4;
}

static void before_1_3_it_is_refused_and_from_then_on_used(void **state)
{
	int minor = version[2] - '0';

	(void) state;
	print_message("tpm2-openssl %s\n", version);
	assert_true(version[0] == '1' && version[1] == '.' && minor >= 0 && minor <= 9);
	if (minor < 3)
		assert_int_equal(in_child(load_old), 0);
	else
		assert_int_equal(in_child(load_new), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_openssl_command_reads_the_public_half),
		cmocka_unit_test(the_openssl_command_signs),
		cmocka_unit_test(a_provider_that_is_not_installed_is_named),
		cmocka_unit_test(a_tpm_that_is_away_is_told_apart),
		cmocka_unit_test(before_1_3_it_is_refused_and_from_then_on_used),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
