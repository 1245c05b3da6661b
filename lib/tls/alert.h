/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The alerts of TLS (RFC 8446 section 6). Pure; nothing here fails. */

/* The words of the standard; "alert" where there are none. */
const char *tg_tls_alert_text(uint8_t alert);
/* Whether it says that the sender has judged our certificate, and not that something else went wrong. */
bool tg_tls_alert_is_about_us(uint8_t alert);
/* The alert that a text of OpenSSL's speaks of ("tlsv1 alert protocol version"); false: of none that is known. */
bool tg_tls_alert_find(const char *reason, uint8_t *ret);
