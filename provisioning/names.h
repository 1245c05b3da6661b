/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/specifier.h"
#include "x509/csr.h"

/*
 * The names in a certificate request, with specifiers expanded.
 *
 * What a specifier stands for is one value of the subject whatever is in it: a board's serial
 * number with a comma does not become another attribute.
 */
struct tg_config;

struct tg_request_names {
	char *subject;
	char *dns_names[TG_CSR_DNS_NAMES];
	struct tg_csr_names csr; /* points at the above */
};

/* 0 and names to be freed by tg_request_names_done(), or -EINVAL, -EAGAIN, -ENODATA, -ENAMETOOLONG.
 */
int tg_request_names_make(const struct tg_config *c, const struct tg_specifiers *s,
			  struct tg_request_names *ret, struct tg_fault *reterr) TG_CHECKED;
/* Works on zeroed names too. */
void tg_request_names_done(struct tg_request_names *n);
