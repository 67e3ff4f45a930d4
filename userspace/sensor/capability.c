/* SPDX-License-Identifier: Apache-2.0 */
#include "sensor/sensor.h"

static const char *const names[TIP_CAP_MAX] = {
	[TIP_CAP_BTF] = "btf",
	[TIP_CAP_TP_BTF] = "tp_btf",
	[TIP_CAP_RINGBUF] = "ringbuf",
	[TIP_CAP_ITER_TASK] = "iter_task",
	[TIP_CAP_SEND_SIGNAL] = "send_signal",
	[TIP_CAP_CGROUP_CONNECT] = "cgroup_connect",
	[TIP_CAP_SOCKOPS] = "sockops",
	[TIP_CAP_SK_LOOKUP] = "sk_lookup",
	[TIP_CAP_FENTRY] = "fentry",
	[TIP_CAP_KPROBE] = "kprobe",
	[TIP_CAP_LSM] = "lsm",
	[TIP_CAP_IMA] = "ima",
	[TIP_CAP_KTLS] = "ktls",
	[TIP_CAP_NFQUEUE] = "nfqueue",
	[TIP_CAP_CGROUP2] = "cgroup2",
	[TIP_CAP_BPFFS] = "bpffs",
};

const char *tip_capability_name(enum tip_capability cap)
{
	return names[cap];
}
