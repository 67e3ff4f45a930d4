/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_FLAGS_H
#define TIP_DETECT_FLAGS_H

#include "detect/field.h"

/* Names of the bits, or of the values, of arguments. */
struct tip_named_bits {
	uint64_t value;
	const char *name;
};

struct tip_flag_table {
	const struct tip_named_bits *flags;
	size_t count;
	bool values; /* the argument is one of them, not a sum */
};
extern const struct tip_flag_table tip_flags_file, tip_flags_clone, tip_flags_mode,
	tip_flags_at_unlink, tip_flags_at_link, tip_flags_at_owner, tip_flags_rename,
	tip_flags_family, tip_flags_bpf, tip_flags_memfd, tip_flags_splice, tip_flags_prctl,
	tip_flags_shutdown, tip_flags_module, tip_flags_node, tip_flags_mount, tip_flags_umount,
	tip_flags_prot, tip_flags_map, tip_flags_finit_module, tip_flags_ptrace, tip_flags_fcntl,
	tip_flags_at_stat, tip_flags_access, tip_flags_whence, tip_flags_flock,
	tip_flags_close_range, tip_flags_fsconfig, tip_flags_epoll, tip_flags_pidfd,
	tip_flags_uring_setup, tip_flags_uring_features, tip_flags_uring_enter,
	tip_flags_uring_register, tip_flags_futex, tip_flags_futex_how, tip_flags_sock_level,
	tip_flags_sock_option, tip_flags_mlock2, tip_flags_mlockall, tip_flags_rlimit,
	tip_flags_keyctl, tip_flags_semget, tip_flags_semctl;

/* "A|B" of those that are set in `value`; leaves `out` unset where it has no name. */
void tip_flags_text(struct tip_extract *x, const struct tip_flag_table *table, uint64_t value,
		    struct tip_value *out);

#endif
