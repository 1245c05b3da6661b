/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"
#include "provisioning/enrolment.h"

/*
 * What every way of getting a certificate looks like to the sequence of steps.
 *
 * A method is a const struct in the list of methods.c. Its functions work on the enrolment: they
 * read configuration, names, key and request there, and leave their results in journal, chain_pem,
 * anchors_pem and wishes. They write no files. One thread; they block on the network, each within a deadline of
 * its own.
 *
 * They return 0 or -errno. Where the service itself refused, they say so by tg_failure_refused();
 * else the class of the failure follows from the errno (tg_failure_class()).
 */
#define TG_TRUST_HEX 65 /* SHA-256, with the NUL */

struct tg_method {
	const char *name; /* "aws-fleet": the value of `method` */
	enum tg_enrol_method id;
	int64_t token_life_s; /* how long what `issue` brought can still be registered */

	/* Where the requests go, to @out; remembered, so that a change of configuration starts
	 * anew. */
	void (*endpoint)(const struct tg_config *c, char *out, size_t size);
	/* Looks at what of the bootstrap credential is in the TPM, while e->tpm is there. May be
	 * NULL. */
	int (*check)(struct tg_enrolment *e, struct tg_fault *reterr);
	/* A session that is ready for a request, with @c (e->credential); does nothing when there
	 * is one. The method's own files are looked at first, so that what is wrong with them is
	 * named. */
	int (*open)(struct tg_enrolment *e, const struct tg_credential *c, struct tg_fault *reterr);
	/* Before a request is made, in an open session: asks the authority what it wants in it
	 * (e->wishes). May be NULL. */
	int (*prepare)(struct tg_enrolment *e, struct tg_fault *reterr);
	/* Sends the request in csr_pem; fills chain_pem and the journal's token and certificate_id.
	 */
	int (*issue)(struct tg_enrolment *e, struct tg_fault *reterr);
	/* Makes what was issued count; fills the journal's thing. TG_METHOD_STALE: it is of no use
	 * any more, ask for another. NULL: what is issued counts. */
	int (*enlist)(struct tg_enrolment *e, struct tg_fault *reterr);
	/* Ends the session; also when there is none. */
	void (*close)(struct tg_enrolment *e);
	/*
	 * Digest of what the configuration says to trust, in hex. A session finds more of it
	 * (e->anchors_pem), and what it found is of no use to a later run with another
	 * configuration. NULL: nobody can say what the certificate must lead to.
	 */
	int (*trust)(const struct tg_enrolment *e, char out[static TG_TRUST_HEX],
		     struct tg_fault *reterr);
	/* Whether the authority chooses the subject, whatever was asked for. NULL: always. */
	bool (*own_subject)(const struct tg_config *c);
	bool same_names; /* a renewal by the current certificate has its names, not those of the
			    configuration */
};

#define TG_METHOD_STALE 1

/* The method of @id, or NULL when this version has none: then @reterr says so. */
const struct tg_method *tg_method_get(enum tg_enrol_method id, struct tg_fault *reterr);

extern const struct tg_method tg_method_aws_fleet;
extern const struct tg_method tg_method_manual;
extern const struct tg_method tg_method_est;
