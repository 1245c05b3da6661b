/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The GPIO driver on a kernel that this file plays: chips are plain files that
 * hold their labels, lines are pipes into which the test writes events, and
 * ioctl() is answered here.
 */
#include "agent/bus/drivers.h"
#include "agent/bus/gpio/gpio.h"
#include "agent/bus/gpio/park.h"
#include "agent/bus/table.h"
#include "base/clock.h"
#include "config/bus/gpio_read.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LINES  8
#define POINTS 4

int __wrap_ioctl(int fd, unsigned long request, ...);

static struct {
	bool gone;
	struct line {
		uint64_t flags; /* as last configured */
		bool level;     /* physical */
		int out;        /* we write events; -1: never requested */
		ino_t pipe;     /* of the descriptor that the driver has */
		uint32_t debounce_us, buffer, seqno;
		unsigned requests, configured;
		char consumer[GPIO_MAX_NAME_SIZE];
	} lines[LINES];
} chip;

static char dir[64], node[96];
static struct tg_config_point points[POINTS];
static struct tg_config_device device = { .name = (char *) "panel", .points = points };
static struct tg_config_bus bus_cfg = { .name = (char *) "pins" };
static struct tg_config cfg = {
	.buses = &bus_cfg, .n_buses = 1, .devices = &device, .n_devices = 1
};
static struct tg_bus *bus;
static void *plan;
static struct tg_sample out[POINTS];
static struct tg_fault why;

/* --- the kernel --- */

/* Whether the driver still has the other end. */
static bool is_held(const struct line *l)
{
	struct pollfd p = { .fd = l->out, .events = POLLOUT };

	return l->out >= 0 && poll(&p, 1, 0) >= 0 && !(p.revents & POLLERR);
}

static bool is_active(const struct line *l)
{
	return l->level != !!(l->flags & GPIO_V2_LINE_FLAG_ACTIVE_LOW);
}

static void set_active(struct line *l, bool active)
{
	l->level = active != !!(l->flags & GPIO_V2_LINE_FLAG_ACTIVE_LOW);
}

static int configure(struct line *l, const struct gpio_v2_line_config *c)
{
	uint64_t directions = GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_OUTPUT;
	uint64_t edges = GPIO_V2_LINE_FLAG_EDGE_RISING | GPIO_V2_LINE_FLAG_EDGE_FALLING;
	bool was_output = l->flags & GPIO_V2_LINE_FLAG_OUTPUT;

	/* As gpio_v2_line_flags_validate() has it. */
	if ((c->flags & directions) == directions ||
	    (c->flags & edges && !(c->flags & GPIO_V2_LINE_FLAG_INPUT)))
		return EINVAL;
	for (size_t i = 0; i < TG_ARRAY_SIZE(c->padding); i++)
		assert_int_equal(c->padding[i], 0);
	l->flags = c->flags;
	if (!(c->flags & directions) && was_output)
		l->flags |= GPIO_V2_LINE_FLAG_OUTPUT;
	l->debounce_us = 0;
	for (unsigned i = 0; i < c->num_attrs; i++) {
		assert_int_equal(c->attrs[i].mask, 1);
		if (c->attrs[i].attr.id == GPIO_V2_LINE_ATTR_ID_DEBOUNCE)
			l->debounce_us = c->attrs[i].attr.debounce_period_us;
		else if (c->flags & GPIO_V2_LINE_FLAG_OUTPUT)
			set_active(l, c->attrs[i].attr.values & 1);
	}
	return 0;
}

static int request_line(struct gpio_v2_line_request *rq)
{
	struct line *l = &chip.lines[rq->offsets[0]];
	struct stat st;
	int fds[2], r;

	assert_int_equal(rq->num_lines, 1);
	if (rq->offsets[0] >= LINES)
		return EINVAL;
	if (*l->consumer || is_held(l))
		return EBUSY;
	r = configure(l, &rq->config);
	if (r)
		return r;
	if (l->out >= 0)
		(void) close(l->out);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fstat(fds[0], &st), 0);
	l->pipe = st.st_ino;
	l->out = fds[1];
	l->seqno = 0;
	l->buffer = rq->event_buffer_size;
	l->requests++;
	rq->fd = fds[0];
	return 0;
}

static int line_info(struct gpio_v2_line_info *info)
{
	const struct line *l = &chip.lines[info->offset];

	if (info->offset >= LINES)
		return EINVAL;
	(void) snprintf(info->name, sizeof(info->name), "PIN%u", info->offset);
	info->flags = l->flags & (GPIO_V2_LINE_FLAG_OUTPUT | GPIO_V2_LINE_FLAG_ACTIVE_LOW);
	if (*l->consumer || is_held(l))
		info->flags |= GPIO_V2_LINE_FLAG_USED;
	(void) snprintf(info->consumer, sizeof(info->consumer), "%s",
			*l->consumer ? l->consumer
			: is_held(l) ? "tidegate"
				     : "");
	return 0;
}

static int on_line(struct line *l, unsigned long request, void *arg)
{
	struct gpio_v2_line_values *v = arg;

	if (request == GPIO_V2_LINE_SET_CONFIG_IOCTL) {
		l->configured++;
		return configure(l, arg);
	}
	assert_int_equal(v->mask, 1);
	if (request == GPIO_V2_LINE_GET_VALUES_IOCTL) {
		v->bits = is_active(l);
		return 0;
	}
	if (!(l->flags & GPIO_V2_LINE_FLAG_OUTPUT))
		return EPERM;
	set_active(l, v->bits & 1);
	return 0;
}

static int chip_info(int fd, struct gpiochip_info *info)
{
	ssize_t n = pread(fd, info->label, sizeof(info->label), 0);

	assert_true(n > 0);
	(void) snprintf(info->name, sizeof(info->name), "gpiochip0");
	info->lines = LINES;
	return 0;
}

static int answer(int fd, unsigned long request, void *arg)
{
	struct stat st;

	if (chip.gone)
		return ENODEV;
	if (request == GPIO_GET_CHIPINFO_IOCTL)
		return chip_info(fd, arg);
	if (request == GPIO_V2_GET_LINEINFO_IOCTL)
		return line_info(arg);
	if (request == GPIO_V2_GET_LINE_IOCTL)
		return request_line(arg);
	assert_int_equal(fstat(fd, &st), 0);
	for (size_t i = 0; i < LINES; i++) {
		if (chip.lines[i].out >= 0 && chip.lines[i].pipe == st.st_ino)
			return on_line(&chip.lines[i], request, arg);
	}
	return ENOTTY;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	int error;
	void *arg;
	va_list ap;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	error = answer(fd, request, arg);
	errno = error;
	return error ? -1 : 0;
}

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
	return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}

/* The level changes, and the kernel tells whoever watches; @lost edges before it found no room. */
static void drive(unsigned offset, bool level, uint64_t ago_ns, unsigned lost)
{
	struct line *l = &chip.lines[offset];
	bool before = is_active(l);
	struct gpio_v2_line_event ev = { .offset = offset,
					 .timestamp_ns = monotonic_ns() - ago_ns };

	l->level = level;
	if (is_active(l) == before && !lost)
		return;
	ev.id = is_active(l) ? GPIO_V2_LINE_EVENT_RISING_EDGE : GPIO_V2_LINE_EVENT_FALLING_EDGE;
	if (!(l->flags &
	      (is_active(l) ? GPIO_V2_LINE_FLAG_EDGE_RISING : GPIO_V2_LINE_FLAG_EDGE_FALLING)))
		return;
	l->seqno += lost + 1;
	ev.line_seqno = ev.seqno = l->seqno;
	assert_int_equal(write(l->out, &ev, sizeof(ev)), sizeof(ev));
}

/* --- the bench --- */

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int plug(void **state)
{
	(void) state;
	memset(&chip, 0, sizeof(chip));
	for (size_t i = 0; i < LINES; i++)
		chip.lines[i].out = -1;
	(void) snprintf(dir, sizeof(dir), "/tmp/tidegate-gpio-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void) snprintf(node, sizeof(node), "%s/gpiochip0", dir);
	put_file(node, "pinctrl-test");
	memset(points, 0, sizeof(points));
	device.n_points = 0;
	bus_cfg.gpio.chip = (char *) "pinctrl-test";
	return 0;
}

static struct tg_config_point *point(const char *name, const char *read)
{
	struct tg_config_point *p = &points[device.n_points++];

	p->name = (char *) (uintptr_t) name;
	p->read = (char *) (uintptr_t) read;
	p->origin = name;
	if (tg_gpio_read_parse(read, &p->gpio, &why) < 0)
		fail_msg("%s: %s", read, why.text);
	return p;
}

static int start(void)
{
	int r;

	assert_int_equal(tg_gpio_driver.open(&cfg, 0, &bus, &why), 0);
	tg_gpio_bus_dev(bus, dir);
	r = tg_gpio_driver.plan(bus, &device, &plan, &why);
	if (r == 0)
		assert_true(tg_gpio_driver.patience_us(bus, &device, plan) > 0);
	return r;
}

static void stop(void)
{
	if (bus) {
		tg_gpio_driver.plan_free(plan);
		tg_gpio_driver.close(bus);
	}
	bus = NULL;
	plan = NULL;
}

static int unplug(void **state)
{
	(void) state;
	stop();
	tg_gpio_park_sweep(UINT64_MAX);
	for (size_t i = 0; i < LINES; i++) {
		if (chip.lines[i].out >= 0)
			(void) close(chip.lines[i].out);
	}
	(void) unlink(node);
	(void) rmdir(dir);
	return 0;
}

static int poll_once(void)
{
	for (size_t i = 0; i < POINTS; i++)
		out[i] = (struct tg_sample){ .reason = "not read", .quality = TG_BAD };
	why = (struct tg_fault){ .text = "" };
	return tg_gpio_driver.poll(bus, &device, plan, 0, out, &why);
}

static struct {
	size_t n;
	uint64_t dropped;
	struct {
		size_t point;
		bool value;
		uint64_t boot_us;
	} got[600];
} heard;

static void on_heard(void *user, const struct tg_config_device *dev, size_t index,
		     const struct tg_sample *s)
{
	(void) user;
	assert_ptr_equal(dev, &device);
	assert_int_equal(s->quality, TG_GOOD);
	assert_int_equal(s->value.type, TG_VALUE_BOOL);
	assert_true(heard.n < TG_ARRAY_SIZE(heard.got));
	heard.got[heard.n].point = index;
	heard.got[heard.n].value = s->value.b;
	heard.got[heard.n++].boot_us = s->boot_us;
}

static void on_dropped(void *user, uint64_t n)
{
	(void) user;
	heard.dropped += n;
}

static int listen_once(void)
{
	static const struct tg_bus_ear ear = { .heard = on_heard, .dropped = on_dropped };

	why = (struct tg_fault){ .text = "" };
	return tg_gpio_driver.listen(bus, &ear, &why);
}

static int listen_anew(void)
{
	memset(&heard, 0, sizeof(heard));
	return listen_once();
}

static bool is_readable(void)
{
	uint64_t wake;
	struct pollfd p = { .fd = tg_gpio_driver.listen_fd(bus, &wake), .events = POLLIN };

	return p.fd >= 0 && poll(&p, 1, 0) == 1;
}

/* --- tests --- */

static void levels_are_read_from_a_chip_found_by_its_label(void **state)
{
	uint64_t wake;

	(void) state;
	point("door", "line 2 pull-up active-low");
	point("float", "line PIN5");
	assert_int_equal(start(), 0);
	chip.lines[5].level = true;
	chip.lines[2].level = true;
	assert_int_equal(poll_once(), 0);
	assert_int_equal(out[0].quality, TG_GOOD);
	assert_int_equal(out[0].value.type, TG_VALUE_BOOL);
	assert_false(out[0].value.b);
	assert_true(out[1].value.b);
	assert_true(out[1].boot_us > 0);
	assert_true(chip.lines[2].flags == (GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_ACTIVE_LOW |
					    GPIO_V2_LINE_FLAG_BIAS_PULL_UP));
	assert_int_equal(chip.lines[5].requests, 1);
	/* Nobody waits for edges that nobody wants. */
	assert_int_equal(tg_gpio_driver.listen_fd(bus, &wake), -1);
	assert_int_equal(poll_once(), 0);
	assert_int_equal(chip.lines[5].requests, 1);
}

static void edges_are_heard_with_the_time_of_the_kernel(void **state)
{
	uint64_t now;

	(void) state;
	point("button", "line 3 edge=both debounce=5ms");
	point("press", "line 3 edge=rising debounce=5ms");
	assert_int_equal(start(), 0);
	assert_int_equal(listen_anew(), 0);
	assert_int_equal(chip.lines[3].debounce_us, 5000);
	assert_false(is_readable());
	drive(3, true, 700000000, 0);
	drive(3, false, 200000000, 0);
	assert_true(is_readable());
	now = tg_clock_boot_us();
	assert_int_equal(listen_once(), 0);
	assert_int_equal(heard.n, 3);
	assert_true(heard.got[0].value && heard.got[1].value && !heard.got[2].value);
	assert_int_equal(heard.got[2].point, 0);
	assert_true(now - heard.got[0].boot_us >= 600000 && now - heard.got[0].boot_us < 5000000);
	assert_true(heard.got[2].boot_us - heard.got[0].boot_us > 400000);
	assert_false(is_readable());
	assert_int_equal(heard.dropped, 0);
}

static void pulses_are_counted_even_those_that_came_too_fast(void **state)
{
	(void) state;
	point("energy", "line 1 count=falling");
	point("level", "line 1");
	assert_int_equal(start(), 0);
	assert_int_equal(poll_once(), 0);
	assert_int_equal(out[0].value.type, TG_VALUE_UINT);
	assert_int_equal(out[0].value.u, 0);
	for (int i = 0; i < 3; i++) {
		drive(1, true, 0, 0);
		drive(1, false, 0, 0);
	}
	drive(1, true, 0, 0);
	drive(1, false, 0, 96);
	assert_int_equal(listen_anew(), 0);
	assert_int_equal(heard.n, 0);
	assert_int_equal(heard.dropped, 96);
	assert_int_equal(poll_once(), 0);
	assert_int_equal(out[0].value.u, 100);
	assert_false(out[1].value.b);
	assert_int_equal(chip.lines[1].requests, 1);
	assert_int_equal(chip.lines[1].buffer, 1024);
}

static void a_line_that_chatters_holds_up_no_other(void **state)
{
	(void) state;
	point("noisy", "line 0 edge=both");
	point("calm", "line 7 edge=both");
	assert_int_equal(start(), 0);
	assert_int_equal(listen_anew(), 0);
	for (int i = 0; i < 500; i++)
		drive(0, i % 2 == 0, 0, 0);
	drive(7, true, 0, 0);
	assert_int_equal(listen_anew(), 0);
	assert_true(heard.n <= TG_LISTEN_MAX);
	for (size_t i = 0; i < heard.n; i++)
		heard.dropped += heard.got[i].point == 1;
	assert_int_equal(heard.dropped, 1);
	while (is_readable())
		assert_int_equal(listen_once(), 0);
	assert_int_equal(heard.n, 501);
}

static void an_output_starts_inactive_or_safe_and_is_set(void **state)
{
	struct tg_value on = { .type = TG_VALUE_BOOL, .b = true };
	struct tg_sample s = { .quality = TG_BAD };
	struct tg_config_point *valve;

	(void) state;
	point("relay", "line 4 output")->write = true;
	valve = point("valve", "line 6 output active-low");
	valve->write = valve->has_safe = true;
	valve->safe = 1;
	chip.lines[6].level = true;
	chip.lines[4].level = true; /* an input that floats */
	assert_int_equal(start(), 0);
	assert_int_equal(poll_once(), 0);
	assert_false(chip.lines[4].level);
	assert_false(chip.lines[6].level); /* active */
	assert_true(out[1].value.b);
	assert_int_equal(tg_gpio_driver.write(bus, &device, &points[0], &on, &why), 0);
	assert_true(chip.lines[4].level);
	assert_int_equal(tg_gpio_driver.read_one(bus, &device, &points[0], &s, &why), 0);
	assert_true(s.quality == TG_GOOD && s.value.b);
	on = (struct tg_value){ .type = TG_VALUE_REAL, .real = 0 };
	assert_int_equal(tg_gpio_driver.write(bus, &device, &points[0], &on, &why), 0);
	assert_false(chip.lines[4].level);
	on.real = 0.5;
	assert_int_equal(tg_gpio_driver.write(bus, &device, &points[0], &on, &why), -ERANGE);
	on = (struct tg_value){ .type = TG_VALUE_TEXT, .text = "1" };
	assert_int_equal(tg_gpio_driver.write(bus, &device, &points[0], &on, &why), -ERANGE);
}

static void an_output_keeps_its_value_from_one_configuration_to_the_next(void **state)
{
	struct tg_value on = { .type = TG_VALUE_UINT, .u = 1 };

	(void) state;
	point("relay", "line 4 output")->write = true;
	assert_int_equal(start(), 0);
	assert_int_equal(poll_once(), 0);
	assert_int_equal(tg_gpio_driver.write(bus, &device, &points[0], &on, &why), 0);
	stop();
	/* The line was not given back, so no chip could drop it. */
	assert_true(is_held(&chip.lines[4]));
	assert_int_equal(start(), 0);
	assert_int_equal(poll_once(), 0);
	assert_true(chip.lines[4].level && out[0].value.b);
	assert_int_equal(chip.lines[4].requests, 1);
	stop();
	/* The other sense of the same line keeps its level, not its meaning. */
	points[0].gpio.line.active_low = true;
	assert_int_equal(start(), 0);
	assert_int_equal(poll_once(), 0);
	stop();
	/* Who does not come for it leaves it. */
	tg_gpio_park_sweep(tg_clock_boot_us() + TG_GPIO_PARK_US + 1);
	assert_false(is_held(&chip.lines[4]));
}

static void an_output_that_drives_already_is_taken_over_as_it_is(void **state)
{
	(void) state;
	point("relay", "line 4 output")->write = true;
	chip.lines[4].flags = GPIO_V2_LINE_FLAG_OUTPUT;
	chip.lines[4].level = true;
	assert_int_equal(start(), 0);
	assert_int_equal(poll_once(), 0);
	assert_true(chip.lines[4].level && out[0].value.b);
	assert_int_equal(chip.lines[4].configured, 1);
}

static void a_line_that_another_has_is_told_and_the_others_go_on(void **state)
{
	(void) state;
	point("mine", "line 2");
	point("theirs", "line 3");
	point("nowhere", "line PIN9");
	point("beyond", "line 8");
	(void) snprintf(chip.lines[3].consumer, sizeof(chip.lines[3].consumer), "spi0 CS0");
	assert_int_equal(start(), 0);
	assert_int_equal(poll_once(), 0);
	assert_int_equal(out[0].quality, TG_GOOD);
	assert_string_equal(out[1].reason, "line 3 is used by 'spi0 CS0'");
	assert_string_equal(out[2].reason, "no line of the chip is called 'PIN9'");
	assert_string_equal(out[3].reason, "the chip has lines 0 to 7 only");
	device.n_points = 2;
	stop();
	memmove(&points[0], &points[1], sizeof(points[0]));
	device.n_points = 1;
	assert_int_equal(start(), 0);
	assert_int_equal(poll_once(), -EIO);
	assert_string_equal(why.text, "line 3 is used by 'spi0 CS0'");
}

static void a_chip_that_is_unplugged_is_the_bus_and_is_found_again(void **state)
{
	(void) state;
	point("button", "line 3 edge=both");
	point("pulses", "line 1 count=rising");
	assert_int_equal(start(), 0);
	assert_int_equal(listen_anew(), 0);
	drive(1, true, 0, 0);
	assert_int_equal(listen_once(), 0);
	/* The kernel hangs up on its lines. */
	chip.gone = true;
	assert_int_equal(unlink(node), 0);
	(void) close(chip.lines[3].out);
	chip.lines[3].out = -1;
	assert_true(is_readable());
	assert_int_equal(listen_once(), -ENOTCONN);
	assert_false(is_readable());
	assert_int_equal(poll_once(), -ENOTCONN);
	chip.gone = false;
	chip.lines[1].level = false;
	put_file(node, "pinctrl-test");
	/* It does not look for it without a pause. */
	assert_int_equal(poll_once(), -ENOTCONN);
	bus->look_us = 0;
	assert_int_equal(poll_once(), 0);
	drive(1, true, 0, 3);
	assert_int_equal(listen_anew(), 0);
	assert_int_equal(poll_once(), 0);
	/* Counts go on, and lost edges are those of the new request. */
	assert_int_equal(out[1].value.u, 5);
}

static void two_meanings_of_one_line_are_refused(void **state)
{
	(void) state;
	point("a", "line 3 pull-up");
	point("b", "line 3");
	assert_int_equal(start(), -EINVAL);
	assert_non_null(strstr(why.text, "with different words"));
	stop();
	device.n_points = 0;
	point("a", "line 3 output");
	point("b", "line 3 output");
	assert_int_equal(start(), -EINVAL);
	assert_non_null(strstr(why.text, "as an output"));
}

static void chips_with_the_same_label_are_not_mistaken(void **state)
{
	char other[96], link[96];

	(void) state;
	(void) snprintf(other, sizeof(other), "%s/gpiochip1", dir);
	(void) snprintf(link, sizeof(link), "%s/gpiochip4", dir);
	put_file(other, "pinctrl-test");
	point("a", "line 3");
	assert_int_equal(start(), 0);
	assert_int_equal(poll_once(), -ENOTCONN);
	assert_non_null(strstr(why.text, "several chips"));
	assert_int_equal(unlink(other), 0);
	/* A link is the same chip once more. */
	assert_int_equal(symlink("gpiochip0", link), 0);
	bus->look_us = 0;
	assert_int_equal(poll_once(), 0);
	assert_int_equal(unlink(link), 0);
	stop();
	bus_cfg.gpio.chip = node;
	assert_int_equal(start(), 0);
	assert_int_equal(poll_once(), 0);
	stop();
	bus_cfg.gpio.chip = (char *) "no-such-chip";
	assert_int_equal(start(), 0);
	assert_int_equal(poll_once(), -ENOTCONN);
	assert_string_equal(why.text, "no GPIO chip is called 'no-such-chip'");
}

static void a_probe_lists_lines_and_touches_none_that_is_not_ours(void **state)
{
	struct tg_buffer text = TG_BUFFER_INIT(TG_TABLE_BYTES);
	struct tg_table table;

	(void) state;
	point("door", "line 2 active-low");
	(void) snprintf(chip.lines[3].consumer, sizeof(chip.lines[3].consumer), "led0");
	assert_int_equal(start(), 0);
	tg_table_init(&table);
	assert_int_equal(tg_gpio_driver.probe(bus, NULL, "", &table, &why), 0);
	assert_int_equal(tg_table_json(&table, &text), 0);
	assert_non_null(strstr(tg_buffer_text(&text), "[\"2\",\"PIN2\",\"input\",\"active-low\","
						      "\"tidegate\",\"active\",\"panel/door\"]"));
	assert_non_null(strstr(tg_buffer_text(&text), "[\"3\",\"PIN3\",\"input\",\"\",\"led0\","
						      "\"\",\"\"]"));
	assert_non_null(strstr(tg_buffer_text(&text), "label 'pinctrl-test', 8 lines"));
	assert_int_equal(chip.lines[1].requests + chip.lines[4].requests, 0);
	tg_table_done(&table);
	tg_buffer_done(&text);
	tg_table_init(&table);
	assert_int_equal(tg_gpio_driver.probe(bus, NULL, "99", &table, &why), -EINVAL);
	tg_table_done(&table);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, plug, unplug)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(levels_are_read_from_a_chip_found_by_its_label),
		TEST(edges_are_heard_with_the_time_of_the_kernel),
		TEST(pulses_are_counted_even_those_that_came_too_fast),
		TEST(a_line_that_chatters_holds_up_no_other),
		TEST(an_output_starts_inactive_or_safe_and_is_set),
		TEST(an_output_keeps_its_value_from_one_configuration_to_the_next),
		TEST(an_output_that_drives_already_is_taken_over_as_it_is),
		TEST(a_line_that_another_has_is_told_and_the_others_go_on),
		TEST(a_chip_that_is_unplugged_is_the_bus_and_is_found_again),
		TEST(two_meanings_of_one_line_are_refused),
		TEST(chips_with_the_same_label_are_not_mistaken),
		TEST(a_probe_lists_lines_and_touches_none_that_is_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
