/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/flags.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/prctl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/mem.h"

#define F(name) {name, #name}
#define TABLE(var, is_values, ...)                                                                 \
	static const struct tip_named_bits var##_list[] = {__VA_ARGS__};                           \
	const struct tip_flag_table var = {var##_list, TIP_ARRAY_SIZE(var##_list), is_values}

/* Of descriptors: dup3(), pipe2(), socket(), userfaultfd(). */
TABLE(tip_flags_file, false, {0, "O_NONE"}, F(O_DIRECT), F(O_NONBLOCK), F(O_CLOEXEC));

TABLE(tip_flags_clone, false, F(CLONE_FILES), F(CLONE_FS), F(CLONE_IO), F(CLONE_NEWIPC),
      F(CLONE_NEWNET), F(CLONE_NEWNS), F(CLONE_NEWPID), F(CLONE_NEWUTS), F(CLONE_PARENT),
      F(CLONE_PTRACE), F(CLONE_SIGHAND), F(CLONE_SYSVSEM), F(CLONE_THREAD), F(CLONE_UNTRACED),
      F(CLONE_VM), F(CLONE_NEWUSER), F(CLONE_SETTLS), F(CLONE_VFORK), F(CLONE_NEWCGROUP),
      {0x80, "CLONE_NEWTIME"});

TABLE(tip_flags_mode, false, F(S_IXOTH), F(S_IWOTH), F(S_IROTH), F(S_IXGRP), F(S_IWGRP), F(S_IRGRP),
      F(S_IXUSR), F(S_IWUSR), F(S_IRUSR), F(S_ISVTX), F(S_ISGID), F(S_ISUID));

TABLE(tip_flags_node, true, F(S_IFREG), F(S_IFCHR), F(S_IFBLK), F(S_IFIFO), F(S_IFSOCK));

TABLE(tip_flags_at_unlink, false, F(AT_REMOVEDIR));
TABLE(tip_flags_at_link, false, F(AT_SYMLINK_FOLLOW), F(AT_EMPTY_PATH));
TABLE(tip_flags_at_owner, false, F(AT_SYMLINK_NOFOLLOW), F(AT_EMPTY_PATH));
TABLE(tip_flags_rename, false, {1, "RENAME_NOREPLACE"}, {2, "RENAME_EXCHANGE"},
      {4, "RENAME_WHITEOUT"});

TABLE(tip_flags_family, true, F(AF_UNSPEC), F(AF_UNIX), F(AF_INET), F(AF_AX25), F(AF_IPX),
      F(AF_APPLETALK), F(AF_NETROM), F(AF_BRIDGE), F(AF_ATMPVC), F(AF_X25), F(AF_INET6), F(AF_ROSE),
      F(AF_DECnet), F(AF_NETBEUI), F(AF_SECURITY), F(AF_KEY), F(AF_NETLINK), F(AF_PACKET),
      F(AF_ASH), F(AF_ECONET), F(AF_ATMSVC), F(AF_RDS), F(AF_SNA), F(AF_IRDA), F(AF_PPPOX),
      F(AF_WANPIPE), F(AF_LLC), F(AF_CAN), F(AF_TIPC), F(AF_BLUETOOTH), F(AF_IUCV), F(AF_RXRPC),
      F(AF_ISDN), F(AF_PHONET), F(AF_IEEE802154), F(AF_CAIF), F(AF_ALG), F(AF_NFC), F(AF_VSOCK),
      F(AF_KCM), F(AF_QIPCRTR), F(AF_SMC), F(AF_XDP));

TABLE(tip_flags_bpf, true, F(BPF_MAP_CREATE), F(BPF_MAP_LOOKUP_ELEM), F(BPF_MAP_UPDATE_ELEM),
      F(BPF_MAP_DELETE_ELEM), F(BPF_MAP_GET_NEXT_KEY), F(BPF_PROG_LOAD), F(BPF_OBJ_PIN),
      F(BPF_OBJ_GET), F(BPF_PROG_ATTACH), F(BPF_PROG_DETACH), F(BPF_PROG_TEST_RUN),
      F(BPF_PROG_GET_NEXT_ID), F(BPF_MAP_GET_NEXT_ID), F(BPF_PROG_GET_FD_BY_ID),
      F(BPF_MAP_GET_FD_BY_ID), F(BPF_OBJ_GET_INFO_BY_FD), F(BPF_PROG_QUERY),
      F(BPF_RAW_TRACEPOINT_OPEN), F(BPF_BTF_LOAD), F(BPF_BTF_GET_FD_BY_ID), F(BPF_TASK_FD_QUERY),
      F(BPF_MAP_LOOKUP_AND_DELETE_ELEM), F(BPF_MAP_FREEZE), F(BPF_BTF_GET_NEXT_ID),
      F(BPF_MAP_LOOKUP_BATCH), F(BPF_MAP_LOOKUP_AND_DELETE_BATCH), F(BPF_MAP_UPDATE_BATCH),
      F(BPF_MAP_DELETE_BATCH), F(BPF_LINK_CREATE), F(BPF_LINK_UPDATE), F(BPF_LINK_GET_FD_BY_ID),
      F(BPF_LINK_GET_NEXT_ID), F(BPF_ENABLE_STATS), F(BPF_ITER_CREATE), F(BPF_LINK_DETACH),
      F(BPF_PROG_BIND_MAP));

TABLE(tip_flags_memfd, false, F(MFD_CLOEXEC), F(MFD_ALLOW_SEALING), F(MFD_HUGETLB),
      {8, "MFD_NOEXEC_SEAL"}, {16, "MFD_EXEC"});
TABLE(tip_flags_splice, false, F(SPLICE_F_MOVE), F(SPLICE_F_NONBLOCK), F(SPLICE_F_MORE),
      F(SPLICE_F_GIFT));
TABLE(tip_flags_shutdown, true, F(SHUT_RD), F(SHUT_WR), F(SHUT_RDWR));
TABLE(tip_flags_module, false, F(O_NONBLOCK), F(O_TRUNC));

TABLE(tip_flags_mount, false, {MS_RDONLY, "RDONLY"}, {MS_NOSUID, "NOSUID"}, {MS_NODEV, "NODEV"},
      {MS_NOEXEC, "NOEXEC"}, {MS_SYNCHRONOUS, "SYNCHRONOUS"}, {MS_REMOUNT, "REMOUNT"},
      {MS_MANDLOCK, "MANDLOCK"}, {MS_DIRSYNC, "DIRSYNC"}, {MS_NOATIME, "NOATIME"},
      {MS_NODIRATIME, "NODIRATIME"}, {MS_BIND, "BIND"}, {MS_MOVE, "MOVE"}, {MS_REC, "REC"},
      {MS_SILENT, "SILENT"}, {MS_POSIXACL, "POSIXACL"}, {MS_UNBINDABLE, "UNBINDABLE"},
      {MS_PRIVATE, "PRIVATE"}, {MS_SLAVE, "SLAVE"}, {MS_SHARED, "SHARED"},
      {MS_RELATIME, "RELATIME"}, {MS_KERNMOUNT, "KERNMOUNT"}, {MS_I_VERSION, "I_VERSION"},
      {MS_STRICTATIME, "STRICTATIME"}, {MS_LAZYTIME, "LAZYTIME"});
TABLE(tip_flags_umount, false, {MNT_FORCE, "FORCE"}, {MNT_DETACH, "DETACH"}, {MNT_EXPIRE, "EXPIRE"},
      {UMOUNT_NOFOLLOW, "NOFOLLOW"});
TABLE(tip_flags_prot, false, {0, "PROT_NONE"}, F(PROT_READ), F(PROT_WRITE), F(PROT_EXEC),
      {0x8, "PROT_SEM"}, F(PROT_GROWSDOWN), F(PROT_GROWSUP));
TABLE(tip_flags_map, false, F(MAP_SHARED), F(MAP_PRIVATE), F(MAP_FIXED), F(MAP_ANONYMOUS),
      F(MAP_32BIT), F(MAP_NORESERVE), F(MAP_POPULATE), F(MAP_NONBLOCK), F(MAP_GROWSDOWN),
      F(MAP_DENYWRITE), F(MAP_EXECUTABLE), F(MAP_LOCKED));

/* The kernel's; headers of the C library have not all of them. */
TABLE(tip_flags_finit_module, false, {1, "MODULE_INIT_IGNORE_MODVERSIONS"},
      {2, "MODULE_INIT_IGNORE_VERMAGIC"}, {4, "MODULE_INIT_COMPRESSED_FILE"});
TABLE(tip_flags_ptrace, true, F(PTRACE_TRACEME), F(PTRACE_PEEKTEXT), F(PTRACE_PEEKDATA),
      {PTRACE_PEEKUSER, "PTRACE_PEEKUSR"}, F(PTRACE_POKETEXT), F(PTRACE_POKEDATA),
      {PTRACE_POKEUSER, "PTRACE_POKEUSR"}, F(PTRACE_CONT), F(PTRACE_KILL), F(PTRACE_SINGLESTEP),
      F(PTRACE_GETREGS), F(PTRACE_SETREGS), F(PTRACE_GETFPREGS), F(PTRACE_SETFPREGS),
      F(PTRACE_ATTACH), F(PTRACE_DETACH), F(PTRACE_GETFPXREGS), F(PTRACE_SETFPXREGS),
      {21, "PTRACE_OLDSETOPTIONS"}, F(PTRACE_SYSCALL), F(PTRACE_GET_THREAD_AREA),
      F(PTRACE_SET_THREAD_AREA), F(PTRACE_ARCH_PRCTL), F(PTRACE_SYSEMU),
      F(PTRACE_SYSEMU_SINGLESTEP), F(PTRACE_SINGLEBLOCK), F(PTRACE_SETOPTIONS),
      F(PTRACE_GETEVENTMSG), F(PTRACE_GETSIGINFO), F(PTRACE_SETSIGINFO), F(PTRACE_GETREGSET),
      F(PTRACE_SETREGSET), F(PTRACE_SEIZE), F(PTRACE_INTERRUPT), F(PTRACE_LISTEN),
      F(PTRACE_PEEKSIGINFO), F(PTRACE_GETSIGMASK), F(PTRACE_SETSIGMASK));
TABLE(tip_flags_fcntl, true, F(F_DUPFD), F(F_GETFD), F(F_SETFD), F(F_GETFL), F(F_SETFL), F(F_GETLK),
      F(F_SETLK), F(F_SETLKW), F(F_SETOWN), F(F_GETOWN), F(F_SETSIG), F(F_GETSIG), F(F_SETOWN_EX),
      F(F_GETOWN_EX), F(F_OFD_GETLK), F(F_OFD_SETLK), F(F_OFD_SETLKW), F(F_SETLEASE), F(F_GETLEASE),
      F(F_NOTIFY), F(F_DUPFD_CLOEXEC), F(F_SETPIPE_SZ), F(F_GETPIPE_SZ));

TABLE(tip_flags_prctl, true, F(PR_SET_PDEATHSIG), F(PR_GET_PDEATHSIG), F(PR_GET_DUMPABLE),
      F(PR_SET_DUMPABLE), F(PR_GET_UNALIGN), F(PR_SET_UNALIGN), F(PR_GET_KEEPCAPS),
      F(PR_SET_KEEPCAPS), F(PR_GET_TIMING), F(PR_SET_TIMING), F(PR_SET_NAME), F(PR_GET_NAME),
      F(PR_GET_ENDIAN), F(PR_SET_ENDIAN), F(PR_GET_SECCOMP), F(PR_SET_SECCOMP), F(PR_CAPBSET_READ),
      F(PR_CAPBSET_DROP), F(PR_GET_TSC), F(PR_SET_TSC), F(PR_GET_SECUREBITS), F(PR_SET_SECUREBITS),
      F(PR_SET_TIMERSLACK), F(PR_GET_TIMERSLACK), F(PR_TASK_PERF_EVENTS_DISABLE),
      F(PR_TASK_PERF_EVENTS_ENABLE), F(PR_MCE_KILL), F(PR_MCE_KILL_GET), F(PR_SET_MM),
      F(PR_SET_CHILD_SUBREAPER), F(PR_GET_CHILD_SUBREAPER), F(PR_SET_NO_NEW_PRIVS),
      F(PR_GET_NO_NEW_PRIVS), F(PR_GET_TID_ADDRESS), F(PR_SET_THP_DISABLE), F(PR_GET_THP_DISABLE),
      F(PR_SET_FP_MODE), F(PR_GET_FP_MODE), F(PR_CAP_AMBIENT), F(PR_SET_PTRACER),
      F(PR_GET_SPECULATION_CTRL), F(PR_SET_SPECULATION_CTRL), F(PR_SET_VMA));

void tip_flags_text(struct tip_extract *x, const struct tip_flag_table *table, uint64_t value,
		    struct tip_value *out)
{
	size_t size = 1, n = 0;
	char *s;

	for (size_t i = 0; i < table->count; i++)
		size += strlen(table->flags[i].name) + 1;
	s = tip_scratch_alloc(x->scratch, size);
	for (size_t i = 0; i < table->count; i++) {
		const struct tip_named_bits *f = &table->flags[i];

		if (table->values || !f->value ? value == f->value : (value & f->value) == f->value)
			n += (size_t)snprintf(s + n, size - n, "%s%s", n ? "|" : "", f->name);
	}
	if (n)
		tip_value_strn(out, s, n);
}
