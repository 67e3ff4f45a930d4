/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_SENSOR_SENSOR_H
#define TIP_SENSOR_SENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/types.h>

#include "base/error.h"
#include "tipstaff/abi.h"

/*
 * The only room that talks to bpf(2) for programs: it probes the kernel, loads
 * and pins the programs of bpf/ (or adopts what an earlier daemon pinned),
 * drains the rings and hands out decoded events. It knows no rule.
 */

/*
 * One decoded event. Pointers go into the ring record and are valid only during
 * the callback; strings are NUL-terminated, never NULL.
 */
struct tip_event {
	const struct tip_hdr *hdr;
	bool unmatched; /* no rule of this daemon can match it: it is for the table of processes */
	union {
		struct {
			const struct tip_ev_exec *data;
			const char *filename;
			const char *exe_path;
			const char *cwd;
			const char *args; /* data->args_len bytes, arguments separated by NUL */
			const char *env;  /* likewise data->env_len bytes, 0: not asked for */
		} exec;
		const struct tip_ev_fork *fork;
		const struct tip_ev_exit *exit;
		const struct tip_ev_cred *cred;
		const struct tip_ev_cgroup *cgroup;
		const struct tip_ev_netns *netns;
		struct {
			const struct tip_ev_open *data;
			const char *name;
			const char *base;
			const char *real;
			const char *host;
		} open;
		struct {
			const struct tip_ev_sock *data;
			const char *path;
		} sock;
		struct {
			const struct tip_ev_call *data;
			const char *text[TIP_CALL_TEXTS];
		} call;
	};
};

/* The number of a system call in the 64-bit table, -1: there is none of that name. */
int tip_syscall_number(const char *name);
/* Its name, NULL: unknown. */
const char *tip_syscall_name(uint32_t nr);
/* What the kernel programs look at of it. */
const struct tip_shape *tip_syscall_shape(uint32_t nr);

/*
 * Decodes one ring record. Checks every length against `size`; allocates nothing.
 * 0, or -1 if the record is not well-formed (the caller counts it).
 */
int tip_event_decode(const void *record, size_t size, struct tip_event *ev);

/* ---- what the kernel can do ---------------------------------------------- */

enum tip_capability {
	TIP_CAP_BTF,
	TIP_CAP_TP_BTF,
	TIP_CAP_RINGBUF,
	TIP_CAP_ITER_TASK,
	TIP_CAP_SEND_SIGNAL,
	TIP_CAP_CGROUP_CONNECT, /* cgroup/connect4,6 */
	TIP_CAP_SOCKOPS,
	TIP_CAP_SK_LOOKUP,
	TIP_CAP_FENTRY,
	TIP_CAP_KPROBE,
	TIP_CAP_LSM,
	TIP_CAP_IMA, /* executables hashed by the kernel */
	TIP_CAP_KTLS,
	TIP_CAP_NFQUEUE,
	TIP_CAP_CGROUP2,
	TIP_CAP_BPFFS,
	TIP_CAP_MAX
};

/* "lsm"; used in `require:` and status. */
const char *tip_capability_name(enum tip_capability cap);

struct tip_capability_result {
	const char *name;  /* "lsm" */
	bool works;        /* it was done once, for real */
	unsigned int bits; /* kTLS: TIP_KTLS_*, what of it works */
	char detail[160];  /* how it was tried, or why it does not work */
};

/*
 * Tries each capability once by doing it: loads a program, attaches it where that is harmless,
 * opens a socket. `cgroup2` is the cgroup2 mount point, "" if there is none. Never fails: what
 * cannot be tried does not work.
 */
void tip_probe(const char *cgroup2, struct tip_capability_result out[TIP_CAP_MAX]);

/*
 * Who else on this kernel has programs that put sockets into sockmaps, or work on those in one:
 * "name(id)" of each, with blanks between, as far as it fits; "" if nobody.
 */
void tip_sensor_sockmap_programs(char *buf, size_t size);

/* The mount point of cgroup2 from /proc/self/mountinfo into `buf`; 0, or -1 when there is none. */
int tip_cgroup2_mount(char *buf, size_t size);

/* Is there a daemon of this instance? It locks the folder of its pins for its whole life. */
bool tip_sensor_daemon_runs(const char *instance);

/* ---- the sensor ------------------------------------------------------------ */

struct tip_sensor;

/* Where activity is sensed. */
enum tip_sensing {
	TIP_SENSING_SYSCALLS, /* tp_btf: at the exit of system calls */
	TIP_SENSING_KERNEL,   /* fexit and LSM: in the kernel's own functions, io_uring included */
};

struct tip_sensor_config {
	const char *instance;     /* names the pin directory */
	const char *cgroup2;      /* mount point, "": none, then no scope, no traffic, no hooks */
	const char *const *scope; /* absolute cgroup directories; none: the whole node */
	size_t nscope;
	size_t max_processes; /* entries of `procs` and `bindings` */
	size_t max_flows;     /* entries of `redirects` and `legs`, 0: the default */
	/* Of `redirects` and of `listeners` (0: an eighth, half, an eighth of the table). */
	uint32_t redirects_per_netns, redirects_per_identity, listeners_per_netns;
	size_t lifecycle_ring; /* bytes, a power of two */
	size_t activity_ring;
	enum tip_sensing sensing;
	bool lsm;     /* BPF LSM works here and may deny */
	bool digests; /* IMA works here and hashes executables while entries ask for it */
	bool enforce; /* attach the connect hooks and honour rules with an action and quarantine */
	bool traffic; /* attach what transparent mTLS needs: they cost for each packet */
	bool veth_stop; /* false: filters on veths that an earlier daemon left are removed */
	bool pin;       /* false: nothing outlives the process (tests) */
};

struct tip_sensor_ops {
	/* Called for every decoded record, in ring order, on the thread that drains. */
	void (*event)(void *ctx, const struct tip_event *ev);
	void *ctx;
};

/*
 * Mounts bpffs if it is not mounted, then adopts the pins of this instance if they are whole and of
 * this layout and these programs; otherwise loads, attaches and pins. Where pins of an older build
 * exist, the new links are attached before the old ones go, with tip_sensor_commit(). NULL with
 * `err` when the kernel refuses something that is needed; then nothing of ours is left attached but
 * what was there before.
 */
struct tip_sensor *tip_sensor_open(const struct tip_sensor_config *config,
				   const struct tip_sensor_ops *ops, struct tip_error *err);

/* Closes what this process holds. Pins stay. */
void tip_sensor_close(struct tip_sensor *s);

/* Removes every pin and link of `instance`; number removed, or -1 with `err`. Works without a
 * sensor. */
int tip_sensor_detach(const char *instance, struct tip_error *err);

/*
 * Policy has been written: from here on, at the latest, our programs act, and what an earlier build
 * or layout has attached goes. 0, or -1 with `err`.
 */
int tip_sensor_commit(struct tip_sensor *s, struct tip_error *err);
/*
 * Does the former layout still act beside ours, because its identities could not be carried over?
 * Then tip_sensor_retire() ends that, when everybody has been identified again.
 */
bool tip_sensor_retiring(const struct tip_sensor *s);
void tip_sensor_retire(struct tip_sensor *s);

bool tip_sensor_adopted(const struct tip_sensor *s);
enum tip_sensing tip_sensor_sensing(const struct tip_sensor *s);

/* epoll fd that is readable when a ring has records. */
int tip_sensor_fd(const struct tip_sensor *s);

/* Drains both rings, lifecycle first, lifecycle again before each batch of activity. Records
 * handled. */
int tip_sensor_poll(struct tip_sensor *s);

/* Drains the lifecycle ring only (before a question about a process is answered). */
int tip_sensor_poll_lifecycle(struct tip_sensor *s);

/*
 * Runs the task iterator: fills `procs` for processes that it lacks and calls ops.event with an
 * EXEC record (TIP_EVF_SNAPSHOT) for every process that lives. Used at start and after a lifecycle
 * drop.
 */
int tip_sensor_snapshot(struct tip_sensor *s, struct tip_error *err);

/* What the rules want to hear of. */
struct tip_wanted {
	uint64_t events;                   /* 1 << TIP_EV_* */
	uint64_t calls[TIP_SYSCALLS / 64]; /* with TIP_EV_CALL: which */
	uint32_t wants;                    /* TIP_WANT_*: what is gathered for them */
};

/*
 * Attaches what is missing to sense what is wanted beside what is sensed already; call it before
 * rules that want it take effect. 0, or -1 with `err`.
 */
int tip_sensor_want(struct tip_sensor *s, const struct tip_wanted *wanted, struct tip_error *err);

struct tip_prefilter;

/*
 * Only that is wanted from here on, and of it what `filter` lets pass (NULL: everything). It is in
 * force for every act that begins after the return. Scope and the rest stay. Programs that only
 * other events needed are detached. 0 or -errno, with what was in force before.
 */
int tip_sensor_set_wanted(struct tip_sensor *s, const struct tip_wanted *wanted,
			  const struct tip_prefilter *filter);

/*
 * Handles every record that is in the rings now: what was told before the call, and whatever comes
 * until that is through. ops.event is called as by tip_sensor_poll().
 */
void tip_sensor_settle(struct tip_sensor *s);

/*
 * Which AF_UNIX socket is the Workload API, by its file's device and inode (stat), and that
 * this process accepts on it.
 */
int tip_sensor_set_workload_socket(struct tip_sensor *s, uint64_t dev, uint64_t ino);

/*
 * Who is at the other end of `fd`, which accept() just returned to this process. 0 and `*peer`, and
 * the record is consumed. -1 while the kernel has no record: accept() can be faster than the
 * client's way out of connect(), so ask again for a moment; then (io_uring, eviction) the
 * connection must be refused.
 */
int tip_sensor_peer(struct tip_sensor *s, int fd, struct tip_unix_peer *peer);

/* The live value of a process, from the kernel. 0, or -1 if there is no such process. */
int tip_sensor_proc(struct tip_sensor *s, const struct tip_proc_key *key, struct tip_proc *out);

/* Bindings: replace (only if the exec id still exists: 0 or -ENOENT) and read. */
int tip_sensor_bind(struct tip_sensor *s, uint64_t exec_id, const struct tip_binding *b);
int tip_sensor_binding(struct tip_sensor *s, uint64_t exec_id, struct tip_binding *b);
/*
 * Other registration entries come into force: what was answered to earlier execs is no answer any
 * more. `remember`: the kernel may bind an exec by the answer that one like it got, before its
 * first instruction; false while some entry asks for what the kernel does not compare.
 * `digest_max`: the kernel hashes executables of up to so many bytes, if it was opened with
 * `digests`; 0: no entry asks for digests. 0 or -errno.
 */
int tip_sensor_entries_changed(struct tip_sensor *s, bool remember, uint64_t digest_max);

/* Does the kernel hash executables? */
bool tip_sensor_hashes(const struct tip_sensor *s);
/*
 * What the kernel saw the executable of that exec id hash to: 0, or -1 if it has no digest of it
 * (what was not to be hashed, or was executed when nobody asked).
 */
int tip_sensor_digest(struct tip_sensor *s, uint64_t exec_id, uint8_t sha256[TIP_SHA256]);

/* Policy maps, written by the guard room through these. 0 or -errno. */
int tip_sensor_quarantine_set(struct tip_sensor *s, uint32_t number, uint32_t flags);
int tip_sensor_quarantine_clear(struct tip_sensor *s, uint32_t number);
/* Walks them (an adopting daemon reconciles): `prev` 0 starts. 0, or -1 at the end. */
int tip_sensor_quarantine_next(struct tip_sensor *s, uint32_t prev, uint32_t *next);

/* Identity names, which live and die with the pins. */
int tip_sensor_name_set(struct tip_sensor *s, uint32_t number, const char *spiffe_id);
/* Calls `fn` for each stored pair. */
void tip_sensor_names(struct tip_sensor *s, void (*fn)(void *ctx, uint32_t number, const char *id),
		      void *ctx);

struct tip_sensor_stats {
	uint64_t counters[TIP_CTR_MAX]; /* summed over CPUs */
	uint64_t recursion_misses;      /* of all programs */
	uint64_t malformed;             /* records that did not decode */
	size_t programs;                /* attached */
	size_t map_bytes;               /* memory of all maps, as the kernel accounts it */
	size_t procs;                   /* entries in `procs` (walks it: not for the hot path) */
};
void tip_sensor_stats(struct tip_sensor *s, struct tip_sensor_stats *out);
/* Only the counters: cheap enough for every second. */
void tip_sensor_counters(struct tip_sensor *s, uint64_t out[TIP_CTR_MAX]);

/* What became of the acts that the rings are for, since the pins were made. */
struct tip_sensor_account {
	uint64_t generated; /* all below together */
	uint64_t delivered; /* taken out of the ring, by this daemon or an earlier one, for rules */
	uint64_t waiting;   /* in the ring */
	uint64_t filtered; /* no rule's conditions are met: the kernel kept it to itself, or told it
			    * for the table of processes alone */
	uint64_t dropped;  /* the ring was full, or there was no memory */
	uint64_t missed;   /* a program did not run since it ran already: of whatever act it was */
};
enum tip_account { TIP_ACCOUNT_LIFECYCLE, TIP_ACCOUNT_ACTIVITY, TIP_ACCOUNTS };
void tip_sensor_accounts(struct tip_sensor *s, struct tip_sensor_account out[TIP_ACCOUNTS]);
/* Notes for the next daemon how many records were taken. After a crash between two notes it counts
 * what was taken since the last one as waiting. */
void tip_sensor_note_taken(struct tip_sensor *s);
/* Notes for the next daemon how many of the dropped events were told: TIP_CTR_DROPS_TOLD. */
void tip_sensor_drops_told(struct tip_sensor *s, uint64_t told);

#endif
