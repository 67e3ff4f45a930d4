/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "detect/flags.h"

/* evt.arg.NAME of the system calls that TIP_EV_CALL tells of. */

enum kind {
	S_RES,
	S_RES_FD, /* a descriptor, or the error */
	S_FD,     /* the one that the call is about */
	S_DIRFD,  /* `n`: argument; its folder is the base of path `text` */
	S_INT,    /* 32 bits with a sign */
	S_UINT,   /* 32 bits */
	S_NUMBER, /* 64 bits */
	S_HEX,
	S_MODE,
	S_FLAGS, /* 32 bits, with names */
	S_UID,
	S_GID,
	S_TEXT, /* as it was given */
	S_PATH, /* absolute */
	S_DATA,
	S_SIZE, /* what was read or written */
	S_TUPLE,
	S_SOCK_TYPE,
	S_SOCK_FLAGS,
	S_ID, /* which call it is */
};

#define BIT(c) TIP_CODE_BIT(TIP_CODE_##c)
#define OWNERS (BIT(CHOWN) | BIT(LCHOWN))
#define VECTORS                                                                                    \
	(BIT(READV) | BIT(PREADV) | BIT(WRITEV) | BIT(PWRITEV) | BIT(SENDMSG) | BIT(RECVMSG) |     \
	 BIT(SENDMMSG) | BIT(RECVMMSG))
#define RESULTS_FD (BIT(SOCKET) | BIT(MEMFD_CREATE) | BIT(BPF))

/* Which call has which argument, in the order of the language. `n`: of args[]; `text`: which path.
 */
static const struct {
	tip_codes codes;
	const char *name;
	enum kind kind;
	uint8_t n, text;
	const struct tip_flag_table *flags;
} args[] = {
	{TIP_CODES_NAMED & ~(RESULTS_FD | TIP_CODES_DUP | BIT(OTHER)), "res", S_RES, 0, 0, NULL},
	{TIP_CODES_DUP, "res", S_RES_FD, 0, 0, NULL},
	{RESULTS_FD, "fd", S_RES_FD, 0, 0, NULL},
	{BIT(OTHER), "ID", S_ID, 0, 0, NULL},
	{BIT(OTHER), "nativeID", S_ID, 1, 0, NULL},

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

	{BIT(READ) | BIT(PREAD) | TIP_CODES_WRITE | BIT(RECVFROM), "data", S_DATA, 0, 0, NULL},
	{BIT(RECVFROM), "tuple", S_TUPLE, 0, 0, NULL},
	{BIT(READ) | BIT(PREAD) | TIP_CODES_WRITE | BIT(RECVFROM) | BIT(RECVMMSG) | BIT(FCHMOD) |
		 BIT(FCHOWN) | BIT(CLOSE) | BIT(FCNTL) | BIT(IOCTL) | BIT(SETNS) | BIT(FCHDIR) |
		 BIT(SHUTDOWN),
	 "fd", S_FD, 0, 0, NULL},
	{BIT(READ) | BIT(PREAD) | BIT(WRITE) | BIT(PWRITE) | BIT(SENDTO) | BIT(RECVFROM), "size",
	 S_UINT, 2, 0, NULL},
	{VECTORS, "size", S_SIZE, 0, 0, NULL},
	{BIT(READV) | BIT(PREADV) | BIT(RECVMSG), "data", S_DATA, 0, 0, NULL},
	{BIT(PREAD) | BIT(PWRITE) | BIT(PREADV) | BIT(PWRITEV), "pos", S_NUMBER, 3, 0, NULL},
	{TIP_CODES_SEND | BIT(RECVMSG) | BIT(RECVMMSG), "tuple", S_TUPLE, 0, 0, NULL},
	{BIT(READV) | BIT(PREADV) | BIT(RECVMSG), "fd", S_FD, 0, 0, NULL},

	{TIP_CODES_DUP, "oldfd", S_INT, 0, 0, NULL},
	{BIT(DUP2) | BIT(DUP3), "newfd", S_INT, 1, 0, NULL},
	{BIT(DUP3), "flags", S_FLAGS, 2, 0, &tip_flags_file},
	{BIT(SOCKET) | BIT(SOCKETPAIR), "domain", S_FLAGS, 0, 0, &tip_flags_family},
	{BIT(SOCKET) | BIT(SOCKETPAIR), "type", S_SOCK_TYPE, 1, 0, NULL},
	{BIT(SOCKET) | BIT(SOCKETPAIR), "proto", S_UINT, 2, 0, NULL},
	{BIT(SOCKET), "flags", S_SOCK_FLAGS, 1, 0, &tip_flags_file},
	{BIT(SHUTDOWN), "how", S_FLAGS, 1, 0, &tip_flags_shutdown},
	{BIT(SPLICE), "fd_in", S_FD, 0, 0, NULL},
	{BIT(SPLICE), "fd_out", S_INT, 2, 0, NULL},
	{BIT(SPLICE), "size", S_NUMBER, 4, 0, NULL},
	{BIT(SPLICE), "flags", S_FLAGS, 5, 0, &tip_flags_splice},
	{BIT(FCNTL), "cmd", S_INT, 1, 0, NULL},
	{BIT(FCNTL), "arg", S_HEX, 2, 0, NULL},
	{BIT(IOCTL), "request", S_HEX, 1, 0, NULL},
	{BIT(IOCTL), "argument", S_HEX, 2, 0, NULL},
	{BIT(PIPE2), "flags", S_FLAGS, 1, 0, &tip_flags_file},

	{BIT(CHMOD) | BIT(FCHMOD), "mode", S_MODE, 1, 0, &tip_flags_mode},
	{BIT(FCHMODAT) | BIT(FCHMODAT2), "mode", S_MODE, 2, 0, &tip_flags_mode},
	{BIT(MKNOD), "mode", S_MODE, 1, 0, &tip_flags_mode},
	{BIT(MKNODAT), "mode", S_MODE, 2, 0, &tip_flags_mode},
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
	{BIT(SETPGID), "pid", S_INT, 0, 0, NULL},
	{BIT(SETPGID), "pgid", S_INT, 1, 0, NULL},
	{BIT(BPF), "cmd", S_FLAGS, 0, 0, &tip_flags_bpf},
	{BIT(USERFAULTFD), "flags", S_FLAGS, 0, 0, &tip_flags_file},
	{BIT(MEMFD_CREATE), "name", S_TEXT, 0, 0, NULL},
	{BIT(MEMFD_CREATE), "flags", S_FLAGS, 1, 0, &tip_flags_memfd},
	{BIT(PRCTL), "option", S_FLAGS, 0, 0, &tip_flags_prctl},
	{BIT(PRCTL), "arg2_int", S_NUMBER, 1, 0, NULL},
	{BIT(DELETE_MODULE), "name", S_TEXT, 0, 0, NULL},
	{BIT(DELETE_MODULE), "flags", S_FLAGS, 1, 0, &tip_flags_module},
};

/* What is written on the one side, and what it stands for; `shown` unset: there is no other word.
 */
struct told {
	struct tip_value raw, shown;
};

static const char *path_text(const struct tip_extract *x, int i, bool base)
{
	const char *const *text = x->in->ev->call.text;

	return i ? text[base ? TIP_TEXT_BASE2 : TIP_TEXT_PATH2]
		 : text[base ? TIP_TEXT_BASE : TIP_TEXT_PATH];
}

static void tell_result(struct tip_extract *x, bool fd, struct told *t)
{
	int64_t ret = x->in->ev->hdr->ret;

	tip_value_fmt(x, &t->raw, "%lld", (long long)ret);
	if (ret < 0)
		tip_value_str(&t->shown, tip_errno_name(ret));
	else if (fd)
		tip_extract_fd_shown(x, &t->shown);
}

static void tell_dirfd(struct tip_extract *x, int fd, int text, struct told *t)
{
	const char *base = path_text(x, text, true);

	tip_value_fmt(x, &t->raw, "%d", fd);
	if (fd == AT_FDCWD)
		tip_value_str(&t->shown, "AT_FDCWD");
	else if (base[0])
		tip_value_fmt(x, &t->shown, "<d>%s", base);
}

static void tell_path(struct tip_extract *x, int text, struct told *t)
{
	const char *path = path_text(x, text, false), *base = path_text(x, text, true);

	tip_value_str(&t->raw, path);
	if (path[0] && path[0] != '/' && base[0])
		tip_extract_path(x, base, path, &t->shown);
}

/* Only what can be printed of it. */
static void tell_data(struct tip_extract *x, struct told *t)
{
	const char *data = x->in->ev->call.text[TIP_TEXT_DATA];
	size_t len = x->in->ev->call.data->text_len[TIP_TEXT_DATA], n = 0;
	char *s = tip_scratch_alloc(x->scratch, len + 1);

	for (size_t i = 0; i < len; i++)
		if (isprint((unsigned char)data[i]))
			s[n++] = data[i];
	s[n] = '\0';
	tip_value_strn(&t->raw, n ? s : "NULL", n ? n : 4);
}

static void tell_owner(struct tip_extract *x, bool group, uint32_t id, struct told *t)
{
	const struct tip_user *u;
	const char *name;

	if (id == (uint32_t)-1) {
		tip_value_str(&t->raw, "-1");
		tip_value_str(&t->shown, "<NONE>");
		return;
	}
	tip_value_fmt(x, &t->raw, "%u", id);
	if (group) {
		name = tip_group_by_gid(x->users, id, x->in->time_ns);
	} else {
		u = tip_user_by_uid(x->users, id, x->in->time_ns);
		name = u ? u->name : NULL;
	}
	tip_value_str(&t->shown, name ? name : "<NA>");
}

static void tell(struct tip_extract *x, size_t i, struct told *t)
{
	const struct tip_ev_call *d = x->in->ev->call.data;
	const uint64_t value = d->args[args[i].n];
	int64_t ret = x->in->ev->hdr->ret;
	struct tip_value *raw = &t->raw;

	switch (args[i].kind) {
	case S_RES: tell_result(x, false, t); break;
	case S_RES_FD: tell_result(x, true, t); break;
	case S_FD:
		tip_value_fmt(x, raw, "%d", d->fd);
		tip_extract_fd_shown(x, &t->shown);
		break;
	case S_DIRFD: tell_dirfd(x, (int)value, args[i].text, t); break;
	case S_INT: tip_value_fmt(x, raw, "%d", (int)value); break;
	case S_UINT: tip_value_fmt(x, raw, "%u", (uint32_t)value); break;
	case S_NUMBER: tip_value_fmt(x, raw, "%llu", (unsigned long long)value); break;
	case S_HEX: tip_value_fmt(x, raw, "%llX", (unsigned long long)value); break;
	case S_MODE:
		tip_value_fmt(x, raw, "%o", (uint32_t)value & 07777);
		tip_flags_text(x, args[i].flags, value & 07777, &t->shown);
		break;
	case S_FLAGS:
		tip_value_fmt(x, raw, "%u", (uint32_t)value);
		tip_flags_text(x, args[i].flags, (uint32_t)value, &t->shown);
		break;
	case S_SOCK_TYPE: tip_value_fmt(x, raw, "%u", (uint32_t)value & 0xf); break;
	case S_SOCK_FLAGS:
		tip_value_fmt(x, raw, "%u", (uint32_t)value & ~0xfu);
		tip_flags_text(x, args[i].flags, (uint32_t)value & ~0xfu, &t->shown);
		break;
	case S_UID: tell_owner(x, false, (uint32_t)value, t); break;
	case S_GID: tell_owner(x, true, (uint32_t)value, t); break;
	case S_TEXT: tip_value_str(raw, path_text(x, args[i].text, false)); break;
	case S_PATH: tell_path(x, args[i].text, t); break;
	case S_DATA: tell_data(x, t); break;
	case S_SIZE: tip_value_fmt(x, raw, "%lld", (long long)(ret < 0 ? 0 : ret)); break;
	case S_TUPLE:
		if (d->sock.family)
			tip_extract_fd_name(x, raw);
		break;
	case S_ID:
		tip_value_fmt(x, raw, "%u", d->nr);
		if (!args[i].n)
			tip_value_str(&t->shown, tip_event_shown(x->in->ev, x->code));
		break;
	}
}

static void pick(const struct told *t, bool raw, struct tip_value *out)
{
	*out = !raw && t->shown.set && t->shown.str.len ? t->shown : t->raw;
}

void tip_extract_syscall_arg(struct tip_extract *x, const char *name, bool raw,
			     struct tip_value *out)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(args); i++) {
		struct told t = {0};

		if (!(args[i].codes & TIP_CODE_BIT(x->code)) || strcmp(args[i].name, name) != 0)
			continue;
		tell(x, i, &t);
		pick(&t, raw, out);
		return;
	}
}

void tip_extract_syscall_arg_at(struct tip_extract *x, int64_t n, bool raw, struct tip_value *out)
{
	/* of a call without arguments of its own the registers are all there is */
	if (x->code == TIP_CODE_OTHER) {
		if (n < 6)
			tip_value_fmt(x, out, "%lld", (long long)x->in->ev->call.data->args[n]);
		return;
	}
	for (size_t i = 0; i < TIP_ARRAY_SIZE(args); i++) {
		struct told t = {0};

		if (!(args[i].codes & TIP_CODE_BIT(x->code)) || n--)
			continue;
		tell(x, i, &t);
		pick(&t, raw, out);
		return;
	}
}

void tip_extract_syscall_args(struct tip_extract *x, struct tip_value *out)
{
	struct told t[TIP_ARRAY_SIZE(args)] = {0};
	size_t size = 1, n = 0;
	char *s;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(args); i++) {
		if (!(args[i].codes & TIP_CODE_BIT(x->code)))
			continue;
		tell(x, i, &t[i]);
		size += strlen(args[i].name) + t[i].raw.str.len + t[i].shown.str.len + 4;
	}
	s = tip_scratch_alloc(x->scratch, size);
	s[0] = '\0';
	for (size_t i = 0; i < TIP_ARRAY_SIZE(args); i++) {
		if (!t[i].raw.set)
			continue;
		n += (size_t)snprintf(s + n, size - n, "%s%s=%s", n ? " " : "", args[i].name,
				      t[i].raw.str.s);
		if (t[i].shown.set && t[i].shown.str.len)
			n += (size_t)snprintf(s + n, size - n, "(%s)", t[i].shown.str.s);
	}
	tip_value_strn(out, s, n);
}

/* ---- for the prefilter ---- */

static enum tip_syscall_arg_is arg_is(size_t i)
{
	switch (args[i].kind) {
	case S_PATH: return args[i].text ? TIP_SYSCALL_ARG_OTHER : TIP_SYSCALL_ARG_PATH;
	case S_TEXT: return args[i].text ? TIP_SYSCALL_ARG_OTHER : TIP_SYSCALL_ARG_TEXT;
	case S_MODE: return TIP_SYSCALL_ARG_MODE;
	case S_FLAGS: return args[i].n ? TIP_SYSCALL_ARG_OTHER : TIP_SYSCALL_ARG_FIRST;
	default: return TIP_SYSCALL_ARG_OTHER;
	}
}

size_t tip_syscall_args_named(const char *name, struct tip_syscall_arg out[TIP_SYSCALL_ARGS_NAMED])
{
	size_t n = 0;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(args); i++) {
		if (strcmp(args[i].name, name) != 0)
			continue;
		/* No room: then nothing is known of any. */
		if (n == TIP_SYSCALL_ARGS_NAMED)
			return 0;
		out[n++] = (struct tip_syscall_arg){args[i].codes, arg_is(i), args[i].flags};
	}
	return n;
}
