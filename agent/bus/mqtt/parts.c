/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/mqtt/parts.h"

#include "agent/bus/tcp.h"
#include "base/file.h"
#include "tls/trust.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define PASSWORD_MAX 4096

TG_DEFINE_CLEANUP(struct addrinfo *, freeaddrinfo)
TG_DEFINE_CLEANUP(SSL_CTX *, SSL_CTX_free)

/* --- addresses ----------------------------------------------------------------------------------
 */

int tg_broker_resolve(const char *host, struct tg_broker_addresses *ret, struct tg_fault *reterr)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	tg_cleanup(freeaddrinfop) struct addrinfo *list = NULL;
	struct tg_broker_addresses found = { .n = 0 };
	int r = getaddrinfo(host, NULL, &hints, &list);

	if (r != 0)
		return tg_fault_set(reterr, -ENOENT, "%s: %s", host,
				    r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
	for (const struct addrinfo *ai = list; ai && found.n < TG_BROKER_ADDRESSES;
	     ai = ai->ai_next) {
		if (getnameinfo(ai->ai_addr, ai->ai_addrlen, found.text[found.n],
				sizeof(found.text[0]), NULL, 0, NI_NUMERICHOST) == 0)
			found.n++;
	}
	if (found.n == 0)
		return tg_fault_set(reterr, -ENOENT, "%s: no address", host);
	*ret = found;
	return 0;
}

uint64_t tg_broker_patience_us(const char *host)
{
	return tg_tcp_patience_us(host, 0);
}

/* --- TLS ----------------------------------------------------------------------------------------
 */

static int tls_fault(struct tg_fault *reterr, const char *what)
{
	char text[256];

	ERR_error_string_n(ERR_peek_last_error(), text, sizeof(text));
	ERR_clear_error();
	return tg_fault_set(reterr, -EINVAL, "%s: %s", what, text);
}

static int trust(SSL_CTX *ctx, const char *ca, struct tg_fault *reterr)
{
	tg_autofree char *pem = NULL;
	size_t len;
	int r = tg_file_read(AT_FDCWD, ca, TG_TLS_TRUST_BYTES, &pem, &len, reterr);

	if (r == 0)
		r = tg_tls_trust(SSL_CTX_get_cert_store(ctx), pem, len, reterr);
	if (r < 0)
		(void) tg_fault_prefix(reterr, "ca %s", ca);
	return r;
}

/* The judge's own, for the thread whose handshake it is; the same for all contexts. */
static _Thread_local void (*judge_info)(const SSL *, int, int);

/*
 * The library gives the address that it connects to as the server's name, which RFC 6066 section 3 forbids: the host's
 * name takes its place before the first message, or none where the host is an address.
 */
static void name_server(const SSL *ssl, int where, int value)
{
	const struct tg_tls_peer *peer = tg_tls_peer_of(ssl);
	struct in6_addr any;
	bool address;

	if ((where & SSL_CB_HANDSHAKE_START) && peer && peer->host) {
		address = inet_pton(AF_INET, peer->host, &any) == 1 ||
			  inet_pton(AF_INET6, peer->host, &any) == 1;
		/* Const for no reason of this call's: the callback's SSL, and the name, which is copied. */
		(void) SSL_set_tlsext_host_name((SSL *) (uintptr_t) ssl,
						address ? NULL : (char *) (uintptr_t) peer->host);
	}
	if (judge_info)
		judge_info(ssl, where, value);
}

static int show_certificate(SSL_CTX *ctx, const struct tg_mqtt_bus *cfg, struct tg_fault *reterr)
{
	if (!*cfg->certificate)
		return 0;
	if (SSL_CTX_use_certificate_chain_file(ctx, cfg->certificate) != 1)
		return tls_fault(reterr, cfg->certificate);
	if (SSL_CTX_use_PrivateKey_file(ctx, cfg->key, SSL_FILETYPE_PEM) != 1)
		return tls_fault(reterr, cfg->key);
	return 0;
}

int tg_broker_tls_new(const struct tg_mqtt_bus *cfg, struct tg_tls_peer *peer, SSL_CTX **ret,
		      struct tg_fault *reterr)
{
	tg_cleanup(SSL_CTX_freep) SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int r;

	if (!ctx)
		return tg_fault_set(reterr, -ENOMEM, "TLS: out of memory");
	r = tg_tls_harden(ctx);
	if (r < 0)
		return tg_fault_set(reterr, r, "this OpenSSL cannot be made safe");
	r = trust(ctx, cfg->ca, reterr);
	if (r == 0)
		r = show_certificate(ctx, cfg, reterr);
	if (r < 0)
		return r;
	peer->who = "broker";
	peer->host = cfg->host;
	/* At its start a gateway may not know the time; the local broker need not wait for that. */
	peer->future_s = INT64_MAX;
	tg_tls_judge(ctx, peer);
	judge_info = SSL_CTX_get_info_callback(ctx);
	SSL_CTX_set_info_callback(ctx, name_server);
	*ret = tg_take(ctx);
	return 0;
}

/* --- password -----------------------------------------------------------------------------------
 */

int tg_broker_password(const char *file, char **ret, struct tg_fault *reterr)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	char path[2048];
	size_t len;
	int r;

	(void) snprintf(path, sizeof(path), "%s%s%s", *file == '/' || !directory ? "" : directory,
			*file == '/' ? "" : "/", file);
	if (*file != '/' && !directory)
		return tg_fault_set(reterr, -ENOENT, "%s: there are no credentials here", file);
	r = tg_file_read(AT_FDCWD, path, PASSWORD_MAX, ret, &len, reterr);
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "password-file");
		return r;
	}
	(*ret)[strcspn(*ret, "\r\n")] = '\0';
	return 0;
}

/* --- bytes --------------------------------------------------------------------------------------
 */

uint64_t tg_broker_bytes_read(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	int unread = 0;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
	    ioctl(fd, FIONREAD, &unread) < 0 || unread < 0 ||
	    info.tcpi_bytes_received < (uint64_t) unread)
		return 0;
	return info.tcpi_bytes_received - (uint64_t) unread;
}
