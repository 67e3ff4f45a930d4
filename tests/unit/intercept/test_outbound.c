/* SPDX-License-Identifier: Apache-2.0 */
/* connect() to the worker's port of a real namespace: what is held, and what the application hears.
 */
#include <netinet/ip.h>
#include <netinet/tcp.h>

#include "fake.h"

static void held_until_wanted(void **state)
{
	struct caller c;
	struct fake w = {0};
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	int server, peer;
	char got[8];

	fake_open(&w, NULL);
	fake_serve(&w);
	server = listen_in(&w.space, "127.0.0.1", SERVER);
	call(&c, &w);
	UNTIL(&w, w.noutbound == 1);
	assert_int_equal(w.flow.state, TIP_FLOW_SHAKING);
	assert_int_equal(w.flow.exec_id, 4242);
	assert_int_equal(w.flow.current, 7);
	assert_int_equal(w.flow.policy, 3);
	assert_int_equal(w.flow.remote.addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(w.flow.remote.port, SERVER);
	assert_int_equal(w.flow.netns, w.cookie);
	/* getsockname() shall show what the peer sees. */
	getsockname(w.wire, (struct sockaddr *)&sa, &len);
	assert_int_equal(w.shown_port, ntohs(sa.sin_port));
	assert_int_equal(w.flow.local.port, w.shown_port);
	assert_int_equal(w.shown_key.dport, PORT);
	peer = accept(server, NULL, NULL);
	assert_true(peer >= 0);
	assert_int_equal(stats_of(&w).held, 1);
	/* A listener is there, and yet connect() has not returned. */
	assert_int_equal(c.result, -1);
	assert_int_equal(w.njoined, 0);

	tip_intercept_wanted(w.ic, w.flow.id);
	assert_int_equal(answer(&c, &w), 0);
	UNTIL(&w, w.njoined == 1);
	assert_int_equal(w.flow.state, TIP_FLOW_JOINED);
	assert_int_equal(write(c.fd, "hello", 5), 5);
	UNTIL(&w, ready(w.app, POLLIN));
	assert_int_equal(read(w.app, got, sizeof(got)), 5);
	assert_int_equal(stats_of(&w).held, 0);
	assert_int_equal(stats_of(&w).flows, 1);
	assert_int_equal(stats_of(&w).released, 1);
	assert_int_equal(stats_of(&w).accepted, 1);
	assert_int_equal(stats_of(&w).queue_drops, 0);
	assert_ptr_equal(tip_intercept_next(w.ic, 0), tip_intercept_flow(w.ic, w.flow.id));
	assert_null(tip_intercept_next(w.ic, w.flow.id));

	/* An end that nobody makes clean is a reset. */
	tip_intercept_ended(w.ic, w.flow.id, 0);
	assert_int_equal(stats_of(&w).flows, 0);
	close(w.app);
	w.app = -1;
	UNTIL(&w, ready(c.fd, POLLIN));
	assert_int_equal(read(c.fd, got, sizeof(got)), -1);
	assert_int_equal(errno, ECONNRESET);
	close(c.fd);
	close(peer);
	close(server);
	fake_close(&w);
}

static void refused_as_told(void **state)
{
	static const struct {
		int told, said;
	} cases[] = {
		{ECONNREFUSED, ECONNREFUSED},
		{ENETUNREACH, ENETUNREACH},
		{EHOSTUNREACH, EHOSTUNREACH},
		{EPERM, EHOSTUNREACH},
		{0, EHOSTUNREACH},
	};
	struct fake w = {0};
	int server;

	fake_open(&w, NULL);
	fake_serve(&w);
	server = listen_in(&w.space, "127.0.0.1", SERVER);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		struct caller c;
		int fd;

		w.noutbound = 0;
		call(&c, &w);
		UNTIL(&w, w.noutbound == 1);
		tip_intercept_ended(w.ic, w.flow.id, cases[i].told);
		assert_int_equal(answer(&c, &w), cases[i].said);
		close(c.fd);

		w.noutbound = 0;
		fd = begin_call(&w);
		UNTIL(&w, w.noutbound == 1);
		assert_false(ready(fd, POLLOUT));
		tip_intercept_ended(w.ic, w.flow.id, cases[i].told);
		assert_int_equal(answer_of(&w, fd), cases[i].said);
		close(fd);
	}
	assert_int_equal(stats_of(&w).refused, 2 * TIP_ARRAY_SIZE(cases));
	assert_int_equal(stats_of(&w).flows, 0);
	assert_int_equal(w.nrefused, 0);
	close(server);
	fake_close(&w);
}

/* ETIMEDOUT leaves the application to its own timer: nothing comes back. */
static void timed_out(void **state)
{
	struct fake w = {0};
	int fd;

	fake_open(&w, NULL);
	fake_serve(&w);
	fd = begin_call(&w);
	UNTIL(&w, w.noutbound == 1);
	tip_intercept_ended(w.ic, w.flow.id, ETIMEDOUT);
	assert_int_equal(stats_of(&w).flows, 0);
	assert_false(ready(fd, POLLOUT));
	/* It tries again, as over a network that loses packets. */
	UNTIL(&w, w.noutbound == 2);
	close(fd);
	fake_close(&w);
}

static void dial_fails_at_once(void **state)
{
	struct caller c;
	struct fake w = {0};

	fake_open(&w, NULL);
	fake_serve(&w);
	w.daddr = inet_addr("10.9.8.7"); /* there is no route */
	call(&c, &w);
	assert_int_equal(answer(&c, &w), ENETUNREACH);
	assert_int_equal(w.noutbound, 0);
	assert_int_equal(w.nrefused, 1);
	assert_int_equal(w.refused_err, ENETUNREACH);
	assert_int_equal(w.flow.remote.addr, w.daddr);
	close(c.fd);
	fake_close(&w);
}

static void waits_for_identity(void **state)
{
	struct caller c;
	struct fake w = {0};
	int server;

	fake_open(&w, NULL);
	fake_serve(&w);
	server = listen_in(&w.space, "127.0.0.1", SERVER);
	w.held = TIP_HELD_WAIT;
	call(&c, &w);
	UNTIL(&w, w.nheld == 1);
	assert_int_equal(w.flow.state, TIP_FLOW_HELD);
	tip_intercept_retry(w.ic, 999); /* somebody else's */
	assert_int_equal(w.nheld, 1);
	tip_intercept_retry(w.ic, 4242);
	assert_int_equal(w.nheld, 2);
	assert_int_equal(w.noutbound, 0);
	w.held = TIP_HELD_GO;
	tip_intercept_retry(w.ic, 0);
	assert_int_equal(w.noutbound, 1);
	tip_intercept_wanted(w.ic, w.flow.id);
	assert_int_equal(answer(&c, &w), 0);
	close(c.fd);

	/* Not allowed after all; and no answer in time. */
	w.held = TIP_HELD_NO;
	call(&c, &w);
	assert_int_equal(answer(&c, &w), EHOSTUNREACH);
	assert_int_equal(w.nrefused, 1);
	close(c.fd);
	w.held = TIP_HELD_WAIT;
	call(&c, &w);
	assert_int_equal(answer(&c, &w), EHOSTUNREACH);
	assert_int_equal(w.nrefused, 2);
	assert_int_equal(w.refused_err, EHOSTUNREACH);
	assert_string_equal(w.why, "no answer in time");
	close(c.fd);
	close(server);
	fake_close(&w);
}

/* Who dials the worker's port itself. */
static void not_redirected(void **state)
{
	struct caller c;
	struct fake w = {0};

	fake_open(&w, NULL);
	fake_serve(&w);
	w.no_redirect = true;
	call(&c, &w);
	assert_int_equal(answer(&c, &w), ECONNREFUSED);
	assert_int_equal(w.nheld, 0);
	close(c.fd);
	fake_close(&w);
}

static void limits(void **state)
{
	const struct tip_intercept_config few = {.max_held = 1,
						 .max_held_per_identity = 1,
						 .max_legs_per_netns = 64,
						 .max_flows = 2};
	struct caller a, b;
	struct fake w = {0};
	int server;

	fake_open(&w, &few);
	fake_serve(&w);
	server = listen_in(&w.space, "127.0.0.1", SERVER);
	call(&a, &w);
	UNTIL(&w, w.noutbound == 1);
	call(&b, &w);
	assert_int_equal(answer(&b, &w), EHOSTUNREACH);
	assert_int_equal(stats_of(&w).limit_held, 1);
	assert_int_equal(w.nlimited, 1);
	assert_int_equal(w.limit, TIP_LIMIT_HELD);
	assert_int_equal(w.flow.exec_id, 4242);
	close(b.fd);
	tip_intercept_wanted(w.ic, tip_intercept_next(w.ic, 0)->id);
	assert_int_equal(answer(&a, &w), 0);
	UNTIL(&w, w.njoined == 1);
	close(a.fd);
	/* It is joined, so there is place to hold another one; then the table is full. */
	call(&a, &w);
	UNTIL(&w, w.noutbound == 2);
	tip_intercept_wanted(w.ic, w.flow.id);
	assert_int_equal(answer(&a, &w), 0);
	UNTIL(&w, w.njoined == 2);
	call(&b, &w);
	assert_int_equal(answer(&b, &w), EHOSTUNREACH);
	assert_int_equal(stats_of(&w).limit_flows, 1);
	assert_int_equal(w.limit, TIP_LIMIT_FLOWS);
	assert_int_equal(stats_of(&w).limit_held, 1);
	close(a.fd);
	close(b.fd);
	close(server);
	fake_close(&w);
}

/* An identity has its share of what is held, and who is not known that of the namespace. */
static void one_identity_does_not_hold_all(void **state)
{
	const struct tip_intercept_config few = {.max_held = 4,
						 .max_held_per_identity = 1,
						 .max_legs_per_netns = 64,
						 .max_flows = 8};
	struct caller a, b, c, d;
	const struct tip_flow *f;
	struct fake w = {0};
	int server;

	fake_open(&w, &few);
	fake_serve(&w);
	server = listen_in(&w.space, "127.0.0.1", SERVER);
	w.number = TIP_ID_FIRST;
	call(&a, &w);
	UNTIL(&w, w.noutbound == 1);
	call(&b, &w);
	assert_int_equal(answer(&b, &w), EHOSTUNREACH);
	assert_int_equal(w.limit, TIP_LIMIT_HELD_IDENTITY);
	assert_int_equal(w.flow.current, TIP_ID_FIRST);
	close(b.fd);
	w.number = TIP_ID_FIRST + 1;
	call(&b, &w);
	UNTIL(&w, w.noutbound == 2);
	w.number = TIP_ID_PENDING;
	call(&c, &w);
	UNTIL(&w, w.noutbound == 3);
	call(&d, &w);
	assert_int_equal(answer(&d, &w), EHOSTUNREACH);
	assert_int_equal(w.nlimited, 2);
	close(d.fd);
	/* What is given back can be had again. */
	tip_intercept_ended(w.ic, tip_intercept_next(w.ic, 0)->id, ECONNREFUSED);
	assert_int_equal(answer(&a, &w), ECONNREFUSED);
	close(a.fd);
	w.number = TIP_ID_FIRST;
	call(&a, &w);
	UNTIL(&w, w.noutbound == 4);
	assert_int_equal(w.nlimited, 2);
	while ((f = tip_intercept_next(w.ic, 0)))
		tip_intercept_ended(w.ic, f->id, ECONNREFUSED);
	assert_int_equal(answer(&a, &w), ECONNREFUSED);
	assert_int_equal(answer(&b, &w), ECONNREFUSED);
	assert_int_equal(answer(&c, &w), ECONNREFUSED);
	close(a.fd);
	close(b.fd);
	close(c.fd);
	close(server);
	fake_close(&w);
}

static void application_gives_up(void **state)
{
	struct fake w = {0};
	int fd;

	fake_open(&w, NULL);
	fake_serve(&w);
	fd = begin_call(&w);
	UNTIL(&w, w.noutbound == 1);
	tip_intercept_tick(w.ic);
	assert_int_equal(w.ncut, 0);
	close(fd);
	w.no_redirect = true; /* the kernel deletes the record with the socket */
	tip_intercept_tick(w.ic);
	assert_int_equal(w.ncut, 1);
	assert_int_equal(w.cut_err, ECONNABORTED);
	assert_int_equal(stats_of(&w).flows, 0);
	fake_close(&w);
}

/* Gone, or another socket, before the release: nothing is released for nobody. */
static void gone_before_the_release(void **state)
{
	struct fake w = {0};

	fake_open(&w, NULL);
	fake_serve(&w);
	for (size_t i = 1; i <= 2; i++) {
		const int fd = begin_call(&w);

		UNTIL(&w, w.noutbound == i);
		close(fd);
		if (i == 1)
			w.app_cookie++;
		else
			w.no_redirect = true;
		tip_intercept_wanted(w.ic, w.flow.id);
		assert_int_equal(w.ncut, i);
		assert_int_equal(w.cut_err, ECONNABORTED);
		assert_int_equal(stats_of(&w).flows, 0);
	}
	assert_int_equal(stats_of(&w).released, 0);
	fake_close(&w);
}

/* Who connects, writes and closes may have no record any more when it is accepted. */
static void closed_before_the_accept(void **state)
{
	struct fake w = {0};
	char got[8];
	int fd;

	fake_open(&w, NULL);
	fake_serve(&w);
	fd = begin_call(&w);
	UNTIL(&w, w.noutbound == 1);
	tip_intercept_wanted(w.ic, w.flow.id);
	UNTIL_DOING(ready(fd, POLLOUT), (void)0);
	assert_int_equal(write(fd, "hello", 5), 5);
	close(fd);
	w.no_redirect = true;
	tip_intercept_tick(w.ic);
	assert_int_equal(w.ncut, 0);
	UNTIL(&w, w.njoined == 1);
	assert_int_equal(read(w.app, got, sizeof(got)), 5);
	fake_close(&w);
}

/* It gives up and begins anew on the same ports before anybody looks. */
static void ports_used_again(void **state)
{
	struct fake w = {0};
	struct sockaddr_in from = at("127.0.0.1", 33333);
	const struct sockaddr_in to = at("127.0.0.1", PORT);
	uint64_t first;
	int fd, one = 1;

	fake_open(&w, NULL);
	fake_serve(&w);
	for (size_t i = 1; i <= 2; i++) {
		fd = socket_in(&w.space, SOCK_NONBLOCK);
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
		assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), -1);
		assert_int_equal(errno, EINPROGRESS);
		UNTIL(&w, w.noutbound == i);
		if (i == 1) {
			first = w.flow.id;
			close(fd);
		}
	}
	assert_int_equal(w.ncut, 1);
	assert_null(tip_intercept_flow(w.ic, first));
	assert_int_equal(stats_of(&w).flows, 1);
	tip_intercept_ended(w.ic, tip_intercept_next(w.ic, 0)->id, ECONNREFUSED);
	assert_int_equal(answer_of(&w, fd), ECONNREFUSED);
	close(fd);
	fake_close(&w);
}

/* A SYN of port 40000, written by hand. */
static void send_syn(int raw, uint32_t seq, uint16_t fragment)
{
	const struct sockaddr_in to = at("127.0.0.1", 0);
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} p = {
		.ip = {.version = 4,
		       .ihl = 5,
		       .ttl = 64,
		       .protocol = IPPROTO_TCP,
		       .frag_off = htons(fragment),
		       .saddr = htonl(INADDR_LOOPBACK),
		       .daddr = htonl(INADDR_LOOPBACK)},
		.tcp = {.source = htons(40000),
			.dest = htons(PORT),
			.seq = htonl(seq),
			.doff = 5,
			.syn = 1},
	};

	assert_int_equal(sendto(raw, &p, sizeof(p), 0, (const struct sockaddr *)&to, sizeof(to)),
			 sizeof(p));
}

static void sent_again(void **state)
{
	struct fake w = {0};
	uint64_t id;
	int raw, fd;

	fake_open(&w, NULL);
	fake_serve(&w);
	raw = open_in(&w.space, SOCK_RAW, IPPROTO_RAW);
	send_syn(raw, 1, 0);
	UNTIL(&w, w.noutbound == 1);
	id = w.flow.id;
	send_syn(raw, 1, 0);
	send_syn(raw, 1, IP_MF);
	/* The queue keeps order: when this one is known, those are done. */
	fd = begin_call(&w);
	UNTIL(&w, w.noutbound == 2);
	assert_int_equal(stats_of(&w).flows, 2);
	/* It got lost behind the queue, or the listener was full: it passes again. */
	tip_intercept_wanted(w.ic, id);
	send_syn(raw, 1, 0);
	turn(&w);
	assert_int_equal(stats_of(&w).flows, 2);
	assert_int_equal(tip_intercept_flow(w.ic, id)->state, TIP_FLOW_JOINING);
	/* A new one on the same ports. */
	send_syn(raw, 2, 0);
	UNTIL(&w, w.noutbound == 3);
	assert_int_equal(w.ncut, 1);
	assert_null(tip_intercept_flow(w.ic, id));
	close(fd);
	close(raw);
	fake_close(&w);
}

static void front_dies(void **state)
{
	struct caller held, joined;
	struct fake w = {0};
	int server;

	fake_open(&w, NULL);
	fake_serve(&w);
	server = listen_in(&w.space, "127.0.0.1", SERVER);
	call(&joined, &w);
	UNTIL(&w, w.noutbound == 1);
	tip_intercept_wanted(w.ic, w.flow.id);
	assert_int_equal(answer(&joined, &w), 0);
	UNTIL(&w, w.njoined == 1);
	call(&held, &w);
	UNTIL(&w, w.noutbound == 2);

	tip_intercept_front_gone(w.ic);
	assert_int_equal(stats_of(&w).flows, 1);
	assert_int_equal(stats_of(&w).held, 1);
	assert_int_equal(tip_intercept_next(w.ic, 0)->state, TIP_FLOW_HELD);
	assert_int_equal(held.result, -1);
	/* The next one gets a socket of its own for it. */
	tip_intercept_retry(w.ic, 0);
	assert_int_equal(w.noutbound, 3);
	tip_intercept_wanted(w.ic, w.flow.id);
	assert_int_equal(answer(&held, &w), 0);
	close(held.fd);
	close(joined.fd);
	close(server);
	fake_close(&w);
}

/* Nobody holds the queue any more: held ones are sent again and rejected, new ones at once. */
static void worker_dies(void **state)
{
	const uint32_t forged = TIP_MARK_RELEASE;
	struct caller held, later;
	struct fake w = {0};
	int fd;

	fake_open(&w, NULL);
	fake_serve(&w);
	call(&held, &w);
	UNTIL(&w, w.noutbound == 1);
	tip_intercept_free(w.ic);
	w.ic = NULL;
	assert_int_equal(answer(&held, &w), EHOSTUNREACH);
	close(held.fd);
	call(&later, &w);
	assert_int_equal(answer(&later, &w), EHOSTUNREACH);
	close(later.fd);
	/* Not even with the mark of a verdict on it, and a listener there. */
	fd = listen_in(&w.space, "127.0.0.1", PORT);
	later.fd = socket_in(&w.space, 0);
	assert_int_equal(setsockopt(later.fd, SOL_SOCKET, SO_MARK, &forged, sizeof(forged)), 0);
	call_with(&later, later.fd);
	assert_int_equal(answer(&later, &w), EHOSTUNREACH);
	close(later.fd);
	close(fd);
	fake_close(&w);
}

static void forged_mark_is_held(void **state)
{
	const uint32_t forged = TIP_MARK_RELEASE;
	struct caller c;
	struct fake w = {0};
	int fd;

	fake_open(&w, NULL);
	fake_serve(&w);
	fd = socket_in(&w.space, 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_MARK, &forged, sizeof(forged)), 0);
	call_with(&c, fd);
	UNTIL(&w, w.noutbound == 1);
	assert_int_equal(c.result, -1);
	tip_intercept_ended(w.ic, w.flow.id, EHOSTUNREACH);
	assert_int_equal(answer(&c, &w), EHOSTUNREACH);
	close(fd);
	fake_close(&w);
}

/* The application chose a source address: the peer sees that one. */
static void bound_address(void **state)
{
	static const char *const add[] = {"ip", "addr", "add", "10.1.2.3/32", "dev", "lo", NULL};
	struct fake w = {0};
	struct sockaddr_in sa = at("10.1.2.3", 0);
	const struct sockaddr_in to = at("127.0.0.1", PORT);
	int fd, server;

	fake_open(&w, NULL);
	fake_serve(&w);
	assert_int_equal(space_exec(&w.space, NULL, 0, add), 0);
	server = listen_in(&w.space, "127.0.0.1", SERVER);
	fd = socket_in(&w.space, SOCK_NONBLOCK);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), -1);
	UNTIL(&w, w.noutbound == 1);
	assert_int_equal(w.flow.local.addr, inet_addr("10.1.2.3"));
	tip_intercept_wanted(w.ic, w.flow.id);
	assert_int_equal(answer_of(&w, fd), 0);
	UNTIL(&w, w.njoined == 1);
	close(fd);
	close(server);
	fake_close(&w);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(held_until_wanted),
		cmocka_unit_test(refused_as_told),
		cmocka_unit_test(timed_out),
		cmocka_unit_test(dial_fails_at_once),
		cmocka_unit_test(waits_for_identity),
		cmocka_unit_test(not_redirected),
		cmocka_unit_test(limits),
		cmocka_unit_test(one_identity_does_not_hold_all),
		cmocka_unit_test(application_gives_up),
		cmocka_unit_test(gone_before_the_release),
		cmocka_unit_test(closed_before_the_accept),
		cmocka_unit_test(ports_used_again),
		cmocka_unit_test(sent_again),
		cmocka_unit_test(front_dies),
		cmocka_unit_test(worker_dies),
		cmocka_unit_test(forged_mark_is_held),
		cmocka_unit_test(bound_address),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return world_run(tests, only_without_root);
}
