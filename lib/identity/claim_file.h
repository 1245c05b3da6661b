/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <stdbool.h>

/*
 * The files of the claim: the certificate and the key that a gateway enrols
 * with the first time. A fleet shares them, so a gateway that has proved a
 * certificate of its own does well to forget them.
 *
 * Unlinking does not erase flash memory: who reads the chips may still find
 * what was in the file. No overwriting is pretended here, as a flash
 * controller writes elsewhere.
 *
 * Any thread; blocks no longer than looking up and reading a small file does.
 */
#define TG_CLAIM_FILE_MAX (64u * 1024)

/* Outcomes of tg_claim_file_remove() that are no failures. */
enum {
	TG_CLAIM_REMOVED,
	TG_CLAIM_ABSENT,   /* there was none */
	TG_CLAIM_UNLINKED, /* it was a symbolic link, which is gone; what it named is untouched */
};

/* Whether something is at @path; "" is never there. What cannot be looked at counts as there. Never fails. */
bool tg_claim_file_there(const char *path);
/*
 * Removes @path, which must be a regular file with a certificate or a private key in PEM: root calls this with names from a
 * configuration file, and must not remove anything else by mistake. A link in the last component is not followed, as those
 * who may write to the directory may not be root.
 * Returns an outcome above, or -errno: -EINVAL when it is something else. Not yet durable: tg_file_sync_dir() makes it so.
 */
int tg_claim_file_remove(const char *path, struct tg_fault *reterr) TG_CHECKED;
