/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "mqtt/internal.h"

#include <string.h>

/* A session as Paho's callbacks find it, without Paho. */
static struct tg_mqtt *session(bool judged, struct tg_mailbox *events)
{
	struct tg_mqtt *m = calloc(1, sizeof(*m) + sizeof(m->slots[0]));

	assert_non_null(m);
	m->events = events;
	m->in_flight_max = 1;
	m->state = TG_MQTT_STATE_CONNECTING;
	m->attempt.fd = m->attempt.kill_fd = -1;
	m->attempt.stage = TG_MQTT_STAGE_TCP;
	m->attempt.peer.passed = m->attempt.peer.finished = judged;
	m->attempt.peer.not_before = 7;
	(void) pthread_mutex_init(&m->lock, NULL);
	return m;
}

static struct tg_mailbox *mailbox(void)
{
	struct tg_mailbox *events = NULL;

	assert_int_equal(
		tg_mailbox_new(4, sizeof(struct tg_mqtt_event), tg_mqtt_event_drop, &events), 0);
	return events;
}

static void end(struct tg_mqtt *m, struct tg_mailbox *events)
{
	(void) pthread_mutex_destroy(&m->lock);
	free(m);
	tg_mailbox_free(events);
}

static void a_broker_that_was_judged_is_connected(void **state)
{
	struct tg_mailbox *events = mailbox();
	struct tg_mqtt *m = session(true, events);
	struct tg_mqtt_event e = { 0 };

	(void) state;
	tg_mqtt_on_connected(m, NULL);
	assert_int_equal(tg_mailbox_take(events, &e), 1);
	assert_int_equal(e.type, TG_MQTT_CONNECTED);
	assert_int_equal(e.peer_not_before, 7);
	assert_int_equal(m->state, TG_MQTT_STATE_UP);
	end(m, events);
}

static void a_broker_that_nobody_judged_is_refused(void **state)
{
	struct tg_mailbox *events = mailbox();
	struct tg_mqtt *m = session(false, events);
	struct tg_mqtt_event e = { 0 };

	(void) state;
	tg_mqtt_on_connected(m, NULL);
	assert_int_equal(tg_mailbox_take(events, &e), 1);
	assert_int_equal(e.type, TG_MQTT_CONNECT_FAILED);
	assert_int_equal(e.cause, TG_MQTT_CAUSE_LOCAL);
	assert_int_equal(e.peer_not_before, 0);
	assert_non_null(strstr(e.text, "not checked"));
	assert_int_equal(m->state, TG_MQTT_STATE_DOWN);
	end(m, events);
}

static void *copy(const void *from, size_t len)
{
	void *to = MQTTAsync_malloc(len);

	assert_non_null(to);
	memcpy(to, from, len);
	return to;
}

static int bring_message(struct tg_mqtt *m)
{
	const MQTTAsync_message empty = MQTTAsync_message_initializer;
	MQTTAsync_message *msg = copy(&empty, sizeof(empty));

	msg->payload = copy("late", 4);
	msg->payloadlen = 4;
	return tg_mqtt_on_message(m, copy("t", 2), 0, msg);
}

static void a_message_reaches_the_mailbox(void **state)
{
	struct tg_mailbox *events = mailbox();
	struct tg_mqtt *m = session(true, events);
	struct tg_mqtt_event e = { 0 };

	(void) state;
	assert_int_equal(bring_message(m), 1);
	assert_int_equal(tg_mailbox_take(events, &e), 1);
	assert_int_equal(e.type, TG_MQTT_MESSAGE);
	assert_int_equal(e.payload_len, 4);
	tg_mqtt_event_done(&e);
	end(m, events);
}

static void a_message_behind_free_does_not_touch_the_mailbox(void **state)
{
	struct tg_mqtt *m = session(true, NULL); /* to look at it is to crash */

	(void) state;
	m->muted = true;
	assert_int_equal(bring_message(m), 1);
	end(m, NULL);
}

/* A handle that is never used: Paho accounts for its memory only once there has been one. */
static int make_handle(void **state)
{
	return MQTTAsync_create((MQTTAsync *) state, "tcp://127.0.0.1:1", "x",
				MQTTCLIENT_PERSISTENCE_NONE, NULL);
}

static int destroy_handle(void **state)
{
	MQTTAsync_destroy((MQTTAsync *) state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_broker_that_was_judged_is_connected),
		cmocka_unit_test(a_broker_that_nobody_judged_is_refused),
		cmocka_unit_test(a_message_reaches_the_mailbox),
		cmocka_unit_test(a_message_behind_free_does_not_touch_the_mailbox),
	};

	return cmocka_run_group_tests(tests, make_handle, destroy_handle);
}
