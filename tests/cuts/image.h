/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a directory holds, in memory: names and the bytes of their files. A
 * state directory on a medium is described, changed, compared and made with it.
 *
 * No threads. Ends the process when memory or the directory fails: this is for
 * tests, whose directories are their own.
 */
#define IMAGE_FILES 16u /* names in one directory; a spool has eight at most */
#define IMAGE_NAME  48u

struct image_file {
	char name[IMAGE_NAME];
	uint8_t *data; /* owned */
	size_t len, room;
};

struct image {
	struct image_file files[IMAGE_FILES];
	size_t n;
};
#define IMAGE_NULL                                                                                 \
	{                                                                                          \
		.n = 0                                                                             \
	}

/* Gives everything up. */
void image_done(struct image *im);
/* The same content, independent of @from. @im must be empty. */
void image_copy(struct image *im, const struct image *from);
/* NULL when there is none. Valid until the next image_add() or image_remove(). */
struct image_file *image_find(const struct image *im, const char *name);
/* A new, empty file; one of that name must not be there. */
struct image_file *image_add(struct image *im, const char *name);
void image_remove(struct image *im, const char *name);

/* Writes behind the end leave zeros between. @data may be NULL for zeros. */
void image_file_write(struct image_file *f, uint64_t offset, const uint8_t *data, size_t len);
void image_file_resize(struct image_file *f, size_t len);
void image_file_copy(struct image_file *f, const struct image_file *from);

/* The same for equal content, whatever the order of the names. */
uint64_t image_hash(const struct image *im);

/* Makes @dir, which exists, hold exactly this. */
void image_store(const struct image *im, const char *dir);
/* What @dir holds; regular files only. @im must be empty. */
void image_load(struct image *im, const char *dir);
/* Removes all that is in @dir. */
void image_wipe(const char *dir);
