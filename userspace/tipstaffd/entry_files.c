/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

/*
 * Where registration entries come from: the configured files, then state_dir/entries.yaml (added by
 * CLI), then ephemeral ones, which only this process remembers.
 */
#define ENTRY_FILE_MAX (16u << 20)
#define CLI_ENTRIES    "entries" /* what the vault calls the CLI's file */

static const char *const yaml_endings[] = {".yaml", ".yml", NULL};

static int parse(struct tip_keeper *k, struct tip_keeper_entries *e, const char *name,
		 const char *text, size_t len, struct tip_error *err)
{
	return tip_entries_parse(e->arena, name, text, len, k->config->trust_domain, &e->list,
				 &e->count, err);
}

static int parse_file(struct tip_keeper *k, struct tip_keeper_entries *e, const char *path,
		      struct tip_error *err)
{
	struct tip_buf b = {0};
	int ret = -1;

	if (tip_file_read(path, ENTRY_FILE_MAX, &b, err) == 0)
		ret = parse(k, e, path, b.data ? b.data : "", b.len, err);
	tip_buf_free(&b);
	return ret;
}

static int parse_folder(struct tip_keeper *k, struct tip_keeper_entries *e, const char *path,
			struct tip_error *err)
{
	char **list;
	int n = tip_file_list(path, yaml_endings, &list, err);
	int ret = 0;

	for (int i = 0; i < n && ret == 0; i++)
		ret = parse_file(k, e, list[i], err);
	if (n >= 0)
		tip_strings_free(list, (size_t)n);
	return n < 0 ? -1 : ret;
}

static char *cli_path(const struct tip_keeper *k)
{
	return tip_sprintf("%s/entries.yaml", k->config->state_dir);
}

static void set_free(struct tip_keeper_entries *e)
{
	free(e->list);
	tip_arena_free(e->arena);
	*e = (struct tip_keeper_entries){0};
}

/* An entry may stand once: two of the same id would share one SVID record. */
static int check_unique(const struct tip_keeper_entries *e, struct tip_error *err)
{
	struct tip_map *seen = tip_map_new();
	int ret = 0;

	for (size_t i = 0; i < e->count && ret == 0; i++) {
		const struct tip_entry *first = tip_map_puts(seen, e->list[i].id, &e->list[i]);

		if (first)
			ret = tip_error_at(err, e->list[i].file, e->list[i].line, 0,
					   "%s with these selectors stands at %s:%d already",
					   e->list[i].spiffe_id, first->file, first->line);
	}
	tip_map_free(seen, NULL);
	return ret;
}

/* Parses files, `cli` and `ephemeral` into a fresh set; swaps it in and tells the front. */
static int install(struct tip_keeper *k, const struct tip_buf *cli, const struct tip_buf *ephemeral,
		   struct tip_error *err)
{
	struct tip_keeper_entries e = {.arena = tip_arena_new()};
	char *path = cli_path(k);
	int ret = -1;

	for (size_t i = 0; i < k->config->nentries; i++)
		if (parse_folder(k, &e, k->config->entries[i], err) < 0)
			goto out;
	e.nfile = e.count;
	if (cli->len && parse(k, &e, path, cli->data, cli->len, err) < 0)
		goto out;
	e.ncli = e.count - e.nfile;
	if (ephemeral->len && parse(k, &e, "ephemeral", ephemeral->data, ephemeral->len, err) < 0)
		goto out;
	if (check_unique(&e, err) < 0)
		goto out;
	set_free(&k->entries);
	k->entries = e;
	e = (struct tip_keeper_entries){0};
	tip_digests_entries(k);
	if (k->sensor &&
	    tip_sensor_entries_changed(k->sensor, !k->digests.wanted, tip_digests_limit(k)))
		tip_warn("identity", "cannot tell the kernel that entries have changed");
	tip_front_send_entries(k);
	/* Also forks that inherited their identity, of which the front knows nothing, are asked for
	 * anew. */
	if (k->table)
		tip_process_reresolve(k->table);
	ret = 0;
out:
	set_free(&e);
	free(path);
	return ret;
}

/* The YAML of CLI-added entries, but those that `skip` names. */
static void write_back(const struct tip_keeper *k, bool ephemeral, const char *skip,
		       struct tip_buf *out)
{
	const struct tip_keeper_entries *e = &k->entries;
	size_t from = e->nfile + (ephemeral ? e->ncli : 0);
	size_t to = ephemeral ? e->count : e->nfile + e->ncli;

	for (size_t i = from; i < to; i++)
		if (!skip ||
		    (strcmp(skip, e->list[i].id) != 0 && strcmp(skip, e->list[i].spiffe_id) != 0))
			tip_entry_write(&e->list[i], out);
}

static int save_cli(struct tip_keeper *k, const struct tip_buf *cli, struct tip_error *err)
{
	char *path = cli_path(k);
	int ret = tip_vault_write_file(k->vault, CLI_ENTRIES, path, cli->data ? cli->data : "",
				       cli->len, err);

	free(path);
	return ret;
}

/* Whoever can write an entry can be anybody: with a seal, only what we wrote ourselves counts. */
static int check_cli(struct tip_keeper *k, const char *path, const struct tip_buf *cli,
		     struct tip_error *err)
{
	struct tip_error why;

	if (!k->vault ||
	    tip_vault_check_file(k->vault, CLI_ENTRIES, cli->data, cli->len, &why) == 0)
		return 0;
	return tip_error_at(err, path, 0, 0, "%s", why.text);
}

int tip_entries_reload(struct tip_keeper *k, struct tip_error *err)
{
	struct tip_buf cli = {0}, ephemeral = {0};
	char *path = cli_path(k);
	struct stat st;
	int ret = -1;

	if (stat(path, &st) == 0 && tip_file_read(path, ENTRY_FILE_MAX, &cli, err) < 0)
		goto out;
	if (check_cli(k, path, &cli, err) < 0)
		goto out;
	write_back(k, true, NULL, &ephemeral);
	ret = install(k, &cli, &ephemeral, err);
out:
	tip_buf_free(&cli);
	tip_buf_free(&ephemeral);
	free(path);
	return ret;
}

/* What is wrong with an entry by itself, said without a place: it stands in no file yet. */
static int check_new(struct tip_keeper *k, const struct tip_entry *entry, struct tip_error *err)
{
	struct tip_keeper_entries alone = {.arena = tip_arena_new()};
	struct tip_buf text = {0};
	struct tip_error wrong;
	char id[33];
	int ret;

	tip_entry_write(entry, &text);
	ret = parse(k, &alone, "", text.data, text.len, &wrong);
	if (ret < 0)
		tip_error_set(err, "the entry is refused: %s", wrong.text);
	tip_entry_id(entry, id);
	for (size_t i = 0; i < k->entries.count && ret == 0; i++) {
		const struct tip_entry *have = &k->entries.list[i];

		if (strcmp(have->id, id) != 0)
			continue;
		if (i < k->entries.nfile)
			ret = tip_error_set(err, "%s with these selectors stands at %s:%d already",
					    have->spiffe_id, have->file, have->line);
		else
			ret = tip_error_set(err,
					    "%s with these selectors was added already; `tipstaff "
					    "identity remove %s` takes it away",
					    have->spiffe_id, id);
	}
	set_free(&alone);
	tip_buf_free(&text);
	return ret;
}

int tip_entries_add(struct tip_keeper *k, const struct tip_entry *entry, bool ephemeral,
		    struct tip_error *err)
{
	struct tip_buf cli = {0}, eph = {0}, old = {0};
	struct tip_error undo;
	int ret = -1;

	if (check_new(k, entry, err) < 0)
		return -1;
	write_back(k, false, NULL, &cli);
	write_back(k, false, NULL, &old);
	write_back(k, true, NULL, &eph);
	tip_entry_write(entry, ephemeral ? &eph : &cli);
	/* In force first, for that is where it is checked; a full disk takes it back. */
	if (install(k, &cli, &eph, err) < 0)
		goto out;
	if (!ephemeral && save_cli(k, &cli, err) < 0) {
		install(k, &old, &eph, &undo);
		goto out;
	}
	ret = 0;
out:
	tip_buf_free(&cli);
	tip_buf_free(&eph);
	tip_buf_free(&old);
	return ret;
}

int tip_entries_remove(struct tip_keeper *k, const char *id, struct tip_error *err)
{
	const struct tip_keeper_entries *e = &k->entries;
	struct tip_buf cli = {0}, eph = {0};
	size_t before = e->count;
	int ret = -1;

	for (size_t i = 0; i < e->nfile; i++)
		if (strcmp(id, e->list[i].id) == 0 || strcmp(id, e->list[i].spiffe_id) == 0)
			return tip_error_at(err, e->list[i].file, e->list[i].line, 0,
					    "%s stands in a file: remove it there, then send "
					    "the daemon SIGHUP",
					    e->list[i].spiffe_id);
	write_back(k, false, id, &cli);
	write_back(k, true, id, &eph);
	/* Disk first: what was removed must not come back with a restart. */
	if (save_cli(k, &cli, err) < 0 || install(k, &cli, &eph, err) < 0)
		goto out;
	ret = (int)(before - k->entries.count);
	if (ret == 0)
		ret = tip_error_set(
			err, "there is no entry \"%s\"; `tipstaff identity list` shows them", id);
out:
	tip_buf_free(&cli);
	tip_buf_free(&eph);
	return ret;
}

void tip_entries_free(struct tip_keeper *k)
{
	set_free(&k->entries);
}
