/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "process/procfs.h"

ssize_t tip_procfs_file(int dir, const char *name, char *buf, size_t size)
{
	size_t have = 0;
	ssize_t n;
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	do {
		n = read(fd, buf + have, size - 1 - have);
		if (n > 0)
			have += (size_t)n;
	} while (n > 0 && have < size - 1);
	close(fd);
	buf[have] = '\0';
	return n < 0 ? -1 : (ssize_t)have;
}

static void link_at(int dir, const char *name, char *buf, size_t size)
{
	ssize_t n = readlinkat(dir, name, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
}

/* The value behind "\nNAME:" in /proc/PID/status. */
static const char *status_value(const char *status, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = status; line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (strncmp(line, name, len) == 0 && line[len] == ':')
			return line + len + 1;
	}
	return NULL;
}

uint64_t tip_procfs_number(const char *status, const char *name, int base)
{
	const char *v = status_value(status, name);

	return v ? strtoull(v, NULL, base) : 0;
}

uint32_t tip_procfs_innermost(const char *status, const char *name)
{
	const char *v = status_value(status, name);
	uint32_t last = 0;
	char *end;

	while (v && *v && *v != '\n') {
		unsigned long n = strtoul(v, &end, 10);

		if (end == v)
			break;
		last = (uint32_t)n;
		v = end;
	}
	return last;
}

struct stat_ids {
	uint32_t ppid, pgid, sid, tty;
};

/* Fields of /proc/PID/stat from the state on; comm before it may contain anything, also ')'. */
static bool parse_stat(const char *stat, uint64_t *start, struct stat_ids *out)
{
	const char *p = strrchr(stat, ')');
	long long v[20]; /* fields 4 to 23 */
	char *end;

	if (!p || strlen(p) < 4)
		return false;
	p += 3; /* ") S" */
	for (size_t i = 0; i < 20; i++) {
		v[i] = strtoll(p, &end, 10);
		if (end == p)
			return false;
		p = end;
	}
	out->ppid = (uint32_t)v[0];
	out->pgid = (uint32_t)v[1];
	out->sid = (uint32_t)v[2];
	out->tty = (uint32_t)v[3];
	*start = (uint64_t)v[18];
	return true;
}

/* Opens the folder; takes what `stat` says of it into `out`. */
static int open_process(uint32_t pid, uint64_t start_ns, struct stat_ids *out)
{
	uint64_t tick = TIP_NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK), start;
	char name[32], buf[1024];
	int dir;

	snprintf(name, sizeof(name), "/proc/%u", pid);
	dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -1;
	if (tip_procfs_file(dir, "stat", buf, sizeof(buf)) > 0 && parse_stat(buf, &start, out) &&
	    start == start_ns / tick)
		return dir;
	close(dir);
	return -1;
}

int tip_procfs_open(uint32_t pid, uint64_t start_ns)
{
	struct stat_ids ids;

	return open_process(pid, start_ns, &ids);
}

bool tip_procfs_read(uint32_t pid, uint64_t start_ns, struct tip_procfs *out)
{
	struct stat_ids ids;
	char buf[8192];
	ssize_t n;
	int dir;

	memset(out, 0, sizeof(*out));
	out->loginuid = UINT32_MAX;
	dir = open_process(pid, start_ns, &ids);
	if (dir < 0)
		return false;
	out->ppid = ids.ppid;
	out->pgid = ids.pgid;
	out->sid = ids.sid;
	out->tty = ids.tty;

	n = tip_procfs_file(dir, "comm", buf, sizeof(buf));
	if (n > 0)
		snprintf(out->comm, sizeof(out->comm), "%.*s", (int)strcspn(buf, "\n"), buf);
	n = tip_procfs_file(dir, "cmdline", out->args, sizeof(out->args));
	if (n > 0) /* the last argument's own NUL is not counted */
		out->args_len = (uint16_t)(out->args[n - 1] ? n : n - 1);
	link_at(dir, "exe", out->exe, sizeof(out->exe));
	link_at(dir, "cwd", out->cwd, sizeof(out->cwd));
	if (tip_procfs_file(dir, "loginuid", buf, sizeof(buf)) > 0)
		out->loginuid = (uint32_t)strtoul(buf, NULL, 10);
	if (tip_procfs_file(dir, "status", buf, sizeof(buf)) > 0) {
		out->cap_inheritable = tip_procfs_number(buf, "CapInh", 16);
		out->cap_permitted = tip_procfs_number(buf, "CapPrm", 16);
		out->cap_effective = tip_procfs_number(buf, "CapEff", 16);
		out->vpid = tip_procfs_innermost(buf, "NStgid");
		out->vpgid = tip_procfs_innermost(buf, "NSpgid");
	}
	close(dir);
	return true;
}
