/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "detect/field.h"

/* proc.*, thread.*: the process and those that it comes from. */

const struct tip_process *tip_extract_ancestor(struct tip_extract *x, int64_t n)
{
	const struct tip_process *p = x->in->proc;

	while (p && n-- > 0)
		p = x->in->table ? tip_process_parent(x->in->table, p) : NULL;
	return p;
}

/*
 * Most fields are one property of one process. `a` names the property, `b` the process: how far up
 * it is, or one of these.
 */
enum { WHO_INDEX = 100, WHO_SESSION, WHO_GROUP };

static const struct tip_process *who(struct tip_extract *x, const struct tip_field_ref *ref)
{
	const struct tip_process *self = x->in->proc;

	if (!self)
		return NULL;
	switch (ref->field->b) {
	case WHO_INDEX: return tip_extract_ancestor(x, ref->index);
	case WHO_SESSION: return x->in->table ? tip_process_by_pid(x->in->table, self->sid) : NULL;
	case WHO_GROUP: return x->in->table ? tip_process_by_pid(x->in->table, self->pgid) : NULL;
	default: return tip_extract_ancestor(x, ref->field->b);
	}
}

/* argv[0], and where the rest starts. */
static const char *arguments(const struct tip_process *p, const char **rest, size_t *rest_len)
{
	size_t first = strnlen(p->args, p->args_len);

	*rest = first < p->args_len ? p->args + first + 1 : p->args + p->args_len;
	*rest_len = p->args_len > first ? p->args_len - first - 1u : 0;
	if (*rest_len && (*rest)[*rest_len - 1] == '\0')
		(*rest_len)--;
	return p->args;
}

/* `head`, then every argument after argv[0], with blanks between. */
static void joined(struct tip_extract *x, const char *head, const struct tip_process *p,
		   struct tip_value *out)
{
	size_t head_len = strlen(head), rest_len, n = 0;
	const char *rest;
	char *s;

	arguments(p, &rest, &rest_len);
	s = tip_scratch_alloc(x->scratch, head_len + rest_len + 2);
	memcpy(s, head, head_len);
	n = head_len;
	if (head_len && rest_len)
		s[n++] = ' ';
	for (size_t i = 0; i < rest_len; i++)
		s[n++] = rest[i] ? rest[i] : ' ';
	s[n] = '\0';
	tip_value_strn(out, s, n);
}

void tip_extract_args(struct tip_extract *x, const struct tip_process *p, struct tip_value *out)
{
	joined(x, "", p, out);
}

enum {
	P_NAME,
	P_EXE,
	P_EXEPATH,
	P_ARGS,
	P_CMDLINE,
	P_EXELINE,
	P_CWD,
	P_PID,
	P_PPID,
	P_VPID,
	P_TTY,
	P_SID,
	P_PGID,
	P_VPGID,
	P_EXE_INO,
	P_CGROUP,
	P_CTIME,
	P_MTIME,
	P_EXEC_ID,
	P_NARGS,
	P_LENARGS,
	P_MEMFD,
	P_WRITABLE,
	P_UPPER,
	P_LOWER,
	P_SID_LEADER,
	P_PGID_LEADER,
	P_VPGID_LEADER,
	P_DURATION,
	P_START,
	P_CTIME_AGE,
	P_PIDNS_START,
	P_CTIME_PIDNS,
};

static const char *name_of(struct tip_extract *x, const struct tip_process *p)
{
	return p == x->in->proc && !p->comm[0] ? x->in->ev->hdr->comm : p->comm;
}

static void argument_counts(const struct tip_process *p, bool bytes, struct tip_value *out)
{
	size_t len, n = 0, chars = 0;
	const char *rest;

	arguments(p, &rest, &len);
	for (size_t i = 0; i < len; i++)
		chars += rest[i] != '\0';
	for (size_t i = 0; i < len; i++)
		n += rest[i] == '\0';
	if (len)
		n++;
	tip_value_int(out, (int64_t)(bytes ? chars : n));
}

/* ns since the epoch */
static uint64_t pidns_start(const struct tip_extract *x, const struct tip_process *p)
{
	return x->in->time_ns - x->in->ev->hdr->time_ns + p->pidns_init_ns;
}

static void times(struct tip_extract *x, const struct tip_process *p, uint32_t what,
		  struct tip_value *out)
{
	uint64_t now = x->in->ev->hdr->time_ns, start = p->key.start_ns;
	uint64_t age = now > start ? now - start : 0;

	switch (what) {
	case P_DURATION: tip_value_int(out, (int64_t)age); break;
	case P_START: tip_value_int(out, (int64_t)(x->in->time_ns - age)); break;
	case P_PIDNS_START:
		if (p->pidns_init_ns)
			tip_value_int(out, (int64_t)pidns_start(x, p));
		break;
	case P_CTIME_PIDNS:
		/* only where the namespace is the older one */
		if (p->pidns_init_ns && p->exe_ctime_ns > pidns_start(x, p))
			tip_value_int(out, (int64_t)(p->exe_ctime_ns - pidns_start(x, p)));
		break;
	default:
		if (p->exe_ctime_ns)
			tip_value_int(out, (int64_t)(x->in->time_ns - age - p->exe_ctime_ns));
	}
}

/* What it was refused to become, NULL: this is no such event, or not about that process. */
static const struct tip_event *refused_image(const struct tip_extract *x,
					     const struct tip_process *p)
{
	return p == x->in->proc && x->in->ev->hdr->type == TIP_EV_DENIED_EXEC ? x->in->ev : NULL;
}

const char *tip_extract_image(const char *path, uint32_t flags)
{
	const bool memfd = (flags & TIP_PROC_EXE_MEMFD) && strncmp(path, "/memfd:", 7) == 0;

	return path + memfd;
}

static void property(struct tip_extract *x, const struct tip_process *p, uint32_t what,
		     struct tip_value *out)
{
	const struct tip_event *image = refused_image(x, p);
	const char *rest;
	size_t len;

	switch (what) {
	case P_NAME: tip_value_str(out, name_of(x, p)); break;
	case P_EXE: tip_value_str(out, arguments(p, &rest, &len)); break;
	case P_EXEPATH:
		tip_value_str(out, image ? image->exec.exe_path
					 : tip_extract_image(p->exe_path, p->flags));
		break;
	case P_ARGS: tip_extract_args(x, p, out); break;
	case P_CMDLINE: joined(x, name_of(x, p), p, out); break;
	case P_EXELINE: joined(x, arguments(p, &rest, &len), p, out); break;
	case P_CWD:
		len = strlen(p->cwd);
		if (len)
			tip_value_fmt(x, out, "%s%s", p->cwd, p->cwd[len - 1] == '/' ? "" : "/");
		break;
	case P_PID: tip_value_int(out, p->key.tgid); break;
	case P_PPID: tip_value_int(out, p->ppid); break;
	case P_VPID: tip_value_int(out, p->vpid); break;
	case P_TTY: tip_value_int(out, p->tty); break;
	case P_SID: tip_value_int(out, p->sid); break;
	case P_PGID: tip_value_int(out, p->pgid); break;
	case P_VPGID: tip_value_int(out, p->vpgid); break;
	case P_EXE_INO:
		tip_value_int(out, (int64_t)(image ? image->exec.data->exe_ino : p->exe_ino));
		break;
	case P_CGROUP: tip_value_str(out, p->cgroup); break;
	case P_CTIME: tip_value_int(out, (int64_t)p->exe_ctime_ns); break;
	case P_MTIME: tip_value_int(out, (int64_t)p->exe_mtime_ns); break;
	case P_EXEC_ID: tip_value_int(out, (int64_t)p->exec_id); break;
	case P_NARGS: argument_counts(p, false, out); break;
	case P_LENARGS: argument_counts(p, true, out); break;
	case P_MEMFD: tip_value_int(out, !!(p->flags & TIP_PROC_EXE_MEMFD)); break;
	case P_WRITABLE: tip_value_int(out, !!(p->flags & TIP_PROC_EXE_WRITABLE)); break;
	case P_UPPER: tip_value_int(out, !!(p->flags & TIP_PROC_EXE_UPPER)); break;
	case P_LOWER: tip_value_int(out, !!(p->flags & TIP_PROC_EXE_LOWER)); break;
	case P_SID_LEADER: tip_value_int(out, p->sid == p->key.tgid); break;
	case P_PGID_LEADER: tip_value_int(out, p->pgid == p->key.tgid); break;
	case P_VPGID_LEADER: tip_value_int(out, p->vpgid == p->vpid); break;
	default: times(x, p, what, out);
	}
}

static void proc(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_process *p = who(x, ref);

	if (p)
		property(x, p, ref->field->a, out);
}

/* What the event itself tells about a process that no table knows. */
static void proc_name(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	if (x->in->proc)
		tip_value_str(out, name_of(x, x->in->proc));
	else
		tip_value_str(out, x->in->ev->hdr->comm[0] ? x->in->ev->hdr->comm : "<NA>");
}

static void proc_pid(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	tip_value_int(out, x->in->ev->hdr->proc.tgid);
}

/* Without an index: any of the ancestors, the parent first. */
static void ancestors(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_process *up[TIP_ANCESTORS_MAX], *p = x->in->proc;
	struct tip_value *items;
	uint32_t n = 0;

	if (ref->index >= 0) {
		proc(x, ref, out);
		return;
	}
	while (p && x->in->table && n < TIP_ANCESTORS_MAX) {
		p = tip_process_parent(x->in->table, p);
		if (p)
			up[n++] = p;
	}
	if (!n)
		return;
	items = tip_value_items(x, out, n);
	for (uint32_t i = 0; i < n; i++)
		property(x, up[i], ref->field->a, &items[i]);
}

/* The oldest shell in the line, the process itself included: where somebody logged in. */
static void login_shell(struct tip_extract *x, const struct tip_field_ref *ref,
			struct tip_value *out)
{
	const struct tip_process *p = x->in->proc;
	size_t len;

	for (int n = 0; p && n <= TIP_ANCESTORS_MAX; n++) {
		len = strlen(p->comm);
		if (len >= 2 && strcmp(p->comm + len - 2, "sh") == 0)
			tip_value_int(out, p->key.tgid);
		p = x->in->table ? tip_process_parent(x->in->table, p) : NULL;
	}
}

enum { T_TID, T_IS_MAIN, T_PERMITTED, T_EFFECTIVE, T_INHERITABLE };

static void thread(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_process *p = x->in->proc;

	switch (ref->field->a) {
	case T_TID: tip_value_int(out, x->in->ev->hdr->tid); return;
	case T_IS_MAIN:
		tip_value_int(out, x->in->ev->hdr->tid == x->in->ev->hdr->proc.tgid);
		return;
	default: break;
	}
	if (!p)
		return;
	switch (ref->field->a) {
	case T_PERMITTED: tip_extract_caps(x, p->cap_permitted, out); break;
	case T_EFFECTIVE: tip_extract_caps(x, p->cap_effective, out); break;
	default: tip_extract_caps(x, p->cap_inheritable, out);
	}
}

void tip_extract_caps(struct tip_extract *x, uint64_t caps, struct tip_value *out)
{
	static const char *const names[] = {"CHOWN",
					    "DAC_OVERRIDE",
					    "DAC_READ_SEARCH",
					    "FOWNER",
					    "FSETID",
					    "KILL",
					    "SETGID",
					    "SETUID",
					    "SETPCAP",
					    "LINUX_IMMUTABLE",
					    "NET_BIND_SERVICE",
					    "NET_BROADCAST",
					    "NET_ADMIN",
					    "NET_RAW",
					    "IPC_LOCK",
					    "IPC_OWNER",
					    "SYS_MODULE",
					    "SYS_RAWIO",
					    "SYS_CHROOT",
					    "SYS_PTRACE",
					    "SYS_PACCT",
					    "SYS_ADMIN",
					    "SYS_BOOT",
					    "SYS_NICE",
					    "SYS_RESOURCE",
					    "SYS_TIME",
					    "SYS_TTY_CONFIG",
					    "MKNOD",
					    "LEASE",
					    "AUDIT_WRITE",
					    "AUDIT_CONTROL",
					    "SETFCAP",
					    "MAC_OVERRIDE",
					    "MAC_ADMIN",
					    "SYSLOG",
					    "WAKE_ALARM",
					    "BLOCK_SUSPEND",
					    "AUDIT_READ",
					    "PERFMON",
					    "BPF",
					    "CHECKPOINT_RESTORE"};
	size_t n = 0, size = 1;
	char *s;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(names); i++)
		if (caps >> i & 1)
			size += strlen(names[i]) + 5;
	s = tip_scratch_alloc(x->scratch, size);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(names); i++)
		if (caps >> i & 1)
			n += (size_t)snprintf(s + n, size - n, "%sCAP_%s", n ? " " : "", names[i]);
	s[n] = '\0';
	tip_value_strn(out, s, n);
}

#define ALL TIP_CODES_ALL
#define ANY TIP_ARG_INDEX

static const struct tip_field fields[] = {
	TIP_FIELD("proc.name", TIP_T_STRING, 0, ALL, proc_name, P_NAME, 0, "name (comm, 15 bytes)"),
	TIP_FIELD("proc.pid", TIP_T_INT, 0, ALL, proc_pid, P_PID, 0, "process ID"),
	TIP_FIELD("proc.exe", TIP_T_STRING, 0, ALL, proc, P_EXE, 0, "first argument (argv[0])"),
	TIP_FIELD("proc.exepath", TIP_T_PATH, 0, ALL, proc, P_EXEPATH, 0, "path of the executable"),
	TIP_FIELD("proc.args", TIP_T_STRING, TIP_ARG_NONE, ALL, proc, P_ARGS, 0,
		  "arguments after argv[0]"),
	TIP_FIELD("proc.cmdline", TIP_T_STRING, 0, ALL, proc, P_CMDLINE, 0, "name and arguments"),
	TIP_FIELD("proc.exeline", TIP_T_STRING, 0, ALL, proc, P_EXELINE, 0,
		  "argv[0] and arguments"),
	TIP_FIELD("proc.cmdnargs", TIP_T_UINT, 0, ALL, proc, P_NARGS, 0, "number of arguments"),
	TIP_FIELD("proc.cmdlenargs", TIP_T_UINT, 0, ALL, proc, P_LENARGS, 0,
		  "characters in the arguments"),
	TIP_FIELD("proc.cwd", TIP_T_STRING, 0, ALL, proc, P_CWD, 0,
		  "working directory at exec, ends in '/'"),
	TIP_FIELD("proc.tty", TIP_T_UINT, 0, ALL, proc, P_TTY, 0, "controlling terminal, 0: none"),
	TIP_FIELD("proc.ppid", TIP_T_INT, 0, ALL, proc, P_PPID, 0, "process ID of the parent"),
	TIP_FIELD("proc.vpid", TIP_T_INT, 0, ALL, proc, P_VPID, 0,
		  "process ID in its own namespace"),
	TIP_FIELD("proc.pvpid", TIP_T_INT, 0, ALL, proc, P_VPID, 1,
		  "the parent's ID in its own namespace"),
	TIP_FIELD("proc.sid", TIP_T_INT, 0, ALL, proc, P_SID, 0, "session ID"),
	TIP_FIELD("proc.pgid", TIP_T_INT, 0, ALL, proc, P_PGID, 0, "process group ID"),
	TIP_FIELD("proc.vpgid", TIP_T_INT, 0, ALL, proc, P_VPGID, 0,
		  "process group ID in its namespace"),
	TIP_FIELD("proc.pname", TIP_T_STRING, 0, ALL, proc, P_NAME, 1, "name of the parent"),
	TIP_FIELD("proc.pexe", TIP_T_STRING, 0, ALL, proc, P_EXE, 1, "argv[0] of the parent"),
	TIP_FIELD("proc.pexepath", TIP_T_PATH, 0, ALL, proc, P_EXEPATH, 1,
		  "executable of the parent"),
	TIP_FIELD("proc.pcmdline", TIP_T_STRING, 0, ALL, proc, P_CMDLINE, 1,
		  "command line of the parent"),
	TIP_FIELD("proc.aname", TIP_T_STRING, ANY, ALL, ancestors, P_NAME, WHO_INDEX,
		  "name of an ancestor: [1] the parent; without index: any"),
	TIP_FIELD("proc.aexe", TIP_T_STRING, ANY, ALL, ancestors, P_EXE, WHO_INDEX,
		  "argv[0] of an ancestor"),
	TIP_FIELD("proc.aexepath", TIP_T_PATH, ANY, ALL, ancestors, P_EXEPATH, WHO_INDEX,
		  "executable of an ancestor"),
	TIP_FIELD("proc.aargs", TIP_T_STRING, ANY, ALL, ancestors, P_ARGS, WHO_INDEX,
		  "arguments of an ancestor"),
	TIP_FIELD("proc.acmdline", TIP_T_STRING, ANY, ALL, ancestors, P_CMDLINE, WHO_INDEX,
		  "command line of an ancestor"),
	TIP_FIELD("proc.apid", TIP_T_INT, ANY, ALL, ancestors, P_PID, WHO_INDEX,
		  "process ID of an ancestor"),
	TIP_FIELD("proc.sname", TIP_T_STRING, 0, ALL, proc, P_NAME, WHO_SESSION,
		  "name of the session leader"),
	TIP_FIELD("proc.sid.exe", TIP_T_STRING, 0, ALL, proc, P_EXE, WHO_SESSION,
		  "argv[0] of the session leader"),
	TIP_FIELD("proc.sid.exepath", TIP_T_PATH, 0, ALL, proc, P_EXEPATH, WHO_SESSION,
		  "executable of the session leader"),
	TIP_FIELD("proc.pgid.name", TIP_T_STRING, 0, ALL, proc, P_NAME, WHO_GROUP,
		  "name of the group leader"),
	TIP_FIELD("proc.pgid.exe", TIP_T_STRING, 0, ALL, proc, P_EXE, WHO_GROUP,
		  "argv[0] of the group leader"),
	TIP_FIELD("proc.pgid.exepath", TIP_T_PATH, 0, ALL, proc, P_EXEPATH, WHO_GROUP,
		  "executable of the group leader"),
	TIP_FIELD("proc.vpgid.name", TIP_T_STRING, 0, ALL, proc, P_NAME, WHO_GROUP,
		  "name of the group leader"),
	TIP_FIELD("proc.vpgid.exe", TIP_T_STRING, 0, ALL, proc, P_EXE, WHO_GROUP,
		  "argv[0] of the group leader"),
	TIP_FIELD("proc.vpgid.exepath", TIP_T_PATH, 0, ALL, proc, P_EXEPATH, WHO_GROUP,
		  "executable of the group leader"),
	TIP_FIELD("proc.duration", TIP_T_RELTIME, 0, ALL, proc, P_DURATION, 0,
		  "ns since the process started"),
	TIP_FIELD("proc.ppid.duration", TIP_T_RELTIME, 0, ALL, proc, P_DURATION, 1,
		  "ns since the parent started"),
	TIP_FIELD("proc.pid.ts", TIP_T_ABSTIME, 0, ALL, proc, P_START, 0, "start of the process"),
	TIP_FIELD("proc.ppid.ts", TIP_T_ABSTIME, 0, ALL, proc, P_START, 1, "start of the parent"),
	TIP_FIELD("proc.is_exe_from_memfd", TIP_T_BOOL, 0, ALL, proc, P_MEMFD, 0,
		  "the executable is a memfd"),
	TIP_FIELD("proc.is_exe_writable", TIP_T_BOOL, 0, ALL, proc, P_WRITABLE, 0,
		  "the process was allowed to write to its executable when it was executed: owner, "
		  "group, mode and CAP_DAC_OVERRIDE; access control lists are not looked at"),
	TIP_FIELD("proc.is_exe_upper_layer", TIP_T_BOOL, 0, ALL, proc, P_UPPER, 0,
		  "the executable is on overlayfs, in the layer that is written to: it did not "
		  "come with the image"),
	TIP_FIELD("proc.is_exe_lower_layer", TIP_T_BOOL, 0, ALL, proc, P_LOWER, 0,
		  "the executable is on overlayfs, in a layer below: it came with the image"),
	TIP_FIELD("proc.loginshellid", TIP_T_INT, 0, ALL, login_shell, 0, 0,
		  "process ID of the oldest shell among the process and its ancestors"),
	TIP_FIELD("proc.pidns_init_start_ts", TIP_T_ABSTIME, 0, ALL, proc, P_PIDNS_START, 0,
		  "start of the first process of its pid namespace, ns since the epoch"),
	TIP_FIELD("proc.exe_ino.ctime_duration_pidns_start", TIP_T_RELTIME, 0, ALL, proc,
		  P_CTIME_PIDNS, 0,
		  "ns from the start of the pid namespace to the last status change of the "
		  "executable, if that came later"),
	TIP_FIELD("proc.is_sid_leader", TIP_T_BOOL, 0, ALL, proc, P_SID_LEADER, 0,
		  "leads its session"),
	TIP_FIELD("proc.is_pgid_leader", TIP_T_BOOL, 0, ALL, proc, P_PGID_LEADER, 0,
		  "leads its group"),
	TIP_FIELD("proc.is_vpgid_leader", TIP_T_BOOL, 0, ALL, proc, P_VPGID_LEADER, 0,
		  "leads its group, seen from its namespace"),
	TIP_FIELD("proc.exe_ino", TIP_T_INT, 0, ALL, proc, P_EXE_INO, 0, "inode of the executable"),
	TIP_FIELD("proc.exe_ino.ctime", TIP_T_ABSTIME, 0, ALL, proc, P_CTIME, 0,
		  "its last status change"),
	TIP_FIELD("proc.exe_ino.mtime", TIP_T_ABSTIME, 0, ALL, proc, P_MTIME, 0,
		  "its last modification"),
	TIP_FIELD("proc.exe_ino.ctime_duration_proc_start", TIP_T_RELTIME, 0, ALL, proc,
		  P_CTIME_AGE, 0, "ns between that change and the start of the process"),
	TIP_FIELD("proc.exec_id", TIP_T_UINT, 0, ALL, proc, P_EXEC_ID, 0,
		  "number of this exec, unique since boot"),
	TIP_FIELD("proc.cgroup", TIP_T_PATH, 0, ALL, proc, P_CGROUP, 0,
		  "its cgroup, as a path below the root of cgroup2"),
	TIP_FIELD("thread.tid", TIP_T_INT, 0, ALL, thread, T_TID, 0, "thread ID"),
	TIP_FIELD("thread.ismain", TIP_T_BOOL, 0, ALL, thread, T_IS_MAIN, 0, "the main thread"),
	TIP_FIELD("thread.cap_permitted", TIP_T_STRING, 0, ALL, thread, T_PERMITTED, 0,
		  "permitted capabilities at exec"),
	TIP_FIELD("thread.cap_effective", TIP_T_STRING, 0, ALL, thread, T_EFFECTIVE, 0,
		  "effective capabilities at exec"),
	TIP_FIELD("thread.cap_inheritable", TIP_T_STRING, 0, ALL, thread, T_INHERITABLE, 0,
		  "inheritable capabilities at exec"),
};

const struct tip_field_table tip_fields_proc = {fields, TIP_ARRAY_SIZE(fields)};
