/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/modbus/pdu.h"

/*
 * What carries Modbus requests: a TCP connection or a serial line. The
 * engine (engine.h) knows of neither more than this.
 *
 * A link is made once for a bus and connects by itself when a request needs
 * it. Owned by one thread; calls block as said.
 */
struct tg_modbus_link; /* of the transport that made it */

#define TG_MODBUS_WIRE_MAX 512 /* room for what came; more than any frame */

/* What came as the answer. */
struct tg_modbus_answer {
	uint8_t wire[TG_MODBUS_WIRE_MAX];
	const uint8_t *data; /* of a read: tg_modbus_data_len() bytes inside wire */
	uint64_t
		boot_us; /* when its first byte was here, CLOCK_BOOTTIME: nearest to when the device looked */
};

struct tg_modbus_transport {
	/* Returns 0 and an owned link, or -errno. Nothing need be there yet. @bus outlives the link. */
	int (*open)(const struct tg_config_bus *bus, struct tg_modbus_link **ret,
		    struct tg_fault *reterr);
	/*
	 * One request and its answer, of which the first byte must be there within @timeout_us. Returns 0 and the answer; the
	 * code of the exception that the device answered with; -ENOTCONN when the bus cannot be reached, and of a write
	 * nothing has left; -ETIMEDOUT when the device is silent; -EPROTO, -EBADMSG for what is no answer; or -errno. A read
	 * may be asked twice behind the scenes, a write never.
	 */
	int (*transact)(struct tg_modbus_link *link, const struct tg_modbus_request *q,
			uint64_t timeout_us, struct tg_modbus_answer *out, struct tg_fault *reterr);
	/* The longest that connecting may take, and then one request. Never fail. */
	uint64_t (*setup_us)(const struct tg_modbus_link *link);
	uint64_t (*request_us)(const struct tg_modbus_link *link, uint64_t timeout_us);
	/* What might be wrong when a device is silent, to stand behind "timeout ..."; "" when nothing is known. */
	const char *(*hint)(struct tg_modbus_link *link);
	/* How the link is, for status. Never fails. */
	void (*describe)(struct tg_modbus_link *link, char *out, size_t size);
	void (*close)(struct tg_modbus_link *link); /* accepts NULL */
};

extern const struct tg_modbus_transport tg_modbus_tcp, tg_modbus_rtu;
