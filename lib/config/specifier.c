/* SPDX-License-Identifier: Apache-2.0 */
#include "config/specifier.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SYSTEM_FILE_MAX 4096

/* The letters, with where their values are; %d and %% are handled apart. */
static const struct letter {
	char letter;
	size_t offset;
	int when_empty; /* what an empty value means: not known yet, or none on this machine */
	const char *what;
} letters[] = {
	{ 't', offsetof(struct tg_specifiers, tpm), -EAGAIN,
	  "the TPM's identity is not known yet" },
	{ 'i', offsetof(struct tg_specifiers, id), -EAGAIN, "the gateway's id is not known yet" },
	{ 'm', offsetof(struct tg_specifiers, machine), -ENODATA,
	  "this machine has no machine-id" },
	{ 'H', offsetof(struct tg_specifiers, host), -ENODATA, "this machine has no host name" },
	{ 's', offsetof(struct tg_specifiers, board), -ENODATA,
	  "this machine has no board serial number" },
};

static const struct letter *find_letter(char c)
{
	for (size_t i = 0; i < TG_ARRAY_SIZE(letters); i++)
		if (letters[i].letter == c)
			return &letters[i];
	return NULL;
}

/* What %@c stands for. */
static int value_of(const struct tg_specifiers *s, char c, const char **ret,
		    struct tg_fault *reterr)
{
	const struct letter *l = find_letter(c);

	if (c == '%') {
		*ret = "%";
		return 0;
	}
	if (c == 'd' && s->device) {
		*ret = s->device;
		return 0;
	}
	if (c == 'd')
		return tg_fault_set(reterr, -EINVAL,
				    "%%d has no meaning here: no device is concerned");
	if (!l)
		return tg_fault_set(reterr, -EINVAL, "unknown specifier %%%c", c ? c : ' ');
	*ret = (const char *) s + l->offset;
	return **ret ? 0 : tg_fault_set(reterr, l->when_empty, "%s", l->what);
}

int tg_specifiers_expand(const struct tg_specifiers *s, const char *in, char *out, size_t size,
			 struct tg_fault *reterr)
{
	size_t used = 0;
	int r;

	while (*in) {
		const char *piece = in;
		size_t len = strcspn(in, "%");

		if (len == 0) {
			r = value_of(s, in[1], &piece, reterr);
			if (r < 0)
				return r;
			len = strlen(piece);
			in += 2;
		} else {
			in += len;
		}
		if (len >= size - used)
			return tg_fault_set(reterr, -ENAMETOOLONG,
					    "longer than %zu bytes once expanded", size - 1);
		memcpy(out + used, piece, len);
		used += len;
	}
	out[used] = '\0';
	return 0;
}

int tg_specifiers_check(const char *in, int device)
{
	for (const char *p = strchr(in, '%'); p; p = strchr(p + 2, '%'))
		if (p[1] != '%' && !(p[1] == 'd' && device) && !find_letter(p[1]))
			return -EINVAL;
	return 0;
}

/* The first word of a small file of the system, if it can be part of an id; "" else. */
static void read_word(const char *path, char *out, size_t size)
{
	tg_autofree char *text = NULL;
	size_t len;

	out[0] = '\0';
	if (tg_file_read(AT_FDCWD, path, SYSTEM_FILE_MAX, &text, NULL, NULL) < 0)
		return;
	len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	/* The device tree ends its strings with NUL, other files with a line feed. */
	if (len == 0 || len >= size || (text[len] != '\0' && text[len] != '\n'))
		return;
	memcpy(out, text, len);
	out[len] = '\0';
}

void tg_specifiers_system(struct tg_specifiers *s)
{
	*s = (struct tg_specifiers){ .device = NULL };
	read_word("/etc/machine-id", s->machine, sizeof s->machine);
	if (gethostname(s->host, sizeof s->host) < 0)
		s->host[0] = '\0';
	s->host[sizeof s->host - 1] = '\0';
	read_word("/sys/firmware/devicetree/base/serial-number", s->board, sizeof s->board);
	if (!s->board[0])
		read_word("/sys/class/dmi/id/product_serial", s->board, sizeof s->board);
}
