/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/sample.h>

/*
 * Whether a reading is worth publishing: publish, deadband, max-silence.
 *
 * One rule belongs to one point and remembers what was published last. Due are
 * always: the first one; one of another quality than the last, so that bad is
 * told once and good again at once; and any one when max-silence has passed,
 * so that silence is not taken for death and bad is repeated rarely. Beside
 * them, with publish = always every good one; with publish = change one beyond
 * the deadband, counted from the last *published* value, so that slow drift is
 * not missed.
 *
 * Pure but for the copy of a text. Owned by the thread that polls the device.
 * Asking and telling are apart: what was lost on its way is due again.
 */
struct tg_rule {
	char *point;
	enum tg_publish publish;
	double deadband;
	bool deadband_percent; /* of the magnitude of the last published value */
	uint64_t max_silence_us; /* 0: none */

	bool told;	    /* the rest holds what was published last */
	struct tg_value last; /* a text is owned */
	enum tg_quality quality;
	uint64_t boot_us;
};

/* Copies what it needs of @point. Returns 0 or -ENOMEM; tg_rule_done() is right after either. */
int tg_rule_init(struct tg_rule *r, const struct tg_config_point *point) TG_CHECKED;
void tg_rule_done(struct tg_rule *r);
/* Whether @s, a sample that a parcel accepts, is to be published. Never fails. */
bool tg_rule_due(const struct tg_rule *r, const struct tg_sample *s);
/* @s was handed on. Never fails: without memory for a text the next reading counts as the first. */
void tg_rule_told(struct tg_rule *r, const struct tg_sample *s);
