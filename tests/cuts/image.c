/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/cuts/image.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void image_done(struct image *im)
{
	for (size_t i = 0; i < im->n; i++)
		free(im->files[i].data);
	im->n = 0;
}

void image_file_resize(struct image_file *f, size_t len)
{
	if (len > f->room) {
		size_t room = len + len / 2;
		uint8_t *grown = realloc(f->data, room);

		assert(grown);
		f->data = grown;
		f->room = room;
	}
	if (len > f->len)
		memset(f->data + f->len, 0, len - f->len);
	f->len = len;
}

void image_file_write(struct image_file *f, uint64_t offset, const uint8_t *data, size_t len)
{
	if (len == 0)
		return;
	if (offset + len > f->len)
		image_file_resize(f, (size_t) offset + len);
	if (data)
		memcpy(f->data + offset, data, len);
	else
		memset(f->data + offset, 0, len);
}

void image_file_copy(struct image_file *f, const struct image_file *from)
{
	image_file_resize(f, 0);
	image_file_write(f, 0, from->data, from->len);
}

struct image_file *image_find(const struct image *im, const char *name)
{
	for (size_t i = 0; i < im->n; i++)
		if (strcmp(im->files[i].name, name) == 0)
			return (struct image_file *) im->files + i;
	return NULL;
}

struct image_file *image_add(struct image *im, const char *name)
{
	struct image_file *f = im->files + im->n;

	assert(im->n < IMAGE_FILES && strlen(name) < IMAGE_NAME && !image_find(im, name));
	im->n++;
	*f = (struct image_file){ .len = 0 };
	(void) snprintf(f->name, sizeof(f->name), "%s", name);
	return f;
}

void image_remove(struct image *im, const char *name)
{
	struct image_file *f = image_find(im, name);

	if (!f)
		return;
	free(f->data);
	*f = im->files[--im->n];
}

void image_copy(struct image *im, const struct image *from)
{
	assert(im->n == 0);
	for (size_t i = 0; i < from->n; i++)
		image_file_copy(image_add(im, from->files[i].name), from->files + i);
}

/* FNV-1a over words: nobody plans collisions here. */
static uint64_t hash_of(uint64_t h, const uint8_t *data, size_t len)
{
	uint64_t word;

	for (; len >= sizeof(word); data += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		h = (h ^ word) * UINT64_C(0x100000001b3);
		h ^= h >> 29;
	}
	for (; len > 0; data++, len--)
		h = (h ^ *data) * UINT64_C(0x100000001b3);
	return h;
}

uint64_t image_hash(const struct image *im)
{
	uint64_t sum = im->n;

	for (size_t i = 0; i < im->n; i++) {
		const struct image_file *f = im->files + i;
		uint64_t h = UINT64_C(0xcbf29ce484222325);

		h = hash_of(h, (const uint8_t *) f->name, strlen(f->name));
		h = hash_of(h, (const uint8_t *) &f->len, sizeof(f->len));
		sum += hash_of(h, f->data, f->len) * UINT64_C(0x9e3779b97f4a7c15);
	}
	return sum;
}

/* --- the real directory --- */

void image_wipe(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	assert(d);
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void) unlinkat(dirfd(d), e->d_name, 0);
	(void) closedir(d);
}

static void store_file(int dirfd, const struct image_file *f)
{
	int fd = openat(dirfd, f->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t done = 0;

	assert(fd >= 0);
	while (done < f->len) {
		ssize_t n = write(fd, f->data + done, f->len - done);

		assert(n > 0);
		done += (size_t) n;
	}
	(void) close(fd);
}

void image_store(const struct image *im, const char *dir)
{
	int fd;

	image_wipe(dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(fd >= 0);
	for (size_t i = 0; i < im->n; i++)
		store_file(fd, im->files + i);
	(void) close(fd);
}

static void load_file(struct image *im, int dirfd, const char *name)
{
	struct image_file *f;
	struct stat st;
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	assert(fd >= 0 && fstat(fd, &st) == 0);
	if (S_ISREG(st.st_mode)) {
		f = image_add(im, name);
		image_file_resize(f, (size_t) st.st_size);
		assert(read(fd, f->data, f->len) == (ssize_t) f->len);
	}
	(void) close(fd);
}

void image_load(struct image *im, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	assert(d && im->n == 0);
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			load_file(im, dirfd(d), e->d_name);
	(void) closedir(d);
}
