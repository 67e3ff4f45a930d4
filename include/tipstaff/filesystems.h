/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIPSTAFF_FILESYSTEMS_H
#define TIPSTAFF_FILESYSTEMS_H

/*
 * What the digest of an executable may rest on, by its file system: s_magic in the kernel, f_type
 * of statfs(2). Both the kernel's and the daemon's own hashing ask here. (linux/magic.h lacks
 * some.)
 */

/*
 * May the file system show one who reads a file something else than one who executes it? Those that
 * another process or another machine answers for do: FUSE, network and cluster file systems.
 */
static inline __attribute__((always_inline, unused)) _Bool tip_fs_is_foreign(unsigned long magic)
{
	switch ((unsigned int)magic) {
	case 0x65735546: /* FUSE */
	case 0x6969:     /* NFS */
	case 0xff534d42: /* CIFS */
	case 0x517b:     /* SMB */
	case 0xfe534d42: /* SMB 2 */
	case 0x00c36400: /* Ceph */
	case 0x5346414f: /* AFS */
	case 0x6b414653: /* kAFS */
	case 0x73757245: /* Coda */
	case 0x01021997: /* 9P */
	case 0x01161970: /* GFS2 */
	case 0x7461636f: /* OCFS2 */ return 1;
	default: return 0;
	}
}

/*
 * Do file times there say nothing of writes through a shared mapping? What lives in memory only is
 * never written back, so the kernel does not watch for the first write to a page.
 */
static inline __attribute__((always_inline, unused)) _Bool tip_fs_is_timeless(unsigned long magic)
{
	switch ((unsigned int)magic) {
	case 0x01021994: /* tmpfs */
	case 0x858458f6: /* ramfs */
	case 0x958458f6: /* hugetlbfs */ return 1;
	default: return 0;
	}
}

#endif
