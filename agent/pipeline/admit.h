/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/sample.h>

/*
 * The door between drivers and packs. A pack has rules that its codec insists
 * on (no NaN, no value without quality, bounded texts); a driver that breaks
 * one loses that value, with a reason that the cloud sees, and not the pack.
 *
 * Pure. The result borrows the strings of @s. Never fails.
 */
struct tg_sample tg_sample_admit(const struct tg_sample *s);

/* @s as bad, for @reason (which must outlive the result). */
struct tg_sample tg_sample_spoil(const struct tg_sample *s, const char *reason);
