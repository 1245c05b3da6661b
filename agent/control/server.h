/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/control.h>
#include <tidegate/error.h>

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

/*
 * The control socket's server: accepts, frames, bounds, writes. What the
 * verbs mean is the business of whoever gets the requests.
 *
 * Lives on the loop and never blocks. A client has ten seconds to send its
 * request and ten to take each answer; one that does not read is dropped. At
 * most TG_CONTROL_CLIENTS at once.
 */
struct tg_control;

/* Names a client for answers that come later; a client that has gone makes them no-ops. */
typedef uint64_t tg_client;

/* A request line of @len bytes (NUL-terminated, newline taken off; NUL bytes inside are possible). Answer now or later. */
typedef void (*tg_control_request_fn)(void *user, tg_client client, const char *line, size_t len);

/*
 * Listens on the socket that systemd passed (sd_listen_fds), or makes one at @path with @group (may be "") and mode 0660; a stale
 * socket there is replaced, a live one is -EADDRINUSE.
 */
int tg_control_new(sd_event *loop, const char *path, const char *group,
		   tg_control_request_fn request, void *user, struct tg_control **ret,
		   struct tg_fault *reterr) TG_CHECKED;
/* Closes every client; removes the socket that _new made. Accepts NULL. */
struct tg_control *tg_control_free(struct tg_control *c);

/* Sends {"ok":true,"data":@json} and hangs up when it is out, unless @keep (then tg_control_line() may follow). @json NULL: out of memory. */
void tg_control_answer(struct tg_control *c, tg_client client, const char *json, int keep);
/* Sends {"ok":false,"code":@code,"error":@text} and hangs up. */
void tg_control_refuse(struct tg_control *c, tg_client client, int code, const char *text);
/* Whether the client is still there. */
bool tg_control_has(struct tg_control *c, tg_client client);
/* One more line for a client that was kept. Returns 0, -EAGAIN when the client reads too slowly or memory is short (the line is dropped), -ENOTCONN when it has gone. */
int tg_control_line(struct tg_control *c, tg_client client, const char *json);
