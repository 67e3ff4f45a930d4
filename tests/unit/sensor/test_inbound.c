/* SPDX-License-Identifier: Apache-2.0 */
/* The inbound half in the kernel: who listens, who gets a connection, whom it is said to be from.
 */
#include <net/if.h>

#include "kernel.h"

#define DEST "127.5.5.5"

/* ---- who listens ---- */

static bool known(const char *ip, uint16_t port)
{
	struct tip_listener by;

	if (tip_sensor_listener(kernel.s, kernel.cookie, ip4(ip), port, &by))
		return false;
	assert_int_equal(by.exec_id, kernel.exec_id);
	assert_memory_equal(&by.proc, &kernel.key, sizeof(by.proc));
	assert_int_not_equal(by.sk_cookie, 0);
	return true;
}

static int listen6(int fd, const char *ip, uint16_t port, int v6only)
{
	const struct sockaddr_in6 a = at6(ip, port);
	const int one = 1;

	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void listeners_are_entered_and_go(void **state)
{
	int exact, wild, client, got;

	needs_root();
	assert_false(known(DEST, 8080));
	exact = listen4(make_socket(AF_INET, SOCK_STREAM), DEST, 8080);
	assert_true(known(DEST, 8080));
	assert_false(known("127.5.5.6", 8080));
	assert_false(known(DEST, 8081));

	wild = listen4(make_socket(AF_INET, SOCK_STREAM), "0.0.0.0", 8081);
	assert_true(known(DEST, 8081));

	/* What it accepts has its flags, and is no listener. */
	client = make_socket(AF_INET, SOCK_STREAM);
	assert_int_equal(dial4(client, DEST, 8080), 0);
	got = accept_one(exact, NULL);
	close(got);
	close(client);
	assert_true(known(DEST, 8080));
	close(exact);
	assert_false(known(DEST, 8080));
	close(wild);
	assert_false(known(DEST, 8081));
}

/* linux/ipv6.h and netinet/in.h do not go together. */
struct in6_request {
	struct in6_addr addr;
	uint32_t prefixlen;
	unsigned int index;
};

static bool can_bind6(const struct sockaddr_in6 *a)
{
	const int fd = make_socket(AF_INET6, SOCK_DGRAM);
	const bool ok = bind(fd, (const struct sockaddr *)a, sizeof(*a)) == 0;

	close(fd);
	return ok;
}

static void add_address6(const char *ip)
{
	const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const struct sockaddr_in6 a = at6(ip, 0);
	struct in6_request ask = {.prefixlen = 128, .index = if_nametoindex("lo")};

	assert_int_equal(inet_pton(AF_INET6, ip, &ask.addr), 1);
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &ask), 0);
	/* It becomes one's own a moment later. */
	until(can_bind6(&a));
	close(fd);
}

static void ipv6_listeners_count_where_they_take_ipv4(void **state)
{
	int fd;

	needs_root();
	fd = listen6(make_socket(AF_INET6, SOCK_STREAM), "::", 8080, 0);
	assert_true(known(DEST, 8080));
	close(fd);
	assert_false(known(DEST, 8080));
	fd = listen6(make_socket(AF_INET6, SOCK_STREAM), "::", 8080, 1);
	assert_false(known(DEST, 8080));
	close(fd);
	fd = listen6(make_socket(AF_INET6, SOCK_STREAM), "::1", 8080, 0);
	assert_false(known(DEST, 8080));
	assert_false(known("127.0.0.1", 8080));
	close(fd);
	fd = listen6(make_socket(AF_INET6, SOCK_STREAM), "::ffff:" DEST, 8080, 0);
	assert_true(known(DEST, 8080));
	assert_false(known("127.5.5.6", 8080));
	close(fd);
	assert_false(known(DEST, 8080));
	/* 127.5.5.5 in its last bytes does not make it an IPv4 address. */
	add_address6("::5:7f05:505");
	fd = listen6(make_socket(AF_INET6, SOCK_STREAM), "::5:7f05:505", 8080, 0);
	assert_false(known(DEST, 8080));
	close(fd);
}

/* The entry belongs to the socket that made it last. */
static void a_shared_port_keeps_its_last_listener(void **state)
{
	const struct sockaddr_in a = at(DEST, 8080);
	int fd[2], one = 1;

	needs_root();
	for (int i = 0; i < 2; i++) {
		fd[i] = make_socket(AF_INET, SOCK_STREAM);
		assert_int_equal(setsockopt(fd[i], SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
		assert_int_equal(setsockopt(fd[i], SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
		assert_int_equal(bind(fd[i], (const struct sockaddr *)&a, sizeof(a)), 0);
		assert_int_equal(listen(fd[i], 8), 0);
	}
	close(fd[0]);
	assert_true(known(DEST, 8080));
	close(fd[1]);
	assert_false(known(DEST, 8080));
}

static void a_scan_finds_what_the_hooks_missed(void **state)
{
	const struct tip_listener_key stale = {kernel.cookie, ip4(DEST), 9, 0};
	const struct tip_listener_key there = {kernel.cookie, ip4(DEST), 8080, 0};
	struct tip_listener by = {.exec_id = 1, .sk_cookie = 1};
	int fd[4];

	needs_root();
	fd[0] = listen4(make_outside(AF_INET, SOCK_STREAM), DEST, 8080);
	fd[1] = listen4(make_outside(AF_INET, SOCK_STREAM), "0.0.0.0", 8081);
	fd[2] = make_outside(AF_INET, SOCK_STREAM);
	bind4(fd[2], DEST, 8082);
	fd[3] = listen6(make_socket(AF_INET6, SOCK_STREAM), "::", 8083, 1);
	assert_int_equal(tip_map_update(kernel.s, TIP_MAP_LISTENERS, &stale, &by, BPF_ANY), 0);
	assert_false(known(DEST, 8080));
	assert_true(tip_sensor_listeners_scan(kernel.s) >= 2);
	assert_true(known(DEST, 8080));
	assert_true(known(DEST, 8081));
	assert_false(known(DEST, 8082));
	assert_false(known(DEST, 8083));
	/* Whose exec is over is nobody. */
	assert_int_equal(tip_sensor_listener(kernel.s, kernel.cookie, ip4(DEST), 9, &by), -ENOENT);

	/* An entry whose process lives stands; one of a closed socket does not. */
	by.exec_id = kernel.exec_id;
	by.sk_cookie = 12345;
	by.proc.tgid = 1;
	assert_int_equal(tip_map_update(kernel.s, TIP_MAP_LISTENERS, &there, &by, BPF_ANY), 0);
	assert_int_equal(tip_sensor_listeners_scan(kernel.s), 1);
	assert_true(known(DEST, 8080));
	assert_int_equal(tip_sensor_listeners_scan(kernel.s), 0);
	/* Who called listen() is gone, and we hold it still. */
	assert_int_equal(tip_map_lookup(kernel.s, TIP_MAP_LISTENERS, &there, &by), 0);
	by.exec_id = 1;
	assert_int_equal(tip_map_update(kernel.s, TIP_MAP_LISTENERS, &there, &by, BPF_ANY), 0);
	assert_int_equal(tip_sensor_listeners_scan(kernel.s), 1);
	assert_true(known(DEST, 8080));
	for (int i = 0; i < 4; i++)
		close(fd[i]);
}

/* ---- who gets it ---- */

static void attach(void)
{
	const int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	assert_int_equal(tip_sensor_netns_attach(kernel.s, fd, kernel.cookie), 0);
	close(fd);
}

/* Sockets made outside the cgroup: no other hook helps. */
static int try_outside(int family, const char *ip, uint16_t port)
{
	const int fd = make_outside(family, SOCK_STREAM);
	const int err = family == AF_INET ? dial4(fd, ip, port) : dial6(fd, ip, port);

	close(fd);
	return err;
}

static void enforced_ports_are_the_workers(void **state)
{
	struct sockaddr_in from;
	uint64_t steered, refused;
	int app, client, got;

	needs_root();
	app = listen4(make_outside(AF_INET, SOCK_STREAM), "0.0.0.0", 8080);
	attach();
	strict(DEST, 8080);
	steered = counter(TIP_CTR_STEERED);
	refused = counter(TIP_CTR_STEER_REFUSED);
	/* Nobody to give it to: refused, though the application listens. */
	assert_int_equal(try_outside(AF_INET, DEST, 8080), ECONNREFUSED);
	assert_true(counter(TIP_CTR_STEER_REFUSED) > refused);
	assert_true(nobody_waits(app));

	worker_up();
	client = make_outside(AF_INET, SOCK_STREAM);
	assert_int_equal(dial4(client, DEST, 8080), 0);
	got = accept_one(kernel.worker, &from);
	assert_addr(name_of(got, false), DEST, 8080);
	assert_true(nobody_waits(app));
	assert_true(counter(TIP_CTR_STEERED) > steered);
	close(got);
	close(client);

	/* What no policy covers is the application's. */
	client = make_outside(AF_INET, SOCK_STREAM);
	assert_int_equal(dial4(client, "127.5.5.6", 8080), 0);
	close(accept_one(app, &from));
	close(client);

	/* The worker's own port: on 127.0.0.1 and nowhere else. */
	assert_int_equal(try_outside(AF_INET, "127.0.0.1", PORT), 0);
	close(accept_one(kernel.worker, &from));
	assert_int_equal(try_outside(AF_INET, DEST, PORT), ECONNREFUSED);

	worker_down();
	assert_int_equal(try_outside(AF_INET, DEST, 8080), ECONNREFUSED);
	close(app);
}

/* Where somebody had the worker's port before the hooks were there. */
static void nobody_else_has_the_workers_port(void **state)
{
	int thief, wide;

	needs_root();
	strict(DEST, 8080);
	attach();
	thief = listen4(make_outside(AF_INET, SOCK_STREAM), "127.0.0.1", PORT);
	wide = listen4(make_outside(AF_INET, SOCK_STREAM), DEST, PORT);
	assert_int_equal(try_outside(AF_INET, "127.0.0.1", PORT), ECONNREFUSED);
	assert_int_equal(try_outside(AF_INET, DEST, PORT), ECONNREFUSED);
	close(thief);
	close(wide);
}

/* The leg as the keeper makes it: ours, from the very address that was dialled. */
static int make_leg(struct sockaddr_in to, const struct tip_leg *leg, struct tip_flow_key *k)
{
	const int fd = make_socket(AF_INET, SOCK_STREAM);
	struct sockaddr_in from = to;

	assert_int_equal(tip_sensor_ours(kernel.s, fd, TIP_OURS_LEG), 0);
	from.sin_port = 0;
	assert_int_equal(bind(fd, (const struct sockaddr *)&from, sizeof(from)), 0);
	*k = flow(name_of(fd, false), to);
	if (leg)
		assert_int_equal(tip_sensor_leg_set(kernel.s, k, leg), 0);
	return fd;
}

static void legs_reach_the_application(void **state)
{
	const struct tip_leg leg = {.client_addr = ip4("10.1.2.3"), .client_port = 4321};
	struct tip_flow_key k;
	struct sockaddr_in from;
	int app, fd, got;
	char buf[4];

	needs_root();
	app = listen4(make_socket(AF_INET, SOCK_STREAM), "0.0.0.0", 8080);
	attach();
	strict(DEST, 8080);
	worker_up();
	fd = make_leg(at(DEST, 8080), &leg, &k);
	assert_int_equal(dial4(fd, DEST, 8080), 0);
	got = accept_one(app, &from);
	assert_addr(from, "10.1.2.3", 4321);
	assert_addr(name_of(got, true), "10.1.2.3", 4321);
	assert_addr(name_of(got, false), DEST, 8080);
	/* Past the plaintext stop, both ways. */
	assert_int_equal(send(fd, "ping", 4, 0), 4);
	until(recv(got, buf, 4, MSG_PEEK) == 4);
	assert_int_equal(send(got, "pong", 4, 0), 4);
	until(recv(fd, buf, 4, MSG_PEEK) == 4);
	assert_int_equal(tip_sensor_leg_clear(kernel.s, &k), 0);
	assert_int_equal(tip_sensor_leg_clear(kernel.s, &k), -ENOENT);
	assert_addr(name_of(got, true), DEST, k.sport);
	close(got);
	close(fd);

	/* Not registered: the worker gets it, whoever made it. */
	fd = make_leg(at(DEST, 8080), NULL, &k);
	assert_int_equal(dial4(fd, DEST, 8080), 0);
	close(accept_one(kernel.worker, &from));
	assert_true(nobody_waits(app));
	close(fd);

	/* Registered, but the worker is dead. */
	fd = make_leg(at(DEST, 8080), &leg, &k);
	worker_down();
	assert_int_equal(dial4(fd, DEST, 8080), ECONNREFUSED);
	close(fd);
	assert_int_equal(tip_sensor_legs_wipe(kernel.s), 0);
	assert_int_equal(tip_sensor_leg_clear(kernel.s, &k), -ENOENT);
	close(app);
}

static void dual_stack_servers_see_the_client(void **state)
{
	const struct tip_leg leg = {.client_addr = ip4("10.1.2.3"), .client_port = 4321};
	struct sockaddr_in6 from;
	socklen_t len = sizeof(from);
	char text[INET6_ADDRSTRLEN];
	struct tip_flow_key k;
	int app, fd, got;

	needs_root();
	app = listen6(make_socket(AF_INET6, SOCK_STREAM), "::", 8080, 0);
	attach();
	strict(DEST, 8080);
	worker_up();
	fd = make_leg(at(DEST, 8080), &leg, &k);
	assert_int_equal(dial4(fd, DEST, 8080), 0);
	got = accept_one(app, NULL);
	assert_int_equal(getpeername(got, (struct sockaddr *)&from, &len), 0);
	assert_string_equal(inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text)),
			    "::ffff:10.1.2.3");
	assert_int_equal(ntohs(from.sin6_port), 4321);
	close(got);
	close(fd);
	close(app);
	tip_sensor_legs_wipe(kernel.s);
}

static int try_from6(const char *from, const char *to, uint16_t port)
{
	const int fd = make_outside(AF_INET6, SOCK_STREAM);
	const struct sockaddr_in6 a = at6(from, 0);
	int err;

	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	err = dial6(fd, to, port);
	close(fd);
	return err;
}

static void what_ipv4_enforces_is_closed_over_ipv6(void **state)
{
	struct image m = {0};
	int app;

	needs_root();
	add_address6("fd00::1");
	add_address6("fd00::2");
	app = listen6(make_outside(AF_INET6, SOCK_STREAM), "::", 8080, 0);
	attach();
	image_prefix(&m, TIP_TRAFFIC_INET6, "::", 0);
	image_ports(&m, 8080, 8080, 1);
	image_install(&m);
	worker_up();
	assert_int_equal(try_from6("fd00::2", "fd00::1", 8080), ECONNREFUSED);
	/* Inside one host nothing is on the wire. */
	assert_int_equal(try_from6("fd00::1", "fd00::1", 8080), 0);
	assert_int_equal(try_from6("::1", "::1", 8080), 0);
	assert_int_equal(try_from6("::1", "fd00::1", 8080), 0);
	no_policy();
	assert_int_equal(try_from6("fd00::2", "fd00::1", 8080), 0);
	close(app);
}

static void attaching_twice_is_once(void **state)
{
	needs_root();
	attach();
	attach();
	assert_int_equal(tip_sensor_netns_prune(kernel.s), 1);
	assert_int_equal(tip_sensor_netns_detach(kernel.s, kernel.cookie), 0);
	assert_int_equal(tip_sensor_netns_detach(kernel.s, kernel.cookie), -ENOENT);
	assert_int_equal(tip_sensor_netns_prune(kernel.s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_complete),
		cmocka_unit_test_setup(listeners_are_entered_and_go, clean),
		cmocka_unit_test_setup(ipv6_listeners_count_where_they_take_ipv4, clean),
		cmocka_unit_test_setup(a_shared_port_keeps_its_last_listener, clean),
		cmocka_unit_test_setup(a_scan_finds_what_the_hooks_missed, clean),
		cmocka_unit_test_setup(enforced_ports_are_the_workers, clean),
		cmocka_unit_test_setup(nobody_else_has_the_workers_port, clean),
		cmocka_unit_test_setup(legs_reach_the_application, clean),
		cmocka_unit_test_setup(dual_stack_servers_see_the_client, clean),
		cmocka_unit_test_setup(what_ipv4_enforces_is_closed_over_ipv6, clean),
		cmocka_unit_test_setup(attaching_twice_is_once, clean),
	};

	return cmocka_run_group_tests(tests, kernel_up, kernel_down);
}
