/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The I2C driver on a kernel that this file plays: /dev/i2c-N is a plain file, and ioctl() on it is answered
 * here, by chips with registers.
 */
#include "agent/bus/drivers.h"
#include "agent/bus/i2c/check.h"
#include "agent/bus/i2c/i2c.h"
#include "agent/bus/table.h"
#include "config/bus/i2c_read.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define POINTS  4
#define ADDRESS 0x48

int __wrap_ioctl(int fd, unsigned long request, ...);

static struct {
	unsigned long funcs;
	uint8_t regs[256]; /* of the chip at ADDRESS; its pointer goes on by itself */
	uint8_t pointer;
	int absent;    /* errno for whoever is asked */
	unsigned fail; /* so many transactions, then it answers */
	unsigned held; /* address that a kernel driver has */
	unsigned transfers;
	uint8_t written[64];
	size_t n_written;
	unsigned long slave;
	bool replaced; /* by another adapter, with the next transaction */
} chip;

static char dir[64], node[96];
static struct tg_config_point points[POINTS];
static struct tg_config_device device = { .name = (char *) "chip", .points = points };
static struct tg_config_bus bus_cfg = { .name = (char *) "i2c1" };
static struct tg_config cfg = {
	.buses = &bus_cfg, .n_buses = 1, .devices = &device, .n_devices = 1
};
static struct tg_i2c_roots roots = { .dev = dir, .sys = dir };
static struct tg_bus *bus;
static void *plan;
static struct tg_sample out[POINTS];
static struct tg_fault why;

/* --- the kernel --- */

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int fails(unsigned address)
{
	chip.transfers++;
	if (chip.fail) {
		chip.fail--;
		return EAGAIN;
	}
	if (chip.replaced) {
		char other[sizeof(node) + 8];

		chip.replaced = false;
		(void) snprintf(other, sizeof(other), "%s.new", node);
		put_file(other, "");
		assert_int_equal(rename(other, node), 0);
		return ENXIO;
	}
	if (address != ADDRESS || chip.absent)
		return chip.absent ? chip.absent : ENXIO;
	return 0;
}

static void chip_write(const uint8_t *bytes, size_t n)
{
	memcpy(chip.written, bytes, n);
	chip.n_written = n;
	for (size_t i = 0; i < n; i++) {
		if (i == 0)
			chip.pointer = bytes[0];
		else
			chip.regs[chip.pointer++] = bytes[i];
	}
}

static int rdwr(const struct i2c_rdwr_ioctl_data *args)
{
	int error = fails(args->msgs[0].addr);

	assert_true(args->nmsgs >= 1 && args->nmsgs <= 2);
	if (!(chip.funcs & I2C_FUNC_I2C))
		return EOPNOTSUPP;
	for (unsigned i = 0; i < args->nmsgs && !error; i++) {
		const struct i2c_msg *m = &args->msgs[i];

		assert_int_equal(m->addr, args->msgs[0].addr);
		assert_int_equal(m->flags & ~I2C_M_RD, 0);
		assert_true(m->len > 0);
		for (unsigned n = 0; n < m->len && (m->flags & I2C_M_RD); n++)
			m->buf[n] = chip.regs[chip.pointer++];
		if (!(m->flags & I2C_M_RD))
			chip_write(m->buf, m->len);
	}
	return error;
}

static int smbus(const struct i2c_smbus_ioctl_data *args)
{
	int error = fails((unsigned) chip.slave);
	const uint8_t *r = &chip.regs[args->command];

	if (error)
		return error;
	switch (args->size) {
	case I2C_SMBUS_QUICK:
		return 0;
	case I2C_SMBUS_BYTE:
		if (args->read_write == I2C_SMBUS_READ)
			args->data->byte = chip.regs[chip.pointer++];
		return 0;
	case I2C_SMBUS_BYTE_DATA:
		if (args->read_write == I2C_SMBUS_READ)
			args->data->byte = r[0];
		else
			chip.regs[args->command] = args->data->byte;
		return 0;
	case I2C_SMBUS_WORD_DATA:
		args->data->word = (uint16_t) (r[0] | r[1] << 8);
		return 0;
	case I2C_SMBUS_I2C_BLOCK_DATA:
		memcpy(args->data->block + 1, r, args->data->block[0]);
		return 0;
	default:
		return EOPNOTSUPP;
	}
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	unsigned long value;
	int error = ENOTTY;
	void *arg;
	va_list ap;

	(void) fd;
	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	value = (unsigned long) (uintptr_t) arg;
	if (request == I2C_FUNCS) {
		*(unsigned long *) arg = chip.funcs;
		error = 0;
	} else if (request == I2C_SLAVE) {
		chip.slave = value;
		error = value == chip.held ? EBUSY : 0;
	} else if (request == I2C_RDWR) {
		error = rdwr(arg);
	} else if (request == I2C_SMBUS) {
		error = smbus(arg);
	}
	errno = error;
	return error ? -1 : 0;
}

/* --- the bench --- */

static int plug(void **state)
{
	char path[128];

	(void) state;
	memset(&chip, 0, sizeof(chip));
	chip.funcs = I2C_FUNC_I2C | I2C_FUNC_SMBUS_EMUL;
	(void) snprintf(dir, sizeof(dir), "/tmp/tidegate-i2c-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void) snprintf(node, sizeof(node), "%s/i2c-3", dir);
	put_file(node, "");
	(void) snprintf(path, sizeof(path), "%s/class", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	(void) snprintf(path, sizeof(path), "%s/class/i2c-dev", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	(void) snprintf(path, sizeof(path), "%s/class/i2c-dev/i2c-3", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	(void) snprintf(path, sizeof(path), "%s/class/i2c-dev/i2c-3/name", dir);
	put_file(path, "CP2112 SMBus Bridge on hidraw0\n");
	memset(points, 0, sizeof(points));
	device.i2c = (struct tg_i2c_device){ .address = ADDRESS };
	device.n_points = 0;
	bus_cfg.i2c.adapter = (char *) "CP2112 SMBus Bridge on hidraw0";
	return 0;
}

static void point(const char *name, const char *read)
{
	struct tg_config_point *p = &points[device.n_points++];

	p->name = (char *) (uintptr_t) name;
	p->read = (char *) (uintptr_t) read;
	if (tg_i2c_read_parse(read, &p->i2c.transfer, &p->i2c.raw, &why) < 0)
		fail_msg("%s: %s", read, why.text);
}

static void start(void)
{
	assert_int_equal(tg_i2c_driver.open(&cfg, 0, &bus, &why), 0);
	tg_i2c_bus_roots(bus, &roots);
	assert_int_equal(tg_i2c_driver.plan(bus, &device, &plan, &why), 0);
	assert_true(tg_i2c_driver.patience_us(bus, &device, plan) > 0);
}

static int poll_once(unsigned retries)
{
	for (size_t i = 0; i < POINTS; i++)
		out[i] = (struct tg_sample){ .reason = "not read", .quality = TG_BAD };
	why = (struct tg_fault){ .text = "" };
	return tg_i2c_driver.poll(bus, &device, plan, retries, out, &why);
}

static int unplug(void **state)
{
	static const char *const files[] = { "/i2c-3", "/class/i2c-dev/i2c-3/name" };
	static const char *const dirs[] = { "/class/i2c-dev/i2c-3", "/class/i2c-dev", "/class",
					    "" };
	char path[128];

	(void) state;
	if (bus) {
		tg_i2c_driver.plan_free(plan);
		tg_i2c_driver.close(bus);
	}
	bus = NULL;
	plan = NULL;
	for (size_t i = 0; i < TG_ARRAY_SIZE(files); i++) {
		(void) snprintf(path, sizeof(path), "%s%s", dir, files[i]);
		(void) unlink(path);
	}
	for (size_t i = 0; i < TG_ARRAY_SIZE(dirs); i++) {
		(void) snprintf(path, sizeof(path), "%s%s", dir, dirs[i]);
		(void) rmdir(path);
	}
	return 0;
}

static int open_files(void)
{
	int n = 0;

	for (int fd = 3; fd < 64; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* --- tests --- */

static void a_temperature_is_read_from_an_adapter_found_by_name(void **state)
{
	int before = open_files();

	(void) state;
	point("temperature", "write 00 read 2 int16 shift=5");
	start();
	memcpy(chip.regs, "\xe7\x00", 2);
	assert_int_equal(poll_once(0), 0);
	assert_int_equal(out[0].quality, TG_GOOD);
	assert_int_equal(out[0].value.type, TG_VALUE_INT);
	assert_int_equal(out[0].value.i, -200);
	assert_true(out[0].boot_us > 0);
	assert_string_equal(out[0].reason, "");
	/* Nobody holds an adapter that somebody may unplug. */
	assert_int_equal(open_files(), before);
}

static void points_with_the_same_transaction_share_one(void **state)
{
	(void) state;
	point("low", "write 10 read 2 uint8");
	point("high", "write 10 read 2 uint8 at=1");
	point("other", "write 20 read 1 uint8");
	start();
	memcpy(chip.regs + 0x10, "\x11\x22", 2);
	chip.regs[0x20] = 0x33;
	assert_int_equal(poll_once(0), 0);
	assert_int_equal(chip.transfers, 2);
	assert_int_equal(out[0].value.u, 0x11);
	assert_int_equal(out[1].value.u, 0x22);
	assert_int_equal(out[2].value.u, 0x33);
}

static void nobody_there_is_told_in_the_same_words_whatever_the_adapter_calls_it(void **state)
{
	static const int errors[] = { ENXIO, EREMOTEIO, ETIMEDOUT, ENODEV };

	(void) state;
	point("a", "write 00 read 2 int16");
	point("b", "write 02 read 2 int16");
	start();
	for (size_t i = 0; i < TG_ARRAY_SIZE(errors); i++) {
		chip.absent = errors[i];
		chip.transfers = 0;
		assert_int_equal(poll_once(0), -ENXIO);
		assert_non_null(strstr(why.text, "no device at 0x48"));
		/* One question is enough. */
		assert_int_equal(chip.transfers, 1);
	}
	chip.transfers = 0;
	assert_int_equal(poll_once(2), -ENXIO);
	assert_int_equal(chip.transfers, 3);
}

static void a_try_that_fails_is_repeated_as_often_as_allowed(void **state)
{
	(void) state;
	point("a", "write 00 read 1 uint8");
	start();
	chip.fail = 2;
	assert_int_equal(poll_once(2), 2);
	assert_int_equal(out[0].quality, TG_GOOD);
	chip.fail = 2;
	assert_int_equal(poll_once(1), -EAGAIN);
	assert_non_null(strstr(why.text, "arbitration"));
}

static void a_chip_of_a_kernel_driver_is_left_alone(void **state)
{
	(void) state;
	point("a", "write 00 read 1 uint8");
	start();
	chip.held = ADDRESS;
	assert_int_equal(poll_once(3), -EBUSY);
	assert_non_null(strstr(why.text, "hwmon or iio"));
	assert_int_equal(chip.transfers, 0);
	assert_int_equal(tg_i2c_driver.write(bus, &device, &points[0],
					     &(struct tg_value){ .type = TG_VALUE_UINT }, &why),
			 -EBUSY);
	assert_int_equal(chip.transfers, 0);
}

static void an_unplugged_adapter_is_the_bus_and_is_found_again(void **state)
{
	(void) state;
	point("a", "write 00 read 1 uint8");
	start();
	assert_int_equal(unlink(node), 0);
	assert_int_equal(poll_once(0), -ENOTCONN);
	put_file(node, "");
	assert_int_equal(poll_once(0), 0);
	/* Pulled out between two transactions, and another one in its place. */
	chip.replaced = true;
	assert_int_equal(poll_once(0), -ENOTCONN);
	assert_non_null(strstr(why.text, "was unplugged"));
	bus_cfg.i2c.adapter = (char *) "another name";
	assert_int_equal(poll_once(0), -ENOTCONN);
	assert_non_null(strstr(why.text, "no I2C adapter is called 'another name'"));
	bus_cfg.i2c.adapter = node;
	assert_int_equal(poll_once(0), 0);
	bus_cfg.i2c.adapter = (char *) "i2c-3";
	assert_int_equal(poll_once(0), 0);
}

static void a_wrong_checksum_spoils_its_points_and_no_others(void **state)
{
	(void) state;
	point("temperature", "write 00 read 6 crc8 uint16");
	point("humidity", "write 00 read 6 crc8 uint16 at=2");
	point("status", "write 10 read 3 crc8 uint16");
	start();
	/* The example of the SHT3x data sheet, 4.12: 0xbeef has 0x92. */
	memcpy(chip.regs, "\xbe\xef\x92\xbe\xef\x92", 6);
	memcpy(chip.regs + 0x10, "\xbe\xef\x92", 3);
	assert_int_equal(poll_once(0), 0);
	assert_int_equal(out[1].value.u, 0xbeef);
	chip.regs[4] ^= 1;
	assert_int_equal(poll_once(0), 0);
	assert_int_equal(out[0].quality, TG_BAD);
	assert_int_equal(out[1].quality, TG_BAD);
	assert_string_equal(out[1].reason, "checksum wrong");
	assert_int_equal(out[2].quality, TG_GOOD);
}

/* The vector of SMBus PEC that MLX90614's data sheet has, 8.4.3: read of 0x07 at 0x5a, D2 3A, PEC 30. */
static void the_packet_error_code_counts_addresses_in(void **state)
{
	struct tg_i2c_transfer t = {
		.write = { 0x07 }, .n_write = 1, .n_read = 3, .check = TG_I2C_PEC
	};
	uint8_t answer[TG_RAW_BYTES_MAX] = { 0xd2, 0x3a, 0x30 };

	(void) state;
	assert_int_equal(tg_i2c_strip(&t, 0x5a, answer), 0);
	assert_int_equal(tg_i2c_strip(&t, 0x5b, answer), -EBADMSG);
	/* AHT20 has Sensirion's polynomial once. */
	t = (struct tg_i2c_transfer){ .n_read = 3, .check = TG_I2C_CRC8_LAST };
	memcpy(answer, "\xbe\xef\x92", 3);
	assert_int_equal(tg_i2c_strip(&t, 0x38, answer), 0);
	answer[0] ^= 0x40;
	assert_int_equal(tg_i2c_strip(&t, 0x38, answer), -EBADMSG);
}

static void an_adapter_of_smbus_only_gets_the_same_bytes(void **state)
{
	(void) state;
	point("byte", "write 10 read 1 uint8");
	point("word", "write 10 read 2 uint16");
	point("block", "write 10 read 4 uint32");
	point("beyond", "write 10 20 read 2 uint16");
	start();
	chip.funcs = I2C_FUNC_SMBUS_EMUL;
	memcpy(chip.regs + 0x10, "\x01\x02\x03\x04", 4);
	assert_int_equal(poll_once(0), 0);
	assert_int_equal(out[0].value.u, 0x01);
	assert_int_equal(out[1].value.u, 0x0102);
	assert_int_equal(out[2].value.u, 0x01020304);
	assert_int_equal(out[3].quality, TG_BAD);
	assert_non_null(strstr(out[3].reason, "SMBus only"));
	chip.funcs = I2C_FUNC_SMBUS_READ_I2C_BLOCK;
	assert_int_equal(poll_once(0), 0);
	assert_int_equal(out[0].value.u, 0x01);
	assert_int_equal(out[1].value.u, 0x0102);
}

static void a_chip_is_set_up_before_it_is_read_and_when_it_is_back(void **state)
{
	(void) state;
	point("a", "write 00 read 1 uint8");
	assert_int_equal(tg_i2c_init_parse("write f4 27, write f5 a0", &device.i2c, NULL), 0);
	start();
	assert_int_equal(poll_once(0), 0);
	assert_int_equal(chip.regs[0xf4], 0x27);
	assert_int_equal(chip.regs[0xf5], 0xa0);
	chip.regs[0xf4] = 0;
	assert_int_equal(poll_once(0), 0);
	assert_int_equal(chip.regs[0xf4], 0);
	chip.absent = ENXIO;
	assert_int_equal(poll_once(0), -ENXIO);
	chip.absent = 0;
	assert_int_equal(poll_once(0), 0);
	assert_int_equal(chip.regs[0xf4], 0x27);
}

static void a_command_writes_the_register_and_keeps_other_bits(void **state)
{
	struct tg_value v = { .type = TG_VALUE_UINT, .u = 5 };
	struct tg_sample s = { .quality = TG_BAD };

	(void) state;
	point("level", "write 30 read 2 uint16 mask=0x0ff0 shift=4");
	point("mode", "write 40 read 1 uint8");
	start();
	memcpy(chip.regs + 0x30, "\xff\xff", 2);
	assert_int_equal(tg_i2c_driver.write(bus, &device, &points[0], &v, &why), 0);
	assert_memory_equal(chip.written, "\x30\xf0\x5f", 3);
	assert_int_equal(tg_i2c_driver.read_one(bus, &device, &points[0], &s, &why), 0);
	assert_int_equal(s.quality, TG_GOOD);
	assert_int_equal(s.value.u, 5);
	v.u = 256;
	assert_int_equal(tg_i2c_driver.write(bus, &device, &points[0], &v, &why), -ERANGE);
	assert_int_equal(tg_raw_set_parse("write a0 value 55", "write", &points[1].i2c.set, NULL),
			 0);
	v.u = 7;
	assert_int_equal(tg_i2c_driver.write(bus, &device, &points[1], &v, &why), 0);
	assert_int_equal(chip.n_written, 3);
	assert_memory_equal(chip.written, "\xa0\x07\x55", 3);
	/* Once and no more: it may have arrived. */
	chip.fail = 1;
	chip.transfers = 0;
	assert_int_equal(tg_i2c_driver.write(bus, &device, &points[1], &v, &why), -EAGAIN);
	assert_int_equal(chip.transfers, 1);
	/* As when the adapter goes meanwhile, which is no -ENOTCONN: that says that nothing was sent. */
	chip.replaced = true;
	assert_int_equal(tg_i2c_driver.write(bus, &device, &points[1], &v, &why), -EIO);
	assert_non_null(strstr(why.text, "was unplugged"));
}

static const char *probed(const struct tg_config_device *dev, const char *address)
{
	static char json[TG_TABLE_BYTES];
	struct tg_buffer text = TG_BUFFER_INIT(sizeof(json) - 1);
	struct tg_table table;
	int r;

	tg_table_init(&table);
	r = tg_i2c_driver.probe(bus, dev, address, &table, &why);
	if (r < 0)
		(void) snprintf(json, sizeof(json), "%d %s", r, why.text);
	else
		assert_int_equal(tg_table_json(&table, &text), 0);
	if (r == 0)
		(void) snprintf(json, sizeof(json), "%s", tg_buffer_text(&text));
	tg_buffer_done(&text);
	tg_table_done(&table);
	return json;
}

static void a_probe_lists_who_answers_and_what_points_get(void **state)
{
	(void) state;
	point("temperature", "write 00 read 2 int16 shift=5");
	start();
	memcpy(chip.regs, "\x19\x00", 2);
	chip.held = 0x68;
	assert_string_equal(probed(NULL, ""), "{\"columns\":[\"address\",\"state\",\"device\"],"
					      "\"rows\":[[\"0x48\",\"answers\",\"chip\"],"
					      "[\"0x68\",\"of the kernel's driver "
					      "\",\"\"]],\"notes\":[]}");
	assert_non_null(strstr(probed(NULL, "0x20"), "[\"0x20\",\"silent\",\"\"]"));
	assert_non_null(strstr(probed(NULL, "0x78"), "such as 0x48"));
	if (!strstr(probed(&device, ""), "\"19 00\",\"200\""))
		fail_msg("%s", probed(&device, ""));
	/* Nothing is changed by being asked. */
	assert_memory_equal(chip.regs, "\x19\x00", 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, plug, unplug)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_temperature_is_read_from_an_adapter_found_by_name),
		TEST(points_with_the_same_transaction_share_one),
		TEST(nobody_there_is_told_in_the_same_words_whatever_the_adapter_calls_it),
		TEST(a_try_that_fails_is_repeated_as_often_as_allowed),
		TEST(a_chip_of_a_kernel_driver_is_left_alone),
		TEST(an_unplugged_adapter_is_the_bus_and_is_found_again),
		TEST(a_wrong_checksum_spoils_its_points_and_no_others),
		TEST(the_packet_error_code_counts_addresses_in),
		TEST(an_adapter_of_smbus_only_gets_the_same_bytes),
		TEST(a_chip_is_set_up_before_it_is_read_and_when_it_is_back),
		TEST(a_command_writes_the_register_and_keeps_other_bits),
		TEST(a_probe_lists_who_answers_and_what_points_get),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
