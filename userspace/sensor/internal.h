/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_SENSOR_INTERNAL_H
#define TIP_SENSOR_INTERNAL_H

/* Shared by the files of this room only. */

#include <limits.h>

#include "sensor/sensor.h"

struct bpf_object;
struct ring_buffer;

/* The maps that this process keeps open. The first ones outlive an upgrade, the others belong to a
 * generation. */
enum tip_sensor_map {
	TIP_MAP_PROCS,
	TIP_MAP_BINDINGS,
	TIP_MAP_EXEC_CACHE,
	TIP_MAP_EXEC_KEYS,
	TIP_MAP_DIGESTS,
	TIP_MAP_SEQUENCE,
	TIP_MAP_SETTINGS,
	TIP_MAP_COUNTERS,
	TIP_MAP_QUARANTINE,
	TIP_MAP_RULE_SETS,
	TIP_MAP_RULE_VALUES,
	TIP_MAP_RULE_TEXTS,
	TIP_MAP_RULE_NETS,
	TIP_MAP_FILTERS,
	TIP_MAP_FILTER_NAMES,
	TIP_MAP_IDENTITY_NAMES,
	TIP_MAP_UNIX_PEERS,
	TIP_MAP_ACCEPTED,
	TIP_MAP_TRAFFIC,
	TIP_MAP_TRAFFIC_PORTS,
	TIP_MAP_TRAFFIC_CLIENTS,
	TIP_MAP_REDIRECTS,
	TIP_MAP_SHARES,
	TIP_MAP_LEGS,
	TIP_MAP_LISTENERS,
	TIP_MAP_WORKERS,
	TIP_MAP_OURS,
	TIP_MAP_VETHS,
	TIP_MAP_REDIRECTED,
	TIP_MAP_HEARTBEAT,
	TIP_MAP_PACED,
	TIP_MAP_STATE_END,
	TIP_MAP_LIFECYCLE = TIP_MAP_STATE_END,
	TIP_MAP_ACTIVITY,
	TIP_MAP_HANDLERS,
	TIP_MAP_ACTING,
	TIP_MAP_HASHED,
	TIP_MAP_SCRATCH,
	TIP_MAP_JUDGES,
	TIP_MAP_END
};
extern const char *const tip_map_names[TIP_MAP_END];

/*
 * Programs come in groups; a start takes those that the configuration and this kernel call for, and
 * does not even load the others: a kernel without BPF LSM would refuse the whole object.
 */
enum tip_sensor_group {
	TIP_GROUP_BASE = 1u << 0,     /* always */
	TIP_GROUP_SYSCALLS = 1u << 1, /* activity sensed at the exit of system calls */
	TIP_GROUP_KERNEL = 1u << 2, /* activity sensed by fexit and LSM in the kernel's functions */
	TIP_GROUP_LSM = 1u << 3,    /* acts denied by BPF LSM */
	TIP_GROUP_DIGEST = 1u << 4, /* executables hashed by IMA */
};

/* Programs that are attached or run by themselves; the handlers of system calls are only jumped to.
 */
enum tip_sensor_prog {
	/* attached once, where the program itself says: tracing and LSM */
	TIP_PROG_EXEC,
	TIP_PROG_FORK,
	TIP_PROG_EXIT,
	TIP_PROG_CGROUP,
	TIP_PROG_SYS_EXIT,
	TIP_PROG_LSM_FILE_OPEN,
	TIP_PROG_LSM_PATH_TRUNCATE,
	TIP_PROG_LSM_EXEC,
	TIP_PROG_LSM_CONNECT,
	TIP_PROG_LSM_SENDMSG,
	TIP_PROG_LSM_BIND,
	TIP_PROG_LSM_CREATE,
	TIP_PROG_DIGEST,
	TIP_PROG_OPEN_ENTER,
	TIP_PROG_URING_OPEN_ENTER,
	TIP_PROG_FD_RESERVED,
	TIP_PROG_URING_FD_RESERVED,
	TIP_PROG_OPEN_FILE,
	TIP_PROG_OPEN_EXIT,
	TIP_PROG_URING_OPEN_EXIT,
	TIP_PROG_OPEN_HANDLE,
	TIP_PROG_CONNECT_SOCKET,
	TIP_PROG_CONNECT_EXIT,
	TIP_PROG_URING_CONNECT_ENTER,
	TIP_PROG_URING_CONNECT_EXIT,
	TIP_PROG_BIND_SOCKET,
	TIP_PROG_BIND_EXIT,
	TIP_PROG_URING_BIND_ENTER,
	TIP_PROG_URING_BIND_EXIT,
	TIP_PROG_LISTEN_SOCKET,
	TIP_PROG_LISTEN_EXIT,
	TIP_PROG_URING_LISTEN_ENTER,
	TIP_PROG_URING_LISTEN_EXIT,
	TIP_PROG_ACCEPT_ENTER,
	TIP_PROG_ACCEPT_FILE,
	TIP_PROG_ACCEPT_EXIT,
	TIP_PROG_URING_ACCEPT_ENTER,
	TIP_PROG_NEW_CREDS,
	TIP_PROG_KILL,
	TIP_PROG_KILL32,
	TIP_PROG_TKILL,
	TIP_PROG_TKILL32,
	TIP_PROG_TGKILL,
	TIP_PROG_TGKILL32,
	TIP_PROG_PTRACE,
	TIP_PROG_PTRACE32,
	TIP_PROG_MOUNT,
	TIP_PROG_MOUNT32,
	TIP_PROG_MOUNT_PATH,
	TIP_PROG_UMOUNT,
	TIP_PROG_UMOUNT32,
	TIP_PROG_OLDUMOUNT32,
	TIP_PROG_MOVE_MOUNT,
	TIP_PROG_MOVE_MOUNT32,
	TIP_PROG_INIT_MODULE,
	TIP_PROG_INIT_MODULE32,
	TIP_PROG_FINIT_MODULE,
	TIP_PROG_FINIT_MODULE32,
	TIP_PROG_MMAP_FILE,
	TIP_PROG_MMAP,
	TIP_PROG_MPROTECT,
	TIP_PROG_CALLS,
	TIP_PROG_URING_ASKED,
	TIP_PROG_URING_CALLS,
	TIP_PROG_TRACING_END,
	/* attached to each cgroup of the scope */
	TIP_PROG_CONNECT4 = TIP_PROG_TRACING_END,
	TIP_PROG_CONNECT6,
	TIP_PROG_SENDMSG4,
	TIP_PROG_SENDMSG6,
	TIP_PROG_BIND4,
	TIP_PROG_BIND6,
	TIP_PROG_TRAFFIC_BEGIN, /* from here on only for transparent mTLS */
	TIP_PROG_GETPEERNAME4 = TIP_PROG_TRAFFIC_BEGIN,
	TIP_PROG_GETPEERNAME6,
	TIP_PROG_GETSOCKNAME4,
	TIP_PROG_GETSOCKNAME6,
	TIP_PROG_SOCKOPS,
	TIP_PROG_EGRESS,
	TIP_PROG_INGRESS,
	TIP_PROG_CGROUP_END,
	TIP_PROG_TASKS = TIP_PROG_CGROUP_END,
	TIP_PROG_LISTENERS,
	TIP_PROG_END
};
#define TIP_CGROUP_HOOKS (TIP_PROG_CGROUP_END - TIP_PROG_CONNECT4)
extern const char *const tip_prog_names[TIP_PROG_END];

/* The group of a program; everything from TIP_PROG_TRACING_END on is of the base. */
enum tip_sensor_group tip_prog_group(enum tip_sensor_prog prog);

/* Is it attached only while somebody wants the events that it tells? */
bool tip_prog_on_demand(enum tip_sensor_prog prog);

/* May it be missing, because not every kernel has its function? */
bool tip_prog_dispensable(enum tip_sensor_prog prog);

/* A cgroup at which the hooks are attached. */
struct tip_hooked {
	uint64_t cgroup_id;
	int links[TIP_CGROUP_HOOKS]; /* -1: not wanted */
};

/* A network namespace with our sk_lookup program, where no pin holds it. */
struct tip_looked_up {
	uint64_t cookie;
	int link;
};

#define TIP_VETH_PROGS 2 /* from the namespace behind it, and to it */

struct tip_sensor {
	struct tip_sensor_ops ops;
	bool pinned;
	bool adopted;
	bool standby;  /* our programs do not act yet: see upgrade.c */
	bool retiring; /* the former layout still acts beside ours */
	bool prune_hooks, no_lookups,
		no_veths; /* what the configuration wants to be removed at the commit */
	struct {
		unsigned int version; /* 0: no other layout is at work */
		uint64_t build;
		char dir[128];
	} former;
	uint32_t groups;     /* TIP_GROUP_*: what this start takes */
	uint64_t generation; /* settings.build of our programs */
	char dir[128];       /* where the state maps are pinned */
	char gen_dir[160];   /* where this generation is */
	bool saved;          /* and is pinned: a link that is made from now on must be, too */
	int lock;            /* the instance folder, locked while this process has the sensor */
	int maps[TIP_MAP_END];
	int progs[TIP_PROG_END]; /* -1: its group is not taken */
	int links[TIP_PROG_TRACING_END];
	struct tip_hooked *hooked;
	size_t nhooked;
	struct tip_looked_up *looked_up;
	size_t nlooked_up;
	char instance[65];
	int veth_progs[TIP_VETH_PROGS]; /* -1: not loaded yet */
	struct tip_settings settings;   /* what is in the map */
	struct ring_buffer *rings[2];   /* lifecycle, activity */
	int epoll;
	int timer;     /* wakes the epoll while records flow, see pace() */
	bool paced;    /* the rings do not wake it, the timer does */
	uint64_t calm; /* ns after which it looks once more, though nothing came; 0: it does not */
	int batch;     /* activity records still welcome in this batch */
	uint64_t malformed;
	uint64_t taken[2];     /* records out of each ring, since the pins were made */
	uint64_t unmatched;    /* of those: execs that no rule could match */
	uint32_t first_filter; /* the first prefilter of this daemon, 0: it has none */
};

/* ---- stats.c ---- */

void tip_stats_begin(struct tip_sensor *s); /* what the last daemon noted */

/* ---- syscalls.c ---- */

/* What the programs need to know of system calls: see lib/base.h. */
void tip_syscalls_fill(uint16_t to_ia32[TIP_SYSCALLS], uint16_t to_socketcalls[TIP_SOCKETCALLS],
		       struct tip_shape to_shapes[TIP_SYSCALLS]);

/*
 * With `handlers` (enum tip_handler by 64-bit number): adds TIP_HANDLER_IA32 at the number of each
 * 32-bit call that stands for one that is handled.
 */
void tip_syscalls_mark_ia32(uint8_t handlers[TIP_SYSCALLS]);

/* ---- handlers.c ---- */

/* Does not load the handlers of system calls. */
int tip_handlers_leave_out(struct bpf_object *obj, struct tip_error *err);

/* Enters the handlers, which are loaded, into their map. */
int tip_handlers_enter(struct bpf_object *obj, struct tip_error *err);

/* Fills s->settings.handlers by what the other settings want. */
void tip_handlers_choose(struct tip_sensor *s);

/* ---- load.c ---- */

/*
 * The events that are sensed where the rules want those of `mask`: where LSM does not judge,
 * enforcing rules want opens whether they are told or not.
 */
uint64_t tip_sensed(const struct tip_sensor *s, uint64_t mask);

/*
 * The build of the programs in this binary: a hash of the object and of the groups that are loaded
 * from it, lowest bit zero.
 */
uint64_t tip_build_id(uint32_t groups);

/*
 * Loads the programs as generation `s->generation` over the maps that are open in s->maps (-1: make
 * one), and fills s->maps and s->progs. Nothing is attached yet.
 */
int tip_load(struct tip_sensor *s, const struct tip_sensor_config *config, struct tip_error *err);

/* A descriptor of our own for one that libbpf closes with its object; -1 stays -1. */
int tip_fd_keep(int fd);

/*
 * Attaches the tracing programs, those of them that are on demand for the events of `mask`, and
 * pins what it attaches if the generation is pinned already.
 */
int tip_attach(struct tip_sensor *s, uint64_t mask, struct tip_error *err);

/* Detaches those that are on demand, and that nobody wants now. */
void tip_detach_unwanted(struct tip_sensor *s);

/* This process's id in the initial pid namespace, as kernel programs see it; 0 if that cannot be
 * had. */
uint32_t tip_own_tgid(void);

/* ---- hooks.c ---- */

/* Opens the scope's cgroups and puts them into `settings`. */
int tip_scope_resolve(const struct tip_sensor_config *config, struct tip_settings *settings,
		      struct tip_error *err);

/* Attaches the cgroup hooks where the configuration wants them and they are not yet (adopted pins
 * count). */
int tip_hooks_attach(struct tip_sensor *s, const struct tip_sensor_config *config,
		     struct tip_error *err);

/* Removes pinned hooks of this generation that the configuration no longer wants. */
void tip_hooks_prune(struct tip_sensor *s);

/* ---- lookup.c ---- */

/* Lets go of the sk_lookup links that no pin holds. */
void tip_lookup_close(struct tip_sensor *s);
/* The sensor's maps in place of those of an object of its own. 0 or -errno. */
int tip_share_maps(struct tip_sensor *s, struct bpf_object *obj);

/* ---- veth.c ---- */

/* Takes the filters off whatever `map` (`veths`) names; it stays as it is. */
void tip_veth_remove(const char *instance, int map);
void tip_veth_close(struct tip_sensor *s);

/* Removes all of the instance's pinned ones: interception is not configured. */
void tip_lookup_remove(struct tip_sensor *s);

/* ---- pin.c ---- */

/* Makes sure of bpffs, makes and locks the instance's folder, and sets s->dir. */
int tip_pin_open(struct tip_sensor *s, const char *instance, struct tip_error *err);

/* Removes what a start that failed has pinned: all of it, or beside a generation that acts its own.
 */
void tip_pin_abandon(struct tip_sensor *s);

/* Empties the folder of our layout. */
int tip_pin_anew(struct tip_sensor *s, struct tip_error *err);

/* Opens what is pinned: the state maps, those of a former layout included that are the same.
 * Missing ones stay -1; one of another layout is an error. */
int tip_pin_state(struct tip_sensor *s, struct tip_error *err);

/*
 * Tries to open everything that is pinned for s->generation, rings of the configured size included.
 * True when it is whole; false with nothing of it open.
 */
bool tip_pin_adopt(struct tip_sensor *s, const struct tip_sensor_config *config);

/* Rings of the active generation `build` that have the configured size are used again. */
void tip_pin_reuse_rings(struct tip_sensor *s, uint64_t build,
			 const struct tip_sensor_config *config);

/* Pins the state maps that are not pinned yet. */
int tip_pin_save_state(struct tip_sensor *s, struct tip_error *err);

/* Pins links, programs and maps of the generation, over whatever was left there by a crash. */
int tip_pin_save_generation(struct tip_sensor *s, struct tip_error *err);

/* Pins, or removes the pin of, one tracing program's link; the generation is pinned already. */
int tip_pin_save_link(struct tip_sensor *s, enum tip_sensor_prog prog, struct tip_error *err);
void tip_pin_remove_link(struct tip_sensor *s, enum tip_sensor_prog prog);

/* Removes the pins of all other generations and layouts, and so detaches them. */
void tip_pin_remove_others(struct tip_sensor *s);

/* Removes the pins of our generation: an open that failed leaves nothing. */
void tip_pin_remove_own(struct tip_sensor *s);

/* "<gen_dir>/link_tip_connect4_1234" into `buf`. */
void tip_pin_hook_path(const struct tip_sensor *s, enum tip_sensor_prog prog, uint64_t cgroup,
		       char *buf, size_t size);

/* ---- upgrade.c ---- */

/* Fills s->former if another layout of the instance is at work, and not ours. */
void tip_upgrade_find(struct tip_sensor *s, const char *instance);
/* The map of the former layout, if it is the same in ours: a descriptor or -1. */
int tip_upgrade_open(const struct tip_sensor *s, enum tip_sensor_map map);
bool tip_upgrade_shares(const struct tip_sensor *s, enum tip_sensor_map map);

/* ---- instances.c ---- */

/* The head of the settings of any layout that are pinned at `path`: 1, 0 if there are none, or -1.
 */
int tip_settings_head(const char *path, struct tip_settings *out);

/*
 * Held over the last check and the store of our settings, which say what our scope is: of two that
 * start at once, the second sees the first. A descriptor that close() unlocks, or -1.
 */
int tip_instances_lock(struct tip_error *err);

/* Refuses a scope that overlaps with that of another instance whose programs are in the kernel. */
int tip_instances_check(const struct tip_sensor_config *config, struct tip_error *err);

/* ---- prefilter.c ---- */

struct tip_prefilter;

/*
 * Writes the prefilter beside the one in force: its generation, which settings are to name. NULL:
 * none, generation 0. 0, or -errno with nothing changed.
 */
int tip_prefilter_write(struct tip_sensor *s, const struct tip_prefilter *f, uint32_t *generation);

/* Deletes what is not of the generation in force, when no program can be reading it. */
void tip_prefilter_forget(struct tip_sensor *s);

/* ---- maps.c ---- */

/* 0 or -errno. */
int tip_map_update(struct tip_sensor *s, enum tip_sensor_map map, const void *key,
		   const void *value, uint64_t flags);
int tip_map_lookup(struct tip_sensor *s, enum tip_sensor_map map, const void *key, void *value);
int tip_map_delete(struct tip_sensor *s, enum tip_sensor_map map, const void *key);

/* Deletes every key that `drop` wants gone: 0, or the first error. */
int tip_map_purge(struct tip_sensor *s, enum tip_sensor_map map,
		  bool (*drop)(struct tip_sensor *s, const void *key, uint64_t arg), uint64_t arg);

/*
 * Programs that run now have read the settings as they were: returns when none of them still does.
 * 0, or -errno where the kernel cannot say.
 */
int tip_programs_wait(void);

/* Writes s->settings to the map. 0 or -errno. */
int tip_settings_write(struct tip_sensor *s);

#endif
