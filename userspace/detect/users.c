/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/field.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"

/*
 * Names of users and groups from the node's own files. NSS is not asked: it would load foreign
 * libraries into the keeper and may go to the network for one event.
 */
#define FILE_MAX (4u << 20)

struct table {
	const char *path;
	struct timespec mtime;
	off_t size;
	ino_t ino;
	struct tip_arena *arena;
	struct tip_map *by_id; /* -> struct tip_user */
};

struct tip_users {
	struct table passwd, group;
	uint64_t checked_ns;
};

struct tip_users *tip_users_new(const char *passwd, const char *group)
{
	struct tip_users *u = tip_alloc(sizeof(*u));

	u->passwd.path = passwd;
	u->group.path = group;
	return u;
}

static void table_clear(struct table *t)
{
	tip_map_free(t->by_id, NULL);
	tip_arena_free(t->arena);
	t->by_id = NULL;
	t->arena = NULL;
}

void tip_users_free(struct tip_users *u)
{
	if (!u)
		return;
	table_clear(&u->passwd);
	table_clear(&u->group);
	free(u);
}

/* "name:x:id:gid:gecos:home:shell", of which a group has the first three. */
static void add_line(struct table *t, char *line)
{
	char *part[7] = {0}, *end;
	struct tip_user *user;
	unsigned long id;
	size_t n = 0;

	while (n < TIP_ARRAY_SIZE(part) && line) {
		part[n] = strsep(&line, ":");
		n++;
	}
	if (n < 3 || !*part[0] || !*part[2])
		return;
	id = strtoul(part[2], &end, 10);
	if (*end || id > UINT32_MAX || tip_map_getu(t->by_id, id))
		return;
	user = tip_arena_alloc(t->arena, sizeof(*user));
	user->name = tip_arena_strdup(t->arena, part[0]);
	user->home = tip_arena_strdup(t->arena, n > 5 ? part[5] : "");
	user->shell = tip_arena_strdup(t->arena, n > 6 ? part[6] : "");
	tip_map_putu(t->by_id, id, user);
}

static void table_refresh(struct table *t)
{
	struct tip_buf buf = {0};
	struct tip_error err;
	struct stat st;
	char *rest, *line;

	if (stat(t->path, &st) < 0)
		return;
	if (t->by_id && st.st_mtim.tv_sec == t->mtime.tv_sec &&
	    st.st_mtim.tv_nsec == t->mtime.tv_nsec && st.st_size == t->size && st.st_ino == t->ino)
		return;
	/* a file that cannot be read just now keeps the names that are known */
	if (tip_file_read(t->path, FILE_MAX, &buf, &err) == 0) {
		table_clear(t);
		t->by_id = tip_map_new();
		t->arena = tip_arena_new();
		t->mtime = st.st_mtim;
		t->size = st.st_size;
		t->ino = st.st_ino;
		rest = buf.data;
		while (rest && (line = strsep(&rest, "\n")))
			add_line(t, line);
	}
	tip_buf_free(&buf);
}

static void refresh(struct tip_users *u, uint64_t now_ns)
{
	if (u->checked_ns && now_ns >= u->checked_ns && now_ns - u->checked_ns < TIP_NSEC_PER_SEC)
		return;
	u->checked_ns = now_ns ? now_ns : 1;
	table_refresh(&u->passwd);
	table_refresh(&u->group);
}

const struct tip_user *tip_user_by_uid(struct tip_users *u, uint32_t uid, uint64_t now_ns)
{
	refresh(u, now_ns);
	return u->passwd.by_id ? tip_map_getu(u->passwd.by_id, uid) : NULL;
}

const char *tip_group_by_gid(struct tip_users *u, uint32_t gid, uint64_t now_ns)
{
	const struct tip_user *g;

	refresh(u, now_ns);
	g = u->group.by_id ? tip_map_getu(u->group.by_id, gid) : NULL;
	return g ? g->name : NULL;
}
