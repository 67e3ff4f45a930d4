/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIPSTAFF_ABI_H
#define TIPSTAFF_ABI_H

/*
 * What crosses the border between the kernel programs (bpf/) and the keeper:
 * map keys, map values, ring records. Fixed-size types, no padding holes
 * (lint compiles this file with -Wpadded -Werror). The includer provides
 * __u8 .. __u64 and __s32, __s64 (linux/types.h or bpf/lib/types.h).
 */

#include "tipstaff/shape.h"

/*
 * The layout's version. It is part of the pin directory's name. A daemon goes on with those maps of
 * an earlier layout that are the same in its own: for each group, the layout in which one of its
 * maps last changed. Who changes one raises the version, and sets its group's number to that.
 * (Tests build a second daemon with other numbers.)
 */
#ifndef TIP_ABI_VERSION
#define TIP_ABI_VERSION 6
#endif
#ifndef TIP_ABI_PROCESSES
#define TIP_ABI_PROCESSES 3 /* procs, bindings, digests, sequence, quarantine, identity_names */
#endif
#ifndef TIP_ABI_POLICY
#define TIP_ABI_POLICY 6 /* settings, and the maps that rules and policies are compiled to */
#endif
#ifndef TIP_ABI_SOCKETS
#define TIP_ABI_SOCKETS 3 /* connections of the Workload API, and those that are relayed */
#endif
#ifndef TIP_ABI_EVENTS
#define TIP_ABI_EVENTS 5 /* records in the rings, counters */
#endif

#include "tipstaff/abi_filter.h"
#include "tipstaff/abi_rules.h"

/* ---- identity ---------------------------------------------------------- */

/* Identity numbers. Real ones start at TIP_ID_FIRST; the keeper assigns them. */
#define TIP_ID_PENDING 0 /* not resolved yet; the default of everything absent */
#define TIP_ID_NONE    1 /* resolved: no registration entry matches */
#define TIP_ID_ANY     2 /* in policy keys only: whatever the identity */
#define TIP_ID_FIRST   16

#define TIP_SPIFFE_ID_MAX 2048 /* bytes without the NUL (SPIFFE-ID 2.3) */

/* Names a process for its life, also across exec: key of `procs`. */
struct tip_proc_key {
	__u64 start_ns; /* start_boottime of the thread-group leader */
	__u32 tgid;     /* in the initial pid namespace */
	__u32 zero;
};

#define TIP_PROC_IN_SCOPE (1u << 0) /* its cgroup lies in scope.cgroups */
/* The executable's mount lies in a namespace of the initial user ns: its path is root's word. */
#define TIP_PROC_EXE_INIT_MNT (1u << 1)
#define TIP_PROC_EXE_MEMFD    (1u << 2)
#define TIP_PROC_EXE_DELETED  (1u << 3) /* unlinked when it was executed */
#define TIP_PROC_EXE_FLAGS    (TIP_PROC_EXE_INIT_MNT | TIP_PROC_EXE_MEMFD | TIP_PROC_EXE_DELETED)
#define TIP_PROC_FORKED       (1u << 4) /* no exec of its own yet: it runs its parent's image */
#define TIP_PROC_PREEXISTING  (1u << 5) /* found by the iterator, not seen being born */
/* Its own credentials let it write to its executable (as inode_permission() judges, ACLs left out).
 */
#define TIP_PROC_EXE_WRITABLE (1u << 6)
/* The executable is overlayfs's: in the layer that is written to, or one of those below. */
#define TIP_PROC_EXE_UPPER (1u << 7)
#define TIP_PROC_EXE_LOWER (1u << 8)
/* What a fork shares with its parent, since it runs the same file. */
#define TIP_PROC_IMAGE                                                                             \
	(TIP_PROC_EXE_FLAGS | TIP_PROC_EXE_WRITABLE | TIP_PROC_EXE_UPPER | TIP_PROC_EXE_LOWER)

/* Value of `procs`: written only by kernel programs. */
struct tip_proc {
	__u64 exec_id;        /* unique since boot; a fork gets its own, an exec a new one */
	__u64 parent_exec_id; /* exec id of the parent when it forked */
	__u64 cgroup_id;      /* in the cgroup2 hierarchy */
	__u64 exe_ino;
	__u32 exe_dev;              /* kernel encoding: major << 20 | minor */
	__u32 epoch;                /* +1 at every change of credentials or cgroup */
	__u32 uid, gid, euid, egid; /* of the initial user namespace */
	__u32 mntns;                /* inode number of the mount namespace */
	__u32 flags;                /* TIP_PROC_* */
};

/*
 * Value of `bindings`, keyed by exec id: what the keeper answered. The kernel creates it (pending
 * or inherited) and deletes it with the exec id; the keeper replaces it with BPF_EXIST. A binding
 * whose epoch is not the process's is pending.
 */
struct tip_binding {
	__u32 current; /* identity number of this exec */
	__u32 origin;  /* the last identity that its lineage held before */
	__u32 epoch;
	__u32 zero;
};

/*
 * Value of `digests`, keyed by exec id: what the executable hashed to when it was executed. A fork
 * has its parent's. Written once, by the kernel, and deleted with the exec id.
 */
#define TIP_SHA256 32 /* bytes */
struct tip_digest {
	__u8 sha256[TIP_SHA256];
	__u32 known; /* 0: while the exec goes on, nothing yet */
	__u32 zero;
};

/*
 * An exec as far as selectors look at it: key of `exec_cache`, whose value is the identity number
 * that the keeper gave to one like it (TIP_ID_NONE too). The next one like it is bound before its
 * first instruction. Whatever a selector may ask for is in here; entries that ask for more (a
 * digest) turn it off. `exec_keys` holds the key of an exec until its answer comes.
 */
#define TIP_EXEC_CACHE_PATH 184 /* longer paths are not remembered */
struct tip_exec_cache_key {
	__u64 exe_ino;
	__u64 exe_ctime_ns;
	__u64 cgroup_id;
	__u32 exe_dev;
	__u32 exe_generation; /* of the inode: numbers are used again */
	__u32 euid, egid;
	__u32 mntns;
	__u32 entries; /* settings.entries: other entries, other answers */
	char path[TIP_EXEC_CACHE_PATH];
};

/* Value of `quarantine`, keyed by identity number. */
#define TIP_QUARANTINE_CONNECT (1u << 0) /* refuse new connections */

/* ---- Workload API connections ------------------------------------------- */

/* Who connected: value of `unix_peers`, keyed by the server-side sock's address. */
struct tip_unix_peer {
	struct tip_proc_key proc;
	__u64 exec_id;
	__u64 client_sk;  /* the connecting sock's address ... */
	__u64 client_ino; /* ... and socket inode: together unique for one connect */
	__u32 epoch;
	__u32 uid; /* effective ones of the thread that connected, as SO_PEERCRED has them */
	__u32 gid;
	__u32 zero;
};

/* Value of `accepted`, keyed by the keeper's fd number: what accept() just returned. */
struct tip_accepted {
	__u64 server_sk; /* key into `unix_peers`; the two below must agree with the record */
	__u64 client_sk;
	__u64 client_ino;
};

/* ---- traffic: policy ------------------------------------------------------ */

/*
 * Traffic policies, compiled by the keeper. A generation is written whole beside the old one, then
 * settings.traffic_generation is switched. `traffic` (an LPM trie) says for an address which slice
 * of `traffic_ports` holds; prefixes above it are flattened into the slice, so that one lookup and
 * one binary search are the whole decision. Slices are sorted and do not overlap.
 */
#define TIP_TRAFFIC_DIALLED 0 /* what an application dials, or is dialled at */
#define TIP_TRAFFIC_INET6   1 /* what arrives over IPv6: refused on ports that IPv4 enforces */
#define TIP_TRAFFIC_SERVED  2 /* under "::", each port that some policy enforces anywhere */
#define TIP_TRAFFIC_LOCAL   3 /* the same for a namespace's own addresses, but what is disabled */
/*
 * Ports on which some policy names an identity as server; its number (4 bytes) is the address, with
 * 32 bits. Where several policies do, their number stands for all of them together.
 */
#define TIP_TRAFFIC_SERVER 4
struct tip_traffic_key {
	__u32 prefixlen;  /* bits: 64 + those of the address */
	__u32 generation; /* settings.traffic_generation */
	__u32 table;      /* TIP_TRAFFIC_* */
	__u8 addr[16];    /* IPv4 as ::ffff:a.b.c.d: its /24 is 96 + 24 bits */
};

struct tip_traffic_slice {
	__u32 first; /* index into `traffic_ports` */
	__u32 count; /* 0: no policy */
};

struct tip_traffic_ports {
	__u16 low, high; /* both included */
	__u32 policy;    /* number of a strict policy; 0: left alone (mode disable) */
};
#define TIP_TRAFFIC_PORTS_MAX 65536 /* elements of `traffic_ports`: half for each generation */

/* Key of `traffic_clients`: that identity (current) may dial what that strict policy covers. */
struct tip_traffic_client {
	__u32 policy; /* unique over generations: those of the old one are deleted after the switch
		       */
	__u32 number;
};

/* ---- traffic: connections ------------------------------------------------- */

/* A TCP connection of one network namespace, as the end that dialled sees it. */
struct tip_flow_key {
	__u64 netns;        /* cookie */
	__u32 saddr, daddr; /* IPv4, network order */
	__u16 sport, dport; /* host order */
	__u32 zero;
};

/*
 * Value of `redirects`: a connect() that was turned to the worker, keyed by the connection to the
 * worker. Written at TCP_CONNECT_CB, before the SYN leaves; deleted when the socket closes.
 */
struct tip_redirect {
	struct tip_proc_key proc;
	__u64 exec_id;
	__u64 sk_cookie; /* of the application's socket: its ports can be another's later */
	__u32 epoch;
	__u32 current; /* identity at the hook: a number, or TIP_ID_PENDING */
	__u32 policy;
	__u32 daddr;      /* where the application wanted to go */
	__u32 shown_addr; /* what getsockname() shows; the keeper fills it in, 0: as it is */
	__u16 dport;
	__u16 shown_port;
};

/*
 * Value of `legs`, keyed by the second leg: the keeper's connection to the application. Only such
 * connections may reach an enforced port in the clear. It also says whom getpeername() and accept()
 * show. It goes when the application's end closes, for until then there may be bytes on their way.
 */
struct tip_leg {
	__u32 client_addr;
	__u16 client_port;
	__u16 zero;
};

/*
 * Key of `shares`: how much of a table somebody has. Whoever lives in a namespace, or has an
 * identity, must not fill it.
 */
#define TIP_SHARE_REDIRECTS 0
#define TIP_SHARE_LISTENERS 1
struct tip_share_key {
	__u64 netns;  /* cookie; 0: an identity's, or all */
	__u32 number; /* of an identity; 0: a namespace's, or all */
	__u32 table;  /* TIP_SHARE_* */
};

/*
 * Key of `listeners`: who called listen(), where a policy could cover it. A dual-stack wildcard is
 * 0.0.0.0; all that are for IPv6 alone are TIP_LISTENS6, which nobody listens at.
 */
#define TIP_LISTENS6 0xffffffffu
struct tip_listener_key {
	__u64 netns;
	__u32 addr;
	__u16 port;
	__u16 zero;
};

struct tip_listener {
	struct tip_proc_key proc;
	__u64 exec_id;   /* 0: sockets of more than one identity share the port, so nobody does */
	__u64 sk_cookie; /* only its own close deletes it */
};

/* What the iterator over open files tells of a listener. */
struct tip_listener_rec {
	struct tip_listener_key key;
	struct tip_listener by;
	__u32 group; /* sockets that share the port with SO_REUSEPORT, itself counted */
	__u32 zero;
};

/* Value of `veths`, keyed by the host's end (its index): what is behind it. */
struct tip_veth {
	__u64 netns; /* cookie */
	__s32 nsid;  /* its number in the host's namespace */
	__u32 zero;
};

/* Socket storage `ours`: written by the keeper only, inherited by what a listener accepts. */
#define TIP_OURS_LISTENER 1u /* the worker's listener of a namespace */
#define TIP_OURS_WIRE     2u /* towards the peer: TLS */
#define TIP_OURS_LEG      3u /* towards the application: in `legs` */

/* Milliseconds without a heartbeat (map `heartbeat`) after which the worker counts as hanging. */
#define TIP_HEARTBEAT_MS 5000

/* ---- configuration of the kernel side ----------------------------------- */

#define TIP_SCOPE_MAX 16
struct tip_scope {
	__u64 cgroup_id;
	__u32 level; /* depth of that cgroup below the cgroup2 root (root = 0) */
	__u32 zero;
};

#define TIP_WANT_REAL_PATH (1u << 0) /* fd.path.real */
#define TIP_WANT_ENV       (1u << 1) /* proc.env, proc.aenv */
#define TIP_WANT_DATA      (1u << 2) /* evt.buffer: what is read and written */
#define TIP_WANT_HOST_PATH (1u << 3) /* fd.path.host */

/*
 * Value of `settings` (array of one). Replaced whole by the keeper; each
 * program run reads it once. What stands up to `nscope` stays where it is in
 * every layout: other instances, of whatever version, read the scope from it.
 */
struct tip_settings {
	struct tip_scope scope[TIP_SCOPE_MAX];
	__u64 event_mask;         /* 1 << TIP_EV_*: activity that some rule wants */
	__u64 build;              /* which build of the programs acts; others stand by */
	__u64 workload_ino;       /* inode of the Workload API socket file, 0: none */
	__u32 workload_dev;       /* its device, kernel encoding */
	__u32 keeper_tgid;        /* whose accept() consumes records; initial pid namespace */
	__u32 nscope;             /* 0: the whole node */
	__u32 enforce;            /* 0: rules with an action and quarantine are ignored */
	__u32 wants;              /* TIP_WANT_*: what some rule reads and is gathered only then */
	__u32 rule_generation;    /* of the enforcing rules, 0: there were never any */
	__u32 rule_count;         /* how many there are */
	__u32 traffic_generation; /* 0: no policy, nothing is intercepted */
	__u32 worker_port;        /* of the worker's listener, on 127.0.0.1 of each namespace */
	__u32 redirects_per_netns, redirects_per_identity, listeners_per_netns; /* at most */
	__u32 entries;        /* number of the set of registration entries */
	__u32 remember_execs; /* 0: some entry asks for more than exec_cache compares */
	__u64 digest_max;     /* bytes of the largest executable that is hashed; 0: nobody asks */
	__u32 filter_generation; /* of the prefilter; 0: there is none, all is told */
	__u32 zero;
	__u64 calls[TIP_SYSCALLS / 64]; /* bits: system calls that some rule wants, TIP_EV_CALL */
	/* By number: enum tip_handler of the 64-bit call, and TIP_HANDLER_IA32 if the 32-bit call
	 * of that number is handled. */
	__u8 handlers[TIP_SYSCALLS];
};

/* ---- events --------------------------------------------------------------- */

enum tip_event_type {
	/* lifecycle: always sent, through the ring `lifecycle` */
	TIP_EV_EXEC = 1,
	TIP_EV_FORK = 2,
	TIP_EV_EXIT = 3,
	TIP_EV_CRED = 4,     /* uid or gid changed (setuid family) */
	TIP_EV_CGROUP = 5,   /* moved to another cgroup */
	TIP_EV_NETNS = 6,    /* acts in a namespace that has no worker: please serve it */
	TIP_EV_LISTENER = 7, /* nobody knows who listens where it wants to: please look */
	/* activity: sent when a rule wants them, through the ring `activity` */
	TIP_EV_OPEN = 8,
	TIP_EV_CONNECT = 9,
	TIP_EV_ACCEPT = 10,
	TIP_EV_BIND = 11,
	TIP_EV_LISTEN = 12,
	TIP_EV_DENIED_CONNECT =
		13, /* the connect hook refused: `reason` says why. Never filtered by mask */
	TIP_EV_SIGNAL = 14,
	TIP_EV_PTRACE = 15,
	TIP_EV_MOUNT = 16,
	TIP_EV_MODULE = 17,
	TIP_EV_MMAP = 18, /* and mprotect: of memory that may be executed */
	/* An exec that was refused: a tip_ev_exec of what it would have become. Never filtered. */
	TIP_EV_DENIED_EXEC = 19,
	TIP_EV_CALL = 20, /* any other system call: settings.calls says which */
	TIP_EV_MAX
};

#define TIP_EVF_KILLED    (1u << 0) /* a rule ended the process: `rule` of the payload says which */
#define TIP_EVF_TRUNCATED (1u << 1) /* some string did not fit */
#define TIP_EVF_COMPAT    (1u << 2) /* 32-bit syscall */
#define TIP_EVF_DIRECT    (1u << 4) /* io_uring put it into its own table: there is no number */
#define TIP_EVF_SNAPSHOT  (1u << 3) /* EXEC, by the iterator, of a process that already ran */
#define TIP_EVF_ASKED     (1u << 6) /* of io_uring; its end is not seen, `ret` is that of a success */
/* A rule refused the act before it was done: `rule` says which. The event of the failed system call
 * comes as well. */
#define TIP_EVF_DENIED (1u << 5)

/* Every record starts with this; `len` bytes in all. */
struct tip_hdr {
	__u16 type;  /* enum tip_event_type */
	__u16 flags; /* TIP_EVF_* */
	__u32 len;
	__u64 time_ns; /* CLOCK_BOOTTIME */
	struct tip_proc_key proc;
	__u64 exec_id;
	__u64 cgroup_id;
	__u32 epoch;
	__u32 tid;
	__u32 current; /* identity as the kernel knew it */
	__u32 origin;
	__u32 uid, gid;
	__u32 cpu; /* that it happened on */
	/* Of an EXEC: no rule can match it, by the prefilter of that generation. 0: one may. */
	__u32 unmatched;
	__s64 ret; /* result of the syscall, -errno on failure */
	char comm[16];
};

/* Strings follow the payload in the order of the *_len members, NUL not counted but present. */
#define TIP_PATH_MAX 4096
#define TIP_ARGS_MAX 4096

struct tip_ev_exec {
	struct tip_proc_key parent;
	__u64 old_exec_id; /* what it was before this exec (0 in a snapshot) */
	__u64 parent_exec_id;
	__u64 exe_ino;
	__u64 exe_ctime_ns; /* ctime and mtime of the executable, ns since the epoch */
	__u64 exe_mtime_ns;
	__u64 cap_permitted, cap_effective, cap_inheritable;
	__u64 pidns_init_ns; /* when the first process of its pid namespace started; boot time */
	__u64 pgft_maj, pgft_min; /* page faults of the thread so far */
	__u32 vm_size;            /* KiB */
	__u32 fdlimit;            /* soft RLIMIT_NOFILE */
	__u32 exe_dev;
	__u32 proc_flags; /* TIP_PROC_* */
	__u32 euid, egid;
	__u32 loginuid;
	__u32 tty;         /* tty device number as /proc/PID/stat shows it, 0: none */
	__u32 sid, pgid;   /* session and process group, initial pid namespace */
	__u32 vpid, vpgid; /* in the innermost pid namespace */
	__u32 mntns, pidns;
	__u32 netns;        /* inode number */
	__u32 rule;         /* with TIP_EVF_KILLED or TIP_EVF_DENIED */
	__u32 exe_mode;     /* st_mode of the executable */
	__u16 syscall;      /* 1: execveat of or below a descriptor; 0: execve */
	__u16 filename_len; /* what was passed to exec */
	__u16 exe_path_len; /* dentry walk up to the mount namespace's root */
	__u16 cwd_len;
	__u16 args_len; /* argv as in memory, NUL between */
	__u16 env_len;  /* likewise the environment, with TIP_WANT_ENV; 0: not even its NUL is there
			 */
};

struct tip_ev_fork { /* header: the parent */
	struct tip_proc_key child;
	__u64 child_exec_id;
	__u32 child_pid_in_ns;
	__u32 child_flags; /* TIP_PROC_* */
	__u64 child_cgroup_id;
	__u32 child_current; /* what it inherited; TIP_ID_PENDING if that must be asked for */
	__u32 child_origin;
	__u32 child_netns; /* inode number */
	__u32 zero;
};

struct tip_ev_netns { /* and TIP_EV_LISTENER */
	__u64 cookie;
	__u32 netns; /* inode number */
	__u32 zero;
};

struct tip_ev_exit {
	__s32 code; /* as wait() would show it */
	__u32 zero;
};

struct tip_ev_cred { /* header: uid and gid are the new ones, epoch too */
	__u32 euid, egid;
	__u32 old_uid, old_gid;
};

struct tip_ev_cgroup { /* header: cgroup_id and epoch are the new ones */
	__u64 old_cgroup_id;
	__u32 proc_flags; /* TIP_PROC_IN_SCOPE may have changed */
	__u32 zero;
};

/* Which syscall an open came through. */
#define TIP_OPEN_OPEN      0
#define TIP_OPEN_OPENAT    1
#define TIP_OPEN_OPENAT2   2
#define TIP_OPEN_CREAT     3
#define TIP_OPEN_BY_HANDLE 4 /* open_by_handle_at: no name, `real` is always there */

#define TIP_FILE_CREATED 1 /* this open made it */
#define TIP_FILE_UPPER   2 /* in overlayfs's layer that is written to */
#define TIP_FILE_LOWER   4 /* in one below */

struct tip_ev_open { /* header.ret: the fd, or -errno */
	__u64 ino;
	__u64 resolve; /* openat2 */
	__u32 dev;
	__u32 oflags; /* O_* as given */
	__u32 mode;
	__s32 dirfd;
	__u32 rule;     /* with TIP_EVF_KILLED or TIP_EVF_DENIED */
	__u16 syscall;  /* TIP_OPEN_* */
	__u16 name_len; /* the raw argument */
	__u16 base_len; /* folder that a relative name starts from (cwd or dirfd), "" if absolute */
	__u16 real_len; /* what was really opened, "" when failed or not wanted */
	__u16 file_mode;  /* st_mode of the opened file, 0 when failed */
	__u16 file_flags; /* TIP_FILE_* */
	__u16 host_len; /* the same file under the oldest mount that root made; 0: no such string */
	__u16 zero[3];
};

struct tip_ev_sock {    /* connect, accept, bind, listen, denied connect; header.ret: result */
	__u8 laddr[16]; /* IPv4 in the first four bytes; network order */
	__u8 raddr[16];
	__u64 netns_cookie; /* 0: unknown */
	__u64 sock_ino;
	__u32 netns; /* inode number */
	__s32 fd;
	__u16 family;    /* AF_* */
	__u16 sock_type; /* SOCK_STREAM ... */
	__u16 protocol;
	__u16 lport; /* host order */
	__u16 rport;
	__u16 path_len; /* AF_UNIX: path, an abstract one with a leading '@' */
	__u32 backlog;  /* listen */
	__u32 reason;   /* denied connect: TIP_DENY_* */
	__u32 policy;   /* denied connect: number of the traffic policy, 0: none; with
			 * TIP_EVF_DENIED that of the rule */
};

/*
 * Which call it was, and its arguments: `args` in the order of the 64-bit system call, then the
 * strings in `text_len`.
 */
#define TIP_CALL_KILL          0
#define TIP_CALL_TKILL         1
#define TIP_CALL_TGKILL        2
#define TIP_CALL_PTRACE        3
#define TIP_CALL_MOUNT         4  /* source, target, type */
#define TIP_CALL_UMOUNT        5  /* target */
#define TIP_CALL_UMOUNT2       6  /* target */
#define TIP_CALL_MOVE_MOUNT    7  /* from, to */
#define TIP_CALL_INIT_MODULE   8  /* its parameters */
#define TIP_CALL_FINIT_MODULE  9  /* its parameters, the file */
#define TIP_CALL_MMAP          10 /* "", the file; args[5] is in bytes */
#define TIP_CALL_MPROTECT      11
#define TIP_CALL_PKEY_MPROTECT 12
#define TIP_CALL_SYSCALL       13 /* `nr` says which, see TIP_TEXT_* */
#define TIP_CALL_MAX           14

/* What a file is that has no place in a file system, or that only looks as if it had one. */
enum tip_file_kind {
	TIP_KIND_FILE, /* or a folder */
	TIP_KIND_EVENTFD,
	TIP_KIND_EPOLL,
	TIP_KIND_SIGNALFD,
	TIP_KIND_TIMERFD,
	TIP_KIND_INOTIFY,
	TIP_KIND_IO_URING,
	TIP_KIND_USERFAULTFD,
	TIP_KIND_PIPE,
	TIP_KIND_BPF,
	TIP_KIND_MEMFD,
	TIP_KIND_PIDFD,
	TIP_KIND_UNKNOWN, /* some other of the kernel's own: perf events, fanotify, ... */
	TIP_KIND_MAX
};

struct tip_ev_call { /* signal, ptrace, mount, module, mmap, call; header.ret: the result */
	__u64 args[6];
	__u64 ino; /* of the file, 0: none */
	__u32 dev;
	__u32 file_mode;
	struct tip_ev_sock sock; /* family 0: no socket; path_len is not used */
	__s32 fd;                /* TIP_CALL_SYSCALL: -1: none */
	__u16 nr;                /* TIP_CALL_SYSCALL: in the 64-bit table */
	__u16 call;              /* TIP_CALL_* */
	__u16 text_len[TIP_CALL_TEXTS];
	__u32 file_kind; /* of the file: enum tip_file_kind */
};

/* Why the connect hook said EPERM. */
#define TIP_DENY_QUARANTINE  1
#define TIP_DENY_NO_IDENTITY 2 /* a strict policy covers the destination, the process has none */
#define TIP_DENY_CLIENT      3 /* its identity is none of the policy's clients */
#define TIP_DENY_PROTOCOL    4 /* not TCP over IPv4: cannot be protected, so not to that port */
#define TIP_DENY_LOCAL       5 /* inside its namespace, to a server that has not listed it */
#define TIP_DENY_SHARE       6 /* EHOSTUNREACH: `redirects` has no more place for it */
#define TIP_DENY_RULE        7
#define TIP_DENY_SOCKET      8 /* the socket was made outside the scope: it cannot be relayed */

/* ---- counters -------------------------------------------------------------- */

/* Indexes into `counters` (per-CPU array of __u64). */
enum tip_counter {
	TIP_CTR_LIFECYCLE_SENT,
	TIP_CTR_LIFECYCLE_DROPPED, /* ring full */
	TIP_CTR_ACTIVITY_SENT,
	TIP_CTR_ACTIVITY_DROPPED,
	TIP_CTR_FILTERED,   /* out of scope, or no longer wanted */
	TIP_CTR_PROCS_FULL, /* a process that found no place in `procs`: it stays pending */
	TIP_CTR_KILLS,
	TIP_CTR_CONNECT_DENIED,
	TIP_CTR_PEERS_FULL,
	TIP_CTR_REDIRECTED,     /* connects turned to the worker */
	TIP_CTR_REDIRECTS_FULL, /* no place in `redirects`, or the namespace has its share: refused
				 */
	TIP_CTR_NO_WORKER,      /* EHOSTUNREACH: no listener here, it hangs, or is out of reach */
	TIP_CTR_LISTENERS_FULL, /* a listener not entered: the namespace has its share */
	TIP_CTR_LOCAL_UNKNOWN, /* EHOSTUNREACH inside a namespace: who listens or dials is not known
				*/
	TIP_CTR_STEERED,       /* inbound connections given to the worker */
	TIP_CTR_STEER_REFUSED, /* inbound on an enforced port, and nobody to give it to */
	TIP_CTR_PLAIN_STOPPED, /* packets of enforced ports outside registered connections */
	TIP_CTR_VETH_STOPPED,  /* the same, on the host's end of a veth */
	TIP_CTR_EXEC_CACHED,   /* execs that were bound before their first instruction */
	TIP_CTR_DENIED,        /* acts refused by rules, before they were done */
	TIP_CTR_JUDGES_BUSY,   /* acts refused with EAGAIN: no memory to judge them in */
	TIP_CTR_DIGEST_HASHED, /* executables that IMA hashed during their exec */
	TIP_CTR_DIGEST_REMEMBERED, /* those whose digest was still known */
	/* acts of an event that some rule wants, which meet no rule's conditions: not told */
	TIP_CTR_PREFILTERED,
	/* The keeper's notes for the next one. */
	TIP_CTR_DROPS_TOLD,      /* of the dropped, those that an alert has named */
	TIP_CTR_TAKEN_LIFECYCLE, /* records that were taken out of the ring */
	TIP_CTR_TAKEN_ACTIVITY,
	TIP_CTR_TAKEN_UNMATCHED, /* of those of the first: execs that no rule could match */
	TIP_CTR_MAX
};

/* ---- names under the pin directory -------------------------------------------- */

/*
 * /sys/fs/bpf/tipstaff/<instance>/v<TIP_ABI_VERSION>/ holds every map that outlives an upgrade
 * under its own name, and one folder for each build of the programs, named by its hash in hex. In
 * that: "link_<program>", for cgroup hooks "link_<program>_<cgroup id>", "prog_<program>", and the
 * map "handlers".
 */
#define TIP_PIN_ROOT "/sys/fs/bpf/tipstaff"

/* Value of `identity_names`, keyed by number: survives together with the pins that use it. */
struct tip_identity_name {
	__u32 len;
	char name[TIP_SPIFFE_ID_MAX];
};

#endif
