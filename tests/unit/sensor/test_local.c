/* SPDX-License-Identifier: Apache-2.0 */
/* Connections inside one network namespace to a server of a policy: who may, by the connect hook.
 */
#include "kernel.h"

#define SERVER      200
#define SERVER_EXEC 0x7000000000000001
#define POLICY      3

static void own_addresses(void)
{
	static bool once;

	if (!once) {
		add_address4("lo:1", "10.9.8.7");
		add_address6("fd00::9");
	}
	once = true;
}

/* A policy for 10.1.1.1, ports 8080-8083: its server is here, listening at `where` on 8080. */
static void serve(uint32_t where)
{
	const struct tip_listener_key key = {kernel.cookie, where, 8080, 0};
	const struct tip_listener by = {.exec_id = SERVER_EXEC, .sk_cookie = 1};
	const struct tip_binding its = {.current = SERVER};
	const uint64_t exec_id = SERVER_EXEC;
	struct tip_traffic_prefix p = {.table = TIP_TRAFFIC_SERVER, .bits = 32};
	const uint32_t number = SERVER;
	struct image m = {0};

	own_addresses();
	image_prefix(&m, TIP_TRAFFIC_DIALLED, "10.1.1.1", 32);
	image_ports(&m, 8080, 8083, POLICY);
	image_serve(&m, 8080, 8083);
	image_prefix(&m, TIP_TRAFFIC_LOCAL, "::", 0);
	image_ports(&m, 8080, 8083, POLICY);
	image_prefix(&m, TIP_TRAFFIC_LOCAL, "127.3.0.0", 16);
	image_ports(&m, 8081, 8083, POLICY);
	image_install(&m);
	/* The number comes later. */
	p.slice = m.prefixes[0].slice;
	memcpy(p.addr, &number, sizeof(number));
	assert_int_equal(tip_sensor_traffic_add(kernel.s, &p), 0);
	assert_int_equal(bpf_map_update_elem(kernel.s->maps[TIP_MAP_LISTENERS], &key, &by, BPF_ANY),
			 0);
	assert_int_equal(
		bpf_map_update_elem(kernel.s->maps[TIP_MAP_BINDINGS], &exec_id, &its, BPF_ANY), 0);
}

static void bind_server(uint32_t number)
{
	const struct tip_binding its = {.current = number};
	const uint64_t exec_id = SERVER_EXEC;

	assert_int_equal(
		bpf_map_update_elem(kernel.s->maps[TIP_MAP_BINDINGS], &exec_id, &its, BPF_ANY), 0);
}

static int no_server(void **state)
{
	const uint32_t where[] = {0, TIP_LISTENS6, htonl(INADDR_LOOPBACK)};
	const uint64_t exec_id = SERVER_EXEC;

	if (!kernel.s)
		return 0;
	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		const struct tip_listener_key key = {kernel.cookie, where[i], 8080, 0};

		bpf_map_delete_elem(kernel.s->maps[TIP_MAP_LISTENERS], &key);
	}
	bpf_map_delete_elem(kernel.s->maps[TIP_MAP_BINDINGS], &exec_id);
	tip_sensor_client_prune(kernel.s, UINT32_MAX);
	return 0;
}

static int try6(const char *ip, uint16_t port)
{
	const int fd = make_socket(AF_INET6, SOCK_STREAM);
	const int err = dial6(fd, ip, port);

	close(fd);
	return err;
}

static int try_any(const char *ip, uint16_t port)
{
	return strchr(ip, ':') ? try6(ip, port) : try4(ip, port);
}

static const char *const inside[] = {
	"127.0.0.1", "127.200.3.4", "10.200.3.4", "0.0.0.0",          "10.9.8.7",
	"::1",       "::",          "fd00::9",    "::ffff:127.0.0.1", "::ffff:10.9.8.7",
};

/* Nobody listens really: who is let through is told that. */
static void only_listed_clients_get_through(void **state)
{
	needs_root();
	serve(0);
	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
		assert_int_equal(try_any(inside[i], 8080), EPERM);
		/* No listener, no policy of this server, what is disabled. */
		assert_int_equal(try_any(inside[i], 8081), ECONNREFUSED);
		assert_int_equal(try_any(inside[i], 8079), ECONNREFUSED);
	}
	assert_int_equal(try4("127.3.0.1", 8080), ECONNREFUSED);
	/* What is not here is not its business: no route. */
	assert_int_equal(try4("192.0.2.1", 8080), ENETUNREACH);
	assert_int_equal(try6("fd00::8", 8080), ENETUNREACH);
	assert_int_equal(tip_sensor_client_allow(kernel.s, POLICY, IDENTITY), 0);
	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++)
		assert_int_equal(try_any(inside[i], 8080), ECONNREFUSED);
	become(TIP_ID_NONE);
	assert_int_equal(try4("127.0.0.1", 8080), EPERM);
	/* Who is not known yet may try again. */
	become(TIP_ID_PENDING);
	assert_int_equal(try4("127.0.0.1", 8080), EHOSTUNREACH);
	become(SERVER);
	assert_int_equal(try4("127.0.0.1", 8080), ECONNREFUSED);
}

static void refusals_say_why(void **state)
{
	const unsigned int before = kernel.ndenied;

	needs_root();
	serve(0);
	until((try4("127.0.0.1", 8080), drain(), kernel.ndenied > before));
	assert_int_equal(kernel.denied.reason, TIP_DENY_LOCAL);
	assert_int_equal(kernel.denied.policy, POLICY);
	assert_int_equal(kernel.denied.rport, 8080);
}

/* The listener's identity counts, as it is now. */
static void who_serves_is_asked_each_time(void **state)
{
	needs_root();
	serve(0);
	assert_int_equal(try4("127.0.0.1", 8080), EPERM);
	bind_server(TIP_ID_NONE);
	assert_int_equal(try4("127.0.0.1", 8080), ECONNREFUSED);
	bind_server(SERVER + 1);
	assert_int_equal(try4("127.0.0.1", 8080), ECONNREFUSED);
	bind_server(TIP_ID_PENDING);
	assert_int_equal(try4("127.0.0.1", 8080), EHOSTUNREACH);
	bind_server(IDENTITY);
	assert_int_equal(try4("127.0.0.1", 8080), ECONNREFUSED);
	bind_server(SERVER);
	assert_int_equal(try4("127.0.0.1", 8080), EPERM);
}

/* Where nobody knows who listens, the keeper is asked; where nobody does, that is no question. */
static void unknown_listeners_are_looked_for(void **state)
{
	const uint64_t exec_id = SERVER_EXEC;
	uint64_t before;
	int app, app6;

	needs_root();
	serve(0);
	bpf_map_delete_elem(kernel.s->maps[TIP_MAP_BINDINGS], &exec_id);
	before = counter(TIP_CTR_LOCAL_UNKNOWN);
	kernel.nlooked = 0;
	until((assert_int_equal(try4("127.0.0.1", 8080), EHOSTUNREACH), drain(), kernel.nlooked));
	assert_true(counter(TIP_CTR_LOCAL_UNKNOWN) > before);
	no_server(NULL);
	assert_int_equal(try4("127.0.0.1", 8080), ECONNREFUSED);
	/* Made where no hook saw it. */
	app = listen4(make_outside(AF_INET, SOCK_STREAM), "127.0.0.1", 8080);
	assert_int_equal(try4("127.0.0.1", 8080), EHOSTUNREACH);
	assert_int_equal(try4("127.0.0.2", 8080), ECONNREFUSED);
	assert_int_equal(try6("::1", 8080), ECONNREFUSED);
	app6 = make_outside(AF_INET6, SOCK_STREAM);
	assert_int_equal(bind(app6,
			      (const struct sockaddr *)&(struct sockaddr_in6){
				      .sin6_family = AF_INET6,
				      .sin6_port = htons(8080),
				      .sin6_addr = IN6ADDR_LOOPBACK_INIT},
			      sizeof(struct sockaddr_in6)),
			 0);
	assert_int_equal(listen(app6, 8), 0);
	assert_int_equal(try6("::1", 8080), EHOSTUNREACH);
	/* It is ours: the keeper finds that. */
	assert_true(tip_sensor_listeners_scan(kernel.s) >= 2);
	assert_int_equal(try4("127.0.0.1", 8080), 0);
	assert_int_equal(try6("::1", 8080), 0);
	close(app);
	close(app6);
}

/* For IPv6 alone, and on a loopback address. */
static void other_listeners_are_known_too(void **state)
{
	needs_root();
	serve(TIP_LISTENS6);
	assert_int_equal(try6("::1", 8080), EPERM);
	assert_int_equal(try6("fd00::9", 8080), EPERM);
	assert_int_equal(try4("127.0.0.1", 8080), ECONNREFUSED);
	no_server(NULL);
	serve(htonl(INADDR_LOOPBACK));
	assert_int_equal(try4("127.0.0.1", 8080), EPERM);
	assert_int_equal(try4("127.0.0.2", 8080), ECONNREFUSED);
	assert_int_equal(try6("::1", 8080), ECONNREFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_listed_clients_get_through, clean, no_server),
		cmocka_unit_test_setup_teardown(refusals_say_why, clean, no_server),
		cmocka_unit_test_setup_teardown(who_serves_is_asked_each_time, clean, no_server),
		cmocka_unit_test_setup_teardown(unknown_listeners_are_looked_for, clean, no_server),
		cmocka_unit_test_setup_teardown(other_listeners_are_known_too, clean, no_server),
	};

	return cmocka_run_group_tests(tests, kernel_up, kernel_down);
}
