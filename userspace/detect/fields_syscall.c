/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "detect/args.h"

/* Arguments of the events that are told by the numbers and the texts that the call was given. */

#define BIT(c)       TIP_CODE_BIT(TIP_CODE_##c)
#define OWNERS       (BIT(CHOWN) | BIT(LCHOWN))
#define VECTORS_IN   (BIT(READV) | BIT(PREADV) | BIT(RECVMSG))
#define TWO_MESSAGES (BIT(SENDMMSG) | BIT(RECVMMSG))
#define TWO_FDS      (BIT(SOCKETPAIR) | BIT(PIPE) | BIT(PIPE2))
#define RESULTS_FD   (BIT(SOCKET) | BIT(MEMFD_CREATE) | BIT(BPF))

/* `n`: of args[]; `text`: which path, or text. */
static const struct tip_arg_row rows[] = {
	{TIP_CODES_CALL | (TIP_CODES_NAMED &
			   ~(RESULTS_FD | TIP_CODES_DUP | BIT(FCNTL) | BIT(SETSID) | BIT(OTHER))),
	 "res", S_RES, 0, 0, NULL},
	{BIT(SETSID), "res", S_PID, TIP_RESULT, 0, NULL},
	{TIP_CODES_DUP | BIT(FCNTL), "res", S_RES_FD, 0, 0, NULL},
	{RESULTS_FD, "fd", S_RES_FD, 0, 0, NULL},
	{BIT(OTHER), "ID", S_ID, 0, 0, NULL},
	{BIT(OTHER), "nativeID", S_ID, 1, 0, NULL},

	{BIT(KILL) | BIT(TGKILL), "pid", S_PID, 0, 0, NULL},
	{BIT(TKILL), "tid", S_PID, 0, 0, NULL},
	{BIT(TGKILL), "tid", S_PID, 1, 0, NULL},
	{BIT(KILL) | BIT(TKILL), "sig", S_SIGNAL, 1, 0, NULL},
	{BIT(TGKILL), "sig", S_SIGNAL, 2, 0, NULL},
	{BIT(PTRACE), "addr", S_HEX, 2, 0, NULL},
	{BIT(PTRACE), "data", S_HEX, 3, 0, NULL},
	{BIT(PTRACE), "request", S_FLAGS, 0, 0, &tip_flags_ptrace},
	{BIT(PTRACE), "pid", S_PID, 1, 0, NULL},
	{BIT(MOUNT), "dev", S_TEXT, 0, 0, NULL},
	{BIT(MOUNT), "dir", S_TEXT, 0, 1, NULL},
	{BIT(MOUNT), "type", S_TEXT, 0, 2, NULL},
	{BIT(MOUNT), "flags", S_MOUNT, 3, 0, &tip_flags_mount},
	{BIT(UMOUNT) | BIT(UMOUNT2), "name", S_TEXT, 0, 0, NULL},
	{BIT(UMOUNT2), "flags", S_FLAGS, 1, 0, &tip_flags_umount},
	{BIT(MOVE_MOUNT), "oldpath", S_TEXT, 0, 0, NULL},
	{BIT(MOVE_MOUNT), "newpath", S_TEXT, 0, 1, NULL},
	{BIT(INIT_MODULE), "img", S_HEX, 0, 0, NULL},
	{BIT(INIT_MODULE), "length", S_NUMBER, 1, 0, NULL},
	{BIT(FINIT_MODULE), "fd", S_FD, 0, 0, NULL},
	{TIP_CODES_MODULE, "uargs", S_TEXT, 0, 0, NULL},
	{BIT(FINIT_MODULE), "flags", S_FLAGS, 2, 0, &tip_flags_finit_module},
	{BIT(MMAP), "vm_size", TIP_ARG_LIVE, TIP_LIVE_VM_SIZE, 0, NULL},
	{BIT(MMAP), "vm_rss", TIP_ARG_LIVE, TIP_LIVE_VM_RSS, 0, NULL},
	{BIT(MMAP), "vm_swap", TIP_ARG_LIVE, TIP_LIVE_VM_SWAP, 0, NULL},
	{TIP_CODES_MMAP, "addr", S_HEX, 0, 0, NULL},
	{TIP_CODES_MMAP, "length", S_NUMBER, 1, 0, NULL},
	{TIP_CODES_MMAP, "prot", S_FLAGS, 2, 0, &tip_flags_prot},
	{BIT(MMAP), "flags", S_FLAGS, 3, 0, &tip_flags_map},
	{BIT(MMAP), "fd", S_FD, 0, 0, NULL},
	{BIT(MMAP), "offset", S_NUMBER, 5, 0, NULL},

	{BIT(LINKAT), "olddir", S_DIRFD, 0, 0, NULL},
	{BIT(RENAMEAT) | BIT(RENAMEAT2), "olddirfd", S_DIRFD, 0, 0, NULL},
	{BIT(LINK) | BIT(LINKAT) | BIT(RENAME) | BIT(RENAMEAT) | BIT(RENAMEAT2), "oldpath", S_PATH,
	 0, 0, NULL},
	{BIT(LINKAT), "newdir", S_DIRFD, 2, 1, NULL},
	{BIT(RENAMEAT) | BIT(RENAMEAT2), "newdirfd", S_DIRFD, 2, 1, NULL},
	{BIT(LINK) | BIT(LINKAT) | BIT(RENAME) | BIT(RENAMEAT) | BIT(RENAMEAT2), "newpath", S_PATH,
	 0, 1, NULL},
	{BIT(LINKAT), "flags", S_FLAGS, 4, 0, &tip_flags_at_link},
	{BIT(RENAMEAT2), "flags", S_FLAGS, 4, 0, &tip_flags_rename},
	{BIT(SYMLINK) | BIT(SYMLINKAT), "target", S_TEXT, 0, 0, NULL},
	{BIT(SYMLINKAT), "linkdirfd", S_DIRFD, 1, 1, NULL},
	{BIT(SYMLINK) | BIT(SYMLINKAT), "linkpath", S_PATH, 0, 1, NULL},

	{BIT(UNLINKAT) | BIT(MKDIRAT) | BIT(MKNODAT) | BIT(FCHMODAT) | BIT(FCHMODAT2) |
		 BIT(FCHOWNAT),
	 "dirfd", S_DIRFD, 0, 0, NULL},
	{BIT(UNLINK) | BIT(RMDIR) | BIT(MKDIR) | BIT(MKDIRAT) | BIT(MKNOD) | BIT(MKNODAT) | OWNERS |
		 BIT(CHROOT),
	 "path", S_PATH, 0, 0, NULL},
	{BIT(UNLINKAT), "name", S_PATH, 0, 0, NULL},
	{BIT(UNLINKAT), "flags", S_FLAGS, 2, 0, &tip_flags_at_unlink},
	{BIT(CHMOD) | BIT(FCHMODAT) | BIT(FCHMODAT2), "filename", S_PATH, 0, 0, NULL},
	{BIT(FCHOWNAT), "pathname", S_PATH, 0, 0, NULL},
	{BIT(CHDIR), "path", S_TEXT, 0, 0, NULL},

	{VECTORS_IN, "size", S_SIZE, 0, 0, NULL},
	{VECTORS_IN, "data", S_DATA, 0, 0, NULL},
	{BIT(RECVMSG), "tuple", S_TUPLE, 0, 0, NULL},
	{BIT(RECVMSG), "msgcontrol", S_UNKNOWN, 0, 0, NULL},
	{(TIP_CODES_READ | TIP_CODES_WRITE) & ~(VECTORS_IN | TWO_MESSAGES), "data", S_DATA, 0, 0,
	 NULL},
	{BIT(RECVFROM), "tuple", S_TUPLE, 0, 0, NULL},
	{TIP_CODES_READ | TIP_CODES_WRITE | BIT(FCHMOD) | BIT(FCHOWN) | BIT(CLOSE) | BIT(FCNTL) |
		 BIT(IOCTL) | BIT(SETNS) | BIT(FCHDIR) | BIT(SHUTDOWN),
	 "fd", S_FD, 0, 0, NULL},
	{BIT(READ) | BIT(PREAD) | BIT(WRITE) | BIT(PWRITE) | BIT(SENDTO) | BIT(RECVFROM), "size",
	 S_UINT, 2, 0, NULL},
	{BIT(WRITEV) | BIT(PWRITEV) | BIT(SENDMSG) | TWO_MESSAGES, "size", S_SIZE, 0, 0, NULL},
	{TWO_MESSAGES, "data", S_DATA, 0, 0, NULL},
	{BIT(PREAD) | BIT(PWRITE) | BIT(PREADV) | BIT(PWRITEV), "pos", S_NUMBER, 3, 0, NULL},
	{TIP_CODES_SEND | BIT(RECVMMSG), "tuple", S_TUPLE, 0, 0, NULL},
	{BIT(RECVMMSG), "msgcontrol", S_UNKNOWN, 0, 0, NULL},

	{TIP_CODES_DUP, "oldfd", S_SAME_FD, 0, 0, NULL},
	{BIT(DUP2) | BIT(DUP3), "newfd", S_SAME_FD, 1, 0, NULL},
	{BIT(DUP3), "flags", S_FLAGS, 2, 0, &tip_flags_file},
	{TWO_FDS, "fd1", S_END, 0, 0, NULL},
	{TWO_FDS, "fd2", S_END, 4, 0, NULL},
	{BIT(SOCKETPAIR), "source", S_UNKNOWN, 0, 0, NULL},
	{BIT(SOCKETPAIR), "peer", S_UNKNOWN, 0, 0, NULL},
	{BIT(PIPE) | BIT(PIPE2), "ino", S_INO, 0, 0, NULL},
	{BIT(SOCKET) | BIT(SOCKETPAIR), "domain", S_FLAGS, 0, 0, &tip_flags_family},
	{BIT(SOCKET) | BIT(SOCKETPAIR), "type", S_SOCK_TYPE, 1, 0, NULL},
	{BIT(SOCKET) | BIT(SOCKETPAIR), "proto", S_UINT, 2, 0, NULL},
	{BIT(SOCKET), "flags", S_SOCK_FLAGS, 1, 0, &tip_flags_file},
	{BIT(SHUTDOWN), "how", S_FLAGS, 1, 0, &tip_flags_shutdown},
	{BIT(SPLICE), "fd_in", S_FD, 0, 0, NULL},
	{BIT(SPLICE), "fd_out", S_OTHER_FD, 2, 0, NULL},
	{BIT(SPLICE), "size", S_NUMBER, 4, 0, NULL},
	{BIT(SPLICE), "flags", S_FLAGS, 5, 0, &tip_flags_splice},
	{BIT(FCNTL), "cmd", S_FLAGS, 1, 0, &tip_flags_fcntl},
	{BIT(FCNTL), "arg", S_HEX, 2, 0, NULL},
	{BIT(IOCTL), "request", S_HEX, 1, 0, NULL},
	{BIT(IOCTL), "argument", S_HEX, 2, 0, NULL},
	{BIT(PIPE2), "flags", S_FLAGS, 1, 0, &tip_flags_file},

	{BIT(CHMOD) | BIT(FCHMOD), "mode", S_MODE, 1, 0, &tip_flags_mode},
	{BIT(FCHMODAT) | BIT(FCHMODAT2), "mode", S_MODE, 2, 0, &tip_flags_mode},
	{BIT(MKNOD), "mode", S_NODE, 1, 0, NULL},
	{BIT(MKNODAT), "mode", S_NODE, 2, 0, NULL},
	{BIT(MKDIR), "mode", S_HEX, 1, 0, NULL},
	{BIT(MKDIRAT), "mode", S_HEX, 2, 0, NULL},
	{BIT(MKNOD), "dev", S_UINT, 2, 0, NULL},
	{BIT(MKNODAT), "dev", S_UINT, 3, 0, NULL},
	{OWNERS | BIT(FCHOWN), "uid", S_INT, 1, 0, NULL},
	{OWNERS | BIT(FCHOWN), "gid", S_INT, 2, 0, NULL},
	{BIT(FCHOWNAT), "uid", S_INT, 2, 0, NULL},
	{BIT(FCHOWNAT), "gid", S_INT, 3, 0, NULL},
	{BIT(FCHOWNAT), "flags", S_FLAGS, 4, 0, &tip_flags_at_owner},

	{BIT(SETNS), "nstype", S_FLAGS, 1, 0, &tip_flags_clone},
	{BIT(UNSHARE), "flags", S_FLAGS, 0, 0, &tip_flags_clone},
	{BIT(SETPGID), "pid", S_PID, 0, 0, NULL},
	{BIT(SETPGID), "pgid", S_PID, 1, 0, NULL},
	{BIT(BPF), "cmd", S_FLAGS, 0, 0, &tip_flags_bpf},
	{BIT(USERFAULTFD), "flags", S_FLAGS, 0, 0, &tip_flags_file},
	{BIT(MEMFD_CREATE), "name", S_TEXT, 0, 0, NULL},
	{BIT(MEMFD_CREATE), "flags", S_FLAGS, 1, 0, &tip_flags_memfd},
	{BIT(PRCTL), "option", S_FLAGS, 0, 0, &tip_flags_prctl},
	{BIT(PRCTL), "arg2_str", S_NAME, 0, 0, NULL},
	{BIT(PRCTL), "arg2_int", S_NUMBER, 1, 0, NULL},
	{BIT(DELETE_MODULE), "name", S_TEXT, 0, 0, NULL},
	{BIT(DELETE_MODULE), "flags", S_FLAGS, 1, 0, &tip_flags_module},
	{BIT(SETUID), "uid", S_UID, 0, 0, NULL},
	{BIT(SETGID), "gid", S_GID, 0, 0, NULL},
	{BIT(SETREUID) | BIT(SETRESUID), "ruid", S_UID, 0, 0, NULL},
	{BIT(SETREUID) | BIT(SETRESUID), "euid", S_UID, 1, 0, NULL},
	{BIT(SETRESUID), "suid", S_UID, 2, 0, NULL},
	{BIT(SETREGID) | BIT(SETRESGID), "rgid", S_GID, 0, 0, NULL},
	{BIT(SETREGID) | BIT(SETRESGID), "egid", S_GID, 1, 0, NULL},
	{BIT(SETRESGID), "sgid", S_GID, 2, 0, NULL},
};

static const char *path_text(const struct tip_extract *x, int i, bool base)
{
	const char *const *text = x->in->ev->call.text;

	return i ? text[base ? TIP_TEXT_BASE2 : TIP_TEXT_PATH2]
		 : text[base ? TIP_TEXT_BASE : TIP_TEXT_PATH];
}

/* Mounts and modules have their texts one behind the other. */
static const char *plain_text(const struct tip_extract *x, int i)
{
	return TIP_CODES_CALL & TIP_CODE_BIT(x->code) ? x->in->ev->call.text[i]
						      : path_text(x, i, false);
}

static void tell_fd(struct tip_extract *x, const struct tip_arg_row *row, int fd,
		    struct tip_told *t)
{
	int64_t ret = x->in->ev->hdr->ret;

	switch (row->kind) {
	case S_RES_FD:
		tip_value_fmt(x, &t->raw, "%lld", (long long)ret);
		if (ret < 0)
			tip_value_str(&t->shown, tip_errno_name(ret));
		else
			tip_extract_fd_shown(x, &t->shown);
		break;
	case S_SAME_FD:
		tip_value_fmt(x, &t->raw, "%d", fd);
		if (ret >= 0)
			tip_extract_fd_shown(x, &t->shown);
		break;
	case S_OTHER_FD: tip_value_fmt(x, &t->raw, "%d", fd); break;
	default: tip_tell_fd(x, fd, t);
	}
}

/* The number of the descriptor that the call is about. */
static int about_fd(const struct tip_extract *x)
{
	const struct tip_ev_call *d = x->in->ev->call.data;

	return x->code == TIP_CODE_FINIT_MODULE ? (int)d->args[0]
	       : x->code == TIP_CODE_MMAP       ? (int)d->args[4]
						: d->fd;
}

/* A number that is bits and, beside them, one of several values. */
static void show_mixed(struct tip_extract *x, const struct tip_flag_table *of_bits,
		       const struct tip_flag_table *of_values, uint32_t value_mask, uint32_t number,
		       struct tip_value *out)
{
	struct tip_value bits = {0}, value = {0};

	tip_flags_text(x, of_bits, number & ~value_mask, &bits);
	tip_flags_text(x, of_values, number & value_mask, &value);
	if (bits.set || value.set)
		tip_value_fmt(x, out, "%s%s%s", bits.set ? bits.str.s : "",
			      bits.set && value.set ? "|" : "", value.set ? value.str.s : "");
}

static void tell_node(struct tip_extract *x, uint32_t mode, struct tip_told *t)
{
	tip_value_fmt(x, &t->raw, "%#o", mode & 0177777);
	show_mixed(x, &tip_flags_mode, &tip_flags_node, S_IFMT, mode & 0177777, &t->shown);
}

static void tell_mount(struct tip_extract *x, const struct tip_arg_row *row, uint64_t value,
		       struct tip_told *t)
{
	tip_value_fmt(x, &t->raw, "%u", (uint32_t)value);
	/* An old program's magic number in the upper half means nothing, to the kernel neither. */
	if ((value & 0xffff0000u) == MS_MGC_VAL)
		value &= 0xffff;
	tip_flags_text(x, row->flags, (uint32_t)value, &t->shown);
}

/* Bytes of what the call points at, as far as they were gathered. */
static bool in_memory(const struct tip_extract *x, size_t from, size_t len, void *to)
{
	const struct tip_event *ev = x->in->ev;

	if (ev->call.data->text_len[TIP_TEXT_DATA] < from + len)
		return false;
	memcpy(to, ev->call.text[TIP_TEXT_DATA] + from, len);
	return true;
}

/* fd1 and fd2 of pipe() and socketpair(). */
static void tell_end(struct tip_extract *x, int fd, struct tip_told *t)
{
	const bool sockets = x->code == TIP_CODE_SOCKETPAIR;

	tip_value_fmt(x, &t->raw, "%d", fd);
	if (!sockets || x->in->ev->call.data->args[0] == AF_UNIX)
		tip_value_str(&t->shown, sockets ? "<u>" : "<p>");
}

static void tell_caps(struct tip_extract *x, uint8_t word, struct tip_told *t)
{
	uint32_t w[6];

	if (in_memory(x, 0, sizeof(w), w))
		tip_value_fmt(x, &t->raw, "%llX",
			      (unsigned long long)w[word] | (unsigned long long)w[word + 3] << 32);
}

static void tell_interval(struct tip_extract *x, struct tip_told *t)
{
	int64_t spec[2], ns;

	if (!in_memory(x, 0, sizeof(spec), spec))
		return;
	ns = (int64_t)((uint64_t)spec[0] * TIP_NSEC_PER_SEC + (uint64_t)spec[1]);
	tip_value_fmt(x, &t->raw, "%lld", (long long)ns);
	tip_value_fmt(x, &t->shown, "%lgs", (double)ns / (double)TIP_NSEC_PER_SEC);
}

/* Number, and what came of it; of what kind it is nobody looked. */
static void tell_polled(struct tip_extract *x, struct tip_told *t)
{
	struct pollfd p;
	char text[TIP_DATA_MAX / sizeof(p) * 24];
	size_t n = 0;

	for (size_t at = 0; at < TIP_DATA_MAX && in_memory(x, at, sizeof(p), &p); at += sizeof(p))
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%d:?%x", n ? " " : "", p.fd,
				      (uint16_t)p.revents);
	if (n)
		tip_value_fmt(x, &t->raw, "%s", text);
}

/* What a 32-bit program has in its memory has other sizes. */
static bool tell_memory(struct tip_extract *x, const struct tip_arg_row *row, struct tip_told *t)
{
	const struct tip_ev_call *d = x->in->ev->call.data;
	const struct tip_arg_row as = {.kind = row->text, .flags = row->flags};
	const bool narrow = x->in->ev->hdr->flags & TIP_EVF_COMPAT;
	uint32_t word;
	uint64_t wide;

	switch (row->kind) {
	case S_DATA:
		tip_tell_bytes(x, x->in->ev->call.text[TIP_TEXT_DATA], d->text_len[TIP_TEXT_DATA],
			       t);
		return true;
	case S_WORD:
		if (in_memory(x, row->n, sizeof(word), &word))
			tip_tell_number(x, &as, word, t);
		return true;
	case S_LONG:
		if (!narrow && in_memory(x, row->n, sizeof(wide), &wide))
			tip_tell_number(x, &as, wide, t);
		return true;
	case S_END:
		if (in_memory(x, row->n, sizeof(word), &word))
			tell_end(x, (int)word, t);
		return true;
	case S_CAPS: tell_caps(x, row->n, t); return true;
	case S_INTERVAL:
		if (!narrow)
			tell_interval(x, t);
		return true;
	case S_OPTION:
		if (d->args[4] == sizeof(word) && in_memory(x, 0, sizeof(word), &word))
			tip_value_fmt(x, &t->raw, "%d", (int)word);
		else if (d->text_len[TIP_TEXT_DATA])
			tip_tell_bytes(x, x->in->ev->call.text[TIP_TEXT_DATA],
				       d->text_len[TIP_TEXT_DATA], t);
		return true;
	case S_POLLED: tell_polled(x, t); return true;
	default: return false;
	}
}

/* The commands whose value is a text; the numbers are the kernel's. */
static bool fs_value_is_text(uint64_t cmd)
{
	return cmd == 1 || cmd == 3 || cmd == 4;
}

static void tell(struct tip_extract *x, const struct tip_arg_row *row, struct tip_told *t)
{
	const struct tip_ev_call *d = x->in->ev->call.data;
	int64_t ret = x->in->ev->hdr->ret;
	const uint64_t value = row->n < TIP_RESULT ? d->args[row->n] : (uint64_t)ret;
	struct tip_value *raw = &t->raw;

	if (tell_memory(x, row, t))
		return;
	switch (row->kind) {
	case S_FD: tell_fd(x, row, about_fd(x), t); break;
	case S_RES_FD:
	case S_SAME_FD:
	case S_OTHER_FD: tell_fd(x, row, (int)value, t); break;
	case S_DIRFD: tip_tell_dirfd(x, (int)value, path_text(x, row->text, true), t); break;
	case S_MODE:
		tip_value_fmt(x, raw, "%#o", (uint32_t)value & 07777);
		tip_flags_text(x, row->flags, value & 07777, &t->shown);
		break;
	case S_NODE: tell_node(x, (uint32_t)value, t); break;
	case S_MOUNT: tell_mount(x, row, value, t); break;
	case S_SOCK_TYPE: tip_value_fmt(x, raw, "%u", (uint32_t)value & 0xf); break;
	case S_SOCK_FLAGS:
		tip_value_fmt(x, raw, "%u", (uint32_t)value & ~0xfu);
		tip_flags_text(x, row->flags, (uint32_t)value & ~0xfu, &t->shown);
		break;
	case S_TEXT: tip_value_str(raw, plain_text(x, row->text)); break;
	case S_FILLED:
		if (ret >= 0)
			tip_value_str(raw, path_text(x, row->text, false));
		break;
	case S_PATH:
		tip_tell_path(x, path_text(x, row->text, true), path_text(x, row->text, false), t);
		break;
	case S_SIZE: tip_value_fmt(x, raw, "%lld", (long long)(ret < 0 ? 0 : ret)); break;
	case S_TUPLE:
		if (d->sock.family)
			tip_extract_fd_name(x, raw);
		break;
	case S_SOCK_OPTION:
		tip_value_fmt(x, raw, "%d", (int)value);
		if ((int)d->args[row->n - 1] == SOL_SOCKET)
			tip_flags_text(x, row->flags, (uint32_t)value, &t->shown);
		break;
	case S_INO:
		if (d->ino)
			tip_value_fmt(x, raw, "%llu", (unsigned long long)d->ino);
		break;
	case S_NAME:
		if (d->args[0] == PR_SET_NAME || d->args[0] == PR_GET_NAME)
			tip_value_str(raw, path_text(x, 0, false));
		break;
	case S_FS_VALUE:
		if (fs_value_is_text(d->args[1]))
			tip_value_str(raw, path_text(x, 1, false));
		break;
	case S_FUTEX:
		tip_value_fmt(x, raw, "%u", (uint32_t)value);
		show_mixed(x, &tip_flags_futex_how, &tip_flags_futex, 127, (uint32_t)value,
			   &t->shown);
		break;
	case S_ID:
		tip_value_fmt(x, raw, "%u", d->nr);
		if (!row->n)
			tip_value_str(&t->shown, tip_event_shown(x->in->ev, x->code));
		break;
	default: tip_tell_number(x, row, value, t);
	}
}

const struct tip_arg_family tip_args_call = {rows, TIP_ARRAY_SIZE(rows), tell};

/* ---- for the prefilter ---- */

static enum tip_syscall_arg_is arg_is(const struct tip_arg_row *row)
{
	const bool named = row->codes & TIP_CODES_NAMED;

	switch (row->kind) {
	case S_PATH: return row->text ? TIP_SYSCALL_ARG_PATH2 : TIP_SYSCALL_ARG_PATH;
	case S_TEXT:
		if (!named)
			return TIP_SYSCALL_ARG_OTHER;
		return row->text ? TIP_SYSCALL_ARG_TEXT2 : TIP_SYSCALL_ARG_TEXT;
	case S_MODE: return TIP_SYSCALL_ARG_MODE;
	case S_MOUNT: return TIP_SYSCALL_ARG_FLAGS;
	case S_SIGNAL: return TIP_SYSCALL_ARG_NUMBER;
	case S_FLAGS:
		if (named)
			return row->n ? TIP_SYSCALL_ARG_OTHER : TIP_SYSCALL_ARG_NUMBER;
		return row->flags == &tip_flags_map ? TIP_SYSCALL_ARG_FLAGS
						    : TIP_SYSCALL_ARG_NUMBER;
	default: return TIP_SYSCALL_ARG_OTHER;
	}
}

bool tip_syscall_args_named(const char *name, tip_codes codes,
			    struct tip_syscall_arg out[TIP_SYSCALL_ARGS_NAMED], size_t *count)
{
	*count = 0;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++) {
		if (strcmp(rows[i].name, name) != 0 || !(rows[i].codes & codes))
			continue;
		if (*count == TIP_SYSCALL_ARGS_NAMED)
			return false;
		out[(*count)++] =
			(struct tip_syscall_arg){rows[i].codes & codes, arg_is(&rows[i]), &rows[i]};
	}
	if (!(codes & BIT(OTHER)) || !tip_args_other_have(name, false))
		return true;
	if (*count == TIP_SYSCALL_ARGS_NAMED)
		return false;
	out[(*count)++] = (struct tip_syscall_arg){BIT(OTHER), TIP_SYSCALL_ARG_OTHER, NULL};
	return true;
}

/* ---- for what is gathered ---- */

bool tip_event_arg_in_memory(const char *name)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(rows); i++)
		if (rows[i].kind >= S_DATA && strcmp(rows[i].name, name) == 0)
			return true;
	return tip_args_other_have(name, true);
}
