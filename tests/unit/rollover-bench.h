/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An authority that changes its root key (RFC 4210 section 4.4): OldWithOld, NewWithNew, NewWithOld and OldWithNew,
 * and an issuing authority below each root. For one source file of a program, after tests/unit/certificate-bench.h.
 */
#include "x509/certs.h"

struct rollover {
	EVP_PKEY *old_key, *new_key, *ca_key, *ca2_key;
	X509 *old_root, *new_root, *new_with_old, *old_with_new;
	X509 *ca, *ca2; /* issuing, below the old and below the new root */
};

/* Same names or not, with key identifiers or without: the four shapes a rollover comes in. */
static const struct shape {
	const char *old_name, *new_name, *ca_name, *ca2_name;
	bool ids;
} shapes[] = {
	{ "Plant Root", "Plant Root", "Plant CA", "Plant CA", true },
	{ "Plant Root", "Plant Root", "Plant CA", "Plant CA", false },
	{ "Plant Root", "Plant Root G2", "Plant CA", "Plant CA 2", true },
	{ "Plant Root", "Plant Root G2", "Plant CA", "Plant CA 2", false },
};

static struct rollover pki;

static inline X509 *authority(const char *name, bool ids, EVP_PKEY *subject_key, X509 *issuer,
			      EVP_PKEY *issuer_key)
{
	const struct wish plain = { .subject = name, .extensions = { CA_PLAIN } };
	const struct wish with_ids = { .subject = name, .extensions = { CA_PLAIN, KEY_IDS } };

	return issue(ids ? &with_ids : &plain, subject_key, issuer, issuer_key);
}

static inline void roll_over(const struct shape *s)
{
	pki.old_key = EVP_EC_gen("P-256");
	pki.new_key = EVP_EC_gen("P-256");
	pki.ca_key = EVP_EC_gen("P-256");
	pki.ca2_key = EVP_EC_gen("P-256");
	pki.old_root = authority(s->old_name, s->ids, pki.old_key, NULL, pki.old_key);
	pki.new_root = authority(s->new_name, s->ids, pki.new_key, NULL, pki.new_key);
	pki.new_with_old = authority(s->new_name, s->ids, pki.new_key, pki.old_root, pki.old_key);
	pki.old_with_new = authority(s->old_name, s->ids, pki.old_key, pki.new_root, pki.new_key);
	pki.ca = authority(s->ca_name, s->ids, pki.ca_key, pki.old_root, pki.old_key);
	pki.ca2 = authority(s->ca2_name, s->ids, pki.ca2_key, pki.new_root, pki.new_key);
}

static inline void roll_back(void)
{
	EVP_PKEY *const keys[] = { pki.old_key, pki.new_key, pki.ca_key, pki.ca2_key };
	X509 *const certs[] = { pki.old_root,     pki.new_root, pki.new_with_old,
				pki.old_with_new, pki.ca,       pki.ca2 };

	for (size_t i = 0; i < TG_ARRAY_SIZE(keys); i++)
		EVP_PKEY_free(keys[i]);
	for (size_t i = 0; i < TG_ARRAY_SIZE(certs); i++)
		X509_free(certs[i]);
	memset(&pki, 0, sizeof(pki));
}

#define LIST(...) ((X509 *const[]){ __VA_ARGS__, NULL })

static inline struct tg_certs *set_of(X509 *const certs[])
{
	struct tg_certs *set = tg_certs_new(TG_CERTS_MAX);

	for (size_t i = 0; certs && certs[i]; i++)
		assert_int_equal(tg_certs_add(set, certs[i], NULL), 0);
	return set;
}

static inline char *pem_of(X509 *const certs[])
{
	tg_cleanup(tg_certs_freep) struct tg_certs *set = set_of(certs);

	return tg_certs_to_pem(set);
}
