/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_FDSTORE_H
#define TIP_TIPSTAFFD_FDSTORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/*
 * Descriptors that are to outlive this process, each under a name: listeners, and the queues in
 * which connects are held. A service manager keeps them (the protocol of systemd's sd_notify(3):
 * FDSTORE=1 on $NOTIFY_SOCKET, LISTEN_FDS at the next start), also through kill -9; or, without
 * one, a daemon gives them to the one that replaces it, by the same messages. Who takes a
 * descriptor checks that it is what its name says: it comes from outside.
 */
struct tip_fdstore;

#define TIP_FD_WORKLOAD "workload"
#define TIP_FD_CONTROL  "control"
/* Followed by the network namespace's cookie. */
#define TIP_FD_WORKER "worker-"
#define TIP_FD_QUEUE  "queue-"

/*
 * With what the service manager has passed to this process. Reads the environment and takes it out
 * of there; before any other descriptor is opened.
 */
struct tip_fdstore *tip_fdstore_new(void);
/* Closes what nobody took. What is kept stays with the manager. */
void tip_fdstore_free(struct tip_fdstore *s);

/* The descriptor that came under this name, which is the caller's to close; -1: there is none. */
int tip_fdstore_take(struct tip_fdstore *s, const char *name);
/* The next one whose name begins like that, and its name; -1: no more. */
int tip_fdstore_take_next(struct tip_fdstore *s, const char *prefix, char *name, size_t size);

/* Has `fd` kept under `name`, in place of what was. The caller closes its own copy when it likes,
 * but calls tip_fdstore_forget() before, if it is not for a successor. */
void tip_fdstore_keep(struct tip_fdstore *s, const char *name, int fd);
void tip_fdstore_forget(struct tip_fdstore *s, const char *name);
/* A start that failed, a detach: nobody will come for them, and who waits at them is not to wait.
 */
void tip_fdstore_forget_all(struct tip_fdstore *s);
/* The start is over: what nobody took is closed, with a warning. */
void tip_fdstore_settle(struct tip_fdstore *s);
/* Does a service manager keep them? */
bool tip_fdstore_managed(const struct tip_fdstore *s);
/* Does anybody keep them when this process ends? */
bool tip_fdstore_kept(const struct tip_fdstore *s);
/* Did any come in? */
bool tip_fdstore_inherited(const struct tip_fdstore *s);

/* "READY=1" and the like, to the service manager, if there is one. */
void tip_fdstore_notify(struct tip_fdstore *s, const char *state);
/* To be called about each second: the manager's watchdog, if it wants one. */
void tip_fdstore_alive(struct tip_fdstore *s);

/* ---- from daemon to daemon ---- */

/* The old one's half: sends everything that is kept to the socket at `path`. 0, or -1 with `err`
 * and the new one without anything of use. */
int tip_fdstore_give(struct tip_fdstore *s, const char *path, struct tip_error *err);
/* The new one's half: the socket, listening at `path`. A descriptor or -1. */
int tip_fdstore_inbox(const char *path, struct tip_error *err);
/* Takes in what arrives there until all of it has, or nothing more does. 0, or -1 with `err`. */
int tip_fdstore_receive(struct tip_fdstore *s, int inbox, struct tip_error *err);

/*
 * One message, as both the manager and the inbox get it: NUL-terminated text of lines, fds beside
 * it. The name of an FDSTORE message into `name`: 1; 0: some other one; -1: the last one. Exposed
 * for tests.
 */
int tip_fdstore_parse(const char *text, char *name, size_t size);

#endif
