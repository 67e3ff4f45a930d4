/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* A new session on a new terminal. */
static void take_terminal(void)
{
	const int ptm = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	const char *name;
	int pts;

	if (ptm < 0 || grantpt(ptm) || unlockpt(ptm) || !(name = ptsname(ptm)))
		skip("no terminal: %s", strerror(errno));
	if (setsid() < 0)
		fail("setsid: %s", strerror(errno));
	pts = open(name, O_RDWR | O_CLOEXEC);
	if (pts < 0 || ioctl(pts, TIOCSCTTY, 0))
		fail("%s: %s", name, strerror(errno));
}

static void run(bool innocent)
{
	enter_container();
	if (!innocent)
		take_terminal();
	run_as("bash -i", "nothing", "");
}

ACT("container-terminal", .does = "a shell with a terminal starts in a container",
    .innocent = "a shell without a terminal starts there", .rule = "Terminal shell in a container",
    .technique = "T1059.004", .needs = NEED_ROOT | NEED_CGROUP,
    .shows = {"proc.name=bash", "container.id=a77ac0000000"}, .run = run);
