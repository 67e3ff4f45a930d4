/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIP_BPF_MAPS_H
#define TIP_BPF_MAPS_H

#include "lib/base.h"

/*
 * Every map of the kernel side; lib/maps.bpf.c defines them. Sizes of `procs`, `bindings`,
 * `digests` and the rings are set by the keeper before load. Where an entry is missing the answer
 * is the safe one: no process means pending, no binding means pending, no record means refused.
 */

/* Living processes. Not an LRU: a process that finds no place stays pending and is counted. */
struct tip_map_procs {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, struct tip_proc_key);
	__type(value, struct tip_proc);
};
extern struct tip_map_procs procs SEC(".maps");

/* exec id -> what the keeper answered. */
struct tip_map_bindings {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64);
	__type(value, struct tip_binding);
};
extern struct tip_map_bindings bindings SEC(".maps");

/* An exec -> who one like it was. LRU: forgetting costs an answer by the keeper, no more. */
struct tip_map_exec_cache {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, struct tip_exec_cache_key);
	__type(value, __u32);
};
extern struct tip_map_exec_cache exec_cache SEC(".maps");

/* exec id -> its key, while the keeper has not answered. */
struct tip_map_exec_keys {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct tip_exec_cache_key);
};
extern struct tip_map_exec_keys exec_keys SEC(".maps");

/* exec id -> what the kernel hashed. Memory is taken only while an entry asks for digests. */
struct tip_map_digests {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct tip_digest);
};
extern struct tip_map_digests digests SEC(".maps");

/* The next exec id. The keeper starts it at the uptime in us: above all that an earlier map gave
 * out. */
struct tip_map_sequence {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
};
extern struct tip_map_sequence sequence SEC(".maps");

struct tip_map_settings {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tip_settings);
};
extern struct tip_map_settings settings SEC(".maps");

struct tip_map_counters {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TIP_CTR_MAX);
	__type(key, __u32);
	__type(value, __u64);
};
extern struct tip_map_counters counters SEC(".maps");

struct tip_map_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
};
extern struct tip_map_ring lifecycle SEC(".maps");
extern struct tip_map_ring activity SEC(".maps");

/* identity number -> TIP_QUARANTINE_*. Only the keeper writes, and it can be told that memory is
 * short. */
struct tip_map_quarantine {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
};
extern struct tip_map_quarantine quarantine SEC(".maps");

struct tip_map_rule_sets {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct tip_rule_set);
};
extern struct tip_map_rule_sets rule_sets SEC(".maps");

/* The three hold two sets for a moment. */
struct tip_map_rule_values {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TIP_RULE_VALUES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC); /* as above */
	__type(key, struct tip_rule_value_key);
	__type(value, struct tip_rule_match);
};
extern struct tip_map_rule_values rule_values SEC(".maps");

struct tip_map_rule_texts {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, TIP_RULE_PREFIXES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC); /* a trie has no other kind */
	__type(key, struct tip_rule_text_key);
	__type(value, struct tip_rule_match);
};
extern struct tip_map_rule_texts rule_texts SEC(".maps");

struct tip_map_rule_nets {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, TIP_RULE_PREFIXES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tip_rule_net_key);
	__type(value, struct tip_rule_match);
};
extern struct tip_map_rule_nets rule_nets SEC(".maps");

struct tip_map_filters {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * TIP_FILTER_GROUPS);
	__type(key, __u32);
	__type(value, struct tip_filter);
};
extern struct tip_map_filters filters SEC(".maps");

/* Holds two generations for a moment. */
struct tip_map_filter_names {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tip_filter_key);
	__type(value, struct tip_filter_match);
};
extern struct tip_map_filter_names filter_names SEC(".maps");

/* Never read here; it lives with the pins because bindings without names mean nothing. */
struct tip_map_identity_names {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC); /* 2 KB a value: only what is used */
	__type(key, __u32);
	__type(value, struct tip_identity_name);
};
extern struct tip_map_identity_names identity_names SEC(".maps");

/*
 * Connects to the Workload API that the keeper has not asked about yet. Each holds a place in
 * the listener's backlog (at most 4096), so live records are never the oldest of this LRU.
 */
struct tip_map_unix_peers {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct tip_unix_peer);
};
extern struct tip_map_unix_peers unix_peers SEC(".maps");

/* fd number in the keeper -> what accept() returned there. */
struct tip_map_accepted {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct tip_accepted);
};
extern struct tip_map_accepted accepted SEC(".maps");

/* ---- traffic: policy ---- */

/* Address -> slice of `traffic_ports`, for each generation and table. */
struct tip_map_traffic {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries,
	       524288); /* two generations of what policy/traffic.h allows, in all tables */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tip_traffic_key);
	__type(value, struct tip_traffic_slice);
};
extern struct tip_map_traffic traffic SEC(".maps");

/* Even generations have the first half, odd ones the second. */
struct tip_map_traffic_ports {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TIP_TRAFFIC_PORTS_MAX);
	__type(key, __u32);
	__type(value, struct tip_traffic_ports);
};
extern struct tip_map_traffic_ports traffic_ports SEC(".maps");

struct tip_map_traffic_clients {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tip_traffic_client);
	__type(value, __u32);
};
extern struct tip_map_traffic_clients traffic_clients SEC(".maps");

/* ---- traffic: connections; the keeper sets the sizes of the first two ---- */

struct tip_map_redirects {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tip_flow_key);
	__type(value, struct tip_redirect);
};
extern struct tip_map_redirects redirects SEC(".maps");

/*
 * Entries of tables, of whom. An LRU, for nobody says when a namespace ends: it has many times the
 * places that there can be workers and identities.
 */
struct tip_map_shares {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct tip_share_key);
	__type(value, __s64);
};
extern struct tip_map_shares shares SEC(".maps");

struct tip_map_legs {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tip_flow_key);
	__type(value, struct tip_leg);
};
extern struct tip_map_legs legs SEC(".maps");

struct tip_map_listeners {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tip_listener_key);
	__type(value, struct tip_listener);
};
extern struct tip_map_listeners listeners SEC(".maps");

/*
 * Network namespace (cookie) -> the worker's listener there. The kernel takes a socket out when it
 * is closed, so a worker that was killed is gone at once. Listeners only: a connected socket in a
 * sockmap cannot have kTLS.
 */
struct tip_map_workers {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
};
extern struct tip_map_workers workers SEC(".maps");

/* What is ours: TIP_OURS_*. Only who holds this map can write it, whatever marks a socket has. */
struct tip_map_ours {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, __u32);
};
extern struct tip_map_ours ours SEC(".maps");

/* The host's ends of served namespaces, by interface index. */
struct tip_map_veths {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct tip_veth);
};
extern struct tip_map_veths veths SEC(".maps");

/* Where a redirected socket wanted to go, and who asked for it: from the connect hook on. */
struct tip_map_redirected {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tip_redirect);
};
extern struct tip_map_redirected redirected SEC(".maps");

/* CLOCK_BOOTTIME in ns when the worker last showed that it lives. */
struct tip_map_heartbeat {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
};
extern struct tip_map_heartbeat heartbeat SEC(".maps");

/* Not 0: the keeper looks at the rings by the clock, and need not be woken. */
struct tip_map_paced {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
};
extern struct tip_map_paced paced SEC(".maps");

/* ---- one for each generation of programs ---- */

/* enum tip_handler -> program. One for each generation of programs, filled before it is attached.
 */
struct tip_map_handlers {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, TIP_HANDLER_MAX);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
};
extern struct tip_map_handlers handlers SEC(".maps");

/*
 * What a thread is in the middle of, where activity is sensed in the kernel's own functions: an
 * outer function begins it, inner ones add what they know, one of them tells. Lives and dies with
 * the thread.
 */
enum tip_act {
	TIP_ACT_NONE,
	TIP_ACT_OPEN,
	TIP_ACT_SOCKET, /* connect, bind, listen */
	TIP_ACT_ACCEPT,
	TIP_ACT_MOUNT,
	TIP_ACT_MMAP,
};

struct tip_acting {
	struct open_how how; /* openat2, and what io_uring opens: the kernel's copy */
	__u64 sock;          /* struct socket, 0: the call did not come so far */
	struct tip_ev_sock ev;
	union tip_sockaddr addr; /* as the kernel copied it, before anybody could rewrite it */
	__u32 addr_len;
	__u32 act; /* enum tip_act */
	__s32 fd;  /* reserved for what is opened or accepted; -1: none yet */
	bool told; /* the event is out */
	bool has_how;
	bool uring;
	bool nonblock; /* io_uring: a first try, repeated where it may wait if it would have to */
	__u8 opcode;   /* of io_uring */
};

struct tip_map_acting {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tip_acting);
};
extern struct tip_map_acting acting SEC(".maps");

/* A thread that executes: what digest.bpf.c leaves for exec.bpf.c, which knows the new exec id. */
struct tip_map_hashed {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tip_digest);
};
extern struct tip_map_hashed hashed SEC(".maps");

/*
 * Scratch memory for records that do not fit on the stack. One set for each program that can be
 * preempted by another of them (from 6.13 on tracepoints do not always disable preemption), and a
 * pool for those that any number of others can preempt, see scratch_take().
 */
enum tip_scratch_set {
	TIP_SCRATCH_EXEC,
	TIP_SCRATCH_SYSCALL,
	TIP_SCRATCH_ITER,
	TIP_SCRATCH_POOL,
	TIP_SCRATCH_SETS = TIP_SCRATCH_POOL + 4
};

#define TIP_WALK_SIZE 4096
#define TIP_NAME_MAX  255
#define TIP_REC_MASK  0x3fff /* where the last string of a record may begin, at most */

/*
 * How an open ended, and where its name stands. In scratch memory, not on the stack: what the
 * verifier does not know of it cannot multiply the cases that it follows.
 */
struct tip_opened {
	__s64 ret;       /* the descriptor, or -errno */
	__u64 file;      /* struct file, 0: it failed, or is closed by now */
	__u64 name;      /* 0: there was none */
	__u32 name_user; /* 1: in user memory */
	__u32 flags;     /* TIP_EVF_* */
	__u32 killed;
	__u32 rule;
	__u32 named;  /* 1: the name is in the record already */
	__u32 wanted; /* 1: some rule may match it */
};

/* What is told of a call in call.h. Here for the same reason. */
struct tip_called {
	__u64 args[8]; /* six; a power of two for the verifier */
	__s64 ret;
	__u64 text[TIP_TEXT_DATA]; /* addresses; 0: none */
	__u64 file;                /* struct file, 0: none */
	__u64 left;                /* clauses of the prefilter that may still be met, and ... */
	__u32 generation;          /* ... whose they are */
	__u32 in_kernel;           /* 1 << i: text[i] is in the kernel's memory */
	__u32 type;                /* enum tip_event_type */
	__u32 call;                /* TIP_CALL_* */
	__u32 flags;               /* TIP_EVF_* */
};

/* A path while it is walked, see path.h. */
struct tip_path_buf {
	char text[TIP_WALK_SIZE + TIP_NAME_MAX + 1];
	__u32 off; /* where its text begins */
	__u32 truncated;
};

struct tip_scratch {
	__u8 rec[TIP_REC_MASK + 1 + TIP_PATH_MAX + 8];
	struct tip_path_buf path;
	__u32 text_pos; /* see store.h */
	__u32 text_truncated;
	__u32 taken;
	__u32 set; /* its own number, where a function asks for it */
	struct tip_opened opened;
	struct tip_called called;
	struct tip_exec_cache_key exec;
	struct tip_filter_key front, back; /* see filter.bpf.c */
};

struct tip_map_scratch {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TIP_SCRATCH_SETS);
	__type(key, __u32);
	__type(value, struct tip_scratch);
};
extern struct tip_map_scratch scratch SEC(".maps");

/*
 * Where an act is judged. LSM programs can be preempted by any other task, so memory of a CPU is
 * not theirs alone: each takes a place of this pool for itself. The keeper makes TIP_JUDGES_CPU
 * places for each CPU, see abi.h.
 */

struct tip_judge {
	__u32 busy;
	__u32 zero;
	struct tip_path_buf path;
	struct tip_rule_text_key key;
	char slack[TIP_NAME_MAX + 1]; /* behind key.text: a name may begin at its end */
	union {
		struct tip_denied_file {
			struct tip_hdr hdr;
			struct tip_ev_open ev;
			char path[TIP_PATH_MAX];
		} file;
		struct tip_denied_exec {
			struct tip_hdr hdr;
			struct tip_ev_exec ev;
			char path[TIP_PATH_MAX];
		} exec;
	};
};

struct tip_map_judges {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TIP_JUDGES_MIN);
	__type(key, __u32);
	__type(value, struct tip_judge);
};
extern struct tip_map_judges judges SEC(".maps");

#endif
