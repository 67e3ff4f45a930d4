/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/clock.h"
#include "process/table.h"

static void take_kernel_state(struct tip_process_table *t, struct proc_entry *e,
			      const struct tip_proc *k)
{
	e->p.uid = k->uid;
	e->p.gid = k->gid;
	e->p.euid = k->euid;
	e->p.egid = k->egid;
	e->p.mntns = k->mntns;
	e->p.flags = k->flags | (e->p.flags & TIP_PROC_PREEXISTING);
	e->p.exe_dev = k->exe_dev;
	e->p.exe_ino = k->exe_ino;
	e->parent_exec_id = k->parent_exec_id;
	tip_proc_set_cgroup(t, e, k->cgroup_id);
}

/* /proc marks the name of an executable that was unlinked; the flag says so already. */
static void strip_deleted(struct proc_entry *e, char *exe)
{
	static const char mark[] = " (deleted)";
	size_t len = strlen(exe), n = sizeof(mark) - 1;

	if ((e->p.flags & TIP_PROC_EXE_DELETED) && len > n && strcmp(exe + len - n, mark) == 0)
		exe[len - n] = '\0';
}

void tip_proc_fill_strings(struct tip_process_table *t, struct proc_entry *e)
{
	struct tip_procfs *f = &t->scratch;
	struct proc_texts texts;
	struct tip_proc k;

	if (!tip_procfs_read(e->p.key.tgid, e->p.key.start_ns, f))
		return;
	/* It may have exec'ed while /proc was read: then this was about its next image. */
	if (t->sensor &&
	    (tip_sensor_proc(t->sensor, &e->p.key, &k) != 0 || k.exec_id != e->p.exec_id))
		return;
	strip_deleted(e, f->exe);
	texts = (struct proc_texts){
		.exe_path = *e->p.exe_path ? e->p.exe_path : f->exe,
		.filename = e->p.filename,
		.cwd = *e->p.cwd ? e->p.cwd : f->cwd,
		.args = f->args,
		.args_len = f->args_len,
		.env = e->p.env,
		.env_len = e->p.env_len,
	};
	tip_proc_set_strings(e, &texts);
	if (!*e->comm)
		tip_proc_set_comm(e, f->comm, sizeof(f->comm));
}

/* The rest of /proc, for an entry that no event told about. */
static void take_procfs(struct proc_entry *e, const struct tip_procfs *f)
{
	e->p.ppid = f->ppid;
	e->p.pgid = f->pgid;
	e->p.sid = f->sid;
	e->p.tty = f->tty;
	e->p.loginuid = f->loginuid;
	e->p.vpid = f->vpid;
	e->p.vpgid = f->vpgid;
	e->p.cap_permitted = f->cap_permitted;
	e->p.cap_effective = f->cap_effective;
	e->p.cap_inheritable = f->cap_inheritable;
}

struct proc_entry *tip_proc_fill(struct tip_process_table *t, const struct tip_proc_key *key,
				 uint64_t exec_id)
{
	uint64_t now = tip_clock_boot();
	struct proc_entry *e, *live;
	struct tip_binding b;
	struct tip_proc k;

	if (!t->sensor || tip_sensor_proc(t->sensor, key, &k) != 0)
		return NULL;
	if (exec_id && k.exec_id != exec_id)
		return NULL;
	e = tip_proc_find(t, k.exec_id);
	if (e)
		return e;
	tip_proc_room(t, 1, now);
	live = tip_proc_find_pid(t, key->tgid);
	e = tip_proc_add(t, key, k.exec_id, now);
	e->p.epoch = k.epoch;
	e->p.flags = TIP_PROC_PREEXISTING;
	e->p.exec_time_ns = key->start_ns;
	take_kernel_state(t, e, &k);
	tip_proc_set_v1(t, e, NULL, true);
	memset(&t->scratch, 0, sizeof(t->scratch));
	tip_proc_fill_strings(t, e);
	if (*t->scratch.comm)
		take_procfs(e, &t->scratch);

	if (tip_sensor_binding(t->sensor, k.exec_id, &b) == 0) {
		e->base = b.origin;
		if (b.epoch == k.epoch &&
		    (b.current == TIP_ID_NONE || tip_process_identity_name(t, b.current)))
			e->p.current = b.current;
		if (tip_process_identity_name(t, b.current))
			e->held = b.current;
	}
	if (live && live->p.key.start_ns == key->start_ns) {
		if (e->base < TIP_ID_FIRST)
			e->base = tip_proc_last(t, live);
		e->left_ns = tip_proc_left(live, e);
		if (live->p.current < TIP_ID_FIRST)
			tip_proc_link(e, live, LINK_EXEC);
	}
	tip_proc_publish(t, e);
	if (live)
		tip_proc_end(t, live, now, live->p.key.start_ns == key->start_ns ? e : NULL);
	tip_proc_ask(t, e);
	return e;
}

void tip_proc_compare(struct tip_process_table *t, struct proc_entry *e, uint64_t now_ns)
{
	struct tip_proc k;

	if (!t->sensor)
		return;
	if (tip_sensor_proc(t->sensor, &e->p.key, &k) != 0) {
		tip_proc_end(t, e, now_ns, NULL);
		return;
	}
	if (k.exec_id != e->p.exec_id) {
		/* Its next image was not told; the event may still be in the ring. Filling it in
		 * ends this one. */
		(void)tip_proc_fill(t, &e->p.key, 0);
		return;
	}
	if (tip_proc_new_epoch(t, e, k.epoch, now_ns)) {
		take_kernel_state(t, e, &k);
		tip_proc_ask(t, e);
	}
}
