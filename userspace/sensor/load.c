/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "sensor/internal.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include "tipstaff.skel.h"
#pragma GCC diagnostic pop

const char *const tip_map_names[TIP_MAP_END] = {
	[TIP_MAP_PROCS] = "procs",
	[TIP_MAP_BINDINGS] = "bindings",
	[TIP_MAP_EXEC_CACHE] = "exec_cache",
	[TIP_MAP_EXEC_KEYS] = "exec_keys",
	[TIP_MAP_DIGESTS] = "digests",
	[TIP_MAP_SEQUENCE] = "sequence",
	[TIP_MAP_SETTINGS] = "settings",
	[TIP_MAP_COUNTERS] = "counters",
	[TIP_MAP_QUARANTINE] = "quarantine",
	[TIP_MAP_RULE_SETS] = "rule_sets",
	[TIP_MAP_RULE_VALUES] = "rule_values",
	[TIP_MAP_RULE_TEXTS] = "rule_texts",
	[TIP_MAP_RULE_NETS] = "rule_nets",
	[TIP_MAP_FILTERS] = "filters",
	[TIP_MAP_FILTER_NAMES] = "filter_names",
	[TIP_MAP_IDENTITY_NAMES] = "identity_names",
	[TIP_MAP_UNIX_PEERS] = "unix_peers",
	[TIP_MAP_ACCEPTED] = "accepted",
	[TIP_MAP_TRAFFIC] = "traffic",
	[TIP_MAP_TRAFFIC_PORTS] = "traffic_ports",
	[TIP_MAP_TRAFFIC_CLIENTS] = "traffic_clients",
	[TIP_MAP_REDIRECTS] = "redirects",
	[TIP_MAP_SHARES] = "shares",
	[TIP_MAP_LEGS] = "legs",
	[TIP_MAP_LISTENERS] = "listeners",
	[TIP_MAP_WORKERS] = "workers",
	[TIP_MAP_OURS] = "ours",
	[TIP_MAP_VETHS] = "veths",
	[TIP_MAP_REDIRECTED] = "redirected",
	[TIP_MAP_HEARTBEAT] = "heartbeat",
	[TIP_MAP_PACED] = "paced",
	[TIP_MAP_LIFECYCLE] = "lifecycle",
	[TIP_MAP_ACTIVITY] = "activity",
	[TIP_MAP_HANDLERS] = "handlers",
	[TIP_MAP_ACTING] = "acting",
	[TIP_MAP_HASHED] = "hashed",
	[TIP_MAP_SCRATCH] = "scratch",
	[TIP_MAP_JUDGES] = "judges",
};

const char *const tip_prog_names[TIP_PROG_END] = {
	[TIP_PROG_EXEC] = "tip_exec",
	[TIP_PROG_FORK] = "tip_fork",
	[TIP_PROG_EXIT] = "tip_exit",
	[TIP_PROG_CGROUP] = "tip_cgroup",
	[TIP_PROG_SYS_EXIT] = "tip_sys_exit",
	[TIP_PROG_LSM_FILE_OPEN] = "tip_lsm_file_open",
	[TIP_PROG_LSM_PATH_TRUNCATE] = "tip_lsm_path_truncate",
	[TIP_PROG_LSM_EXEC] = "tip_lsm_exec",
	[TIP_PROG_LSM_CONNECT] = "tip_lsm_connect",
	[TIP_PROG_LSM_SENDMSG] = "tip_lsm_sendmsg",
	[TIP_PROG_LSM_BIND] = "tip_lsm_bind",
	[TIP_PROG_LSM_CREATE] = "tip_lsm_create",
	[TIP_PROG_DIGEST] = "tip_digest",
	[TIP_PROG_OPEN_ENTER] = "tip_open_enter",
	[TIP_PROG_URING_OPEN_ENTER] = "tip_uring_open_enter",
	[TIP_PROG_FD_RESERVED] = "tip_fd_reserved",
	[TIP_PROG_URING_FD_RESERVED] = "tip_uring_fd_reserved",
	[TIP_PROG_OPEN_FILE] = "tip_open_file",
	[TIP_PROG_OPEN_EXIT] = "tip_open_exit",
	[TIP_PROG_URING_OPEN_EXIT] = "tip_uring_open_exit",
	[TIP_PROG_OPEN_HANDLE] = "tip_open_handle",
	[TIP_PROG_CONNECT_SOCKET] = "tip_connect_socket",
	[TIP_PROG_CONNECT_EXIT] = "tip_connect_exit",
	[TIP_PROG_URING_CONNECT_ENTER] = "tip_uring_connect_enter",
	[TIP_PROG_URING_CONNECT_EXIT] = "tip_uring_connect_exit",
	[TIP_PROG_BIND_SOCKET] = "tip_bind_socket",
	[TIP_PROG_BIND_EXIT] = "tip_bind_exit",
	[TIP_PROG_URING_BIND_ENTER] = "tip_uring_bind_enter",
	[TIP_PROG_URING_BIND_EXIT] = "tip_uring_bind_exit",
	[TIP_PROG_LISTEN_SOCKET] = "tip_listen_socket",
	[TIP_PROG_LISTEN_EXIT] = "tip_listen_exit",
	[TIP_PROG_URING_LISTEN_ENTER] = "tip_uring_listen_enter",
	[TIP_PROG_URING_LISTEN_EXIT] = "tip_uring_listen_exit",
	[TIP_PROG_ACCEPT_ENTER] = "tip_accept_enter",
	[TIP_PROG_ACCEPT_FILE] = "tip_accept_file",
	[TIP_PROG_ACCEPT_EXIT] = "tip_accept_exit",
	[TIP_PROG_URING_ACCEPT_ENTER] = "tip_uring_accept_enter",
	[TIP_PROG_NEW_CREDS] = "tip_new_creds",
	[TIP_PROG_KILL] = "tip_kill",
	[TIP_PROG_KILL32] = "tip_kill32",
	[TIP_PROG_TKILL] = "tip_tkill",
	[TIP_PROG_TKILL32] = "tip_tkill32",
	[TIP_PROG_TGKILL] = "tip_tgkill",
	[TIP_PROG_TGKILL32] = "tip_tgkill32",
	[TIP_PROG_PTRACE] = "tip_ptrace",
	[TIP_PROG_PTRACE32] = "tip_ptrace32",
	[TIP_PROG_MOUNT] = "tip_mount",
	[TIP_PROG_MOUNT32] = "tip_mount32",
	[TIP_PROG_MOUNT_PATH] = "tip_mount_path",
	[TIP_PROG_UMOUNT] = "tip_umount",
	[TIP_PROG_UMOUNT32] = "tip_umount32",
	[TIP_PROG_OLDUMOUNT32] = "tip_oldumount32",
	[TIP_PROG_MOVE_MOUNT] = "tip_move_mount",
	[TIP_PROG_MOVE_MOUNT32] = "tip_move_mount32",
	[TIP_PROG_INIT_MODULE] = "tip_init_module",
	[TIP_PROG_INIT_MODULE32] = "tip_init_module32",
	[TIP_PROG_FINIT_MODULE] = "tip_finit_module",
	[TIP_PROG_FINIT_MODULE32] = "tip_finit_module32",
	[TIP_PROG_MMAP_FILE] = "tip_mmap_file",
	[TIP_PROG_MMAP] = "tip_mmap",
	[TIP_PROG_MPROTECT] = "tip_mprotect",
	[TIP_PROG_CALLS] = "tip_calls",
	[TIP_PROG_URING_ASKED] = "tip_uring_asked",
	[TIP_PROG_URING_CALLS] = "tip_uring_calls",
	[TIP_PROG_CONNECT4] = "tip_connect4",
	[TIP_PROG_CONNECT6] = "tip_connect6",
	[TIP_PROG_SENDMSG4] = "tip_sendmsg4",
	[TIP_PROG_SENDMSG6] = "tip_sendmsg6",
	[TIP_PROG_BIND4] = "tip_bind4",
	[TIP_PROG_BIND6] = "tip_bind6",
	[TIP_PROG_GETPEERNAME4] = "tip_getpeername4",
	[TIP_PROG_GETPEERNAME6] = "tip_getpeername6",
	[TIP_PROG_GETSOCKNAME4] = "tip_getsockname4",
	[TIP_PROG_GETSOCKNAME6] = "tip_getsockname6",
	[TIP_PROG_SOCKOPS] = "tip_sockops",
	[TIP_PROG_EGRESS] = "tip_egress",
	[TIP_PROG_INGRESS] = "tip_ingress",
	[TIP_PROG_TASKS] = "tip_tasks",
	[TIP_PROG_LISTENERS] = "tip_listeners",
};

#define EVENT(name)    (1ull << TIP_EV_##name)
#define FENTRY(events) {BPF_TRACE_FENTRY, TIP_GROUP_KERNEL, events}
#define FEXIT(events)  {BPF_TRACE_FEXIT, TIP_GROUP_KERNEL, events}
#define LSM            {BPF_LSM_MAC, TIP_GROUP_LSM, 0}

/* How the programs below TIP_PROG_TRACING_END are attached, and which events want them. */
static const struct {
	enum bpf_attach_type type;
	enum tip_sensor_group group;
	uint64_t events; /* 0: always */
} tracing[TIP_PROG_TRACING_END] = {
	[TIP_PROG_EXEC] = {BPF_TRACE_RAW_TP, TIP_GROUP_BASE},
	[TIP_PROG_FORK] = {BPF_TRACE_RAW_TP, TIP_GROUP_BASE},
	[TIP_PROG_EXIT] = {BPF_TRACE_RAW_TP, TIP_GROUP_BASE},
	[TIP_PROG_CGROUP] = {BPF_TRACE_RAW_TP, TIP_GROUP_BASE},
	[TIP_PROG_SYS_EXIT] = {BPF_TRACE_RAW_TP, TIP_GROUP_SYSCALLS},
	[TIP_PROG_LSM_FILE_OPEN] = LSM,
	[TIP_PROG_LSM_PATH_TRUNCATE] = LSM,
	[TIP_PROG_LSM_EXEC] = LSM,
	[TIP_PROG_LSM_CONNECT] = LSM,
	[TIP_PROG_LSM_SENDMSG] = LSM,
	[TIP_PROG_LSM_BIND] = LSM,
	[TIP_PROG_LSM_CREATE] = LSM,
	[TIP_PROG_DIGEST] = {BPF_LSM_MAC, TIP_GROUP_DIGEST, 0},
	[TIP_PROG_OPEN_ENTER] = FENTRY(EVENT(OPEN)),
	[TIP_PROG_URING_OPEN_ENTER] = FENTRY(EVENT(OPEN)),
	[TIP_PROG_FD_RESERVED] = FEXIT(0),
	[TIP_PROG_URING_FD_RESERVED] = FEXIT(EVENT(OPEN) | EVENT(ACCEPT)),
	[TIP_PROG_OPEN_FILE] = FEXIT(EVENT(OPEN)),
	[TIP_PROG_OPEN_EXIT] = FEXIT(EVENT(OPEN)),
	[TIP_PROG_URING_OPEN_EXIT] = FEXIT(EVENT(OPEN)),
	[TIP_PROG_OPEN_HANDLE] = FEXIT(EVENT(OPEN)),
	[TIP_PROG_CONNECT_SOCKET] = FENTRY(0),
	[TIP_PROG_CONNECT_EXIT] = FEXIT(0),
	[TIP_PROG_URING_CONNECT_ENTER] = FENTRY(EVENT(CONNECT)),
	[TIP_PROG_URING_CONNECT_EXIT] = FEXIT(EVENT(CONNECT)),
	[TIP_PROG_BIND_SOCKET] = FENTRY(EVENT(BIND)),
	[TIP_PROG_BIND_EXIT] = FEXIT(EVENT(BIND)),
	[TIP_PROG_URING_BIND_ENTER] = FENTRY(EVENT(BIND)),
	[TIP_PROG_URING_BIND_EXIT] = FEXIT(EVENT(BIND)),
	[TIP_PROG_LISTEN_SOCKET] = FENTRY(EVENT(LISTEN)),
	[TIP_PROG_LISTEN_EXIT] = FEXIT(EVENT(LISTEN)),
	[TIP_PROG_URING_LISTEN_ENTER] = FENTRY(EVENT(LISTEN)),
	[TIP_PROG_URING_LISTEN_EXIT] = FEXIT(EVENT(LISTEN)),
	[TIP_PROG_ACCEPT_ENTER] = FENTRY(0),
	[TIP_PROG_ACCEPT_FILE] = FEXIT(0),
	[TIP_PROG_ACCEPT_EXIT] = FEXIT(0),
	[TIP_PROG_URING_ACCEPT_ENTER] = FENTRY(EVENT(ACCEPT)),
	[TIP_PROG_NEW_CREDS] = FEXIT(0),
	[TIP_PROG_KILL] = FEXIT(EVENT(SIGNAL)),
	[TIP_PROG_KILL32] = FEXIT(EVENT(SIGNAL)),
	[TIP_PROG_TKILL] = FEXIT(EVENT(SIGNAL)),
	[TIP_PROG_TKILL32] = FEXIT(EVENT(SIGNAL)),
	[TIP_PROG_TGKILL] = FEXIT(EVENT(SIGNAL)),
	[TIP_PROG_TGKILL32] = FEXIT(EVENT(SIGNAL)),
	[TIP_PROG_PTRACE] = FEXIT(EVENT(PTRACE)),
	[TIP_PROG_PTRACE32] = FEXIT(EVENT(PTRACE)),
	[TIP_PROG_MOUNT] = FEXIT(EVENT(MOUNT)),
	[TIP_PROG_MOUNT32] = FEXIT(EVENT(MOUNT)),
	[TIP_PROG_MOUNT_PATH] = FEXIT(EVENT(MOUNT)),
	[TIP_PROG_UMOUNT] = FEXIT(EVENT(MOUNT)),
	[TIP_PROG_UMOUNT32] = FEXIT(EVENT(MOUNT)),
	[TIP_PROG_OLDUMOUNT32] = FEXIT(EVENT(MOUNT)),
	[TIP_PROG_MOVE_MOUNT] = FEXIT(EVENT(MOUNT)),
	[TIP_PROG_MOVE_MOUNT32] = FEXIT(EVENT(MOUNT)),
	[TIP_PROG_INIT_MODULE] = FEXIT(EVENT(MODULE)),
	[TIP_PROG_INIT_MODULE32] = FEXIT(EVENT(MODULE)),
	[TIP_PROG_FINIT_MODULE] = FEXIT(EVENT(MODULE)),
	[TIP_PROG_FINIT_MODULE32] = FEXIT(EVENT(MODULE)),
	[TIP_PROG_MMAP_FILE] = FEXIT(EVENT(MMAP)),
	[TIP_PROG_MMAP] = FEXIT(EVENT(MMAP)),
	[TIP_PROG_MPROTECT] = FEXIT(EVENT(MMAP)),
	[TIP_PROG_CALLS] = {BPF_TRACE_RAW_TP, TIP_GROUP_KERNEL, EVENT(CALL)},
	[TIP_PROG_URING_ASKED] = {BPF_TRACE_RAW_TP, TIP_GROUP_SYSCALLS, 0},
	[TIP_PROG_URING_CALLS] = {BPF_TRACE_RAW_TP, TIP_GROUP_KERNEL, EVENT(CALL)},
};

#define LOG_TAIL 12

/*
 * libbpf's own words. A refused program comes with the verifier's whole log in one message: its
 * last lines say why.
 */
static int libbpf_says(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	const enum tip_log_level to = level == LIBBPF_WARN ? TIP_LOG_WARN : TIP_LOG_DEBUG;
	char *text, *line, *state;
	size_t lines = 0, skip, i = 0;
	int len;

	len = vasprintf(&text, fmt, ap);
	if (len < 0)
		return len;
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	skip = lines > LOG_TAIL ? lines - LOG_TAIL : 0;
	for (line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
		if (i++ >= skip)
			tip_log(to, "sensor", "%s", line);
	free(text);
	return len;
}

enum tip_sensor_group tip_prog_group(enum tip_sensor_prog prog)
{
	return prog < TIP_PROG_TRACING_END ? tracing[prog].group : TIP_GROUP_BASE;
}

bool tip_prog_on_demand(enum tip_sensor_prog prog)
{
	return prog < TIP_PROG_TRACING_END && tracing[prog].events;
}

/* What some kernels do not have, and what does the same there; NULL: nothing does. */
static const struct {
	enum tip_sensor_prog prog;
	bool tracepoint; /* or else a function */
	bool needed;     /* the kernel has one of them */
	const char *name, *instead;
} elsewhere[] = {
	{TIP_PROG_OPEN_FILE, false, true, "do_filp_open", "do_file_open"}, /* renamed in 7.0 */
	{TIP_PROG_URING_BIND_ENTER, false, false, "io_bind", NULL}, /* io_uring binds since 6.11 */
	{TIP_PROG_URING_BIND_EXIT, false, false, "io_bind", NULL},
	{TIP_PROG_URING_LISTEN_ENTER, false, false, "io_listen", NULL},
	{TIP_PROG_URING_LISTEN_EXIT, false, false, "io_listen", NULL},
	/* renamed in 6.4; CONFIG_IO_URING */
	{TIP_PROG_URING_ASKED, true, false, "io_uring_submit_req", "io_uring_submit_sqe"},
	{TIP_PROG_URING_CALLS, true, false, "io_uring_submit_req", "io_uring_submit_sqe"},
	/* CONFIG_SECURITY_PATH */
	{TIP_PROG_LSM_PATH_TRUNCATE, false, false, "bpf_lsm_path_truncate", NULL},
};

bool tip_prog_dispensable(enum tip_sensor_prog prog)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(elsewhere); i++)
		if (elsewhere[i].prog == prog && !elsewhere[i].needed)
			return true;
	return false;
}

static bool kernel_has(const struct btf *btf, const char *name, bool tracepoint)
{
	char typedef_name[128];

	if (!name || !tracepoint)
		return name && btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;
	snprintf(typedef_name, sizeof(typedef_name), "btf_trace_%s", name);
	return btf__find_by_name_kind(btf, typedef_name, BTF_KIND_TYPEDEF) > 0;
}

/* Points programs at what this kernel has. */
static int choose_functions(struct bpf_object *obj, struct tip_error *err)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int ret = -1;

	if (!btf)
		return tip_error_set(err, "cannot read the kernel's BTF: %s", strerror(errno));
	for (size_t i = 0; i < TIP_ARRAY_SIZE(elsewhere); i++) {
		struct bpf_program *prog =
			bpf_object__find_program_by_name(obj, tip_prog_names[elsewhere[i].prog]);
		const char *instead = elsewhere[i].instead;
		int failed;

		if (!bpf_program__autoload(prog) ||
		    kernel_has(btf, elsewhere[i].name, elsewhere[i].tracepoint))
			continue;
		if (elsewhere[i].needed || kernel_has(btf, instead, elsewhere[i].tracepoint))
			failed = bpf_program__set_attach_target(prog, 0, instead);
		else
			failed = bpf_program__set_autoload(prog, false);
		if (failed) {
			tip_error_set(err, "this kernel has neither %s nor %s", elsewhere[i].name,
				      instead);
			goto out;
		}
	}
	ret = 0;
out:
	btf__free(btf);
	return ret;
}

/* Leaves out what belongs to groups that are not taken. */
static int choose_programs(struct bpf_object *obj, uint32_t groups, struct tip_error *err)
{
	for (int i = 0; i < TIP_PROG_TRACING_END; i++) {
		struct bpf_program *prog = bpf_object__find_program_by_name(obj, tip_prog_names[i]);

		if (!prog ||
		    (!(tracing[i].group & groups) && bpf_program__set_autoload(prog, false)))
			return tip_error_set(err, "cannot choose the program %s",
					     tip_prog_names[i]);
	}
	if (!(groups & TIP_GROUP_SYSCALLS) && tip_handlers_leave_out(obj, err))
		return -1;
	/* A kernel without CONFIG_BPF_LSM has no maps of this kind. */
	if (!(groups & TIP_GROUP_DIGEST)) {
		struct bpf_map *map = bpf_object__find_map_by_name(obj, "hashed_files");

		if (!map || bpf_map__set_autocreate(map, false))
			return tip_error_set(err, "cannot choose the map hashed_files");
	}
	return choose_functions(obj, err);
}

uint64_t tip_build_id(uint32_t groups)
{
	uint64_t hash = 0xcbf29ce484222325ull; /* FNV-1a: names a build, defends nothing */
	size_t size, i;
	const unsigned char *elf = tipstaff_bpf__elf_bytes(&size);

	for (i = 0; i < size; i++)
		hash = (hash ^ elf[i]) * 0x100000001b3ull;
	hash = ((hash ^ groups) * 0x100000001b3ull) & ~1ull;
	return hash ? hash : 2;
}

/* Places in which acts are judged: a power of two. */
static uint32_t judges(void)
{
	const int cpus = libbpf_num_possible_cpus();
	uint32_t n = TIP_JUDGES_MIN;

	while (cpus > 0 && n < (uint32_t)cpus * TIP_JUDGES_CPU && n < TIP_JUDGES_MAX)
		n *= 2;
	return n;
}

static int set_sizes(struct bpf_object *obj, const struct tip_sensor_config *config)
{
	/*
	 * Bindings get some room to spare: during an exec a process has two. Ring sizes only matter
	 * for a new map; a reused one keeps its own.
	 */
	const struct {
		enum tip_sensor_map map;
		size_t size;
	} sizes[] = {
		{TIP_MAP_PROCS, config->max_processes},
		{TIP_MAP_BINDINGS, config->max_processes + 1024},
		{TIP_MAP_DIGESTS, config->max_processes},
		{TIP_MAP_LIFECYCLE, config->lifecycle_ring},
		{TIP_MAP_ACTIVITY, config->activity_ring},
		{TIP_MAP_REDIRECTS, config->max_flows},
		{TIP_MAP_LEGS, config->max_flows},
		{TIP_MAP_JUDGES, judges()},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(sizes); i++) {
		struct bpf_map *map =
			bpf_object__find_map_by_name(obj, tip_map_names[sizes[i].map]);

		if (!map || (sizes[i].size && bpf_map__set_max_entries(map, sizes[i].size)))
			return -1;
	}
	return 0;
}

int tip_fd_keep(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/*
 * Exec ids start at the uptime in microseconds: more than a million processes a second would have
 * to be born before a new counter gave out an id that an earlier one has given.
 */
static int start_sequence(int fd, struct tip_error *err)
{
	const uint32_t zero = 0;
	uint64_t next = 0;

	if (bpf_map_lookup_elem(fd, &zero, &next) == 0 && next != 0)
		return 0;
	next = tip_clock_boot() / 1000;
	if (bpf_map_update_elem(fd, &zero, &next, BPF_ANY))
		return tip_error_set(err, "cannot start the exec id counter: %s", strerror(errno));
	return 0;
}

int tip_load(struct tip_sensor *s, const struct tip_sensor_config *config, struct tip_error *err)
{
	struct tipstaff_bpf *skel;
	int ret = -1;

	libbpf_set_print(libbpf_says);
	skel = tipstaff_bpf__open();
	if (!skel)
		return tip_error_set(err, "cannot read the BPF programs in this binary: %s",
				     strerror(errno));
	if (set_sizes(skel->obj, config)) {
		tip_error_set(err, "cannot set map sizes: %s", strerror(errno));
		goto out;
	}
	if (choose_programs(skel->obj, s->groups, err))
		goto out;
	skel->rodata->tip_build = s->generation;
	skel->rodata->tip_lsm = s->groups & TIP_GROUP_LSM;
	skel->rodata->tip_judges = judges();
	tip_syscalls_fill(skel->rodata->tip_ia32, skel->rodata->tip_socketcalls,
			  skel->rodata->tip_shapes);
	for (int i = 0; i < TIP_MAP_END; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(skel->obj, tip_map_names[i]);

		if (s->maps[i] >= 0 && bpf_map__reuse_fd(map, s->maps[i])) {
			tip_error_set(err, "cannot use the pinned map %s again: %s",
				      tip_map_names[i], strerror(errno));
			goto out;
		}
	}
	if (bpf_object__load(skel->obj)) {
		tip_error_set(err,
			      "the kernel refuses the BPF programs: %s (the log above says "
			      "which and why; Linux 6.1 or later with BTF is needed, and root)",
			      strerror(errno));
		goto out;
	}
	for (int i = 0; i < TIP_MAP_END; i++) {
		if (s->maps[i] < 0)
			s->maps[i] = tip_fd_keep(
				bpf_object__find_map_fd_by_name(skel->obj, tip_map_names[i]));
		if (s->maps[i] < 0) {
			tip_error_set(err, "no map %s: %s", tip_map_names[i], strerror(errno));
			goto out;
		}
	}
	for (int i = 0; i < TIP_PROG_END; i++) {
		struct bpf_program *prog =
			bpf_object__find_program_by_name(skel->obj, tip_prog_names[i]);

		if (!(tip_prog_group(i) & s->groups) || (prog && !bpf_program__autoload(prog)))
			continue;
		s->progs[i] = prog ? tip_fd_keep(bpf_program__fd(prog)) : -1;
		if (s->progs[i] < 0) {
			tip_error_set(err, "no program %s: %s", tip_prog_names[i], strerror(errno));
			goto out;
		}
	}
	if ((s->groups & TIP_GROUP_SYSCALLS) && tip_handlers_enter(skel->obj, err))
		goto out;
	if (start_sequence(s->maps[TIP_MAP_SEQUENCE], err))
		goto out;
	ret = 0;
out:
	tipstaff_bpf__destroy(skel);
	return ret;
}

uint64_t tip_sensed(const struct tip_sensor *s, uint64_t mask)
{
	return s->settings.rule_count && !(s->groups & TIP_GROUP_LSM) ? mask | EVENT(OPEN) : mask;
}

/* Does anybody want what this program tells? */
static bool wanted(const struct tip_sensor *s, enum tip_sensor_prog prog, uint64_t mask)
{
	return !tracing[prog].events || (tracing[prog].events & tip_sensed(s, mask));
}

int tip_attach(struct tip_sensor *s, uint64_t mask, struct tip_error *err)
{
	for (int i = 0; i < TIP_PROG_TRACING_END; i++) {
		if (s->progs[i] < 0 || s->links[i] >= 0 || !wanted(s, i, mask))
			continue;
		s->links[i] = bpf_link_create(s->progs[i], 0, tracing[i].type, NULL);
		if (s->links[i] < 0)
			return tip_error_set(err, "cannot attach %s: %s", tip_prog_names[i],
					     strerror(errno));
		if (s->saved && tip_pin_save_link(s, i, err))
			return -1;
	}
	return 0;
}

void tip_detach_unwanted(struct tip_sensor *s)
{
	for (int i = 0; i < TIP_PROG_TRACING_END; i++) {
		if (s->links[i] < 0 || wanted(s, i, s->settings.event_mask))
			continue;
		tip_pin_remove_link(s, i);
		close(s->links[i]);
		s->links[i] = -1;
	}
}

uint32_t tip_own_tgid(void)
{
	/* getpid() counts in our own namespace; a program run by the kernel sees the initial one.
	 */
	const struct bpf_insn insns[] = {
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_pid_tgid},
		{.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = BPF_REG_0, .imm = 32},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, load, .prog_flags = BPF_F_SLEEPABLE);
	LIBBPF_OPTS(bpf_test_run_opts, run);
	uint32_t tgid = 0;
	int fd = bpf_prog_load(BPF_PROG_TYPE_SYSCALL, "tip_own_tgid", "Dual BSD/GPL", insns,
			       TIP_ARRAY_SIZE(insns), &load);

	if (fd < 0)
		return 0;
	if (bpf_prog_test_run_opts(fd, &run) == 0)
		tgid = run.retval;
	close(fd);
	return tgid;
}
