/* SPDX-License-Identifier: Apache-2.0 */
#include "config/table.h"

#include "config/bus/types.h"
#include "config/rows.h"
#include "config/type_enrol.h"

#include <string.h>


#define LATER          "is not in this version"
#define DEVICE_ALLOWED .lo = 1

const struct tg_config_sort tg_config_sorts[TG_KINDS] = {
	[TG_KIND_GATEWAY] = { "gateway", NULL, "what the gateway is called" },
	[TG_KIND_TPM] = { "tpm", NULL, "the TPM that holds the keys" },
	[TG_KIND_ENROLMENT] = { "enrolment", NULL, "how the gateway gets its certificate" },
	[TG_KIND_AWS_FLEET] = { "enrolment.aws-fleet", NULL,
				"AWS IoT fleet provisioning by claim; for method = aws-fleet" },
	[TG_KIND_EST] = { "enrolment.est", NULL,
			  "enrolment over secure transport, RFC 7030; for method = est" },
	[TG_KIND_MANUAL] = { "enrolment.manual", NULL,
			     "requests and certificates carried by hand; for method = manual" },
	[TG_KIND_ROTATION] = { "rotation", NULL, "when key and certificate are renewed" },
	[TG_KIND_MQTT] = { "mqtt", NULL, "the broker and what it is told" },
	[TG_KIND_SPOOL] = { "spool", NULL,
			    "where readings wait while the broker cannot be reached" },
	[TG_KIND_METRICS] = { "metrics", NULL, "figures for monitoring" },
	[TG_KIND_CONTROL] = { "control", NULL,
			      "the control socket, where systemd does not make it" },
	[TG_KIND_BUS] = { "bus", "NAME", "a physical bus" },
	[TG_KIND_DEVICE] = { "device", "NAME", "a device on a bus" },
	[TG_KIND_POINT] = { "point", "DEVICE/NAME", "a value of a device" },
};

const struct tg_word tg_config_bus_types[] = {
	{ "modbus-rtu", TG_BUS_MODBUS_RTU, NULL },
	{ "modbus-tcp", TG_BUS_MODBUS_TCP, NULL },
	{ "i2c", TG_BUS_I2C, NULL },
	{ "spi", TG_BUS_SPI, NULL },
	{ "can", TG_BUS_CAN, NULL },
	{ "gpio", TG_BUS_GPIO, NULL },
	{ "w1", TG_BUS_W1, NULL },
	{ "hwmon", TG_BUS_HWMON, NULL },
	{ "iio", TG_BUS_IIO, NULL },
	{ "serial", TG_BUS_SERIAL, NULL },
	{ "mqtt", TG_BUS_MQTT, NULL },
	{ "exec", TG_BUS_EXEC, NULL },
	{ "sim", TG_BUS_SIM, NULL },
	{ NULL, 0, NULL },
};

/* Types of buses whose devices are asked, and may be asked again; that speak unasked; that commands can set. */
#define BIT(type_)   TG_BUS_BIT(TG_BUS_##type_)
#define TIMED        (BIT(MODBUS_RTU) | BIT(MODBUS_TCP) | BIT(EXEC))
#define RETRIED      (BIT(MODBUS_RTU) | BIT(MODBUS_TCP) | BIT(I2C) | BIT(SPI) | BIT(W1))
#define WRITABLE     (BIT(MODBUS_RTU) | BIT(MODBUS_TCP) | BIT(I2C) | BIT(SPI) | BIT(GPIO) | BIT(SIM))

static const struct tg_word providers[] = {
	{ "builtin", TG_PROVIDER_BUILTIN, NULL },
	{ "tpm2", TG_PROVIDER_TPM2, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_word methods[] = {
	{ "aws-fleet", TG_ENROL_AWS_FLEET, NULL },
	{ "est", TG_ENROL_EST, NULL },
	{ "manual", TG_ENROL_MANUAL, NULL },
	{ "none", TG_ENROL_NONE, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_word est_operations[] = {
	{ "simplereenroll", TG_EST_SIMPLEREENROLL, NULL },
	{ "simpleenroll", TG_EST_SIMPLEENROLL, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_word est_subjects[] = {
	{ "asked", false, NULL },
	{ "any", true, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_word on_failure[] = {
	{ "hold", TG_ON_FAILURE_HOLD, NULL },
	{ "claim", TG_ON_FAILURE_CLAIM, NULL },
	{ NULL, 0, NULL },
};

/* MQTT's own numbers for its versions. */
static const struct tg_word mqtt_versions[] = {
	{ "3.1.1", 4, NULL },
	{ "5", 5,
	  "MQTT 5 " LATER ": it needs Paho 1.3.14 or newer, as hostile packets crash older ones" },
	{ NULL, 0, NULL },
};

static const struct tg_word formats[] = {
	{ "senml-json", TG_FORMAT_SENML_JSON, NULL },
	{ "senml-cbor", TG_FORMAT_SENML_CBOR, "format 'senml-cbor' " LATER },
	{ "json", TG_FORMAT_JSON, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_word durabilities[] = {
	{ "full", TG_DURABILITY_FULL, NULL },
	{ "normal", TG_DURABILITY_NORMAL, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_word when_full[] = {
	{ "drop-oldest", TG_DROP_OLDEST, NULL },
	{ "drop-newest", TG_DROP_NEWEST, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_word publish[] = {
	{ "always", TG_PUBLISH_ALWAYS, NULL },
	{ "change", TG_PUBLISH_CHANGE, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_config_key general_keys[] = {
	KEY(GATEWAY, "id", template, gateway.id, "%t", "gateway id, %i in other values",
	    LENGTH(128)),
	KEY(GATEWAY, "labels.", pair, gateway.labels, "", "label in the status message"),

	KEY(TPM, "tcti", text, tpm.tcti, "device:/dev/tpmrm0",
	    "how the TPM is reached, in tpm2-tss's notation"),
	KEY(TPM, "parent", u32, tpm.parent, "0x81000001",
	    "persistent handle of the storage root key", RANGE(0x81000000, 0x81ffffff)),
	KEY(TPM, "openssl-provider", words, tpm.provider, "builtin",
	    "what signs TLS handshakes: our own provider, or tpm2-openssl 1.3.0 or newer",
	    WORDS(providers)),
	KEY(TPM, "timeout", duration, tpm.timeout_us, "10s", "longest time for one answer",
	    RANGE(100 * MS, 10 * MINUTE)),
	KEY(TPM, "owner-auth-file", secret, tpm.owner_auth_file, "",
	    "file with the owner's authorisation, needed to make the storage root key where one is "
	    "set"),

	KEY(ENROLMENT, "method", words, enrolment.method, "none", "how certificates are got",
	    WORDS(methods)),
	KEY(ENROLMENT, "subject", template, enrolment.subject, "CN=%i",
	    "subject of the certificate request", LENGTH(512)),
	KEY(ENROLMENT, "dns-name", host_list, enrolment.dns_names, "",
	    "subject alternative name; may be repeated"),

	KEY(AWS_FLEET, "endpoint", host, enrolment.aws.endpoint, "",
	    "the account's data endpoint (ats)"),
	KEY(AWS_FLEET, "port", u16, enrolment.aws.port, "8883",
	    "TCP port; 443 needs alpn = x-amzn-mqtt-ca", RANGE(1, 65535)),
	KEY(AWS_FLEET, "alpn", text, enrolment.aws.alpn, "",
	    "application protocol named in the TLS handshake", LENGTH(255)),
	KEY(AWS_FLEET, "ca", path, enrolment.aws.ca, "",
	    "certificates that the endpoint's chain must end in"),
	KEY(AWS_FLEET, "claim-certificate", path, enrolment.aws.claim_certificate, "",
	    "claim certificate"),
	KEY(AWS_FLEET, "claim-key", path, enrolment.aws.claim_key, "",
	    "its key: PEM, or a TSS2 key in the TPM"),
	KEY(AWS_FLEET, "template", name, enrolment.aws.template_name, "", "provisioning template",
	    LENGTH(36)),
	KEY(AWS_FLEET, "parameter.", pair, enrolment.aws.parameters, "",
	    "parameter of the template"),
	KEY(AWS_FLEET, "rotation-template", name, enrolment.aws.rotation_template, "",
	    "template for renewals; empty: the same", LENGTH(36)),
	KEY(AWS_FLEET, "rotation-client-id", template, enrolment.aws.rotation_client_id, "%i-renew",
	    "client id for renewals while the gateway is connected", LENGTH(128)),
	KEY(AWS_FLEET, "forget-claim", yes_no, enrolment.aws.forget_claim, "no",
	    "remove the claim files once the gateway has its own certificate"),

	KEY(EST, "url", url, enrolment.est.url, "",
	    "server, as https://est.example, to which /.well-known/est is added, or with a path",
	    LENGTH(512)),
	KEY(EST, "ca", path, enrolment.est.ca, "",
	    "certificates that the server's chain must end in"),
	KEY(EST, "ca-fingerprint", fingerprint_list, enrolment.est.ca_fingerprints, "",
	    "digest of a certificate to trust, as sha256:HEX; may be repeated"),
	KEY(EST, "label", segment, enrolment.est.label, "", "additional path segment", LENGTH(64)),
	KEY(EST, "username", template, enrolment.est.username, "",
	    "for HTTP authentication at first enrolment", LENGTH(255)),
	KEY(EST, "password-file", secret, enrolment.est.password_file, "",
	    "file with its password"),
	KEY(EST, "certificate", path, enrolment.est.certificate, "",
	    "certificate for first enrolment"),
	KEY(EST, "key", path, enrolment.est.key, "",
	    "its key: PEM, or a TSS2 key in the TPM"),
	KEY(EST, "proxy", proxy, enrolment.est.proxy, "",
	    "HTTP proxy to go through, as http://HOST:PORT; the environment's is never used",
	    LENGTH(512)),
	KEY(EST, "renew-by", words, enrolment.est.renew_by, "simplereenroll",
	    "operation that renews", WORDS(est_operations)),
	KEY(EST, "accept-subject", either, enrolment.est.any_subject, "asked",
	    "whether the server may choose another subject than was asked for",
	    WORDS(est_subjects)),

	KEY(MANUAL, "ca", path, enrolment.manual.ca, "",
	    "certificates that the gateway's own chain must end in"),

	KEY(ROTATION, "renew-at", percent, rotation.renew_at, "66%",
	    "age at which the certificate is renewed, of its life", RANGE(1, 99)),
	KEY(ROTATION, "max-age", duration, rotation.max_age_us, "90d",
	    "age at which it is renewed at the latest", RANGE(SECOND, 36500 * DAY)),
	KEY(ROTATION, "jitter", percent, rotation.jitter, "5%",
	    "how much earlier at most, differently on each gateway, of its life", RANGE(0, 50)),
	KEY(ROTATION, "rekey", yes_no, rotation.rekey, "yes", "make a new key for each certificate"),
	KEY(ROTATION, "on-expiry", words, rotation.on_expiry, "hold",
	    "what follows on a certificate that has expired: wait, or enrol again by claim",
	    WORDS(on_failure)),
	KEY(ROTATION, "on-refused", words, rotation.on_refused, "hold",
	    "what follows on a certificate that is refused for good", WORDS(on_failure)),
	KEY(ROTATION, "on-key-lost", words, rotation.on_key_lost, "hold",
	    "what follows when the TPM was cleared or replaced", WORDS(on_failure)),
	KEY(ROTATION, "probation", duration, rotation.probation_us, "2m",
	    "how long a new certificate must stay connected before the old one goes",
	    RANGE(0, 7 * DAY)),

	KEY(MQTT, "endpoint", host, mqtt.endpoint, "",
	    "broker, verified against its certificate; empty: nothing is published"),
	KEY(MQTT, "port", u16, mqtt.port, "8883", "TCP port", RANGE(1, 65535)),
	KEY(MQTT, "alpn", text, mqtt.alpn, "", "application protocol named in the TLS handshake",
	    LENGTH(255)),
	KEY(MQTT, "ca", path, mqtt.ca, "",
	    "certificates that the broker's chain must end in; no others are trusted"),
	KEY(MQTT, "ca-from-enrolment", yes_no, mqtt.ca_from_enrolment, "no",
	    "trust for the broker also what enrolment gave as trust anchors"),
	KEY(MQTT, "client-id", template, mqtt.client_id, "%i", "MQTT client id", LENGTH(128)),
	KEY(MQTT, "version", words, mqtt.version, "3.1.1", "protocol version",
	    WORDS(mqtt_versions)),
	KEY(MQTT, "keep-alive", duration, mqtt.keep_alive_us, "45s",
	    "longest silence before the broker is asked whether it is there",
	    RANGE(5 * SECOND, 65535 * SECOND)),
	KEY(MQTT, "in-flight", unsigned, mqtt.in_flight, "32",
	    "messages sent and not yet acknowledged, at most", RANGE(1, 256)),
	KEY(MQTT, "topic", topic, mqtt.topic, "tidegate/%i/%d", "where readings go",
	    DEVICE_ALLOWED),
	KEY(MQTT, "status-topic", topic, mqtt.status_topic, "tidegate/%i/status",
	    "where the gateway's retained status and last will go"),
	KEY(MQTT, "command-topic", topic, mqtt.command_topic, "tidegate/%i/%d/set",
	    "where commands come from; results go to the same with /result behind it",
	    DEVICE_ALLOWED),
	KEY(MQTT, "format", words, mqtt.format, "senml-json", "format of readings", WORDS(formats)),
	KEY(MQTT, "base-name", per_device, mqtt.base_name, "%i:%d:", "SenML base name",
	    LENGTH(256)),
	KEY(MQTT, "max-payload", size, mqtt.max_payload, "128K", "largest message; more is split",
	    RANGE(KIB, 16 * MIB)),
	KEY(MQTT, "rate-limit", rate, mqtt.rate_limit, "100/s", "messages a second, at most",
	    RANGE(1, 100000)),
	KEY(MQTT, "echo", yes_no, mqtt.echo, "no",
	    "trust a session only when the broker returns the status sent in it"),

	KEY(SPOOL, "memory", size, spool.memory, "8M",
	    "memory for messages that are not acknowledged", RANGE(64 * KIB, GIB)),
	KEY(SPOOL, "max-size", size, spool.max_size, "256M", "disk space",
	    RANGE(64 * KIB, 1024 * GIB)),
	KEY(SPOOL, "max-age", duration, spool.max_age_us, "30d", "older messages are dropped",
	    RANGE(MINUTE, 36500 * DAY)),
	KEY(SPOOL, "commit-interval", duration, spool.commit_interval_us, "1s",
	    "how long a message may be in memory only; 0: not at all", RANGE(0, HOUR)),
	KEY(SPOOL, "durability", words, spool.durability, "full",
	    "normal may lose the last minutes in a power cut", WORDS(durabilities)),
	KEY(SPOOL, "when-full", words, spool.when_full, "drop-oldest",
	    "what is dropped at max-size", WORDS(when_full)),

	KEY(METRICS, "textfile", path, metrics.textfile, "",
	    "file for node_exporter's textfile collector"),
	KEY(CONTROL, "group", name, control.group, "tidegate",
	    "group that may use the control socket", LENGTH(32)),

	BUS("type", words, type, REQUIRED, "kind of bus", WORDS(tg_config_bus_types)),

	DEVICE("bus", bus, bus, REQUIRED, "the bus that it is on"),
	DEVICE("every", duration, every_us, "5s", "time from poll to poll",
	       RANGE(10 * MS, 30 * DAY)),
	DEVICE("timeout", duration, timeout_us, "1s", "longest time for one answer",
	       RANGE(MS, 10 * MINUTE), ONLY(TIMED)),
	DEVICE("retries", unsigned, retries, "1", "further tries after one that failed",
	       RANGE(0, 100), ONLY(RETRIED)),
	DEVICE("totals-interval", duration, totals_interval_us, "5m",
	       "longest time that a change of a counter's total is only in memory",
	       RANGE(SECOND, DAY)),
	DEVICE("backoff", duration, backoff_us, "60s", "pause for a device that does not answer",
	       RANGE(0, DAY)),

	POINT("scale", scale, scale, "1", "factor of the shown value"),
	POINT("offset", real, offset, "0", "added to it after scale"),
	POINT("unit", text, unit, "", "unit of the shown value, from the SenML registry",
	      LENGTH(32)),
	POINT("publish", words, publish, "always", "at each poll, or when the value has changed",
	      WORDS(publish)),
	POINT("deadband", deadband, deadband, "0",
	      "smallest change that counts, in units or percent of the last published value",
	      FLAG(deadband_percent)),
	POINT("max-silence", duration, max_silence_us, "10m", "published at least this often",
	      RANGE(SECOND, 30 * DAY)),
	POINT("counter", counter, counter_bits, "no",
	      "bits of a counter that wraps; its total goes on over wraps and restarts",
	      RANGE(1, 64)),
	POINT("write", yes_no, write, "no", "whether commands may set it", ONLY(WRITABLE)),
	POINT("min", bound, min, "", "smallest value that a command may set", FLAG(has_min),
	      ONLY(WRITABLE)),
	POINT("max", bound, max, "", "largest value that a command may set", FLAG(has_max),
	      ONLY(WRITABLE)),
	POINT("safe", bound, safe, "", "what it falls to when no command comes for safe-after",
	      FLAG(has_safe), ONLY(WRITABLE)),
	POINT("safe-after", duration, safe_after_us, "5m", "silence of commands after which it falls to safe",
	      RANGE(SECOND, 30 * DAY), ONLY(WRITABLE)),
};

/* The general keys, then those of each bus type. */
static const struct tg_config_bus_keys *const sets[] = {
	&(const struct tg_config_bus_keys){ .keys = general_keys, .n = TG_ARRAY_SIZE(general_keys) },
	&tg_config_modbus_keys,
	&tg_config_i2c_keys,
	&tg_config_spi_keys,
	&tg_config_can_keys,
	&tg_config_gpio_keys,
	&tg_config_w1_keys,
	&tg_config_hwmon_keys,
	&tg_config_iio_keys,
	&tg_config_serial_keys,
	&tg_config_mqtt_bus_keys,
	&tg_config_exec_keys,
	&tg_config_sim_keys,
};

const struct tg_config_bus_keys *tg_config_bus_keys_of(unsigned bus)
{
	for (size_t set = 1; set < TG_ARRAY_SIZE(sets); set++) {
		if (sets[set]->buses & bus)
			return sets[set];
	}
	return NULL;
}

const char *tg_config_bus_type_name(enum tg_bus_type type)
{
	for (const struct tg_word *w = tg_config_bus_types; w->word; w++) {
		if (w->value == type)
			return w->word;
	}
	return "?";
}

unsigned tg_config_key_types(const struct tg_config_key *key)
{
	for (size_t set = 1; set < TG_ARRAY_SIZE(sets); set++) {
		for (size_t i = 0; i < sets[set]->n; i++) {
			if (&sets[set]->keys[i] == key)
				return sets[set]->buses;
		}
	}
	return TG_EVERY_BUS;
}

const struct tg_config_key *tg_config_key_at(size_t i)
{
	for (size_t set = 0; set < TG_ARRAY_SIZE(sets); set++) {
		if (i < sets[set]->n)
			return &sets[set]->keys[i];
		i -= sets[set]->n;
	}
	return NULL;
}

bool tg_config_key_is_family(const struct tg_config_key *key)
{
	return key->name[strlen(key->name) - 1] == '.';
}

bool tg_config_key_fits(const struct tg_config_key *key, unsigned buses)
{
	return key->buses == TG_EVERY_BUS || (key->buses & buses);
}

const struct tg_config_key *tg_config_key_find(enum tg_config_kind kind, const char *name,
					       const char **ret_member)
{
	const struct tg_config_key *key;

	for (size_t i = 0; (key = tg_config_key_at(i)); i++) {
		size_t len = strlen(key->name);
		bool family = tg_config_key_is_family(key);

		if (key->kind != kind || strncmp(key->name, name, family ? len : len + 1) != 0)
			continue;
		*ret_member = family ? name + len : NULL;
		return key;
	}
	return NULL;
}
