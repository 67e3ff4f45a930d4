/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "detect/args.h"

/* Arguments of the events that have a record of their own: opens, sockets, processes. */

struct names {
	const struct tip_flag *flags;
	size_t count;
};

static size_t names_room(const struct names *n)
{
	size_t size = 0;

	for (size_t i = 0; i < n->count; i++)
		size += strlen(n->flags[i].name) + 1;
	return size;
}

/* Adds the names of the bits in `value` to `to`, of `room` bytes. */
static void names_add(char *to, size_t room, const struct names *n, uint64_t value)
{
	size_t at = strlen(to);

	for (size_t i = 0; i < n->count; i++)
		if ((value & n->flags[i].bits) == n->flags[i].bits)
			at += (size_t)snprintf(to + at, room - at, "%s%s", at ? "|" : "",
					       n->flags[i].name);
}

static void flags_text(struct tip_extract *x, uint64_t value, const struct tip_flag *flags,
		       size_t count, struct tip_value *out)
{
	const struct names n = {flags, count};
	const size_t room = names_room(&n) + 1;
	char *s = tip_scratch_alloc(x->scratch, room);

	*s = '\0';
	names_add(s, room, &n, value);
	tip_value_str(out, s);
}

/* The first OPEN_BEFORE stand before the access, the others behind it. */
#define OPEN_BEFORE 9
static const struct tip_flag open_names[] = {
	{O_DIRECTORY, "O_DIRECTORY"}, {O_DIRECT, "O_DIRECT"},     {O_TRUNC, "O_TRUNC"},
	{O_SYNC, "O_SYNC"},           {O_NONBLOCK, "O_NONBLOCK"}, {O_EXCL, "O_EXCL"},
	{O_DSYNC, "O_DSYNC"},         {O_APPEND, "O_APPEND"},     {O_CREAT, "O_CREAT"},
	{O_CLOEXEC, "O_CLOEXEC"},     {__O_TMPFILE, "O_TMPFILE"}, {O_NOFOLLOW, "O_NOFOLLOW"},
	{O_PATH, "O_PATH"},
};
static const struct tip_flag opened_names[] = {
	{TIP_FILE_CREATED, "O_F_CREATED"},
	{TIP_FILE_UPPER, "FD_UPPER_LAYER"},
	{TIP_FILE_LOWER, "FD_LOWER_LAYER"},
};

const struct tip_flag *tip_open_flags(size_t *count)
{
	*count = TIP_ARRAY_SIZE(open_names);
	return open_names;
}

const struct tip_flag *tip_opened_flags(size_t *count)
{
	*count = TIP_ARRAY_SIZE(opened_names);
	return opened_names;
}

const char *tip_open_access(uint32_t oflags)
{
	static const char *const access[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_RDWR"};

	return access[oflags & O_ACCMODE];
}

static void open_flags(struct tip_extract *x, struct tip_value *out)
{
	static const struct names before = {open_names, OPEN_BEFORE},
				  behind = {open_names + OPEN_BEFORE,
					    TIP_ARRAY_SIZE(open_names) - OPEN_BEFORE},
				  opened = {opened_names, TIP_ARRAY_SIZE(opened_names)};
	const struct tip_ev_open *o = x->in->ev->open.data;
	const struct tip_flag access = {0, tip_open_access(o->oflags)};
	const struct names middle = {&access, 1};
	const size_t room = names_room(&before) + names_room(&middle) + names_room(&behind) +
			    names_room(&opened) + 1;
	char *s = tip_scratch_alloc(x->scratch, room);

	*s = '\0';
	names_add(s, room, &before, o->oflags);
	names_add(s, room, &middle, 0);
	names_add(s, room, &behind, o->oflags);
	if (x->in->ev->hdr->ret >= 0)
		names_add(s, room, &opened, o->file_flags);
	tip_value_str(out, s);
}

static void resolve_flags(struct tip_extract *x, struct tip_value *out)
{
	static const struct tip_flag flags[] = {
		{RESOLVE_BENEATH, "RESOLVE_BENEATH"},
		{RESOLVE_IN_ROOT, "RESOLVE_IN_ROOT"},
		{RESOLVE_NO_MAGICLINKS, "RESOLVE_NO_MAGICLINKS"},
		{RESOLVE_NO_SYMLINKS, "RESOLVE_NO_SYMLINKS"},
		{RESOLVE_NO_XDEV, "RESOLVE_NO_XDEV"},
		{RESOLVE_CACHED, "RESOLVE_CACHED"},
	};

	flags_text(x, x->in->ev->open.data->resolve, flags, TIP_ARRAY_SIZE(flags), out);
}

static void creat_flags(struct tip_extract *x, struct tip_value *out)
{
	static const struct tip_flag flags[] = {
		{TIP_FILE_UPPER, "FD_UPPER_LAYER_CREAT"},
		{TIP_FILE_LOWER, "FD_LOWER_LAYER_CREAT"},
	};

	flags_text(x, x->in->ev->open.data->file_flags, flags, TIP_ARRAY_SIZE(flags), out);
}

#define EXE_FLAGS                                                                                  \
	(TIP_PROC_EXE_WRITABLE | TIP_PROC_EXE_UPPER | TIP_PROC_EXE_MEMFD | TIP_PROC_EXE_LOWER)

static void exec_flags(struct tip_extract *x, struct tip_value *out)
{
	static const struct tip_flag flags[] = {
		{TIP_PROC_EXE_WRITABLE, "EXE_WRITABLE"},
		{TIP_PROC_EXE_UPPER, "EXE_UPPER_LAYER"},
		{TIP_PROC_EXE_MEMFD, "EXE_FROM_MEMFD"},
		{TIP_PROC_EXE_LOWER, "EXE_LOWER_LAYER"},
	};

	flags_text(x, x->in->ev->exec.data->proc_flags, flags, TIP_ARRAY_SIZE(flags), out);
}

static void address(struct tip_extract *x, struct tip_value *out)
{
	const struct tip_ev_sock *s = x->in->ev->sock.data;
	bool local = x->code == TIP_CODE_BIND;
	char text[INET6_ADDRSTRLEN];

	if (s->family == AF_UNIX)
		tip_value_str(out, x->in->ev->sock.path);
	else if ((s->family == AF_INET || s->family == AF_INET6) &&
		 inet_ntop(s->family, local ? s->laddr : s->raddr, text, sizeof(text)))
		tip_value_fmt(x, out, "%s:%u", text, local ? s->lport : s->rport);
}

/* O_LARGEFILE, which is 0 here: the kernel itself adds it to opens of 64-bit programs. */
#define KERNEL_LARGEFILE 0100000u

/* ---- which event has which argument --------------------------------------------------------- */

enum what {
	A_FD = TIP_ARG_FAMILY,
	A_OPEN_NAME,
	A_OPEN_FLAGS,
	A_OPEN_MODE,
	A_CREAT_FLAGS,
	A_DEV,
	A_INO,
	A_DIRFD,
	A_RESOLVE,
	A_ADDR,
	A_FD_NAME,
	A_BACKLOG,
	A_EXE,
	A_ARGS,
	A_TID,
	A_PID,
	A_PTID,
	A_CWD,
	A_FDLIMIT,
	A_PGFT_MAJ,
	A_PGFT_MIN,
	A_VM_SIZE,
	A_COMM,
	A_ENV,
	A_TTY,
	A_VPGID,
	A_LOGINUID,
	A_EXEC_FLAGS,
	A_CAP_INH,
	A_CAP_PERM,
	A_CAP_EFF,
	A_EXE_INO,
	A_EXE_CTIME,
	A_EXE_MTIME,
	A_UID,
	A_GID,
	A_EXEPATH,
	A_PGID,
	A_FILENAME,
	A_VTID,
	A_VPID,
	A_STATUS,
	A_RET,
	A_SIG,
	A_CORE,
};

#define BIT(c)       TIP_CODE_BIT(TIP_CODE_##c)
#define OPEN_NAMED   (TIP_CODES_OPEN & ~BIT(OPEN_BY_HANDLE_AT))
#define IMAGE        (TIP_CODES_EXEC | BIT(CLONE))
#define NONE         TIP_ARG_UNKNOWN
#define ROW(c, n, k) {.codes = (c), .name = (n), .kind = (k)}
#define LIVE(c, name_, what)                                                                       \
	{.codes = (c), .name = (name_), .kind = TIP_ARG_LIVE, .n = TIP_LIVE_##what}

static const struct tip_arg_row rows[] = {
	ROW(IMAGE | TIP_CODES_CRED | BIT(CONNECT) | BIT(BIND) | BIT(LISTEN), "res", TIP_ARG_RES),
	ROW(BIT(BIND), "addr", A_ADDR),
	ROW(BIT(CONNECT), "tuple", A_FD_NAME),
	ROW(TIP_CODES_OPEN | TIP_CODES_SOCK, "fd", A_FD),
	ROW(BIT(CONNECT), "addr", A_ADDR),
	ROW(BIT(ACCEPT), "tuple", A_FD_NAME),
	ROW(BIT(ACCEPT), "queuepct", NONE),
	ROW(BIT(ACCEPT), "queuelen", NONE),
	ROW(BIT(ACCEPT), "queuemax", NONE),
	ROW(BIT(LISTEN), "backlog", A_BACKLOG),
	ROW(BIT(OPENAT) | BIT(OPENAT2), "dirfd", A_DIRFD),
	ROW(BIT(OPEN_BY_HANDLE_AT), "mountfd", A_DIRFD),
	ROW(OPEN_NAMED, "name", A_OPEN_NAME),
	ROW(TIP_CODES_OPEN & ~BIT(CREAT), "flags", A_OPEN_FLAGS),
	ROW(OPEN_NAMED, "mode", A_OPEN_MODE),
	ROW(BIT(OPEN_BY_HANDLE_AT), "path", A_FD_NAME),
	ROW(BIT(OPENAT2), "resolve", A_RESOLVE),
	ROW(TIP_CODES_OPEN, "dev", A_DEV),
	ROW(TIP_CODES_OPEN, "ino", A_INO),
	ROW(BIT(CREAT), "creat_flags", A_CREAT_FLAGS),
	ROW(BIT(CREAT), "flags", A_OPEN_FLAGS), /* ours: those that it stands for */

	ROW(IMAGE, "exe", A_EXE),
	ROW(IMAGE, "args", A_ARGS),
	ROW(IMAGE, "tid", A_TID),
	ROW(IMAGE, "pid", A_PID),
	ROW(IMAGE, "ptid", A_PTID),
	ROW(IMAGE, "cwd", A_CWD),
	ROW(TIP_CODES_EXEC, "fdlimit", A_FDLIMIT),
	ROW(TIP_CODES_EXEC, "pgft_maj", A_PGFT_MAJ),
	ROW(TIP_CODES_EXEC, "pgft_min", A_PGFT_MIN),
	ROW(TIP_CODES_EXEC, "vm_size", A_VM_SIZE),
	LIVE(BIT(CLONE), "fdlimit", FDLIMIT),
	LIVE(BIT(CLONE), "pgft_maj", PGFT_MAJ),
	LIVE(BIT(CLONE), "pgft_min", PGFT_MIN),
	LIVE(BIT(CLONE), "vm_size", VM_SIZE),
	LIVE(IMAGE, "vm_rss", VM_RSS),
	LIVE(IMAGE, "vm_swap", VM_SWAP),
	ROW(IMAGE, "comm", A_COMM),
	LIVE(IMAGE, "cgroups", CGROUPS),
	ROW(TIP_CODES_EXEC, "env", A_ENV),
	ROW(TIP_CODES_EXEC, "tty", A_TTY),
	ROW(TIP_CODES_EXEC, "vpgid", A_VPGID),
	ROW(TIP_CODES_EXEC, "loginuid", A_LOGINUID),
	ROW(TIP_CODES_EXEC, "flags", A_EXEC_FLAGS),
	ROW(BIT(CLONE), "flags", NONE),
	ROW(TIP_CODES_EXEC, "cap_inheritable", A_CAP_INH),
	ROW(TIP_CODES_EXEC, "cap_permitted", A_CAP_PERM),
	ROW(TIP_CODES_EXEC, "cap_effective", A_CAP_EFF),
	ROW(TIP_CODES_EXEC, "exe_ino", A_EXE_INO),
	ROW(TIP_CODES_EXEC, "exe_ino_ctime", A_EXE_CTIME),
	ROW(TIP_CODES_EXEC, "exe_ino_mtime", A_EXE_MTIME),
	ROW(IMAGE | BIT(UID_CHANGE), "uid", A_UID),
	ROW(TIP_CODES_EXEC, "trusted_exepath", A_EXEPATH),
	ROW(TIP_CODES_EXEC, "pgid", A_PGID),
	ROW(IMAGE | BIT(GID_CHANGE), "gid", A_GID),
	ROW(TIP_CODES_EXEC, "filename", A_FILENAME),
	ROW(BIT(CLONE), "vtid", A_VTID),
	ROW(BIT(CLONE), "vpid", A_VPID),
	ROW(BIT(CLONE), "pidns_init_start_ts", NONE),

	ROW(BIT(PROCEXIT), "status", A_STATUS),
	ROW(BIT(PROCEXIT), "ret", A_RET),
	ROW(BIT(PROCEXIT), "sig", A_SIG),
	ROW(BIT(PROCEXIT), "core", A_CORE),
	ROW(BIT(PROCEXIT), "reaper_tid", NONE),
};

static void number(struct tip_extract *x, enum tip_arg_kind kind, uint64_t value,
		   struct tip_told *t)
{
	const struct tip_arg_row row = {.kind = (uint8_t)kind};

	tip_tell_number(x, &row, value, t);
}

/* A process by its number on the node. */
static void process(struct tip_extract *x, uint32_t pid, struct tip_told *t)
{
	const struct tip_process *p = x->in->proc;

	/* It may have ended by now. */
	if (!p || p->key.tgid != pid)
		p = x->in->table ? tip_process_by_pid(x->in->table, pid) : NULL;
	tip_value_fmt(x, &t->raw, "%u", pid);
	if (p)
		tip_value_str(&t->shown, p->comm);
}

static void date(struct tip_extract *x, uint64_t ns, struct tip_told *t)
{
	time_t sec = (time_t)(ns / TIP_NSEC_PER_SEC);
	char stamp[32], zone[8];
	struct tm tm;

	localtime_r(&sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	tip_value_fmt(x, &t->raw, "%s.%09u %s", stamp, (unsigned int)(ns % TIP_NSEC_PER_SEC), zone);
}

static void exec_arg(struct tip_extract *x, enum what what, struct tip_told *t)
{
	const struct tip_ev_exec *e = x->in->ev->exec.data;

	switch (what) {
	case A_FDLIMIT: number(x, TIP_ARG_NUMBER, e->fdlimit, t); break;
	case A_PGFT_MAJ: number(x, TIP_ARG_NUMBER, e->pgft_maj, t); break;
	case A_PGFT_MIN: number(x, TIP_ARG_NUMBER, e->pgft_min, t); break;
	case A_VM_SIZE: number(x, TIP_ARG_UINT, e->vm_size, t); break;
	case A_ENV: tip_tell_bytes(x, x->in->ev->exec.env, e->env_len, t); break;
	case A_TTY: number(x, TIP_ARG_UINT, e->tty, t); break;
	case A_VPGID: number(x, TIP_ARG_PID, e->vpgid, t); break;
	case A_PGID: process(x, e->pgid, t); break;
	case A_LOGINUID: number(x, TIP_ARG_UID, e->loginuid, t); break;
	case A_EXEC_FLAGS:
		tip_value_fmt(x, &t->raw, "%u", e->proc_flags & EXE_FLAGS);
		exec_flags(x, &t->shown);
		break;
	case A_CAP_INH: number(x, TIP_ARG_HEX, e->cap_inheritable, t); break;
	case A_CAP_PERM: number(x, TIP_ARG_HEX, e->cap_permitted, t); break;
	case A_CAP_EFF: number(x, TIP_ARG_HEX, e->cap_effective, t); break;
	case A_EXE_INO: number(x, TIP_ARG_NUMBER, e->exe_ino, t); break;
	case A_EXE_CTIME: date(x, e->exe_ctime_ns, t); break;
	case A_EXE_MTIME: date(x, e->exe_mtime_ns, t); break;
	case A_EXEPATH:
		tip_value_str(&t->raw, tip_extract_image(x->in->ev->exec.exe_path, e->proc_flags));
		break;
	case A_FILENAME: tip_value_str(&t->raw, x->in->ev->exec.filename); break;
	default: break;
	}
}

static void open_fd(struct tip_extract *x, struct tip_told *t)
{
	int64_t ret = x->in->ev->hdr->ret;

	if (ret < 0)
		number(x, TIP_ARG_RES, 0, t);
	else
		tip_tell_fd(x, ret, t);
}

/* Otherwise the call looks at no mode: the register holds whatever it held. */
static bool makes_file(const struct tip_extract *x)
{
	uint32_t flags = x->in->ev->open.data->oflags;

	return x->code == TIP_CODE_CREAT || (flags & O_CREAT) ||
	       (flags & __O_TMPFILE) == __O_TMPFILE;
}

static void open_arg(struct tip_extract *x, enum what what, struct tip_told *t)
{
	const struct tip_event *ev = x->in->ev;
	const struct tip_ev_open *o = ev->open.data;

	switch (what) {
	case A_FD: open_fd(x, t); break;
	case A_OPEN_NAME: tip_tell_path(x, ev->open.base, ev->open.name, t); break;
	case A_OPEN_FLAGS:
		tip_value_fmt(x, &t->raw, "%u", o->oflags & ~KERNEL_LARGEFILE);
		open_flags(x, &t->shown);
		break;
	case A_OPEN_MODE: number(x, TIP_ARG_OCTAL, makes_file(x) ? o->mode : 0, t); break;
	case A_CREAT_FLAGS:
		tip_value_fmt(x, &t->raw, "%u", o->file_flags & (TIP_FILE_UPPER | TIP_FILE_LOWER));
		creat_flags(x, &t->shown);
		break;
	case A_RESOLVE:
		tip_value_fmt(x, &t->raw, "%llu", (unsigned long long)o->resolve);
		resolve_flags(x, &t->shown);
		break;
	case A_DEV: number(x, TIP_ARG_HEX, o->dev, t); break;
	case A_INO: number(x, TIP_ARG_NUMBER, o->ino, t); break;
	case A_DIRFD: tip_tell_dirfd(x, o->dirfd, ev->open.base, t); break;
	default: break;
	}
}

static void sock_arg(struct tip_extract *x, enum what what, struct tip_told *t)
{
	const struct tip_ev_sock *s = x->in->ev->sock.data;

	switch (what) {
	case A_FD: tip_tell_fd(x, s->fd, t); break;
	case A_ADDR: address(x, &t->raw); break;
	case A_BACKLOG: number(x, TIP_ARG_INT, s->backlog, t); break;
	default: break;
	}
}

static void exit_arg(struct tip_extract *x, enum what what, struct tip_told *t)
{
	int code = x->in->ev->exit->code;

	switch (what) {
	case A_STATUS: number(x, TIP_ARG_INT, (uint64_t)code, t); break;
	case A_RET:
		number(x, TIP_ARG_INT, WIFEXITED(code) ? (uint64_t)WEXITSTATUS(code) : 0, t);
		break;
	case A_SIG:
		number(x, TIP_ARG_SIGNAL, WIFSIGNALED(code) ? (uint64_t)WTERMSIG(code) : 0, t);
		break;
	default: tip_value_str(&t->raw, WIFSIGNALED(code) && WCOREDUMP(code) ? "1" : "0");
	}
}

/* A new process has the numbers alone, as the language has it. */
static void owner(struct tip_extract *x, bool group, struct tip_told *t)
{
	const struct tip_hdr *h = x->in->ev->hdr;
	uint32_t id = group ? h->gid : h->uid;

	number(x,
	       x->code == TIP_CODE_CLONE ? TIP_ARG_UINT
	       : group                   ? TIP_ARG_GID
					 : TIP_ARG_UID,
	       id, t);
}

/* argv[0] stands before the arguments. */
static void process_args(struct tip_extract *x, const struct tip_process *p, struct tip_told *t)
{
	size_t first = strnlen(p->args, p->args_len);

	if (first < p->args_len)
		first++;
	tip_tell_bytes(x, p->args + first, p->args_len - first, t);
}

static void process_arg(struct tip_extract *x, enum what what, struct tip_told *t)
{
	const struct tip_process *p = x->in->proc;
	const struct tip_hdr *h = x->in->ev->hdr;

	switch (what) {
	case A_UID: owner(x, false, t); return;
	case A_GID: owner(x, true, t); return;
	case A_TID: process(x, h->tid, t); return;
	case A_PID: process(x, h->proc.tgid, t); return;
	case A_COMM: tip_value_str(&t->raw, h->comm); return;
	default: break;
	}
	if (!p)
		return;
	switch (what) {
	case A_EXE: tip_value_str(&t->raw, p->args); break;
	case A_ARGS: process_args(x, p, t); break;
	case A_PTID: process(x, p->ppid, t); break;
	case A_CWD: tip_value_str(&t->raw, p->cwd); break;
	case A_VTID:
	case A_VPID: number(x, TIP_ARG_UINT, p->vpid, t); break;
	default: break;
	}
}

static void tell(struct tip_extract *x, const struct tip_arg_row *row, struct tip_told *t)
{
	const enum what what = (enum what)row->kind;
	tip_codes bit = TIP_CODE_BIT(x->code);

	if (row->kind < TIP_ARG_FAMILY)
		tip_tell_number(x, row, 0, t);
	else if (what == A_FD_NAME)
		tip_extract_fd_name(x, &t->raw);
	else if (bit & TIP_CODES_OPEN)
		open_arg(x, what, t);
	else if (bit & TIP_CODES_SOCK)
		sock_arg(x, what, t);
	else if (x->code == TIP_CODE_PROCEXIT)
		exit_arg(x, what, t);
	else if (bit & TIP_CODES_EXEC)
		exec_arg(x, what, t);
	if (!t->raw.set && row->kind > TIP_ARG_FAMILY)
		process_arg(x, what, t);
}

const struct tip_arg_family tip_args_event = {rows, TIP_ARRAY_SIZE(rows), tell};
