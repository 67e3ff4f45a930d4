/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>

int tip_spawn(const struct tip_spawn *s, pid_t *pid)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int ret;

	sigemptyset(&none);
	sigfillset(&all);
	if (s->session)
		flags |= POSIX_SPAWN_SETSID;
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, flags);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawn_file_actions_init(&files);
	for (int fd = 0; fd < TIP_SPAWN_FDS; fd++) {
		if (s->fds[fd] == TIP_SPAWN_NULL)
			posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
		else if (s->fds[fd] >= 0)
			posix_spawn_file_actions_adddup2(&files, s->fds[fd], fd);
	}
	/* It changes neither: POSIX only has no way to say so. */
	ret = posix_spawn(pid, s->path, &files, &attr, (char *const *)s->argv,
			  (char *const *)s->env);
	if (ret)
		*pid = 0;
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return ret;
}
