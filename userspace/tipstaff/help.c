/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/version.h"
#include "tipstaff/out.h"
#include "tipstaff/tipstaff.h"

/* Help, written from the command tables. */

const struct cli_command *const cli_commands[] = {
	&cmd_status, &cmd_alerts,  &cmd_rules,       &cmd_processes,  &cmd_identity,
	&cmd_svid,   &cmd_policy,  &cmd_connections, &cmd_quarantine, &cmd_release,
	&cmd_detach, &cmd_version, &cmd_completion,  &cmd_help,       NULL,
};

static void put_left(const char *text, int width, enum out_style style)
{
	out_print("  %s%s%s%*s", out_on(stdout, style), text, out_off(stdout),
		  width > (int)strlen(text) ? width - (int)strlen(text) : 0, "");
}

/* "rules add FILE" */
static const char *usage_of(const char *path, const struct cli_command *cmd, struct tip_buf *b)
{
	tip_buf_reset(b);
	tip_buf_adds(b, path);
	if (cmd->operands)
		tip_buf_addf(b, " %s", cmd->operands);
	return b->data;
}

/* Calls `fn` for a command and all below it, depth first, with its words. */
static void each_command(const char *prefix, const struct cli_command *cmd,
			 void (*fn)(void *ctx, const char *path, const struct cli_command *cmd),
			 void *ctx)
{
	char path[64];

	snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? " " : "", cmd->name);
	if (cmd->run)
		fn(ctx, path, cmd);
	for (const struct cli_command *const *sub = cmd->subs; sub && *sub; sub++)
		each_command(path, *sub, fn, ctx);
}

struct listing {
	struct tip_buf text;
	int width; /* 0: still measuring */
	int widest;
};

static void list_command(void *ctx, const char *path, const struct cli_command *cmd)
{
	struct listing *l = ctx;
	const char *usage = usage_of(path, cmd, &l->text);

	if (l->width == 0) {
		if ((int)strlen(usage) > l->widest)
			l->widest = (int)strlen(usage);
		return;
	}
	put_left(usage, l->width, OUT_BOLD);
	out_print("  %s\n", cmd->help);
}

static void list_commands(const char *prefix, const struct cli_command *const *table)
{
	struct listing l = {.width = 0};

	for (const struct cli_command *const *cmd = table; *cmd; cmd++)
		each_command(prefix, *cmd, list_command, &l);
	l.width = l.widest;
	for (const struct cli_command *const *cmd = table; *cmd; cmd++)
		each_command(prefix, *cmd, list_command, &l);
	tip_buf_free(&l.text);
}

static const char *option_left(const struct cli_option *o, struct tip_buf *b)
{
	tip_buf_reset(b);
	if (o->letter)
		tip_buf_addf(b, "-%c, ", o->letter);
	else
		tip_buf_adds(b, "    ");
	tip_buf_addf(b, "--%s", o->name);
	if (o->arg)
		tip_buf_addf(b, " %s", o->arg);
	return b->data;
}

static void list_options(const char *title, const struct cli_option *table)
{
	struct tip_buf left = {0};
	int width = 0;

	if (!table)
		return;
	for (const struct cli_option *o = table; o->name; o++) {
		int w = (int)strlen(option_left(o, &left));

		width = w > width ? w : width;
	}
	out_heading(title);
	for (const struct cli_option *o = table; o->name; o++) {
		put_left(option_left(o, &left), width, OUT_PLAIN);
		out_print("  %s\n", o->help);
	}
	tip_buf_free(&left);
}

static void overview(void)
{
	out_print("tipstaff %s: talks to tipstaffd, the daemon that knows who each process is\n\n"
		  "usage: tipstaff [OPTION...] COMMAND [ARGUMENT...]\n",
		  TIP_VERSION);
	out_heading("Commands");
	list_commands("", cli_commands);
	list_options("Options of every command", cli_globals);
	out_print("\nExit codes: 0 done, 1 it failed, 2 the command line is wrong.\n"
		  "`tipstaff COMMAND --help` says more; so does tipstaff(1).\n");
}

void cli_help(const char *path, const struct cli_command *cmd)
{
	if (!cmd) {
		overview();
		return;
	}
	out_print("tipstaff %s: %s\n", path, cmd->help);
	if (cmd->run)
		out_print("\nusage: tipstaff %s%s%s%s\n", path, cmd->options ? " [OPTION...]" : "",
			  cmd->operands ? " " : "", cmd->operands ? cmd->operands : "");
	if (cmd->more)
		out_print("\n%s\n", cmd->more);
	if (cmd->subs) {
		out_heading("Commands");
		list_commands(path, cmd->subs);
	}
	list_options("Options", cmd->options);
	list_options("Options of every command", cli_globals);
}

static int do_help(const struct cli_args *args)
{
	const struct cli_command *const *table = cli_commands;
	const struct cli_command *cmd = NULL;
	char path[64] = "";

	for (int i = 0; i < args->argc; i++) {
		size_t used = strlen(path);

		for (; table && *table && strcmp((*table)->name, args->argv[i]); table++)
			;
		if (!table || !*table)
			return cli_usage("`tipstaff help` lists them",
					 "there is no command \"%s%s%s\"", path, used ? " " : "",
					 args->argv[i]);
		cmd = *table;
		table = cmd->subs;
		snprintf(path + used, sizeof(path) - used, "%s%s", used ? " " : "", cmd->name);
	}
	cli_help(path, cmd);
	return CLI_OK;
}

const struct cli_command cmd_help = {
	.name = "help",
	.operands = "[COMMAND...]",
	.help = "this list, or the help of one command",
	.max = -1,
	.run = do_help,
};
