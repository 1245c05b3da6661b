/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <stdbool.h>
#include <stddef.h>

/*
 * What an EST server wants to see in a certificate request: its answer to /csrattrs (RFC 7030
 * section 4.5.2, RFC 8951 section 4, and the template of RFC 9908 section 3.4). Pure.
 *
 * Keys are P-256 in the TPM and requests are signed by ecdsa-with-SHA256. What can be met is told
 * by the flags; another kind of key cannot, and is an error; what is unknown or does not matter to
 * a gateway is named in `ignored`.
 */
#define TG_CSR_ATTRIBUTES_BYTES (64u * 1024) /* of the body */
#define TG_CSR_ATTRIBUTES_MAX   64           /* elements of one list */

struct tg_csr_wishes {
	bool channel_binding;    /* challengePassword: the connection's binding in the request */
	bool alternative_names;  /* subjectAltName; for the caller to see that there are some */
	bool key_usage;          /* with digitalSignature */
	bool extended_key_usage; /* with clientAuth */
	char ignored[256];       /* what else was asked for, in words; "" for nothing */
};

/*
 * The wishes of a body; an empty one, and an empty list, wish for nothing. 0, -EOPNOTSUPP (only
 * keys of other kinds will do: the text names them), -EBADMSG (not such a list), -EFBIG, -ENOMEM.
 */
int tg_csr_attributes_parse(const void *body, size_t len, struct tg_csr_wishes *ret,
			    struct tg_fault *reterr) TG_CHECKED;
