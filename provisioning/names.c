/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/names.h"

#include "config/config.h"
#include "x509/subject.h"

#include <errno.h>
#include <string.h>

#define DNS_NAME_BYTES 254

static int escaped(const struct tg_specifiers *s, struct tg_specifiers *ret,
		   struct tg_fault *reterr)
{
	*ret = *s;
	if (tg_subject_escape(s->id, ret->id, sizeof(ret->id)) < 0 ||
	    tg_subject_escape(s->host, ret->host, sizeof(ret->host)) < 0 ||
	    tg_subject_escape(s->board, ret->board, sizeof(ret->board)) < 0)
		return tg_fault_set(reterr, -ENAMETOOLONG,
				    "gateway id, host name or board serial too long for a subject");
	return 0;
}

static int expand(const struct tg_specifiers *s, const char *in, size_t size, char **ret,
		  struct tg_fault *reterr)
{
	tg_autofree char *out = calloc(1, size);
	int r = out ? tg_specifiers_expand(s, in, out, size, reterr)
		    : tg_fault_set(reterr, -ENOMEM, "out of memory");

	if (r == 0)
		*ret = tg_take(out);
	return r;
}

static int fill(const struct tg_config *c, const struct tg_specifiers *s,
		struct tg_request_names *n, struct tg_fault *reterr)
{
	struct tg_specifiers safe;
	int r = escaped(s, &safe, reterr);

	if (r == 0)
		r = expand(&safe, c->enrolment.subject, TG_SUBJECT_MAX + 1, &n->subject, reterr);
	if (r < 0)
		(void) tg_fault_prefix(reterr, "[enrolment] subject");
	if (r < 0)
		return r;
	if (c->enrolment.dns_names.n > TG_CSR_DNS_NAMES)
		return tg_fault_set(reterr, -EINVAL, "[enrolment] more than %d dns-name",
				    TG_CSR_DNS_NAMES);
	for (size_t i = 0; i < c->enrolment.dns_names.n; i++) {
		r = expand(s, c->enrolment.dns_names.items[i].value, DNS_NAME_BYTES,
			   &n->dns_names[i], reterr);
		if (r < 0)
			(void) tg_fault_prefix(reterr, "[enrolment] dns-name");
		if (r < 0)
			return r;
		n->csr.n_dns_names = i + 1;
	}
	return 0;
}

int tg_request_names_make(const struct tg_config *c, const struct tg_specifiers *s,
			  struct tg_request_names *ret, struct tg_fault *reterr)
{
	int r;

	*ret = (struct tg_request_names){ 0 };
	r = fill(c, s, ret, reterr);
	if (r < 0) {
		tg_request_names_done(ret);
		return r;
	}
	ret->csr.subject = ret->subject;
	ret->csr.dns_names = (const char *const *) ret->dns_names;
	return 0;
}

void tg_request_names_done(struct tg_request_names *n)
{
	free(n->subject);
	for (size_t i = 0; i < TG_CSR_DNS_NAMES; i++)
		free(n->dns_names[i]);
	*n = (struct tg_request_names){ 0 };
}
