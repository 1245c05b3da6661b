/* SPDX-License-Identifier: Apache-2.0 */
#include "config/describe.h"

#include "base/file.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/*
 * The manual page of the configuration against the table of keys, both ways.
 * A section of the file is ".Ss [NAME]" in the page, with ", type = TYPE" behind it for the keys that only the bus
 * types of one set have, and a key is
 *
 *	.It Ic KEY No = Ar VALUE [Pq Cm DEFAULT | Pq required]
 */
#define SECTION ".Ss ["
#define ITEM    ".It Ic "
#define EQUALS  " No = "
#define KEYS    1024 /* more than there are */

struct page {
	char *text;
	char *sections[KEYS]; /* "mqtt]", "bus NAME], type = can", of the item */
	char *items[KEYS];    /* the whole line */
	bool known[KEYS];     /* the table has it */
	size_t n;
};

static void add_item(struct page *p, char *section, char *line)
{
	assert_non_null(section);
	assert_true(p->n < KEYS);
	p->sections[p->n] = section;
	p->items[p->n++] = line;
}

static int read_page(void **state)
{
	static struct page p;
	char *section = NULL, *rest;
	size_t len;

	assert_int_equal(tg_file_read(AT_FDCWD, MANUAL, 1 << 20, &p.text, &len, NULL), 0);
	for (char *line = strtok_r(p.text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, SECTION, strlen(SECTION)) == 0) {
			section = line + strlen(SECTION);
		} else if (strncmp(line, ".Ss ", 4) == 0 || strncmp(line, ".Sh ", 4) == 0) {
			section = NULL;
		} else if (strncmp(line, ITEM, strlen(ITEM)) == 0 && strstr(line, EQUALS)) {
			add_item(&p, section, line);
		}
	}
	*state = &p;
	return 0;
}

static int forget_page(void **state)
{
	struct page *p = *state;

	free(p->text);
	return 0;
}

static int look_up(void *user, const struct tg_config_entry *e)
{
	struct page *p = user;
	char section[256], line[512];

	(void) snprintf(section, sizeof(section), "%s]%s%s", e->section, *e->types ? ", type = " : "", e->types);
	/* mdoc takes a punctuation mark for its own. */
	(void) snprintf(line, sizeof(line), ITEM "%s" EQUALS "Ar %s%s%s", e->key, e->value,
			!e->dflt                      ? " Pq required"
			: *e->dflt == ','            ? " Pq Cm \\&"
			: *e->dflt                    ? " Pq Cm "
						      : "",
			e->dflt ? e->dflt : "");
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->sections[i], section) != 0 || strcmp(p->items[i], line) != 0)
			continue;
		if (p->known[i])
			fail_msg("[%s %s stands twice in " MANUAL, section, e->key);
		p->known[i] = true;
		return 0;
	}
	fail_msg("[%s of " MANUAL " has no line\n%s", section, line);
	return 0;
}

static void names_every_key_with_its_value_default_and_effect(void **state)
{
	assert_int_equal(tg_config_describe(look_up, *state), 0);
}

/* Runs behind the other, which has marked those that exist. */
static void names_no_key_that_does_not_exist(void **state)
{
	const struct page *p = *state;

	assert_true(p->n > 0);
	for (size_t i = 0; i < p->n; i++) {
		if (!p->known[i])
			fail_msg("[%s has no key as in %s", p->sections[i], p->items[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_every_key_with_its_value_default_and_effect),
		cmocka_unit_test(names_no_key_that_does_not_exist),
	};

	return cmocka_run_group_tests(tests, read_page, forget_page);
}
