/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_LOADER_H
#define TIP_DETECT_LOADER_H

#include "base/yaml.h"
#include "detect/defs.h"
#include "detect/program.h"

/* The engine version that rule files may require. */
#define TIP_ENGINE_VERSION      "0.63.0"
#define TIP_RULE_NAME_MAX       1024
#define TIP_LOAD_MESSAGES_MAX   10000
#define TIP_EVENT_CODES_WARNING 100 /* in entry and exit events, as the language counts */

struct tip_loader {
	struct tip_defs *defs;
	struct tip_load_result *result;
	struct tip_map *skipped; /* rules of an unknown source, to its name: appends are skipped */
	const struct tip_rule_source *source; /* the file at hand */
	const struct tip_yaml *item;          /* the item at hand */
	const char *item_type, *item_name;    /* of it, for messages */
	const struct tip_yaml *exception;     /* of the rule at hand; NULL: none is */
	const char *exception_name;
	bool failed; /* the file has its error */
	const struct tip_rules_options *options;
};

/* Adds a message at a node of the file at hand. An error also ends the file. Returns -1. */
int tip_load_say(struct tip_loader *l, const char *code, const struct tip_yaml *at, const char *fmt,
		 ...) __attribute__((format(printf, 4, 5)));
/* The same at a definition's place, whatever the file. */
int tip_load_say_def(struct tip_loader *l, const char *code, const struct tip_def_place *place,
		     const char *item_type, const char *item_name, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));
/* An error of what the configuration adds to outputs. */
int tip_load_say_append(struct tip_loader *l, const struct tip_rule_append *a, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A problem inside a condition or an output, with its snippet. */
int tip_load_say_cond(struct tip_loader *l, const char *code, const struct tip_cond_error *err,
		      const struct tip_def_place *place, const char *item_type,
		      const char *item_name);
/* What the YAML parser found in the file at hand. */
void tip_load_say_yaml(struct tip_loader *l, const struct tip_error *err);

/* Takes in one item of a file. 0, or -1 after an error. */
int tip_load_item(struct tip_loader *l, const struct tip_yaml *item);
int tip_load_rule(struct tip_loader *l, const struct tip_yaml *item);

/* ---- what items are made of (items.c) ----------------------------------------------------------
 */

enum tip_override { TIP_OVERRIDE_NONE, TIP_OVERRIDE_APPEND, TIP_OVERRIDE_REPLACE };

struct tip_key {
	const char *name;
	bool append;  /* `override: {KEY: append}` is possible */
	bool replace; /* `override: {KEY: replace}` is possible */
};

/* Warns of keys that are not in `keys`. */
void tip_load_unknown_keys(struct tip_loader *l, const struct tip_yaml *item,
			   const struct tip_key *keys, size_t count);
/*
 * Checks `override` and `append` of an item. `*partial` is true when it has either; then
 * tip_load_override() says what is wanted for a key. 0, or -1 after an error.
 */
int tip_load_overrides(struct tip_loader *l, const struct tip_yaml *item,
		       const struct tip_key *keys, size_t count, bool *partial);
enum tip_override tip_load_override(const struct tip_yaml *item, const char *key);
/* A scalar with text under `key`. NULL: absent (`*bad` false), or wrong and said (`*bad` true). */
const struct tip_yaml *tip_load_text(struct tip_loader *l, const struct tip_yaml *item,
				     const char *key, bool required, bool *bad);
/* A sequence of scalars, or NULL after an error. */
const struct tip_yaml *tip_load_strings(struct tip_loader *l, const struct tip_yaml *item,
					const char *key);

/* `exceptions` of a rule: parsed into the definition (`append` to what is there or new). */
int tip_load_exceptions(struct tip_loader *l, struct tip_rule_def *r, const struct tip_yaml *node,
			bool append);
/* Puts the rule's condition with its exceptions into `out`. 0, or -1 after an error. */
int tip_load_full_condition(struct tip_loader *l, const struct tip_rule_def *r,
			    struct tip_text *out);

/* Adds to a rule's output what the options say (append.c). 0, or -1 after an error. */
int tip_load_append(struct tip_loader *l, struct tip_rules *set, struct tip_rule *r,
		    const struct tip_rule_def *d);

/* Warns of what in a rule's condition may not be meant as it is written (advice.c). */
void tip_load_advise(struct tip_loader *l, const struct tip_rule_def *rule,
		     const struct tip_ast *ast);

/* ---- the last step (build.c) --------------------------------------------------------------------
 */

/* Compiles all that was read. `last`: no more files follow. NULL after an error. */
struct tip_rules *tip_load_build(struct tip_loader *l, bool last);

#endif
