/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/internal.h"

#include "base/clock.h"

#include <tidegate/log.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * Paho is used as little as it allows: one handle for one connect, no
 * persistence, no reconnect, no buffering, MQTT 3.1.1 only. What it tells
 * comes through callbacks.c.
 *
 * A publish is found again by the slot that is its context, not by its token:
 * the callback may come before MQTTAsync_sendMessage() has returned the token.
 */
#define AREA "mqtt"
/* Subscriptions that may wait beside the publishes; Paho counts both as in flight. */
#define SUBSCRIPTIONS_MAX 8
/* AEAD with forward secrecy; Debian 12's Paho lowers the security level to 1 before it reads it. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"

/*
 * Never connected, never freed. When Paho's last handle goes, Paho frees its log while its own
 * threads may still write to it; with this one there is no last handle.
 */
static MQTTAsync spare;
static atomic_uint stuck;
static atomic_uint handles; /* that Paho knows */

/* --- making ------------------------------------------------------------------------------- */

int tg_mqtt_global_init(struct tg_fault *reterr)
{
	static const char *const obeyed[] = { "http_proxy", "https_proxy",
					      "PAHO_C_CLIENT_USE_HTTP_PROXY", "MQTT_C_CLIENT_TRACE",
					      "MQTT_C_CLIENT_TRACE_LEVEL" };
	MQTTAsync_init_options o = MQTTAsync_init_options_initializer;
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	for (size_t i = 0; i < TG_ARRAY_SIZE(obeyed); i++)
		(void) unsetenv(obeyed[i]);
	/* Paho does the same later, at a moment of its own. */
	if (sigaction(SIGPIPE, &ignore, NULL) < 0)
		return tg_fault_set(reterr, -errno, "SIGPIPE: %s", strerror(errno));
	/* OpenSSL 3 needs none, and Paho would tear it down for everybody. */
	o.do_openssl_init = 0;
	MQTTAsync_global_init(&o);
	if (!spare && MQTTAsync_create(&spare, "tcp://127.0.0.1:1", "spare",
				       MQTTCLIENT_PERSISTENCE_NONE, NULL) != MQTTASYNC_SUCCESS)
		return tg_fault_set(reterr, -ENOMEM, "Paho gives no handle");
	return tg_mqtt_overrides_check(reterr);
}

static int check_options(const struct tg_mqtt_options *o, struct tg_fault *reterr)
{
	if (o->version == 5)
		return tg_fault_set(reterr, -EOPNOTSUPP,
				    "MQTT 5 is not available: the Paho library before 1.3.14 "
				    "crashes on hostile "
				    "MQTT 5 packets; use version 3.1.1");
	if (o->version != 4)
		return tg_fault_set(reterr, -EINVAL, "MQTT version %u is not known", o->version);
	if (!o->host || !*o->host ||
	    strlen(o->host) >= sizeof((struct tg_mqtt_attempt *) 0)->host || !o->port)
		return tg_fault_set(reterr, -EINVAL, "no usable broker name or port");
	if (strpbrk(o->host, "/[] ") ||
	    (strchr(o->host, ':') && inet_pton(AF_INET6, o->host, &(struct in6_addr){ 0 }) != 1))
		return tg_fault_set(reterr, -EINVAL, "%s: neither a host name nor an address",
				    o->host);
	if (!o->client_id || !*o->client_id)
		return tg_fault_set(reterr, -EINVAL, "no client id");
	if (!(o->ca_file || o->anchors_pem) || !(o->bundle_file || (o->chain_file && o->key_file)))
		return tg_fault_set(reterr, -EINVAL, "no ca, certificate or key file");
	if (!o->in_flight || o->in_flight > 1000)
		return tg_fault_set(reterr, -EINVAL, "in-flight must be 1..1000");
	if (o->alpn && strlen(o->alpn) > 255)
		return tg_fault_set(reterr, -EINVAL, "the ALPN name is too long");
	return 0;
}

static void fill_attempt(struct tg_mqtt_attempt *a, const struct tg_mqtt_options *o)
{
	(void) snprintf(a->host, sizeof(a->host), "%s", o->host);
	a->port = o->port;
	a->peer = (struct tg_tls_peer){ .who = "broker",
					.host = a->host,
					.now_s = o->verify_at,
					.future_s = o->future_s };
	a->fd = a->kill_fd = -1;
	/* Unacknowledged data for longer than this is a dead connection: the time in which
	 * keep-alive would see it, too. */
	a->timeout_ms = o->keep_alive_us / TG_US_PER_MS * 3 / 2 > 600000
				? 600000
				: (unsigned) (o->keep_alive_us / TG_US_PER_MS * 3 / 2);
	if (a->timeout_ms < 10000)
		a->timeout_ms = 10000;
	if (o->alpn && *o->alpn) {
		a->alpn[0] = (uint8_t) strlen(o->alpn);
		memcpy(a->alpn + 1, o->alpn, a->alpn[0]);
		a->alpn_len = a->alpn[0] + 1u;
	}
}

static int copy_options(struct tg_mqtt *m, const struct tg_mqtt_options *o)
{
	uint64_t keep_alive_s = o->keep_alive_us / TG_US_PER_S;

	m->session = o->session;
	if (o->last_address)
		(void) snprintf(m->last_address, sizeof(m->last_address), "%s", o->last_address);
	m->pick = o->pick;
	m->connect_timeout_us = o->connect_timeout_us;
	m->keep_alive_s = keep_alive_s < 1 ? 1 : keep_alive_s > 65535 ? 65535 : (int) keep_alive_s;
	m->in_flight_max = o->in_flight;
	for (unsigned i = 0; i < o->in_flight; i++)
		m->slots[i].m = m;
	fill_attempt(&m->attempt, o);
	m->ca_file = o->ca_file ? strdup(o->ca_file) : NULL;
	m->anchors_pem = o->anchors_pem ? strdup(o->anchors_pem) : NULL;
	m->attempt.anchors_pem = m->anchors_pem;
	m->chain_file = strdup(o->bundle_file ? o->bundle_file : o->chain_file);
	m->key_file = o->bundle_file ? NULL : strdup(o->key_file);
	if ((o->ca_file && !m->ca_file) || (o->anchors_pem && !m->anchors_pem) || !m->chain_file || (!o->bundle_file && !m->key_file))
		return -ENOMEM;
	if (!o->will)
		return 0;
	m->will_topic = strdup(o->will->topic);
	m->will_payload = malloc(o->will->len + 1);
	m->will_len = o->will->len;
	if (!m->will_topic || !m->will_payload)
		return -ENOMEM;
	memcpy(m->will_payload, o->will->payload, o->will->len);
	return 0;
}

/* Frees what is ours; Paho's handle is gone, or never was. */
static void session_free(struct tg_mqtt *m)
{
	tg_mqtt_attempt_end(&m->attempt);
	free(m->ca_file);
	free(m->anchors_pem);
	free(m->chain_file);
	free(m->key_file);
	free(m->will_topic);
	free(m->will_payload);
	(void) pthread_cond_destroy(&m->given_back);
	(void) pthread_mutex_destroy(&m->lock);
	free(m);
}

static int create_handle(struct tg_mqtt *m, const char *client_id, struct tg_fault *reterr)
{
	MQTTAsync_createOptions o = MQTTAsync_createOptions_initializer;
	char uri[sizeof(m->attempt.host) + 24], place[TG_MQTT_PLACE_MAX];
	int rc;

	(void) snprintf(uri, sizeof(uri), "ssl://%s", tg_mqtt_place(&m->attempt, place));
	o.MQTTVersion = MQTTVERSION_3_1_1;
	o.sendWhileDisconnected = 0;
	o.maxBufferedMessages = (int) m->in_flight_max + 1;
	rc = MQTTAsync_createWithOptions(&m->handle, uri, client_id, MQTTCLIENT_PERSISTENCE_NONE,
					 NULL, &o);
	if (m->handle)
		atomic_fetch_add(&handles, 1);
	if (rc == MQTTASYNC_SUCCESS)
		rc = MQTTAsync_setCallbacks(m->handle, m, tg_mqtt_on_lost, tg_mqtt_on_message,
					    NULL);
	if (rc != MQTTASYNC_SUCCESS)
		return tg_fault_set(reterr, rc == MQTTASYNC_BAD_UTF8_STRING ? -EINVAL : -ENOMEM,
				    "MQTT: %s", MQTTAsync_strerror(rc));
	return 0;
}

int tg_mqtt_new(const struct tg_mqtt_options *o, struct tg_mailbox *events, struct tg_mqtt **ret,
		struct tg_fault *reterr)
{
	pthread_condattr_t attr;
	struct tg_mqtt *m;
	int r = check_options(o, reterr);

	if (r < 0)
		return r;
	/* Paho's lock may be held for ever by the one that is stuck; to wait for it here would make
	 * two. */
	if (atomic_load(&stuck))
		return tg_fault_set(reterr, -EBUSY,
				    "the MQTT library has not given an earlier connection back");
	m = calloc(1, sizeof(*m) + o->in_flight * sizeof(m->slots[0]));
	if (!m)
		return tg_fault_set(reterr, -ENOMEM, "MQTT: out of memory");
	m->events = events;
	(void) pthread_mutex_init(&m->lock, NULL);
	(void) pthread_condattr_init(&attr);
	(void) pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void) pthread_cond_init(&m->given_back, &attr);
	(void) pthread_condattr_destroy(&attr);
	r = copy_options(m, o);
	if (r < 0)
		tg_fault_set(reterr, r, "MQTT: out of memory");
	else
		r = create_handle(m, o->client_id, reterr);
	if (r < 0) {
		tg_mqtt_free(m);
		return r;
	}
	*ret = m;
	return 0;
}

/* --- connecting --------------------------------------------------------------------------- */

static int start_connect(struct tg_mqtt *m, uint64_t timeout_us, struct tg_fault *reterr)
{
	MQTTAsync_connectOptions o = MQTTAsync_connectOptions_initializer;
	MQTTAsync_SSLOptions ssl = MQTTAsync_SSLOptions_initializer;
	MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
	int rc;

	ssl.trustStore = m->ca_file; /* NULL: what is trusted comes from tg_mqtt_tls_prepare() */
	ssl.keyStore = m->chain_file;
	ssl.privateKey = m->key_file;
	ssl.enabledCipherSuites = CIPHERS;
	ssl.enableServerCertAuth = 1;
	/* Paho's own look at the name, after ours; it does not understand addresses of IPv6. */
	ssl.verify = !strchr(m->attempt.host, ':');
	ssl.disableDefaultTrustStore = 1;
	ssl.ssl_error_cb = tg_mqtt_on_tls_error;
	ssl.ssl_error_context = m;
	will.topicName = m->will_topic;
	will.payload.data = m->will_payload;
	will.payload.len = (int) m->will_len;
	will.qos = 1;
	will.retained = 1;
	o.MQTTVersion = MQTTVERSION_3_1_1; /* otherwise a failure is tried again as 3.1, with a
					      second TPM signature */
	o.cleansession = 1;
	o.automaticReconnect = 0;
	o.keepAliveInterval = m->keep_alive_s;
	o.connectTimeout = (int) ((timeout_us + TG_US_PER_S - 1) / TG_US_PER_S);
	o.maxInflight = (int) m->in_flight_max + SUBSCRIPTIONS_MAX;
	o.ssl = &ssl;
	o.will = m->will_topic ? &will : NULL;
	o.onSuccess = tg_mqtt_on_connected;
	o.onFailure = tg_mqtt_on_connect_failed;
	o.context = m;
	rc = MQTTAsync_connect(m->handle, &o);
	if (rc != MQTTASYNC_SUCCESS)
		return tg_fault_set(reterr, -ENOMEM, "MQTT: %s", MQTTAsync_strerror(rc));
	return 0;
}

/* Whom the name leads to is judged by the certificate: an address that is out of date can do no harm. */
static int find_address(struct tg_mqtt *m, struct tg_fault *fault)
{
	uint64_t patience_us = m->connect_timeout_us;
	int r;

	if (m->last_address[0] && patience_us > TG_MQTT_DNS_US)
		patience_us = TG_MQTT_DNS_US;
	r = tg_mqtt_resolve(m->attempt.host, patience_us, m->pick, m->attempt.address, fault);
	if (r == 0 || !m->last_address[0])
		return r;
	tg_log(LOG_NOTICE, AREA, "%s; trying %s, where the broker was last", fault->text, m->last_address);
	memcpy(m->attempt.address, m->last_address, sizeof(m->attempt.address));
	m->attempt.remembered = true;
	return 0;
}

int tg_mqtt_connect(struct tg_mqtt *m, struct tg_fault *reterr)
{
	uint64_t begun = tg_clock_boot_us(), left;
	struct tg_fault fault = { 0 };
	bool tpm;
	int r;

	tg_mqtt_lock(m);
	r = m->state == TG_MQTT_STATE_NEW ? 0 : -EALREADY;
	m->state = r ? m->state : TG_MQTT_STATE_CONNECTING;
	tg_mqtt_unlock(m);
	if (r < 0)
		return tg_fault_set(reterr, r, "MQTT: a session connects once");
	r = tg_mqtt_tls_files(m->ca_file, m->anchors_pem, m->chain_file,
			      m->key_file ? m->key_file : m->chain_file, &tpm, &fault);
	if (r < 0) {
		tg_mqtt_fail_early(m, tpm ? TG_MQTT_CAUSE_TPM : TG_MQTT_CAUSE_LOCAL, &fault);
		return 0;
	}
	r = find_address(m, &fault);
	if (r < 0) {
		tg_mqtt_fail_early(m, TG_MQTT_CAUSE_DNS, &fault);
		return 0;
	}
	left = tg_clock_boot_us() - begun;
	left = left < m->connect_timeout_us ? m->connect_timeout_us - left : 1;
	tg_mqtt_attempt_begin(&m->attempt);
	return start_connect(m, left, reterr);
}

const char *tg_mqtt_address(const struct tg_mqtt *m)
{
	return m->attempt.address;
}

/* --- using -------------------------------------------------------------------------------- */

static int from_paho(int rc, const char *what, struct tg_fault *reterr)
{
	int r;

	switch (rc) {
	case MQTTASYNC_SUCCESS:
		return 0;
	case MQTTASYNC_DISCONNECTED:
		r = -ENOTCONN;
		break;
	case MQTTASYNC_MAX_BUFFERED_MESSAGES:
	case MQTTASYNC_NO_MORE_MSGIDS:
		r = -EAGAIN;
		break;
	case MQTTASYNC_BAD_UTF8_STRING:
		r = -EINVAL;
		break;
	default:
		r = -ENOMEM;
	}
	return tg_fault_set(reterr, r, "MQTT %s: %s", what, MQTTAsync_strerror(rc));
}

/* With the lock held. */
static int usable(const struct tg_mqtt *m, struct tg_fault *reterr)
{
	if (m->broken)
		return tg_fault_set(reterr, -EPIPE,
				    "MQTT: an event was lost, the session is of no more use");
	if (m->state != TG_MQTT_STATE_UP)
		return tg_fault_set(reterr, -ENOTCONN, "MQTT: not connected");
	return 0;
}

int tg_mqtt_subscribe(struct tg_mqtt *m, const char *filter, struct tg_fault *reterr)
{
	MQTTAsync_responseOptions o = MQTTAsync_responseOptions_initializer;
	int r;

	if (!*filter || strlen(filter) > TG_MQTT_TOPIC_MAX)
		return tg_fault_set(reterr, -EINVAL, "MQTT: a topic filter must have 1 to %d bytes",
				    TG_MQTT_TOPIC_MAX);
	tg_mqtt_lock(m);
	r = usable(m, reterr);
	tg_mqtt_unlock(m);
	if (r < 0)
		return r;
	o.onSuccess = tg_mqtt_on_subscribed;
	o.onFailure = tg_mqtt_on_subscribe_failed;
	o.context = m;
	return from_paho(MQTTAsync_subscribe(m->handle, filter, 1, &o), "subscribe", reterr);
}

static int take_slot(struct tg_mqtt *m, uint64_t cookie, struct tg_mqtt_slot **ret,
		     struct tg_fault *reterr)
{
	int r;

	tg_mqtt_lock(m);
	r = usable(m, reterr);
	if (r == 0 && m->in_flight >= m->in_flight_max)
		r = tg_fault_set(reterr, -EAGAIN,
				 "MQTT: %u messages wait for their acknowledgement", m->in_flight);
	for (unsigned i = 0; r == 0 && i < m->in_flight_max; i++) {
		if (m->slots[i].used)
			continue;
		m->slots[i].used = true;
		m->slots[i].cookie = cookie;
		m->in_flight++;
		*ret = &m->slots[i];
		break;
	}
	tg_mqtt_unlock(m);
	return r;
}

/* Returns whether @s was still in use; if not, its failure has been told already. */
static bool give_slot_back(struct tg_mqtt_slot *s)
{
	struct tg_mqtt *m = s->m;
	bool used;

	tg_mqtt_lock(m);
	used = s->used;
	s->used = false;
	m->in_flight -= used;
	tg_mqtt_unlock(m);
	return used;
}

int tg_mqtt_publish(struct tg_mqtt *m, const char *topic, const void *payload, size_t len,
		    bool retain, uint64_t cookie, struct tg_fault *reterr)
{
	MQTTAsync_responseOptions o = MQTTAsync_responseOptions_initializer;
	struct tg_mqtt_slot *s = NULL;
	int r;

	/* A broker answers a bad topic by dropping the connection. */
	if (!*topic || strlen(topic) > TG_MQTT_TOPIC_MAX || strpbrk(topic, "+#"))
		return tg_fault_set(reterr, -EINVAL, "MQTT: not a topic to publish to");
	if (len > TG_MQTT_MESSAGE_MAX)
		return tg_fault_set(reterr, -EMSGSIZE,
				    "MQTT: %zu bytes are too many for one message", len);
	r = take_slot(m, cookie, &s, reterr);
	if (r < 0)
		return r;
	o.onSuccess = tg_mqtt_on_published;
	o.onFailure = tg_mqtt_on_publish_failed;
	o.context = s;
	r = from_paho(MQTTAsync_send(m->handle, topic, (int) len, payload, 1, retain, &o),
		      "publish", reterr);
	return r < 0 && give_slot_back(s) ? r : 0;
}

uint64_t tg_mqtt_heard_us(const struct tg_mqtt *m)
{
	return tg_mqtt_attempt_heard_us(&m->attempt);
}

/* --- ending ------------------------------------------------------------------------------- */

int tg_mqtt_disconnect(struct tg_mqtt *m, uint64_t timeout_us)
{
	MQTTAsync_disconnectOptions o = MQTTAsync_disconnectOptions_initializer;
	int r;

	tg_mqtt_lock(m);
	r = usable(m, NULL);
	if (r == 0)
		m->state = TG_MQTT_STATE_LEAVING;
	tg_mqtt_unlock(m);
	if (r < 0)
		return r;
	o.timeout = timeout_us / TG_US_PER_MS > 60000 ? 60000 : (int) (timeout_us / TG_US_PER_MS);
	o.onSuccess = tg_mqtt_on_disconnected;
	o.onFailure = tg_mqtt_on_disconnect_failed;
	o.context = m;
	return from_paho(MQTTAsync_disconnect(m->handle, &o), "disconnect", NULL);
}

static void *destroy_run(void *arg)
{
	struct tg_mqtt *m = arg;
	bool abandoned;

	MQTTAsync_destroy(&m->handle);
	if (atomic_fetch_sub(&handles, 1) == 1)
		tg_mqtt_overrides_settle();
	tg_mqtt_lock(m);
	m->destroyed = true;
	abandoned = m->abandoned;
	(void) pthread_cond_signal(&m->given_back);
	tg_mqtt_unlock(m);
	if (abandoned) {
		session_free(m);
		atomic_fetch_sub(&stuck, 1);
	}
	return NULL;
}

/* Returns whether Paho gave the handle back in time; if not, the thread that waits for it owns @m.
 */
static bool wait_given_back(struct tg_mqtt *m)
{
	struct timespec deadline;
	bool destroyed;

	(void) clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += (time_t) (TG_MQTT_FREE_MAX_US / TG_US_PER_S);
	tg_mqtt_lock(m);
	while (!m->destroyed)
		if (pthread_cond_timedwait(&m->given_back, &m->lock, &deadline) == ETIMEDOUT)
			break;
	destroyed = m->destroyed;
	if (!destroyed) {
		m->abandoned = true;
		atomic_fetch_add(&stuck, 1);
	}
	tg_mqtt_unlock(m);
	return destroyed;
}

void tg_mqtt_mute(struct tg_mqtt *m)
{
	tg_mqtt_lock(m);
	m->muted = true;
	tg_mqtt_unlock(m);
}

struct tg_mqtt *tg_mqtt_free(struct tg_mqtt *m)
{
	pthread_t thread;

	if (!m)
		return NULL;
	tg_mqtt_mute(m);
	/* MQTTAsync_destroy() would send DISCONNECT, and the broker forget the will. */
	tg_mqtt_attempt_kill(&m->attempt);
	if (!m->handle) {
		session_free(m);
		return NULL;
	}
	/* On a thread of its own: it is known to hang (paho.mqtt.c#578, #1669). */
	if (pthread_create(&thread, NULL, destroy_run, m) != 0) {
		(void) destroy_run(m);
		session_free(m);
		return NULL;
	}
	if (wait_given_back(m)) {
		(void) pthread_join(thread, NULL);
		session_free(m);
		return NULL;
	}
	(void) pthread_detach(thread);
	tg_log(LOG_ERR, AREA,
	       "The MQTT library does not end a connection, leaving it behind; no new one is made");
	return NULL;
}

unsigned tg_mqtt_stuck(void)
{
	return atomic_load(&stuck);
}
