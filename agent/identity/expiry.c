/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/expiry.h"

#define SOON_PART      10
#define VERY_SOON_PART 50

enum tg_expiry_level tg_expiry_level(const struct tg_expiry_facts *f)
{
	int64_t life = f->not_after - f->not_before, left = f->not_after - f->believed_s;

	if (!f->generation)
		return TG_EXPIRY_FINE;
	if (left <= 0)
		return TG_EXPIRY_OVER;
	if (!f->failing || left > life / SOON_PART)
		return TG_EXPIRY_FINE;
	return left > life / VERY_SOON_PART ? TG_EXPIRY_SOON : TG_EXPIRY_VERY_SOON;
}

enum tg_expiry_level tg_expiry_news(struct tg_expiry *e, const struct tg_expiry_facts *f)
{
	enum tg_expiry_level level = tg_expiry_level(f);

	if (e->generation != f->generation)
		*e = (struct tg_expiry){ .generation = f->generation };
	if (level <= e->told)
		return TG_EXPIRY_FINE;
	e->told = level;
	return level;
}
