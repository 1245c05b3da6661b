/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/line/misdeed.h"

#include <stdio.h>
#include <string.h>

#define MS 1000u

static void put16(uint8_t *to, unsigned v)
{
	to[0] = (uint8_t) (v >> 8);
	to[1] = (uint8_t) v;
}

uint16_t line_crc(const uint8_t *bytes, size_t len)
{
	uint16_t crc = 0xffff;

	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (int k = 0; k < 8; k++)
			crc = (uint16_t) (crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1);
	}
	return crc;
}

size_t line_frame(const struct line_exchange *x, uint8_t out[static LINE_ADU_MAX])
{
	uint16_t crc;

	if (x->kind == LINE_TCP) {
		put16(out, x->transaction);
		put16(out + 2, x->protocol);
		put16(out + 4, (unsigned) ((int) x->pdu_len + 1 + x->length_off));
		out[6] = x->unit;
		memcpy(out + 7, x->pdu, x->pdu_len);
		return x->pdu_len + 7;
	}
	out[0] = x->unit;
	memcpy(out + 1, x->pdu, x->pdu_len);
	crc = line_crc(out, x->pdu_len + 1);
	out[x->pdu_len + 1] = (uint8_t) crc;
	out[x->pdu_len + 2] = (uint8_t) (crc >> 8);
	return x->pdu_len + 3;
}

/* --- what the unit says --- */

static void become_exception(struct line_exchange *x, uint8_t function, uint8_t code)
{
	x->pdu[0] = function | 0x80;
	x->pdu[1] = code;
	x->pdu_len = 2;
}

static void exception(struct line_exchange *x)
{
	become_exception(x, x->pdu[0] & 0x7f, (uint8_t) x->argument);
}

static void exception_long(struct line_exchange *x)
{
	become_exception(x, x->pdu[0] & 0x7f, 2);
	memset(x->pdu + 2, 0x77, 3);
	x->pdu_len = 5;
}

static void exception_of_another(struct line_exchange *x)
{
	become_exception(x, (x->pdu[0] & 0x7f) == 3 ? 4 : 3, 2);
}

static void wrong_function(struct line_exchange *x)
{
	x->pdu[0] = x->pdu[0] == 3 ? 4 : 3;
}

static void unknown_function(struct line_exchange *x)
{
	x->pdu[0] = 0x65;
}

static void wrong_unit(struct line_exchange *x)
{
	x->unit++;
}

static void unit_zero(struct line_exchange *x)
{
	x->unit = 0;
}

static void request_returned(struct line_exchange *x)
{
	size_t head = x->kind == LINE_TCP ? 7 : 1, tail = x->kind == LINE_TCP ? 0 : 2;

	x->pdu_len = x->asked_len - head - tail;
	memcpy(x->pdu, x->asked + head, x->pdu_len);
}

static void fewer_data(struct line_exchange *x)
{
	if (x->pdu_len > 4)
		x->pdu_len -= 2;
	else
		x->pdu_len = 2;
	x->pdu[1] = (uint8_t) (x->pdu_len - 2);
}

static void more_data(struct line_exchange *x)
{
	memset(x->pdu + x->pdu_len, 0x77, 2);
	x->pdu_len += 2;
	x->pdu[1] = (uint8_t) (x->pdu_len - 2);
}

static void count_low(struct line_exchange *x)
{
	x->pdu[1] = (uint8_t) (x->pdu[1] > 2 ? x->pdu[1] - 2 : 0);
}

static void count_high(struct line_exchange *x)
{
	x->pdu[1] = (uint8_t) (x->pdu[1] + 2);
}

static void count_odd(struct line_exchange *x)
{
	x->pdu[1]++;
}

static void confirms_another(struct line_exchange *x)
{
	bool write = (x->pdu[0] >= 5 && x->pdu[0] <= 6) || (x->pdu[0] >= 15 && x->pdu[0] <= 16);

	x->pdu[write ? 4 : 1] ^= 1;
}

static void count_zero(struct line_exchange *x)
{
	x->pdu[1] = 0;
}

static void count_most(struct line_exchange *x)
{
	x->pdu[1] = 255;
}

static void no_data(struct line_exchange *x)
{
	x->pdu[1] = 0;
	x->pdu_len = 2;
}

static void bare_function(struct line_exchange *x)
{
	x->pdu_len = 1;
}

static void nothing_said(struct line_exchange *x)
{
	x->pdu_len = 0;
}

static void stale(struct line_exchange *x)
{
	if (!x->before)
		return;
	memcpy(x->pdu, x->before, x->before_len);
	x->pdu_len = x->before_len;
}

static void next_transaction(struct line_exchange *x)
{
	x->transaction++;
}

static void transaction_before(struct line_exchange *x)
{
	x->transaction--;
}

static void transaction_swapped(struct line_exchange *x)
{
	/* Never right by chance. */
	x->transaction = (uint16_t) ((x->transaction << 8 | x->transaction >> 8) ^ 0x8000);
}

static void wrong_protocol(struct line_exchange *x)
{
	x->protocol = 1;
}

static void length_short(struct line_exchange *x)
{
	x->length_off = -1;
}

static void length_long(struct line_exchange *x)
{
	x->length_off = 1;
}

static void length_zero(struct line_exchange *x)
{
	x->length_off = -1 - (int) x->pdu_len;
}

static void length_most(struct line_exchange *x)
{
	x->length_off = 65535 - 1 - (int) x->pdu_len;
}

/* --- how it is framed --- */

static void crc_wrong(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	(void) x;
	adu[*len - 1] ^= 0x5a;
}

static void crc_swapped(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	uint8_t low = adu[*len - 2];

	(void) x;
	adu[*len - 2] = adu[*len - 1];
	adu[*len - 1] = low == adu[*len - 1] ? low ^ 1 : low;
}

static void crc_zero(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	(void) x;
	memset(adu + *len - 2, 0, 2);
}

static void crc_missing(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	(void) x;
	(void) adu;
	*len -= 2;
}

static void crc_appended(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	uint16_t crc = line_crc(adu + 6, *len - 6);

	(void) x;
	adu[(*len)++] = (uint8_t) crc;
	adu[(*len)++] = (uint8_t) (crc >> 8);
}

static void bit_flip(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	unsigned bit = x->argument % (8 * (unsigned) *len);

	adu[bit / 8] ^= (uint8_t) (1u << (bit % 8));
}

static void first_byte_lost(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	(void) x;
	memmove(adu, adu + 1, --*len);
}

static void last_byte_lost(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	(void) x;
	(void) adu;
	--*len;
}

static void byte_lost(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	size_t at = *len / 2;

	(void) x;
	memmove(adu + at, adu + at + 1, *len - at - 1);
	--*len;
}

static void bytes_doubled(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	(void) x;
	if (2 * *len > LINE_ADU_MAX)
		*len = LINE_ADU_MAX / 2;
	for (size_t i = *len; i-- > 0;)
		adu[2 * i] = adu[2 * i + 1] = adu[i];
	*len *= 2;
}

static void reversed(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	(void) x;
	for (size_t i = 0; i < *len / 2; i++) {
		uint8_t b = adu[i];

		adu[i] = adu[*len - 1 - i];
		adu[*len - 1 - i] = b;
	}
}

static void inverted(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	(void) x;
	for (size_t i = 0; i < *len; i++)
		adu[i] = (uint8_t) ~adu[i];
}

/* Modbus over Serial Line V1.02, section 2.5.2. */
static void ascii(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	uint8_t raw[LINE_ADU_MAX], lrc = 0;
	size_t n = *len - 2;

	(void) x;
	if (n > (LINE_ADU_MAX - 8) / 2)
		n = (LINE_ADU_MAX - 8) / 2;
	memcpy(raw, adu, n);
	for (size_t i = 0; i < n; i++)
		lrc = (uint8_t) (lrc - raw[i]);
	raw[n++] = lrc;
	adu[0] = ':';
	for (size_t i = 0; i < n; i++)
		(void) snprintf((char *) adu + 1 + 2 * i, 3, "%02X", raw[i]);
	memcpy(adu + 1 + 2 * n, "\r\n", 2);
	*len = 3 + 2 * n;
}

/* The framing of the other transport: a converter in the wrong mode. */
static void other_framing(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	struct line_exchange other = *x;

	other.kind = x->kind == LINE_TCP ? LINE_RTU : LINE_TCP;
	*len = line_frame(&other, adu);
}

static void zeros(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	(void) x;
	memset(adu, 0, *len);
}

static void ones(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	(void) x;
	memset(adu, 0xff, *len);
}

static uint8_t noise_byte(unsigned *state)
{
	*state = *state * 1664525u + 1013904223u;
	return (uint8_t) (*state >> 24);
}

static void noise(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	unsigned state = x->argument;

	for (size_t i = 0; i < *len; i++)
		adu[i] = noise_byte(&state);
}

static void overlay(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	/* Another unit says the same under its own number, one byte later: on the wire zeros win. */
	(void) x;
	for (size_t i = *len - 1; i > 0; i--)
		adu[i] &= (uint8_t) (adu[i - 1] + (i == 1));
}

static void insert(uint8_t *adu, size_t *len, const uint8_t *what, size_t n)
{
	memmove(adu + n, adu, *len);
	memcpy(adu, what, n);
	*len += n;
}

static void zero_before(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	(void) x;
	insert(adu, len, (const uint8_t[]){ 0 }, 1);
}

static void noise_before(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	uint8_t bytes[32];
	unsigned state = 77,
		 n = x->argument < sizeof(bytes) ? x->argument : (unsigned) sizeof(bytes);

	for (unsigned i = 0; i < n; i++)
		bytes[i] = noise_byte(&state);
	insert(adu, len, bytes, n);
}

static void noise_after(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	unsigned state = 78;

	for (unsigned i = 0; i < x->argument && *len < LINE_ADU_MAX; i++)
		adu[(*len)++] = noise_byte(&state);
}

static void echo_only(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	memcpy(adu, x->asked, x->asked_len);
	*len = x->asked_len;
}

static void echo(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	if (*len + x->asked_len <= LINE_ADU_MAX)
		insert(adu, len, x->asked, x->asked_len);
}

static void http(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	static const char text[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";

	(void) x;
	*len = sizeof(text) - 1;
	memcpy(adu, text, *len);
}

static void tls_alert(const struct line_exchange *x, uint8_t *adu, size_t *len)
{
	static const uint8_t alert[] = { 0x15, 3, 3, 0, 2, 2, 70 };

	(void) x;
	*len = sizeof(alert);
	memcpy(adu, alert, sizeof(alert));
}

/* --- how it comes --- */

static void say(struct line_reply *r, uint64_t pause_us, const uint8_t *bytes, size_t len)
{
	if (r->n == LINE_SEGMENTS_MAX || len > LINE_REPLY_MAX - r->len)
		return;
	memcpy(r->bytes + r->len, bytes, len);
	r->segments[r->n++] =
		(struct line_segment){ .pause_us = pause_us, .at = r->len, .len = len };
	r->len += len;
}

static void silence(const struct line_exchange *x, const uint8_t *adu, size_t len,
		    struct line_reply *r)
{
	(void) x;
	(void) adu;
	(void) len;
	(void) r;
}

static void late(const struct line_exchange *x, const uint8_t *adu, size_t len,
		 struct line_reply *r)
{
	say(r, x->argument * MS, adu, len);
}

static void dribble(const struct line_exchange *x, const uint8_t *adu, size_t len,
		    struct line_reply *r)
{
	for (size_t i = 0; i < len; i++)
		say(r, x->argument * MS, adu + i, 1);
}

static void split(const struct line_exchange *x, const uint8_t *adu, size_t len,
		  struct line_reply *r)
{
	size_t step = x->argument ? x->argument : 1;

	for (size_t i = 0; i < len; i += step)
		say(r, i ? 3 * MS : 0, adu + i, len - i < step ? len - i : step);
}

static void pause_first(const struct line_exchange *x, const uint8_t *adu, size_t len,
			struct line_reply *r)
{
	say(r, 0, adu, 1);
	say(r, x->argument * MS, adu + 1, len - 1);
}

static void pause_middle(const struct line_exchange *x, const uint8_t *adu, size_t len,
			 struct line_reply *r)
{
	say(r, 0, adu, len / 2);
	say(r, x->argument * MS, adu + len / 2, len - len / 2);
}

static void pause_last(const struct line_exchange *x, const uint8_t *adu, size_t len,
		       struct line_reply *r)
{
	say(r, 0, adu, len - 1);
	say(r, x->argument * MS, adu + len - 1, 1);
}

static void twice(const struct line_exchange *x, const uint8_t *adu, size_t len,
		  struct line_reply *r)
{
	(void) x;
	say(r, 0, adu, len);
	say(r, 0, adu, len);
}

static void twice_apart(const struct line_exchange *x, const uint8_t *adu, size_t len,
			struct line_reply *r)
{
	say(r, 0, adu, len);
	say(r, x->argument * MS, adu, len);
}

static void huge(const struct line_exchange *x, const uint8_t *adu, size_t len,
		 struct line_reply *r)
{
	uint8_t more[256];

	(void) x;
	for (unsigned i = 0; i < sizeof(more); i++)
		more[i] = (uint8_t) i;
	say(r, 0, adu, len);
	for (int i = 0; i < 8; i++)
		say(r, 0, more, sizeof(more));
}

/* As many bytes as come in argument ms at 115200 baud, 10.5 a millisecond. */
static void babble(const struct line_exchange *x, const uint8_t *adu, size_t len,
		   struct line_reply *r)
{
	uint8_t bytes[128];
	unsigned state = 5;

	(void) adu;
	(void) len;
	for (size_t n = 0; n < x->argument * 21 / 2 && n < LINE_REPLY_MAX; n += sizeof(bytes)) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = noise_byte(&state);
		say(r, 0, bytes, sizeof(bytes));
	}
}

static void half(const struct line_exchange *x, const uint8_t *adu, size_t len,
		 struct line_reply *r)
{
	(void) x;
	say(r, 0, adu, len / 2);
}

static void half_restart(const struct line_exchange *x, const uint8_t *adu, size_t len,
			 struct line_reply *r)
{
	half(x, adu, len, r);
	r->deaf_us = x->argument * MS;
}

static void half_unplug(const struct line_exchange *x, const uint8_t *adu, size_t len,
			struct line_reply *r)
{
	half(x, adu, len, r);
	r->end = LINE_END_UNPLUG;
}

static void half_close(const struct line_exchange *x, const uint8_t *adu, size_t len,
		       struct line_reply *r)
{
	half(x, adu, len, r);
	r->end = LINE_END_CLOSE;
}

static void half_reset(const struct line_exchange *x, const uint8_t *adu, size_t len,
		       struct line_reply *r)
{
	half(x, adu, len, r);
	r->end = LINE_END_RESET;
}

static void close_at_once(const struct line_exchange *x, const uint8_t *adu, size_t len,
			  struct line_reply *r)
{
	silence(x, adu, len, r);
	r->end = LINE_END_CLOSE;
}

static void reset_at_once(const struct line_exchange *x, const uint8_t *adu, size_t len,
			  struct line_reply *r)
{
	silence(x, adu, len, r);
	r->end = LINE_END_RESET;
}

static void answer_and_close(const struct line_exchange *x, const uint8_t *adu, size_t len,
			     struct line_reply *r)
{
	(void) x;
	say(r, 0, adu, len);
	r->end = LINE_END_CLOSE;
}

/* --- the table --- */

static const struct line_misdeed misdeeds[] = {
	/* what the unit says */
	{ "exception", "exception ARG in place of data", LINE_BOTH, .pdu = exception },
	{ "exception-long", "an exception with three bytes too many", LINE_BOTH,
	  .pdu = exception_long },
	{ "exception-of-another", "an exception to another function", LINE_BOTH,
	  .pdu = exception_of_another },
	{ "wrong-function", "the answer to another function", LINE_BOTH, .pdu = wrong_function },
	{ "unknown-function", "a function of the vendor's own", LINE_BOTH,
	  .pdu = unknown_function },
	{ "wrong-unit", "under the next unit's number", LINE_BOTH, .pdu = wrong_unit },
	{ "unit-zero", "under the number of the broadcast", LINE_BOTH, .pdu = unit_zero },
	{ "request-returned", "the request is the answer", LINE_BOTH, .pdu = request_returned },
	{ "fewer-data", "one register less than asked, in a right frame", LINE_BOTH,
	  .pdu = fewer_data },
	{ "more-data", "one register more than asked, in a right frame", LINE_BOTH,
	  .pdu = more_data },
	{ "count-low", "the byte count says two less", LINE_BOTH, .pdu = count_low },
	{ "count-high", "the byte count says two more", LINE_BOTH, .pdu = count_high },
	{ "count-odd", "the byte count says one more", LINE_BOTH, .pdu = count_odd },
	{ "confirms-another", "another value was written, or the byte count is off by one",
	  LINE_BOTH, .pdu = confirms_another },
	{ "count-zero", "the byte count says none", LINE_BOTH, .pdu = count_zero },
	{ "count-255", "the byte count says 255", LINE_BOTH, .pdu = count_most },
	{ "no-data", "byte count 0 and none", LINE_BOTH, .pdu = no_data },
	{ "bare-function", "a function and no more", LINE_BOTH, .pdu = bare_function },
	{ "nothing-said", "a frame with nothing in it", LINE_BOTH, .pdu = nothing_said },
	{ "stale", "the answer to the request before", LINE_BOTH, .pdu = stale },
	{ "next-transaction", "the transaction is one too high", LINE_TCP,
	  .pdu = next_transaction },
	{ "transaction-before", "the transaction of the request before", LINE_TCP,
	  .pdu = transaction_before },
	{ "transaction-swapped", "the transaction's bytes in the wrong order", LINE_TCP,
	  .pdu = transaction_swapped },
	{ "wrong-protocol", "protocol 1", LINE_TCP, .pdu = wrong_protocol },
	{ "length-short", "the header's length is one too low", LINE_TCP, .pdu = length_short },
	{ "length-long", "the header's length is one too high", LINE_TCP, .pdu = length_long },
	{ "length-zero", "the header's length is 0", LINE_TCP, .pdu = length_zero },
	{ "length-most", "the header's length is 65535", LINE_TCP, .pdu = length_most },
	/* how it is framed */
	{ "crc-wrong", "one byte of the CRC is wrong", LINE_RTU, .adu = crc_wrong },
	{ "crc-swapped", "the CRC's high byte comes first", LINE_RTU, .adu = crc_swapped },
	{ "crc-zero", "the CRC is 0", LINE_RTU, .adu = crc_zero },
	{ "crc-missing", "there is no CRC", LINE_RTU, .adu = crc_missing },
	{ "crc-appended", "there is a CRC, over TCP", LINE_TCP, .adu = crc_appended },
	{ "bit-flip", "bit ARG of the frame is turned", LINE_RTU, .adu = bit_flip },
	{ "first-byte-lost", "the transmitter was switched on too late", LINE_BOTH,
	  .adu = first_byte_lost },
	{ "last-byte-lost", "the transmitter was switched off too early", LINE_BOTH,
	  .adu = last_byte_lost },
	{ "byte-lost", "one in the middle", LINE_BOTH, .adu = byte_lost },
	{ "bytes-doubled", "each byte twice", LINE_BOTH, .adu = bytes_doubled },
	{ "reversed", "last byte first", LINE_BOTH, .adu = reversed },
	{ "inverted", "A and B of the line are crossed", LINE_RTU, .adu = inverted },
	{ "ascii", "Modbus ASCII", LINE_RTU, .adu = ascii },
	{ "other-framing", "the frame of the other transport", LINE_BOTH, .adu = other_framing },
	{ "zeros", "as many zeros", LINE_BOTH, .adu = zeros },
	{ "ones", "as many 0xff", LINE_BOTH, .adu = ones },
	{ "noise", "as many bytes that are anything", LINE_BOTH, .adu = noise },
	{ "two-talk", "another unit answers at the same time", LINE_RTU, .adu = overlay },
	{ "zero-before", "a zero byte before the answer", LINE_BOTH, .adu = zero_before },
	{ "noise-before", "ARG bytes of noise before the answer", LINE_BOTH, .adu = noise_before },
	{ "noise-after", "ARG bytes of noise behind the answer", LINE_BOTH, .adu = noise_after },
	{ "echo", "the request, then the answer", LINE_BOTH, .adu = echo },
	{ "echo-only", "the request comes back, and nothing else", LINE_BOTH, .adu = echo_only },
	{ "http", "a web server's answer", LINE_TCP, .adu = http },
	{ "tls-alert", "TLS was expected", LINE_TCP, .adu = tls_alert },
	/* how it comes */
	{ "silence", "no answer", LINE_BOTH, .play = silence },
	{ "late", "ARG ms later", LINE_BOTH, .play = late },
	{ "dribble", "ARG ms before each byte", LINE_BOTH, .play = dribble },
	{ "split", "in pieces of ARG bytes, 3 ms apart", LINE_BOTH, .play = split },
	{ "pause-first", "ARG ms behind the first byte", LINE_BOTH, .play = pause_first },
	{ "pause-middle", "ARG ms in the middle", LINE_BOTH, .play = pause_middle },
	{ "pause-last", "ARG ms before the last byte", LINE_BOTH, .play = pause_last },
	{ "twice", "the answer twice", LINE_BOTH, .play = twice },
	{ "twice-apart", "the answer twice, ARG ms apart", LINE_BOTH, .play = twice_apart },
	{ "huge", "2 KiB behind the answer", LINE_BOTH, .play = huge },
	{ "babble", "noise without a pause, as much as comes in ARG ms at 115200 baud", LINE_BOTH,
	  .play = babble },
	{ "half", "half an answer", LINE_BOTH, .play = half },
	{ "half-restart", "half an answer, then the unit is deaf for ARG ms", LINE_BOTH,
	  .play = half_restart },
	{ "half-unplug", "half an answer, then the adapter is pulled out", LINE_RTU,
	  .play = half_unplug },
	{ "half-close", "half an answer, then the connection is closed", LINE_TCP,
	  .play = half_close },
	{ "half-reset", "half an answer, then the connection is reset", LINE_TCP,
	  .play = half_reset },
	{ "close", "the connection is closed in place of an answer", LINE_TCP,
	  .play = close_at_once },
	{ "reset", "the connection is reset in place of an answer", LINE_TCP,
	  .play = reset_at_once },
	{ "answer-and-close", "the connection is closed behind each answer", LINE_TCP,
	  .play = answer_and_close },
};

const struct line_misdeed *line_misdeed_at(size_t i)
{
	return i < sizeof(misdeeds) / sizeof(misdeeds[0]) ? &misdeeds[i] : NULL;
}

const struct line_misdeed *line_misdeed_find(const char *name, enum line_kind kind)
{
	const struct line_misdeed *m;

	for (size_t i = 0; (m = line_misdeed_at(i)); i++) {
		if (strcmp(m->name, name) == 0)
			return m->kinds & kind ? m : NULL;
	}
	return NULL;
}

void line_misdeed_commit(const struct line_misdeed *m, struct line_exchange *x,
			 struct line_reply *ret)
{
	uint8_t adu[LINE_ADU_MAX];
	size_t len;

	ret->len = ret->n = 0;
	ret->end = LINE_END_NONE;
	ret->deaf_us = 0;
	if (m && m->pdu)
		m->pdu(x);
	len = line_frame(x, adu);
	if (m && m->adu)
		m->adu(x, adu, &len);
	if (m && m->play)
		m->play(x, adu, len, ret);
	else
		say(ret, 0, adu, len);
}
