/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/complain.h"
#include "config/pool.h"
#include "config/table.h"

/*
 * What stands in the files: sections and settings with the place of each,
 * before any value is looked at. Several files go into one document; what a
 * later one says replaces what an earlier one said.
 */
struct tg_setting {
	struct tg_setting *next;
	const struct tg_config_key *key; /* one of its rows; its bus types are not looked at here */
	const char *member;              /* of a family: "site" of labels.site; else NULL */
	char *value;
	struct tg_place place;
};

struct tg_section {
	struct tg_section *next; /* of its kind */
	enum tg_config_kind kind;
	char *name;            /* "bus line1" */
	const char *argument;  /* "line1"; "" for sections that exist once */
	struct tg_place place; /* of its last header */
	struct tg_setting *settings;
	/* The builder's: */
	size_t index;              /* which bus, device, or point of its device this became */
	struct tg_section *parent; /* the device of a point; NULL: there is none */
	unsigned buses;            /* TG_BUS_BIT of its bus type, 0 while that is not known */
};

struct tg_document {
	struct tg_pool *pool; /* owns everything here but the index */
	struct tg_complainer *complain;
	struct {
		struct tg_section *first, *last;
		size_t n;
	} kinds[TG_KINDS];
	void *index; /* tsearch() tree of sections by name */
};

/* Adds the file @path with these contents. Returns 0 whatever the complaints, or -ENOMEM. */
int tg_document_add(struct tg_document *d, const struct tg_source *source, const char *data,
		    size_t len) TG_CHECKED;
/* Frees what the pool does not own. */
void tg_document_done(struct tg_document *d);

/* The section @name ("mqtt", "bus line1"), or NULL. */
struct tg_section *tg_document_find(const struct tg_document *d, const char *name);
/* The setting of @key in @s, which may be NULL; of lists and families the first. NULL when it is
 * not given. */
struct tg_setting *tg_section_get(const struct tg_section *s, const char *key);
/* Where @key is set in @s, or else where the section is; @s may be NULL. */
struct tg_place tg_section_place(const struct tg_section *s, const char *key);
