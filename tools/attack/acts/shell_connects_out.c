/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

/* One of the addresses that documents use (RFC 5737); the other is any private network's. */
#define OUTSIDE "198.51.100.7"
#define INSIDE  "10.9.8.7"

static void run(bool innocent)
{
	own_network(innocent ? INSIDE : OUTSIDE);
	listen_tcp(innocent ? INSIDE ":443" : OUTSIDE ":443");
	run_as("bash", "connect", innocent ? INSIDE ":443" : OUTSIDE ":443");
}

ACT("shell-connects-out", .does = "a shell connects to an address outside of the private ranges",
    .innocent = "a shell connects to a private address",
    .rule = "Shell or interpreter connects to the outside", .technique = "T1059.004",
    .needs = NEED_ROOT, .shows = {"fd.name=198.51.100.7:443", "proc.name=bash"}, .run = run);
