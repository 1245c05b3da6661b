/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/attempt.h"

#include "base/clock.h"

#include <MQTTAsync.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/*
 * THIS FILE DEFINES EIGHT FUNCTIONS THAT BELONG TO OTHER LIBRARIES.
 *
 * The Paho library offers no socket options, no bound on DNS, no minimum TLS
 * version, no verification parameters and no reason when a connect fails. But
 * it calls connect(), getaddrinfo(), getsockopt(), poll(), SSL_CTX_new(), SSL_ctrl(), SSL_read() and SSL_write()
 * through the dynamic linker, which looks in the executable first. So the
 * executable defines them:
 *
 *	getaddrinfo()	answers with the address that was looked up beforehand
 *			(resolve.c); Paho would sit in DNS holding its lock
 *	connect()	TCP_NODELAY, TCP_USER_TIMEOUT, SO_KEEPALIVE, FD_CLOEXEC
 *	getsockopt()	keeps the reason that SO_ERROR gives once and Paho drops
 *	poll()		looks again soon while a connection is being made: Paho's
 *			thread waits for reading alone, a second at a time
 *	SSL_CTX_new()	TLS 1.2 or better and our own judgement of the peer
 *			(tls.c)
 *	SSL_ctrl()	sends no address as a server name (RFC 6066 section 3)
 *	SSL_read()	keeps whether it was the broker that ended the connection, and
 *			when it was last heard; lets no packet pass that no broker
 *			may send, and no message whole that Paho would make room of
 *			256 MiB for (frame.c)
 *	SSL_write()	when CONNECT cannot be written because the broker has
 *			hung up, reads the alert that says why
 *
 * Only calls from Paho's own shared object are changed: the return address
 * tells. All others, of other libraries and of this program, go straight
 * through to the next definition. The symbols must be in the dynamic symbol
 * table of the executable; the linker puts them there because libpaho refers to
 * them, and tg_mqtt_overrides_check() refuses to start when it has not.
 *
 * Which attempt a call belongs to: getaddrinfo() takes the oldest one that waits
 * for this host; connect() follows in the same thread; getsockopt() knows the
 * descriptor; SSL_CTX_new() follows either of the two in the same thread.
 */

#define EXPORTED __attribute__((__visibility__("default"), __used__, __noinline__))

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tg_mqtt_attempt *registry; /* oldest first */
static uint64_t registry_ids;
static atomic_uint seen_connect, seen_getaddrinfo, seen_getsockopt, seen_ssl_ctx_new,
	seen_ssl_read, seen_ssl_write;
/* Two at a time; the caller of MQTTAsync_destroy() may be a third, and one that is being replaced a
 * fourth. */
#define THREADS_MAX 16
#define SWALLOW     4096 /* bytes that are read at a time where none of them is Paho's */
static pid_t threads[THREADS_MAX];
static unsigned threads_n;
/* The attempt that this thread of Paho's is at: its id, as the attempt may be gone. */
static _Thread_local uint64_t current;

static int (*next_connect)(int, const struct sockaddr *, socklen_t);
static int (*next_getaddrinfo)(const char *, const char *, const struct addrinfo *,
			       struct addrinfo **);
static int (*next_getsockopt)(int, int, int, void *, socklen_t *);
static int (*next_poll)(struct pollfd *, nfds_t, int);
static SSL_CTX *(*next_ssl_ctx_new)(const SSL_METHOD *);
static long (*next_ssl_ctrl)(SSL *, int, long, void *);
static int (*next_ssl_read)(SSL *, void *, int);
static int (*next_ssl_write)(SSL *, const void *, int);
static uintptr_t paho_begin, paho_end; /* where the library is mapped */
static pthread_once_t bind_once = PTHREAD_ONCE_INIT;

/* ISO C has no conversion from an object pointer to a function pointer; POSIX promises that the
 * bytes are the same. */
static void bind_next(void *function, const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	memcpy(function, &found, sizeof(found));
}

/* Called for each object in memory until it returns non-zero: finds the one that @data is an
 * address of. */
static int find_paho(struct dl_phdr_info *object, size_t size, void *data)
{
	uintptr_t begin = UINTPTR_MAX, end = 0, within = (uintptr_t) data;

	(void) size;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];

		if (p->p_type != PT_LOAD)
			continue;
		if (object->dlpi_addr + p->p_vaddr < begin)
			begin = object->dlpi_addr + p->p_vaddr;
		if (object->dlpi_addr + p->p_vaddr + p->p_memsz > end)
			end = object->dlpi_addr + p->p_vaddr + p->p_memsz;
	}
	if (within < begin || within >= end)
		return 0;
	paho_begin = begin;
	paho_end = end;
	return 1;
}

static void bind_all(void)
{
	void *paho = dlsym(RTLD_DEFAULT, "MQTTAsync_global_init");

	bind_next(&next_connect, "connect");
	bind_next(&next_getaddrinfo, "getaddrinfo");
	bind_next(&next_getsockopt, "getsockopt");
	bind_next(&next_poll, "poll");
	bind_next(&next_ssl_ctx_new, "SSL_CTX_new");
	bind_next(&next_ssl_ctrl, "SSL_ctrl");
	bind_next(&next_ssl_read, "SSL_read");
	bind_next(&next_ssl_write, "SSL_write");
	if (paho)
		(void) dl_iterate_phdr(find_paho, paho);
}

/* Remembers this thread as one of Paho's, for tg_mqtt_overrides_settle(). */
static void note_thread(void)
{
	static _Thread_local bool noted;

	if (noted)
		return;
	noted = true;
	(void) pthread_mutex_lock(&registry_lock);
	if (threads_n < THREADS_MAX)
		threads[threads_n++] = gettid();
	(void) pthread_mutex_unlock(&registry_lock);
}

static bool in_paho(const void *address)
{
	return (uintptr_t) address >= paho_begin && (uintptr_t) address < paho_end;
}

static bool from_paho(const void *return_address)
{
	(void) pthread_once(&bind_once, bind_all);
	if (!in_paho(return_address))
		return false;
	note_thread();
	return true;
}

static struct tg_mqtt_attempt *find_id(uint64_t id)
{
	for (struct tg_mqtt_attempt *a = registry; a; a = a->next)
		if (a->id == id)
			return a;
	return NULL;
}

/* --- connect ------------------------------------------------------------------------------ */

static void set_option(int fd, int level, int option, int value)
{
	/* Each is an improvement, none a condition: the session works without. */
	(void) setsockopt(fd, level, option, &value, sizeof(value));
}

static void set_options(int fd, unsigned timeout_ms)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int) timeout_ms);
	(void) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static unsigned claim_descriptor(int fd)
{
	struct tg_mqtt_attempt *mine, *a;
	unsigned timeout_ms = 30000;

	(void) pthread_mutex_lock(&registry_lock);
	/* A number that Paho has closed comes back with the next socket. */
	for (a = registry; a; a = a->next)
		if (a->fd == fd)
			a->fd = -1;
	mine = find_id(current);
	if (mine) {
		mine->fd = fd;
		mine->stage = TG_MQTT_STAGE_DIALLED;
		mine->kill_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		timeout_ms = mine->timeout_ms;
	}
	(void) pthread_mutex_unlock(&registry_lock);
	return timeout_ms;
}

static void note_tcp(uint64_t id, int error)
{
	struct tg_mqtt_attempt *a;

	(void) pthread_mutex_lock(&registry_lock);
	a = find_id(id);
	if (a && error)
		a->tcp_errno = error;
	else if (a)
		a->stage = TG_MQTT_STAGE_TCP;
	(void) pthread_mutex_unlock(&registry_lock);
}

EXPORTED int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	const struct sockaddr *to = addr.__sockaddr__;
	int r;

	if (!from_paho(__builtin_return_address(0)) ||
	    (to->sa_family != AF_INET && to->sa_family != AF_INET6))
		return next_connect(fd, to, len);

	atomic_fetch_add(&seen_connect, 1);
	set_options(fd, claim_descriptor(fd));
	r = next_connect(fd, to, len);
	if (r == 0 || errno != EINPROGRESS) {
		int error = r == 0 ? 0 : errno;

		note_tcp(current, error);
		errno = error;
	}
	return r;
}

/* --- getaddrinfo -------------------------------------------------------------------------- */

static bool claim_name(const char *node, char address[static INET6_ADDRSTRLEN])
{
	struct tg_mqtt_attempt *a;

	(void) pthread_mutex_lock(&registry_lock);
	for (a = registry; a; a = a->next)
		if (a->stage == TG_MQTT_STAGE_WAITING && node && strcmp(a->host, node) == 0)
			break;
	current = a ? a->id : 0;
	if (a) {
		a->stage = TG_MQTT_STAGE_ANSWERED;
		memcpy(address, a->address, INET6_ADDRSTRLEN);
	}
	(void) pthread_mutex_unlock(&registry_lock);
	return a;
}

EXPORTED int getaddrinfo(const char *restrict node, const char *restrict service,
			 const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
	/* The resolver's own function makes the answer, so that its freeaddrinfo() can free it. */
	struct addrinfo numeric = { .ai_family = AF_UNSPEC,
				    .ai_socktype = SOCK_STREAM,
				    .ai_flags = AI_NUMERICHOST };
	char address[INET6_ADDRSTRLEN];

	if (!from_paho(__builtin_return_address(0)))
		return next_getaddrinfo(node, service, hints, ret);

	atomic_fetch_add(&seen_getaddrinfo, 1);
	if (!claim_name(node, address))
		return EAI_AGAIN;
	return next_getaddrinfo(address, service, &numeric, ret);
}

/* --- getsockopt --------------------------------------------------------------------------- */

static void note_descriptor(int fd, int error)
{
	struct tg_mqtt_attempt *a;
	uint64_t id = 0;

	(void) pthread_mutex_lock(&registry_lock);
	for (a = registry; a; a = a->next)
		if (a->fd == fd && a->stage == TG_MQTT_STAGE_DIALLED)
			id = a->id;
	(void) pthread_mutex_unlock(&registry_lock);
	current = id;
	note_tcp(id, error);
}

EXPORTED int getsockopt(int fd, int level, int option, void *restrict value,
			socklen_t *restrict len)
{
	bool paho = from_paho(__builtin_return_address(0));
	int r = next_getsockopt(fd, level, option, value, len);

	if (paho && r == 0 && level == SOL_SOCKET && option == SO_ERROR && *len == sizeof(int)) {
		int error;

		memcpy(&error, value, sizeof(error));
		atomic_fetch_add(&seen_getsockopt, 1);
		note_descriptor(fd, error);
	}
	return r;
}

/* --- poll --------------------------------------------------------------------------------- */

#define DIALLING_POLL_MS 10 /* as long as Paho itself waits in the first turn of its thread */

static bool is_dialling(void)
{
	struct tg_mqtt_attempt *a;
	bool found = false;

	(void) pthread_mutex_lock(&registry_lock);
	for (a = registry; a && !found; a = a->next)
		found = a->stage == TG_MQTT_STAGE_DIALLED;
	(void) pthread_mutex_unlock(&registry_lock);
	return found;
}

/* Under another name in C: with _FORTIFY_SOURCE poll() is an inline function of the header's. */
EXPORTED int poll_override(struct pollfd *fds, nfds_t n, int timeout) __asm__("poll");

EXPORTED int poll_override(struct pollfd *fds, nfds_t n, int timeout)
{
	bool paho = from_paho(__builtin_return_address(0));

	if (paho && timeout > DIALLING_POLL_MS && is_dialling())
		timeout = DIALLING_POLL_MS;
	return next_poll(fds, n, timeout);
}

/* --- SSL_CTX_new -------------------------------------------------------------------------- */

EXPORTED SSL_CTX *SSL_CTX_new(const SSL_METHOD *method)
{
	bool paho = from_paho(__builtin_return_address(0));
	SSL_CTX *ctx = next_ssl_ctx_new(method);
	struct tg_mqtt_attempt *a;

	if (!ctx || !paho)
		return ctx;

	atomic_fetch_add(&seen_ssl_ctx_new, 1);
	(void) pthread_mutex_lock(&registry_lock);
	a = find_id(current);
	(void) pthread_mutex_unlock(&registry_lock);
	tg_mqtt_tls_prepare(ctx, a);
	return ctx;
}

/* --- SSL_ctrl ----------------------------------------------------------------------------- */

/* Paho gives what stands between "ssl://" and the port, less the closing bracket. */
static bool is_address(const char *name)
{
	struct in_addr ip;

	return strchr(name, ':') || inet_pton(AF_INET, name, &ip) == 1;
}

/* What the header's SSL_set_tlsext_host_name() stands for, among many. */
EXPORTED long SSL_ctrl(SSL *ssl, int cmd, long larg, void *parg)
{
	bool paho = from_paho(__builtin_return_address(0));

	if (paho && cmd == SSL_CTRL_SET_TLSEXT_HOSTNAME && parg && is_address(parg))
		return 1;
	return next_ssl_ctrl(ssl, cmd, larg, parg);
}

/* --- SSL_read ----------------------------------------------------------------------------- */

/* Whether a failed call says that the other side has ended the connection, and not that it timed out. */
static bool is_peers_end(SSL *ssl, int r, int error)
{
	switch (SSL_get_error(ssl, r)) {
	case SSL_ERROR_ZERO_RETURN:
	case SSL_ERROR_SSL: /* an alert, or an end without one */
		return true;
	case SSL_ERROR_SYSCALL:
		return error == 0 || error == ECONNRESET || error == EPIPE;
	default:
		return false;
	}
}

/* The first one is why; what follows is how it feels. */
static void note_broken(int fd, int error)
{
	(void) pthread_mutex_lock(&registry_lock);
	for (struct tg_mqtt_attempt *a = registry; a; a = a->next)
		if (a->fd == fd && !a->end_errno)
			a->end_errno = error;
	(void) pthread_mutex_unlock(&registry_lock);
}

static void note_end(SSL *ssl, int r)
{
	int error = errno, fd = SSL_get_fd(ssl);
	bool reset = SSL_get_error(ssl, r) == SSL_ERROR_SYSCALL && error != 0;
	struct tg_mqtt_attempt *a;

	if (is_peers_end(ssl, r, error)) {
		(void) pthread_mutex_lock(&registry_lock);
		for (a = registry; a; a = a->next)
			/* A connection that has timed out reads as ended from then on. */
			if (a->fd == fd && !a->end_errno) {
				if (!a->ended_by_peer)
					a->reset = reset;
				a->ended_by_peer = true;
			}
		(void) pthread_mutex_unlock(&registry_lock);
	} else if (SSL_get_error(ssl, r) == SSL_ERROR_SYSCALL) {
		note_broken(fd, error);
	}
	errno = error;
}

static struct tg_mqtt_attempt *find_descriptor(int fd)
{
	for (struct tg_mqtt_attempt *a = registry; a; a = a->next)
		if (a->fd == fd)
			return a;
	return NULL;
}

/* Bytes that come next and are not for Paho; 0: none. */
static size_t to_swallow(SSL *ssl)
{
	struct tg_mqtt_attempt *a;
	size_t n = 0;

	(void) pthread_mutex_lock(&registry_lock);
	a = find_descriptor(SSL_get_fd(ssl));
	if (a && a->frame.left == 0)
		n = a->frame.skip;
	(void) pthread_mutex_unlock(&registry_lock);
	return n;
}

/* Leaves in @data what Paho may have of it. Returns how many bytes, or -1: the connection is to end. */
static int admit(SSL *ssl, void *data, size_t len)
{
	struct tg_mqtt_attempt *a;
	int r = (int) len;

	(void) pthread_mutex_lock(&registry_lock);
	a = find_descriptor(SSL_get_fd(ssl));
	if (a) {
		a->heard_us = tg_clock_boot_us();
		r = (int) tg_mqtt_frame_pass(&a->frame, data, len);
		if (a->frame.fault)
			r = -1;
	}
	(void) pthread_mutex_unlock(&registry_lock);
	return r;
}

/* One read of the connection. Returns what SSL_read() would; with *@ret_again what came was not for Paho. */
static int read_for_paho(SSL *ssl, void *data, int len, bool *ret_again)
{
	uint8_t rest[SWALLOW];
	size_t swallow = to_swallow(ssl);
	int r;

	*ret_again = false;
	if (swallow) {
		data = rest;
		len = (int) (swallow < sizeof(rest) ? swallow : sizeof(rest));
	}
	r = next_ssl_read(ssl, data, len);
	if (r <= 0) {
		note_end(ssl, r);
		return r;
	}
	r = admit(ssl, data, (size_t) r);
	*ret_again = r == 0;
	return r < 0 ? 0 : r; /* 0: to Paho, the end of the connection */
}

EXPORTED int SSL_read(SSL *ssl, void *data, int len)
{
	bool again;
	int r;

	if (!from_paho(__builtin_return_address(0)))
		return next_ssl_read(ssl, data, len);
	atomic_fetch_add_explicit(&seen_ssl_read, 1, memory_order_relaxed);
	/* Until there is something for Paho, or nothing at the moment. */
	do
		r = read_for_paho(ssl, data, len, &again);
	while (again);
	return r;
}

/* --- SSL_write ---------------------------------------------------------------------------- */

/*
 * In TLS 1.3 a broker judges our certificate after our side of the handshake is done. While its
 * alert is on the way Paho writes CONNECT, finds the connection reset, and never reads what the
 * broker said.
 */
EXPORTED int SSL_write(SSL *ssl, const void *data, int len)
{
	bool paho = from_paho(__builtin_return_address(0));
	int r = next_ssl_write(ssl, data, len);

	if (paho)
		atomic_fetch_add_explicit(&seen_ssl_write, 1, memory_order_relaxed);
	if (paho && r <= 0) {
		note_end(ssl, r);
		tg_mqtt_tls_last_words(ssl, r);
	}
	return r;
}

/* --- the registry ------------------------------------------------------------------------- */

void tg_mqtt_attempt_begin(struct tg_mqtt_attempt *a)
{
	struct tg_mqtt_attempt **at = &registry;

	a->fd = a->kill_fd = -1;
	a->next = NULL;
	a->stage = TG_MQTT_STAGE_WAITING;
	a->frame = (struct tg_mqtt_frame){ 0 };
	a->heard_us = 0;
	(void) pthread_mutex_lock(&registry_lock);
	a->id = ++registry_ids;
	while (*at)
		at = &(*at)->next;
	*at = a;
	(void) pthread_mutex_unlock(&registry_lock);
}

static void drop_connection(struct tg_mqtt_attempt *a, bool kill)
{
	int fd = -1;

	(void) pthread_mutex_lock(&registry_lock);
	if (a->id)
		fd = tg_take_fd(a->kill_fd);
	(void) pthread_mutex_unlock(&registry_lock);
	if (fd < 0)
		return;
	if (kill)
		(void) shutdown(fd, SHUT_RDWR);
	(void) close(fd);
}

uint64_t tg_mqtt_attempt_heard_us(const struct tg_mqtt_attempt *a)
{
	uint64_t heard_us;

	(void) pthread_mutex_lock(&registry_lock);
	heard_us = a->heard_us;
	(void) pthread_mutex_unlock(&registry_lock);
	return heard_us;
}

void tg_mqtt_attempt_release(struct tg_mqtt_attempt *a)
{
	drop_connection(a, false);
}

void tg_mqtt_attempt_kill(struct tg_mqtt_attempt *a)
{
	drop_connection(a, true);
}

void tg_mqtt_attempt_end(struct tg_mqtt_attempt *a)
{
	drop_connection(a, false);
	(void) pthread_mutex_lock(&registry_lock);
	for (struct tg_mqtt_attempt **at = &registry; *at; at = &(*at)->next) {
		if (*at == a) {
			*at = a->next;
			break;
		}
	}
	a->id = 0;
	(void) pthread_mutex_unlock(&registry_lock);
}

/* Forgets the threads that have ended. Returns whether one other than the caller is left. */
static bool threads_left(void)
{
	unsigned kept = 0;
	bool left = false;

	(void) pthread_mutex_lock(&registry_lock);
	for (unsigned i = 0; i < threads_n; i++) {
		if (threads[i] == gettid() || tgkill(getpid(), threads[i], 0) < 0)
			continue;
		threads[kept++] = threads[i];
		left = true;
	}
	threads_n = kept;
	(void) pthread_mutex_unlock(&registry_lock);
	return left;
}

void tg_mqtt_overrides_settle(void)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < 500 && threads_left(); i++)
		(void) nanosleep(&pause, NULL);
}

void tg_mqtt_overrides_count(struct tg_mqtt_overrides *ret)
{
	*ret = (struct tg_mqtt_overrides){ .connect = atomic_load(&seen_connect),
					   .getaddrinfo = atomic_load(&seen_getaddrinfo),
					   .getsockopt = atomic_load(&seen_getsockopt),
					   .ssl_ctx_new = atomic_load(&seen_ssl_ctx_new),
					   .ssl_read = atomic_load(&seen_ssl_read),
					   .ssl_write = atomic_load(&seen_ssl_write) };
}

int tg_mqtt_overrides_check(struct tg_fault *reterr)
{
	static const char *const names[] = { "connect", "getaddrinfo", "getsockopt",
					     "SSL_CTX_new" };
	Dl_info ours, bound;

	(void) pthread_once(&bind_once, bind_all);
	if (!paho_end || !dladdr(&registry_lock, &ours) || in_paho(&registry_lock))
		return tg_fault_set(reterr, -ENOTSUP,
				    "libpaho-mqtt3as is not a shared library here");
	for (size_t i = 0; i < TG_ARRAY_SIZE(names); i++) {
		void *found = dlsym(RTLD_DEFAULT, names[i]);

		if (!found || !dladdr(found, &bound) || bound.dli_fbase != ours.dli_fbase)
			return tg_fault_set(reterr, -ENOTSUP,
					    "%s() is not overridden: built wrongly", names[i]);
	}
	return 0;
}
