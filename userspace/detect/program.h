/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_PROGRAM_H
#define TIP_DETECT_PROGRAM_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/map.h"
#include "detect/ast.h"
#include "detect/field.h"

/*
 * A compiled condition: typed tests, each with the test that follows when it is true and when it is
 * not. `not` is an exchange of the two and costs nothing; an unset field makes a test false,
 * whatever its operator.
 */
#define TIP_GOTO_MATCH 0xffffffffu
#define TIP_GOTO_FAIL  0xfffffffeu

struct tip_operand {
	bool negative; /* UINT: a number below zero, less than every value */
	union {
		struct {
			const char *s;
			size_t len;
		} str;
		int64_t i;
		double d;
		struct tip_ip ip;
		pcre2_code *re;
	};
};

/* A set of strings: how `in` with many members stays cheap. */
struct tip_strset {
	struct tip_map *map;
	uint64_t lengths; /* bit n % 64: a member of length n exists */
};

struct tip_test {
	enum tip_op op;
	enum tip_type type;
	enum tip_modifier modifier;
	bool on_codes; /* evt.type: decided by `codes` alone */
	tip_codes codes;
	uint32_t slot; /* of the field */
	bool every;    /* of a list field: each of its values must pass, not just one */
	bool fields;   /* compared with the value of slot `right`, not with `values` */
	uint32_t right;
	uint32_t yes, no;
	struct tip_operand *values;
	size_t nvalues;
	struct tip_strset *set; /* EQ, IN, INTERSECTS, PMATCH of strings; NULL: look at `values` */
};

struct tip_program {
	struct tip_test *tests;
	uint32_t count, cap;
	uint32_t entry;
};

/* What tests need beside the value. */
struct tip_test_env {
	struct tip_scratch *scratch;
	pcre2_match_context *match;
	pcre2_match_data *data;
	uint64_t regex_limits; /* matches given up at the limit */
};

bool tip_test_value(const struct tip_test *t, const struct tip_value *v, struct tip_test_env *env);
/* The same for a test of two fields. */
bool tip_test_fields(const struct tip_test *t, const struct tip_value *left,
		     const struct tip_value *right, struct tip_test_env *env);

/*
 * Fills `t` (op, type and modifier are set) from the values of a check. Memory comes from `arena`;
 * sets and regexes are freed by tip_test_free(). 0, or -1 with `err`.
 */
int tip_test_compile(struct tip_test *t, const struct tip_ast *check, struct tip_arena *arena,
		     struct tip_cond_error *err);
void tip_test_free(struct tip_test *t);

/* ---- a set of rules ----------------------------------------------------------------------------
 */

struct tip_segment {
	const char *text; /* literal, or NULL */
	size_t len;
	uint32_t slot;
};

struct tip_template {
	struct tip_segment *segments;
	size_t count;
	uint32_t *keys; /* slots of output_fields, sorted by name, each once */
	size_t nkeys;
};

/* A member of output_fields that the configuration adds. */
struct tip_named {
	const char *name;
	struct tip_template format;
	bool typed; /* one field, with its type; otherwise a text */
};

struct tip_rule {
	struct tip_rule_info info;
	const struct tip_rules *set;
	struct tip_program program;
	struct tip_template output;
	struct tip_named *named; /* sorted by name */
	size_t nnamed;
	struct tip_enforce_spec *enforce;
	const struct tip_rule_details *details;
	tip_codes codes; /* events that it can match */
};

struct tip_rules {
	struct tip_arena *arena;
	struct tip_rule *rules;
	size_t count;
	struct tip_field_ref *refs; /* by slot */
	size_t nrefs;
	struct tip_map *slots;           /* text of a field -> slot + 1 */
	uint32_t *by_code[TIP_CODE_MAX]; /* indexes of enabled rules, in load order */
	size_t nby_code[TIP_CODE_MAX];
	uint64_t event_mask;
	bool base64;        /* bytes in outputs */
	const char **hosts; /* names that addresses are compared with */
	size_t nhosts;
};

/* The slot of a field, made on first use. -1 with the reason in `why`. */
int64_t tip_rules_slot(struct tip_rules *r, const char *name, const char *arg, bool used, char *why,
		       size_t size);

/* The same for a field or a transformer; a list's is its elements. `*unknown`: no such field. */
int64_t tip_rules_expr_slot(struct tip_rules *set, const struct tip_text *text_of,
			    const struct tip_ast_expr *e, bool used, bool *unknown,
			    struct tip_cond_error *err);
/* A field with a comparison of its own: no transformer takes it, and no other field compares. */
bool tip_field_own_way(const struct tip_field_ref *ref);

/* ---- the compiler -------------------------------------------------------------------------------
 */

struct tip_compiled {
	tip_codes codes;            /* our events that the condition can match */
	struct tip_event_set names; /* names of the language that it can match */
	bool unsatisfiable;
	const char *deprecated; /* why a field in it is deprecated, NULL */
	const struct tip_ast *deprecated_at;
	bool unknown_field; /* with an error: a field or an event name is not known */
};

int tip_compile(struct tip_rules *set, const struct tip_ast *ast, bool used,
		struct tip_program *program, struct tip_compiled *out, struct tip_cond_error *err);
void tip_program_free(struct tip_program *p);

/* Parses an output template. `err->pos` is a byte of `text`. */
int tip_template_compile(struct tip_rules *set, const struct tip_text *text, bool used,
			 struct tip_template *out, const char **deprecated,
			 struct tip_cond_error *err);

/* Adds `more`, behind a blank. */
void tip_template_join(struct tip_rules *set, struct tip_template *t,
		       const struct tip_template *more);

/* What the kernel needs for a rule with an action; -1 with `err` when it cannot decide it. */
int tip_enforce_compile(struct tip_arena *arena, const struct tip_ast *ast,
			struct tip_enforce_spec **out, struct tip_cond_error *err);

/* Begins an event: values extracted for another one are forgotten. */
void tip_matcher_begin(struct tip_matcher *m, const struct tip_rules *r,
		       const struct tip_match_input *in, enum tip_code code);
const struct tip_value *tip_matcher_value(struct tip_matcher *m, uint32_t slot);
bool tip_matcher_holds(const struct tip_matcher *m, const struct tip_rules *r,
		       const struct tip_match_input *in);

#endif
