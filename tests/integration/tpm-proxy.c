/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/integration/tpm-proxy.h"

#include <tidegate/cleanup.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#define HEADER      10 /* tag, size, code */
#define MESSAGE_MAX 4096
#define COMMANDS    512 /* TPM_CC is small: 0x11f to 0x193 */
#define PARKED_MAX  16

struct tpm_proxy {
	char tcti[128], dir[64];
	int data_fd, ctrl_fd, stop[2];
	pthread_t data_thread, ctrl_thread;
	int parked[PARKED_MAX]; /* clients that wait for an answer for ever; the data thread's */
	unsigned n_parked;

	pthread_mutex_t lock;
	enum tpm_trouble trouble;
	uint32_t command, code;
	unsigned times, seen[COMMANDS], all;
	char listen_for[64];
	unsigned overheard;
};

static struct sockaddr_un address(const char *dir, const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	(void) snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", dir, name);
	return a;
}

static int listen_at(const char *dir, const char *name)
{
	const struct sockaddr_un a = address(dir, name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *) &a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static int connect_to(const char *dir, const char *name)
{
	const struct sockaddr_un a = address(dir, name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *) &a, sizeof(a)) == 0)
		return fd;
	if (fd >= 0)
		(void) close(fd);
	return -1;
}

/* Waits for @fd, or for the end of the proxy: false. */
static bool readable(const struct tpm_proxy *p, int fd)
{
	struct pollfd fds[2] = { { .fd = p->stop[0], .events = POLLIN },
				 { .fd = fd, .events = POLLIN } };

	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	return fds[0].revents == 0;
}

static bool get(const struct tpm_proxy *p, int fd, uint8_t *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = readable(p, fd) ? read(fd, buf, len) : -1;

		if (n <= 0)
			return false;
		buf += n;
		len -= (size_t) n;
	}
	return true;
}

static bool put(int fd, const uint8_t *buf, size_t len)
{
	return send(fd, buf, len, MSG_NOSIGNAL) == (ssize_t) len;
}

static uint32_t get32(const uint8_t *b)
{
	return (uint32_t) b[0] << 24 | (uint32_t) b[1] << 16 | (uint32_t) b[2] << 8 | b[3];
}

static void put32(uint8_t *b, uint32_t v)
{
	b[0] = (uint8_t) (v >> 24);
	b[1] = (uint8_t) (v >> 16);
	b[2] = (uint8_t) (v >> 8);
	b[3] = (uint8_t) v;
}

/* One command or answer; its length, 0 at the end of the connection. */
static size_t get_message(const struct tpm_proxy *p, int fd, uint8_t buf[static MESSAGE_MAX])
{
	size_t len;

	if (!get(p, fd, buf, HEADER))
		return 0;
	len = get32(buf + 2);
	if (len < HEADER || len > MESSAGE_MAX || !get(p, fd, buf + HEADER, len - HEADER))
		return 0;
	return len;
}

static enum tpm_trouble next_trouble(struct tpm_proxy *p, uint32_t command, uint32_t *ret_code)
{
	enum tpm_trouble t = TPM_TROUBLE_NONE;

	(void) pthread_mutex_lock(&p->lock);
	p->all++;
	if (command < COMMANDS)
		p->seen[command]++;
	if (p->times > 0 && (p->command == 0 || p->command == command)) {
		t = p->trouble;
		*ret_code = p->code;
		p->times--;
	}
	(void) pthread_mutex_unlock(&p->lock);
	return t;
}

/* Changes the TPM's answer in place; returns how much of it is sent. */
static size_t spoil(enum tpm_trouble t, uint8_t *answer, size_t len)
{
	switch (t) {
	case TPM_TROUBLE_TRUNCATE:
		return len / 2;
	case TPM_TROUBLE_CLOSE:
	case TPM_TROUBLE_HANG:
		return 0;
	case TPM_TROUBLE_GARBAGE:
		for (size_t i = HEADER; i < len; i++)
			answer[i] = (uint8_t) (i * 151 + 7);
		return len;
	case TPM_TROUBLE_BAD_SIZE:
		put32(answer + 2, UINT32_MAX);
		return len;
	case TPM_TROUBLE_SHORT:
		answer[0] = 0x80;
		answer[1] = 0x01; /* no sessions */
		put32(answer + 2, HEADER);
		put32(answer + 6, 0);
		return HEADER;
	case TPM_TROUBLE_FLIP_LAST:
		/* Five bytes of password session follow the parameters. */
		if (len > HEADER + 8)
			answer[len - 8] ^= 1;
		return len;
	case TPM_TROUBLE_NONE:
	case TPM_TROUBLE_CODE:
		break;
	}
	return len;
}

static void eavesdrop(struct tpm_proxy *p, const uint8_t *command, size_t len)
{
	(void) pthread_mutex_lock(&p->lock);
	if (p->listen_for[0] && memmem(command, len, p->listen_for, strlen(p->listen_for)))
		p->overheard++;
	(void) pthread_mutex_unlock(&p->lock);
}

/* Answers one command. Returns whether the connection goes on; one that hangs is taken over. */
static bool relay(struct tpm_proxy *p, int *client_fd, uint8_t *buf, size_t len)
{
	int client = *client_fd;
	uint32_t code = 0;
	enum tpm_trouble t = next_trouble(p, get32(buf + 6), &code);
	size_t send_len;

	eavesdrop(p, buf, len);
	if (t == TPM_TROUBLE_CODE) {
		uint8_t answer[HEADER] = { 0x80, 0x01 };

		put32(answer + 2, HEADER);
		put32(answer + 6, code);
		return put(client, answer, sizeof(answer));
	}

	tg_autoclose int tpm = connect_to(p->dir, "s");

	if (tpm < 0 || !put(tpm, buf, len))
		return false;
	len = get_message(p, tpm, buf);
	if (len == 0)
		return false;
	send_len = spoil(t, buf, len);
	if (t == TPM_TROUBLE_HANG) {
		assert_true(p->n_parked < PARKED_MAX);
		p->parked[p->n_parked++] = tg_take_fd(*client_fd);
	}
	return send_len > 0 && put(client, buf, send_len) && send_len == len;
}

static void *serve_data(void *arg)
{
	struct tpm_proxy *p = arg;
	uint8_t buf[MESSAGE_MAX];
	size_t len;

	while (readable(p, p->data_fd)) {
		tg_autoclose int client = accept4(p->data_fd, NULL, NULL, SOCK_CLOEXEC);

		while (client >= 0 && (len = get_message(p, client, buf)) > 0)
			if (!relay(p, &client, buf, len))
				break;
	}
	return NULL;
}

/* The control channel is passed on as it is: small requests, small answers, in turn. */
static void relay_ctrl(const struct tpm_proxy *p, int client, int tpm)
{
	uint8_t buf[MESSAGE_MAX];

	for (;;) {
		struct pollfd fds[3] = { { .fd = p->stop[0], .events = POLLIN },
					 { .fd = client, .events = POLLIN },
					 { .fd = tpm, .events = POLLIN } };
		int from, to;
		ssize_t n;

		if (poll(fds, 3, -1) < 0)
			continue;
		if (fds[0].revents)
			return;
		from = fds[1].revents ? client : tpm;
		to = fds[1].revents ? tpm : client;
		n = read(from, buf, sizeof(buf));
		if (n <= 0 || !put(to, buf, (size_t) n))
			return;
	}
}

static void *serve_ctrl(void *arg)
{
	struct tpm_proxy *p = arg;

	while (readable(p, p->ctrl_fd)) {
		tg_autoclose int client = accept4(p->ctrl_fd, NULL, NULL, SOCK_CLOEXEC);
		tg_autoclose int tpm = connect_to(p->dir, "s.ctrl");

		if (client >= 0 && tpm >= 0)
			relay_ctrl(p, client, tpm);
	}
	return NULL;
}

struct tpm_proxy *tpm_proxy_new(const struct swtpm *s)
{
	struct tpm_proxy *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	(void) snprintf(p->dir, sizeof(p->dir), "%s", s->dir);
	(void) snprintf(p->tcti, sizeof(p->tcti), "swtpm:path=%s/p", s->dir);
	(void) pthread_mutex_init(&p->lock, NULL);
	p->data_fd = listen_at(p->dir, "p");
	p->ctrl_fd = listen_at(p->dir, "p.ctrl");
	assert_int_equal(pipe2(p->stop, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&p->data_thread, NULL, serve_data, p), 0);
	assert_int_equal(pthread_create(&p->ctrl_thread, NULL, serve_ctrl, p), 0);
	return p;
}

void tpm_proxy_free(struct tpm_proxy *p)
{
	if (!p)
		return;
	(void) close(p->stop[1]);
	(void) pthread_join(p->data_thread, NULL);
	(void) pthread_join(p->ctrl_thread, NULL);
	for (unsigned i = 0; i < p->n_parked; i++)
		(void) close(p->parked[i]);
	(void) close(p->stop[0]);
	(void) close(p->data_fd);
	(void) close(p->ctrl_fd);
	(void) pthread_mutex_destroy(&p->lock);
	free(p);
}

const char *tpm_proxy_tcti(const struct tpm_proxy *p)
{
	return p->tcti;
}

void tpm_proxy_order(struct tpm_proxy *p, enum tpm_trouble trouble, uint32_t command, uint32_t code,
		     unsigned times)
{
	(void) pthread_mutex_lock(&p->lock);
	p->trouble = trouble;
	p->command = command;
	p->code = code;
	p->times = times;
	(void) pthread_mutex_unlock(&p->lock);
}

unsigned tpm_proxy_seen(struct tpm_proxy *p, uint32_t command)
{
	unsigned n;

	(void) pthread_mutex_lock(&p->lock);
	n = command == 0 ? p->all : p->seen[command % COMMANDS];
	(void) pthread_mutex_unlock(&p->lock);
	return n;
}

void tpm_proxy_listen_for(struct tpm_proxy *p, const char *text)
{
	(void) pthread_mutex_lock(&p->lock);
	(void) snprintf(p->listen_for, sizeof(p->listen_for), "%s", text);
	p->overheard = 0;
	(void) pthread_mutex_unlock(&p->lock);
}

unsigned tpm_proxy_overheard(struct tpm_proxy *p)
{
	unsigned n;

	(void) pthread_mutex_lock(&p->lock);
	n = p->overheard;
	(void) pthread_mutex_unlock(&p->lock);
	return n;
}
