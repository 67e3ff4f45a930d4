/* SPDX-License-Identifier: Apache-2.0 */
/* Where an act is played: nothing of it is the host's. */
#include "act.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* What will be seen at /X after cover() is made here as COVERS/X. */
#define COVERS STAGE "/covers"

void stage_set(void)
{
	struct stat st;

	if (stat("/opt", &st))
		skip("/opt: %s: the stage is set up there", strerror(errno));
	if (unshare(CLONE_NEWNS))
		skip("no mount namespace: %s", strerror(errno));
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("attack", "/opt", "tmpfs", MS_NODEV, "mode=0755,size=64m") ||
	    mkdir(STAGE, 0755) || mkdir(COVERS, 0755))
		fail("setting the stage: %s", strerror(errno));
}

/* mkdir -p for everything above `path`. */
static void folders_above(const char *path)
{
	char part[PATH_MAX];

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		if (mkdir(part, 0755) && errno != EEXIST)
			fail("%s: %s", part, strerror(errno));
	}
}

void put(const char *path, const char *text)
{
	char real[PATH_MAX], hidden[PATH_MAX + 8];
	int fd;

	snprintf(real, sizeof(real), COVERS "%s", path);
	folders_above(real);
	if (!text) {
		if (mkdir(real, 0755) && errno != EEXIST)
			fail("%s: %s", real, strerror(errno));
		return;
	}
	/* Rules look at names: this one is no file's that anybody watches. */
	snprintf(hidden, sizeof(hidden), STAGE "/made");
	fd = open(hidden, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || close(fd) ||
	    rename(hidden, real))
		fail("%s: %s", real, strerror(errno));
}

void cover(const char *folder)
{
	char real[PATH_MAX];
	struct stat st;

	snprintf(real, sizeof(real), COVERS "%s", folder);
	if (stat(folder, &st) || !S_ISDIR(st.st_mode))
		skip("this host has no %s", folder);
	if (mount(real, folder, NULL, MS_BIND, NULL))
		fail("covering %s: %s", folder, strerror(errno));
}

/* ---- containers ----------------------------------------------------------------------------- */

/* The cgroup2 folder of this process. */
static int own_cgroup(char out[PATH_MAX])
{
	char line[PATH_MAX + 64], type[64], where[PATH_MAX / 2] = "";
	FILE *f = fopen("/proc/self/mounts", "re");

	while (f && fgets(line, sizeof(line), f)) {
		char at[PATH_MAX / 2];

		if (sscanf(line, "%*s %2047s %63s", at, type) == 2 &&
		    strcmp(type, "cgroup2") == 0) {
			memcpy(where, at, sizeof(where));
			break;
		}
	}
	if (f)
		fclose(f);
	f = where[0] ? fopen("/proc/self/cgroup", "re") : NULL;
	out[0] = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::/", 4) == 0)
			snprintf(out, PATH_MAX, "%s%.*s", where, PATH_MAX / 2 - 1, line + 3);
	}
	if (f)
		fclose(f);
	return out[0] ? 0 : -1;
}

/* The name that a runtime gives to a container's cgroup; the ID is made of the act's process. */
static int container_path(pid_t act, char out[PATH_MAX])
{
	char own[PATH_MAX];

	if (own_cgroup(own))
		return -1;
	snprintf(out, PATH_MAX, "%.*s/docker-a77ac%059x.scope", PATH_MAX - 128, own,
		 (unsigned int)act);
	return 0;
}

void enter_container(void)
{
	char path[PATH_MAX], procs[PATH_MAX + 16];
	int fd;

	if (container_path(getpid(), path))
		skip("no cgroup2 hierarchy");
	if (mkdir(path, 0755))
		skip("%s: %s", path, strerror(errno));
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		skip("%s: %s", procs, strerror(errno));
	close(fd);
}

void container_remove(pid_t act)
{
	char path[PATH_MAX];

	/* Most often it was never made: the act was skipped before. */
	if (container_path(act, path) == 0)
		rmdir(path);
}

/* ---- terminals ------------------------------------------------------------------------------ */

void own_session(bool terminal)
{
	const int ptm = terminal ? posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
	const char *name;
	int pts;

	if (setsid() < 0)
		fail("setsid: %s", strerror(errno));
	if (!terminal)
		return;
	if (ptm < 0 || grantpt(ptm) || unlockpt(ptm) || !(name = ptsname(ptm)))
		skip("no terminal: %s", strerror(errno));
	pts = open(name, O_RDWR | O_CLOEXEC);
	if (pts < 0 || ioctl(pts, TIOCSCTTY, 0))
		fail("%s: %s", name, strerror(errno));
}

/* ---- networks ------------------------------------------------------------------------------- */

void own_network(const char *address)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct ifreq flags = {.ifr_name = "lo"}, addr = {.ifr_name = "lo:1"};
	int fd;

	if (inet_pton(AF_INET, address, &sin.sin_addr) != 1)
		fail("%s is no IPv4 address", address);
	if (unshare(CLONE_NEWNET))
		skip("no network namespace: %s", strerror(errno));
	memcpy(&addr.ifr_addr, &sin, sizeof(sin));
	flags.ifr_flags = IFF_UP;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &flags) || ioctl(fd, SIOCSIFADDR, &addr))
		fail("the act's own network: %s", strerror(errno));
	close(fd);
}
