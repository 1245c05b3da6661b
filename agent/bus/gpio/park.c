/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/gpio/park.h"

#include <linux/gpio.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct parked {
	int line;
	uint32_t offset;
	char chip[GPIO_MAX_NAME_SIZE], label[GPIO_MAX_NAME_SIZE];
	uint64_t until_us;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct parked lines[TG_GPIO_PARK_MAX];
static size_t n_lines;

static bool is(const struct parked *p, const char *chip, const char *label, uint32_t offset)
{
	return p->offset == offset && strcmp(p->chip, chip) == 0 && strcmp(p->label, label) == 0;
}

void tg_gpio_park(const char *chip, const char *label, uint32_t offset, int line, uint64_t now_us)
{
	(void) pthread_mutex_lock(&lock);
	if (n_lines == TG_GPIO_PARK_MAX) {
		(void) close(line);
	} else {
		struct parked *p = &lines[n_lines++];

		*p = (struct parked){ .line = line,
				      .offset = offset,
				      .until_us = now_us + TG_GPIO_PARK_US };
		(void) snprintf(p->chip, sizeof(p->chip), "%s", chip);
		(void) snprintf(p->label, sizeof(p->label), "%s", label);
	}
	(void) pthread_mutex_unlock(&lock);
}

int tg_gpio_unpark(const char *chip, const char *label, uint32_t offset)
{
	int line = -1;

	(void) pthread_mutex_lock(&lock);
	for (size_t i = 0; i < n_lines && line < 0; i++) {
		if (!is(&lines[i], chip, label, offset))
			continue;
		line = lines[i].line;
		lines[i] = lines[--n_lines];
	}
	(void) pthread_mutex_unlock(&lock);
	return line;
}

void tg_gpio_park_sweep(uint64_t now_us)
{
	(void) pthread_mutex_lock(&lock);
	for (size_t i = n_lines; i-- > 0;) {
		if (lines[i].until_us > now_us)
			continue;
		(void) close(lines[i].line);
		lines[i] = lines[--n_lines];
	}
	(void) pthread_mutex_unlock(&lock);
}
