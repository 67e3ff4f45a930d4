/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_PROGRAM_H
#define TIP_DETECT_PROGRAM_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/map.h"
#include "detect/ast.h"
#include "detect/field.h"
#include "detect/search.h"

/*
 * A compiled condition: tests, each with the one that follows when it is true and when it is not.
 * `not` is an exchange of the two and costs nothing; an unset field makes a test false, whatever
 * its operator. A test that stands in many rules is one test of the set, and is asked at most once
 * for an event.
 */
#define TIP_GOTO_MATCH 0xffffffffu
#define TIP_GOTO_FAIL  0xfffffffeu

struct tip_step {
	uint32_t test; /* in tip_rules.tests */
	uint32_t yes, no;
};

struct tip_operand {
	bool negative; /* UINT: a number below zero, less than every value */
	bool pattern;  /* PMATCH: not a plain path */
	/* GLOB: plain characters that it begins and ends with */
	uint32_t head, tail;
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

struct tip_test {
	enum tip_op op;
	enum tip_type type;
	enum tip_modifier modifier;
	/* evt.type: decided by `codes` alone, but for TIP_CODE_OTHER; NULL: another field */
	const struct tip_event_set *names;
	tip_codes codes;
	uint32_t slot; /* of the field */
	bool every;    /* of a list field: each of its values must pass, not just one */
	bool fields;   /* compared with the value of slot `right`, not with `values` */
	uint32_t right;
	struct tip_operand *values;
	size_t nvalues;
	uint32_t search; /* number + 1 in tip_rules.searches that answers it, 0: asked by itself */
};

/* As laid down: each target is before the step that names it. */
struct tip_program {
	struct tip_step *steps;
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
 * regexes are freed by tip_test_free(). 0, or -1 with `err`.
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
struct tip_rule_needs;

struct tip_rule {
	struct tip_rule_info info;
	const struct tip_rules *set;
	struct tip_program program;
	struct tip_template output;
	struct tip_named *named; /* sorted by name */
	size_t nnamed;
	struct tip_enforce_spec *enforce;
	const struct tip_rule_details *details;
	const struct tip_rule_needs *needs; /* what the kernel can decide: necessary.h */
	tip_codes codes;                    /* events that it can match */
	uint64_t calls[TIP_SYSCALLS / 64];  /* those of TIP_EV_CALL that it names */
};

/* A rule that an event of some code can match, and where its steps for that code begin. */
struct tip_entry {
	uint32_t rule, step;
};

/* Tests on one field that are answered together. */
struct tip_slot_search {
	uint32_t slot;
	struct tip_search *search;
};

struct tip_rules {
	uint32_t holders; /* beside its owner */
	struct tip_arena *arena;
	struct tip_rule *rules;
	size_t count;
	struct tip_field_ref *refs; /* by slot */
	size_t nrefs;
	struct tip_map *slots;  /* text of a field -> slot + 1 */
	struct tip_test *tests; /* each different one once */
	size_t ntests;
	struct tip_map *test_numbers; /* what it is -> number + 1 */
	/* made from the rules' programs by tip_rules_index() */
	struct tip_step *steps;
	size_t nsteps;
	struct tip_slot_search *searches;
	size_t nsearches;
	struct tip_entry *by_code[TIP_CODE_MAX]; /* of enabled rules, in load order */
	size_t nby_code[TIP_CODE_MAX];
	struct tip_wanted wanted;
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
/*
 * The number of the test that `head` (all but the values) and the values of `check` make; an equal
 * one is found again. -1 with `err`.
 */
int64_t tip_rules_test(struct tip_rules *r, const struct tip_test *head,
		       const struct tip_ast *check, struct tip_cond_error *err);
/*
 * Tests of one kind on one field can be one test, which is true when any of them is. The kind's
 * number, 0: no such test.
 */
unsigned int tip_test_kind(const struct tip_test *t);
uint32_t tip_rules_test_any(struct tip_rules *r, const uint32_t *tests, size_t count);
void tip_rules_tests_free(struct tip_rules *r);

/* The last step of a load: programs for each code, and what is searched together. */
void tip_rules_index(struct tip_rules *set);

/* ---- the compiler -------------------------------------------------------------------------------
 */

struct tip_compiled {
	tip_codes codes;                   /* our events that the condition can match */
	uint64_t calls[TIP_SYSCALLS / 64]; /* those of TIP_EV_CALL that it names */
	struct tip_event_set names;        /* names of the language that it can match */
	bool unsatisfiable;
	const char *deprecated; /* why a field in it is deprecated, NULL */
	const struct tip_ast *deprecated_at;
	bool unknown_field; /* with an error: a field or an event name is not known */
};

int tip_compile(struct tip_rules *set, const struct tip_ast *ast, bool used,
		struct tip_program *program, struct tip_compiled *out, struct tip_cond_error *err);
void tip_program_free(struct tip_program *p);
/* Of the parts of an `and` or `or`, the one with the lower rank is better asked first. */
unsigned int tip_rank(const struct tip_ast *n, bool negated);

/*
 * Parses an output template. `err->pos` is a byte of `text`; `*unknown` says that the error is a
 * field that is not known.
 */
int tip_template_compile(struct tip_rules *set, const struct tip_text *text, bool used,
			 struct tip_template *out, const char **deprecated, bool *unknown,
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
