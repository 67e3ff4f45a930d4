/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_BASE_H
#define TIP_BPF_BASE_H

/*
 * The lowest layer: headers, constants and one-line idioms. The layers above it,
 * each including only what is below: extract.h and path.h read the kernel's
 * structures, store.h writes maps and rings, identity.h keeps processes and bindings.
 *
 * (A pointer goes into BPF_CORE_READ as a local variable: a member of one of our own structures
 * would be taken for the kernel's.) Kernel memory is read with BPF_CORE_READ
 * (bpf_probe_read_kernel), which asks nothing of its pointer. What every event reads of its task
 * goes through BTF pointers instead, where a read is one instruction and not a call: a task must
 * come from the hook's arguments or bpf_get_current_task_btf().
 */

#include <linux/bpf.h>
#include "lib/types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "tipstaff/abi.h"

#define PF_KTHREAD            0x00200000
#define TS_COMPAT             0x0002      /* x86: inside a 32-bit system call */
#define X32_BIT               0x40000000u /* x86: marks the numbers of the x32 ABI */
#define S_IFMT                0170000
#define S_IFSOCK              0140000
#define S_IFDIR               0040000
#define S_IFIFO               0010000
#define FMODE_READ            1u
#define FMODE_WRITE           2u
#define FMODE_EXEC            0x20u
#define FMODE_CREATED         0x100000u /* this open made the file */
#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#define ANON_INODE_FS_MAGIC   0x09041934
#define PID_FS_MAGIC          0x50494446 /* since 6.9; before, a pidfd is anonymous */
#define O_ACCMODE             3
#define O_TRUNC               01000
#define AT_FDCWD              (-100)
#define AF_UNIX               1
#define AF_INET               2
#define AF_INET6              10
#define AF_NETLINK            16
#define AF_PACKET             17
#define AF_ALG                38
#define SOCK_STREAM           1
#define SOCK_DGRAM            2
#define SOCK_RAW              3
#define SOCK_PACKET           10
#define IPPROTO_ICMP          1
#define IPPROTO_TCP           6
#define IPPROTO_UDP           17
#define IPPROTO_DCCP          33
#define IPPROTO_ICMPV6        58
#define IPPROTO_SCTP          132
#define IPPROTO_UDPLITE       136
#define IPPROTO_MPTCP         262
#define IFF_LOOPBACK          0x8
#define SIGKILL               9
#define EPERM                 1
#define EAGAIN                11
#define EEXIST                17
#define ECONNREFUSED          111
#define EHOSTUNREACH          113
#define EINPROGRESS           115
#define ARRAY_SIZE(a)         (sizeof(a) / sizeof((a)[0]))

/* Hides a value's history from the compiler, so that a bound check stays where it is written. */
#define opaque(var) asm volatile("" : "+r"(var))

/* What was stored in a map is read back from there: the verifier does not know what it is. */
#define forget() asm volatile("" ::: "memory")

/*
 * Which build of the programs this is: a hash of the linked object, written before load. Programs
 * act only while `settings.build` names them, so two generations can be attached at once during an
 * upgrade, and one store switches from the old one to the new.
 */
extern const volatile __u64 tip_build;

/* BPF LSM denies acts here, so no other program needs to judge them. Written before load. */
extern const volatile bool tip_lsm;

/* Elements of `judges`, a power of two; likewise. */
extern const volatile __u32 tip_judges;

/* Numbers of 32-bit calls, and of those behind socketcall(), in the 64-bit table; likewise. */
extern const volatile __u16 tip_ia32[TIP_SYSCALLS];
extern const volatile __u16 tip_socketcalls[TIP_SOCKETCALLS];

/* What each system call takes; likewise. */
extern const volatile struct tip_shape tip_shapes[TIP_SYSCALLS];

#endif
