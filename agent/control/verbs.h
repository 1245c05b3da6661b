/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"

/*
 * What a request on the control socket does: one table of verbs. Runs on the
 * loop. `read` and `watch` are answered later, when a reading comes by.
 */
struct tg_verbs;

int tg_verbs_new(struct tg_agent *agent, struct tg_verbs **ret) TG_CHECKED;
struct tg_verbs *tg_verbs_free(struct tg_verbs *v);
/* A tg_control_request_fn; @verbs is the struct tg_verbs. */
void tg_verbs_request(void *verbs, tg_client client, const char *line, size_t len);
/* A reading of device @device has come by: answers those who wait for it. */
void tg_verbs_reading(struct tg_verbs *v, size_t device, const struct tg_parcel *p);
/* The configuration was swapped: device numbers mean something else now. */
void tg_verbs_reconfigured(struct tg_verbs *v);
