/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/kicks.h"

#include "agent/spool/suspect.h"

static uint64_t stable_us(const struct tg_kicks *k)
{
	return k->word == TG_KICKS_CLIENT_ID ? TG_KICKS_PEACE_US : TG_KICKS_STABLE_US;
}

static enum tg_kicks_word become(struct tg_kicks *k, enum tg_kicks_word word)
{
	if (k->word == word)
		return TG_KICKS_NOTHING;
	k->word = word;
	return word;
}

enum tg_kicks_word tg_kicks_ended(struct tg_kicks *k, const struct tg_kicks_end *e)
{
	bool blamed = (e->by_peer || e->unanswered) && !e->excused;

	if (e->acked)
		k->fruitless = 0;
	else if (blamed && e->packs)
		k->fruitless++;
	if (e->lasted_us >= stable_us(k) || e->again || (e->packs && !e->acked))
		k->short_ends = 0;
	else if (e->by_peer && !e->excused && !e->forgotten)
		k->short_ends++;

	if (k->fruitless >= TG_SUSPECT_REFUSED_ENDS)
		return become(k, TG_KICKS_READINGS);
	if (k->short_ends >= TG_KICKS_RIVAL && k->word == TG_KICKS_NOTHING)
		return become(k, TG_KICKS_CLIENT_ID);
	return TG_KICKS_NOTHING;
}

bool tg_kicks_is_stable(const struct tg_kicks *k, const struct tg_kicks_end *e)
{
	return e->lasted_us >= stable_us(k) && (e->acked || !e->packs);
}

bool tg_kicks_lasts(struct tg_kicks *k, uint64_t lasted_us, bool acked)
{
	bool over = k->word == TG_KICKS_READINGS ? acked : lasted_us >= stable_us(k);

	if (k->word == TG_KICKS_NOTHING || !over)
		return false;
	*k = (struct tg_kicks) TG_KICKS_INIT;
	return true;
}

bool tg_kicks_seen(struct tg_kicks *k)
{
	bool news = !k->foreign;

	k->foreign = true;
	k->word = TG_KICKS_CLIENT_ID;
	return news;
}

uint64_t tg_kicks_cap_us(const struct tg_kicks *k)
{
	return k->word == TG_KICKS_READINGS ? TG_KICKS_READINGS_US : TG_KICKS_CAP_US;
}
