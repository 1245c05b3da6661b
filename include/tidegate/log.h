/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <stdbool.h>
#include <syslog.h>

/*
 * One log line for one decision. Goes to the journal with structured fields
 * when standard error is the journal's (JOURNAL_STREAM), else to standard
 * error as "<area>: text". Any thread; does not allocate much; may block as
 * long as a write to standard error does.
 *
 * Never logged: keys, tokens, passwords, payloads. Peers' strings go through
 * tg_printable() first.
 *
 * Events are what an operator acts on. Each has a MESSAGE_ID (the catalog in
 * systemd/tidegate.catalog explains it) and fields named below.
 */
enum tg_event_id {
	TG_EV_STARTED,
	TG_EV_STOPPING,
	TG_EV_CONFIG_REFUSED,
	TG_EV_ENROLLED,
	TG_EV_ENROL_FAILED,
	TG_EV_REQUEST_PENDING,
	TG_EV_RENEWAL_DUE,
	TG_EV_IDENTITY_PROMOTED,
	TG_EV_RENEWED,
	TG_EV_EXPIRING,
	TG_EV_EXPIRED,
	TG_EV_IDENTITY_ROLLED_BACK,
	TG_EV_IDENTITY_REFUSED,
	TG_EV_IDENTITY_PENDING,
	TG_EV_TPM_LOST,
	TG_EV_TPM_BACK,
	TG_EV_TPM_CLEARED,
	TG_EV_TPM_REPLACED,
	TG_EV_LINK_UP,
	TG_EV_LINK_LOST,
	TG_EV_CLIENT_ID_TAKEN,
	TG_EV_READINGS_REFUSED,
	TG_EV_SPOOL_DAMAGED,
	TG_EV_SPOOL_DROPPED,
	TG_EV_SPOOL_FAILED,
	TG_EV_PACK_SET_ASIDE,
	TG_EV_DEVICE_REFUSED,
	TG_EV_DEVICE_LOST,
	TG_EV_DEVICE_BACK,
	TG_EV_DEVICE_BABBLES,
	TG_EV_BUS_DOWN,
	TG_EV_BUS_UP,
	TG_EV_TOTALS_LOST,
	TG_EV_CLOCK_SUSPECT,
	TG_EV_CLOCK_REPAIRED,
	TG_EV_COMMAND_DONE,
	TG_EV_COMMAND_REFUSED,
	TG_EV_SAFE_STATE,
	TG_EV_COUNT_
};

/* Names of journal fields; values are strings. */
#define TG_F_GENERATION "TIDEGATE_GENERATION"
#define TG_F_CERT_SERIAL "TIDEGATE_CERT_SERIAL"
#define TG_F_VALID_UNTIL "TIDEGATE_VALID_UNTIL" /* of the certificate, ISO 8601 */
#define TG_F_METHOD "TIDEGATE_METHOD"
#define TG_F_STEP "TIDEGATE_STEP"
#define TG_F_REASON "TIDEGATE_REASON"
#define TG_F_DEVICE "TIDEGATE_DEVICE"
#define TG_F_BUS "TIDEGATE_BUS"
#define TG_F_POINT "TIDEGATE_POINT"
#define TG_F_COMMAND "TIDEGATE_COMMAND" /* its id */
#define TG_F_ENDPOINT "TIDEGATE_ENDPOINT"
#define TG_F_COUNT "TIDEGATE_COUNT"
#define TG_F_TIME "TIDEGATE_TIME"   /* the wall clock's, ISO 8601 */
#define TG_F_FLOOR "TIDEGATE_FLOOR" /* what has certainly passed */
#define TG_F_SOURCE "TIDEGATE_SOURCE"
#define TG_F_STEP_S "TIDEGATE_STEP_S" /* by which the clock was set */

/* Lines above @level (LOG_DEBUG ...) are dropped; LOG_INFO until told. Call before threads start. */
void tg_log_set_level(int level);

/* @area is the module's short name: "link", "spool", "modbus". */
void tg_log(int level, const char *area, const char *fmt, ...) TG_PRINTF(3, 4);

/* As tg_log() with area "event", followed by pairs of field name and value (const char *) that end in NULL. */
void tg_event(enum tg_event_id id, int level, const char *text, ...) __attribute__((sentinel));

/*
 * A limiter for lines that a peer can provoke: at most @burst lines in @interval_us. One static struct a call site.
 */
struct tg_log_limit {
	unsigned long long window_us;
	unsigned count;
	unsigned suppressed; /* since the last line that passed; print it */
};
#define TG_LOG_LIMIT_INIT { 0 }
/* Returns whether a line may be written now (@now_us: CLOCK_BOOTTIME). Not thread-safe: owned by one thread. */
bool tg_log_allowed(struct tg_log_limit *l, unsigned long long now_us, unsigned burst, unsigned long long interval_us);
