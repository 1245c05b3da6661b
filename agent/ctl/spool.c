/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include <tidegate/identity.h>

#include <string.h>

static void head(const struct tg_ctl *ctl, const char *name)
{
	tg_ctl_say(ctl, TG_DIM, "%-12s", name);
}

static long long number(json_t *o, const char *key)
{
	return tg_ctl_number(o, key, 0);
}

static void waiting(const struct tg_ctl *ctl, json_t *o)
{
	char is[24], max[24];

	head(ctl, "waiting");
	tg_ctl_say(ctl, TG_PLAIN, "%lld packs in memory (%s of %s), ", number(o, "memory_packs"),
		   tg_ctl_bytes(number(o, "memory_bytes"), is), tg_ctl_bytes(number(o, "memory_max"), max));
	tg_ctl_say(ctl, TG_PLAIN, "%lld on disk (%s of %s)\n", number(o, "disk_packs"),
		   tg_ctl_bytes(number(o, "disk_bytes"), is), tg_ctl_bytes(number(o, "disk_max"), max));
	head(ctl, "");
	tg_ctl_say(ctl, TG_PLAIN, "%lld sent and not acknowledged, %lld acknowledged since the start\n",
		   number(o, "in_flight"), number(o, "acknowledged"));
	if (number(o, "held")) {
		head(ctl, "");
		tg_ctl_say(ctl, TG_WARN, "%lld passed over, as the broker has ended each session with them\n",
			   number(o, "held"));
	}
	if (number(o, "refused_devices")) {
		head(ctl, "refused");
		tg_ctl_say(ctl, TG_WARN, "%lld devices of which the broker takes nothing, the last one is %s; their packs are kept:\n",
			   number(o, "refused_devices"), tg_ctl_text(o, "refused_device", "?"));
		head(ctl, "");
		tg_ctl_say(ctl, TG_PLAIN, "let its policy allow their topics (or packs of their size), then 'tidegate reload'\n");
	}
	head(ctl, "oldest");
	tg_ctl_say(ctl, TG_PLAIN, "%s\n", tg_ctl_text(o, "oldest", "nothing is on the disk"));
}

static void lost(const struct tg_ctl *ctl, json_t *o)
{
	head(ctl, "gaps");
	tg_ctl_say(ctl, TG_PLAIN, "%lld records wait that tell the receiver of dropped packs\n", number(o, "gaps"));
	head(ctl, "dropped");
	tg_ctl_say(ctl, number(o, "dropped") ? TG_WARN : TG_PLAIN, "%lld packs since the spool was made\n",
		   number(o, "dropped"));
	head(ctl, "set aside");
	tg_ctl_say(ctl, number(o, "set_aside") ? TG_WARN : TG_PLAIN, "%lld packs%s\n", number(o, "set_aside"),
		   number(o, "set_aside") ? ": 'tidegate spool --aside' lists the newest" : "");
}

static void events(const struct tg_ctl *ctl, json_t *o)
{
	head(ctl, "events");
	tg_ctl_say(ctl, TG_PLAIN, "%lld wait for the broker, %lld of them in the file", number(o, "events"),
		   number(o, "events_stored"));
	if (number(o, "events_lost"))
		tg_ctl_say(ctl, TG_WARN, ", %lld lost", number(o, "events_lost"));
	(void) putchar('\n');
}

static void promise(const struct tg_ctl *ctl, json_t *o)
{
	bool full = strcmp(tg_ctl_text(o, "durability", ""), "full") == 0;
	double window = (double) number(o, "loss_window_ms") / 1000;
	char age[24];

	head(ctl, "durability");
	if (window > 0)
		tg_ctl_say(ctl, full ? TG_PLAIN : TG_WARN,
			   "%s: a power cut costs what was read in the last %.1f s and not acknowledged%s\n",
			   tg_ctl_text(o, "durability", "?"), window, full ? "" : ", that is since the last checkpoint");
	else
		tg_ctl_say(ctl, TG_PLAIN, "full: a pack is on the disk before it is sent; a power cut costs nothing\n");
	head(ctl, "when full");
	tg_ctl_say(ctl, TG_PLAIN, "%s; packs older than %s go, too\n", tg_ctl_text(o, "when_full", "?"),
		   tg_ctl_age(number(o, "age_max_s"), age));
}

static void trouble(const struct tg_ctl *ctl, json_t *o)
{
	const char *error = tg_ctl_text(o, "error", NULL);
	char age[24], max[24];

	if (number(o, "repairs")) {
		head(ctl, "damage");
		tg_ctl_say(ctl, TG_WARN, "the file was damaged %lld times since the start; the last one is kept as %s\n",
			   number(o, "repairs"), tg_ctl_text(o, "kept_as", "?"));
	}
	if (!error)
		return;
	head(ctl, "error");
	tg_ctl_say(ctl, TG_FAIL, "%s (for %s; readings stay in memory)\n", error,
		   tg_ctl_age(number(o, "error_s"), age));
	head(ctl, "");
	tg_ctl_say(ctl, TG_PLAIN, "is the disk full, read-only or failing ('df', 'dmesg')? it is tried again by itself; beyond %s: %s\n",
		   tg_ctl_bytes(number(o, "memory_max"), max), tg_ctl_text(o, "when_full", "?"));
}

static void print(const struct tg_ctl *ctl, json_t *o)
{
	static void (*const parts[])(const struct tg_ctl *, json_t *) = { waiting, lost, events, promise, trouble };

	for (size_t i = 0; i < TG_ARRAY_SIZE(parts); i++)
		parts[i](ctl, o);
}

static void print_aside(const struct tg_ctl *ctl, json_t *o)
{
	json_t *packs = json_object_get(o, "aside"), *pack;
	char bytes[24];
	size_t i;

	if (json_array_size(packs) == 0) {
		(void) puts("Nothing was set aside.");
		return;
	}
	tg_ctl_say(ctl, TG_DIM, "%-22s %-20s %18s  %s\n", "made", "device", "number", "size");
	json_array_foreach (packs, i, pack)
		tg_ctl_say(ctl, TG_PLAIN, "%-22s %-20s %18lld  %s\n", tg_ctl_text(pack, "made", "at an unknown time"),
			   tg_ctl_text(pack, "device", "?"), number(pack, "seq"),
			   tg_ctl_bytes(number(pack, "bytes"), bytes));
}

static int run(struct tg_ctl *ctl)
{
	int code = TG_EXIT_FAILED;
	json_t *o = tg_ctl_ask(ctl, json_pack("{s:s, s:b}", "cmd", "spool", "aside", ctl->aside), &code, NULL);

	if (!o)
		return code;
	if (ctl->json)
		tg_ctl_print_json(o);
	else if (ctl->aside)
		print_aside(ctl, o);
	else
		print(ctl, o);
	json_decref(o);
	return TG_EXIT_OK;
}

const struct tg_ctl_verb tg_verb_spool = { "spool", "[--aside]", "what waits, what was lost, what a power cut costs", run };
