/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TESTS_PROCESS_FAKE_H
#define TIP_TESTS_PROCESS_FAKE_H

/*
 * The few functions of the sensor that the process room calls, over arrays, and builders for
 * events. One kernel per test program.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "process/process.h"

#define FAKE_MAX 256

static struct fake_kernel {
	struct {
		struct tip_proc_key key;
		struct tip_proc proc;
	} procs[FAKE_MAX];
	struct {
		uint64_t exec_id;
		struct tip_binding b;
	} binds[FAKE_MAX];
	struct {
		uint32_t number;
		char id[128];
	} names[FAKE_MAX];
	size_t nprocs, nbinds, nnames;
	size_t names_max;
} kernel;

#define SENSOR ((struct tip_sensor *)&kernel)

int tip_sensor_proc(struct tip_sensor *s, const struct tip_proc_key *key, struct tip_proc *out)
{
	for (size_t i = 0; i < kernel.nprocs; i++) {
		if (memcmp(&kernel.procs[i].key, key, sizeof(*key)) == 0) {
			*out = kernel.procs[i].proc;
			return 0;
		}
	}
	return -1;
}

int tip_sensor_binding(struct tip_sensor *s, uint64_t exec_id, struct tip_binding *b)
{
	for (size_t i = 0; i < kernel.nbinds; i++) {
		if (kernel.binds[i].exec_id == exec_id) {
			*b = kernel.binds[i].b;
			return 0;
		}
	}
	return -1;
}

int tip_sensor_bind(struct tip_sensor *s, uint64_t exec_id, const struct tip_binding *b)
{
	size_t i = 0;

	while (i < kernel.nbinds && kernel.binds[i].exec_id != exec_id)
		i++;
	assert_true(i < FAKE_MAX);
	kernel.binds[i].exec_id = exec_id;
	kernel.binds[i].b = *b;
	if (i == kernel.nbinds)
		kernel.nbinds++;
	return 0;
}

int tip_sensor_name_set(struct tip_sensor *s, uint32_t number, const char *spiffe_id)
{
	if (kernel.nnames >= (kernel.names_max ? kernel.names_max : FAKE_MAX))
		return -E2BIG;
	kernel.names[kernel.nnames].number = number;
	snprintf(kernel.names[kernel.nnames].id, sizeof(kernel.names[0].id), "%s", spiffe_id);
	kernel.nnames++;
	return 0;
}

void tip_sensor_names(struct tip_sensor *s, void (*fn)(void *ctx, uint32_t number, const char *id),
		      void *ctx)
{
	for (size_t i = 0; i < kernel.nnames; i++)
		fn(ctx, kernel.names[i].number, kernel.names[i].id);
}

/* Says that the process lives: else the table's own comparing ends it, sooner or later. */
static inline void lives(uint32_t pid, uint64_t start_ns, uint64_t exec_id)
{
	size_t i = kernel.nprocs++;

	kernel.procs[i].key = (struct tip_proc_key){.start_ns = start_ns, .tgid = pid};
	kernel.procs[i].proc = (struct tip_proc){.exec_id = exec_id};
}

/* ---- what the table calls back ---- */

static struct {
	uint64_t asked[FAKE_MAX];
	uint64_t gone[FAKE_MAX], next[FAKE_MAX];
	size_t nasked, ngone;
	uint32_t quarantined;
} seen;

static void on_unresolved(void *ctx, struct tip_process *p)
{
	assert_true(p->reported);
	seen.asked[seen.nasked++ % FAKE_MAX] = p->exec_id;
}

static void on_gone(void *ctx, struct tip_process *p, struct tip_process *next)
{
	assert_true(p->exit_time_ns != 0);
	seen.gone[seen.ngone % FAKE_MAX] = p->exec_id;
	seen.next[seen.ngone++ % FAKE_MAX] = next ? next->exec_id : 0;
}

static bool on_sticky(void *ctx, uint32_t number)
{
	return number == seen.quarantined;
}

static const struct tip_process_ops ops = {
	.unresolved = on_unresolved,
	.gone = on_gone,
	.sticky = on_sticky,
};

/* ---- events ---- */

static uint64_t now_ns = 1000 * TIP_NSEC_PER_SEC;

static struct tip_proc_key key_of(uint32_t pid)
{
	return (struct tip_proc_key){.start_ns = 10 * TIP_NSEC_PER_SEC + pid, .tgid = pid};
}

static struct tip_hdr hdr_of(uint16_t type, uint32_t pid, uint64_t exec_id)
{
	struct tip_hdr h = {
		.type = type,
		.time_ns = now_ns += 1000,
		.proc = key_of(pid),
		.exec_id = exec_id,
		.cgroup_id = 1,
		.tid = pid,
		.comm = "comm",
	};

	return h;
}

static inline struct tip_process *send_exec(struct tip_process_table *t, const struct tip_hdr *h,
					    uint64_t old, const char *exe)
{
	static const char args[] = "prog\0--flag\0value";
	struct tip_ev_exec x = {
		.parent = key_of(1),
		.old_exec_id = old,
		.args_len = sizeof(args) - 1,
		.loginuid = UINT32_MAX,
	};
	struct tip_event ev = {
		.hdr = h,
		.exec = {.data = &x, .filename = exe, .exe_path = exe, .cwd = "/", .args = args},
	};

	return tip_process_event(t, &ev);
}

static inline struct tip_process *exec_as(struct tip_process_table *t, uint32_t pid,
					  uint64_t exec_id, uint64_t old)
{
	struct tip_hdr h = hdr_of(TIP_EV_EXEC, pid, exec_id);

	return send_exec(t, &h, old, "/usr/bin/prog");
}

/* `current`: what the kernel let the child inherit. */
static inline struct tip_process *fork_as(struct tip_process_table *t, uint32_t pid,
					  uint64_t exec_id, uint32_t child, uint64_t child_id,
					  uint32_t current)
{
	struct tip_hdr h = hdr_of(TIP_EV_FORK, pid, exec_id);
	struct tip_ev_fork f = {
		.child = key_of(child),
		.child_exec_id = child_id,
		.child_flags = TIP_PROC_FORKED,
		.child_cgroup_id = 1,
		.child_current = current,
		.child_pid_in_ns = 7,
	};
	struct tip_event ev = {.hdr = &h, .fork = &f};

	h.current = current;
	return tip_process_event(t, &ev);
}

static inline struct tip_process *exit_as(struct tip_process_table *t, uint32_t pid,
					  uint64_t exec_id)
{
	struct tip_hdr h = hdr_of(TIP_EV_EXIT, pid, exec_id);
	struct tip_ev_exit x = {0};
	struct tip_event ev = {.hdr = &h, .exit = &x};

	return tip_process_event(t, &ev);
}

static inline struct tip_process *cred_as(struct tip_process_table *t, uint32_t pid,
					  uint64_t exec_id, uint32_t epoch, uint32_t uid)
{
	struct tip_hdr h = hdr_of(TIP_EV_CRED, pid, exec_id);
	struct tip_ev_cred c = {.euid = uid};
	struct tip_event ev = {.hdr = &h, .cred = &c};

	h.epoch = epoch;
	h.uid = uid;
	return tip_process_event(t, &ev);
}

static inline struct tip_process *open_as(struct tip_process_table *t,
					  const struct tip_proc_key *key, uint64_t exec_id,
					  uint32_t epoch)
{
	struct tip_hdr h = hdr_of(TIP_EV_OPEN, key->tgid, exec_id);
	struct tip_ev_open o = {0};
	struct tip_event ev = {.hdr = &h, .open = {&o, "", "", ""}};

	h.proc = *key;
	h.epoch = epoch;
	return tip_process_event(t, &ev);
}

/* When this process started, as the kernel's tick count says, in ns. */
static inline uint64_t own_start(void)
{
	int fd = open("/proc/self/stat", O_RDONLY);
	char stat[1024], *f;
	ssize_t n = read(fd, stat, sizeof(stat) - 1);

	close(fd);
	assert_true(n > 0);
	stat[n] = '\0';
	f = strrchr(stat, ')');
	for (int i = 0; i < 20; i++)
		f = strchr(f + 1, ' ');
	return strtoull(f, NULL, 10) * (TIP_NSEC_PER_SEC / 100);
}

static int fresh(void **state)
{
	memset(&kernel, 0, sizeof(kernel));
	memset(&seen, 0, sizeof(seen));
	*state = tip_process_table_new(64, "", SENSOR, &ops);
	return 0;
}

static int done(void **state)
{
	tip_process_table_free(*state);
	return 0;
}

#endif
