/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/attempt.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * getaddrinfo() has no deadline: with a dead DNS server it takes 20 s and more.
 * So it runs on a detached thread, and the caller walks away when its time is
 * up. Whoever of the two leaves last frees the look-up.
 */
#define LOOKUPS_MAX                                                                                \
	4 /* that have not ended; the resolver's own limits end them within a minute               \
	   */
#define ADDRESSES_MAX 16           /* of one name; more are not looked at */
#define THREAD_STACK  (256 * 1024) /* bytes; NSS modules want some */

struct lookup {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	char host[254];
	bool done, abandoned;
	int error; /* EAI_* */
	size_t n;
	char addresses[ADDRESSES_MAX][INET6_ADDRSTRLEN];
};

static atomic_uint lookups;

static void lookup_free(struct lookup *l)
{
	(void) pthread_cond_destroy(&l->ended);
	(void) pthread_mutex_destroy(&l->lock);
	free(l);
}

static struct lookup *lookup_new(const char *host)
{
	struct lookup *l = calloc(1, sizeof(*l));
	pthread_condattr_t attr;

	if (!l)
		return NULL;
	memcpy(l->host, host, strnlen(host, sizeof(l->host) - 1));
	(void) pthread_mutex_init(&l->lock, NULL);
	(void) pthread_condattr_init(&attr);
	(void) pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void) pthread_cond_init(&l->ended, &attr);
	(void) pthread_condattr_destroy(&attr);
	return l;
}

static void keep_address(struct lookup *l, const struct addrinfo *ai)
{
	char *out = l->addresses[l->n];
	const void *raw;

	if (l->n == ADDRESSES_MAX)
		return;
	if (ai->ai_family == AF_INET)
		raw = &((const struct sockaddr_in *) (const void *) ai->ai_addr)->sin_addr;
	else if (ai->ai_family == AF_INET6)
		raw = &((const struct sockaddr_in6 *) (const void *) ai->ai_addr)->sin6_addr;
	else
		return;
	if (inet_ntop(ai->ai_family, raw, out, INET6_ADDRSTRLEN))
		l->n++;
}

/*
 * At first for families of which this machine has an address: there are name servers that never answer to the other's. A
 * loopback address is none to the resolver, though: on a machine with IPv6 only it then finds no 127.0.0.1 in /etc/hosts.
 */
static int look_up(const char *host, struct addrinfo **ret)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	int error = getaddrinfo(host, NULL, &hints, ret);

	if (error != EAI_NONAME && error != EAI_NODATA && error != EAI_ADDRFAMILY)
		return error;
	hints.ai_flags = 0;
	return getaddrinfo(host, NULL, &hints, ret);
}

static void *lookup_run(void *arg)
{
	struct addrinfo *found = NULL;
	struct lookup *l = arg;
	bool abandoned;
	int error = look_up(l->host, &found);

	(void) pthread_mutex_lock(&l->lock);
	l->error = error;
	for (const struct addrinfo *ai = found; error == 0 && ai; ai = ai->ai_next)
		keep_address(l, ai);
	l->done = true;
	abandoned = l->abandoned;
	(void) pthread_cond_signal(&l->ended);
	(void) pthread_mutex_unlock(&l->lock);
	if (error == 0)
		freeaddrinfo(found);
	atomic_fetch_sub(&lookups, 1);
	if (abandoned)
		lookup_free(l);
	return NULL;
}

static int lookup_start(struct lookup *l)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	(void) pthread_attr_init(&attr);
	(void) pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void) pthread_attr_setstacksize(&attr, THREAD_STACK);
	r = -pthread_create(&thread, &attr, lookup_run, l);
	(void) pthread_attr_destroy(&attr);
	return r;
}

static void deadline_in(uint64_t us, struct timespec *ret)
{
	/* A day is for ever here, and keeps the sum in range. */
	uint64_t s = us / TG_US_PER_S < 86400 ? us / TG_US_PER_S : 86400;

	(void) clock_gettime(CLOCK_MONOTONIC, ret);
	ret->tv_sec += (time_t) s;
	ret->tv_nsec += (long) (us % TG_US_PER_S * 1000);
	if (ret->tv_nsec >= 1000000000) {
		ret->tv_nsec -= 1000000000;
		ret->tv_sec++;
	}
}

/* Returns whether the look-up ended in time; if not, it frees itself and @l is gone. */
static bool lookup_wait(struct lookup *l, uint64_t timeout_us)
{
	struct timespec deadline;
	bool done;

	deadline_in(timeout_us, &deadline);
	(void) pthread_mutex_lock(&l->lock);
	while (!l->done)
		if (pthread_cond_timedwait(&l->ended, &l->lock, &deadline) == ETIMEDOUT)
			break;
	done = l->done;
	l->abandoned = !done;
	(void) pthread_mutex_unlock(&l->lock);
	return done;
}

/* An address is its own answer, on hosts without any DNS too. */
static bool literal(const char *host, char ret_address[static INET6_ADDRSTRLEN])
{
	int family = strchr(host, ':') ? AF_INET6 : AF_INET;
	struct in6_addr ip; /* has room for both */

	return inet_pton(family, host, &ip) == 1 &&
	       inet_ntop(family, &ip, ret_address, INET6_ADDRSTRLEN);
}

int tg_mqtt_resolve(const char *host, uint64_t timeout_us, unsigned pick,
		    char ret_address[static INET6_ADDRSTRLEN], struct tg_fault *reterr)
{
	struct lookup *l;
	int r = 0;

	if (literal(host, ret_address))
		return 0;
	if (atomic_fetch_add(&lookups, 1) >= LOOKUPS_MAX) {
		atomic_fetch_sub(&lookups, 1);
		return tg_fault_set(reterr, -EBUSY,
				    "%s: %d earlier look-ups still wait for DNS: look at the name "
				    "server",
				    host, LOOKUPS_MAX);
	}
	l = lookup_new(host);
	r = l ? lookup_start(l) : -ENOMEM;
	if (r < 0) {
		atomic_fetch_sub(&lookups, 1);
		if (l)
			lookup_free(l);
		return tg_fault_set(reterr, r, "%s: no thread for the look-up: %s", host,
				    strerror(-r));
	}
	if (!lookup_wait(l, timeout_us))
		return tg_fault_set(reterr, -ETIMEDOUT, "%s: no answer from DNS in time", host);
	if (l->error || !l->n)
		r = tg_fault_set(reterr, -EHOSTUNREACH, "%s: name not resolved: %s", host,
				 l->error ? gai_strerror(l->error) : "it has no address");
	else
		memcpy(ret_address, l->addresses[pick % l->n], INET6_ADDRSTRLEN);
	lookup_free(l);
	return r;
}
