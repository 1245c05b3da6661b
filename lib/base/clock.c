/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <tidegate/cleanup.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static struct timespec read_clock(clockid_t id)
{
	struct timespec ts;
	int r = clock_gettime(id, &ts);

	/* Only fails for clocks that the kernel does not know; Linux has had both since 2.6.39. */
	assert(r == 0);
	(void) r;
	return ts;
}

uint64_t tg_clock_boot_us(void)
{
	struct timespec ts = read_clock(CLOCK_BOOTTIME);

	return (uint64_t) ts.tv_sec * TG_US_PER_S + (uint64_t) ts.tv_nsec / 1000;
}

int64_t tg_clock_wall_us(void)
{
	struct timespec ts = read_clock(CLOCK_REALTIME);

	return (int64_t) ts.tv_sec * (int64_t) TG_US_PER_S + ts.tv_nsec / 1000;
}

void tg_clock_sleep_until(uint64_t boot_us)
{
	struct timespec ts = {
		.tv_sec = tg_clock_time_t((int64_t) (boot_us / TG_US_PER_S)),
		.tv_nsec = (long) (boot_us % TG_US_PER_S * 1000),
	};

	while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

/* What was @age_us ago on another clock. */
static uint64_t boot_of_age(int64_t age_us)
{
	uint64_t now = tg_clock_boot_us();

	if (age_us < 0 || (uint64_t) age_us > TG_STAMP_AGE_MAX_US || (uint64_t) age_us > now)
		return now;
	return now - (uint64_t) age_us;
}

uint64_t tg_clock_boot_from_monotonic_us(uint64_t monotonic_us)
{
	struct timespec ts;
	uint64_t now;

	(void) clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t) ts.tv_sec * TG_US_PER_S + (uint64_t) ts.tv_nsec / 1000;
	return boot_of_age(monotonic_us > now ? -1 : (int64_t) (now - monotonic_us));
}

uint64_t tg_clock_boot_from_real_us(int64_t real_us)
{
	int64_t age;

	return boot_of_age(__builtin_sub_overflow(tg_clock_wall_us(), real_us, &age) ? -1 : age);
}

uint64_t tg_us_add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? TG_US_FOREVER : sum;
}

int tg_us_to_poll_ms(uint64_t now_us, uint64_t deadline_us)
{
	uint64_t ms;

	if (deadline_us == TG_US_FOREVER)
		return -1;
	if (deadline_us <= now_us)
		return 0;
	ms = (deadline_us - now_us - 1) / TG_US_PER_MS + 1;
	return ms > INT_MAX ? INT_MAX : (int) ms;
}

time_t tg_clock_time_t(int64_t s)
{
	/* Debian 12's armhf. */
	bool narrow = sizeof(time_t) < sizeof(s);

	if (narrow && s > INT32_MAX)
		return (time_t) INT32_MAX;
	return (time_t) (narrow && s < INT32_MIN ? INT32_MIN : s);
}

const char *tg_clock_iso(int64_t wall_us, char out[static 32])
{
	int64_t us = (int64_t) TG_US_PER_S, s = wall_us / us - (wall_us % us < 0);
	struct tm tm;
	time_t t = (time_t) s;

	/* Years 0000 to 9999; time_t has 32 bits on older 32-bit systems. */
	if (s < INT64_C(-62167219200) || s > INT64_C(253402300799) || (int64_t) t != s ||
	    !gmtime_r(&t, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
		memcpy(out, "?", 2);
	return out;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int tg_clock_boot_id(uint8_t ret_id[static 16])
{
	tg_autoclose int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char text[64];
	size_t digits = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text));
	if (n < 0)
		return -errno;
	memset(ret_id, 0, 16);
	for (ssize_t i = 0; i < n && digits < 32; i++) {
		int v = hex_digit(text[i]);

		if (v < 0)
			continue;
		ret_id[digits / 2] = (uint8_t) (ret_id[digits / 2] << 4 | v);
		digits++;
	}
	return digits == 32 ? 0 : -EBADMSG;
}

uint64_t tg_random_u64(void)
{
	uint64_t v;
	ssize_t n;

	do {
		n = getrandom(&v, sizeof(v), 0);
	} while (n < 0 && errno == EINTR);
	/* Up to 256 bytes are never short once the pool is ready (getrandom(2)). */
	assert(n == (ssize_t) sizeof(v));
	return n == (ssize_t) sizeof(v) ? v : tg_clock_boot_us();
}
