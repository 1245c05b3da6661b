/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/can.h"
#include "config/bus/exec.h"
#include "config/bus/gpio.h"
#include "config/bus/hwmon.h"
#include "config/bus/i2c.h"
#include "config/bus/iio.h"
#include "config/bus/modbus.h"
#include "config/bus/mqtt.h"
#include "config/bus/serial.h"
#include "config/bus/sim.h"
#include "config/bus/spi.h"
#include "config/bus/w1.h"

#include <tidegate/cleanup.h>
#include <tidegate/error.h>
#include <tidegate/sample.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The configuration as the programs see it: checked, typed, immutable.
 *
 * Made by lib/config/load.h from /etc/tidegate/tidegate.conf and conf.d. One
 * struct per load, shared by reference count between the loop and whoever
 * works with it; a reload makes a new one. Every string is owned by the
 * struct, never NULL ("" when not given), with specifiers (%i, %t ...) not
 * yet expanded: what they stand for may become known later (specifier.h).
 * Durations are microseconds, sizes bytes.
 */
#define TG_CONFIG_BUSES 64
#define TG_CONFIG_DEVICES 512
#define TG_CONFIG_POINTS 8192 /* of all devices; one device has at most TG_PACK_SAMPLES */
#define TG_CONFIG_PAIRS 64    /* labels, template parameters */

enum tg_tpm_provider { TG_PROVIDER_BUILTIN, TG_PROVIDER_TPM2 };
enum tg_enrol_method { TG_ENROL_NONE, TG_ENROL_AWS_FLEET, TG_ENROL_EST, TG_ENROL_MANUAL };
enum tg_est_operation { TG_EST_SIMPLEREENROLL, TG_EST_SIMPLEENROLL };
enum tg_on_failure { TG_ON_FAILURE_HOLD, TG_ON_FAILURE_CLAIM };
enum tg_format { TG_FORMAT_SENML_JSON, TG_FORMAT_SENML_CBOR, TG_FORMAT_JSON };
enum tg_durability { TG_DURABILITY_FULL, TG_DURABILITY_NORMAL };
enum tg_when_full { TG_DROP_OLDEST, TG_DROP_NEWEST };
enum tg_publish { TG_PUBLISH_ALWAYS, TG_PUBLISH_CHANGE };
enum tg_bus_type {
	TG_BUS_MODBUS_RTU,
	TG_BUS_MODBUS_TCP,
	TG_BUS_I2C,
	TG_BUS_SPI,
	TG_BUS_CAN,
	TG_BUS_GPIO,
	TG_BUS_W1,
	TG_BUS_HWMON,
	TG_BUS_IIO,
	TG_BUS_SERIAL,
	TG_BUS_MQTT,
	TG_BUS_EXEC,
	TG_BUS_SIM,
};

struct tg_pair {
	char *name, *value;
};

struct tg_pairs {
	struct tg_pair *items; /* in the order of the files */
	size_t n;
};

struct tg_config_point {
	char *name;
	char *read; /* as written */
	union {
		struct tg_modbus_read modbus;
		struct tg_i2c_read i2c;
		struct tg_spi_read spi;
		struct tg_can_read can;
		struct tg_gpio_read gpio;
		struct tg_w1_read w1;
		struct tg_hwmon_read hwmon;
		struct tg_iio_read iio;
		struct tg_serial_read serial;
		struct tg_mqtt_read mqtt;
		struct tg_exec_read exec;
		struct tg_sim_read sim;
	};
	double scale, offset; /* shown = raw * scale + offset; 1 and 0 leave integers integers */
	char *unit;
	enum tg_publish publish;
	double deadband; /* absolute, in units of the shown value, or percent of the last published value */
	bool deadband_percent;
	uint64_t max_silence_us;
	bool write;
	bool has_min, has_max, has_safe;
	double min, max;
	double safe; /* what the output falls to when no command has come for safe_after_us */
	uint64_t safe_after_us;
	unsigned counter_bits; /* the raw value is a counter that wraps at 2^bits; 0: none */
	const char *origin; /* "file:line" of its section */
};

struct tg_config_device {
	char *name;
	size_t bus; /* index into buses */
	uint64_t every_us, timeout_us, backoff_us; /* timeout_us, retries: 0 on buses without */
	unsigned retries;
	/* Of buses that speak unasked: how long readings are collected for one pack; the longest silence. */
	uint64_t gather_us, stale_after_us;
	uint64_t totals_interval_us; /* between two writes of the totals of its counters */
	union {
		struct tg_modbus_device modbus;
		struct tg_i2c_device i2c;
		struct tg_spi_device spi;
		struct tg_can_device can;
		struct tg_gpio_device gpio;
		struct tg_w1_device w1;
		struct tg_hwmon_device hwmon;
		struct tg_iio_device iio;
		struct tg_serial_device serial;
		struct tg_mqtt_device mqtt;
		struct tg_exec_device exec;
		struct tg_sim_device sim;
	};
	struct tg_config_point *points;
	size_t n_points;
	const char *origin;
};

struct tg_config_bus {
	char *name;
	enum tg_bus_type type;
	union {
		struct tg_modbus_tcp_bus modbus_tcp;
		struct tg_modbus_rtu_bus modbus_rtu;
		struct tg_i2c_bus i2c;
		struct tg_spi_bus spi;
		struct tg_can_bus can;
		struct tg_gpio_bus gpio;
		struct tg_w1_bus w1;
		struct tg_hwmon_bus hwmon;
		struct tg_iio_bus iio;
		struct tg_serial_bus serial;
		struct tg_mqtt_bus mqtt;
		struct tg_exec_bus exec;
		struct tg_sim_bus sim;
	};
	const char *origin;
};

struct tg_config {
	struct {
		char *id; /* %i */
		struct tg_pairs labels;
	} gateway;
	struct {
		char *tcti;
		uint32_t parent;
		enum tg_tpm_provider provider;
		uint64_t timeout_us;
		char *owner_auth_file;
	} tpm;
	struct {
		enum tg_enrol_method method;
		char *subject;
		struct tg_pairs dns_names; /* value only */
		struct {
			char *endpoint;
			uint16_t port;
			char *alpn;
			char *ca, *claim_certificate, *claim_key, *template_name;
			struct tg_pairs parameters;
			char *rotation_template, *rotation_client_id;
			bool forget_claim;
		} aws;
		struct {
			char *url; /* https://HOST[:PORT][/PATH], maybe with a slash at its end */
			char *ca;  /* "" where ca_fingerprints has what to trust first */
			struct tg_pairs ca_fingerprints; /* value only: SHA-256, 64 lower-case hex digits */
			char *label;
			char *username; /* "" may be one, where there is a password */
			char *password_file, *certificate, *key, *proxy;
			enum tg_est_operation renew_by;
			bool any_subject; /* the server chooses what the certificate is called */
		} est;
		struct {
			char *ca;
		} manual;
	} enrolment;
	struct {
		double renew_at, jitter; /* percent of the certificate's life */
		uint64_t max_age_us;
		bool rekey;
		enum tg_on_failure on_expiry, on_refused, on_key_lost;
		uint64_t probation_us;
	} rotation;
	struct {
		char *endpoint; /* "" when nothing is to be published */
		uint16_t port;
		char *alpn, *ca; /* ca may be "" with ca_from_enrolment */
		bool ca_from_enrolment;
		char *client_id;
		unsigned version; /* 4 = MQTT 3.1.1, 5 */
		uint64_t keep_alive_us;
		unsigned in_flight;
		char *topic, *status_topic, *command_topic;
		enum tg_format format;
		char *base_name;
		uint64_t max_payload;
		unsigned rate_limit; /* publishes a second; 0: none */
		bool echo;
	} mqtt;
	struct {
		uint64_t memory, max_size, max_age_us, commit_interval_us;
		enum tg_durability durability;
		enum tg_when_full when_full;
	} spool;
	struct {
		char *textfile;
	} metrics;
	struct {
		char *group;
	} control;
	struct tg_config_bus *buses;
	size_t n_buses;
	struct tg_config_device *devices;
	size_t n_devices;
};

/* Counts references; any thread. tg_config_unref() accepts NULL and returns NULL. */
struct tg_config *tg_config_ref(struct tg_config *c);
struct tg_config *tg_config_unref(struct tg_config *c);
TG_DEFINE_CLEANUP(struct tg_config *, tg_config_unref)
