/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "provisioning/net/http.h"

/*
 * The body of a request on its way out, perhaps more than once: exactly the announced bytes, made for
 * the connection that they go out on. Pure but for the maker.
 */
struct tg_http_outgoing {
	const struct tg_http_request *q;      /* borrowed */
	const char *data;                     /* q->body, or made; NULL: not made yet */
	char *made;                           /* owned */
	char binding[TG_HTTP_BINDING_13 + 1]; /* that it was made for */
	size_t at;                            /* how much has gone */
};

/* Forgets the request before; @q outlives the sending. */
void tg_http_outgoing_begin(struct tg_http_outgoing *out, const struct tg_http_request *q);
void tg_http_outgoing_done(struct tg_http_outgoing *out); /* also of a zeroed one */

/* Whether the binding is wanted before the next byte. Never fails. */
bool tg_http_outgoing_wants(const struct tg_http_outgoing *out);
/*
 * Has the body made for @binding, unless it is made for that already: authentication repeats a
 * request on one connection. 0, the maker's -errno, or -EINVAL when it did not make what was
 * announced.
 */
int tg_http_outgoing_bind(struct tg_http_outgoing *out, const char *binding,
			  struct tg_fault *reterr) TG_CHECKED;

/* The next bytes, at most @size: how many there were; 0 at the end. Never fails. */
size_t tg_http_outgoing_next(struct tg_http_outgoing *out, char *to, size_t size);
/* From the beginning again. Never fails. */
void tg_http_outgoing_rewind(struct tg_http_outgoing *out);
/* Whether all has gone; of a request without a body, always. Never fails. */
bool tg_http_outgoing_is_gone(const struct tg_http_outgoing *out);
