/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/clock.h"
#include "provisioning/net/mqtt_once.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/*
 * A session that stands in for lib/mqtt's: it connects, grants, and answers
 * what the test wants. @flood: whenever a message was taken the next is there.
 */
static struct fake {
	struct tg_mailbox *events;
	bool flood, retained;
} fake;

struct tg_mqtt {
	int unused;
};
static struct tg_mqtt the_session;

static void post(struct tg_mqtt_event e)
{
	(void) !tg_mailbox_post(fake.events, &e);
}

static void post_message(const char *topic, const char *payload, bool retained)
{
	post((struct tg_mqtt_event){ .type = TG_MQTT_MESSAGE,
				     .retained = retained,
				     .topic = strdup(topic),
				     .payload = (uint8_t *) strdup(payload),
				     .payload_len = strlen(payload) });
}

int tg_mqtt_new(const struct tg_mqtt_options *o, struct tg_mailbox *events, struct tg_mqtt **ret,
		struct tg_fault *reterr)
{
	(void) o;
	(void) reterr;
	fake.events = events;
	*ret = &the_session;
	return 0;
}

int tg_mqtt_connect(struct tg_mqtt *m, struct tg_fault *reterr)
{
	(void) m;
	(void) reterr;
	post((struct tg_mqtt_event){ .type = TG_MQTT_CONNECTED });
	return 0;
}

int tg_mqtt_subscribe(struct tg_mqtt *m, const char *filter, struct tg_fault *reterr)
{
	(void) m;
	(void) filter;
	(void) reterr;
	post((struct tg_mqtt_event){ .type = TG_MQTT_SUBSCRIBED, .granted = true });
	return 0;
}

int tg_mqtt_publish(struct tg_mqtt *m, const char *topic, const void *payload, size_t len,
		    bool retain, uint64_t cookie, struct tg_fault *reterr)
{
	(void) m;
	(void) topic;
	(void) payload;
	(void) len;
	(void) retain;
	(void) reterr;
	post((struct tg_mqtt_event){ .type = TG_MQTT_PUBLISHED, .cookie = cookie });
	if (fake.flood) {
		post_message("elsewhere", "x", false);
		return 0;
	}
	if (fake.retained)
		post_message("t/accepted", "old", true);
	post_message("t/accepted", "new", false);
	return 0;
}

int tg_mqtt_disconnect(struct tg_mqtt *m, uint64_t timeout_us)
{
	(void) m;
	(void) timeout_us;
	return -ENOTCONN;
}

struct tg_mqtt *tg_mqtt_free(struct tg_mqtt *m)
{
	(void) m;
	return NULL;
}

void tg_mqtt_event_done(struct tg_mqtt_event *e)
{
	bool message = e->type == TG_MQTT_MESSAGE;

	free(e->topic);
	free(e->payload);
	e->topic = NULL;
	e->payload = NULL;
	if (fake.flood && message)
		post_message("elsewhere", "x", false);
}

void tg_mqtt_event_drop(void *event)
{
	fake.flood = false;
	tg_mqtt_event_done(event);
}

static uint64_t in_ms(uint64_t ms)
{
	return tg_clock_boot_us() + ms * TG_US_PER_MS;
}

static struct tg_mqtt_once *open_session(void)
{
	const struct tg_mqtt_options o = { .host = "broker.example" };
	struct tg_mqtt_once *m = NULL;
	struct tg_fault fault;
	enum tg_mqtt_cause cause;

	assert_int_equal(tg_mqtt_once_open(&o, in_ms(5000), &cause, &m, &fault), 0);
	assert_int_equal(tg_mqtt_once_prepare(m, "t", in_ms(5000), &fault), 0);
	return m;
}

static void a_broker_that_never_stops_sending_runs_out_of_time(void **state)
{
	struct tg_mqtt_once *m = open_session();
	struct tg_mqtt_reply reply = { 0 };
	struct tg_fault fault;

	(void) state;
	fake.flood = true;
	(void) alarm(30); /* rather than hang */
	assert_int_equal(tg_mqtt_once_call(m, "t", "?", 1, in_ms(50), &reply, &fault), -ETIMEDOUT);
	(void) alarm(0);
	tg_mqtt_once_close(m);
}

static void a_retained_message_is_no_answer(void **state)
{
	struct tg_mqtt_once *m = open_session();
	struct tg_mqtt_reply reply = { 0 };
	struct tg_fault fault;

	(void) state;
	fake.retained = true;
	assert_int_equal(tg_mqtt_once_call(m, "t", "?", 1, in_ms(5000), &reply, &fault), 0);
	assert_true(reply.accepted);
	assert_int_equal(reply.len, 3);
	assert_memory_equal(reply.payload, "new", 3);
	tg_mqtt_reply_done(&reply);
	tg_mqtt_once_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_broker_that_never_stops_sending_runs_out_of_time),
		cmocka_unit_test(a_retained_message_is_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
