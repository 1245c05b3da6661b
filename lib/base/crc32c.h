/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * CRC-32C (Castagnoli, reflected polynomial 0x82f63b78; RFC 3720, appendix B.4 has its vectors): tells what a power cut or a tired
 * card has left of our own files. No protection against people.
 *
 * @crc is 0 for the first piece, then what the piece before gave. Pure, never fails.
 */
uint32_t tg_crc32c(uint32_t crc, const void *data, size_t len);
