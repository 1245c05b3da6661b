/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "provisioning/check/advice.h"
#include "provisioning/check/check.h"
#include "provisioning/enrol/method.h"
#include "provisioning/failure.h"
#include "x509/anchors.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST_BYTES  256
#define PORT_BYTES  8
#define ADDRESSES   8 /* of a name that are tried */
#define CONNECT_MS  10000
#define NOTES_BYTES (16u * 1024)
#define LINE_BYTES  256

/* Whom to connect to, and for people what it is. */
struct place {
	char host[HOST_BYTES], port[PORT_BYTES];
	const char *what;
};

/* --- where it is ----------------------------------------------------------------------- */

/* HOST, HOST:PORT or [IPv6]:PORT behind the two slashes of @url, which the
 * loader has looked at. */
static void split(const char *url, const char *port, struct place *ret)
{
	const char *host = strstr(url, "//"), *end;
	size_t len;

	host = host ? host + 2 : url;
	len = *host == '[' ? strcspn(host, "]") : strcspn(host, ":/");
	end = host + len + (*host == '[');
	if (*host == '[') {
		host++;
		len--;
	}
	(void) snprintf(ret->host, sizeof(ret->host), "%.*s", (int) len, host);
	(void) snprintf(ret->port, sizeof(ret->port), "%s", port);
	if (*end == ':')
		(void) snprintf(ret->port, sizeof(ret->port), "%.*s", (int) strcspn(end + 1, "/"),
				end + 1);
}

/* Whether there is somebody to connect to; a proxy stands in for who is behind
 * it. */
static bool find_place(const struct tg_config *c, struct place *ret)
{
	switch (c->enrolment.method) {
	case TG_ENROL_AWS_FLEET:
		ret->what = "endpoint";
		(void) snprintf(ret->host, sizeof(ret->host), "%s", c->enrolment.aws.endpoint);
		(void) snprintf(ret->port, sizeof(ret->port), "%u", c->enrolment.aws.port);
		return true;
	case TG_ENROL_EST:
		ret->what = *c->enrolment.est.proxy ? "proxy" : "server";
		if (*c->enrolment.est.proxy)
			split(c->enrolment.est.proxy, "1080", ret);
		else
			split(c->enrolment.est.url, "443", ret);
		return true;
	case TG_ENROL_MANUAL:
	case TG_ENROL_NONE:
		break;
	}
	return false;
}

/* --- name and connection --------------------------------------------------------------- */

static int try_address(const struct addrinfo *a)
{
	tg_autoclose int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int error = 0;
	socklen_t len = sizeof(error);

	if (fd < 0)
		return -errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	if (poll(&p, 1, CONNECT_MS) <= 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static bool connects(struct tg_check *c, const struct place *at, const struct addrinfo *list)
{
	char text[NI_MAXHOST] = "?";
	unsigned n = 0;
	int r = -ENOENT;

	for (; list && n < ADDRESSES && r < 0; list = list->ai_next, n++) {
		(void) getnameinfo(list->ai_addr, list->ai_addrlen, text, sizeof(text), NULL, 0,
				   NI_NUMERICHOST);
		r = try_address(list);
	}
	if (r < 0)
		tg_report(c->report, TG_FINDING_FAIL, at->what,
			  "is the port right, is the server running, and does a firewall in "
			  "between let it through?",
			  "%s port %s cannot be connected to (%u addresses, the last is %s): %s",
			  at->host, at->port, n, text, strerror(-r));
	else
		tg_report(c->report, TG_FINDING_OK, at->what, "", "%s is %s, and port %s answers",
			  at->host, text, at->port);
	return r == 0;
}

static bool is_reachable(struct tg_check *c, const struct place *at)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int r = getaddrinfo(at->host, at->port, &hints, &list);
	bool good;

	if (r != 0) {
		tg_report(c->report, TG_FINDING_FAIL, at->what,
			  "is the name right, and does the resolver of this gateway answer "
			  "(resolvectl query, getent hosts)?",
			  "the name %s is not found: %s", at->host, gai_strerror(r));
		return false;
	}
	good = connects(c, at, list);
	freeaddrinfo(list);
	return good;
}

/* --- the method's session -------------------------------------------------------------- */

/* What the method remarks on its way is worth a look here. */
static void tell_notes(struct tg_check *c, const char *what, char *notes)
{
	char *rest = NULL;

	for (char *line = strtok_r(notes, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		tg_report(c->report, TG_FINDING_WARN, what, "", "%.*s", LINE_BYTES, line);
}

/* The words may begin with what the line is about. */
static const char *without(const char *what, const char *text)
{
	size_t len = strlen(what);

	return strncmp(text, what, len) == 0 && strncmp(text + len, ": ", 2) == 0 ? text + len + 2
										  : text;
}

static void tell_failure(struct tg_check *c, const char *what, enum tg_enrol_step step, int r,
			 const struct tg_fault *fault)
{
	tg_failure_describe(c->e, step, r, fault);
	tg_report(c->report, TG_FINDING_FAIL, what,
		  tg_advice(c->e->config->enrolment.method, &c->e->journal), "%s",
		  without(what, c->e->journal.error_text));
}

static void tell_anchors(struct tg_check *c)
{
	struct tg_anchor_info first;
	size_t n = 0;

	if (!c->e->anchors_pem ||
	    tg_anchors_list(c->e->anchors_pem, strlen(c->e->anchors_pem), &first, 1, &n, NULL) < 0)
		tg_report(c->report, TG_FINDING_OK, "session", "",
			  "the endpoint took what it was shown");
	else
		tg_report(c->report, TG_FINDING_OK, "cacerts", "",
			  "the server is whom it should be; roots to trust from now on: %zu, as %s",
			  n, first.subject);
}

static void prepare(struct tg_check *c)
{
	struct tg_fault fault = { 0 };
	int r = c->e->method->prepare(c->e, &fault);

	if (r < 0)
		tell_failure(c, "csrattrs", TG_STEP_CSR, r, &fault);
	else
		tg_report(c->report, TG_FINDING_OK, "csrattrs", "", "%s",
			  c->e->wishes.channel_binding ? "the server wants the request to be bound "
							 "to the "
							 "connection, which is done"
						       : "nothing that could not be done is asked "
							 "for");
}

static void open_session(struct tg_check *c)
{
	const char *what = c->e->config->enrolment.method == TG_ENROL_EST ? "cacerts" : "session";
	struct tg_fault fault = { 0 };
	int r = tg_credential_open(c->e, &fault);

	if (r < 0) {
		tell_failure(c, what, TG_STEP_REQUEST, r, &fault);
		return;
	}
	tell_anchors(c);
	if (c->e->method->prepare)
		prepare(c);
	c->e->method->close(c->e);
}

void tg_check_server(struct tg_check *c)
{
	struct tg_progress *told = c->e->progress, aside = *told;
	struct place at = { .what = "" };
	char *notes = NULL;
	size_t len = 0;

	if (!find_place(c->e->config, &at) || !is_reachable(c, &at) || !c->can_sign ||
	    c->cannot_open)
		return;
	aside.json = false;
	aside.out = open_memstream(&notes, &len);
	if (!aside.out)
		return;
	c->e->progress = &aside;
	open_session(c);
	c->e->progress = told;
	(void) fclose(aside.out);
	if (notes)
		tell_notes(c,
			   c->e->config->enrolment.method == TG_ENROL_EST ? "cacerts" : "session",
			   notes);
	free(notes);
}
