/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <openssl/types.h>
#include <stdint.h>

/*
 * @t as seconds since 1970. Not by time_t, which ends in 2038 on 32-bit machines while certificates
 * reach 2049 and 9999. Returns 0 or -EBADMSG. Pure.
 */
int tg_when(const ASN1_TIME *t, int64_t *ret) TG_CHECKED;
