/* SPDX-License-Identifier: Apache-2.0 */
/* The outbound half in the kernel: who is redirected, who is refused with what, what is shown. */
#include "kernel.h"

#define DEST "127.5.5.5"

static void allow(uint32_t policy)
{
	assert_int_equal(tip_sensor_client_allow(kernel.s, policy, IDENTITY), 0);
}

/* What may be dialled gives EHOSTUNREACH as long as there is no worker, what may not EPERM. */
static void policy_is_looked_up(void **state)
{
	static const struct {
		const char *ip;
		uint16_t port;
		int want;
	} cases[] = {
		/* the /32 over the /24 over the /16: the longest prefix alone decides */
		{"127.7.0.1", 79, ECONNREFUSED},
		{"127.7.0.1", 80, EHOSTUNREACH},
		{"127.7.0.1", 89, EHOSTUNREACH},
		{"127.7.0.1", 90, ECONNREFUSED},
		{"127.7.1.1", 80, EPERM},
		{"127.7.1.1", 81, ECONNREFUSED},
		{"127.7.1.1", 1, EPERM},
		{"127.7.1.1", 65535, EPERM},
		{"127.7.1.2", 443, EHOSTUNREACH},
		{"127.7.1.2", 80, ECONNREFUSED},
		{"127.7.2.0", 80, EHOSTUNREACH},
		{"127.8.0.0", 80, ECONNREFUSED},
		{"127.6.255.255", 80, ECONNREFUSED},
		/* 600 ranges: 1000 to 1003, 1010 to 1013 ... of changing policies, some disabled */
		{"127.9.9.9", 999, ECONNREFUSED},
		{"127.9.9.9", 1000, EHOSTUNREACH},
		{"127.9.9.9", 1003, EHOSTUNREACH},
		{"127.9.9.9", 1004, ECONNREFUSED},
		{"127.9.9.9", 1010, EPERM},
		{"127.9.9.9", 1020, ECONNREFUSED},
		{"127.9.9.9", 1030, EHOSTUNREACH},
		{"127.9.9.9", 3503, EPERM},
		{"127.9.9.9", 4002, EHOSTUNREACH},
		{"127.9.9.9", 4012, EPERM},
		{"127.9.9.9", 6981, EPERM},
		{"127.9.9.9", 6970, EHOSTUNREACH},
		{"127.9.9.9", 6993, ECONNREFUSED},
		{"127.9.9.9", 6994, ECONNREFUSED},
		{"127.9.9.9", 65535, ECONNREFUSED},
		{"127.9.9.8", 1000, ECONNREFUSED},
		/* 0.0.0.0 is this host */
		{"0.0.0.0", 70, EHOSTUNREACH},
		{"0.0.0.0", 71, ECONNREFUSED},
	};
	struct image m = {0};

	needs_root();
	image_prefix(&m, TIP_TRAFFIC_DIALLED, "127.7.0.0", 16);
	image_ports(&m, 80, 89, 1);
	image_prefix(&m, TIP_TRAFFIC_DIALLED, "127.7.1.0", 24);
	image_ports(&m, 1, 80, 2);
	image_ports(&m, 65535, 65535, 2);
	image_prefix(&m, TIP_TRAFFIC_DIALLED, "127.7.1.2", 32);
	image_ports(&m, 80, 80, 0);
	image_ports(&m, 443, 443, 1);
	image_prefix(&m, TIP_TRAFFIC_DIALLED, "127.0.0.1", 32);
	image_ports(&m, 70, 70, 1);
	image_prefix(&m, TIP_TRAFFIC_DIALLED, "127.9.9.9", 32);
	for (uint16_t i = 0; i < 600; i++)
		image_ports(&m, (uint16_t)(1000 + 10 * i), (uint16_t)(1003 + 10 * i),
			    (const uint32_t[]){1, 2, 0}[i % 3]);
	/* The other table is another one. */
	image_prefix(&m, TIP_TRAFFIC_INET6, "127.0.0.1", 32);
	image_ports(&m, 71, 71, 2);
	image_install(&m);
	allow(1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const int got = try4(cases[i].ip, cases[i].port);

		if (got != cases[i].want)
			fail_msg("%s:%u: %s, not %s", cases[i].ip, cases[i].port, strerror(got),
				 strerror(cases[i].want));
	}
}

static void generations_change_in_one_piece(void **state)
{
	struct tip_traffic_key key;
	struct image m = {0};
	size_t n = 0;

	needs_root();
	allow(1);
	for (uint16_t i = 0; i < 20; i++) {
		strict(DEST, (uint16_t)(80 + i));
		assert_int_equal(try4(DEST, (uint16_t)(80 + i)), EHOSTUNREACH);
		assert_int_equal(try4(DEST, (uint16_t)(79 + i)), ECONNREFUSED);
	}
	/* Nothing of the others is left. */
	for (int r = bpf_map_get_next_key(kernel.s->maps[TIP_MAP_TRAFFIC], NULL, &key); r == 0;
	     r = bpf_map_get_next_key(kernel.s->maps[TIP_MAP_TRAFFIC], &key, &key))
		n++;
	assert_int_equal(n, 2);

	/* What cannot be installed changes nothing. */
	image_prefix(&m, TIP_TRAFFIC_DIALLED, DEST, 32);
	image_ports(&m, 1, 1, 1);
	image_prefix(&m, TIP_TRAFFIC_DIALLED, "127.5.5.6", 32);
	image_ports(&m, 1, 1, 1);
	m.prefixes[1].slice.count = 2;
	m.image.prefixes = m.prefixes;
	m.image.ports = m.ports;
	assert_int_equal(tip_sensor_traffic_install(kernel.s, &m.image), -EINVAL);
	assert_int_equal(try4(DEST, 99), EHOSTUNREACH);
	assert_int_equal(try4(DEST, 1), ECONNREFUSED);
	no_policy();
	assert_int_equal(try4(DEST, 99), ECONNREFUSED);
}

static void clients_of_old_policies_go(void **state)
{
	needs_root();
	strict(DEST, 80);
	allow(1);
	allow(7);
	assert_int_equal(try4(DEST, 80), EHOSTUNREACH);
	assert_int_equal(tip_sensor_client_prune(kernel.s, 2), 0);
	assert_int_equal(try4(DEST, 80), EPERM);
	assert_int_equal(tip_sensor_client_prune(kernel.s, 2), 0);
	assert_int_equal(tip_sensor_client_prune(kernel.s, UINT32_MAX), 0);
}

/* The record of the refusal that `fd` gets; repeated, since only so many are told in a second. */
static void assert_denied(int family, int type, const char *ip, uint16_t port, uint32_t reason)
{
	const unsigned int before = kernel.ndenied;
	int fd, err;

	for (int i = 0; i < 5000 && kernel.ndenied == before; i++) {
		fd = make_socket(family, type);
		err = family == AF_INET ? dial4(fd, ip, port) : dial6(fd, ip, port);
		close(fd);
		assert_int_equal(err, EPERM);
		poll(NULL, 0, 1);
		drain();
	}
	assert_int_not_equal(kernel.ndenied, before);
	assert_int_equal(kernel.denied.reason, reason);
	assert_int_equal(kernel.denied.policy, 1);
	assert_int_equal(kernel.denied.rport, port);
	assert_int_equal(kernel.denied.sock_type, type);
	assert_int_equal(kernel.denied.netns_cookie, kernel.cookie);
}

static void refusals_say_why(void **state)
{
	const struct sockaddr_in to = at(DEST, 80);
	struct image m = {0};
	int fd;

	needs_root();
	image_prefix(&m, TIP_TRAFFIC_DIALLED, DEST, 32);
	image_ports(&m, 80, 80, 1);
	image_prefix(&m, TIP_TRAFFIC_DIALLED, "fd00::", 8);
	image_ports(&m, 80, 80, 1);
	image_install(&m);
	assert_int_equal(tip_sensor_client_prune(kernel.s, UINT32_MAX), 0);
	assert_denied(AF_INET, SOCK_STREAM, DEST, 80, TIP_DENY_CLIENT);
	assert_denied(AF_INET6, SOCK_STREAM, "::ffff:" DEST, 80, TIP_DENY_CLIENT);
	become(TIP_ID_NONE);
	assert_denied(AF_INET, SOCK_STREAM, DEST, 80, TIP_DENY_NO_IDENTITY);
	become(IDENTITY);
	allow(1);
	assert_denied(AF_INET, SOCK_DGRAM, DEST, 80, TIP_DENY_PROTOCOL);
	assert_denied(AF_INET6, SOCK_STREAM, "fd00::5", 80, TIP_DENY_PROTOCOL);
	assert_denied(AF_INET6, SOCK_DGRAM, "::ffff:" DEST, 80, TIP_DENY_PROTOCOL);

	fd = make_socket(AF_INET, SOCK_DGRAM);
	assert_int_equal(sendto(fd, "x", 1, 0, (const struct sockaddr *)&to, sizeof(to)), -1);
	assert_int_equal(errno, EPERM);
	close(fd);
	/* Pending is not "none": the worker holds it, and there is none. */
	become(TIP_ID_PENDING);
	assert_int_equal(try4(DEST, 80), EHOSTUNREACH);
}

static void no_worker_is_unreachable(void **state)
{
	const uint64_t long_ago = tip_clock_boot() - (TIP_HEARTBEAT_MS + 1000) * UINT64_C(1000000);
	const uint32_t zero = 0;
	uint64_t before;

	needs_root();
	strict(DEST, 80);
	allow(1);
	before = counter(TIP_CTR_NO_WORKER);
	kernel.nasked = 0;
	until((try4(DEST, 80), drain(), kernel.nasked > 0));
	assert_int_equal(kernel.asked.cookie, kernel.cookie);
	assert_int_equal(kernel.asked.netns, kernel.netns);
	assert_true(counter(TIP_CTR_NO_WORKER) > before);

	worker_up();
	assert_int_equal(try4(DEST, 80), 0);
	/* It hangs. */
	assert_int_equal(tip_map_update(kernel.s, TIP_MAP_HEARTBEAT, &zero, &long_ago, BPF_ANY), 0);
	assert_int_equal(try4(DEST, 80), EHOSTUNREACH);
	assert_int_equal(tip_sensor_heartbeat(kernel.s, 0), 0);
	assert_int_equal(try4(DEST, 80), 0);
	/* It dies. */
	worker_down();
	assert_int_equal(try4(DEST, 80), EHOSTUNREACH);
}

/* A redirected connection as the keeper finds it. */
static void assert_redirect(const struct tip_redirect *r, uint32_t current)
{
	assert_int_equal(r->daddr, ip4(DEST));
	assert_int_equal(r->dport, 80);
	assert_int_equal(r->policy, 1);
	assert_int_equal(r->current, current);
	assert_int_equal(r->exec_id, kernel.exec_id);
	assert_memory_equal(&r->proc, &kernel.key, sizeof(r->proc));
}

static void allowed_goes_to_the_worker(void **state)
{
	struct sockaddr_in from, own;
	struct tip_flow_key k;
	struct tip_redirect r;
	int fd, got, mark = 0x1234;

	needs_root();
	strict(DEST, 80);
	allow(1);
	worker_up();
	fd = make_socket(AF_INET, SOCK_STREAM);
	/* Marks are for everybody with CAP_NET_RAW to set, and mean nothing. */
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	assert_int_equal(dial4(fd, DEST, 80), 0);
	got = accept_one(kernel.worker, &from);

	own = name_of(fd, false);
	assert_addr(own, "127.0.0.1", ntohs(from.sin_port));
	k = flow(own, at("127.0.0.1", PORT));
	assert_int_equal(tip_sensor_redirect(kernel.s, &k, &r), 0);
	assert_redirect(&r, IDENTITY);

	assert_addr(name_of(fd, true), DEST, 80);
	assert_int_equal(tip_sensor_redirect_show(kernel.s, &k, ip4("10.1.2.3"), 40000), 0);
	assert_addr(name_of(fd, false), "10.1.2.3", 40000);
	/* The worker's own end shows what is. */
	assert_addr(name_of(got, false), "127.0.0.1", PORT);
	assert_addr(name_of(got, true), "127.0.0.1", ntohs(from.sin_port));

	/* Both ways, past the plaintext stop. */
	assert_int_equal(send(fd, "ping", 4, 0), 4);
	until(recv(got, &r, 4, MSG_PEEK) == 4);
	assert_int_equal(send(got, "pong", 4, 0), 4);
	until(recv(fd, &r, 4, MSG_PEEK) == 4);

	close(got);
	close(fd);
	until(tip_sensor_redirect(kernel.s, &k, &r) == -ENOENT);
	assert_int_equal(tip_sensor_redirect_show(kernel.s, &k, 1, 1), -ENOENT);
}

static void mapped_addresses_are_ipv4(void **state)
{
	struct sockaddr_in6 name;
	struct sockaddr_in from;
	struct tip_flow_key k;
	struct tip_redirect r;
	socklen_t len = sizeof(name);
	char text[INET6_ADDRSTRLEN];
	int fd, got;

	needs_root();
	strict(DEST, 80);
	allow(1);
	worker_up();
	fd = make_socket(AF_INET6, SOCK_STREAM);
	assert_int_equal(dial6(fd, "::ffff:" DEST, 80), 0);
	got = accept_one(kernel.worker, &from);
	k = flow(from, at("127.0.0.1", PORT));
	assert_int_equal(tip_sensor_redirect(kernel.s, &k, &r), 0);
	assert_redirect(&r, IDENTITY);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&name, &len), 0);
	assert_string_equal(inet_ntop(AF_INET6, &name.sin6_addr, text, sizeof(text)),
			    "::ffff:" DEST);
	assert_int_equal(ntohs(name.sin6_port), 80);
	assert_int_equal(tip_sensor_redirect_show(kernel.s, &k, ip4("10.1.2.3"), 40000), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	assert_string_equal(inet_ntop(AF_INET6, &name.sin6_addr, text, sizeof(text)),
			    "::ffff:10.1.2.3");
	assert_int_equal(ntohs(name.sin6_port), 40000);
	close(got);
	close(fd);
	until(tip_sensor_redirect(kernel.s, &k, &r) == -ENOENT);
}

static void bound_sources_are_kept(void **state)
{
	struct sockaddr_in from;
	struct tip_flow_key k;
	struct tip_redirect r;
	int fd, got;

	needs_root();
	strict(DEST, 80);
	allow(1);
	worker_up();
	fd = make_socket(AF_INET, SOCK_STREAM);
	bind4(fd, "127.9.9.9", 0);
	assert_int_equal(dial4(fd, DEST, 80), 0);
	got = accept_one(kernel.worker, &from);
	assert_int_equal(from.sin_addr.s_addr, ip4("127.9.9.9"));
	k = flow(from, at("127.0.0.1", PORT));
	assert_int_equal(tip_sensor_redirect(kernel.s, &k, &r), 0);
	assert_redirect(&r, IDENTITY);
	close(got);
	close(fd);
}

static void pending_is_passed_on_as_such(void **state)
{
	struct sockaddr_in from;
	struct tip_flow_key k;
	struct tip_redirect r;
	int fd, got;

	needs_root();
	strict(DEST, 80);
	worker_up();
	become(TIP_ID_PENDING);
	fd = make_socket(AF_INET, SOCK_STREAM);
	assert_int_equal(dial4(fd, DEST, 80), 0);
	got = accept_one(kernel.worker, &from);
	k = flow(from, at("127.0.0.1", PORT));
	assert_int_equal(tip_sensor_redirect(kernel.s, &k, &r), 0);
	assert_redirect(&r, TIP_ID_PENDING);
	close(got);
	close(fd);
}

/* The identity of one connect() must not stick to the next one of the same socket. */
static void a_second_connect_is_its_own(void **state)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct sockaddr_in from;
	struct tip_flow_key k;
	struct tip_redirect r;
	int fd, got;

	needs_root();
	strict(DEST, 80);
	allow(1);
	worker_up();
	fd = make_socket(AF_INET, SOCK_STREAM);
	assert_int_equal(dial4(fd, DEST, 80), 0);
	got = accept_one(kernel.worker, &from);
	k = flow(from, at("127.0.0.1", PORT));
	assert_int_equal(tip_sensor_redirect(kernel.s, &k, &r), 0);
	close(got);
	assert_int_equal(connect(fd, &none, sizeof(none)), 0);
	assert_int_equal(tip_sensor_redirect(kernel.s, &k, &r), -ENOENT);

	/* Straight to the worker. Also when there is no policy any more. */
	assert_int_equal(dial4(fd, "127.0.0.1", PORT), ECONNREFUSED);
	no_policy();
	assert_int_equal(dial4(fd, "127.0.0.1", PORT), ECONNREFUSED);
	close(fd);
}

static void the_worker_is_not_dialled(void **state)
{
	struct image m = {0};
	int fd;

	needs_root();
	worker_up();
	assert_int_equal(try4("127.0.0.1", PORT), ECONNREFUSED);
	assert_int_equal(try4("0.0.0.0", PORT), ECONNREFUSED);
	/* Not by a policy that covers it, either. */
	image_prefix(&m, TIP_TRAFFIC_DIALLED, "127.0.0.1", 32);
	image_ports(&m, 1, 65535, 1);
	image_install(&m);
	allow(1);
	assert_int_equal(try4("127.0.0.1", PORT), ECONNREFUSED);
	fd = make_socket(AF_INET6, SOCK_STREAM);
	assert_int_equal(dial6(fd, "::ffff:127.0.0.1", PORT), ECONNREFUSED);
	close(fd);
	assert_true(nobody_waits(kernel.worker));
	fd = make_socket(AF_INET, SOCK_STREAM);
	assert_int_equal(tip_sensor_ours(kernel.s, fd, TIP_OURS_WIRE), 0);
	assert_int_equal(dial4(fd, "127.0.0.1", PORT), 0);
	close(fd);
}

/* 127.0.0.1 is not behind a device. */
static void bound_to_a_device_is_unreachable(void **state)
{
	struct sockaddr_in from;
	uint64_t before;
	int fd;

	needs_root();
	strict(DEST, 80);
	allow(1);
	worker_up();
	before = counter(TIP_CTR_NO_WORKER);
	fd = make_socket(AF_INET, SOCK_STREAM);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	assert_int_equal(dial4(fd, DEST, 80), EHOSTUNREACH);
	assert_int_equal(counter(TIP_CTR_NO_WORKER), before + 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0), 0);
	assert_int_equal(dial4(fd, DEST, 80), 0);
	close(accept_one(kernel.worker, &from));
	close(fd);
}

/* An eighth of 512 places is for one namespace; who closes gives its own back. */
static void a_namespace_has_its_share(void **state)
{
	const struct tip_share_key all = {0}, here = {.netns = kernel.cookie};
	uint64_t before;
	int64_t n = -1;
	int fd[64], got[64];

	needs_root();
	strict(DEST, 80);
	allow(1);
	worker_up();
	before = counter(TIP_CTR_REDIRECTS_FULL);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 64; i++) {
			fd[i] = make_socket(AF_INET, SOCK_STREAM);
			assert_int_equal(dial4(fd[i], DEST, 80), 0);
			got[i] = accept_one(kernel.worker, NULL);
		}
		/* Refused in the hook: no SYN, no reset. */
		assert_int_equal(try4(DEST, 80), EHOSTUNREACH);
		assert_int_equal(counter(TIP_CTR_REDIRECTS_FULL), ++before);
		for (int i = 0; i < 64; i++) {
			close(got[i]);
			close(fd[i]);
		}
		until(tip_map_lookup(kernel.s, TIP_MAP_SHARES, &here, &n) == 0 && n == 0);
	}
	/* All of them together. */
	assert_int_equal(tip_map_lookup(kernel.s, TIP_MAP_SHARES, &all, &n), 0);
	assert_int_equal(n, 0);
	n = 512;
	assert_int_equal(tip_map_update(kernel.s, TIP_MAP_SHARES, &all, &n, BPF_ANY), 0);
	assert_int_equal(try4(DEST, 80), EHOSTUNREACH);
	assert_int_equal(counter(TIP_CTR_REDIRECTS_FULL), before + 1);
	n = 0;
	assert_int_equal(tip_map_update(kernel.s, TIP_MAP_SHARES, &all, &n, BPF_ANY), 0);
	assert_int_equal(try4(DEST, 80), 0);
}

/* Whoever has an identity has its share over all namespaces; the keeper hears of what is refused.
 */
static void an_identity_has_its_share(void **state)
{
	const struct tip_share_key ours = {.number = IDENTITY};
	const unsigned int told = kernel.ndenied;
	int64_t n = -1;
	int fd[2], got[2];

	needs_root();
	strict(DEST, 80);
	allow(1);
	worker_up();
	kernel.s->settings.redirects_per_identity = 2;
	assert_int_equal(tip_settings_write(kernel.s), 0);
	for (int i = 0; i < 2; i++) {
		fd[i] = make_socket(AF_INET, SOCK_STREAM);
		assert_int_equal(dial4(fd[i], DEST, 80), 0);
		got[i] = accept_one(kernel.worker, NULL);
	}
	until((assert_int_equal(try4(DEST, 80), EHOSTUNREACH), drain(), kernel.ndenied > told));
	assert_int_equal(kernel.denied.reason, TIP_DENY_SHARE);
	/* Who is not known yet has the namespace's. */
	become(TIP_ID_PENDING);
	assert_int_equal(try4(DEST, 80), 0);
	become(IDENTITY);
	for (int i = 0; i < 2; i++) {
		close(got[i]);
		close(fd[i]);
	}
	until(tip_map_lookup(kernel.s, TIP_MAP_SHARES, &ours, &n) == 0 && n == 0);
	assert_int_equal(try4(DEST, 80), 0);
	kernel.s->settings.redirects_per_identity = 256;
	assert_int_equal(tip_settings_write(kernel.s), 0);
}

/* Full though the hook saw room: the worker knows nothing of the connection, and resets it. */
static void a_full_table_is_counted(void **state)
{
	const struct tip_redirect r = {.dport = 1};
	struct tip_flow_key k = {.netns = 1};
	struct tip_redirect seen;
	struct sockaddr_in from;
	uint64_t before;
	int fd, got;

	needs_root();
	strict(DEST, 80);
	allow(1);
	worker_up();
	before = counter(TIP_CTR_REDIRECTS_FULL);
	for (k.saddr = 0; k.saddr < 512; k.saddr++)
		assert_int_equal(tip_map_update(kernel.s, TIP_MAP_REDIRECTS, &k, &r, BPF_ANY), 0);
	fd = make_socket(AF_INET, SOCK_STREAM);
	assert_int_equal(dial4(fd, DEST, 80), 0);
	got = accept_one(kernel.worker, &from);
	assert_int_equal(counter(TIP_CTR_REDIRECTS_FULL), before + 1);
	for (k.saddr = 0; k.saddr < 512; k.saddr++)
		assert_int_equal(tip_map_delete(kernel.s, TIP_MAP_REDIRECTS, &k), 0);
	k = flow(from, at("127.0.0.1", PORT));
	assert_int_equal(tip_sensor_redirect(kernel.s, &k, &seen), -ENOENT);
	close(got);
	close(fd);
}

static void ours_go_where_they_want(void **state)
{
	int fd;

	needs_root();
	strict(DEST, 80);
	become(TIP_ID_NONE);
	fd = make_socket(AF_INET, SOCK_STREAM);
	assert_int_equal(tip_sensor_ours(kernel.s, fd, TIP_OURS_WIRE), 0);
	assert_int_equal(dial4(fd, DEST, 80), ECONNREFUSED);
	close(fd);
}

static void the_port_is_the_workers(void **state)
{
	static const char *const addresses[] = {"127.0.0.1", "0.0.0.0", "127.5.5.5"};
	const struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
	int fd;

	needs_root();
	for (size_t i = 0; i < 3; i++) {
		const struct sockaddr_in a = at(addresses[i], PORT);

		fd = make_socket(AF_INET, SOCK_STREAM);
		assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), -1);
		assert_int_equal(errno, EPERM);
		assert_int_equal(tip_sensor_ours(kernel.s, fd, TIP_OURS_LISTENER), 0);
		assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
		close(fd);
	}
	fd = make_socket(AF_INET6, SOCK_STREAM);
	assert_int_equal(bind(fd, (const struct sockaddr *)&any6, sizeof(any6)), -1);
	assert_int_equal(errno, EPERM);
	close(fd);
	fd = make_socket(AF_INET, SOCK_STREAM);
	bind4(fd, "127.0.0.1", PORT + 1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_complete),
		cmocka_unit_test_setup(policy_is_looked_up, clean),
		cmocka_unit_test_setup(generations_change_in_one_piece, clean),
		cmocka_unit_test_setup(clients_of_old_policies_go, clean),
		cmocka_unit_test_setup(refusals_say_why, clean),
		cmocka_unit_test_setup(no_worker_is_unreachable, clean),
		cmocka_unit_test_setup(allowed_goes_to_the_worker, clean),
		cmocka_unit_test_setup(mapped_addresses_are_ipv4, clean),
		cmocka_unit_test_setup(bound_sources_are_kept, clean),
		cmocka_unit_test_setup(pending_is_passed_on_as_such, clean),
		cmocka_unit_test_setup(a_second_connect_is_its_own, clean),
		cmocka_unit_test_setup(the_worker_is_not_dialled, clean),
		cmocka_unit_test_setup(bound_to_a_device_is_unreachable, clean),
		cmocka_unit_test_setup(a_namespace_has_its_share, clean),
		cmocka_unit_test_setup(an_identity_has_its_share, clean),
		cmocka_unit_test_setup(a_full_table_is_counted, clean),
		cmocka_unit_test_setup(ours_go_where_they_want, clean),
		cmocka_unit_test_setup(the_port_is_the_workers, clean),
	};

	return cmocka_run_group_tests(tests, kernel_up, kernel_down);
}
