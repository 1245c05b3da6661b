/* SPDX-License-Identifier: Apache-2.0 */
#include "udev/can/link.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <linux/can/netlink.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

/* A message as a kernel makes it, attribute by attribute. */
struct message {
	struct nlmsghdr head;
	char body[1024];
};

static struct rtattr *add(struct message *m, unsigned short type, const void *data, size_t n)
{
	struct rtattr *a = (void *) ((char *) m + NLMSG_ALIGN(m->head.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short) RTA_LENGTH(n);
	if (n)
		memcpy(RTA_DATA(a), data, n);
	m->head.nlmsg_len = (uint32_t) (NLMSG_ALIGN(m->head.nlmsg_len) + RTA_SPACE(n));
	return a;
}

static void end(const struct message *m, struct rtattr *nest)
{
	nest->rta_len = (unsigned short) ((const char *) m + m->head.nlmsg_len - (char *) nest);
}

static void begin(struct message *m, unsigned flags)
{
	struct ifinfomsg about = { .ifi_index = 5, .ifi_flags = flags };

	memset(m, 0, sizeof(*m));
	m->head.nlmsg_len = NLMSG_LENGTH(sizeof(about));
	m->head.nlmsg_type = RTM_NEWLINK;
	memcpy(NLMSG_DATA(&m->head), &about, sizeof(about));
	(void) add(m, IFLA_IFNAME, "can0", 5);
}

static void say_controller(struct message *m)
{
	struct can_bittiming timing = { .bitrate = 250000, .sample_point = 875, .tq = 250 };
	struct can_ctrlmode mode = { .flags = CAN_CTRLMODE_LISTENONLY };
	uint32_t restart = 500;
	struct rtattr *info, *data;

	begin(m, IFF_UP | IFF_RUNNING);
	info = add(m, IFLA_LINKINFO | NLA_F_NESTED, NULL, 0);
	(void) add(m, IFLA_INFO_KIND, "can", 4);
	data = add(m, IFLA_INFO_DATA, NULL, 0);
	(void) add(m, IFLA_CAN_BITTIMING, &timing, sizeof(timing));
	(void) add(m, IFLA_CAN_CTRLMODE, &mode, sizeof(mode));
	(void) add(m, IFLA_CAN_RESTART_MS, &restart, sizeof(restart));
	end(m, data);
	end(m, info);
}

static void what_the_kernel_says_of_a_controller_is_understood(void **state)
{
	struct tg_can_link l;
	struct message m;

	(void) state;
	say_controller(&m);
	assert_int_equal(tg_can_link_parse(&m, m.head.nlmsg_len, &l), 0);
	assert_int_equal(l.index, 5);
	assert_true(l.up);
	assert_string_equal(l.kind, "can");
	assert_int_equal(l.settings.bit_rate, 250000);
	assert_int_equal(l.settings.sample_point, 875);
	assert_int_equal(l.settings.restart_ms, 500);
	assert_int_equal(l.settings.data_bit_rate, 0);
	assert_true(l.settings.listen_only);
	assert_false(l.settings.loopback);
	begin(&m, 0);
	assert_int_equal(tg_can_link_parse(&m, m.head.nlmsg_len, &l), 0);
	assert_false(l.up);
	assert_string_equal(l.kind, "");
}

static void parses_or_refuses(const void *message, size_t len)
{
	struct tg_can_link l;
	int r = tg_can_link_parse(message, len, &l);

	assert_true(r == 0 || r == -EBADMSG);
}

/* In a buffer of just that size, so that a sanitizer sees every byte too far. */
static void a_message_may_end_anywhere(void **state)
{
	struct tg_can_link l;
	struct message m;

	(void) state;
	say_controller(&m);
	for (uint32_t len = 0; len < m.head.nlmsg_len; len++) {
		tg_autofree char *copy = malloc(len ? len : 1);

		assert_non_null(copy);
		memcpy(copy, &m, len);
		assert_int_equal(tg_can_link_parse(copy, len, &l), -EBADMSG);
		/* The header may be in on it. */
		if (len >= sizeof(m.head))
			memcpy(copy, &len, sizeof(len));
		parses_or_refuses(copy, len);
	}
}

static void lengths_of_attributes_are_not_believed(void **state)
{
	struct message m;

	(void) state;
	say_controller(&m);
	for (size_t at = NLMSG_SPACE(sizeof(struct ifinfomsg)); at + 2 <= m.head.nlmsg_len;
	     at += 2) {
		for (size_t i = 0; i < 4; i++) {
			static const uint16_t lies[] = { 0, 3, 5, 0xffff };
			struct message spoilt = m;
			tg_autofree char *copy = malloc(m.head.nlmsg_len);

			assert_non_null(copy);
			memcpy((char *) &spoilt + at, &lies[i], sizeof(lies[i]));
			memcpy(copy, &spoilt, m.head.nlmsg_len);
			parses_or_refuses(copy, m.head.nlmsg_len);
		}
	}
}

/* The attribute of @type in the nest of @n bytes at @first. */
static const struct rtattr *look(const void *first, size_t n, unsigned short type)
{
	const char *pos = first, *end_of_nest = pos + n;

	while (pos < end_of_nest) {
		const struct rtattr *a = (const void *) pos;

		if (a->rta_type == type)
			return a;
		pos += RTA_ALIGN(a->rta_len);
	}
	return NULL;
}

static const struct rtattr *data_of(const struct tg_can_request *q)
{
	size_t skip = NLMSG_SPACE(sizeof(struct ifinfomsg));
	const struct rtattr *info =
		look((const char *) q + skip, q->head.nlmsg_len - skip, IFLA_LINKINFO);

	assert_non_null(info);
	return look(RTA_DATA(info), RTA_PAYLOAD(info), IFLA_INFO_DATA);
}

static void a_request_names_only_what_is_wanted_or_on(void **state)
{
	struct tg_can_link before = { .index = 5, .kind = "can" };
	struct tg_can_settings s = { .bit_rate = 250000, .sample_point = 800 };
	const struct rtattr *data, *a;
	struct can_bittiming timing;
	struct can_ctrlmode mode;
	struct tg_can_request q;

	(void) state;
	tg_can_request(&q, &before, &s);
	data = data_of(&q);
	a = look(RTA_DATA(data), RTA_PAYLOAD(data), IFLA_CAN_BITTIMING);
	assert_non_null(a);
	memcpy(&timing, RTA_DATA(a), sizeof(timing));
	assert_int_equal(timing.bitrate, 250000);
	assert_int_equal(timing.sample_point, 800);
	assert_int_equal(timing.tq, 0);
	/* Drivers refuse even to switch off what they do not have. */
	assert_null(look(RTA_DATA(data), RTA_PAYLOAD(data), IFLA_CAN_CTRLMODE));
	assert_null(look(RTA_DATA(data), RTA_PAYLOAD(data), IFLA_CAN_RESTART_MS));
	assert_null(look(RTA_DATA(data), RTA_PAYLOAD(data), IFLA_CAN_DATA_BITTIMING));

	before.modes = CAN_CTRLMODE_LISTENONLY | CAN_CTRLMODE_BERR_REPORTING;
	s.data_bit_rate = 2000000;
	s.restart_ms = 500;
	tg_can_request(&q, &before, &s);
	data = data_of(&q);
	a = look(RTA_DATA(data), RTA_PAYLOAD(data), IFLA_CAN_CTRLMODE);
	assert_non_null(a);
	memcpy(&mode, RTA_DATA(a), sizeof(mode));
	assert_int_equal(mode.mask, CAN_CTRLMODE_LISTENONLY | CAN_CTRLMODE_FD);
	assert_int_equal(mode.flags, CAN_CTRLMODE_FD);
	assert_non_null(look(RTA_DATA(data), RTA_PAYLOAD(data), IFLA_CAN_RESTART_MS));
	assert_non_null(look(RTA_DATA(data), RTA_PAYLOAD(data), IFLA_CAN_DATA_BITTIMING));
}

static void real_interfaces_are_looked_at(void **state)
{
	struct tg_fault why;
	struct tg_can_link l;
	tg_autoclose int fd = tg_can_open(&why);

	(void) state;
	assert_true(fd >= 0);
	assert_int_equal(tg_can_look(fd, "lo", &l, &why), 0);
	assert_int_equal(l.index, if_nametoindex("lo"));
	assert_string_equal(l.kind, "");
	assert_int_equal(tg_can_look(fd, "no-such-can", &l, &why), -ENODEV);
	assert_string_equal(why.text, "there is no such interface");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_kernel_says_of_a_controller_is_understood),
		cmocka_unit_test(a_message_may_end_anywhere),
		cmocka_unit_test(lengths_of_attributes_are_not_believed),
		cmocka_unit_test(a_request_names_only_what_is_wanted_or_on),
		cmocka_unit_test(real_interfaces_are_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
