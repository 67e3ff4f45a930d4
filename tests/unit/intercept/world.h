/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_INTERCEPT_WORLD_H
#define TEST_INTERCEPT_WORLD_H

/* Own pid, mount and network namespaces for a whole test program: nothing of this machine is seen
 * or touched. Process 1 is the test, and 2 lives in what it takes for the initial namespaces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

/* Waits for a state, never for a time: `each` is done between two looks. */
#define UNTIL_DOING(condition, each)                                                               \
	do {                                                                                       \
		const uint64_t until_ = tip_clock_monotonic() + 30 * TIP_NSEC_PER_SEC;             \
		while (!(condition)) {                                                             \
			if (tip_clock_monotonic() > until_)                                        \
				fail_msg("never: %s", #condition);                                 \
			each;                                                                      \
			poll(NULL, 0, 1);                                                          \
		}                                                                                  \
	} while (0)

static inline int world_enter(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET) < 0)
		return -1;
	return 0;
}

static inline int loopback_up(void)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq lo = {.ifr_name = "lo"};
	int ret;

	lo.ifr_flags = IFF_UP | IFF_RUNNING;
	ret = ioctl(fd, SIOCSIFFLAGS, &lo);
	close(fd);
	return ret;
}

/*
 * Runs the tests in a world of their own. Without the right to make one it runs `otherwise`, which
 * says so.
 */
static inline int world_run(int (*tests)(void), int (*otherwise)(void))
{
	int status;
	pid_t pid;

	if (world_enter() < 0) {
		printf("skipped: no root here, or no namespaces\n");
		return otherwise();
	}
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("proc", "/proc", "proc", 0, NULL) < 0 ||
		    mount("run", "/run", "tmpfs", 0, NULL) < 0 || mkdir("/run/netns", 0755) < 0 ||
		    loopback_up() < 0) {
			perror("world");
			exit(1);
		}
		if (fork() == 0) {
			for (;;)
				pause();
		}
		exit(tests());
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		status = 1;
	/* Without the sanitizer's last look: whose children get another pid namespace has no
	 * threads. */
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* A network namespace with one process in it, which does nothing. */
struct space {
	pid_t pid;
	int fd;
	uint32_t inode;
};

static inline uint32_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint32_t)st.st_ino;
}

static inline void space_open(struct space *s, bool up)
{
	char path[64], c;
	int ready[2];

	assert_int_equal(pipe(ready), 0);
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) < 0 || (up && loopback_up() < 0) ||
		    write(ready[1], "", 1) != 1)
			_exit(1);
		/* It would keep other namespaces alive. */
		close_range(3, ~0U, 0);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)s->pid);
	s->fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(s->fd >= 0);
	s->inode = inode_of(s->fd);
}

/* Ends its process. */
static inline void space_leave(struct space *s)
{
	if (s->pid) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	s->pid = 0;
}

static inline void space_forget(struct space *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static inline void space_close(struct space *s)
{
	space_leave(s);
	space_forget(s);
}

/* Runs a program in it. Its exit status; what it says goes to `said`, which may be NULL. */
static inline int space_exec(const struct space *s, char *said, size_t size,
			     const char *const argv[])
{
	size_t len = 0;
	int out[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		if (setns(s->fd, CLONE_NEWNET) < 0)
			_exit(126);
		dup2(out[1], 1);
		if (!said)
			dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 1);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(out[1]);
	while (said && len < size - 1 && (n = read(out[0], said + len, size - 1 - len)) > 0)
		len += (size_t)n;
	if (said)
		said[len] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
