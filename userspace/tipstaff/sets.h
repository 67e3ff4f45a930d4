/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFF_SETS_H
#define TIP_TIPSTAFF_SETS_H

#include "tipstaff/tipstaff.h"

/* Sets that the CLI adds to the daemon, of rules and of policies: a file's text under a name. */
struct cli_set_kind {
	bool replace;             /* only what is there already */
	const char *add, *remove; /* methods */
	const char *verb;         /* "added" */
	const char *members;      /* key of the result that lists what is in the set */
	const char *one, *many;   /* "rule", "rules" */
	const char *example;      /* of a command line with stdin */
};

/* Options of a command that adds. */
extern const struct cli_option cli_set_options[];

/* The operand is the file, "-" stdin. Exit code. */
int cli_set_add(const struct cli_args *args, const struct cli_set_kind *kind);
/* The operand is the set's name, or that of its only member. Exit code. */
int cli_set_remove(const struct cli_args *args, const struct cli_set_kind *kind);
/* The `warnings` and `notes` of a result, a line each. */
void cli_set_remarks(json_t *result);

#endif
