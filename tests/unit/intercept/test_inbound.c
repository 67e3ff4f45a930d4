/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that sk_lookup gives to the worker, and plaintext that was there before. */
#include "fake.h"
#include "intercept/internal.h"

#define STEERED 8443

static int dial(const struct fake *w, uint16_t port, uint16_t *from)
{
	struct sockaddr_in sa = at("127.0.0.1", port);
	const int fd = socket_in(&w->space, 0);
	socklen_t len = sizeof(sa);

	assert_int_equal(connect(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	if (from)
		*from = ntohs(sa.sin_port);
	return fd;
}

static void leg_to_the_application(void **state)
{
	struct fake w = {.steered = STEERED};
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	int client, server, app;
	uint16_t from;
	char got[8];

	fake_open(&w, NULL);
	w.has_listener = true;
	w.listener = (struct tip_listener){.proc = {.tgid = 77}, .exec_id = 7777};
	fake_serve(&w);
	server = listen_in(&w.space, "127.0.0.1", STEERED);
	client = dial(&w, STEERED, &from);
	UNTIL(&w, w.ninbound == 1);
	assert_true(w.flow.inbound);
	assert_int_equal(w.flow.state, TIP_FLOW_SHAKING);
	assert_int_equal(w.flow.local.addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(w.flow.local.port, STEERED);
	assert_int_equal(w.flow.remote.port, from);
	assert_int_equal(w.flow.exec_id, 7777);
	assert_int_equal(w.flow.proc.tgid, 77);
	/* Nothing of it reached the application, and it counts as held nowhere. */
	assert_int_equal(accept(server, NULL, NULL), -1);
	assert_int_equal(stats_of(&w).held, 0);

	tip_intercept_wanted(w.ic, w.flow.id);
	assert_int_equal(w.njoined, 1);
	assert_int_equal(w.nleg_set, 1);
	assert_int_equal(w.leg.client_port, from);
	assert_int_equal(w.leg_key.netns, w.cookie);
	assert_int_equal(w.leg_key.dport, STEERED);
	assert_int_equal(w.leg_key.saddr, w.leg_key.daddr);
	UNTIL(&w, (app = accept(server, (struct sockaddr *)&peer, &len)) >= 0);
	assert_int_equal(ntohs(peer.sin_port), w.leg_key.sport);
	assert_int_equal(write(w.app, "hello", 5), 5);
	UNTIL(&w, ready(app, POLLIN));
	assert_int_equal(read(app, got, sizeof(got)), 5);
	tip_intercept_wanted(w.ic, w.flow.id);
	assert_int_equal(w.nleg_set, 1);
	/* What the front has written may still be on its way: the leg ends with the application's
	 * end. */
	tip_intercept_ended(w.ic, w.flow.id, 0);
	assert_int_equal(stats_of(&w).flows, 0);
	for (int i = 0; i < 5; i++)
		tip_intercept_tick(w.ic);
	assert_int_equal(w.nleg_clear, 0);
	w.leg_gone = true;
	tip_intercept_tick(w.ic);
	assert_int_equal(w.nleg_clear, 1);
	close(app);
	close(client);
	close(server);
	fake_close(&w);
}

static void no_leg(void **state)
{
	struct fake w = {.steered = STEERED};
	int client;

	fake_open(&w, NULL);
	w.leg_err = -ENOSPC;
	fake_serve(&w);
	client = dial(&w, STEERED, NULL);
	UNTIL(&w, w.ninbound == 1);
	assert_int_equal(w.flow.exec_id, 0);
	tip_intercept_wanted(w.ic, w.flow.id);
	assert_int_equal(w.njoined, 0);
	assert_int_equal(w.ncut, 1);
	assert_int_equal(w.cut_err, ENOSPC);
	assert_int_equal(stats_of(&w).flows, 0);
	close(client);
	fake_close(&w);
}

static void table_full(void **state)
{
	const struct tip_intercept_config few = {.max_held = 1,
						 .max_held_per_identity = 1,
						 .max_legs_per_netns = 64,
						 .max_flows = 1};
	struct fake w = {.steered = STEERED};
	int a, b;

	fake_open(&w, &few);
	fake_serve(&w);
	a = dial(&w, STEERED, NULL);
	UNTIL(&w, w.ninbound == 1);
	b = dial(&w, STEERED, NULL);
	UNTIL(&w, was_reset(b));
	assert_int_equal(w.ninbound, 1);
	assert_int_equal(stats_of(&w).limit_flows, 1);
	close(a);
	close(b);
	fake_close(&w);
}

/* Without a front a connection is reset, and takes nobody's place. */
static void nobody_takes_it(void **state)
{
	const struct tip_intercept_config few = {.max_held = 1,
						 .max_held_per_identity = 1,
						 .max_legs_per_netns = 64,
						 .max_flows = 1};
	struct fake w = {.steered = STEERED};

	fake_open(&w, &few);
	w.no_taker = true;
	fake_serve(&w);
	for (size_t i = 1; i <= 3; i++) {
		int fd = dial(&w, STEERED, NULL);

		UNTIL(&w, was_reset(fd));
		assert_int_equal(w.ninbound, i);
		assert_int_equal(stats_of(&w).flows, 0);
		close(fd);
	}
	assert_int_equal(stats_of(&w).limit_flows, 0);
	fake_close(&w);
}

static void front_dies(void **state)
{
	struct fake w = {.steered = STEERED};
	int client, server;

	fake_open(&w, NULL);
	fake_serve(&w);
	server = listen_in(&w.space, "127.0.0.1", STEERED);
	client = dial(&w, STEERED, NULL);
	UNTIL(&w, w.ninbound == 1);
	tip_intercept_wanted(w.ic, w.flow.id);
	tip_intercept_front_gone(w.ic);
	assert_int_equal(stats_of(&w).flows, 0);
	assert_int_equal(w.ncut, 0);
	/* The kernel side does not see the end of it: the socket is looked for. */
	tip_intercept_tick(w.ic);
	assert_int_equal(w.nleg_clear, 0);
	close(w.app);
	w.app = -1;
	for (int i = 0; i < 5; i++)
		tip_intercept_tick(w.ic);
	assert_int_equal(w.nleg_clear, 1);
	close(client);
	close(server);
	fake_close(&w);
}

/* ---- ports of legs ------------------------------------------------------------ */

/* A leg that is over, as far as both ends are concerned: its port is in TIME_WAIT. -errno. */
static int leg_and_over(struct fake *w, int server)
{
	struct tip_netns *ns = tip_map_getu(w->ic->spaces, w->space.inode);
	struct tip_flow_entry *f = tip_flow_begin(w->ic, ns, true, TIP_ID_PENDING);
	int leg, app = -1;

	f->pub.local = (struct tip_end){htonl(INADDR_LOOPBACK), SERVER};
	leg = tip_dial_leg(w->ic, f);
	tip_flow_end(w->ic, f);
	if (leg < 0)
		return leg;
	UNTIL(w, (app = accept(server, NULL, NULL)) >= 0);
	shutdown(leg, SHUT_WR);
	UNTIL(w, ready(app, POLLIN));
	close(app);
	UNTIL(w, ready(leg, POLLIN));
	close(leg);
	return 0;
}

static void set_in(const struct space *s, const char *what, const char *value)
{
	char command[128];
	const char *const argv[] = {"sh", "-c", command, NULL};

	snprintf(command, sizeof(command), "echo %s > /proc/sys/net/ipv4/%s", value, what);
	assert_int_equal(space_exec(s, NULL, 0, argv), 0);
}

/* Many short connections: a port is used again when its leg is over, and only then. */
static void ports_are_used_again(void **state)
{
	struct fake w = {0};
	int server;

	fake_open(&w, NULL);
	fake_serve(&w);
	set_in(&w.space, "ip_local_port_range", "40000 40003");
	server = listen_in(&w.space, "127.0.0.1", SERVER);
	w.leg_gone = true;
	for (int i = 0; i < 16; i++)
		assert_int_equal(leg_and_over(&w, server), 0);
	w.leg_gone = false;
	assert_int_equal(leg_and_over(&w, server), -EADDRINUSE);
	close(server);
	fake_close(&w);
}

/* Without time stamps TIME_WAIT has to be waited for: some ports are tried, not all. */
static void ports_that_cannot_be_had(void **state)
{
	struct fake w = {0};
	size_t tried = 0;
	int server, ret;

	fake_open(&w, NULL);
	fake_serve(&w);
	set_in(&w.space, "ip_local_port_range", "40000 40003");
	set_in(&w.space, "tcp_timestamps", "0");
	server = listen_in(&w.space, "127.0.0.1", SERVER);
	w.leg_gone = true;
	do {
		tried = w.nleg_set;
		ret = leg_and_over(&w, server);
	} while (ret == 0);
	assert_int_equal(ret, -EADDRNOTAVAIL);
	assert_int_equal(w.nleg_set - tried, 3);
	assert_int_equal(w.nleg_clear, 3);
	close(server);
	fake_close(&w);
}

/* ---- plaintext from before the policy --------------------------------------- */

static bool covers_server(void *ctx, uint32_t addr, uint16_t port)
{
	return addr == htonl(INADDR_LOOPBACK) && (port == SERVER || port == STEERED);
}

static void ends_plaintext_only(void **state)
{
	struct fake w = {.steered = STEERED};
	int server, app_server, plain, other, other_server, redirected, wire, worker, app;

	fake_open(&w, NULL);
	fake_serve(&w);
	server = listen_in(&w.space, "127.0.0.1", SERVER);
	other_server = listen_in(&w.space, "127.0.0.1", SERVER + 1);
	app_server = listen_in(&w.space, "127.0.0.1", STEERED);
	plain = dial(&w, SERVER, NULL);
	other = dial(&w, SERVER + 1, NULL);
	/* Ours, to the same server: the wire of an outbound flow. */
	redirected = begin_call(&w);
	UNTIL(&w, w.noutbound == 1);
	tip_intercept_wanted(w.ic, w.flow.id);
	assert_int_equal(answer_of(&w, redirected), 0);
	UNTIL(&w, w.njoined == 1);
	wire = fcntl(w.wire, F_DUPFD_CLOEXEC, 0);
	worker = fcntl(w.app, F_DUPFD_CLOEXEC, 0);
	/* And the wire and the leg of an inbound one, with the application's end of it. */
	close(dial(&w, STEERED, NULL));
	UNTIL(&w, w.ninbound == 1);
	tip_intercept_wanted(w.ic, w.flow.id);
	UNTIL(&w, (app = accept(app_server, NULL, NULL)) >= 0);

	assert_int_equal(tip_intercept_end_plain(w.ic, covers_server, NULL), 1);
	assert_true(was_reset(plain));
	assert_false(was_reset(other));
	assert_false(was_reset(redirected));
	assert_false(was_reset(wire));
	assert_false(was_reset(worker));
	assert_false(was_reset(app));
	assert_false(was_reset(w.app));
	assert_int_equal(tip_intercept_end_plain(w.ic, covers_server, NULL), 0);

	/* The server's end of a plain connection is as good a reason. */
	close(plain);
	close(wire);
	close(worker);
	tip_intercept_front_gone(w.ic);
	assert_true(tip_intercept_end_plain(w.ic, covers_server, NULL) >= 1);
	assert_true(was_reset(app));
	close(other);
	close(redirected);
	close(app);
	close(server);
	close(other_server);
	close(app_server);
	fake_close(&w);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(leg_to_the_application),
		cmocka_unit_test(no_leg),
		cmocka_unit_test(table_full),
		cmocka_unit_test(nobody_takes_it),
		cmocka_unit_test(front_dies),
		cmocka_unit_test(ports_are_used_again),
		cmocka_unit_test(ports_that_cannot_be_had),
		cmocka_unit_test(ends_plaintext_only),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return world_run(tests, only_without_root);
}
