/* SPDX-License-Identifier: Apache-2.0 */
#include "config/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

static int open_regular(const char *path, struct stat *ret_st, struct tg_fault *reterr)
{
	/* O_NONBLOCK: an open FIFO would wait for a writer. It has no effect on the regular file
	 * that this must be. */
	tg_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fstat(fd, ret_st) < 0)
		return tg_fault_set(reterr, -errno, "cannot be read: %s", strerror(errno));
	if (!S_ISREG(ret_st->st_mode))
		return tg_fault_set(reterr, -EINVAL, "not a regular file");
	return tg_take_fd(fd);
}

/* Up to @size bytes; what fstat() said may be wrong by now. */
static ssize_t read_all(int fd, char *data, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, data + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t) n;
	}
	return (ssize_t) len;
}

int tg_source_read(const char *path, size_t max, char **ret_data, size_t *ret_len, mode_t *ret_mode,
		   struct tg_fault *reterr)
{
	struct stat st;
	tg_autoclose int fd = open_regular(path, &st, reterr);
	tg_autofree char *data = NULL;
	size_t room;
	ssize_t n;

	if (fd < 0)
		return fd;
	if (st.st_size < 0 || (uintmax_t) st.st_size > max)
		return tg_fault_set(reterr, -EFBIG, "longer than %zu bytes", max);
	/* One byte more than the size tells a file that has grown, one is for the NUL. */
	room = (size_t) st.st_size + 1;
	data = malloc(room + 1);
	if (!data)
		return -ENOMEM;
	n = read_all(fd, data, room);
	if (n < 0)
		return tg_fault_set(reterr, (int) n, "cannot be read: %s", strerror((int) -n));
	if ((size_t) n == room)
		return tg_fault_set(reterr, -EAGAIN, "changed while it was read");
	data[n] = '\0';
	*ret_data = tg_take(data);
	*ret_len = (size_t) n;
	*ret_mode = st.st_mode;
	return 0;
}
