/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/events.h"

#include <string.h>

#include "base/mem.h"
#include "detect/events_names.h"

_Static_assert(TIP_ARRAY_SIZE(event_names) <= TIP_EVENT_NAMES_MAX, "enlarge the event set");

static const struct {
	const char *name;
	enum tip_code code;
} coded[] = {
	{"open", TIP_CODE_OPEN},
	{"openat", TIP_CODE_OPENAT},
	{"openat2", TIP_CODE_OPENAT2},
	{"creat", TIP_CODE_CREAT},
	{"execve", TIP_CODE_EXECVE},
	{"execveat", TIP_CODE_EXECVEAT},
	{"clone", TIP_CODE_CLONE},
	{"clone3", TIP_CODE_CLONE},
	{"fork", TIP_CODE_CLONE},
	{"vfork", TIP_CODE_CLONE},
	{"procexit", TIP_CODE_PROCEXIT},
	{"setuid", TIP_CODE_SETUID},
	{"setreuid", TIP_CODE_SETUID},
	{"setresuid", TIP_CODE_SETUID},
	{"setfsuid", TIP_CODE_SETUID},
	{"setgid", TIP_CODE_SETGID},
	{"setregid", TIP_CODE_SETGID},
	{"setresgid", TIP_CODE_SETGID},
	{"setfsgid", TIP_CODE_SETGID},
	{"cgroup_migrate", TIP_CODE_CGROUP},
	{"connect", TIP_CODE_CONNECT},
	{"accept", TIP_CODE_ACCEPT},
	{"accept4", TIP_CODE_ACCEPT},
	{"bind", TIP_CODE_BIND},
	{"listen", TIP_CODE_LISTEN},
	{"open_by_handle_at", TIP_CODE_OPEN_BY_HANDLE_AT},
	{"kill", TIP_CODE_KILL},
	{"tkill", TIP_CODE_TKILL},
	{"tgkill", TIP_CODE_TGKILL},
	{"ptrace", TIP_CODE_PTRACE},
	{"mount", TIP_CODE_MOUNT},
	{"umount", TIP_CODE_UMOUNT},
	{"umount2", TIP_CODE_UMOUNT2},
	{"move_mount", TIP_CODE_MOVE_MOUNT},
	{"init_module", TIP_CODE_INIT_MODULE},
	{"finit_module", TIP_CODE_FINIT_MODULE},
	{"mmap", TIP_CODE_MMAP},
	{"mmap2", TIP_CODE_MMAP},
	{"mprotect", TIP_CODE_MPROTECT},
	{"pkey_mprotect", TIP_CODE_PKEY_MPROTECT},
};

int tip_event_name_count(void)
{
	return (int)TIP_ARRAY_SIZE(event_names);
}

const char *tip_event_name(int number)
{
	return event_names[number];
}

int tip_event_number(const char *name)
{
	int lo = 0, hi = tip_event_name_count();

	while (lo < hi) {
		int mid = lo + (hi - lo) / 2, c = strcmp(event_names[mid], name);

		if (c == 0)
			return mid;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return -1;
}

tip_codes tip_event_codes(int number)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(coded); i++)
		if (strcmp(coded[i].name, event_names[number]) == 0)
			return TIP_CODE_BIT(coded[i].code);
	return 0;
}

int tip_event_set_count(const struct tip_event_set *s)
{
	int n = 0;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(s->w); i++)
		n += __builtin_popcountll(s->w[i]);
	return n;
}

enum tip_code tip_event_code(const struct tip_event *ev)
{
	static const enum tip_code opens[] = {[TIP_OPEN_OPEN] = TIP_CODE_OPEN,
					      [TIP_OPEN_OPENAT] = TIP_CODE_OPENAT,
					      [TIP_OPEN_OPENAT2] = TIP_CODE_OPENAT2,
					      [TIP_OPEN_CREAT] = TIP_CODE_CREAT,
					      [TIP_OPEN_BY_HANDLE] = TIP_CODE_OPEN_BY_HANDLE_AT};
	static const enum tip_code calls[TIP_CALL_MAX] = {
		[TIP_CALL_KILL] = TIP_CODE_KILL,
		[TIP_CALL_TKILL] = TIP_CODE_TKILL,
		[TIP_CALL_TGKILL] = TIP_CODE_TGKILL,
		[TIP_CALL_PTRACE] = TIP_CODE_PTRACE,
		[TIP_CALL_MOUNT] = TIP_CODE_MOUNT,
		[TIP_CALL_UMOUNT] = TIP_CODE_UMOUNT,
		[TIP_CALL_UMOUNT2] = TIP_CODE_UMOUNT2,
		[TIP_CALL_MOVE_MOUNT] = TIP_CODE_MOVE_MOUNT,
		[TIP_CALL_INIT_MODULE] = TIP_CODE_INIT_MODULE,
		[TIP_CALL_FINIT_MODULE] = TIP_CODE_FINIT_MODULE,
		[TIP_CALL_MMAP] = TIP_CODE_MMAP,
		[TIP_CALL_MPROTECT] = TIP_CODE_MPROTECT,
		[TIP_CALL_PKEY_MPROTECT] = TIP_CODE_PKEY_MPROTECT,
	};

	switch (ev->hdr->type) {
	case TIP_EV_EXEC:
		/* told by the iterator: it ran before us, nothing happened now */
		if (ev->hdr->flags & TIP_EVF_SNAPSHOT)
			return TIP_CODE_MAX;
		return ev->exec.data->syscall ? TIP_CODE_EXECVEAT : TIP_CODE_EXECVE;
	case TIP_EV_DENIED_EXEC: return TIP_CODE_EXECVE;
	case TIP_EV_FORK: return TIP_CODE_CLONE;
	case TIP_EV_EXIT: return TIP_CODE_PROCEXIT;
	case TIP_EV_CRED:
		return ev->cred->old_uid != ev->hdr->uid || ev->cred->old_gid == ev->hdr->gid
			       ? TIP_CODE_SETUID
			       : TIP_CODE_SETGID;
	case TIP_EV_CGROUP: return TIP_CODE_CGROUP;
	case TIP_EV_OPEN:
		if (ev->open.data->syscall >= TIP_ARRAY_SIZE(opens))
			return TIP_CODE_MAX;
		return opens[ev->open.data->syscall];
	case TIP_EV_CONNECT:
	case TIP_EV_DENIED_CONNECT: return TIP_CODE_CONNECT;
	case TIP_EV_ACCEPT: return TIP_CODE_ACCEPT;
	case TIP_EV_BIND: return TIP_CODE_BIND;
	case TIP_EV_LISTEN: return TIP_CODE_LISTEN;
	case TIP_EV_SIGNAL:
	case TIP_EV_PTRACE:
	case TIP_EV_MOUNT:
	case TIP_EV_MODULE:
	case TIP_EV_MMAP: return calls[ev->call.data->call];
	default: return TIP_CODE_MAX;
	}
}

const char *tip_code_name(enum tip_code code)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(coded); i++)
		if (coded[i].code == code)
			return coded[i].name;
	return "";
}

uint64_t tip_codes_to_events(tip_codes codes)
{
	static const uint64_t events[TIP_CODE_MAX] = {
		[TIP_CODE_OPEN] = 1ull << TIP_EV_OPEN,
		[TIP_CODE_OPENAT] = 1ull << TIP_EV_OPEN,
		[TIP_CODE_OPENAT2] = 1ull << TIP_EV_OPEN,
		[TIP_CODE_CREAT] = 1ull << TIP_EV_OPEN,
		[TIP_CODE_EXECVE] = 1ull << TIP_EV_EXEC,
		[TIP_CODE_EXECVEAT] = 1ull << TIP_EV_EXEC,
		[TIP_CODE_CLONE] = 1ull << TIP_EV_FORK,
		[TIP_CODE_PROCEXIT] = 1ull << TIP_EV_EXIT,
		[TIP_CODE_SETUID] = 1ull << TIP_EV_CRED,
		[TIP_CODE_SETGID] = 1ull << TIP_EV_CRED,
		[TIP_CODE_CGROUP] = 1ull << TIP_EV_CGROUP,
		[TIP_CODE_CONNECT] = 1ull << TIP_EV_CONNECT | 1ull << TIP_EV_DENIED_CONNECT,
		[TIP_CODE_ACCEPT] = 1ull << TIP_EV_ACCEPT,
		[TIP_CODE_BIND] = 1ull << TIP_EV_BIND,
		[TIP_CODE_LISTEN] = 1ull << TIP_EV_LISTEN,
		[TIP_CODE_OPEN_BY_HANDLE_AT] = 1ull << TIP_EV_OPEN,
		[TIP_CODE_KILL] = 1ull << TIP_EV_SIGNAL,
		[TIP_CODE_TKILL] = 1ull << TIP_EV_SIGNAL,
		[TIP_CODE_TGKILL] = 1ull << TIP_EV_SIGNAL,
		[TIP_CODE_PTRACE] = 1ull << TIP_EV_PTRACE,
		[TIP_CODE_MOUNT] = 1ull << TIP_EV_MOUNT,
		[TIP_CODE_UMOUNT] = 1ull << TIP_EV_MOUNT,
		[TIP_CODE_UMOUNT2] = 1ull << TIP_EV_MOUNT,
		[TIP_CODE_MOVE_MOUNT] = 1ull << TIP_EV_MOUNT,
		[TIP_CODE_INIT_MODULE] = 1ull << TIP_EV_MODULE,
		[TIP_CODE_FINIT_MODULE] = 1ull << TIP_EV_MODULE,
		[TIP_CODE_MMAP] = 1ull << TIP_EV_MMAP,
		[TIP_CODE_MPROTECT] = 1ull << TIP_EV_MMAP,
		[TIP_CODE_PKEY_MPROTECT] = 1ull << TIP_EV_MMAP,
	};
	uint64_t mask = 0;

	for (int i = 0; i < TIP_CODE_MAX; i++)
		if (codes & TIP_CODE_BIT(i))
			mask |= events[i];
	return mask;
}
