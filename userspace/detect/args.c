/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/args.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* Every name of an argument that some event of the language has. */
/* clang-format off */
static const char *const arg_names[] = {
	"ID", "action", "addr", "advice", "arg", "arg2", "arg2_int", "arg2_str", "arg3", "arg4",
	"arg5", "args", "argument", "aux", "backlog", "base", "cap_effective", "cap_inheritable",
	"cap_permitted", "cgroups", "child_pid", "clockid", "clone_flags", "cmd", "comm", "core",
	"cpu", "cpu_sys", "cpu_usr", "cq_entries", "creat_flags", "cur", "cwd", "data", "desc",
	"dev", "dir", "dirfd", "domain", "dqb_bhardlimit", "dqb_bsoftlimit", "dqb_btime",
	"dqb_curspace", "dqb_ihardlimit", "dqb_isoftlimit", "dqb_itime", "dqi_bgrace", "dqi_flags",
	"dqi_igrace", "egid", "entries", "env", "error", "euid", "event_data", "event_data_len",
	"event_type", "events", "exe", "exe_ino", "exe_ino_ctime", "exe_ino_mtime", "fd", "fd1",
	"fd2", "fd_in", "fd_out", "fdin", "fdlimit", "fdout", "fds", "features", "fid", "filename",
	"first", "flags", "fstype", "gid", "group", "gtid", "how", "how_mode", "how_resolve", "id",
	"img", "in", "in_fd", "initval", "ino", "interval", "ip", "key", "last", "len", "length",
	"level", "linkdirfd", "linkpath", "loginuid", "machine", "mask", "max", "maxevents",
	"min_complete", "mode", "mountfd", "msgcontrol", "name", "nativeID", "newcur", "newdir",
	"newdirfd", "newfd", "newmax", "newpath", "next", "nmsgs", "nr_args", "nsems", "nsops",
	"nstype", "nwords", "offin", "offout", "offset", "oldcur", "olddir", "olddirfd", "oldfd",
	"oldmax", "oldpath", "op", "opcode", "operation", "optlen", "option", "optname", "optval",
	"out", "out_fd", "owner", "parameters", "path", "pathname", "peer", "pgft_maj", "pgft_min",
	"pgid", "pgoffset", "pid", "pid_fd", "pidns_init_start_ts", "plugin_ID", "plugin_id", "pos",
	"prot", "proto", "ptid", "queuelen", "queuemax", "queuepct", "quota_fmt", "quota_fmt_out",
	"quotafilepath", "ratio", "reaper_tid", "request", "res", "res_or_fd", "resolve",
	"resource", "ret", "rgid", "ruid", "sci", "secret", "semnum", "sem_flg_0", "sem_flg_1",
	"sem_num_0", "sem_num_1", "sem_op_0", "sem_op_1", "semflg", "semid", "sgid", "sig",
	"sig_type", "sigmask", "size", "sockfd", "source", "source_len", "special", "spid",
	"sq_entries", "sq_thread_cpu", "sq_thread_idle", "start", "status", "suid", "tags",
	"target", "target_fd", "tid", "timeout", "to_submit", "trusted_exepath", "tty", "tuple",
	"type", "uargs", "uid", "val", "value_bytebuf", "value_charbuf", "vpgid", "vm_rss",
	"vm_size", "vm_swap", "vpid", "vtid", "whence",
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

/* ---- what the families share ---------------------------------------------------------------- */

static void tell_result(struct tip_extract *x, struct tip_told *t)
{
	int64_t ret = x->code == TIP_CODE_CLONE ? x->in->ev->fork->child.tgid : x->in->ev->hdr->ret;

	tip_value_fmt(x, &t->raw, "%lld", (long long)ret);
	if (ret < 0)
		tip_value_str(&t->shown, tip_errno_name(ret));
}

static void tell_owner(struct tip_extract *x, bool group, uint32_t id, struct tip_told *t)
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

/* In another pid namespace the number means another process, or none. */
static void tell_pid(struct tip_extract *x, int pid, struct tip_told *t)
{
	const struct tip_process *self = x->in->proc, *p = NULL;

	tip_value_fmt(x, &t->raw, "%d", pid);
	if (pid > 0 && x->in->table && self && self->vpid == self->key.tgid)
		p = (uint32_t)pid == self->key.tgid
			    ? self
			    : tip_process_by_pid(x->in->table, (uint32_t)pid);
	if (p)
		tip_value_str(&t->shown, p->comm);
}

static void tell_signal(struct tip_extract *x, int sig, struct tip_told *t)
{
	const char *name = sigabbrev_np(sig);

	tip_value_fmt(x, &t->raw, "%d", sig);
	if (name && sig)
		tip_value_fmt(x, &t->shown, "SIG%s", name);
}

void tip_tell_number(struct tip_extract *x, const struct tip_arg_row *row, uint64_t value,
		     struct tip_told *t)
{
	struct tip_value *raw = &t->raw;

	switch (row->kind) {
	case TIP_ARG_RES: tell_result(x, t); break;
	case TIP_ARG_INT: tip_value_fmt(x, raw, "%d", (int)value); break;
	case TIP_ARG_UINT: tip_value_fmt(x, raw, "%u", (uint32_t)value); break;
	case TIP_ARG_NUMBER: tip_value_fmt(x, raw, "%lld", (long long)value); break;
	case TIP_ARG_HEX: tip_value_fmt(x, raw, "%llX", (unsigned long long)value); break;
	case TIP_ARG_OCTAL: tip_value_fmt(x, raw, "%#o", (uint32_t)value); break;
	case TIP_ARG_FLAGS:
		tip_value_fmt(x, raw, "%u", (uint32_t)value);
		tip_flags_text(x, row->flags, (uint32_t)value, &t->shown);
		break;
	case TIP_ARG_UID: tell_owner(x, false, (uint32_t)value, t); break;
	case TIP_ARG_GID: tell_owner(x, true, (uint32_t)value, t); break;
	case TIP_ARG_PID: tell_pid(x, (int)value, t); break;
	case TIP_ARG_SIGNAL: tell_signal(x, (int)value, t); break;
	default: break;
	}
}

void tip_tell_fd(struct tip_extract *x, int64_t fd, struct tip_told *t)
{
	tip_value_fmt(x, &t->raw, "%lld", (long long)fd);
	tip_extract_fd_shown(x, &t->shown);
}

void tip_tell_dirfd(struct tip_extract *x, int fd, const char *base, struct tip_told *t)
{
	tip_value_fmt(x, &t->raw, "%d", fd);
	if (fd == AT_FDCWD)
		tip_value_str(&t->shown, "AT_FDCWD");
	else if (base[0])
		tip_value_fmt(x, &t->shown, "<d>%s", base);
}

void tip_tell_path(struct tip_extract *x, const char *base, const char *path, struct tip_told *t)
{
	tip_value_str(&t->raw, path);
	if (path[0] && path[0] != '/' && base[0])
		tip_extract_path(x, base, path, &t->shown);
}

void tip_tell_bytes(struct tip_extract *x, const char *data, size_t len, struct tip_told *t)
{
	char *s = tip_scratch_alloc(x->scratch, len + 1);

	for (size_t i = 0; i < len; i++)
		s[i] = data[i];
	for (size_t i = 0; i < len; i++)
		if (!isprint((unsigned char)s[i]))
			s[i] = '.';
	s[len] = '\0';
	tip_value_strn(&t->raw, len ? s : "NULL", len ? len : 4);
}

/* ---- the fields ------------------------------------------------------------------------------ */

/* The arguments of a call that has no code of its own; NULL: it has only its number. */
static const struct tip_arg_row *other_rows(const struct tip_extract *x, size_t *count)
{
	return x->code == TIP_CODE_OTHER ? tip_args_other(x->in->ev->call.data->nr, count) : NULL;
}

static struct tip_arg_family family(const struct tip_extract *x)
{
	struct tip_arg_family f = tip_args_event;
	const struct tip_arg_row *rows;
	size_t count;

	if (!((TIP_CODES_CALL | TIP_CODES_NAMED) & TIP_CODE_BIT(x->code)))
		return f;
	f = tip_args_call;
	rows = other_rows(x, &count);
	if (rows) {
		f.rows = rows;
		f.count = count;
	}
	return f;
}

static void tell_one(struct tip_extract *x, const struct tip_arg_row *row, bool raw,
		     struct tip_value *out)
{
	struct tip_told t = {0};

	if (row->kind == TIP_ARG_LIVE)
		tip_extract_live(x, (enum tip_live_arg)row->n, &t.raw);
	else
		family(x).tell(x, row, &t);
	*out = !raw && t.shown.set && t.shown.str.len ? t.shown : t.raw;
}

void tip_extract_event_arg(struct tip_extract *x, const char *name, bool raw, struct tip_value *out)
{
	const struct tip_arg_family f = family(x);

	for (size_t i = 0; i < f.count; i++) {
		if (!(f.rows[i].codes & TIP_CODE_BIT(x->code)) || strcmp(f.rows[i].name, name) != 0)
			continue;
		tell_one(x, &f.rows[i], raw, out);
		return;
	}
}

void tip_extract_event_arg_at(struct tip_extract *x, int64_t n, bool raw, struct tip_value *out)
{
	const struct tip_arg_family f = family(x);
	size_t count;

	/* of a call without arguments of its own the registers are all there is */
	if (x->code == TIP_CODE_OTHER && !other_rows(x, &count)) {
		if (n < 6)
			tip_value_fmt(x, out, "%lld", (long long)x->in->ev->call.data->args[n]);
		return;
	}
	for (size_t i = 0; i < f.count; i++) {
		if (!(f.rows[i].codes & TIP_CODE_BIT(x->code)) || n--)
			continue;
		tell_one(x, &f.rows[i], raw, out);
		return;
	}
}

void tip_extract_event_args(struct tip_extract *x, struct tip_value *out)
{
	const struct tip_arg_family f = family(x);
	struct tip_told *t = tip_scratch_alloc(x->scratch, f.count * sizeof(*t));
	size_t size = 1, n = 0;
	char *s;

	memset(t, 0, f.count * sizeof(*t));
	for (size_t i = 0; i < f.count; i++) {
		if (!(f.rows[i].codes & TIP_CODE_BIT(x->code)))
			continue;
		f.tell(x, &f.rows[i], &t[i]);
		size += strlen(f.rows[i].name) + t[i].raw.str.len + t[i].shown.str.len + 4;
	}
	s = tip_scratch_alloc(x->scratch, size);
	s[0] = '\0';
	for (size_t i = 0; i < f.count; i++) {
		if (!t[i].raw.set)
			continue;
		n += (size_t)snprintf(s + n, size - n, "%s%s=%s", n ? " " : "", f.rows[i].name,
				      t[i].raw.str.s);
		if (t[i].shown.set && t[i].shown.str.len)
			n += (size_t)snprintf(s + n, size - n, "(%s)", t[i].shown.str.s);
	}
	tip_value_strn(out, s, n);
}
