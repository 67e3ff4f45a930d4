/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_BASE_SPAWN_H
#define TIP_BASE_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#define TIP_SPAWN_FDS 4

/* For `fds` below, in place of a descriptor. */
enum {
	TIP_SPAWN_NULL = -1, /* /dev/null */
	TIP_SPAWN_SAME = -2, /* what we have there; nothing where ours is CLOEXEC */
};

/* A program to start as a child. Everything is the caller's and only read. */
struct tip_spawn {
	const char *path;        /* executed as it stands; "/proc/self/exe": this very binary */
	const char *const *argv; /* NULL-terminated */
	/* Its whole environment, NULL-terminated. Nothing of ours reaches it: ours has the
	 * credentials' folder and the manager's socket. */
	const char *const *env;
	/* What it has as its descriptors 0, 1, 2, 3. Those of ours are above 2. */
	int fds[TIP_SPAWN_FDS];
	bool session; /* a session of its own, so that all that it starts can be ended with it */
};

/*
 * Starts it, with no signal blocked and each as the kernel has it: ours are blocked for signalfds
 * and ignored, and both would outlive exec. `*pid`: the child, to be waited for; 0 after an error.
 * 0, or errno.
 */
int tip_spawn(const struct tip_spawn *s, pid_t *pid);

#endif
