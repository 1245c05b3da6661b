/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <stddef.h>

/*
 * Specifiers in string values: %t TPM identity, %i gateway id, %m machine-id,
 * %H host name, %s board serial number, %d device, %%.
 *
 * Expansion is pure; what the letters stand for is collected once by
 * tg_specifiers_system(), and %t and %i follow when the TPM has answered.
 */
struct tg_specifiers {
	char tpm[17];	   /* "" while unknown */
	char id[129];	   /* "" while unknown */
	char machine[33];
	char host[65];
	char board[65];
	const char *device; /* NULL where %d makes no sense; not owned */
};

/* Fills machine, host and board from the system (empty where it has none) and clears the rest. May block on small files. */
void tg_specifiers_system(struct tg_specifiers *s);

/*
 * Expands @in to @out of @size. Returns 0, or -EAGAIN when a value that is not known yet is named (try later),
 * -ENODATA for one that this machine does not have, -EINVAL for an unknown letter or a %d without device, -ENAMETOOLONG.
 */
int tg_specifiers_expand(const struct tg_specifiers *s, const char *in, char *out, size_t size, struct tg_fault *reterr) TG_CHECKED;

/* As above without values: 0 when @in is well formed. @device: whether %d is allowed. For the loader. */
int tg_specifiers_check(const char *in, int device) TG_CHECKED;
