/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/metrics.h"

#include "agent/status/textfile.h"
#include "base/clock.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT(s) ((char *) (uintptr_t) (s))

static struct tg_config_bus bus = { .name = TEXT("line"), .type = TG_BUS_MODBUS_RTU };
static struct tg_config_device devices[] = { { .name = TEXT("boiler"), .n_points = 3 },
					     { .name = TEXT("tank"), .n_points = 1 } };
static const struct tg_config cfg = {
	.buses = &bus, .n_buses = 1, .devices = devices, .n_devices = 2
};
static const struct tg_device_state states[] = {
	{ .health = TG_DEVICE_DEGRADED,
	  .polls = 1000,
	  .failures = 2,
	  .bad_points = 1,
	  .took_us = 25000,
	  .last_ok_us = 90 * TG_US_PER_S },
	{ .health = TG_DEVICE_DEAD },
};
static const struct tg_bus_state bus_state = { .condition = TG_BUS_UP,
					       .note = { .requests = 1234567, .errors = 5 },
					       .late = 7 };
static const struct tg_specifiers spec = { .id = "plant \"3\"\\" };

static char *text(void)
{
	const struct tg_picture p = {
		.cfg = &cfg,
		.fleet = &cfg,
		.spec = &spec,
		.started_us = TG_US_PER_S,
		.now_us = 100 * TG_US_PER_S,
		.devices = states,
		.buses = &bus_state,
	};
	char *t = tg_metrics_text(&p);

	assert_non_null(t);
	return t;
}

static void has(const char *t, const char *line)
{
	const char *at = strstr(t, line);

	/* Whole lines, from the beginning. */
	if (!at || (at > t && at[-1] != '\n') || at[strlen(line)] != '\n')
		fail_msg("no line '%s' in\n%s", line, t);
}

static void figures_stand_with_their_labels(void **state)
{
	tg_autofree char *t = text();

	(void) state;
	has(t, "tidegate_uptime_seconds 99");
	has(t, "tidegate_bus_up{bus=\"line\",type=\"modbus-rtu\"} 1");
	has(t, "tidegate_bus_requests_total{bus=\"line\",type=\"modbus-rtu\"} 1234567");
	has(t, "tidegate_bus_polls_late_total{bus=\"line\",type=\"modbus-rtu\"} 7");
	has(t, "tidegate_device_up{device=\"boiler\",bus=\"line\"} 1");
	has(t, "tidegate_device_up{device=\"tank\",bus=\"line\"} 0");
	has(t, "tidegate_device_points_bad{device=\"boiler\",bus=\"line\"} 1");
	has(t, "tidegate_device_poll_seconds{device=\"boiler\",bus=\"line\"} 0.025");
	has(t, "tidegate_device_last_read_seconds{device=\"boiler\",bus=\"line\"} 10");
	/* Never read is no age. */
	assert_null(strstr(t, "tidegate_device_last_read_seconds{device=\"tank\""));
	has(t, "tidegate_spool_packs{where=\"disk\"} 0");
}

static void labels_are_escaped(void **state)
{
	tg_autofree char *t = text();

	(void) state;
	has(t, "tidegate_info{id=\"plant \\\"3\\\"\\\\\",version=\"" TIDEGATE_VERSION "\"} 1");
}

/* What promtool would say: each figure has HELP and TYPE once, right before it; counters and no others end in _total. */
static void every_line_is_what_prometheus_expects(void **state)
{
	tg_autofree char *t = text();
	char name[80] = "", type[16] = "", *rest;

	(void) state;
	assert_int_equal(t[strlen(t) - 1], '\n');
	for (char *line = strtok_r(t, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		size_t len = strcspn(line, "{ ");

		if (strncmp(line, "# HELP ", 7) == 0)
			continue;
		if (strncmp(line, "# TYPE ", 7) == 0) {
			assert_int_equal(sscanf(line + 7, "%79s %15s", name, type), 2);
			assert_int_equal(strncmp(name, "tidegate_", 9), 0);
			continue;
		}
		if (strlen(name) != len || strncmp(line, name, len) != 0)
			fail_msg("'%s' stands under '%s'", line, name);
		assert_int_equal(len > 6 && strncmp(line + len - 6, "_total", 6) == 0,
				 strcmp(type, "counter") == 0);
	}
}

static void the_file_is_replaced_as_a_whole_and_readable_by_all(void **state)
{
	char path[] = "/tmp/tg-metrics-XXXXXX", read_back[16] = "";
	struct tg_textfile *t = NULL;
	struct stat st;
	FILE *file;
	int fd = mkstemp(path);

	(void) state;
	assert_true(fd >= 0);
	(void) close(fd);
	assert_int_equal(tg_textfile_new(&t), 0);
	assert_false(tg_textfile_due(t, "", 1));
	assert_true(tg_textfile_due(t, path, 1));
	tg_textfile_write(t, path, strdup("a 1\n"), 1);
	assert_int_equal(tg_textfile_stop(t, 10 * TG_US_PER_S), 0);
	assert_false(tg_textfile_due(t, path, TG_TEXTFILE_EVERY_US));
	assert_true(tg_textfile_due(t, path, 1 + TG_TEXTFILE_EVERY_US));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(read_back, sizeof(read_back), file));
	(void) fclose(file);
	assert_string_equal(read_back, "a 1\n");
	(void) unlink(path);
	assert_null(tg_textfile_free(t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures_stand_with_their_labels),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(every_line_is_what_prometheus_expects),
		cmocka_unit_test(the_file_is_replaced_as_a_whole_and_readable_by_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
