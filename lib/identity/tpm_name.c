/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/tpm_name.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#define DIGITS (TG_TPM_NAME - 1)

static bool is_name(const char *s, size_t len)
{
	return len == DIGITS && strspn(s, "0123456789abcdef") >= DIGITS;
}

static int file_path(const char *state_dir, char out[static PATH_MAX], struct tg_fault *reterr)
{
	int n = snprintf(out, PATH_MAX, "%s/%s", state_dir, TG_FILE_TPM_IDENTITY);

	if (n < 0 || n >= PATH_MAX)
		return tg_fault_set(reterr, -ENAMETOOLONG, "path too long: %.100s...", state_dir);
	return 0;
}

int tg_tpm_name_read(const char *state_dir, char ret[static TG_TPM_NAME], struct tg_fault *reterr)
{
	tg_autofree char *text = NULL;
	char path[PATH_MAX];
	size_t len = 0;
	int r = file_path(state_dir, path, reterr);

	if (r == 0)
		r = tg_file_read(AT_FDCWD, path, DIGITS + 1, &text, &len, reterr);
	if (r == -EFBIG || r == -EINVAL)
		r = -EBADMSG;
	if (r < 0)
		return r;
	if (len && text[len - 1] == '\n')
		len--;
	if (!is_name(text, len))
		return tg_fault_set(reterr, -EBADMSG, "%s does not hold a TPM identity", path);
	memcpy(ret, text, DIGITS);
	ret[DIGITS] = '\0';
	return 0;
}

int tg_tpm_name_write(const char *state_dir, const char *name, bool *ret_changed,
		      struct tg_fault *reterr)
{
	char path[PATH_MAX], kept[TG_TPM_NAME] = "", line[TG_TPM_NAME + 1];
	int r = tg_tpm_name_read(state_dir, kept, NULL), n;
	bool changed = r == 0 && strcmp(kept, name) != 0;

	if (!is_name(name, strlen(name)))
		return tg_fault_set(reterr, -EINVAL, "not a TPM identity");
	if (r < 0 || changed) {
		n = snprintf(line, sizeof(line), "%s\n", name);
		r = file_path(state_dir, path, reterr);
		if (r == 0)
			r = tg_file_mkdirs(state_dir, 0750, reterr);
		if (r == 0)
			r = tg_file_replace(AT_FDCWD, path, line, (size_t) n, 0644, reterr);
		if (r < 0)
			return r;
	}
	if (ret_changed)
		*ret_changed = changed;
	return 0;
}
