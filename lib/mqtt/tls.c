/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/attempt.h"

#include "tls/trust.h"

#include <openssl/err.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * A broker is judged by lib/tls, within the handshake. Paho itself checks the
 * name only after it, falls back from the alternative names to the CN, knows no
 * verification time and tells no reason.
 */

TG_DEFINE_CLEANUP(SSL_CTX *, SSL_CTX_free)

void tg_mqtt_tls_last_words(SSL *ssl, int r)
{
	const struct tg_tls_peer *p = tg_tls_peer_of(ssl);
	int error = errno;
	char byte;

	if (!p || p->alerted || !p->finished || (error != ECONNRESET && error != EPIPE) ||
	    SSL_get_error(ssl, r) != SSL_ERROR_SYSCALL)
		return;
	/* Does not block, and cannot even ask to: at the end of a dead connection there is only an
	 * end. The judge listens. */
	(void) SSL_read(ssl, &byte, 1);
	errno = error;
}

void tg_mqtt_tls_prepare(SSL_CTX *ctx, struct tg_mqtt_attempt *a)
{
	bool usable = tg_tls_harden(ctx) == 0 && a;

	/* Paho has an option for ALPN, but loses its copy of it with every connect
	 * (paho.mqtt.c#1702). */
	if (usable && a->alpn_len)
		usable = SSL_CTX_set_alpn_protos(ctx, a->alpn, a->alpn_len) == 0;
	/* Paho adds those of its file to the same store. */
	if (usable && a->anchors_pem)
		usable = tg_tls_trust(SSL_CTX_get_cert_store(ctx), a->anchors_pem,
				      strlen(a->anchors_pem), NULL) == 0;
	/* Older Paho puts level 1 back; the cipher string that it is given ends in @SECLEVEL=2. */
	tg_tls_judge(ctx, usable ? &a->peer : NULL);
}

/* --- a look at the files before Paho has one ---------------------------------------------- */

/* Empties OpenSSL's queue: the innermost reason, and whether a TPM is to blame. */
static bool drain_errors(char *out, size_t size)
{
	const char *data;
	unsigned long e;
	bool tpm = false;
	int flags;

	(void) snprintf(out, size, "not usable");
	for (bool first = true; (e = ERR_get_error_all(NULL, NULL, NULL, &data, &flags));
	     first = false) {
		const char *reason = ERR_reason_error_string(e);
		bool blamed = reason && strncmp(reason, "TPM", 3) == 0;

		if (reason && (first || (blamed && !tpm)))
			(void) snprintf(out, size, "%s%s%s", reason,
					flags & ERR_TXT_STRING && *data ? ": " : "",
					flags & ERR_TXT_STRING ? data : "");
		tpm = tpm || blamed;
	}
	return tpm;
}

static int refuse_file(const char *what, const char *file, bool *ret_tpm, struct tg_fault *reterr)
{
	char reason[256];

	*ret_tpm = drain_errors(reason, sizeof(reason));
	return tg_fault_set(reterr, *ret_tpm ? -EIO : -EINVAL, "%s %s: %s", what, file, reason);
}

static int readable(const char *what, const char *file, struct tg_fault *reterr)
{
	tg_cleanup(fclosep) FILE *f = fopen(file, "re");
	int r = f ? 0 : -errno;

	if (r < 0)
		return tg_fault_set(reterr, r, "%s %s: %s", what, file, strerror(-r));
	return 0;
}

static int load_anchors(SSL_CTX *ctx, const char *ca, const char *anchors_pem, bool *ret_tpm,
			struct tg_fault *reterr)
{
	int r = 0;

	if (ca && SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
		return refuse_file("trust anchors", ca, ret_tpm, reterr);
	if (anchors_pem)
		r = tg_tls_trust(SSL_CTX_get_cert_store(ctx), anchors_pem, strlen(anchors_pem),
				 reterr);
	if (r < 0)
		(void) tg_fault_prefix(reterr, "trust anchors of the enrolment");
	return r;
}

int tg_mqtt_tls_files(const char *ca, const char *anchors_pem, const char *chain, const char *key,
		      bool *ret_tpm, struct tg_fault *reterr)
{
	tg_cleanup(SSL_CTX_freep) SSL_CTX *ctx = NULL;
	int r;

	*ret_tpm = false;
	r = ca ? readable("trust anchors", ca, reterr) : 0;
	if (r == 0)
		r = readable("certificate", chain, reterr);
	if (r == 0)
		r = readable("key", key, reterr);
	if (r < 0)
		return r;
	ERR_clear_error();
	ctx = SSL_CTX_new(TLS_client_method());
	if (!ctx)
		return tg_fault_set(reterr, -ENOMEM, "TLS: out of memory");
	r = load_anchors(ctx, ca, anchors_pem, ret_tpm, reterr);
	if (r < 0)
		return r;
	if (SSL_CTX_use_certificate_chain_file(ctx, chain) != 1)
		return refuse_file("certificate", chain, ret_tpm, reterr);
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		return refuse_file("key", key, ret_tpm, reterr);
	return 0;
}
