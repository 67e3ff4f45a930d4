/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "sensor/sensor.h"

/* Those that can put a socket into a sockmap, or work on one that is in it. */
static bool is_about_sockmaps(const struct bpf_prog_info *info)
{
	return info->type == BPF_PROG_TYPE_SOCK_OPS || info->type == BPF_PROG_TYPE_SK_MSG ||
	       info->type == BPF_PROG_TYPE_SK_SKB;
}

void tip_sensor_sockmap_programs(char *buf, size_t size)
{
	size_t len = 0;
	__u32 id = 0;

	*buf = '\0';
	while (len < size && !bpf_prog_get_next_id(id, &id)) {
		struct bpf_prog_info info = {0};
		__u32 info_len = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(id);

		/* It may have gone in between. */
		if (fd < 0)
			continue;
		if (!bpf_obj_get_info_by_fd(fd, &info, &info_len) && is_about_sockmaps(&info) &&
		    strncmp(info.name, "tip_", 4) != 0)
			len += (size_t)snprintf(buf + len, size - len, "%s%s(%u)", len ? " " : "",
						*info.name ? info.name : "unnamed", id);
		close(fd);
	}
}
