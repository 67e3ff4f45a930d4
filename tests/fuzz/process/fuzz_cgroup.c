/* SPDX-License-Identifier: Apache-2.0 */
/* A cgroup's path is chosen by whoever made the cgroup: any bytes may be in it. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "process/process.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *path = malloc(size + 1);
	char id[65], again[65];

	if (!path)
		return 0;
	memcpy(path, data, size);
	path[size] = '\0';
	memset(id, 'x', sizeof(id));
	if (tip_container_id_from_cgroup(path, id)) {
		bool hex = strlen(id) == 64 && strspn(id, "0123456789abcdef") == 64;

		/* It stands in the path, and one of 64 hex digits is an id also alone. */
		if (!id[0] || strlen(id) > 64 || !strstr(path, id) || strchr(id, '/') ||
		    (hex && (!tip_container_id_from_cgroup(id, again) || strcmp(id, again) != 0)))
			abort();
	} else if (id[0]) {
		abort();
	}
	free(path);
	return 0;
}
