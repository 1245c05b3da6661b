/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/text.h"
#include "config/config.h"

/*
 * What a frame says of a point: columns, keys, fields of NMEA 0183 sentences,
 * bytes. Pure; frames are those of framer.h.
 *
 * NMEA 0183 (IEC 61162-1): a sentence is "$", two letters of the talker, three
 * of the sentence and fields between commas; what begins with P is a maker's
 * own. Angles are degrees and minutes, ddmm.mmm, N and E positive: they become degrees.
 * Fields that need a fix are bad while the sentence says that there is none
 * (GGA quality 0, status V in RMC, GLL and MWV). Empty fields are bad.
 */

/* Whether @frame is one of @dev's: by match, by talker. */
bool tg_serial_is_for(const struct tg_serial_bus *bus, const struct tg_config_device *dev,
		      const uint8_t *frame, size_t len);
/*
 * Returns false when @frame does not speak of @point, else true with value or reason in @out; strings live in @room.
 * Nothing but value, quality and reason is set.
 */
bool tg_serial_extract(const struct tg_config_device *dev, const struct tg_config_point *point,
		       const uint8_t *frame, size_t len, struct tg_text_room *room,
		       struct tg_sample *out);
