/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_SANDBOX_H
#define TIP_TIPSTAFFD_SANDBOX_H

#include <sys/types.h>

#include "base/error.h"

/*
 * What each of the two processes gives up. docs/threat-model.md has the table of who may do what.
 */

/*
 * The front, before it reads its first byte from anybody: own mount namespace with an empty
 * read-only root, own empty network, IPC and UTS namespaces, `uid`/`gid` without supplementary
 * groups, no capability (bounding set included), no_new_privs, not dumpable (another process of
 * that uid can neither trace it nor open its /proc files), seccomp allow list. `mount_point` is any
 * existing folder. Dies with its parent. 0, or -1 with `err`.
 */
int tip_sandbox_front(uid_t uid, gid_t gid, const char *mount_point, struct tip_error *err);

/*
 * The keeper, once everything is attached: keeps the capabilities that its work needs and
 * no_new_privs; seccomp refuses (EPERM) what neither it nor the start of a new front needs. 0, or
 * -1 with `err`.
 */
int tip_sandbox_keeper(struct tip_error *err);

/*
 * Becomes `argv`, a program that alerts are written to: that user, no capability, no way to gain
 * any, "/" as its folder. What it has of the keeper is its seccomp filter, and its namespaces.
 * Returns only when that fails, with the exit status; the reason is on standard error.
 */
int tip_sandbox_program(uid_t uid, gid_t gid, char **argv);

#endif
