/* SPDX-License-Identifier: Apache-2.0 */
/* Interception while no daemon runs, and what the next one finds. */
#include "kernel.h"

#define DEST "127.5.5.5"

static char instance[32];

static int up(void **state)
{
	if (geteuid() != 0)
		return 0;
	snprintf(instance, sizeof(instance), "unit-%d", getpid());
	return place_up() ? -1 : sensor_up(instance, true, true);
}

static int down(void **state)
{
	const int ret = kernel_down(state);

	if (*instance)
		tip_sensor_detach(instance, NULL);
	return ret;
}

static void attach(void)
{
	const int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	assert_int_equal(tip_sensor_netns_attach(kernel.s, fd, kernel.cookie), 0);
	close(fd);
}

static void stop_daemon(void)
{
	tip_sensor_close(kernel.s);
	kernel.s = NULL;
}

static int try_outside(uint16_t port)
{
	const int fd = make_outside(AF_INET, SOCK_STREAM);
	const int err = dial4(fd, DEST, port);

	close(fd);
	return err;
}

static bool pinned(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), TIP_PIN_ROOT "/%s/v%d/lookup_%llu", instance, TIP_ABI_VERSION,
		 (unsigned long long)kernel.cookie);
	return access(path, F_OK) == 0;
}

static void it_holds_without_a_daemon(void **state)
{
	int app;

	needs_root();
	assert_int_equal(tip_sensor_client_allow(kernel.s, 1, IDENTITY), 0);
	become(IDENTITY);
	strict(DEST, 8080);
	attach();
	app = listen4(make_socket(AF_INET, SOCK_STREAM), "0.0.0.0", 8080);
	assert_true(pinned());
	stop_daemon();

	assert_int_equal(try_outside(8080), ECONNREFUSED); /* sk_lookup: nobody to give it to */
	assert_int_equal(try4(DEST, 8080), EHOSTUNREACH);  /* the connect hook */
	assert_true(nobody_waits(app));

	/* The next daemon adopts it all, and replaces the program in the link that is there. */
	assert_int_equal(sensor_up(instance, true, true), 0);
	assert_true(tip_sensor_adopted(kernel.s));
	assert_int_equal(try_outside(8080), ECONNREFUSED);
	attach();
	assert_int_equal(tip_sensor_netns_prune(kernel.s), 1);
	assert_int_equal(try_outside(8080), ECONNREFUSED);
	assert_int_equal(try4(DEST, 8080), EHOSTUNREACH);
	worker_up();
	become(IDENTITY);
	assert_int_equal(try4(DEST, 8080), 0);
	assert_int_equal(try_outside(8080), 0);
	worker_down();
	/* Its next policy is one more, not the same number again. */
	strict(DEST, 8081);
	assert_int_equal(try_outside(8081), ECONNREFUSED);
	assert_int_equal(try_outside(8080), 0);
	close(app);
}

static void who_does_not_want_it_has_none_of_it(void **state)
{
	size_t with, without;
	struct tip_sensor_stats stats;

	needs_root();
	strict(DEST, 8080);
	attach();
	tip_sensor_stats(kernel.s, &stats);
	with = stats.programs;
	stop_daemon();
	assert_int_equal(sensor_up(instance, true, false), 0);
	assert_false(pinned());
	assert_int_equal(kernel.s->settings.traffic_generation, 0);
	tip_sensor_stats(kernel.s, &stats);
	without = stats.programs;
	assert_int_equal(with - without, TIP_CGROUP_HOOKS);
	assert_int_equal(try_outside(8080), ECONNREFUSED);
	assert_int_equal(try4(DEST, 8080), ECONNREFUSED);
	stop_daemon();
	assert_int_equal(sensor_up(instance, true, true), 0);
}

static void a_namespace_that_is_gone_loses_its_pin(void **state)
{
	const uint64_t cookie = 1ull << 40;
	int pair[2], status, fd;
	char path[64], byte;
	pid_t pid;

	needs_root();
	assert_int_equal(pipe(pair), 0);
	pid = fork();
	if (pid == 0) {
		byte = (char)unshare(CLONE_NEWNET);
		if (write(pair[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(pair[0], &byte, 1), 1);
	assert_int_equal(byte, 0);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(tip_sensor_netns_attach(kernel.s, fd, cookie), 0);
	close(fd);
	attach();
	assert_int_equal(tip_sensor_netns_prune(kernel.s), 2);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	until(tip_sensor_netns_prune(kernel.s) == 1);
	assert_true(pinned());
	close(pair[0]);
	close(pair[1]);
}

static void detach_leaves_nothing(void **state)
{
	char path[PATH_MAX];

	needs_root();
	strict(DEST, 8080);
	attach();
	assert_true(pinned());
	stop_daemon();
	assert_true(tip_sensor_detach(instance, NULL) > 0);
	snprintf(path, sizeof(path), TIP_PIN_ROOT "/%s", instance);
	assert_int_equal(access(path, F_OK), -1);
	/* The kernel lets go of what was pinned a moment later (RCU). */
	until(try_outside(8080) == ECONNREFUSED && try4(DEST, 8080) == ECONNREFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_complete),
		cmocka_unit_test(it_holds_without_a_daemon),
		cmocka_unit_test(who_does_not_want_it_has_none_of_it),
		cmocka_unit_test(a_namespace_that_is_gone_loses_its_pin),
		cmocka_unit_test(detach_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, up, down);
}
