/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps' only definition; every other object has them `extern`. */
#include "lib/maps.h"

struct tip_map_procs procs SEC(".maps");
struct tip_map_bindings bindings SEC(".maps");
struct tip_map_exec_cache exec_cache SEC(".maps");
struct tip_map_exec_keys exec_keys SEC(".maps");
struct tip_map_digests digests SEC(".maps");
struct tip_map_sequence sequence SEC(".maps");
struct tip_map_settings settings SEC(".maps");
struct tip_map_counters counters SEC(".maps");
struct tip_map_ring lifecycle SEC(".maps");
struct tip_map_ring activity SEC(".maps");
struct tip_map_quarantine quarantine SEC(".maps");
struct tip_map_rule_sets rule_sets SEC(".maps");
struct tip_map_rule_values rule_values SEC(".maps");
struct tip_map_rule_texts rule_texts SEC(".maps");
struct tip_map_rule_nets rule_nets SEC(".maps");
struct tip_map_filters filters SEC(".maps");
struct tip_map_filter_names filter_names SEC(".maps");
struct tip_map_identity_names identity_names SEC(".maps");
struct tip_map_unix_peers unix_peers SEC(".maps");
struct tip_map_accepted accepted SEC(".maps");
struct tip_map_traffic traffic SEC(".maps");
struct tip_map_traffic_ports traffic_ports SEC(".maps");
struct tip_map_traffic_clients traffic_clients SEC(".maps");
struct tip_map_redirects redirects SEC(".maps");
struct tip_map_shares shares SEC(".maps");
struct tip_map_legs legs SEC(".maps");
struct tip_map_listeners listeners SEC(".maps");
struct tip_map_workers workers SEC(".maps");
struct tip_map_ours ours SEC(".maps");
struct tip_map_veths veths SEC(".maps");
struct tip_map_redirected redirected SEC(".maps");
struct tip_map_heartbeat heartbeat SEC(".maps");
struct tip_map_paced paced SEC(".maps");
struct tip_map_handlers handlers SEC(".maps");
struct tip_map_acting acting SEC(".maps");
struct tip_map_hashed hashed SEC(".maps");
struct tip_map_scratch scratch SEC(".maps");
struct tip_map_judges judges SEC(".maps");

const volatile __u64 tip_build = 0;
const volatile bool tip_lsm = false;
const volatile __u32 tip_judges = TIP_JUDGES_MIN;
const volatile __u16 tip_ia32[TIP_SYSCALLS] = {};
const volatile __u16 tip_socketcalls[TIP_SOCKETCALLS] = {};
const volatile struct tip_shape tip_shapes[TIP_SYSCALLS] = {};

char LICENSE[] SEC("license") = "Dual BSD/GPL";
