/* SPDX-License-Identifier: Apache-2.0 */
#include <asm/unistd_64.h>
#include <string.h>

#include "base/mem.h"
#include "detect/args.h"

/*
 * Arguments of the system calls that the language has events for and that have no code of their own
 * here. What such a call is about (its descriptor, its path) is in the shapes of sensor/syscalls.c.
 */

#define ARG(name_, kind_, ...)                                                                     \
	{.codes = TIP_CODE_BIT(TIP_CODE_OTHER), .name = (name_), .kind = (kind_), __VA_ARGS__}
#define N(number)           .n = (number)
#define FLAGS(name_, n_, f) ARG(name_, S_FLAGS, N(n_), .flags = &tip_flags_##f)
#define RES                 ARG("res", S_RES)
#define RES_FD              ARG("res", S_RES_FD, N(TIP_RESULT))
#define FD                  ARG("fd", S_FD)
#define UNKNOWN(name_)      ARG(name_, S_UNKNOWN)
#define LIVE(name_, what)   ARG(name_, TIP_ARG_LIVE, N(TIP_LIVE_##what))
#define MEMORY              LIVE("vm_size", VM_SIZE), LIVE("vm_rss", VM_RSS), LIVE("vm_swap", VM_SWAP)
/* In memory: where, and how it is shown. */
#define WORD(name_, n_, as) ARG(name_, S_WORD, N(n_), .text = (as))
#define LONG(name_, n_)     ARG(name_, S_LONG, N(n_), .text = S_NUMBER)

#define ROWS(...) ((const struct tip_arg_row[]){__VA_ARGS__})
#define CALL(call, ...)                                                                            \
	[__NR_##call] = {ROWS(__VA_ARGS__), sizeof(ROWS(__VA_ARGS__)) / sizeof(struct tip_arg_row)}

static const struct {
	const struct tip_arg_row *rows;
	size_t count;
} calls[TIP_SYSCALLS] = {
	/* files */
	CALL(stat, RES, ARG("path", S_PATH)),
	CALL(lstat, RES, ARG("path", S_PATH)),
	CALL(fstat, RES, FD),
	CALL(newfstatat, RES, ARG("dirfd", S_DIRFD), ARG("path", S_PATH),
	     FLAGS("flags", 3, at_stat)),
	CALL(access, RES, ARG("name", S_PATH), FLAGS("mode", 1, access)),
	CALL(lseek, RES, FD, ARG("offset", S_NUMBER, N(1)), FLAGS("whence", 2, whence)),
	CALL(getcwd, RES, ARG("path", S_FILLED)),
	CALL(getdents, RES, FD),
	CALL(getdents64, RES, FD),
	CALL(flock, RES, FD, FLAGS("operation", 1, flock)),
	CALL(sendfile, RES, UNKNOWN("offset"), ARG("out_fd", S_FD), ARG("in_fd", S_OTHER_FD, N(1)),
	     ARG("size", S_NUMBER, N(3))),
	CALL(copy_file_range, RES, ARG("fdout", S_FD), UNKNOWN("offout"),
	     ARG("fdin", S_OTHER_FD, N(0)), UNKNOWN("offin"), ARG("len", S_NUMBER, N(4))),
	CALL(close_range, RES, ARG("first", S_UINT, N(0)), ARG("last", S_UINT, N(1)),
	     FLAGS("flags", 2, close_range)),
	CALL(fsconfig, RES, FD, FLAGS("cmd", 1, fsconfig), ARG("key", S_TEXT),
	     UNKNOWN("value_bytebuf"), ARG("value_charbuf", S_FS_VALUE), ARG("aux", S_INT, N(4))),
	/* descriptors of the kernel's own */
	CALL(eventfd, RES_FD, ARG("initval", S_UINT, N(0)), UNKNOWN("flags")),
	CALL(eventfd2, RES_FD, FLAGS("flags", 1, file), ARG("initval", S_UINT, N(0))),
	CALL(signalfd, RES_FD, ARG("fd", S_OTHER_FD, N(0)), WORD("mask", 0, S_HEX),
	     UNKNOWN("flags")),
	CALL(signalfd4, RES_FD, FLAGS("flags", 3, file), ARG("fd", S_OTHER_FD, N(0)),
	     WORD("mask", 0, S_HEX)),
	CALL(timerfd_create, RES_FD, ARG("clockid", S_INT, N(0)), ARG("flags", S_HEX, N(1))),
	CALL(inotify_init, RES_FD, UNKNOWN("flags")),
	CALL(inotify_init1, RES_FD, FLAGS("flags", 0, file)),
	CALL(epoll_create, RES, ARG("size", S_INT, N(0))),
	CALL(epoll_create1, RES, FLAGS("flags", 0, epoll)),
	CALL(pidfd_open, ARG("fd", S_RES_FD, N(TIP_RESULT)), ARG("pid", S_PID, N(0)),
	     FLAGS("flags", 1, pidfd)),
	CALL(pidfd_getfd, ARG("fd", S_RES_FD, N(TIP_RESULT)), ARG("pid_fd", S_OTHER_FD, N(0)),
	     ARG("target_fd", S_OTHER_FD, N(1)), ARG("flags", S_HEX, N(2))),
	CALL(io_uring_setup, RES, ARG("entries", S_UINT, N(0)), WORD("sq_entries", 0, S_UINT),
	     WORD("cq_entries", 4, S_UINT),
	     ARG("flags", S_WORD, N(8), .text = S_FLAGS, .flags = &tip_flags_uring_setup),
	     WORD("sq_thread_cpu", 12, S_UINT), WORD("sq_thread_idle", 16, S_UINT),
	     ARG("features", S_WORD, N(20), .text = S_FLAGS, .flags = &tip_flags_uring_features)),
	CALL(io_uring_enter, RES, FD, ARG("to_submit", S_UINT, N(1)),
	     ARG("min_complete", S_UINT, N(2)), FLAGS("flags", 3, uring_enter), UNKNOWN("sig")),
	CALL(io_uring_register, RES, FD, FLAGS("opcode", 1, uring_register),
	     ARG("arg", S_HEX, N(2)), ARG("nr_args", S_UINT, N(3))),
	/* waiting */
	CALL(epoll_wait, RES, ARG("maxevents", S_INT, N(2))),
	CALL(poll, RES, ARG("fds", S_POLLED), ARG("timeout", S_INT, N(2))),
	CALL(ppoll, RES, ARG("fds", S_POLLED), UNKNOWN("timeout"), UNKNOWN("sigmask")),
	CALL(select, RES),
	CALL(nanosleep, RES, ARG("interval", S_INTERVAL)),
	CALL(futex, RES, ARG("addr", S_HEX, N(0)), ARG("op", S_FUTEX, N(1)),
	     ARG("val", S_UINT, N(2))),
	/* sockets */
	CALL(setsockopt, RES, FD, FLAGS("level", 1, sock_level),
	     ARG("optname", S_SOCK_OPTION, N(2), .flags = &tip_flags_sock_option),
	     ARG("val", S_OPTION), ARG("optlen", S_UINT, N(4))),
	CALL(getsockopt, RES, FD, FLAGS("level", 1, sock_level),
	     ARG("optname", S_SOCK_OPTION, N(2), .flags = &tip_flags_sock_option), UNKNOWN("val"),
	     UNKNOWN("optlen")),
	/* memory */
	CALL(brk, ARG("res", S_HEX, N(TIP_RESULT)), MEMORY, ARG("addr", S_HEX, N(0))),
	CALL(munmap, RES, MEMORY, ARG("addr", S_HEX, N(0)), ARG("length", S_NUMBER, N(1))),
	CALL(mlock, RES, ARG("addr", S_HEX, N(0)), ARG("len", S_NUMBER, N(1))),
	CALL(mlock2, RES, ARG("addr", S_HEX, N(0)), ARG("len", S_NUMBER, N(1)),
	     FLAGS("flags", 2, mlock2)),
	CALL(munlock, RES, ARG("addr", S_HEX, N(0)), ARG("len", S_NUMBER, N(1))),
	CALL(mlockall, RES, FLAGS("flags", 0, mlockall)),
	CALL(munlockall, RES),
	CALL(process_vm_readv, ARG("res", S_NUMBER, N(TIP_RESULT)), ARG("pid", S_PID, N(0)),
	     ARG("data", S_DATA)),
	CALL(process_vm_writev, ARG("res", S_NUMBER, N(TIP_RESULT)), ARG("pid", S_PID, N(0)),
	     ARG("data", S_DATA)),
	/* processes */
	CALL(getuid, ARG("uid", S_UID, N(TIP_RESULT))),
	CALL(geteuid, ARG("euid", S_UID, N(TIP_RESULT))),
	CALL(getgid, ARG("gid", S_GID, N(TIP_RESULT))),
	CALL(getegid, ARG("egid", S_GID, N(TIP_RESULT))),
	CALL(getresuid, RES, UNKNOWN("ruid"), UNKNOWN("euid"), UNKNOWN("suid")),
	CALL(getresgid, RES, UNKNOWN("rgid"), UNKNOWN("egid"), UNKNOWN("sgid")),
	CALL(capset, RES, ARG("cap_inheritable", S_CAPS, N(2)), ARG("cap_permitted", S_CAPS, N(1)),
	     ARG("cap_effective", S_CAPS, N(0))),
	CALL(seccomp, RES, ARG("op", S_NUMBER, N(0)), ARG("flags", S_HEX, N(1))),
	CALL(getrlimit, RES, LONG("cur", 0), LONG("max", 8), FLAGS("resource", 0, rlimit)),
	CALL(setrlimit, RES, LONG("cur", 0), LONG("max", 8), FLAGS("resource", 0, rlimit)),
	CALL(prlimit64, RES, LONG("newcur", 0), LONG("newmax", 8), UNKNOWN("oldcur"),
	     UNKNOWN("oldmax"), ARG("pid", S_INT, N(0)), FLAGS("resource", 1, rlimit)),
	/* keys and semaphores */
	CALL(keyctl, RES, FLAGS("operation", 0, keyctl), ARG("arg2", S_INT, N(1)),
	     ARG("arg3", S_NUMBER, N(2)), ARG("arg4", S_NUMBER, N(3)), ARG("arg5", S_NUMBER, N(4))),
	CALL(semget, RES, ARG("key", S_HEX, N(0)), ARG("nsems", S_INT, N(1)),
	     FLAGS("semflg", 2, semget)),
	CALL(semctl, RES, ARG("semid", S_INT, N(0)), ARG("semnum", S_INT, N(1)),
	     FLAGS("cmd", 2, semctl), ARG("val", S_INT, N(3))),
	CALL(semop, RES, ARG("nsops", S_UINT, N(2)), UNKNOWN("sem_num_0"), UNKNOWN("sem_op_0"),
	     UNKNOWN("sem_flg_0"), UNKNOWN("sem_num_1"), UNKNOWN("sem_op_1"), UNKNOWN("sem_flg_1"),
	     ARG("semid", S_INT, N(0))),
};

const struct tip_arg_row *tip_args_other(uint32_t nr, size_t *count)
{
	*count = calls[nr % TIP_SYSCALLS].count;
	return calls[nr % TIP_SYSCALLS].rows;
}

bool tip_args_other_have(const char *name, bool in_memory)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(calls); i++)
		for (size_t j = 0; j < calls[i].count; j++)
			if ((!in_memory || calls[i].rows[j].kind >= S_DATA) &&
			    strcmp(calls[i].rows[j].name, name) == 0)
				return true;
	return false;
}
