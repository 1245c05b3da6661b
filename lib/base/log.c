/* SPDX-License-Identifier: Apache-2.0 */
#include <tidegate/log.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048
#define FIELDS_MAX 16

/*
 * The MESSAGE_IDs are random and fixed for ever: catalogs and alert rules of
 * operators name them. Never reuse one.
 */
static const char *const message_ids[TG_EV_COUNT_] = {
	[TG_EV_STARTED] = "c9a2d597233ec0dbcb2536d8396d5977",
	[TG_EV_STOPPING] = "b055b429517173f6a141b6b63773a1a5",
	[TG_EV_CONFIG_REFUSED] = "d8c44d926d7201a8b2eb2a47255c8000",
	[TG_EV_ENROLLED] = "9ba3a65ce768ebd0cb9abd36292803e6",
	[TG_EV_ENROL_FAILED] = "b5ffa025ad984882aa70aa91812606d9",
	[TG_EV_REQUEST_PENDING] = "5187e865884225f9f5197c0bfc2aacbb",
	[TG_EV_RENEWAL_DUE] = "972ff9e01d11c66c6ddb024d0f3a3928",
	[TG_EV_IDENTITY_PROMOTED] = "4b38e41157b2f02d4c976a875fe17122",
	[TG_EV_RENEWED] = "e2f8f57fa51dca78dafd153309870d46",
	[TG_EV_EXPIRING] = "631c3b7d826f5c939a819c24ba18f00f",
	[TG_EV_EXPIRED] = "bc7f1471d6d484456756db14f65c35f4",
	[TG_EV_IDENTITY_ROLLED_BACK] = "850e834520b0b3e4cf999a44e135fe64",
	[TG_EV_IDENTITY_REFUSED] = "255693ca5e72696b6eca00b7e4e43488",
	[TG_EV_IDENTITY_PENDING] = "7e4b0194514e474790b244e579541f01",
	[TG_EV_TPM_LOST] = "2e1929bc807efeab8f9d089d2cfbf3c0",
	[TG_EV_TPM_BACK] = "b3d196313e4fc32c59b15dcb5e3e42da",
	[TG_EV_TPM_CLEARED] = "76c90ddf1ae3da1e1cd148f0642b7e27",
	[TG_EV_TPM_REPLACED] = "cc76e9743b0974d3ddfdff4c3481c648",
	[TG_EV_LINK_UP] = "908cefbd84af19eacc233d290ad46371",
	[TG_EV_LINK_LOST] = "ab58903ae1bb1232274c01e86893903a",
	[TG_EV_CLIENT_ID_TAKEN] = "b5e187ce9c5f6b2aca2616039df5e86f",
	[TG_EV_READINGS_REFUSED] = "7ca6c705e302f221c5fb7290d7ebd79a",
	[TG_EV_SPOOL_DAMAGED] = "7a2bd1fe13df2166e002ec5ed11d9019",
	[TG_EV_SPOOL_DROPPED] = "cb2d342bfc5a0764310793470556699c",
	[TG_EV_SPOOL_FAILED] = "d0cee11fd08179e105d4e083b382467c",
	[TG_EV_PACK_SET_ASIDE] = "0bb39c77df3f7beb2d273b511baf6759",
	[TG_EV_DEVICE_REFUSED] = "79905d4e943943d2a3ca3356b29ddb5f",
	[TG_EV_DEVICE_LOST] = "57c9e030d8dd6f0ff58733e835f36d69",
	[TG_EV_DEVICE_BACK] = "00fa0164fd25158a2bfe2396356ae219",
	[TG_EV_DEVICE_BABBLES] = "1bef8686f3a9495a87f654346439fb7a",
	[TG_EV_BUS_DOWN] = "3da2d14c278148b593e8deffeb1d80a1",
	[TG_EV_BUS_UP] = "063db8f759874147bc64678b11537470",
	[TG_EV_TOTALS_LOST] = "bc86d3cdcadb421ea04631db052b2134",
	[TG_EV_CLOCK_SUSPECT] = "ff7e8e9c9b15b0913d220802b2fa7885",
	[TG_EV_CLOCK_REPAIRED] = "177ea769695ce559c5d293356294c743",
	[TG_EV_COMMAND_DONE] = "3bf6d64c0ceab3f0cfef69cd4826188c",
	[TG_EV_COMMAND_REFUSED] = "4ac2e7a9bc49b3a0e61539818cf0d907",
	[TG_EV_SAFE_STATE] = "42fa529a487ac4a6d45717efeb6bbb69",
};

static int max_level = LOG_INFO;

void tg_log_set_level(int level)
{
	max_level = level;
}

/* JOURNAL_STREAM names the socket that systemd gave as standard error ("device:inode", systemd.exec(5)). */
static bool stderr_is_journal(void)
{
	static _Atomic int known = -1;
	const char *stream;
	char mine[64];
	struct stat st;

	if (known >= 0)
		return known;
	stream = getenv("JOURNAL_STREAM");
	if (!stream || fstat(STDERR_FILENO, &st) < 0) {
		known = 0;
		return false;
	}
	(void) snprintf(mine, sizeof(mine), "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
	known = strcmp(stream, mine) == 0;
	return known;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for both: */
static unsigned long lost; /* lines that standard error did not take */

static void tell_lost(void)
{
	struct pollfd ready = { .fd = STDERR_FILENO, .events = POLLOUT };
	char line[64];
	int n = snprintf(line, sizeof(line), "log: %lu lines are lost before this\n", lost);

	if (poll(&ready, 1, 0) == 1 && ready.revents & POLLOUT &&
	    write(STDERR_FILENO, line, (size_t) n) == n)
		lost = 0;
}

/*
 * One write() a line, so that lines of several threads do not mix, and one thread at a time: a pipe that has room for a line
 * when it is looked at has it for one.
 */
static void to_stderr(const char *area, const char *text)
{
	char line[LINE_MAX_BYTES + 64];
	int n = snprintf(line, sizeof(line), "%s: %s\n", area, text);
	struct pollfd ready = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (n < 0)
		return;
	if ((size_t) n >= sizeof(line)) {
		n = sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	(void) pthread_mutex_lock(&lock);
	/*
	 * Nobody is left to tell when standard error fails, and nobody waits for one that is not read: lines are lost,
	 * and how many is said by the next that passes.
	 */
	if (poll(&ready, 1, 0) <= 0 || !(ready.revents & POLLOUT))
		lost++;
	else if (write(STDERR_FILENO, line, (size_t) n) == n && lost)
		tell_lost();
	(void) pthread_mutex_unlock(&lock);
}

void tg_log(int level, const char *area, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	va_list ap;
	int n;

	if (level > max_level)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if (stderr_is_journal())
		(void) sd_journal_send("MESSAGE=%s: %s", area, text, "PRIORITY=%i", level,
				       "TIDEGATE_AREA=%s", area, NULL);
	else
		to_stderr(area, text);
}

struct fields {
	struct iovec iov[FIELDS_MAX];
	char text[LINE_MAX_BYTES];
	size_t used;
	int n;
};

static void add_field(struct fields *f, const char *name, const char *value)
{
	int len = snprintf(f->text + f->used, sizeof(f->text) - f->used, "%s=%s", name, value);

	/* A field that does not fit is left out: the message itself comes first. */
	if (len < 0 || (size_t) len >= sizeof(f->text) - f->used || f->n == FIELDS_MAX)
		return;
	f->iov[f->n++] = (struct iovec) { f->text + f->used, (size_t) len };
	f->used += (size_t) len + 1;
}

void tg_event(enum tg_event_id id, int level, const char *text, ...)
{
	struct fields f = { .n = 0 };
	const char *name, *value;
	char number[12];
	va_list ap;

	if (level > max_level)
		return;
	if (!stderr_is_journal()) {
		to_stderr("event", text);
		return;
	}
	(void) snprintf(number, sizeof(number), "%d", level);
	add_field(&f, "MESSAGE", text);
	add_field(&f, "PRIORITY", number);
	add_field(&f, "MESSAGE_ID", message_ids[id]);
	va_start(ap, text);
	while ((name = va_arg(ap, const char *)) && (value = va_arg(ap, const char *)))
		add_field(&f, name, value);
	va_end(ap);
	(void) sd_journal_sendv(f.iov, f.n);
}

bool tg_log_allowed(struct tg_log_limit *l, unsigned long long now_us, unsigned burst,
		    unsigned long long interval_us)
{
	if (now_us - l->window_us >= interval_us) {
		l->window_us = now_us;
		l->count = 0;
	}
	if (l->count >= burst) {
		l->suppressed++;
		return false;
	}
	l->count++;
	return true;
}
