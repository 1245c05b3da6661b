/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buffer.h"

#include <tidegate/cleanup.h>

#include <stdbool.h>

/*
 * The table of keys as people read it: for the sample file, and for the test
 * that holds the manual page against it. Pure; strings are constant or valid
 * during the call.
 */
struct tg_config_entry {
	const char *section; /* "mqtt", "bus NAME" */
	const char *key;     /* "keep-alive", "labels.NAME" */
	const char *value;   /* what it takes: "DURATION", "full|normal" */
	const char *dflt;    /* "" when nothing is given; NULL: must be given */
	const char *types;   /* "modbus-rtu, modbus-tcp": it is described with the other keys of these; "": with the general ones */
	const char *buses;   /* the bus types that have it: "modbus-tcp"; "" for all */
	const char *help;
};

/* Calls @entry for each key in the order of the table. Stops at the first non-zero result and
 * returns it. */
typedef int (*tg_config_entry_fn)(void *user, const struct tg_config_entry *entry);
int tg_config_describe(tg_config_entry_fn entry, void *user) TG_CHECKED;

/*
 * Appends a tidegate.conf in which every key stands with its default, as a comment; it loads without a complaint.
 * Returns 0 or what tg_buffer_error() says.
 */
int tg_config_sample(struct tg_buffer *out) TG_CHECKED;
