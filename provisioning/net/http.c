/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/net/http.h"

#include "base/clock.h"
#include "provisioning/net/http_intake.h"
#include "provisioning/net/http_tls.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

/*
 * libcurl moves the bytes; what may be trusted, kept and told is decided here and in the files
 * beside. Of the library's own ideas about the system's certificates, proxies of the environment,
 * cookies, redirects and key logs none is left. Every request sets all options anew, so that none
 * is inherited from the one before; only the connection is.
 */
#define URL_MAX      2048
#define SECRET_MAX   1024 /* bytes of a name, of a password */
#define STALL_BYTES  64u  /* a second */
#define UPLOAD_BYTES 16384L
/* Since 8.6; older ones say "out of memory" of a header line that is too long. */
#define TOO_LARGE ((CURLcode) 100)

TG_DEFINE_CLEANUP(CURLU *, curl_url_cleanup)
TG_DEFINE_CLEANUP(struct curl_slist *, curl_slist_free_all)
TG_DEFINE_CLEANUP(char *, curl_free)

struct outgoing {
	const struct tg_http_request *q;
	const char *data;                     /* q->body, or made */
	char *made;                           /* owned */
	char binding[TG_HTTP_BINDING_13 + 1]; /* that it was made for */
	size_t at;
};

struct tg_http {
	CURL *curl;
	struct tg_http_options o; /* the plain values; its texts are the owned ones below */
	char *username, *password, *basic, *proxy;
	char host[256]; /* as in URLs: brackets around IPv6 */
	char port[8], authority[272];
	struct tg_http_tls tls;

	/* Of the request under way. */
	enum tg_http_stage stage;
	struct tg_http_intake in;
	struct outgoing out;
	uint64_t deadline_us;
	uint64_t asked_us;   /* when the request could be sent */
	uint64_t window_us;  /* since when the bytes are counted ... */
	size_t window_bytes; /* ... and how many had come before */
	int error;           /* of our own: why we gave up */
	struct tg_fault fault;
	CURLcode setup; /* first failure of curl_easy_setopt() */
	char said[CURL_ERROR_SIZE];
};

static int give_up(struct tg_http *h, int r, const char *words)
{
	h->error = tg_fault_set(&h->fault, r, "%s", words);
	return r;
}

/* --- the library ---------------------------------------------------------------------------- */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static CURLcode library_state;

static void start_library(void)
{
	/* With it the library would write the keys of all connections to a file. */
	(void) unsetenv("SSLKEYLOGFILE");
	library_state = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int check_library(struct tg_fault *reterr)
{
	const curl_version_info_data *v;

	(void) pthread_once(&library_once, start_library);
	v = curl_version_info(CURLVERSION_NOW);
	if (library_state != CURLE_OK)
		return tg_fault_set(reterr, -ENOMEM, "libcurl does not start: %s",
				    curl_easy_strerror(library_state));
	if (!v->ssl_version || strncmp(v->ssl_version, "OpenSSL/", 8) != 0)
		return tg_fault_set(reterr, -EINVAL,
				    "libcurl %s is built with %s; the one with OpenSSL is needed "
				    "(package libcurl4 or libcurl4t64)",
				    v->version, v->ssl_version ? v->ssl_version : "no TLS");
	return 0;
}

/* --- options -------------------------------------------------------------------------------- */

struct origin {
	char host[256], port[8],
		judged[256]; /* judged: without brackets, dot at the end and zone */
};

static int copy_part(CURLU *u, CURLUPart part, unsigned flags, char *out, size_t size)
{
	tg_cleanup(curl_freep) char *text = NULL;

	if (curl_url_get(u, part, &text, flags) != CURLUE_OK || strlen(text) >= size)
		return -EINVAL;
	(void) snprintf(out, size, "%s", text);
	return 0;
}

static void make_judged(struct origin *o)
{
	size_t len = strlen(o->host);

	if (o->host[0] == '[')
		(void) snprintf(o->judged, sizeof(o->judged), "%.*s",
				(int) strcspn(o->host + 1, "]%"), o->host + 1);
	else
		(void) snprintf(o->judged, sizeof(o->judged), "%.*s",
				(int) (len - (len > 1 && o->host[len - 1] == '.')), o->host);
}

static int parse_url(const char *url, struct origin *ret, struct tg_fault *reterr)
{
	tg_cleanup(curl_url_cleanupp) CURLU *u = curl_url();
	CURLUcode code;

	if (!u)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	if (!url || strlen(url) > URL_MAX || strncasecmp(url, "https://", 8) != 0)
		return tg_fault_set(reterr, -EINVAL,
				    "the URL must be https:// and not longer "
				    "than %d characters",
				    URL_MAX);
	code = curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER);
	if (code != CURLUE_OK)
		return tg_fault_set(reterr, -EINVAL, "the URL is of no use: %s",
				    curl_url_strerror(code));
	if (copy_part(u, CURLUPART_HOST, CURLU_PUNYCODE, ret->host, sizeof(ret->host)) < 0 ||
	    copy_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, ret->port, sizeof(ret->port)) < 0)
		return tg_fault_set(reterr, -EINVAL, "the URL has no usable host name");
	make_judged(ret);
	return 0;
}

static int take_origin(struct tg_http *h, const char *url, struct tg_fault *reterr)
{
	struct origin o;
	int r = parse_url(url, &o, reterr);

	if (r < 0)
		return r;
	(void) snprintf(h->host, sizeof(h->host), "%s", o.host);
	(void) snprintf(h->port, sizeof(h->port), "%s", o.port);
	(void) snprintf(h->authority, sizeof(h->authority), "%s%s%s", o.host,
			strcmp(o.port, "443") == 0 ? "" : ":",
			strcmp(o.port, "443") == 0 ? "" : o.port);
	(void) snprintf(h->tls.host, sizeof(h->tls.host), "%s", o.judged);
	return 0;
}

/* A port is wanted, as every library has a default of its own. */
static int take_proxy(struct tg_http *h, const char *proxy, struct tg_fault *reterr)
{
	tg_cleanup(curl_url_cleanupp) CURLU *u = curl_url();
	char host[256], port[8];

	if (!u)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	if (asprintf(&h->proxy, "%s%s", strstr(proxy, "://") ? "" : "http://", proxy) < 0) {
		h->proxy = NULL;
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	}
	if (strncasecmp(h->proxy, "http://", 7) != 0 ||
	    curl_url_set(u, CURLUPART_URL, h->proxy, CURLU_DISALLOW_USER) != CURLUE_OK ||
	    copy_part(u, CURLUPART_HOST, 0, host, sizeof(host)) < 0 ||
	    copy_part(u, CURLUPART_PORT, 0, port, sizeof(port)) < 0)
		return tg_fault_set(reterr, -EINVAL,
				    "the proxy must be HOST:PORT or http://HOST:PORT, without a "
				    "password");
	return 0;
}

/* What Basic authentication makes of name and password, so that it can be hidden as well. */
static int make_basic(struct tg_http *h, size_t user_len, size_t password_len)
{
	unsigned char plain[2 * SECRET_MAX + 1];
	size_t len = user_len + 1 + password_len;

	h->basic = calloc(1, len / 3 * 4 + 5);
	if (!h->basic)
		return -ENOMEM;
	memcpy(plain, h->username, user_len);
	plain[user_len] = ':';
	memcpy(plain + user_len + 1, h->password, password_len);
	(void) EVP_EncodeBlock((unsigned char *) h->basic, plain, (int) len);
	explicit_bzero(plain, sizeof(plain));
	return 0;
}

static int take_password(struct tg_http *h, const struct tg_http_options *o,
			 struct tg_fault *reterr)
{
	const char *password = o->password ? o->password : "";
	size_t user_len = strnlen(o->username, SECRET_MAX + 1);
	size_t password_len = strnlen(password, SECRET_MAX + 1);

	if (user_len > SECRET_MAX || password_len > SECRET_MAX)
		return tg_fault_set(reterr, -EINVAL, "name or password longer than %d bytes",
				    SECRET_MAX);
	h->username = strdup(o->username);
	h->password = strdup(password);
	if (!h->username || !h->password || make_basic(h, user_len, password_len) < 0)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	return 0;
}

static void take_values(struct tg_http *h, const struct tg_http_options *o)
{
	h->o = (struct tg_http_options){
		.unverified = o->unverified,
		.now_s = o->now_s,
		.connect_s = o->connect_s ? o->connect_s : 30,
		.answer_s = o->answer_s ? o->answer_s : 60,
		.stall_s = o->stall_s ? o->stall_s : 20,
		.overall_s = o->overall_s ? o->overall_s : 120,
		.tls12_only = o->tls12_only,
	};
}

int tg_http_new(const struct tg_http_options *o, struct tg_http **ret, struct tg_fault *reterr)
{
	tg_cleanup(tg_http_freep) struct tg_http *h = NULL;
	int r = check_library(reterr);

	if (r < 0)
		return r;
	h = calloc(1, sizeof(*h));
	if (!h)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	take_values(h, o);
	r = take_origin(h, o->url, reterr);
	if (r < 0)
		return r;
	h->curl = curl_easy_init();
	if (!h->curl)
		r = tg_fault_set(reterr, -ENOMEM, "out of memory");
	if (r == 0)
		r = tg_http_tls_init(&h->tls, o, reterr);
	if (r == 0 && o->username)
		r = take_password(h, o, reterr);
	if (r == 0 && o->proxy && *o->proxy)
		r = take_proxy(h, o->proxy, reterr);
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "%s", h->authority);
		return r;
	}
	*ret = tg_take(h);
	return 0;
}

static void free_secret(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

struct tg_http *tg_http_free(struct tg_http *h)
{
	if (h) {
		/* Ends the connection, which may still look at all the rest. */
		curl_easy_cleanup(h->curl);
		tg_http_tls_done(&h->tls);
		tg_http_intake_done(&h->in);
		free_secret(h->username);
		free_secret(h->password);
		free_secret(h->basic);
		free(h->proxy);
		free(h->out.made);
		free(h);
	}
	return NULL;
}

/* --- what the library asks us for ----------------------------------------------------------- */

static int on_socket(void *user, curl_socket_t fd, curlsocktype purpose)
{
	struct tg_http *h = user;

	(void) fd;
	(void) purpose;
	h->stage = TG_HTTP_STAGE_CONNECT;
	return CURL_SOCKOPT_OK;
}

static CURLcode on_context(CURL *curl, void *ctx, void *user)
{
	struct tg_http *h = user;

	(void) curl;
	h->stage = TG_HTTP_STAGE_TLS;
	if (tg_http_tls_prepare(&h->tls, ctx) == 0)
		return CURLE_OK;
	(void) give_up(h, -EINVAL, "OpenSSL cannot be set up as strictly as is needed");
	return CURLE_ABORTED_BY_CALLBACK;
}

/* The connection stands, and the request is next. */
static int on_ready(void *user, char *peer_ip, char *own_ip, int peer_port, int own_port)
{
	struct tg_http *h = user;

	(void) peer_ip;
	(void) own_ip;
	(void) peer_port;
	(void) own_port;
	h->stage =
		h->out.q->post && h->out.q->body_len ? TG_HTTP_STAGE_REQUEST : TG_HTTP_STAGE_ANSWER;
	h->asked_us = tg_clock_boot_us();
	h->window_us = 0;
	h->window_bytes = h->in.header_bytes + h->in.body_bytes;
	return CURL_PREREQFUNC_OK;
}

static size_t on_header(char *line, size_t size, size_t n, void *user)
{
	struct tg_http *h = user;

	if (h->stage == TG_HTTP_STAGE_CONNECT)
		h->stage = TG_HTTP_STAGE_PROXY;
	return tg_http_intake_header(&h->in, line, size * n) == 0 ? size * n : 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
	struct tg_http *h = user;

	return tg_http_intake_body(&h->in, data, size * n) == 0 ? size * n : 0;
}

/*
 * Time that goes by without enough to show for it. One window after the other: so much must have come
 * in each of them.
 */
static int on_progress(void *user, curl_off_t to_get, curl_off_t got, curl_off_t to_put,
		       curl_off_t put)
{
	struct tg_http *h = user;
	size_t bytes = h->in.header_bytes + h->in.body_bytes;
	uint64_t now = tg_clock_boot_us();

	(void) to_get;
	(void) got;
	(void) to_put;
	(void) put;
	if (!h->asked_us)
		return 0;
	if (!h->window_us && bytes == h->window_bytes) {
		if (now - h->asked_us < h->o.answer_s * TG_US_PER_S)
			return 0;
		return give_up(h, -ETIMEDOUT, "the server is silent");
	}
	if (h->window_us && now - h->window_us < h->o.stall_s * TG_US_PER_S)
		return 0;
	if (h->window_us && bytes - h->window_bytes < STALL_BYTES * (size_t) h->o.stall_s)
		return give_up(h, -ETIMEDOUT, "the server sends too slowly");
	h->window_us = now;
	h->window_bytes = bytes;
	return 0;
}

static int fill(struct outgoing *out, const char *binding, struct tg_fault *reterr)
{
	size_t len = out->q->body_len;
	int r;

	if (!out->made)
		out->made = calloc(1, len + 1);
	if (!out->made)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	r = out->q->make_body(out->q->user, binding, out->made, len, reterr);
	if (r >= 0 && (size_t) r != len)
		r = tg_fault_set(reterr, -EINVAL, "%d bytes were made of the %zu announced", r,
				 len);
	if (r < 0)
		return r;
	(void) snprintf(out->binding, sizeof(out->binding), "%s", binding);
	out->data = out->made;
	return 0;
}

/* The body for the connection that it is about to go out on. 0 or -errno, which ends the request. */
static int make_body(struct tg_http *h)
{
	struct curl_tlssessioninfo *tls = NULL;
	char binding[TG_HTTP_BINDING_13 + 1];
	int r;

	if (curl_easy_getinfo(h->curl, CURLINFO_TLS_SSL_PTR, &tls) != CURLE_OK || !tls)
		return give_up(h, -EOPNOTSUPP, "libcurl does not tell its TLS connection");
	r = tg_http_tls_binding(tls->internals, binding, &h->fault);
	/* Authentication repeats a request on the connection that it was made for. */
	if (r == 0 && (!h->out.data || strcmp(binding, h->out.binding) != 0))
		r = fill(&h->out, binding, &h->fault);
	h->error = r;
	return r;
}

static size_t on_upload(char *to, size_t size, size_t n, void *user)
{
	struct tg_http *h = user;
	struct outgoing *out = &h->out;
	size_t len = size * n, left = out->q->body_len - out->at;

	if (out->at == 0 && out->q->make_body && make_body(h) < 0)
		return CURL_READFUNC_ABORT;
	if (len > left)
		len = left;
	memcpy(to, out->data + out->at, len);
	out->at += len;
	if (len == left)
		h->stage = TG_HTTP_STAGE_ANSWER;
	return len;
}

/* It has to go out again: the server wants authentication, or has closed before it read. */
static int on_rewind(void *user, curl_off_t offset, int origin)
{
	struct tg_http *h = user;

	if (origin != SEEK_SET || offset != 0)
		return CURL_SEEKFUNC_CANTSEEK;
	h->out.at = 0;
	return CURL_SEEKFUNC_OK;
}

/* --- a request ------------------------------------------------------------------------------ */

#define SET(h, option, value)                                                                      \
	do {                                                                                       \
		if ((h)->setup == CURLE_OK)                                                        \
			(h)->setup = curl_easy_setopt((h)->curl, option, value);                   \
	} while (0)

static void set_callbacks(struct tg_http *h)
{
	SET(h, CURLOPT_ERRORBUFFER, h->said);
	SET(h, CURLOPT_SOCKOPTFUNCTION, on_socket);
	SET(h, CURLOPT_SOCKOPTDATA, h);
	SET(h, CURLOPT_SSL_CTX_FUNCTION, on_context);
	SET(h, CURLOPT_SSL_CTX_DATA, h);
	SET(h, CURLOPT_PREREQFUNCTION, on_ready);
	SET(h, CURLOPT_PREREQDATA, h);
	SET(h, CURLOPT_HEADERFUNCTION, on_header);
	SET(h, CURLOPT_HEADERDATA, h);
	SET(h, CURLOPT_WRITEFUNCTION, on_body);
	SET(h, CURLOPT_WRITEDATA, h);
	SET(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(h, CURLOPT_XFERINFODATA, h);
	SET(h, CURLOPT_NOPROGRESS, 0L);
}

static void set_connection(struct tg_http *h)
{
	SET(h, CURLOPT_PROTOCOLS_STR, "https");
	SET(h, CURLOPT_REDIR_PROTOCOLS_STR, "https");
	SET(h, CURLOPT_FOLLOWLOCATION, 0L);
	SET(h, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
	SET(h, CURLOPT_NOSIGNAL, 1L);
	/* A look-up that hangs is left behind, as the process ends soon. */
	SET(h, CURLOPT_QUICK_EXIT, 1L);
	SET(h, CURLOPT_MAXCONNECTS, 1L);
	SET(h, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BYTES);
	SET(h, CURLOPT_CONNECTTIMEOUT_MS, (long) h->o.connect_s * 1000);
	/* "" is what keeps the environment out. */
	SET(h, CURLOPT_PROXY, h->proxy ? h->proxy : "");
	SET(h, CURLOPT_NOPROXY, "");
	SET(h, CURLOPT_HTTPPROXYTUNNEL, h->proxy ? 1L : 0L);
	/* The judge of tls/ looks first, and with more care. */
	SET(h, CURLOPT_SSL_VERIFYPEER, h->o.unverified ? 0L : 1L);
	SET(h, CURLOPT_SSL_VERIFYHOST, h->o.unverified ? 0L : 2L);
	SET(h, CURLOPT_CAINFO, NULL);
	SET(h, CURLOPT_CAPATH, NULL);
	SET(h, CURLOPT_CA_CACHE_TIMEOUT, 0L);
	SET(h, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	SET(h, CURLOPT_SSLVERSION,
	    h->o.tls12_only ? (long) CURL_SSLVERSION_TLSv1_2 | (long) CURL_SSLVERSION_MAX_TLSv1_2
			    : (long) CURL_SSLVERSION_TLSv1_2);
	SET(h, CURLOPT_FORBID_REUSE, h->o.unverified ? 1L : 0L);
	SET(h, CURLOPT_FRESH_CONNECT, h->o.unverified ? 1L : 0L);
}

/*
 * With more than one scheme allowed nothing is shown before a 401 has named one, and then the better
 * one (Digest), once. The library's own repetition, as one that is made after the fact has what the
 * first 401 offered still on its books, and so shows a password twice that is wrong.
 */
static void set_authentication(struct tg_http *h)
{
	if (!h->username || h->o.unverified) {
		SET(h, CURLOPT_HTTPAUTH, CURLAUTH_NONE);
		return;
	}
	SET(h, CURLOPT_HTTPAUTH, (long) (CURLAUTH_DIGEST | CURLAUTH_BASIC));
	SET(h, CURLOPT_USERNAME, h->username);
	SET(h, CURLOPT_PASSWORD, h->password);
}

static void set_request(struct tg_http *h, const struct tg_http_request *q,
			struct curl_slist *fields)
{
	SET(h, CURLOPT_URL, q->url);
	SET(h, CURLOPT_USERAGENT, "tidegate/" TIDEGATE_VERSION);
	SET(h, CURLOPT_HTTPHEADER, fields);
	set_authentication(h);
	if (!q->post)
		return;
	SET(h, CURLOPT_POST, 1L);
	SET(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) q->body_len);
	SET(h, CURLOPT_READFUNCTION, on_upload);
	SET(h, CURLOPT_READDATA, h);
	SET(h, CURLOPT_SEEKFUNCTION, on_rewind);
	SET(h, CURLOPT_SEEKDATA, h);
}

static int add_field(struct curl_slist **list, const char *name, const char *value)
{
	char line[256];
	struct curl_slist *longer;
	int n = snprintf(line, sizeof(line), "%s: %s", name, value ? value : "");

	if (!value)
		return 0;
	if (n < 0 || (size_t) n >= sizeof(line) || strpbrk(line, "\r\n"))
		return -EINVAL;
	longer = curl_slist_append(*list, line);
	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static int make_fields(const struct tg_http_request *q, struct curl_slist **ret)
{
	tg_cleanup(curl_slist_free_allp) struct curl_slist *list = NULL;
	int r = add_field(&list, "Accept", q->accept);

	if (r == 0 && q->post)
		r = add_field(&list, "Content-Type",
			      q->content_type ? q->content_type : "application/octet-stream");
	if (r == 0 && q->post)
		r = add_field(&list, "Content-Transfer-Encoding", q->encoding);
	/* No waiting for 100: there are servers that never say it. */
	if (r == 0 && q->post)
		r = add_field(&list, "Expect", "");
	if (r == 0)
		*ret = tg_take(list);
	return r;
}

/* One exchange with the server; the answer is in h->in. 0, or the library's word for what happened. */
static CURLcode exchange(struct tg_http *h)
{
	uint64_t now = tg_clock_boot_us();
	uint64_t left_ms = now < h->deadline_us ? (h->deadline_us - now) / TG_US_PER_MS : 0;

	/* 0 would mean no limit. */
	SET(h, CURLOPT_TIMEOUT_MS, (long) (left_ms ? left_ms : 1));
	if (h->setup != CURLE_OK)
		return h->setup;
	h->out.at = 0;
	h->said[0] = '\0';
	h->asked_us = 0;
	h->stage = TG_HTTP_STAGE_NAME;
	return curl_easy_perform(h->curl);
}

/* --- what went wrong ------------------------------------------------------------------------ */

static const char *const stage_names[] = {
	[TG_HTTP_STAGE_LOCAL] = "request",
	[TG_HTTP_STAGE_NAME] = "name look-up",
	[TG_HTTP_STAGE_CONNECT] = "connection",
	[TG_HTTP_STAGE_PROXY] = "proxy",
	[TG_HTTP_STAGE_TLS] = "TLS",
	[TG_HTTP_STAGE_REQUEST] = "request",
	[TG_HTTP_STAGE_ANSWER] = "answer",
	[TG_HTTP_STAGE_DONE] = "answer",
};

static int explain_timeout(const struct tg_http *h, struct tg_fault *reterr)
{
	bool connecting = h->stage < TG_HTTP_STAGE_REQUEST;

	if (connecting && tg_clock_boot_us() < h->deadline_us)
		return tg_fault_set(reterr, -ETIMEDOUT, "no result within %u s", h->o.connect_s);
	return tg_fault_set(reterr, -ETIMEDOUT, "not complete within %u s", h->o.overall_s);
}

static int explain_connect(const struct tg_http *h, struct tg_fault *reterr)
{
	long error = 0, status = 0;

	(void) curl_easy_getinfo(h->curl, CURLINFO_OS_ERRNO, &error);
	(void) curl_easy_getinfo(h->curl, CURLINFO_HTTP_CONNECTCODE, &status);
	if (status && status / 100 != 2)
		return tg_fault_set(reterr, -EHOSTUNREACH, "%s answers %ld to CONNECT", h->proxy,
				    status);
	if (h->stage == TG_HTTP_STAGE_PROXY)
		return tg_fault_set(reterr, -EHOSTUNREACH, "%s does not answer as a proxy should",
				    h->proxy);
	return tg_fault_set(reterr, -EHOSTUNREACH, "%s%s%s", h->proxy ? h->proxy : "",
			    h->proxy ? ": " : "",
			    error ? strerror((int) error) : "nobody answers there");
}

/* A connection that got as far as the request. */
static int explain_exchange(const struct tg_http *h, CURLcode code, struct tg_fault *reterr)
{
	const char *said = h->said[0] ? h->said : curl_easy_strerror(code);

	if (code == TOO_LARGE || (code == CURLE_OUT_OF_MEMORY && h->stage == TG_HTTP_STAGE_ANSWER))
		return tg_fault_set(reterr, -EMSGSIZE, "a header line is too long");
	if (code == CURLE_OUT_OF_MEMORY)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	if (code == CURLE_GOT_NOTHING)
		return tg_fault_set(reterr, -ECONNRESET, "the server closed without an answer");
	if (code == CURLE_PARTIAL_FILE)
		return tg_fault_set(reterr, -ECONNRESET,
				    "it ended before the length that was announced");
	if (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_HTTP2_STREAM)
		return tg_fault_set(reterr, -ECONNRESET, "the connection broke: %s", said);
	return tg_fault_set(reterr, -EPROTO, "not what HTTP allows: %s", said);
}

/* What the library says of a broken socket in a handshake holds nothing that OpenSSL has to say. */
static const char *tls_hint(const struct tg_http *h)
{
	return strstr(h->said, "SSL_connect") ? "" : h->said;
}

static int explain_code(struct tg_http *h, CURLcode code, struct tg_fault *reterr)
{
	const struct tg_tls_peer *p = &h->tls.peer;
	curl_off_t connected = 0;
	int r = 0;

	(void) curl_easy_getinfo(h->curl, CURLINFO_CONNECT_TIME_T, &connected);
	if (h->stage == TG_HTTP_STAGE_CONNECT && h->proxy && connected > 0)
		h->stage = TG_HTTP_STAGE_PROXY;
	if (h->stage >= TG_HTTP_STAGE_TLS &&
	    (code != CURLE_OPERATION_TIMEDOUT || h->tls.key_failed || p->error || p->alerted))
		r = tg_http_tls_failure(&h->tls, tls_hint(h), reterr);
	if (r < 0) {
		h->stage = TG_HTTP_STAGE_TLS;
		return r;
	}
	if (code == CURLE_OPERATION_TIMEDOUT)
		return explain_timeout(h, reterr);
	if (h->stage == TG_HTTP_STAGE_NAME)
		return tg_fault_set(reterr, -EHOSTUNREACH,
				    "the address of %s is not found: is the name right, does a "
				    "name server answer?",
				    h->proxy ? h->proxy : h->tls.host);
	if (h->stage < TG_HTTP_STAGE_TLS)
		return explain_connect(h, reterr);
	return explain_exchange(h, code, reterr);
}

static int explain(struct tg_http *h, CURLcode code, struct tg_fault *reterr)
{
	const char *step;
	int r;

	if (h->setup != CURLE_OK) {
		h->stage = TG_HTTP_STAGE_LOCAL;
		r = tg_fault_set(reterr, -EINVAL, "libcurl %s does not do what is needed: %s",
				 curl_version(), curl_easy_strerror(h->setup));
	} else if (h->error < 0) {
		r = tg_fault_set(reterr, h->error, "%s", h->fault.text);
	} else if (h->in.error < 0) {
		r = tg_fault_set(reterr, h->in.error, "%s", h->in.fault.text);
	} else {
		r = explain_code(h, code, reterr);
	}
	step = stage_names[h->stage];
	(void) tg_fault_prefix(reterr, "%s: %s", h->authority, step);
	return r;
}

/* --- calls ---------------------------------------------------------------------------------- */

static int check_request(const struct tg_http *h, const struct tg_http_request *q,
			 struct tg_fault *reterr)
{
	struct origin o;
	int r;

	if (h->o.unverified && q->post)
		return tg_fault_set(reterr, -EPERM,
				    "nothing is sent to a server that is not verified");
	r = parse_url(q->url, &o, reterr);
	if (r < 0)
		return r;
	if (strcasecmp(o.host, h->host) != 0 || strcmp(o.port, h->port) != 0)
		return tg_fault_set(reterr, -EINVAL, "a request for %s is not for here", o.host);
	if (q->post && (q->body_len > TG_HTTP_REQUEST_MAX || (!q->body && !q->make_body)))
		return tg_fault_set(reterr, -EINVAL, "a request without a body, or above %u bytes",
				    TG_HTTP_REQUEST_MAX);
	return 0;
}

static void begin_call(struct tg_http *h, const struct tg_http_request *q)
{
	size_t max = q->answer_max ? q->answer_max : TG_HTTP_BODY_MAX;

	h->stage = TG_HTTP_STAGE_LOCAL;
	h->error = 0;
	h->deadline_us = tg_us_add(tg_clock_boot_us(), h->o.overall_s * TG_US_PER_S);
	tg_http_intake_done(&h->in);
	tg_http_intake_init(&h->in, max);
	h->in.trusted = !h->o.unverified;
	h->in.now_s = h->o.now_s ? h->o.now_s : tg_clock_wall_us() / (int64_t) TG_US_PER_S;
	h->in.secrets[0] = h->basic;
	h->in.secrets[1] = h->password;
	free(h->out.made);
	h->out = (struct outgoing){ .q = q, .data = q->make_body ? NULL : q->body };
}

/* Also forgets what the request is made of, which is not ours. */
static int end_call(struct tg_http *h, CURLcode code, struct tg_http_answer *ret,
		    struct tg_fault *reterr)
{
	long status = 0;
	int r = 0;

	if (code != CURLE_OK)
		r = explain(h, code, reterr);
	(void) curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_reset(h->curl);
	free(h->out.made);
	h->out = (struct outgoing){ 0 };
	if (r == 0 && (status < 200 || status > 599))
		r = tg_fault_set(reterr, -EPROTO, "%s: answer: status %ld", h->authority, status);
	if (r < 0)
		return r;
	h->in.answer.status = (int) status;
	r = tg_http_intake_take(&h->in, ret);
	if (r < 0)
		return tg_fault_set(reterr, r, "%s: out of memory", h->authority);
	h->stage = TG_HTTP_STAGE_DONE;
	return 0;
}

int tg_http_call(struct tg_http *h, const struct tg_http_request *q, struct tg_http_answer *ret,
		 struct tg_fault *reterr)
{
	tg_cleanup(curl_slist_free_allp) struct curl_slist *fields = NULL;
	CURLcode code;
	int r;

	begin_call(h, q);
	r = check_request(h, q, reterr);
	if (r == 0) {
		r = make_fields(q, &fields);
		if (r < 0)
			(void) tg_fault_set(reterr, r, "a header field cannot be made");
	}
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "%s", h->authority);
		return r;
	}
	curl_easy_reset(h->curl);
	h->setup = CURLE_OK;
	set_callbacks(h);
	set_connection(h);
	set_request(h, q, fields);
	code = exchange(h);
	return end_call(h, code, ret, reterr);
}

enum tg_http_stage tg_http_stage(const struct tg_http *h)
{
	return h->stage;
}

int64_t tg_http_peer_not_before(const struct tg_http *h)
{
	return h->o.unverified || !h->tls.peer.passed ? 0 : h->tls.peer.not_before;
}

const char *tg_http_tls_version(const struct tg_http *h)
{
	return h->tls.version;
}
