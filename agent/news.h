/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/worker.h"
#include "agent/identity/tpm_watch.h"
#include "agent/mqtt/link.h"
#include "agent/spool/spool.h"

/*
 * What other threads tell the loop: one message type, one mailbox. Each is a
 * whole state, so that a lost one is made good by the next; but for the list
 * that somebody at the control socket waits for.
 */
enum tg_news_type { TG_NEWS_DEVICE, TG_NEWS_BUS, TG_NEWS_SPOOL, TG_NEWS_LINK, TG_NEWS_TPM, TG_NEWS_ASIDE };

struct tg_news {
	enum tg_news_type type;
	union {
		struct tg_device_state device;
		struct tg_bus_state bus;
		struct tg_spool_state spool;
		struct tg_link_report link;
		struct tg_tpm_report tpm;
		struct {
			uint64_t client;
			struct tg_spool_aside *list; /* owned; NULL: it could not be read */
		} aside;
	};
};
