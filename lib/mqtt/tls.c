/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/attempt.h"

#include "base/clock.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/*
 * How a broker is judged. Paho checks the name only after the handshake, falls
 * back from the alternative names to the CN, knows no verification time and
 * tells no reason. Here everything is checked inside the handshake, before our
 * certificate is sent and before the TPM signs: chain to the configured
 * anchors, name or address among the alternative names, purpose, validity at
 * the time that we are given, security level 2. The clock of a gateway can be
 * behind, the peer's certificate cannot: one that is good in all but its
 * beginning proves that this has passed.
 */

TG_DEFINE_CLEANUP(SSL_CTX *, SSL_CTX_free)

static int attempt_index = -1; /* where an SSL keeps its attempt */
static pthread_once_t index_once = PTHREAD_ONCE_INIT;

static void make_index(void)
{
	attempt_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static struct tg_mqtt_attempt *attempt_of(const SSL *ssl)
{
	return SSL_get_ex_data(ssl, attempt_index);
}

static SSL *ssl_of(X509_STORE_CTX *store)
{
	return X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
}

/* The first DNS name or address that @cert is for, else its CN, else nothing. */
static void name_of(X509 *cert, char *out, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	char cn[128];
	int len;

	out[0] = '\0';
	for (int i = 0; names && !out[0] && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DNS)
			tg_printable(out, size, ASN1_STRING_get0_data(name->d.dNSName),
				     (size_t) ASN1_STRING_length(name->d.dNSName));
		else if (name->type == GEN_IPADD && ASN1_STRING_length(name->d.iPAddress) == 4)
			(void) inet_ntop(AF_INET, ASN1_STRING_get0_data(name->d.iPAddress), out,
					 (socklen_t) size);
	}
	GENERAL_NAMES_free(names);
	len = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, cn,
					sizeof(cn));
	if (!out[0] && len > 0)
		tg_printable(out, size, cn, strlen(cn));
}

static int64_t not_before(const X509 *cert)
{
	struct tm tm;

	if (!cert || !ASN1_TIME_to_tm(X509_get0_notBefore(cert), &tm))
		return 0;
	return timegm(&tm);
}

/* Called by OpenSSL for each step and each fault of a chain. Returns whether to go on. */
static int on_chain(int ok, X509_STORE_CTX *store)
{
	struct tg_mqtt_attempt *a = attempt_of(ssl_of(store));
	int error = X509_STORE_CTX_get_error(store);
	X509 *cert = X509_STORE_CTX_get_current_cert(store);

	if (ok)
		return ok;
	/* Go on past "not yet valid" to learn whether that is all that is wrong: then our clock is
	 * the suspect. */
	if (error == X509_V_ERR_CERT_NOT_YET_VALID) {
		if (not_before(cert) > a->peer_not_before)
			a->peer_not_before = not_before(cert);
		return 1;
	}
	a->verify_error = error;
	a->verify_depth = X509_STORE_CTX_get_error_depth(store);
	if (cert)
		name_of(cert, a->peer_name, sizeof(a->peer_name));
	return 0;
}

static bool set_wishes(X509_STORE_CTX *store, const struct tg_mqtt_attempt *a)
{
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(store);
	struct in_addr ip;

	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
						       X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	X509_VERIFY_PARAM_set_auth_level(param, 2);
	if (a->verify_at)
		X509_VERIFY_PARAM_set_time(param, tg_clock_time_t(a->verify_at));
	if (inet_pton(AF_INET, a->host, &ip) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(param, a->host);
	return X509_VERIFY_PARAM_set1_host(param, a->host, 0);
}

static void on_info(const SSL *ssl, int where, int ret)
{
	struct tg_mqtt_attempt *a = attempt_of(ssl);

	if (where & SSL_CB_HANDSHAKE_DONE)
		a->stage = TG_MQTT_STAGE_TLS;
	/* Level 2 is fatal; close_notify and the like are warnings and say nothing. */
	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && ret >> 8 == SSL3_AL_FATAL) {
		a->alerted = true;
		a->alert = (uint8_t) (ret & 0xff);
	}
}

/* Returns 1 when every certificate of a chain that begins in the future is still good by then, or 0 and says which is not. */
static int judge_beginning(X509_STORE_CTX *store, struct tg_mqtt_attempt *a)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(store);
	time_t then = tg_clock_time_t(a->peer_not_before);

	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *cert = sk_X509_value(chain, i);

		if (X509_cmp_time(X509_get0_notAfter(cert), &then) > 0)
			continue;
		a->verify_error = X509_V_ERR_CERT_HAS_EXPIRED;
		a->verify_depth = i;
		name_of(cert, a->peer_name, sizeof(a->peer_name));
		return 0;
	}
	return 1;
}

/* Our opinion of a chain, with its reason in @a and for the alert that the peer gets. */
static int judge_chain(X509_STORE_CTX *store, struct tg_mqtt_attempt *a)
{
	int r = X509_verify_cert(store) > 0;

	if (r && a->peer_not_before)
		r = judge_beginning(store, a);
	if (!r && !a->verify_error)
		a->verify_error = X509_STORE_CTX_get_error(store);
	if (!r && !a->verify_error)
		a->verify_error = X509_V_ERR_UNSPECIFIED;
	X509_STORE_CTX_set_error(store, r ? X509_V_OK : a->verify_error);
	return r;
}

/* Stands in for X509_verify_cert(). Returns 1 when the peer is whom we want. */
static int judge(X509_STORE_CTX *store, void *arg)
{
	struct tg_mqtt_attempt *a = arg;
	SSL *ssl = ssl_of(store);

	/* No attempt: a context that Paho made in a way that we do not know. */
	if (!a || !ssl || !SSL_set_ex_data(ssl, attempt_index, a) || !set_wishes(store, a)) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
		return 0;
	}
	/* On the SSL, as Paho has a callback of its own on the context. */
	SSL_set_info_callback(ssl, on_info);
	X509_STORE_CTX_set_verify_cb(store, on_chain);
	a->verify_error = 0;
	a->peer_not_before = 0;
	if (!judge_chain(store, a)) {
		a->peer_not_before = 0;
		return 0;
	}
	if (!a->peer_not_before)
		a->peer_not_before = not_before(X509_STORE_CTX_get0_cert(store));
	a->stage = TG_MQTT_STAGE_PEER;
	return 1;
}

void tg_mqtt_tls_last_words(SSL *ssl, int r)
{
	struct tg_mqtt_attempt *a = attempt_index >= 0 ? attempt_of(ssl) : NULL;
	int error = errno;
	char byte;

	if (!a || a->alerted || a->stage != TG_MQTT_STAGE_TLS ||
	    (error != ECONNRESET && error != EPIPE) || SSL_get_error(ssl, r) != SSL_ERROR_SYSCALL)
		return;
	/* Does not block, and cannot even ask to: at the end of a dead connection there is only an
	 * end. on_info() listens. */
	(void) SSL_read(ssl, &byte, 1);
	errno = error;
}

void tg_mqtt_tls_prepare(SSL_CTX *ctx, struct tg_mqtt_attempt *a)
{
	(void) pthread_once(&index_once, make_index);

	SSL_CTX_set_cert_verify_callback(ctx, judge, NULL);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	/* Older Paho puts level 1 back; the cipher string that it is given ends in @SECLEVEL=2. */
	SSL_CTX_set_security_level(ctx, 2);
	SSL_CTX_set_options(ctx,
			    SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	/* The chain that is sent is the chain in our file, not one that is completed from the
	 * anchors. */
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
	if (!a || attempt_index < 0 || !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION))
		return; /* judge() without an attempt refuses every peer */
	/* Paho has an option for ALPN, but loses its copy of it with every connect
	 * (paho.mqtt.c#1702). */
	if (a->alpn_len && SSL_CTX_set_alpn_protos(ctx, a->alpn, a->alpn_len) != 0)
		return;
	SSL_CTX_set_cert_verify_callback(ctx, judge, a);
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

int tg_mqtt_tls_files(const char *ca, const char *chain, const char *key, bool *ret_tpm,
		      struct tg_fault *reterr)
{
	tg_cleanup(SSL_CTX_freep) SSL_CTX *ctx = NULL;
	int r;

	*ret_tpm = false;
	r = readable("trust anchors", ca, reterr);
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
	if (SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
		return refuse_file("trust anchors", ca, ret_tpm, reterr);
	if (SSL_CTX_use_certificate_chain_file(ctx, chain) != 1)
		return refuse_file("certificate", chain, ret_tpm, reterr);
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		return refuse_file("key", key, ret_tpm, reterr);
	return 0;
}
