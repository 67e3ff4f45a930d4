/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void run(bool innocent)
{
	put("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
	put("/etc/motd", "hello\n");
	cover("/etc");
	if (symlink(innocent ? "/etc/motd" : "/etc/passwd", STAGE "/notes"))
		fail("symlink: %s", strerror(errno));
	run_as("dropper", "write", STAGE "/notes");
}

ACT("write-passwd-by-link", .does = "a program opens /etc/passwd for writing by another name",
    .innocent = "the link leads to another file", .rule = "Account file written",
    .technique = "T1136.001", .needs = NEED_ROOT,
    .shows = {"fd.name=" STAGE "/notes", "fd.path.real=/etc/passwd"}, .run = run);
