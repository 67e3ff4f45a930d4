/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIPSTAFF_LINK_H
#define TIPSTAFF_LINK_H

#include <linux/types.h>

/*
 * The messages between keeper and front: one SOCK_SEQPACKET packet each, this
 * header, then a payload of fixed-width members and length-prefixed strings (u32 length, bytes, no
 * NUL), in the order given beside each type. Both ends check version, type, direction, length and
 * every string against its limit; anything wrong ends the link. Little-endian, since both ends are
 * one machine.
 */
#define TIP_LINK_VERSION 1
#define TIP_LINK_MAX     65536 /* bytes of one message, header included */

struct tip_link_hdr {
	__u16 version;
	__u16 type; /* enum tip_link_type */
	__u32 len;  /* whole message */
	__u32 seq;  /* +1 a message and direction, from 0: a gap ends the link */
	__u32 nfds; /* descriptors that come with it */
};

/* In the payload's order; s: string, u32, u64. Limits of the strings stand in link/codec.c. */
enum tip_link_type {
	/* keeper -> front */

	/* s trust_domain; u32 x509_ttl, ca_ttl, max_execs, max_connections, max_per_uid, log_level
	 */
	TIP_LINK_CONFIG = 1,
	/* s name, s data: a record of the cache, before START */
	TIP_LINK_RECORD = 2,
	/* empty: a new set of entries begins */
	TIP_LINK_ENTRIES = 3,
	/* s yaml: one entry, as tip_entry_write() puts it */
	TIP_LINK_ENTRY = 4,
	/* empty: the set is whole, use it */
	TIP_LINK_ENTRIES_END = 5,
	/* empty: records, entries and quarantine are all there, serve */
	TIP_LINK_START = 6,
	/* u32 on, s spiffe_id */
	TIP_LINK_QUARANTINE = 7,
	/*
	 * u64 exec_id, u32 epoch, u32 pid, u32 uid, u32 gid, u32 withheld (its origin is
	 * quarantined), s path, s cgroup
	 */
	TIP_LINK_EXEC = 8,
	/* u64 exec_id */
	TIP_LINK_GONE = 9,
	/* u64 id, u64 exec_id, u32 epoch, u32 pid, u32 uid, u32 gid; with one descriptor */
	TIP_LINK_CONN = 10,
	/* u64 id, u32 ask, u32 ok */
	TIP_LINK_CHECKED = 11,

	/* front -> keeper */

	/* empty: serving */
	TIP_LINK_READY = 32,
	/* u64 exec_id, u32 epoch, s spiffe_id */
	TIP_LINK_RESOLVED = 33,
	/* s name, s data: keep this record */
	TIP_LINK_SAVE = 34,
	/* s name */
	TIP_LINK_FORGET = 35,
	/* u64 id, u32 ask: is that connection's process still the same? */
	TIP_LINK_CHECK = 36,
	/* u64 id: that connection is over */
	TIP_LINK_CLOSED = 37,
	/* u64 exec_id, u32 pid, s cause: a connection was cut for cause */
	TIP_LINK_REFUSED = 38,
	/*
	 * u32 entries, execs, svids, connections, streams, bad_records; u64 issued, renewed,
	 * calls, denied, foreign_writers, errors
	 */
	TIP_LINK_STATS = 39,
	TIP_LINK_TYPE_MAX
};

#endif
