/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "tipstaff/out.h"
#include "tipstaff/tipstaff.h"

/*
 * Completion scripts, written from the command tables. Each is one function with a case per
 * command: the words typed so far name the command, the case says what may follow.
 */

typedef void (*visit_fn)(const char *path, const struct cli_command *cmd);

static void visit(const char *prefix, const struct cli_command *cmd, visit_fn fn)
{
	char path[64];

	snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? " " : "", cmd->name);
	fn(path, cmd);
	for (const struct cli_command *const *sub = cmd->subs; sub && *sub; sub++)
		visit(path, *sub, fn);
}

static void visit_all(visit_fn fn)
{
	for (const struct cli_command *const *cmd = cli_commands; *cmd; cmd++)
		visit("", *cmd, fn);
}

/* Every option with an argument, for skipping that argument: "--socket|--reason|-n". */
static void put_valued(const struct cli_option *table, bool *first)
{
	for (; table && table->name; table++) {
		if (!table->arg)
			continue;
		out_print("%s--%s", *first ? "" : "|", table->name);
		if (table->letter)
			out_print("|-%c", table->letter);
		*first = false;
	}
}

static bool valued_first;

static void put_valued_of(const char *path, const struct cli_command *cmd)
{
	put_valued(cmd->options, &valued_first);
}

static void put_all_valued(void)
{
	valued_first = true;
	put_valued(cli_globals, &valued_first);
	visit_all(put_valued_of);
}

static void put_names(const struct cli_command *const *table)
{
	for (; table && *table; table++)
		out_print(" %s", (*table)->name);
}

static void put_options(const struct cli_option *table)
{
	for (; table && table->name; table++)
		out_print(" --%s", table->name);
}

/* ---- bash ------------------------------------------------------------------------------- */

static const char *bash_operand(enum cli_complete kind)
{
	switch (kind) {
	case CLI_COMPLETE_FILE: return "-f";
	case CLI_COMPLETE_DIR: return "-d";
	case CLI_COMPLETE_SHELL: return "-W 'bash zsh'";
	case CLI_COMPLETE_NONE: break;
	}
	return "";
}

/* "'rules list'|'rules add') path=..." */
static void bash_step(const char *path, const struct cli_command *const *table)
{
	out_print("\t\t");
	for (const struct cli_command *const *cmd = table; *cmd; cmd++)
		out_print("%s'%s %s'", cmd == table ? "" : "|", path, (*cmd)->name);
	out_print(") path=\"${path:+$path }$word\" ;;\n");
}

static void bash_path(const char *path, const struct cli_command *cmd)
{
	if (cmd->subs)
		bash_step(path, cmd->subs);
}

static void bash_case(const char *path, const struct cli_command *cmd)
{
	out_print("\t'%s') words='", path);
	put_names(cmd->subs);
	out_print("' options='");
	put_options(cmd->options);
	out_print("' operand=\"%s\" ;;\n", bash_operand(cmd->complete));
}

static void bash_values(const struct cli_option *table)
{
	for (; table && table->name; table++)
		if (table->arg && table->complete != CLI_COMPLETE_NONE)
			out_print("\t--%s) COMPREPLY=($(compgen %s -- \"$cur\")); return ;;\n",
				  table->name, bash_operand(table->complete));
}

static void bash_values_of(const char *path, const struct cli_command *cmd)
{
	bash_values(cmd->options);
}

static void put_bash(void)
{
	out_print("# bash completion for tipstaff; made by `tipstaff completion bash`\n"
		  "_tipstaff()\n{\n"
		  "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
		  "\tlocal path='' skip='' word words='' options='' operand='' i\n"
		  "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
		  "\t\tword=${COMP_WORDS[i]}\n"
		  "\t\tif [[ $skip ]]; then skip=''; continue; fi\n"
		  "\t\tcase $word in\n\t\t");
	put_all_valued();
	out_print(") skip=1; continue ;;\n\t\t-*) continue ;;\n\t\tesac\n"
		  "\t\tcase \"$path $word\" in\n");
	bash_step("", cli_commands);
	visit_all(bash_path);
	out_print("\t\tesac\n\tdone\n\tcase $prev in\n");
	bash_values(cli_globals);
	visit_all(bash_values_of);
	out_print("\t");
	put_all_valued();
	out_print(") return ;;\n\tesac\n\tcase $path in\n\t'') words='");
	put_names(cli_commands);
	out_print("' ;;\n\t'help'*) words='");
	put_names(cli_commands);
	out_print("' ;;\n");
	visit_all(bash_case);
	out_print("\tesac\n"
		  "\tif [[ $cur == -* ]]; then\n"
		  "\t\tCOMPREPLY=($(compgen -W \"$options");
	put_options(cli_globals);
	out_print("\" -- \"$cur\"))\n"
		  "\telse\n"
		  "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
		  "\t\t[[ $operand ]] && COMPREPLY+=($(eval \"compgen $operand -- "
		  "\\\"\\$cur\\\"\"))\n"
		  "\tfi\n}\n"
		  "complete -o filenames -F _tipstaff tipstaff\n");
}

/* ---- zsh --------------------------------------------------------------------------------- */

static const char *zsh_action(enum cli_complete kind)
{
	switch (kind) {
	case CLI_COMPLETE_FILE: return "_files";
	case CLI_COMPLETE_DIR: return "_files -/";
	case CLI_COMPLETE_SHELL: return "(bash zsh)";
	case CLI_COMPLETE_NONE: break;
	}
	return " ";
}

/* Text inside single quotes and inside [ ] or : : of an _arguments specification. */
static void put_zsh(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			out_print("'\\''");
		else if (strchr("[]:\\", *text))
			out_print("\\%c", *text);
		else
			out_print("%c", *text);
	}
}

static void zsh_options(const struct cli_option *table)
{
	for (; table && table->name; table++) {
		for (int letter = table->letter ? 1 : 0; letter >= 0; letter--) {
			if (letter)
				out_print(" \\\n\t\t'*-%c[", table->letter);
			else
				out_print(" \\\n\t\t'*--%s%s[", table->name, table->arg ? "=" : "");
			put_zsh(table->help);
			out_print("]");
			if (table->arg) {
				out_print(":");
				put_zsh(table->arg);
				out_print(":%s", zsh_action(table->complete));
			}
			out_print("'");
		}
	}
}

static void zsh_describe(const struct cli_command *const *table)
{
	out_print("\t\tlocal -a commands=(");
	for (; *table; table++) {
		out_print("\n\t\t\t'%s:", (*table)->name);
		put_zsh((*table)->help);
		out_print("'");
	}
	out_print(")\n\t\t_describe command commands\n");
}

/* _tipstaff_rules_add: takes words with its own name as the first, as _arguments wants them. */
static void zsh_function(const char *path, const struct cli_command *cmd)
{
	char name[64];

	snprintf(name, sizeof(name), "%s", path);
	for (char *p = name; *p; p++)
		*p = *p == ' ' ? '_' : *p;
	out_print("_tipstaff_%s()\n{\n\tlocal state\n\t_arguments", name);
	if (cmd->subs)
		out_print(" -C");
	zsh_options(cmd->options);
	zsh_options(cli_globals);
	if (cmd->subs)
		out_print(" \\\n\t\t'1: :->command' '*:: :->rest'\n\tcase $state in\n\tcommand)\n");
	else if (cmd->operands && cmd->max != 0)
		out_print(" \\\n\t\t'*:%s:%s'\n}\n", cmd->operands, zsh_action(cmd->complete));
	else
		out_print("\n}\n");
	if (!cmd->subs)
		return;
	zsh_describe(cmd->subs);
	out_print("\t\t;;\n\trest) (( $+functions[_tipstaff_%s_$words[1]] )) && "
		  "_tipstaff_%s_$words[1] ;;\n\tesac\n}\n",
		  name, name);
}

static void put_zsh_script(void)
{
	out_print("#compdef tipstaff\n# zsh completion for tipstaff; made by `tipstaff completion "
		  "zsh`\n");
	visit_all(zsh_function);
	out_print("_tipstaff()\n{\n\tlocal state\n\t_arguments -C");
	zsh_options(cli_globals);
	out_print(" \\\n\t\t'1: :->command' '*:: :->rest'\n\tcase $state in\n\tcommand)\n");
	zsh_describe(cli_commands);
	out_print("\t\t;;\n\trest) (( $+functions[_tipstaff_$words[1]] )) && "
		  "_tipstaff_$words[1] ;;\n\tesac\n}\n"
		  "if [[ $funcstack[1] == _tipstaff ]]; then\n\t_tipstaff \"$@\"\nelse\n"
		  "\tcompdef _tipstaff tipstaff\nfi\n");
}

static int do_completion(const struct cli_args *args)
{
	if (!strcmp(args->argv[0], "bash"))
		put_bash();
	else if (!strcmp(args->argv[0], "zsh"))
		put_zsh_script();
	else
		return cli_usage("bash and zsh are known", "no completion for the shell \"%s\"",
				 args->argv[0]);
	return CLI_OK;
}

const struct cli_command cmd_completion = {
	.name = "completion",
	.operands = "bash|zsh",
	.help = "a completion script for your shell",
	.more = "bash: tipstaff completion bash > /etc/bash_completion.d/tipstaff\n"
		"zsh:  tipstaff completion zsh > /usr/local/share/zsh/site-functions/_tipstaff",
	.min = 1,
	.max = 1,
	.complete = CLI_COMPLETE_SHELL,
	.run = do_completion,
};
