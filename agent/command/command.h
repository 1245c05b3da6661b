/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/error.h>
#include <tidegate/sample.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a command and its result are, and how they stand on the wire:
 *
 *	{"id":"42","point":"setpoint","value":21.5,"expires":"2026-11-21T10:15:10Z"}
 *	{"id":"42","point":"setpoint","status":"done","reason":null,"value":21.5,"time":"2026-11-21T10:15:08Z"}
 *
 * doc/commands.md is the protocol. Pure: no clock, no I/O; plain values that
 * may be copied, any thread.
 */
#define TG_COMMAND_ID_MAX   64   /* bytes, without the NUL */
#define TG_COMMAND_TEXT_MAX 256  /* of a value that is a string */
#define TG_COMMAND_JSON_MAX 4096 /* bytes of a command; escapes make long texts longer */

/* A value with its text, so that it can be copied and kept. */
struct tg_kept_value {
	struct tg_value value; /* .text is not used: see tg_kept_view() */
	char text[TG_COMMAND_TEXT_MAX + 1];
};
/* Longer text is cut, as it is only shown. Never fails. */
void tg_kept_set(struct tg_kept_value *k, const struct tg_value *v);
/* A view of @k, which must stay where it is meanwhile. */
struct tg_value tg_kept_view(const struct tg_kept_value *k);
/* "21.5", "true", "\"text\"", "nothing": for people. Returns @out. */
const char *tg_kept_words(const struct tg_kept_value *k, char *out, size_t size);

struct tg_command {
	char id[TG_COMMAND_ID_MAX + 1]; /* "" when it could not be read */
	char device[TG_NAME_MAX + 1];
	char point[TG_NAME_MAX + 1];
	struct tg_kept_value value;
	bool expires;
	int64_t expires_us; /* since 1970 */
	bool local;         /* not from the broker: nobody there waits for the result */
};

enum tg_command_status {
	TG_COMMAND_DONE,    /* written, and read back */
	TG_COMMAND_REFUSED, /* it may not or cannot be done; nothing was sent to the device */
	TG_COMMAND_FAILED, /* it was tried, or its turn did not come; the device does not have the value */
	TG_COMMAND_UNKNOWN, /* it may have been written */
};
const char *tg_command_status_name(enum tg_command_status status);
/* Returns 0, or -EINVAL. */
int tg_command_status_find(const char *name, enum tg_command_status *ret) TG_CHECKED;

struct tg_result {
	char id[TG_COMMAND_ID_MAX + 1];
	char device[TG_NAME_MAX + 1];
	char point[TG_NAME_MAX + 1];
	enum tg_command_status status;
	char reason[TG_REASON_MAX + 1]; /* "" when it is done and there is nothing to say */
	struct tg_kept_value value;     /* read back; TG_VALUE_NONE: it was not */
	int64_t wall_us;                /* since 1970; 0: the clock cannot be believed */
	bool local;
};
/* Id, device, point and origin of @c, nothing else. */
void tg_result_init(struct tg_result *r, const struct tg_command *c);
/* Status and reason. Returns @r. */
struct tg_result *tg_result_set(struct tg_result *r, enum tg_command_status status, const char *fmt,
				...) TG_PRINTF(3, 4);
/* Owned, or NULL when memory is short. */
char *tg_result_json(const struct tg_result *r);

/*
 * Reads the command for @device. Returns 0, or -EBADMSG or -EFBIG with the reason; then of @ret what could be read is set:
 * the id, to answer to, and the point. Members that do not belong there are refused: one that is misspelt must not be
 * without effect.
 */
int tg_command_parse(const char *device, const void *json, size_t len, struct tg_command *ret,
		     struct tg_fault *reterr) TG_CHECKED;

/* How the wall clock is, to judge by. */
struct tg_command_clock {
	int64_t wall_us;  /* since 1970 */
	int64_t floor_us; /* has certainly passed */
	enum tg_clock_trust trust;
};
/* Returns 0, -ETIME when @c has expired, or -EAGAIN when the clock cannot be believed and it cannot be told. */
int tg_command_in_time(const struct tg_command *c, const struct tg_command_clock *clock,
		       struct tg_fault *reterr) TG_CHECKED;

/* The device in a topic that the subscription @filter has matched, whose '+' stands for it. 0, or -EINVAL when it is no name. */
int tg_command_topic_device(const char *filter, const char *topic,
			    char out[static TG_NAME_MAX + 1]) TG_CHECKED;
