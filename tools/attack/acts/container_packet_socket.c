/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void step(const char *arg)
{
	/* Bound to nothing: it hears nothing. */
	const int fd = socket(*arg ? AF_INET : AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		skip("socket: %s", strerror(errno));
	close(fd);
}

static void run(bool innocent)
{
	enter_container();
	run_as("sniffer", "container-packet-socket", innocent ? "innocent" : "");
}

ACT("container-packet-socket", .does = "a program of a container opens a packet socket",
    .innocent = "it opens an ordinary one", .rule = "Packet socket opened in a container",
    .technique = "T1040", .needs = NEED_ROOT | NEED_CGROUP,
    .shows = {"evt.arg.domain=AF_PACKET", "container.id=a77ac0000000"}, .run = run, .step = step);
