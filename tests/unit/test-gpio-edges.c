/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/gpio/edges.h"

#include "tests/unit/test.h"

#define BOTH (TG_GPIO_RISING | TG_GPIO_FALLING)
#define UP   GPIO_V2_LINE_EVENT_RISING_EDGE
#define DOWN GPIO_V2_LINE_EVENT_FALLING_EDGE

static struct tg_gpio_edges edges;

static int forget(void **state)
{
	(void) state;
	edges = (struct tg_gpio_edges){ .seqno = 0 };
	return 0;
}

static uint32_t take(unsigned wanted, uint32_t seqno, uint32_t id)
{
	struct gpio_v2_line_event ev = { .id = id, .line_seqno = seqno };
	unsigned edge;

	return tg_gpio_edges_take(&edges, wanted, &ev, &edge);
}

static void each_edge_counts_once(void **state)
{
	(void) state;
	assert_int_equal(take(BOTH, 1, UP), 0);
	assert_int_equal(take(BOTH, 2, DOWN), 0);
	assert_int_equal(take(BOTH, 3, UP), 0);
	assert_true(edges.rising == 2 && edges.falling == 1 && edges.lost == 0);
	assert_true(tg_gpio_edges_count(&edges, BOTH) == 3);
	assert_true(tg_gpio_edges_count(&edges, TG_GPIO_FALLING) == 1);
}

static void edges_that_the_kernel_threw_away_are_counted_all_the_same(void **state)
{
	(void) state;
	assert_int_equal(take(TG_GPIO_RISING, 5, UP), 4);
	assert_true(edges.rising == 5 && edges.falling == 0 && edges.lost == 4);
	assert_int_equal(take(TG_GPIO_RISING, 1005, UP), 999);
	assert_true(edges.rising == 1005);
}

/* Up (1), [down up down] lost, up (5): of three lost two went down. */
static void lost_edges_of_both_kinds_alternate(void **state)
{
	(void) state;
	assert_int_equal(take(BOTH, 1, UP), 0);
	assert_int_equal(take(BOTH, 5, UP), 3);
	assert_true(edges.rising == 3 && edges.falling == 2);
	/* [down up] lost, down (8). */
	assert_int_equal(take(BOTH, 8, DOWN), 2);
	assert_true(edges.rising == 4 && edges.falling == 4);
}

static void numbers_wrap_and_begin_again_with_a_request(void **state)
{
	(void) state;
	edges.seqno = UINT32_MAX - 1;
	assert_int_equal(take(TG_GPIO_RISING, UINT32_MAX, UP), 0);
	assert_int_equal(take(TG_GPIO_RISING, 0, UP), 0);
	assert_int_equal(take(TG_GPIO_RISING, 2, UP), 1);
	tg_gpio_edges_restart(&edges);
	assert_int_equal(take(TG_GPIO_RISING, 1, UP), 0);
	assert_true(edges.rising == 5);
	/* A number of the past is no gap of four billion. */
	edges.seqno = 100;
	assert_int_equal(take(TG_GPIO_RISING, 50, UP), 0);
	assert_true(edges.rising == 6);
}

static void what_is_no_edge_that_is_watched_counts_for_nothing(void **state)
{
	(void) state;
	assert_int_equal(take(TG_GPIO_RISING, 9, DOWN), 0);
	assert_int_equal(take(BOTH, 9, 3), 0);
	assert_int_equal(take(BOTH, 9, 0), 0);
	assert_true(edges.rising == 0 && edges.falling == 0 && edges.seqno == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_edge_counts_once, forget),
		cmocka_unit_test_setup(edges_that_the_kernel_threw_away_are_counted_all_the_same,
				       forget),
		cmocka_unit_test_setup(lost_edges_of_both_kinds_alternate, forget),
		cmocka_unit_test_setup(numbers_wrap_and_begin_again_with_a_request, forget),
		cmocka_unit_test_setup(what_is_no_edge_that_is_watched_counts_for_nothing, forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
