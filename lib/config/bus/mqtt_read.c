/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/mqtt_read.h"

#include "base/parse.h"
#include "config/word.h"

#include <errno.h>
#include <string.h>

int tg_mqtt_filter_check(const char *filter, size_t len, struct tg_fault *reterr)
{
	unsigned levels = 1;

	if (len == 0)
		return tg_fault_set(reterr, -EINVAL, "a topic is not empty");
	for (size_t i = 0; i < len; i++) {
		bool first = i == 0 || filter[i - 1] == '/';
		bool last = i + 1 == len;

		if (filter[i] == '/')
			levels++;
		if (filter[i] == '#' && (!first || !last))
			return tg_fault_set(reterr, -EINVAL, "'#' stands alone in the last level");
		if (filter[i] == '+' && (!first || !(last || filter[i + 1] == '/')))
			return tg_fault_set(reterr, -EINVAL, "'+' stands alone in its level");
		if ((unsigned char) filter[i] < 0x20)
			return tg_fault_set(reterr, -EINVAL, "a control character in a topic");
	}
	for (size_t i = 0; i < len;) {
		size_t n = tg_utf8_length(filter + i, len - i);

		if (n == 0)
			return tg_fault_set(reterr, -EINVAL, "a topic that is not UTF-8");
		i += n;
	}
	if (levels > TG_MQTT_LEVELS)
		return tg_fault_set(reterr, -EINVAL, "more than %d levels", TG_MQTT_LEVELS);
	return 0;
}

/* RFC 6901 section 3: ~ is followed by 0 or 1. */
static int check_pointer(const struct tg_slice *p, struct tg_fault *reterr)
{
	for (unsigned i = 0; i < p->len; i++) {
		if (p->at[i] == '~' &&
		    (i + 1 == p->len || (p->at[i + 1] != '0' && p->at[i + 1] != '1')))
			return tg_fault_set(reterr, -EINVAL,
					    "'~' in a JSON pointer is ~0, and '/' in a name is ~1");
	}
	return 0;
}

static int parse_level(const struct tg_slice *s, struct tg_mqtt_read *read, struct tg_fault *reterr)
{
	char text[16];
	uint64_t n;

	if (tg_parse_u64(tg_slice_text(s, text, sizeof(text)) + 6, &n) < 0 || n < 1 ||
	    n > TG_MQTT_LEVELS)
		return tg_fault_set(reterr, -EINVAL,
				    "'%s': the level of a topic is a number from 1 to %d", text,
				    TG_MQTT_LEVELS);
	read->source = TG_MQTT_LEVEL;
	read->level = (unsigned) n;
	read->form.kind = TG_TEXT_AS_IS;
	return 0;
}

static int parse_source(const struct tg_slice_word *w, struct tg_mqtt_read *read,
			struct tg_fault *reterr)
{
	char text[24];
	struct tg_guess guess = TG_GUESS_INIT(tg_slice_text(&w->value, text, sizeof(text)));

	if (w->value.at[0] == '/') {
		read->source = TG_MQTT_POINTER;
		read->pointer = w->value;
		return check_pointer(&read->pointer, reterr);
	}
	if (tg_slice_is(&w->value, "document")) {
		read->source = TG_MQTT_POINTER;
		return 0;
	}
	if (tg_slice_is(&w->value, "payload")) {
		read->source = TG_MQTT_PAYLOAD;
		return 0;
	}
	if (strncmp(text, "topic:", 6) == 0)
		return parse_level(&w->value, read, reterr);
	tg_guess_consider(&guess, "payload");
	tg_guess_consider(&guess, "document");
	if (guess.best)
		return tg_fault_set(reterr, -EINVAL, "'%s': did you mean '%s'?", text, guess.best);
	return tg_fault_set(reterr, -EINVAL,
			    "'%s' is neither a JSON pointer, as /temperature, nor document, "
			    "payload "
			    "or topic:N",
			    text);
}

static int parse_option(const struct tg_slice_word *w, struct tg_mqtt_read *read,
			struct tg_fault *reterr)
{
	int r = tg_text_form_take(&read->form, w, reterr);

	if (r != 0)
		return r < 0 ? r : 0;
	if (!tg_slice_is(&w->key, "topic") || read->topic.len)
		return tg_fault_set(reterr, -EINVAL,
				    "'%.*s' has no place here; possible: number, hex, bool, text, "
				    "on=, "
				    "off=, topic=, each once",
				    (int) w->value.len, w->value.at);
	read->topic = w->value;
	return tg_mqtt_filter_check(w->value.at, w->value.len, reterr);
}

int tg_mqtt_read_parse(const char *text, struct tg_mqtt_read *ret, struct tg_fault *reterr)
{
	struct tg_mqtt_read read = { .pointer = { .at = text } };
	struct tg_slice_word w;
	int r = tg_slice_next(&text, &w, reterr);

	if (r == 0 || (r > 0 && w.key.len))
		return tg_fault_set(reterr, -EINVAL, "what is read is missing");
	if (r > 0)
		r = parse_source(&w, &read, reterr);
	if (r < 0)
		return r;
	while ((r = tg_slice_next(&text, &w, reterr)) > 0) {
		r = parse_option(&w, &read, reterr);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = tg_text_form_check(&read.form, reterr);
	if (r == 0)
		*ret = read;
	return r;
}
