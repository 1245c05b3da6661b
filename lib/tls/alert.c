/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/alert.h"

#include <tidegate/cleanup.h>

#include <string.h>

struct alert {
	uint8_t number;
	bool about_us; /* the server has judged our certificate */
	const char *text;
};

static const struct alert alerts[] = {
	{ 10, false, "unexpected message" },
	{ 20, false, "bad record MAC" },
	{ 22, false, "record overflow" },
	{ 40, false, "handshake failure" },
	{ 42, true, "bad certificate" },
	{ 43, true, "unsupported certificate" },
	{ 44, true, "certificate revoked" },
	{ 45, true, "certificate expired" },
	{ 46, true, "certificate unknown" },
	{ 47, false, "illegal parameter" },
	{ 48, true, "unknown CA" },
	{ 49, true, "access denied" },
	{ 50, false, "decode error" },
	{ 51, true, "decrypt error" },
	{ 70, false, "protocol version" },
	{ 71, false, "insufficient security" },
	{ 80, false, "internal error" },
	{ 86, false, "inappropriate fallback" },
	{ 109, false, "missing extension" },
	{ 110, false, "unsupported extension" },
	{ 112, false, "unrecognized name" },
	{ 115, false, "unknown PSK identity" },
	{ 116, true, "certificate required" },
	{ 120, false, "no application protocol" },
};

static const struct alert *find(uint8_t number)
{
	for (size_t i = 0; i < TG_ARRAY_SIZE(alerts); i++)
		if (alerts[i].number == number)
			return &alerts[i];
	return NULL;
}

const char *tg_tls_alert_text(uint8_t alert)
{
	const struct alert *found = find(alert);

	return found ? found->text : "alert";
}

bool tg_tls_alert_is_about_us(uint8_t alert)
{
	const struct alert *found = find(alert);

	return found && found->about_us;
}

bool tg_tls_alert_find(const char *reason, uint8_t *ret)
{
	static const char mark[] = " alert ";
	const char *at = strstr(reason, mark);

	if (!at)
		return false;
	at += sizeof(mark) - 1;
	for (size_t i = 0; i < TG_ARRAY_SIZE(alerts); i++) {
		if (strncasecmp(at, alerts[i].text, strlen(alerts[i].text)) != 0)
			continue;
		*ret = alerts[i].number;
		return true;
	}
	return false;
}
