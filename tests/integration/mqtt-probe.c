/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"
#include "mqtt/attempt.h"
#include "mqtt/session.h"

#include <MQTTAsync.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/*
 * One MQTT session by hand, for tests: options as KEY=VALUE arguments, then one command a line on
 *standard input. Events come out as lines "TYPE cause=N code=N cookie=N ... text", answers to
 *commands as "= ...".
 *
 *	connect | subscribe FILTER | publish COOKIE TOPIC TEXT | fill COOKIE TOPIC BYTES |
 *disconnect MS | free | new sockopt (options of Paho's socket) | counts (overrides reached) |
 *outside (the same calls from here) | stall MS | stalls | fds | quit
 */
#define LINE_MAX_BYTES 4096
#define SLOTS          128
#define ANCHORS_MAX    (256 * 1024)

static const char *const type_names[] = { "CONNECTED",  "CONNECT_FAILED",  "LOST",
					  "SUBSCRIBED", "PUBLISHED",       "PUBLISH_FAILED",
					  "MESSAGE",    "MESSAGE_DROPPED", "DISCONNECTED" };

struct probe {
	struct tg_mqtt_options o;
	struct tg_mqtt_will will;
	struct tg_mailbox *events;
	struct tg_mqtt *m;
	char *anchors;
};

static uint64_t number(const char *s)
{
	uint64_t n = 0;

	return s && tg_parse_u64(s, &n) == 0 ? n : 0;
}

static bool value_of(const char *arg, const char *key, const char **ret)
{
	size_t len = strlen(key);

	if (strncmp(arg, key, len) != 0 || arg[len] != '=')
		return false;
	*ret = arg + len + 1;
	return true;
}

static bool set_text(struct tg_mqtt_options *o, const char *arg)
{
	return value_of(arg, "host", &o->host) || value_of(arg, "last", &o->last_address) || value_of(arg, "ca", &o->ca_file) ||
	       value_of(arg, "bundle", &o->bundle_file) || value_of(arg, "chain", &o->chain_file) ||
	       value_of(arg, "key", &o->key_file) || value_of(arg, "id", &o->client_id) ||
	       value_of(arg, "alpn", &o->alpn);
}

/* The text of a file, as the agent gives that of a generation. */
static int set_anchors(struct probe *p, const char *file)
{
	free(p->anchors);
	p->anchors = NULL;
	return tg_file_read(AT_FDCWD, file, ANCHORS_MAX, &p->anchors, NULL, NULL);
}

static int set_option(struct probe *p, const char *arg)
{
	const char *v;

	if (set_text(&p->o, arg))
		return 0;
	if (value_of(arg, "anchors", &v))
		return set_anchors(p, v);
	if (value_of(arg, "port", &v))
		p->o.port = (uint16_t) number(v);
	else if (value_of(arg, "timeout-ms", &v))
		p->o.connect_timeout_us = number(v) * TG_US_PER_MS;
	else if (value_of(arg, "keep-alive-ms", &v))
		p->o.keep_alive_us = number(v) * TG_US_PER_MS;
	else if (value_of(arg, "in-flight", &v))
		p->o.in_flight = (unsigned) number(v);
	else if (value_of(arg, "pick", &v))
		p->o.pick = (unsigned) number(v);
	else if (value_of(arg, "version", &v))
		p->o.version = (unsigned) number(v);
	else if (value_of(arg, "verify-at", &v))
		p->o.verify_at = (int64_t) number(v);
	else if (value_of(arg, "future-s", &v))
		p->o.future_s = (int64_t) number(v);
	else if (value_of(arg, "will", &v))
		p->will = (struct tg_mqtt_will){ .topic = v, .payload = "gone", .len = 4 };
	else
		return -EINVAL;
	return 0;
}

static void print_event(const struct tg_mqtt_event *e)
{
	printf("%s session=%u cause=%d code=%d cookie=%" PRIu64 " granted=%d retained=%d "
	       "notbefore=%" PRId64 " peer=%d reset=%d text=%s",
	       type_names[e->type], e->session, e->cause, e->code, e->cookie, e->granted,
	       e->retained, e->peer_not_before, e->by_peer, e->reset, e->text);
	if (e->type == TG_MQTT_MESSAGE)
		printf(" topic=%s len=%zu payload=%.*s", e->topic, e->payload_len,
		       e->payload_len < 64 ? (int) e->payload_len : 64, (const char *) e->payload);
	printf("\n");
}

static void print_result(int r, const struct tg_fault *f)
{
	printf("= %d %s\n", r, r < 0 ? f->text : "ok");
}

/* Paho's socket: the one TCP socket that is connected from here. */
static void print_socket_options(void)
{
	int on = -1, timeout = -1, alive = -1, error;

	for (int fd = 3; fd < 64; fd++) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer), four = sizeof(int);

		if (getpeername(fd, (struct sockaddr *) &peer, &len) < 0 ||
		    (peer.ss_family != AF_INET && peer.ss_family != AF_INET6))
			continue;
		(void) getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &four);
		(void) getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, &four);
		(void) getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &alive, &four);
		(void) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &four);
	}
	printf("= nodelay=%d user_timeout=%d keepalive=%d\n", on, timeout, alive);
}

static void print_counts(void)
{
	struct tg_mqtt_overrides n;

	tg_mqtt_overrides_count(&n);
	printf("= connect=%u getaddrinfo=%u getsockopt=%u ssl_ctx_new=%u ssl_read=%s ssl_write=%s stuck=%u\n",
	       n.connect, n.getaddrinfo, n.getsockopt, n.ssl_ctx_new, n.ssl_read ? "yes" : "no", n.ssl_write ? "yes" : "no",
	       tg_mqtt_stuck());
}

/* The overridden calls made by a caller that is not Paho: everything must be as without us. */
static void call_from_outside(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	tg_autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int nodelay = -1, connected = connect(fd, (struct sockaddr *) &to, sizeof(to));
	struct addrinfo *found = NULL;
	int gai = getaddrinfo("localhost", NULL, NULL, &found);
	socklen_t len = sizeof(nodelay);

	(void) getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len);
	printf("= connected=%d nodelay=%d gai=%d verify=%d tickets=%d\n", connected, nodelay, gai,
	       ctx ? SSL_CTX_get_verify_mode(ctx) : -1,
	       ctx && !(SSL_CTX_get_options(ctx) & SSL_OP_NO_TICKET));
	if (gai == 0)
		freeaddrinfo(found);
	SSL_CTX_free(ctx);
}

static void print_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		(void) closedir(d);
	printf("= %u\n", n);
}

static atomic_uint stall_ms, stalls;

static void on_trace(enum MQTTASYNC_TRACE_LEVELS level, char *message)
{
	unsigned ms = 0;

	(void) level;
	/* Written for each ready socket, with Paho's lock held. */
	if (strstr(message, "m->c->connect_state"))
		ms = atomic_exchange(&stall_ms, 0);
	if (!ms)
		return;
	atomic_fetch_add(&stalls, 1);
	(void) poll(NULL, 0, (int) ms);
}

static void stall(const char *ms)
{
	atomic_store(&stall_ms, (unsigned) number(ms));
	MQTTAsync_setTraceCallback(on_trace);
	MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_MINIMUM);
	printf("= 0 ok\n");
}

static int publish(struct probe *p, char *args, struct tg_fault *f)
{
	char *cookie = strsep(&args, " "), *topic = strsep(&args, " ");

	return topic ? tg_mqtt_publish(p->m, topic, args ? args : "", args ? strlen(args) : 0,
				       false, number(cookie), f)
		     : -EINVAL;
}

static int fill(struct probe *p, char *args, struct tg_fault *f)
{
	char *cookie = strsep(&args, " "), *topic = strsep(&args, " ");
	size_t len = (size_t) number(args);
	tg_autofree char *payload = calloc(1, len + 1);

	if (!topic || !payload)
		return -EINVAL;
	memset(payload, 'x', len);
	return tg_mqtt_publish(p->m, topic, payload, len, false, number(cookie), f);
}

static int session_new(struct probe *p, struct tg_fault *f)
{
	p->o.session++;
	return tg_mqtt_new(&p->o, p->events, &p->m, f);
}

/* Returns whether @word was a command of this kind. */
static bool run_session(struct probe *p, const char *word, char *args)
{
	struct tg_fault f = { 0 };
	int r;

	if (strcmp(word, "new") == 0) {
		r = session_new(p, &f);
	} else if (strcmp(word, "free") == 0) {
		p->m = tg_mqtt_free(p->m);
		r = 0;
	} else if (!p->m) {
		return false;
	} else if (strcmp(word, "connect") == 0) {
		r = tg_mqtt_connect(p->m, &f);
	} else if (strcmp(word, "subscribe") == 0) {
		r = tg_mqtt_subscribe(p->m, args, &f);
	} else if (strcmp(word, "publish") == 0) {
		r = publish(p, args, &f);
	} else if (strcmp(word, "fill") == 0) {
		r = fill(p, args, &f);
	} else if (strcmp(word, "disconnect") == 0) {
		r = tg_mqtt_disconnect(p->m, number(args) * TG_US_PER_MS);
	} else {
		return false;
	}
	print_result(r, &f);
	return true;
}

/* Returns whether to go on. */
static bool run(struct probe *p, char *line)
{
	char *word = strsep(&line, " ");

	if (strcmp(word, "quit") == 0)
		return false;
	if (strcmp(word, "sockopt") == 0)
		print_socket_options();
	else if (strcmp(word, "counts") == 0)
		print_counts();
	else if (strcmp(word, "outside") == 0)
		call_from_outside(p->o.port);
	else if (strcmp(word, "stall") == 0)
		stall(line);
	else if (strcmp(word, "stalls") == 0)
		printf("= %u\n", atomic_load(&stalls));
	else if (strcmp(word, "fds") == 0)
		print_fds();
	else if (!run_session(p, word, line ? line : word + strlen(word)))
		printf("= -22 not a command: %s\n", word);
	return true;
}

static void drain(struct probe *p)
{
	struct tg_mqtt_event e;

	while (tg_mailbox_take(p->events, &e) > 0) {
		print_event(&e);
		tg_mqtt_event_done(&e);
	}
}

static void loop(struct probe *p)
{
	char line[LINE_MAX_BYTES];
	struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
				{ .fd = tg_mailbox_fd(p->events), .events = POLLIN } };

	while (poll(fds, TG_ARRAY_SIZE(fds), -1) > 0) {
		drain(p);
		if (!fds[0].revents)
			continue;
		/* Unbuffered: what fgets() read ahead poll() would not see. */
		if (!fgets(line, sizeof(line), stdin))
			return;
		line[strcspn(line, "\n")] = '\0';
		if (!run(p, line))
			return;
	}
}

int main(int argc, char **argv)
{
	struct probe p = { .o = { .host = "localhost",
				  .client_id = "probe",
				  .version = 4,
				  .keep_alive_us = 30 * TG_US_PER_S,
				  .connect_timeout_us = 10 * TG_US_PER_S,
				  .in_flight = 8,
				  .future_s = INT64_MAX } };
	struct tg_fault f = { 0 };
	int r;

	(void) setvbuf(stdin, NULL, _IONBF, 0);
	(void) setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		if (set_option(&p, argv[i]) < 0) {
			fprintf(stderr, "mqtt-probe: %s: not an option\n", argv[i]);
			return 2;
		}
	}
	p.o.will = p.will.topic ? &p.will : NULL;
	p.o.anchors_pem = p.anchors;
	r = tg_mqtt_global_init(&f);
	if (r == 0)
		r = tg_mailbox_new(SLOTS, sizeof(struct tg_mqtt_event), tg_mqtt_event_drop,
				   &p.events);
	if (r == 0)
		r = session_new(&p, &f);
	print_result(r, &f);
	if (r == 0)
		loop(&p);
	tg_mqtt_free(p.m);
	tg_mailbox_free(p.events);
	free(p.anchors);
	return r == 0 ? 0 : 1;
}
