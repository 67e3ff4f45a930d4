/* SPDX-License-Identifier: Apache-2.0 */
/* Network namespaces, as /proc and /run/netns show them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "intercept/internal.h"

/* Names and numbers are claims: what was opened has to be a network namespace, and that one. */
static int checked(int fd, uint32_t inode)
{
	struct stat st;

	if (fd < 0)
		return -1;
	if (ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET && fstat(fd, &st) == 0 && st.st_ino == inode)
		return fd;
	close(fd);
	return -1;
}

int tip_netns_of(pid_t pid, uint32_t inode)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return checked(open(path, O_RDONLY | O_CLOEXEC), inode);
}

int tip_netns_named(const char *name, uint32_t inode)
{
	char path[sizeof(TIP_NETNS_NAMES) + 1 + NAME_MAX];

	snprintf(path, sizeof(path), TIP_NETNS_NAMES "/%s", name);
	/* Not blocking: while a name is young it is a file of any kind. */
	return checked(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), inode);
}

uid_t tip_netns_owner(int fd)
{
	int user = ioctl(fd, NS_GET_USERNS), parent;
	uid_t uid = 0;

	/* Ours has no parent that we could see; of those inside it, at most 32 are nested. */
	while (user >= 0 && (parent = ioctl(user, NS_GET_PARENT)) >= 0) {
		if (ioctl(user, NS_GET_OWNER_UID, &uid) < 0)
			uid = 0;
		close(user);
		user = parent;
	}
	if (user >= 0)
		close(user);
	return uid;
}

int tip_netns_identify(const char *path, uint64_t *dev, uint32_t *inode)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	*dev = st.st_dev;
	*inode = (uint32_t)st.st_ino;
	return 0;
}

void tip_netns_each_process(void (*seen)(void *ctx, pid_t pid, uint32_t inode), void *ctx)
{
	const pid_t self = getpid();
	DIR *proc = opendir("/proc");
	const struct dirent *d;
	char path[64], *end;
	struct stat st;

	while (proc && (d = readdir(proc))) {
		const long pid = strtol(d->d_name, &end, 10);

		/* Our own threads enter namespaces, but live in none of theirs. */
		if (pid <= 0 || *end || pid == self)
			continue;
		snprintf(path, sizeof(path), "%ld/ns/net", pid);
		if (fstatat(dirfd(proc), path, &st, 0) == 0)
			seen(ctx, (pid_t)pid, (uint32_t)st.st_ino);
	}
	if (proc)
		closedir(proc);
}

void tip_netns_each_name(uint64_t nsfs, void (*seen)(void *ctx, const char *name, uint32_t inode),
			 void *ctx)
{
	DIR *names = opendir(TIP_NETNS_NAMES);
	const struct dirent *d;
	struct stat st;

	while (names && (d = readdir(names))) {
		/* `ip netns add` makes a file first, then mounts the namespace on it. */
		if (fstatat(dirfd(names), d->d_name, &st, 0) == 0 && st.st_dev == nsfs)
			seen(ctx, d->d_name, (uint32_t)st.st_ino);
	}
	if (names)
		closedir(names);
}
