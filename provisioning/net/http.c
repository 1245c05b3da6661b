/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/net/http.h"

#include "base/clock.h"
#include "provisioning/net/http_intake.h"
#include "provisioning/net/http_login.h"
#include "provisioning/net/http_origin.h"
#include "provisioning/net/http_outgoing.h"
#include "provisioning/net/http_tls.h"
#include "provisioning/net/http_watch.h"
#include "provisioning/net/http_why.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

/*
 * libcurl moves the bytes; what may be trusted, kept and told is decided here and in the files
 * beside. Of the library's own ideas about the system's certificates, proxies of the environment,
 * cookies, redirects and key logs none is left. Every request sets all options anew, so that none
 * is inherited from the one before; only the connection is.
 */
#define UPLOAD_BYTES 16384L
/* Since 8.6; older ones say "out of memory" of a header line that is too long. */
#define TOO_LARGE ((CURLcode) 100)

TG_DEFINE_CLEANUP(struct curl_slist *, curl_slist_free_all)

struct tg_http {
	CURL *curl;
	struct tg_http_origin origin;
	char *proxy; /* NULL: none */
	bool unverified, tls12_only;
	unsigned connect_s, overall_s;
	int64_t now_s;
	struct tg_http_login login;
	struct tg_http_tls tls;

	/* Of the request under way. */
	enum tg_http_stage stage;
	struct tg_http_watch watch;
	struct tg_http_outgoing out;
	struct tg_http_intake in;
	uint64_t deadline_us;
	CURLcode setup; /* first failure of curl_easy_setopt() */
	int error;      /* why we gave up ourselves; 0: we did not */
	struct tg_fault fault;
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

/* --- handles -------------------------------------------------------------------------------- */

static void take_values(struct tg_http *h, const struct tg_http_options *o)
{
	h->unverified = o->unverified;
	h->tls12_only = o->tls12_only;
	h->now_s = o->now_s;
	h->connect_s = o->connect_s ? o->connect_s : 30;
	h->overall_s = o->overall_s ? o->overall_s : 120;
	h->watch.answer_us = (o->answer_s ? o->answer_s : 60) * TG_US_PER_S;
	h->watch.stall_us = (o->stall_s ? o->stall_s : 20) * TG_US_PER_S;
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
	r = tg_http_origin_parse(o->url, &h->origin, reterr);
	if (r < 0)
		return r;
	(void) snprintf(h->tls.host, sizeof(h->tls.host), "%s", h->origin.host);
	h->curl = curl_easy_init();
	if (!h->curl)
		r = tg_fault_set(reterr, -ENOMEM, "out of memory");
	if (r == 0)
		r = tg_http_tls_init(&h->tls, o, reterr);
	if (r == 0)
		r = tg_http_login_init(&h->login, o, reterr);
	if (r == 0 && o->proxy && *o->proxy)
		r = tg_http_proxy_parse(o->proxy, &h->proxy, reterr);
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "%s", h->origin.authority);
		return r;
	}
	*ret = tg_take(h);
	return 0;
}

struct tg_http *tg_http_free(struct tg_http *h)
{
	if (h) {
		/* Ends the connection, which may still look at all the rest. */
		curl_easy_cleanup(h->curl);
		tg_http_tls_done(&h->tls);
		tg_http_intake_done(&h->in);
		tg_http_outgoing_done(&h->out);
		tg_http_login_done(&h->login);
		free(h->proxy);
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
	h->stage = tg_http_outgoing_is_gone(&h->out) ? TG_HTTP_STAGE_ANSWER : TG_HTTP_STAGE_REQUEST;
	tg_http_watch_asked(&h->watch, tg_clock_boot_us(), h->in.header_bytes + h->in.body_bytes);
	return CURL_PREREQFUNC_OK;
}

static size_t on_header(char *line, size_t size, size_t n, void *user)
{
	static const char challenge[] = "WWW-Authenticate";
	struct tg_http *h = user;

	if (h->stage == TG_HTTP_STAGE_CONNECT)
		h->stage = TG_HTTP_STAGE_PROXY;
	/* Who has proved nothing. The library would take it for the server's word, and show
	 * that one a password by Basic, unasked. */
	if (h->stage == TG_HTTP_STAGE_PROXY && size * n >= strlen(challenge) &&
	    strncasecmp(line, challenge, strlen(challenge)) == 0) {
		(void) give_up(h, -EHOSTUNREACH,
			       "the proxy asks for a password of the server's, which it must not");
		return 0;
	}
	return tg_http_intake_header(&h->in, line, size * n) == 0 ? size * n : 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
	struct tg_http *h = user;

	return tg_http_intake_body(&h->in, data, size * n) == 0 ? size * n : 0;
}

static int on_progress(void *user, curl_off_t to_get, curl_off_t got, curl_off_t to_put,
		       curl_off_t put)
{
	struct tg_http *h = user;

	(void) to_get;
	(void) got;
	(void) to_put;
	(void) put;
	if (h->error == 0)
		h->error = tg_http_watch_look(&h->watch, tg_clock_boot_us(),
					      h->in.header_bytes + h->in.body_bytes, &h->fault);
	return h->error < 0;
}

/* The body for the connection that it is about to go out on. 0 or -errno, which ends the request. */
static int bind_body(struct tg_http *h)
{
	struct curl_tlssessioninfo *tls = NULL;
	char binding[TG_HTTP_BINDING_13 + 1];

	if (curl_easy_getinfo(h->curl, CURLINFO_TLS_SSL_PTR, &tls) != CURLE_OK || !tls)
		return give_up(h, -EOPNOTSUPP, "libcurl does not tell its TLS connection");
	h->error = tg_http_tls_binding(tls->internals, binding, &h->fault);
	if (h->error == 0)
		h->error = tg_http_outgoing_bind(&h->out, binding, &h->fault);
	return h->error;
}

static size_t on_upload(char *to, size_t size, size_t n, void *user)
{
	struct tg_http *h = user;
	size_t len;

	if (tg_http_outgoing_wants(&h->out) && bind_body(h) < 0)
		return CURL_READFUNC_ABORT;
	len = tg_http_outgoing_next(&h->out, to, size * n);
	if (tg_http_outgoing_is_gone(&h->out))
		h->stage = TG_HTTP_STAGE_ANSWER;
	return len;
}

/* It has to go out again: the server wants authentication, or has closed before it read. */
static int on_rewind(void *user, curl_off_t offset, int origin)
{
	struct tg_http *h = user;

	if (origin != SEEK_SET || offset != 0)
		return CURL_SEEKFUNC_CANTSEEK;
	tg_http_outgoing_rewind(&h->out);
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
	SET(h, CURLOPT_CONNECTTIMEOUT_MS, (long) h->connect_s * 1000);
	/* "" is what keeps the environment out. */
	SET(h, CURLOPT_PROXY, h->proxy ? h->proxy : "");
	SET(h, CURLOPT_NOPROXY, "");
	SET(h, CURLOPT_HTTPPROXYTUNNEL, h->proxy ? 1L : 0L);
	/* The judge of tls/ looks first, and with more care. */
	SET(h, CURLOPT_SSL_VERIFYPEER, h->unverified ? 0L : 1L);
	SET(h, CURLOPT_SSL_VERIFYHOST, h->unverified ? 0L : 2L);
	SET(h, CURLOPT_CAINFO, NULL);
	SET(h, CURLOPT_CAPATH, NULL);
	SET(h, CURLOPT_CA_CACHE_TIMEOUT, 0L);
	SET(h, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	SET(h, CURLOPT_SSLVERSION,
	    h->tls12_only ? (long) CURL_SSLVERSION_TLSv1_2 | (long) CURL_SSLVERSION_MAX_TLSv1_2
			  : (long) CURL_SSLVERSION_TLSv1_2);
	SET(h, CURLOPT_FORBID_REUSE, h->unverified ? 1L : 0L);
	SET(h, CURLOPT_FRESH_CONNECT, h->unverified ? 1L : 0L);
}

/*
 * With more than one scheme allowed nothing is shown before a 401 has named one, and then the better
 * one (Digest), once. The library's own repetition, as one that is made after the fact has what the
 * first 401 offered still on its books, and so shows a password twice that is wrong.
 */
static void set_authentication(struct tg_http *h)
{
	if (!h->login.username || h->unverified) {
		SET(h, CURLOPT_HTTPAUTH, CURLAUTH_NONE);
		return;
	}
	SET(h, CURLOPT_HTTPAUTH, (long) (CURLAUTH_DIGEST | CURLAUTH_BASIC));
	SET(h, CURLOPT_USERNAME, h->login.username);
	SET(h, CURLOPT_PASSWORD, h->login.password);
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
	tg_http_outgoing_rewind(&h->out);
	h->said[0] = '\0';
	h->watch.asked_us = 0;
	h->stage = TG_HTTP_STAGE_NAME;
	return curl_easy_perform(h->curl);
}

/* --- what went wrong ------------------------------------------------------------------------ */

static enum tg_http_end end_of(const struct tg_http *h, CURLcode code)
{
	/* There is no code of its own for a length that is none. */
	if (code == CURLE_RECV_ERROR && strstr(h->said, "chunk"))
		return TG_HTTP_END_OTHER;
	switch ((int) code) {
	case CURLE_OPERATION_TIMEDOUT:
		return TG_HTTP_END_LATE;
	case CURLE_GOT_NOTHING:
		return TG_HTTP_END_EMPTY;
	case CURLE_PARTIAL_FILE:
		return TG_HTTP_END_SHORT;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_HTTP2_STREAM:
		return TG_HTTP_END_BROKEN;
	case CURLE_HTTP2:
		/* So newer ones call an orderly end before a word of an answer, too. */
		return h->in.header_bytes ? TG_HTTP_END_OTHER : TG_HTTP_END_BROKEN;
	case CURLE_OUT_OF_MEMORY:
		return h->stage == TG_HTTP_STAGE_ANSWER ? TG_HTTP_END_LONG : TG_HTTP_END_MEMORY;
	case TOO_LARGE:
		return TG_HTTP_END_LONG;
	default:
		return TG_HTTP_END_OTHER;
	}
}

/*
 * What the library knows. After that it has to let the connection go: nothing more is to happen on
 * it, and at its end there may lie an alert that says why the server has reset it.
 */
static void look_back(struct tg_http *h, CURLcode code, struct tg_http_why *w)
{
	long error = 0;

	*w = (struct tg_http_why){ .end = end_of(h, code),
				   .stage = h->stage,
				   .said = h->said[0] ? h->said : curl_easy_strerror(code),
				   .host = h->tls.host,
				   .proxy = h->proxy,
				   .overall = tg_clock_boot_us() >= h->deadline_us,
				   .connect_s = h->connect_s,
				   .overall_s = h->overall_s };
	(void) curl_easy_getinfo(h->curl, CURLINFO_OS_ERRNO, &error);
	(void) curl_easy_getinfo(h->curl, CURLINFO_HTTP_CONNECTCODE, &w->proxy_status);
	w->os_error = (int) error;
	if (w->stage == TG_HTTP_STAGE_CONNECT && h->proxy && code != CURLE_COULDNT_CONNECT &&
	    code != CURLE_OPERATION_TIMEDOUT)
		w->stage = TG_HTTP_STAGE_PROXY;
	curl_easy_cleanup(h->curl);
	h->curl = curl_easy_init();
}

static int explain_code(struct tg_http *h, CURLcode code, struct tg_fault *reterr)
{
	struct tg_http_why w;
	int r;

	look_back(h, code, &w);
	r = tg_http_why(&w, &h->tls, reterr);
	h->stage = w.stage;
	return r;
}

static int explain(struct tg_http *h, CURLcode code, struct tg_fault *reterr)
{
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
	(void) tg_fault_prefix(reterr, "%s: %s", h->origin.authority, tg_http_stage_name(h->stage));
	return r;
}

/* --- calls ---------------------------------------------------------------------------------- */

static int check_request(const struct tg_http *h, const struct tg_http_request *q,
			 struct tg_fault *reterr)
{
	struct tg_http_origin o;
	int r;

	if (h->unverified && q->post)
		return tg_fault_set(reterr, -EPERM,
				    "nothing is sent to a server that is not verified");
	r = tg_http_origin_parse(q->url, &o, reterr);
	if (r < 0)
		return r;
	if (!tg_http_origin_same(&o, &h->origin))
		return tg_fault_set(reterr, -EINVAL, "a request for %s is not for here",
				    o.authority);
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
	h->deadline_us = tg_us_add(tg_clock_boot_us(), h->overall_s * TG_US_PER_S);
	tg_http_intake_done(&h->in);
	tg_http_intake_init(&h->in, max);
	h->in.trusted = !h->unverified;
	h->in.now_s = h->now_s ? h->now_s : tg_clock_wall_us() / (int64_t) TG_US_PER_S;
	h->in.secrets[0] = h->login.basic;
	h->in.secrets[1] = h->login.password;
	tg_http_outgoing_begin(&h->out, q);
}

/* Also forgets what the request is made of, which is not ours. */
static int end_call(struct tg_http *h, CURLcode code, struct tg_http_answer *ret,
		    struct tg_fault *reterr)
{
	long status = 0;
	int r = 0;

	(void) curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
	if (code != CURLE_OK)
		r = explain(h, code, reterr);
	if (h->curl)
		curl_easy_reset(h->curl);
	tg_http_outgoing_done(&h->out);
	if (r == 0 && (status < 200 || status > 599))
		r = tg_fault_set(reterr, -EPROTO, "%s: answer: status %ld", h->origin.authority,
				 status);
	if (r < 0)
		return r;
	h->in.answer.status = (int) status;
	r = tg_http_intake_take(&h->in, ret);
	if (r < 0)
		return tg_fault_set(reterr, r, "%s: out of memory", h->origin.authority);
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
	r = h->curl ? check_request(h, q, reterr) : tg_fault_set(reterr, -ENOMEM, "out of memory");
	if (r == 0) {
		r = make_fields(q, &fields);
		if (r < 0)
			(void) tg_fault_set(reterr, r, "a header field cannot be made");
	}
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "%s", h->origin.authority);
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
	return h->unverified || !h->tls.peer.passed ? 0 : h->tls.peer.not_before;
}

int64_t tg_http_peer_not_after(const struct tg_http *h)
{
	return h->unverified || !h->tls.peer.passed ? 0 : h->tls.peer.not_after;
}

const char *tg_http_tls_version(const struct tg_http *h)
{
	return h->tls.version;
}
