/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/type.h"

/*
 * The types of values that only sections on enrolment have. As in type.h: pure, and stored on
 * success only.
 */
#define TG_FINGERPRINT_HEX 65 /* SHA-256 in lower-case hex digits, with the NUL */

/*
 * `sha256:` and 64 hex digits, in either case and with colons wherever openssl has them, as the
 * digits alone. 0, or -EINVAL with the reason in @reterr.
 */
int tg_config_fingerprint(const char *text, char ret[static TG_FINGERPRINT_HEX],
			  struct tg_fault *reterr) TG_CHECKED;

extern const struct tg_config_type tg_type_url;     /* https, host, path; hi: longest */
extern const struct tg_config_type tg_type_proxy;   /* http, host, port; hi: longest */
extern const struct tg_config_type tg_type_segment; /* one segment of a URL's path; hi: longest */
extern const struct tg_config_type tg_type_either;  /* one of two words, to a bool */
/* A list, of which the builder keeps what tg_config_fingerprint() makes of each item. */
extern const struct tg_config_type tg_type_fingerprint_list;
