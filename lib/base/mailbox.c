/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mailbox.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>

/*
 * A mutex instead of a lock-free ring: posters copy a few dozen bytes under it,
 * and the eventfd's system call costs more than the lock. The eventfd is
 * written only when the ring turns from empty to not empty, and drained only
 * when it turns back, both under the lock, so a wake-up is neither lost nor
 * repeated for each message, and looking into an empty ring costs no call.
 *
 * An empty ring begins again at its first slot, so that only as much of it
 * becomes resident memory as has ever waited at once: rings are sized for bad
 * days, and most never hold more than a few messages.
 */
struct tg_mailbox {
	pthread_mutex_t lock;
	int fd;
	size_t slots, size;
	size_t head, count; /* head: the oldest */
	tg_mailbox_drop_fn drop;
	unsigned char ring[];
};

int tg_mailbox_new(size_t slots, size_t size, tg_mailbox_drop_fn drop, struct tg_mailbox **ret)
{
	struct tg_mailbox *m;
	size_t bytes;

	if (__builtin_mul_overflow(slots, size, &bytes) ||
	    __builtin_add_overflow(bytes, sizeof(*m), &bytes))
		return -ENOMEM;
	m = calloc(1, bytes);
	if (!m)
		return -ENOMEM;
	m->slots = slots;
	m->size = size;
	m->drop = drop;
	m->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->fd < 0) {
		int r = -errno;

		free(m);
		return r;
	}
	/* Default attributes: initialisation cannot fail on Linux. */
	(void) pthread_mutex_init(&m->lock, NULL);
	*ret = m;
	return 0;
}

static unsigned char *slot(struct tg_mailbox *m, size_t index)
{
	return m->ring + (index % m->slots) * m->size;
}

struct tg_mailbox *tg_mailbox_free(struct tg_mailbox *m)
{
	if (!m)
		return NULL;
	for (size_t i = 0; m->drop && i < m->count; i++)
		m->drop(slot(m, m->head + i));
	(void) close(m->fd);
	(void) pthread_mutex_destroy(&m->lock);
	free(m);
	return NULL;
}

int tg_mailbox_post(struct tg_mailbox *m, const void *msg)
{
	int r = -EAGAIN;

	(void) pthread_mutex_lock(&m->lock);
	if (m->count < m->slots) {
		memcpy(slot(m, m->head + m->count), msg, m->size);
		if (m->count++ == 0)
			/* Cannot fail: the counter is 0 or 1 here. */
			(void) eventfd_write(m->fd, 1);
		r = 0;
	}
	(void) pthread_mutex_unlock(&m->lock);
	return r;
}

int tg_mailbox_take(struct tg_mailbox *m, void *ret_msg)
{
	eventfd_t drained;
	int r = 0;

	(void) pthread_mutex_lock(&m->lock);
	if (m->count) {
		memcpy(ret_msg, slot(m, m->head), m->size);
		m->head = (m->head + 1) % m->slots;
		if (--m->count == 0) {
			m->head = 0;
			(void) eventfd_read(m->fd, &drained);
		}
		r = 1;
	}
	(void) pthread_mutex_unlock(&m->lock);
	return r;
}

int tg_mailbox_fd(const struct tg_mailbox *m)
{
	return m->fd;
}

size_t tg_mailbox_count(struct tg_mailbox *m)
{
	size_t n;

	(void) pthread_mutex_lock(&m->lock);
	n = m->count;
	(void) pthread_mutex_unlock(&m->lock);
	return n;
}

int tg_mailbox_wait(struct tg_mailbox *m, unsigned long long deadline_us)
{
	struct pollfd p = { .fd = m->fd, .events = POLLIN };

	return poll(&p, 1, tg_us_to_poll_ms(tg_clock_boot_us(), deadline_us)) > 0;
}
