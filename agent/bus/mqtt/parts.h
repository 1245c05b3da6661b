/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/mqtt.h"
#include "tls/peer.h"

#include <tidegate/error.h>

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/* What a connection to a local broker is made of, for client.c. Nothing here keeps state. */

#define TG_BROKER_ADDRESSES 8 /* of one name that are tried */

struct tg_broker_addresses {
	char text[TG_BROKER_ADDRESSES][INET6_ADDRSTRLEN];
	size_t n;
};
/*
 * libmosquitto tries only the first address of a name when it is not to wait, and localhost is ::1 first. Blocks as long as the
 * resolver does. Returns 0, or -ENOENT and so on with the name in @reterr.
 */
int tg_broker_resolve(const char *host, struct tg_broker_addresses *ret,
		      struct tg_fault *reterr) TG_CHECKED;
/* How long that may take. Never fails. */
uint64_t tg_broker_patience_us(const char *host);

/*
 * A context that trusts what cfg->ca says and nothing else, and judges the broker as @peer says, which it
 * completes and which must outlive the context. Reads files. Returns 0 and an owned context, or -errno.
 */
int tg_broker_tls_new(const struct tg_mqtt_bus *cfg, struct tg_tls_peer *peer, SSL_CTX **ret,
		      struct tg_fault *reterr) TG_CHECKED;
/* Reads the one line of @file, looked up under $CREDENTIALS_DIRECTORY when it has no slash. Returns 0 and an owned text. */
int tg_broker_password(const char *file, char **ret, struct tg_fault *reterr) TG_CHECKED;

/* Bytes that have been read from the TCP connection @fd since it was made (tcp(7), TCP_INFO; Linux 4.1); 0 when nobody knows. */
uint64_t tg_broker_bytes_read(int fd);
