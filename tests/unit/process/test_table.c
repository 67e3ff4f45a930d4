/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

static void exec_fills_the_entry(void **state)
{
	struct tip_process_table *t = *state;
	struct tip_process *p = exec_as(t, 100, 5, 0);

	assert_non_null(p);
	assert_string_equal(p->exe_path, "/usr/bin/prog");
	assert_string_equal(p->comm, "comm");
	assert_int_equal(p->args_len, 17);
	assert_memory_equal(p->args, "prog\0--flag\0value", 18);
	assert_int_equal(p->current, TIP_ID_PENDING);
	assert_null(p->spiffe_id);
	assert_ptr_equal(tip_process_by_exec_id(t, 5), p);
	assert_ptr_equal(tip_process_by_pid(t, 100), p);
	assert_int_equal(seen.nasked, 1);
	assert_int_equal(seen.asked[0], 5);
}

static void exec_ends_the_older_image(void **state)
{
	struct tip_process_table *t = *state;
	struct tip_process *p;

	exec_as(t, 100, 5, 0);
	p = exec_as(t, 100, 6, 5);
	lives(100, key_of(100).start_ns, 6);
	assert_int_equal(seen.ngone, 1);
	assert_int_equal(seen.gone[0], 5);
	assert_int_equal(seen.next[0], 6);
	assert_ptr_equal(tip_process_by_pid(t, 100), p);
	/* late events still find the older one, until the grace period is over */
	assert_non_null(tip_process_by_exec_id(t, 5));
	tip_process_expire(t, now_ns + TIP_NSEC_PER_SEC);
	assert_non_null(tip_process_by_exec_id(t, 5));
	tip_process_expire(t, now_ns + 3 * TIP_NSEC_PER_SEC);
	assert_null(tip_process_by_exec_id(t, 5));
}

static void fork_shares_the_image(void **state)
{
	struct tip_process_table *t = *state;
	struct tip_process *p, *c;

	p = exec_as(t, 100, 5, 0);
	assert_ptr_equal(fork_as(t, 100, 5, 101, 6, TIP_ID_PENDING), p);
	c = tip_process_by_pid(t, 101);
	assert_non_null(c);
	assert_int_equal(c->ppid, 100);
	assert_int_equal(c->vpid, 7);
	assert_true(c->flags & TIP_PROC_FORKED);
	assert_ptr_equal(c->exe_path, p->exe_path);
	assert_ptr_equal(tip_process_parent(t, c), p);
	lives(101, key_of(101).start_ns, 6);
	exit_as(t, 100, 5);
	tip_process_expire(t, now_ns + 3 * TIP_NSEC_PER_SEC);
	assert_string_equal(c->exe_path,
			    "/usr/bin/prog"); /* the parent's entry is gone, the strings are not */
	assert_null(tip_process_parent(t, c));
}

static void parent_that_execs_is_still_the_parent(void **state)
{
	struct tip_process_table *t = *state;
	struct tip_process *c, *p2;

	exec_as(t, 100, 5, 0);
	fork_as(t, 100, 5, 101, 6, 0);
	p2 = exec_as(t, 100, 7, 5);
	c = tip_process_by_pid(t, 101);
	assert_int_equal(tip_process_parent(t, c)->exec_id, 5);
	lives(100, key_of(100).start_ns, 7);
	lives(101, key_of(101).start_ns, 6);
	tip_process_expire(t, now_ns + 3 * TIP_NSEC_PER_SEC);
	assert_null(tip_process_by_exec_id(t, 5));
	assert_ptr_equal(tip_process_parent(t, c), p2);
}

static void network_namespaces_are_told(void **state)
{
	struct tip_process_table *t = *state;
	struct tip_hdr h = hdr_of(TIP_EV_EXEC, 100, 5);
	struct tip_ev_exec d = {.netns = 4026531840};
	struct tip_event ev = {.hdr = &h, .exec = {&d, "/bin/prog", "/bin/prog", "/", ""}};
	struct tip_hdr fh = hdr_of(TIP_EV_FORK, 100, 5);
	struct tip_ev_fork f = {.child = key_of(101), .child_exec_id = 6, .child_netns = 77};
	struct tip_event fev = {.hdr = &fh, .fork = &f};

	assert_int_equal(tip_process_event(t, &ev)->netns, 4026531840);
	/* clone(CLONE_NEWNET): the child is where the event says, not where its parent is. */
	tip_process_event(t, &fev);
	assert_int_equal(tip_process_by_exec_id(t, 6)->netns, 77);
	assert_int_equal(tip_process_by_exec_id(t, 5)->netns, 4026531840);
	/* setns() tells nobody; a snapshot does. */
	d.netns = 78;
	h.flags = TIP_EVF_SNAPSHOT;
	tip_process_event(t, &ev);
	assert_int_equal(tip_process_by_exec_id(t, 5)->netns, 78);
}

static void pid_reuse_is_not_a_parent(void **state)
{
	struct tip_process_table *t = *state;
	struct tip_hdr h;

	exec_as(t, 100, 5, 0);
	fork_as(t, 100, 5, 101, 6, 0);
	lives(101, key_of(101).start_ns, 6);
	exit_as(t, 100, 5);
	tip_process_expire(t, now_ns + 3 * TIP_NSEC_PER_SEC);
	h = hdr_of(TIP_EV_EXEC, 100, 9);
	h.proc.start_ns = 500 * TIP_NSEC_PER_SEC;
	assert_non_null(send_exec(t, &h, 0, "/bin/other"));
	assert_null(tip_process_parent(t, tip_process_by_pid(t, 101)));
}

static void exit_of_a_lost_image(void **state)
{
	struct tip_process_table *t = *state;
	struct tip_process_stats st;

	exec_as(t, 100, 5, 0);
	assert_non_null(exit_as(t, 100, 99)); /* the exec to 99 was lost */
	assert_int_equal(seen.gone[0], 5);
	assert_null(tip_process_by_pid(t, 100));
	assert_null(exit_as(t, 200, 50));
	tip_process_stats(t, &st);
	assert_int_equal(st.unknown, 1);
	assert_int_equal(st.living, 0);
	assert_int_equal(st.count, 1);
}

static void unknown_process_is_filled_in(void **state)
{
	struct tip_process_table *t = *state;
	struct tip_proc_key key = {.tgid = (uint32_t)getpid()};
	char comm[17] = {0}, exe[512] = {0};
	struct tip_process_stats st;
	struct tip_process *p;
	int fd = open("/proc/self/comm", O_RDONLY);
	ssize_t n = read(fd, comm, sizeof(comm));

	close(fd);
	assert_true(n > 1);
	key.start_ns = own_start() + 12345;
	comm[n - 1] = '\0';
	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);

	assert_null(open_as(t, &key, 77, 0)); /* unknown to the kernel as well */
	tip_process_stats(t, &st);
	assert_int_equal(st.unknown, 1);

	kernel.nprocs = 1;
	kernel.procs[0].key = key;
	kernel.procs[0].proc = (struct tip_proc){.exec_id = 77, .uid = 3, .epoch = 2};
	p = open_as(t, &key, 77, 2);
	assert_non_null(p);
	assert_true(p->flags & TIP_PROC_PREEXISTING);
	assert_int_equal(p->uid, 3);
	assert_int_equal(p->epoch, 2);
	assert_string_equal(p->comm, comm);
	assert_string_equal(p->exe_path, exe);
	assert_int_equal(p->ppid, (uint32_t)getppid());
	assert_int_equal(seen.nasked, 1);

	/* the same number, but a process that started at another time: /proc is not believed */
	kernel.procs[0].key.start_ns = key.start_ns += TIP_NSEC_PER_SEC;
	kernel.procs[0].proc.exec_id = 78;
	p = open_as(t, &key, 78, 2);
	assert_non_null(p);
	assert_string_equal(p->exe_path, "");
	assert_int_equal(seen.gone[0], 77);
	assert_int_equal(seen.next[0], 0);
	/* an image that the kernel has left already cannot be filled in */
	assert_null(open_as(t, &key, 4711, 0));
}

static void snapshot_reads_proc(void **state)
{
	struct tip_process_table *t = *state;
	struct tip_hdr h = hdr_of(TIP_EV_EXEC, (uint32_t)getpid(), 30);
	struct tip_ev_exec x = {.parent = key_of(1)};
	struct tip_event ev = {.hdr = &h, .exec = {&x, "", "/exe/by/kernel", "/cwd", ""}};
	struct tip_process *p;

	h.flags = TIP_EVF_SNAPSHOT;
	h.proc.start_ns = own_start();
	kernel.nprocs = 1;
	kernel.procs[0].key = h.proc;
	kernel.procs[0].proc.exec_id = 30;
	p = tip_process_event(t, &ev);
	assert_non_null(p);
	assert_string_equal(p->exe_path, "/exe/by/kernel");
	assert_true(p->args_len > 0);
	assert_non_null(strstr(p->args, "test_table"));
	assert_int_equal(p->args[p->args_len], '\0');
	/* once more: nothing changes, nobody is asked twice */
	assert_ptr_equal(tip_process_event(t, &ev), p);
	assert_int_equal(seen.nasked, 1);
}

static void events_behind_the_table(void **state)
{
	struct tip_process_table *t = *state;
	struct tip_proc_key key = key_of(100);
	struct tip_hdr late;
	struct tip_process *p;

	exec_as(t, 100, 5, 0);
	late = hdr_of(TIP_EV_EXEC, 100,
		      6); /* 5 -> 6 -> 7, but the table saw 7 before this arrived */
	kernel.nprocs = 1;
	kernel.procs[0].key = key;
	kernel.procs[0].proc.exec_id = 7;
	now_ns = tip_clock_boot() - TIP_NSEC_PER_SEC;
	late.time_ns = now_ns;
	p = open_as(t, &key, 7, 0);
	assert_int_equal(p->exec_id, 7);
	assert_int_equal(seen.gone[0], 5);
	assert_int_equal(send_exec(t, &late, 5, "/bin/six")->exec_id, 6);
	assert_ptr_equal(tip_process_by_pid(t, 100), p);
	assert_true(tip_process_by_exec_id(t, 6)->exit_time_ns != 0);
	assert_int_equal(p->exit_time_ns, 0);
}

static void eviction_takes_the_ended_first(void **state)
{
	struct tip_process_table *t = *state;
	struct tip_process_stats st;

	for (uint32_t i = 0; i < 64; i++)
		exec_as(t, 1000 + i, 1 + i, 0);
	exit_as(t, 1010, 11);
	exit_as(t, 1005, 6);
	open_as(t, &(struct tip_proc_key){.start_ns = key_of(1000).start_ns, .tgid = 1000}, 1, 0);
	exec_as(t, 2000, 200, 0);
	assert_null(tip_process_by_exec_id(t, 11)); /* ended longest ago */
	assert_non_null(tip_process_by_exec_id(t, 6));
	exec_as(t, 2001, 201, 0);
	assert_null(tip_process_by_exec_id(t, 6));
	exec_as(t, 2002, 202, 0);
	assert_non_null(tip_process_by_exec_id(t, 1)); /* seen just now */
	assert_null(tip_process_by_exec_id(t, 2));     /* least recently seen, although it lives */
	assert_int_equal(seen.gone[seen.ngone - 1], 2);
	tip_process_stats(t, &st);
	assert_int_equal(st.count, 64);
	assert_int_equal(st.evictions, 3);
}

static void collect(void *ctx, struct tip_process *p)
{
	uint64_t **at = ctx;

	*(*at)++ = p->exec_id;
}

static void each_in_order_of_start(void **state)
{
	struct tip_process_table *t = *state;
	uint64_t ids[8] = {0}, *at = ids;

	exec_as(t, 102, 3, 0);
	exec_as(t, 100, 1, 0);
	exec_as(t, 101, 2, 0);
	exec_as(t, 103, 4, 0);
	exit_as(t, 103, 4);
	tip_process_each(t, collect, &at);
	assert_int_equal(at - ids, 3);
	assert_int_equal(ids[0], 1);
	assert_int_equal(ids[1], 2);
	assert_int_equal(ids[2], 3);
}

static void sweep_ends_what_the_kernel_lost(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	exec_as(t, 101, 2, 0);
	exec_as(t, 102, 3, 0);
	kernel.nprocs = 2;
	kernel.procs[0].key = key_of(101);
	kernel.procs[0].proc = (struct tip_proc){.exec_id = 2, .epoch = 4, .uid = 9};
	kernel.procs[1].key = key_of(102);
	kernel.procs[1].proc.exec_id = 33; /* exec'ed, and the event was lost */
	tip_process_sweep(t);
	assert_null(tip_process_by_pid(t, 100));
	assert_int_equal(tip_process_by_pid(t, 101)->uid, 9);
	assert_int_equal(tip_process_by_pid(t, 101)->epoch, 4);
	assert_int_equal(tip_process_by_pid(t, 102)->exec_id, 33);
	assert_int_equal(seen.ngone, 2);
}

static void refresh_learns_what_no_event_told(void **state)
{
	struct tip_process_table *t = *state;

	exec_as(t, 100, 1, 0);
	exec_as(t, 101, 2, 0);
	kernel.nprocs = 1;
	kernel.procs[0].key = key_of(100);
	kernel.procs[0].proc = (struct tip_proc){.exec_id = 1, .epoch = 3, .uid = 9};
	seen.nasked = 0;
	assert_int_equal(tip_process_refresh(t, 1)->uid, 9);
	assert_int_equal(seen.nasked, 1);
	assert_int_equal(tip_process_refresh(t, 1)->epoch, 3);
	assert_int_equal(seen.nasked, 1); /* nothing new */
	kernel.procs[0].proc.exec_id = 7;
	assert_null(tip_process_refresh(t, 1)); /* it has exec'ed */
	assert_null(tip_process_refresh(t, 2)); /* the kernel does not know it */
	assert_null(tip_process_refresh(t, 99));
}

static void many_processes(void **state)
{
	struct tip_process_table *t = tip_process_table_new(20000, "", NULL, NULL);
	struct tip_process_stats st;

	for (uint32_t i = 0; i < 30000; i++) {
		exec_as(t, 1 + i, 1 + i, 0);
		if (i % 3 == 0)
			exit_as(t, 1 + i, 1 + i);
	}
	tip_process_stats(t, &st);
	assert_int_equal(st.count, 20000);
	assert_int_equal(st.living, 20000);
	assert_non_null(tip_process_by_pid(t, 30000 - 1));
	assert_null(tip_process_by_exec_id(t, 1));
	tip_process_table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(exec_fills_the_entry, fresh, done),
		cmocka_unit_test_setup_teardown(exec_ends_the_older_image, fresh, done),
		cmocka_unit_test_setup_teardown(fork_shares_the_image, fresh, done),
		cmocka_unit_test_setup_teardown(parent_that_execs_is_still_the_parent, fresh, done),
		cmocka_unit_test_setup_teardown(network_namespaces_are_told, fresh, done),
		cmocka_unit_test_setup_teardown(pid_reuse_is_not_a_parent, fresh, done),
		cmocka_unit_test_setup_teardown(exit_of_a_lost_image, fresh, done),
		cmocka_unit_test_setup_teardown(unknown_process_is_filled_in, fresh, done),
		cmocka_unit_test_setup_teardown(snapshot_reads_proc, fresh, done),
		cmocka_unit_test_setup_teardown(events_behind_the_table, fresh, done),
		cmocka_unit_test_setup_teardown(eviction_takes_the_ended_first, fresh, done),
		cmocka_unit_test_setup_teardown(each_in_order_of_start, fresh, done),
		cmocka_unit_test_setup_teardown(sweep_ends_what_the_kernel_lost, fresh, done),
		cmocka_unit_test_setup_teardown(refresh_learns_what_no_event_told, fresh, done),
		cmocka_unit_test(many_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
