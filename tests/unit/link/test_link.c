/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "link/link.h"

/* ---- the codec ------------------------------------------------------------------- */

static const struct tip_link_msg samples[] = {
	{.type = TIP_LINK_CONFIG, .name = "example.org", .numbers = {3600, 86400, 1, 2, 3, 4}},
	{.type = TIP_LINK_RECORD, .name = "svid-1", .data = "a\0b", .data_len = 3},
	{.type = TIP_LINK_ENTRIES},
	{.type = TIP_LINK_ENTRY, .data = "- spiffe_id: x\n", .data_len = 15},
	{.type = TIP_LINK_ENTRIES_END},
	{.type = TIP_LINK_START},
	{.type = TIP_LINK_QUARANTINE, .flag = 1, .name = "spiffe://example.org/a"},
	{.type = TIP_LINK_EXEC,
	 .exec_id = 1ULL << 60,
	 .epoch = 2,
	 .pid = 3,
	 .uid = 4,
	 .gid = 5,
	 .name = "/usr/bin/x",
	 .text = "/a/b"},
	{.type = TIP_LINK_GONE, .exec_id = 9},
	{.type = TIP_LINK_CONN, .id = 1, .exec_id = 2, .epoch = 3, .pid = 4, .uid = 5, .gid = 6},
	{.type = TIP_LINK_CHECKED, .id = 1, .ask = 7, .flag = 0},
	{.type = TIP_LINK_LIMITS, .numbers = {512, 4096, 4096, 65536}},
	{.type = TIP_LINK_TRAFFIC, .id = 3},
	{.type = TIP_LINK_POLICY, .data = "- name: x\n", .data_len = 10},
	{.type = TIP_LINK_TRAFFIC_END},
	{.type = TIP_LINK_OUTBOUND,
	 .id = 1,
	 .exec_id = 2,
	 .flow = {1, 2, 3, 4},
	 .name = "spiffe://example.org/a"},
	{.type = TIP_LINK_INBOUND, .id = 1, .exec_id = 2, .flow = {5, 6, 7, 8}, .name = ""},
	{.type = TIP_LINK_JOIN, .id = 1},
	{.type = TIP_LINK_CUT, .id = 1, .cause = 2},
	{.type = TIP_LINK_RUNTIME, .ask = 1, .kind = 2, .flag = 1, .name = "/run/docker.sock"},
	{.type = TIP_LINK_INSPECT, .kind = 1, .name = "0123456789abcdef"},
	{.type = TIP_LINK_DIALLED, .id = 5},
	{.type = TIP_LINK_UNDIALLED, .id = 5, .error = 111},
	{.type = TIP_LINK_HTTP,
	 .numbers = {1, 0, 1, 10000},
	 .name = "example.org",
	 .text = "spiffe://example.org/collector",
	 .data = "POST / HTTP/1.1\r\n",
	 .data_len = 17},
	{.type = TIP_LINK_HTTP_SVID, .name = "spiffe://example.org/tipstaff"},
	{.type = TIP_LINK_HTTP_CA, .flag = 1, .data = "-----", .data_len = 5},
	{.type = TIP_LINK_HTTP_CLIENT, .text = "-----key", .data = "-----", .data_len = 5},
	{.type = TIP_LINK_HTTP_SINK},
	{.type = TIP_LINK_KUBELET, .name = "127.0.0.1:10250", .text = "node-1"},
	{.type = TIP_LINK_KUBELET_CA, .flag = 1, .data = "-----", .data_len = 5},
	{.type = TIP_LINK_KUBELET_DIALLED, .id = 7, .data = "ey.J.x", .data_len = 6},
	{.type = TIP_LINK_READY},
	{.type = TIP_LINK_RESOLVED, .exec_id = 8, .epoch = 1, .name = ""},
	{.type = TIP_LINK_SAVE, .name = "authority", .data = "xyz", .data_len = 3},
	{.type = TIP_LINK_FORGET, .name = "svid-2"},
	{.type = TIP_LINK_CHECK, .id = 4, .ask = 5},
	{.type = TIP_LINK_CLOSED, .id = 4},
	{.type = TIP_LINK_REFUSED, .exec_id = 1, .pid = 2, .name = "foreign writer"},
	{.type = TIP_LINK_STATS, .numbers = {1, 2, 3, 4, 5, 6}, .counters = {1, 2, 3, 4, 5, 6}},
	{.type = TIP_LINK_WANTED, .id = 1, .name = "spiffe://example.org/b"},
	{.type = TIP_LINK_ENDED,
	 .id = 1,
	 .cause = 2,
	 .error = 111,
	 .name = "",
	 .text = "a sentence",
	 .counters = {1, 2}},
	{.type = TIP_LINK_MOVED, .data = "12345678901234567890123456789012", .data_len = 32},
	{.type = TIP_LINK_RELAYS, .numbers = {1, 2, 3, 4}, .counters = {1, 2, 3, 4, 5}},
	{.type = TIP_LINK_DIAL, .id = 5, .ask = 1, .kind = 2, .name = "0123456789abcdef"},
	{.type = TIP_LINK_FACTS,
	 .kind = 1,
	 .name = "0123456789abcdef",
	 .data = "\2x",
	 .data_len = 3},
	{.type = TIP_LINK_INSPECTOR, .numbers = {1, 2}, .counters = {1, 2, 3, 4, 5}},
	{.type = TIP_LINK_STREAMS, .numbers = {1, 2}, .counters = {1, 2, 3, 4}},
	{.type = TIP_LINK_LISTS, .counters = {1, 2, 3, 4}},
};

static enum tip_link_side receiver_of(enum tip_link_type type)
{
	return type < TIP_LINK_READY ? TIP_LINK_FRONT : TIP_LINK_KEEPER;
}

static bool comes_with_fd(enum tip_link_type type)
{
	return type == TIP_LINK_CONN || type == TIP_LINK_OUTBOUND || type == TIP_LINK_INBOUND ||
	       type == TIP_LINK_JOIN || type == TIP_LINK_DIALLED || type == TIP_LINK_HTTP_SINK ||
	       type == TIP_LINK_KUBELET_DIALLED;
}

static const char *str(const char *s)
{
	return s ? s : "";
}

static void every_type_comes_back(void **state)
{
	static char packet[TIP_LINK_MAX], scratch[TIP_LINK_MAX + 16];
	struct tip_link_msg out;
	struct tip_error err;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(samples); i++) {
		const struct tip_link_msg *m = &samples[i];
		size_t nfds = comes_with_fd(m->type);
		long len = tip_link_encode(m, 1, packet, &err);

		assert_true(len > 0);
		assert_int_equal(tip_link_decode(receiver_of(m->type), packet, (size_t)len, nfds,
						 scratch, &out, &err),
				 0);
		assert_int_equal(out.type, m->type);
		assert_int_equal(out.id, m->id);
		assert_int_equal(out.exec_id, m->exec_id);
		assert_int_equal(out.epoch, m->epoch);
		assert_int_equal(out.pid, m->pid);
		assert_int_equal(out.uid, m->uid);
		assert_int_equal(out.gid, m->gid);
		assert_int_equal(out.ask, m->ask);
		assert_int_equal(out.flag, m->flag);
		assert_int_equal(out.cause, m->cause);
		assert_int_equal(out.error, m->error);
		assert_memory_equal(&out.flow, &m->flow, sizeof(m->flow));
		assert_memory_equal(out.numbers, m->numbers, sizeof(m->numbers));
		assert_memory_equal(out.counters, m->counters, sizeof(m->counters));
		assert_string_equal(out.name, str(m->name));
		assert_string_equal(out.text, str(m->text));
		assert_int_equal(out.data_len, m->data_len);
		if (m->data_len)
			assert_memory_equal(out.data, m->data, m->data_len);

		/* The wrong side, one byte less or more, a wrong descriptor count: refused. */
		assert_int_equal(tip_link_decode(!receiver_of(m->type), packet, (size_t)len, nfds,
						 scratch, &out, &err),
				 -1);
		assert_int_equal(tip_link_decode(receiver_of(m->type), packet, (size_t)len - 1,
						 nfds, scratch, &out, &err),
				 -1);
		assert_int_equal(tip_link_decode(receiver_of(m->type), packet, (size_t)len + 1,
						 nfds, scratch, &out, &err),
				 -1);
		assert_int_equal(tip_link_decode(receiver_of(m->type), packet, (size_t)len, !nfds,
						 scratch, &out, &err),
				 -1);
	}
}

/* Packets made by hand: header as given, then `payload`. */
static int decode_raw(enum tip_link_side side, uint16_t version, uint16_t type, const void *payload,
		      size_t len, struct tip_error *err)
{
	static char packet[TIP_LINK_MAX], scratch[TIP_LINK_MAX + 16];
	struct tip_link_hdr h = {version, type, (uint32_t)(sizeof(h) + len), 0, 0};
	struct tip_link_msg out;

	memcpy(packet, &h, sizeof(h));
	memcpy(packet + sizeof(h), payload, len);
	return tip_link_decode(side, packet, sizeof(h) + len, 0, scratch, &out, err);
}

static void malformed_messages_are_refused(void **state)
{
	struct tip_error err;
	char forget[4 + 65];
	uint32_t n;

	assert_int_equal(decode_raw(TIP_LINK_KEEPER, 1, TIP_LINK_READY, "", 0, &err), 0);
	assert_int_equal(decode_raw(TIP_LINK_KEEPER, 2, TIP_LINK_READY, "", 0, &err), -1);
	assert_non_null(strstr(err.text, "version 2"));
	assert_int_equal(decode_raw(TIP_LINK_KEEPER, 1, 0, "", 0, &err), -1);
	assert_int_equal(decode_raw(TIP_LINK_KEEPER, 1, TIP_LINK_TYPE_MAX, "", 0, &err), -1);
	assert_int_equal(decode_raw(TIP_LINK_KEEPER, 1, 65535, "", 0, &err), -1);

	/* a string at its limit, one beyond it, one that says more than there is, one with a NUL */
	memset(forget, 'a', sizeof(forget));
	n = 64;
	memcpy(forget, &n, 4);
	assert_int_equal(decode_raw(TIP_LINK_KEEPER, 1, TIP_LINK_FORGET, forget, 68, &err), 0);
	n = 65;
	memcpy(forget, &n, 4);
	assert_int_equal(decode_raw(TIP_LINK_KEEPER, 1, TIP_LINK_FORGET, forget, 69, &err), -1);
	n = 10;
	memcpy(forget, &n, 4);
	assert_int_equal(decode_raw(TIP_LINK_KEEPER, 1, TIP_LINK_FORGET, forget, 13, &err), -1);
	forget[8] = '\0';
	assert_int_equal(decode_raw(TIP_LINK_KEEPER, 1, TIP_LINK_FORGET, forget, 14, &err), -1);
	n = UINT32_MAX;
	memcpy(forget, &n, 4);
	assert_int_equal(decode_raw(TIP_LINK_KEEPER, 1, TIP_LINK_FORGET, forget, 14, &err), -1);

	/* a flag is 0 or 1 */
	assert_int_equal(decode_raw(TIP_LINK_FRONT, 1, TIP_LINK_CHECKED,
				    "\0\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0", 16, &err),
			 -1);
}

static void limits_hold_on_the_way_out(void **state)
{
	static char packet[TIP_LINK_MAX], big[TIP_LINK_MAX];
	struct tip_error err;

	memset(big, 'a', sizeof(big) - 1);
	assert_int_equal(
		tip_link_encode(&(struct tip_link_msg){.type = TIP_LINK_FORGET, .name = big}, 0,
				packet, &err),
		-1);
	assert_int_equal(tip_link_encode(&(struct tip_link_msg){.type = TIP_LINK_SAVE,
								.name = "a",
								.data = big,
								.data_len = 60001},
					 0, packet, &err),
			 -1);
	assert_true(tip_link_encode(&(struct tip_link_msg){.type = TIP_LINK_SAVE,
							   .name = "a",
							   .data = big,
							   .data_len = 60000},
				    0, packet, &err) > 0);
}

/* ---- the channel ------------------------------------------------------------------ */

struct end {
	struct tip_link *link;
	size_t messages;
	uint64_t last_id;
	int fd;
	char why[64];
};

static void on_message(void *ctx, const struct tip_link_msg *msg)
{
	struct end *e = ctx;

	e->messages++;
	e->last_id = msg->id;
	if (msg->type == TIP_LINK_CONN) {
		if (e->fd >= 0)
			close(e->fd);
		e->fd = msg->fd;
	}
}

static void on_ended(void *ctx, const char *why)
{
	struct end *e = ctx;

	snprintf(e->why, sizeof(e->why), "%s", why);
}

struct fixture {
	struct event_base *base;
	struct end keeper, front;
	int raw; /* the keeper's socket when the test plays the front by hand */
};

static void open_pair(struct fixture *f, bool by_hand)
{
	int sv[2];

	*f = (struct fixture){.keeper.fd = -1, .front.fd = -1, .raw = -1};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv),
			 0);
	f->base = event_base_new();
	f->keeper.link = tip_link_new(f->base, sv[0], TIP_LINK_KEEPER,
				      &(struct tip_link_ops){on_message, on_ended, &f->keeper});
	if (by_hand)
		f->raw = sv[1];
	else
		f->front.link =
			tip_link_new(f->base, sv[1], TIP_LINK_FRONT,
				     &(struct tip_link_ops){on_message, on_ended, &f->front});
}

static void close_pair(struct fixture *f)
{
	tip_link_free(f->keeper.link);
	tip_link_free(f->front.link);
	if (f->front.fd >= 0)
		close(f->front.fd);
	if (f->raw >= 0)
		close(f->raw);
	event_base_free(f->base);
}

static void run(struct fixture *f)
{
	for (int i = 0; i < 50; i++)
		event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static void messages_keep_their_order_beyond_the_socket_buffer(void **state)
{
	enum { COUNT = 3000 };
	static char data[2000];
	struct fixture f;

	open_pair(&f, false);
	for (uint64_t i = 1; i <= COUNT; i++) {
		if (i % 2)
			assert_int_equal(tip_link_send(f.keeper.link,
						       &(struct tip_link_msg){
							       .type = TIP_LINK_CHECKED, .id = i}),
					 0);
		else
			assert_int_equal(
				tip_link_send(f.keeper.link,
					      &(struct tip_link_msg){.type = TIP_LINK_RECORD,
								     .name = "r",
								     .data = data,
								     .data_len = sizeof(data)}),
				0);
	}
	for (int i = 0; i < 10000 && f.front.messages < COUNT; i++)
		event_base_loop(f.base, EVLOOP_NONBLOCK);
	/* a wrong order would have ended the link: sequence numbers are checked */
	assert_int_equal(f.front.messages, COUNT);
	assert_string_equal(f.front.why, "");
	close_pair(&f);
}

static void a_descriptor_travels(void **state)
{
	struct fixture f;
	int p[2];
	char c = 0;

	open_pair(&f, false);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(
		tip_link_send(f.keeper.link,
			      &(struct tip_link_msg){.type = TIP_LINK_CONN, .id = 5, .fd = p[1]}),
		0);
	close(p[1]);
	run(&f);
	assert_int_equal(f.front.last_id, 5);
	assert_true(f.front.fd >= 0);
	assert_int_equal(fcntl(f.front.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(write(f.front.fd, "x", 1), 1);
	assert_int_equal(read(p[0], &c, 1), 1);
	assert_int_equal(c, 'x');
	close(p[0]);
	close_pair(&f);
}

static void the_end_is_told_once(void **state)
{
	struct fixture f;

	open_pair(&f, false);
	tip_link_free(f.front.link);
	f.front.link = NULL;
	run(&f);
	assert_string_equal(f.keeper.why, "the other side is gone");
	assert_int_equal(
		tip_link_send(f.keeper.link, &(struct tip_link_msg){.type = TIP_LINK_GONE}), -1);
	close_pair(&f);
}

static size_t open_fds(void)
{
	size_t n = 0;

	for (int i = 0; i < 256; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

static void hostile_packets_end_the_link(void **state)
{
	static char packet[TIP_LINK_MAX + 4096];
	struct tip_error err;
	struct fixture f;
	size_t before;
	long len;

	/* a repeated sequence number */
	open_pair(&f, true);
	len = tip_link_encode(&(struct tip_link_msg){.type = TIP_LINK_READY}, 0, packet, &err);
	assert_int_equal(write(f.raw, packet, (size_t)len), len);
	assert_int_equal(write(f.raw, packet, (size_t)len), len);
	run(&f);
	assert_int_equal(f.keeper.messages, 1);
	assert_string_equal(f.keeper.why, "the other side broke the format");
	close_pair(&f);

	/* longer than any message */
	open_pair(&f, true);
	assert_int_equal(write(f.raw, packet, sizeof(packet)), sizeof(packet));
	run(&f);
	assert_string_equal(f.keeper.why, "the other side broke the format");
	close_pair(&f);

	/* descriptors where none belong: refused, and none stays open here */
	open_pair(&f, true);
	before = open_fds();
	{
		union {
			struct cmsghdr align;
			char buf[CMSG_SPACE(3 * sizeof(int))];
		} control = {0};
		struct iovec iov = {packet, (size_t)len};
		struct msghdr mh = {.msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = control.buf,
				    .msg_controllen = sizeof(control.buf)};
		struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
		int fds[3] = {0, 1, 2};

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fds));
		memcpy(CMSG_DATA(c), fds, sizeof(fds));
		assert_int_equal(sendmsg(f.raw, &mh, 0), len);
	}
	run(&f);
	assert_string_equal(f.keeper.why, "the other side broke the format");
	assert_int_equal(f.keeper.messages, 0);
	assert_int_equal(open_fds(), before);
	close_pair(&f);
}

static void a_reader_that_sleeps_is_given_up(void **state)
{
	static char data[60000];
	struct fixture f;
	int ret = 0;

	open_pair(&f, true);
	for (int i = 0; i < 2000 && ret == 0; i++)
		ret = tip_link_send(f.keeper.link,
				    &(struct tip_link_msg){.type = TIP_LINK_RECORD,
							   .name = "r",
							   .data = data,
							   .data_len = sizeof(data)});
	assert_int_equal(ret, -1);
	run(&f);
	assert_string_equal(f.keeper.why, "the other side does not read");
	close_pair(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_comes_back),
		cmocka_unit_test(malformed_messages_are_refused),
		cmocka_unit_test(limits_hold_on_the_way_out),
		cmocka_unit_test(messages_keep_their_order_beyond_the_socket_buffer),
		cmocka_unit_test(a_descriptor_travels),
		cmocka_unit_test(the_end_is_told_once),
		cmocka_unit_test(hostile_packets_end_the_link),
		cmocka_unit_test(a_reader_that_sleeps_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
