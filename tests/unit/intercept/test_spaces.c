/* SPDX-License-Identifier: Apache-2.0 */
/* Which namespaces are served, from when on, and when they are let go. */
#include "fake.h"
#include "intercept/internal.h"

#define NAME "/run/netns/pod-a"

static const char *const patterns[] = {"pod-*"};
static const struct tip_intercept_config named = {.max_held = 64,
						  .max_held_per_identity = 64,
						  .max_legs_per_netns = 64,
						  .max_flows = 64,
						  .names = patterns,
						  .nnames = 1};

static void name_it(const struct space *s, const char *name)
{
	char ns[64];

	snprintf(ns, sizeof(ns), "/proc/%d/ns/net", (int)s->pid);
	assert_int_equal(mount(ns, name, NULL, MS_BIND, NULL), 0);
}

static void make_file(const char *name)
{
	const int fd = open(name, O_CREAT | O_RDONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static void ticks(struct fake *w, int n)
{
	while (n--) {
		tip_intercept_tick(w->ic);
		turn(w);
	}
}

static unsigned int interface_in(const struct space *s, const char *name)
{
	const char *const argv[] = {"ip", "link", "show", name, NULL};

	return space_exec(s, NULL, 0, argv) == 0;
}

/* By its name, before the first process; until the last of both is gone: then nothing of ours keeps
 * it. */
static void by_name(void **state)
{
	struct space other;
	struct fake w = {0};
	char pid[16];
	const char *const veth[] = {"ip",   "link", "add", "va",    "type", "veth",
				    "peer", "name", "vb",  "netns", pid,    NULL};

	fake_open(&w, &named);
	space_open(&other, true);
	snprintf(pid, sizeof(pid), "%d", (int)w.space.pid);
	assert_int_equal(space_exec(&other, NULL, 0, veth), 0);
	tip_intercept_enable(w.ic, true);
	/* `ip netns add` makes the file first. */
	make_file(NAME);
	make_file("/run/netns/other");
	ticks(&w, 2);
	assert_int_equal(stats_of(&w).namespaces, 0);
	name_it(&other, "/run/netns/other");
	name_it(&w.space, NAME);
	ticks(&w, 1);
	assert_int_equal(stats_of(&w).namespaces, 1);
	assert_string_equal(w.calls, "aw");

	space_close(&w.space);
	tip_intercept_left(w.ic, w.space.inode);
	ticks(&w, 130);
	assert_string_equal(w.calls, "aw");
	assert_true(interface_in(&other, "va"));
	assert_int_equal(umount2(NAME, MNT_DETACH), 0);
	assert_int_equal(unlink(NAME), 0);
	UNTIL_DOING(!stats_of(&w).namespaces, ticks(&w, 1));
	assert_string_equal(w.calls, "awcd");
	UNTIL_DOING(!interface_in(&other, "va"), turn(&w));
	umount2("/run/netns/other", MNT_DETACH);
	unlink("/run/netns/other");
	space_close(&other);
	fake_close(&w);
}

static void until_the_last_process(void **state)
{
	struct fake w = {0};
	pid_t second;
	int fd;

	fake_open(&w, NULL);
	fake_serve(&w);
	/* A young one comes in while the first is there. */
	second = fork();
	if (second == 0) {
		if (setns(w.space.fd, CLONE_NEWNET) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	UNTIL_DOING(({
			    char path[64];
			    struct stat st = {0};

			    snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)second);
			    stat(path, &st) == 0 && st.st_ino == w.space.inode;
		    }),
		    turn(&w));
	space_leave(&w.space);
	tip_intercept_left(w.ic, w.space.inode);
	ticks(&w, 10);
	assert_string_equal(w.calls, "aw");
	/* Its flows end with it. */
	fd = begin_call(&w);
	UNTIL(&w, w.noutbound == 1);
	kill(second, SIGKILL);
	waitpid(second, NULL, 0);
	tip_intercept_left(w.ic, w.space.inode);
	UNTIL_DOING(!stats_of(&w).namespaces, ticks(&w, 1));
	assert_string_equal(w.calls, "awcd");
	assert_int_equal(w.ncut, 1);
	assert_int_equal(w.cut_err, ENETDOWN);
	assert_int_equal(stats_of(&w).flows, 0);
	close(fd);
	fake_close(&w);
}

/* Who leaves by setns() tells nobody. */
static void left_without_a_word(void **state)
{
	struct fake w = {0};

	fake_open(&w, NULL);
	fake_serve(&w);
	space_leave(&w.space);
	UNTIL_DOING(!stats_of(&w).namespaces, ticks(&w, 1));
	fake_close(&w);
}

static void not_before_a_policy(void **state)
{
	struct fake w = {0};

	fake_open(&w, NULL);
	tip_intercept_process(w.ic, w.space.pid, w.space.inode);
	ticks(&w, 2);
	assert_string_equal(w.calls, "");
	tip_intercept_enable(w.ic, true);
	UNTIL(&w, stats_of(&w).namespaces == 1);
	assert_string_equal(w.calls, "aw");
	/* Known: nothing is done. */
	tip_intercept_process(w.ic, w.space.pid, w.space.inode);
	assert_string_equal(w.calls, "aw");
	fake_close(&w);
}

static void wrong_process(void **state)
{
	struct fake w = {0};

	fake_open(&w, NULL);
	tip_intercept_enable(w.ic, true);
	/* It has moved on, or its number belongs to another one now. */
	tip_intercept_process(w.ic, getpid(), w.space.inode);
	turn(&w);
	assert_string_equal(w.calls, "");
	/* Somebody else is in it, which a look through /proc shows. */
	UNTIL_DOING(stats_of(&w).namespaces == 1, ticks(&w, 1));
	fake_close(&w);
}

static void initial_namespace(void **state)
{
	const struct tip_intercept_config host = {.max_held = 1,
						  .max_held_per_identity = 1,
						  .max_legs_per_netns = 64,
						  .max_flows = 1,
						  .host = true};
	const int fd = open("/proc/2/ns/net", O_RDONLY | O_CLOEXEC);
	const uint32_t inode = inode_of(fd);
	struct fake w = {0};

	close(fd);
	fake_open(&w, NULL);
	tip_intercept_enable(w.ic, true);
	tip_intercept_process(w.ic, 2, inode);
	ticks(&w, 2);
	assert_string_equal(w.calls, "");
	fake_close(&w);

	fake_open(&w, &host);
	tip_intercept_enable(w.ic, true);
	UNTIL(&w, stats_of(&w).namespaces == 1);
	fake_close(&w);
	assert_true(tip_intercept_remove_rules("unit") >= 1);
}

static void loopback_down(void **state)
{
	struct fake w = {0};

	fake_open(&w, NULL);
	space_close(&w.space);
	space_open(&w.space, false);
	fake_serve(&w);
	fake_close(&w);
}

static void kernel_says_no(void **state)
{
	struct fake w = {0};

	fake_open(&w, NULL);
	w.attach_err = -EINVAL;
	tip_intercept_enable(w.ic, true);
	tip_intercept_process(w.ic, w.space.pid, w.space.inode);
	UNTIL(&w, *w.calls);
	assert_int_equal(stats_of(&w).namespaces, 0);
	/* Not at once again, but again. */
	tip_intercept_process(w.ic, w.space.pid, w.space.inode);
	turn(&w);
	assert_string_equal(w.calls, "a");
	w.attach_err = 0;
	UNTIL_DOING(stats_of(&w).namespaces == 1, ticks(&w, 1));
	assert_string_equal(w.calls, "aaw");
	fake_close(&w);
}

/* The port or the queue is somebody else's: said, and nothing is half open. */
static void port_taken(void **state)
{
	struct fake w = {0};
	int fd;

	fake_open(&w, NULL);
	fd = listen_in(&w.space, "0.0.0.0", PORT);
	tip_intercept_enable(w.ic, true);
	tip_intercept_process(w.ic, w.space.pid, w.space.inode);
	turn(&w);
	assert_string_equal(w.calls, "");
	assert_int_equal(stats_of(&w).namespaces, 0);
	close(fd);
	UNTIL_DOING(stats_of(&w).namespaces == 1, ticks(&w, 1));
	fake_close(&w);
}

/* The next daemon finds rules and connections of this one. */
static void served_again(void **state)
{
	const struct tip_intercept_config c = {.instance = "unit",
					       .run_dir = "/run",
					       .port = PORT,
					       .max_held = 8,
					       .max_held_per_identity = 8,
					       .max_legs_per_netns = 64,
					       .max_flows = 8};
	struct tip_intercept_ops ops;
	struct tip_error err = {0};
	struct fake w = {0};
	int fd;

	fake_open(&w, NULL);
	fake_serve(&w);
	fd = begin_call(&w);
	UNTIL(&w, w.noutbound == 1);
	tip_intercept_wanted(w.ic, w.flow.id);
	UNTIL(&w, w.njoined == 1);
	tip_intercept_free(w.ic);
	ops = fake_ops(&w);
	w.ic = tip_intercept_new(w.base, &c, &ops, &err);
	assert_non_null(w.ic);
	tip_intercept_open_doors(w.ic);
	memset(w.calls, 0, sizeof(w.calls));
	fake_serve(&w);
	close(fd);
	fd = begin_call(&w);
	UNTIL(&w, w.noutbound == 2);
	tip_intercept_ended(w.ic, w.flow.id, ECONNREFUSED);
	assert_int_equal(answer_of(&w, fd), ECONNREFUSED);
	close(fd);
	fake_close(&w);
}

/* Root of a container flushes its tables: what comes past the queue is reset, and they come back.
 */
static void rules_removed(void **state)
{
	static const char *const flush[] = {"iptables-legacy", "-t", "mangle", "-F", NULL};
	struct fake w = {0};
	char c;
	int fd;

	if (access("/usr/sbin/iptables-legacy-restore", X_OK) < 0)
		skip();
	fake_open(&w, NULL);
	fake_serve(&w);
	assert_int_equal(space_exec(&w.space, NULL, 0, flush), 0);
	/* The filter still rejects what has no verdict. */
	fd = begin_call(&w);
	assert_int_equal(answer_of(&w, fd), EHOSTUNREACH);
	close(fd);
	assert_int_equal(tip_intercept_remove_rules("unit"), 1);
	fd = begin_call(&w);
	assert_int_equal(answer_of(&w, fd), 0);
	UNTIL(&w, stats_of(&w).orphans == 1);
	assert_int_equal(recv(fd, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	assert_int_equal(w.noutbound, 0);
	ticks(&w, 1);
	fd = begin_call(&w);
	UNTIL(&w, w.noutbound == 1);
	close(fd);
	fake_close(&w);
}

/* Who makes namespaces by the hundred does not keep the loop: one at each of its turns. */
static void one_at_a_turn(void **state)
{
	struct space other;
	struct fake w = {0};

	fake_open(&w, NULL);
	space_open(&other, true);
	tip_intercept_enable(w.ic, true);
	turn(&w);
	tip_intercept_process(w.ic, w.space.pid, w.space.inode);
	tip_intercept_process(w.ic, other.pid, other.inode);
	/* The caller is in the middle of the kernel's events. */
	assert_string_equal(w.calls, "");
	event_base_loop(w.base, EVLOOP_ONCE);
	assert_string_equal(w.calls, "aw");
	event_base_loop(w.base, EVLOOP_ONCE);
	assert_string_equal(w.calls, "awaw");
	space_close(&other);
	fake_close(&w);
}

/* Its root has filled the tables: whatever the tool needs to read them, it is not given often. */
static void tables_too_large(void **state)
{
	static const char script[] = "#!/bin/sh\nexec sleep 60\n";
	const char *tool = tip_netfilter_tool(0);
	const int fd = open("/run/slow", O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
	const struct tip_netns *ns;
	struct fake w = {0};

	assert_int_equal(write(fd, script, sizeof(script) - 1), sizeof(script) - 1);
	close(fd);
	fake_open(&w, NULL);
	assert_int_equal(mount("/run/slow", tool, NULL, MS_BIND, NULL), 0);
	tip_intercept_enable(w.ic, true);
	tip_intercept_process(w.ic, w.space.pid, w.space.inode);
	ns = tip_map_getu(w.ic->spaces, w.space.inode);
	UNTIL(&w, ns->failures == 1);
	assert_int_equal(umount2(tool, MNT_DETACH), 0);
	assert_string_equal(w.calls, "");
	assert_true(ns->retry_at > tip_clock_monotonic() + 3 * TIP_NSEC_PER_SEC);
	/* It has no say in when. */
	tip_intercept_process(w.ic, w.space.pid, w.space.inode);
	assert_true(ns->retry_at > tip_clock_monotonic() + 3 * TIP_NSEC_PER_SEC);
	fake_close(&w);
}

static bool put(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);
	const ssize_t n = write(fd, text, strlen(text));

	close(fd);
	return n == (ssize_t)strlen(text);
}

static bool become_user(void)
{
	return setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0 &&
	       prctl(PR_SET_DUMPABLE, 1) == 0 && unshare(CLONE_NEWUSER) == 0 &&
	       put("/proc/self/setgroups", "deny") && put("/proc/self/uid_map", "0 1000 1") &&
	       put("/proc/self/gid_map", "0 1000 1");
}

/* A process of uid 1000 that makes itself a network namespace for each byte it reads. */
static pid_t unsharer(int *ask, int *told)
{
	int to[2], from[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(to[1]);
		if (!become_user())
			_exit(1);
		/* Another one inside it makes him nobody else. */
		while (read(to[0], &c, 1) == 1) {
			if ((c == 'u' && unshare(CLONE_NEWUSER) < 0) || unshare(CLONE_NEWNET) < 0 ||
			    write(from[1], &c, 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	*ask = to[1];
	*told = from[0];
	return pid;
}

static void namespaces_of_a_user(void **state)
{
	int held[TIP_NETNS_OWNED_MAX + 10], ask, told;
	struct fake w = {0};
	size_t count = 0;
	char path[64], c;
	pid_t pid;

	fake_open(&w, NULL);
	pid = unsharer(&ask, &told);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	/* All of them are held: the next one could have the number of one that is gone. */
	while (count < TIP_ARRAY_SIZE(held)) {
		struct stat st;

		c = count == 1 ? 'u' : 'n';
		assert_int_equal(write(ask, &c, 1), 1);
		if (read(told, &c, 1) != 1)
			break;
		held[count] = open(path, O_RDONLY | O_CLOEXEC);
		assert_int_equal(fstat(held[count++], &st), 0);
		tip_intercept_process(w.ic, pid, (uint32_t)st.st_ino);
	}
	close(ask);
	close(told);
	waitpid(pid, NULL, 0);
	while (count > 0)
		close(held[--count]);
	/* Not every machine lets users have namespaces. */
	if (tip_map_count(w.ic->spaces) > 0)
		assert_int_equal(tip_map_count(w.ic->spaces), TIP_NETNS_OWNED_MAX);
	/* Root's have place. */
	fake_serve(&w);
	fake_close(&w);
}

/* It leaves nothing behind, and is where it was. */
static void prepared(void **state)
{
	struct stat before, after;

	assert_int_equal(stat("/proc/thread-self/ns/net", &before), 0);
	tip_intercept_prepare("unit", "/run", PORT);
	assert_int_equal(stat("/proc/thread-self/ns/net", &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(tip_intercept_remove_rules("unit"), 0);
}

static void rules_of_an_instance(void **state)
{
	struct fake w = {0};

	fake_open(&w, NULL);
	fake_serve(&w);
	tip_intercept_free(w.ic);
	w.ic = NULL;
	assert_int_equal(tip_intercept_remove_rules("another"), 0);
	assert_int_equal(tip_intercept_remove_rules("unit"), 1);
	assert_int_equal(tip_intercept_remove_rules("unit"), 0);
	fake_close(&w);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(by_name),
		cmocka_unit_test(until_the_last_process),
		cmocka_unit_test(left_without_a_word),
		cmocka_unit_test(not_before_a_policy),
		cmocka_unit_test(wrong_process),
		cmocka_unit_test(initial_namespace),
		cmocka_unit_test(loopback_down),
		cmocka_unit_test(kernel_says_no),
		cmocka_unit_test(port_taken),
		cmocka_unit_test(served_again),
		cmocka_unit_test(rules_removed),
		cmocka_unit_test(one_at_a_turn),
		cmocka_unit_test(tables_too_large),
		cmocka_unit_test(namespaces_of_a_user),
		cmocka_unit_test(prepared),
		cmocka_unit_test(rules_of_an_instance),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return world_run(tests, only_without_root);
}
