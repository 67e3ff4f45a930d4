/* SPDX-License-Identifier: Apache-2.0 */
/* Which program handles the exit of which system call, and which calls are handled at all. */
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/mem.h"
#include "sensor/internal.h"

#define EVENT(name) (1ull << TIP_EV_##name)

static const char *const programs[TIP_HANDLER_MAX] = {
	[TIP_HANDLER_OPEN] = "tip_sys_open",     [TIP_HANDLER_CONNECT] = "tip_sys_connect",
	[TIP_HANDLER_ACCEPT] = "tip_sys_accept", [TIP_HANDLER_BIND] = "tip_sys_bind",
	[TIP_HANDLER_LISTEN] = "tip_sys_listen", [TIP_HANDLER_SETID] = "tip_sys_setid",
	[TIP_HANDLER_CALL] = "tip_sys_call",     [TIP_HANDLER_OTHER] = "tip_sys_other",
};

/* By 64-bit number; the dispatcher translates others. */
static const struct {
	uint16_t nr;
	uint8_t handler;
	uint64_t events; /* handled while one of these is sensed; 0: always */
} calls[] = {
	{2, TIP_HANDLER_OPEN, EVENT(OPEN)},
	{85, TIP_HANDLER_OPEN, EVENT(OPEN)},
	{257, TIP_HANDLER_OPEN, EVENT(OPEN)},
	{304, TIP_HANDLER_OPEN, EVENT(OPEN)},
	{437, TIP_HANDLER_OPEN, EVENT(OPEN)},
	/* Who connects to the Workload API, and what becomes of credentials, is always asked. */
	{42, TIP_HANDLER_CONNECT, 0},
	{43, TIP_HANDLER_ACCEPT, 0},
	{288, TIP_HANDLER_ACCEPT, 0},
	{105, TIP_HANDLER_SETID, 0},
	{106, TIP_HANDLER_SETID, 0},
	{113, TIP_HANDLER_SETID, 0},
	{114, TIP_HANDLER_SETID, 0},
	{117, TIP_HANDLER_SETID, 0},
	{119, TIP_HANDLER_SETID, 0},
	{49, TIP_HANDLER_BIND, EVENT(BIND)},
	{50, TIP_HANDLER_LISTEN, EVENT(LISTEN)},
	{9, TIP_HANDLER_CALL, EVENT(MMAP)},
	{10, TIP_HANDLER_CALL, EVENT(MMAP)},
	{329, TIP_HANDLER_CALL, EVENT(MMAP)},
	{62, TIP_HANDLER_CALL, EVENT(SIGNAL)},
	{200, TIP_HANDLER_CALL, EVENT(SIGNAL)},
	{234, TIP_HANDLER_CALL, EVENT(SIGNAL)},
	{101, TIP_HANDLER_CALL, EVENT(PTRACE)},
	{165, TIP_HANDLER_CALL, EVENT(MOUNT)},
	{166, TIP_HANDLER_CALL, EVENT(MOUNT)},
	{429, TIP_HANDLER_CALL, EVENT(MOUNT)},
	{175, TIP_HANDLER_CALL, EVENT(MODULE)},
	{313, TIP_HANDLER_CALL, EVENT(MODULE)},
};

static struct bpf_program *program_of(struct bpf_object *obj, size_t handler)
{
	return bpf_object__find_program_by_name(obj, programs[handler]);
}

int tip_handlers_leave_out(struct bpf_object *obj, struct tip_error *err)
{
	for (size_t i = TIP_HANDLER_NONE + 1; i < TIP_HANDLER_MAX; i++) {
		struct bpf_program *prog = program_of(obj, i);

		if (!prog || bpf_program__set_autoload(prog, false))
			return tip_error_set(err, "cannot choose the program %s", programs[i]);
	}
	return 0;
}

int tip_handlers_enter(struct bpf_object *obj, struct tip_error *err)
{
	const int table = bpf_object__find_map_fd_by_name(obj, "handlers");

	for (uint32_t i = TIP_HANDLER_NONE + 1; i < TIP_HANDLER_MAX; i++) {
		struct bpf_program *prog = program_of(obj, i);
		int fd = prog ? bpf_program__fd(prog) : -1;

		if (fd < 0 || bpf_map_update_elem(table, &i, &fd, BPF_ANY))
			return tip_error_set(err, "cannot enter %s into the system call table: %s",
					     programs[i], strerror(errno));
	}
	return 0;
}

void tip_handlers_choose(struct tip_sensor *s)
{
	const uint64_t sensed = tip_sensed(s, s->settings.event_mask);
	uint8_t *to = s->settings.handlers;

	memset(to, TIP_HANDLER_NONE, sizeof(s->settings.handlers));
	if (sensed & EVENT(CALL))
		for (size_t nr = 0; nr < TIP_SYSCALLS; nr++)
			if (s->settings.calls[nr / 64] >> (nr & 63) & 1)
				to[nr] = TIP_HANDLER_OTHER;
	/* Elsewhere the kernel's own functions tell of these. */
	for (size_t i = 0; i < TIP_ARRAY_SIZE(calls) && (s->groups & TIP_GROUP_SYSCALLS); i++)
		if (!calls[i].events || (calls[i].events & sensed))
			to[calls[i].nr] = calls[i].handler;
	tip_syscalls_mark_ia32(to);
}
