/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/operator_file.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

int tg_operator_file_read(const char *what, const char *path, size_t max, char **ret,
			  size_t *ret_len, struct tg_fault *reterr)
{
	/* The reader wants no link, but its real path. */
	tg_autofree char *real = realpath(path, NULL);
	int r;

	if (!real)
		return tg_fault_set(reterr, -errno, "%s %s: %s", what, path, strerror(errno));
	r = tg_file_read(AT_FDCWD, real, max, ret, ret_len, reterr);
	if (r < 0)
		(void) tg_fault_prefix(reterr, "%s", what);
	return r;
}

/* What systemd has loaded for the unit: -ENOENT when there is nothing of that name. */
static int read_credential(const char *what, const char *file, char **ret, size_t *ret_len,
			   struct tg_fault *reterr)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	char path[PATH_MAX];
	int n;

	if (!directory || strchr(file, '/'))
		return -ENOENT;
	n = snprintf(path, sizeof(path), "%s/%s", directory, file);
	if (n < 0 || (size_t) n >= sizeof(path))
		return tg_fault_set(reterr, -ENAMETOOLONG, "%s: path too long", what);
	return tg_operator_file_read(what, path, TG_OPERATOR_SECRET_MAX, ret, ret_len, reterr);
}

/* Cuts the end of the line; what is left must be the whole of the text, and may be empty. */
static int trim(const char *what, const char *file, char *text, size_t len, struct tg_fault *reterr)
{
	if (len && text[len - 1] == '\n')
		text[--len] = '\0';
	if (len && text[len - 1] == '\r')
		text[--len] = '\0';
	if (strlen(text) != len || strpbrk(text, "\r\n"))
		return tg_fault_set(reterr, -EINVAL, "%s %s: it must be one line of text", what,
				    file);
	return 0;
}

int tg_operator_secret_read(const char *what, const char *file, char **ret, struct tg_fault *reterr)
{
	char *text = NULL;
	size_t len = 0;
	int r = read_credential(what, file, &text, &len, reterr);

	if (r == -ENOENT)
		r = tg_operator_file_read(what, file, TG_OPERATOR_SECRET_MAX, &text, &len, reterr);
	if (r == 0)
		r = trim(what, file, text, len, reterr);
	if (r < 0) {
		if (text)
			explicit_bzero(text, len);
		free(text);
		return r;
	}
	*ret = text;
	return 0;
}

char *tg_operator_secret_free(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
	return NULL;
}
