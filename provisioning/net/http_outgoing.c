/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/net/http_outgoing.h"

#include <errno.h>
#include <string.h>

static size_t length(const struct tg_http_outgoing *out)
{
	return out->q && out->q->post ? out->q->body_len : 0;
}

void tg_http_outgoing_begin(struct tg_http_outgoing *out, const struct tg_http_request *q)
{
	free(out->made);
	*out = (struct tg_http_outgoing){ .q = q, .data = q->make_body ? NULL : q->body };
}

void tg_http_outgoing_done(struct tg_http_outgoing *out)
{
	free(out->made);
	*out = (struct tg_http_outgoing){ 0 };
}

bool tg_http_outgoing_wants(const struct tg_http_outgoing *out)
{
	return out->at == 0 && out->q->make_body;
}

int tg_http_outgoing_bind(struct tg_http_outgoing *out, const char *binding,
			  struct tg_fault *reterr)
{
	size_t len = length(out);
	int r;

	if (out->data && strcmp(binding, out->binding) == 0)
		return 0;
	out->data = NULL;
	if (!out->made)
		out->made = calloc(1, len + 1);
	if (!out->made)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	r = out->q->make_body(out->q->user, binding, out->made, len, reterr);
	if (r < 0)
		return r;
	if ((size_t) r != len)
		return tg_fault_set(reterr, -EINVAL, "%d bytes were made of the %zu announced", r,
				    len);
	(void) snprintf(out->binding, sizeof(out->binding), "%s", binding);
	out->data = out->made;
	return 0;
}

size_t tg_http_outgoing_next(struct tg_http_outgoing *out, char *to, size_t size)
{
	size_t left = length(out) - out->at;

	if (!out->data)
		return 0;
	if (size > left)
		size = left;
	memcpy(to, out->data + out->at, size);
	out->at += size;
	return size;
}

void tg_http_outgoing_rewind(struct tg_http_outgoing *out)
{
	out->at = 0;
}

bool tg_http_outgoing_is_gone(const struct tg_http_outgoing *out)
{
	return out->at == length(out);
}
