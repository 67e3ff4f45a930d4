/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/capabilities.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

json_t *tip_capabilities_json(const struct tip_capability_result caps[TIP_CAP_MAX])
{
	json_t *list = json_array();

	for (int i = 0; i < TIP_CAP_MAX; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:b, s:s}", "name", caps[i].name, "works",
						caps[i].works, "detail", caps[i].detail));
	return list;
}

int tip_capabilities_print(bool json)
{
	struct tip_capability_result caps[TIP_CAP_MAX];
	char cgroup2[PATH_MAX] = "";
	struct utsname kernel;

	if (tip_cgroup2_mount(cgroup2, sizeof(cgroup2)) < 0)
		cgroup2[0] = '\0';
	tip_probe(cgroup2, caps);
	if (json) {
		json_t *o = json_pack("{s:o}", "capabilities", tip_capabilities_json(caps));

		json_dumpf(o, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(o);
	} else {
		if (uname(&kernel) == 0)
			printf("Linux %s\n", kernel.release);
		for (int i = 0; i < TIP_CAP_MAX; i++)
			printf("%-14s  %-3s  %s\n", caps[i].name, caps[i].works ? "yes" : "no",
			       caps[i].detail);
	}
	if (fflush(stdout) == EOF || ferror(stdout)) {
		fprintf(stderr, "tipstaffd: standard output: %s\n", strerror(errno));
		return 1;
	}
	return 0;
}
