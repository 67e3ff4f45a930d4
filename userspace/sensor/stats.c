/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/log.h"
#include "base/mem.h"
#include "sensor/internal.h"

void tip_sensor_counters(struct tip_sensor *s, uint64_t out[TIP_CTR_MAX])
{
	const int cpus = libbpf_num_possible_cpus();
	uint64_t *each;

	memset(out, 0, TIP_CTR_MAX * sizeof(*out));
	if (cpus <= 0)
		return;
	each = tip_calloc((size_t)cpus, sizeof(*each));
	for (uint32_t i = 0; i < TIP_CTR_MAX; i++) {
		if (bpf_map_lookup_elem(s->maps[TIP_MAP_COUNTERS], &i, each))
			continue;
		for (int cpu = 0; cpu < cpus; cpu++)
			out[i] += each[cpu];
	}
	free(each);
}

/* A note in a counter's first place: nothing in the kernel counts there. */
static void note(struct tip_sensor *s, uint32_t key, uint64_t value)
{
	const int cpus = libbpf_num_possible_cpus();
	uint64_t *each;

	if (cpus <= 0)
		return;
	each = tip_calloc((size_t)cpus, sizeof(*each));
	each[0] = value;
	if (bpf_map_update_elem(s->maps[TIP_MAP_COUNTERS], &key, each, BPF_ANY))
		tip_warn("sensor", "cannot note what was counted: %s", strerror(errno));
	free(each);
}

void tip_sensor_drops_told(struct tip_sensor *s, uint64_t told)
{
	note(s, TIP_CTR_DROPS_TOLD, told);
}

void tip_sensor_note_taken(struct tip_sensor *s)
{
	note(s, TIP_CTR_TAKEN_LIFECYCLE, s->taken[0]);
	note(s, TIP_CTR_TAKEN_ACTIVITY, s->taken[1]);
	note(s, TIP_CTR_TAKEN_UNMATCHED, s->unmatched);
}

void tip_stats_begin(struct tip_sensor *s)
{
	uint64_t c[TIP_CTR_MAX];

	tip_sensor_counters(s, c);
	s->taken[0] = c[TIP_CTR_TAKEN_LIFECYCLE];
	s->taken[1] = c[TIP_CTR_TAKEN_ACTIVITY];
	s->unmatched = c[TIP_CTR_TAKEN_UNMATCHED];
}

/* What the kernel charges for a map: the line "memlock:" of its fdinfo. */
static size_t map_memory(int fd)
{
	char path[64], line[128];
	size_t bytes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %zu", &bytes) == 1)
			break;
	fclose(f);
	return bytes;
}

static uint64_t misses(int prog)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(prog, &info, &len) ? 0 : info.recursion_misses;
}

/* Which ring a program is for. */
static enum tip_account account_of(int prog)
{
	return prog < TIP_PROG_SYS_EXIT ? TIP_ACCOUNT_LIFECYCLE : TIP_ACCOUNT_ACTIVITY;
}

void tip_sensor_accounts(struct tip_sensor *s, struct tip_sensor_account out[TIP_ACCOUNTS])
{
	/* The order matters: what is taken and sent meanwhile is then at most waiting. */
	const uint64_t taken[] = {s->taken[0], s->taken[1]};
	uint64_t c[TIP_CTR_MAX];

	tip_sensor_counters(s, c);
	memset(out, 0, TIP_ACCOUNTS * sizeof(*out));
	for (int i = 0; i < TIP_ACCOUNTS; i++) {
		const bool acts = i == TIP_ACCOUNT_ACTIVITY;
		const uint64_t sent = c[acts ? TIP_CTR_ACTIVITY_SENT : TIP_CTR_LIFECYCLE_SENT];

		out[i].filtered = acts ? c[TIP_CTR_PREFILTERED] : s->unmatched;
		out[i].delivered = taken[i] - (acts ? 0 : out[i].filtered);
		out[i].waiting = sent > taken[i] ? sent - taken[i] : 0;
		out[i].dropped = c[acts ? TIP_CTR_ACTIVITY_DROPPED : TIP_CTR_LIFECYCLE_DROPPED];
	}
	for (int i = 0; i < TIP_PROG_TRACING_END; i++)
		out[account_of(i)].missed += misses(s->progs[i]);
	for (int i = 0; i < TIP_ACCOUNTS; i++)
		out[i].generated = out[i].delivered + out[i].waiting + out[i].filtered +
				   out[i].dropped + out[i].missed;
}

void tip_sensor_stats(struct tip_sensor *s, struct tip_sensor_stats *out)
{
	struct tip_proc_key key, next;

	memset(out, 0, sizeof(*out));
	tip_sensor_counters(s, out->counters);
	out->malformed = s->malformed;
	for (int i = 0; i < TIP_PROG_END; i++)
		out->recursion_misses += misses(s->progs[i]);
	for (int i = 0; i < TIP_PROG_TRACING_END; i++)
		out->programs += s->links[i] >= 0;
	for (size_t h = 0; h < s->nhooked; h++)
		for (int i = 0; i < TIP_CGROUP_HOOKS; i++)
			out->programs += s->hooked[h].links[i] >= 0;
	for (int i = 0; i < TIP_MAP_END; i++)
		out->map_bytes += map_memory(s->maps[i]);
	for (int r = bpf_map_get_next_key(s->maps[TIP_MAP_PROCS], NULL, &next); r == 0;
	     r = bpf_map_get_next_key(s->maps[TIP_MAP_PROCS], &key, &next)) {
		key = next;
		out->procs++;
	}
}
