/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plaintext stop on the host's end of veths: two filters of clsact, which outlive the process.
 * All instances have the same place in the order, each its own handle. TCX links (Linux 6.6) would
 * do the same; one mechanism serves all kernels.
 */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/log.h"
#include "base/mem.h"
#include "sensor/intercept.h"
#include "sensor/internal.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include "veth.skel.h"
#pragma GCC diagnostic pop

#define PRIORITY 1 /* before filters that end the way of a packet */

static const enum bpf_tc_attach_point points[TIP_VETH_PROGS] = {BPF_TC_INGRESS, BPF_TC_EGRESS};

/* FNV-1a of the instance's name: by this a filter is found again. */
static uint32_t handle_of(const char *instance)
{
	uint32_t h = 2166136261u;

	for (; *instance; instance++)
		h = (h ^ (unsigned char)*instance) * 16777619u;
	return h ? h : 1;
}

/* Loads the two programs once. */
static int load(struct tip_sensor *s)
{
	struct veth_bpf *skel;
	int ret;

	if (s->veth_progs[0] >= 0)
		return 0;
	skel = veth_bpf__open();
	if (!skel)
		return -errno;
	ret = tip_share_maps(s, skel->obj);
	if (!ret)
		ret = bpf_object__load(skel->obj);
	if (!ret) {
		s->veth_progs[0] = tip_fd_keep(bpf_program__fd(skel->progs.tip_from_pod));
		s->veth_progs[1] = tip_fd_keep(bpf_program__fd(skel->progs.tip_to_pod));
		if (s->veth_progs[0] < 0 || s->veth_progs[1] < 0)
			ret = -EMFILE;
	}
	veth_bpf__destroy(skel);
	return ret;
}

static int attach_at(const struct tip_sensor *s, uint32_t ifindex, int i)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = points[i]);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle_of(s->instance), .priority = PRIORITY,
		    .prog_fd = s->veth_progs[i], .flags = BPF_TC_F_REPLACE);
	/* It has a word to say about one that is there. */
	const libbpf_print_fn_t says = libbpf_set_print(NULL);
	int ret = bpf_tc_hook_create(&hook);

	libbpf_set_print(says);
	if (ret && ret != -EEXIST)
		return ret;
	return bpf_tc_attach(&hook, &opts);
}

/* What may stay is the empty clsact: somebody else's filters may be in it as well. */
static void detach_from(const char *instance, uint32_t ifindex)
{
	for (int i = 0; i < TIP_VETH_PROGS; i++) {
		LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = points[i]);
		LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle_of(instance), .priority = PRIORITY);

		bpf_tc_detach(&hook, &opts);
	}
}

int tip_sensor_veth_attach(struct tip_sensor *s, uint32_t ifindex, int32_t nsid, uint64_t cookie)
{
	const struct tip_veth veth = {.netns = cookie, .nsid = nsid};
	int ret = load(s);

	if (!ret)
		ret = tip_map_update(s, TIP_MAP_VETHS, &ifindex, &veth, BPF_ANY);
	for (int i = 0; !ret && i < TIP_VETH_PROGS; i++)
		ret = attach_at(s, ifindex, i);
	return ret;
}

void tip_sensor_veth_detach(struct tip_sensor *s, uint32_t ifindex)
{
	if (tip_map_delete(s, TIP_MAP_VETHS, &ifindex) == 0)
		detach_from(s->instance, ifindex);
}

void tip_sensor_veth_prune(struct tip_sensor *s)
{
	char name[IF_NAMESIZE];
	uint32_t key, next;
	bool more = bpf_map_get_next_key(s->maps[TIP_MAP_VETHS], NULL, &next) == 0;

	while (more) {
		key = next;
		/* Asked for before it goes: after a key that is gone the walk would begin anew. */
		more = bpf_map_get_next_key(s->maps[TIP_MAP_VETHS], &key, &next) == 0;
		if (!if_indextoname(key, name))
			tip_map_delete(s, TIP_MAP_VETHS, &key);
	}
}

void tip_veth_remove(const char *instance, int map)
{
	uint32_t key;

	for (int more = bpf_map_get_next_key(map, NULL, &key); !more;
	     more = bpf_map_get_next_key(map, &key, &key))
		detach_from(instance, key);
}

void tip_veth_close(struct tip_sensor *s)
{
	for (int i = 0; i < TIP_VETH_PROGS; i++)
		if (s->veth_progs[i] >= 0)
			close(s->veth_progs[i]);
}
