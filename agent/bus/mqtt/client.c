/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/mqtt/client.h"

#include "agent/bus/driver.h"
#include "agent/bus/mqtt/parts.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <mosquitto.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * What libmosquitto does behind one's back, and what is done about it:
 *
 * - mosquitto_lib_cleanup() unloads OpenSSL's configured modules for the whole process. It is never called; there is
 *   nothing to give back.
 * - With its own TLS options it initialises OpenSSL, engines included. It gets a finished context instead.
 * - Without waiting it tries one address and finds out about a refusal only when it writes, or in TLS never. We resolve,
 *   and look at the socket until it is connected.
 * - Its socket is inherited by children, until close-on-exec is set right after.
 * - mosquitto_loop_read() reads one packet, whatever it is told; the loop is ours.
 *
 * It writes without MSG_NOSIGNAL: SIGPIPE is ignored in the agent. The symbols that lib/mqtt/overrides.c defines
 * see its calls, know by the caller that they are not Paho's, and pass them on.
 */

#define REFUSED_US    (30 * TG_US_PER_S) /* pause when the broker says no */
#define MISBEHAVED_US (60 * TG_US_PER_S) /* and when what it keeps for us would only come again */
#define LOOK_US                                                                                    \
	(1 * TG_US_PER_S) /* how often the library looks whether the broker is still there */
#define RECEIVE_BUFFER (16 * 1024)
#define FLOOD_MAX      (64 * TG_LISTEN_MAX) /* messages of one turn: a TLS record can hold thousands */
#define BUSY_ROUNDS    TG_LISTEN_MAX
#define GRANTED_NO     0x80 /* MQTT 3.1.1 section 3.9.3 */

enum state {
	AWAY,     /* until retry_us */
	DIALLING, /* TCP */
	GREETING, /* TLS and CONNECT, until the broker has accepted */
	UP,
};

struct tg_mqtt_client {
	const struct tg_mqtt_bus *cfg;
	struct tg_mqtt_subscription *subs;
	size_t n_subs;
	int *mids; /* of the SUBSCRIBE for each, in this session */
	tg_mqtt_message_fn fn;
	void *user;
	tg_mqtt_message_fn look;
	void *look_user;

	struct mosquitto *m; /* NULL in AWAY */
	SSL_CTX *tls;
	struct tg_tls_peer peer;
	struct tg_broker_addresses addresses;
	size_t address; /* the next to be tried */
	enum state state;
	uint64_t retry_us, deadline_us, looked_us;
	int epoll, watched; /* the descriptor in it, or -1 */
	bool failed;        /* since the broker last accepted us */
	int refusal;        /* CONNACK's code */
	bool accepted;      /* CONNACK came; subscriptions follow */
	uint64_t read_base; /* bytes that had been read when the last message ended */
	unsigned messages;  /* of this turn */
	bool flooded;
	char reason[256]; /* what the library last logged as an error */
	struct tg_fault why;
};

static void init_library(void)
{
	(void) mosquitto_lib_init();
}

bool tg_mqtt_client_matches(const char *filter, const char *topic)
{
	bool matches = false;

	return mosquitto_topic_matches_sub(filter, topic, &matches) == MOSQ_ERR_SUCCESS && matches;
}

bool tg_mqtt_client_is_up(const struct tg_mqtt_client *c)
{
	return c->state == UP;
}

/* --- callbacks: within mosquitto_loop_*() of our own thread -------------------------------------
 */

static void on_connect(struct mosquitto *m, void *user, int code)
{
	struct tg_mqtt_client *c = user;

	(void) m;
	c->refusal = code;
	c->accepted = code == 0;
}

static void on_subscribe(struct mosquitto *m, void *user, int mid, int n, const int *granted)
{
	struct tg_mqtt_client *c = user;

	(void) m;
	for (size_t i = 0; i < c->n_subs; i++) {
		if (c->mids[i] == mid)
			c->subs[i].refused = n < 1 || granted[0] >= GRANTED_NO;
	}
}

static void on_message(struct mosquitto *m, void *user, const struct mosquitto_message *msg)
{
	struct tg_mqtt_client *c = user;
	tg_mqtt_message_fn fn = c->look ? c->look : c->fn;

	c->read_base = tg_broker_bytes_read(mosquitto_socket(m));
	c->messages++;
	/* The loop is the library's here; only a connection that ends makes it return. */
	if (c->messages > FLOOD_MAX) {
		c->flooded = true;
		(void) shutdown(mosquitto_socket(m), SHUT_RDWR);
		return;
	}
	if (msg->payloadlen >= 0)
		fn(c->look ? c->look_user : c->user, msg->topic, msg->payload ? msg->payload : "",
		   (size_t) msg->payloadlen, msg->retain);
}

static void on_log(struct mosquitto *m, void *user, int level, const char *text)
{
	struct tg_mqtt_client *c = user;

	(void) m;
	if (level == MOSQ_LOG_ERR && !c->reason[0])
		(void) snprintf(c->reason, sizeof(c->reason), "%s", text);
}

/* --- the connection -----------------------------------------------------------------------------
 */

static void drop(struct tg_mqtt_client *c)
{
	/* Closing takes the descriptor out of the epoll set. */
	c->watched = -1;
	if (c->m)
		mosquitto_destroy(c->m);
	c->m = NULL;
	SSL_CTX_free(c->tls);
	c->tls = NULL;
}

static void go_away(struct tg_mqtt_client *c, uint64_t pause_us)
{
	drop(c);
	c->state = AWAY;
	c->failed = true;
	c->retry_us = tg_clock_boot_us() + pause_us;
}

/* The one place where libmosquitto's results become ours. */
static int errno_from_mosquitto(int rc, struct tg_fault *reterr)
{
	int error = errno;

	switch (rc) {
	case MOSQ_ERR_SUCCESS:
	case MOSQ_ERR_CONN_PENDING:
		return 0;
	case MOSQ_ERR_NOMEM:
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	case MOSQ_ERR_ERRNO:
		return tg_fault_set(reterr, error ? -error : -EIO, "%s",
				    error == EPROTO ? "TLS failed" : strerror(error ? error : EIO));
	case MOSQ_ERR_CONN_LOST:
	case MOSQ_ERR_NO_CONN:
		return tg_fault_set(reterr, -ECONNRESET, "connection closed by the broker");
	case MOSQ_ERR_KEEPALIVE:
		return tg_fault_set(reterr, -ETIMEDOUT, "the broker does not answer any more");
	default:
		return tg_fault_set(reterr, -EPROTO, "%s", mosquitto_strerror(rc));
	}
}

static void name_where(struct tg_mqtt_client *c)
{
	(void) tg_fault_prefix(&c->why, "%s port %u", c->cfg->host, c->cfg->port);
}

/* The connection failed with @rc; the reason may be better known. */
static void lose(struct tg_mqtt_client *c, int rc)
{
	uint64_t pause = TG_MQTT_CLIENT_US;
	char words[TG_TLS_WORDS_MAX];

	(void) errno_from_mosquitto(rc, &c->why);
	if (c->flooded) {
		pause = MISBEHAVED_US;
		(void) tg_fault_set(&c->why, -EPROTO, "the broker sends faster than can be read");
	} else if (c->state == GREETING && c->refusal) {
		pause = REFUSED_US;
		(void) tg_fault_set(&c->why, -EACCES, "refused: %s",
				    mosquitto_connack_string(c->refusal));
	} else if (c->state == GREETING && c->tls && !c->peer.passed) {
		(void) tg_tls_handshake_words(&c->peer, c->reason, words, sizeof(words));
		if (words[0])
			(void) tg_fault_set(&c->why, -EPROTO, "%s", words);
	}
	name_where(c);
	go_away(c, pause);
}

static int log_in(struct tg_mqtt_client *c)
{
	tg_autofree char *password = NULL;
	int r = 0;

	if (!*c->cfg->username)
		return 0;
	if (*c->cfg->password_file)
		r = tg_broker_password(c->cfg->password_file, &password, &c->why);
	if (r == 0)
		r = errno_from_mosquitto(
			mosquitto_username_pw_set(c->m, c->cfg->username, password), &c->why);
	if (password)
		explicit_bzero(password, strlen(password));
	return r;
}

static int use_tls(struct tg_mqtt_client *c)
{
	int r;

	if (!*c->cfg->ca)
		return 0;
	c->peer = (struct tg_tls_peer){ .who = NULL };
	r = tg_broker_tls_new(c->cfg, &c->peer, &c->tls, &c->why);
	if (r < 0)
		return r;
	if (mosquitto_int_option(c->m, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0) != MOSQ_ERR_SUCCESS ||
	    mosquitto_void_option(c->m, MOSQ_OPT_SSL_CTX, c->tls) != MOSQ_ERR_SUCCESS)
		return tg_fault_set(&c->why, -ENOTSUP, "this libmosquitto takes no TLS context");
	return 0;
}

static int make(struct tg_mqtt_client *c)
{
	const char *id = *c->cfg->client_id ? c->cfg->client_id : NULL;
	int r;

	c->refusal = 0;
	c->accepted = c->flooded = false;
	c->reason[0] = '\0';
	c->read_base = 0;
	c->m = mosquitto_new(id, c->cfg->clean_session, c);
	if (!c->m)
		return tg_fault_set(&c->why, -ENOMEM, "out of memory");
	mosquitto_connect_callback_set(c->m, on_connect);
	mosquitto_subscribe_callback_set(c->m, on_subscribe);
	mosquitto_message_callback_set(c->m, on_message);
	mosquitto_log_callback_set(c->m, on_log);
	(void) mosquitto_int_option(c->m, MOSQ_OPT_TCP_NODELAY, 1);
	r = log_in(c);
	return r < 0 ? r : use_tls(c);
}

static int watch(struct tg_mqtt_client *c)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT };
	const int size = RECEIVE_BUFFER;

	c->watched = mosquitto_socket(c->m);
	(void) fcntl(c->watched, F_SETFD, FD_CLOEXEC);
	/* A small window makes a sender of millions of bytes wait, so that they can be counted. */
	(void) setsockopt(c->watched, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->watched, &e) < 0)
		return tg_fault_set(&c->why, -errno, "epoll: %s", strerror(errno));
	return 0;
}

/* Towards c->addresses.text[c->address], which is the next one then. Returns 0 or -errno with c->why. */
static int dial(struct tg_mqtt_client *c)
{
	const char *address = c->addresses.text[c->address++];
	int r = make(c);

	if (r == 0)
		r = errno_from_mosquitto(
			mosquitto_connect_async(c->m, address, c->cfg->port,
						(int) (c->cfg->keep_alive_us / TG_US_PER_S)),
			&c->why);
	if (r == 0)
		r = watch(c);
	if (r < 0) {
		drop(c);
		return r;
	}
	c->state = DIALLING;
	c->deadline_us = tg_us_add(tg_clock_boot_us(), c->cfg->connect_timeout_us);
	return 0;
}

/* The addresses that are left, until one can be dialled. */
static void dial_on(struct tg_mqtt_client *c)
{
	while (c->address < c->addresses.n) {
		if (dial(c) == 0)
			return;
	}
	name_where(c);
	go_away(c, TG_MQTT_CLIENT_US);
}

static void start(struct tg_mqtt_client *c)
{
	c->address = 0;
	if (tg_broker_resolve(c->cfg->host, &c->addresses, &c->why) < 0) {
		go_away(c, TG_MQTT_CLIENT_US);
		return;
	}
	dial_on(c);
}

static short events_of(int fd, short wanted)
{
	struct pollfd p = { .fd = fd, .events = wanted };

	return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

static void look_at_dialling(struct tg_mqtt_client *c)
{
	int fd = mosquitto_socket(c->m), error = 0;
	socklen_t len = sizeof(error);

	if (!(events_of(fd, POLLOUT) & (POLLOUT | POLLERR | POLLHUP)))
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error == 0) {
		c->state = GREETING;
		return;
	}
	(void) tg_fault_set(&c->why, -error, "%s", strerror(error));
	drop(c);
	dial_on(c);
}

static void subscribe(struct tg_mqtt_client *c)
{
	for (size_t i = 0; i < c->n_subs; i++) {
		int rc = mosquitto_subscribe(c->m, &c->mids[i], c->subs[i].filter,
					     (int) c->subs[i].qos);

		c->subs[i].refused = false;
		if (rc != MOSQ_ERR_SUCCESS) {
			lose(c, rc);
			return;
		}
	}
}

/* One packet costs no more than so many bytes. */
static bool is_too_much(struct tg_mqtt_client *c)
{
	uint64_t read = tg_broker_bytes_read(mosquitto_socket(c->m));

	if (read < c->read_base || read - c->read_base <= TG_MQTT_CLIENT_BYTES)
		return false;
	(void) tg_fault_set(&c->why, -EMSGSIZE, "a message of more than %u bytes",
			    TG_MQTT_CLIENT_BYTES);
	name_where(c);
	go_away(c, MISBEHAVED_US);
	return true;
}

static bool is_idle(const struct tg_mqtt_client *c)
{
	int unread = 0;

	return ioctl(mosquitto_socket(c->m), FIONREAD, &unread) < 0 || unread <= 0;
}

/* Returns false when the connection is lost. */
static bool read_on(struct tg_mqtt_client *c)
{
	c->messages = 0;
	for (unsigned i = 0; i < BUSY_ROUNDS && c->messages < TG_LISTEN_MAX; i++) {
		int rc;

		if (i > 0 && is_idle(c))
			break;
		rc = mosquitto_loop_read(c->m, 1);
		if (rc != MOSQ_ERR_SUCCESS || mosquitto_socket(c->m) < 0) {
			lose(c, rc != MOSQ_ERR_SUCCESS ? rc : MOSQ_ERR_CONN_LOST);
			return false;
		}
		if (is_too_much(c))
			return false;
	}
	return true;
}

static void pump(struct tg_mqtt_client *c)
{
	int rc = MOSQ_ERR_SUCCESS;

	if (!read_on(c))
		return;
	if (c->state == GREETING && c->accepted) {
		c->state = UP;
		c->failed = false;
		subscribe(c);
		if (c->state != UP)
			return;
	}
	if (mosquitto_want_write(c->m))
		rc = mosquitto_loop_write(c->m, 1);
	if (rc == MOSQ_ERR_SUCCESS)
		rc = mosquitto_loop_misc(c->m);
	c->looked_us = tg_clock_boot_us();
	if (rc != MOSQ_ERR_SUCCESS)
		lose(c, rc);
	/* A reset in the middle of a handshake is not noticed by the library. */
	else if (c->state == GREETING &&
		 (events_of(mosquitto_socket(c->m), 0) & (POLLERR | POLLHUP)))
		lose(c, MOSQ_ERR_CONN_LOST);
}

static void check_deadline(struct tg_mqtt_client *c)
{
	if ((c->state != DIALLING && c->state != GREETING) || tg_clock_boot_us() < c->deadline_us)
		return;
	(void) tg_fault_set(&c->why, -ETIMEDOUT, "%s within %llu ms",
			    c->state == DIALLING ? "no connection" : "no answer",
			    (unsigned long long) (c->cfg->connect_timeout_us / TG_US_PER_MS));
	drop(c);
	dial_on(c);
}

int tg_mqtt_client_turn(struct tg_mqtt_client *c, struct tg_fault *reterr)
{
	if (c->state == AWAY && tg_clock_boot_us() >= c->retry_us)
		start(c);
	if (c->state == DIALLING)
		look_at_dialling(c);
	if (c->state == GREETING || c->state == UP)
		pump(c);
	check_deadline(c);
	return c->failed ? tg_fault_set(reterr, -ENOTCONN, "%s", c->why.text) : 0;
}

int tg_mqtt_client_fd(struct tg_mqtt_client *c, uint64_t *ret_wake_us)
{
	struct epoll_event e = { .events = EPOLLIN };

	if (c->state == AWAY) {
		*ret_wake_us = c->retry_us;
		return -1;
	}
	if (c->state == DIALLING || mosquitto_want_write(c->m))
		e.events |= EPOLLOUT;
	/* Fails only when the socket is gone, which the next turn finds. */
	(void) epoll_ctl(c->epoll, EPOLL_CTL_MOD, c->watched, &e);
	*ret_wake_us = c->state == UP ? c->looked_us + LOOK_US : c->deadline_us;
	return c->epoll;
}

int tg_mqtt_client_look(struct tg_mqtt_client *c, const char *filter, tg_mqtt_message_fn fn,
			void *user)
{
	bool ours = false;
	int r = 0;

	/* First: whoever looks goes away with @user, whatever has become of the connection. */
	c->look = NULL;
	c->look_user = NULL;
	if (c->state != UP)
		return -ENOTCONN;
	for (size_t i = 0; i < c->n_subs; i++)
		ours |= strcmp(c->subs[i].filter, filter) == 0;
	if (fn)
		r = errno_from_mosquitto(mosquitto_subscribe(c->m, NULL, filter, 0), NULL);
	else if (!ours)
		(void) mosquitto_unsubscribe(c->m, NULL, filter);
	if (r == 0 && fn) {
		c->look = fn;
		c->look_user = user;
	}
	return r;
}

/* --- birth and death ----------------------------------------------------------------------------
 */

int tg_mqtt_client_new(const struct tg_mqtt_bus *cfg, struct tg_mqtt_subscription *subs, size_t n,
		       tg_mqtt_message_fn fn, void *user, struct tg_mqtt_client **ret,
		       struct tg_fault *reterr)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct tg_mqtt_client *c = calloc(1, sizeof(*c));

	(void) pthread_once(&once, init_library);
	if (!c)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	*c = (struct tg_mqtt_client){ .cfg = cfg,
				      .subs = subs,
				      .n_subs = n,
				      .mids = calloc(n ? n : 1, sizeof(*c->mids)),
				      .fn = fn,
				      .user = user,
				      .epoll = epoll_create1(EPOLL_CLOEXEC),
				      .watched = -1 };
	if (!c->mids || c->epoll < 0) {
		(void) tg_mqtt_client_free(c);
		return tg_fault_set(reterr, -ENOMEM, "no epoll, or out of memory");
	}
	*ret = c;
	return 0;
}

struct tg_mqtt_client *tg_mqtt_client_free(struct tg_mqtt_client *c)
{
	if (!c)
		return NULL;
	/* Written at once where it can be; a broker that does not read gets none. */
	if (c->state == UP)
		(void) mosquitto_disconnect(c->m);
	drop(c);
	if (c->epoll >= 0)
		(void) close(c->epoll);
	free(c->mids);
	free(c);
	return NULL;
}
