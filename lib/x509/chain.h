/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Certificates that an authority sent back: read with hard limits, put in order, and checked before
 * they count for anything. Pure but for the key, which may be one in the TPM (only its public half
 * is used). No clock: the caller says at which time to judge.
 */
#define TG_CHAIN_CERTS 10
#define TG_CHAIN_BYTES                                                                             \
	(60u * 1024) /* with a key behind it, the text still fits a generation's bundle.pem */
#define TG_ANCHOR_BYTES (1024u * 1024)
#define TG_ANCHOR_CERTS 512 /* the whole public list has about 150 */

struct tg_chain;

/*
 * Reads PEM certificates, in any order. Nothing else may be in the text: no key, no junk between
 * them. 0 and an owned chain, -EFBIG (bytes or certificates), -EBADMSG (the text says what),
 * -ENOMEM.
 */
int tg_chain_parse(const char *pem, size_t len, struct tg_chain **ret,
		   struct tg_fault *reterr) TG_CHECKED;
/*
 * The same for a file that an operator wrote: what stands between the certificates is skipped, a
 * key included.
 */
int tg_chain_parse_file(const char *pem, size_t len, struct tg_chain **ret,
			struct tg_fault *reterr) TG_CHECKED;
struct tg_chain *tg_chain_free(struct tg_chain *c); /* accepts NULL, returns NULL */
TG_DEFINE_CLEANUP(struct tg_chain *, tg_chain_free)

/*
 * Finds the certificate of @key, puts it first and its issuers behind it; drops what belongs to
 * neither, and self-signed roots, which no peer needs. A cross certificate stays, also where both of
 * its names are equal (it ties the new key of an authority to the old one). 0, or -ENOENT when no certificate has our
 * key, -EEXIST when two different ones have.
 */
int tg_chain_order(struct tg_chain *c, const EVP_PKEY *key, struct tg_fault *reterr) TG_CHECKED;

/* Whether the first certificate is of @key. Never fails. */
bool tg_chain_is_of(const struct tg_chain *c, const EVP_PKEY *key);

/* Owned PEM text, newline at the end, or NULL without memory. */
char *tg_chain_to_pem(const struct tg_chain *c);

/* What is known of the first certificate; peers' strings are made printable and cut. */
struct tg_chain_info {
	char subject[256], issuer[256];   /* one line, RFC 2253 order */
	char serial[65], fingerprint[65]; /* hex; SHA-256 of the DER */
	int64_t not_before, not_after;
	size_t certificates;
};
int tg_chain_info(const struct tg_chain *c, struct tg_chain_info *ret,
		  struct tg_fault *reterr) TG_CHECKED;

/* Why a chain is refused. */
enum tg_chain_verdict {
	TG_CHAIN_OK,
	TG_CHAIN_NOT_OURS, /* of another key */
	TG_CHAIN_EXPIRED,
	TG_CHAIN_NOT_YET_VALID,
	TG_CHAIN_SHORT,   /* it would be over before it is in use */
	TG_CHAIN_CA,      /* it may sign certificates: not for a device */
	TG_CHAIN_USAGE,   /* not for TLS clients, or an extension that must be understood is not */
	TG_CHAIN_SUBJECT, /* not the one that was asked for */
	TG_CHAIN_WEAK,    /* signed with a digest that is broken */
	TG_CHAIN_UNTRUSTED, /* does not lead to an anchor, or a signature is wrong */
};

struct tg_chain_rules {
	const EVP_PKEY *key;
	const char *anchors_pem; /* certificates to trust, and no others; NULL: the issuer is not
				    known here */
	size_t anchors_len;
	const char *subject; /* x509/subject.h; NULL or "": the authority chooses its own */
	/* Its first certificate has the subject to expect, whatever @subject says; NULL: none. */
	const struct tg_chain *like;
	int64_t now;         /* seconds since 1970, not below the floor */
	/*
	 * How far ahead of @now a certificate may begin. A fresh certificate that is not valid yet
	 * usually means that our clock is behind: INT64_MAX while it is suspect.
	 */
	int64_t skew_s;
	/* What must be left of the certificate's life at @now, or at its beginning if that is later. */
	int64_t min_life_s;
};
#define TG_CHAIN_SKEW_S 86400

/*
 * Judges an ordered chain. 0 (TG_CHAIN_OK), another verdict with the reason in @reterr, or -errno:
 * -EBADMSG (anchors that cannot be read), -EINVAL (the asked subject), -ENOMEM. Without anchors
 * this proves that the certificate is ours, usable and well signed along the chain that came with
 * it, not who issued it.
 */
int tg_chain_verify(const struct tg_chain *c, const struct tg_chain_rules *rules,
		    struct tg_fault *reterr) TG_CHECKED;
