/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/can/state.h"

#include <tidegate/cleanup.h>

#include "base/append.h"

#include <linux/can/error.h>

/* Not in the headers of every kernel that this is built on: says that the counters are there. */
#define COUNTERS 0x200u

static const char *fault_of(uint32_t id, const uint8_t *data)
{
	static const struct {
		uint8_t bit;
		const char *text;
	} violations[] = {
		{ CAN_ERR_PROT_BIT0, "cannot send a dominant bit" },
		{ CAN_ERR_PROT_BIT1, "cannot send a recessive bit" },
		{ CAN_ERR_PROT_STUFF, "bit stuffing, as with a wrong bit rate" },
		{ CAN_ERR_PROT_FORM, "frame format" },
		{ CAN_ERR_PROT_BIT, "bit error" },
		{ CAN_ERR_PROT_OVERLOAD, "overload" },
	};

	if (id & CAN_ERR_ACK || (id & CAN_ERR_PROT && data[3] == CAN_ERR_PROT_LOC_ACK))
		return "no acknowledgement: no other node, or another bit rate";
	if (id & CAN_ERR_TRX)
		return "transceiver: broken or shorted wire";
	if (id & CAN_ERR_TX_TIMEOUT)
		return "sending timed out";
	for (size_t i = 0; id & CAN_ERR_PROT && i < TG_ARRAY_SIZE(violations); i++) {
		if (data[2] & violations[i].bit)
			return violations[i].text;
	}
	return id & (CAN_ERR_PROT | CAN_ERR_BUSERROR) ? "bus error" : NULL;
}

static enum tg_can_mode mode_of(enum tg_can_mode before, uint32_t id, const uint8_t *data)
{
	if (id & CAN_ERR_BUSOFF)
		return TG_CAN_OFF;
	if (id & CAN_ERR_RESTARTED)
		return TG_CAN_ACTIVE;
	if (!(id & CAN_ERR_CRTL))
		return before;
	if (data[1] & (CAN_ERR_CRTL_RX_PASSIVE | CAN_ERR_CRTL_TX_PASSIVE))
		return TG_CAN_PASSIVE;
	if (data[1] & (CAN_ERR_CRTL_RX_WARNING | CAN_ERR_CRTL_TX_WARNING))
		return TG_CAN_WARNING;
	if (data[1] & CAN_ERR_CRTL_ACTIVE)
		return TG_CAN_ACTIVE;
	return before;
}

unsigned tg_can_state_take(struct tg_can_state *s, uint32_t id, const uint8_t data[static 8])
{
	enum tg_can_mode before = s->mode;
	const char *fault = fault_of(id, data);

	s->errors++;
	s->mode = mode_of(before, id, data);
	s->bus_offs += s->mode == TG_CAN_OFF && before != TG_CAN_OFF;
	s->restarts += (id & CAN_ERR_RESTARTED) != 0;
	if (fault)
		s->last = fault;
	/* Older drivers fill them in with changes of the state, without the flag. */
	if (id & COUNTERS || (id & CAN_ERR_CRTL && (data[6] || data[7]))) {
		s->counted = true;
		s->tx = data[6];
		s->rx = data[7];
	} else if (s->mode != before) {
		s->counted = false;
	}
	return id & CAN_ERR_CRTL && data[1] & CAN_ERR_CRTL_RX_OVERFLOW ? 1 : 0;
}

const char *tg_can_mode_text(enum tg_can_mode mode)
{
	switch (mode) {
	case TG_CAN_ACTIVE:
		return "error-active";
	case TG_CAN_WARNING:
		return "error-warning";
	case TG_CAN_PASSIVE:
		return "error-passive";
	case TG_CAN_OFF:
		return "bus-off";
	}
	return "";
}

void tg_can_state_text(const struct tg_can_state *s, char out[static TG_REASON_MAX + 1])
{
	const size_t size = TG_REASON_MAX + 1;

	out[0] = '\0';
	if (s->errors == 0 && s->mode == TG_CAN_ACTIVE)
		return;
	tg_append(out, size, "%s", tg_can_mode_text(s->mode));
	if (s->counted)
		tg_append(out, size, ", tx %u rx %u", s->tx, s->rx);
	if (s->bus_offs)
		tg_append(out, size, "; bus-off %llu times", (unsigned long long) s->bus_offs);
	if (s->last)
		tg_append(out, size, "; last: %s", s->last);
}
