/* SPDX-License-Identifier: Apache-2.0 */
/* The inbound half in the kernel: who gets a connection, whom it is said to be from.
 */
#include "kernel.h"

#define DEST "127.5.5.5"

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
		cmocka_unit_test_setup(enforced_ports_are_the_workers, clean),
		cmocka_unit_test_setup(nobody_else_has_the_workers_port, clean),
		cmocka_unit_test_setup(legs_reach_the_application, clean),
		cmocka_unit_test_setup(dual_stack_servers_see_the_client, clean),
		cmocka_unit_test_setup(what_ipv4_enforces_is_closed_over_ipv6, clean),
		cmocka_unit_test_setup(attaching_twice_is_once, clean),
	};

	return cmocka_run_group_tests(tests, kernel_up, kernel_down);
}
