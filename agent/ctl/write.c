/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include "base/parse.h"

#include <tidegate/identity.h>

#include <string.h>

/*
 * A number where it looks like one, the words of a truth value as files have them, else a text; with quotes it is a text
 * whatever it looks like. What the point takes is the agent's to judge.
 */
static json_t *value_of(const char *text)
{
	size_t len = strlen(text);
	int64_t i;
	double real;
	bool truth;

	if (len >= 2 && text[0] == '"' && text[len - 1] == '"')
		return json_stringn(text + 1, len - 2);
	if (tg_parse_i64(text, &i) == 0)
		return json_integer(i);
	if (tg_parse_real(text, &real) == 0)
		return json_real(real);
	if (tg_parse_bool(text, &truth) == 0)
		return json_boolean(truth);
	return json_string(text);
}

static void print(const struct tg_ctl *ctl, const char *name, json_t *result)
{
	const char *status = tg_ctl_text(result, "status", "?"),
		   *reason = tg_ctl_text(result, "reason", NULL);
	json_t *value = json_object_get(result, "value");
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(10));
	bool done = strcmp(status, "done") == 0, known = value && !json_is_null(value);

	(void) printf("%s ", name);
	tg_ctl_say(ctl, done ? TG_FINE : TG_FAIL, "%s", status);
	if (reason)
		(void) printf(": %s", reason);
	if (known)
		(void) printf("%s %s", reason ? "; it is" : ", it is", text ? text : "?");
	(void) putchar('\n');
	free(text);
}

static int run(struct tg_ctl *ctl)
{
	const char *name = ctl->argc ? ctl->argv[0] : "", *slash = strchr(name, '/');
	int code = TG_EXIT_FAILED;
	json_t *result;

	if (ctl->argc != 2 || !slash) {
		(void) fputs("Usage: tidegate write DEVICE/POINT VALUE\n", stderr);
		return TG_EXIT_USAGE;
	}
	result = tg_ctl_ask(ctl,
			    json_pack("{s:s, s:s%, s:s, s:o*}", "cmd", "write", "device", name,
				      (size_t) (slash - name), "point", slash + 1, "value",
				      value_of(ctl->argv[1])),
			    &code, NULL);
	if (!result)
		return code;
	if (ctl->json)
		tg_ctl_print_json(result);
	else
		print(ctl, name, result);
	/* For scripts: what is not certain is no success. */
	code = strcmp(tg_ctl_text(result, "status", ""), "done") == 0 ? TG_EXIT_OK : TG_EXIT_FAILED;
	json_decref(result);
	return code;
}

const struct tg_ctl_verb tg_verb_write = { "write", "DEVICE/POINT VALUE",
					   "set a point that has write = yes", run };
