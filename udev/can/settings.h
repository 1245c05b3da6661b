/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How a CAN interface is to be brought up: what stands in
 * /etc/tidegate/can/INTERFACE.conf, one section [can] under the strict rules
 * of all of tidegate's files. Pure but for tg_can_settings_load(), which reads
 * the file; nothing is kept.
 */
#define TG_CAN_DIR      "/etc/tidegate/can"
#define TG_CAN_FILE_MAX 16384 /* bytes; all keys with a page of comments fit */

struct tg_can_settings {
	uint32_t bit_rate;      /* bit/s */
	uint32_t sample_point;  /* thousandths of a bit; 0: as the kernel thinks best (CiA 301) */
	uint32_t data_bit_rate; /* bit/s, of the data phase of CAN FD; 0: no CAN FD */
	uint32_t data_sample_point; /* thousandths; 0: as the kernel thinks best */
	uint32_t restart_ms;        /* after bus-off; 0: the interface stays off */
	bool listen_only;           /* neither sends nor acknowledges */
	bool loopback;              /* hears itself, alone on the bus */
};

/* Called for each line that is refused; @line 0: the file as a whole. */
typedef void (*tg_can_complain_fn)(void *user, unsigned line, const char *text);

/*
 * Reads @len bytes at @data. Returns 0 with all of @ret set, or -EINVAL when there was any complaint, or -ENOMEM.
 */
int tg_can_settings_read(const char *data, size_t len, tg_can_complain_fn complain, void *user,
			 struct tg_can_settings *ret) TG_CHECKED;

/*
 * The same for the file at @path, which may be a symbolic link and must not be writable for everybody. Returns also what
 * reading it gives: -ENOENT, -EFBIG, ...; each failure has its complaint.
 */
int tg_can_settings_load(const char *path, tg_can_complain_fn complain, void *user,
			 struct tg_can_settings *ret) TG_CHECKED;

/* "250000 bit/s, sample point 87.5 %, restart after 500 ms, listen-only"; always terminated. Returns @out. Never fails. */
const char *tg_can_settings_text(const struct tg_can_settings *s, char *out, size_t size);
