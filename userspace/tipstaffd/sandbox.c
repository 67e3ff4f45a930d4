/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#include "base/log.h"
#include "base/mem.h"

/* ---- namespaces and credentials --------------------------------------------------- */

/* An empty, read-only root: no file, no device, no /proc. */
static int empty_root(const char *mount_point, struct tip_error *err)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
		return tip_error_set(err, "front: unshare: %s", strerror(errno));
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tipstaff-front", mount_point, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "size=4k,nr_inodes=2,mode=0555") < 0)
		return tip_error_set(err, "front: mount of an empty root: %s", strerror(errno));
	if (chdir(mount_point) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return tip_error_set(err, "front: pivot_root: %s", strerror(errno));
	if (mount("none", "/", NULL,
		  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return tip_error_set(err, "front: read-only root: %s", strerror(errno));
	return 0;
}

static int drop_bounding_set(const cap_value_t *keep, size_t nkeep, struct tip_error *err)
{
	for (cap_value_t cap = 0; cap <= CAP_LAST_CAP; cap++) {
		bool kept = false;

		for (size_t i = 0; i < nkeep; i++)
			kept = kept || keep[i] == cap;
		/* EINVAL: a capability that this kernel does not know */
		if (!kept && cap_drop_bound(cap) < 0 && errno != EINVAL)
			return tip_error_set(err, "capability %d cannot be dropped: %s", cap,
					     strerror(errno));
	}
	return 0;
}

/* Makes `keep` the whole of this process's permitted and effective set. */
static int set_capabilities(const cap_value_t *keep, size_t nkeep, struct tip_error *err)
{
	cap_t caps = cap_init();
	int ret = -1;

	if (!caps)
		return tip_error_set(err, "capabilities: %s", strerror(errno));
	if (nkeep && (cap_set_flag(caps, CAP_PERMITTED, (int)nkeep, keep, CAP_SET) < 0 ||
		      cap_set_flag(caps, CAP_EFFECTIVE, (int)nkeep, keep, CAP_SET) < 0))
		tip_error_set(err, "capabilities: %s", strerror(errno));
	else if (cap_set_proc(caps) < 0)
		tip_error_set(err, "capabilities cannot be set: %s", strerror(errno));
	else
		ret = 0;
	cap_free(caps);
	return ret;
}

/* ---- seccomp ------------------------------------------------------------------------ */

#define SYS(name) SCMP_SYS(name)

/* What a process with a libevent loop, sockets and OpenSSL lives on. */
static const int common_calls[] = {
	SYS(read),
	SYS(write),
	SYS(readv),
	SYS(writev),
	SYS(recvmsg),
	SYS(recvfrom),
	SYS(close),
	SYS(epoll_wait),
	SYS(epoll_pwait),
	SYS(epoll_pwait2),
	SYS(epoll_ctl),
	SYS(epoll_create1),
	SYS(eventfd2),
	SYS(timerfd_create),
	SYS(timerfd_settime),
	SYS(poll),
	SYS(ppoll),
	SYS(munmap),
	SYS(mremap),
	SYS(madvise),
	SYS(brk),
	SYS(futex),
	SYS(clock_gettime),
	SYS(clock_nanosleep),
	SYS(nanosleep),
	SYS(gettimeofday),
	SYS(getrandom),
	SYS(getpid),
	SYS(gettid),
	SYS(getppid),
	SYS(rt_sigaction),
	SYS(rt_sigprocmask),
	SYS(rt_sigreturn),
	SYS(sigaltstack),
	SYS(exit),
	SYS(exit_group),
	SYS(fcntl),
	SYS(getsockopt),
	SYS(setsockopt),
	SYS(getsockname),
	SYS(getpeername),
	SYS(shutdown),
	SYS(restart_syscall),
	SYS(getrusage),
	SYS(tgkill),
	SYS(sched_yield),
	SYS(lseek),
	SYS(fstat),
	SYS(dup),
	SYS(rseq),
	SYS(set_robust_list),
	SYS(getuid),
	SYS(geteuid),
	SYS(getgid),
	SYS(getegid),
	SYS(pipe2),
	SYS(membarrier),
	SYS(sysinfo), /* glibc's qsort() asks how much memory there is */
};

/* Beyond that: the keeper's files, programs and sockets, and the start of a new front. */
static const int keeper_calls[] = {
	SYS(sendmsg),
	SYS(sendto),
	SYS(bpf),
	SYS(perf_event_open),
	SYS(openat),
	SYS(openat2),
	SYS(open),
	SYS(newfstatat),
	SYS(stat),
	SYS(lstat),
	SYS(statx),
	SYS(fstatfs),
	SYS(statfs),
	SYS(readlink),
	SYS(readlinkat),
	SYS(getxattr), /* the kind of a socket, see process/live.c */
	SYS(getdents64),
	SYS(access),
	SYS(faccessat),
	SYS(faccessat2),
	SYS(mkdir),
	SYS(mkdirat),
	SYS(rmdir),
	SYS(unlink),
	SYS(unlinkat),
	SYS(rename),
	SYS(renameat),
	SYS(renameat2),
	SYS(fsync),
	SYS(fdatasync),
	SYS(ftruncate),
	SYS(fchmod),
	SYS(chmod),
	SYS(fchmodat),
	SYS(umask),
	SYS(fchown),
	SYS(flock),
	SYS(pread64),
	SYS(pwrite64),
	SYS(name_to_handle_at),
	SYS(open_by_handle_at),
	SYS(getcwd),
	SYS(chdir),
	SYS(fchdir),
	SYS(ioctl),
	SYS(socket),
	SYS(socketpair),
	SYS(bind),
	SYS(listen),
	SYS(accept4),
	SYS(accept),
	SYS(connect),
	SYS(dup2),
	SYS(dup3),
	SYS(pipe),
	SYS(mmap),
	SYS(mprotect),
	SYS(kill),
	SYS(pidfd_open),
	SYS(pidfd_send_signal),
	SYS(wait4),
	SYS(waitid),
	SYS(clone),
	SYS(clone3),
	SYS(vfork),
	SYS(fork),
	SYS(execve),
	SYS(execveat),
	SYS(set_tid_address),
	SYS(arch_prctl),
	SYS(prlimit64),
	SYS(getrlimit),
	SYS(setrlimit),
	SYS(uname),
	SYS(sched_getaffinity),
	SYS(prctl),
	SYS(capget),
	SYS(capset),
	SYS(seccomp),
	SYS(unshare),
	SYS(setns),
	SYS(mount),
	SYS(umount2),
	SYS(pivot_root),
	SYS(setresuid),
	SYS(setresgid),
	SYS(setuid),
	SYS(setgid),
	SYS(setgroups),
	SYS(getgroups),
	SYS(getresuid),
	SYS(getresgid),
	SYS(setsid),
	SYS(getsid),
	SYS(getpgid),
	SYS(setpgid),
	SYS(times),
	SYS(alarm),
	SYS(clock_getres),
	SYS(getcpu),
	SYS(signalfd4),
	SYS(rt_sigtimedwait),
	SYS(sched_getparam),
	SYS(sched_getscheduler),
	SYS(sched_setscheduler),
	SYS(mlock),
	SYS(munlock),
	SYS(kcmp),
	SYS(inotify_init1),
	SYS(inotify_add_watch),
	SYS(inotify_rm_watch),
	SYS(setitimer),
};

/*
 * What alerts.program lives on beyond that: a filter is inherited and cannot be widened, and none
 * of these gives the keeper anything that it could not do before. sendmmsg: the resolver of libc.
 */
static const int program_calls[] = {
	SYS(sendmmsg),      SYS(recvmmsg),      SYS(memfd_create),
	SYS(getpgrp),       SYS(getitimer),     SYS(sched_setaffinity),
	SYS(mincore),       SYS(msync),         SYS(select),
	SYS(pselect6),      SYS(preadv),        SYS(pwritev),
	SYS(sendfile),      SYS(splice),        SYS(copy_file_range),
	SYS(fallocate),     SYS(fadvise64),     SYS(truncate),
	SYS(link),          SYS(linkat),        SYS(symlink),
	SYS(symlinkat),     SYS(utimensat),     SYS(close_range),
	SYS(eventfd),       SYS(epoll_create),  SYS(pause),
	SYS(time),          SYS(getpriority),   SYS(setpriority),
	SYS(timer_create),  SYS(timer_settime), SYS(timer_delete),
	SYS(rt_sigsuspend), SYS(rt_sigpending), SYS(get_robust_list),
};

static int allow(scmp_filter_ctx f, const int *calls, size_t count)
{
	int ret = 0;

	for (size_t i = 0; i < count && ret == 0; i++)
		ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, calls[i], 0);
	return ret;
}

/*
 * What only the front's filter says: mmap and mprotect, but never of executable memory; sending,
 * but never with MSG_FASTOPEN, which is a connect() to wherever the front likes, of a socket that
 * the keeper has marked; and opening a file, which a library may try, is answered as its empty root
 * would answer, instead of with death.
 */
static int allow_front(scmp_filter_ctx f)
{
	int ret = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOENT), SYS(openat), 0);

	if (ret == 0)
		ret = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOENT), SYS(open), 0);
	if (ret == 0)
		ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, SYS(mmap), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (ret == 0)
		ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, SYS(sendmsg), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0));
	if (ret == 0)
		ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, SYS(sendto), 1,
				       SCMP_A3(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0));

	return ret ? ret
		   : seccomp_rule_add(f, SCMP_ACT_ALLOW, SYS(mprotect), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

static int load_filter(uint32_t refuse, bool keeper, struct tip_error *err)
{
	scmp_filter_ctx f = seccomp_init(refuse);
	int ret;

	if (!f)
		return tip_error_set(err, "seccomp: no memory");
	ret = allow(f, common_calls, TIP_ARRAY_SIZE(common_calls));
	if (ret == 0)
		ret = keeper ? allow(f, keeper_calls, TIP_ARRAY_SIZE(keeper_calls))
			     : allow_front(f);
	if (ret == 0 && keeper)
		ret = allow(f, program_calls, TIP_ARRAY_SIZE(program_calls));
	if (ret == 0)
		ret = seccomp_load(f);
	seccomp_release(f);
	return ret == 0 ? 0 : tip_error_set(err, "seccomp: %s", strerror(-ret));
}

/* ---- the two processes ---------------------------------------------------------------- */

int tip_sandbox_front(uid_t uid, gid_t gid, const char *mount_point, struct tip_error *err)
{
	if (uid == 0 || gid == 0)
		return tip_error_set(err, "front: must not run as uid or gid 0");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return tip_error_set(err, "front: PR_SET_PDEATHSIG: %s", strerror(errno));
	if (empty_root(mount_point, err) < 0 || drop_bounding_set(NULL, 0, err) < 0)
		return -1;
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return tip_error_set(err, "front: cannot become uid %u: %s", (unsigned int)uid,
				     strerror(errno));
	if (set_capabilities(NULL, 0, err) < 0)
		return -1;
	/* setresuid() resets both: dumpable by the core-dump sysctl, the death signal to none. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return tip_error_set(err, "front: prctl: %s", strerror(errno));
	return load_filter(SCMP_ACT_KILL_PROCESS, false, err);
}

/* Enough for any program, and what select() can take. */
#define PROGRAM_FILES 1024

int tip_sandbox_program(uid_t uid, gid_t gid, char **argv)
{
	struct rlimit files;
	struct tip_error err = {0};

	if (uid == 0 || gid == 0) {
		tip_error_set(&err, "must not run as uid or gid 0");
	} else if (drop_bounding_set(NULL, 0, &err) == 0) {
		if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
		    setresuid(uid, uid, uid) < 0)
			tip_error_set(&err, "cannot become uid %u: %s", (unsigned int)uid,
				      strerror(errno));
		else if (set_capabilities(NULL, 0, &err) < 0)
			;
		else if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || chdir("/") < 0)
			tip_error_set(&err, "%s", strerror(errno));
	}
	if (err.text[0]) {
		fprintf(stderr, "tipstaffd: %s: %s\n", argv[0], err.text);
		return 1;
	}
	umask(077);
	/* The keeper raised it for itself. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > PROGRAM_FILES) {
		files.rlim_cur = PROGRAM_FILES;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	/*
	 * No death signal: when the keeper is killed, the end of its input tells it to end, after
	 * what is still in the pipe.
	 */
	execv(argv[0], argv);
	fprintf(stderr, "tipstaffd: %s: %s\n", argv[0], strerror(errno));
	return 1;
}

/*
 * CAP_BPF, CAP_PERFMON: programs and maps; CAP_NET_ADMIN: cgroup hooks; CAP_SYS_ADMIN: bpffs, and
 * the namespaces of a new front; CAP_SYS_PTRACE: /proc of non-dumpable processes; CAP_KILL: the
 * front, which has another uid; CAP_DAC_READ_SEARCH: open_by_handle_at() of cgroups; CAP_SETUID,
 * CAP_SETGID, CAP_SETPCAP: a new front gives up its own; CAP_NET_RAW: iptables, which is started
 * for each namespace, works over a raw socket.
 */
static const cap_value_t keeper_caps[] = {
	CAP_BPF,        CAP_PERFMON, CAP_NET_ADMIN,       CAP_SYS_ADMIN,
	CAP_SYS_PTRACE, CAP_KILL,    CAP_DAC_READ_SEARCH, CAP_SETUID,
	CAP_SETGID,     CAP_SETPCAP, CAP_NET_RAW,
};

int tip_sandbox_keeper(struct tip_error *err)
{
	if (drop_bounding_set(keeper_caps, TIP_ARRAY_SIZE(keeper_caps), err) < 0 ||
	    set_capabilities(keeper_caps, TIP_ARRAY_SIZE(keeper_caps), err) < 0)
		return -1;
	/* The front's keys pass through here on their way to the cache: no core file of them. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return tip_error_set(err, "keeper: prctl: %s", strerror(errno));
	return load_filter(SCMP_ACT_ERRNO(EPERM), true, err);
}
