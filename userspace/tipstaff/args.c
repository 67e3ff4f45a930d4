/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tipstaff/out.h"
#include "tipstaff/tipstaff.h"

/*
 * The command line: words find their way through the tables, options may stand anywhere behind
 * the command they belong to (global ones anywhere), "--" ends them.
 */

struct parser {
	char **words;
	int count, at;
	char path[64]; /* "rules add": the words of the command so far */
	bool help, version, only_operands;
	struct cli_args args;
};

bool cli_given(const struct cli_args *args, const char *option)
{
	for (size_t i = 0; i < args->noptions; i++)
		if (!strcmp(args->options[i]->name, option))
			return true;
	return false;
}

const char *cli_value(const struct cli_args *args, const char *option, const char *fallback)
{
	for (size_t i = args->noptions; i-- > 0;)
		if (!strcmp(args->options[i]->name, option))
			return args->values[i];
	return fallback;
}

json_t *cli_values(const struct cli_args *args, const char *option)
{
	json_t *list = json_array();

	for (size_t i = 0; i < args->noptions; i++)
		if (!strcmp(args->options[i]->name, option))
			json_array_append_new(list, json_string(args->values[i]));
	return list;
}

int cli_number(const char *what, const char *text, long min, long max, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(text, &end, 10);
	if (errno || end == text || *end || *out < min || *out > max)
		return cli_usage(NULL, "%s wants a number from %ld to %ld, not \"%s\"", what, min,
				 max, text);
	return CLI_OK;
}

/* How a word names an option: "--name", "--name=value" or "-n". */
static bool option_is(const struct cli_option *o, const char *word)
{
	size_t len = strlen(o->name);

	if (word[1] != '-')
		return o->letter && word[1] == o->letter && (!word[2] || o->arg);
	return !strncmp(word + 2, o->name, len) && (!word[2 + len] || word[2 + len] == '=');
}

static const struct cli_option *find_option(const struct cli_option *table, const char *word)
{
	for (; table && table->name; table++)
		if (option_is(table, word))
			return table;
	return NULL;
}

static int set_workload_socket(const char *addr)
{
	if (!strncmp(addr, "unix:", 5))
		addr += strncmp(addr, "unix://", 7) ? 5 : 7;
	else if (strstr(addr, "://"))
		return cli_usage("give unix:///PATH or a path",
				 "the Workload API is reached over a unix socket, not \"%s\"",
				 addr);
	if (*addr != '/')
		return cli_usage("give unix:///PATH or an absolute path",
				 "\"%s\" is not an absolute path", addr);
	cli.workload_socket = addr;
	return CLI_OK;
}

static int set_global(struct parser *p, const struct cli_option *o, const char *value)
{
	if (!strcmp(o->name, "json"))
		cli.json = true;
	else if (!strcmp(o->name, "help"))
		p->help = true;
	else if (!strcmp(o->name, "version"))
		p->version = true;
	else if (!strcmp(o->name, "socket") && value && *value)
		cli.socket = value;
	else if (!strcmp(o->name, "socket"))
		return cli_usage(NULL, "--socket wants a path");
	else if (value)
		return set_workload_socket(value);
	return CLI_OK;
}

static const char *help_hint(const struct parser *p)
{
	static char hint[128];

	snprintf(hint, sizeof(hint), "see `tipstaff%s%s --help`", *p->path ? " " : "", p->path);
	return hint;
}

static int take_option(struct parser *p, const char *word)
{
	const struct cli_option *own = NULL, *o;
	const char *value = NULL, *equals = word[1] == '-' ? strchr(word, '=') : NULL;

	if (p->args.cmd)
		own = find_option(p->args.cmd->options, word);
	o = own ? own : find_option(cli_globals, word);
	if (!o)
		return cli_usage(help_hint(p), "unknown option %.*s",
				 (int)(equals ? equals - word : (long)strlen(word)), word);
	if (!o->arg && equals)
		return cli_usage(help_hint(p), "--%s takes no value", o->name);
	if (o->arg) {
		if (equals)
			value = equals + 1;
		else if (word[1] != '-' && word[2])
			value = word + 2;
		else if (p->at < p->count)
			value = p->words[p->at++];
		else
			return cli_usage(help_hint(p), "--%s wants a %s", o->name, o->arg);
	}
	if (!own)
		return set_global(p, o, value);
	p->args.options[p->args.noptions] = o;
	p->args.values[p->args.noptions++] = value;
	return CLI_OK;
}

static const struct cli_command *find_command(const struct cli_command *const *table,
					      const char *name)
{
	for (; table && *table; table++)
		if (!strcmp((*table)->name, name))
			return *table;
	return NULL;
}

/* A word that is no option: a command as long as there are any, else an operand. */
static int take_word(struct parser *p, char *word)
{
	const struct cli_command *cmd = p->args.cmd;
	const struct cli_command *const *table = cmd ? cmd->subs : cli_commands;
	size_t used = strlen(p->path);

	if (p->args.argc == 0 && !p->only_operands) {
		const struct cli_command *sub = find_command(table, word);

		if (sub) {
			p->args.cmd = sub;
			snprintf(p->path + used, sizeof(p->path) - used, "%s%s", used ? " " : "",
				 sub->name);
			return CLI_OK;
		}
	}
	if (!cmd)
		return cli_usage("`tipstaff help` lists them", "there is no command \"%s\"", word);
	if (!cmd->run)
		return cli_usage(help_hint(p), "\"%s\" has no command \"%s\"", p->path, word);
	if (cmd->max >= 0 && p->args.argc >= cmd->max)
		return cli_usage(help_hint(p), "unexpected argument \"%s\"", word);
	p->args.argv[p->args.argc++] = word;
	return CLI_OK;
}

static int parse(struct parser *p)
{
	int ret = CLI_OK;

	while (ret == CLI_OK && p->at < p->count) {
		char *word = p->words[p->at++];

		if (p->only_operands || word[0] != '-' || !word[1])
			ret = take_word(p, word);
		else if (!strcmp(word, "--"))
			p->only_operands = true;
		else
			ret = take_option(p, word);
	}
	return ret;
}

int cli_main(int argc, char **argv)
{
	struct parser p = {.words = argv + 1, .count = argc > 0 ? argc - 1 : 0};
	int ret;

	p.args.argv = tip_calloc((size_t)p.count + 1, sizeof(*p.args.argv));
	p.args.options = tip_calloc((size_t)p.count + 1, sizeof(*p.args.options));
	p.args.values = tip_calloc((size_t)p.count + 1, sizeof(*p.args.values));
	ret = parse(&p);
	if (ret != CLI_OK)
		goto out;
	if (p.help) {
		cli_help(p.path, p.args.cmd);
	} else if (p.version) {
		ret = cmd_version.run(&p.args);
	} else if (!p.args.cmd) {
		ret = cli_usage("`tipstaff help` lists them", "which command?");
	} else if (!p.args.cmd->run) {
		ret = cli_usage(help_hint(&p), "\"%s\" wants one of its commands", p.path);
	} else if (p.args.argc < p.args.cmd->min) {
		ret = cli_usage(help_hint(&p), "\"%s\" wants %s", p.path, p.args.cmd->operands);
	} else {
		ret = p.args.cmd->run(&p.args);
	}
out:
	free(p.args.argv);
	free(p.args.options);
	free(p.args.values);
	return ret;
}
