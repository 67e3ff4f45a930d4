/* SPDX-License-Identifier: Apache-2.0 */
/* The inbound half in the kernel: who listens where, by the hooks and by the walk over all
 * descriptors.
 */
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

/* ---- what is in the table ---- */

struct entry {
	struct tip_listener_key key;
	struct tip_listener by;
};

/* Those of our namespace: a walk enters whoever listens on the node, and other tests do. */
static size_t entries_of(struct entry *out, size_t max)
{
	struct tip_listener_key key;
	size_t n = 0;

	for (int r = bpf_map_get_next_key(kernel.s->maps[TIP_MAP_LISTENERS], NULL, &key); r == 0;
	     r = bpf_map_get_next_key(kernel.s->maps[TIP_MAP_LISTENERS], &key, &key)) {
		if (key.netns != kernel.cookie)
			continue;
		assert_true(n < max);
		out[n].key = key;
		if (tip_map_lookup(kernel.s, TIP_MAP_LISTENERS, &key, &out[n].by) == 0)
			n++;
	}
	return n;
}

static size_t entries(void)
{
	struct entry all[16];

	return entries_of(all, 16);
}

/* A walk; how many of our namespace it entered. */
static int scan(void)
{
	struct entry before[16], after[16];
	const size_t had = entries_of(before, 16);
	int entered = 0;
	size_t has;

	assert_true(tip_sensor_listeners_scan(kernel.s) >= 0);
	has = entries_of(after, 16);
	for (size_t i = 0; i < has; i++) {
		size_t at = 0;

		while (at < had && memcmp(&before[at], &after[i], sizeof(*after)) != 0)
			at++;
		entered += at == had && after[i].by.exec_id;
	}
	return entered;
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
		const int one = 1;
		int s;

		/* A walk takes the holder with the lowest pid for the owner: ours stay ours. */
		dup2(pair[1], 3);
		close_range(4, ~0U, 0);
		s = socket(AF_INET, SOCK_STREAM, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
		c = (char)(bind(s, (const struct sockaddr *)&a, sizeof(a)) || listen(s, 8));
		/* Says that it listens, then waits. */
		if (send(3, &c, 1, 0) == 1 && recv(3, &c, 1, 0) == 0)
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
	scan();
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
			assert_int_equal(scan(), 0);
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
	assert_int_equal(scan(), 0);
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
	scan();
	assert_true(known(DEST, 8082));
	close(fd[1]);
	close(fd[2]);
	assert_int_equal(entries(), 0);
	kernel.s->settings.listeners_per_netns = before;
	assert_int_equal(tip_settings_write(kernel.s), 0);
}

/* With listeners of another namespace, from `k` on. */
static void fill(struct tip_listener_key *k)
{
	const struct tip_listener by = {.exec_id = kernel.exec_id};

	while (tip_map_update(kernel.s, TIP_MAP_LISTENERS, k, &by, BPF_ANY) == 0)
		k->addr++;
}

static void a_full_table_hides_nobody(void **state)
{
	const struct tip_listener_key own = {kernel.cookie, ip4(DEST), 8080, 0};
	struct tip_listener_key k = {.netns = 1};
	int fd, copies[300];

	needs_root();
	cover();
	fill(&k);
	fd = listen4(make_socket(AF_INET, SOCK_STREAM), DEST, 8080);
	/* The same again and again is one. */
	for (size_t i = 0; i < 300; i++)
		copies[i] = dup(fd);
	assert_false(known(DEST, 8080));
	/* Whoever ends elsewhere on the node leaves room in the table. */
	for (int tries = 0; scan() > 0; tries++) {
		assert_true(tries < 100);
		tip_map_delete(kernel.s, TIP_MAP_LISTENERS, &own);
		fill(&k);
	}
	assert_true(searched(DEST, 8080));
	assert_false(searched(DEST, 8081));
	for (size_t i = 0; i < 300; i++)
		close(copies[i]);
	do
		tip_map_delete(kernel.s, TIP_MAP_LISTENERS, &k);
	while (k.addr--);
	tip_map_delete(kernel.s, TIP_MAP_LISTENERS, &own);
	assert_int_equal(scan(), 1);
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
	assert_true(scan() >= 2);
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
	assert_int_equal(scan(), 1);
	assert_true(known(DEST, 8080));
	assert_int_equal(scan(), 0);
	/* Who called listen() is gone, and we hold it still. */
	assert_int_equal(tip_map_lookup(kernel.s, TIP_MAP_LISTENERS, &there, &by), 0);
	by.exec_id = 1;
	assert_int_equal(tip_map_update(kernel.s, TIP_MAP_LISTENERS, &there, &by, BPF_ANY), 0);
	assert_int_equal(scan(), 1);
	assert_true(known(DEST, 8080));
	for (int i = 0; i < 4; i++)
		close(fd[i]);
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
	};

	return cmocka_run_group_tests(tests, kernel_up, kernel_down);
}
