/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define IMAGE  STAGE "/image"
#define LAYER  STAGE "/layer"
#define MERGED STAGE "/merged"

/* What a runtime makes for a container: an image that is read, and a layer for what is written. */
static void run(bool innocent)
{
	static const char *const folders[] = {IMAGE, LAYER, STAGE "/work", MERGED};

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (mkdir(folders[i], 0755))
			fail("%s: %s", folders[i], strerror(errno));
	if (innocent)
		copy_to(IMAGE "/updater");
	if (mount("overlay", MERGED, "overlay", 0,
		  "lowerdir=" IMAGE ",upperdir=" LAYER ",workdir=" STAGE "/work"))
		skip("no overlayfs: %s", strerror(errno));
	if (!innocent)
		copy_to(MERGED "/updater");
	enter_container();
	run_at(MERGED "/updater", "nothing", "");
}

ACT("container-new-program", .does = "a program starts in a container that its image does not have",
    .innocent = "a program of the image starts there",
    .rule = "Program started that the image does not have", .technique = "T1105",
    .needs = NEED_ROOT | NEED_CGROUP,
    .shows = {"proc.exepath=" MERGED "/updater", "container.id=a77ac0000000"}, .run = run);
