/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/sysfs/attr.h"

#include "base/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

const char *tg_attr_words(int error)
{
	switch (error) {
	/* Adapters differ in how they say that nobody answered. */
	case -EIO:
	case -EREMOTEIO:
	case -ENXIO:
	case -ETIMEDOUT:
		return "the chip does not answer";
	case -ENOENT:
		return "the chip has no such file";
	case -ENODEV:
		return "the chip has gone";
	case -ENODATA:
		return "the file is empty";
	case -EBADMSG:
		return "the file holds no number";
	case -EFBIG:
		return "the file is too long";
	default:
		return strerror(-error);
	}
}

static int fail(int r, const char *name, struct tg_fault *reterr)
{
	return tg_fault_set(reterr, r, "%s: %s", name, tg_attr_words(r));
}

/* Nothing that would hang on open, such as a pipe. */
static int open_attr(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 ? -errno : fd;
}

int tg_attr_read(int dir, const char *name, char out[static TG_ATTR_MAX + 1],
		 struct tg_fault *reterr)
{
	tg_autoclose int fd = open_attr(dir, name);
	ssize_t n;

	if (fd < 0)
		return fail(fd, name, reterr);
	do
		n = read(fd, out, TG_ATTR_MAX + 1);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail(-errno, name, reterr);
	if (n > TG_ATTR_MAX)
		return fail(-EFBIG, name, reterr);
	while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == ' '))
		n--;
	out[n] = '\0';
	return n > 0 ? 0 : fail(-ENODATA, name, reterr);
}

int tg_attr_int(int dir, const char *name, int64_t *ret, struct tg_fault *reterr)
{
	char text[TG_ATTR_MAX + 1];
	int r = tg_attr_read(dir, name, text, reterr);

	if (r < 0)
		return r;
	return tg_parse_i64(text, ret) < 0 ? fail(-EBADMSG, name, reterr) : 0;
}

int tg_attr_real(int dir, const char *name, double *ret, struct tg_fault *reterr)
{
	char text[TG_ATTR_MAX + 1];
	int r = tg_attr_read(dir, name, text, reterr);

	if (r < 0)
		return r;
	return tg_parse_real(text, ret) < 0 ? fail(-EBADMSG, name, reterr) : 0;
}
