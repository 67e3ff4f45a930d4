/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/events.h"

#include <asm/unistd_64.h>
#include <pthread.h>
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
	{"uid_change", TIP_CODE_UID_CHANGE},
	{"gid_change", TIP_CODE_GID_CHANGE},
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
	{"link", TIP_CODE_LINK},
	{"linkat", TIP_CODE_LINKAT},
	{"symlink", TIP_CODE_SYMLINK},
	{"symlinkat", TIP_CODE_SYMLINKAT},
	{"rename", TIP_CODE_RENAME},
	{"renameat", TIP_CODE_RENAMEAT},
	{"renameat2", TIP_CODE_RENAMEAT2},
	{"unlink", TIP_CODE_UNLINK},
	{"unlinkat", TIP_CODE_UNLINKAT},
	{"rmdir", TIP_CODE_RMDIR},
	{"mkdir", TIP_CODE_MKDIR},
	{"mkdirat", TIP_CODE_MKDIRAT},
	{"mknod", TIP_CODE_MKNOD},
	{"mknodat", TIP_CODE_MKNODAT},
	{"chmod", TIP_CODE_CHMOD},
	{"fchmod", TIP_CODE_FCHMOD},
	{"fchmodat", TIP_CODE_FCHMODAT},
	{"fchmodat2", TIP_CODE_FCHMODAT2},
	{"chown", TIP_CODE_CHOWN},
	{"lchown", TIP_CODE_LCHOWN},
	{"fchown", TIP_CODE_FCHOWN},
	{"fchownat", TIP_CODE_FCHOWNAT},
	{"dup", TIP_CODE_DUP},
	{"dup2", TIP_CODE_DUP2},
	{"dup3", TIP_CODE_DUP3},
	{"socket", TIP_CODE_SOCKET},
	{"socketpair", TIP_CODE_SOCKETPAIR},
	{"shutdown", TIP_CODE_SHUTDOWN},
	{"sendto", TIP_CODE_SENDTO},
	{"sendmsg", TIP_CODE_SENDMSG},
	{"sendmmsg", TIP_CODE_SENDMMSG},
	{"recvfrom", TIP_CODE_RECVFROM},
	{"recvmsg", TIP_CODE_RECVMSG},
	{"recvmmsg", TIP_CODE_RECVMMSG},
	{"read", TIP_CODE_READ},
	{"readv", TIP_CODE_READV},
	{"pread", TIP_CODE_PREAD},
	{"pread64", TIP_CODE_PREAD},
	{"preadv", TIP_CODE_PREADV},
	{"write", TIP_CODE_WRITE},
	{"writev", TIP_CODE_WRITEV},
	{"pwrite", TIP_CODE_PWRITE},
	{"pwrite64", TIP_CODE_PWRITE},
	{"pwritev", TIP_CODE_PWRITEV},
	{"close", TIP_CODE_CLOSE},
	{"splice", TIP_CODE_SPLICE},
	{"fcntl", TIP_CODE_FCNTL},
	{"ioctl", TIP_CODE_IOCTL},
	{"setns", TIP_CODE_SETNS},
	{"unshare", TIP_CODE_UNSHARE},
	{"setsid", TIP_CODE_SETSID},
	{"setpgid", TIP_CODE_SETPGID},
	{"chdir", TIP_CODE_CHDIR},
	{"fchdir", TIP_CODE_FCHDIR},
	{"chroot", TIP_CODE_CHROOT},
	{"bpf", TIP_CODE_BPF},
	{"userfaultfd", TIP_CODE_USERFAULTFD},
	{"memfd_create", TIP_CODE_MEMFD_CREATE},
	{"prctl", TIP_CODE_PRCTL},
	{"pipe", TIP_CODE_PIPE},
	{"pipe2", TIP_CODE_PIPE2},
	{"delete_module", TIP_CODE_DELETE_MODULE},
	{"setuid", TIP_CODE_SETUID},
	{"setreuid", TIP_CODE_SETREUID},
	{"setresuid", TIP_CODE_SETRESUID},
	{"setgid", TIP_CODE_SETGID},
	{"setregid", TIP_CODE_SETREGID},
	{"setresgid", TIP_CODE_SETRESGID},
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

/* Of each name, looked up once: rules are compiled against all of them, again and again. */
static struct {
	tip_codes codes;
	int nr;
} known[TIP_ARRAY_SIZE(event_names)];
static pthread_once_t known_once = PTHREAD_ONCE_INIT;

static void look_up(void)
{
	for (size_t n = 0; n < TIP_ARRAY_SIZE(event_names); n++) {
		known[n].nr = tip_syscall_number(event_names[n]);
		known[n].codes = known[n].nr < 0 ? 0 : TIP_CODE_BIT(TIP_CODE_OTHER);
		for (size_t i = 0; i < TIP_ARRAY_SIZE(coded); i++)
			if (strcmp(coded[i].name, event_names[n]) == 0)
				known[n].codes = TIP_CODE_BIT(coded[i].code);
	}
}

tip_codes tip_event_codes(int number)
{
	pthread_once(&known_once, look_up);
	return known[number].codes;
}

int tip_event_call(int number)
{
	pthread_once(&known_once, look_up);
	return known[number].codes & TIP_CODES_NAMED ? known[number].nr : -1;
}

bool tip_event_set_has(const struct tip_event_set *s, int number)
{
	return number >= 0 && (s->w[number / 64] >> (number % 64) & 1);
}

int tip_event_set_count(const struct tip_event_set *s)
{
	int n = 0;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(s->w); i++)
		n += __builtin_popcountll(s->w[i]);
	return n;
}

/* The code of a system call of TIP_EV_CALL. */
static enum tip_code call_code(uint32_t nr)
{
#define NR(name, code) [__NR_##name] = TIP_CODE_##code
	/* 0: none of its own */
	static const uint8_t codes[TIP_SYSCALLS] = {
		NR(link, LINK),
		NR(linkat, LINKAT),
		NR(symlink, SYMLINK),
		NR(symlinkat, SYMLINKAT),
		NR(rename, RENAME),
		NR(renameat, RENAMEAT),
		NR(renameat2, RENAMEAT2),
		NR(unlink, UNLINK),
		NR(unlinkat, UNLINKAT),
		NR(rmdir, RMDIR),
		NR(mkdir, MKDIR),
		NR(mkdirat, MKDIRAT),
		NR(mknod, MKNOD),
		NR(mknodat, MKNODAT),
		NR(chmod, CHMOD),
		NR(fchmod, FCHMOD),
		NR(fchmodat, FCHMODAT),
		NR(chown, CHOWN),
		NR(lchown, LCHOWN),
		NR(fchown, FCHOWN),
		NR(fchownat, FCHOWNAT),
		NR(dup, DUP),
		NR(dup2, DUP2),
		NR(dup3, DUP3),
		NR(socket, SOCKET),
		NR(socketpair, SOCKETPAIR),
		NR(shutdown, SHUTDOWN),
		NR(sendto, SENDTO),
		NR(sendmsg, SENDMSG),
		NR(sendmmsg, SENDMMSG),
		NR(recvfrom, RECVFROM),
		NR(recvmsg, RECVMSG),
		NR(recvmmsg, RECVMMSG),
		NR(read, READ),
		NR(readv, READV),
		NR(pread64, PREAD),
		NR(preadv, PREADV),
		NR(write, WRITE),
		NR(writev, WRITEV),
		NR(pwrite64, PWRITE),
		NR(pwritev, PWRITEV),
		NR(close, CLOSE),
		NR(splice, SPLICE),
		NR(fcntl, FCNTL),
		NR(ioctl, IOCTL),
		NR(setns, SETNS),
		NR(unshare, UNSHARE),
		NR(setsid, SETSID),
		NR(setpgid, SETPGID),
		NR(chdir, CHDIR),
		NR(fchdir, FCHDIR),
		NR(chroot, CHROOT),
		NR(bpf, BPF),
		NR(userfaultfd, USERFAULTFD),
		NR(memfd_create, MEMFD_CREATE),
		NR(prctl, PRCTL),
		NR(pipe, PIPE),
		NR(pipe2, PIPE2),
		NR(delete_module, DELETE_MODULE),
		NR(setuid, SETUID),
		NR(setreuid, SETREUID),
		NR(setresuid, SETRESUID),
		NR(setgid, SETGID),
		NR(setregid, SETREGID),
		NR(setresgid, SETRESGID),
		[452] = TIP_CODE_FCHMODAT2, /* headers before 6.6 have no name for it */
	};
#undef NR

	return codes[nr] ? codes[nr] : TIP_CODE_OTHER;
}

enum tip_code tip_call_code(unsigned int call)
{
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

	return call < TIP_CALL_SYSCALL ? calls[call] : TIP_CODE_MAX;
}

enum tip_code tip_event_code(const struct tip_event *ev)
{
	static const enum tip_code opens[] = {[TIP_OPEN_OPEN] = TIP_CODE_OPEN,
					      [TIP_OPEN_OPENAT] = TIP_CODE_OPENAT,
					      [TIP_OPEN_OPENAT2] = TIP_CODE_OPENAT2,
					      [TIP_OPEN_CREAT] = TIP_CODE_CREAT,
					      [TIP_OPEN_BY_HANDLE] = TIP_CODE_OPEN_BY_HANDLE_AT};

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
			       ? TIP_CODE_UID_CHANGE
			       : TIP_CODE_GID_CHANGE;
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
	case TIP_EV_MMAP: return tip_call_code(ev->call.data->call);
	case TIP_EV_CALL: return call_code(ev->call.data->nr);
	default: return TIP_CODE_MAX;
	}
}

const char *tip_event_shown(const struct tip_event *ev, enum tip_code code)
{
	const char *name;

	if (code != TIP_CODE_OTHER)
		return tip_code_name(code);
	name = tip_syscall_name(ev->call.data->nr);
	return name ? name : "";
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
	static const uint64_t events[TIP_CODE_LINK] = {
		[TIP_CODE_OPEN] = 1ull << TIP_EV_OPEN,
		[TIP_CODE_OPENAT] = 1ull << TIP_EV_OPEN,
		[TIP_CODE_OPENAT2] = 1ull << TIP_EV_OPEN,
		[TIP_CODE_CREAT] = 1ull << TIP_EV_OPEN,
		[TIP_CODE_EXECVE] = 1ull << TIP_EV_EXEC,
		[TIP_CODE_EXECVEAT] = 1ull << TIP_EV_EXEC,
		[TIP_CODE_CLONE] = 1ull << TIP_EV_FORK,
		[TIP_CODE_PROCEXIT] = 1ull << TIP_EV_EXIT,
		[TIP_CODE_UID_CHANGE] = 1ull << TIP_EV_CRED,
		[TIP_CODE_GID_CHANGE] = 1ull << TIP_EV_CRED,
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
	uint64_t mask = codes & TIP_CODES_NAMED ? 1ull << TIP_EV_CALL : 0;

	for (int i = 0; i < TIP_CODE_LINK; i++)
		if (codes & TIP_CODE_BIT(i))
			mask |= events[i];
	return mask;
}
