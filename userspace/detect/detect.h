/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_DETECT_H
#define TIP_DETECT_DETECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "process/process.h"

/*
 * The Falco rule language: lexer -> parser -> resolver -> compiler -> matcher, and
 * the loader of rule files. This room never sees a BPF map and keeps no global state.
 */

enum tip_priority {
	TIP_PRIO_EMERGENCY,
	TIP_PRIO_ALERT,
	TIP_PRIO_CRITICAL,
	TIP_PRIO_ERROR,
	TIP_PRIO_WARNING,
	TIP_PRIO_NOTICE,
	TIP_PRIO_INFORMATIONAL,
	TIP_PRIO_DEBUG
};
const char *tip_priority_name(enum tip_priority p); /* "Warning" */
/* The name in any case, or "info". 0, or -1. */
int tip_priority_parse(const char *name, enum tip_priority *out);

/* What a rule asks for beside the alert (our key `action`, which Falco ignores with a warning). */
enum tip_action { TIP_ACTION_NONE, TIP_ACTION_KILL, TIP_ACTION_DENY };

/* How often a rule may alert (our key `rate_limit`): a bucket of tokens. */
struct tip_rate_limit {
	double per_second;  /* tokens that come back; 0: no limit */
	uint32_t max_burst; /* tokens that it holds at most, at least 1 */
};
#define TIP_RATE_MAX 1000000 /* of both */

struct tip_rules; /* a compiled, immutable set */
struct tip_rule;  /* one rule of a set */

/* One rule file's text. */
struct tip_rule_source {
	const char *name; /* as shown in errors: the path */
	const char *text;
	size_t len;
};

/* One step from a file to a message. All zero-based, except inside a condition expression. */
#define TIP_LOAD_LOCATIONS_MAX 5
struct tip_load_location {
	const char *item_type; /* "rules content", "rule", "rule condition", ... */
	const char *item_name;
	const char *name; /* the file's, or the start of the expression */
	size_t line, column, offset;
};

/* A warning or error of the loader, in Falco's terms. */
struct tip_load_message {
	const char *code; /* "LOAD_ERR_VALIDATE" */
	bool is_error;
	struct tip_error at;   /* one-based place and text */
	const char *item_type; /* "rule", "macro", "list" or "" */
	const char *item_name;
	const char *snippet; /* the offending text, "" if none */
	int caret;           /* zero-based offset of the caret in the snippet, -1: none */
	struct tip_load_location locations[TIP_LOAD_LOCATIONS_MAX]; /* from outer to inner */
	size_t nlocations;
};

struct tip_load_result {
	struct tip_load_message *messages;
	size_t count;
	const char *unmet; /* "json (>= 0.1.0)": plugins of which one is missing; NULL: none is */
	struct tip_arena *arena;
};
void tip_load_result_free(struct tip_load_result *r);

/* A member that is added to output_fields. */
struct tip_rule_append_field {
	const char *name;   /* of the member */
	const char *format; /* an output template; NULL: the field `name` with its type */
};

/* What is added to the output of every rule that matches all that is given (Falco's
 * append_output). */
struct tip_rule_append {
	const char *rule, *source; /* NULL: any */
	const char *const *tags;   /* the rule has all of them */
	size_t ntags;
	const char *output; /* an output template, NULL: none */
	const struct tip_rule_append_field *fields;
	size_t nfields;
	bool suggested;   /* also what tells the container and the identity */
	const char *file; /* where it stands, for errors */
	int line, column;
};

/* Turns rules on or off when all files are read; of several that fit, the last decides. */
struct tip_rule_switch {
	bool enable;
	const char *rule; /* a pattern for names, as of fnmatch(3); NULL: `tag` */
	const char *tag;
};

/* What is asked of a set beside its rules. All of it is copied. */
struct tip_rules_options {
	enum tip_priority min_priority; /* a lesser rule is not loaded, unless it has an action */
	const struct tip_rule_append *append;
	size_t nappend;
	bool base64; /* bytes in outputs as base64 */
	const struct tip_rule_switch *switches;
	size_t nswitches;
};

/*
 * Loads files in order into one set. NULL when any file has an error; the set that ran before is
 * untouched because sets are immutable. `result` gets warnings and errors either way (first error
 * of a file ends that file).
 */
struct tip_rules *tip_rules_load(const struct tip_rule_source *sources, size_t count,
				 struct tip_load_result *result);
/* The same with options (NULL: none). */
struct tip_rules *tip_rules_load_with(const struct tip_rule_source *sources, size_t count,
				      const struct tip_rules_options *options,
				      struct tip_load_result *result);
/* One more holder, who ends with tip_rules_free() as the owner does; the last one frees the set. */
struct tip_rules *tip_rules_hold(struct tip_rules *r);
void tip_rules_free(struct tip_rules *r);

size_t tip_rules_count(const struct tip_rules *r);
const struct tip_rule *tip_rules_get(const struct tip_rules *r, size_t i);

struct tip_rule_info {
	const char *name, *desc, *condition, *output, *source; /* source: event source, "syscall" */
	const char *file; /* which tip_rule_source it came from, and where */
	int line;
	enum tip_priority priority;
	enum tip_action action;
	struct tip_rate_limit rate_limit;
	const char *const *tags; /* sorted */
	size_t ntags;
	bool enabled;
	uint64_t event_mask; /* 1 << TIP_EV_*: events that its condition can match */
	uint32_t index;      /* position in the set; what the kernel reports as `rule` */
};
const struct tip_rule_info *tip_rule_info(const struct tip_rule *rule);
/* Does the switch mean this rule? */
bool tip_rule_switch_fits(const struct tip_rule_switch *s, const struct tip_rule *rule);
/*
 * Appends what the rule was compiled to as a JSON object: the condition with macros and lists
 * expanded, its fields, operators, events and so on, by the names of `falco -L`.
 */
void tip_rule_details_json(const struct tip_rule *rule, struct tip_buf *out);

/* Event types that some enabled rule wants: for the prefilter. */
uint64_t tip_rules_event_mask(const struct tip_rules *r);
/* All that the sensor is to tell for the rules. */
const struct tip_wanted *tip_rules_wanted(const struct tip_rules *r);
/* True when some enabled rule (condition or output) reads that field, e.g. "fd.path.real" or a
 * prefix "spiffe." */
bool tip_rules_use_field(const struct tip_rules *r, const char *prefix);
/* True when one reads what only a container runtime knows (fields_container.c). */
bool tip_rules_use_container(const struct tip_rules *r);

/* The hosts that enabled rules name (`fd.sip.name = x`), each once; they live as long as `r`. */
#define TIP_RULES_HOSTS_MAX 512
const char *const *tip_rules_hosts(const struct tip_rules *r, size_t *count);

/*
 * What the kernel needs for a rule with an action: the kind of act, and a conjunction of conditions
 * that it can decide whole (docs/rules.md). A rule with `action: kill|deny` whose condition is
 * anything else is refused at load, with its place.
 */
enum tip_enforce_how { TIP_ENFORCE_EXACT, TIP_ENFORCE_PREFIX, TIP_ENFORCE_GLOB };

struct tip_enforce_value {
	/* texts and identities */
	const char *text;
	enum tip_enforce_how how;
	/* addresses and ports: a prefix in a table of `rule_nets` */
	uint32_t table, bits;
	uint8_t bytes[16];
	uint64_t number; /* all others */
};

/* The value in that dimension must be one of these; with `spares`, must be none of them. */
struct tip_enforce_term {
	enum tip_rule_dim dim;
	bool spares;
	struct tip_enforce_value *values;
	size_t nvalues;
};

struct tip_enforce_spec {
	uint32_t acts;                        /* 1 << TIP_JUDGED_* */
	const struct tip_enforce_term *terms; /* each {dim, spares} at most once */
	size_t nterms;
};
/* The rule's spec, or NULL for a rule without action. */
const struct tip_enforce_spec *tip_rule_enforce_spec(const struct tip_rule *rule);

/*
 * What the kernel can decide of the conditions of all these sets (NULL: an empty one): an act that
 * does not pass matches none of their enabled rules. Texts belong to the sets or to `arena`.
 */
struct tip_prefilter;
void tip_rules_prefilter(const struct tip_rules *const *sets, size_t count, struct tip_arena *arena,
			 struct tip_prefilter *out);

/* ---- matching ---------------------------------------------------------------- */

/* Who is at the other end of a connection. Valid for the event. */
struct tip_match_peer {
	const char *id;
	bool dialled;      /* by the process of the event: then the others are set */
	bool first;        /* its identity has not spoken with that peer before */
	uint64_t since_ns; /* from the first peer of its identity to this connection */
};

/* What only other rooms know, asked when a rule reads it. */
struct tip_match_ops {
	/* SHA-256 of the executable in hexadecimal, NULL: not known (yet). Valid for the event. */
	const char *(*digest)(void *ctx, const struct tip_process *p);
	/* Who is at the other end of the event's connection. False: nobody knows. */
	bool (*peer)(void *ctx, const struct tip_event *ev, const struct tip_process *p,
		     struct tip_match_peer *out);
	void *ctx;
};

/* One event with its surroundings: all that a field extractor may look at. */
struct tip_match_input {
	const struct tip_event *ev;
	struct tip_process *proc;        /* may be NULL: then proc.* is unset */
	struct tip_process_table *table; /* for ancestors */
	uint64_t evt_num;
	uint64_t time_ns; /* wall clock, ns since the epoch */
	const char *hostname;
	const struct tip_match_ops *ops; /* NULL: nobody is asked */
};

struct tip_hosts;
struct tip_matcher; /* scratch memory for one thread; reused for every event */
struct tip_matcher *tip_matcher_new(void);
void tip_matcher_free(struct tip_matcher *m);
/* The hosts that rules name, as they were last resolved. Taken over; NULL: none. */
void tip_matcher_set_hosts(struct tip_matcher *m, struct tip_hosts *hosts);
const struct tip_hosts *tip_matcher_hosts(const struct tip_matcher *m);
/* Regex matches that were given up at their limit so far (they count as no match). */
uint64_t tip_matcher_regex_limits(const struct tip_matcher *m);

/*
 * Evaluates the enabled rules that want this event's type, in load order; calls `hit` for the first
 * that matches (or for every one, with `all`). Number of hits. No allocation in the steady state.
 */
int tip_rules_match(const struct tip_rules *r, struct tip_matcher *m,
		    const struct tip_match_input *in, bool all,
		    void (*hit)(void *ctx, const struct tip_rule *rule,
				const struct tip_match_input *in),
		    void *ctx);

/*
 * Renders a matched rule's output template as text (without Falco's time prefix) into `text`, and
 * the JSON members of output_fields ("\"fd.name\":\"/etc/shadow\",..." sorted by key, without
 * braces, without evt.time) into `fields`.
 */
void tip_rule_render(const struct tip_rule *rule, struct tip_matcher *m,
		     const struct tip_match_input *in, struct tip_buf *text,
		     struct tip_buf *fields);

/* ---- rate limits ---------------------------------------------------------------- */

/* What became of one rule's matches since the daemon started. */
struct tip_rate {
	double tokens;
	uint64_t seen_ns; /* when `tokens` was right */
	bool begun;
	uint64_t matched;
	uint64_t suppressed; /* of those: alerts that its limit held back */
	uint64_t untold;     /* of those: the rule's next alert will tell */
};

/*
 * The rule matched at `now_ns` (any clock that only goes forward). True: alert, and say that
 * `*untold` before it were held back.
 */
bool tip_rate_take(struct tip_rate *r, const struct tip_rate_limit *limit, uint64_t now_ns,
		   uint64_t *untold);
/*
 * Rates for `fresh`, by tip_rule_info.index: a rule that `old` (NULL: none) has under the same name
 * goes on with its numbers. `rates` are those of `old`, and are freed. The caller frees.
 */
struct tip_rate *tip_rates_carry(const struct tip_rules *fresh, const struct tip_rules *old,
				 struct tip_rate *rates);

/* ---- the field catalogue ---------------------------------------------------------- */

struct tip_field_info {
	const char *name; /* "proc.aname" */
	const char *type; /* Falco's: CHARBUF, INT64, UINT32, BOOL, IPADDR ... */
	const char *desc;
	const char *argument;      /* "[NUMBER]", "[NAME]", ...; NULL: it takes none */
	bool needs_argument;       /* false: it may be left out */
	bool several;              /* of several values at once: only in, intersects, exists */
	bool everywhere;           /* every event has it */
	bool served;               /* false: it is known, and always unset; `desc` says why */
	const char *const *events; /* otherwise: names of those that can have it, ended by NULL */
	const char *deprecated;    /* why, NULL: it is not */
};
/* Every field, sorted by name; `*count` of them. */
const struct tip_field_info *tip_fields(size_t *count);

#endif
