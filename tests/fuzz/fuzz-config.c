/* SPDX-License-Identifier: Apache-2.0 */
#include "config/load.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int look(void *user, const char *section, const char *key, const char *value,
		const char *origin)
{
	size_t *n = user;

	*n += strlen(section) + strlen(key) + strlen(value) + strlen(origin);
	return 0;
}

/* Any bytes as tidegate.conf: a configuration, or at least one reason why not. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static int fd = -1;
	static char path[32];
	tg_cleanup(tg_config_unrefp) struct tg_config *c = NULL;
	struct tg_complaints complaints;
	size_t n = 0;
	int r;

	if (fd < 0) {
		fd = memfd_create("tidegate.conf", MFD_CLOEXEC);
		assert(fd >= 0 && fchmod(fd, 0600) == 0);
		(void) snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	}
	if (ftruncate(fd, 0) < 0 || pwrite(fd, data, len, 0) != (ssize_t) len)
		abort();
	r = tg_config_load(path, &complaints, &c);
	assert(r == 0 ? complaints.errors == 0 : r == -EBADMSG && complaints.errors > 0);
	tg_complaints_done(&complaints);
	if (r == 0 && tg_config_dump(c, look, &n) != 0)
		abort();
	return 0;
}
