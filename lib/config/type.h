/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/error.h>

#include <stdbool.h>
#include <stddef.h>

/*
 * The types of values: from text to a field of struct tg_config and its
 * parts. A parser is pure, allocates nothing, and stores on success only;
 * strings are stored as the pointer that was passed, so the text must live as
 * long as the struct. A value with more than one field is stored whole.
 */
struct tg_config_key;

struct tg_config_type {
	const char *shape; /* for manuals: "DURATION"; NULL: the words of the key */
	/* @base is the struct that key->offset counts from. Returns 0, or -EINVAL with the reason
	 * in @reterr. */
	int (*parse)(const struct tg_config_key *key, char *text, void *base,
		     struct tg_fault *reterr);
};

/* Letters, digits, '.', '_', '-'; 1 to TG_NAME_MAX. What buses, devices, points, labels and
 * parameters are called. */
bool tg_config_name_ok(const char *name);

extern const struct tg_config_type tg_type_yes_no, tg_type_words, tg_type_u16, tg_type_unsigned,
	tg_type_u32;
extern const struct tg_config_type tg_type_duration, tg_type_size, tg_type_percent, tg_type_rate;
extern const struct tg_config_type tg_type_real;  /* finite */
extern const struct tg_config_type tg_type_scale; /* finite, not 0 */
extern const struct tg_config_type tg_type_bound; /* a real or nothing; flag: whether it is given */
extern const struct tg_config_type tg_type_deadband; /* a real or a percentage; flag: which */
extern const struct tg_config_type tg_type_text;     /* as it is; hi: longest */
extern const struct tg_config_type
	tg_type_template; /* text with specifiers, without %d; hi: longest */
extern const struct tg_config_type
	tg_type_per_device; /* text with specifiers and %d; hi: longest */
extern const struct tg_config_type
	tg_type_topic; /* MQTT topic with specifiers; lo: 1 where %d is allowed */
extern const struct tg_config_type tg_type_host;   /* DNS name or address */
extern const struct tg_config_type tg_type_path;   /* absolute */
extern const struct tg_config_type tg_type_secret; /* absolute, or the name of a credential */
extern const struct tg_config_type tg_type_name;   /* as tg_config_name_ok(); hi: longest */
extern const struct tg_config_type
	tg_type_bus; /* a bus by name: checked here, resolved by the builder */
extern const struct tg_config_type tg_type_counter; /* bits, or no */
/*
 * Lists: parse() checks one item, the builder makes the struct tg_pairs at the offset. Of a family
 * (labels.) the pairs are named by the keys; a list has the key once for each item.
 */
extern const struct tg_config_type tg_type_pair, tg_type_host_list;
/* Whether @type is a list that has its key once for each item; a family is none. */
bool tg_config_type_is_list(const struct tg_config_type *type);
