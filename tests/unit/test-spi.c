/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The SPI driver on a kernel that this file plays: /dev/spidevB.C is a plain file, and ioctl() on it is answered here,
 * by an MCP3208 (an ADC of 12 bits) and a memory.
 */
#include "agent/bus/drivers.h"
#include "agent/bus/table.h"
#include "config/bus/spi_read.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <linux/spi/spidev.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define POINTS 4

int __wrap_ioctl(int fd, unsigned long request, ...);

static struct {
	uint32_t mode, can; /* mode bits: as set, and that the controller knows */
	unsigned transfers;
	int fail; /* errno */
	bool brief;
	uint16_t level[8];  /* of the ADC's inputs */
	uint8_t memory[16]; /* read by 03 ADDRESS, written by 02 ADDRESS */
	uint8_t sent[64];
	size_t n_sent;
	uint16_t delay_us;
} chip;

static char node[64];
static struct tg_config_point points[POINTS];
static struct tg_config_device device = { .name = (char *) "adc", .points = points };
static struct tg_config_bus bus_cfg = { .name = (char *) "spi0" };
static struct tg_config cfg = {
	.buses = &bus_cfg, .n_buses = 1, .devices = &device, .n_devices = 1
};
static struct tg_bus *bus;
static void *plan;
static struct tg_sample out[POINTS];
static struct tg_fault why;

/* --- the kernel --- */

/* MCP3208 data sheet, figure 6-1: 00000 1 S D2, D1 D0 xxxxxx, xxxxxxxx; null bit and B11..B8 in the second byte. */
static uint8_t clock_in(size_t i)
{
	unsigned channel = (chip.sent[0] & 1u) << 2 | chip.sent[1] >> 6;

	if (chip.sent[0] == 0x03)
		return i < 2 ? 0xff : chip.memory[(chip.sent[1] + i - 2) % sizeof(chip.memory)];
	if ((chip.sent[0] & 0xfe) != 0x06)
		return 0xff;
	return (uint8_t) (i == 1 ? 0xe0 | chip.level[channel] >> 8 : chip.level[channel]);
}

static int transfer(struct spi_ioc_transfer *parts, size_t n)
{
	size_t at = 0, total = 0;

	chip.transfers++;
	memset(chip.sent, 0, sizeof(chip.sent));
	for (size_t i = 0; i < n; i++) {
		const uint8_t *tx = (const uint8_t *) (uintptr_t) parts[i].tx_buf;

		assert_int_equal(parts[i].bits_per_word, 8);
		assert_int_equal(parts[i].speed_hz, 500000);
		if (tx)
			memcpy(chip.sent + total, tx, parts[i].len);
		total += parts[i].len;
	}
	chip.delay_us = parts[0].delay_usecs;
	for (size_t i = 0; i < n; i++) {
		uint8_t *rx = (uint8_t *) (uintptr_t) parts[i].rx_buf;

		for (uint32_t b = 0; b < parts[i].len; b++)
			rx[b] = clock_in(at++);
	}
	if (chip.sent[0] == 0x02)
		memcpy(chip.memory + chip.sent[1], chip.sent + 2, total - 2);
	chip.n_sent = total;
	return chip.brief ? (int) total - 1 : (int) total;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	void *arg;
	va_list ap;

	(void) fd;
	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	errno = chip.fail;
	if (request == SPI_IOC_RD_MODE32) {
		*(uint32_t *) arg = chip.mode;
		return 0;
	}
	if (request == SPI_IOC_WR_MODE32) {
		errno = EINVAL;
		if (*(uint32_t *) arg & ~chip.can)
			return -1;
		chip.mode = *(uint32_t *) arg;
		return 0;
	}
	if (chip.fail)
		return -1;
	if (request == SPI_IOC_MESSAGE(1) || request == SPI_IOC_MESSAGE(2))
		return transfer(arg, request == SPI_IOC_MESSAGE(1) ? 1 : 2);
	errno = ENOTTY;
	return -1;
}

/* --- the bench --- */

static int plug(void **state)
{
	int fd;

	(void) state;
	memset(&chip, 0, sizeof(chip));
	chip.can = SPI_MODE_3;
	(void) snprintf(node, sizeof(node), "/tmp/tidegate-spi-XXXXXX");
	fd = mkstemp(node);
	assert_true(fd >= 0 && close(fd) == 0);
	memset(points, 0, sizeof(points));
	bus_cfg.spi.device = node;
	device.spi = (struct tg_spi_device){ .speed = 500000 };
	device.n_points = 0;
	return 0;
}

static struct tg_config_point *point(const char *name, const char *read)
{
	struct tg_config_point *p = &points[device.n_points++];

	p->name = (char *) (uintptr_t) name;
	p->read = (char *) (uintptr_t) read;
	if (tg_spi_read_parse(read, &p->spi.transfer, &p->spi.raw, &why) < 0)
		fail_msg("%s: %s", read, why.text);
	return p;
}

static void start(void)
{
	assert_int_equal(tg_spi_driver.open(&cfg, 0, &bus, &why), 0);
	assert_int_equal(tg_spi_driver.plan(bus, &device, &plan, &why), 0);
	assert_true(tg_spi_driver.patience_us(bus, &device, plan) > 0);
}

static int poll_once(unsigned retries)
{
	for (size_t i = 0; i < POINTS; i++)
		out[i] = (struct tg_sample){ .reason = "not read", .quality = TG_BAD };
	why = (struct tg_fault){ .text = "" };
	return tg_spi_driver.poll(bus, &device, plan, retries, out, &why);
}

static int unplug(void **state)
{
	(void) state;
	if (bus) {
		tg_spi_driver.plan_free(plan);
		tg_spi_driver.close(bus);
	}
	bus = NULL;
	plan = NULL;
	(void) unlink(node);
	return 0;
}

/* --- tests --- */

static void twelve_bits_of_an_adc_are_a_number(void **state)
{
	(void) state;
	point("in0", "transfer 06 00 00 uint16 at=1 mask=0x0fff");
	point("in5", "transfer 07 40 00 uint16 at=1 mask=0x0fff");
	start();
	chip.level[0] = 0xabc;
	chip.level[5] = 0x123;
	assert_int_equal(poll_once(0), 0);
	assert_int_equal(out[0].quality, TG_GOOD);
	assert_int_equal(out[0].value.u, 0xabc);
	assert_int_equal(out[1].value.u, 0x123);
	assert_true(out[0].boot_us > 0);
}

static void an_answer_behind_the_command_is_one_transfer_for_all_its_points(void **state)
{
	(void) state;
	point("low", "transfer 03 00 delay=50us read 4 uint16");
	point("high", "transfer 03 00 delay=50us read 4 uint16 at=2 order=little");
	point("later", "transfer 03 08 read 1 bit=0");
	start();
	memcpy(chip.memory, "\x01\x02\x03\x04\0\0\0\0\x01", 9);
	assert_int_equal(poll_once(0), 0);
	assert_int_equal(chip.transfers, 2);
	assert_int_equal(out[0].value.u, 0x0102);
	assert_int_equal(out[1].value.u, 0x0403);
	assert_true(out[2].value.b);
	assert_int_equal(chip.delay_us, 0);
}

static void the_mode_is_that_of_the_chip_or_refused(void **state)
{
	(void) state;
	point("in0", "transfer 06 00 00 uint16 at=1");
	device.spi.mode = 3;
	start();
	assert_int_equal(poll_once(0), 0);
	assert_int_equal(chip.mode, SPI_MODE_3);
	device.spi.lsb_first = true;
	assert_int_equal(poll_once(0), -EINVAL);
	assert_non_null(strstr(why.text, "cannot do mode 3, lsb-first"));
	assert_int_equal(chip.transfers, 1);
}

static void a_device_that_is_gone_is_the_bus(void **state)
{
	FILE *f;

	(void) state;
	point("in0", "transfer 06 00 00 uint16 at=1");
	start();
	chip.fail = ESHUTDOWN;
	assert_int_equal(poll_once(5), -ENOTCONN);
	assert_int_equal(unlink(node), 0);
	assert_int_equal(poll_once(0), -ENOTCONN);
	assert_non_null(strstr(why.text, "is not there"));
	f = fopen(node, "w");
	assert_true(f && fclose(f) == 0);
	chip.fail = 0;
	assert_int_equal(poll_once(0), 0);
	chip.fail = ETIMEDOUT;
	assert_int_equal(poll_once(1), -ETIMEDOUT);
	assert_int_equal(out[0].quality, TG_BAD);
	chip.fail = 0;
	chip.brief = true;
	assert_int_equal(poll_once(0), -EIO);
}

static void a_command_is_a_transfer_of_its_own(void **state)
{
	struct tg_value v = { .type = TG_VALUE_INT, .i = 0x1234 };
	struct tg_sample s = { .quality = TG_BAD };

	(void) state;
	assert_int_equal(tg_raw_set_parse("transfer 02 04 value", "transfer",
					  &point("word", "transfer 03 04 read 2 uint16")->spi.set,
					  NULL),
			 0);
	assert_int_equal(
		tg_raw_set_parse(
			"transfer 02 06 value", "transfer",
			&point("nibble", "transfer 03 06 read 1 uint8 mask=0xf0 shift=4")->spi.set,
			NULL),
		0);
	start();
	assert_int_equal(tg_spi_driver.write(bus, &device, &points[0], &v, &why), 0);
	assert_memory_equal(chip.sent, "\x02\x04\x12\x34", 4);
	assert_int_equal(chip.n_sent, 4);
	assert_int_equal(tg_spi_driver.read_one(bus, &device, &points[0], &s, &why), 0);
	assert_true(s.quality == TG_GOOD && s.value.u == 0x1234);
	chip.memory[6] = 0x5a;
	v.i = 0xc;
	assert_int_equal(tg_spi_driver.write(bus, &device, &points[1], &v, &why), 0);
	assert_int_equal(chip.memory[6], 0xca);
	v.i = 16;
	assert_int_equal(tg_spi_driver.write(bus, &device, &points[1], &v, &why), -ERANGE);
}

static void a_probe_shows_the_bytes(void **state)
{
	struct tg_buffer text = TG_BUFFER_INIT(TG_TABLE_BYTES);
	struct tg_table table;

	(void) state;
	point("in0", "transfer 06 00 00 uint16 at=1 mask=0x0fff");
	start();
	chip.level[0] = 0x123;
	tg_table_init(&table);
	assert_int_equal(tg_spi_driver.probe(bus, NULL, "", &table, &why), -EINVAL);
	assert_int_equal(tg_spi_driver.probe(bus, &device, "", &table, &why), 0);
	assert_int_equal(tg_table_json(&table, &text), 0);
	assert_non_null(strstr(tg_buffer_text(&text), "\"23 e1 23\",\"291 (0x123)\""));
	tg_table_done(&table);
	tg_buffer_done(&text);
}

static void what_makes_no_sense_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{ "", "begins with 'transfer'" },
		{ "write 00 read 1 uint8", "begins with 'transfer'" },
		{ "transfer", "come bytes" },
		{ "transfer read 2 uint16", "not 'read'" },
		{ "transfer 06 00 00", "a TYPE is missing" },
		{ "transfer 06 00 00 uint16 at=2", "reaches past the 3 bytes" },
		{ "transfer 06 read 2 uint16 at=1", "reaches past the 2 bytes" },
		{ "transfer 06 read 65 uint16", "is not 1 to 64" },
		{ "transfer 06 read", "is not 1 to 64" },
		{ "transfer 06 delay=50us uint8", "stands before 'read N'" },
		{ "transfer 06 delay=50us", "stands before 'read N'" },
		{ "transfer 06 delay=1s read 1 uint8", "not a duration from 1us to 65ms" },
		{ "transfer 06 read 1 uint8 crc8", "has no place here" },
		{ "transfer 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 "
		  "uint8",
		  "more than 32 bytes" },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		struct tg_spi_transfer t = { .n_read = 77 };
		struct tg_raw raw;

		if (tg_spi_read_parse(cases[i].text, &t, &raw, &why) != -EINVAL)
			fail_msg("'%s' was taken", cases[i].text);
		assert_int_equal(t.n_read, 77);
		if (!strstr(why.text, cases[i].reason))
			fail_msg("'%s': %s", cases[i].text, why.text);
		assert_int_equal(tg_spi_read_parse(cases[i].text, &t, &raw, NULL), -EINVAL);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, plug, unplug)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(twelve_bits_of_an_adc_are_a_number),
		TEST(an_answer_behind_the_command_is_one_transfer_for_all_its_points),
		TEST(the_mode_is_that_of_the_chip_or_refused),
		TEST(a_device_that_is_gone_is_the_bus),
		TEST(a_command_is_a_transfer_of_its_own),
		TEST(a_probe_shows_the_bytes),
		cmocka_unit_test(what_makes_no_sense_is_refused_with_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
