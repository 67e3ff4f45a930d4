/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/clock.h"
#include "process/table.h"

/* The identity as the kernel knew it, when it is one that has a name here. */
static uint32_t known_answer(struct tip_process_table *t, uint32_t number)
{
	if (number == TIP_ID_NONE || tip_process_identity_name(t, number))
		return number;
	return TIP_ID_PENDING;
}

static void take_texts(struct proc_entry *e, const struct tip_event *ev)
{
	const struct proc_texts t = {
		.exe_path = ev->exec.exe_path,
		.filename = ev->exec.filename,
		.cwd = ev->exec.cwd,
		.args = ev->exec.args,
		.args_len = ev->exec.data->args_len,
		.env = ev->exec.env,
		.env_len = ev->exec.data->env_len,
	};

	tip_proc_set_strings(e, &t);
}

static void take_exec(struct tip_process_table *t, struct proc_entry *e, const struct tip_event *ev)
{
	const struct tip_ev_exec *x = ev->exec.data;
	const struct tip_hdr *h = ev->hdr;
	struct tip_process *p = &e->p;

	p->flags = x->proc_flags | (p->flags & TIP_PROC_PREEXISTING);
	p->uid = h->uid;
	p->gid = h->gid;
	p->euid = x->euid;
	p->egid = x->egid;
	p->loginuid = x->loginuid;
	p->tty = x->tty;
	p->sid = x->sid;
	p->pgid = x->pgid;
	p->vpid = x->vpid;
	p->vpgid = x->vpgid;
	p->mntns = x->mntns;
	p->netns = x->netns;
	p->pidns = x->pidns;
	p->pidns_init_ns = x->pidns_init_ns;
	p->ppid = x->parent.tgid;
	p->exe_ino = x->exe_ino;
	p->exe_dev = x->exe_dev;
	p->exe_mode = x->exe_mode;
	p->exe_ctime_ns = x->exe_ctime_ns;
	p->exe_mtime_ns = x->exe_mtime_ns;
	p->cap_permitted = x->cap_permitted;
	p->cap_effective = x->cap_effective;
	p->cap_inheritable = x->cap_inheritable;
	p->syscall = x->syscall;
	p->exec_time_ns = h->flags & TIP_EVF_SNAPSHOT ? p->key.start_ns : h->time_ns;
	e->parent_exec_id = x->parent_exec_id;
	tip_proc_set_comm(e, h->comm, sizeof(h->comm));
	tip_proc_set_cgroup(t, e, h->cgroup_id);
	take_texts(e, ev);
	if (h->flags & TIP_EVF_SNAPSHOT) /* the iterator cannot read user memory */
		tip_proc_fill_strings(t, e);
}

/* An exec that is known already: the table was ahead of the ring, or this is one more snapshot. */
static void exec_again(struct tip_process_table *t, struct proc_entry *e,
		       const struct tip_event *ev)
{
	const struct tip_hdr *h = ev->hdr;

	if (h->flags & TIP_EVF_SNAPSHOT) {
		e->p.netns = ev->exec.data->netns;
		if (!e->p.exit_time_ns)
			tip_proc_compare(t, e, h->time_ns);
		return;
	}
	if (h->epoch == e->p.epoch) {
		take_exec(t, e, ev);
		e->p.flags &= ~TIP_PROC_PREEXISTING;
	} else {
		/* What it is by now the table knows better, but not what it was executed as. */
		e->p.tty = ev->exec.data->tty;
		tip_proc_set_comm(e, h->comm, sizeof(h->comm));
		take_texts(e, ev);
	}
	tip_proc_touch(t, e);
}

/* What a new image inherits from the one it replaces. */
static void exec_lineage(struct tip_process_table *t, struct proc_entry *e, struct proc_entry *old,
			 const struct tip_hdr *h)
{
	e->base = tip_process_identity_name(t, h->origin) ? h->origin : TIP_ID_NONE;
	e->p.current = known_answer(t, h->current);
	if (e->p.current >= TIP_ID_FIRST)
		e->held = e->p.current;
	if (old) {
		uint32_t last = tip_proc_last(t, old);

		/* A snapshot may be several images later than what is known: then the kernel's word
		 * counts. */
		if (last >= TIP_ID_FIRST &&
		    (!(h->flags & TIP_EVF_SNAPSHOT) || e->base < TIP_ID_FIRST))
			e->base = last;
		e->left_ns = tip_proc_left(old, e);
		if (old->p.current < TIP_ID_FIRST)
			tip_proc_link(e, old, LINK_EXEC);
	}
	tip_proc_publish(t, e);
}

static struct proc_entry *on_exec(struct tip_process_table *t, const struct tip_event *ev)
{
	const struct tip_hdr *h = ev->hdr;
	struct proc_entry *e, *old, *live;
	bool same, stale;

	tip_proc_room(t, 1, h->time_ns);
	e = tip_proc_find(t, h->exec_id);
	if (e) {
		exec_again(t, e, ev);
		return tip_proc_find(t, h->exec_id);
	}
	live = tip_proc_find_pid(t, h->proc.tgid);
	same = live && live->p.key.start_ns == h->proc.start_ns;
	old = ev->exec.data->old_exec_id ? tip_proc_find(t, ev->exec.data->old_exec_id) : NULL;
	if (!old && same)
		old = live;
	/* The table knows a later image of this process, because it asked the kernel: this one is
	 * history. */
	stale = same && live->state_ns > h->time_ns && live != old;

	e = tip_proc_add(t, &h->proc, h->exec_id, h->time_ns);
	e->p.epoch = h->epoch;
	if (h->flags & TIP_EVF_SNAPSHOT)
		e->p.flags = TIP_PROC_PREEXISTING;
	take_exec(t, e, ev);
	tip_proc_set_v1(t, e, old, true);
	exec_lineage(t, e, old, h);
	if (stale) {
		tip_proc_end(t, e, h->time_ns, live);
		return e;
	}
	if (live)
		tip_proc_end(t, live, h->time_ns, same ? e : NULL);
	if (e->p.origin >= TIP_ID_FIRST && e->p.origin != h->origin)
		tip_proc_bind(t, e); /* the kernel copied it before the answer came */
	tip_proc_ask(t, e);
	return e;
}

/* A fork runs its parent's image: all but its own numbers is the parent's. */
static void take_fork(struct tip_process_table *t, struct proc_entry *e,
		      const struct proc_entry *parent, const struct tip_event *ev)
{
	const struct tip_ev_fork *f = ev->fork;
	const struct tip_hdr *h = ev->hdr;

	if (parent) {
		struct tip_process own = e->p;

		e->p = parent->p;
		e->p.key = own.key;
		e->p.exec_id = own.exec_id;
		e->p.comm = e->comm;
		e->p.cgroup_id = 0;
		e->p.cgroup = e->p.container_id = "";
		e->p.container = NULL;
		e->p.exit_time_ns = 0;
		e->p.reported = false;
		tip_proc_share_strings(e, parent);
	} else {
		e->p.euid = h->uid;
		e->p.egid = h->gid;
		e->p.exec_time_ns = h->time_ns;
	}
	e->p.epoch = 0;
	e->p.uid = h->uid;
	e->p.gid = h->gid;
	e->p.ppid = h->proc.tgid;
	e->p.vpid = f->child_pid_in_ns;
	e->p.netns = f->child_netns;
	e->p.flags = f->child_flags;
	e->parent_exec_id = h->exec_id;
	/* What it was executed as: the name that it, or a thread of it, has taken since says
	 * nothing. */
	if (parent && *parent->comm)
		tip_proc_set_comm(e, parent->comm, sizeof(parent->comm));
	else
		tip_proc_set_comm(e, h->comm, sizeof(h->comm));
	tip_proc_set_cgroup(t, e, f->child_cgroup_id);
	tip_proc_set_v1(t, e, parent, false);
}

/* The answer that a parent waited for when it forked is the child's history too. */
static enum proc_link fork_link(const struct proc_entry *parent, const struct tip_hdr *h)
{
	bool waiting = parent->p.current == TIP_ID_PENDING && parent->p.epoch == h->epoch;

	return waiting && !parent->p.exit_time_ns ? LINK_AWAIT : LINK_FORK;
}

/*
 * The kernel decided what the child inherits, since it knows whether credentials, cgroup and mounts
 * are the parent's. The parent may have been answered after that: then the child asks for itself,
 * and only its origin follows from the parent's.
 */
static void fork_lineage(struct tip_process_table *t, struct proc_entry *e,
			 struct proc_entry *parent, const struct tip_event *ev)
{
	const struct tip_ev_fork *f = ev->fork;

	e->held = e->held_before = 0;
	e->base = tip_process_identity_name(t, f->child_origin) ? f->child_origin : TIP_ID_NONE;
	if (parent) {
		e->base = parent->base;
		e->held = parent->held;
		e->held_before = parent->held_before;
		e->left_ns = tip_proc_left(parent, e);
		tip_proc_link(e, parent, fork_link(parent, ev->hdr));
	}
	e->p.current = known_answer(t, f->child_current);
	if (e->p.current >= TIP_ID_FIRST && e->held != e->p.current) {
		e->held_before = e->held;
		e->held = e->p.current;
	}
	tip_proc_publish(t, e);
}

static struct proc_entry *on_fork(struct tip_process_table *t, const struct tip_event *ev)
{
	const struct tip_ev_fork *f = ev->fork;
	const struct tip_hdr *h = ev->hdr;
	struct proc_entry *parent, *e, *live;

	/* Two: the parent may have to be filled in as well. */
	tip_proc_room(t, 2, h->time_ns);
	parent = tip_proc_find(t, h->exec_id);
	if (!parent)
		parent = tip_proc_fill(t, &h->proc, h->exec_id);
	if (!parent)
		t->unknown++;
	else
		tip_proc_touch(t, parent);
	e = tip_proc_find(t, f->child_exec_id);
	if (e) { /* filled in already */
		if (parent && !e->from)
			tip_proc_link(e, parent, fork_link(parent, h));
		return parent;
	}

	live = tip_proc_find_pid(t, f->child.tgid);
	e = tip_proc_add(t, &f->child, f->child_exec_id, h->time_ns);
	take_fork(t, e, parent, ev);
	if (!parent)
		tip_proc_fill_strings(t, e);
	fork_lineage(t, e, parent, ev);
	if (live && live->p.key.start_ns == f->child.start_ns) {
		/* It has exec'ed since, and the table knows that image. */
		tip_proc_end(t, e, h->time_ns, live);
		return parent;
	}
	if (live)
		tip_proc_end(t, live, h->time_ns, NULL);
	if (e->p.origin >= TIP_ID_FIRST && e->p.origin != f->child_origin)
		tip_proc_bind(t, e); /* the parent was answered after it forked */
	if (e->p.current == TIP_ID_PENDING)
		tip_proc_ask(t, e);
	return parent;
}

static struct proc_entry *on_exit(struct tip_process_table *t, const struct tip_event *ev)
{
	const struct tip_hdr *h = ev->hdr;
	struct proc_entry *e = tip_proc_find(t, h->exec_id);
	struct proc_entry *live = tip_proc_find_pid(t, h->proc.tgid);

	/* Also an image that is not the one that exits, when the event between was lost. */
	if (live && live->p.key.start_ns == h->proc.start_ns)
		tip_proc_end(t, live, h->time_ns, NULL);
	else
		live = NULL;
	if (!e)
		e = live;
	if (!e)
		t->unknown++;
	return e;
}

/* The entry that an event is about, filled in if need be. */
static struct proc_entry *subject(struct tip_process_table *t, const struct tip_hdr *h)
{
	struct proc_entry *e = tip_proc_find(t, h->exec_id);

	if (!e)
		e = tip_proc_fill(t, &h->proc, h->exec_id);
	if (!e)
		t->unknown++;
	else
		tip_proc_touch(t, e);
	return e;
}

static struct proc_entry *on_cred(struct tip_process_table *t, const struct tip_event *ev)
{
	const struct tip_hdr *h = ev->hdr;
	struct proc_entry *e = subject(t, h);

	if (!e || !tip_proc_new_epoch(t, e, h->epoch, h->time_ns))
		return e;
	e->p.uid = h->uid;
	e->p.gid = h->gid;
	e->p.euid = ev->cred->euid;
	e->p.egid = ev->cred->egid;
	tip_proc_ask(t, e);
	return e;
}

static struct proc_entry *on_cgroup(struct tip_process_table *t, const struct tip_event *ev)
{
	const struct tip_hdr *h = ev->hdr;
	struct proc_entry *e = subject(t, h);

	if (!e || !tip_proc_new_epoch(t, e, h->epoch, h->time_ns))
		return e;
	e->p.flags = ev->cgroup->proc_flags | (e->p.flags & TIP_PROC_PREEXISTING);
	tip_proc_set_cgroup(t, e, h->cgroup_id);
	tip_proc_ask(t, e);
	return e;
}

static struct proc_entry *on_activity(struct tip_process_table *t, const struct tip_event *ev)
{
	const struct tip_hdr *h = ev->hdr;
	struct proc_entry *e = subject(t, h);

	/* Newer than what the lifecycle events told: one of those was lost. */
	if (e && h->epoch > e->p.epoch && !e->p.exit_time_ns) {
		tip_proc_compare(t, e, tip_clock_boot());
		e = tip_proc_find(t, h->exec_id);
	}
	return e;
}

struct tip_process *tip_process_event(struct tip_process_table *t, const struct tip_event *ev)
{
	struct proc_entry *e;

	switch (ev->hdr->type) {
	case TIP_EV_EXEC: e = on_exec(t, ev); break;
	case TIP_EV_FORK: e = on_fork(t, ev); break;
	case TIP_EV_EXIT: e = on_exit(t, ev); break;
	case TIP_EV_CRED: e = on_cred(t, ev); break;
	case TIP_EV_CGROUP: e = on_cgroup(t, ev); break;
	default: e = on_activity(t, ev); break;
	}
	return (struct tip_process *)e;
}
