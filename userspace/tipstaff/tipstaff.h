/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFF_TIPSTAFF_H
#define TIP_TIPSTAFF_TIPSTAFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"

/*
 * The CLI: one file per noun, each with its table of commands. Parsing of arguments, help and shell
 * completion all read the same tables, so that they cannot disagree.
 */

/* Exit codes. */
#define CLI_OK    0
#define CLI_FAIL  1
#define CLI_USAGE 2

/* What --json and its sisters set. */
struct cli {
	bool json;
	const char *socket;
	const char *workload_socket; /* a path; NULL: beside the control socket */
};
extern struct cli cli;

/* ---- commands ------------------------------------------------------------------------ */

enum cli_complete { CLI_COMPLETE_NONE, CLI_COMPLETE_FILE, CLI_COMPLETE_DIR, CLI_COMPLETE_SHELL };

struct cli_option {
	const char *name; /* "follow": given as --follow; NULL ends the table */
	char letter;      /* 'f', or 0 */
	const char *arg;  /* name of its argument in the help; NULL: it takes none */
	const char *help;
	enum cli_complete complete;
};

struct cli_args;

struct cli_command {
	const char *name;
	const char *operands; /* "FILE...", as shown in the help */
	const char *help;     /* one line */
	const char *more;     /* paragraphs for its own help; may be NULL */
	int min, max;         /* operands; max -1: any number */
	enum cli_complete complete;
	const struct cli_option *options;
	const struct cli_command *const *subs;   /* ended by NULL */
	int (*run)(const struct cli_args *args); /* returns the exit code; NULL: only subs */
};

/* The words after a command, taken apart. */
struct cli_args {
	const struct cli_command *cmd;
	int argc;
	char **argv; /* operands */
	const struct cli_option **options;
	const char **values; /* beside `options`; NULL where the option takes none */
	size_t noptions;
};

/* Every command, ended by NULL; and the options that all of them have. */
extern const struct cli_command *const cli_commands[];
extern const struct cli_option cli_globals[];

extern const struct cli_command cmd_status;
extern const struct cli_command cmd_alerts;
extern const struct cli_command cmd_rules;
extern const struct cli_command cmd_processes;
extern const struct cli_command cmd_policy;
extern const struct cli_command cmd_connections;
extern const struct cli_command cmd_identity;
extern const struct cli_command cmd_svid;
extern const struct cli_command cmd_quarantine;
extern const struct cli_command cmd_release;
extern const struct cli_command cmd_detach;
extern const struct cli_command cmd_version;
extern const struct cli_command cmd_completion;
extern const struct cli_command cmd_help;
/* Commands of cmd_rules and cmd_svid, in their own files. */
extern const struct cli_command cmd_rules_explain;
extern const struct cli_command cmd_rules_validate;
extern const struct cli_command cmd_rules_fields;
extern const struct cli_command cmd_svid_fetch_jwt;
extern const struct cli_command cmd_svid_validate_jwt;

bool cli_given(const struct cli_args *args, const char *option);
/* The last value of an option, or `fallback`. */
const char *cli_value(const struct cli_args *args, const char *option, const char *fallback);
/* All values of an option as a JSON array of strings (new reference). */
json_t *cli_values(const struct cli_args *args, const char *option);
/* A decimal number in [min, max]. 0, or CLI_USAGE after saying what is wrong. */
int cli_number(const char *what, const char *text, long min, long max, long *out);
/* A SPIFFE ID with a path. 0, or CLI_USAGE after saying what is wrong. */
int cli_check_id(const char *id);

/* Parses and runs a whole command line. Returns the exit code. */
int cli_main(int argc, char **argv);

/* The help of a command; `path` is its words ("rules add"), `cmd` NULL the overview. */
void cli_help(const char *path, const struct cli_command *cmd);

/* ---- errors ---------------------------------------------------------------------------- */

/* "tipstaff: text" and "hint: ..." (NULL: none) on stderr. Return CLI_FAIL and CLI_USAGE. */
int cli_fail(const char *hint, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int cli_usage(const char *hint, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int cli_fail_error(const struct tip_error *err, const char *hint);

/* ---- the daemon -------------------------------------------------------------------------- */

/* Calls a method; `params` is stolen. NULL after the error was printed. */
json_t *cli_call(const char *method, json_t *params);
/* The same, where the daemon knows by the name `set` what the user knows as `file`. */
json_t *cli_call_with_file(const char *method, json_t *params, const char *set, const char *file);
/* Follows a stream, with `event` as in tip_control_follow(). Exit code; errors are printed. */
int cli_follow(const char *method, json_t *params, bool (*event)(void *ctx, json_t *ev), void *ctx);

/* Members of an object, with defaults for what is absent or of another type. */
const char *get_string(json_t *obj, const char *key, const char *fallback);
long long get_int(json_t *obj, const char *key);
bool get_bool(json_t *obj, const char *key);

#endif
