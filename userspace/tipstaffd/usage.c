/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define LINE_MAX_BYTES 512
#define CPU_COLUMNS    7 /* user nice system idle iowait irq softirq */
#define CPU_IDLE       3

/* What follows `name` at the begin of a line of the file ("" is the first line), or "". */
static const char *look(const char *proc, const char *file, const char *name, char *line)
{
	char *path = tip_sprintf("%s/%s", proc, file);
	const char *found = "";
	FILE *f = fopen(path, "re");

	while (f && !*found && fgets(line, LINE_MAX_BYTES, f))
		if (strncmp(line, name, strlen(name)) == 0)
			found = line + strlen(name);
	if (f)
		fclose(f);
	free(path);
	return found;
}

static uint64_t figure(const char *proc, const char *file, const char *name)
{
	char line[LINE_MAX_BYTES];

	return strtoull(look(proc, file, name, line), NULL, 10);
}

static void read_cpus(const char *proc, struct tip_usage *out)
{
	char line[LINE_MAX_BYTES], *end;
	const char *at = look(proc, "stat", "cpu ", line);

	for (int i = 0; i < CPU_COLUMNS; i++, at = end) {
		const uint64_t ticks = strtoull(at, &end, 10);

		out->host_ticks += ticks;
		out->host_busy += i == CPU_IDLE ? 0 : ticks;
	}
}

void tip_usage_read(const char *proc, struct tip_usage *out)
{
	static const char *const not_used[] = {"MemFree:", "Buffers:", "Cached:"};

	*out = (struct tip_usage){
		.rss_kb = figure(proc, "self/status", "VmRSS:"),
		.vsz_kb = figure(proc, "self/status", "VmSize:"),
		.pss_kb = figure(proc, "self/smaps_rollup", "Pss:"),
		.host_memory_used_kb = figure(proc, "meminfo", "MemTotal:"),
		.host_procs_running = figure(proc, "stat", "procs_running "),
		.host_open_fds = figure(proc, "sys/fs/file-nr", ""),
	};
	for (size_t i = 0; i < TIP_ARRAY_SIZE(not_used); i++) {
		const uint64_t kb = figure(proc, "meminfo", not_used[i]);

		out->host_memory_used_kb -= kb < out->host_memory_used_kb ? kb : 0;
	}
	read_cpus(proc, out);
}
