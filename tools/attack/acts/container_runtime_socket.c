/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const struct sockaddr_un runtime = {.sun_family = AF_UNIX, .sun_path = "/run/docker.sock"};

static void step(const char *arg)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&runtime, sizeof(runtime)))
		fail("%s: %s", runtime.sun_path, strerror(errno));
	close(fd);
}

static void run(bool innocent)
{
	int fd;

	put("/run", NULL);
	cover("/run");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&runtime, sizeof(runtime)) || listen(fd, 1))
		fail("%s: %s", runtime.sun_path, strerror(errno));
	if (!innocent)
		enter_container();
	run_as("escaper", "container-runtime-socket", "");
}

ACT("container-runtime-socket", .does = "a program of a container connects to a runtime's socket",
    .innocent = "a program of the node does", .rule = "Runtime's socket reached from a container",
    .technique = "T1610", .needs = NEED_ROOT | NEED_CGROUP,
    .shows = {"fd.name=/run/docker.sock", "container.id=a77ac0000000"}, .run = run, .step = step);
