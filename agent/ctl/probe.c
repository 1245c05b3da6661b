/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include <tidegate/identity.h>

#include <string.h>

#define COLUMNS 8 /* more than the agent has */

static const char *cell(json_t *row, size_t i)
{
	const char *text = json_string_value(json_array_get(row, i));

	return text ? text : "";
}

/* Characters, not bytes, so that columns stay straight. */
static size_t width_of(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char) *text & 0xc0) != 0x80;
	return n;
}

static void widen(size_t widths[static COLUMNS], json_t *row)
{
	for (size_t i = 0; i < COLUMNS && i < json_array_size(row); i++) {
		size_t width = width_of(cell(row, i));

		if (width > widths[i])
			widths[i] = width;
	}
}

static void print_row(const struct tg_ctl *ctl, enum tg_ctl_tone tone, json_t *row,
		      const size_t widths[static COLUMNS])
{
	size_t n = json_array_size(row);

	for (size_t i = 0; i < COLUMNS && i < n; i++) {
		bool last = i + 1 == n || i + 1 == COLUMNS;

		tg_ctl_say(ctl, tone, "%s", cell(row, i));
		if (!last)
			(void) printf("%*s", (int) (widths[i] - width_of(cell(row, i)) + 2), "");
	}
	(void) putchar('\n');
}

static void print(const struct tg_ctl *ctl, json_t *table)
{
	json_t *heads = json_object_get(table, "columns"), *rows = json_object_get(table, "rows"),
	       *row, *note;
	size_t widths[COLUMNS] = { 0 }, i;

	widen(widths, heads);
	json_array_foreach (rows, i, row)
		widen(widths, row);
	if (json_array_size(heads))
		print_row(ctl, TG_DIM, heads, widths);
	json_array_foreach (rows, i, row)
		print_row(ctl, TG_PLAIN, row, widths);
	json_array_foreach (json_object_get(table, "notes"), i, note)
		(void) printf("%s\n", json_string_value(note) ? json_string_value(note) : "");
}

/* An address may be several words, as in `probe boiler holding 10`. */
static json_t *address_of(const struct tg_ctl *ctl)
{
	char text[128] = "";
	size_t used = 0;

	for (int i = 1; i < ctl->argc; i++) {
		int n = snprintf(text + used, sizeof(text) - used, "%s%s", used ? " " : "",
				 ctl->argv[i]);

		if (n < 0 || (size_t) n >= sizeof(text) - used)
			return NULL;
		used += (size_t) n;
	}
	return json_string(text);
}

static int run(struct tg_ctl *ctl)
{
	json_t *address = address_of(ctl), *table;
	int code = TG_EXIT_FAILED;

	if (ctl->argc < 1 || !address) {
		(void) fputs("Usage: tidegate probe NAME [ADDRESS]\n", stderr);
		json_decref(address);
		return TG_EXIT_USAGE;
	}
	table = tg_ctl_ask(ctl,
			   json_pack("{s:s, s:s, s:o}", "cmd", "probe", "name", ctl->argv[0],
				     "address", address),
			   &code, NULL);
	if (!table)
		return code;
	if (ctl->json)
		tg_ctl_print_json(table);
	else
		print(ctl, table);
	json_decref(table);
	return TG_EXIT_OK;
}

const struct tg_ctl_verb tg_verb_probe = { "probe", "NAME [ADDRESS]",
					   "look what is on a bus or in a device", run };
