/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/peer.h"

#include "base/clock.h"
#include "tls/trust.h"
#include "x509/when.h"

#include <tidegate/error.h>

#include <openssl/bio.h>
#include <openssl/objects.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define CIPHERS   "ECDHE+AESGCM:ECDHE+CHACHA20"
#define SUITES_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define LEVEL     2 /* of OpenSSL: 112 bits, so RSA from 2048 bits and no SHA-1 */

TG_DEFINE_CLEANUP(GENERAL_NAMES *, GENERAL_NAMES_free)
TG_DEFINE_CLEANUP(BIO *, BIO_free)

static int peer_index = -1; /* where a context keeps its peer */
static pthread_once_t index_once = PTHREAD_ONCE_INIT;

static void make_index(void)
{
	peer_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

struct tg_tls_peer *tg_tls_peer_of(const SSL *ssl)
{
	return peer_index < 0 ? NULL : SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), peer_index);
}

/* --- what is told of a certificate -------------------------------------------------------- */

static void name_text(const X509_NAME *name, char *out, size_t size)
{
	tg_cleanup(BIO_freep) BIO *text = BIO_new(BIO_s_mem());
	char *data = NULL;
	long len;

	if (text)
		(void) X509_NAME_print_ex(text, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
	len = text ? BIO_get_mem_data(text, &data) : 0;
	tg_printable(out, size, data ? data : "", len > 0 ? (size_t) len : 0);
}

/* One alternative name as text; "" for kinds that no server is known by. */
static void alternative_text(const GENERAL_NAME *name, char *out, size_t size)
{
	const ASN1_STRING *s = name->type == GEN_DNS     ? name->d.dNSName
			       : name->type == GEN_IPADD ? name->d.iPAddress
							 : NULL;
	int len = s ? ASN1_STRING_length(s) : 0;

	out[0] = '\0';
	if (name->type == GEN_DNS)
		tg_printable(out, size, ASN1_STRING_get0_data(s), (size_t) len);
	else if (name->type == GEN_IPADD && (len == 4 || len == 16))
		(void) inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(s), out,
				 (socklen_t) size);
}

/* The names that a server is known by, as many as fit. */
static void list_names(const GENERAL_NAMES *names, char *out, size_t size)
{
	size_t at = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		char one[TG_TLS_NAME_MAX];

		alternative_text(sk_GENERAL_NAME_value(names, i), one, sizeof(one));
		if (!one[0])
			continue;
		if (at + strlen(one) + sizeof(", ...") > size) {
			(void) snprintf(out + at, size - at, at ? ", ..." : "...");
			return;
		}
		at += (size_t) snprintf(out + at, size - at, "%s%s", at ? ", " : "", one);
	}
}

static void note_name(struct tg_tls_peer *p, X509 *cert)
{
	tg_cleanup(GENERAL_NAMES_freep) GENERAL_NAMES *names =
		X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

	p->nameless = !names;
	p->name[0] = '\0';
	if (names && p->depth == 0)
		list_names(names, p->name, sizeof(p->name));
	if (!p->name[0])
		name_text(X509_get_subject_name(cert), p->name, sizeof(p->name));
}

/* The critical extension that OpenSSL does not know. */
static void note_extension(struct tg_tls_peer *p, X509 *cert)
{
	for (int i = 0; i < X509_get_ext_count(cert); i++) {
		X509_EXTENSION *ext = X509_get_ext(cert, i);

		if (!X509_EXTENSION_get_critical(ext) || X509_supported_extension(ext))
			continue;
		(void) OBJ_obj2txt(p->detail, sizeof(p->detail), X509_EXTENSION_get_object(ext), 0);
		return;
	}
}

static void note_key(struct tg_tls_peer *p, X509 *cert)
{
	const EVP_PKEY *key = X509_get0_pubkey(cert);
	const char *type = key ? EVP_PKEY_get0_type_name(key) : NULL;

	if (type)
		(void) snprintf(p->detail, sizeof(p->detail), "%s, %d bits", type,
				EVP_PKEY_get_bits(key));
}

static void note_digest(struct tg_tls_peer *p, const X509 *cert)
{
	const char *text = OBJ_nid2ln(X509_get_signature_nid(cert));

	(void) snprintf(p->detail, sizeof(p->detail), "%s", text ? text : "");
}

static int64_t date_of(const ASN1_TIME *t)
{
	int64_t s = 0;

	return tg_when(t, &s) < 0 ? 0 : s;
}

/* What the words want to know beyond the certificate's name. */
static void note_detail(struct tg_tls_peer *p, X509 *cert)
{
	switch (p->error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		p->date_s = date_of(X509_get0_notAfter(cert));
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		p->date_s = date_of(X509_get0_notBefore(cert));
		break;
	case X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION:
		note_extension(p, cert);
		break;
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
		note_key(p, cert);
		break;
	case X509_V_ERR_CA_MD_TOO_WEAK:
		note_digest(p, cert);
		break;
	default:
		name_text(X509_get_issuer_name(cert), p->detail, sizeof(p->detail));
	}
}

/* Always returns 0. */
static int fault(struct tg_tls_peer *p, int error, int depth, X509 *cert)
{
	p->error = error;
	p->depth = depth;
	if (cert) {
		note_name(p, cert);
		note_detail(p, cert);
	}
	return 0;
}

/* --- the verdict -------------------------------------------------------------------------- */

/* Called by OpenSSL for each step and each fault of a chain. Returns whether to go on. */
static int on_chain(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	X509 *cert = X509_STORE_CTX_get_current_cert(store);
	struct tg_tls_peer *p = tg_tls_peer_of(ssl);
	int error = X509_STORE_CTX_get_error(store);

	if (ok)
		return ok;
	/* Go on past "not yet valid" to learn whether that is all that is wrong: then our clock is
	 * the suspect. */
	if (error == X509_V_ERR_CERT_NOT_YET_VALID && cert) {
		int64_t begin = date_of(X509_get0_notBefore(cert));

		if (p->future_s == INT64_MAX || begin - p->judged_s <= p->future_s) {
			if (begin > p->not_before)
				p->not_before = begin;
			return 1;
		}
	}
	return fault(p, error, X509_STORE_CTX_get_error_depth(store), cert);
}

/* The name that the certificate must have. @host is an address with a zone: that is ours, not the server's. */
static bool set_host(X509_VERIFY_PARAM *param, const char *host)
{
	char address[INET6_ADDRSTRLEN];
	struct in6_addr ip;

	(void) snprintf(address, sizeof(address), "%.*s", (int) strcspn(host, "%"), host);
	if (inet_pton(AF_INET, host, &ip) == 1 || inet_pton(AF_INET6, address, &ip) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(param, address);
	return X509_VERIFY_PARAM_set1_host(param, host, 0);
}

static bool set_wishes(X509_STORE_CTX *store, const struct tg_tls_peer *p)
{
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(store);

	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
						       X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* An anchor is an authority of its own, and none that merely stands in the file. */
	(void) X509_VERIFY_PARAM_clear_flags(param,
					     X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
	X509_VERIFY_PARAM_set_auth_level(param, LEVEL);
	X509_VERIFY_PARAM_set_time(param, tg_clock_time_t(p->judged_s));
	return X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER) && p->host &&
	       *p->host && set_host(param, p->host);
}

/* Returns 1 when every certificate of a chain that begins in the future is still good by then, or 0 and says which is not. */
static int judge_beginning(X509_STORE_CTX *store, struct tg_tls_peer *p)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(store);

	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *cert = sk_X509_value(chain, i);

		if (date_of(X509_get0_notAfter(cert)) <= p->not_before)
			return fault(p, X509_V_ERR_CERT_HAS_EXPIRED, i, cert);
	}
	return 1;
}

/* Our opinion of a chain, with its reason in @p and for the alert that the server gets. */
static int judge_chain(X509_STORE_CTX *store, struct tg_tls_peer *p)
{
	int r;

	if (sk_X509_num(X509_STORE_CTX_get0_untrusted(store)) > TG_TLS_CHAIN_MAX)
		r = fault(p, X509_V_ERR_CERT_CHAIN_TOO_LONG, 0, X509_STORE_CTX_get0_cert(store));
	else
		r = X509_verify_cert(store) > 0;
	if (r && p->not_before)
		r = judge_beginning(store, p);
	if (!r && !p->error)
		p->error = X509_STORE_CTX_get_error(store);
	if (!r && !p->error)
		p->error = X509_V_ERR_UNSPECIFIED;
	X509_STORE_CTX_set_error(store, r ? X509_V_OK : p->error);
	return r;
}

static int64_t first_end(X509_STORE_CTX *store)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(store);
	int64_t first = INT64_MAX;

	for (int i = 0; i < sk_X509_num(chain); i++) {
		int64_t end = date_of(X509_get0_notAfter(sk_X509_value(chain, i)));

		if (end < first)
			first = end;
	}
	return first;
}

static void forget(struct tg_tls_peer *p)
{
	p->passed = p->finished = p->nameless = p->alerted = false;
	p->error = p->depth = 0;
	p->name[0] = p->detail[0] = '\0';
	p->date_s = p->not_before = p->not_after = 0;
	p->alert = 0;
	p->judged_s = p->now_s ? p->now_s : tg_clock_wall_us() / (int64_t) TG_US_PER_S;
}

static void on_info(const SSL *ssl, int where, int ret)
{
	struct tg_tls_peer *p = tg_tls_peer_of(ssl);

	if (!p)
		return;
	if (where & SSL_CB_HANDSHAKE_DONE) {
		p->finished = true;
		if (p->on_finished)
			p->on_finished((SSL *) ssl, p->user);
	}
	/* close_notify and the like are warnings and say nothing. */
	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && ret >> 8 == SSL3_AL_FATAL) {
		p->alerted = true;
		p->alert = (uint8_t) (ret & 0xff);
	}
}

/* Stands in for X509_verify_cert(). Returns 1 when the server is whom we want. */
static int judge(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tg_tls_peer *p = arg;

	if (p)
		forget(p);
	if (!p || !ssl || tg_tls_peer_of(ssl) != p || !set_wishes(store, p)) {
		if (p)
			p->error = X509_V_ERR_APPLICATION_VERIFICATION;
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
		return 0;
	}
	/* Once more on the SSL, as a library may have put a callback of its own on the context. */
	SSL_set_info_callback(ssl, on_info);
	X509_STORE_CTX_set_verify_cb(store, on_chain);
	p->passed = judge_chain(store, p);
	if (!p->passed) {
		p->not_before = 0;
		return 0;
	}
	p->not_after = first_end(store);
	if (!p->not_before)
		p->not_before = date_of(X509_get0_notBefore(X509_STORE_CTX_get0_cert(store)));
	if (p->not_before > p->judged_s && p->future_s != INT64_MAX)
		p->not_before = 0;
	return 1;
}

/* --- contexts ----------------------------------------------------------------------------- */

int tg_tls_harden(SSL_CTX *ctx)
{
	SSL_CTX_set_security_level(ctx, LEVEL);
	SSL_CTX_set_options(ctx,
			    SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_clear_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT |
					   SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	/* The chain that is sent is the chain that we have, not one that is completed from the
	 * anchors. */
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
	if (!SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) ||
	    !SSL_CTX_set_cipher_list(ctx, CIPHERS) || !SSL_CTX_set_ciphersuites(ctx, SUITES_13))
		return -ENOTSUP;
	return 0;
}

void tg_tls_judge(SSL_CTX *ctx, struct tg_tls_peer *peer)
{
	(void) pthread_once(&index_once, make_index);
	SSL_CTX_set_cert_verify_callback(ctx, judge, NULL);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	tg_tls_trust_by_signature(SSL_CTX_get_cert_store(ctx));
	if (!peer || peer_index < 0 || !SSL_CTX_set_ex_data(ctx, peer_index, peer))
		return; /* judge() without a peer refuses everybody */
	forget(peer);
	SSL_CTX_set_info_callback(ctx, on_info);
	SSL_CTX_set_cert_verify_callback(ctx, judge, peer);
}
