/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_NECESSARY_H
#define TIP_DETECT_NECESSARY_H

#include "detect/defs.h"
#include "detect/program.h"
#include "sensor/prefilter.h"

/*
 * From a condition to what the kernel can decide of it: a disjunction of clauses that holds
 * whenever the condition does. Where the kernel cannot tell, it says "perhaps", which is true;
 * `not` of that is true as well.
 */

/* A disjunction. No clause: false. */
struct tip_dnf {
	struct tip_filter_clause *clauses;
	size_t count;
};

/* Work on one condition, for one group of acts. */
struct tip_necessary {
	struct tip_arena *arena; /* what is made lives here */
	enum tip_filter_group group;
	tip_codes codes; /* events of the group */
};

struct tip_dnf tip_dnf_true(struct tip_necessary *e);
struct tip_dnf tip_dnf_false(void);
/* The digit must have one of the values in `set`. */
struct tip_dnf tip_dnf_digit(struct tip_necessary *e, size_t digit, uint64_t set);
/* The name must be one of these (`negated`: none). They live in the arena. */
struct tip_dnf tip_dnf_names(struct tip_necessary *e, const struct tip_filter_name *names,
			     size_t count, bool negated);
struct tip_dnf tip_dnf_and(struct tip_necessary *e, const struct tip_dnf *a,
			   const struct tip_dnf *b);
struct tip_dnf tip_dnf_or(struct tip_necessary *e, const struct tip_dnf *a,
			  const struct tip_dnf *b);
/* Makes do with at most `max` clauses: they become weaker, never stronger. */
void tip_dnf_reduce(struct tip_necessary *e, struct tip_dnf *d, size_t max);

/* A check of a field that events of the group can have; with `negated`, of its opposite. */
typedef struct tip_dnf (*tip_necessary_fn)(struct tip_necessary *e, const struct tip_ast *n,
					   const struct tip_field_ref *ref, bool negated);
/* Who decides about a field. */
struct tip_necessary_field {
	const char *name;
	tip_necessary_fn check;
};
/* What the one of `fields` that `ref` is says; perhaps, if it is none of them. */
struct tip_dnf tip_necessary_by_field(const struct tip_necessary_field *fields, size_t count,
				      struct tip_necessary *e, const struct tip_ast *n,
				      const struct tip_field_ref *ref, bool negated);
struct tip_dnf tip_necessary_open(struct tip_necessary *e, const struct tip_ast *n,
				  const struct tip_field_ref *ref, bool negated);
struct tip_dnf tip_necessary_sock(struct tip_necessary *e, const struct tip_ast *n,
				  const struct tip_field_ref *ref, bool negated);
struct tip_dnf tip_necessary_call(struct tip_necessary *e, const struct tip_ast *n,
				  const struct tip_field_ref *ref, bool negated);
struct tip_dnf tip_necessary_exec(struct tip_necessary *e, const struct tip_ast *n,
				  const struct tip_field_ref *ref, bool negated);
struct tip_dnf tip_necessary_called(struct tip_necessary *e, const struct tip_ast *n,
				    const struct tip_field_ref *ref, bool negated);

/* A check of the path that an act is decided by, or of a part of it. */
enum tip_name_part { TIP_NAME_WHOLE, TIP_NAME_RAW, TIP_NAME_FOLDER, TIP_NAME_LAST };
struct tip_dnf tip_necessary_name(struct tip_necessary *e, const struct tip_ast *n,
				  enum tip_name_part part, bool negated);
#define TIP_NAME_PATTERN "*?[\\" /* what ends the plain part of a pattern */
/* evt.arg and evt.rawarg, of the groups of calls. */
struct tip_dnf tip_necessary_arg(struct tip_necessary *e, const struct tip_ast *n,
				 const struct tip_field_ref *ref, bool negated);
/* What sockets and the groups of calls have in common. */
struct tip_dnf tip_necessary_shared(struct tip_necessary *e, const struct tip_ast *n,
				    const struct tip_field_ref *ref, bool negated);
/* Does a check of evt.type say which names it may have, or may not have? */
bool tip_necessary_types(const struct tip_ast *n);
/* The codes of events that such a check, or its negation, can hold for: `*may`. false: it does not
 * say. */
bool tip_necessary_codes(const struct tip_ast *n, bool negated, tip_codes *may);
/* user.uid, of any group; and the port of the end that the kernel looks at. */
struct tip_dnf tip_necessary_uid(struct tip_necessary *e, const struct tip_ast *n,
				 const struct tip_field_ref *ref, bool negated);
struct tip_dnf tip_necessary_port(struct tip_necessary *e, const struct tip_ast *n,
				  const struct tip_field_ref *ref, bool negated);
/* evt.num. */
struct tip_dnf tip_necessary_num(struct tip_necessary *e, const struct tip_ast *n,
				 const struct tip_field_ref *ref, bool negated);

/*
 * For the groups of sockets and those of calls. tip_dnf_codes() is the events with one of these
 * codes. tip_dnf_decided() is a check that `d` decides for the codes `decided`, of an event that
 * has the field if its code is in `has`.
 */
struct tip_dnf tip_dnf_codes(struct tip_necessary *e, tip_codes codes);
struct tip_dnf tip_dnf_calls(struct tip_necessary *e, const uint64_t calls[TIP_SYSCALLS / 64]);
struct tip_dnf tip_dnf_called(struct tip_necessary *e, tip_codes codes);
struct tip_dnf tip_dnf_decided(struct tip_necessary *e, tip_codes decided, tip_codes has,
			       const struct tip_dnf *d, bool negated);

/*
 * What a check says of values that are tried one by one, by the same code that matches events.
 * Whether some value of what was tried makes it true, and whether some makes it false.
 */
struct tip_trial {
	struct tip_test test;
	struct tip_test_env env;
	struct tip_scratch scratch;
	bool ready;
};
bool tip_trial_begin(struct tip_trial *t, const struct tip_ast *n, const struct tip_field_ref *ref,
		     struct tip_arena *arena);
bool tip_trial_holds(struct tip_trial *t, const struct tip_value *v);
void tip_trial_end(struct tip_trial *t);
/* Can an integer in [low, high] make the check true (`negated`: false)? */
bool tip_trial_between(struct tip_trial *t, int64_t low, int64_t high, bool negated);

/* ---- rules (necessary.c) ---- */

/* What a rule needs of the acts of each group: a disjunction. In the arena of its set. */
struct tip_rule_needs {
	struct tip_dnf groups[TIP_FILTER_GROUPS];
	struct tip_names rest; /* parts of the condition of which the kernel decides nothing */
};
/* Appends what the kernel decides for the rule, in words, as a JSON array of alternatives. */
void tip_rule_kernel_json(const struct tip_rule *rule, struct tip_buf *out);
void tip_necessary_rule(struct tip_rule *rule, const struct tip_ast *ast, struct tip_arena *arena);

#endif
