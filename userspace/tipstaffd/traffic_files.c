/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "policy/spiffe_id.h"

/*
 * Where traffic policies come from: the configured files, then the sets that were added by CLI
 * (kept in state_dir/traffic.d/NAME.yaml unless they are ephemeral).
 */
#define TRAFFIC_FILE_MAX (16u << 20)
#define REMARKS_MAX      20

static const char *const yaml_endings[] = {".yaml", ".yml", NULL};

static char *sets_folder(const struct tip_keeper *k)
{
	return tip_sprintf("%s/traffic.d", k->config->state_dir);
}

static int parse_file(struct tip_traffic_policies *all, const char *path, struct tip_error *err)
{
	struct tip_buf b = {0};
	int ret = tip_file_read(path, TRAFFIC_FILE_MAX, &b, err);

	if (ret == 0)
		ret = tip_traffic_policies_parse(all, path, b.data ? b.data : "", b.len, err);
	tip_buf_free(&b);
	return ret;
}

/* A file, or those of a folder. How many, or -1 with `err`. */
static int parse_path(struct tip_traffic_policies *all, const char *path, struct tip_error *err)
{
	char **list;
	int n = tip_file_list(path, yaml_endings, &list, err);
	int ret = 0;

	for (int i = 0; i < n && ret == 0; i++)
		ret = parse_file(all, list[i], err);
	if (n >= 0)
		tip_strings_free(list, (size_t)n);
	return ret < 0 ? -1 : n;
}

static int parse_set(struct tip_traffic_policies *all, const struct tip_set *set,
		     struct tip_error *err)
{
	char *place = tip_sprintf(TIP_SET_PLACE "%s", set->name);
	int ret = tip_traffic_policies_parse(all, place, set->text, strlen(set->text), err);

	free(place);
	return ret;
}

/* Everything that would hold with `set` in and `without` out. NULL with `err`. */
static struct tip_traffic_policies *gather(const struct tip_keeper *k, const struct tip_set *set,
					   const char *without, size_t *nfiles,
					   struct tip_error *err)
{
	struct tip_traffic_policies *all = tip_traffic_policies_new();
	const struct tip_set **sets = NULL;
	int nsets = tip_sets_plan(&k->traffic.sets, set, without, &sets, err);
	int ret = nsets < 0 ? -1 : 0;

	*nfiles = 0;
	for (size_t i = 0; i < k->config->ntraffic_files && ret == 0; i++) {
		int n = parse_path(all, k->config->traffic_files[i], err);

		if (n < 0)
			ret = -1;
		else
			*nfiles += (size_t)n;
	}
	for (int i = 0; i < nsets && ret == 0; i++)
		ret = parse_set(all, sets[i], err);
	free(sets);
	if (ret == 0)
		return all;
	tip_traffic_policies_free(all);
	return NULL;
}

/* Whether the kernel could hold them, before anything is changed for them. */
static int check_size(const struct tip_traffic_policies *all, struct tip_error *err)
{
	struct tip_traffic_servers servers;
	struct tip_traffic_image image;

	if (tip_traffic_image_make(all, 1, &image, &servers, err) < 0)
		return -1;
	tip_traffic_servers_free(&servers);
	tip_traffic_image_free(&image);
	return 0;
}

/* Makes `fresh` the set in force. On failure the former one is. */
static int switch_to(struct tip_keeper *k, struct tip_traffic_set *fresh, struct tip_error *err)
{
	struct tip_traffic_set *old = k->traffic.set;
	const struct tip_traffic_policies *policies = tip_traffic_set_policies(fresh);
	/*
	 * A daemon that is not to intercept runs without policies, and refuses the first one. One
	 * that cannot keeps them, and says so whenever it is asked about them.
	 */
	bool idle = !k->sensor || (!k->traffic.on &&
				   (k->config->traffic || !tip_traffic_policies_count(policies)));

	k->traffic.set = fresh;
	if (!idle && tip_traffic_in_force(k, policies, err) < 0) {
		k->traffic.set = old;
		return -1;
	}
	tip_traffic_set_free(old);
	return 0;
}

int tip_traffic_load(struct tip_keeper *k, const struct tip_set *set, const char *without,
		     struct tip_error *err)
{
	const char *changed = set ? set->name : without;
	struct tip_traffic_policies *all = NULL;
	struct tip_traffic_set *fresh = NULL;
	char *folder = sets_folder(k);
	struct tip_error late;
	char text[1200];
	size_t nfiles;
	int ret = -1;

	all = gather(k, set, without, &nfiles, err);
	if (!all || check_size(all, err) < 0)
		goto out;
	fresh = tip_traffic_set_new(all, ++k->traffic.generation);
	all = NULL;
	/* On disk before it is in force, and under its name only if it is: as rules are. */
	if (changed && tip_set_stage(folder, changed, set, err) < 0)
		goto out;
	if (switch_to(k, fresh, err) < 0) {
		if (changed)
			tip_set_discard(folder, changed);
		goto out;
	}
	fresh = NULL;
	if (changed && tip_set_commit(folder, changed, set, &late) < 0)
		tip_err("traffic", "a restart will not know that set %s was changed: %s", changed,
			tip_error_str(&late, text, sizeof(text)));
	k->traffic.nfiles = nfiles;
	if (set)
		tip_sets_put(&k->traffic.sets, set);
	else if (without)
		tip_sets_drop(&k->traffic.sets, without);
	ret = 0;
out:
	tip_traffic_policies_free(all);
	tip_traffic_set_free(fresh);
	free(folder);
	return ret;
}

int tip_traffic_reload(struct tip_keeper *k, struct tip_error *err)
{
	return tip_traffic_load(k, NULL, NULL, err);
}

int tip_traffic_restore_sets(struct tip_keeper *k, struct tip_error *err)
{
	char *folder = sets_folder(k);
	int ret = tip_sets_restore(&k->traffic.sets, folder, TRAFFIC_FILE_MAX, err);

	free(folder);
	return ret;
}

void tip_traffic_clean(const struct tip_keeper *k)
{
	char *folder = sets_folder(k);

	tip_sets_clean(folder, "traffic");
	free(folder);
}

void tip_traffic_files_free(struct tip_keeper *k)
{
	tip_traffic_set_free(k->traffic.set);
	k->traffic.set = NULL;
	tip_sets_free(&k->traffic.sets);
}

/* ---- what is asked for and not had --------------------------------------------------- */

static bool in_ipv6(const struct tip_traffic_policy *p)
{
	for (size_t i = 0; i < p->nto; i++)
		if (p->to[i].cidr.ip.family == 6)
			return true;
	return false;
}

/* The first ID or pattern of another trust domain than ours, or NULL. */
static const char *foreign(const struct tip_keeper *k, const struct tip_traffic_peer *list,
			   size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!tip_spiffe_id_in(list[i].id, k->config->trust_domain))
			return list[i].id;
	return NULL;
}

static size_t remark(const struct tip_keeper *k, const struct tip_traffic_policy *p,
		     struct tip_buf *out)
{
	const char *id = foreign(k, p->server, p->nserver);
	size_t n = 0;

	if (p->mode != TIP_TRAFFIC_STRICT)
		return 0;
	if (in_ipv6(p)) {
		tip_buf_addf(out,
			     "policy %s: connections over IPv6 are not carried: to these "
			     "destinations they are refused\n",
			     p->name);
		n++;
	}
	if (!id)
		id = foreign(k, p->clients, p->nclients);
	if (id) {
		tip_buf_addf(out,
			     "policy %s: %s is of another trust domain, of which this node has no "
			     "bundle: such peers are refused\n",
			     p->name, id);
		n++;
	}
	return n;
}

void tip_traffic_remarks(const struct tip_keeper *k, const char *set, struct tip_buf *out)
{
	const struct tip_traffic_policies *all = tip_traffic_set_policies(k->traffic.set);
	size_t told = 0;

	for (size_t i = 0; i < tip_traffic_policies_count(all); i++) {
		const struct tip_traffic_policy *p = tip_traffic_policies_get(all, i);
		const char *of = tip_set_of(p->file);

		if (set && !(of && strcmp(of, set) == 0))
			continue;
		if (told >= REMARKS_MAX) {
			tip_buf_adds(out, "and more of this kind\n");
			return;
		}
		told += remark(k, p, out);
	}
}
