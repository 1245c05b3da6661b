/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

/*
 * The steps' results beside the journal in identity/pending: key.pem, request.pem, chain.pem, and
 * where the method has them anchors.pem and trust, a digest of the configuration that they are of.
 * Blocks on the disk.
 */
#define TG_FILE_REQUEST "request.pem"
#define TG_FILE_TRUST   "trust"

/* 0 and owned text, -ENOENT when it is not there, or another -errno. */
int tg_pending_read(const char *state_dir, const char *name, char **ret,
		    struct tg_fault *reterr) TG_CHECKED;
/* Replaces it, durably. */
int tg_pending_write(const char *state_dir, const char *name, const char *text,
		     struct tg_fault *reterr) TG_CHECKED;

/*
 * Whether the disk has room for what an enrolment writes, asked before an authority is: 0, or
 * -ENOSPC with the numbers.
 */
int tg_pending_room(const char *state_dir, struct tg_fault *reterr) TG_CHECKED;
