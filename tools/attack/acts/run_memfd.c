/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* A descriptor of a copy of this program that has no name anywhere. */
static int nameless(void)
{
	const int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	const int to = memfd_create("kworker", MFD_CLOEXEC);
	struct stat st;
	off_t at = 0;

	if (from < 0 || to < 0 || fstat(from, &st))
		fail("memfd_create: %s", strerror(errno));
	while (at < st.st_size)
		if (sendfile(to, from, &at, (size_t)(st.st_size - at)) <= 0)
			fail("sendfile: %s", strerror(errno));
	close(from);
	return to;
}

static void run(bool innocent)
{
	const int fd = innocent ? open("/proc/self/exe", O_RDONLY | O_CLOEXEC) : nameless();
	char *const argv[] = {(char *)"kworker", NULL};
	pid_t pid;

	if (fd < 0)
		fail("/proc/self/exe: %s", strerror(errno));
	setenv(STEP_VERB, "nothing", 1);
	setenv(STEP_ARG, "", 1);
	pid = fork();
	if (pid == 0) {
		fexecve(fd, argv, environ);
		fail("fexecve: %s", strerror(errno));
	}
	await(pid);
}

ACT("run-memfd", .does = "a program starts that never was on a disk",
    .innocent = "a file of a disk is started by its descriptor",
    .rule = "Program started from an anonymous file", .technique = "T1620",
    .shows = {"proc.exepath=memfd:kworker"}, .run = run);
