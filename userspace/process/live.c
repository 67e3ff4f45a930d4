/* SPDX-License-Identifier: Apache-2.0 */
#include "process/live.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "process/procfs.h"

int tip_live_open(const struct tip_proc_key *key)
{
	return tip_procfs_open(key->tgid, key->start_ns);
}

bool tip_live_sizes(int proc, struct tip_live_sizes *out)
{
	char buf[8192];

	if (tip_procfs_file(proc, "status", buf, sizeof(buf)) <= 0)
		return false;
	*out = (struct tip_live_sizes){
		.vm_size = tip_procfs_number(buf, "VmSize", 10),
		.vm_rss = tip_procfs_number(buf, "VmRSS", 10),
		.vm_swap = tip_procfs_number(buf, "VmSwap", 10),
		.threads = (uint32_t)tip_procfs_number(buf, "Threads", 10),
	};
	return true;
}

int64_t tip_live_fdlimit(int proc)
{
	static const char name[] = "\nMax open files";
	const char *line;
	char buf[4096], *end;
	int64_t limit;

	if (tip_procfs_file(proc, "limits", buf, sizeof(buf)) <= 0)
		return -1;
	line = strstr(buf, name);
	if (!line)
		return -1;
	limit = strtoll(line + sizeof(name) - 1, &end, 10);
	return end == line + sizeof(name) - 1 ? -1 : limit;
}

bool tip_live_fds(int proc, bool (*fn)(void *ctx, uint32_t fd), void *ctx)
{
	int fd = openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *e;
	bool more = true;
	DIR *dir;

	if (fd < 0)
		return false;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return false;
	}
	while (more && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			more = fn(ctx, (uint32_t)strtoul(e->d_name, NULL, 10));
	closedir(dir);
	return true;
}

/* What has no place in the file system says in its name what it is. */
static const char *anonymous_type(const char *name)
{
	static const struct {
		const char *start, *type;
	} kinds[] = {
		{"anon_inode:[eventfd", "event"},
		{"anon_inode:[eventpoll", "eventpoll"},
		{"anon_inode:[signalfd", "signalfd"},
		{"anon_inode:[timerfd", "timerfd"},
		{"anon_inode:[io_uring", "io_uring"},
		{"anon_inode:[userfaultfd", "userfaultfd"},
		{"anon_inode:[pidfd", "pidfd"},
		{"pidfd:", "pidfd"}, /* a file system of its own since 6.9 */
		{"anon_inode:bpf", "bpf"},
		{"anon_inode:inotify", "inotify"},
		{"anon_inode:", "unknown"},
		{"/memfd:", "memfd"},
		{"pipe:", "pipe"},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(kinds); i++)
		if (strncmp(name, kinds[i].start, strlen(kinds[i].start)) == 0)
			return kinds[i].type;
	return NULL;
}

/* Sockets have their protocol's name as an attribute: "TCPv6". `path` is that of a socket. */
static const char *socket_type(const char *path)
{
	static const char *const ip[] = {"TCP", "UDP", "PING", "RAW", "MPTCP", "SCTP", "DCCP"};
	char name[64] = "";
	size_t len;

	if (getxattr(path, "system.sockprotoname", name, sizeof(name) - 1) < 0)
		return "unknown";
	if (strncmp(name, "UNIX", 4) == 0)
		return "unix";
	if (strcmp(name, "NETLINK") == 0)
		return "netlink";
	for (size_t i = 0; i < TIP_ARRAY_SIZE(ip); i++) {
		len = strlen(ip[i]);
		if (strncmp(name, ip[i], len) == 0)
			return strcmp(name + len, "v6") == 0 ? "ipv6" : "ipv4";
	}
	return "unknown";
}

/*
 * Behind the number may be a file of a file system whose server is hostile and answers nothing
 * (FUSE), now or a moment later. So it is held by O_PATH, which neither asks the server nor tells
 * it of the close, and its mode is taken from what the kernel remembers.
 */
bool tip_live_fd(int proc, uint32_t fd, struct tip_live_fd *out)
{
	char path[32];
	struct statx st;
	int held;
	ssize_t n;

	out->type = NULL;
	snprintf(path, sizeof(path), "fd/%u", fd);
	held = openat(proc, path, O_PATH | O_CLOEXEC);
	if (held < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", held);
	n = readlink(path, out->name, sizeof(out->name) - 1);
	if (n >= 0 && statx(held, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0) {
		out->name[n] = '\0';
		out->type = anonymous_type(out->name);
		if (!out->type)
			out->type = S_ISDIR(st.stx_mode)    ? "directory"
				    : S_ISFIFO(st.stx_mode) ? "pipe"
				    : S_ISSOCK(st.stx_mode) ? socket_type(path)
							    : "file";
	}
	close(held);
	return n >= 0 && out->type;
}

ssize_t tip_live_cgroups(int proc, char *buf, size_t size)
{
	return tip_procfs_file(proc, "cgroup", buf, size);
}

bool tip_live_thread(int proc, uint32_t tid, struct tip_live_thread *out)
{
	char name[48], buf[8192];
	const char *p;
	/* behind the name and the state: ppid pgrp session tty tpgid flags minflt cminflt majflt */
	unsigned long long v[9];

	snprintf(name, sizeof(name), "task/%u/stat", tid);
	if (tip_procfs_file(proc, name, buf, sizeof(buf)) <= 0)
		return false;
	p = strrchr(buf, ')');
	if (!p || strlen(p) < 4 ||
	    sscanf(p + 4, "%llu %llu %llu %llu %lld %llu %llu %llu %llu", &v[0], &v[1], &v[2],
		   &v[3], (long long *)&v[4], &v[5], &v[6], &v[7], &v[8]) != 9)
		return false;
	out->faults_minor = v[6];
	out->faults_major = v[8];
	snprintf(name, sizeof(name), "task/%u/status", tid);
	if (tip_procfs_file(proc, name, buf, sizeof(buf)) <= 0)
		return false;
	out->vtid = tip_procfs_innermost(buf, "NSpid");
	return true;
}
