/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/net/http_tls.h"

#include "tls/alert.h"
#include "tls/trust.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>

#define UNIQUE_BYTES   12 /* of a Finished message, RFC 5246 7.4.9 */
#define EXPORTER_BYTES 32 /* RFC 9266 4.2 */
#define EXPORTER_LABEL "EXPORTER-Channel-Binding"
#define PEM_MAX        (1024u * 1024)

#define ALERT_PROTOCOL_VERSION 70

TG_DEFINE_CLEANUP(BIO *, BIO_free)

static void free_stack(STACK_OF(X509) * *certs)
{
	sk_X509_pop_free(*certs, X509_free);
}

/* --- what we are given ---------------------------------------------------------------------- */

/* Returns 0 and all certificates of @pem in its order, what else is in it is skipped; or -EINVAL, -ENOMEM. */
static int read_certificates(const char *what, const char *pem, size_t len, int max,
			     STACK_OF(X509) * *ret, struct tg_fault *reterr)
{
	tg_cleanup(free_stack) STACK_OF(X509) *certs = sk_X509_new_null();
	tg_cleanup(BIO_freep) BIO *in = len <= PEM_MAX ? BIO_new_mem_buf(pem, (int) len) : NULL;
	unsigned long last;
	X509 *cert;

	if (len > PEM_MAX)
		return tg_fault_set(reterr, -EINVAL, "%s: longer than %u bytes", what, PEM_MAX);
	if (!certs || !in)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	ERR_clear_error();
	while ((cert = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
		if (sk_X509_num(certs) >= max || !sk_X509_push(certs, cert)) {
			X509_free(cert);
			return tg_fault_set(reterr, -EINVAL, "%s: more than %d certificates", what,
					    max);
		}
	}
	last = ERR_peek_last_error();
	ERR_clear_error();
	/* The end of the text is the only good reason to stop. */
	if (ERR_GET_LIB(last) != ERR_LIB_PEM || ERR_GET_REASON(last) != PEM_R_NO_START_LINE)
		return tg_fault_set(reterr, -EINVAL, "%s: certificate %d cannot be read: %s", what,
				    sk_X509_num(certs) + 1,
				    ERR_reason_error_string(last) ? ERR_reason_error_string(last)
								  : "damaged");
	if (sk_X509_num(certs) == 0)
		return tg_fault_set(reterr, -EINVAL, "%s: no certificate in there", what);
	*ret = tg_take(certs);
	return 0;
}

static int read_anchors(struct tg_http_tls *t, const struct tg_http_options *o,
			struct tg_fault *reterr)
{
	tg_cleanup(free_stack) STACK_OF(X509) *certs = NULL;
	int r;

	if (!o->anchors_pem)
		return tg_fault_set(reterr, -EINVAL, "no trust anchors are given");
	r = read_certificates("trust anchors", o->anchors_pem, o->anchors_len, TG_HTTP_ANCHORS_MAX,
			      &certs, reterr);
	if (r < 0)
		return r;
	t->anchors = X509_STORE_new();
	if (!t->anchors)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	tg_tls_trust_by_signature(t->anchors);
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (!X509_STORE_add_cert(t->anchors, sk_X509_value(certs, i)))
			return tg_fault_set(reterr, -ENOMEM, "out of memory");
	return 0;
}

static int read_identity(struct tg_http_tls *t, const struct tg_http_options *o,
			 struct tg_fault *reterr)
{
	int r = read_certificates("our certificate", o->chain_pem, o->chain_len, TG_HTTP_CHAIN_MAX,
				  &t->chain, reterr);

	if (r < 0)
		return r;
	if (!o->key || EVP_PKEY_up_ref(o->key) != 1)
		return tg_fault_set(reterr, -EINVAL, "our certificate comes without its key");
	t->key = o->key;
	t->leaf = sk_X509_shift(t->chain);
	r = X509_check_private_key(t->leaf, t->key);
	ERR_clear_error();
	if (r != 1)
		return tg_fault_set(reterr, -EINVAL, "our certificate is not that of our key");
	return 0;
}

static void on_finished(SSL *ssl, void *user)
{
	struct tg_http_tls *t = user;

	(void) snprintf(t->version, sizeof(t->version), "%s", SSL_get_version(ssl));
}

int tg_http_tls_init(struct tg_http_tls *t, const struct tg_http_options *o,
		     struct tg_fault *reterr)
{
	int r = 0;

	t->tls12_only = o->tls12_only;
	t->peer.who = "server";
	t->peer.host = t->host;
	t->peer.now_s = o->now_s;
	t->peer.future_s = o->future_s;
	t->peer.on_finished = on_finished;
	t->peer.user = t;
	if (o->unverified && (o->chain_pem || o->key || o->username))
		return tg_fault_set(reterr, -EPERM,
				    "nobody is told who we are before the server is verified");
	if (!o->unverified)
		r = read_anchors(t, o, reterr);
	if (r == 0 && o->chain_pem)
		r = read_identity(t, o, reterr);
	return r;
}

void tg_http_tls_done(struct tg_http_tls *t)
{
	X509_STORE_free(t->anchors);
	X509_free(t->leaf);
	sk_X509_pop_free(t->chain, X509_free);
	EVP_PKEY_free(t->key);
	*t = (struct tg_http_tls){ 0 };
}

/* --- connections ---------------------------------------------------------------------------- */

static bool is_of_the_key(const char *reason)
{
	return strncmp(reason, "TPM", 3) == 0 || strncmp(reason, "TSS2", 4) == 0;
}

/*
 * Called for each message. When we send a fatal alert OpenSSL's queue has the whole story; what is
 * told later is one line of it. Looks and leaves the queue as it is.
 */
static void on_message(int write, int version, int type, const void *buf, size_t len, SSL *ssl,
		       void *user)
{
	struct tg_http_tls *t = user;
	const char *data = NULL, *reason;
	unsigned long e;
	int flags = 0;

	(void) version;
	(void) ssl;
	if (!write || type != SSL3_RT_ALERT || len != 2 ||
	    ((const uint8_t *) buf)[0] != SSL3_AL_FATAL)
		return;
	e = ERR_peek_error_all(NULL, NULL, NULL, &data, &flags);
	reason = e ? ERR_reason_error_string(e) : NULL;
	if (!reason)
		return;
	t->key_failed = is_of_the_key(reason);
	(void) snprintf(t->reason, sizeof(t->reason), "%s%s%s", reason,
			flags & ERR_TXT_STRING && data && *data ? ": " : "",
			flags & ERR_TXT_STRING && data ? data : "");
}

static int show_identity(const struct tg_http_tls *t, SSL_CTX *ctx)
{
	/* Without a key there would be an empty certificate message, and no reason for it. */
	return SSL_CTX_use_cert_and_key(ctx, t->leaf, t->key, t->chain, 1) == 1 ? 0 : -EINVAL;
}

/* Stands in for the judge where nobody is to be verified. */
static int take_anybody(X509_STORE_CTX *store, void *arg)
{
	(void) arg;
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

int tg_http_tls_prepare(struct tg_http_tls *t, SSL_CTX *ctx)
{
	int r = tg_tls_harden(ctx);

	t->version[0] = t->reason[0] = '\0';
	t->key_failed = false;
	if (r < 0)
		return r;
	if (t->tls12_only && !SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION))
		return -ENOTSUP;
	/* The environment of the process has no say in who can read along. */
	SSL_CTX_set_keylog_callback(ctx, NULL);
	SSL_CTX_set_msg_callback(ctx, on_message);
	SSL_CTX_set_msg_callback_arg(ctx, t);
	if (t->leaf)
		r = show_identity(t, ctx);
	if (r < 0)
		return r;
	tg_tls_judge(ctx, &t->peer);
	/* Comes before the context's own store, to which an HTTP library may add as it sees fit. */
	if (t->anchors)
		return SSL_CTX_set1_verify_cert_store(ctx, t->anchors) ? 0 : -ENOMEM;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, take_anybody, NULL);
	return 0;
}

static int unique_of(SSL *ssl, unsigned char *out, struct tg_fault *reterr)
{
	size_t n;

	if (SSL_get_extms_support(ssl) != 1)
		return tg_fault_set(reterr, -EOPNOTSUPP,
				    "the server does not do TLS 1.2 with extended master secret, "
				    "without which a request cannot be bound to its connection");
	/* The first Finished message: ours, unless a session was resumed. */
	n = SSL_session_reused(ssl) ? SSL_get_peer_finished(ssl, out, UNIQUE_BYTES)
				    : SSL_get_finished(ssl, out, UNIQUE_BYTES);
	if (n != UNIQUE_BYTES)
		return tg_fault_set(reterr, -EOPNOTSUPP,
				    "TLS tells nothing that a request could be bound to");
	return UNIQUE_BYTES;
}

int tg_http_tls_binding(SSL *ssl, char out[static TG_HTTP_BINDING_13 + 1], struct tg_fault *reterr)
{
	unsigned char raw[EXPORTER_BYTES];
	int n = EXPORTER_BYTES;

	if (!ssl || !SSL_is_init_finished(ssl))
		return tg_fault_set(reterr, -EOPNOTSUPP,
				    "there is no TLS connection to bind a request to");
	if (SSL_version(ssl) <= TLS1_2_VERSION)
		n = unique_of(ssl, raw, reterr);
	else if (SSL_export_keying_material(ssl, raw, sizeof(raw), EXPORTER_LABEL,
					    sizeof(EXPORTER_LABEL) - 1, (const unsigned char *) "",
					    0, 1) != 1)
		n = tg_fault_set(reterr, -EOPNOTSUPP,
				 "TLS tells nothing that a request could be bound to");
	if (n < 0)
		return n;
	(void) EVP_EncodeBlock((unsigned char *) out, raw, n);
	return 0;
}

/* --- failures ------------------------------------------------------------------------------- */

static int code_of(const struct tg_http_tls *t, const char *reason)
{
	const struct tg_tls_peer *p = &t->peer;
	uint8_t alert = p->alert;

	if (p->error)
		return -ECONNABORTED;
	if (p->alerted || tg_tls_alert_find(reason, &alert)) {
		if (alert == ALERT_PROTOCOL_VERSION && t->tls12_only)
			return -EPROTONOSUPPORT;
		return tg_tls_alert_is_about_us(alert) ? -EPERM : -ECONNABORTED;
	}
	return *reason && !strstr(reason, "unexpected eof") ? -ECONNABORTED : -ECONNRESET;
}

int tg_http_tls_failure(const struct tg_http_tls *t, const char *hint, struct tg_fault *reterr)
{
	/* OpenSSL's line is "error:CODE:library::reason". */
	const char *colon = strrchr(hint, ':'), *reason = colon ? colon + 1 : hint;
	char words[TG_TLS_WORDS_MAX];
	int r;

	if (t->reason[0])
		reason = t->reason;

	if (t->key_failed)
		return tg_fault_set(reterr, -EIO, "our key cannot sign: %s", t->reason);
	if (t->peer.finished && !t->peer.alerted && !t->peer.error)
		return 0;
	r = code_of(t, reason);
	if (r == -EPROTONOSUPPORT)
		return tg_fault_set(reterr, r, "the server does not speak TLS 1.2");
	tg_tls_handshake_words(&t->peer, reason, words, sizeof(words));
	return tg_fault_set(reterr, r, "%s", words);
}
