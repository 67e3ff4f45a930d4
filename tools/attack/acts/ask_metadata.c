/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#define METADATA "169.254.169.254"

static void run(bool innocent)
{
	own_network(METADATA);
	listen_tcp(METADATA ":80");
	run_as(innocent ? "cloud-agent" : "curl", "connect", METADATA ":80");
}

ACT("ask-metadata", .does = "curl connects to the metadata service of a cloud",
    .innocent = "an agent connects to it", .rule = "Metadata service of the cloud asked by a tool",
    .technique = "T1552.005", .needs = NEED_ROOT,
    .shows = {"fd.name=169.254.169.254:80", "proc.name=curl"}, .run = run);
