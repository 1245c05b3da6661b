/* SPDX-License-Identifier: Apache-2.0 */
#include "udev/can/link.h"

#include <assert.h>
#include <errno.h>
#include <linux/can/netlink.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/*
 * All that can be managed here. A driver refuses a mode that it does not know even to have it switched off, so only modes that
 * are wanted, or on, are named to it.
 */
#define MODES      (CAN_CTRLMODE_LISTENONLY | CAN_CTRLMODE_LOOPBACK | CAN_CTRLMODE_FD)
#define ANSWER_MAX 32768 /* bytes; the kernel fits what it says of one interface in half of that */

/* --- requests --- */

static struct rtattr *put(struct tg_can_request *q, unsigned short type, const void *data, size_t n)
{
	size_t at = NLMSG_ALIGN(q->head.nlmsg_len);
	struct rtattr *a = (void *) ((char *) q + at);

	assert(at + RTA_SPACE(n) <= sizeof(*q));
	*a = (struct rtattr){ .rta_type = type, .rta_len = (unsigned short) RTA_LENGTH(n) };
	if (n)
		memcpy(RTA_DATA(a), data, n);
	q->head.nlmsg_len = (uint32_t) (at + RTA_SPACE(n));
	return a;
}

static void close_nest(const struct tg_can_request *q, struct rtattr *nest)
{
	nest->rta_len = (unsigned short) ((const char *) q + q->head.nlmsg_len - (char *) nest);
}

static void start(struct tg_can_request *q, uint16_t type, uint32_t index, unsigned flags,
		  unsigned change)
{
	struct ifinfomsg info = {
		.ifi_family = AF_UNSPEC,
		.ifi_index = (int) index,
		.ifi_flags = flags,
		.ifi_change = change,
	};

	memset(q, 0, sizeof(*q));
	q->head = (struct nlmsghdr){
		.nlmsg_len = NLMSG_LENGTH(sizeof(info)),
		.nlmsg_type = type,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
	};
	memcpy(NLMSG_DATA(&q->head), &info, sizeof(info));
}

static void put_timing(struct tg_can_request *q, unsigned short type, uint32_t rate, uint32_t point)
{
	/* The kernel works out the rest. */
	struct can_bittiming timing = { .bitrate = rate, .sample_point = point };

	(void) put(q, type, &timing, sizeof(timing));
}

void tg_can_request(struct tg_can_request *q, const struct tg_can_link *before,
		    const struct tg_can_settings *s)
{
	uint32_t modes = (s->listen_only ? CAN_CTRLMODE_LISTENONLY : 0u) |
			 (s->loopback ? CAN_CTRLMODE_LOOPBACK : 0u) |
			 (s->data_bit_rate ? CAN_CTRLMODE_FD : 0u);
	struct can_ctrlmode mode = { .mask = modes | (before->modes & MODES), .flags = modes };
	struct rtattr *info, *data;

	start(q, RTM_NEWLINK, before->index, 0, 0);
	info = put(q, IFLA_LINKINFO, NULL, 0);
	(void) put(q, IFLA_INFO_KIND, "can", strlen("can"));
	data = put(q, IFLA_INFO_DATA, NULL, 0);
	if (mode.mask)
		(void) put(q, IFLA_CAN_CTRLMODE, &mode, sizeof(mode));
	put_timing(q, IFLA_CAN_BITTIMING, s->bit_rate, s->sample_point);
	if (s->data_bit_rate)
		put_timing(q, IFLA_CAN_DATA_BITTIMING, s->data_bit_rate, s->data_sample_point);
	if (s->restart_ms != before->settings.restart_ms)
		(void) put(q, IFLA_CAN_RESTART_MS, &s->restart_ms, sizeof(s->restart_ms));
	close_nest(q, data);
	close_nest(q, info);
}

/* --- answers --- */

/* The attribute @type among @len bytes at @first, or NULL. */
static const struct rtattr *find(const void *first, size_t len, unsigned short type)
{
	const char *pos = first;

	while (len >= sizeof(struct rtattr)) {
		const struct rtattr *a = (const void *) pos;
		size_t step = RTA_ALIGN(a->rta_len);

		if (a->rta_len < sizeof(*a) || a->rta_len > len)
			return NULL;
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
		if (step >= len)
			return NULL;
		pos += step;
		len -= step;
	}
	return NULL;
}

static size_t size_of(const struct rtattr *a)
{
	return a->rta_len - RTA_LENGTH(0);
}

/* The attribute @type of the nest @in, which may be NULL. */
static const struct rtattr *within(const struct rtattr *in, unsigned short type)
{
	return in ? find(RTA_DATA(in), size_of(in), type) : NULL;
}

/* Copies what is there of a fixed size; a shorter one is as good as none. */
static bool fetch(const struct rtattr *in, unsigned short type, void *out, size_t size)
{
	const struct rtattr *a = within(in, type);

	if (!a || size_of(a) < size)
		return false;
	memcpy(out, RTA_DATA(a), size);
	return true;
}

static void fetch_settings(const struct rtattr *data, struct tg_can_link *l)
{
	struct tg_can_settings *s = &l->settings;
	struct can_bittiming timing = { 0 }, fd = { 0 };
	struct can_ctrlmode mode = { 0 };

	(void) fetch(data, IFLA_CAN_BITTIMING, &timing, sizeof(timing));
	(void) fetch(data, IFLA_CAN_DATA_BITTIMING, &fd, sizeof(fd));
	(void) fetch(data, IFLA_CAN_CTRLMODE, &mode, sizeof(mode));
	(void) fetch(data, IFLA_CAN_RESTART_MS, &s->restart_ms, sizeof(s->restart_ms));
	l->modes = mode.flags;
	s->bit_rate = timing.bitrate;
	s->sample_point = timing.sample_point;
	s->data_bit_rate = fd.bitrate;
	s->data_sample_point = fd.sample_point;
	s->listen_only = mode.flags & CAN_CTRLMODE_LISTENONLY;
	s->loopback = mode.flags & CAN_CTRLMODE_LOOPBACK;
}

int tg_can_link_parse(const void *message, size_t len, struct tg_can_link *ret)
{
	const struct nlmsghdr *head = message;
	struct tg_can_link l = { .kind = "" };
	const struct rtattr *info, *kind;
	struct ifinfomsg about;

	if (len < NLMSG_LENGTH(sizeof(about)) || head->nlmsg_type != RTM_NEWLINK ||
	    head->nlmsg_len < NLMSG_LENGTH(sizeof(about)) || head->nlmsg_len > len)
		return -EBADMSG;
	memcpy(&about, NLMSG_DATA(head), sizeof(about));
	l.index = (uint32_t) about.ifi_index;
	l.up = about.ifi_flags & IFF_UP;
	info = find((const char *) message + NLMSG_SPACE(sizeof(about)),
		    head->nlmsg_len - NLMSG_LENGTH(sizeof(about)), IFLA_LINKINFO);
	kind = within(info, IFLA_INFO_KIND);
	if (kind && size_of(kind) > 0 && size_of(kind) <= sizeof(l.kind))
		(void) tg_printable(l.kind, sizeof(l.kind), RTA_DATA(kind),
				    strnlen(RTA_DATA(kind), size_of(kind)));
	if (strcmp(l.kind, "can") == 0)
		fetch_settings(within(info, IFLA_INFO_DATA), &l);
	*ret = l;
	return 0;
}

/* --- the socket --- */

int tg_can_open(struct tg_fault *reterr)
{
	struct timeval limit = { .tv_sec = TG_CAN_ANSWER_S };
	int yes = 1;
	tg_autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		return tg_fault_set(reterr, -errno, "netlink: %s", strerror(errno));
	/* The driver's own words, where it has some. */
	(void) setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &yes, sizeof(yes));
	return tg_take_fd(fd);
}

/* The words in a refusal behind the copy of the request; "" without. */
static const char *words_of(const struct nlmsghdr *h, char *out, size_t size)
{
	size_t skip = NLMSG_SPACE(sizeof(int)) + sizeof(struct nlmsghdr);
	const struct rtattr *a;

	out[0] = '\0';
	if (!(h->nlmsg_flags & NLM_F_CAPPED)) {
		const struct nlmsgerr *e = NLMSG_DATA(h);

		skip = NLMSG_SPACE(sizeof(int)) + NLMSG_ALIGN(e->msg.nlmsg_len);
	}
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS) || h->nlmsg_len <= skip)
		return out;
	a = find((const char *) h + skip, h->nlmsg_len - skip, NLMSGERR_ATTR_MSG);
	if (a)
		(void) tg_printable(out, size, RTA_DATA(a), strnlen(RTA_DATA(a), size_of(a)));
	return out;
}

static int refused(const struct nlmsghdr *h, struct tg_fault *reterr)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);
	char words[128];

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)))
		return tg_fault_set(reterr, -EBADMSG, "netlink: a short answer");
	if (e->error >= 0)
		return 0;
	(void) words_of(h, words, sizeof(words));
	return tg_fault_set(reterr, e->error, "%s%s%s%s", strerror(-e->error), *words ? " (" : "",
			    words, *words ? ")" : "");
}

/* One datagram of answers. Returns 1: the acknowledgement was not among them, or what there is to return. */
static int take(const char *answer, size_t n, uint32_t seq, struct tg_can_link *ret,
		struct tg_fault *reterr)
{
	const struct nlmsghdr *h;

	for (size_t step; n >= sizeof(*h); answer += step, n -= step) {
		h = (const void *) answer;
		if (!NLMSG_OK(h, n))
			break;
		step = NLMSG_ALIGN(h->nlmsg_len);
		if (h->nlmsg_seq == seq && h->nlmsg_type == NLMSG_ERROR)
			return refused(h, reterr);
		if (h->nlmsg_seq == seq && ret && tg_can_link_parse(h, n, ret) < 0)
			return tg_fault_set(reterr, -EBADMSG, "netlink: a short answer");
		if (step > n)
			break;
	}
	return 1;
}

/* Sends @q and takes answers up to the acknowledgement; @ret: of an RTM_NEWLINK among them, may be NULL. */
static int talk(int fd, struct tg_can_request *q, struct tg_can_link *ret, struct tg_fault *reterr)
{
	static uint32_t seq;
	_Alignas(struct nlmsghdr) char answer[ANSWER_MAX];
	int r = 1;

	q->head.nlmsg_seq = ++seq;
	if (send(fd, q, q->head.nlmsg_len, 0) < 0)
		return tg_fault_set(reterr, -errno, "netlink: %s", strerror(errno));
	while (r > 0) {
		ssize_t n = recv(fd, answer, sizeof(answer), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return tg_fault_set(reterr, -errno, "netlink: %s", strerror(errno));
		r = take(answer, (size_t) n, seq, ret, reterr);
	}
	return r;
}

/* --- what it is for --- */

int tg_can_look(int fd, const char *name, struct tg_can_link *ret, struct tg_fault *reterr)
{
	struct tg_can_request q;
	struct tg_can_link l = { .kind = "" };
	int r;

	start(&q, RTM_GETLINK, 0, 0, 0);
	(void) put(&q, IFLA_IFNAME, name, strlen(name) + 1);
	r = talk(fd, &q, &l, reterr);
	if (r == -ENODEV)
		return tg_fault_set(reterr, r, "there is no such interface");
	if (r < 0)
		return r;
	if (l.index == 0)
		return tg_fault_set(reterr, -EBADMSG, "netlink: nothing is said of it");
	*ret = l;
	return 0;
}

static const char *advice(int r)
{
	switch (r) {
	case -EPERM:
		return "; it needs CAP_NET_ADMIN";
	case -EBUSY:
		return "; it is up";
	case -EOPNOTSUPP:
		return "; the controller cannot do what the file asks for";
	case -EDOM:
	case -EINVAL:
	case -ERANGE:
		return "; the controller cannot do this bit rate or sample point";
	default:
		return "";
	}
}

int tg_can_set(int fd, const struct tg_can_link *before, const struct tg_can_settings *s,
	       struct tg_fault *reterr)
{
	struct tg_can_request q;
	struct tg_fault why = { .text = "" };
	char text[160];
	int r;

	tg_can_request(&q, before, s);
	r = talk(fd, &q, NULL, &why);
	if (r < 0)
		return tg_fault_set(reterr, r, "refused: %s: %s%s",
				    tg_can_settings_text(s, text, sizeof(text)), why.text,
				    advice(r));
	return 0;
}

int tg_can_turn(int fd, const struct tg_can_link *link, bool up, struct tg_fault *reterr)
{
	struct tg_can_request q;
	struct tg_fault why = { .text = "" };
	int r;

	start(&q, RTM_NEWLINK, link->index, up ? IFF_UP : 0, IFF_UP);
	r = talk(fd, &q, NULL, &why);
	if (r < 0)
		return tg_fault_set(reterr, r, "cannot be brought %s: %s", up ? "up" : "down",
				    why.text);
	return 0;
}
