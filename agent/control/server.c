/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/control/server.h"

#include "base/buffer.h"
#include "base/clock.h"

#include <tidegate/log.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#define PATIENCE_US (10 * TG_US_PER_S) /* to send a request, to take an answer */
#define PAUSE_US    TG_US_PER_S        /* of accepting, when there are no more fds */
#define QUEUE_MAX   (TG_CONTROL_ANSWER_MAX + 64)

struct client {
	uint64_t id; /* 0: free */
	int fd;
	sd_event_source *io, *timer;
	char in[TG_CONTROL_REQUEST_MAX];
	size_t in_len;
	struct tg_buffer out;
	size_t sent;
	bool asked; /* the request has been handed on */
	bool mute;  /* it will say nothing more, and may still listen */
	bool keep;  /* stay when the queue is empty */
	struct tg_control *owner;
};

struct tg_control {
	sd_event *loop;
	sd_event_source *accept, *pause;
	int fd;
	char path[108]; /* of the socket that we made; "" when it was passed to us */
	tg_control_request_fn request;
	void *user;
	uint64_t last_id;
	struct client clients[TG_CONTROL_CLIENTS];
};

static void drop(struct client *c)
{
	c->io = sd_event_source_unref(c->io);
	c->timer = sd_event_source_unref(c->timer);
	tg_buffer_done(&c->out);
	if (c->fd >= 0)
		(void) close(c->fd);
	c->fd = -1;
	c->id = 0;
}

static struct client *find(struct tg_control *c, tg_client id)
{
	for (size_t i = 0; id && i < TG_CONTROL_CLIENTS; i++) {
		if (c->clients[i].id == id)
			return &c->clients[i];
	}
	return NULL;
}

bool tg_control_has(struct tg_control *ctl, tg_client id)
{
	return find(ctl, id) != NULL;
}

static void give_time(struct client *c)
{
	(void) sd_event_source_set_time(c->timer, tg_clock_boot_us() + PATIENCE_US);
	(void) sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

/* A hang-up of both directions is always told. */
static void listen_to(struct client *c, bool full)
{
	(void) sd_event_source_set_io_events(c->io,
					     (c->mute ? 0 : EPOLLIN) | (full ? EPOLLOUT : 0));
}

/* Returns false when the client is gone. */
static bool flush(struct client *c)
{
	while (c->sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			listen_to(c, true);
			return true;
		}
		if (n < 0) {
			drop(c);
			return false;
		}
		c->sent += (size_t) n;
		give_time(c);
	}
	tg_buffer_reset(&c->out);
	c->sent = 0;
	if (!c->keep) {
		drop(c);
		return false;
	}
	listen_to(c, false);
	/* Nothing is owed in either direction: a watcher may wait for hours. */
	(void) sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
	return true;
}

/* What cannot be queued for want of memory: told without any, where nothing waits before it. */
static void send_short(struct client *c)
{
	static const char text[] = "{\"ok\":false,\"code\":1,\"error\":\"out of memory\"}\n";

	if (c->sent == c->out.len)
		(void) !send(c->fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	drop(c);
}

static void send_line(struct client *c, struct tg_buffer *line)
{
	if (tg_buffer_error(line) == -ENOMEM) {
		send_short(c);
		return;
	}
	if (tg_buffer_error(line) < 0) {
		tg_buffer_reset(line);
		tg_buffer_adds(line, "{\"ok\":false,\"code\":1,\"error\":\"the answer is too "
				     "large\"}\n");
	}
	tg_buffer_add(&c->out, tg_buffer_text(line), line->len);
	if (tg_buffer_error(&c->out) < 0) {
		send_short(c);
		return;
	}
	give_time(c);
	(void) flush(c);
}

void tg_control_answer(struct tg_control *ctl, tg_client id, const char *json, int keep)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer line = TG_BUFFER_INIT(TG_CONTROL_ANSWER_MAX);
	struct client *c = find(ctl, id);

	if (!c)
		return;
	c->keep = keep && json;
	if (!json) {
		send_short(c);
		return;
	}
	tg_buffer_addf(&line, "{\"ok\":true,\"data\":%s}\n", json);
	send_line(c, &line);
}

void tg_control_refuse(struct tg_control *ctl, tg_client id, int code, const char *text)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer line = TG_BUFFER_INIT(TG_CONTROL_ANSWER_MAX);
	struct client *c = find(ctl, id);

	if (!c)
		return;
	c->keep = false;
	tg_buffer_addf(&line, "{\"ok\":false,\"code\":%d,\"error\":", code);
	tg_buffer_add_json(&line, text);
	tg_buffer_adds(&line, "}\n");
	send_line(c, &line);
}

int tg_control_line(struct tg_control *ctl, tg_client id, const char *json)
{
	struct client *c = find(ctl, id);
	size_t len = strlen(json);

	if (!c)
		return -ENOTCONN;
	if (c->out.len + len + 1 > QUEUE_MAX / 4)
		return -EAGAIN;
	if (c->sent == c->out.len)
		give_time(c);
	/* All of it or nothing: half a line would spoil the next one. */
	tg_buffer_addf(&c->out, "%s\n", json);
	if (tg_buffer_error(&c->out) < 0) {
		c->out.error = 0;
		return -EAGAIN;
	}
	return flush(c) ? 0 : -ENOTCONN;
}

static void on_line(struct client *c, size_t len)
{
	c->in[len] = '\0';
	c->asked = true;
	/* The answer may take as long as a slow device does: its own deadline is kept by whoever answers. */
	(void) sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
	c->owner->request(c->owner->user, c->id, c->in, len);
}

static void on_readable(struct client *c, uint32_t events)
{
	char extra[256];
	char *nl;
	ssize_t n;

	if (c->asked) {
		/* One request a connection: what follows is thrown away, and a hang-up is noticed. */
		n = recv(c->fd, extra, sizeof(extra), MSG_DONTWAIT);
		if (n == 0 && !(events & (EPOLLHUP | EPOLLERR))) {
			/* Only its own direction is closed: the answer is still wanted. */
			c->mute = true;
			listen_to(c, c->sent < c->out.len);
		} else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			drop(c);
		}
		return;
	}
	n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(c);
		return;
	}
	nl = memchr(c->in + c->in_len, '\n', (size_t) n);
	c->in_len += (size_t) n;
	if (nl)
		on_line(c, (size_t) (nl - c->in));
	else if (c->in_len == sizeof(c->in))
		tg_control_refuse(c->owner, c->id, 2, "the request is too long");
}

static int on_io(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct client *c = user;
	uint64_t id = c->id;

	(void) s;
	(void) fd;
	if (events & EPOLLIN)
		on_readable(c, events);
	else if (events & (EPOLLHUP | EPOLLERR))
		drop(c);
	if (c->id == id && id && (events & EPOLLOUT))
		(void) flush(c);
	return 0;
}

static int on_timeout(sd_event_source *s, uint64_t usec, void *user)
{
	struct client *c = user;

	(void) s;
	(void) usec;
	if (!c->asked)
		tg_control_refuse(c->owner, c->id, 2, "no request within ten seconds");
	else
		drop(c);
	return 0;
}

static int welcome(struct tg_control *ctl, struct client *c, int fd)
{
	int r;

	*c = (struct client){ .fd = fd, .owner = ctl, .out = TG_BUFFER_INIT(QUEUE_MAX) };
	r = sd_event_add_io(ctl->loop, &c->io, fd, EPOLLIN, on_io, c);
	if (r >= 0)
		r = sd_event_add_time(ctl->loop, &c->timer, CLOCK_BOOTTIME,
				      tg_clock_boot_us() + PATIENCE_US, TG_US_PER_MS, on_timeout,
				      c);
	if (r < 0) {
		drop(c);
		return r;
	}
	c->id = ++ctl->last_id;
	return 0;
}

static void log_peer(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		tg_log(LOG_DEBUG, "control", "client with uid %u, pid %d", peer.uid, peer.pid);
}

static void pause_accept(struct tg_control *ctl)
{
	static struct tg_log_limit limit = TG_LOG_LIMIT_INIT;
	uint64_t now = tg_clock_boot_us();

	if (tg_log_allowed(&limit, now, 1, 60 * TG_US_PER_S))
		tg_log(LOG_WARNING, "control",
		       "cannot take a client: %s; trying again every second", strerror(errno));
	if (sd_event_source_set_time(ctl->pause, now + PAUSE_US) >= 0 &&
	    sd_event_source_set_enabled(ctl->pause, SD_EVENT_ONESHOT) >= 0)
		(void) sd_event_source_set_enabled(ctl->accept, SD_EVENT_OFF);
}

static int on_pause(sd_event_source *s, uint64_t usec, void *user)
{
	struct tg_control *ctl = user;

	(void) s;
	(void) usec;
	return sd_event_source_set_enabled(ctl->accept, SD_EVENT_ON);
}

static int on_accept(sd_event_source *s, int listener, uint32_t events, void *user)
{
	static const char busy[] = "{\"ok\":false,\"code\":1,\"error\":\"too many clients\"}\n";
	struct tg_control *ctl = user;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void) s;
	(void) events;
	if (fd < 0) {
		/* Without fds or memory the client stays in the queue, and the loop would turn for it alone. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_accept(ctl);
		/* Anything else (a client that gave up) concerns that client, not the listener. */
		return 0;
	}
	log_peer(fd);
	for (size_t i = 0; i < TG_CONTROL_CLIENTS; i++) {
		if (ctl->clients[i].id == 0) {
			(void) !welcome(ctl, &ctl->clients[i], fd);
			return 0;
		}
	}
	(void) !send(fd, busy, sizeof(busy) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void) close(fd);
	return 0;
}

/* A socket that nobody answers on is what a killed agent left behind. */
static bool is_live(const struct sockaddr_un *a)
{
	tg_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd >= 0 &&
	       (connect(fd, (const struct sockaddr *) a, sizeof(*a)) == 0 || errno == EAGAIN);
}

static int set_access(const char *path, const char *group, struct tg_fault *reterr)
{
	struct group *g;

	if (chmod(path, 0660) < 0)
		return tg_fault_set(reterr, -errno, "cannot set the mode of %s: %s", path,
				    strerror(errno));
	if (!group[0])
		return 0;
	g = getgrnam(group);
	/* In the foreground as an ordinary user there may be no such group: the socket is then the user's own. */
	if (!g || chown(path, (uid_t) -1, g->gr_gid) < 0)
		tg_log(LOG_NOTICE, "control", "socket %s is not given to group %s: %s", path, group,
		       g ? strerror(errno) : "no such group");
	return 0;
}

static int make_socket(struct tg_control *ctl, const char *path, const char *group,
		       struct tg_fault *reterr)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	mode_t old;
	int r;

	if (strlen(path) >= sizeof(a.sun_path))
		return tg_fault_set(reterr, -ENAMETOOLONG,
				    "socket path %s is longer than %zu bytes", path,
				    sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, path, strlen(path) + 1);
	if (is_live(&a))
		return tg_fault_set(reterr, -EADDRINUSE, "another agent answers on %s", path);
	(void) unlink(path);
	ctl->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ctl->fd < 0)
		return tg_fault_set(reterr, -errno, "cannot make a socket: %s", strerror(errno));
	old = umask(0117);
	r = bind(ctl->fd, (const struct sockaddr *) &a, sizeof(a));
	(void) umask(old);
	if (r < 0 || listen(ctl->fd, TG_CONTROL_CLIENTS) < 0)
		return tg_fault_set(reterr, -errno, "cannot listen on %s: %s", path,
				    strerror(errno));
	memcpy(ctl->path, path, strlen(path) + 1);
	return set_access(path, group, reterr);
}

/* Returns 1 when systemd passed a socket, 0 when not. */
static int take_passed_socket(struct tg_control *ctl, struct tg_fault *reterr)
{
	int n = sd_listen_fds(1);

	if (n <= 0)
		return 0;
	if (n > 1 || sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_STREAM, 1) <= 0)
		return tg_fault_set(reterr, -EINVAL,
				    "the socket unit passed something else than one stream socket");
	ctl->fd = SD_LISTEN_FDS_START;
	if (fcntl(ctl->fd, F_SETFL, O_NONBLOCK) < 0)
		return tg_fault_set(reterr, -errno, "cannot use the passed socket: %s",
				    strerror(errno));
	return 1;
}

int tg_control_new(sd_event *loop, const char *path, const char *group,
		   tg_control_request_fn request, void *user, struct tg_control **ret,
		   struct tg_fault *reterr)
{
	struct tg_control *ctl = calloc(1, sizeof(*ctl));
	int r;

	if (!ctl)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	ctl->loop = loop;
	ctl->fd = -1;
	ctl->request = request;
	ctl->user = user;
	for (size_t i = 0; i < TG_CONTROL_CLIENTS; i++)
		ctl->clients[i].fd = -1;
	r = take_passed_socket(ctl, reterr);
	if (r == 0)
		r = make_socket(ctl, path, group, reterr);
	if (r >= 0) {
		r = sd_event_add_io(loop, &ctl->accept, ctl->fd, EPOLLIN, on_accept, ctl);
		if (r >= 0)
			r = sd_event_add_time(loop, &ctl->pause, CLOCK_BOOTTIME, TG_US_FOREVER,
					      TG_US_PER_MS, on_pause, ctl);
		if (r >= 0)
			r = sd_event_source_set_enabled(ctl->pause, SD_EVENT_OFF);
		if (r >= 0)
			r = sd_event_source_set_exit_on_failure(ctl->accept, true);
		if (r < 0)
			tg_fault_set(reterr, r, "cannot watch the control socket: %s",
				     strerror(-r));
	}
	if (r < 0) {
		tg_control_free(ctl);
		return r;
	}
	(void) sd_event_source_set_description(ctl->accept, "control");
	*ret = ctl;
	return 0;
}

struct tg_control *tg_control_free(struct tg_control *ctl)
{
	if (!ctl)
		return NULL;
	for (size_t i = 0; i < TG_CONTROL_CLIENTS; i++) {
		if (ctl->clients[i].id)
			drop(&ctl->clients[i]);
	}
	sd_event_source_unref(ctl->accept);
	sd_event_source_unref(ctl->pause);
	if (ctl->fd >= 0)
		(void) close(ctl->fd);
	if (ctl->path[0])
		(void) unlink(ctl->path);
	free(ctl);
	return NULL;
}
