/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/link_internal.h"

#include "base/file.h"
#include "identity/generation.h"
#include "x509/anchors.h"

#include <tidegate/identity.h>
#include <tidegate/log.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

/*
 * Whom the broker must lead to. An identity brings the anchors that its authority
 * named when it was issued; they count for connections under it and for no
 * others, so that a candidate whose anchors are no good takes them away with it.
 */

/* Beside the bundle, not by the slot: a link may have moved since. */
static int read_anchors(const char *bundle, char **ret, struct tg_fault *reterr)
{
	const char *name = strrchr(bundle, '/');
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%.*s/%s", name ? (int) (name - bundle) : 0, bundle,
			 TG_FILE_ANCHORS);

	if (!name || n < 0 || (size_t) n >= sizeof(path))
		return tg_fault_set(reterr, -ENAMETOOLONG, "path too long");
	return tg_file_read(AT_FDCWD, path, TG_GENERATION_ANCHORS_MAX, ret, NULL, reterr);
}

static int describe(const char *pem, struct tg_link_trust *t, struct tg_fault *reterr)
{
	struct tg_anchor_info info[TG_LINK_TRUST_NAMES];
	int r = tg_anchors_list(pem, strlen(pem), info, TG_LINK_TRUST_NAMES, &t->n, reterr);

	for (size_t i = 0; r == 0 && i < TG_LINK_TRUST_NAMES && i < t->n; i++) {
		(void) tg_printable(t->anchors[i].name, sizeof(t->anchors[i].name), info[i].subject,
				    strlen(info[i].subject));
		t->anchors[i].not_after = info[i].not_after;
	}
	return r;
}

/* Once for each kind of trouble, as every connect meets it again. */
static void warn(struct tg_link *l, const struct tg_link_trust *t)
{
	if (strcmp(l->report.trust.problem, t->problem) != 0)
		tg_log(LOG_WARNING, "link", "%s; only ca is trusted until the next renewal",
		       t->problem);
}

int tg_link_trust(struct tg_link *l, const char *bundle, char **ret_pem, struct tg_fault *reterr)
{
	const struct tg_config *cfg = l->setup.cfg;
	struct tg_link_trust t = { .from_enrolment = cfg->mqtt.ca_from_enrolment };
	tg_autofree char *pem = NULL;
	struct tg_fault why = { .text = "" };
	int r;

	*ret_pem = NULL;
	if (!t.from_enrolment) {
		l->report.trust = t;
		return 0;
	}
	r = read_anchors(bundle, &pem, &why);
	if (r == 0)
		r = describe(pem, &t, &why);
	if (r < 0) {
		t.n = 0;
		(void) snprintf(t.problem, sizeof(t.problem),
				"generation %u has no usable %s: %.120s", l->generation,
				TG_FILE_ANCHORS, r == -ENOENT ? "it came without" : why.text);
		if (*cfg->mqtt.ca)
			warn(l, &t);
	} else {
		*ret_pem = tg_take(pem);
	}
	l->report.trust = t;
	if (*ret_pem || *cfg->mqtt.ca)
		return 0;
	return tg_fault_set(reterr, -EBADMSG,
			    "nothing is known to judge the broker by: %s; set ca in [mqtt], or "
			    "renew "
			    "(tidegate renew)",
			    t.problem);
}
