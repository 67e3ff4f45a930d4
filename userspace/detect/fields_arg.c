/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "detect/field.h"

/* evt.arg.NAME: arguments of events, as text. */

/* Every name of an argument that some event of the language has. Sorted. */
/* clang-format off */
static const char *const arg_names[] = {
	"ID", "action", "addr", "advice", "arg", "arg2_int", "arg2_str", "args", "argument",
	"backlog", "base", "cap_effective", "cap_inheritable", "cap_permitted", "cgroups",
	"child_pid", "clone_flags", "cmd", "comm", "core", "cpu", "cpu_sys", "cpu_usr", "cur",
	"cwd", "data", "desc", "dev", "dir", "dirfd", "domain", "egid", "env", "error", "euid",
	"event_data", "event_data_len", "event_type", "events", "exe", "exe_ino", "exe_ino_ctime",
	"exe_ino_mtime", "fd", "fd_in", "fd_out", "fdin", "fdlimit", "fdout", "fds", "features",
	"fid", "filename", "flags", "fstype", "gid", "group", "gtid", "how", "how_mode",
	"how_resolve", "id", "img", "in", "initval", "ino", "ip", "key", "len", "length", "level",
	"linkdirfd", "linkpath", "loginuid", "machine", "mask", "max", "maxevents", "min_complete",
	"mode", "mountfd", "msgcontrol", "name", "nativeID", "newcur", "newdir", "newdirfd", "newfd", "newmax",
	"newpath", "next", "nmsgs", "nr_args", "nsems", "nstype", "nwords", "offset", "oldcur",
	"olddir", "olddirfd", "oldfd", "oldmax", "oldpath", "op", "opcode", "operation", "optlen",
	"option", "optname", "optval", "out", "owner", "parameters", "path", "pathname", "peer", "pgft_maj",
	"pgft_min", "pgid", "pgoffset", "pid", "pid_fd", "pidns_init_start_ts", "plugin_ID",
	"plugin_id", "pos", "prot", "proto", "ptid", "queuelen", "queuemax", "queuepct",
	"quota_fmt", "quotafilepath", "reaper_tid", "request", "res", "res_or_fd", "resolve",
	"resource", "ret", "rgid", "ruid", "sci", "secret", "semnum", "sem_flg_0", "sem_flg_1",
	"sem_num_0", "sem_num_1", "sem_op_0", "sem_op_1", "semflg", "semid", "sgid", "sig",
	"sig_type", "sigmask", "size", "sockfd", "source", "source_len", "spid", "sq_entries",
	"sq_thread_cpu", "sq_thread_idle", "start", "status", "suid", "tags", "target", "target_fd",
	"tid", "timeout", "to_submit", "trusted_exepath", "tty", "tuple", "type", "uargs", "uid",
	"val", "vpgid", "vm_rss", "vm_size", "vm_swap", "vpid", "vtid", "whence",
};
/* clang-format on */

bool tip_event_arg_known(const char *name, enum tip_type *type, tip_codes *codes)
{
	*type = TIP_T_STRING;
	*codes = TIP_CODES_ALL;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(arg_names); i++)
		if (strcmp(arg_names[i], name) == 0)
			return true;
	return false;
}

static void flags_text(struct tip_extract *x, uint64_t value, const char *first,
		       const struct tip_flag *flags, size_t count, struct tip_value *out)
{
	size_t size = strlen(first) + 1, n;
	char *s;

	for (size_t i = 0; i < count; i++)
		size += strlen(flags[i].name) + 1;
	s = tip_scratch_alloc(x->scratch, size);
	n = (size_t)snprintf(s, size, "%s", first);
	for (size_t i = 0; i < count; i++)
		if ((value & flags[i].bits) == flags[i].bits)
			n += (size_t)snprintf(s + n, size - n, "%s%s", n ? "|" : "", flags[i].name);
	tip_value_strn(out, s, n);
}

static const struct tip_flag open_names[] = {
	{O_CREAT, "O_CREAT"},       {O_EXCL, "O_EXCL"},           {O_TRUNC, "O_TRUNC"},
	{O_APPEND, "O_APPEND"},     {O_NONBLOCK, "O_NONBLOCK"},   {O_SYNC, "O_SYNC"},
	{O_DIRECT, "O_DIRECT"},     {O_DIRECTORY, "O_DIRECTORY"}, {O_CLOEXEC, "O_CLOEXEC"},
	{O_NOFOLLOW, "O_NOFOLLOW"}, {__O_TMPFILE, "O_TMPFILE"},   {O_PATH, "O_PATH"},
};

const struct tip_flag *tip_open_flags(size_t *count)
{
	*count = TIP_ARRAY_SIZE(open_names);
	return open_names;
}

const char *tip_open_access(uint32_t oflags)
{
	static const char *const access[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_RDWR"};

	return access[oflags & O_ACCMODE];
}

static void open_flags(struct tip_extract *x, struct tip_value *out)
{
	const uint32_t f = x->in->ev->open.data->oflags;

	flags_text(x, f, tip_open_access(f), open_names, TIP_ARRAY_SIZE(open_names), out);
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

	flags_text(x, x->in->ev->open.data->resolve, "", flags, TIP_ARRAY_SIZE(flags), out);
}

void tip_extract_exec_flags(struct tip_extract *x, struct tip_value *out)
{
	static const struct tip_flag flags[] = {
		{TIP_PROC_EXE_WRITABLE, "EXE_WRITABLE"},
		{TIP_PROC_EXE_UPPER, "EXE_UPPER_LAYER"},
		{TIP_PROC_EXE_MEMFD, "EXE_FROM_MEMFD"},
		{TIP_PROC_EXE_LOWER, "EXE_LOWER_LAYER"},
	};

	flags_text(x, x->in->ev->exec.data->proc_flags, "", flags, TIP_ARRAY_SIZE(flags), out);
}

static void result(struct tip_extract *x, struct tip_value *out)
{
	int64_t ret = x->in->ev->hdr->ret;

	if (x->code == TIP_CODE_CLONE)
		ret = x->in->ev->fork->child.tgid;
	if (ret < 0)
		tip_value_str(out, tip_errno_name(ret));
	else
		tip_value_fmt(x, out, "%lld", (long long)ret);
}

/* "<f>/etc/passwd", or the error of a call that made none. */
static void descriptor(struct tip_extract *x, struct tip_value *out)
{
	struct tip_value name = {0};
	char kind = 'f';

	if (x->in->ev->hdr->ret < 0 && TIP_CODES_OPEN & TIP_CODE_BIT(x->code)) {
		result(x, out);
		return;
	}
	if (TIP_CODES_SOCK & TIP_CODE_BIT(x->code))
		kind = x->in->ev->sock.data->family == AF_INET    ? '4'
		       : x->in->ev->sock.data->family == AF_INET6 ? '6'
								  : 'u';
	tip_extract_fd_name(x, &name);
	tip_value_fmt(x, out, "<%c>%s", kind, name.set ? name.str.s : "");
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

static void user(struct tip_extract *x, bool group, struct tip_value *out)
{
	const struct tip_hdr *h = x->in->ev->hdr;
	const struct tip_user *u;
	const char *name = NULL;

	if (group) {
		name = tip_group_by_gid(x->users, h->gid, x->in->time_ns);
	} else {
		u = tip_user_by_uid(x->users, h->uid, x->in->time_ns);
		name = u ? u->name : NULL;
	}
	if (name)
		tip_value_str(out, name);
	else
		tip_value_fmt(x, out, "%u", group ? h->gid : h->uid);
}

static void process_args(struct tip_extract *x, struct tip_value *out)
{
	if (x->in->proc)
		tip_extract_args(x, x->in->proc, out);
}

/* ---- which event has which argument ------------------------------------------------------------
 */

enum what {
	A_RES,
	A_FD,
	A_OPEN_NAME,
	A_OPEN_FLAGS,
	A_OPEN_MODE,
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
	A_COMM,
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
	A_STATUS,
	A_RET,
	A_SIG,
	A_CORE,
};

#define BIT(c)     TIP_CODE_BIT(TIP_CODE_##c)
#define OPEN_NAMED (TIP_CODES_OPEN & ~BIT(OPEN_BY_HANDLE_AT))
static const struct {
	const char *name;
	tip_codes codes;
	enum what what;
} args[] = {
	{"res",
	 TIP_CODES_EXEC | BIT(CLONE) | TIP_CODES_CRED | BIT(CONNECT) | BIT(BIND) | BIT(LISTEN),
	 A_RES},
	{"fd", TIP_CODES_OPEN | TIP_CODES_SOCK, A_FD},
	{"dirfd", BIT(OPENAT) | BIT(OPENAT2), A_DIRFD},
	{"mountfd", BIT(OPEN_BY_HANDLE_AT), A_DIRFD},
	{"name", OPEN_NAMED, A_OPEN_NAME},
	{"flags", TIP_CODES_OPEN, A_OPEN_FLAGS},
	{"mode", OPEN_NAMED, A_OPEN_MODE},
	{"path", BIT(OPEN_BY_HANDLE_AT), A_FD_NAME},
	{"resolve", BIT(OPENAT2), A_RESOLVE},
	{"dev", TIP_CODES_OPEN, A_DEV},
	{"ino", TIP_CODES_OPEN, A_INO},
	{"addr", BIT(CONNECT) | BIT(BIND), A_ADDR},
	{"tuple", BIT(CONNECT) | BIT(ACCEPT), A_FD_NAME},
	{"backlog", BIT(LISTEN), A_BACKLOG},
	{"exe", TIP_CODES_EXEC | BIT(CLONE), A_EXE},
	{"args", TIP_CODES_EXEC | BIT(CLONE), A_ARGS},
	{"tid", TIP_CODES_EXEC | BIT(CLONE), A_TID},
	{"pid", TIP_CODES_EXEC | BIT(CLONE), A_PID},
	{"ptid", TIP_CODES_EXEC | BIT(CLONE), A_PTID},
	{"cwd", TIP_CODES_EXEC | BIT(CLONE), A_CWD},
	{"comm", TIP_CODES_EXEC | BIT(CLONE), A_COMM},
	{"tty", TIP_CODES_EXEC, A_TTY},
	{"vpgid", TIP_CODES_EXEC, A_VPGID},
	{"loginuid", TIP_CODES_EXEC, A_LOGINUID},
	{"flags", TIP_CODES_EXEC, A_EXEC_FLAGS},
	{"cap_inheritable", TIP_CODES_EXEC, A_CAP_INH},
	{"cap_permitted", TIP_CODES_EXEC, A_CAP_PERM},
	{"cap_effective", TIP_CODES_EXEC, A_CAP_EFF},
	{"exe_ino", TIP_CODES_EXEC, A_EXE_INO},
	{"exe_ino_ctime", TIP_CODES_EXEC, A_EXE_CTIME},
	{"exe_ino_mtime", TIP_CODES_EXEC, A_EXE_MTIME},
	{"uid", TIP_CODES_EXEC | BIT(CLONE) | BIT(SETUID), A_UID},
	{"trusted_exepath", TIP_CODES_EXEC, A_EXEPATH},
	{"pgid", TIP_CODES_EXEC, A_PGID},
	{"gid", TIP_CODES_EXEC | BIT(CLONE) | BIT(SETGID), A_GID},
	{"filename", TIP_CODES_EXEC, A_FILENAME},
	{"status", BIT(PROCEXIT), A_STATUS},
	{"ret", BIT(PROCEXIT), A_RET},
	{"sig", BIT(PROCEXIT), A_SIG},
	{"core", BIT(PROCEXIT), A_CORE},
};

static void exec_arg(struct tip_extract *x, enum what what, struct tip_value *out)
{
	const struct tip_ev_exec *e = x->in->ev->exec.data;

	switch (what) {
	case A_TTY: tip_value_fmt(x, out, "%u", e->tty); break;
	case A_VPGID: tip_value_fmt(x, out, "%u", e->vpgid); break;
	case A_PGID: tip_value_fmt(x, out, "%u", e->pgid); break;
	case A_LOGINUID: tip_value_fmt(x, out, "%d", (int)e->loginuid); break;
	case A_EXEC_FLAGS: tip_extract_exec_flags(x, out); break;
	case A_CAP_INH: tip_extract_caps(x, e->cap_inheritable, out); break;
	case A_CAP_PERM: tip_extract_caps(x, e->cap_permitted, out); break;
	case A_CAP_EFF: tip_extract_caps(x, e->cap_effective, out); break;
	case A_EXE_INO: tip_value_fmt(x, out, "%llu", (unsigned long long)e->exe_ino); break;
	case A_EXE_CTIME: tip_value_fmt(x, out, "%llu", (unsigned long long)e->exe_ctime_ns); break;
	case A_EXE_MTIME: tip_value_fmt(x, out, "%llu", (unsigned long long)e->exe_mtime_ns); break;
	case A_EXEPATH: tip_value_str(out, x->in->ev->exec.exe_path); break;
	case A_FILENAME: tip_value_str(out, x->in->ev->exec.filename); break;
	default: break;
	}
}

static void open_arg(struct tip_extract *x, enum what what, struct tip_value *out)
{
	const struct tip_ev_open *o = x->in->ev->open.data;

	switch (what) {
	case A_OPEN_NAME: tip_value_str(out, x->in->ev->open.name); break;
	case A_OPEN_FLAGS: open_flags(x, out); break;
	case A_OPEN_MODE: tip_value_fmt(x, out, "0%o", o->mode); break;
	case A_RESOLVE: resolve_flags(x, out); break;
	case A_DEV: tip_value_fmt(x, out, "%u", o->dev); break;
	case A_INO: tip_value_fmt(x, out, "%llu", (unsigned long long)o->ino); break;
	case A_DIRFD:
		if (o->dirfd == AT_FDCWD)
			tip_value_str(out, "AT_FDCWD");
		else
			tip_value_fmt(x, out, "%d", o->dirfd);
		break;
	default: break;
	}
}

static void exit_arg(struct tip_extract *x, enum what what, struct tip_value *out)
{
	int code = x->in->ev->exit->code;

	switch (what) {
	case A_STATUS: tip_value_fmt(x, out, "%d", code); break;
	case A_RET: tip_value_fmt(x, out, "%d", WIFEXITED(code) ? WEXITSTATUS(code) : 0); break;
	case A_SIG:
		tip_value_fmt(x, out, "%s",
			      WIFSIGNALED(code) && sigabbrev_np(WTERMSIG(code))
				      ? sigabbrev_np(WTERMSIG(code))
				      : "0");
		break;
	default: tip_value_str(out, WIFSIGNALED(code) && WCOREDUMP(code) ? "1" : "0");
	}
}

static void process_arg(struct tip_extract *x, enum what what, struct tip_value *out)
{
	const struct tip_process *p = x->in->proc;

	switch (what) {
	case A_UID: user(x, false, out); return;
	case A_GID: user(x, true, out); return;
	case A_TID: tip_value_fmt(x, out, "%u", x->in->ev->hdr->tid); return;
	case A_PID: tip_value_fmt(x, out, "%u", x->in->ev->hdr->proc.tgid); return;
	case A_COMM: tip_value_str(out, x->in->ev->hdr->comm); return;
	case A_ARGS: process_args(x, out); return;
	default: break;
	}
	if (!p)
		return;
	switch (what) {
	case A_EXE: tip_value_str(out, p->args); break;
	case A_PTID: tip_value_fmt(x, out, "%u", p->ppid); break;
	case A_CWD: tip_value_str(out, p->cwd); break;
	default: break;
	}
}

static void extract(struct tip_extract *x, enum what what, struct tip_value *out)
{
	struct tip_value name = {0};

	switch (what) {
	case A_RES: result(x, out); return;
	case A_FD: descriptor(x, out); return;
	case A_ADDR: address(x, out); return;
	case A_BACKLOG: tip_value_fmt(x, out, "%u", x->in->ev->sock.data->backlog); return;
	case A_FD_NAME:
		tip_extract_fd_name(x, &name);
		*out = name;
		return;
	default: break;
	}
	if (TIP_CODES_OPEN & TIP_CODE_BIT(x->code))
		open_arg(x, what, out);
	else if (x->code == TIP_CODE_PROCEXIT)
		exit_arg(x, what, out);
	else if (TIP_CODES_EXEC & TIP_CODE_BIT(x->code))
		exec_arg(x, what, out);
	if (!out->set)
		process_arg(x, what, out);
}

void tip_extract_event_arg(struct tip_extract *x, const char *name, bool raw, struct tip_value *out)
{
	if (TIP_CODES_NAMED & TIP_CODE_BIT(x->code)) {
		tip_extract_syscall_arg(x, name, raw, out);
		return;
	}
	if (TIP_CODES_CALL & TIP_CODE_BIT(x->code)) {
		tip_extract_call_arg(x, name, raw, out);
		return;
	}
	for (size_t i = 0; i < TIP_ARRAY_SIZE(args); i++) {
		if (!(args[i].codes & TIP_CODE_BIT(x->code)) || strcmp(args[i].name, name) != 0)
			continue;
		extract(x, args[i].what, out);
		return;
	}
}

void tip_extract_event_args(struct tip_extract *x, struct tip_value *out)
{
	struct tip_value v[TIP_ARRAY_SIZE(args)] = {0};
	size_t size = 1, n = 0;
	char *s;

	if (TIP_CODES_NAMED & TIP_CODE_BIT(x->code)) {
		tip_extract_syscall_args(x, out);
		return;
	}
	if (TIP_CODES_CALL & TIP_CODE_BIT(x->code)) {
		tip_extract_call_args(x, out);
		return;
	}
	for (size_t i = 0; i < TIP_ARRAY_SIZE(args); i++) {
		if (!(args[i].codes & TIP_CODE_BIT(x->code)))
			continue;
		extract(x, args[i].what, &v[i]);
		if (v[i].set)
			size += strlen(args[i].name) + v[i].str.len + 2;
	}
	s = tip_scratch_alloc(x->scratch, size);
	s[0] = '\0';
	for (size_t i = 0; i < TIP_ARRAY_SIZE(args); i++)
		if (v[i].set)
			n += (size_t)snprintf(s + n, size - n, "%s%s=%s", n ? " " : "",
					      args[i].name, v[i].str.s);
	tip_value_strn(out, s, n);
}
