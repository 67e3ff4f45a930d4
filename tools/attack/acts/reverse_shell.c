/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void step(const char *arg)
{
	const int sock = connect_tcp("127.0.0.1:4444");

	if (sock < 0)
		fail("no connection: %s", strerror(-sock));
	if (dup2(sock, *arg ? 100 : STDIN_FILENO) < 0)
		fail("dup2: %s", strerror(errno));
}

static void run(bool innocent)
{
	own_network("10.9.8.7");
	listen_tcp("127.0.0.1:4444");
	run_as("payd", "reverse-shell", innocent ? "innocent" : "");
}

ACT("reverse-shell", .does = "a program makes a connection its own standard input",
    .innocent = "it gives the connection another number",
    .rule = "Connection made the input or output of a program", .technique = "T1059.004",
    .needs = NEED_ROOT, .shows = {"fd.name=127.0.0.1:4444", "proc.name=payd"}, .run = run,
    .step = step);
