/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

/*
 * The states of the link to the broker, as a pure table: no clock, no I/O.
 *
 * OFFLINE waits (for an identity, an id, the back-off); CONNECTING has a
 * handle under way; GREETING has a CONNACK and proves itself by the status document, which is
 * the first publish of every session; ONLINE publishes; CLOSING has said
 * goodbye because something changed and will connect again; STOPPING has said
 * goodbye for good; ENDED is the end of the thread.
 */
enum tg_link_state {
	TG_LINK_OFFLINE,
	TG_LINK_CONNECTING,
	TG_LINK_GREETING,
	TG_LINK_ONLINE,
	TG_LINK_CLOSING,
	TG_LINK_STOPPING,
	TG_LINK_ENDED,
};

enum tg_link_event {
	TG_LINK_EV_DUE,       /* the wait is over, and all that a session needs is there */
	TG_LINK_EV_CONNECTED, /* CONNACK 0 */
	TG_LINK_EV_FAILED,    /* no CONNACK 0, or the connection ended, or a deadline passed */
	TG_LINK_EV_GREETED,   /* the broker has acknowledged the status document and the subscriptions */
	TG_LINK_EV_CHANGED,   /* identity or configuration: this session is of the past */
	TG_LINK_EV_CLOSED,    /* DISCONNECT is out, or was given up on */
	TG_LINK_EV_STOP,
};

enum tg_link_action {
	TG_LINK_ACT_NONE,
	TG_LINK_ACT_CONNECT,
	TG_LINK_ACT_GREET,    /* ask for the status document, subscribe */
	TG_LINK_ACT_START,    /* tell the spool to hand out packs */
	TG_LINK_ACT_BACK_OFF, /* forget the session, wait */
	TG_LINK_ACT_GOODBYE,  /* stop the spool, publish `offline`, DISCONNECT */
	TG_LINK_ACT_AGAIN,    /* forget the session, connect without back-off */
	TG_LINK_ACT_END,
};

/* Returns 0, or -EPROTO (outputs untouched) when @event makes no sense in @state. */
int tg_link_step(enum tg_link_state state, enum tg_link_event event, enum tg_link_state *ret_next,
		 enum tg_link_action *ret_action) TG_CHECKED;

/* Words for logs and status. Never NULL. */
const char *tg_link_state_name(enum tg_link_state s);
const char *tg_link_event_name(enum tg_link_event e);
