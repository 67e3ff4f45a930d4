/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "process/table.h"

#define BUCKETS_MIN   256
#define SWEEP_BUCKETS 32
#define SWEEP_CHAIN   32

/* After so many entries were freed and nothing waits to be: a storm is over, its memory can go. */
#define TRIM_FREED 1024

/* ---- indexes -------------------------------------------------------------- */

static struct proc_entry **exec_bucket(const struct tip_process_table *t, uint64_t exec_id)
{
	return &t->by_exec[tip_hash(&exec_id, sizeof(exec_id)) & (t->nbuckets - 1)];
}

static struct proc_entry **pid_bucket(const struct tip_process_table *t, uint32_t tgid)
{
	return &t->by_pid[tip_hash(&tgid, sizeof(tgid)) & (t->nbuckets - 1)];
}

struct proc_entry *tip_proc_find(const struct tip_process_table *t, uint64_t exec_id)
{
	struct proc_entry *e = *exec_bucket(t, exec_id);

	while (e && e->p.exec_id != exec_id)
		e = e->exec_next;
	return e;
}

struct proc_entry *tip_proc_find_pid(const struct tip_process_table *t, uint32_t tgid)
{
	struct proc_entry *e = *pid_bucket(t, tgid);

	while (e && e->p.key.tgid != tgid)
		e = e->pid_next;
	return e;
}

static void index_exec(struct tip_process_table *t, struct proc_entry *e)
{
	struct proc_entry **b = exec_bucket(t, e->p.exec_id);

	e->exec_next = *b;
	*b = e;
}

static void index_pid(struct tip_process_table *t, struct proc_entry *e)
{
	struct proc_entry **b = pid_bucket(t, e->p.key.tgid);

	e->pid_next = *b;
	*b = e;
}

static void unindex_exec(struct tip_process_table *t, struct proc_entry *e)
{
	struct proc_entry **b = exec_bucket(t, e->p.exec_id);

	while (*b != e)
		b = &(*b)->exec_next;
	*b = e->exec_next;
}

static void unindex_pid(struct tip_process_table *t, struct proc_entry *e)
{
	struct proc_entry **b = pid_bucket(t, e->p.key.tgid);

	while (*b != e)
		b = &(*b)->pid_next;
	*b = e->pid_next;
}

static void index_grow(struct tip_process_table *t)
{
	free(t->by_exec);
	free(t->by_pid);
	t->nbuckets = t->nbuckets ? t->nbuckets * 2 : BUCKETS_MIN;
	t->by_exec = tip_calloc(t->nbuckets, sizeof(struct proc_entry *));
	t->by_pid = tip_calloc(t->nbuckets, sizeof(struct proc_entry *));
	for (struct proc_entry *e = t->living.first; e; e = e->next) {
		index_exec(t, e);
		index_pid(t, e);
	}
	for (struct proc_entry *e = t->ended.first; e; e = e->next)
		index_exec(t, e);
}

/* ---- lists ------------------------------------------------------------------ */

static void list_add(struct proc_list *l, struct proc_entry *e)
{
	e->prev = l->last;
	e->next = NULL;
	*(l->last ? &l->last->next : &l->first) = e;
	l->last = e;
	l->count++;
}

static void list_del(struct proc_list *l, struct proc_entry *e)
{
	*(e->prev ? &e->prev->next : &l->first) = e->next;
	*(e->next ? &e->next->prev : &l->last) = e->prev;
	l->count--;
}

void tip_proc_touch(struct tip_process_table *t, struct proc_entry *e)
{
	if (e->p.exit_time_ns || t->living.last == e)
		return;
	list_del(&t->living, e);
	list_add(&t->living, e);
}

/* ---- strings ------------------------------------------------------------------ */

static void strings_put(struct proc_strings *s)
{
	if (s && --s->refs == 0)
		free(s);
}

static void strings_use(struct proc_entry *e, struct proc_strings *s)
{
	strings_put(e->strings);
	e->strings = s;
	e->p.exe_path = s->data;
	e->p.filename = s->data + s->filename;
	e->p.cwd = s->data + s->cwd;
	e->p.args = s->data + s->args;
	e->p.args_len = s->args_len;
	e->p.env = s->data + s->env;
	e->p.env_len = s->env_len;
}

void tip_proc_set_strings(struct proc_entry *e, const struct proc_texts *t)
{
	size_t exe = strlen(t->exe_path) + 1, file = strlen(t->filename) + 1;
	size_t dir = strlen(t->cwd) + 1, args = t->args_len + 1u, env = t->env_len + 1u;
	struct proc_strings *s = tip_alloc(sizeof(*s) + exe + file + dir + args + env);

	s->refs = 1;
	s->filename = (uint32_t)exe;
	s->cwd = (uint32_t)(exe + file);
	s->args = (uint32_t)(exe + file + dir);
	s->args_len = t->args_len;
	s->env = (uint32_t)(exe + file + dir + args);
	s->env_len = t->env_len;
	memcpy(s->data, t->exe_path, exe);
	memcpy(s->data + s->filename, t->filename, file);
	memcpy(s->data + s->cwd, t->cwd, dir);
	/* the block is zeroed: the final NULs are there */
	if (t->args_len)
		memcpy(s->data + s->args, t->args, t->args_len);
	if (t->env_len)
		memcpy(s->data + s->env, t->env, t->env_len);
	strings_use(e, s);
}

void tip_proc_share_strings(struct proc_entry *e, const struct proc_entry *with)
{
	with->strings->refs++;
	strings_use(e, with->strings);
}

void tip_proc_set_comm(struct proc_entry *e, const char *comm, size_t size)
{
	size_t n = strnlen(comm, size < sizeof(e->comm) ? size : sizeof(e->comm) - 1);

	memset(e->comm, 0, sizeof(e->comm));
	memcpy(e->comm, comm, n);
}

static void use_container(struct tip_process_table *t, struct proc_entry *e,
			  struct tip_container *c)
{
	e->p.container = c;
	e->p.container_id = c ? c->id : "";
	if (c && t->ops.container &&
	    tip_containers_want(tip_cgroups_containers(t->cgroups), c, e->state_ns))
		t->ops.container(t->ops.ctx, c);
}

void tip_proc_set_v1(struct tip_process_table *t, struct proc_entry *e,
		     const struct proc_entry *from, bool look)
{
	struct tip_containers *all = tip_cgroups_containers(t->cgroups);
	struct tip_container *c = NULL;
	bool gone = true;

	if (!t->v1 || (e->cgroup && e->cgroup->container))
		return;
	if (look)
		c = tip_cgroup_v1_get(t->v1, all, e->p.key.tgid, &gone);
	if (gone && from)
		c = tip_container_ref(from->v1);
	tip_containers_put(all, e->v1);
	e->v1 = c;
	use_container(t, e, c);
}

void tip_proc_set_cgroup(struct tip_process_table *t, struct proc_entry *e, uint64_t id)
{
	struct tip_cgroup *g;

	if (e->cgroup && e->p.cgroup_id == id && *e->cgroup->path)
		return;
	g = tip_cgroup_get(t->cgroups, id);
	tip_cgroup_put(t->cgroups, e->cgroup);
	e->cgroup = g;
	e->p.cgroup_id = id;
	e->p.cgroup = g->path;
	use_container(t, e, g->container ? g->container : e->v1);
}

/* ---- entries ------------------------------------------------------------------- */

struct proc_entry *tip_proc_add(struct tip_process_table *t, const struct tip_proc_key *key,
				uint64_t exec_id, uint64_t now_ns)
{
	struct proc_entry *e = tip_alloc(sizeof(*e));

	e->p.key = *key;
	e->p.exec_id = exec_id;
	e->p.comm = e->comm;
	e->p.cgroup = e->p.container_id = "";
	e->p.loginuid = UINT32_MAX;
	e->p.origin = TIP_ID_NONE;
	e->base = TIP_ID_NONE;
	e->left_ns = key->start_ns;
	e->state_ns = now_ns;
	tip_proc_set_strings(e, &(struct proc_texts){.exe_path = "", .filename = "", .cwd = ""});
	if (t->living.count + t->ended.count >= t->nbuckets)
		index_grow(t);
	index_exec(t, e);
	index_pid(t, e);
	list_add(&t->living, e);
	return e;
}

static void entry_free(struct tip_process_table *t, struct proc_entry *e)
{
	unindex_exec(t, e);
	list_del(&t->ended, e);
	tip_proc_unlink(e);
	strings_put(e->strings);
	tip_cgroup_put(t->cgroups, e->cgroup);
	tip_containers_put(tip_cgroups_containers(t->cgroups), e->v1);
	free(e);
	t->freed++;
}

void tip_proc_end(struct tip_process_table *t, struct proc_entry *e, uint64_t time_ns,
		  struct proc_entry *next)
{
	if (e->p.exit_time_ns)
		return;
	e->p.exit_time_ns = time_ns ? time_ns : 1;
	unindex_pid(t, e);
	list_del(&t->living, e);
	list_add(&t->ended, e);
	tip_proc_hold(t, e);
	if (t->ops.gone)
		t->ops.gone(t->ops.ctx, &e->p, next ? &next->p : NULL);
}

void tip_proc_room(struct tip_process_table *t, size_t n, uint64_t now_ns)
{
	while (t->living.count + t->ended.count + n > t->max) {
		struct proc_entry *e = t->ended.first;

		if (!e) {
			/*
			 * It lives, but nobody looked for longest. Whoever was told of it is told
			 * that it is over; its next event finds it in the kernel's table again.
			 */
			e = t->living.first;
			tip_proc_end(t, e, now_ns, NULL);
			t->evictions++;
		} else if (now_ns < e->p.exit_time_ns + TIP_PROCESS_GRACE_NS) {
			t->evictions++;
		}
		entry_free(t, e);
	}
}

/* ---- the public face -------------------------------------------------------------- */

struct tip_process_table *tip_process_table_new(size_t max, const char *cgroup2,
						struct tip_sensor *sensor,
						const struct tip_process_ops *ops)
{
	struct tip_process_table *t = tip_alloc(sizeof(*t));

	t->max = max < TIP_PROCESS_MIN ? TIP_PROCESS_MIN : max;
	t->sensor = sensor;
	if (ops)
		t->ops = *ops;
	t->cgroups = tip_cgroups_new(cgroup2 ? cgroup2 : "");
	t->v1 = tip_cgroup_v1_open("/proc/self/mountinfo");
	index_grow(t);
	tip_proc_names_load(t);
	return t;
}

void tip_process_table_free(struct tip_process_table *t)
{
	if (!t)
		return;
	memset(&t->ops, 0, sizeof(t->ops)); /* nobody is told that the table goes */
	while (t->living.first)
		tip_proc_end(t, t->living.first, 1, NULL);
	while (t->ended.first)
		entry_free(t, t->ended.first);
	tip_cgroups_free(t->cgroups);
	tip_cgroup_v1_close(t->v1);
	tip_proc_names_free(t);
	free(t->by_exec);
	free(t->by_pid);
	free(t);
}

struct tip_process *tip_process_by_exec_id(struct tip_process_table *t, uint64_t exec_id)
{
	return (struct tip_process *)tip_proc_find(t, exec_id);
}

struct tip_process *tip_process_by_pid(struct tip_process_table *t, uint32_t tgid)
{
	return (struct tip_process *)tip_proc_find_pid(t, tgid);
}

struct tip_process *tip_process_parent(struct tip_process_table *t, const struct tip_process *p)
{
	const struct proc_entry *e = (const struct proc_entry *)p;
	struct proc_entry *parent = e->parent_exec_id ? tip_proc_find(t, e->parent_exec_id) : NULL;

	if (!parent && p->ppid && p->ppid != p->key.tgid) {
		/*
		 * A process that lives under the parent's number and is older than the child is the
		 * parent: the number was taken all the time.
		 */
		parent = tip_proc_find_pid(t, p->ppid);
		if (parent && parent->p.key.start_ns > p->key.start_ns)
			parent = NULL;
	}
	return (struct tip_process *)parent;
}

static int by_start(const void *a, const void *b)
{
	const struct tip_process *const *x = a, *const *y = b;

	if ((*x)->key.start_ns != (*y)->key.start_ns)
		return (*x)->key.start_ns < (*y)->key.start_ns ? -1 : 1;
	return ((*x)->exec_id > (*y)->exec_id) - ((*x)->exec_id < (*y)->exec_id);
}

void tip_process_each(struct tip_process_table *t, void (*fn)(void *ctx, struct tip_process *p),
		      void *ctx)
{
	size_t n = 0, count = t->living.count;
	struct tip_process **all = tip_calloc(count + 1, sizeof(*all));

	for (struct proc_entry *e = t->living.first; e; e = e->next)
		all[n++] = &e->p;
	qsort(all, n, sizeof(*all), by_start);
	for (size_t i = 0; i < n; i++)
		fn(ctx, all[i]);
	free(all);
}

static void sweep(struct tip_process_table *t, size_t nbuckets, uint64_t now_ns)
{
	uint64_t ids[SWEEP_CHAIN];

	while (nbuckets--) {
		size_t n = 0;

		t->sweep_bucket = (t->sweep_bucket + 1) & (t->nbuckets - 1);
		for (struct proc_entry *e = t->by_exec[t->sweep_bucket]; e && n < SWEEP_CHAIN;
		     e = e->exec_next)
			ids[n++] = e->p.exec_id;
		while (n--) { /* comparing may free any entry */
			struct proc_entry *e = tip_proc_find(t, ids[n]);

			if (e && !e->p.exit_time_ns)
				tip_proc_compare(t, e, now_ns);
		}
	}
}

void tip_process_expire(struct tip_process_table *t, uint64_t now_boot_ns)
{
	struct proc_entry *next;

	/* In the order in which they ended. */
	for (struct proc_entry *e = t->ended.first;
	     e && now_boot_ns > e->p.exit_time_ns + TIP_PROCESS_GRACE_NS; e = next) {
		next = e->next;
		if (!e->waiting)
			entry_free(t, e);
	}
	if (t->freed >= TRIM_FREED && !t->ended.first) {
		t->freed = 0;
		malloc_trim(0);
	}
	sweep(t, SWEEP_BUCKETS, now_boot_ns);
}

struct tip_process *tip_process_refresh(struct tip_process_table *t, uint64_t exec_id)
{
	struct proc_entry *e = tip_proc_find(t, exec_id);

	if (!e || e->p.exit_time_ns)
		return NULL;
	tip_proc_compare(t, e, tip_clock_boot());
	e = tip_proc_find(t, exec_id); /* comparing may free any entry */
	return e && !e->p.exit_time_ns ? &e->p : NULL;
}

void tip_process_waiting(struct tip_process *p, bool waits)
{
	struct proc_entry *e = (struct proc_entry *)p;

	if (waits)
		e->waiting++;
	else if (e->waiting)
		e->waiting--;
}

void tip_process_sweep(struct tip_process_table *t)
{
	sweep(t, t->nbuckets, tip_clock_boot());
}

struct tip_containers *tip_process_containers(struct tip_process_table *t)
{
	return tip_cgroups_containers(t->cgroups);
}

void tip_process_stats(const struct tip_process_table *t, struct tip_process_stats *out)
{
	out->count = t->living.count + t->ended.count;
	out->living = t->living.count;
	out->evictions = t->evictions;
	out->unknown = t->unknown;
}
