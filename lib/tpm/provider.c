/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/provider-internal.h"

#include "base/parse.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define BUILTIN_NAME  "tidegate"
#define PACKAGED_NAME "tpm2"

/* For the init function, to which OpenSSL passes nothing of the caller's. */
static struct tg_tpm *builtin_tpm;
/* The number that OpenSSL gave the provider's errors, known since the first one; 0 before. */
static _Atomic int builtin_lib;

static const OSSL_ITEM reasons[] = {
	{ ENODEV, (char *) "TPM missing or not reachable" },
	{ EBUSY, (char *) "TPM busy" },
	{ ETIMEDOUT, (char *) "TPM does not answer" },
	{ EKEYREJECTED, (char *) "TPM locked out" },
	{ ESTALE, (char *) "TPM cleared or replaced, or key of another TPM" },
	{ ENOSPC, (char *) "TPM has no room" },
	{ EACCES, (char *) "TPM authorisation wrong or missing" },
	{ EEXIST, (char *) "TPM handle in use by something else" },
	{ EIO, (char *) "TPM failed" },
	{ EBADMSG, (char *) "TSS2 key damaged" },
	{ EFBIG, (char *) "key file too long" },
	{ EOPNOTSUPP, (char *) "TSS2 key of a kind that is not used" },
	{ EINVAL, (char *) "not a use of a TPM signing key" },
	{ ENOBUFS, (char *) "buffer too short" },
	{ ENOMEM, (char *) "out of memory" },
	{ 0, NULL },
};

static void raise_text(const struct tg_provider *p, int reason, const char *fmt, ...)
	__attribute__((__format__(__printf__, 3, 4)));

static void raise_text(const struct tg_provider *p, int reason, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	p->vset_error(p->core, (uint32_t) reason, fmt, ap);
	va_end(ap);
}

void tg_provider_raise_at(const struct tg_provider *p, const char *file, int line, const char *func,
			  const struct tg_fault *fault)
{
	p->new_error(p->core);
	p->set_error_debug(p->core, file, line, func);
	raise_text(p, -fault->code, "%s", fault->text);
	atomic_store(&builtin_lib, ERR_GET_LIB(ERR_peek_last_error()));
}

int tg_provider_fail(const struct tg_provider *p, int r, const char *text)
{
	struct tg_fault fault;

	(void) tg_fault_set(&fault, r, "%s", text);
	tg_provider_raise(p, &fault);
	return 0;
}

#define PROPERTIES "provider=" BUILTIN_NAME

static const OSSL_ALGORITHM keymgmt_list[] = {
	{ "EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, tg_provider_keymgmt,
	  "EC key in the TPM" },
	{ NULL, NULL, NULL, NULL },
};
static const OSSL_ALGORITHM signature_list[] = {
	{ "ECDSA", PROPERTIES, tg_provider_signature, "ECDSA by the TPM" },
	{ NULL, NULL, NULL, NULL },
};
static const OSSL_ALGORITHM decoder_list[] = {
	{ "EC", PROPERTIES ",input=pem", tg_provider_decoder, "TSS2 PRIVATE KEY" },
	{ NULL, NULL, NULL, NULL },
};

static const OSSL_ALGORITHM *query(void *provctx, int operation, int *no_cache)
{
	(void) provctx;
	*no_cache = 0;
	switch (operation) {
	case OSSL_OP_KEYMGMT:
		return keymgmt_list;
	case OSSL_OP_SIGNATURE:
		return signature_list;
	case OSSL_OP_DECODER:
		return decoder_list;
	default:
		return NULL;
	}
}

static const OSSL_ITEM *get_reason_strings(void *provctx)
{
	(void) provctx;
	return reasons;
}

static const OSSL_PARAM *gettable_params(void *provctx)
{
	static const OSSL_PARAM table[] = {
		OSSL_PARAM_DEFN(OSSL_PROV_PARAM_NAME, OSSL_PARAM_UTF8_PTR, NULL, 0),
		OSSL_PARAM_DEFN(OSSL_PROV_PARAM_VERSION, OSSL_PARAM_UTF8_PTR, NULL, 0),
		OSSL_PARAM_DEFN(OSSL_PROV_PARAM_STATUS, OSSL_PARAM_INTEGER, NULL, 0),
		OSSL_PARAM_END,
	};

	(void) provctx;
	return table;
}

static int get_params(void *provctx, OSSL_PARAM params[])
{
	OSSL_PARAM *p;

	(void) provctx;
	p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_NAME);
	if (p && !OSSL_PARAM_set_utf8_ptr(p, "tidegate TPM keys"))
		return 0;
	p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_VERSION);
	if (p && !OSSL_PARAM_set_utf8_ptr(p, TIDEGATE_VERSION))
		return 0;
	p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);
	return !p || OSSL_PARAM_set_int(p, 1);
}

static void teardown(void *provctx)
{
	free(provctx);
}

static const OSSL_DISPATCH provider_functions[] = {
	TG_DISPATCH(PROVIDER_QUERY_OPERATION, query),
	TG_DISPATCH(PROVIDER_GET_REASON_STRINGS, get_reason_strings),
	TG_DISPATCH(PROVIDER_GETTABLE_PARAMS, gettable_params),
	TG_DISPATCH(PROVIDER_GET_PARAMS, get_params),
	TG_DISPATCH(PROVIDER_TEARDOWN, teardown),
	TG_DISPATCH_END,
};

static void take_core_function(struct tg_provider *p, const OSSL_DISPATCH *f)
{
	switch (f->function_id) {
	case OSSL_FUNC_CORE_NEW_ERROR:
		p->new_error = OSSL_FUNC_core_new_error(f);
		break;
	case OSSL_FUNC_CORE_SET_ERROR_DEBUG:
		p->set_error_debug = OSSL_FUNC_core_set_error_debug(f);
		break;
	case OSSL_FUNC_CORE_VSET_ERROR:
		p->vset_error = OSSL_FUNC_core_vset_error(f);
		break;
	case OSSL_FUNC_BIO_READ_EX:
		p->bio_read = OSSL_FUNC_BIO_read_ex(f);
		break;
	default: /* the core offers many more */
		break;
	}
}

static int init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
		void **provctx)
{
	struct tg_provider *p = calloc(1, sizeof(*p));

	if (!p)
		return 0;
	p->core = core;
	p->tpm = builtin_tpm;
	for (; in->function_id != 0; in++)
		take_core_function(p, in);
	if (!p->new_error || !p->set_error_debug || !p->vset_error || !p->bio_read) {
		free(p);
		return 0;
	}
	*out = provider_functions;
	*provctx = p;
	return 1;
}

/* What tg_provider_...() has loaded, given back when OpenSSL cleans up at exit; in that order it
 * still exists. */
static OSSL_PROVIDER *loaded[4];
static size_t n_loaded;

static void unload_all(void)
{
	while (n_loaded > 0)
		(void) OSSL_PROVIDER_unload(loaded[--n_loaded]);
}

static OSSL_PROVIDER *load(const char *name)
{
	OSSL_PROVIDER *p = OSSL_PROVIDER_load(NULL, name);

	if (n_loaded == 0)
		(void) OPENSSL_atexit(unload_all);
	if (p && n_loaded < TG_ARRAY_SIZE(loaded))
		loaded[n_loaded++] = p;
	return p;
}

/*
 * Loading any provider by name switches off the automatic loading of `default`,
 * and where both know an algorithm the one that was loaded first is taken.
 */
static int load_default(struct tg_fault *reterr)
{
	if (load("default"))
		return 0;
	return tg_provider_error(reterr, "OpenSSL's default provider");
}

int tg_provider_builtin(struct tg_tpm *tpm, struct tg_fault *reterr)
{
	int r;

	r = load_default(reterr);
	if (r < 0)
		return r;
	builtin_tpm = tpm;
	if (!OSSL_PROVIDER_add_builtin(NULL, BUILTIN_NAME, init) || !load(BUILTIN_NAME))
		return tg_provider_error(reterr, "built-in OpenSSL provider");
	return 0;
}

/* Whether "1.3.0", "1.3.1-rc2" is 1.3 or later. What cannot be read is not. */
bool tg_provider_version_ok(const char *version)
{
	char head[32];
	uint64_t major = 0, minor = 0;
	char *dot;

	(void) snprintf(head, sizeof(head), "%s", version);
	dot = strchr(head, '.');
	if (!dot)
		return false;
	*dot++ = '\0';
	dot[strspn(dot, "0123456789")] = '\0';
	if (tg_parse_u64(head, &major) < 0 || tg_parse_u64(dot, &minor) < 0)
		return false;
	return major > 1 || (major == 1 && minor >= 3);
}

static int check_version(OSSL_PROVIDER *prov, struct tg_fault *reterr)
{
	const char *version = NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_ptr(OSSL_PROV_PARAM_VERSION, (char **) &version, 0),
		OSSL_PARAM_construct_end(),
	};

	if (!OSSL_PROVIDER_get_params(prov, params) || !version)
		return tg_fault_set(reterr, -EOPNOTSUPP,
				    "tpm2-openssl does not say its version; 1.3.0 or later is "
				    "needed, or set "
				    "[tpm] openssl-provider = builtin");
	if (!tg_provider_version_ok(version))
		return tg_fault_set(reterr, -EOPNOTSUPP,
				    "tpm2-openssl %s is too old: before 1.3.0 it has no lock, and "
				    "two threads "
				    "corrupt its memory; set [tpm] openssl-provider = builtin",
				    version);
	return 0;
}

/* The library is missing (0x12800067 and the like, from the DSO layer), or it was found and could
 * not start. */
static int load_failure(struct tg_fault *reterr)
{
	bool missing = ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_DSO;

	(void) tg_provider_error(reterr, "tpm2-openssl");
	if (missing)
		return tg_fault_set(reterr, -ENOENT,
				    "tpm2-openssl is not installed (package tpm2-openssl); install "
				    "it or set "
				    "[tpm] openssl-provider = builtin");
	return tg_fault_set(reterr, -ENODEV,
			    "tpm2-openssl cannot reach the TPM; check [tpm] tcti and that it is "
			    "running");
}

int tg_provider_tpm2(const char *tcti, struct tg_fault *reterr)
{
	OSSL_PROVIDER *prov;
	const char *told;
	int r;

	r = load_default(reterr);
	if (r < 0)
		return r;
	/*
	 * It reads the environment when it is loaded, and has no other way to be told. A repeated call finds it set: other
	 * threads may run by then, and must not see it change.
	 */
	told = getenv("TPM2OPENSSL_TCTI");
	if ((!told || strcmp(told, tcti) != 0) && setenv("TPM2OPENSSL_TCTI", tcti, 1) < 0)
		return tg_fault_set(reterr, -errno, "tpm2-openssl: cannot set TPM2OPENSSL_TCTI");
	ERR_clear_error();
	prov = load(PACKAGED_NAME);
	if (!prov)
		return load_failure(reterr);
	r = check_version(prov, reterr);
	if (r < 0)
		(void) OSSL_PROVIDER_unload(loaded[--n_loaded]);
	return r;
}

/* "reason: detail" of one entry of OpenSSL's error queue, appended to @out. */
static void describe(char *out, size_t size, unsigned long e, const char *data, int flags)
{
	const char *reason = ERR_reason_error_string(e);
	const char *detail = flags & ERR_TXT_STRING && data && *data ? data : NULL;
	size_t len = strlen(out);

	/* Our own details are whole sentences. */
	if (detail && ERR_GET_LIB(e) == atomic_load(&builtin_lib))
		reason = NULL;
	(void) snprintf(out + len, size - len, "%s%s%s%s", len > 0 ? "; " : "",
			reason ? reason : "", reason && detail ? ": " : "", detail ? detail : "");
}

int tg_provider_error(struct tg_fault *reterr, const char *what)
{
	char text[TG_FAULT_MAX] = "";
	const char *data = NULL;
	unsigned long e;
	int flags = 0, r = -EIO;

	while ((e = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
		int lib = atomic_load(&builtin_lib);

		if (lib != 0 && ERR_GET_LIB(e) == lib && r == -EIO)
			r = -ERR_GET_REASON(e);
		describe(text, sizeof(text), e, data, flags);
	}
	return tg_fault_set(reterr, r, "%s: %s", what, *text ? text : "OpenSSL gives no reason");
}
