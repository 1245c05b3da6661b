/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Names under the state directory that the agent, the provisioning helper and
 * the command line share (DESIGN section 4). lib/identity reads and writes
 * them; nothing else opens these files.
 *
 *	identity/generations/000007/{key.pem,chain.pem,bundle.pem,manifest,anchors.pem,outcome}
 *	identity/current, candidate, previous	-> generations/NNNNNN
 *	identity/pending/			an enrolment under way: journal and what it has so far
 *	tpm-identity				%t, and the name of the TPM it was taken from
 */
#define TG_DIR_IDENTITY "identity"
#define TG_DIR_GENERATIONS "identity/generations"
#define TG_DIR_PENDING "identity/pending"
#define TG_LINK_CURRENT "identity/current"
#define TG_LINK_CANDIDATE "identity/candidate"
#define TG_LINK_PREVIOUS "identity/previous"
#define TG_FILE_TPM_IDENTITY "tpm-identity"
#define TG_FILE_KEY "key.pem"	    /* TSS2 PRIVATE KEY */
#define TG_FILE_CHAIN "chain.pem"   /* leaf first, then intermediates */
#define TG_FILE_BUNDLE "bundle.pem" /* chain, then key: what TLS clients are given */
#define TG_FILE_ANCHORS "anchors.pem" /* what the authority says to trust; not every method has it */
#define TG_FILE_MANIFEST "manifest" /* JSON, one object */
#define TG_FILE_OUTCOME "outcome"   /* JSON, one object: how the generation ended */
#define TG_FILE_JOURNAL "journal"   /* JSON, one object, in identity/pending */

#define TG_GENERATION_MAX 999999 /* six digits; a rotation a day for 2700 years */

/* Exit codes of every program (DESIGN section 9), and two of the helper's own. */
#define TG_EXIT_OK 0
#define TG_EXIT_FAILED 1
#define TG_EXIT_USAGE 2
#define TG_EXIT_CONFIG 78
