/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_ATTACK_ACT_H
#define TIP_ATTACK_ACT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * An act: what an attacker does, made harmless, and its innocent neighbour, which differs in what
 * the rule is about and in nothing else. Each runs in a process of its own. As root, that process
 * has a private mount namespace with an empty file system of its own at STAGE, and whatever the act
 * touches is covered by a folder from there: the names are the host's, the files are not.
 */
#define STAGE "/opt/attack"

/* What an act needs besides this program. */
enum {
	NEED_ROOT = 1 << 0,
	NEED_CGROUP = 1 << 1,     /* a cgroup2 hierarchy in which a cgroup can be made */
	NEED_IDENTITY = 1 << 2,   /* an SVID for STAGE/workload */
	NEED_QUARANTINE = 1 << 3, /* ... whose identity is quarantined */
};

#define ACT_SHOWS 3

struct act {
	const char *name;
	const char *does;      /* one clause: "a program reads /etc/shadow" */
	const char *innocent;  /* the same, of the neighbour */
	const char *rule;      /* the shipped rule that fires */
	const char *technique; /* of MITRE ATT&CK */
	unsigned int needs;    /* NEED_* */
	/* "field=text": output fields of the alert, and what stands in them */
	const char *shows[ACT_SHOWS];
	/* Does it. Comes back when it is done, or ends in skip() or fail(). */
	void (*run)(bool innocent);
	/* What a copy of this program does that run_as() started with the act's name as its verb.
	 */
	void (*step)(const char *arg);
};

/* Enters an act into the table: once in each file of acts/. */
#define ACT(name_, ...)                                                                            \
	static const struct act this_act = {.name = (name_), __VA_ARGS__};                         \
	static const struct act *const this_entry __attribute__((used, retain, section("acts"))) = \
		&this_act

/* ---- how it ends (attack.c) ------------------------------------------------------------------ */

enum { DONE = 0, FAILED = 1, SKIPPED = 77 };

/* End the process: the act cannot be done here without harm or at all, or it went wrong. */
void skip(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* NULL: there is none of that name. */
const struct act *act_find(const char *name);

/* ---- the scene (stage.c) --------------------------------------------------------------------- */

/* The private mount namespace, with an empty STAGE and this program in it. */
void stage_set(void);

/*
 * Makes what will stand at `path` (absolute), with the folders above it, out of sight below STAGE.
 * cover() then shows it. `text` NULL: a folder. What is made is never opened under its later name.
 */
void put(const char *path, const char *text);
/* Covers the host's `folder` with what was put below it. Skips the act if the host has no such. */
void cover(const char *folder);

/* Moves this process into a container: to the eyes of a node, a cgroup with a runtime's name. */
void enter_container(void);
/* Removes what the process `act`, which has ended, made of that kind. */
void container_remove(pid_t act);
/* A session of its own, on a new terminal or on none. */
void own_session(bool terminal);
/* A network namespace of its own in which IPv4 `address` is this host. */
void own_network(const char *address);

/* ---- the cast (cast.c) ----------------------------------------------------------------------- */

/* A copy learns from its environment what to do: its arguments are for others to see. */
#define STEP_VERB "TIPSTAFF_ATTACK_VERB"
#define STEP_ARG  "TIPSTAFF_ATTACK_ARG"

/* A copy of this program at `path`. */
void copy_to(const char *path);
/*
 * Runs a copy and waits for it; it ends this process too if it skips or fails. `command` is its
 * name and its arguments as others see them, parted by blanks; `verb` is what it does (see
 * do_step()), and `arg` with what. run_as() makes the copy STAGE/NAME, run_at() takes a path that
 * copy_to() made.
 */
void run_as(const char *command, const char *verb, const char *arg);
void run_at(const char *command, const char *verb, const char *arg);
/* As the child that was forked: becomes the copy of that path, with those arguments. */
void become(const char *path, const char *verb, const char *arg, char *const argv[])
	__attribute__((noreturn));
/* Waits for a child; ends this process as the child ended unless it is DONE. */
void await(pid_t pid);

/* What a copy was told to do: nothing, read, write, create, empty, connect, or an act's step. */
void do_step(const char *verb, const char *arg);

/* ---- what acts do more than once (cast.c) ---------------------------------------------------- */

/* open(2) and close; fails with the error. */
void touch(const char *path, int flags);
/* A TCP connection to "address:port", which ends with this process: a descriptor, or -errno. */
int connect_tcp(const char *to);
/* The same, ended at once; what became of it: 0 or an errno. */
int dial_tcp(const char *to);
/* A TCP listener at "address:port", which nobody ever accepts from. */
void listen_tcp(const char *at);

/* Another process of this program that does nothing and ends with the act. */
pid_t victim(void);
/* Waits for an SVID from the Workload API; skips the act if none comes. */
void await_identity(void);

#endif
