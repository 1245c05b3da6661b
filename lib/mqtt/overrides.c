/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/attempt.h"

#include <MQTTAsync.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

/*
 * THIS FILE DEFINES FOUR FUNCTIONS THAT BELONG TO OTHER LIBRARIES.
 *
 * The Paho library offers no socket options, no bound on DNS, no minimum TLS
 * version, no verification parameters and no reason when a connect fails. But
 * it calls connect(), getaddrinfo(), getsockopt() and SSL_CTX_new() through
 * the dynamic linker, which looks in the executable first. So the executable
 * defines them:
 *
 *	getaddrinfo()	answers with the address that was looked up beforehand
 *			(resolve.c); Paho would sit in DNS holding its lock
 *	connect()	TCP_NODELAY, TCP_USER_TIMEOUT, SO_KEEPALIVE, FD_CLOEXEC
 *	getsockopt()	keeps the reason that SO_ERROR gives once and Paho drops
 *	SSL_CTX_new()	TLS 1.2 or better and our own judgement of the peer
 *			(tls.c)
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
static atomic_uint seen_connect, seen_getaddrinfo, seen_getsockopt, seen_ssl_ctx_new;
/* The attempt that this thread of Paho's is at: its id, as the attempt may be gone. */
static _Thread_local uint64_t current;

static int (*next_connect)(int, const struct sockaddr *, socklen_t);
static int (*next_getaddrinfo)(const char *, const char *, const struct addrinfo *,
			       struct addrinfo **);
static int (*next_getsockopt)(int, int, int, void *, socklen_t *);
static SSL_CTX *(*next_ssl_ctx_new)(const SSL_METHOD *);
static const void *paho_base;
static pthread_once_t bind_once = PTHREAD_ONCE_INIT;

/* ISO C has no conversion from an object pointer to a function pointer; POSIX promises that the
 * bytes are the same. */
static void bind_next(void *function, const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	memcpy(function, &found, sizeof(found));
}

static void bind_all(void)
{
	void *paho = dlsym(RTLD_DEFAULT, "MQTTAsync_global_init");
	Dl_info info;

	bind_next(&next_connect, "connect");
	bind_next(&next_getaddrinfo, "getaddrinfo");
	bind_next(&next_getsockopt, "getsockopt");
	bind_next(&next_ssl_ctx_new, "SSL_CTX_new");
	if (paho && dladdr(paho, &info))
		paho_base = info.dli_fbase;
}

static bool from_paho(const void *return_address)
{
	Dl_info info;

	(void) pthread_once(&bind_once, bind_all);
	return paho_base && dladdr(return_address, &info) && info.dli_fbase == paho_base;
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

/* --- the registry ------------------------------------------------------------------------- */

void tg_mqtt_attempt_begin(struct tg_mqtt_attempt *a)
{
	struct tg_mqtt_attempt **at = &registry;

	a->fd = a->kill_fd = -1;
	a->next = NULL;
	a->stage = TG_MQTT_STAGE_WAITING;
	(void) pthread_mutex_lock(&registry_lock);
	a->id = ++registry_ids;
	while (*at)
		at = &(*at)->next;
	*at = a;
	(void) pthread_mutex_unlock(&registry_lock);
}

static int take_kill_fd(struct tg_mqtt_attempt *a)
{
	int fd = -1;

	(void) pthread_mutex_lock(&registry_lock);
	if (a->id)
		fd = tg_take_fd(a->kill_fd);
	(void) pthread_mutex_unlock(&registry_lock);
	return fd;
}

void tg_mqtt_attempt_release(struct tg_mqtt_attempt *a)
{
	tg_autoclose int fd = take_kill_fd(a);
}

void tg_mqtt_attempt_kill(struct tg_mqtt_attempt *a)
{
	tg_autoclose int fd = take_kill_fd(a);

	if (fd >= 0)
		(void) shutdown(fd, SHUT_RDWR);
}

void tg_mqtt_attempt_end(struct tg_mqtt_attempt *a)
{
	tg_autoclose int fd = take_kill_fd(a);

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

void tg_mqtt_overrides_count(struct tg_mqtt_overrides *ret)
{
	*ret = (struct tg_mqtt_overrides){ .connect = atomic_load(&seen_connect),
					   .getaddrinfo = atomic_load(&seen_getaddrinfo),
					   .getsockopt = atomic_load(&seen_getsockopt),
					   .ssl_ctx_new = atomic_load(&seen_ssl_ctx_new) };
}

int tg_mqtt_overrides_check(struct tg_fault *reterr)
{
	static const char *const names[] = { "connect", "getaddrinfo", "getsockopt",
					     "SSL_CTX_new" };
	Dl_info ours, bound;

	(void) pthread_once(&bind_once, bind_all);
	if (!paho_base || !dladdr(&registry_lock, &ours) || ours.dli_fbase == paho_base)
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
