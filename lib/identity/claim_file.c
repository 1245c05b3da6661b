/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/claim_file.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

bool tg_claim_file_there(const char *path)
{
	struct stat st;

	if (!*path)
		return false;
	return lstat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static int check_contents(const char *path, struct tg_fault *reterr)
{
	static const char certificate[] = "-----BEGIN CERTIFICATE-----", key[] = "PRIVATE KEY-----";
	tg_autofree char *text = NULL;
	size_t len = 0;
	bool known;
	int r = tg_file_read(AT_FDCWD, path, TG_CLAIM_FILE_MAX, &text, &len, reterr);

	if (r < 0)
		return r == -EFBIG ? -EINVAL : r;
	known = memmem(text, len, certificate, sizeof(certificate) - 1) ||
		memmem(text, len, key, sizeof(key) - 1);
	explicit_bzero(text, len);
	if (!known)
		return tg_fault_set(reterr, -EINVAL,
				    "%s holds neither a certificate nor a private key", path);
	return 0;
}

int tg_claim_file_remove(const char *path, struct tg_fault *reterr)
{
	struct stat st;
	int r = 0;

	if (!tg_claim_file_there(path))
		return TG_CLAIM_ABSENT;
	if (lstat(path, &st) < 0)
		return tg_fault_set(reterr, -errno, "cannot look at %s: %s", path, strerror(errno));
	if (!S_ISLNK(st.st_mode))
		r = check_contents(path, reterr);
	if (r < 0)
		return r;
	if (unlink(path) < 0)
		return tg_fault_set(reterr, -errno, "cannot remove %s: %s", path, strerror(errno));
	return S_ISLNK(st.st_mode) ? TG_CLAIM_UNLINKED : TG_CLAIM_REMOVED;
}
