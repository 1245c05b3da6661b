/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include <tidegate/control.h>
#include <tidegate/identity.h>

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#define PATIENCE_S 90 /* a read waits for a slow device; nothing else takes as long */

static int explain(const struct tg_ctl *ctl, int error)
{
	const char *advice = "is the agent running? Try 'systemctl status tidegate'";

	if (ctl->quiet)
		return TG_EXIT_FAILED;
	if (error == EACCES)
		advice = "are you in group 'tidegate'?";
	(void) fprintf(stderr, "tidegate: cannot talk to the agent at %s: %s; %s\n", ctl->socket,
		       strerror(error), advice);
	return TG_EXIT_FAILED;
}

static FILE *dial(const struct tg_ctl *ctl, int *ret_code)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = PATIENCE_S };
	tg_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FILE *f;

	if (strlen(ctl->socket) >= sizeof(a.sun_path)) {
		*ret_code = explain(ctl, ENAMETOOLONG);
		return NULL;
	}
	memcpy(a.sun_path, ctl->socket, strlen(ctl->socket) + 1);
	if (fd < 0 || connect(fd, (const struct sockaddr *) &a, sizeof(a)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0) {
		*ret_code = explain(ctl, errno);
		return NULL;
	}
	f = fdopen(fd, "r+");
	if (!f)
		*ret_code = explain(ctl, errno);
	else
		fd = -1;
	return f;
}

bool tg_ctl_agent_runs(const struct tg_ctl *ctl)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	tg_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(ctl->socket) >= sizeof(a.sun_path))
		return false;
	memcpy(a.sun_path, ctl->socket, strlen(ctl->socket) + 1);
	/* No permission still means that somebody is there. */
	return connect(fd, (const struct sockaddr *) &a, sizeof(a)) == 0 || errno == EACCES;
}

json_t *tg_ctl_next(FILE *stream)
{
	tg_autofree char *line = NULL;
	size_t room = 0;
	ssize_t n = getline(&line, &room, stream);

	/* The agent bounds its answers; a peer that is no agent must not fill the memory here. */
	if (n <= 0 || (size_t) n > TG_CONTROL_ANSWER_MAX + 64)
		return NULL;
	return json_loadb(line, (size_t) n, 0, NULL);
}

static json_t *unwrap(json_t *answer, int *ret_code)
{
	json_t *data = json_object_get(answer, "data");

	if (json_is_true(json_object_get(answer, "ok")) && data)
		return json_incref(data);
	(void) fprintf(stderr, "tidegate: %s\n",
		       tg_ctl_text(answer, "error", "the agent's answer cannot be understood"));
	*ret_code = (int) tg_ctl_number(answer, "code", TG_EXIT_FAILED);
	return NULL;
}

json_t *tg_ctl_ask(const struct tg_ctl *ctl, json_t *request, int *ret_code, FILE **ret_stream)
{
	tg_cleanup(fclosep) FILE *f = dial(ctl, ret_code);
	tg_autofree char *text = json_dumps(request, JSON_COMPACT);
	json_t *answer, *data;

	json_decref(request);
	if (f && !text) {
		(void) fputs("tidegate: a name is not UTF-8\n", stderr);
		*ret_code = TG_EXIT_USAGE;
		return NULL;
	}
	if (!f)
		return NULL;
	if (fprintf(f, "%s\n", text) < 0 || fflush(f) != 0) {
		*ret_code = explain(ctl, errno);
		return NULL;
	}
	answer = tg_ctl_next(f);
	if (!answer) {
		if (!ctl->quiet)
			(void) fputs("tidegate: the agent hung up without an answer\n", stderr);
		*ret_code = TG_EXIT_FAILED;
		return NULL;
	}
	data = unwrap(answer, ret_code);
	json_decref(answer);
	if (data && ret_stream)
		*ret_stream = tg_take(f);
	return data;
}

void tg_ctl_print_json(json_t *o)
{
	(void) json_dumpf(o, stdout, JSON_COMPACT);
	(void) putchar('\n');
	(void) fflush(stdout);
}

const char *tg_ctl_text(json_t *o, const char *key, const char *none)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : none;
}

long long tg_ctl_number(json_t *o, const char *key, long long none)
{
	json_t *v = json_object_get(o, key);

	return json_is_integer(v) ? json_integer_value(v) : none;
}

void tg_ctl_say(const struct tg_ctl *ctl, enum tg_ctl_tone tone, const char *fmt, ...)
{
	static const char *const codes[] = { "", "\033[32m", "\033[33m", "\033[31m", "\033[2m" };
	bool colour = ctl->colour && tone != TG_PLAIN;
	va_list ap;

	if (colour)
		(void) fputs(codes[tone], stdout);
	va_start(ap, fmt);
	(void) vprintf(fmt, ap);
	va_end(ap);
	if (colour)
		(void) fputs("\033[0m", stdout);
}

const char *tg_ctl_age(long long s, char out[static 24])
{
	static const struct {
		long long from, unit;
		const char *name;
	} units[] = { { 2 * 86400, 86400, "d" },
		      { 2 * 3600, 3600, "h" },
		      { 120, 60, "min" },
		      { 0, 1, "s" } };

	if (s < 0)
		return "never";
	for (size_t i = 0; i < TG_ARRAY_SIZE(units); i++) {
		if (s >= units[i].from) {
			(void) snprintf(out, 24, "%lld %s", s / units[i].unit, units[i].name);
			break;
		}
	}
	return out;
}

const char *tg_ctl_bytes(long long bytes, char out[static 24])
{
	if (bytes < 1024)
		(void) snprintf(out, 24, "%lld B", bytes);
	else if (bytes < 1024LL * 1024)
		(void) snprintf(out, 24, "%.1f KB", (double) bytes / 1024);
	else
		(void) snprintf(out, 24, "%.1f MB", (double) bytes / (1024 * 1024));
	return out;
}

static void print_value(const struct tg_ctl *ctl, json_t *sample)
{
	json_t *v = json_object_get(sample, "value");
	const char *unit = tg_ctl_text(sample, "unit", "");

	if (strcmp(tg_ctl_text(sample, "quality", ""), "good") != 0)
		tg_ctl_say(ctl, TG_FAIL, "%s: %s", tg_ctl_text(sample, "quality", "bad"),
			   tg_ctl_text(sample, "reason", "no reason given"));
	else if (json_is_real(v))
		tg_ctl_say(ctl, TG_PLAIN, "%.10g %s", json_real_value(v), unit);
	else if (json_is_integer(v))
		tg_ctl_say(ctl, TG_PLAIN, "%lld %s", (long long) json_integer_value(v), unit);
	else if (json_is_boolean(v))
		tg_ctl_say(ctl, TG_PLAIN, "%s", json_is_true(v) ? "true" : "false");
	else
		tg_ctl_say(ctl, TG_PLAIN, "%s %s", tg_ctl_text(sample, "value", ""), unit);
}

void tg_ctl_print_reading(const struct tg_ctl *ctl, json_t *reading)
{
	const char *device = tg_ctl_text(reading, "device", "?");
	json_t *sample;
	size_t i;

	json_array_foreach (json_object_get(reading, "samples"), i, sample) {
		tg_ctl_say(ctl, TG_DIM, "%s  ", tg_ctl_text(reading, "time", "?"));
		(void) printf("%s/%-24s ", device, tg_ctl_text(sample, "point", "?"));
		print_value(ctl, sample);
		(void) putchar('\n');
	}
	(void) fflush(stdout);
}
