/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "detect/field.h"
#include "process/live.h"

/*
 * What no event carries: asked of /proc when a rule reads it, so only such rules pay for it. The
 * record of an exec has some of it as it was at that moment.
 */

static const struct tip_ev_exec *exec_record(const struct tip_extract *x)
{
	return x->in->ev->hdr->type == TIP_EV_EXEC ? x->in->ev->exec.data : NULL;
}

/* A descriptor of the process's folder below /proc, -1: it is gone. */
static int open_proc(const struct tip_extract *x)
{
	return tip_live_open(&x->in->ev->hdr->proc);
}

/* ---- sizes -------------------------------------------------------------------------------- */

enum { SIZE_VM, SIZE_RSS, SIZE_SWAP, SIZE_THREADS, SIZE_CHILDREN };

static void proc_size(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_ev_exec *e = exec_record(x);
	struct tip_live_sizes s;
	bool ok;
	int proc;

	if (e && ref->field->a == SIZE_VM) {
		tip_value_int(out, e->vm_size);
		return;
	}
	proc = open_proc(x);
	if (proc < 0)
		return;
	ok = tip_live_sizes(proc, &s);
	close(proc);
	if (!ok)
		return;
	switch (ref->field->a) {
	case SIZE_VM: tip_value_int(out, (int64_t)s.vm_size); break;
	case SIZE_RSS: tip_value_int(out, (int64_t)s.vm_rss); break;
	case SIZE_SWAP: tip_value_int(out, (int64_t)s.vm_swap); break;
	case SIZE_THREADS: tip_value_int(out, s.threads); break;
	default: tip_value_int(out, s.threads ? s.threads - 1 : 0);
	}
}

/* Memory is the process's: the language counts it for the main thread only. */
static void thread_size(struct tip_extract *x, const struct tip_field_ref *ref,
			struct tip_value *out)
{
	if (x->in->ev->hdr->tid == x->in->ev->hdr->proc.tgid)
		proc_size(x, ref, out);
	else
		tip_value_int(out, 0);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

enum { FD_OPEN, FD_LIMIT, FD_USAGE };

static int64_t fd_limit(const struct tip_extract *x, int proc)
{
	const struct tip_ev_exec *e = exec_record(x);

	return e ? e->fdlimit : tip_live_fdlimit(proc);
}

static bool count_fd(void *ctx, uint32_t fd)
{
	++*(int64_t *)ctx;
	return true;
}

static void proc_fds(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	int64_t count = 0, limit;
	int proc = open_proc(x);

	limit = fd_limit(x, proc);
	if (ref->field->a == FD_LIMIT) {
		if (limit >= 0)
			tip_value_int(out, limit);
	} else if (proc >= 0 && tip_live_fds(proc, count_fd, &count)) {
		if (ref->field->a == FD_OPEN) {
			tip_value_int(out, count);
		} else if (limit > 0) {
			out->set = true;
			out->d = 100.0 * (double)count / (double)limit;
		}
	}
	if (proc >= 0)
		close(proc);
}

enum { STD_TYPE, STD_NAME };

static void proc_std(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	struct tip_live_fd f;
	int proc = open_proc(x);

	if (proc < 0)
		return;
	if (tip_live_fd(proc, ref->field->b, &f))
		tip_value_fmt(x, out, "%s", ref->field->a == STD_TYPE ? f.type : f.name);
	close(proc);
}

#define TYPES_MAX 24 /* kinds of descriptors that there are, and some */
struct types {
	int proc;
	const char *names[TYPES_MAX];
	uint32_t count;
};

static bool add_type(void *ctx, uint32_t fd)
{
	struct types *t = ctx;
	struct tip_live_fd f;

	if (!tip_live_fd(t->proc, fd, &f))
		return true;
	for (uint32_t i = 0; i < t->count; i++)
		if (strcmp(t->names[i], f.type) == 0)
			return true;
	t->names[t->count++] = f.type;
	return t->count < TYPES_MAX;
}

static void fd_types(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	struct types t = {.proc = open_proc(x)};
	struct tip_value *items;

	if (t.proc < 0)
		return;
	if (ref->index >= 0)
		add_type(&t, (uint32_t)ref->index);
	else
		tip_live_fds(t.proc, add_type, &t);
	close(t.proc);
	if (!t.count)
		return;
	items = tip_value_items(x, out, t.count);
	for (uint32_t i = 0; i < t.count; i++)
		tip_value_str(&items[i], t.names[i]);
}

/* ---- threads -----------------------------------------------------------------------------------
 */

enum { THREAD_VTID, THREAD_MAJOR, THREAD_MINOR };

static void thread_live(struct tip_extract *x, const struct tip_field_ref *ref,
			struct tip_value *out)
{
	const struct tip_ev_exec *e = exec_record(x);
	const struct tip_hdr *h = x->in->ev->hdr;
	struct tip_live_thread t;
	int proc;

	if (ref->field->a == THREAD_VTID && h->tid == h->proc.tgid && x->in->proc) {
		tip_value_int(out, x->in->proc->vpid);
		return;
	}
	if (e && ref->field->a != THREAD_VTID) {
		tip_value_int(out,
			      (int64_t)(ref->field->a == THREAD_MAJOR ? e->pgft_maj : e->pgft_min));
		return;
	}
	proc = open_proc(x);
	if (proc < 0)
		return;
	if (tip_live_thread(proc, h->tid, &t))
		tip_value_int(out, (int64_t)(ref->field->a == THREAD_VTID    ? t.vtid
					     : ref->field->a == THREAD_MAJOR ? t.faults_major
									     : t.faults_minor));
	close(proc);
}

/* ---- control groups
 * ------------------------------------------------------------------------------ */

#define CGROUPS_MAX 16384 /* bytes of /proc/PID/cgroup */

/* One line, "4:cpu,cpuacct:/path". NULL: it is not one. */
static char *cgroup_line(char *line, char **controllers)
{
	char *path;

	*controllers = strchr(line, ':');
	if (!*controllers)
		return NULL;
	path = strchr(++*controllers, ':');
	if (path)
		*path++ = '\0';
	return path;
}

static char *cgroups_text(struct tip_extract *x)
{
	char *text = tip_scratch_alloc(x->scratch, CGROUPS_MAX);
	int proc = open_proc(x);
	ssize_t n;

	if (proc < 0)
		return NULL;
	n = tip_live_cgroups(proc, text, CGROUPS_MAX);
	close(proc);
	return n > 0 ? text : NULL;
}

/* "cpu=/a memory=/b", a blank between. Those of cgroup2 stand behind "". */
static void thread_cgroups(struct tip_extract *x, const struct tip_field_ref *ref,
			   struct tip_value *out)
{
	char *text = cgroups_text(x), *line, *path, *controllers, *name, *s;
	size_t n = 0;

	if (!text)
		return;
	/* a path stands in the text once, and here once for each controller of its line */
	s = tip_scratch_alloc(x->scratch, 4 * CGROUPS_MAX);
	while ((line = strsep(&text, "\n"))) {
		path = cgroup_line(line, &controllers);
		while (path && (name = strsep(&controllers, ","))) {
			int len = snprintf(s + n, 4 * CGROUPS_MAX - n, "%s%s=%s", n ? " " : "",
					   name, path);

			if (len < 0 || n + (size_t)len >= 4 * CGROUPS_MAX)
				break;
			n += (size_t)len;
		}
	}
	tip_value_strn(out, s, n);
}

static void thread_cgroup(struct tip_extract *x, const struct tip_field_ref *ref,
			  struct tip_value *out)
{
	char *text = cgroups_text(x), *line, *path, *controllers, *name;
	const char *unified = NULL;

	while (text && (line = strsep(&text, "\n"))) {
		path = cgroup_line(line, &controllers);
		if (path && !*controllers)
			unified = path;
		while (path && (name = strsep(&controllers, ",")))
			if (*name && strcmp(name, ref->arg) == 0) {
				tip_value_str(out, path);
				return;
			}
	}
	/* a controller that no older hierarchy has is cgroup2's */
	if (unified)
		tip_value_str(out, unified);
	else if (!text && x->in->proc && *x->in->proc->cgroup)
		tip_value_str(out, x->in->proc->cgroup);
}

/* ---- as arguments of events ---- */

void tip_extract_live(struct tip_extract *x, enum tip_live_arg what, struct tip_value *out)
{
	static const struct {
		void (*get)(struct tip_extract *x, const struct tip_field_ref *ref,
			    struct tip_value *out);
		uint32_t what;
	} of[] = {
		[TIP_LIVE_VM_SIZE] = {proc_size, SIZE_VM},
		[TIP_LIVE_VM_RSS] = {proc_size, SIZE_RSS},
		[TIP_LIVE_VM_SWAP] = {proc_size, SIZE_SWAP},
		[TIP_LIVE_PGFT_MAJ] = {thread_live, THREAD_MAJOR},
		[TIP_LIVE_PGFT_MIN] = {thread_live, THREAD_MINOR},
		[TIP_LIVE_FDLIMIT] = {proc_fds, FD_LIMIT},
		[TIP_LIVE_CGROUPS] = {thread_cgroups, 0},
	};
	const struct tip_field_ref ref = {.field = &(struct tip_field){.a = of[what].what}};
	struct tip_value v = {0};

	of[what].get(x, &ref, &v);
	if (what == TIP_LIVE_CGROUPS)
		*out = v;
	else if (v.set)
		tip_value_fmt(x, out, "%lld", (long long)v.i);
}

#define ALL TIP_CODES_ALL

static const struct tip_field fields[] = {
	TIP_FIELD("proc.vmsize", TIP_T_UINT, 0, ALL, proc_size, SIZE_VM, 0,
		  "virtual memory of the process in KiB: at an exec as the exec left it, at other "
		  "events as it is when the rule asks"),
	TIP_FIELD("proc.vmrss", TIP_T_UINT, 0, ALL, proc_size, SIZE_RSS, 0,
		  "resident memory of the process in KiB, when the rule asks"),
	TIP_FIELD("proc.vmswap", TIP_T_UINT, 0, ALL, proc_size, SIZE_SWAP, 0,
		  "swapped memory of the process in KiB, when the rule asks"),
	TIP_FIELD("proc.nthreads", TIP_T_UINT, 0, ALL, proc_size, SIZE_THREADS, 0,
		  "threads of the process, the main one included, when the rule asks"),
	TIP_FIELD("proc.nchilds", TIP_T_UINT, 0, ALL, proc_size, SIZE_CHILDREN, 0,
		  "threads of the process beside the main one, when the rule asks"),
	TIP_FIELD("thread.vmsize", TIP_T_UINT, 0, ALL, thread_size, SIZE_VM, 0,
		  "proc.vmsize if it is the main thread, else 0"),
	TIP_FIELD("thread.vmrss", TIP_T_UINT, 0, ALL, thread_size, SIZE_RSS, 0,
		  "proc.vmrss if it is the main thread, else 0"),
	TIP_FIELD("thread.pfmajor", TIP_T_UINT, 0, ALL, thread_live, THREAD_MAJOR, 0,
		  "page faults of the thread that needed the disk, since it began"),
	TIP_FIELD("thread.pfminor", TIP_T_UINT, 0, ALL, thread_live, THREAD_MINOR, 0,
		  "page faults of the thread that did not need the disk, since it began"),
	TIP_FIELD("thread.vtid", TIP_T_INT, 0, ALL, thread_live, THREAD_VTID, 0,
		  "thread ID in the process's own pid namespace; of a thread that is not the main "
		  "one, while it lives"),
	TIP_FIELD("thread.cgroups", TIP_T_STRING, 0, ALL, thread_cgroups, 0, 0,
		  "control groups of the process, 'controller=path' with blanks between; cgroup2 "
		  "has an empty name; when the rule asks"),
	TIP_FIELD("thread.cgroup", TIP_T_STRING, TIP_ARG_NAME_REQ, ALL, thread_cgroup, 0, 0,
		  "the control group of one controller, cgroup2's if no other hierarchy has it"),
	TIP_FIELD("proc.fdopencount", TIP_T_UINT, 0, ALL, proc_fds, FD_OPEN, 0,
		  "open descriptors of the process, counted when the rule asks"),
	TIP_FIELD("proc.fdlimit", TIP_T_INT, 0, ALL, proc_fds, FD_LIMIT, 0,
		  "how many descriptors it may have (soft limit)"),
	TIP_FIELD("proc.fdusage", TIP_T_DOUBLE, 0, ALL, proc_fds, FD_USAGE, 0,
		  "proc.fdopencount in percent of proc.fdlimit"),
	TIP_FIELD("proc.stdin.type", TIP_T_STRING, 0, ALL, proc_std, STD_TYPE, 0,
		  "fd.type of descriptor 0, when the rule asks"),
	TIP_FIELD("proc.stdout.type", TIP_T_STRING, 0, ALL, proc_std, STD_TYPE, 1,
		  "fd.type of descriptor 1, when the rule asks"),
	TIP_FIELD("proc.stderr.type", TIP_T_STRING, 0, ALL, proc_std, STD_TYPE, 2,
		  "fd.type of descriptor 2, when the rule asks"),
	TIP_FIELD("proc.stdin.name", TIP_T_STRING, 0, ALL, proc_std, STD_NAME, 0,
		  "path of descriptor 0, or its kind and inode ('pipe:[81]'), when the rule asks"),
	TIP_FIELD("proc.stdout.name", TIP_T_STRING, 0, ALL, proc_std, STD_NAME, 1,
		  "path of descriptor 1, or its kind and inode, when the rule asks"),
	TIP_FIELD("proc.stderr.name", TIP_T_STRING, 0, ALL, proc_std, STD_NAME, 2,
		  "path of descriptor 2, or its kind and inode, when the rule asks"),
	{.name = "fd.types",
	 .type = TIP_T_STRING,
	 .arg = TIP_ARG_INDEX,
	 .codes = ALL,
	 .get = fd_types,
	 .list = true,
	 .desc = "fd.type of all open descriptors of the process, each kind once; with a number, "
		 "of "
		 "that one; when the rule asks"},
};

const struct tip_field_table tip_fields_live = {fields, TIP_ARRAY_SIZE(fields)};
