/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Requests over HTTPS to one origin that is trusted for what its certificate says under the given
 * anchors, and for nothing else: no system store, no redirects, no cookies, no proxy or netrc from
 * the environment, no compression. HTTP/1.1 and 2, IPv4 and 6, TLS 1.2 or better (tls/).
 *
 * A handle has at most one connection, kept from one request to the next while the server allows
 * it. Every call blocks, at most the overall time-out (longer only while a TPM signs, within its
 * own). One thread. No password and nothing derived from it is in any text that comes out of here;
 * the server's words are printable, cut, and without our password should it repeat it.
 *
 * Errors, of all functions, with words that begin with the host:
 *	-EHOSTUNREACH	no such name, no route, nobody listens; the proxy does not reach it
 *	-ETIMEDOUT	too slow, or silent
 *	-ECONNRESET	the connection ended before the answer did
 *	-ECONNABORTED	the server's certificate does not verify, or no common kind of TLS
 *	-EPROTONOSUPPORT  the server does not speak TLS 1.2, and no other may be
 *	-EPERM		the server refused our certificate in the handshake; or a handle that does
 *			not verify its server was asked for more than a plain GET
 *	-EMSGSIZE	an answer that is too long
 *	-EPROTO		an answer that is no HTTP, or compressed
 *	-EOPNOTSUPP	no channel binding is possible on this connection
 *	-EIO		the key could not sign
 *	-EINVAL		our own options, URL, anchors or certificates; libcurl is of the wrong kind
 */
#define TG_HTTP_BODY_MAX    (256u * 1024) /* of an answer, unless the request says less */
#define TG_HTTP_HEADERS_MAX (64u * 1024)  /* of all of an answer's header lines, 1xx included */
#define TG_HTTP_REQUEST_MAX (64u * 1024)  /* of the body of a request */
#define TG_HTTP_WORDS_MAX   200           /* bytes of the server's words, without the NUL */
#define TG_HTTP_BINDING_12  16            /* characters: tls-unique, RFC 5929 */
#define TG_HTTP_BINDING_13  44            /* characters: tls-exporter, RFC 9266 */

struct tg_http_options {
	const char *url;         /* any URL of the origin; https only. All requests go there */
	const char *anchors_pem; /* the only certificates that are trusted */
	size_t anchors_len;
	/*
	 * The server is not verified at all: for finding a CA by its fingerprint. Only GET, no
	 * identity, no password; every request has a connection of its own.
	 */
	bool unverified;
	const char *chain_pem; /* our certificate and what is between it and the root; NULL: none */
	size_t chain_len;
	EVP_PKEY *key;        /* of the first certificate; taken a reference of */
	const char *username; /* NULL: none; "" is a name */
	const char *password; /* shown only to a verified server that answers 401, see below */
	const char *proxy; /* "host:port" or "http://host:port", used by CONNECT; NULL, "": none */
	int64_t now_s;     /* certificates are judged at this time, since 1970; 0: by the clock */
	int64_t future_s;  /* how far ahead of that they may begin, INT64_MAX: any time */
	bool tls12_only;
	/* Time-outs in seconds; 0: the default. */
	unsigned connect_s; /* 30: name, TCP, proxy and TLS handshake */
	unsigned answer_s;  /* 60: from the request to the first byte of an answer */
	unsigned stall_s;   /* 20: may be spent on fewer than 64 bytes a second */
	unsigned overall_s; /* 120: a request, with repetitions for authentication */
};

struct tg_http;

/* 0 and an owned handle; nothing is sent. All of @o is copied. */
int tg_http_new(const struct tg_http_options *o, struct tg_http **ret,
		struct tg_fault *reterr) TG_CHECKED;
/* Ends the connection. Accepts NULL, returns NULL. */
struct tg_http *tg_http_free(struct tg_http *h);
TG_DEFINE_CLEANUP(struct tg_http *, tg_http_free)

/*
 * Makes the body for the connection with @binding (base64; 16 or 44 characters as its TLS version
 * has it): writes at most @size bytes to @out and returns how many, or -errno, which ends the
 * request. Any number but @size ends it too, as the length is announced before. Called again when
 * the body has to go out on another connection.
 */
typedef int (*tg_http_make_body)(void *user, const char *binding, char *out, size_t size,
				 struct tg_fault *reterr);

struct tg_http_request {
	const char *url;
	const char *accept;          /* NULL: anything */
	const char *content_type;    /* of the body */
	const char *encoding;        /* Content-Transfer-Encoding; NULL: none */
	bool post;                   /* else GET */
	const void *body;            /* of a POST; borrowed */
	size_t body_len;             /* also with make_body: the announced length */
	tg_http_make_body make_body; /* instead of body */
	void *user;
	size_t answer_max; /* bytes; 0: TG_HTTP_BODY_MAX */
};

struct tg_http_answer {
	int status;             /* 200..599: 1xx are skipped, 3xx are told, not followed */
	char content_type[128]; /* "": none */
	char retry_after[64];   /* as it came, see tg_http_date() */
	char location[256];
	int64_t date; /* Date: of a verified server in seconds since 1970; 0: none */
	/* Owned, with a NUL behind it; never NULL. All that the server announced; when it announced no
	 * length, all that came before it closed: those who read it see whether it is whole. */
	char *body;
	size_t len;
	char words[TG_HTTP_WORDS_MAX +
		   4]; /* text in the body, when the status is not 2xx; else "" */
};
void tg_http_answer_done(struct tg_http_answer *a);

/*
 * Sends a request and waits for the whole answer: 0, whatever its status is. With a username, a 401
 * that offers Digest or Basic (in this order) is answered by the request once more, and the answer
 * to that is the one that counts.
 */
int tg_http_call(struct tg_http *h, const struct tg_http_request *q, struct tg_http_answer *ret,
		 struct tg_fault *reterr) TG_CHECKED;

/* How far the last request got; what failed, when it failed. Never fails. */
enum tg_http_stage {
	TG_HTTP_STAGE_LOCAL,   /* our own options or files */
	TG_HTTP_STAGE_NAME,    /* name look-up */
	TG_HTTP_STAGE_CONNECT, /* TCP */
	TG_HTTP_STAGE_PROXY,   /* CONNECT */
	TG_HTTP_STAGE_TLS,
	TG_HTTP_STAGE_REQUEST, /* it was not sent whole */
	TG_HTTP_STAGE_ANSWER,  /* it did not come whole */
	TG_HTTP_STAGE_DONE,
};
enum tg_http_stage tg_http_stage(const struct tg_http *h);

/* Seconds since 1970 that the certificate of a verified server proves to be past; 0: nothing. */
int64_t tg_http_peer_not_before(const struct tg_http *h);

/* Seconds since 1970 at which the certificate of a verified server, or one above it, ends; 0: nothing. */
int64_t tg_http_peer_not_after(const struct tg_http *h);

/* "TLSv1.2" or "TLSv1.3" of the last connection, "" before there is one. */
const char *tg_http_tls_version(const struct tg_http *h);
