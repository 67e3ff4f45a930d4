/* SPDX-License-Identifier: Apache-2.0 */
/* The inbound half in the kernel: who listens, who gets a connection, whom it is said to be from.
 */
#include <net/if.h>
#include <sys/prctl.h>

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

/* A policy for the ports 8080 to 8083 of DEST. */
static void cover(void)
{
	struct image m = {0};

	image_prefix(&m, TIP_TRAFFIC_DIALLED, DEST, 32);
	image_ports(&m, 8080, 8083, 1);
	image_serve(&m, 8080, 8083);
	image_install(&m);
}

static void listeners_are_entered_and_go(void **state)
{
	int exact, wild, client, got;

	needs_root();
	cover();
	assert_false(known(DEST, 8080));
	exact = listen4(make_socket(AF_INET, SOCK_STREAM), DEST, 8080);
	assert_true(known(DEST, 8080));
	assert_false(known("127.5.5.6", 8080));
	assert_false(known(DEST, 8081));

	wild = listen4(make_socket(AF_INET, SOCK_STREAM), "0.0.0.0", 8081);
	assert_true(known(DEST, 8081));

	/* What it accepts has its flags, and is no listener. */
	no_policy();
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

static void ipv6_listeners_count_where_they_take_ipv4(void **state)
{
	int fd;

	needs_root();
	cover();
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

/* ---- listeners that share a port ---- */

static int listen_shared(int fd)
{
	const int one = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	return listen4(fd, DEST, 8080);
}

/* Another process of the cgroup that listens there too; it ends when `*fd` is closed. */
static pid_t other_server(int *fd)
{
	int pair[2];
	pid_t pid;
	char c;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		const struct sockaddr_in a = at(DEST, 8080);
		const int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;

		close(pair[0]);
		close(kernel.helper);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
		c = (char)(bind(s, (const struct sockaddr *)&a, sizeof(a)) || listen(s, 8));
		/* Says that it listens, then waits. */
		if (send(pair[1], &c, 1, 0) == 1 && recv(pair[1], &c, 1, 0) == 0)
			_exit(0);
		_exit(1);
	}
	close(pair[1]);
	assert_int_equal(recv(pair[0], &c, 1, 0), 1);
	assert_int_equal(c, 0);
	*fd = pair[0];
	return pid;
}

static void end_server(pid_t pid, int fd)
{
	close(fd);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static bool searched(const char *ip, uint16_t port)
{
	struct tip_listener by;

	return tip_sensor_listener_search(kernel.s, kernel.cookie, ip4(ip), port, &by) == 0 &&
	       by.exec_id == kernel.exec_id;
}

/* The entry belongs to the socket that made it last. */
static void one_process_may_share_its_port(void **state)
{
	int fd[2];

	needs_root();
	cover();
	for (int i = 0; i < 2; i++)
		fd[i] = listen_shared(make_socket(AF_INET, SOCK_STREAM));
	assert_true(known(DEST, 8080));
	close(fd[0]);
	assert_true(known(DEST, 8080));
	close(fd[1]);
	assert_false(known(DEST, 8080));
}

/* A fork has the identity of its parent. */
static void one_identity_may_share_its_port(void **state)
{
	struct tip_listener by;
	int fd, other;
	pid_t pid;

	needs_root();
	cover();
	fd = listen_shared(make_socket(AF_INET, SOCK_STREAM));
	pid = other_server(&other);
	assert_int_equal(tip_sensor_listener(kernel.s, kernel.cookie, ip4(DEST), 8080, &by), 0);
	assert_int_not_equal(by.exec_id, kernel.exec_id);
	assert_true(tip_sensor_listeners_scan(kernel.s) >= 0);
	assert_int_equal(tip_sensor_listener(kernel.s, kernel.cookie, ip4(DEST), 8080, &by), 0);
	close(fd);
	end_server(pid, other);
}

/* Whoever came first, whoever is looked for, and however often: nobody is known there. */
static void two_identities_share_nothing(void **state)
{
	needs_root();
	cover();
	for (int first = 0; first < 2; first++) {
		int fd = -1, other;
		pid_t pid;

		if (first)
			fd = listen_shared(make_socket(AF_INET, SOCK_STREAM));
		become(TIP_ID_NONE);
		pid = other_server(&other); /* is what we are now, and stays it */
		become(IDENTITY);
		if (!first)
			fd = listen_shared(make_socket(AF_INET, SOCK_STREAM));
		assert_false(known(DEST, 8080));
		for (int i = 0; i < 2; i++) {
			assert_int_equal(tip_sensor_listeners_scan(kernel.s), 0);
			assert_false(known(DEST, 8080));
			assert_false(searched(DEST, 8080));
		}
		/* Right again once the other has gone. */
		end_server(pid, other);
		assert_true(searched(DEST, 8080));
		assert_true(known(DEST, 8080));
		close(fd);
		assert_false(known(DEST, 8080));
	}
}

/* The other one had more than one socket, and the last that was entered is closed. */
static void who_is_left_is_not_forgotten(void **state)
{
	int fd, last, other;
	pid_t pid;

	needs_root();
	cover();
	become(TIP_ID_NONE);
	pid = other_server(&other);
	last = listen_shared(make_socket(AF_INET, SOCK_STREAM));
	close(last);
	become(IDENTITY);
	assert_false(known(DEST, 8080));
	fd = listen_shared(make_socket(AF_INET, SOCK_STREAM));
	assert_false(known(DEST, 8080));
	assert_false(searched(DEST, 8080));
	close(fd);
	end_server(pid, other);
}

/* A socket on its way from one process to another is in nobody's descriptors. */
static void what_cannot_be_seen_is_counted(void **state)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec io = {(char[]){0}, 1};
	struct msghdr msg = {.msg_iov = &io,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	int fd, hidden, pair[2];

	needs_root();
	cover();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	hidden = listen_shared(make_outside(AF_INET, SOCK_STREAM));
	CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &hidden, sizeof(hidden));
	assert_int_equal(sendmsg(pair[0], &msg, 0), 1);
	close(hidden);
	fd = listen_shared(make_socket(AF_INET, SOCK_STREAM));
	assert_false(known(DEST, 8080));
	assert_false(searched(DEST, 8080));
	close(pair[0]);
	close(pair[1]);
	/* In-flight descriptors of a dead socket go a moment later. */
	until(searched(DEST, 8080));
	close(fd);
}

/* ---- which listeners are entered ---- */

static size_t entries(void)
{
	struct tip_listener_key key;
	size_t n = 0;

	for (int r = bpf_map_get_next_key(kernel.s->maps[TIP_MAP_LISTENERS], NULL, &key); r == 0;
	     r = bpf_map_get_next_key(kernel.s->maps[TIP_MAP_LISTENERS], &key, &key))
		n++;
	return n;
}

static void only_what_a_policy_covers_is_entered(void **state)
{
	static const struct {
		const char *ip;
		uint16_t port;
	} others[] = {{DEST, 8084}, {"127.5.5.6", 8084}, {"0.0.0.0", 8079}};
	int fd[5];

	needs_root();
	cover();
	assert_int_equal(entries(), 0);
	for (int i = 0; i < 3; i++)
		fd[i] = listen4(make_socket(AF_INET, SOCK_STREAM), others[i].ip, others[i].port);
	assert_int_equal(entries(), 0);
	assert_int_equal(tip_sensor_listeners_scan(kernel.s), 0);
	assert_int_equal(entries(), 0);
	fd[3] = listen4(make_socket(AF_INET, SOCK_STREAM), DEST, 8083);
	fd[4] = listen4(make_socket(AF_INET, SOCK_STREAM), "0.0.0.0", 8081);
	assert_int_equal(entries(), 2);
	for (int i = 0; i < 5; i++)
		close(fd[i]);
	assert_int_equal(entries(), 0);
}

static void a_policy_finds_who_was_there_before(void **state)
{
	int fd;

	needs_root();
	fd = listen4(make_socket(AF_INET, SOCK_STREAM), DEST, 8080);
	assert_false(known(DEST, 8080));
	cover();
	assert_true(known(DEST, 8080));
	close(fd);
	assert_false(known(DEST, 8080));
}

/* What is beyond a namespace's share is not entered, and found all the same. */
static void a_namespace_has_its_share(void **state)
{
	const uint32_t before = kernel.s ? kernel.s->settings.listeners_per_netns : 0;
	struct tip_listener by;
	uint64_t full;
	int fd[3];

	needs_root();
	cover();
	kernel.s->settings.listeners_per_netns = 2;
	assert_int_equal(tip_settings_write(kernel.s), 0);
	full = counter(TIP_CTR_LISTENERS_FULL);
	for (uint16_t i = 0; i < 3; i++)
		fd[i] = listen4(make_socket(AF_INET, SOCK_STREAM), DEST, (uint16_t)(8080 + i));
	assert_int_equal(entries(), 2);
	assert_int_equal(counter(TIP_CTR_LISTENERS_FULL), full + 1);
	assert_false(known(DEST, 8082));
	assert_int_equal(tip_sensor_listener_search(kernel.s, kernel.cookie, ip4(DEST), 8082, &by),
			 0);
	assert_int_equal(by.exec_id, kernel.exec_id);
	assert_int_equal(entries(), 2);
	close(fd[0]);
	fd[0] = listen4(make_socket(AF_INET, SOCK_STREAM), DEST, 8083);
	assert_true(known(DEST, 8083));
	close(fd[0]);
	/* A walk enters what has come to have a place. */
	assert_true(tip_sensor_listeners_scan(kernel.s) >= 0);
	assert_true(known(DEST, 8082));
	close(fd[1]);
	close(fd[2]);
	assert_int_equal(entries(), 0);
	kernel.s->settings.listeners_per_netns = before;
	assert_int_equal(tip_settings_write(kernel.s), 0);
}

static void a_full_table_hides_nobody(void **state)
{
	struct tip_listener_key k = {.netns = 1};
	const struct tip_listener by = {.exec_id = kernel.exec_id};
	int fd, copies[300];
	uint32_t n = 0;

	needs_root();
	cover();
	for (; tip_map_update(kernel.s, TIP_MAP_LISTENERS, &k, &by, BPF_ANY) == 0; n++)
		k.addr = n + 1;
	fd = listen4(make_socket(AF_INET, SOCK_STREAM), DEST, 8080);
	/* The same again and again is one. */
	for (size_t i = 0; i < 300; i++)
		copies[i] = dup(fd);
	assert_false(known(DEST, 8080));
	assert_int_equal(tip_sensor_listeners_scan(kernel.s), 0);
	assert_true(searched(DEST, 8080));
	assert_false(searched(DEST, 8081));
	for (size_t i = 0; i < 300; i++)
		close(copies[i]);
	for (k.addr = 0; k.addr <= n; k.addr++)
		tip_map_delete(kernel.s, TIP_MAP_LISTENERS, &k);
	assert_int_equal(tip_sensor_listeners_scan(kernel.s), 1);
	assert_true(known(DEST, 8080));
	close(fd);
}

/* ---- the scan ---- */

static void a_scan_finds_what_the_hooks_missed(void **state)
{
	const struct tip_listener_key stale = {kernel.cookie, ip4(DEST), 9, 0};
	const struct tip_listener_key there = {kernel.cookie, ip4(DEST), 8080, 0};
	struct tip_listener by = {.exec_id = 1, .sk_cookie = 1};
	int fd[4];

	needs_root();
	cover();
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
		cmocka_unit_test_setup(one_process_may_share_its_port, clean),
		cmocka_unit_test_setup(one_identity_may_share_its_port, clean),
		cmocka_unit_test_setup(two_identities_share_nothing, clean),
		cmocka_unit_test_setup(who_is_left_is_not_forgotten, clean),
		cmocka_unit_test_setup(what_cannot_be_seen_is_counted, clean),
		cmocka_unit_test_setup(only_what_a_policy_covers_is_entered, clean),
		cmocka_unit_test_setup(a_policy_finds_who_was_there_before, clean),
		cmocka_unit_test_setup(a_namespace_has_its_share, clean),
		cmocka_unit_test_setup(a_full_table_hides_nobody, clean),
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
