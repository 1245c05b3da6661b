/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/document.h"

#include <stdatomic.h>

/*
 * What stands behind a struct tg_config that the loader has made: the files'
 * own words, for the origin of each value, and the memory of it all.
 */
struct tg_loaded {
	struct tg_config config; /* first: its address is that of the whole */
	atomic_uint refs;
	struct tg_pool pool;
	struct tg_document doc; /* doc.complain is NULL once loaded */
	struct tg_source *main; /* the file that was asked for */
};

/* Fills l->config from l->doc; what is wrong goes to l->doc.complain. Returns 0 whatever the
 * complaints, or -ENOMEM. */
int tg_config_build(struct tg_loaded *l) TG_CHECKED;

/* Looks at what single values cannot tell. To be called on a configuration that was built, if
 * without any errors. */
void tg_config_check(const struct tg_loaded *l);

/* Frees @l and everything it owns; accepts NULL. */
struct tg_loaded *tg_loaded_free(struct tg_loaded *l);
TG_DEFINE_CLEANUP(struct tg_loaded *, tg_loaded_free)
