/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/tty.h"

#include <stddef.h>

const struct tg_word tg_config_parities[] = {
	{ "none", TG_PARITY_NONE, NULL },
	{ "even", TG_PARITY_EVEN, NULL },
	{ "odd", TG_PARITY_ODD, NULL },
	{ NULL, 0, NULL },
};

const struct tg_word tg_config_rs485[] = {
	{ "no", TG_RS485_NO, NULL },
	{ "rts-high", TG_RS485_RTS_HIGH, NULL },
	{ "rts-low", TG_RS485_RTS_LOW, NULL },
	{ NULL, 0, NULL },
};
