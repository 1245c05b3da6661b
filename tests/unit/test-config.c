/* SPDX-License-Identifier: Apache-2.0 */
#include "config/load.h"

#include "base/file.h"
#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define EXPECT "# expect "

/* --- the files of tests/data/config, which say themselves what is to be said about them ----------
 */

/* Whether a complaint "PATH:LINE: ...TEXT..." for `LINE error|warning TEXT` is in @c. */
static bool was_told(const struct tg_complaints *c, const char *path, const char *expected)
{
	bool warning = strstr(expected, " warning ") != NULL;
	const char *text = strchr(strchr(expected, ' ') + 1, ' ') + 1;
	tg_autofree char *head = NULL;

	/* `-` is the file as a whole. */
	if (*expected == '-' ? asprintf(&head, "%s: ", path) < 0
			     : asprintf(&head, "%s:%.*s: ", path, (int) strcspn(expected, " "),
					expected) < 0)
		fail();
	for (size_t i = 0; i < c->n; i++)
		if (c->items[i].warning == warning &&
		    strncmp(c->items[i].text, head, strlen(head)) == 0 &&
		    strstr(c->items[i].text + strlen(head), text))
			return true;
	return false;
}

static void check_file(const char *path, bool good)
{
	tg_cleanup(tg_config_unrefp) struct tg_config *config = NULL;
	tg_autofree char *data = NULL;
	struct tg_complaints c;
	size_t len, expected = 0;
	char *at, *end;
	int r = tg_config_load(path, &c, &config);

	for (size_t i = 0; i < c.n; i++)
		print_message("    %s\n", c.items[i].text);
	if (r != (good ? 0 : -EBADMSG))
		fail_msg("%s: loading gave %d", path, r);
	assert_int_equal(tg_file_read(AT_FDCWD, path, 1 << 20, &data, &len, NULL), 0);
	for (at = data; at < data + len; at = end + 1) {
		end = memchr(at, '\n', (size_t) (data + len - at));
		if (!end)
			break;
		*end = '\0';
		if (end > at && end[-1] == '\r')
			end[-1] = '\0';
		if (strncmp(at, EXPECT, strlen(EXPECT)) != 0)
			continue;
		expected++;
		if (!was_told(&c, path, at + strlen(EXPECT)))
			fail_msg("%s: not told: %s", path, at + strlen(EXPECT));
	}
	if (c.n != expected || c.errors + c.warnings != expected)
		fail_msg("%s: %zu complaints instead of %zu", path, c.errors + c.warnings,
			 expected);
	tg_complaints_done(&c);
}

static size_t check_directory(const char *name, bool good)
{
	tg_autofree char *dir = NULL;
	struct dirent **entries;
	int n;

	if (asprintf(&dir, "%s/config/%s", getenv("TIDEGATE_DATA"), name) < 0)
		fail();
	n = scandir(dir, &entries, NULL, alphasort);
	assert_true(n > 2);
	for (int i = 0; i < n; i++) {
		tg_autofree char *path = NULL;

		if (entries[i]->d_name[0] != '.') {
			if (asprintf(&path, "%s/%s", dir, entries[i]->d_name) < 0)
				fail();
			check_file(path, good);
		}
		free(entries[i]);
	}
	free(entries);
	return (size_t) n - 2;
}

static void bad_files_are_refused_with_line_and_reason(void **state)
{
	(void) state;
	assert_true(check_directory("bad", false) >= 80);
}

static void good_files_load_with_the_warnings_they_deserve(void **state)
{
	(void) state;
	assert_true(check_directory("good", true) >= 10);
}

/* --- what is in a configuration ------------------------------------------------------------------
 */

static struct tg_config *load_good(const char *name)
{
	tg_autofree char *path = NULL;
	struct tg_config *config = NULL;
	struct tg_complaints c;

	if (asprintf(&path, "%s/config/good/%s", getenv("TIDEGATE_DATA"), name) < 0)
		fail();
	assert_int_equal(tg_config_load(path, &c, &config), 0);
	tg_complaints_done(&c);
	return config;
}

static void every_key_reaches_its_field(void **state)
{
	tg_cleanup(tg_config_unrefp) struct tg_config *c = load_good("full.conf");

	(void) state;
	assert_string_equal(c->gateway.id, "gw-%t");
	assert_int_equal(c->gateway.labels.n, 2);
	assert_string_equal(c->gateway.labels.items[1].value, "Erdgeschoß");
	assert_string_equal(c->tpm.tcti, "swtpm:host=127.0.0.1,port=2321");
	assert_int_equal(c->tpm.parent, 0x81000002);
	assert_int_equal(c->tpm.provider, TG_PROVIDER_TPM2);
	assert_int_equal(c->tpm.timeout_us, 2000000);
	assert_string_equal(c->tpm.owner_auth_file, "owner-auth");
	assert_int_equal(c->enrolment.method, TG_ENROL_AWS_FLEET);
	assert_string_equal(c->enrolment.subject, "CN=%i,O=Example");
	assert_int_equal(c->enrolment.dns_names.n, 2);
	assert_string_equal(c->enrolment.dns_names.items[1].value, "%i.example");
	assert_string_equal(c->enrolment.aws.endpoint, "abc-ats.iot.eu-central-1.amazonaws.com");
	assert_int_equal(c->enrolment.aws.port, 443);
	assert_string_equal(c->enrolment.aws.alpn, "x-amzn-mqtt-ca");
	assert_string_equal(c->enrolment.aws.ca, "/etc/tidegate/AmazonRootCA1.pem");
	assert_string_equal(c->enrolment.aws.claim_certificate, "/var/lib/tidegate/claim/"
								"claim.pem");
	assert_string_equal(c->enrolment.aws.claim_key, "/var/lib/tidegate/claim/claim.key");
	assert_string_equal(c->enrolment.aws.template_name, "FleetTemplate");
	assert_int_equal(c->enrolment.aws.parameters.n, 2);
	assert_string_equal(c->enrolment.aws.parameters.items[0].name, "SerialNumber");
	assert_string_equal(c->enrolment.aws.parameters.items[0].value, "%s");
	assert_string_equal(c->enrolment.aws.rotation_template, "Rotate_1");
	assert_string_equal(c->enrolment.aws.rotation_client_id, "%i-r");
	assert_true(c->enrolment.aws.forget_claim);
	assert_true(c->rotation.renew_at == 50 && c->rotation.jitter == 2.5);
	assert_true(c->rotation.max_age_us == UINT64_C(30) * 86400 * 1000000);
	assert_false(c->rotation.rekey);
	assert_int_equal(c->rotation.on_expiry, TG_ON_FAILURE_HOLD);
	assert_int_equal(c->rotation.probation_us, 30000000);
	assert_string_equal(c->mqtt.client_id, "%i");
	assert_int_equal(c->mqtt.version, 4);
	assert_int_equal(c->mqtt.keep_alive_us, 60000000);
	assert_int_equal(c->mqtt.in_flight, 10);
	assert_string_equal(c->mqtt.topic, "t/%i/%d");
	assert_string_equal(c->mqtt.status_topic, "t/%i");
	assert_string_equal(c->mqtt.command_topic, "t/%i/%d/set");
	assert_int_equal(c->mqtt.format, TG_FORMAT_JSON);
	assert_string_equal(c->mqtt.base_name, "urn:dev:%i:%d:");
	assert_int_equal(c->mqtt.max_payload, 65536);
	assert_int_equal(c->mqtt.rate_limit, 0);
	assert_true(c->mqtt.echo);
	assert_int_equal(c->spool.memory, 1 << 20);
	assert_true(c->spool.max_size == UINT64_C(2) << 30);
	assert_true(c->spool.max_age_us == UINT64_C(7) * 86400 * 1000000);
	assert_int_equal(c->spool.commit_interval_us, 0);
	assert_int_equal(c->spool.durability, TG_DURABILITY_NORMAL);
	assert_int_equal(c->spool.when_full, TG_DROP_NEWEST);
	assert_string_equal(c->metrics.textfile, "/var/lib/node-exporter/tidegate.prom");
	assert_string_equal(c->control.group, "operators");
}

static void buses_devices_and_points_find_each_other(void **state)
{
	tg_cleanup(tg_config_unrefp) struct tg_config *c = load_good("full.conf");
	const struct tg_config_bus *bus = c->buses;
	const struct tg_config_device *dev = c->devices;
	const struct tg_config_point *point = dev->points;

	(void) state;
	assert_int_equal(c->n_buses, 1);
	assert_string_equal(bus->name, "line1");
	assert_int_equal(bus->type, TG_BUS_MODBUS_TCP);
	assert_string_equal(bus->modbus_tcp.host, "2001:db8::10");
	assert_int_equal(bus->modbus_tcp.port, 5020);
	assert_int_equal(bus->modbus_tcp.connect_timeout_us, 1000000);
	assert_int_equal(bus->modbus_tcp.connect_delay_us, 100000);
	assert_int_equal(bus->modbus_tcp.gap_us, 20000);
	assert_int_equal(c->n_devices, 1);
	assert_string_equal(dev->name, "boiler");
	assert_int_equal(dev->bus, 0);
	assert_true(dev->every_us == 250000 && dev->timeout_us == 300000 &&
		    dev->backoff_us == 10000000);
	assert_int_equal(dev->retries, 0);
	assert_int_equal(dev->modbus.unit, 17);
	assert_int_equal(dev->modbus.max_gap, 0);
	assert_non_null(strstr(dev->origin, "/full.conf:"));
	assert_int_equal(dev->n_points, 3);
	assert_string_equal(point->name, "setpoint");
	assert_string_equal(point->read, "40021 int16");
	assert_int_equal(point->modbus.address, 20);
	assert_true(point->scale == 0.1 && point->offset == -40);
	assert_string_equal(point->unit, "Cel");
	assert_int_equal(point->publish, TG_PUBLISH_CHANGE);
	assert_true(point->deadband == 1 && point->deadband_percent);
	assert_true(point->max_silence_us == UINT64_C(3600) * 1000000);
	assert_true(point->write && point->has_min && point->has_max);
	assert_true(point->min == -10 && point->max == 95.5);
	assert_string_equal(dev->points[1].name, "alarm");
	assert_int_equal(dev->points[1].modbus.bit, 3);
	assert_false(dev->points[1].has_min);
	assert_string_equal(dev->points[2].name, "pump");
	assert_true(dev->points[2].write);
}

static void every_key_of_est_reaches_its_field(void **state)
{
	tg_cleanup(tg_config_unrefp) struct tg_config *c = load_good("est.conf");

	(void) state;
	assert_int_equal(c->enrolment.method, TG_ENROL_EST);
	assert_string_equal(c->enrolment.est.url, "https://[2001:db8::5]:8443/.well-known/est/");
	assert_string_equal(c->enrolment.est.ca, "");
	/* However they are written, they are compared in one form. */
	assert_int_equal(c->enrolment.est.ca_fingerprints.n, 2);
	assert_string_equal(c->enrolment.est.ca_fingerprints.items[0].value,
			    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_string_equal(c->enrolment.est.ca_fingerprints.items[1].value,
			    "01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b");
	assert_string_equal(c->enrolment.est.label, "devices~1");
	assert_string_equal(c->enrolment.est.username, "%i");
	assert_string_equal(c->enrolment.est.password_file, "tidegate.est-password");
	assert_string_equal(c->enrolment.est.certificate, "/var/lib/tidegate/claim/idevid.pem");
	assert_string_equal(c->enrolment.est.key, "/var/lib/tidegate/claim/idevid.key");
	assert_string_equal(c->enrolment.est.proxy, "http://[2001:db8::8]:3128");
	assert_int_equal(c->enrolment.est.renew_by, TG_EST_SIMPLEENROLL);
	assert_true(c->enrolment.est.any_subject);
	assert_int_equal(c->rotation.on_expiry, TG_ON_FAILURE_CLAIM);
	assert_string_equal(c->mqtt.ca, "");
	assert_true(c->mqtt.ca_from_enrolment);
}

static void the_manual_method_knows_its_authority(void **state)
{
	tg_cleanup(tg_config_unrefp) struct tg_config *c = load_good("manual.conf");

	(void) state;
	assert_int_equal(c->enrolment.method, TG_ENROL_MANUAL);
	assert_string_equal(c->enrolment.manual.ca, "/etc/tidegate/pki/root.pem");
	assert_string_equal(c->mqtt.ca, "/etc/tidegate/pki/broker-root.pem");
	assert_true(c->mqtt.ca_from_enrolment);
}

static void what_is_not_given_has_its_default(void **state)
{
	tg_cleanup(tg_config_unrefp) struct tg_config *c = load_good("minimal.conf");
	const struct tg_config_device *dev = c->devices;
	const struct tg_config_point *point = dev->points;

	(void) state;
	assert_string_equal(c->gateway.id, "%t");
	assert_int_equal(c->gateway.labels.n, 0);
	assert_string_equal(c->tpm.tcti, "device:/dev/tpmrm0");
	assert_int_equal(c->tpm.parent, 0x81000001);
	assert_string_equal(c->tpm.owner_auth_file, "");
	assert_string_equal(c->enrolment.subject, "CN=%i");
	assert_string_equal(c->enrolment.est.url, "");
	assert_string_equal(c->enrolment.est.proxy, "");
	assert_int_equal(c->enrolment.est.ca_fingerprints.n, 0);
	assert_int_equal(c->enrolment.est.renew_by, TG_EST_SIMPLEREENROLL);
	assert_false(c->enrolment.est.any_subject || c->mqtt.ca_from_enrolment);
	assert_string_equal(c->enrolment.aws.rotation_client_id, "%i-renew");
	assert_true(c->rotation.renew_at == 66 && c->rotation.rekey);
	assert_int_equal(c->mqtt.port, 8883);
	assert_int_equal(c->mqtt.keep_alive_us, 45000000);
	assert_int_equal(c->mqtt.rate_limit, 100);
	assert_string_equal(c->mqtt.command_topic, "tidegate/%i/%d/set");
	assert_int_equal(c->spool.commit_interval_us, 1000000);
	assert_int_equal(c->buses->modbus_tcp.port, 502);
	assert_int_equal(dev->every_us, 5000000);
	assert_int_equal(dev->modbus.max_gap, 16);
	assert_true(point->scale == 1 && point->offset == 0 && point->deadband == 0);
	assert_string_equal(point->unit, "");
	assert_false(point->write || point->has_min || point->has_max || point->deadband_percent);
	assert_int_equal(point->modbus.order, TG_ORDER_CDAB);
}

static void names_and_sections_are_never_cut(void **state)
{
	tg_cleanup(tg_config_unrefp) struct tg_config *c = load_good("long-names.conf");

	(void) state;
	assert_int_equal(c->n_devices, 2);
	assert_int_equal(strlen(c->devices[1].name), TG_NAME_MAX);
	assert_int_equal(strlen(c->devices[1].points[0].name), TG_NAME_MAX);
}

struct expected_line {
	const char *section, *key, *value, *origin; /* origin: how it ends */
	unsigned times;
};

static int look_for(void *user, const char *section, const char *key, const char *value,
		    const char *origin)
{
	struct expected_line *e = user;
	size_t have = strlen(origin), want = strlen(e->origin);

	if (strcmp(section, e->section) == 0 && strcmp(key, e->key) == 0 &&
	    strcmp(value, e->value) == 0 && have >= want &&
	    strcmp(origin + have - want, e->origin) == 0)
		e->times++;
	return 0;
}

static int stop_at_once(void *user, const char *section, const char *key, const char *value,
			const char *origin)
{
	(void) section;
	(void) key;
	(void) value;
	(void) origin;
	return ++*(int *) user;
}

static void a_dump_shows_value_and_origin_of_each_key(void **state)
{
	tg_cleanup(tg_config_unrefp) struct tg_config *c = load_good("full.conf");
	struct expected_line lines[] = {
		{ "gateway", "id", "gw-%t", "/full.conf:2", 0 },
		{ "gateway", "labels.floor", "Erdgeschoß", "/full.conf:4", 0 },
		{ "enrolment", "dns-name", "%i.example", "/full.conf:17", 0 },
		{ "mqtt", "rate-limit", "none", "/full.conf:57", 0 },
		{ "enrolment.est", "url", "", "default", 0 },
		{ "bus line1", "host", "2001:db8::10", "/full.conf:98", 0 },
		{ "device boiler", "bus", "line1", "/full.conf:88", 0 },
		{ "point boiler/pump", "read", "coil 7", "/full.conf:107", 0 },
		{ "point boiler/pump", "scale", "1", "default", 0 },
	};
	int calls = 0;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(lines); i++) {
		assert_int_equal(tg_config_dump(c, look_for, &lines[i]), 0);
		if (lines[i].times != 1)
			fail_msg("[%s] %s is there %u times", lines[i].section, lines[i].key,
				 lines[i].times);
	}
	assert_int_equal(tg_config_dump(c, stop_at_once, &calls), 1);
	assert_int_equal(calls, 1);
}

static void a_configuration_lives_as_long_as_its_last_reference(void **state)
{
	struct tg_config *c = load_good("minimal.conf");

	(void) state;
	assert_ptr_equal(tg_config_ref(c), c);
	assert_null(tg_config_unref(c));
	assert_string_equal(c->mqtt.endpoint, "broker.example"); /* a sanitizer would see it gone */
	assert_null(tg_config_unref(c));
	assert_null(tg_config_unref(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_files_are_refused_with_line_and_reason),
		cmocka_unit_test(good_files_load_with_the_warnings_they_deserve),
		cmocka_unit_test(every_key_reaches_its_field),
		cmocka_unit_test(every_key_of_est_reaches_its_field),
		cmocka_unit_test(the_manual_method_knows_its_authority),
		cmocka_unit_test(buses_devices_and_points_find_each_other),
		cmocka_unit_test(what_is_not_given_has_its_default),
		cmocka_unit_test(names_and_sections_are_never_cut),
		cmocka_unit_test(a_dump_shows_value_and_origin_of_each_key),
		cmocka_unit_test(a_configuration_lives_as_long_as_its_last_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
