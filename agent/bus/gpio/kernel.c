/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/gpio/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CONSUMER "tidegate" /* what gpioinfo(1) shows */
#define ONE      1          /* the bitmaps of a request of one line */

int tg_gpio_chip_info(int chip, struct gpiochip_info *ret)
{
	struct gpiochip_info info = { .lines = 0 };

	if (ioctl(chip, GPIO_GET_CHIPINFO_IOCTL, &info) < 0)
		return -errno;
	info.name[sizeof(info.name) - 1] = '\0';
	info.label[sizeof(info.label) - 1] = '\0';
	*ret = info;
	return 0;
}

int tg_gpio_line_info(int chip, uint32_t offset, struct gpio_v2_line_info *ret)
{
	struct gpio_v2_line_info info = { .offset = offset };

	if (ioctl(chip, GPIO_V2_GET_LINEINFO_IOCTL, &info) < 0)
		return -errno;
	info.name[sizeof(info.name) - 1] = '\0';
	info.consumer[sizeof(info.consumer) - 1] = '\0';
	*ret = info;
	return 0;
}

static void fill(struct gpio_v2_line_config *c, const struct tg_gpio_setup *setup)
{
	c->flags = setup->flags;
	if (setup->debounce_us) {
		struct gpio_v2_line_config_attribute *a = &c->attrs[c->num_attrs++];

		a->attr.id = GPIO_V2_LINE_ATTR_ID_DEBOUNCE;
		a->attr.debounce_period_us = setup->debounce_us;
		a->mask = ONE;
	}
	if (setup->flags & GPIO_V2_LINE_FLAG_OUTPUT) {
		struct gpio_v2_line_config_attribute *a = &c->attrs[c->num_attrs++];

		a->attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
		a->attr.values = setup->active ? ONE : 0;
		a->mask = ONE;
	}
}

int tg_gpio_request(int chip, uint32_t offset, const struct tg_gpio_setup *setup, int *ret_fd)
{
	struct gpio_v2_line_request rq = {
		.offsets = { offset },
		.consumer = CONSUMER,
		.num_lines = 1,
		.event_buffer_size = setup->events,
	};
	int r;

	fill(&rq.config, setup);
	if (ioctl(chip, GPIO_V2_GET_LINE_IOCTL, &rq) < 0)
		return -errno;
	/* The kernel makes it close-on-exec; reading it must not wait for an edge. */
	r = fcntl(rq.fd, F_GETFL);
	if (r < 0 || fcntl(rq.fd, F_SETFL, r | O_NONBLOCK) < 0) {
		r = -errno;
		(void) close(rq.fd);
		return r;
	}
	*ret_fd = rq.fd;
	return 0;
}

int tg_gpio_configure(int line, const struct tg_gpio_setup *setup)
{
	struct gpio_v2_line_config c = { .flags = 0 };

	fill(&c, setup);
	return ioctl(line, GPIO_V2_LINE_SET_CONFIG_IOCTL, &c) < 0 ? -errno : 0;
}

int tg_gpio_get(int line, bool *ret_active)
{
	struct gpio_v2_line_values v = { .mask = ONE };

	if (ioctl(line, GPIO_V2_LINE_GET_VALUES_IOCTL, &v) < 0)
		return -errno;
	*ret_active = v.bits & ONE;
	return 0;
}

int tg_gpio_set(int line, bool active)
{
	struct gpio_v2_line_values v = { .mask = ONE, .bits = active ? ONE : 0 };

	return ioctl(line, GPIO_V2_LINE_SET_VALUES_IOCTL, &v) < 0 ? -errno : 0;
}

int tg_gpio_take_events(int line, struct gpio_v2_line_event *out, size_t n)
{
	ssize_t got = read(line, out, n * sizeof(*out));

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	/* The kernel hands out whole events only. */
	return (int) ((size_t) got / sizeof(*out));
}
