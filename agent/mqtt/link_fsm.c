/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/link_fsm.h"

#include <errno.h>
#include <stddef.h>

#define S(x) TG_LINK_##x
#define E(x) TG_LINK_EV_##x
#define A(x) TG_LINK_ACT_##x

static const struct {
	enum tg_link_state state;
	enum tg_link_event event;
	enum tg_link_state next;
	enum tg_link_action action;
} table[] = {
	{ S(OFFLINE), E(DUE), S(CONNECTING), A(CONNECT) },
	{ S(OFFLINE), E(CHANGED), S(OFFLINE), A(AGAIN) },
	{ S(OFFLINE), E(FAILED), S(OFFLINE), A(NONE) }, /* a late event of a forgotten session */
	{ S(OFFLINE), E(STOP), S(ENDED), A(END) },

	{ S(CONNECTING), E(CONNECTED), S(GREETING), A(GREET) },
	{ S(CONNECTING), E(FAILED), S(OFFLINE), A(BACK_OFF) },
	/* No CONNACK yet: there is nobody to say goodbye to. */
	{ S(CONNECTING), E(CHANGED), S(OFFLINE), A(AGAIN) },
	{ S(CONNECTING), E(STOP), S(ENDED), A(END) },

	{ S(GREETING), E(GREETED), S(ONLINE), A(START) },
	{ S(GREETING), E(FAILED), S(OFFLINE), A(BACK_OFF) },
	{ S(GREETING), E(CHANGED), S(CLOSING), A(GOODBYE) },
	{ S(GREETING), E(STOP), S(STOPPING), A(GOODBYE) },

	{ S(ONLINE), E(FAILED), S(OFFLINE), A(BACK_OFF) },
	{ S(ONLINE), E(CHANGED), S(CLOSING), A(GOODBYE) },
	{ S(ONLINE), E(STOP), S(STOPPING), A(GOODBYE) },

	{ S(CLOSING), E(CLOSED), S(OFFLINE), A(AGAIN) },
	{ S(CLOSING), E(FAILED), S(OFFLINE), A(AGAIN) },
	{ S(CLOSING), E(CHANGED), S(CLOSING), A(NONE) },
	{ S(CLOSING), E(STOP), S(STOPPING), A(NONE) },

	{ S(STOPPING), E(CLOSED), S(ENDED), A(END) },
	{ S(STOPPING), E(FAILED), S(ENDED), A(END) },
	{ S(STOPPING), E(CHANGED), S(STOPPING), A(NONE) },
	{ S(STOPPING), E(STOP), S(STOPPING), A(NONE) },
};

int tg_link_step(enum tg_link_state state, enum tg_link_event event, enum tg_link_state *ret_next,
		 enum tg_link_action *ret_action)
{
	for (size_t i = 0; i < TG_ARRAY_SIZE(table); i++) {
		if (table[i].state != state || table[i].event != event)
			continue;
		*ret_next = table[i].next;
		*ret_action = table[i].action;
		return 0;
	}
	return -EPROTO;
}

const char *tg_link_state_name(enum tg_link_state s)
{
	switch (s) {
	case TG_LINK_OFFLINE:
		return "offline";
	case TG_LINK_CONNECTING:
		return "connecting";
	case TG_LINK_GREETING:
		return "greeting";
	case TG_LINK_ONLINE:
		return "online";
	case TG_LINK_CLOSING:
		return "closing";
	case TG_LINK_STOPPING:
		return "stopping";
	case TG_LINK_ENDED:
		return "ended";
	}
	return "?";
}

const char *tg_link_event_name(enum tg_link_event e)
{
	switch (e) {
	case TG_LINK_EV_DUE:
		return "due";
	case TG_LINK_EV_CONNECTED:
		return "connected";
	case TG_LINK_EV_FAILED:
		return "failed";
	case TG_LINK_EV_GREETED:
		return "greeted";
	case TG_LINK_EV_CHANGED:
		return "changed";
	case TG_LINK_EV_CLOSED:
		return "closed";
	case TG_LINK_EV_STOP:
		return "stop";
	}
	return "?";
}
