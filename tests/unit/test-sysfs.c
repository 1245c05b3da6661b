/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/drivers.h"

#include "agent/bus/table.h"
#include "config/bus/sysfs_read.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A tree as the kernel has it: devices with their chips, and classes of links to them. */
static char root[64];

static void at(char out[static PATH_MAX], const char *path)
{
	assert_true(snprintf(out, PATH_MAX, "%s/%s", root, path) < PATH_MAX);
}

static void folder(const char *path)
{
	char whole[PATH_MAX];

	at(whole, path);
	for (char *p = whole + strlen(root) + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		(void) mkdir(whole, 0755);
		*p = '/';
	}
	assert_true(mkdir(whole, 0755) == 0 || errno == EEXIST);
}

static void put(const char *path, const char *text)
{
	char whole[PATH_MAX];
	FILE *f;

	at(whole, path);
	f = fopen(whole, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void drop(const char *path)
{
	char whole[PATH_MAX];

	at(whole, path);
	assert_int_equal(unlink(whole), 0);
}

static void link_to(const char *path, const char *target)
{
	char whole[PATH_MAX];

	at(whole, path);
	(void) unlink(whole);
	assert_int_equal(symlink(target, whole), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void) st;
	(void) type;
	(void) ftw;
	return remove(path);
}

static int plant(void **state)
{
	(void) state;
	(void) snprintf(root, sizeof(root), "/tmp/tg-sysfs-XXXXXX");
	assert_non_null(mkdtemp(root));
	folder("class/hwmon");
	folder("bus/iio/devices");
	folder("bus/w1/devices");
	return 0;
}

static int fell(void **state)
{
	(void) state;
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void add_lm75(unsigned number, const char *address, const char *milli)
{
	char path[PATH_MAX], target[PATH_MAX];

	(void) snprintf(path, sizeof(path), "devices/i2c-1/%s/hwmon/hwmon%u", address, number);
	folder(path);
	(void) snprintf(target, sizeof(target), "../../../%s", address);
	(void) snprintf(path, sizeof(path), "devices/i2c-1/%s/hwmon/hwmon%u/device", address,
			number);
	link_to(path, target);
	(void) snprintf(path, sizeof(path), "devices/i2c-1/%s/hwmon/hwmon%u/name", address, number);
	put(path, "lm75\n");
	(void) snprintf(path, sizeof(path), "devices/i2c-1/%s/hwmon/hwmon%u/temp1_input", address,
			number);
	put(path, milli);
	(void) snprintf(path, sizeof(path), "class/hwmon/hwmon%u", number);
	(void) snprintf(target, sizeof(target), "../../devices/i2c-1/%s/hwmon/hwmon%u", address,
			number);
	link_to(path, target);
}

/* One bus, one device, some points, as the loader would make them. */
#define POINTS_MAX 12
static struct tg_config cfg;
static struct tg_config_bus bus_cfg;
static struct tg_config_device dev;
static struct tg_config_point points[POINTS_MAX];
static struct tg_sample samples[POINTS_MAX];
static const struct tg_bus_driver *driver;
static struct tg_bus *bus;
static void *plan;
static struct tg_fault fault;

#define TEXT(s) ((char *) (uintptr_t) (s))

static void open_bus(const struct tg_bus_driver *d)
{
	driver = d;
	cfg = (struct tg_config){
		.buses = &bus_cfg, .n_buses = 1, .devices = &dev, .n_devices = 1
	};
	dev.points = points;
	assert_int_equal(d->open(&cfg, 0, &bus, NULL), 0);
	assert_int_equal(d->plan(bus, &dev, &plan, NULL), 0);
}

static void close_bus(void)
{
	driver->plan_free(plan);
	driver->close(bus);
}

static int poll_bus(unsigned retries)
{
	memset(samples, 0xa5, sizeof(samples));
	fault.text[0] = '\0';
	return driver->poll(bus, &dev, plan, retries, samples, &fault);
}

static void hwmon(const char *chip, const char *where, const char *const *reads)
{
	bus_cfg = (struct tg_config_bus){ .type = TG_BUS_HWMON, .hwmon = { .root = root } };
	dev = (struct tg_config_device){ .hwmon = { .chip = TEXT(chip), .at = TEXT(where) } };
	for (; *reads; reads++) {
		points[dev.n_points] = (struct tg_config_point){ .name = TEXT(*reads) };
		assert_int_equal(tg_hwmon_read_parse(*reads, &points[dev.n_points++].hwmon, &fault),
				 0);
	}
	open_bus(&tg_hwmon_driver);
}

static void iio(const char *chip, const char *const *reads)
{
	bus_cfg = (struct tg_config_bus){ .type = TG_BUS_IIO, .iio = { .root = root } };
	dev = (struct tg_config_device){ .iio = { .chip = TEXT(chip), .at = TEXT("") } };
	for (; *reads; reads++)
		assert_int_equal(tg_iio_read_parse(*reads, &points[dev.n_points++].iio, &fault), 0);
	open_bus(&tg_iio_driver);
}

static void w1(const char *id)
{
	bus_cfg = (struct tg_config_bus){ .type = TG_BUS_W1, .w1 = { .root = root } };
	dev = (struct tg_config_device){ .w1 = { .id = TEXT(id) }, .n_points = 1 };
	open_bus(&tg_w1_driver);
}

static void is_real(size_t i, double value)
{
	if (samples[i].quality != TG_GOOD)
		fail_msg("point %zu is bad: %s", i, samples[i].reason);
	assert_int_equal(samples[i].value.type, TG_VALUE_REAL);
	assert_true(samples[i].value.real > value - 1e-9 && samples[i].value.real < value + 1e-9);
	assert_true(samples[i].boot_us > 0);
}

static void is_bad(size_t i, const char *word)
{
	assert_int_equal(samples[i].quality, TG_BAD);
	if (!strstr(samples[i].reason, word))
		fail_msg("'%s' does not say '%s'", samples[i].reason, word);
}

static void says(const char *word)
{
	if (!strstr(fault.text, word))
		fail_msg("'%s' does not say '%s'", fault.text, word);
}

/* --- hwmon --- */

#define READS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void chips_are_found_by_name_whatever_their_number(void **state)
{
	(void) state;
	add_lm75(3, "1-0048", "21500\n");
	folder("class/hwmon/hwmon0");
	put("class/hwmon/hwmon0/name", "coretemp\n");
	hwmon("lm75", "", READS("temp1"));
	assert_int_equal(poll_bus(0), 0);
	is_real(0, 21.5);
	close_bus();
}

static void of_chips_with_one_name_the_place_decides(void **state)
{
	(void) state;
	add_lm75(3, "1-0048", "21500\n");
	add_lm75(4, "1-0049", "-3250\n");
	hwmon("lm75", "", READS("temp1"));
	assert_int_equal(poll_bus(0), -EEXIST);
	says("1-0048, 1-0049");
	close_bus();
	hwmon("lm75", "1-0049", READS("temp1"));
	assert_int_equal(poll_bus(0), 0);
	is_real(0, -3.25);
	close_bus();
	hwmon("lm75", "1-0050", READS("temp1"));
	assert_int_equal(poll_bus(0), -ENODEV);
	says("there is one at 1-0048, 1-0049");
	close_bus();
}

static void a_chip_that_is_not_there_is_told_with_those_that_are(void **state)
{
	(void) state;
	add_lm75(3, "1-0048", "21500\n");
	hwmon("lm57", "", READS("temp1"));
	assert_int_equal(poll_bus(0), -ENODEV);
	says("no hwmon chip called lm57; there is lm75");
	close_bus();
}

static void a_chip_that_comes_back_under_another_number_is_found_again(void **state)
{
	(void) state;
	add_lm75(3, "1-0048", "21500\n");
	hwmon("lm75", "", READS("temp1"));
	assert_int_equal(poll_bus(0), 0);
	drop("class/hwmon/hwmon3");
	drop("devices/i2c-1/1-0048/hwmon/hwmon3/name");
	drop("devices/i2c-1/1-0048/hwmon/hwmon3/temp1_input");
	assert_int_equal(poll_bus(0), -ENODEV);
	add_lm75(7, "1-0048", "22000\n");
	assert_int_equal(poll_bus(0), 0);
	is_real(0, 22);
	close_bus();
}

static void kernel_units_become_those_of_people(void **state)
{
	(void) state;
	folder("class/hwmon/hwmon1");
	put("class/hwmon/hwmon1/name", "board\n");
	put("class/hwmon/hwmon1/in0_input", "3312\n");
	put("class/hwmon/hwmon1/in0_max", "3600\n");
	put("class/hwmon/hwmon1/power1_average", "4200000\n");
	put("class/hwmon/hwmon1/humidity1_input", "45250\n");
	put("class/hwmon/hwmon1/fan2_input", "1430\n");
	put("class/hwmon/hwmon1/temp9_label", "Core 0\n");
	put("class/hwmon/hwmon1/temp9_input", "40125\n");
	put("class/hwmon/hwmon1/temp9_crit_alarm", "1\n");
	put("class/hwmon/hwmon1/pwm2", "128\n");
	hwmon("board", "",
	      READS("in0", "in0_max", "power1_average", "humidity1", "fan2", "temp label=Core 0",
		    "temp9_crit_alarm", "pwm2"));
	assert_int_equal(poll_bus(0), 0);
	is_real(0, 3.312);
	is_real(1, 3.6);
	is_real(2, 4.2);
	is_real(3, 45.25);
	assert_int_equal(samples[4].value.i, 1430);
	is_real(5, 40.125);
	assert_int_equal(samples[6].value.type, TG_VALUE_BOOL);
	assert_true(samples[6].value.b);
	assert_int_equal(samples[7].value.i, 128);
	close_bus();
}

static void what_a_chip_cannot_tell_is_bad_and_nothing_else_is(void **state)
{
	(void) state;
	folder("class/hwmon/hwmon1");
	put("class/hwmon/hwmon1/name", "board\n");
	put("class/hwmon/hwmon1/temp1_input", "20000\n");
	put("class/hwmon/hwmon1/temp2_input", "20000\n");
	put("class/hwmon/hwmon1/temp2_fault", "1\n");
	put("class/hwmon/hwmon1/temp3_input", "");
	put("class/hwmon/hwmon1/temp4_input", "20 degrees\n");
	hwmon("board", "", READS("temp1", "temp2", "temp3", "temp4", "temp5", "temp label=Core 9"));
	assert_int_equal(poll_bus(0), 0);
	is_real(0, 20);
	is_bad(1, "sensor fault");
	is_bad(2, "empty");
	is_bad(3, "no number");
	is_bad(4, "no such file");
	is_bad(5, "no temp has the label Core 9");
	close_bus();
}

static void a_value_longer_than_any_is_refused(void **state)
{
	static char text[5000];

	(void) state;
	memset(text, '1', sizeof(text) - 1);
	folder("class/hwmon/hwmon1");
	put("class/hwmon/hwmon1/name", "board\n");
	put("class/hwmon/hwmon1/temp1_input", text);
	put("class/hwmon/hwmon1/temp2_input", "99999999999999999999\n");
	hwmon("board", "", READS("temp1", "temp2"));
	assert_int_equal(poll_bus(0), 0);
	is_bad(0, "too long");
	is_bad(1, "no number");
	close_bus();
}

static void probing_lists_what_there_is(void **state)
{
	struct tg_buffer out = TG_BUFFER_INIT(65536);
	struct tg_table t;

	(void) state;
	add_lm75(3, "1-0048", "21500\n");
	hwmon("lm75", "", READS("temp1"));
	tg_table_init(&t);
	assert_int_equal(driver->probe(bus, NULL, "", &t, &fault), 0);
	assert_int_equal(tg_table_json(&t, &out), 0);
	assert_non_null(strstr(tg_buffer_text(&out), "[\"lm75\",\"1-0048\",\"temp1_input\",\"\","
						     "\"21.5\",\"Cel\"]"));
	assert_int_equal(driver->probe(bus, NULL, "0x48", &t, &fault), -EINVAL);
	tg_table_done(&t);
	tg_buffer_done(&out);
	close_bus();
}

/* --- iio --- */

static void add_adc(void)
{
	folder("devices/i2c-1/1-0048/iio:device2");
	put("devices/i2c-1/1-0048/iio:device2/name", "ads1015\n");
	link_to("bus/iio/devices/iio:device2", "../../../devices/i2c-1/1-0048/iio:device2");
}
#define ADC "devices/i2c-1/1-0048/iio:device2/"

static void raw_values_get_offset_and_scale_their_own_or_shared(void **state)
{
	(void) state;
	add_adc();
	put(ADC "in_voltage0_raw", "1000\n");
	put(ADC "in_voltage0_scale", "3.000000\n");
	put(ADC "in_voltage1_raw", "1000\n");
	put(ADC "in_voltage_scale", "2.0\n");
	put(ADC "in_voltage_offset", "-200\n");
	put(ADC "in_voltage2-voltage3_raw", "-10\n");
	put(ADC "in_voltage-voltage_scale", "100\n");
	put(ADC "in_accel_x_raw", "256\n");
	put(ADC "in_accel_scale", "0.038344\n");
	put(ADC "in_temp_input", "21320\n");
	put(ADC "in_pressure_input", "101.325\n");
	put(ADC "in_novelty0_raw", "7\n");
	iio("ads1015", READS("in_voltage0", "in_voltage1_raw", "in_voltage2-voltage3", "in_accel_x",
			     "in_temp", "in_pressure_input", "in_novelty0", "in_voltage7"));
	assert_int_equal(poll_bus(0), 0);
	is_real(0, 2.4);
	is_real(1, 1.6);
	is_real(2, -21); /* the kind's offset holds where the pair has none */
	is_real(3, 256 * 0.038344);
	is_real(4, 21.32);
	is_real(5, 101325);
	is_real(6, 7);
	is_bad(7, "no channel in_voltage7");
	close_bus();
}

static void an_offset_that_is_no_number_spoils_the_reading(void **state)
{
	(void) state;
	add_adc();
	put(ADC "in_voltage0_raw", "1000\n");
	put(ADC "in_voltage0_offset", "none\n");
	iio("ads1015", READS("in_voltage0"));
	assert_int_equal(poll_bus(0), 0);
	is_bad(0, "no number");
	close_bus();
}

static void probing_shows_each_channel_once(void **state)
{
	struct tg_buffer out = TG_BUFFER_INIT(65536);
	struct tg_table t;

	(void) state;
	add_adc();
	put(ADC "in_temp_input", "21000\n");
	put(ADC "in_temp_raw", "7\n");
	put(ADC "in_voltage0_raw", "1000\n");
	put(ADC "in_voltage_scale", "2.0\n");
	iio("ads1015", READS("in_temp"));
	tg_table_init(&t);
	assert_int_equal(driver->probe(bus, &dev, "", &t, &fault), 0);
	assert_int_equal(tg_table_json(&t, &out), 0);
	assert_non_null(strstr(tg_buffer_text(&out), "\"rows\":[[\"ads1015\",\"1-0048\",\"in_"
						     "temp\",\"21\",\"Cel\"],"
						     "[\"ads1015\",\"1-0048\",\"in_voltage0\","
						     "\"2\",\"V\"]]"));
	tg_table_done(&t);
	tg_buffer_done(&out);
	close_bus();
}

/* --- w1 --- */

#define SENSOR "bus/w1/devices/28-0316a2794b21/"

static void a_thermometer_gives_its_temperature(void **state)
{
	(void) state;
	folder("bus/w1/devices/28-0316a2794b21");
	put(SENSOR "temperature", "23125\n");
	w1("28-0316a2794b21");
	assert_int_equal(poll_bus(1), 0);
	is_real(0, 23.125);
	put(SENSOR "temperature", "-12\n");
	assert_int_equal(poll_bus(1), 0);
	is_real(0, -0.012);
	close_bus();
}

static void the_power_on_value_is_no_temperature(void **state)
{
	(void) state;
	folder("bus/w1/devices/28-0316a2794b21");
	put(SENSOR "temperature", "85000\n");
	w1("28-0316a2794b21");
	assert_int_equal(poll_bus(1), -EIO);
	is_bad(0, "power-on");
	close_bus();
}

static void an_older_kernel_shows_the_scratchpad(void **state)
{
	(void) state;
	folder("bus/w1/devices/28-0316a2794b21");
	put(SENSOR "w1_slave", "72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n72 01 4b 46 7f ff 0e 10 "
			       "57 t=23125\n");
	w1("28-0316a2794b21");
	assert_int_equal(poll_bus(0), 0);
	is_real(0, 23.125);
	put(SENSOR "w1_slave", "72 01 4b 46 7f ff 0e 10 57 : crc=12 NO\n72 01 4b 46 7f ff 0e 10 57 "
			       "t=23125\n");
	assert_int_equal(poll_bus(0), -EIO);
	is_bad(0, "damaged");
	put(SENSOR "w1_slave", "");
	assert_int_equal(poll_bus(0), -ENODATA);
	put(SENSOR "w1_slave", "crc=YES\n");
	assert_int_equal(poll_bus(0), 0);
	is_bad(0, "no number");
	close_bus();
}

static void a_sensor_that_has_gone_is_dead_until_it_is_back(void **state)
{
	(void) state;
	w1("28-0316a2794b21");
	assert_int_equal(poll_bus(0), -ENODEV);
	says("no sensor 28-0316a2794b21");
	folder("bus/w1/devices/28-0316a2794b21");
	put(SENSOR "temperature", "1000\n");
	assert_int_equal(poll_bus(0), 0);
	is_real(0, 1);
	close_bus();
}

/* --- what is written in files --- */

static void channels_are_parsed_strictly(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "", "not a channel" },
		{ "tmp1", "did you mean 'temp'" },
		{ "temp", "which channel" },
		{ "temp1234", "not from 0 to 999" },
		{ "temp1_", "not an attribute" },
		{ "temp1 junk", "behind the channel" },
		{ "temp1_label", "no reading" },
		{ "temp1 label=x", "either a number or a label" },
		{ "temp label=", "1 to 64" },
		{ "temp1_input_with_a_name_too_long", "not an attribute" },
		{ "temp1/../x", "behind the channel" },
	};
	struct tg_hwmon_read read;
	struct tg_iio_read channel;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++) {
		assert_int_equal(tg_hwmon_read_parse(bad[i].text, &read, &fault), -EINVAL);
		says(bad[i].why);
	}
	assert_int_equal(tg_iio_read_parse("in_", &channel, &fault), -EINVAL);
	assert_int_equal(tg_iio_read_parse("out_voltage0", &channel, &fault), -EINVAL);
	assert_int_equal(tg_iio_read_parse("in_temp/../../x", &channel, &fault), -EINVAL);
	assert_int_equal(tg_iio_read_parse("in_temp_raw", &channel, &fault), 0);
	assert_string_equal(channel.channel, "in_temp");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, plant, fell)
		IN_TREE(chips_are_found_by_name_whatever_their_number),
		IN_TREE(of_chips_with_one_name_the_place_decides),
		IN_TREE(a_chip_that_is_not_there_is_told_with_those_that_are),
		IN_TREE(a_chip_that_comes_back_under_another_number_is_found_again),
		IN_TREE(kernel_units_become_those_of_people),
		IN_TREE(what_a_chip_cannot_tell_is_bad_and_nothing_else_is),
		IN_TREE(a_value_longer_than_any_is_refused),
		IN_TREE(probing_lists_what_there_is),
		IN_TREE(raw_values_get_offset_and_scale_their_own_or_shared),
		IN_TREE(an_offset_that_is_no_number_spoils_the_reading),
		IN_TREE(probing_shows_each_channel_once),
		IN_TREE(a_thermometer_gives_its_temperature),
		IN_TREE(the_power_on_value_is_no_temperature),
		IN_TREE(an_older_kernel_shows_the_scratchpad),
		IN_TREE(a_sensor_that_has_gone_is_dead_until_it_is_back),
		cmocka_unit_test(channels_are_parsed_strictly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
